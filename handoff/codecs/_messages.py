"""The messages of an Arrow stream, looked at before Arrow reads them: `handoff` never compresses their bodies."""

from __future__ import annotations

import struct
from typing import Final

from handoff.artifact import Buffer
from handoff.errors import DamagedError

_CONTINUED: Final = b"\xff\xff\xff\xff"
_START: Final = struct.Struct("<4si")
# Of Arrow's flatbuffers: the kinds of messages, and the places of fields in their tables.
_DICTIONARY, _BATCH = 2, 3
_KIND, _HEADER, _BODY = 1, 2, 3
_DATA, _COMPRESSION = 1, 3


class Messages:
    """Follows a stream as its bytes come, in pieces of any length. Raises: `DamagedError`."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._skip = 0

    def add(self, data: Buffer) -> None:
        """Look at the next bytes."""
        view = memoryview(data)
        while view:
            if self._skip:
                skipped = min(self._skip, len(view))
                self._skip -= skipped
            else:
                skipped = min(self._wanted() - len(self._held), len(view))
                self._held += view[:skipped]
                if len(self._held) == self._wanted():  # which the start of a message, now held, may have raised
                    self._end()
            view = view[skipped:]

    def _wanted(self) -> int:
        if len(self._held) < _START.size:
            return _START.size
        mark, length = _START.unpack_from(self._held)
        if mark != _CONTINUED or length < 0:
            raise DamagedError("the Arrow stream holds something that is no message")
        return _START.size + int(length)

    def _end(self) -> None:
        table = bytes(self._held[_START.size :])
        self._held.clear()
        if table:
            try:
                self._skip = _body(table)
            except (IndexError, struct.error):
                raise DamagedError("the Arrow stream holds a message that cannot be read") from None


def _body(table: bytes) -> int:
    """Give the length of the body that follows a message."""
    root = _number(table, 0, "<I")
    kind, place, body = (_field(table, root, index) for index in (_KIND, _HEADER, _BODY))
    header = place + _number(table, place, "<I")
    if kind and table[kind] == _DICTIONARY:
        place = _field(table, header, _DATA)
        header = place + _number(table, place, "<I")
    if kind and table[kind] in (_DICTIONARY, _BATCH) and _field(table, header, _COMPRESSION):
        raise DamagedError("the Arrow stream is compressed inside, which no handoff is")
    length = _number(table, body, "<q") if body else 0
    if length < 0:
        raise IndexError
    return length


def _field(table: bytes, at: int, index: int) -> int:
    """Give where a field of a flatbuffer's table stands; 0 where it has none."""
    fields = at - _number(table, at, "<i")
    place = 4 + 2 * index
    found = _number(table, fields + place, "<H") if place < _number(table, fields, "<H") else 0
    return at + found if found else 0


def _number(table: bytes, at: int, form: str) -> int:
    if at < 0:
        raise IndexError
    return int(struct.unpack_from(form, table, at)[0])
