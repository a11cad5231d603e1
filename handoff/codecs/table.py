"""Tables as Parquet files, compressed with zstd, with the header in the file's metadata.

A column of a type that Parquet is known to give back is written unseen. Any other is written, read back and
compared, so that it arrives as it is or is refused by name.
"""

from __future__ import annotations

import datetime as dt
import decimal
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from handoff.artifact import Header, Sink
from handoff.codecs._reading import Reading
from handoff.config import INLINE_SIZE
from handoff.errors import ConfigError, DamagedError, DependencyError, EncodeError, LimitError
from handoff.spool import Source

id: Final = "table"

_METADATA_KEY = b"handoff"
# A checksum of the whole file, itself taken as zeros: Parquet's own covers the pages, and not the footer.
_CHECK_KEY = b"handoff.crc32"
_UNSEALED = b"00000000"
# A table this many times larger than the room for it is not tried inline.
_SHRINKS_AT_MOST = 64
_POINTER = 8
_TEXTS = ("string", "large_string", "binary", "large_binary")
_CHECK_FIELD = _CHECK_KEY + b"\x18\x08"  # in Thrift's compact protocol: the next field, text of eight bytes
_PANDAS, _ARROW = "pandas.DataFrame", "pyarrow.Table"
_EXTRAS = {"pandas": "pandas", "pyarrow": "arrow"}
# Cells of a column of Python objects: of these types, what is read back is compared by type and text.
_CELLS = frozenset({str, bytes, bool, dt.date, decimal.Decimal, type(None)})
_PREVIEW_COLUMNS = 8

_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_KNOWN_DTYPES = frozenset(
    [*_INTEGERS, "bool", "float32", "float64"]
    + [f"{kind}[{unit}]" for kind in ("datetime64", "timedelta64") for unit in ("ms", "us", "ns")]
)
_KNOWN_TYPES = frozenset(
    [*_INTEGERS, "bool", "float", "double", "string", "large_string", "binary", "large_binary", "date32[day]"]
    + [f"timestamp[{unit}]" for unit in ("ms", "us", "ns")]
)


class Table:
    """A table in Arrow's memory, written as Parquet when its bytes are asked for."""

    def __init__(self, table: Any, kind: str) -> None:
        self._table = table
        self.type = kind
        self.raw_size = _size_of(table.schema, table.num_rows, table.columns)

    def preview(self) -> str:
        names = [name for name in self._table.column_names if not name.startswith("__index_level_")]
        more = ", …" if len(names) > _PREVIEW_COLUMNS else ""
        columns = f"{len(names)} column{'' if len(names) == 1 else 's'}"
        return f"{self._table.num_rows:,} rows × {columns}: {', '.join(names[:_PREVIEW_COLUMNS])}{more}"

    def bare(self, room: int) -> bytes | None:
        if self.raw_size > min(INLINE_SIZE, room * _SHRINKS_AT_MOST):
            return None
        data = _write(self._table, {})
        return data if len(data) <= room else None

    def write(self, sink: Sink, header: Callable[[], Header]) -> None:
        sink.write(_write(self._table, {_METADATA_KEY: header().to_json()}))


def encode(value: Any) -> Table:
    """Encode a pandas DataFrame or a pyarrow Table. See `handoff.codecs.Codec`."""
    arrow = _library("pyarrow")
    if type(value) is arrow.Table:
        _check_arrow(value)
        return Table(value, _ARROW)
    pandas = _library("pandas")
    if type(value) is not pandas.DataFrame:
        raise EncodeError(
            f"the value: {type(value).__module__}.{type(value).__qualname__}, which would come back as its base class",
            remedy="Convert it to that class, if that is what you mean",
        )
    return Table(_from_pandas(value), _PANDAS)


def read_header(source: Source) -> Header:
    """Read the header from the file's metadata. Raises: `DamagedError`."""
    data = source.data()
    start, check = _check_of(data)
    if data[start : start + len(check)] != check:
        raise DamagedError("the Parquet file does not match its checksum")
    text = (_open(data).metadata.metadata or {}).get(_METADATA_KEY)
    if text is None:
        raise DamagedError("the Parquet file has no header of a handoff in its metadata")
    return Header.from_json(text)


def decode(source: Source, reading: Reading) -> Any:
    """Decode what `encode` made, into the library that the reader's type names, else the one that wrote it."""
    data, header, type, name, limit = source.data(), reading.header, reading.type, reading.name, reading.limit
    arrow = _library("pyarrow")
    file = _open(data)
    groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
    # Repeated cells take no room in the file: what they take in memory follows from their number.
    sizes = [sum(group.total_byte_size for group in groups), _size_of(file.schema_arrow, file.metadata.num_rows, ())]
    size = max(*sizes, 0 if header is None else header.raw_size)
    if size > limit:
        raise LimitError(f"the table takes {size:,} bytes in memory, and {limit:,} are allowed", size=size, limit=limit)
    wanted = _named(type) or name
    if wanted not in (_PANDAS, _ARROW):
        raise DamagedError(f"a {wanted} was recorded, and the artifact is a table")
    if wanted == _PANDAS:
        _library("pandas")
    try:
        table = file.read()
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise DamagedError(f"the Parquet file cannot be read: {_first_line(error)}") from None
    metadata = {key: text for key, text in (table.schema.metadata or {}).items() if not key.startswith(_METADATA_KEY)}
    table = table.replace_schema_metadata(metadata or None)
    if wanted == _ARROW:
        return table
    try:
        return table.to_pandas()
    except (arrow.ArrowException, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ConfigError(
            f"pandas cannot hold this table ({_first_line(error)})", remedy="Take it as a pyarrow.Table"
        ) from None


def _named(wanted: Any) -> str | None:
    """Give the name of a table type that a reader asks for, told without importing its library."""
    package = getattr(wanted, "__module__", "").partition(".")[0]
    name = f"{package}.{getattr(wanted, '__qualname__', '')}"
    return name if name in (_PANDAS, _ARROW) else None


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        extra = _EXTRAS[name]
        raise DependencyError(
            f"this table needs {name}, which is not installed", remedy=f"Install dag-handoff[{extra}]", extra=extra
        ) from None


def _write(table: Any, metadata: dict[bytes, bytes]) -> bytes:
    arrow, parquet = _library("pyarrow"), _library("pyarrow.parquet")
    sink = arrow.BufferOutputStream()
    # Parquet's own name for the elements of a list would take the place of the table's.
    options = {"compression": "zstd", "write_page_checksum": True, "use_compliant_nested_type": False}
    with parquet.ParquetWriter(sink, table.schema, **options) as writer:
        writer.write_table(table)
        if metadata:
            writer.add_key_value_metadata({**metadata, _CHECK_KEY: _UNSEALED})
    data: bytes = sink.getvalue().to_pybytes()
    return _seal(data) if metadata else data


def _open(data: bytes) -> Any:
    arrow, parquet = _library("pyarrow"), _library("pyarrow.parquet")
    try:
        return parquet.ParquetFile(arrow.BufferReader(data), page_checksum_verification=True)
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise DamagedError(f"the Parquet file cannot be read: {_first_line(error)}") from None


def _size_of(schema: Any, rows: int, columns: Any) -> int:
    """Give the bytes that cells take in memory, from their number and types: buffers differ for the same table.

    Texts count with their lengths where the ``columns`` are at hand.
    """
    compute = _library("pyarrow.compute")
    size = 0
    for index, field in enumerate(schema):
        try:
            size += rows * field.type.bit_width // 8
        except ValueError:  # no fixed width
            size += rows * _POINTER
            if columns and str(field.type) in _TEXTS:
                size += compute.sum(compute.binary_length(columns[index])).as_py() or 0
    return size


def _seal(data: bytes) -> bytes:
    start, check = _check_of(data)
    return b"".join((data[:start], check, data[start + len(check) :]))


def _check_of(data: bytes) -> tuple[int, bytes]:
    """Find where a file keeps its checksum, and what it should be."""
    start = data.rfind(_CHECK_FIELD) + len(_CHECK_FIELD)
    if start < len(_CHECK_FIELD):
        raise DamagedError("the Parquet file has no checksum of a handoff in its metadata")
    view = memoryview(data)
    check = zlib.crc32(view[start + len(_UNSEALED) :], zlib.crc32(_UNSEALED, zlib.crc32(view[:start])))
    return start, b"%08x" % check


def _from_pandas(frame: Any) -> Any:
    arrow = _library("pyarrow")
    if frame.attrs or not frame.flags.allows_duplicate_labels:
        raise EncodeError("the value: a frame with attrs or flags, which Parquet does not keep", remedy="Clear them")
    _check_names(list(frame.columns))
    doubtful = [name for name, dtype in frame.dtypes.items() if not _is_known(dtype)]
    if not len(frame.columns):
        raise EncodeError("columns: a frame without any", remedy="Return its index by itself", path="columns")
    for name in doubtful:
        _check_pandas(frame[[name]].reset_index(drop=True), name or "''")
    if not _is_counter(frame.index):
        _check_pandas(frame.iloc[:, :0], "index")
    _check_pandas(frame.iloc[:0].drop(columns=doubtful), "columns")
    return arrow.Table.from_pandas(frame)


def _check_names(names: list[Any]) -> None:
    seen: set[str] = set()
    for position, name in enumerate(names):
        where = f"columns[{position}]"
        if type(name) is not str:
            kind = type(name).__name__
            raise EncodeError(
                f"{where}: a name of type {kind}, and Parquet names are text", remedy="Rename it", path=where
            )
        if name in seen or name.startswith("__index_level_"):
            raise EncodeError(f"{where}: the name {name!r} stands twice or is reserved", remedy="Rename it", path=where)
        seen.add(name)


def _is_known(dtype: Any) -> bool:
    name = str(dtype)
    return name in _KNOWN_DTYPES or (name == "str" and dtype.storage == "pyarrow")


def _is_counter(index: Any) -> bool:
    return type(index) is _library("pandas").RangeIndex and (index.name is None or type(index.name) is str)


def _check_pandas(part: Any, path: str) -> None:
    """Write a part, read it back, and refuse it where it is not the same."""
    arrow, pandas = _library("pyarrow"), _library("pandas")
    try:
        table = arrow.Table.from_pandas(part)
        back = _open(_write(table, {})).read().to_pandas()
        pandas.testing.assert_frame_equal(
            part, back, check_exact=True, check_freq=True, check_index_type="exact", check_column_type="exact"
        )
        why = "" if _cells(part) == _cells(back) else "its cells would come back altered, or are of a type not kept"
    except (arrow.ArrowException, AssertionError, DamagedError, TypeError, ValueError) as error:
        why = _first_line(error)
    if why:
        raise EncodeError(
            f"{path}: Parquet would not give it back as it is ({why})",
            remedy="Convert it to a type that Parquet has, or hand it over as plain Python values",
            path=path,
        )


def _cells(frame: Any) -> list[Any]:
    """Give what tells the cells of object columns and indexes apart, which == may not: type and text."""
    levels = [frame.index.get_level_values(level) for level in range(frame.index.nlevels)]
    objects = [cells for cells in [*levels, *(frame[name] for name in frame.columns)] if str(cells.dtype) == "object"]
    # Anything else than these types is unlike even itself.
    return [(type(cell), str(cell)) if type(cell) in _CELLS else object() for cells in objects for cell in cells]


def _check_arrow(table: Any) -> None:
    schema = table.schema
    if any(key.startswith((_METADATA_KEY, b"ARROW:")) for key in schema.metadata or {}):
        raise EncodeError("the value: a table with 'handoff' or 'ARROW:' in its metadata", remedy="Rename that key")
    is_unique = len(set(schema.names)) == len(schema.names)
    doubtful = [
        index
        for index, field in enumerate(schema)
        if not is_unique or str(field.type) not in _KNOWN_TYPES or not field.nullable or field.metadata
    ]
    if schema.names and not doubtful:
        return
    arrow = _library("pyarrow")
    try:
        back = _open(_write(table, {})).read()
        same = back.num_rows == table.num_rows and back.schema.equals(schema, check_metadata=True)
        same = same and all(back.column(index).equals(table.column(index)) for index in doubtful)
    except (arrow.ArrowException, DamagedError):
        same = False
    if not same:
        names = (
            ", ".join(f"{schema.field(index).name}: {schema.field(index).type}" for index in doubtful) or "its columns"
        )
        raise EncodeError(
            f"{names}: Parquet would not give it back as it is", remedy="Cast it to a type that Parquet has", path=names
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
