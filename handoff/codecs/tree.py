"""Plain Python values, nested in any way, as MessagePack.

What MessagePack lacks is an extension: containers here, single values in `_scalars`; `docs/format.md` lists them. A
tree that msgspec gives back unchanged is told from the types of all its nodes at C speed and encoded in one go.
"""

from __future__ import annotations

import gc
import struct
import sys
from collections.abc import Iterable
from itertools import chain, compress, islice, repeat
from typing import Any, Final, cast

import msgspec

from handoff.artifact import Buffer
from handoff.codecs import Encoded, _containers, _long
from handoff.codecs._containers import CONTAINER, NATIVE_KEYS, POINTER, check_size, too_deep
from handoff.codecs._framed import Framed
from handoff.codecs._reading import Reading
from handoff.codecs._scalars import Unencodable
from handoff.config import DEEPEST, INLINE_SIZE
from handoff.errors import DamagedError, EncodeError, HandoffError, LimitError
from handoff.records import CONTAINERS, Member, Record, Rows, kind_of, name_of
from handoff.sizes import human_size
from handoff.spool import Source

id: Final = "tree"

_NATIVE_CONTAINERS = frozenset({dict, list})
_NATIVE = NATIVE_KEYS | _NATIVE_CONTAINERS
_HOLDERS = CONTAINERS | {Record, Rows}
_TEXTS = frozenset({str, bytes})
#: Nodes are looked at while the processor still has them at hand.
_BATCH = 1_000
# Up to so many nodes, the lengths of texts are added up too: that is cheap, and shared ones can be huge together.
_MEASURED = 100_000
_MAY_HIDE = sys.version_info >= (3, 13)
_PREVIEW_DEPTH, _PREVIEW_ITEMS, _PREVIEW_TEXT, _PREVIEW_BITS = 3, 6, 60, 128
_BRACKETS: dict[type, tuple[str, str]] = {list: ("[", "]"), tuple: ("(", ")"), dict: ("{", "}")}


class Tree(Framed):
    """A value as MessagePack. It weighs what the payload does, and the arrays and tables in it do in memory."""

    def __init__(self, value: object, payload: bytes, weight: int) -> None:
        super().__init__(len(payload), len(payload) + weight)
        self._payload = memoryview(payload)
        self._value = value
        self.type = name_of(type(value))

    def preview(self) -> str:
        return _show(self._value, _PREVIEW_DEPTH)

    def _at(self, start: int, end: int) -> Buffer:
        return self._payload[start:end]


def encode(value: object) -> Encoded:
    """Encode a tree of plain Python values. See `handoff.codecs.Codec`."""
    if type(value) is bytes and len(value) > INLINE_SIZE:
        return _long.LongBytes(value, _show(value, _PREVIEW_DEPTH))
    return Tree(value, *_dump(value, with_records=True))


def dump(value: object) -> bytes:
    """Give a tree without records as MessagePack. Raises: as `encode`."""
    return _dump(value, with_records=False)[0]


def load(payload: bytes) -> Any:
    """Give the tree that `dump` made MessagePack of. Raises: `DamagedError`, `LimitError`, `DependencyError`."""
    value, holds_records = _load(payload, _containers.LARGEST)
    if holds_records:
        raise DamagedError("there are records where there can be none")
    return value


def _dump(value: object, *, with_records: bool) -> tuple[bytes, int]:
    payload, weight = _encode_natively(value), 0
    if payload is None:
        try:
            payload, weight = _containers.encode(
                value, lambda node, longest: _shorten(_show(node, 1), longest), with_records=with_records
            )
        except Unencodable as refused:
            where = refused.path or "the value"
            raise EncodeError(f"{where}: {refused.why}", remedy=refused.remedy, path=refused.path) from None
    check_size(len(payload) + weight)
    return payload, weight


def decode(source: Source, reading: Reading) -> Any:
    """Decode what `encode` made. See `handoff.codecs.Codec`."""
    limit = min(reading.limit, _containers.LARGEST)
    payload = reading.payload(source, limit)
    if reading.name == "bytes" and payload.size > INLINE_SIZE:
        value, holds_records = cast("Any", _long.load(payload)), False
    else:
        value, holds_records = _load(payload.data(), limit - payload.size)
    found = value.name if isinstance(value, Record | Member) else name_of(value.__class__)
    if found != reading.name:
        raise DamagedError(f"the payload is a {found}, and a {reading.name} was recorded")
    if reading.type is Any and not holds_records:
        return value
    from handoff.records import conversion

    return conversion.of_decoded(value, reading.type, holds_records=holds_records)


def _load(payload: bytes, limit: int) -> tuple[Any, bool]:
    try:
        value, holds_records = _containers.decode(payload, limit)
        _check_depth(value)
    except HandoffError:
        raise
    except (
        msgspec.MsgspecError,
        ValueError,
        TypeError,
        ArithmeticError,
        LookupError,
        RecursionError,
        struct.error,
    ) as error:
        raise DamagedError(f"the payload cannot be decoded: {error}") from None
    except MemoryError:
        raise LimitError(f"the payload of {human_size(len(payload))} needs more memory than there is") from None
    return value, holds_records


def _encode_natively(value: object) -> bytes | None:
    """Encode a tree that MessagePack gives back as it is; None for any other."""
    if not _is_native(value):
        return None
    try:
        return msgspec.msgpack.encode(value)
    except (OverflowError, UnicodeEncodeError):  # an int beyond 64 bits, a lone surrogate
        return None


# --- which trees MessagePack gives back -------------------------------------------------------------------------


def _is_native(value: object) -> bool:
    if type(value) not in _NATIVE:
        return False
    level: list[Any] = [value] if type(value) in _NATIVE_CONTAINERS else []
    count = size = 0
    for _ in range(DEEPEST + 1):
        if not level:
            return True
        # Counted before anything is gathered: shared references can make a small value a huge tree.
        children = sum(map(len, level))
        count += children
        size += len(level) * CONTAINER + children * POINTER
        check_size(size)
        below: list[Any] = []
        for start in range(0, len(level), _BATCH):
            found = _children(level[start : start + _BATCH])
            kinds = set(map(type, found))
            if not kinds <= _NATIVE:
                return False
            if count <= _MEASURED and not kinds.isdisjoint(_TEXTS):
                size += sum(map(len, _of(_TEXTS, found)))
                check_size(size)
            if not kinds.isdisjoint(_NATIVE_CONTAINERS):
                below += found if kinds <= _NATIVE_CONTAINERS else _of(_NATIVE_CONTAINERS, found)
        level = below
    raise too_deep()


def _children(level: list[Any]) -> list[Any]:
    # The collector names a dict's values alone where all its keys are str, and its keys as well where they are not: the
    # number tells. From Python 3.13 it names nothing for some objects' __dict__; a copy of that is a dict like others.
    asked = [node if type(node) is list else node.copy() for node in level] if _MAY_HIDE else level
    found = gc.get_referents(*asked)
    if len(found) == sum(map(len, level)):
        return found
    return [node for part in level for node in (part if type(part) is list else chain(part, part.values()))]


def _of(kinds: frozenset[type], nodes: list[Any]) -> Iterable[Any]:
    return compress(nodes, map(kinds.__contains__, map(type, nodes)))


def _check_depth(value: object) -> None:
    level = _holders([value])
    for _ in range(DEEPEST + 1):
        if not level:
            return
        below: list[Any] = []
        for start in range(0, len(level), _BATCH):
            batch = level[start : start + _BATCH]
            held = batch if CONTAINERS.issuperset(map(type, batch)) else map(_held, batch)
            below += _holders(gc.get_referents(*held))
        level = below
    raise too_deep()


def _holders(nodes: list[Any]) -> list[Any]:
    # What the collector does not track holds no other container: mostly, that ends the search at once.
    return [node for node in filter(gc.is_tracked, nodes) if type(node) in _HOLDERS]


def _held(node: Any) -> Any:
    if type(node) is Rows:  # its records are a level, whatever they hold
        holders = [not kinds.isdisjoint(_HOLDERS) for kinds in node.kinds]
        return [[], *compress(node.columns, holders)]
    return node.fields if type(node) is Record else node


# --- for people -------------------------------------------------------------------------------------------------


def _show(value: Any, depth: int) -> str:
    """Write a value in a line, without looking at more of it than is shown."""
    kind = type(value)
    if kind in (list, tuple, dict):
        start, end = _BRACKETS[kind]
        shown = map(_show_item, value.items(), repeat(depth)) if kind is dict else map(_show, value, repeat(depth - 1))
        return _brackets(start, shown, len(value), ",)" if kind is tuple and len(value) == 1 else end, depth)
    if kind in (set, frozenset):
        return f"a {kind.__name__} of {len(value):,}"
    if kind in (str, bytes, bytearray) and len(value) > _PREVIEW_TEXT:
        return f"{value[:_PREVIEW_TEXT]!r}…"
    if kind_of(kind):  # its own repr may be long, or tell what its fields must not
        return f"{kind.__qualname__}.{value.name}" if kind_of(kind) == "enum" else f"{kind.__qualname__}(…)"
    if kind is int and value.bit_length() > _PREVIEW_BITS:
        return f"an int of {value.bit_length():,} bits"
    return _shorten(repr(value), _PREVIEW_TEXT)


def _show_item(item: tuple[Any, Any], depth: int) -> str:
    return f"{_show(item[0], depth - 1)}: {_show(item[1], depth - 1)}"


def _brackets(start: str, shown: Iterable[str], count: int, end: str, depth: int) -> str:
    if depth <= 0 and count:
        return f"{start}…{end}"
    more = ", …" if count > _PREVIEW_ITEMS else ""
    return f"{start}{', '.join(islice(shown, _PREVIEW_ITEMS))}{more}{end}"


def _shorten(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
