"""Tables of types that Parquet lacks: an Arrow IPC stream in the one zstd frame of an ordinary artifact."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

from handoff import artifact
from handoff.artifact import Header, Payload, Sink
from handoff.codecs import _parquet, _rows
from handoff.codecs._libraries import first_line, library
from handoff.codecs._messages import Messages
from handoff.codecs._parquet import OURS
from handoff.codecs._reading import Reading
from handoff.codecs._rows import Rows, Ruler
from handoff.errors import DamagedError, HandoffError
from handoff.spool import MOST_IN_MEMORY, Source


def write(sink: Sink, rows: Rows, ruler: Ruler, header: Callable[[int], Header | None]) -> None:
    """Write rows as a stream; where the ``header`` for its size is None, the frame alone.

    The size stands before the stream, so that it is written into a temporary file first.
    """
    import tempfile

    arrow = library("pyarrow")
    schema = rows.schema.with_metadata({**(rows.schema.metadata or {}), **rows.notes} or None)
    with tempfile.SpooledTemporaryFile(MOST_IN_MEMORY) as spool:
        with arrow.ipc.new_stream(arrow.PythonFile(spool, "w"), schema) as writer:
            for group in _rows.groups(rows.schema, rows.parts(), ruler):
                with _parquet.naming(group, _write_one):
                    writer.write_table(group.replace_schema_metadata(schema.metadata))
        size = spool.tell()

        def at(start: int, end: int) -> bytes:
            spool.seek(start)
            return spool.read(end - start)

        found = header(size)
        if found is not None:
            artifact.write_header(sink, found)
        artifact.write_frame(sink, size, at)


def _write_one(table: Any) -> None:
    arrow = library("pyarrow")
    with arrow.ipc.new_stream(arrow.BufferOutputStream(), table.schema) as writer:
        writer.write_table(table)


class Ipc:
    """A stream to be read batch by batch, each looked through first. Raises: `DamagedError`, `LimitError`."""

    #: How many rows there are is known at the end.
    count = None

    def __init__(self, source: Source, reading: Reading) -> None:
        self._opened = contextlib.ExitStack()
        with _translated():
            stream = self._opened.enter_context(_stream(reading.payload(source, reading.limit)))
            self._stream = library("pyarrow").ipc.open_stream(stream)
        metadata = self._stream.schema.metadata or {}
        self.notes = {key: text for key, text in metadata.items() if key.startswith(OURS)}
        self.schema = _parquet.without_ours(self._stream.schema)

    def tables(self, places: Sequence[int]) -> Iterator[Any]:
        """Give the columns at some places of the schema, batch by batch."""
        arrow = library("pyarrow")
        with self._opened:
            while True:
                with _translated():
                    batch = next(self._stream, None)
                    if batch is None:
                        break
                    batch.validate(full=True)
                table = arrow.Table.from_batches([batch]).select(list(places))
                yield _parquet.without_ours(table)


class _Bytes:
    """A file of what is in a payload."""

    closed = False

    def __init__(self, fill: Callable[[memoryview], None], size: int) -> None:
        self._fill = fill
        self._left = size
        self._messages = Messages()

    def read(self, length: int = -1) -> bytearray:
        found = bytearray(self._left if length < 0 else min(length, self._left))
        self._left -= len(found)
        self._fill(memoryview(found))
        self._messages.add(memoryview(found))
        return found


@contextlib.contextmanager
def _stream(payload: Payload) -> Generator[Any]:
    with payload.reading() as fill:
        stream = _Bytes(fill, payload.size)
        yield library("pyarrow").PythonFile(stream, "r")
        stream.read()


@contextlib.contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except (library("pyarrow").ArrowException, OSError, ValueError) as error:
        if isinstance(error, HandoffError):
            raise
        raise DamagedError(f"the Arrow stream cannot be read: {first_line(error)}") from None
