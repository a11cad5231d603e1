"""pandas frames and series as rows, and rows as frames and series.

Each column and each level of the index is a column of Arrow under a text of its own. What that cannot say - labels,
names, dtypes, attrs - is noted in the metadata, so that a frame comes back as it was.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from handoff.codecs import _arrow, _parquet, tree
from handoff.codecs._arrow import PANDAS, UNNAMED, Selection
from handoff.codecs._cells import Chunks, Kind
from handoff.codecs._index import (
    Refused,
    cells_of,
    index_kinds,
    index_noted,
    join_index,
    kind_noted,
    kind_of,
    label_noted,
    note_index,
    note_label,
    split_index,
)
from handoff.codecs._libraries import first_line, library
from handoff.codecs._rows import Rows, steps
from handoff.errors import ConfigError, DamagedError, EncodeError, HandoffError, newer

_REMEDY = "Convert it to a type that is kept (docs/tables.md lists them), or hand it over as plain Python values"
#: What may be noted of a frame.
_NOTED = frozenset({"rows", "kinds", "index", "columns", "attrs", "unique"})
_EXACT = 2**53  # a float holds each integer up to here
# From here on, a table is taken apart while it becomes a frame.
_LARGE = 64 * 1024**2


class _Column(NamedTuple):
    """A column of the file: what errors call it, its name there, and its cells."""

    where: str
    name: str
    kind: Kind
    cells: Any


def classes() -> tuple[type, ...]:
    """Give the classes that are taken, none derived from them."""
    pandas = library("pandas")
    return pandas.DataFrame, pandas.Series


def rows_of(value: Any) -> Rows:
    """Take a frame or a series apart. Raises: `EncodeError` naming a column, the index, or the columns."""
    arrow, pandas = library("pyarrow"), library("pandas")
    is_series = type(value) is pandas.Series
    labels = [value.name] if is_series else list(value.columns)
    names = _stored_names(labels)
    columns = [
        _column(label, name, value if is_series else value.iloc[:, place])
        for place, (label, name) in enumerate(zip(labels, names, strict=True))
    ]
    note: dict[str, Any] = {"rows": len(value), "kinds": [column.kind.note() for column in columns]}
    with _refusing("index"):
        note["index"], levels = split_index(value.index)
    with _refusing("name" if is_series else "columns"):
        note["columns"] = note_label(value.name) if is_series else _note_columns(value.columns, names)
    if value.attrs:
        with _refusing("attrs"):
            tree.dump(value.attrs)
        note["attrs"] = value.attrs
    if not value.flags.allows_duplicate_labels:
        note["unique"] = True
    index_names = _index_names(value.index, names)
    columns += [_Column("index", name, *level) for name, level in zip(index_names, levels, strict=True)]
    schema = arrow.schema([(column.name, column.kind.type) for column in columns])
    metadata = _metadata_of_arrow(value, names, index_names, columns) if not is_series else None
    schema = schema.with_metadata({b"pandas": metadata} if metadata else None)

    def convert(start: int, end: int) -> Any:
        return arrow.Table.from_arrays([_to_arrow(column, start, end) for column in columns], schema=schema)

    return Rows(
        "pandas.Series" if is_series else "pandas.DataFrame",
        schema,
        lambda: steps(len(value) if columns else 0, convert),
        len(value),
        names,
        {PANDAS: base64.b64encode(tree.dump(note))},
        _parquet.keeps(schema),
    )


def frame(selection: Selection) -> Any:
    """Give a pandas.DataFrame."""
    pandas = library("pandas")
    if PANDAS not in selection.notes:
        return _foreign(selection)
    with _described():
        note = _note(selection)
        is_series = isinstance(note["columns"], list)
        names = selection.stored.schema.names[: len(note["kinds"])]
        labels: Any = names if is_series else _columns_noted(note["columns"], names)
        known = [label if type(label) is str else name for label, name in zip(labels, names, strict=True)]
        chosen = selection.places(known)
        if selection.columns is not None:
            _check_choice([(known[place], labels[place]) for place in chosen])
        arrays, index = _filled(selection, note, chosen)
        columns = {
            place: pandas.Series(array, index=index, dtype=array.dtype, copy=False)
            for place, array in enumerate(arrays)
        }
        found = pandas.DataFrame(columns, index=index, copy=False)
        if is_series:
            found.columns = [label_noted(note["columns"])] * len(chosen)
        else:
            found.columns = labels if selection.columns is None else labels.take(chosen)
        return _marked(found, note)


def series(selection: Selection) -> Any:
    """Give a pandas.Series. Raises: `ConfigError` for a table of other than one column."""
    pandas = library("pandas")
    if PANDAS in selection.notes:
        with _described():
            note = _note(selection)
            if isinstance(note["columns"], list):
                arrays, index = _filled(selection, note, selection.places(selection.stored.schema.names[:1]))
                array = _arrow.the_column(arrays)
                name = label_noted(note["columns"])
                return _marked(pandas.Series(array, index=index, dtype=array.dtype, name=name, copy=False), note)
    found = frame(selection)
    return _arrow.the_column([found.iloc[:, place] for place in range(found.shape[1])])


def hidden(selection: Selection) -> set[int]:
    """Give the places of the index's levels that bear no name."""
    names = selection.stored.schema.names
    return {place for place, name in enumerate(names) if name.startswith(UNNAMED)}


def check_open(selection: Selection, places: Sequence[int]) -> None:
    """Refuse columns of Python objects to other libraries. Raises: `ConfigError`."""
    with _described():
        kinds = _note(selection)["kinds"]
        closed = [place for place in places if place < len(kinds) and kinds[place][:2] == ["objects", "cells"]]
    if closed:
        name = selection.stored.schema.names[closed[0]]
        raise ConfigError(
            f"the column {name!r} holds Python objects, which only pandas has",
            remedy="Take it as a pandas.DataFrame, or leave the column out by columns=",
        )


# --- writing ----------------------------------------------------------------------------------------------------


class _refusing:  # noqa: N801 - used as a block
    """Say by an `EncodeError` which part of a value is not kept."""

    def __init__(self, where: str) -> None:
        self._where = where or "''"

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, EncodeError):
            raise EncodeError(f"{self._where}: {first_line(error)}", path=self._where) from None
        arrow = library("pyarrow")
        if isinstance(error, HandoffError):
            return
        if isinstance(error, (Refused, arrow.ArrowException, ArithmeticError, TypeError, ValueError)):
            raise EncodeError(
                f"{self._where}: {first_line(error)}, which is not kept as it is", remedy=_REMEDY, path=self._where
            ) from None


def _column(label: Any, name: str, series: Any) -> _Column:
    where = label if type(label) is str else name
    with _refusing(where):
        cells = cells_of(series)
        return _Column(where, name, kind_of(cells), cells)


def _to_arrow(column: _Column, start: int, end: int) -> Any:
    with _refusing(column.where):
        return column.kind.to_arrow(column.cells[start:end])


def _stored_names(labels: list[Any]) -> list[str]:
    names: dict[str, None] = {}
    for label in labels:
        text = (label if type(label) is str else str(label)).encode("utf-8", "backslashreplace").decode()
        text = f"_{text}" if text.startswith(UNNAMED) else text
        name, count = text, 1
        while name in names:
            name, count = f"{text}_{count}", count + 1
        names[name] = None
    return list(names)


def _index_names(index: Any, taken: list[str]) -> list[str]:
    if type(index) is library("pandas").RangeIndex:
        return []
    names = list(index.names)
    return [
        name
        if type(name) is str
        and name.isprintable()
        and name not in taken
        and names.count(name) == 1
        and not name.startswith(UNNAMED)
        else f"{UNNAMED}{place}__"
        for place, name in enumerate(names)
    ]


def _note_columns(columns: Any, names: list[str]) -> dict[str, Any]:
    note, levels = split_index(columns)
    if note["form"] == "labels" and "freq" not in note and list(columns) == names:
        kind = levels[0][0]
        if kind.note()[:2] == ["objects", "text"] or (isinstance(kind, Chunks) and kind.note()[0] == "text"):
            return note
    return note_index(columns)


def _metadata_of_arrow(value: Any, names: list[str], index_names: list[str], columns: list[_Column]) -> bytes | None:
    """Give what Arrow notes of a frame, for readers other than this library; None where it would mislead them."""
    pandas, arrow = library("pandas"), library("pyarrow")
    if not all(column.kind.is_open for column in columns):
        return None
    empty = value.iloc[:0].copy()
    empty.attrs = {}
    empty = empty.set_flags(allows_duplicate_labels=True)
    empty.columns = pandas.Index(names, name=None)
    if index_names:
        empty.index.names = [None if name.startswith(UNNAMED) else name for name in index_names]
    try:
        found = json.loads(arrow.Table.from_pandas(empty).schema.metadata[b"pandas"])
    except (arrow.ArrowException, TypeError, ValueError, NotImplementedError):
        return None
    index = value.index
    if not index_names:
        name = index.name if type(index.name) is str else None
        found["index_columns"] = [
            {"kind": "range", "name": name, "start": index.start, "stop": index.stop, "step": index.step}
        ]
    return json.dumps(found).encode()


# --- reading ----------------------------------------------------------------------------------------------------


class _described:  # noqa: N801 - used as a block
    """Say that what was noted is not what was written."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, HandoffError):
            return
        arrow = library("pyarrow")
        if isinstance(
            error, (arrow.ArrowException, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
        ):
            raise DamagedError(f"what was noted of the pandas frame cannot be read: {first_line(error)}") from None


def _note(selection: Selection) -> dict[str, Any]:
    note = tree.load(base64.b64decode(selection.notes[PANDAS], validate=True))
    if not isinstance(note, dict):
        raise DamagedError("what was noted of the pandas frame is no dict")
    if not note.keys() <= _NOTED:
        raise newer("what was noted of the pandas frame is")
    return note


def _columns_noted(note: dict[str, Any], names: list[str]) -> Any:
    if "labels" in note:
        return index_noted(note)
    (kind,) = index_kinds(note, None)
    into = kind.begin(len(names))
    kind.add(into, 0, library("pyarrow").array(names, kind.type))
    return join_index(note, [kind.end(into)])


def _check_choice(chosen: list[tuple[str, Any]]) -> None:
    kinds: dict[str, type] = {}
    for name, label in chosen:
        if kinds.setdefault(name, type(label)) is not type(label):
            raise ConfigError(f"the table has several columns {name!r}, of other labels", remedy="Load it as a whole")


def _filled(selection: Selection, note: dict[str, Any], chosen: list[int]) -> tuple[list[Any], Any]:
    """Give the arrays of the columns at some places, and the index."""
    width, schema = len(note["kinds"]), selection.stored.schema
    levels = index_kinds(note["index"], schema.types[width:])
    kinds = [kind_noted(note["kinds"][place], schema.field(place).type) for place in chosen] + levels
    places = [*chosen, *range(width, width + len(levels))]
    if len(schema.names) != width + len(levels):
        raise DamagedError("the table has other columns than were noted")
    count, parts = selection.stored.count, selection.tables(places)[1]
    if count is None:
        parts = iter(found := list(parts))
        count = sum(part.num_rows for part in found)
    if schema.names and count != note["rows"]:
        raise DamagedError("the table has another number of rows than was noted")
    filled = [kind.begin(count) for kind in kinds]
    start = 0
    for part in parts:
        for kind, into, column in zip(kinds, filled, part.columns, strict=True):
            at = start
            for chunk in column.chunks:
                kind.add(into, at, chunk)
                at += len(chunk)
        start += part.num_rows
    arrays = [kind.end(into) for kind, into in zip(kinds, filled, strict=True)]
    return arrays[: len(chosen)], join_index(note["index"], arrays[len(chosen) :])


def _marked(found: Any, note: dict[str, Any]) -> Any:
    found.attrs = note.get("attrs", {})
    if note.get("unique"):
        found.flags.allows_duplicate_labels = False
    return found


def _foreign(selection: Selection) -> Any:
    table = _arrow.table(selection)
    compute, types = library("pyarrow.compute"), library("pyarrow").types
    for name, column in zip(table.column_names, table.columns, strict=True):
        if column.null_count and types.is_integer(column.type):
            ends = compute.min_max(column).as_py()
            if max(-(ends["min"] or 0), ends["max"] or 0) > _EXACT:
                raise ConfigError(
                    f"pandas cannot hold the column {name!r}: with gaps its integers would be floats, and lose digits",
                    remedy="Take it as a pyarrow.Table or a polars.DataFrame",
                )
    with _arrow.cannot("pandas", "Take it as a pyarrow.Table"):
        if table.nbytes < _LARGE:
            return table.to_pandas()
        return table.to_pandas(split_blocks=True, self_destruct=True)
