"""Tables as Parquet files that check themselves: `docs/design/0003-a-table-checks-itself.md`."""

from __future__ import annotations

import contextlib
import struct
import threading
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from handoff import artifact
from handoff.artifact import Buffer, Header, Sink
from handoff.codecs import _rows
from handoff.codecs._libraries import first_line, library
from handoff.codecs._reading import Reading
from handoff.codecs._rows import Rows, Ruler
from handoff.errors import DamagedError, EncodeError, HandoffError, LimitError
from handoff.spool import Source

#: How a Parquet file begins, and ends.
MAGIC: Final = b"PAR1"
#: What the keys of metadata that are ours begin with.
OURS: Final = b"handoff"

_HEADER_KEY = b"handoff"
# Checksums of the whole file and of its footer, themselves taken as zeros: Parquet's own cover the pages alone.
CHECK_KEY: Final = b"handoff.crc32"
_UNSEALED = b"0" * 16
_HALF = 8
_BITS = 8
_FEWEST = 64  # rows that are read at once
_BUFFER = 256 * 1024  # bytes that are read or written at once, at the least
_CHECK_FIELD = CHECK_KEY + b"\x18\x10"  # in Thrift's compact protocol: the next field, text of sixteen bytes
_END = struct.Struct("<I4s")  # the length of the footer, and the magic
_one_at_a_time = threading.Lock()
_OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "write_page_checksum": True,
    # Parquet's own name for the elements of a list would take the place of the table's.
    "use_compliant_nested_type": False,
    # A dictionary that grows to the usual 1 MiB before it is given up takes twice the time of all else.
    "dictionary_pagesize_limit": 256 * 1024,
}


def keeps(schema: Any) -> bool:
    """Whether Parquet gives back every type of a schema, its names and its metadata, told from a file without rows."""
    arrow = library("pyarrow")
    if not schema.names or any(map(_has_empty_lists, schema.types)):
        return False
    if any(map(_has_fixed_lists, schema.types)) and not _keeps_fixed_lists():
        return False
    sink = arrow.BufferOutputStream()
    try:
        with library("pyarrow.parquet").ParquetWriter(sink, schema, **_OPTIONS):
            pass
        back = _open(Source(sink.getvalue().to_pybytes())).schema_arrow
    except (arrow.ArrowException, OSError, DamagedError):
        return False
    return bool(back.equals(schema, check_metadata=True))


def gives_back(table: Any) -> bool:
    """Whether Parquet gives back the cells of a table too, told by writing and reading it group by group."""
    arrow, parquet = library("pyarrow"), library("pyarrow.parquet")
    try:
        for group in _rows.groups(table.schema, iter([table]), Ruler(table.schema, table.num_rows)):
            sink = arrow.BufferOutputStream()
            parquet.write_table(group, sink, row_group_size=group.num_rows, **_OPTIONS)
            if not _open(Source(sink.getvalue().to_pybytes())).read().equals(group):
                return False
    except (arrow.ArrowException, OSError, DamagedError):
        return False
    return True


@contextlib.contextmanager
def naming(group: Any, write_one: Callable[[Any], None]) -> Generator[None]:
    """Say by an `EncodeError` which column of a group is not written, told by writing each alone."""
    arrow = library("pyarrow")
    try:
        yield
    except arrow.ArrowException as error:
        for place, name in enumerate(group.column_names):
            try:
                write_one(group.select([place]))
            except (arrow.ArrowException, OSError):
                where = name or repr(name)
                break
        else:
            where = "the value"
        raise EncodeError(
            f"{where}: {first_line(error)}", remedy="Cast it to a type that Parquet has", path=where
        ) from None


def _write_one(table: Any) -> None:
    library("pyarrow.parquet").write_table(table, library("pyarrow").BufferOutputStream(), **_OPTIONS)


def write(sink: Sink, rows: Rows, ruler: Ruler, header: Callable[[int], Header | None]) -> str | None:
    """Write rows as a Parquet file, in groups, and give its checksum; where the ``header`` is None, it has none."""
    arrow = library("pyarrow")
    sealing = _Sealing(sink)
    try:
        stream = arrow.BufferedOutputStream(arrow.PythonFile(sealing, "w"), _BUFFER)
        options = _OPTIONS | {"memory_pool": _rows.frugal_pool()}
        writer = library("pyarrow.parquet").ParquetWriter(stream, rows.schema, **options)
        for group in _rows.groups(rows.schema, rows.parts(), ruler):
            with naming(group, _write_one):
                writer.write_table(group, row_group_size=group.num_rows)
            del group  # before the next is made
        if rows.notes:
            writer.add_key_value_metadata(rows.notes)
        found = header(ruler.size)
        if found is not None:
            writer.add_key_value_metadata({_HEADER_KEY: found.to_json(), CHECK_KEY: _UNSEALED})
        stream.flush()
        sealing.hold()
        writer.close()
        stream.flush()
        return sealing.end(is_sealed=found is not None)
    finally:
        sealing.leave()  # a writer that is dropped would still end its file
        if ruler.size >= _rows.ONE_GROUP:
            _rows.release()


class Stamp(NamedTuple):
    """What a file's footer says of the whole of it: the header, and the checksums, which stand at a place."""

    header: Header
    check: bytes
    place: int


def read_stamp(source: Source) -> Stamp:
    """Read a file's footer, having checked it alone. Raises: `DamagedError`, `EnvelopeError`."""
    length, magic = _END.unpack(source.at(source.size - _END.size, _END.size)) if source.size >= _END.size else (0, b"")
    start = source.size - _END.size - length
    if magic != MAGIC or start < len(MAGIC):
        raise DamagedError("the Parquet file has no footer")
    footer = source.at(start, length)
    place = footer.rfind(_CHECK_FIELD) + len(_CHECK_FIELD)
    check = footer[place : place + len(_UNSEALED)] if place >= len(_CHECK_FIELD) else b""
    if check[_HALF:] != _sum(_with(footer, place, _UNSEALED)):
        # A newer version may have other checksums; that it is one stands where it always does.
        artifact.check_version(footer)
        raise DamagedError("the footer of the Parquet file has no checksum of a handoff that it matches")
    header = Header.from_json((_open(source).metadata.metadata or {}).get(_HEADER_KEY, b""))
    return Stamp(header, check, start + place)


def read_header(source: Source) -> Header:
    """Read the header from the file's metadata, having checked the whole file. Raises: `DamagedError`."""
    stamp = read_stamp(source)
    if stamp.check[:_HALF] != _check(source, stamp.place):
        raise DamagedError("the Parquet file does not match its checksum")
    return stamp.header


class Parquet:
    """A Parquet file to be read group by group. Raises: `DamagedError`, `LimitError`."""

    def __init__(self, source: Source, reading: Reading) -> None:
        self._file = _open(source)
        self.count: int = self._file.metadata.num_rows
        groups = [self._file.metadata.row_group(index) for index in range(self._file.metadata.num_row_groups)]
        # Repeated cells take no room in the file: what they take in memory follows from their number.
        sizes = [sum(group.total_byte_size for group in groups), _rows.least_size(self.schema, self.count)]
        sizes.append(sum(chunk.num_values for group in groups for chunk in _chunks(group)) // _BITS)
        self._limit = reading.limit
        self._is_known = reading.is_known
        self.size: int = max(*sizes, 0 if reading.header is None else reading.header.raw_size)
        if self.size > reading.limit:
            raise LimitError(
                f"the table takes {self.size:,} bytes in memory, and {reading.limit:,} are allowed",
                size=self.size,
                limit=reading.limit,
            )

    @property
    def notes(self) -> dict[bytes, bytes]:
        """What the metadata says under keys of ours."""
        return {key: text for key, text in (self._file.metadata.metadata or {}).items() if key.startswith(OURS)}

    @property
    def schema(self) -> Any:
        """The schema, without what is ours."""
        with _translated():
            schema = self._file.schema_arrow
        return without_ours(schema)

    def tables(self, places: Sequence[int]) -> Iterator[Any]:
        """Give the columns at some places of the schema, group by group."""
        names = [self.schema.names[place] for place in places]
        is_unique = len(set(self.schema.names)) == len(self.schema.names)
        ruler = Ruler(self.schema, None, self._limit)
        for index in range(self._file.metadata.num_row_groups):
            # It is not held here while the next is read.
            yield without_ours(
                self._group(index, names if is_unique else None, ruler).select(names if is_unique else places)
            )

    def _group(self, index: int, names: list[str] | None, ruler: Ruler) -> Any:
        """Read a group; few rows at a time and measured, where pages might hold far more than they take."""
        group = self._file.metadata.row_group(index)
        texts = [chunk for chunk in _chunks(group) if chunk.physical_type.endswith("BYTE_ARRAY")]
        size = sum(chunk.total_uncompressed_size for chunk in texts)
        rows = max(_FEWEST, self._limit // max(1, size))
        found: list[Any] = []
        with _translated():
            if self._is_known or rows >= group.num_rows:
                # A name with a dot may stand for a part of a column, too.
                return self._file.read_row_group(index, columns=names)
            for batch in self._file.iter_batches(rows, row_groups=[index], columns=names):
                found.append(library("pyarrow").Table.from_batches([batch]))
                try:
                    ruler.cuts(found[-1])
                except OverflowError:
                    raise LimitError(
                        f"the table takes over {self._limit:,} bytes in memory, which are allowed", limit=self._limit
                    ) from None
            return _rows.joined(library("pyarrow").concat_tables(found))


def _chunks(group: Any) -> list[Any]:
    return [group.column(place) for place in range(group.num_columns)]


def without_ours(table: Any) -> Any:
    """Give a table or a schema without the metadata that is ours."""
    found = table.metadata if hasattr(table, "metadata") else table.schema.metadata
    kept = {key: text for key, text in (found or {}).items() if not key.startswith(OURS)} or None
    return table.with_metadata(kept) if hasattr(table, "with_metadata") else table.replace_schema_metadata(kept)


class _Sealing:
    """A sink that sums up what is written into another, and holds the footer back until the sum is known."""

    closed = False

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._sum = 0
        self._held: list[bytes] | None = None

    def write(self, data: Any) -> int:
        view: Buffer = memoryview(data)
        if self._held is not None:
            self._held.append(bytes(view))
        else:
            self._sum = zlib.crc32(view, self._sum)
            self._sink.write(view)
        return len(view)

    def close(self) -> None:
        pass

    def hold(self) -> None:
        self._held = []

    def end(self, *, is_sealed: bool) -> str | None:
        footer, check = b"".join(self._held or ()), None
        if is_sealed:
            start = footer.rfind(_CHECK_FIELD) + len(_CHECK_FIELD)
            length, _ = _END.unpack(footer[-_END.size :])
            check = _sum(footer, self._sum) + _sum(footer[-_END.size - length : -_END.size])
            footer = _with(footer, start, check)
        self._sink.write(footer)
        return None if check is None else check.decode()

    def leave(self) -> None:
        self._held = []  # what comes now goes nowhere


def _sum(data: bytes, begun: int = 0) -> bytes:
    return b"%08x" % zlib.crc32(data, begun)


def _with(footer: bytes, place: int, check: bytes) -> bytes:
    return b"".join((footer[:place], check, footer[place + len(check) :]))


def _check(source: Source, place: int) -> bytes:
    """Give what the checksum that stands at a place should be."""
    found = done = 0
    for piece in source.pieces():
        view = memoryview(piece)
        begin, end = (min(max(0, at - done), len(view)) for at in (place, place + len(_UNSEALED)))
        for part in (view[:begin], _UNSEALED[: end - begin], view[end:]):
            found = zlib.crc32(part, found)
        done += len(view)
    return b"%08x" % found


def has_dictionary(kind: Any) -> bool:
    """Whether a type is of dictionaries, at any depth: Parquet may order their values otherwise."""
    return _holds(kind, library("pyarrow").types.is_dictionary)


def may_be_invalid(kind: Any) -> bool:
    """Whether a type has cells, at any depth, that are not what their bits say, whichever those are."""
    types = library("pyarrow").types
    certain = (types.is_integer, types.is_floating, types.is_boolean, types.is_timestamp, types.is_duration)
    return not any(is_certain(kind) for is_certain in (*certain, types.is_date32, types.is_null))


def _has_fixed_lists(kind: Any) -> bool:
    return _holds(kind, library("pyarrow").types.is_fixed_size_list)


def _has_empty_lists(kind: Any) -> bool:
    is_list = library("pyarrow").types.is_fixed_size_list
    return _holds(kind, lambda inner: is_list(inner) and not inner.list_size)


@cache
def _keeps_fixed_lists() -> bool:
    """Whether this pyarrow reads lists of a fixed size that have gaps."""
    arrow = library("pyarrow")
    return gives_back(arrow.table({"a": arrow.array([[1], None], arrow.list_(arrow.int8(), 1))}))


def _holds(kind: Any, is_it: Callable[[Any], bool]) -> bool:
    return is_it(kind) or any(_holds(kind.field(index).type, is_it) for index in range(kind.num_fields))


def _open(source: Source) -> Any:
    arrow, parquet = library("pyarrow"), library("pyarrow.parquet")
    with _translated():
        if source.name is None:
            file = arrow.PythonFile(source.reader(), "r") if source.is_apart else arrow.BufferReader(source.data())
            return parquet.ParquetFile(file, page_checksum_verification=True)
        file = arrow.OSFile(source.name)
        # A reader stays with the pool it was made in.
        with _one_at_a_time:
            usual = arrow.default_memory_pool()
            arrow.set_memory_pool(_rows.frugal_pool())
            try:
                return parquet.ParquetFile(file, page_checksum_verification=True, buffer_size=_BUFFER)
            finally:
                arrow.set_memory_pool(usual)


class _translated:  # noqa: N801 - used as a block
    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, HandoffError):
            return
        if isinstance(error, library("pyarrow").ArrowException | OSError | ValueError):
            raise DamagedError(f"the Parquet file cannot be read: {first_line(error)}") from None
