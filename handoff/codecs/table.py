"""Tables of pandas, Polars and Arrow as Parquet files, or as Arrow's own stream where Parquet lacks a type.

What a library has beyond Arrow's types stands in the metadata, so that a table comes back as it was in the library
that wrote it; any other gets its rows.
"""

from __future__ import annotations

import io
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Final, Union, get_args, get_origin

from handoff.artifact import Buffer, Header, Payload, Sink
from handoff.codecs import _arrow, _ipc, _pandas, _parquet, _polars
from handoff.codecs._libraries import library
from handoff.codecs._reading import Reading
from handoff.codecs._rows import Rows, Ruler, least_size
from handoff.config import INLINE_SIZE
from handoff.errors import ConfigError, DamagedError, EncodeError, newer
from handoff.records import name_of
from handoff.spool import Source

id: Final = "table"

read_header = _parquet.read_header
read_stamp = _parquet.read_stamp

# A table this many times larger than the room for it is not tried inline.
_SHRINKS_AT_MOST = 64
_PREVIEW_COLUMNS = 8
_LARGEST = 2**62
_ROWS, _BATCHES = "list", "pyarrow.RecordBatchReader"


class Table:
    """A table in its library's memory, converted and written group by group when its bytes are asked for."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._is_parquet = rows.is_parquet
        self.type = rows.type
        #: What a footer says of the whole file, by which a part of it is known.
        self.check: str | None = None
        self.raw_size = least_size(rows.schema, rows.rows or 0)

    def preview(self) -> str:
        names, count = self._rows.names, self._rows.rows
        more = ", …" if len(names) > _PREVIEW_COLUMNS else ""
        columns = f"{len(names)} column{'' if len(names) == 1 else 's'}"
        rows = "a stream" if count is None else f"{count:,} row{'' if count == 1 else 's'}"
        return f"{rows} × {columns}: {', '.join(names[:_PREVIEW_COLUMNS])}{more}"

    def bare(self, room: int) -> bytes | None:
        most = min(INLINE_SIZE, room * _SHRINKS_AT_MOST)
        if self._rows.rows is None or self.raw_size > most:
            return None
        sink = _Room(room)
        try:
            self._write(sink, None, most)
        except OverflowError:
            return None
        data = sink.content.getvalue()
        return data if self.raw_size <= INLINE_SIZE else None

    def write(self, sink: Sink, header: Callable[[], Header] | None) -> None:
        self._write(sink, header, None)

    def _write(self, sink: Sink, header: Callable[[], Header] | None, most: int | None) -> None:
        ruler = Ruler(self._rows.schema, self._rows.rows, most)

        def measured(size: int) -> Header | None:
            self.raw_size = size
            return None if header is None else header()

        if self._is_parquet:
            self.check = _parquet.write(sink, self._rows, ruler, measured)
        else:
            _ipc.write(sink, self._rows, ruler, measured)


def encode(value: Any) -> Table:
    """Encode a table or a column of pandas, Polars or Arrow, or a stream of Arrow's. See `handoff.codecs.Codec`."""
    kind = type(value)
    packages = {str(base.__module__).partition(".")[0] for base in kind.__mro__}
    if "pandas" in packages:
        rows = _pandas.rows_of(value) if kind in _pandas.classes() else None
    elif "polars" in packages:
        rows = _polars.rows_of(value) if kind in _polars.classes() else None
    else:
        rows = _arrow.rows_of(value)
    if rows is None:
        raise EncodeError(
            f"the value: {kind.__module__}.{kind.__qualname__}, which would come back as its base class",
            remedy="Convert it to that class, if that is what you mean",
        )
    return Table(rows)


def weigh(source: Source) -> int:
    """Say how many bytes a table takes in memory. See `handoff.codecs.Codec`."""
    if source.at(0, 4) == _parquet.MAGIC:
        return _parquet.Parquet(source, Reading("", _LARGEST)).size
    return Payload(source).size


def decode(source: Source, reading: Reading) -> Any:
    """Decode what `encode` made, into the library that the reader's type names, else the one that wrote it.

    A list in the reader's type (``list[dict]``) gives the rows, an iterator of ``pyarrow.RecordBatch`` reads them
    as it goes.
    """
    form = _form(reading.type) or reading.name
    convert = _CONVERT.get(form)
    if reading.name not in _CONVERT and (reading.is_known or reading.header is None):
        raise newer(f"the table is of a type, {reading.name!r:.40},")
    if convert is None or reading.name not in _CONVERT or reading.name == _ROWS:
        raise DamagedError(f"a {reading.name} was recorded, and the artifact is a table")
    stored = (_parquet.Parquet if source.at(0, 4) == _parquet.MAGIC else _ipc.Ipc)(source, reading)
    return convert(_arrow.Selection(stored, reading))


def dataset(path: str, filesystem: Any, wanted: Any) -> Any:
    """Give what reads a Parquet file in place when it is asked to: a dataset of pyarrow, or a LazyFrame of Polars.

    Arguments: the path, on a filesystem of fsspec's or, where that is None, on this machine.
    """
    datasets = library("pyarrow.dataset")
    options = datasets.ParquetFragmentScanOptions(page_checksum_verification=True)
    form = datasets.ParquetFileFormat(default_fragment_scan_options=options)
    found = datasets.dataset(path, format=form, filesystem=filesystem)
    return _lazy(found.replace_schema(_parquet.without_ours(found.schema)), wanted)


def check_scan(source: Source) -> None:
    """Refuse a Parquet file that no other library reads as it is. Raises: `ConfigError`, `DamagedError`."""
    selection = _arrow.Selection(_parquet.Parquet(source, Reading("", _LARGEST)), Reading("", _LARGEST))
    names = selection.stored.schema.names
    if _arrow.PANDAS in selection.notes:
        _pandas.check_open(selection, range(len(names)))
    _check_names(names)


def _check_names(names: list[str]) -> None:
    if len(set(names)) != len(names):
        raise ConfigError("a table where a name stands twice is not scanned", remedy="Load it")


def dataset_of(table: Any, wanted: Any) -> Any:
    """Give the same of a table that is in memory."""
    _check_names(table.column_names)
    return _lazy(library("pyarrow.dataset").dataset(table), wanted)


def _lazy(found: Any, wanted: Any) -> Any:
    form = _form(wanted)
    if form not in (None, "polars.LazyFrame"):
        raise ConfigError(f"a table is not scanned as a {form}", remedy="Scan as polars.LazyFrame, or with no type")
    return library("polars").scan_pyarrow_dataset(found) if form else found


def _form(wanted: Any) -> str | None:
    """Give the form of a table that a reader asks for, told without importing its library."""
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        found = [form for form in map(_form, get_args(wanted)) if form]
        return found[0] if found else None
    if origin is Annotated:
        return _form(get_args(wanted)[0])
    if origin is list:
        return _ROWS
    if origin in (Iterator, Iterable):
        return _BATCHES if [_form(kind) for kind in get_args(wanted)] == ["pyarrow.RecordBatch"] else None
    if not isinstance(wanted, type):
        return None
    name = name_of(wanted)
    return name if name in _CONVERT else None


class _Room:
    """A sink for so many bytes. Raises: `OverflowError` where there are more."""

    def __init__(self, room: int) -> None:
        self._room = room
        self.content = io.BytesIO()

    def write(self, data: Buffer) -> None:
        if self.content.tell() + len(data) > self._room:
            raise OverflowError
        self.content.write(data)


_CONVERT: dict[str, Callable[[_arrow.Selection], Any]] = {
    "pandas.DataFrame": _pandas.frame,
    "pandas.Series": _pandas.series,
    "polars.DataFrame": _polars.frame,
    "polars.LazyFrame": _polars.lazy_frame,
    "polars.Series": _polars.series,
    "pyarrow.Table": _arrow.table,
    "pyarrow.RecordBatch": _arrow.batch,
    _BATCHES: _arrow.reader,
    "pyarrow.ChunkedArray": _arrow.chunked_array,
    "pyarrow.Array": _arrow.array,
    _ROWS: _arrow.rows,
}
