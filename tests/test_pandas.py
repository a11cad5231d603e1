"""pandas through the table codec: a frame comes back equal by pandas' own assert, cells and labels too, or is refused."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import warnings
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dateutil.tz
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handoff import Address, ConfigError, DamagedError, EncodeError, EnvelopeError, Inline, LimitError, Store
from handoff.codecs import _cells, _rows, tree
from handoff.codecs._index import Refused, kind_of, note_index
from handoff.codecs._index import _checked_zone as kind_of_zone
from handoff.codecs.table import Table
from handoff.frames import columns, tables
from handoff.testing import same

ADDRESS = Address("dag", "run", "task")
KEPT = [kind for kind in columns("pandas") if kind not in {"complex numbers", "objects: of other classes"}]


@pytest.mark.parametrize("kind", columns("pandas"))
@given(data=st.data())
@settings(max_examples=15)
def test_the_page_says_what_becomes_of_a_column(
    kind: str, data: Any, becomes: Callable[[Any], str], said: Callable[[str], dict[str, str]]
) -> None:
    """A series of each kind is kept, or refused, as docs/tables.md says; and so is a frame of it."""
    column = data.draw(columns("pandas")[kind])
    assert said("pandas")[kind] == becomes(column.rename("c"))
    assert said("pandas")[kind] == becomes(column.to_frame("c"))


def test_the_page_lists_each_kind(said: Callable[[str], dict[str, str]]) -> None:
    """docs/tables.md speaks of the kinds that this version has, and of no other."""
    assert set(said("pandas")) == set(columns("pandas"))


@given(frame=tables("pandas", KEPT))
def test_any_frame_comes_back_equal(frame: pd.DataFrame, becomes: Callable[[Any], str]) -> None:
    """A frame of columns of any kinds, with labels and an index of any kind, comes back as it was."""
    assert becomes(frame) in {"kept", "IPC"}


def attributed(frame: pd.DataFrame, **attrs: Any) -> pd.DataFrame:
    frame.attrs = attrs
    return frame


TWO = pd.DataFrame({"a": [1, 2]})
FRAMES: dict[str, Any] = {
    "plain": pd.DataFrame({"a": [1, 2], "b": [0.5, None], "c": ["x", None]}),
    "text as objects": pd.DataFrame({"a": pd.Series(["x", float("nan")], dtype=object)}),
    "text with two kinds of gaps": pd.DataFrame({"a": pd.Series(["x", None, float("nan")], dtype=object)}),
    "another NaN": pd.DataFrame({"a": pd.Series(["x", -float("nan")], dtype=object)}),
    "floats and None": pd.DataFrame({"a": pd.Series([1.0, None, float("nan")], dtype=object)}),
    "lone surrogates": pd.DataFrame({"a": pd.Series(["\ud800"], dtype=object)}),
    "dicts, lists and tuples": pd.DataFrame({"a": [{"x": 1}, [1, 2], (1, 2)]}),
    "Decimals of other scales": pd.DataFrame({"a": [Decimal("1.1"), Decimal("1.10"), Decimal("-0")]}),
    "True and 1": pd.DataFrame({"a": pd.Series([True, 1], dtype=object)}),
    "times with fold": pd.DataFrame({"a": [dt.time(1, fold=1)]}),
    "integers beyond 64 bits": pd.DataFrame({"a": pd.Series([2**70, None], dtype=object)}),
    "moments that are objects": pd.DataFrame({"a": pd.Series([dt.datetime(2013, 1, 1, fold=1)], dtype=object)}),
    "a name twice": pd.DataFrame([[1, 2, 3]], columns=["a", "a", "a_1"]),
    "numbers as names": pd.DataFrame([[1, 2]]),
    "moments as names": pd.DataFrame([[1, 2]], columns=pd.date_range("2013", periods=2)),
    "names of two levels": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["x", None])),
    "a moment names the labels": pd.DataFrame([[1]], columns=pd.Index(["a"], name=pd.Timestamp("2013", tz="UTC"))),
    "gaps name the labels": pd.DataFrame([[1]], columns=pd.Index(["a"], name=pd.NA), index=pd.Index([1], name=pd.NaT)),
    "a reserved name": pd.DataFrame({"__index_level_0__": [1]}, index=["q"]),
    "attrs": attributed(TWO.copy(), source=("a", 1)),
    "no duplicates allowed": TWO.set_flags(allows_duplicate_labels=False),
    "nothing at all": pd.DataFrame(),
    "rows without columns": pd.DataFrame(index=[1, 2]),
    "rows without columns, counted": pd.DataFrame(index=pd.RangeIndex(2**62)),
    "columns without rows": pd.DataFrame(columns=["a", "b"]),
    "an index named as a column": pd.DataFrame({"a": [1, 2]}, index=pd.Index([3, 4], name="a")),
    "tuples in an index": pd.DataFrame({"a": [1, 2]}, index=pd.Index([(1, 2), (3, 4)], tupleize_cols=False)),
    "business days": pd.DataFrame({"a": [1, 2]}, index=pd.bdate_range("2013", periods=2)),
    "gaps in levels": pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_arrays([[1, None], [None, "x"]])),
    "levels of categories": pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_arrays([pd.Categorical(["a", "b"]), pd.date_range("2013", periods=2)])),
    "levels not used": pd.DataFrame({"a": range(3)}, index=pd.MultiIndex.from_product([[1, 2, 3], ["k"]])).iloc[:2],
    "categories with a name": pd.DataFrame({"a": pd.Categorical(["a"], pd.Index(["a", "b"], name="n"))}),
    "categories as names": pd.DataFrame([[1, 2]], columns=pd.CategoricalIndex(["a", "b"])),
    "categories of two types": pd.DataFrame({"a": pd.Categorical([1, "a", None])}),
    "more categories than rows": pd.DataFrame({"a": pd.Categorical(["a"], ["a", "b", "c"])}),
    "sparse in blocks": pd.DataFrame({"a": pd.arrays.SparseArray([0, 1, 1], kind="block")}),
    "a series of a tuple's name": pd.Series([1], name=(1, "a")),
    "a series without a name": pd.Series([1]),
    "a series with attrs": attributed(pd.Series([1], name="v"), unit="m"),
}  # fmt: skip


@pytest.mark.parametrize("value", FRAMES.values(), ids=FRAMES)
def test_frames_of_odd_kinds_come_back(value: Any, store: Store) -> None:
    """Objects, labels, indexes and marks of many kinds come back as they were, inline and stored."""
    for limit in (48 * 1024, 0):
        assert same(value, store.get(store.put(value, ADDRESS, inline_limit=limit)))


class Subclass(pd.DataFrame):
    @property
    def _constructor(self) -> Any:
        return Subclass


def own_index() -> pd.DataFrame:
    class Index(pd.Index):
        pass

    frame = pd.DataFrame({"a": [1]})
    index = pd.Index([5])
    index.__class__ = Index
    frame.index = index
    return frame


def sparse_of_objects() -> pd.DataFrame:
    return pd.DataFrame({"bad": pd.arrays.SparseArray(np.array([1 + 1j]), fill_value=0)})


def custom_days() -> pd.DataFrame:
    days = pd.offsets.CustomBusinessDay(holidays=["2013-01-01"])
    return pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2013", periods=2, freq=days))


def sparse_everywhere() -> pd.DataFrame:
    with warnings.catch_warnings(action="ignore"):
        index = pd.arrays.SparseArray([1, 1]).sp_index
        return pd.DataFrame({"bad": pd.arrays.SparseArray([0, 1], sparse_index=index)})


def zone_of_dateutil() -> pd.DataFrame:
    return pd.DataFrame({"bad": pd.to_datetime(["2013"]).tz_localize(dateutil.tz.tzoffset("x", 3600))})


def leveled(labels: list[str], codes: list[int]) -> pd.DataFrame:
    index = pd.MultiIndex(levels=[labels, [1, 2]], codes=[codes, [0, 1]], verify_integrity=False)
    return pd.DataFrame({"a": [1, 2]}, index=index)


REFUSED: dict[str, tuple[Any, str]] = {
    "a level with a label twice": (leveled(["x", "x"], [0, 1]), "index"),
    "a level with a number of no label": (leveled(["x", "y"], [0, 2]), "index"),
    "complex": (pd.DataFrame({"ok": [1], "bad": [1j]}), "bad"),
    "big-endian": (pd.DataFrame({"bad": np.array([1], dtype=">i8")}), "bad"),
    "an object in a list": (pd.DataFrame({"bad": pd.Series([[1], [object()]], dtype=object)}), "bad"),
    "pandas' moments as objects": (pd.DataFrame({"bad": pd.Series([pd.Timestamp("2013")], dtype=object)}), "bad"),
    "without a name": (pd.DataFrame({"": [1j]}), "''"),
    "a subclass": (Subclass({"a": [1]}), ""),
    "an index of complex": (pd.DataFrame({"a": [1]}, index=[1j]), "index"),
    "labels that are objects": (pd.DataFrame([[1]], columns=pd.Index([frozenset([object()])])), "columns"),
    "a name that is an object": (pd.Series([1], name=frozenset([object()])), "name"),
    "attrs that are objects": (attributed(TWO.copy(), a=object()), "attrs"),
    "a class of index of one's own": (own_index(), "index"),
    "periods that are categories of nothing kept": (pd.DataFrame({"bad": pd.Categorical([1j])}), "bad"),
    "a fill value that is not plain": (sparse_of_objects(), "bad"),
    "a frequency of one's own": (custom_days(), "index"),
    "a zone of dateutil": (zone_of_dateutil(), "bad"),
    "a sparse column with its fill value": (sparse_everywhere(), "bad"),
    "seconds beyond milliseconds": (pd.DataFrame({"bad": np.array([2**61], dtype="M8[s]")}), "bad"),
}  # fmt: skip


@pytest.mark.parametrize(("value", "path"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_kept_is_refused_by_name(value: Any, path: str, store: Store) -> None:
    """A column, index or name that would come back otherwise raises EncodeError naming it, small or large."""
    for limit in (48 * 1024, 0):
        with pytest.raises(EncodeError) as caught:
            store.put(value, ADDRESS, inline_limit=limit)
        assert path == caught.value.path
    assert not store.exists(ADDRESS)


def test_text_with_gaps_is_text_to_engines(store: Store) -> None:
    """Text of pandas 2, objects with NaN for gaps, is a column of strings to others, and NaN again to pandas."""
    frame = pd.DataFrame({"carrier": pd.Series(["UA", float("nan")], dtype=object), "n": [1, 2]})
    handoff = store.put(frame, ADDRESS, inline_limit=0)
    assert [("UA", 1), (None, 2)] == duckdb.sql(
        f"select * from read_parquet('{handoff.uri}', hive_partitioning=false)"
    ).fetchall()
    assert pl.read_parquet(handoff.uri, hive_partitioning=False).schema["carrier"] == pl.String
    assert [["UA", 1], [None, 2]] == pd.read_parquet(handoff.uri, partitioning=None).replace(
        {float("nan"): None}
    ).to_numpy().tolist()
    assert same(frame, handoff.load())


def test_pandas_reads_the_file_by_itself(store: Store) -> None:
    """pd.read_parquet of the artifact gives the frame with its index."""
    indexed = pd.DataFrame({"a": [1, 2], "b": pd.Categorical(["x", "y"])}, index=pd.Index(["u", "v"], name="k"))
    ranged = pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(4, 8, 2))
    for frame in (indexed, ranged):
        pd.testing.assert_frame_equal(
            frame, pd.read_parquet(store.put(frame, ADDRESS, inline_limit=0).uri, partitioning=None)
        )


def test_others_take_it_with_its_index(store: Store) -> None:
    """Arrow gets the index, and others its levels that have a name; objects are pandas' own."""
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.Index([5, 6]))
    handoff = store.put(frame, ADDRESS, inline_limit=0)
    assert [{"a": 1}, {"a": 2}] == handoff.load(list[dict[str, Any]])
    assert ["a"] == handoff.load(pl.DataFrame).columns
    assert same(frame, handoff.load(pa.Table).to_pandas())
    named = store.put(frame.rename_axis("k"), ADDRESS)
    assert {"a": 1, "k": 5} == named.load(list[dict[str, Any]])[0]
    mixed = store.put(pd.DataFrame({"a": [[1]], "b": [2]}), ADDRESS)
    for kind in (pa.Table, pl.DataFrame, list[dict[str, Any]]):
        with pytest.raises(ConfigError, match=r"'a' holds Python objects"):
            mixed.load(kind)
    assert [2] == mixed.load(pa.Table, columns=["b"])["b"].to_pylist()


def test_columns_are_chosen_and_the_index_stays(store: Store) -> None:
    """Columns come in the order asked for, by their labels, with the index; an unknown one is named."""
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "b", 7], index=["q"])
    handoff = store.put(frame, ADDRESS, inline_limit=0)
    assert same(frame[["b", "a"]], handoff.load(columns=["b", "a"]))
    assert same(frame[[7]], handoff.load(columns=["7"]))
    assert same(frame["b"], handoff.load(pd.Series, columns=["b"]))
    with pytest.raises(ConfigError, match=r"no column 'z'\. It has 'a', 'b', '7'"):
        handoff.load(columns=["z"])
    series = store.put(frame["a"], ADDRESS)
    assert same(frame["a"].to_frame(), series.load(pd.DataFrame))
    assert same(frame["a"], series.load(pd.Series))
    with pytest.raises(ConfigError, match="the table has 3"):
        handoff.load(pd.Series)


def test_large_frames_are_written_in_groups(store: Store) -> None:
    """A frame above 64 MiB is cut into groups of rows, and comes back whole, as Arrow's and Polars' too."""
    rows = 300_000
    frame = pd.DataFrame({f"n{place}": np.arange(rows) for place in range(28)})
    frame["t"] = pd.Series(["a", "é", None] * (rows // 3), dtype=object)
    handoff = store.put(frame, ADDRESS)
    assert pa.parquet.ParquetFile(handoff.uri).metadata.num_row_groups > 3
    assert same(frame, handoff.load())
    table = handoff.load(pa.Table)
    arrow = store.put(table.drop_columns(["t"]).replace_schema_metadata(None), ADDRESS)
    back = arrow.load(pd.DataFrame)
    pd.testing.assert_frame_equal(frame.drop(columns="t"), back)
    back.iloc[0, 0] = 5  # it is the reader's own


def test_equal_frames_have_one_digest(store: Store) -> None:
    """A frame that came back is put with the same digest, whatever its blocks and buffers."""
    for value in FRAMES.values():
        first = store.put(value, ADDRESS, inline_limit=0)
        assert first.sha256 == store.put(store.get(first), ADDRESS, inline_limit=0).sha256


def forged(note: Any, table: pa.Table, key: bytes = b"handoff.pandas", kind: str = "pandas.DataFrame") -> Inline:
    noted = note if isinstance(note, bytes) else base64.b64encode(tree.dump(note))
    rows = _rows.Rows(kind, table.schema, lambda: iter([table]), table.num_rows, [], {key: noted}, is_parquet=True)
    data = Table(rows).bare(10**6)
    assert data is not None
    return Inline(codec="table", type=kind, sha256=hashlib.sha256(data).hexdigest(), data=data)


def test_a_number_of_no_label_is_damage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A level whose numbers are of none of its labels raises DamagedError, and never reaches pandas."""
    periods = pd.period_range("1990", periods=3, freq="D")
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_arrays([periods[:2], ["x", "y"]]))

    def forge(self: Any, codes: Any) -> pa.Array:
        return pa.array([0, 2**31 - 1], "int32") if self._values is None else original(self, codes)

    original = _cells.Categories._of_codes
    monkeypatch.setattr(_cells.Categories, "_of_codes", forge)
    handoff = store.put(frame, ADDRESS)
    with pytest.raises(DamagedError, match="none of the categories"):
        handoff.load()


GOOD = {
    "rows": 2, "kinds": [["numbers", "int64"]], "columns": {"form": "labels", "name": ["plain", None], "kind": ["objects", "text", "None"]},
    "index": {"form": "range", "range": [0, 2, 1], "name": ["plain", None]},
}  # fmt: skip
DAMAGED: dict[str, Any] = {
    "no text": b"?",
    "no dict": ["x"],
    "no kinds": {},
    "numbers of no kind": {**GOOD, "kinds": [["numbers", "object"]]},
    "masked by no kind": {**GOOD, "kinds": [["masked", "object"]]},
    "objects of no form": {**GOOD, "kinds": [["objects", "text", "?"]]},
    "gaps in integers": {**GOOD, "kinds": [["numbers", "int32"]]},
    "no zone": {**GOOD, "kinds": [["zoned", "us", "Foo/Bar"]]},
    "no period": {**GOOD, "kinds": [["period", "a b"]]},
    "other rows": {**GOOD, "rows": 3},
    "other columns": {**GOOD, "index": {"form": "labels", "name": ["plain", None], "kind": ["numbers", "int64"]}},
    "other labels": {**GOOD, "columns": {**GOOD["columns"], "labels": b"", "count": 10**15}},
    "other categories": {**GOOD, "kinds": [["categories", False, note_index(pd.Index([7]))]]},
}  # fmt: skip


@pytest.mark.parametrize("note", DAMAGED.values(), ids=DAMAGED)
def test_a_note_of_another_is_damage(note: Any, store: Store) -> None:
    """What is noted of a frame is read strictly, and names no class: anything else raises DamagedError."""
    table = pa.table({"a": pa.array([1, None], pa.int64())})
    whole = pa.table({"a": pa.array([1, 2], pa.int64())})
    assert [1, 2] == store.get(forged(GOOD, whole))["a"].tolist()
    with pytest.raises(DamagedError):
        store.get(forged(note, table))


@pytest.mark.parametrize("more", [{"kinds": [["what"]]}, {"more": 1}])
def test_what_a_newer_version_notes_asks_for_an_upgrade(more: Any, store: Store) -> None:
    """A kind of column that is unknown, and whatever else is noted, are no damage, and are not passed over."""
    with pytest.raises(EnvelopeError, match=r"of a newer dag-handoff .*\. Upgrade dag-handoff"):
        store.get(forged({**GOOD, **more}, pa.table({"a": [1, 2]})))


@pytest.mark.skipif(pd.__version__ < "3", reason="pandas 2 has pytz by itself")
def test_a_frame_of_pandas_2_is_read(store: Store) -> None:
    """Zones that pytz named, and text of an elder storage, are what pandas has for them today."""
    table = pa.table(
        {"a": pa.array([1, 2], pa.timestamp("us", "Europe/Berlin")), "b": pa.array(["x", None], pa.large_string())}
    )
    columns = {**GOOD, "kinds": [["zoned", "us", "Europe/Berlin"], ["text", "pyarrow_numpy", "NaN"]]}
    found = store.get(forged(columns, table))
    assert ["datetime64[us, Europe/Berlin]", "str"] == list(map(str, found.dtypes))


def test_what_is_nested_too_deep_has_its_own_error(store: Store) -> None:
    """A cell nested beyond the limit raises LimitError, as everywhere."""
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(LimitError, match="deeper"):
        store.put(pd.DataFrame({"a": pd.Series([deep], dtype=object)}), ADDRESS)


def test_a_dtype_of_ones_own_is_refused() -> None:
    """A dtype that pandas does not have is of no kind."""
    with pytest.raises(Refused, match="the dtype own"):
        kind_of(SimpleNamespace(dtype="own"))


def test_zones_of_pytz_are_known_by_their_name() -> None:
    """A zone of pytz, which pandas 2 has, is noted by its name alone."""
    zone = type("Zone", (dt.tzinfo,), {"zone": "Europe/Berlin", "__module__": "pytz.tzfile"})()
    assert kind_of_zone(zone) is zone


def test_categories_beyond_measure_are_refused(store: Store) -> None:
    """Labels that would fill the file's footer are refused, and a level as large is kept as values."""
    many = pd.Index([f"{number:030}" for number in range(600_000)])
    with pytest.raises(EncodeError, match="its labels take over"):
        store.put(pd.DataFrame({"a": pd.Categorical(many[:1], many)}), ADDRESS)
    frame = pd.DataFrame({"a": 1}, index=pd.MultiIndex.from_arrays([many, range(len(many))]))
    assert same(frame, store.get(store.put(frame, ADDRESS)))


def test_a_frame_in_a_file(tmp_path: Path, store: Store) -> None:
    """What others make of the file is a real table: Parquet begins and ends it."""
    uri = store.put(FRAMES["plain"], ADDRESS, inline_limit=0).uri
    data = Path(uri).read_bytes()
    assert (b"PAR1", b"PAR1") == (data[:4], data[-4:])
