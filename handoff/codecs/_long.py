"""Bytes that would be in memory twice: written and read in pieces, as the MessagePack that any others are."""

from __future__ import annotations

import io
from typing import Final

from handoff.artifact import Buffer, Payload
from handoff.codecs._containers import check_size
from handoff.codecs._framed import Framed
from handoff.errors import DamagedError, LimitError
from handoff.sizes import human_size

_BIN32: Final = b"\xc6"
_HEAD: Final = 5  # bytes: what follows is bytes, and how many


class LongBytes(Framed):
    """Bytes as MessagePack, whose head alone is made. Raises: `LimitError`."""

    type = "bytes"

    def __init__(self, value: bytes, preview: str) -> None:
        size = _HEAD + len(value)
        check_size(size)
        super().__init__(size, size)
        self._value = memoryview(value)
        self._preview = preview

    def preview(self) -> str:
        return self._preview

    def _at(self, start: int, end: int) -> Buffer:
        if start >= _HEAD:
            return self._value[start - _HEAD : end - _HEAD]
        return (_head(len(self._value)) + bytes(self._value[: max(0, end - _HEAD)]))[start:end]


def load(payload: Payload) -> bytes:
    """Give the bytes that a payload of them holds. Raises: `DamagedError`, `LimitError`."""
    try:
        made = io.BytesIO()
        made.seek(payload.size - _HEAD - 1)
        made.write(b"\0")
        head = bytearray(_HEAD)
        with payload.reading() as fill, made.getbuffer() as rest:
            fill(memoryview(head))
            fill(rest)
    except MemoryError:
        raise LimitError(f"the payload of {human_size(payload.size)} needs more memory than there is") from None
    if head != _head(payload.size - _HEAD):
        raise DamagedError("the payload is something else, and a bytes was recorded")
    return made.getvalue()  # no copy: nobody else writes to it


def _head(length: int) -> bytes:
    return _BIN32 + length.to_bytes(4, "big")
