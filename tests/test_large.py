"""Values that are not held in memory whole on their way: the same laws, through files."""

from __future__ import annotations

import itertools
import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pytest
import zstandard

from handoff import (
    Address,
    DamagedError,
    EncodeError,
    File,
    HandoffError,
    LimitError,
    StaleError,
    Store,
    UnreachableError,
    artifact,
    spool,
)
from handoff.spool import Digest, Source
from handoff.storage import _spool, local
from handoff.storage._objects import AnyObjects
from handoff.testing import same

ADDRESS = Address("dag", "run", "task")
FEW = 10_000


@pytest.fixture(autouse=True)
def _few_bytes_in_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let everything above some kilobytes go through files."""
    for module in (local, _spool):
        monkeypatch.setattr(module, "MOST_IN_MEMORY", FEW)
    monkeypatch.setattr(AnyObjects, "most_in_one", FEW)
    yield
    fsspec.filesystem("memory").store.clear()


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(tmp_path / "root" if request.param == "local" else "memory://base/prefix")


def values(folder: Path) -> dict[str, Any]:
    """Give a value of each codec that takes more than is held in memory."""
    (folder / "file").write_bytes(random.Random(1).randbytes(50_000))
    numbers = np.random.default_rng(1).standard_normal(20_000)
    return {
        "tree": [random.Random(1).randbytes(50_000), (1, 2)],
        "array": numbers,
        "table": pd.DataFrame({"a": numbers}),
        "file": File(folder / "file"),
    }


@pytest.mark.parametrize("codec", ["tree", "array", "table", "file"])
def test_large_values_come_back(codec: str, store: Store, tmp_path: Path) -> None:
    """A large value of each codec comes back by handoff and by address, and putting it again gives the same digest."""
    value = values(tmp_path)[codec]
    handoff = store.put(value, ADDRESS)
    assert (codec, True) == (handoff.codec, handoff.to_json()["size"] > FEW)
    assert same(value, store.get(handoff))
    again = store.get(ADDRESS, File if codec == "file" else Any)
    assert codec == "file" or same(value, again)
    assert handoff.sha256 == store.put(value, ADDRESS, attempt=2).sha256


@pytest.mark.parametrize("codec", ["tree", "array", "table"])
@pytest.mark.parametrize("change", ["cut", "longer", "flipped at the end", "flipped"])
def test_a_large_artifact_that_was_changed_is_damage(codec: str, change: str, tmp_path: Path) -> None:
    """A large artifact that was cut, changed or added to is damage, by handoff and by address."""
    store = Store(tmp_path / "root")
    handoff = store.put(values(tmp_path)[codec], ADDRESS)
    path = Path(store.root, ADDRESS.path)
    data = bytearray(path.read_bytes())
    if change == "cut":
        del data[-1000:]
    elif change == "longer":
        data += data[-1000:]
    else:
        data[-20 if change == "flipped at the end" else len(data) // 2] ^= 1
    path.write_bytes(data)
    for what in (handoff, ADDRESS):
        with pytest.raises(DamagedError):
            store.get(what)


@pytest.mark.parametrize("codec", ["tree", "array", "table", "file"])
def test_an_envelope_that_says_other_than_a_large_artifact_is_refused(codec: str, store: Store, tmp_path: Path) -> None:
    """Where the bytes are those of the digest and the envelope says otherwise of them, it is refused."""
    message = store.put(values(tmp_path)[codec], ADDRESS).to_json()
    with pytest.raises(HandoffError):
        store.get({**message, "type": "str", "raw_size": message["raw_size"] + 1})


def test_a_large_artifact_that_was_overwritten_is_stale(store: Store, tmp_path: Path) -> None:
    """A handoff to a large artifact that was overwritten, by a smaller or larger one, is told so."""
    handoff = store.put(values(tmp_path)["array"], ADDRESS)
    for other in (np.zeros(9), np.random.default_rng(2).standard_normal(40_000)):
        store.put(other, ADDRESS, inline_limit=0)
        with pytest.raises(StaleError):
            store.get(handoff)


def test_more_than_is_allowed_is_not_fetched(store: Store, tmp_path: Path) -> None:
    """An artifact over the store's size ends the transfer, and raises LimitError."""
    store.put(values(tmp_path)["array"], ADDRESS)
    small = Store(store.root, max_size=50_000)
    with pytest.raises(LimitError):
        small.get(ADDRESS)
    with pytest.raises(LimitError):
        small.put(values(tmp_path)["array"], ADDRESS)
    assert same(values(tmp_path)["array"], store.get(ADDRESS))


def test_a_put_that_fails_late_leaves_what_was_there(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that turns out to be unfit when half of it is written leaves the old version, and no litter."""
    from handoff.codecs import file

    good = values(tmp_path)["file"]
    store.put(good, ADDRESS)
    bad = File(tmp_path / "bad")
    bad.path.write_bytes(bytes(3 * FEW))
    states = itertools.count()
    monkeypatch.setattr(file, "_state", lambda status: (next(states), status.st_size))
    with pytest.raises(EncodeError, match="while it was read"):
        store.put(bad, ADDRESS)
    monkeypatch.undo()
    assert store.get(ADDRESS, File).path.read_bytes() == good.path.read_bytes()
    assert [] == [path for path in Path(store.root).rglob(".tmp/*") if path.is_file()]


def test_no_room_for_temporary_files_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for temporary files that is full is named, with what to do."""
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: full)
        with pytest.raises(UnreachableError, match="set TMPDIR"):
            Store("memory://base/prefix").put(os.urandom(3 * 2**20), ADDRESS, inline_limit=0)
    assert [] == list(Store("memory://base/prefix").list())


def test_how_a_payload_is_cut_changes_nothing() -> None:
    """A large payload gives the same frame from memory and in pieces of any length, and the zstd library reads it."""
    payload = random.Random(1).randbytes(3 * 2**20) + bytes(3 * 2**20)
    frame = artifact.compress(payload)
    view = memoryview(payload)
    pieces: list[bytes] = []

    class Sink:
        def write(self, data: Any) -> None:
            pieces.append(bytes(data))

    artifact.write_frame(Sink(), len(payload), lambda start, end: bytes(view[start:end]))
    assert frame == b"".join(pieces)
    assert payload == zstandard.ZstdDecompressor().decompress(frame)


@pytest.mark.parametrize("size", [0, 10, 300_000, 3_000_000])
def test_a_digest_is_of_all_bytes_in_their_order(size: int) -> None:
    """Pieces that are hashed in a thread and pieces that are not give the digest of the whole."""
    import hashlib

    data = random.Random(1).randbytes(size)
    before = threading.active_count()
    with Digest() as digest:
        for start in range(0, size, 400_000):
            digest.update(data[start : start + 300_000])
            digest.update(memoryview(data)[start + 300_000 : start + 400_000])
        assert hashlib.sha256(data).hexdigest() == digest.hex()
    assert before == threading.active_count()


@pytest.mark.parametrize("most", [None, 1000])
def test_a_source_reads_any_part(tmp_path: Path, most: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes in memory and in a file are read alike: all, a part, from a place on, and not beyond the end."""
    data = random.Random(1).randbytes(spool.PIECE + 7)
    path = tmp_path / "data"
    path.write_bytes(data + b"beyond")
    if most:  # as a system does that gives fewer bytes than were asked for
        pread = os.pread
        monkeypatch.setattr(spool.os, "pread", lambda file, count, start: pread(file, min(count, most), start))
    with open(path, "rb", buffering=0) as file:
        reads: list[Callable[[Source], Any]] = [
            lambda source: source.data(),
            lambda source: source.at(5, 10),
            lambda source: source.at(len(data) - 3, 10),
            lambda source: source.at(len(data) + 3, 10),
            lambda source: b"".join(bytes(piece) for piece in source.pieces(3)),
            lambda source: source.digest(),
        ]
        for read in reads:
            assert read(Source(data)) == read(Source(file, len(data)))
        assert Source(data).name is None
        assert Path(Source(file, len(data)).name or "").read_bytes() == data + b"beyond"
