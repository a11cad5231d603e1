"""Parts of a table: columns and rows are read where it stands, and only of the version that a handoff names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from handoff import (
    Address,
    ConfigError,
    DamagedError,
    EnvelopeError,
    File,
    Handoff,
    MismatchError,
    MissingError,
    StaleError,
    Store,
    parts,
)
from handoff.spool import Ranges, Source
from handoff.testing import same

ADDRESS = Address("dag", "run", "task")
FEW = 10_000
FRAME = pd.DataFrame({name: np.random.default_rng(n).standard_normal(20_000) for n, name in enumerate("abcd")})


@pytest.fixture(autouse=True)
def _few_bytes_are_small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let everything above some kilobytes be read in place."""
    monkeypatch.setattr(parts, "MOST_IN_MEMORY", FEW)
    yield
    fsspec.filesystem("memory").store.clear()


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(tmp_path / "root" if request.param == "local" else "memory://base/prefix")


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no artifact be read as a whole."""

    def refuse(*_: Any) -> Any:
        raise AssertionError("the whole was read")

    monkeypatch.setattr(Store, "_get_stored", refuse)
    monkeypatch.setattr(Store, "_get_at", refuse)


@pytest.mark.usefixtures("unread")
def test_columns_are_read_without_the_rest(store: Store) -> None:
    """Some columns of a large table come in any library, by handoff, envelope and address, and no others are read."""
    handoff = store.put(FRAME, ADDRESS)
    assert same(FRAME[["b", "d"]], handoff.load(columns=["b", "d"]))
    assert same(FRAME[["b"]], store.get(handoff.to_json(), columns=["b"]))
    assert same(FRAME[["c"]], store.get(ADDRESS, pd.DataFrame, columns=["c"]))
    assert handoff.load(pl.DataFrame, columns=["a"]).equals(pl.DataFrame({"a": FRAME["a"].to_numpy()}))
    assert handoff.load(pa.Table, columns=["a"]).column("a").to_pylist() == FRAME["a"].to_list()


def test_columns_of_what_is_small_or_streamed_come_whole(store: Store) -> None:
    """Columns of a small table, of an inline one, of one that Parquet lacks, and a stream of them, come all the same."""
    small = FRAME.head(3)
    for limit in (0, 48 * 1024):
        assert same(small[["b"]], store.put(small, ADDRESS, inline_limit=limit).load(columns=["b"]))
        assert same(small[["b"]], store.get(store.put(small, ADDRESS, inline_limit=limit), columns=["b"]))
    union = pa.UnionArray.from_sparse(
        pa.array([0] * 9000, pa.int8()), [pa.array(np.random.default_rng(1).integers(0, 2**60, 9000))]
    )
    odd = store.put(pa.table({"u": union, "v": range(9000)}), ADDRESS)
    assert odd.load(columns=["v"]).to_pydict() == {"v": [*range(9000)]}
    stream = store.put(FRAME, ADDRESS).load(pa.RecordBatchReader, columns=["b"])
    assert stream.read_all().column_names == ["b"]


def test_a_column_that_is_not_there_is_named(store: Store) -> None:
    """An unknown column is an error that says which there are; what is no table has no columns."""
    handoff = store.put(FRAME, ADDRESS)
    for what in (handoff, ADDRESS, store.put(FRAME.head(3), ADDRESS)):
        with pytest.raises(ConfigError, match="no column 'x'"):
            store.get(what, columns=["x"])
        store.put(FRAME, ADDRESS)
    for value in ([1, 2], (1, 2), np.arange(3), np.arange(3000.0)):
        with pytest.raises(ConfigError, match="only a table is read by its columns"):
            store.get(store.put(value, ADDRESS), columns=["a"])


def test_rows_are_read_without_the_rest(store: Store) -> None:
    """A scan is a dataset that engines filter in place, or a LazyFrame of Polars, of an inline table too."""
    for limit, rows in ((0, FRAME), (48 * 1024, FRAME.head(20))):
        handoff = store.put(rows, ADDRESS, inline_limit=limit)
        expected = rows[rows["a"] > 0]["b"].to_list()
        for scanned in (handoff.scan(), store.scan(handoff), store.scan(handoff.to_json())):
            assert isinstance(scanned, ds.Dataset)
            assert scanned.schema.names == ["a", "b", "c", "d"]
            assert expected == scanned.to_table(columns=["b"], filter=ds.field("a") > 0)["b"].to_pylist()
        lazy = handoff.scan(pl.LazyFrame)
        assert isinstance(lazy, pl.LazyFrame)
        assert expected == lazy.filter(pl.col("a") > 0).select("b").collect()["b"].to_list()
    store.put(FRAME, ADDRESS)
    assert duckdb.from_arrow(store.scan(ADDRESS)).count("*").fetchall() == [(20_000,)]


@dataclasses.dataclass
class Pair:
    a: float
    b: float | None = None


def test_rows_come_as_the_records_that_the_reader_names(store: Store) -> None:
    """A table is taken as a list of dicts or of records, and one whose columns do not fit is an error by path."""
    frame = pd.DataFrame({"a": [1.5, 2.5], "b": [0.5, None]})
    for handoff in (store.put(frame, ADDRESS), store.put(frame, ADDRESS, inline_limit=0)):
        assert [Pair(1.5, 0.5), Pair(2.5)] == handoff.load(list[Pair])
        assert [{"a": 1.5, "b": 0.5}, {"a": 2.5, "b": None}] == handoff.load(list[dict[str, Any]])
    with pytest.raises(MismatchError) as caught:
        store.get(store.put(frame.assign(c=1), ADDRESS), list[Pair])
    assert caught.value.path == "[0].c"


def test_what_is_no_parquet_file_is_not_scanned(store: Store, tmp_path: Path) -> None:
    """A tree, an array, a file and a table that Parquet lacks say that they are to be loaded; so does another type."""
    (tmp_path / "file").write_bytes(bytes(20_000))
    union = pa.table({"u": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])})
    for value in ([1], (1, 2), np.arange(3), union):
        for limit in (0, 48 * 1024):
            handoff = store.put(value, ADDRESS, inline_limit=limit)
            if value is union and limit:
                assert handoff.scan().count_rows() == 1
                continue
            with pytest.raises(ConfigError, match="Load it"):
                handoff.scan()
    with pytest.raises(ConfigError, match="Load it"):
        store.scan(store.put(File(tmp_path / "file"), ADDRESS))
    for rows in (FRAME, FRAME.head(2)):
        with pytest.raises(ConfigError, match="not scanned as a pandas"):
            store.scan(store.put(rows, ADDRESS), pd.DataFrame)


def test_another_version_is_never_read_in_part(store: Store) -> None:
    """Where a table was overwritten by one of the same size, its old handoff is stale; by address the new one is read."""
    other = FRAME[["b", "a", "c", "d"]].set_axis(["a", "b", "c", "d"], axis=1)
    handoff = store.put(FRAME, ADDRESS)
    newer = store.put(other, ADDRESS, attempt=2)
    for read in (lambda: handoff.load(columns=["a"]), handoff.scan):
        with pytest.raises(StaleError):
            read()
    assert same(other[["a"]], newer.load(columns=["a"]))
    assert same(other[["a"]], store.get(ADDRESS, columns=["a"]))


def test_what_is_overwritten_while_it_is_read_is_not_given(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is another when its columns have been read is read anew, as a whole."""
    handoff = store.put(FRAME, ADDRESS)
    stamps = [parts._stamp_of, lambda *_: None]
    stamp_of = parts._stamp_of
    monkeypatch.setattr(parts, "_stamp_of", lambda *args: stamp_of(*args) if stamps.pop(0) is stamp_of else None)
    wholes: list[Any] = []
    get_stored = Store._get_stored
    monkeypatch.setattr(Store, "_get_stored", lambda self, *args: wholes.append(args) or get_stored(self, *args))
    assert same(FRAME[["a"]], handoff.load(columns=["a"]))
    assert len(wholes) == 1


def test_a_damaged_part_is_damage(tmp_path: Path) -> None:
    """A changed byte in a column that is read is found by its page, and a changed footer by what it says."""
    store = Store(tmp_path)
    handoff = store.put(FRAME, ADDRESS)
    path = tmp_path / ADDRESS.path
    good = path.read_bytes()
    for place in (200, len(good) - 300, len(good) - 6):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        for what in (handoff, ADDRESS):
            with pytest.raises(DamagedError):
                store.get(what, columns=["a"])
    for data in (good[:-20], b"PAR1" + bytes(20_000)):
        path.write_bytes(data)
        with pytest.raises(DamagedError):
            store.scan(ADDRESS)
    path.unlink()
    for act in (lambda: store.scan(handoff), lambda: store.get(handoff, columns=["a"])):
        with pytest.raises(MissingError):
            act()


def test_a_check_is_sixteen_digits(store: Store) -> None:
    """An envelope's checksums of a file and its footer are sixteen hexadecimal digits, and only a Parquet file has one."""
    message = store.put(FRAME, ADDRESS).to_json()
    assert len(message["check"]) == 16
    assert "check" not in store.put([1], ADDRESS, inline_limit=0).to_json()
    with pytest.raises(EnvelopeError):
        Handoff.from_json({**message, "check": "123456789012345\n"})


def test_an_unbound_handoff_says_how_it_is_scanned(store: Store) -> None:
    """A handoff that was read from JSON has no store to scan from."""
    handoff = Handoff.from_json(store.put(FRAME, ADDRESS).to_json())
    with pytest.raises(ConfigError, match=r"Use store\.scan\(handoff\)"):
        handoff.scan()


def test_ranges_read_like_any_source() -> None:
    """What is fetched by ranges reads like bytes in memory: all, parts, pieces, and as a file."""
    data = bytes(range(256)) * 20
    source = Ranges(lambda start, end: data[start:end], len(data))
    for read in (
        lambda source: source.data(),
        lambda source: source.at(5, 10),
        lambda source: source.at(len(data) + 3, 10),
        lambda source: b"".join(map(bytes, source.pieces(3))),
        lambda source: source.reader(7).read(),
        lambda source: source.digest(),
    ):
        assert read(Source(data)) == read(source)
    file = source.reader()
    assert (file.readable(), file.seekable()) == (True, True)
    assert (file.seek(-2, 2), file.read(), file.seek(0), file.seek(1, 1), file.read(1)) == (
        5118,
        data[-2:],
        0,
        1,
        b"\1",
    )


def test_what_is_not_scanned_is_told_at_any_size(store: Store) -> None:
    """Objects that only pandas has, and names that stand twice, raise ConfigError, inline and stored."""
    objects = pd.DataFrame({"a": [1, 2], "o": pd.Series([(1,), {"a": 1}], dtype=object)})
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    for value, why in ((objects, "'o' holds Python objects"), (twice, "stands twice")):
        for limit in (10**5, 0):
            with pytest.raises(ConfigError, match=why):
                store.put(value, ADDRESS, inline_limit=limit).scan()
