"""The table codec: a frame comes back as it is, in the library the reader picks, or the column is named."""

from __future__ import annotations

import datetime as dt
import hashlib
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff import Address, ConfigError, DamagedError, EncodeError, Inline, LimitError, Store, Stored
from handoff.artifact import Header
from handoff.codecs import table
from handoff.testing import same

ADDRESS = Address("dag", "run", "task")

COLUMNS: dict[str, Any] = {
    "int8": st.integers(-128, 127), "int64": st.integers(-(2**63), 2**63 - 1), "uint64": st.integers(0, 2**64 - 1),
    "float32": st.floats(width=32, allow_nan=False), "float64": st.floats(), "bool": st.booleans(),
    "datetime64[ns]": st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)), "datetime64[us]": st.datetimes(),
    "str": st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.none(), "Int64": st.none() | st.integers(-(2**63), 2**63 - 1),
    "category": st.sampled_from(["a", "b", "c"]), "timedelta64[ns]": st.timedeltas(dt.timedelta(-1000), dt.timedelta(1000)),
}  # fmt: skip


@st.composite
def frames(draw: Any) -> pd.DataFrame:
    rows = draw(st.integers(0, 5))
    names = draw(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), unique=True, max_size=5))
    columns = {}
    for name in names:
        dtype = draw(st.sampled_from([*COLUMNS]))
        cells = draw(st.lists(COLUMNS[dtype], min_size=rows, max_size=rows))
        columns[name] = pd.Series(cells, dtype=dtype)
    start = draw(st.integers(-5, 5))
    return pd.DataFrame(columns, index=pd.RangeIndex(start, start + 2 * rows, 2, name=draw(st.none() | st.just("n"))))


@given(frame=frames())
def test_any_frame_comes_back_equal_or_is_refused(frame: pd.DataFrame, store: Store) -> None:
    """A frame of common types comes back with the same types, index and cells, inline and stored, or is refused."""
    try:
        handoffs = [store.put(frame, ADDRESS), store.put(frame, ADDRESS, inline_limit=0)]
    except EncodeError as error:
        assert error.path  # noqa: PT017 - refusing is one of two right answers
        return
    for handoff in handoffs:
        assert same(frame, store.get(handoff.to_json()))
    assert same(frame, store.get(ADDRESS))


FRAMES: dict[str, Any] = {
    "plain": pd.DataFrame({"a": [1, 2], "b": [0.5, None], "c": ["x", None]}),
    "no rows": pd.DataFrame({"a": pd.Series([], dtype="int64")}),
    "text index": pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="k")),
    "multi index": pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, "x"), (2, "y")], names=["n", "t"])),
    "time zone": pd.DataFrame({"a": pd.date_range("2013-01-01", periods=2, tz="America/New_York")}),
    "nullable": pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": pd.array([True, None], dtype="boolean")}),
    "ordered categories": pd.DataFrame({"a": pd.Categorical(["lo", "hi"], ["lo", "mid", "hi"], ordered=True)}),
    "dates and decimals": pd.DataFrame({"a": [dt.date(2013, 1, 1), None], "b": [Decimal("1.10"), Decimal("2.20")]}),
    "object booleans": pd.DataFrame({"a": pd.Series([True, None], dtype=object)}),
    "an index named as a column": pd.DataFrame({"a": [1, 2]}, index=pd.Index([3, 4], name="a")),
    "float16": pd.DataFrame({"a": np.array([0.5], dtype="float16")}),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_frames_of_many_kinds_come_back_equal(frame: pd.DataFrame, store: Store) -> None:
    """Indexes, zones, categories and objects that Parquet keeps come back as they were."""
    assert same(frame, store.get(store.put(frame, ADDRESS, inline_limit=0)))


def attributed() -> pd.DataFrame:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["source"] = ("a", "tuple")
    return frame


class Subclass(pd.DataFrame):
    @property
    def _constructor(self) -> Any:
        return Subclass


REFUSED: dict[str, tuple[Any, str]] = {
    "lists in cells": (pd.DataFrame({"ok": [1], "bad": [[1, 2]]}), "bad"),
    "tuples in cells": (pd.DataFrame({"bad": [(1, 2)]}), "bad"),
    "mixed types": (pd.DataFrame({"bad": pd.Series([1, "a"], dtype=object)}), "bad"),
    "ints as objects": (pd.DataFrame({"bad": pd.Series([1, None], dtype=object)}), "bad"),
    "text as objects": (pd.DataFrame({"bad": pd.Series(["a", None], dtype=object)}), "bad"),
    "floats and ints": (pd.DataFrame({"bad": pd.Series([1.0, 2], dtype=object)}), "bad"),
    "True and 1": (pd.DataFrame({"bad": pd.Series([True, 1], dtype=object)}), "bad"),
    "complex": (pd.DataFrame({"bad": [1j]}), "bad"),
    "seconds": (pd.DataFrame({"bad": pd.Series(pd.date_range("2013", periods=2, unit="s"))}), "bad"),
    "a period": (pd.DataFrame({"bad": pd.interval_range(0, 2).astype("object")}), "bad"),
    "an index with a frequency": (pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2013", periods=2)), "index"),
    "a number as name": (pd.DataFrame({1: [1]}), "columns[0]"),
    "a name twice": (pd.DataFrame([[1, 2]], columns=["a", "a"]), "columns[1]"),
    "a reserved name": (pd.DataFrame({"__index_level_0__": [1]}), "columns[0]"),
    "attrs": (attributed(), ""),
    "no duplicates allowed": (pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False), ""),
    "a subclass": (Subclass({"a": [1]}), ""),
    "rows without columns": (pd.DataFrame(index=[1, 2]), "columns"),
    "rows without columns, counted": (pd.DataFrame(index=pd.RangeIndex(2**62)), "columns"),
    "nothing at all": (pd.DataFrame(), "columns"),
    "Decimals of other scales": (pd.DataFrame({"bad": [Decimal("1.1"), Decimal("1.10")]}), "bad"),
    "a Decimal of minus zero": (pd.DataFrame({"bad": [Decimal("-0")]}), "bad"),
    "Decimals as index": (pd.DataFrame({"a": [1, 2]}, index=[Decimal("1.1"), Decimal("1.10")]), "index"),
    "dicts in cells": (pd.DataFrame({"bad": [{"a": 1}, {"a": 1.5}]}), "bad"),
    "times with fold": (pd.DataFrame({"bad": [dt.time(1, fold=1)]}), "bad"),
}


@pytest.mark.parametrize(("frame", "path"), REFUSED.values(), ids=REFUSED)
def test_what_parquet_would_alter_is_refused_by_name(frame: pd.DataFrame, path: str, store: Store) -> None:
    """A column, index or name that would come back otherwise raises EncodeError naming it, small or large."""
    for limit in (48 * 1024, 0):
        with pytest.raises(EncodeError) as caught:
            store.put(frame, ADDRESS, inline_limit=limit)
        assert path == caught.value.path


TABLES: dict[str, pa.Table] = {
    "plain": pa.table({"a": [1, None], "b": ["x", None], "c": [0.5, float("nan")]}),
    "nested": pa.table({"a": [[1, 2], None], "b": [{"x": 1}, {"x": None}]}),
    "names twice": pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]),
    "metadata": pa.table({"a": [1]}).replace_schema_metadata({"who": "me"}),
    "required": pa.table({"a": [1]}, schema=pa.schema([pa.field("a", pa.int64(), nullable=False)])),
    "dictionary": pa.table({"a": pa.array(["x", "y", "x"]).dictionary_encode()}),
    "decimal": pa.table({"a": [Decimal("1.10"), None]}),
    "no rows": pa.table({"a": pa.array([], pa.int32())}),
    "chunks": pa.table({"a": pa.chunked_array([[1], [2, 3]])}),
    "slice": pa.table({"a": list(range(100))}).slice(10, 5),
    "no columns": pa.table({}),
}


@pytest.mark.parametrize("value", TABLES.values(), ids=TABLES)
def test_arrow_tables_come_back_equal(value: pa.Table, store: Store) -> None:
    """A pyarrow table comes back with its schema, metadata and cells, inline and stored."""
    for limit in (48 * 1024, 0):
        assert same(value, store.get(store.put(value, ADDRESS, inline_limit=limit)))


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (pa.table({"bad": pa.array([1, 2], pa.timestamp("s"))}), "bad: timestamp[s]"),
        (pa.table({"bad": pa.array([None, None])}).append_column("u", pa.array([[None]] * 2)), None),
        (pa.table({"a": [1]}).replace_schema_metadata({"handoff": "x"}), ""),
        (pa.table({"a": [1]}).replace_schema_metadata({"ARROW:schema": "x"}), ""),
        (pa.table({"d": [Decimal("1.1")], "x": [float("nan")]}), None),
        (
            pa.table({"bad": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])}),
            "bad: sparse_union<0: int64=0>",
        ),
    ],
)
def test_arrow_types_that_parquet_lacks_are_refused_or_kept(value: pa.Table, path: str | None, store: Store) -> None:
    """A type that Parquet alters is refused by name; an odd one that it keeps comes back."""
    if path is None:
        assert same(value, store.get(store.put(value, ADDRESS, inline_limit=0)))
        return
    with pytest.raises(EncodeError) as caught:
        store.put(value, ADDRESS, inline_limit=0)
    assert path == caught.value.path


def test_the_reader_picks_the_library(store: Store) -> None:
    """A pandas frame is taken as an Arrow table, and an Arrow table as a frame; a type of no table changes nothing."""
    frame = FRAMES["plain"]
    handoff = store.put(frame, ADDRESS, inline_limit=0)
    assert same(frame, handoff.load())
    assert same(frame, handoff.load(pd.DataFrame))
    assert same(frame, handoff.load(dict[str, int]))
    assert handoff.load(pa.Table).to_pylist() == pa.Table.from_pandas(frame).to_pylist()
    arrow = store.put(TABLES["plain"], ADDRESS, inline_limit=0)
    assert type(arrow.load(pd.DataFrame)) is pd.DataFrame
    assert type(arrow.load()) is pa.Table


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


def test_equal_tables_have_one_digest(store: Store) -> None:
    """A table that came back, in other buffers, is put with the same digest."""
    for value in TABLES.values():
        first = store.put(value, ADDRESS, inline_limit=0)
        assert first.sha256 == store.put(store.get(first), ADDRESS, inline_limit=0).sha256


def test_a_small_table_in_a_message_is_small_in_memory(store: Store) -> None:
    """A message whose table would fill the memory is refused: nothing vouches for what a message holds."""
    zeros = pa.table({"a": pa.array([0] * 2_000_000, "int64")})
    data = table._write(zeros, {})
    forged = Inline(codec="table", type="pyarrow.Table", sha256=hashlib.sha256(data).hexdigest(), data=data)
    assert forged.size < 50_000
    with pytest.raises(LimitError, match="in memory"):
        store.get(forged)


def test_a_preview_counts_rows_and_names_columns(store: Store) -> None:
    """The preview of a table is its shape and its first columns."""
    frame = pd.DataFrame({f"c{n}": range(1000) for n in range(10)})
    preview = store.put(frame, ADDRESS).preview
    assert preview == "1,000 rows × 10 columns: c0, c1, c2, c3, c4, c5, c6, c7, …"
    assert store.put(pd.DataFrame({"a": [1]}), ADDRESS).preview == "1 rows × 1 column: a"


def test_small_tables_travel_inline(store: Store) -> None:
    """A small frame travels in the message; a large one is not even tried."""
    assert isinstance(store.put(FRAMES["plain"], ADDRESS), Inline)
    assert isinstance(store.put(pd.DataFrame({"a": range(40_000)}), ADDRESS), Stored)
    assert isinstance(store.put(pd.DataFrame({"a": [0] * 2_000_000}), ADDRESS), Stored)


def test_a_parquet_file_of_another_is_damage(store: Store) -> None:
    """A Parquet file without our header, or with nonsense under our key, is refused."""
    header = Header(address=ADDRESS, codec="table", type="pandas.DataFrame", raw_size=8)
    plain = table._write(pa.table({"a": [1]}), {})
    with pytest.raises(DamagedError, match="no checksum"):
        table.header(plain)
    for metadata in ({b"other": b"x"}, {b"handoff": b"{}"}):
        with pytest.raises(DamagedError):
            table.header(table._write(pa.table({"a": [1]}), metadata))
    good = table._write(pa.table({"a": [1]}), {b"handoff": header.to_json()})
    assert header == table.header(good)
    with pytest.raises(DamagedError, match=r"a numpy\.ndarray was recorded"):
        table.decode(good, header=header, type=Any, name="numpy.ndarray", limit=10**6)
    torn = good[:4] + bytes(20) + good[24:]  # the pages, and not the footer
    for bad in (good[:-50], torn):
        with pytest.raises(DamagedError, match="cannot be read"):
            table.decode(bad, header=header, type=Any, name="pandas.DataFrame", limit=10**6)
    with pytest.raises(DamagedError, match="cannot be read"):
        table.decode(b"PAR1", header=header, type=Any, name="pandas.DataFrame", limit=10**6)
