"""The table codec: Arrow's own tables and streams, who reads what, and what is damage."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handoff import (
    Address,
    ConfigError,
    DamagedError,
    DependencyError,
    EncodeError,
    EnvelopeError,
    Inline,
    LimitError,
    Store,
    Stored,
)
from handoff.codecs import _parquet, _rows, header_of, table
from handoff.codecs._reading import Reading
from handoff.frames import columns, tables
from handoff.spool import Source
from handoff.testing import same

ADDRESS = Address("dag", "run", "task")


@pytest.mark.parametrize("kind", columns("pyarrow"))
@given(data=st.data())
@settings(max_examples=15)
def test_the_page_says_what_becomes_of_a_column(
    kind: str, data: Any, becomes: Callable[[Any], str], said: Callable[[str], dict[str, str]]
) -> None:
    """An array, and a table of it, is kept as docs/tables.md says."""
    array = data.draw(columns("pyarrow")[kind])
    found = {becomes(array), becomes(pa.table({"a": array})), becomes(pa.chunked_array([array, array]))}
    assert found in ({said("pyarrow")[kind]}, {"kept", "IPC"})


def test_the_page_lists_each_kind(said: Callable[[str], dict[str, str]]) -> None:
    """docs/tables.md speaks of the kinds that this version has, and of no other."""
    assert set(said("pyarrow")) == set(columns("pyarrow"))


@given(value=tables("pyarrow"))
def test_any_table_comes_back_equal(value: pa.Table, becomes: Callable[[Any], str]) -> None:
    """A table of columns of any kinds comes back as it was, inline and stored."""
    assert becomes(value) in {"kept", "IPC"}


ONE = pa.array([1], pa.int64())
TABLES: dict[str, Any] = {
    "plain": pa.table({"a": [1, None], "b": ["x", None], "c": [0.5, float("nan")]}),
    "nested": pa.table({"a": [[1, 2], None], "b": [{"x": 1}, {"x": None}], "c": [[["u"], None], []]}),
    "names twice": pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]),
    "metadata": pa.table({"a": [1]}).replace_schema_metadata({"who": "me"}),
    "required": pa.table({"a": [1]}, schema=pa.schema([pa.field("a", pa.int64(), nullable=False)])),
    "a field with metadata": pa.table([ONE], schema=pa.schema([pa.field("a", pa.int64(), metadata={"k": "v"})])),
    "dictionary": pa.table({"a": pa.array(["x", "y", "x"]).dictionary_encode()}),
    "dictionaries of two chunks": pa.table(
        {"a": pa.chunked_array([pa.array(["x"]).dictionary_encode(), pa.array(["y"]).dictionary_encode()])}
    ),
    "decimal": pa.table({"a": [Decimal("1.10"), None]}),
    "no rows": pa.table({"a": pa.array([], pa.int32())}),
    "chunks": pa.table({"a": pa.chunked_array([[1], [2, 3]])}),
    "slice": pa.table({"a": [[n, n] for n in range(100)], "b": [{"x": str(n)} for n in range(100)]}).slice(10, 5),
    "no columns": pa.table({}),
    "a batch": pa.record_batch({"a": [1, 2]}),
    "a batch without rows": pa.record_batch({"a": pa.array([], pa.int32())}),
    "intervals of months": pa.table({"a": pa.array([(1, 2, 3)], pa.month_day_nano_interval())}),
    "runs": pa.table({"a": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array([1, None]))}),
    "views": pa.table({"a": pa.array(["x", "y" * 20], pa.string_view()), "b": pa.array([[1], None], pa.list_view(pa.int8()))}),
    "structs of nothing": pa.table({"a": pa.array([{}, None], pa.struct([]))}),
    "bytes of no length": pa.table({"a": pa.array([b"", None], pa.binary(0))}),
    "lists of no length": pa.table({"a": pa.array([[], None], pa.list_(pa.int8(), 0))}),
    "a negative scale": pa.table({"a": pa.array([Decimal("1E5"), None], pa.decimal128(3, -5))}),
    "dictionaries with a null": pa.table(
        {"a": pa.chunked_array([pa.DictionaryArray.from_arrays([0, 1, None], pa.array(v)) for v in (["x", None], ["y", "z"])])}
    ),
    "extensions": pa.table({"a": pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1], pa.int8()))}),
}  # fmt: skip


@pytest.mark.parametrize("value", TABLES.values(), ids=TABLES)
def test_arrow_tables_come_back_equal(value: Any, store: Store) -> None:
    """A table of any shape comes back with its schema, metadata and cells, inline and stored."""
    for limit in (48 * 1024, 0):
        assert same(value, store.get(store.put(value, ADDRESS, inline_limit=limit)))


def test_equal_tables_have_one_digest(store: Store) -> None:
    """A table that came back, in other buffers, is put with the same digest."""
    for value in TABLES.values():
        first = store.put(value, ADDRESS, inline_limit=0)
        assert first.sha256 == store.put(store.get(first), ADDRESS, inline_limit=0).sha256


DECIMAL = pa.Array.from_buffers(pa.decimal128(3, 0), 1, [None, pa.py_buffer((123456).to_bytes(16, "little"))])
ARROW_TEXT = pd.ArrowDtype(pa.string())
REFUSED: dict[str, tuple[Any, str]] = {
    "our metadata": (pa.table({"a": [1]}).replace_schema_metadata({"handoff": "x"}), ""),
    "a key like our checksum's": (pa.table({"a": [1]}).replace_schema_metadata({"x-handoff.crc32": "0" * 16}), ""),
    "a value like our checksum": (
        pa.table({"a": [1]}).replace_schema_metadata({"z": "handoff.crc32\x18\x10" + "0" * 16}),
        "",
    ),
    "Arrow's metadata": (pa.table({"a": [1]}).replace_schema_metadata({"ARROW:schema": "x"}), ""),
    "rows without columns": (pa.table({"a": [1]}).select([]), "columns"),
    "decimals beyond their precision": (pa.table({"ok": [1], "bad": DECIMAL}), "bad"),
    "such decimals in a list": (pa.table({"bad": pa.ListArray.from_arrays([0, 1], DECIMAL)}), "bad"),
    "no whole day": (pa.table({"bad": pa.array([1], pa.int64()).view(pa.date64())}), "bad"),
    "no UTF-8": (pa.table({"bad": pa.array([b"\xff"]).view(pa.string())}), "bad"),
    "no UTF-8, without a name": (pa.array([b"\xff"]).view(pa.string()), "''"),
    "no UTF-8, in pandas": (
        pd.DataFrame({"bad": pd.Series(pa.array([b"\xff"]).view(pa.string()), dtype=ARROW_TEXT)}),
        "bad",
    ),
    "a null where none may be": (
        pa.table([pa.array([1, None])], pa.schema([pa.field("bad", pa.int64(), False)])),
        "bad",
    ),
    "a stream of two schemas": (
        pa.RecordBatchReader.from_batches(pa.schema({"a": pa.int64()}), [pa.record_batch({"a": ["x"]})]),
        "",
    ),
    "a stream without columns": (pa.RecordBatchReader.from_batches(pa.schema([]), []), "columns"),
}


@pytest.mark.parametrize(("value", "path"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_kept_is_refused(value: Any, path: str, store: Store) -> None:
    """Metadata under our keys, and rows without columns, raise EncodeError."""
    with pytest.raises(EncodeError) as caught:
        store.put(value, ADDRESS)
    assert path == caught.value.path


# --- streams ----------------------------------------------------------------------------------------------------

LONG = pa.table({"a": range(200_000), "b": [str(n) * 30 for n in range(200_000)]})


def stream(rows: int = 1000, value: pa.Table = LONG) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(value.schema, value.to_batches(max_chunksize=rows))


def test_a_stream_is_stored_and_read_as_a_stream(store: Store) -> None:
    """A reader of batches is consumed once, always stored, and comes back as a reader; batches change no byte."""
    handoff = store.put(stream(), ADDRESS)
    assert isinstance(handoff, Stored)
    assert handoff.preview == "a stream × 2 columns: a, b"
    assert handoff.sha256 == store.put(stream(777), ADDRESS).sha256
    assert pq.ParquetFile(handoff.uri).num_row_groups > 1
    back = handoff.load()
    assert type(back) is pa.RecordBatchReader
    Path(handoff.uri).unlink()
    assert back.read_all().equals(LONG)
    with pytest.raises(LimitError):
        store.put(stream(), ADDRESS, inline_limit=None)


def test_a_stream_of_what_parquet_lacks_is_read_as_a_stream(store: Store) -> None:
    """A stream of dictionaries, new ones in each batch, is kept as an Arrow stream."""
    batches = [pa.record_batch({"a": pa.array([letter]).dictionary_encode()}) for letter in "xyz"]
    handoff = store.put(pa.RecordBatchReader.from_batches(batches[0].schema, batches), ADDRESS)
    assert ["x", "y", "z"] == [row["a"] for row in handoff.load(list[dict[str, str]])]
    assert ["x", "y", "z"] == handoff.load().read_all()["a"].to_pylist()


def test_a_stream_that_fails_leaves_nothing(store: Store) -> None:
    """What a stream raises in the middle is what put raises, and nothing stays at the address."""

    def batches() -> Iterator[pa.RecordBatch]:
        yield from LONG.to_batches(max_chunksize=100_000)
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        store.put(pa.RecordBatchReader.from_batches(LONG.schema, batches()), ADDRESS)
    assert not store.exists(ADDRESS)


def test_a_relation_of_duckdb_is_taken(store: Store) -> None:
    """Anything that Arrow can stream is kept, and comes back as an Arrow table."""
    handoff = store.put(duckdb.sql("select 1::bigint a, 'x' b union all select 2, null order by a"), ADDRESS)
    assert handoff.type == "pyarrow.Table"
    assert {"a": [1, 2], "b": ["x", None]} == handoff.load().to_pydict()


def test_an_artifact_too_large_is_refused_in_the_middle(tmp_path: Path) -> None:
    """A stream of more than max_size raises LimitError, and nothing stays."""
    small = Store(tmp_path, max_size=100_000)
    with pytest.raises(LimitError, match="max_size"):
        small.put(stream(), ADDRESS)
    assert not small.exists(ADDRESS)


# --- who reads --------------------------------------------------------------------------------------------------


def test_the_reader_picks_the_library(store: Store) -> None:
    """A table is taken in any form; a type of no table changes nothing."""
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    handoff = store.put(frame, ADDRESS, inline_limit=0)
    for kind in (Any, pd.DataFrame, dict[str, int], pd.DataFrame | None, int, "no type", Iterable[int]):
        assert same(frame, handoff.load(kind))
    plain = pa.table({"a": [1, 2], "b": ["x", None]})
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    arrow = store.put(plain, ADDRESS, inline_limit=0)
    assert type(arrow.load(pd.DataFrame)) is pd.DataFrame
    assert same(plain, arrow.load())
    assert same(plain.to_batches()[0], arrow.load(pa.RecordBatch))
    for kind in (Iterator[pa.RecordBatch], Iterable[pa.RecordBatch], pa.RecordBatchReader):
        assert plain.to_batches() == list(arrow.load(kind))
    assert rows == arrow.load(list[dict[str, Any]]) == arrow.load(list[Any])
    assert rows == arrow.load(pl.DataFrame).to_dicts()
    column = store.put(plain.select(["a"]), ADDRESS)
    assert same(plain["a"], column.load(pa.ChunkedArray))
    assert same(pa.array([1, 2]), column.load(pa.Array))
    assert [1, 2] == column.load(pd.Series).tolist() == column.load(pl.Series).to_list()
    with pytest.raises(ConfigError, match="one column"):
        arrow.load(pa.Array)


def test_columns_are_chosen(store: Store) -> None:
    """Only the columns asked for are given, in that order, a name that stands twice by both."""
    value = pa.Table.from_arrays([pa.array([n]) for n in range(4)], names=["a", "b", "a.b", "c"])
    handoff = store.put(value, ADDRESS, inline_limit=0)
    assert same(value.select(["c", "a"]), handoff.load(columns=["c", "a"]))
    assert handoff.load(columns=[]).num_columns == 0
    with pytest.raises(ConfigError, match=r"no column 'z'\. It has 'a', 'b', 'a.b', 'c'"):
        handoff.load(columns=["z"])
    twice = store.put(TABLES["names twice"], ADDRESS, inline_limit=0)
    assert ["a", "a"] == twice.load(columns=["a"]).column_names
    odd = store.put(TABLES["runs"].append_column("b", pa.array([1, 2, 3])), ADDRESS, inline_limit=0)
    assert [1, 2, 3] == odd.load(columns=["b"])["b"].to_pylist()


def test_rows_are_of_python(store: Store) -> None:
    """Nanoseconds become microseconds in rows, and raise where that would alter them."""
    fine = pa.table({"t": pa.array([1000], pa.timestamp("ns", "UTC")), "d": pa.array([2000], pa.duration("ns"))})
    (row,) = store.put(fine, ADDRESS).load(list[dict[str, Any]])
    assert ("datetime", 1) == (type(row["t"]).__name__, row["t"].microsecond)
    assert ("timedelta", 2) == (type(row["d"]).__name__, row["d"].microseconds)
    with pytest.raises(ConfigError, match="Python cannot hold"):
        store.put(pa.table({"t": pa.array([1], pa.timestamp("ns"))}), ADDRESS).load(list[dict[str, Any]])


def test_rows_within_rows_are_of_python(store: Store) -> None:
    """Nanoseconds at any depth become those types of Python, or raise; and so does a name that stands twice."""
    fields = {"t": pa.timestamp("ns"), "s": pa.struct({"x": pa.duration("ns")}), "c": pa.time64("ns")}
    fields |= {"l": pa.large_list(pa.timestamp("ns")), "m": pa.map_(pa.string(), pa.timestamp("ns"))}
    fields |= {"f": pa.list_(pa.timestamp("ns"), 1), "d": pa.list_(pa.time64("ns")), "n": pa.int8()}
    for step in (1000, 1):
        cells = [pa.array([step]).cast(fields["t"]), pa.array([step]).cast(pa.duration("ns"))]
        times = pa.array([step]).cast(pa.time64("ns"))
        text = pa.array(["k"])
        arrays = [
            cells[0],
            pa.StructArray.from_arrays([cells[1]], ["x"]),
            times,
            pa.LargeListArray.from_arrays([0, 1], cells[0]),
            pa.MapArray.from_arrays([0, 1], text, cells[0]),
            pa.FixedSizeListArray.from_arrays(cells[0], 1),
            pa.ListArray.from_arrays([0, 1], times),
            pa.array([1], pa.int8()),
        ]
        for (name, kind), cell in zip(fields.items(), arrays, strict=True):
            handoff = store.put(pa.table({name: cell.cast(kind)}), ADDRESS)
            if step == 1000 or name == "n":
                assert "pandas" not in repr(handoff.load(list[dict[str, Any]]))
            else:
                with pytest.raises(ConfigError, match="Python cannot hold"):
                    handoff.load(list[dict[str, Any]])
    with pytest.raises(ConfigError, match="stands twice"):
        store.put(TABLES["names twice"], ADDRESS).load(list[dict[str, Any]])


def test_integers_that_pandas_would_round_are_refused(store: Store) -> None:
    """A column of integers with a gap, one of them beyond 2**53, is not made one of floats."""
    for odd in (2**53 + 1, -(2**53) - 1):
        handoff = store.put(pa.table({"a": [odd, None]}), ADDRESS)
        with pytest.raises(ConfigError, match="lose digits"):
            handoff.load(pd.DataFrame)
        assert [odd, None] == handoff.load(pl.DataFrame)["a"].to_list()
    assert store.put(pa.table({"a": [2**53, None]}), ADDRESS).load(pd.DataFrame)["a"][0] == 2**53


def test_columns_are_a_list_of_names_of_one_label(store: Store) -> None:
    """A text in place of names, and a name of two labels, raise ConfigError; an annotated type is taken as it is."""
    frame = pd.DataFrame([[1, 2, 3]], columns=pd.Index([1, "1", "a"], dtype=object))
    for limit in (10**4, 0):
        handoff = store.put(frame, ADDRESS, inline_limit=limit)
        with pytest.raises(ConfigError, match="Give a list of names"):
            handoff.load(columns="a")
        with pytest.raises(ConfigError, match="several columns '1'"):
            handoff.load(columns=["1"])
        assert ["a"] == handoff.load(Annotated[pl.DataFrame, 1], columns=["a"]).columns


def test_what_pandas_cannot_hold_is_taken_otherwise(store: Store) -> None:
    """A table that pandas refuses, for its metadata or its zones, says to take it as an Arrow table, which works."""
    odd = [
        pa.table({"a": [1]}).replace_schema_metadata({"pandas": "{}"}),
        pa.table({"a": pa.array([1], pa.timestamp("us", "Foo/Bar"))}),
        pa.table({"a": pa.array([2**31 - 1], "int32").view("date32")}),
    ]
    for value in odd:
        handoff = store.put(value, ADDRESS)
        with pytest.raises(ConfigError, match=r"Take it as a pyarrow\.Table"):
            store.get(handoff, pd.DataFrame)
        assert value.equals(store.get(handoff), check_metadata=True)


def test_a_library_that_is_not_there_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading into a library that is not installed says which extra brings it."""
    handoff = store.put(pl.DataFrame({"a": [1]}), ADDRESS)
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(DependencyError, match=r"dag-handoff\[polars\]") as caught:
        handoff.load()
    assert caught.value.extra == "polars"
    assert [1] == handoff.load(pa.Table)["a"].to_pylist()


# --- sizes ------------------------------------------------------------------------------------------------------


def test_a_small_table_in_a_message_is_small_in_memory(store: Store) -> None:
    """A message whose table would fill the memory is refused: nothing vouches for what a message holds."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": pa.array([0] * 2_000_000, "int64")}), sink, compression="zstd")
    data = sink.getvalue()
    forged = Inline(codec="table", type="pyarrow.Table", sha256=hashlib.sha256(data).hexdigest(), data=data)
    assert forged.size < 50_000
    with pytest.raises(LimitError, match="in memory"):
        store.get(forged)
    rows = pa.table({"a": pa.array([True] * 1000)})
    with pytest.raises(LimitError, match="rows take"):
        table.decode(Source(written(rows)), Reading("pyarrow.Table", 7999, list[dict[str, Any]]))


def written(value: Any) -> bytes:
    data = table.encode(value).bare(10**6)
    assert data is not None
    return data


def test_groups_end_where_cells_weigh_enough() -> None:
    """Groups follow from the cells: of any batches, and any buffers, they end at the same rows."""
    kinds = pa.table({
        "a": [[str(n)] * (n % 5) for n in range(3000)], "b": [{"x": [n], "y": "z" * n} for n in range(3000)],
        "c": pa.array([[n, n] for n in range(3000)], pa.list_(pa.int64(), 2)), "d": [b"x" * 20_000] * 3000,
        "e": [None if n % 3 else {"k": [{"m": "u" * 9}]} for n in range(3000)],
    })  # fmt: skip
    found = []
    for step in (3000, 700, 1):
        ruler = _rows.Ruler(kinds.schema, None)
        parts = iter(kinds.to_batches(max_chunksize=step))
        found.append([group.num_rows for group in _rows.groups(kinds.schema, parts, ruler)])
        found[-1].append(ruler.size)
    assert found[0] == found[1] == found[2]
    assert len(found[0]) > 5


def test_parquet_is_asked_what_it_keeps() -> None:
    """What Parquet cannot write, it does not give back."""
    assert not _parquet.gives_back(pa.table({"a": pa.array([(1, 2, 3)], pa.month_day_nano_interval())}))
    assert not _parquet.gives_back(pa.table({"a": pa.array([1], pa.timestamp("s"))}))


def test_a_preview_counts_rows_and_names_columns(store: Store) -> None:
    """The preview of a table is its shape and its first columns."""
    frame = pd.DataFrame({f"c{n}": range(1000) for n in range(10)})
    preview = store.put(frame, ADDRESS).preview
    assert preview == "1,000 rows × 10 columns: c0, c1, c2, c3, c4, c5, c6, c7, …"
    assert store.put(pd.DataFrame({"a": [1]}), ADDRESS).preview == "1 row × 1 column: a"


def test_small_tables_travel_inline(store: Store) -> None:
    """A small table travels in the message; a large one is not even tried."""
    assert isinstance(store.put(TABLES["plain"], ADDRESS), Inline)
    assert isinstance(store.put(TABLES["runs"], ADDRESS), Inline)
    assert isinstance(store.put(pd.DataFrame({"a": range(40_000)}), ADDRESS), Stored)
    assert isinstance(store.put(pd.DataFrame({"a": [0] * 2_000_000}), ADDRESS), Stored)
    assert isinstance(store.put(pa.table({"a": ["x" * 10**6] * 10}), ADDRESS), Stored)


# --- damage -----------------------------------------------------------------------------------------------------


def test_a_parquet_file_of_another_is_damage(store: Store) -> None:
    """A Parquet file without our header, cut, or altered at any place, is refused by itself."""
    plain = written(pa.table({"a": [1]}))
    with pytest.raises(DamagedError, match="no checksum"):
        header_of(Source(plain))
    for data in (b"PAR1", b"PAR1PAR1", b"PAR1" + b"\xff" * 20 + b"PAR1"):
        with pytest.raises(DamagedError):
            header_of(Source(data))
    good = Path(store.put(pa.table({"a": [1]}), ADDRESS, inline_limit=0).uri).read_bytes()
    assert header_of(Source(good)).address == ADDRESS
    for place in range(0, len(good), 7):
        bad = bytearray(good)
        bad[place] ^= 1
        with pytest.raises(DamagedError):
            header_of(Source(bytes(bad)))
    reading = Reading("pyarrow.Table", 10**6)
    torn = good[:4] + bytes(20) + good[24:]  # the pages, and not the footer
    for bad in (good[:-50], torn, b"PAR1"):
        with pytest.raises(DamagedError, match="cannot be read"):
            table.decode(Source(bytes(bad)), reading)
    with pytest.raises(DamagedError, match="cannot be read"):
        table.decode(Source(torn), reading._replace(type=pl.DataFrame))
    with pytest.raises(DamagedError, match="a list was recorded"):
        table.decode(Source(good), reading._replace(name="list"))
    by_address = reading._replace(name="numpy.ndarray", header=header_of(Source(good)))
    with pytest.raises(DamagedError, match=r"a numpy\.ndarray was recorded"):
        table.decode(Source(good), by_address)
    for vouched in (by_address._replace(header=None), by_address._replace(is_known=True)):
        with pytest.raises(EnvelopeError, match=r"of a newer dag-handoff .*\. Upgrade"):
            table.decode(Source(good), vouched)


def test_a_text_told_once_and_meant_often_is_measured() -> None:
    """A Parquet file whose few bytes would be many texts raises LimitError before they take more than is allowed."""
    rows = 20_000
    long = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * 2**16]))
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": long}), sink, store_schema=False)
    limit, before = 2**25, pa.total_allocated_bytes()
    for kind in (pa.Table, pa.RecordBatchReader, pd.DataFrame, list[dict[str, Any]]):
        with pytest.raises(LimitError):
            list(table.decode(Source(sink.getvalue()), Reading("pyarrow.Table", limit, kind)))
        assert pa.total_allocated_bytes() - before < 2 * limit
    honest = pa.table({"a": [str(n % 7) * 50 for n in range(rows)]})
    assert same(honest, table.decode(Source(written(honest)), Reading("pyarrow.Table", rows * 60)))


def test_a_stream_that_is_compressed_inside_is_damage() -> None:
    """An Arrow stream whose bodies would grow is refused before they do, dictionaries too."""
    import zstandard

    dictionary = pa.table({"a": pa.array(["x"] * 1000).dictionary_encode()})
    for value in (pa.table({"a": [0] * 10_000}), dictionary):
        for codec in (None, "zstd"):
            sink = io.BytesIO()
            with pa.ipc.new_stream(sink, value.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
                writer.write_table(value)
            source = Source(zstandard.ZstdCompressor(write_checksum=True).compress(sink.getvalue()))
            if codec is None:
                assert same(value, table.decode(source, Reading("pyarrow.Table", 10**6)))
            else:
                with pytest.raises(DamagedError, match="compressed inside"):
                    table.decode(source, Reading("pyarrow.Table", 10**6))


def test_a_stream_of_another_is_damage() -> None:
    """An Arrow stream that is altered, and frames of anything else, are refused before they are used."""
    import zstandard

    good = zstandard.ZstdDecompressor().decompress(written(TABLES["runs"]))
    squeeze = zstandard.ZstdCompressor(write_checksum=True).compress
    reading = Reading("pyarrow.Table", 10**6)
    assert same(TABLES["runs"], table.decode(Source(squeeze(good)), reading))
    failed = 0
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 0x55
        try:
            table.decode(Source(squeeze(bytes(bad))), reading)
        except (DamagedError, LimitError):
            failed += 1
    assert failed > len(good) // 4
    for data in (squeeze(b"nonsense"), squeeze(good[:-30]), b"none"):
        with pytest.raises(DamagedError):
            table.decode(Source(data), reading)
