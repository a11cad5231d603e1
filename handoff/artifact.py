"""The bytes at rest: a header that says what they are, and a payload in one zstd frame.

An artifact of this kind is a zstd *skippable frame* (RFC 8878, 3.1.2) with the header as JSON, then exactly one
zstd frame with content size and checksum; ``zstd -dc`` gives the payload. Nothing here reads or writes storage.
"""

from __future__ import annotations

import struct
from typing import Annotated, Final, Literal

import msgspec

from handoff.address import Address
from handoff.errors import DamagedError, IdentityError, LimitError

VERSION: Final = 0
#: How such an artifact begins: one of the sixteen magic numbers of skippable frames, little-endian.
MAGIC = b"\x5d\x2a\x4d\x18"

_LONGEST_HEADER = 16 * 1024
_FRAME_MAGIC = b"\x28\xb5\x2f\xfd"
_PREFIX = struct.Struct("<4sI")
_FRAME_HEADER = 18  # the most that a zstd frame header takes
_WIDEST_WINDOW = 8 * 1024**2
_LEVEL, _LEVEL_IF_DENSE = 1, -5
_SAMPLE, _SAMPLED_FROM, _DENSE = 64 * 1024, 1024**2, 0.95


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an artifact says of itself: only what follows from its address and its value."""

    version: Literal[0] = msgspec.field(default=VERSION, name="handoff")
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

        Raises: `DamagedError`.
        """
        try:
            found = msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, IdentityError, UnicodeError, RecursionError) as error:
            raise DamagedError(f"the artifact's header cannot be read: {error}") from None
        if found.to_json() != data:
            raise DamagedError("the artifact's header is not spelled as it was written")
        return found


def compress(payload: bytes) -> bytes:
    """Put a payload into one zstd frame with its size and a checksum.

    The effort follows from the payload alone: what a sample shows to be dense is hardly tried.
    """
    import zstandard

    level = _LEVEL_IF_DENSE if _is_dense(payload) else _LEVEL
    return zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True).compress(payload)


def decompress(frame: bytes | memoryview, *, limit: int, expected: int | None = None) -> bytes:
    """Give the payload of exactly one zstd frame, having looked at what the frame declares before spending memory.

    Arguments: ``limit``, the most bytes to decompress into; ``expected``, the recorded size of the payload.
    Raises: `LimitError`, `DamagedError`.
    """
    import zstandard

    try:
        declared = zstandard.get_frame_parameters(bytes(frame[:_FRAME_HEADER]))
        if bytes(frame[:4]) != _FRAME_MAGIC or not declared.has_checksum or declared.dict_id:
            raise DamagedError("the zstd frame is not of the kind that is written here")
        size = declared.content_size
        if size in (0, zstandard.CONTENTSIZE_UNKNOWN) or (expected is not None and size != expected):
            raise DamagedError(f"the zstd frame declares {size:,} bytes, and {expected or 'others'} were recorded")
        if size > limit:
            raise LimitError(
                f"the value takes {size:,} bytes decompressed, and {limit:,} are allowed", size=size, limit=limit
            )
        if declared.window_size > max(size, _WIDEST_WINDOW):
            raise DamagedError("the zstd frame asks for a window larger than its content")
        payload = zstandard.ZstdDecompressor().decompress(frame, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise DamagedError(f"the zstd frame cannot be read: {error}") from None
    if len(payload) != size:
        raise DamagedError(f"the zstd frame holds {len(payload):,} bytes, and declares {size:,}")
    return payload


def join(header: Header, frame: bytes) -> bytes:
    """Put the header before the frame."""
    text = header.to_json()
    return b"".join((_PREFIX.pack(MAGIC, len(text)), text, frame))


def split(artifact: bytes) -> tuple[Header, memoryview]:
    """Tell the header from the frame behind it.

    Raises: `DamagedError`.
    """
    if len(artifact) < _PREFIX.size:
        raise DamagedError(f"the artifact has only {len(artifact)} bytes")
    magic, length = _PREFIX.unpack_from(artifact)
    if magic != MAGIC or length > _LONGEST_HEADER or len(artifact) < _PREFIX.size + length:
        raise DamagedError("the artifact does not begin with a whole header")
    end = _PREFIX.size + length
    return Header.from_json(artifact[_PREFIX.size : end]), memoryview(artifact)[end:]


def _is_dense(payload: bytes) -> bool:
    if len(payload) < _SAMPLED_FROM:
        return False
    import zstandard

    starts = (0, (len(payload) - _SAMPLE) // 2, len(payload) - _SAMPLE)
    sample = b"".join(payload[start : start + _SAMPLE] for start in starts)
    return len(zstandard.ZstdCompressor(level=_LEVEL).compress(sample)) > _DENSE * len(sample)
