"""What pandas labels rows and columns with, as plain values and columns of Arrow: indexes, their names, categories."""

from __future__ import annotations

import datetime as dt
import io
import re
from typing import Any

from handoff.codecs import tree
from handoff.codecs._cells import Categories, Chunks, Intervals, Kind, Level, Masked, Numbers, Periods, Sparse, Zoned
from handoff.codecs._libraries import first_line, library
from handoff.codecs._messages import Messages
from handoff.codecs._objects import Objects, objects_of
from handoff.errors import DamagedError, EncodeError, newer

#: The most bytes of labels that are noted in the metadata.
_MOST = 16 * 1024**2
_LEAST_VALUES = 1024**2
_FREQ = re.compile(r"\A[A-Za-z0-9:.-]{1,40}\Z")


class Refused(Exception):  # noqa: N818 - it says what is not kept; EncodeError is the error that users see
    """An array or a label of a kind that is not kept."""


def cells_of(labelled: Any) -> Any:
    """Give the array of an index or a series: of numpy where it has no more than that."""
    array = labelled.array
    return array.to_numpy() if type(array) is library("pandas").arrays.NumpyExtensionArray else array


def kind_of(array: Any) -> Kind:  # noqa: C901, PLR0911 - a line for each dtype
    """Find the kind of a pandas array. Raises: `Refused`."""
    pandas, dtype = library("pandas"), array.dtype
    name, kind = str(dtype), type(dtype)
    if isinstance(dtype, library("numpy").dtype):
        if dtype.kind == "O":
            return objects_of(library("numpy").asarray(array))
        if not dtype.isnative or not Numbers.takes(name):
            raise Refused(f"the dtype {name}")
        return Numbers(name)
    if kind is pandas.DatetimeTZDtype:
        return Zoned(dtype.unit, _checked_zone(dtype.tz))
    if kind is pandas.StringDtype:
        return _text(dtype.storage, _na_of(dtype))
    if kind is pandas.CategoricalDtype:
        note = note_index(dtype.categories)
        cells = cells_of(dtype.categories)
        return Categories(dtype.categories, cells, kind_of(cells), note, is_ordered=bool(dtype.ordered))
    if kind is pandas.PeriodDtype and pandas.PeriodDtype(name) == dtype:
        return Periods(name[len("period[") : -1])
    if kind is pandas.IntervalDtype:
        return Intervals(dtype.closed, kind_of(cells_of(array.left)))
    if kind is pandas.SparseDtype:
        tree.dump(dtype.fill_value)
        return Sparse(kind_of(array.sp_values), dtype.fill_value, array.kind)
    if kind is pandas.ArrowDtype:
        return Chunks(dtype, dtype.pyarrow_dtype, ["arrow"])
    if name in Masked.NAMES and _is_of_pandas(kind):
        return Masked(name)
    raise Refused(f"the dtype {name}")


def kind_noted(note: list[Any], type_: Any) -> Kind:  # noqa: C901, PLR0911 - a line for each kind
    """Make a kind again; ``type_`` is what the column is in Arrow."""
    name, *rest = note
    if name == "numbers":
        return Numbers(*rest)
    if name == "zoned":
        unit, zone = rest
        return Zoned(unit, zone.tzinfo if isinstance(zone, dt.time) else _pytz(zone))
    if name == "masked":
        return Masked(*rest)
    if name == "text":
        return _text(*rest)
    if name == "arrow":
        return Chunks(library("pandas").ArrowDtype(type_), type_, note)
    if name == "period":
        return Periods(_freq(rest[0]))
    if name == "interval":
        return Intervals(rest[0], kind_noted(rest[1], None))
    if name == "sparse":
        return Sparse(kind_noted(rest[0], None), rest[1], rest[2])
    if name in ("categories", "level"):
        categories = index_noted(rest[-1])
        cells = cells_of(categories)
        make = Categories if name == "categories" else Level
        return make(categories, cells, kind_of(cells), rest[-1], is_ordered=rest[0] is True)
    if name == "objects":
        return Objects(*rest)
    raise newer(f"a column is of a kind, {name!r:.40},")


# --- labels -----------------------------------------------------------------------------------------------------


def note_label(label: Any) -> list[Any]:
    """Note a name: any plain value, or a single value of pandas. Raises: `Refused`."""
    pandas = library("pandas")
    if label is pandas.NA or label is pandas.NaT:
        return ["NA" if label is pandas.NA else "NaT"]
    if type(label) in (pandas.Timestamp, pandas.Timedelta, pandas.Period, pandas.Interval):
        return ["pandas", note_index(pandas.Index([label]))]
    try:
        tree.dump(label)
    except EncodeError as error:
        raise Refused(f"the name {label!r}: {first_line(error)}") from None
    return ["plain", label]


def label_noted(note: list[Any]) -> Any:
    """Give the name again."""
    kind, *rest = note
    if kind == "plain":
        return rest[0]
    if kind == "pandas":
        return index_noted(rest[0])[0]
    return getattr(library("pandas"), "NA" if kind == "NA" else "NaT")


# --- indexes ----------------------------------------------------------------------------------------------------


def note_index(index: Any) -> dict[str, Any]:
    """Note an index with its labels. Raises: `Refused`."""
    arrow = library("pyarrow")
    note, columns = split_index(index)
    kinds_and_cells = [(kind, kind.to_arrow(cells[:])) for kind, cells in columns]
    sink = io.BytesIO()
    if columns:
        fields = [arrow.field(str(place), kind.type) for place, (kind, _) in enumerate(columns)]
        table = arrow.Table.from_arrays([cells for _, cells in kinds_and_cells], schema=arrow.schema(fields))
        with arrow.ipc.new_stream(arrow.PythonFile(sink, "w"), table.schema) as writer:
            writer.write_table(table.combine_chunks())
    if sink.tell() > _MOST:
        raise Refused(f"its labels take over {_MOST:,} bytes")
    return {**note, "labels": sink.getvalue(), "count": len(index)}


def index_noted(note: dict[str, Any]) -> Any:
    """Give an index that was noted with its labels."""
    arrow = library("pyarrow")
    parts: list[Any] = []
    if note["labels"]:
        Messages().add(note["labels"])
        with arrow.ipc.open_stream(note["labels"]) as stream:
            for batch in stream:
                batch.validate(full=True)
                parts.append(batch)
    kinds = index_kinds(note, parts[0].schema.types if parts else None)
    if kinds and sum(part.num_rows for part in parts) != note["count"]:
        raise DamagedError("an index has another number of labels than was noted")
    filled = [kind.begin(note["count"]) for kind in kinds]
    start = 0
    for part in parts:
        for kind, into, cells in zip(kinds, filled, part.columns, strict=True):
            kind.add(into, start, cells)
        start += part.num_rows
    return join_index(note, [kind.end(into) for kind, into in zip(kinds, filled, strict=True)])


def split_index(index: Any) -> tuple[dict[str, Any], list[tuple[Kind, Any]]]:
    """Note an index without its labels, and give those as arrays with their kinds. Raises: `Refused`."""
    pandas = library("pandas")
    if not _is_of_pandas(type(index)):
        raise Refused(f"an index of type {type(index).__qualname__}")
    if type(index) is pandas.MultiIndex:
        levels = [_level(index, place) for place in range(index.nlevels)]
        return {
            "form": "levels",
            "names": [note_label(name) for name in index.names],
            "kinds": [kind.note() for kind, _ in levels],
        }, levels
    name = note_label(index.name)
    if type(index) is pandas.RangeIndex:
        return {"form": "range", "range": [index.start, index.stop, index.step], "name": name}, []
    cells = cells_of(index)
    kind = kind_of(cells)
    note: dict[str, Any] = {"form": "labels", "name": name, "kind": kind.note()}
    freq = getattr(index, "freq", None)
    if freq is not None and type(index) is not pandas.PeriodIndex:
        if not _FREQ.match(freq.freqstr) or pandas.tseries.frequencies.to_offset(freq.freqstr) != freq:
            raise Refused(f"the frequency {freq!r}")
        note["freq"] = freq.freqstr
    return note, [(kind, cells)]


def index_kinds(note: dict[str, Any], types: Any) -> list[Kind]:
    """Give the kinds of the columns that hold an index."""
    notes: list[Any] = {"range": [], "labels": [note.get("kind")], "levels": note.get("kinds") or []}[note["form"]]
    return [kind_noted(kind, types[place] if types else None) for place, kind in enumerate(notes)]


def join_index(note: dict[str, Any], arrays: list[Any]) -> Any:
    """Make an index again from its labels."""
    pandas = library("pandas")
    if note["form"] == "range":
        return pandas.RangeIndex(*note["range"], name=label_noted(note["name"]))
    if note["form"] == "labels":
        index = _plain_index(arrays[0], label_noted(note["name"]))
        if note.get("freq"):
            index.freq = _freq(note["freq"])
        return index
    levels, codes = [], []
    for array in arrays:
        # A level as values is looked for what is different in it.
        numbers, found = array if isinstance(array, tuple) else pandas.factorize(_plain_index(array, None))
        levels.append(found)
        codes.append(numbers)
    names = [label_noted(name) for name in note["names"]]
    return pandas.MultiIndex(levels=levels, codes=codes, names=names, verify_integrity=False)


def _plain_index(array: Any, name: Any) -> Any:
    pandas = library("pandas")
    return pandas.Index(array, dtype=array.dtype, name=name, copy=False, tupleize_cols=False)


def _level(index: Any, place: int) -> tuple[Kind, Any]:
    """Give a level of a MultiIndex as categories; as values where there are many, so that the metadata stays small."""
    level, codes = index.levels[place], index.codes[place]
    if not level.is_unique:
        raise Refused("a level with a label twice")
    if len(codes) and not -1 <= codes.min() <= codes.max() < len(level):
        raise Refused("a level with a number of no label")
    if level.nbytes > _LEAST_VALUES and (codes >= 0).all():
        cells = index.get_level_values(place)
        return kind_of(cells_of(cells)), cells_of(cells)
    level = level.rename(None)
    cells = cells_of(level)
    return Level(level, cells, kind_of(cells), note_index(level), is_ordered=False), codes


# --- what the notes of kinds need -------------------------------------------------------------------------------


def _text(storage: str, gap: str) -> Kind:
    pandas = library("pandas")
    if hasattr(pandas.StringDtype(), "_na_value"):  # pandas 3
        dtype = pandas.StringDtype(storage.partition("_")[0], float("nan") if gap == "NaN" else pandas.NA)
    elif gap == "NaN" and storage != "pyarrow_numpy":  # pragma: no cover - what text is in pandas 2
        return Objects("text", gap)
    else:  # pragma: no cover - pandas 2
        dtype = pandas.StringDtype(storage)
    return Chunks(dtype, library("pyarrow").large_string(), ["text", storage, gap])


def _na_of(dtype: Any) -> str:
    return "NA" if dtype.na_value is library("pandas").NA else "NaN"


def _checked_zone(zone: Any) -> Any:
    if getattr(zone, "zone", None) and type(zone).__module__.startswith("pytz"):  # what pandas 2 has
        return zone
    try:
        tree.dump(dt.time(0, tzinfo=zone))
    except EncodeError:
        raise Refused(f"a time zone of type {type(zone).__module__}.{type(zone).__qualname__}") from None
    return zone


def _pytz(name: str) -> Any:
    # pandas 2 gives zones of pytz for names, and pandas 3 those of zoneinfo.
    try:
        return library("pandas").DatetimeTZDtype("ns", name).tz
    except (KeyError, LookupError, TypeError, ValueError) as error:
        raise DamagedError(f"the time zone {name!r} is not known ({first_line(error)})") from None


def _freq(text: Any) -> str:
    if not isinstance(text, str) or not _FREQ.match(text):
        raise DamagedError(f"{text!r} is no frequency")
    return text


def _is_of_pandas(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "pandas"
