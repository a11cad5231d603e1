"""Bytes that would be in memory twice go through in pieces, and at rest they are as any others."""

from __future__ import annotations

import io
import random
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff import Address, DamagedError, LimitError, Store, Stored
from handoff.artifact import Payload, compress
from handoff.codecs import Reading, _containers, _long, tree
from handoff.config import INLINE_SIZE
from handoff.spool import Source

ADDRESS = Address("dag", "run", "task")
LONG = random.Random(1).randbytes(INLINE_SIZE + 70_000)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "root")


def at_rest(store: Store, value: bytes) -> bytes:
    """Put a value, and give what lies in the folder."""
    stored = store.put(value, ADDRESS, inline_limit=0)
    assert isinstance(stored, Stored)
    return Path(store.root, stored.address.path).read_bytes()


@given(start=st.integers(0, 70_010), length=st.integers(0, 70_010))
def test_every_part_of_the_payload_is_that_of_messagepack(start: int, length: int) -> None:
    """Wherever a piece begins and ends, it is what MessagePack has there."""
    value = LONG[:70_000]
    expected = msgspec.msgpack.encode(value)[start : start + length]
    assert expected == bytes(_long.LongBytes(value, "")._at(start, start + length))


@pytest.mark.parametrize("more", [-6, -5, -1, 0, 1, 5])
def test_bytes_of_about_the_bound_come_back_identical(more: int, store: Store) -> None:
    """On either side of the bound the same bytes arrive, and the same lie at rest."""
    value = LONG[: INLINE_SIZE + more]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tree, "INLINE_SIZE", len(value))
        whole = at_rest(store, value)
    assert whole == at_rest(store, value)
    assert value == store.get(ADDRESS, bytes)
    assert isinstance(store.get(ADDRESS), bytes)


def test_long_bytes_are_in_memory_once(store: Store) -> None:
    """A put takes no copy of them, and a get takes the value itself and some pieces."""
    value = LONG * 8
    store.get(store.put(LONG, ADDRESS))
    peaks: list[int] = []
    for act in (lambda: store.put(value, ADDRESS), lambda: store.get(ADDRESS)):
        tracemalloc.start()
        try:
            act()
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[0] < len(value) * 0.6
    assert peaks[1] < len(value) * 1.6


def test_a_preview_of_long_bytes_shows_their_beginning(store: Store) -> None:
    """What they are like is told as of others."""
    stored = store.put(LONG, ADDRESS)
    assert isinstance(stored, Stored)
    assert f"{LONG[:60]!r}…" == stored.preview


def test_a_long_payload_of_something_else_is_damage(store: Store) -> None:
    """A list under the name of bytes is refused, however long it is."""
    encoded = tree.encode(["x" * INLINE_SIZE])
    payload = Path(store.root)
    payload.parent.mkdir(exist_ok=True)
    with payload.open("wb") as file:
        encoded.write(file, None)
    with pytest.raises(DamagedError, match="something else, and a bytes was recorded"):
        tree.decode(Source(payload.read_bytes()), Reading("bytes", 2**30))


def test_more_bytes_than_a_tree_may_have_are_refused(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """The bound of plain values holds for them."""
    monkeypatch.setattr(_containers, "LARGEST", INLINE_SIZE)
    with pytest.raises(LimitError, match="as plain Python values"):
        store.put(LONG, ADDRESS)


def test_too_little_memory_for_long_bytes_is_a_limit(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """Bytes that are whole and larger than the memory raise LimitError."""
    store.put(LONG, ADDRESS)

    def full(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(_long, "io", SimpleNamespace(BytesIO=full))
    with pytest.raises(LimitError, match="more memory than there is"):
        store.get(ADDRESS)


def test_an_error_keeps_nothing_of_the_memory_that_was_filled() -> None:
    """While somebody holds the error of damage, the buffer is free: one that was not could end the interpreter."""
    frame = bytearray(compress(LONG))
    frame[-1] ^= 1
    made = io.BytesIO(bytes(len(LONG) + 1))
    opened = Payload(Source(bytes(frame))).reading()
    with pytest.raises(DamagedError, match="cannot be read") as caught, opened as fill, made.getbuffer() as rest:
        fill(rest)
    assert caught.value.__traceback__ is not None
    assert made.truncate(0) == 0
