"""The single values that MessagePack lacks, each as an extension: a code, and content in bytes.

The codes are part of the format (`docs/format.md`) and never change their meaning.
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
import struct
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID, SafeUUID

import msgspec
from msgspec.msgpack import Ext

from handoff.codecs import _pendulum, _zones
from handoff.errors import DependencyError
from handoff.records import Located, name_of

TEXT, INT, BYTEARRAY, COMPLEX, DECIMAL, UUID_, DATE, TIME, DATETIME, TIMEDELTA, PATH, NUMPY = range(5, 17)
PENDULUM = 21

_LEAST_INT, _MOST_INT = -(2**63), 2**64 - 1
_COMPLEX = struct.Struct(">dd")
# The caller's own context could write another exponent letter, or read nonsense as NaN.
_DECIMALS = decimal.Context(capitals=1, traps=[decimal.InvalidOperation])
_DTYPE = re.compile(r"\A[<>|](?:b1|[iu][1248]|f[248]|c8|c16|[mM]8(?:\[[0-9]*[A-Za-z]+\])?)\Z")
_PATHS: dict[type[PurePath], int] = {PurePosixPath: 0, PosixPath: 1, PureWindowsPath: 2}
_SAFETY = {SafeUUID.unknown: b"", SafeUUID.safe: b"\1", SafeUUID.unsafe: b"\2"}

_dump = msgspec.msgpack.Encoder().encode


class Unencodable(Located):
    """A node that cannot be kept."""


def pack(value: Any) -> Any:
    """Give what MessagePack takes for a single value: the value itself, or an extension.

    Raises: `Unencodable`.
    """
    packer = _PACK.get(type(value))
    if packer is not None:
        return packer(value)
    if type(value).__module__ == "numpy":
        return _pack_numpy(value)
    place = _pendulum.place_of(type(value))
    if place is not None:
        return _pack_pendulum(place, value)
    raise _refuse(value)


def unpack(code: int, content: bytes) -> Any:
    """Give the value of an extension.

    Raises: `DependencyError`, or any of the errors that Python's own types raise for content they cannot read.
    """
    return _UNPACK[code](content)


def _pack_int(value: int) -> Any:
    if _LEAST_INT <= value <= _MOST_INT:
        return value
    return Ext(INT, value.to_bytes((value if value > 0 else ~value).bit_length() // 8 + 1, "big", signed=True))


def _pack_text(value: str) -> Any:
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return Ext(TEXT, value.encode("utf-8", "surrogatepass"))
    return value


def _unpack_text(content: bytes) -> str:
    return content.decode("utf-8", "surrogatepass")


def _pack_uuid(value: UUID) -> Ext:
    return Ext(UUID_, value.bytes + _SAFETY[value.is_safe])


def _unpack_uuid(content: bytes) -> UUID:
    return UUID(bytes=content[:16], is_safe=dict(zip(_SAFETY.values(), _SAFETY, strict=True))[content[16:]])


def _unpack_decimal(content: bytes) -> Any:
    text = content.decode("ascii")
    return _same_text(lambda text: decimal.Decimal(text, _DECIMALS), _DECIMALS.to_sci_string, text)


def _pack_moment(code: int) -> Callable[[Any], Ext]:
    """Date-times and times: the text in ISO 8601 without zone; then, where they matter, the fold and the zone."""

    def packer(value: dt.datetime | dt.time) -> Ext:
        text = value.replace(tzinfo=None, fold=0).isoformat()
        if value.tzinfo is None and not value.fold:
            return Ext(code, _dump([text]))
        return Ext(code, _dump([text, value.fold, _pack_zone(value.tzinfo)]))

    return packer


def _unpack_moment(kind: type[dt.datetime | dt.time]) -> Callable[[bytes], Any]:
    def unpacker(content: bytes) -> Any:
        text, fold, zone = [*_load(content), 0, None][:3]
        value: Any = _same_text(kind.fromisoformat, kind.isoformat, text)
        return value.replace(fold=fold, tzinfo=_zones.zone_of(zone))

    return unpacker


def _pack_zone(zone: dt.tzinfo | None) -> Any:
    known = _zones.known_by(zone)
    if known is None:
        raise Unencodable(
            f"a time zone of type {name_of(type(zone))}",
            "Use datetime.timezone, or a zone of zoneinfo or pendulum that has a key",
        )
    owner, found = known
    packed = [*map(pack, found)] if isinstance(found, list) else found
    return {owner: packed} if owner else packed


def _pack_pendulum(place: int, value: Any) -> Ext:
    kind = _pendulum.KINDS[place][1]
    plain = kind(*_pendulum.fields_of(value))
    if kind is dt.date:
        return Ext(PENDULUM, _dump([place, plain.isoformat()]))
    return Ext(PENDULUM, _dump([place, plain.isoformat(), value.fold, _pack_zone(value.tzinfo)]))


def _unpack_pendulum(content: bytes) -> Any:
    place, text, *more = _load(content)
    kind = dict(enumerate(_pendulum.KINDS))[place][1]
    plain = _same_text(kind.fromisoformat, kind.isoformat, text)
    fold_and_zone = {"fold": more[0], "tzinfo": _zones.zone_of(more[1])} if more else {}
    return _pendulum.make(place, plain, **fold_and_zone)


def _pack_path(value: PurePath) -> Ext:
    if (
        type(value)(str(value)).parts != value.parts
    ):  # Python 3.11 writes some Windows paths so that they read otherwise
        raise Unencodable(f"the path {value!r}, which its own text does not give back", "Normalize it")
    return Ext(PATH, _dump([_PATHS[type(value)], _pack_text(str(value))]))


def _unpack_path(content: bytes) -> Any:
    flavour, text = _load(content)
    return dict(zip(_PATHS.values(), _PATHS, strict=True))[flavour](text)


def _pack_numpy(value: Any) -> Ext:
    numpy = sys.modules["numpy"]
    if type(value) is numpy.str_:
        return Ext(NUMPY, _dump(["U", _pack_text(str.__str__(value))]))
    if type(value) is numpy.bytes_:
        return Ext(NUMPY, _dump(["S", bytes(value)]))
    if isinstance(value, numpy.generic):
        dtype = value.dtype.str
        if _DTYPE.match(dtype) and numpy.dtype(dtype).type is type(value):
            return Ext(NUMPY, _dump([dtype, value.tobytes()]))
    raise _refuse(value)


def _unpack_numpy(content: bytes) -> Any:
    try:
        numpy = import_module("numpy")
    except ImportError:
        raise DependencyError(
            "the value holds numpy scalars, and numpy is not installed",
            remedy="Install dag-handoff[numpy]",
            extra="numpy",
        ) from None
    dtype, data = _load(content)
    if dtype == "U":
        return numpy.str_(data)
    if dtype == "S":
        return numpy.bytes_(data)
    if not _DTYPE.match(dtype) or (dtype == "|b1" and data not in (b"\0", b"\1")):
        raise ValueError(f"not a numpy scalar: {dtype!r}")
    (value,) = numpy.frombuffer(data, dtype=dtype)
    return value


def _same_text(read: Callable[[Any], Any], write: Callable[[Any], str], text: Any) -> Any:
    value = read(text)
    if write(value) != text:
        raise ValueError(f"{text!r} is not spelled as it was written")
    return value


def _unpack_extension(code: int, content: memoryview) -> Any:
    if code != TEXT:
        raise ValueError(f"extension {code} has no place in a single value")
    return _unpack_text(bytes(content))


_load = msgspec.msgpack.Decoder(ext_hook=_unpack_extension).decode


def _refuse(value: object) -> Unencodable:
    kind = type(value)
    name = name_of(kind)
    if hasattr(kind, "get_secret_value"):
        return Unencodable(f"{name}, a secret, which is not written down", "Let the reader fetch it where it is kept")
    for base in (dict, list, tuple, set, str, int, float, bytes, dt.datetime):
        if isinstance(value, base):
            return Unencodable(
                f"{name}, which would come back as a mere {base.__name__}",
                f"Convert it with {base.__name__}(…), if that is what you mean",
            )
    return Unencodable(name, "Convert it to a plain Python value, or hand it over by itself where a codec takes it")


def is_single(kind: type) -> bool:
    """Whether a type is one of those that `pack` takes, those of numpy and pendulum aside."""
    return kind in _PACK


def _itself(value: Any) -> Any:
    return value


_PACK: dict[type, Callable[[Any], Any]] = {
    type(None): _itself,
    bool: _itself,
    float: _itself,
    bytes: _itself,
    int: _pack_int,
    str: _pack_text,
    bytearray: lambda value: Ext(BYTEARRAY, bytes(value)),
    complex: lambda value: Ext(COMPLEX, _COMPLEX.pack(value.real, value.imag)),
    decimal.Decimal: lambda value: Ext(DECIMAL, _DECIMALS.to_sci_string(value).encode()),
    UUID: _pack_uuid,
    dt.date: lambda value: Ext(DATE, value.isoformat().encode()),
    dt.time: _pack_moment(TIME),
    dt.datetime: _pack_moment(DATETIME),
    dt.timedelta: lambda value: Ext(TIMEDELTA, _dump([value.days, value.seconds, value.microseconds])),
    **dict.fromkeys(_PATHS, _pack_path),
}

_UNPACK: dict[int, Callable[[bytes], Any]] = {
    TEXT: _unpack_text,
    INT: lambda content: int.from_bytes(content, "big", signed=True),
    BYTEARRAY: bytearray,
    COMPLEX: lambda content: complex(*_COMPLEX.unpack(content)),
    DECIMAL: _unpack_decimal,
    UUID_: _unpack_uuid,
    DATE: lambda content: _same_text(dt.date.fromisoformat, dt.date.isoformat, content.decode("ascii")),
    TIME: _unpack_moment(dt.time),
    DATETIME: _unpack_moment(dt.datetime),
    TIMEDELTA: lambda content: dt.timedelta(*_load(content)),
    PATH: _unpack_path,
    NUMPY: _unpack_numpy,
    PENDULUM: _unpack_pendulum,
}
