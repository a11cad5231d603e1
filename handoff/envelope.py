"""What travels: a value's own bytes, or a reference to an artifact; and its form as JSON.

``Handoff = Inline | Stored``. The JSON is specified in `docs/format.md`.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, Final, Literal, Protocol, TypeVar, cast

import msgspec
from msgspec import UNSET, UnsetType

from handoff import plain
from handoff.address import Address, is_text
from handoff.config import ENVELOPE_CAP, MESSAGE_CAP
from handoff.errors import ConfigError, EncodeError, EnvelopeError, IdentityError, newer

VERSION: Final = 1
MARK = "__handoff__"
#: The codec of a value that travels as itself.
PLAIN = "plain"

MOST_ATTEMPTS = 2**31

_REMEDY = "Pass what to_json() gave"
_LONGEST_TEXT = 6 * MESSAGE_CAP  # with every character escaped
_LONGEST_NAME = 200
_LONGEST_FILE_NAME = 255
_LONGEST_PREVIEW = 200

_Digest = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_Check = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{16}\Z")]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=_LONGEST_NAME)]
_FileName = Annotated[str, msgspec.Meta(min_length=1, max_length=_LONGEST_FILE_NAME)]
_Preview = Annotated[str, msgspec.Meta(max_length=_LONGEST_PREVIEW)]
_Size = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_HandoffT = TypeVar("_HandoffT", bound="Handoff")


class Reader(Protocol):
    """What a bound handoff loads from: a store."""

    def get(self, x: Any, type: Any = ..., columns: Sequence[str] | None = ...) -> Any: ...

    def scan(self, x: Any, type: Any = ...) -> Any: ...


class Handoff(msgspec.Struct, frozen=True, dict=True, tag_field="kind", forbid_unknown_fields=True, kw_only=True):
    """What one task hands to the next: an `Inline` or a `Stored`.

    One that a store gave can `load` its value; one read from JSON is loaded with ``store.get(handoff)``.
    """

    version: Literal[1] = msgspec.field(default=VERSION, name=MARK)
    codec: _Name
    #: The type of the value, for people and for error messages.
    type: _Name
    sha256: _Digest
    preview: _Preview = ""
    #: Under which name a file arrives; only a file has one.
    file_name: _FileName | UnsetType = UNSET

    @staticmethod
    def from_json(message: object) -> Handoff:
        """Read a handoff from a JSON object, or from JSON as text or bytes; a plain value becomes an `Inline`.

        Text is always parsed: a plain value that is itself text must come as JSON, in its quotes.

        Raises: `EnvelopeError` for anything that is neither an envelope of this version nor a plain value.
        """
        return read(_parse(message) if isinstance(message, str | bytes) else message)

    def to_json(self) -> Any:
        """Give the JSON that travels: an object, or the plain value itself."""
        return msgspec.to_builtins(self)

    def load(self, type: Any = Any, columns: Sequence[str] | None = None) -> Any:
        """Give the value, as the ``type`` that its reader asks for; of a table, only some ``columns``.

        Raises: `ConfigError` where no store is bound: use ``store.get(handoff)``. Otherwise as ``store.get``.
        """
        return self._reader("get").get(self, type, columns)

    def scan(self, type: Any = Any) -> Any:
        """Give what reads a table in place, as ``store.scan``. Raises: as `load`."""
        return self._reader("scan").scan(self, type)

    def _reader(self, call: str) -> Reader:
        if not is_bound(self):
            raise ConfigError("this handoff was read from JSON and has no store", remedy=f"Use store.{call}(handoff)")
        store: Reader = self.__dict__["_store"]
        return store


class Inline(Handoff, frozen=True, tag="inline"):
    """A handoff that holds the value's bytes: its JSON where it travels plain, else a compressed payload."""

    data: bytes

    @property
    def size(self) -> int:
        """The number of bytes of ``data``."""
        return len(self.data)

    @property
    def uri(self) -> None:
        """Nothing: the value is in the handoff."""
        return None

    def to_json(self) -> Any:
        return plain.decode(self.data) if self.codec == PLAIN else super().to_json()


class Stored(Handoff, frozen=True, tag="stored"):
    """A handoff that refers to the artifact at ``address``, of ``size`` bytes with the digest ``sha256``."""

    address: Address
    size: _Size
    #: The size before compression, in bytes.
    raw_size: _Size
    #: Which attempt of the task made it, counted from 1.
    attempt: Annotated[int, msgspec.Meta(ge=1, le=MOST_ATTEMPTS)] = 1
    #: Where the artifact is, for people and engines. A reader of handoffs never resolves it.
    uri: Annotated[str, msgspec.Meta(max_length=ENVELOPE_CAP)] = ""
    #: What the footer of a Parquet file says of the whole, so that a part of it is known to be of this version.
    check: _Check | UnsetType = UNSET


def is_envelope(value: object) -> bool:
    """Whether a value claims to be an envelope. Only the exact type is looked at: proxies are left alone."""
    return type(value) is dict and MARK in value


def read(message: object) -> Handoff:
    """Read a handoff from what arrived, as `Handoff.from_json`; but text is a value here, and is not parsed."""
    if is_envelope(message):
        return _read(cast("dict[str, Any]", message))
    data = plain.encode(message, MESSAGE_CAP, alone=False)  # it has travelled, alone or as a part
    if data is None:
        raise EnvelopeError(f"this {_kind(message)} is neither an envelope nor a plain value", remedy=_REMEDY)
    return plain_handoff(message, data)


def handoff_in(value: object) -> Handoff | None:
    """Give a handoff, or read its envelope; one that is malformed is data like any other."""
    if is_envelope(value):
        with contextlib.suppress(EnvelopeError):
            return read(value)
    return value if isinstance(value, Handoff) else None


def any_handoff(nodes: Iterable[object], kinds: AbstractSet[type]) -> bool:
    """Whether there is a handoff or an envelope among nodes of these types."""
    if any(issubclass(kind, Handoff) for kind in kinds):
        return True
    return dict in kinds and any(handoff_in(node) is not None for node in nodes if is_envelope(node))


def weight_of(handoff: Handoff) -> int:
    """Give the bytes that loading a handoff takes at the least: those before compression, of one that is stored."""
    return handoff.raw_size if isinstance(handoff, Stored) else 0


def address_of(x: object) -> Address | None:
    """Give the address of what is at one: None for a handoff that holds its value."""
    return x.address if isinstance(x, Stored) else x if isinstance(x, Address) else None


def bind(handoff: _HandoffT, store: Reader) -> _HandoffT:
    """Let ``handoff.load()`` read from ``store``. The store is no part of its JSON, equality, repr or pickle."""
    vars(handoff)["_store"] = store
    return handoff


def note_raw_size(handoff: Inline, raw_size: int) -> None:
    """Let a handoff know how large its value was before compression. It is no part of its JSON either."""
    vars(handoff)["_raw_size"] = raw_size


def raw_size_of(handoff: Handoff) -> int | None:
    """Give the bytes of a value before compression; None where a message does not tell."""
    if isinstance(handoff, Inline) and handoff.codec == PLAIN:
        return handoff.size
    return handoff.raw_size if isinstance(handoff, Stored) else vars(handoff).get("_raw_size")


def is_bound(handoff: Handoff) -> bool:
    """Whether a handoff came from a store, and can load from it."""
    return "_store" in handoff.__dict__


def plain_handoff(value: object, data: bytes) -> Inline:
    """Wrap the JSON of a plain value."""
    return Inline(codec=PLAIN, type=_kind(value), sha256=hashlib.sha256(data).hexdigest(), data=data)


def message_of(handoff: Handoff) -> bytes:
    """Give the JSON text of an envelope or a plain value, compact, in UTF-8: what a limit counts."""
    if isinstance(handoff, Inline) and handoff.codec == PLAIN:
        return handoff.data
    return msgspec.json.encode(handoff)


def fit(handoff: Stored) -> Stored:
    """Keep a stored envelope under 2 KiB: the preview goes first, then the uri.

    Raises: `EncodeError` where ids alone are longer.
    """
    for less in ({}, {"preview": ""}, {"preview": "", "uri": ""}):
        smaller = msgspec.structs.replace(handoff, **less)
        if len(message_of(smaller)) <= ENVELOPE_CAP:
            return smaller
    raise EncodeError(
        f"the address takes an envelope over {ENVELOPE_CAP:,} bytes",
        remedy="Use shorter ids",
        address=handoff.address.path,
    )


def clean(text: str, longest: int = _LONGEST_PREVIEW) -> str:
    """Make text fit for any database: no control characters, no surrogates, at most ``longest`` characters."""
    shown = "".join(c if c.isprintable() else " " for c in text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _parse(text: str | bytes) -> object:
    if len(text) > _LONGEST_TEXT:
        raise EnvelopeError(f"this text has {len(text):,} characters, and no message is so long")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        is_repr = text[:2] in ("{'", b"{'")
        remedy = "Write {{ … | tojson }} in the template: this is Python's own notation" if is_repr else _REMEDY
        raise EnvelopeError(f"this text is not JSON: {error}", remedy=remedy) from None


def _read(message: dict[str, Any]) -> Handoff:
    if type(message[MARK]) is int and message[MARK] > VERSION:
        raise newer("this envelope is")
    try:
        found = msgspec.convert(message, Inline | Stored)
    except (msgspec.ValidationError, IdentityError, RecursionError, UnicodeError) as error:
        raise EnvelopeError(f"this envelope is malformed: {error}", remedy=_REMEDY) from None
    texts = [found.preview, found.type, found.codec, found.uri or "", found.file_name or ""]
    if not all(map(is_text, texts)):
        raise EnvelopeError("this envelope holds a NUL or a lone surrogate", remedy=_REMEDY)
    size, cap = len(message_of(found)), ENVELOPE_CAP if isinstance(found, Stored) else MESSAGE_CAP
    if size > cap:
        raise EnvelopeError(f"this envelope has {size:,} bytes, and {cap:,} are allowed")
    if isinstance(found, Inline) and found.codec == PLAIN:
        raise EnvelopeError("a plain value travels as itself, never in an envelope")
    return found


def _kind(value: object) -> str:
    return type(value).__qualname__
