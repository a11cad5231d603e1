"""Value to payload and back: what a codec is, and the table of them.

A new codec is one file in this folder and one line in `_TABLE`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple, Protocol, cast

from handoff.artifact import Header
from handoff.errors import EnvelopeError


class Encoded(Protocol):
    """A value made ready: what is known of it before its bytes are asked for."""

    #: The type's name as the envelope and the header bear it.
    type: str
    #: Bytes before compression.
    raw_size: int

    def preview(self) -> str:
        """Describe the value in a line."""
        ...

    def bare(self, room: int) -> bytes | None:
        """Give the payload as an inline handoff holds it, without a header; None where it is over ``room`` bytes."""
        ...

    def artifact(self, header: Header) -> bytes:
        """Give the bytes at rest. The same value and header give the same bytes."""
        ...


class Codec(Protocol):
    """Value to bytes and back. Decoding gives what was encoded, or raises: it never guesses."""

    id: str
    #: How an artifact of this codec begins.
    magic: bytes

    def encode(self, value: Any) -> Encoded:
        """Make a value ready. Raises: `EncodeError` naming the path, `LimitError`."""
        ...

    def header(self, artifact: bytes) -> Header:
        """Read what an artifact says of itself. Raises: `DamagedError`."""
        ...

    def decode(self, data: bytes, *, header: Header | None, type: Any, name: str, limit: int) -> Any:
        """Give the value of an artifact, or of an inline payload where ``header`` is None.

        Arguments: ``type``, what the reader asks for; ``name``, the type's name as it was recorded; ``limit``,
        the most bytes to decompress into. Raises: `DamagedError`, `LimitError`.
        """
        ...


class _Entry(NamedTuple):
    """A line of the table: the codec's id and module, and the classes it claims as (root package, name)."""

    id: str
    module: str
    claims: frozenset[tuple[str, str]] = frozenset()


_TREE = _Entry("tree", "handoff.codecs.tree")
_TABLE = (
    _TREE,
    _Entry("table", "handoff.codecs.table", frozenset({("pandas", "DataFrame"), ("pyarrow", "Table")})),
)


def codec_for(value: object) -> Codec:
    """Find the codec that claims a value's type or one of its bases; the tree codec takes all others."""
    names = {(str(base.__module__).partition(".")[0], base.__qualname__) for base in type(value).__mro__}
    return _load(next((entry for entry in _TABLE if entry.claims & names), _TREE))


def codec_named(name: str) -> Codec:
    """Find a codec by its id. Raises: `EnvelopeError` where there is none of that name."""
    for entry in _TABLE:
        if entry.id == name:
            return _load(entry)
    raise EnvelopeError(f"there is no codec named {name!r}", remedy="Upgrade dag-handoff where it is read")


def codec_of(artifact: bytes) -> Codec | None:
    """Find the codec whose artifacts begin as these bytes do."""
    return next((codec for codec in map(_load, _TABLE) if artifact.startswith(codec.magic)), None)


def _load(entry: _Entry) -> Codec:
    # The modules themselves fulfil the protocol. The name comes from the table above, never from data.
    return cast(Codec, import_module(entry.module))
