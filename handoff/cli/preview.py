"""The start of a value: `head`. Of a table only the first rows are fetched, of a file the first bytes."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, BinaryIO, Final, NamedTuple

import click
import msgspec

from handoff import codecs, envelope
from handoff.cli import layout, looking, place, terminal, writing
from handoff.cli.forms import numpy
from handoff.cli.terminal import Column, shown
from handoff.codecs._libraries import library
from handoff.envelope import Inline, Stored
from handoff.errors import ConfigError, DamagedError
from handoff.records import AsStored, Record, Rows
from handoff.store import Store, storage_of

_CELL, _GAP, _MOST_CELLS = 40, 2, 64
_BYTES_OF_A_FILE: Final = 16 * 1024
_BUFFER: Final = 64 * 1024
_HEX_WIDTH, _ASCII = 16, 128


class Head(NamedTuple):
    """The start of a value: rows of a table, or lines of any other."""

    summary: str
    rows: int | None = None
    columns: list[dict[str, str]] | None = None
    head: list[Any] = []  # noqa: RUF012 - it is never changed


@click.command(
    cls=layout.Command,
    epilog="""\b
Examples:
  handoff head --dag etl --run 2026-11-21 --task extract
  handoff head "$ENVELOPE" --lines 3 --columns year,month,carrier""",
)
@click.argument("what", required=False, metavar="[WHAT]")
@click.option("-n", "--lines", type=click.IntRange(1, 10_000), default=10, metavar="N", help="So many rows; else 10.")
@click.option("--columns", metavar="NAMES", help="Only these columns of a table, with commas between.")
@click.option("--file", "is_file", is_flag=True, help="Take what stands at an address as a file, whatever it is.")
@place.which()
@place.where
def head(*, what: str | None, lines: int, columns: str | None, is_file: bool, **given: Any) -> None:
    """Show the first rows of a table, or the start of any value.

    WHAT is an envelope, - to read one from stdin, or an address; or --dag, --run and --task name it. Of a table in
    Parquet only its first rows are fetched; a table that is too wide is shown with a line for each column. Trees
    and arrays are fetched whole.
    """
    store = place.store_of(given)
    target = place.target(what, given, store)
    codec = looking.codec_of(store, target, is_file=is_file)
    if columns is not None and codec != codecs.TABLE:
        raise ConfigError("only a table has columns", remedy="Leave --columns away")
    with terminal.progress("getting"):
        if codec == codecs.TABLE:
            found = _of_table(store, target, lines, columns.split(",") if columns else None)
        else:
            found = _HEADS.get(codec, _of_tree)(store, target, lines)
    if terminal.is_json():
        shape = {"codec": codec, **found._asdict()}
        click.echo(writing.encode(shape))
        return
    terminal.say(shown(found.summary))
    if found.columns is None:
        for line in found.head:
            click.echo(shown(line, 2_000))
    else:
        _draw(found.columns, found.head)


def _of_table(store: Store, what: Any, lines: int, names: Sequence[str] | None) -> Head:
    with contextlib.ExitStack() as opened:
        file = _in_place(store, what, opened)
        count: int | None = None
        if file is not None:
            schema, count = file.schema_arrow, file.metadata.num_rows
            batches = file.iter_batches(batch_size=lines, columns=_known(names, schema), use_threads=False)
        elif isinstance(what, Inline):
            table = store.get(what, library("pyarrow").Table)
            schema, count, batches = table.schema, table.num_rows, table.to_batches(max_chunksize=lines)
        else:
            batches = store.get(what, library("pyarrow").RecordBatchReader)
            schema = batches.schema
        first = _first(batches, lines, schema)
    if _known(names, schema) is not None:  # by their places, as a name may stand twice
        first = first.select([first.schema.names.index(name) for name in names or ()])
    fields = [{"name": field.name, "type": str(field.type)} for field in first.schema]
    values = zip(*(column.to_pylist() for column in first.columns), strict=True)
    rows = "rows" if count is None else terminal.count(count, "row")
    summary = f"{rows} × {terminal.count(len(schema.names), 'column')}"
    return Head(summary, count, fields, [list(row) for row in values])


def _in_place(store: Store, what: Any, opened: contextlib.ExitStack) -> Any:
    """Open the Parquet file of a table where it stands; None where it is none, or not the one that is meant."""
    at = envelope.address_of(what)
    if at is None:
        return None
    source = opened.enter_context(storage_of(store).place(at.path))
    if source.at(0, len(codecs.PARQUET)) != codecs.PARQUET:
        return None
    from handoff.codecs import table

    try:
        stamp = table.read_stamp(source)
        table.check_scan(source)
    except (DamagedError, ConfigError):  # reading the whole tells, or gives it all the same
        return None
    if stamp.header.address != at or (isinstance(what, Stored) and what.check != stamp.check.decode("latin-1")):
        return None
    file = library("pyarrow").PythonFile(opened.enter_context(source.reader()), mode="r")
    # A page at a time: a column of a row group may have many megabytes.
    options = {"buffer_size": _BUFFER, "pre_buffer": False, "page_checksum_verification": True}
    return library("pyarrow.parquet").ParquetFile(file, **options)


def _first(batches: Iterable[Any], lines: int, schema: Any) -> Any:
    found: list[Any] = []
    for batch in batches:
        found.append(batch)
        if sum(map(len, found)) >= lines:
            break
    schema = found[0].schema if found else schema
    return library("pyarrow").Table.from_batches(found, schema).slice(0, lines)


def _known(names: Sequence[str] | None, schema: Any) -> Sequence[str] | None:
    """Give the names of columns that are asked for. Raises: `ConfigError` where one is not there."""
    unknown = [name for name in names or () if name not in schema.names]
    if unknown:
        raise ConfigError(f"there is no column {unknown[0]!r}", remedy=f"There are {shown(', '.join(schema.names))}")
    return names


def _of_array(store: Store, what: Any, lines: int) -> Head:
    array = store.get(what)
    shape = " × ".join(f"{length:,}" for length in array.shape) or "no dimension"
    text = numpy().array2string(
        array[:lines] if array.ndim else array, threshold=_MOST_CELLS, edgeitems=3, max_line_width=terminal.width()
    )
    return Head(f"{array.dtype} array of {shape}", head=text.splitlines())


def _of_file(store: Store, what: Any, lines: int) -> Head:
    at = envelope.address_of(what)
    if at is None:
        with store.get(what, BinaryIO) as file:
            data = file.read(_BYTES_OF_A_FILE)
    else:
        with storage_of(store).place(at.path) as source:
            if isinstance(what, Stored) and source.size != what.size:
                store.get(what, BinaryIO).close()  # it says what is wrong
            data = source.at(0, _BYTES_OF_A_FILE)
    text = data.decode("utf-8", "replace")
    is_text = "\0" not in text and "�" not in text[:-3]
    found = text.splitlines() if is_text else [_hex(start, data) for start in range(0, len(data), _HEX_WIDTH)]
    return Head("a file of text" if is_text else "a file", head=found[:lines])


def _of_tree(store: Store, what: Any, lines: int) -> Head:
    value: Any = store.get(what, AsStored)
    size = f" of {len(value):,}" if hasattr(value, "__len__") and not isinstance(value, str) else ""
    name = value.name if isinstance(value, Record) else "list" if type(value) is Rows else type(value).__name__
    text = msgspec.json.format(writing.encode(_start(value, lines)), indent=2).decode()
    found = text.splitlines()
    return Head(f"{name}{size}, as JSON", head=[*found[:lines], *(["…"] if len(found) > lines else [])])


def _start(value: Any, most: int) -> Any:
    """Take the first of what a container holds: it may hold millions."""
    if type(value) is Rows:
        return value.records()[:most]
    if isinstance(value, list | tuple | set | frozenset):
        return list(itertools.islice(value, most))
    return dict(itertools.islice(value.items(), most)) if isinstance(value, dict) else value


def _hex(start: int, data: bytes) -> str:
    part = data[start : start + _HEX_WIDTH]
    text = "".join(chr(byte) if chr(byte).isprintable() and byte < _ASCII else "." for byte in part)
    return f"{start:08x}  {part.hex(' '):<{3 * _HEX_WIDTH}} {text}"


def _draw(columns: Sequence[dict[str, str]], rows: Sequence[Sequence[Any]]) -> None:
    cells = [[_cell(value) for value in row] for row in rows]
    titles = [shown(column["name"], _CELL) for column in columns]
    widths = [max(map(len, [title, *(row[place] for row in cells)])) for place, title in enumerate(titles)]
    if sum(widths) + _GAP * len(widths) <= terminal.width():
        is_number = [column["type"].startswith(("int", "uint", "float", "double")) for column in columns]
        drawn = [Column(title, is_number=number) for title, number in zip(titles, is_number, strict=True)]
        terminal.print_table(drawn, cells)
        return
    values = zip(*cells, strict=True) if cells else [()] * len(columns)
    lines = [
        (title, shown(column["type"], _CELL), ", ".join(row))
        for title, column, row in zip(titles, columns, values, strict=True)
    ]
    terminal.print_table([Column("column", "cyan"), Column("type", "dim"), Column("first values", is_cut=True)], lines)


def _cell(value: Any) -> str:
    text = "–" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return shown(text, _CELL)


_HEADS: Final[dict[str, Callable[[Store, Any, int], Head]]] = {codecs.ARRAY: _of_array, codecs.FILE: _of_file}
