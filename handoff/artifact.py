"""The bytes at rest: a header that says what they are, and a payload in one zstd frame.

An artifact of this kind is a zstd *skippable frame* (RFC 8878, 3.1.2) with the header as JSON, then exactly one
zstd frame with content size and checksum; ``zstd -dc`` gives the payload. Nothing here reads or writes storage.
"""

from __future__ import annotations

import contextlib
import io
import re
import struct
from collections.abc import Callable, Generator
from typing import Annotated, Any, Final, Literal, Protocol, TypeAlias, cast

import msgspec

from handoff.address import Address
from handoff.errors import DamagedError, IdentityError, LimitError, newer
from handoff.spool import PIECE, Source

VERSION: Final = 1
#: How such an artifact begins: one of the sixteen magic numbers of skippable frames, little-endian.
MAGIC = b"\x5d\x2a\x4d\x18"

# Every version's header begins with its number.
_NEWER = re.compile(rb'\{"handoff":(?:[2-9]|[1-9][0-9]+)[,}]')
_LONGEST_HEADER = 16 * 1024
_FRAME_MAGIC = b"\x28\xb5\x2f\xfd"
_PREFIX = struct.Struct("<4sI")
_FRAME_HEADER = 18  # the most that a zstd frame header takes
_WIDEST_WINDOW = 8 * 1024**2
_LEVEL, _LEVEL_IF_DENSE = 1, -5
_SAMPLE, _SAMPLED_FROM, _DENSE = 64 * 1024, 1024**2, 0.9
# From here on, two threads compress.
_SPLIT_FROM = 4 * 1024**2
_LARGEST = 2**62  # more than any frame may declare in earnest
_RUN = 1  # a block of one byte, many times

Buffer: TypeAlias = bytes | memoryview


class Sink(Protocol):
    """What an artifact is written into, piece by piece."""

    def write(self, data: Buffer, /) -> Any: ...


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an artifact says of itself: only what follows from its address and its value."""

    version: Literal[1] = msgspec.field(default=VERSION, name="handoff")
    address: Address
    codec: str
    type: str
    #: Bytes of the payload before compression.
    raw_size: Annotated[int, msgspec.Meta(ge=0, le=2**53)]

    def to_json(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> Header:
        """Read a header, only in the one spelling in which it is written.

        Raises: `DamagedError`; `EnvelopeError` for that of a newer version.
        """
        check_version(data)
        try:
            found = msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, IdentityError, UnicodeError, RecursionError) as error:
            raise DamagedError(f"the artifact's header cannot be read: {error}") from None
        if found.to_json() != data:
            raise DamagedError("the artifact's header is not spelled as it was written")
        return found


def check_version(text: bytes) -> None:
    """Tell a newer version's header, alone or in a footer, from damage. Raises: `EnvelopeError`."""
    if _NEWER.search(text):
        raise newer("this artifact is")


def compress(payload: bytes) -> bytes:
    """Put a payload into one zstd frame with its size and a checksum."""
    frame, view = io.BytesIO(), memoryview(payload)
    write_frame(frame, len(payload), lambda start, end: view[start:end])
    return frame.getvalue()


def write_frame(sink: Sink, size: int, at: Callable[[int, int], Buffer]) -> None:
    """Write a payload as one zstd frame with its size and a checksum.

    The effort follows from the payload alone: what a sample shows to be dense is hardly tried.

    Arguments: ``size`` of the payload in bytes; ``at``, what gives those from a start to an end.
    """
    import zstandard

    level = _LEVEL_IF_DENSE if _is_dense(size, at) else _LEVEL
    # Two or more threads give the same bytes, and one gives others: the number follows from the payload alone.
    threads = 2 if size >= _SPLIT_FROM and level == _LEVEL else 0
    compressor = zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True, threads=threads)
    if size < _SPLIT_FROM:
        sink.write(compressor.compress(at(0, size)))
        return
    writer: Any = compressor.stream_writer(cast("Any", sink), size=size, write_size=PIECE, closefd=False)
    for start in range(0, size, PIECE):
        writer.write(at(start, min(size, start + PIECE)))
    writer.close()


def write_header(sink: Sink, header: Header) -> None:
    """Write the header, before the frame."""
    text = header.to_json()
    sink.write(_PREFIX.pack(MAGIC, len(text)) + text)


def read_header(source: Source) -> tuple[Header, int]:
    """Read the header, and where the frame behind it begins.

    Raises: `DamagedError`.
    """
    start = source.at(0, _PREFIX.size)
    if len(start) < _PREFIX.size:
        raise DamagedError(f"the artifact has only {len(start)} bytes")
    magic, length = _PREFIX.unpack(start)
    end = _PREFIX.size + length
    if magic != MAGIC or length > _LONGEST_HEADER or source.size < end:
        raise DamagedError("the artifact does not begin with a whole header")
    return Header.from_json(source.at(_PREFIX.size, length)), end


class Payload:
    """What is in exactly one zstd frame, having looked at what the frame declares before memory is spent.

    Arguments: the ``source`` and where its frame starts; ``limit``, the most bytes to decompress into; ``expected``,
    the recorded size of the payload. Raises: `LimitError`, `DamagedError`.
    """

    def __init__(self, source: Source, *, start: int = 0, limit: int = _LARGEST, expected: int | None = None) -> None:
        import zstandard

        self._source = source
        self._start = start
        with _translated():
            declared = zstandard.get_frame_parameters(source.at(start, _FRAME_HEADER))
        if source.at(start, 4) != _FRAME_MAGIC or not declared.has_checksum or declared.dict_id:
            raise DamagedError("the zstd frame is not of the kind that is written here")
        self.size: int = declared.content_size
        if self.size in (0, zstandard.CONTENTSIZE_UNKNOWN) or expected not in (None, self.size):
            raise DamagedError(f"the zstd frame declares {self.size:,} bytes, and {expected or 'others'} were recorded")
        if self.size > limit:
            raise LimitError(
                f"the value takes {self.size:,} bytes decompressed, and {limit:,} are allowed",
                size=self.size,
                limit=limit,
            )
        if declared.window_size > max(self.size, _WIDEST_WINDOW):
            raise DamagedError("the zstd frame asks for a window larger than its content")
        self._left = self.size

    def data(self) -> bytes:
        """Give all of the payload."""
        import zstandard

        frame = self._source.view()[self._start :]
        with _translated():
            payload = zstandard.ZstdDecompressor().decompress(frame, max_output_size=self.size, allow_extra_data=False)
        self._left -= len(payload)
        self._check_whole()
        return payload

    @contextlib.contextmanager
    def reading(self) -> Generator[Callable[[memoryview], None]]:
        """Give what fills one buffer after the other; together they take all of the payload. Raises: `DamagedError`."""
        import zstandard

        # What reads a stream tells neither a cut frame nor what follows one.
        if _end_of_frame(self._source, self._start) != self._source.size:
            raise DamagedError("the zstd frame does not end where the artifact ends")
        file = self._source.reader(self._start)
        with file, zstandard.ZstdDecompressor().stream_reader(file, read_size=PIECE) as reader:

            def fill(buffer: memoryview) -> None:
                done = 0  # no part of the buffer is kept: in a traceback it would hold what its maker lets go of
                with _translated():
                    while done < len(buffer) and (count := reader.readinto(buffer[done : done + PIECE])):
                        self._left -= count
                        done += count

            yield fill
            with _translated():
                self._left -= len(reader.read(1))  # the checksum is looked at when the end is asked for
        self._check_whole()

    def _check_whole(self) -> None:
        if self._left:
            raise DamagedError(f"the zstd frame holds {self.size - self._left:,} bytes, and declares {self.size:,}")


def _is_dense(size: int, at: Callable[[int, int], Buffer]) -> bool:
    if size < _SAMPLED_FROM:
        return False
    import zstandard

    starts = (0, (size - _SAMPLE) // 2, size - _SAMPLE)
    sample = b"".join(at(start, start + _SAMPLE) for start in starts)
    return len(zstandard.ZstdCompressor(level=_LEVEL).compress(sample)) > _DENSE * len(sample)


def _end_of_frame(source: Source, start: int) -> int:
    """Find where a zstd frame ends, from the sizes of its blocks (RFC 8878, 3.1.1.2)."""
    import zstandard

    place = start + zstandard.frame_header_size(source.at(start, _FRAME_HEADER))
    last = False
    while not last and place < source.size:
        block = int.from_bytes(source.at(place, 3), "little")
        last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
        place += 3 + (1 if kind == _RUN else size)
    return place + 4  # the checksum


@contextlib.contextmanager
def _translated() -> Generator[None]:
    import zstandard

    try:
        yield
    except zstandard.ZstdError as error:
        raise DamagedError(f"the zstd frame cannot be read: {error}") from None
