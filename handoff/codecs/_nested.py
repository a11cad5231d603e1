"""Arrays and tables inside a tree: each is the payload of its own codec."""

from __future__ import annotations

import io
from typing import Any, cast

from handoff import codecs
from handoff.codecs import Nestable, Reading
from handoff.codecs._scalars import Unencodable
from handoff.errors import EncodeError, LimitError
from handoff.sizes import human_size
from handoff.spool import Source

_NESTED = frozenset({codecs.ARRAY, codecs.TABLE})
_PARTS = 3


def codec_of(kind: type) -> Nestable | None:
    """Find the codec for values of a class inside a tree; None where the tree codec has to keep them itself.

    Raises: `Unencodable`.
    """
    codec = codecs.codec_of(kind)
    if codec.id == codecs.FILE:
        raise Unencodable(
            "a File inside another value",
            "Return it by itself, in a list that is mapped over, or as one of several outputs",
        )
    return cast("Nestable", codec) if codec.id in _NESTED else None


def pack(codec: Nestable, value: Any) -> tuple[list[Any], int]:
    """Give what an extension holds for a value, and the bytes that it takes in memory. Raises: `Unencodable`."""
    payload = io.BytesIO()
    try:
        encoded = codec.encode(value)
        encoded.write(payload, None)
    except EncodeError as error:
        why = str(error).removesuffix(f". {error.remedy}.").removeprefix("the value: ")
        raise Unencodable(why, error.remedy) from None
    data = payload.getvalue()
    return [codec.id, encoded.type, data], codec.weigh(Source(data))


def unpack(parts: Any, left: int) -> tuple[Any, int]:
    """Give the value that an extension holds, and the bytes that it takes in memory, of which no more than are left.

    Raises: `LimitError`, `DependencyError`, `DamagedError`, `ValueError`.
    """
    if not isinstance(parts, list) or len(parts) != _PARTS:
        raise ValueError("an extension holds no array or table")
    name, kind, data = parts
    if name not in _NESTED or not isinstance(kind, str) or not isinstance(data, bytes):
        raise ValueError("an extension holds no array or table")
    codec, source = cast("Nestable", codecs.codec_named(name)), Source(data)
    weight = codec.weigh(source)
    if weight > left:
        raise LimitError(
            f"an array or table in the value takes {human_size(weight)}, and {human_size(left)} are left",
            remedy="Hand it over by itself",
            size=weight,
            limit=left,
        )
    return codec.decode(source, Reading(kind, left)), weight
