"""A value made into a handoff and the bytes of its artifact, and back. No storage is touched."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

from msgspec import UNSET

from handoff import address as addresses
from handoff import cancellation, codecs, envelope, files, plain, sight
from handoff.address import Address
from handoff.artifact import Buffer, Header, Sink
from handoff.codecs import Codec, Encoded, Reading
from handoff.config import INLINE_SIZE, MESSAGE_CAP
from handoff.envelope import Inline, Stored
from handoff.errors import (
    ConfigError,
    DamagedError,
    DependencyError,
    EncodeError,
    EnvelopeError,
    HandoffError,
    LimitError,
    MismatchError,
)
from handoff.sizes import human_size
from handoff.spool import Digest, Source

RERUN = "Run the producer again"
_BASE64 = 0.75


class Parcel(NamedTuple):
    """A value that waits to be stored."""

    codec: Codec
    encoded: Encoded
    preview: str

    def write(self, sink: Sink, at: Address, attempt: int, uri: str, most: int) -> Stored:
        """Write the artifact, and give the reference to it. Raises: `LimitError` above ``most``, `EncodeError`."""
        if self.codec.id == codecs.FILE and not addresses.is_in_full(at.path):
            raise EncodeError(
                "an id is too long to stand in the path, and a file bears no header that would say it",
                remedy="Use shorter ids",
                address=at.path,
            )

        def header() -> Header:
            return Header(
                address=at, codec=self.codec.id, type=envelope.clean(self.encoded.type), raw_size=self.encoded.raw_size
            )

        self._check_weight(most)
        with Digest() as digest:
            measured = _Measured(sink, digest, most)
            self.encoded.write(measured, header)
            sha256 = digest.hex()
        self._check_weight(most)  # of a stream, it is known at its end
        stored = Stored(
            codec=self.codec.id,
            type=envelope.clean(self.encoded.type),
            sha256=sha256,
            preview=self.preview,
            address=at,
            size=measured.size,
            raw_size=self.encoded.raw_size,
            attempt=attempt,
            uri=uri,
            file_name=getattr(self.encoded, "file_name", UNSET),
            check=getattr(self.encoded, "check", None) or UNSET,
        )
        return envelope.fit(stored)

    def _check_weight(self, most: int) -> None:
        weight = getattr(self.encoded, "weight", self.encoded.raw_size)
        if weight > most:
            raise LimitError(
                f"the value takes {human_size(weight)}, and {human_size(most)} are allowed",
                remedy="Raise max_size of the store",
                size=weight,
                limit=most,
            )


class _Measured:
    """A sink that counts and hashes what is written into another."""

    def __init__(self, sink: Sink, digest: Digest, most: int) -> None:
        self._sink = sink
        self._digest = digest
        self._most = most
        self.size = 0

    def write(self, data: Buffer) -> int:
        self.size += len(data)
        if self.size > self._most:
            raise LimitError(
                f"the artifact takes over {human_size(self._most)}, which are allowed",
                remedy="Raise max_size of the store",
                size=self.size,
                limit=self._most,
            )
        cancellation.check()
        self._digest.update(data)
        self._sink.write(data)
        return len(data)


def wrap(value: object, limit: int | None, *, alone: bool, preview: bool) -> Inline | Parcel:
    """Make a value a handoff that holds it, or a parcel where it takes more than the limit.

    Arguments: the most bytes of JSON, or None for never storing; ``alone``, whether it is a message of its own;
    ``preview``, whether the handoff describes it. Raises: `EncodeError`, `LimitError`.
    """
    room = MESSAGE_CAP if limit is None else limit
    data = plain.encode(value, room, alone=alone)
    if data is not None:
        return envelope.plain_handoff(value, data)
    codec = codecs.codec_of(type(value))
    encoded = codec.encode(value)
    ready = Parcel(codec, encoded, envelope.clean(encoded.preview()) if preview else "")
    inline = _inline(ready, room)
    if inline is None and limit is None:
        raise LimitError(
            f"the value does not fit into a message of {human_size(MESSAGE_CAP)}, and inline_limit is None",
            remedy="Set an inline_limit, so that it is stored",
            limit=MESSAGE_CAP,
        )
    return inline or ready


def unwrap_inline(handoff: Inline, type: Any, columns: Sequence[str] | None) -> Any:
    """Give the value that a handoff holds. Raises: as `unwrap`, and `EnvelopeError`."""
    if handoff.codec == envelope.PLAIN:
        _check_columns(columns, handoff.codec)
        return of_given(handoff.to_json(), type)
    if hashlib.sha256(handoff.data).hexdigest() != handoff.sha256:
        raise DamagedError("the data of this inline handoff does not match its digest", remedy=RERUN)
    reading = Reading(handoff.type, INLINE_SIZE, type, columns=columns, file_name=handoff.file_name or "")
    return _decode(handoff.codec, Source(handoff.data), reading)


def unwrap_stored(handoff: Stored, source: Source, type: Any, limit: int, columns: Sequence[str] | None) -> Any:
    """Give the value of an artifact that a handoff names; UNSET where the bytes are not that artifact.

    Raises: as `unwrap`, and `EnvelopeError`.
    """
    if source.size != handoff.size:
        return UNSET
    if handoff.codec != codecs.ARRAY or source.name is None:
        if source.digest() != handoff.sha256:
            return UNSET
        return _unwrap_named(handoff, source, type, limit, columns)
    from concurrent.futures import ThreadPoolExecutor

    # Whatever the bytes are, they do no harm as an array: they become one while they are hashed, given or not.
    value: Any = UNSET
    with ThreadPoolExecutor(1, thread_name_prefix="handoff-digest") as threads:
        digest = threads.submit(source.digest)
        try:
            value = _unwrap_named(handoff, source, type, limit, columns)
        except (DamagedError, EnvelopeError):
            if digest.result() == handoff.sha256:
                raise
        return value if digest.result() == handoff.sha256 else UNSET


def _unwrap_named(handoff: Stored, source: Source, type: Any, limit: int, columns: Sequence[str] | None) -> Any:
    header = None
    if handoff.codec != codecs.FILE:
        header = _header(source, handoff.address)
        if (header.codec, header.type, header.raw_size) != (handoff.codec, handoff.type, handoff.raw_size):
            raise EnvelopeError("the envelope says other than the artifact's header", remedy=RERUN)
    reading = Reading(handoff.type, limit, type, header, columns, handoff.file_name or "", is_known=True)
    return _decode(handoff.codec, source, reading)


def unwrap(source: Source, at: Address, type: Any, limit: int, columns: Sequence[str] | None) -> Any:
    """Give the value of the artifact at an address.

    Where the reader asks for a file, it is given the bytes that stand there, whatever they are. Raises: `DamagedError`,
    `LimitError`, `DependencyError`, `MismatchError`, `ConfigError`.
    """
    if files.is_asked_for(type):
        sight.note(codecs.FILE, "handoff.File", source.size, source.size)
        return _decode(codecs.FILE, source, Reading("handoff.File", limit, type, None, columns, at.key))
    header = _header(source, at)
    sight.note(header.codec, header.type, header.raw_size, source.size)
    reading = Reading(header.type, limit, type, header, columns)
    return _decode(header.codec, source, reading)


@contextlib.contextmanager
def said(at: Address) -> Generator[None]:
    """Let an error say which of many values it is of."""
    try:
        yield
    except (EncodeError, LimitError) as error:
        name = repr(at.key) if at.item is None else f"element {at.item}"
        error.args = (f"{name}: {error}",)
        if isinstance(error, EncodeError):
            inside = f"[{name if at.item is None else at.item}]"
            error.path = inside + (f".{error.path}" if error.path and not error.path.startswith("[") else error.path)
        raise


@contextlib.contextmanager
def named(where: str, at: Address | None = None) -> Generator[None]:
    """Let an error of a value that is read say which of many it is: its place in a program, and its address."""
    try:
        yield
    except HandoffError as error:
        if isinstance(error, MismatchError):
            inside = f"{where}{'' if error.path.startswith('[') else '.' if error.path else ''}{error.path}"
            error.args = (f"{inside}{str(error).removeprefix(error.path or 'the value')}",)
            error.path = inside
        elif error.address is None and not isinstance(error, DependencyError):
            error.args = (f"{where}: {error}",)
        if at is not None:
            error.address = error.address or at.path
        raise


def of_given(value: Any, type: Any) -> Any:
    """Give a plain value as the records that ``type`` names, if it does. Raises: `MismatchError`."""
    if type is Any:
        return value
    from handoff.records import conversion

    return conversion.of_given(value, type)


def _inline(ready: Parcel, room: int) -> Inline | None:
    payload = ready.encoded.bare(int(room * _BASE64))
    if payload is None:
        return None
    inline = Inline(
        codec=ready.codec.id,
        type=envelope.clean(ready.encoded.type),
        sha256=hashlib.sha256(payload).hexdigest(),
        preview=ready.preview,
        file_name=getattr(ready.encoded, "file_name", UNSET),
        data=payload,
    )
    envelope.note_raw_size(inline, ready.encoded.raw_size)
    return inline if len(envelope.message_of(inline)) <= room else None


def _decode(codec: str, source: Source, reading: Reading) -> Any:
    _check_columns(reading.columns, codec)
    value = codecs.codec_named(codec).decode(source, reading)
    return of_given(value, reading.type) if codec == codecs.TABLE and type(value) is list else value


def _check_columns(columns: Sequence[str] | None, codec: str) -> None:
    if columns is not None and codec != codecs.TABLE:
        raise ConfigError("only a table is read by its columns", remedy="Leave columns= away")


def _header(source: Source, at: Address) -> Header:
    header = codecs.header_of(source)
    if not codecs.is_known(header.codec):
        raise DamagedError(
            f"the header names an unknown codec, {header.codec!r}", remedy=f"{RERUN}, or upgrade dag-handoff here"
        )
    if header.address != at:
        raise DamagedError(f"the artifact belongs to {header.address.path}", remedy=RERUN)
    return header
