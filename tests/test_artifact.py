"""Artifacts: damage is found wherever it is, told from being overwritten, and the bytes are open to other tools."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import shutil
import subprocess
import sys
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgpack
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from handoff import (
    Address,
    DamagedError,
    DependencyError,
    EnvelopeError,
    HandoffError,
    LimitError,
    MissingError,
    StaleError,
    Store,
    Stored,
    artifact,
)
from handoff.spool import Source
from handoff.testing import same

ADDRESS = Address("dag", "run", "task")
VALUES: dict[str, Any] = {
    "tree": {"when": dt.date(2013, 1, 1), "delay": Decimal("1.10"), "legs": ("JFK", "LAX")},
    "table": pd.DataFrame({"carrier": ["UA", "AA"], "delay": [1.5, None]}),
}


def put(store: Store, value: Any) -> tuple[Stored, Path, bytes]:
    handoff = store.put(value, ADDRESS, inline_limit=0)
    assert isinstance(handoff, Stored)
    path = Path(handoff.uri)
    return handoff, path, path.read_bytes()


@pytest.fixture(params=VALUES.values(), ids=VALUES)
def value(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_every_changed_byte_is_damage(value: Any, store: Store) -> None:
    """Each byte of an artifact, changed in one bit or in all, is found out by handoff and by address."""
    handoff, path, good = put(store, value)
    for index in range(len(good)):
        for change in (1, 0x80, 0xFF):
            path.write_bytes(good[:index] + bytes([good[index] ^ change]) + good[index + 1 :])
            for what in (handoff, ADDRESS):
                with pytest.raises(DamagedError) as caught:
                    store.get(what)
                assert caught.value.address == ADDRESS.path
    path.write_bytes(good)
    assert same(value, store.get(handoff))


def test_every_truncation_and_tail_is_damage(value: Any, store: Store) -> None:
    """An artifact cut anywhere, or with anything behind it, is found out by handoff and by address."""
    handoff, path, good = put(store, value)
    tails = (b"\0", b"x" * 100, good, zstandard.compress(b"more"), artifact.MAGIC + b"\0\0\0\0")
    for bad in [good[:length] for length in range(len(good))] + [good + tail for tail in tails]:
        path.write_bytes(bad)
        for what in (handoff, ADDRESS):
            with pytest.raises(DamagedError):
                store.get(what)


def test_overwritten_is_told_from_damaged_and_from_missing(value: Any, store: Store) -> None:
    """Another whole artifact in its place is stale, says when and whose attempt; none at all is missing."""
    handoff, path, _ = put(store, value)
    store.put("another value", ADDRESS, inline_limit=0, attempt=2)
    with pytest.raises(StaleError, match=r"was overwritten at 20..-.*; this handoff is from attempt 1\. Run") as caught:
        store.get(handoff)
    assert (caught.value.attempt, caught.value.address, caught.value.uri) == (1, ADDRESS.path, str(path))
    path.unlink()
    with pytest.raises(MissingError, match="there is no artifact at"):
        store.get(handoff)


def test_a_stale_artifact_that_cannot_be_read_here_is_stale(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the newer artifact is too large to read, or needs a library, it is still known to be another one."""
    handoff, _, _ = put(store, "first")
    store.put(list(range(1000)), ADDRESS, inline_limit=0)
    with pytest.raises(StaleError):
        Store(store.root, max_size=500).get(handoff)
    store.put(VALUES["table"], ADDRESS, inline_limit=0)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(StaleError):
        store.get(handoff)


def test_swapped_artifacts_are_damage(store: Store) -> None:
    """An artifact that belongs to another address is refused, though whole."""
    other = Address("dag", "run", "other")
    handoff, path, good = put(store, "mine")
    store.put("theirs", other, inline_limit=0)
    (Path(store.root) / other.path).write_bytes(good)
    path.write_bytes(good)
    assert store.get(handoff) == "mine"
    with pytest.raises(DamagedError, match="belongs to dag_id=dag/run_id=run/task_id=task/"):
        store.get(other)


def test_an_envelope_that_disagrees_with_its_artifact_is_refused(store: Store) -> None:
    """A type, codec or size other than the header's is refused, though the digest is right."""
    handoff, _, _ = put(store, (1, 2))
    for change in ({"type": "list"}, {"raw_size": 99}, {"codec": "table"}):
        with pytest.raises(HandoffError):
            store.get({**handoff.to_json(), **change})


def test_one_bad_read_is_mended(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that went wrong once on the way are read again."""
    handoff, _, good = put(store, (1, 2))
    answers = [b"garbage", good]
    monkeypatch.setattr(store._storage, "source", lambda path, most: nullcontext(Source(answers.pop(0))))
    assert store.get(handoff) == (1, 2)


def reheader(data: bytes, **changes: Any) -> bytes:
    header, end = artifact.read_header(Source(data))
    text = json.dumps({**json.loads(header.to_json()), **changes}, separators=(",", ":")).encode()
    return artifact.MAGIC + len(text).to_bytes(4, "little") + text + data[end:]


def test_a_forged_header_is_damage(store: Store) -> None:
    """A header that was rewritten with care is refused where it disagrees with what it heads."""
    _, path, good = put(store, (1, 2))
    changes: list[dict[str, Any]] = [
        {"type": "list"}, {"raw_size": 4}, {"raw_size": -1}, {"codec": "table"}, {"codec": "none"}, {"handoff": 0}, {"more": 1},
        {"address": {"dag_id": "dag", "run_id": "", "task_id": "task"}}, {"address": None},
    ]  # fmt: skip
    for change in changes:
        path.write_bytes(reheader(good, **change))
        with pytest.raises(DamagedError):
            store.get(ADDRESS)
    path.write_bytes(artifact.MAGIC + (2**31).to_bytes(4, "little") + b"x" * 50)
    with pytest.raises(DamagedError, match="whole header"):
        store.get(ADDRESS)


def test_an_artifact_of_a_newer_version_asks_for_an_upgrade(value: Any, store: Store) -> None:
    """Whatever else a newer version writes, it is told by the beginning of its header, and is neither damage nor stale."""
    handoff, path, good = put(store, value)
    newer = good.replace(b'{"handoff":1,"address"', b'{"handoff":2,"unheard"')
    path.write_bytes(newer)
    again = {**handoff.to_json(), "sha256": hashlib.sha256(newer).hexdigest()}
    for what in (ADDRESS, handoff, again):
        with pytest.raises(EnvelopeError, match=r"this artifact is of a newer dag-handoff .*\. Upgrade dag-handoff"):
            store.get(what)


def frame_with(payload: bytes, **options: Any) -> bytes:
    return zstandard.ZstdCompressor(**{"write_checksum": True, **options}).compress(payload)


def payload_of(frame: bytes, limit: int) -> bytes:
    return artifact.Payload(Source(frame), limit=limit).data()


def streamed_of(frame: bytes, limit: int) -> bytes:
    payload = artifact.Payload(Source(frame), limit=limit)
    data = bytearray(payload.size)
    with payload.reading() as fill:
        fill(memoryview(data)[:1])
        fill(memoryview(data)[1:])
    return bytes(data)


def test_a_frame_of_another_kind_is_damage() -> None:
    """A frame without checksum or size, of another window, or of no content is refused before it is decompressed."""
    chunked = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    wide = b"\x28\xb5\x2f\xfd" + bytes([0b10_0_0_0_1_00, 0x88]) + (100).to_bytes(4, "little")  # a window of 128 MiB
    bad = [
        zstandard.ZstdCompressor(write_checksum=False).compress(b"x"),
        chunked.compress(b"x") + chunked.flush(),
        wide + bytes(20),
        frame_with(b""),
        b"",
        b"not a frame, but long enough to be one",
        artifact.MAGIC + b"\0\0\0\0" + frame_with(b"x"),
        frame_with(b"x") * 2,
        frame_with(b"x" * 1000)[:-1],
    ]
    for frame in bad:
        for read in (payload_of, streamed_of):
            with pytest.raises(DamagedError):
                read(frame, 2**30)


def test_a_bomb_is_refused_before_it_is_decompressed(store: Store) -> None:
    """A small frame that declares gigabytes is refused by what it declares, however little it holds."""
    bomb = bytearray(frame_with(bytes(2**20)))
    assert len(bomb) < 1000
    declared = zstandard.get_frame_parameters(bytes(bomb)).content_size
    at = bytes(bomb).index(declared.to_bytes(4, "little"))
    bomb[at : at + 4] = (2**32 - 2).to_bytes(4, "little")
    with pytest.raises(LimitError) as caught:
        payload_of(bytes(bomb), 2**30)
    assert (caught.value.size, caught.value.limit) == (2**32 - 2, 2**30)
    with pytest.raises(DamagedError):
        payload_of(bytes(bomb), 2**33)


@given(data=st.binary(max_size=300))
def test_any_object_at_an_address_is_damage(data: bytes, store: Store) -> None:
    """Whatever bytes somebody puts at an address, reading it raises DamagedError."""
    path = Path(store.root) / ADDRESS.path
    path.parent.mkdir(parents=True, exist_ok=True)
    for start in (b"", artifact.MAGIC, b"PAR1"):
        path.write_bytes(start + data)
        with pytest.raises(DamagedError):
            store.get(ADDRESS)


def test_sizes_are_limited_on_both_ways(tmp_path: Path) -> None:
    """What is too large at rest or decompressed is refused on write and on read, by handoff and by address."""
    small, large = Store(tmp_path, max_size=1000), Store(tmp_path)
    dense, sparse = list(range(5000)), [0] * 5000
    for value in (dense, sparse, pd.DataFrame({"a": [0] * 5000})):
        with pytest.raises(LimitError):
            small.put(value, ADDRESS, inline_limit=0)
    assert [] == list(small.list())
    for value in (dense, sparse):
        handoff = large.put(value, ADDRESS, inline_limit=0)
        for what in (handoff, ADDRESS):
            with pytest.raises(LimitError, match="allowed"):
                small.get(what)
    frame = large.put(pd.DataFrame({"a": [0] * 5000}), ADDRESS, inline_limit=0)
    for what in (frame, ADDRESS):
        with pytest.raises(LimitError):
            small.get(what)


def test_a_table_that_is_small_at_rest_and_large_in_memory_is_refused(tmp_path: Path) -> None:
    """A Parquet file of one repeated value is refused by what it would take in memory, before it is read."""
    handoff = Store(tmp_path).put(pd.DataFrame({"a": [0] * 200_000}), ADDRESS, inline_limit=0)
    assert handoff.size < 5000
    for what in (handoff, ADDRESS):
        with pytest.raises(LimitError, match="allowed"):
            Store(tmp_path, max_size=5000).get(what)


def test_a_decompressor_that_gives_other_bytes_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer bytes than the frame declares are damage, even where the library says nothing."""

    class Careless:
        def decompress(self, *_: Any, **__: Any) -> bytes:
            return b""

    monkeypatch.setattr(zstandard, "ZstdDecompressor", Careless)
    with pytest.raises(DamagedError, match="holds 0 bytes, and declares 1"):
        payload_of(artifact.compress(b"x"), 10)


def test_dense_payloads_are_hardly_tried() -> None:
    """Random bytes are stored about as they are, repetitive ones squeezed; the choice gives the same bytes again."""
    import random

    dense, sparse = random.Random(1).randbytes(2**21), b"abc" * 2**20
    assert len(artifact.compress(dense)) < len(dense) + 1000
    assert len(artifact.compress(sparse)) < len(sparse) / 1000
    for payload in (dense, sparse):
        assert artifact.compress(payload) == artifact.compress(payload)
        for read in (payload_of, streamed_of):
            assert payload == read(artifact.compress(payload), 2**30)


def test_a_tree_opens_with_zstd_and_any_messagepack_reader(store: Store) -> None:
    """An artifact of records is read by the zstd command and another MessagePack library."""
    records = [{"carrier": "UA", "delay": float(n), "hour": n} for n in range(5000)]
    _, path, _ = put(store, records)
    command = shutil.which("zstd")
    assert command, "install the zstd command: apt-get install zstd"
    payload = subprocess.run([command, "-dc", str(path)], check=True, capture_output=True).stdout
    assert records == msgpack.unpackb(payload)


def test_a_table_opens_with_duckdb_polars_and_pyarrow(store: Store) -> None:
    """An artifact of a frame is a Parquet file, and its path a Hive partition, for any engine."""
    _, path, data = put(store, VALUES["table"])
    assert duckdb.sql(f"select carrier, delay from read_parquet('{path}') order by 1").fetchall() == [
        ("AA", None),
        ("UA", 1.5),
    ]
    assert pl.read_parquet(path)["carrier"].to_list() == ["UA", "AA"]
    assert pq.read_table(io.BytesIO(data)).column_names == ["carrier", "delay"]
    found = duckdb.sql(
        f"select dag_id, task_id, count(*) from read_parquet('{store.root}/**/return_value') group by all"
    )
    assert found.fetchall() == [("dag", "task", 2)]


def test_a_table_without_pyarrow_names_the_extra(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a table where pyarrow is not installed names the extra."""
    handoff, _, _ = put(store, VALUES["table"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DependencyError, match=r"dag-handoff\[arrow\]") as caught:
        store.get(handoff)
    assert caught.value.extra == "arrow"
