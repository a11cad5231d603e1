"""Polars frames and series as rows, and rows as frames and series.

A type that Arrow lacks, or that Polars makes anew for each part of a frame, is carried by text, and noted.
"""

from __future__ import annotations

import base64
from typing import Any

from handoff.codecs import _arrow, _parquet, tree
from handoff.codecs._arrow import POLARS, Selection
from handoff.codecs._libraries import first_line, library
from handoff.codecs._rows import Rows, frugal_pool, steps
from handoff.errors import ConfigError, DamagedError, EncodeError, HandoffError, newer

_PLAIN = frozenset(
    [
        "Boolean",
        "Binary",
        "Date",
        "Float16",
        "Float32",
        "Float64",
        "Int8",
        "Int16",
        "Int32",
        "Int64",
        "Int128",
        "Null",
        "String",
        "Time",
        "UInt8",
        "UInt16",
        "UInt32",
        "UInt64",
        "UInt128",
    ]
)
_AS_TEXT = frozenset(["Int128", "UInt128", "Categorical", "Enum"])


def classes() -> tuple[type, ...]:
    """Give the classes that are taken, none derived from them."""
    polars = library("polars")
    return polars.DataFrame, polars.LazyFrame, polars.Series


def rows_of(value: Any) -> Rows:
    """Take a frame or a series apart; a lazy frame is collected first. Raises: `EncodeError` naming a column."""
    polars, arrow = library("polars"), library("pyarrow")
    kind = type(value)
    if kind is polars.LazyFrame:
        value = _collected(value)
    table = value.to_frame() if kind is polars.Series else value
    note = {"rows": table.height, "types": [_note_type(name, dtype) for name, dtype in table.schema.items()]}
    carriers = [_carrier(noted) if _is_carried(noted) else None for noted in note["types"]]
    empty = _to_arrow(table.head(0), carriers)
    schema = arrow.schema([(name, column.type) for name, column in zip(table.columns, empty, strict=True)])

    def convert(start: int, end: int) -> Any:
        cells = _to_arrow(table.slice(start, end - start), carriers)
        return arrow.Table.from_arrays(
            [column.cast(field.type) for column, field in zip(cells, schema, strict=True)], schema=schema
        )

    return Rows(
        f"polars.{kind.__name__}",
        schema,
        lambda: steps(table.height if table.columns else 0, convert),
        table.height,
        table.columns,
        {POLARS: base64.b64encode(tree.dump(note))},
        _parquet.keeps(schema),
    )


def frame(selection: Selection) -> Any:
    """Give a polars.DataFrame."""
    polars, arrow = library("polars"), library("pyarrow")
    notes: list[Any] | None = None
    names = selection.stored.schema.names
    if POLARS in selection.notes:
        note = _note(selection)
        places = selection.places(names)
        if not names:
            return polars.DataFrame(height=note["rows"]) if note["rows"] else polars.DataFrame()
        notes = [note["types"][place] for place in places]
        schema, parts = selection.tables(places)
    else:
        schema, parts = selection.open(is_arrow=False)
    why = "a name stands twice" if len(set(schema.names)) != len(schema.names) else ""
    why = "a column is of a union" if any(map(arrow.types.is_union, schema.types)) else why  # it would panic
    if why:
        raise ConfigError(f"polars cannot hold this table: {why}", remedy="Take it as a pyarrow.Table")
    types = None if notes is None else [_type_noted(note) for note in notes]
    late = [polars.Categorical if arrow.types.is_dictionary(kind) else None for kind in schema.types]
    early: list[Any] = [None] * len(late)
    if types is not None and notes is not None:
        has = [_holds(note, "Categorical") for note in notes]
        early = [None if is_late else kind for kind, is_late in zip(types, has, strict=True)]
        late = [kind if is_late else None for kind, is_late in zip(types, has, strict=True)]
    try:
        found = [_cast(_taken(part), early) for part in parts] or [_cast(_taken(schema.empty_table()), early)]
        return _cast(polars.concat(found, rechunk=False), late)
    except HandoffError:
        raise
    except (Exception, polars.exceptions.PanicException) as error:  # noqa: BLE001 - whatever Polars raises, or panics
        raise ConfigError(
            f"polars cannot hold this table ({first_line(error)})", remedy="Take it as a pyarrow.Table"
        ) from None


def lazy_frame(selection: Selection) -> Any:
    """Give a polars.LazyFrame of what was read."""
    return frame(selection).lazy()


def series(selection: Selection) -> Any:
    """Give a polars.Series. Raises: `ConfigError` for a table of other than one column."""
    return _arrow.the_column(frame(selection).get_columns())


def _collected(value: Any) -> Any:
    try:
        return value.collect(engine="streaming")
    except TypeError:  # pragma: no cover - Polars before 1.23
        return value.collect(streaming=True)


def _note(selection: Selection) -> dict[str, Any]:
    try:
        note = tree.load(base64.b64decode(selection.notes[POLARS], validate=True))
        found: dict[str, Any] = {"types": note["types"], "rows": int(note["rows"])}
        if note.keys() != found.keys():
            raise newer("what was noted of the Polars frame is")
        if len(found["types"]) == len(selection.stored.schema.names):
            return found
    except HandoffError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise DamagedError(f"what was noted of the Polars frame cannot be read: {first_line(error)}") from None
    raise DamagedError("what was noted of the Polars frame is of another table")


def _taken(part: Any) -> Any:
    """Take a table of Arrow, without its dictionaries: Polars would make each part's categories by themselves."""
    arrow = library("pyarrow")
    types = arrow.types
    takes_views = hasattr(library("polars"), "Categories")  # elder ones can crash on them
    for place, field in enumerate(part.schema):
        column = part.column(place)
        if types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if takes_views and (types.is_string(column.type) or types.is_large_string(column.type)):
            # Polars' own form: of others it would keep the offsets too.
            views, pool = arrow.string_view(), frugal_pool()
            column = library("pyarrow.compute").cast(column, views, memory_pool=pool)
        if column.type != field.type:
            part = part.set_column(place, field.name, column)
    names = part.column_names
    found = library("polars").from_arrow(part.rename_columns(_numbered(names)), rechunk=False)
    found.columns = names  # by Arrow it takes no name that is empty, or holds a NUL
    return found


def _cast(frame: Any, types: list[Any]) -> Any:
    """Cast columns by their place, a type of None not at all: what Polars casts by name, it takes for a selector."""
    if not any(kind is not None for kind in types):
        return frame
    names = frame.columns
    columns = [
        column.alias(number) if kind is None else column.cast(kind).alias(number)
        for column, kind, number in zip(frame.get_columns(), types, _numbered(names), strict=True)
    ]
    found = library("polars").DataFrame(columns)
    found.columns = names
    return found


def _numbered(names: list[str]) -> list[str]:
    return [str(place) for place in range(len(names))]


def _to_arrow(frame: Any, carriers: list[Any]) -> list[Any]:
    """Give the columns of a frame in Arrow. Raises: `EncodeError` naming one."""
    found: list[Any] = []
    for column, carrier in zip(frame.get_columns(), carriers, strict=True):
        try:
            cells = column if carrier is None else column.cast(carrier)
            found.append(cells.alias("0").to_frame().to_arrow().column(0))
            found[-1].validate()
        except (Exception, library("polars").exceptions.PanicException) as error:  # noqa: BLE001 - it panics, too
            where = column.name or repr(column.name)
            raise EncodeError(
                f"{where}: a column of {column.dtype} that Arrow does not take ({first_line(error)})",
                remedy="Cast it to a type that Arrow has",
                path=where,
            ) from None
    return found


# --- types ------------------------------------------------------------------------------------------------------


def _note_type(name: str, dtype: Any) -> list[Any]:
    noted = _noted(dtype)
    if noted is None or _type_noted(noted) != dtype:
        raise EncodeError(
            f"{name or repr(name)}: a column of {dtype}, which is not kept",
            remedy="Cast it to a type that Arrow has",
            path=name or "''",
        )
    return noted


def _noted(dtype: Any) -> list[Any] | None:  # noqa: PLR0911 - a line for each type
    name = dtype.base_type().__name__
    if name in _PLAIN:
        return [name]
    if name == "Datetime":
        return [name, dtype.time_unit, dtype.time_zone]
    if name == "Duration":
        return [name, dtype.time_unit]
    if name == "Decimal":
        return [name, dtype.precision, dtype.scale]
    if name == "Categorical":
        return [name, *(["lexical"] if _is_lexical(dtype) else [])]
    if name == "Enum":
        return [name, dtype.categories.to_list()]
    if name == "Struct":
        inner = [[field.name, _noted(field.dtype)] for field in dtype.fields]
        return None if any(noted is None for _, noted in inner) else [name, inner]
    if name == "List" or (name == "Array" and all(dtype.shape)):
        noted = _noted(dtype.inner)
        return noted and [name, noted, *([] if name == "List" else [dtype.shape[0]])]
    return None


def _type_noted(noted: list[Any], *, carried: bool = False) -> Any:
    polars = library("polars")
    name, *rest = noted
    if carried and name in _AS_TEXT:
        return polars.String
    if name not in {*_PLAIN, *_AS_TEXT, "Datetime", "Duration", "Decimal", "Struct", "List", "Array"}:
        raise newer(f"a column is of a type, {name!r:.40},")
    kind = getattr(polars, name, None)
    if kind is None:
        raise ConfigError(f"this Polars has no {name}", remedy="Upgrade it where the table is read")
    if name in ("List", "Array"):
        return kind(_type_noted(rest[0], carried=carried), *rest[1:])
    if name == "Struct":
        # Of gaps alone within a struct, Polars gives Arrow too few.
        fields = [(field, ["String"] if carried and inner == ["Null"] else inner) for field, inner in rest[0]]
        return kind([polars.Field(field, _type_noted(inner, carried=carried)) for field, inner in fields])
    return kind() if name == "Categorical" and hasattr(polars, "Categories") else kind(*rest)


def _carrier(noted: list[Any]) -> Any:
    return _type_noted(noted, carried=True)


def _is_carried(noted: list[Any]) -> bool:
    return bool(_carrier(noted) != _type_noted(noted))


def _holds(noted: list[Any], name: str) -> bool:
    kind, *rest = noted
    if kind == "Struct":
        return any(_holds(inner, name) for _, inner in rest[0])
    return kind == name or (kind in ("List", "Array") and _holds(rest[0], name))


def _is_lexical(dtype: Any) -> bool:
    # Since Polars has named categories, their order is always the lexical one.
    return not hasattr(library("polars"), "Categories") and dtype.ordering == "lexical"
