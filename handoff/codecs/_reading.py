"""How a payload is to be read: what was recorded of it, and what its reader asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from handoff.artifact import Header, Payload, read_header
from handoff.spool import Source


class Reading(NamedTuple):
    """One decoding.

    Arguments: ``name``, the type's name as it was recorded; ``limit``, the most bytes to decompress into; ``type``,
    what the reader asks for; ``header`` of an artifact, None where the payload came inline or the artifact has none;
    ``columns`` of a table, all where it is None; ``file_name`` of a file; ``is_known``, whether these are the bytes
    that a handoff names, so that they are what was put.
    """

    name: str
    limit: int
    type: Any = Any
    header: Header | None = None
    columns: Sequence[str] | None = None
    file_name: str = ""
    is_known: bool = False

    def payload(self, source: Source, limit: int) -> Payload:
        """Open the one zstd frame of a payload or an artifact. Raises: `DamagedError`, `LimitError`."""
        if self.header is None:
            return Payload(source, limit=min(self.limit, limit))
        _, start = read_header(source)
        return Payload(source, start=start, limit=min(self.limit, limit), expected=self.header.raw_size)
