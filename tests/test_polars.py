"""Polars through the table codec: every type comes back as it was, or the column is named."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handoff import Address, ConfigError, DamagedError, EncodeError, EnvelopeError, Inline, Store
from handoff.codecs import _polars, _rows, tree
from handoff.codecs.table import Table
from handoff.frames import columns, tables
from handoff.testing import same

ADDRESS = Address("dag", "run", "task")


@pytest.mark.parametrize("kind", columns("polars"))
@given(data=st.data())
@settings(max_examples=15)
def test_the_page_says_what_becomes_of_a_column(
    kind: str, data: Any, becomes: Callable[[Any], str], said: Callable[[str], dict[str, str]]
) -> None:
    """A series of each kind is kept or refused as docs/tables.md says."""
    assert said("polars")[kind] == becomes(data.draw(columns("polars")[kind]))


def test_the_page_lists_each_kind(said: Callable[[str], dict[str, str]]) -> None:
    """docs/tables.md speaks of the kinds that this version has, and of no other."""
    assert set(said("polars")) == set(columns("polars"))


@given(frame=tables("polars", [kind for kind in columns("polars") if not kind.startswith("objects")]))
def test_any_frame_comes_back_equal(frame: pl.DataFrame, becomes: Callable[[Any], str]) -> None:
    """A frame of columns of any kinds comes back as it was, inline and stored."""
    assert becomes(frame) in {"kept", "IPC"}


FRAMES: dict[str, Any] = {
    "nothing": pl.DataFrame(),
    "no rows": pl.DataFrame(schema={"a": pl.Int8, "": pl.String, "c": pl.Categorical}),
    "an empty name": pl.DataFrame({"": [1], "a.b": [2]}),
    "a lazy frame": pl.LazyFrame({"a": [1, 2]}).filter(pl.col("a") > 1),
    "a series without a name": pl.Series([1, 2]),
    "an enum without a name": pl.Series(["x", None], dtype=pl.Enum(["y", "x"])),
    "categories without a name": pl.Series(["x", None], dtype=pl.Categorical),
    "names that select": pl.DataFrame(
        {"*": ["x"], "^a.*$": ["u"], "ab": ["5"], "": ["z"], "0": [1]},
        schema={"*": pl.Enum(["x"]), "^a.*$": pl.Categorical, "ab": pl.String, "": pl.Enum(["z"]), "0": pl.Int8},
    ),
    "gaps alone in structs in lists": pl.DataFrame({"a": [[{"x": None, "y": 1}, {"x": None, "y": 2}], None]}),
    "gaps alone in a struct": pl.DataFrame({"a": [{"x": None}, None], "b": [[None], None], "c": [None, None]}),
    "a name with a NUL": pl.DataFrame({"a\0b": [1]}),
    "structs of categories": pl.DataFrame({"a": [{"x": "u"}, None]}, schema={"a": pl.Struct({"x": pl.Categorical})}),
}


@pytest.mark.parametrize("value", FRAMES.values(), ids=FRAMES)
def test_frames_of_odd_shapes_come_back(value: Any, store: Store) -> None:
    """Frames without rows or columns, lazy ones and series come back as what they were."""
    for limit in (48 * 1024, 0):
        assert same(value, store.get(store.put(value, ADDRESS, inline_limit=limit)))


class Subclass(pl.DataFrame):
    pass


REFUSED: dict[str, tuple[Any, str]] = {
    "objects": (pl.DataFrame({"ok": [1], "bad": pl.Series([object()], dtype=pl.Object)}), "bad"),
    "objects without a name": (pl.Series([object()], dtype=pl.Object), "''"),
    "a subclass": (Subclass({"a": [1]}), ""),
}
if hasattr(pl, "Categories"):  # older ones panic where such columns are made
    REFUSED["lists of no width"] = pl.DataFrame(schema={"bad": pl.Array(pl.Int8, 0)}), "bad"
    REFUSED["categories of one's own"] = pl.Series("bad", [], dtype=pl.Categorical(pl.Categories("own"))), "bad"


@pytest.mark.parametrize(("value", "path"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_kept_is_refused_by_name(value: Any, path: str, store: Store) -> None:
    """A column of a type that is not kept raises EncodeError naming it."""
    with pytest.raises(EncodeError) as caught:
        store.put(value, ADDRESS)
    assert path == caught.value.path


def test_categories_of_many_groups_are_one(store: Store) -> None:
    """A categorical column that was written in groups comes back as one, its lexical order too."""
    frame = pl.DataFrame({"n": range(1_200_000), "c": ["b", "a", None] * 400_000}).with_columns(
        pl.col("c").cast(pl.Categorical("lexical") if not hasattr(pl, "Categories") else pl.Categorical())
    )
    wide = frame.with_columns([pl.col("n").alias(f"n{place}") for place in range(8)])
    back = store.get(store.put(wide, ADDRESS))
    assert wide.schema == back.schema
    assert wide["c"].cast(pl.String).equals(back["c"].cast(pl.String), null_equal=True)
    assert wide.drop("c").equals(back.drop("c"))


def test_others_read_it_and_it_reads_others(store: Store) -> None:
    """A Polars frame is taken by each library, and each library's table by Polars."""
    frame = pl.DataFrame({"a": [1, None], "b": ["x", "y"]}, schema={"a": pl.Int8, "b": pl.Categorical})
    handoff = store.put(frame, ADDRESS, inline_limit=0)
    assert handoff.load(pa.Table).to_pydict() == {"a": [1, None], "b": ["x", "y"]}
    assert handoff.load(list[dict[str, Any]]) == frame.to_dicts()
    assert same(frame.lazy(), handoff.load(pl.LazyFrame))
    assert same(frame.select("b"), handoff.load(columns=["b"]))
    assert same(frame["a"], handoff.load(pl.Series, columns=["a"]))
    with pytest.raises(ConfigError, match="the table has 2"):
        handoff.load(pl.Series)
    arrow = pa.table({"a": [1], "d": pa.array(["u"]).dictionary_encode()})
    assert list(store.put(arrow, ADDRESS).load(pl.DataFrame).schema.values()) == [pl.Int64, pl.Categorical]


def forged(note: Any, types: list[Any]) -> Inline:
    value = pa.table({"a": pa.array([1], pa.int64())})
    noted = note or base64.b64encode(tree.dump({"rows": 1, "types": types}))
    rows = _rows.Rows(
        "polars.DataFrame", value.schema, lambda: iter([value]), 1, [], {b"handoff.polars": noted}, is_parquet=True
    )
    data = Table(rows).bare(10**6)
    assert data is not None
    return Inline(codec="table", type="polars.DataFrame", sha256=hashlib.sha256(data).hexdigest(), data=data)


@pytest.mark.parametrize(
    ("note", "types"),
    [(b"?", []), (b"", []), (base64.b64encode(tree.dump(["rows"])), []), (b"", [["Int8", 1], ["Int8"]])],
)
def test_a_note_of_another_is_damage(note: bytes, types: list[Any], store: Store) -> None:
    """What is noted of a frame is read strictly: anything else raises DamagedError."""
    assert [1] == store.get(forged(b"", [["Int64"]]))["a"].to_list()
    with pytest.raises(DamagedError):
        store.get(forged(note, types))


@pytest.mark.parametrize("note", [{"rows": 1, "types": [["Foo"]]}, {"rows": 1, "types": [["Int64"]], "more": 1}])
def test_what_a_newer_version_notes_asks_for_an_upgrade(note: Any, store: Store) -> None:
    """A type that is unknown, and whatever else is noted, are no damage, and are not passed over."""
    with pytest.raises(EnvelopeError, match=r"of a newer dag-handoff .*\. Upgrade dag-handoff"):
        store.get(forged(base64.b64encode(tree.dump(note)), []))


def test_a_type_that_this_polars_lacks_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A type of a newer Polars says to upgrade; one whose order Polars no longer has is read as the other."""
    monkeypatch.delattr(pl, "Int128", raising=False)
    with pytest.raises(ConfigError, match="has no Int128"):
        store.get(forged(b"", [["Int128"]]))


def test_what_polars_cannot_hold_is_taken_otherwise(store: Store) -> None:
    """A table that Polars refuses says to take it as an Arrow table."""
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    odd = pa.table({"a": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])})
    months = pa.table({"a": pa.array([(1, 2, 3)], pa.month_day_nano_interval())})
    for value in (twice, odd, months):
        with pytest.raises(ConfigError, match=r"Take it as a pyarrow\.Table"):
            store.put(value, ADDRESS).load(pl.DataFrame)


def test_a_column_that_arrow_does_not_take_is_named() -> None:
    """A column that cannot be carried over is refused by its name."""
    with pytest.raises(EncodeError, match="b: a column of String that Arrow does not take") as caught:
        _polars._to_arrow(pl.DataFrame({"a": [1], "b": ["x"]}), [None, pl.Int8])
    assert caught.value.path == "b"
