"""Values of Arrow as rows, and rows as values of Arrow or of Python."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from typing import Any, Protocol

from handoff.codecs import _parquet
from handoff.codecs._libraries import first_line, library
from handoff.codecs._reading import Reading
from handoff.codecs._rows import Rows
from handoff.errors import ConfigError, EncodeError, LimitError

#: Under which key of the metadata pandas and Polars note what Arrow lacks.
PANDAS, POLARS = b"handoff.pandas", b"handoff.polars"
#: How a column begins that is a level of a pandas index without a name.
UNNAMED = "__index_level_"

_POINTER = 8


class Stored(Protocol):
    """A table at rest, to be read once."""

    @property
    def schema(self) -> Any:
        """The schema, without what is ours."""
        ...

    @property
    def notes(self) -> dict[bytes, bytes]:
        """What the metadata says under keys of ours."""
        ...

    @property
    def count(self) -> int | None:
        """How many rows there are, where that is known at once."""
        ...

    def tables(self, places: Sequence[int]) -> Iterator[Any]:
        """Give the columns at some places of the schema, a part of the rows at a time."""
        ...


class Selection:
    """The columns of a table at rest that a reader asks for.

    Arguments: the table; what is asked. Raises: `ConfigError` naming a column that is not there.
    """

    def __init__(self, stored: Stored, reading: Reading) -> None:
        self.stored = stored
        self.notes = stored.notes
        self.limit = reading.limit
        self.columns = reading.columns
        if isinstance(self.columns, str):
            raise ConfigError(f"columns={self.columns!r} is one name", remedy="Give a list of names")

    def places(self, names: Sequence[str], columns: Sequence[str] | None = None) -> list[int]:
        """Give where the columns asked for stand among the names of all, each of which may be asked for by name."""
        wanted = self.columns if columns is None else columns
        if wanted is None:
            return list(range(len(names)))
        found: list[int] = []
        for name in wanted:
            places = [place for place, known in enumerate(names) if known == name]
            if not places:
                there = ", ".join(repr(known) for known in names)
                raise ConfigError(f"the table has no column {name!r}", remedy=f"It has {there or 'none'}")
            found += [place for place in places if place not in found]
        return found

    def tables(self, places: Sequence[int]) -> tuple[Any, Iterator[Any]]:
        """Give the schema of the columns at some places, and their rows part by part."""
        arrow, schema = library("pyarrow"), self.stored.schema
        return (
            arrow.schema([schema.field(place) for place in places], metadata=schema.metadata),
            self.stored.tables(places),
        )

    def open(self, *, is_arrow: bool) -> tuple[Any, Iterator[Any]]:
        """Give schema and rows for another library than the one that wrote them.

        Arguments: ``is_arrow``, whether the levels of a pandas index that bear no name are given too, as Arrow does.
        Raises: `ConfigError` where a column is of Python objects.
        """
        names = self.stored.schema.names
        places = self.places(names)
        if PANDAS in self.notes:
            from handoff.codecs import _pandas

            hidden = set() if is_arrow and self.columns is None else _pandas.hidden(self)
            places = [place for place in places if place not in hidden]
            _pandas.check_open(self, places)
        return self.tables(places)


def rows_of(value: Any) -> Rows:
    """Take a value of pyarrow, or of any library whose tables Arrow can stream. Raises: `EncodeError`."""
    arrow = library("pyarrow")
    kind = type(value)
    if kind is arrow.RecordBatchReader or not isinstance(
        value, (arrow.Table, arrow.RecordBatch, arrow.ChunkedArray, arrow.Array)
    ):
        name = "pyarrow.RecordBatchReader" if kind is arrow.RecordBatchReader else "pyarrow.Table"
        stream = value if kind is arrow.RecordBatchReader else arrow.RecordBatchReader.from_stream(value)
        _check(stream.schema, None)
        is_parquet = not any(map(_parquet.has_dictionary, stream.schema.types)) and _parquet.keeps(stream.schema)
        return Rows(name, stream.schema, lambda: _checked(stream), None, stream.schema.names, {}, is_parquet)
    if isinstance(value, (arrow.ChunkedArray, arrow.Array)):
        name = "pyarrow.ChunkedArray" if kind is arrow.ChunkedArray else "pyarrow.Array"
        table = arrow.table({"": value})
    else:
        name = f"pyarrow.{kind.__name__}"
        table = value if kind is arrow.Table else arrow.Table.from_batches([value])
    _check(table.schema, table.num_rows)
    _check_cells(table)
    if not table.schema.metadata:
        table = table.replace_schema_metadata(None)  # metadata of no entries is none
    doubtful = [place for place, kind in enumerate(table.schema.types) if _parquet.has_dictionary(kind)]
    try:
        table, is_parquet = (table.unify_dictionaries() if doubtful else table), _parquet.keeps(table.schema)
        parts = [table]
    except arrow.ArrowException:  # of dictionaries that hold a null, which Arrow does not join either
        parts, is_parquet = table.to_batches(), False
    is_parquet = is_parquet and (not doubtful or _parquet.gives_back(table.select(doubtful)))
    return Rows(name, table.schema, lambda: iter(parts), table.num_rows, table.schema.names, {}, is_parquet)


def table(selection: Selection) -> Any:
    """Give a pyarrow.Table."""
    schema, parts = selection.open(is_arrow=True)
    arrow, found = library("pyarrow"), list(parts)
    return arrow.concat_tables(found) if found else arrow.Table.from_batches([], schema)


def batch(selection: Selection) -> Any:
    """Give a pyarrow.RecordBatch."""
    with cannot("one pyarrow.RecordBatch", "Take it as a pyarrow.Table"):
        found = table(selection).combine_chunks()
    batches = found.to_batches()
    return batches[0] if batches else library("pyarrow").RecordBatch.from_pylist([], schema=found.schema)


def reader(selection: Selection) -> Any:
    """Give a pyarrow.RecordBatchReader that reads as it goes; it keeps the file open until its end."""
    schema, parts = selection.open(is_arrow=True)
    return library("pyarrow").RecordBatchReader.from_batches(schema, _batches(parts))


def _batches(parts: Iterator[Any]) -> Iterator[Any]:
    for part in parts:
        found = part.to_batches()[::-1]
        del part  # nothing but the reader's own batch is held while the next part is read
        while found:
            yield found.pop()


def chunked_array(selection: Selection) -> Any:
    """Give a pyarrow.ChunkedArray. Raises: `ConfigError` for a table of other than one column."""
    return the_column(table(selection).columns)


def array(selection: Selection) -> Any:
    """Give a pyarrow.Array. Raises: `ConfigError` for a table of other than one column."""
    found = chunked_array(selection)
    with cannot("one pyarrow.Array", "Take it as a pyarrow.ChunkedArray"):
        return found.chunk(0) if found.num_chunks == 1 else found.combine_chunks()


def rows(selection: Selection) -> list[dict[str, Any]]:
    """Give the rows as dicts. Nanoseconds, which Python lacks, become microseconds, where that alters nothing."""
    schema, parts = selection.open(is_arrow=False)
    if len(set(schema.names)) != len(schema.names):
        raise ConfigError("rows cannot hold a name that stands twice", remedy="Take it as a pyarrow.Table")
    found: list[dict[str, Any]] = []
    for part in parts:
        if (len(found) + part.num_rows) * _POINTER > selection.limit:
            raise LimitError(
                f"the rows take over {selection.limit:,} bytes in memory, which are allowed", limit=selection.limit
            )
        with cannot("Python", "Take it as a pyarrow.Table"):
            found += _in_microseconds(part).to_pylist()
    return found


def the_column(columns: Sequence[Any]) -> Any:
    """Give the one column of a table. Raises: `ConfigError` where there is another number of them."""
    if len(columns) != 1:
        raise ConfigError(
            f"a series is one column, and the table has {len(columns)}",
            remedy="Choose one by columns=, or take a frame",
        )
    return columns[0]


@contextlib.contextmanager
def cannot(who: str, remedy: str) -> Generator[None]:
    """Say that another library cannot hold a table."""
    try:
        yield
    except (
        library("pyarrow").ArrowException,
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        raise ConfigError(f"{who} cannot hold this table ({first_line(error)})", remedy=remedy) from None


def _check(schema: Any, rows: int | None) -> None:
    if not schema.names and rows != 0:
        raise EncodeError("columns: a table that may have rows, without any column", remedy="Add one", path="columns")
    # What is like the name of the checksum would be taken for its place.
    if any(
        key.startswith((_parquet.OURS, b"ARROW:")) or _parquet.CHECK_KEY in key + b"\0" + text
        for key, text in (schema.metadata or {}).items()
    ):
        raise EncodeError("the value: a table with 'handoff' or 'ARROW:' in its metadata", remedy="Rename that key")


def _checked(stream: Any) -> Iterator[Any]:
    for batch in stream:
        if not batch.schema.equals(stream.schema):
            raise EncodeError(
                "the value: a stream with a batch of another schema", remedy="Cast the batch to the first"
            )
        _check_cells(batch)
        yield batch


def _check_cells(part: Any) -> None:
    """Look at what nothing but its maker vouches for. Raises: `EncodeError` naming a column."""
    for field, column in zip(part.schema, part.columns, strict=True):
        try:
            _check_column(field, column)
        except ValueError as error:  # what Arrow raises is one
            where = field.name or repr(field.name)
            raise EncodeError(
                f"{where}: {first_line(error)}", remedy="Make the cells valid for its type", path=where
            ) from None


def _check_column(field: Any, column: Any) -> None:
    if column.null_count and not field.nullable:
        raise ValueError("a column that may have no nulls has some")
    column.validate(full=_parquet.may_be_invalid(field.type))


def _in_microseconds(part: Any) -> Any:
    for place, field in enumerate(part.schema):
        kind = _micro(field.type)
        if kind != field.type:
            part = part.set_column(place, field.name, part.column(place).cast(kind))
    return part


def _micro(kind: Any) -> Any:  # noqa: PLR0911 - a line for each type
    """Give a type without nanoseconds, at any depth."""
    arrow = library("pyarrow")
    types = arrow.types
    if types.is_timestamp(kind) and kind.unit == "ns":
        return arrow.timestamp("us", kind.tz)
    if types.is_duration(kind) and kind.unit == "ns":
        return arrow.duration("us")
    if types.is_time64(kind):
        return arrow.time64("us")
    if types.is_struct(kind):
        return arrow.struct([field.with_type(_micro(field.type)) for field in kind])
    if types.is_map(kind):
        return arrow.map_(_micro(kind.key_type), kind.item_field.with_type(_micro(kind.item_type)), kind.keys_sorted)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        field = kind.value_field.with_type(_micro(kind.value_type))
        if types.is_fixed_size_list(kind):
            return arrow.list_(field, kind.list_size)
        return arrow.list_(field) if types.is_list(kind) else arrow.large_list(field)
    return kind
