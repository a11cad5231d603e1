"""Payloads that stand in the one zstd frame of an ordinary artifact: trees and arrays."""

from __future__ import annotations

import abc
import io
from collections.abc import Callable

from handoff import artifact
from handoff.artifact import Buffer, Header, Sink
from handoff.config import INLINE_SIZE


class Framed(abc.ABC):
    """A payload, compressed when first asked for; one that may travel inline, only once.

    Arguments: ``size`` of the payload in bytes; ``weight``, the bytes that its value takes in memory.
    """

    def __init__(self, size: int, weight: int) -> None:
        self.raw_size = size
        self.weight = weight
        self._made: bytes | None = None

    @abc.abstractmethod
    def _at(self, start: int, end: int) -> Buffer:
        """Give the bytes of the payload from a start to an end."""

    def bare(self, room: int) -> bytes | None:
        return self._frame if self.weight <= INLINE_SIZE and len(self._frame) <= room else None

    def write(self, sink: Sink, header: Callable[[], Header] | None) -> None:
        if header is not None:
            artifact.write_header(sink, header())
        if self.raw_size <= INLINE_SIZE:
            sink.write(self._frame)
        else:
            artifact.write_frame(sink, self.raw_size, self._at)

    # Not a cached_property: before Python 3.12 all instances share its lock, which a forked child would wait for.
    @property
    def _frame(self) -> bytes:
        if self._made is None:
            frame = io.BytesIO()
            artifact.write_frame(frame, self.raw_size, self._at)
            self._made = frame.getvalue()
        return self._made
