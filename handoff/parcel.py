"""A value made into a handoff and the bytes of its artifact, and back. No storage is touched."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from handoff import codecs, envelope, plain
from handoff.address import Address
from handoff.artifact import Header
from handoff.codecs import Codec, Encoded
from handoff.config import INLINE_SIZE, MESSAGE_CAP
from handoff.envelope import Inline, Stored
from handoff.errors import DamagedError, EnvelopeError, LimitError
from handoff.sizes import human_size

RERUN = "Run the producer again"
_BASE64 = 0.75


class Parcel(NamedTuple):
    """A value that waits to be stored."""

    codec: Codec
    encoded: Encoded
    preview: str

    def seal(self, at: Address, attempt: int, uri: str, most: int) -> tuple[Stored, bytes]:
        """Give the reference and the bytes to be stored. Raises: `LimitError` above ``most`` bytes."""
        header = Header(
            address=at,
            codec=self.codec.id,
            type=envelope.clean(self.encoded.type),
            raw_size=self.encoded.raw_size,
        )
        data = self.encoded.artifact(header)
        if len(data) > most:
            raise LimitError(
                f"the artifact takes {human_size(len(data))}, and {human_size(most)} are allowed",
                size=len(data),
                limit=most,
            )
        stored = Stored(
            codec=header.codec,
            type=header.type,
            sha256=hashlib.sha256(data).hexdigest(),
            preview=self.preview,
            address=at,
            size=len(data),
            raw_size=header.raw_size,
            attempt=attempt,
            uri=uri,
        )
        return envelope.fit(stored), data


def wrap(value: object, limit: int | None, *, alone: bool, preview: bool) -> Inline | Parcel:
    """Make a value a handoff that holds it, or a parcel where it takes more than the limit.

    Arguments: the most bytes of JSON, or None for never storing; ``alone``, whether it is a message of its own;
    ``preview``, whether the handoff describes it. Raises: `EncodeError`, `LimitError`.
    """
    room = MESSAGE_CAP if limit is None else limit
    data = plain.encode(value, room, alone=alone)
    if data is not None:
        return envelope.plain_handoff(value, data)
    codec = codecs.codec_for(value)
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


def unwrap_inline(handoff: Inline, type: Any) -> Any:
    """Give the value that a handoff holds. Raises: as `unwrap`, and `EnvelopeError`."""
    if handoff.codec == envelope.PLAIN:
        return of_given(handoff.to_json(), type)
    if hashlib.sha256(handoff.data).hexdigest() != handoff.sha256:
        raise DamagedError("the data of this inline handoff does not match its digest", remedy=RERUN)
    codec = codecs.codec_named(handoff.codec)
    return codec.decode(handoff.data, header=None, type=type, name=handoff.type, limit=INLINE_SIZE)


def matches(data: bytes, handoff: Stored) -> bool:
    """Whether bytes are the artifact that a handoff names."""
    return len(data) == handoff.size and hashlib.sha256(data).hexdigest() == handoff.sha256


def unwrap_stored(handoff: Stored, codec: Codec, data: bytes, type: Any, limit: int) -> Any:
    """Give the value of an artifact that a handoff names. Raises: as `unwrap`, and `EnvelopeError`."""
    header = _header(codec, data, handoff.address)
    if (header.type, header.raw_size) != (handoff.type, handoff.raw_size):
        raise EnvelopeError("the envelope says other than the artifact's header", remedy=RERUN)
    return codec.decode(data, header=header, type=type, name=header.type, limit=limit)


def unwrap(data: bytes, at: Address, type: Any, limit: int) -> Any:
    """Give the value of the artifact at an address.

    Raises: `DamagedError`, `LimitError`, `DependencyError`, `MismatchError`, `ConfigError`.
    """
    codec = _codec_of(data)
    header = _header(codec, data, at)
    return codec.decode(data, header=header, type=type, name=header.type, limit=limit)


def of_given(value: Any, type: Any) -> Any:
    """Give a plain value as the records that ``type`` names, if it does. Raises: `MismatchError`."""
    if type is Any:
        return value
    from handoff import conversion

    return conversion.of_given(value, type)


def address_of(data: bytes) -> Address:
    """Read which address an artifact belongs to. Raises: `DamagedError`."""
    return _codec_of(data).header(data).address


def _inline(ready: Parcel, room: int) -> Inline | None:
    payload = ready.encoded.bare(int(room * _BASE64))
    if payload is None:
        return None
    inline = Inline(
        codec=ready.codec.id,
        type=envelope.clean(ready.encoded.type),
        sha256=hashlib.sha256(payload).hexdigest(),
        preview=ready.preview,
        data=payload,
    )
    return inline if len(envelope.message_of(inline)) <= room else None


def _header(codec: Codec, data: bytes, at: Address) -> Header:
    header = codec.header(data)
    if header.codec != codec.id:
        raise DamagedError(f"the header names the codec {header.codec}, and this is {codec.id}", remedy=RERUN)
    if header.address != at:
        raise DamagedError(f"the artifact belongs to {header.address.path}", remedy=RERUN)
    return header


def _codec_of(data: bytes) -> Codec:
    codec = codecs.codec_of(data)
    if codec is None:
        raise DamagedError("the bytes begin like no artifact", remedy=RERUN)
    return codec
