"""Value to payload and back: what a codec is, and the table of them.

A new codec is one file in this folder and one line in `_TABLE`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, NamedTuple, Protocol, cast

from handoff import artifact
from handoff.artifact import Header, Sink
from handoff.codecs._reading import Reading
from handoff.errors import DamagedError, EnvelopeError
from handoff.spool import Source

__all__ = [
    "ARRAY",
    "FILE",
    "PARQUET",
    "TABLE",
    "Codec",
    "Encoded",
    "Nestable",
    "Reading",
    "codec_named",
    "codec_of",
    "header_of",
    "is_known",
]

#: The codec of artifacts that are a file's bytes and bear no header.
FILE: Final = "file"
#: Those whose values may stand in a tree.
TABLE: Final = "table"
ARRAY: Final = "array"
#: How a Parquet file begins, and ends.
PARQUET: Final = b"PAR1"


class Encoded(Protocol):
    """A value made ready: what is known of it before its bytes are asked for."""

    #: The type's name as the envelope and the header bear it.
    type: str
    #: Bytes before compression; of a stream, as many as were written so far.
    raw_size: int

    def preview(self) -> str:
        """Describe the value in a line."""
        ...

    def bare(self, room: int) -> bytes | None:
        """Give the payload as an inline handoff holds it, without a header; None where it is over ``room`` bytes."""
        ...

    def write(self, sink: Sink, header: Callable[[], Header] | None) -> None:
        """Write the bytes at rest, or without a header the payload alone. The same value and header, the same bytes.

        The header is asked for when ``raw_size`` is certain: of a stream, that is at its end.
        """
        ...


class Codec(Protocol):
    """Value to bytes and back. Decoding gives what was encoded, or raises: it never guesses."""

    id: str

    def encode(self, value: Any) -> Encoded:
        """Make a value ready. Raises: `EncodeError` naming the path, `LimitError`."""
        ...

    def decode(self, source: Source, reading: Reading) -> Any:
        """Give the value of an artifact, or of an inline payload. Raises: `DamagedError`, `LimitError`."""
        ...


class Nestable(Codec, Protocol):
    """A codec whose values may stand in a tree."""

    def weigh(self, source: Source) -> int:
        """Say how many bytes a payload takes in memory, before they are spent. Raises: `DamagedError`."""
        ...


class _Entry(NamedTuple):
    """A line of the table: the codec's id and module, and the classes it claims as (root package, name)."""

    id: str
    module: str
    claims: frozenset[tuple[str, str]] = frozenset()


_TREE = _Entry("tree", "handoff.codecs.tree")
_TABLES = _Entry(
    "table",
    "handoff.codecs.table",
    frozenset(
        [("pandas", name) for name in ("DataFrame", "Series")]
        + [("polars", name) for name in ("DataFrame", "LazyFrame", "Series")]
        + [("pyarrow", name) for name in ("Table", "RecordBatch", "RecordBatchReader", "ChunkedArray", "Array")]
    ),
)
_TABLE = (
    _TREE,
    _TABLES,
    _Entry("array", "handoff.codecs.array", frozenset({("numpy", "ndarray")})),
    _Entry("file", "handoff.codecs.file", frozenset({("handoff", "File")})),
)


def codec_of(kind: type) -> Codec:
    """Find the codec that claims a class or one of its bases.

    Of all others, the table codec takes what Arrow can stream, and the tree codec the rest.
    """
    names = {(str(base.__module__).partition(".")[0], base.__qualname__) for base in kind.__mro__}
    rest = _TABLES if hasattr(kind, "__arrow_c_stream__") else _TREE
    return _load(next((entry for entry in _TABLE if entry.claims & names), rest))


def is_known(name: str) -> bool:
    """Whether there is a codec of this id."""
    return any(entry.id == name for entry in _TABLE)


def codec_named(name: str) -> Codec:
    """Find a codec by its id. Raises: `EnvelopeError` where there is none of that name."""
    for entry in _TABLE:
        if entry.id == name:
            return _load(entry)
    raise EnvelopeError(f"there is no codec named {name!r}", remedy="Upgrade dag-handoff where it is read")


def header_of(source: Source) -> Header:
    """Read what an artifact says of itself. Raises: `DamagedError`."""
    start = source.at(0, 4)
    if start == artifact.MAGIC:
        return artifact.read_header(source)[0]
    if start == PARQUET:
        from handoff.codecs import table

        return table.read_header(source)
    raise DamagedError(
        "the bytes begin like no artifact: they are damaged, or a file that bears no header",
        remedy="Run the producer again; what is a file is read by its handoff, or as a handoff.File",
    )


def header_alone(source: Source) -> Header:
    """Read what an artifact says of itself, and no more of it than that. Raises: as `header_of`."""
    if source.at(0, len(PARQUET)) != PARQUET:
        return header_of(source)
    from handoff.codecs import table

    return table.read_stamp(source).header  # without what vouches for the whole file, which would be read for that


def _load(entry: _Entry) -> Codec:
    # The modules themselves fulfil the protocol. The name comes from the table above, never from data.
    return cast(Codec, import_module(entry.module))
