"""Containers to MessagePack and back, node by node: those that it lacks are extensions whose content is an array.

The codes are part of the format (`docs/format.md`) and never change their meaning. What is seen is counted on the way,
since shared references can make a small value a huge tree.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.msgpack import Ext

from handoff.codecs import _scalars
from handoff.codecs._scalars import Unencodable
from handoff.config import DEEPEST
from handoff.errors import LimitError
from handoff.sizes import human_size

#: The most bytes of MessagePack: the objects take some six times as much memory.
LARGEST = 1024**3
#: Bytes of memory that a container, and each element in it, takes at the least.
CONTAINER, POINTER = 56, 8
#: Types that MessagePack has, as keys of a dict.
NATIVE_KEYS = frozenset({str, int, float, bool, type(None), bytes})

TUPLE, SET, FROZENSET, MAP = range(1, 5)

_BYTES = (str, bytes, bytearray)
_LABEL = 40

_dump = msgspec.msgpack.Encoder().encode


def encode(value: object, label: Callable[[object, int], str]) -> bytes:
    """Encode a tree that holds types MessagePack lacks; ``label`` writes a node in a path.

    Raises: `Unencodable`, `LimitError`.
    """
    try:
        return _dump(_Packer(label).pack(value, 0))
    except OverflowError as error:  # a bytes of 4 GiB or more
        raise LimitError(f"a part of the value is too large for MessagePack: {error}") from None


def decode(payload: bytes) -> Any:
    """Decode what `encode`, or MessagePack alone, made.

    Raises: `LimitError`, `DependencyError`, or any of the errors of msgspec and Python for bytes they cannot read.
    """
    depth = 0

    def unpack(code: int, content: memoryview) -> Any:
        nonlocal depth
        if code > MAP:
            return _scalars.unpack(code, bytes(content))
        # Counted here, because each extension is decoded by a call within a call.
        if depth == DEEPEST:
            raise too_deep()
        depth += 1
        found = _unpack(code, load(content))
        depth -= 1
        return found

    load = msgspec.msgpack.Decoder(ext_hook=unpack).decode
    return load(payload)


def check_size(size: int) -> None:
    """Refuse a tree of more than `LARGEST` bytes. Raises: `LimitError`."""
    if size > LARGEST:
        raise LimitError(
            f"the value takes over {human_size(LARGEST)} as plain Python values",
            remedy="Hand it over as a table",
            size=size,
            limit=LARGEST,
        )


def too_deep() -> LimitError:
    """Give the error for a tree of more than `DEEPEST` levels."""
    return LimitError(
        f"the value is nested deeper than {DEEPEST} levels, or holds itself", remedy="Flatten it", limit=DEEPEST
    )


class _Packer:
    """One walk through a value."""

    def __init__(self, label: Callable[[object, int], str]) -> None:
        self._label = label
        self._size = 0
        self._kinds: dict[type, Callable[[Any, int], Any]] = {
            list: self._list,
            tuple: lambda value, depth: Ext(TUPLE, _dump(self._list(value, depth))),
            set: lambda value, depth: Ext(SET, self._set(value, depth)),
            frozenset: lambda value, depth: Ext(FROZENSET, self._set(value, depth)),
            dict: self._dict,
        }

    def pack(self, value: Any, depth: int) -> Any:
        pack = self._kinds.get(type(value))
        if pack is None:
            self._size += len(value) if type(value) in _BYTES else 0
            return _scalars.pack(value)
        if depth == DEEPEST:
            raise too_deep()
        self._size += CONTAINER + len(value) * POINTER
        check_size(self._size)
        return pack(value, depth + 1)

    def _list(self, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        packed: list[Any] = []
        for node in value:
            try:
                packed.append(self.pack(node, depth))
            except Unencodable as refused:
                raise refused.below(f"[{len(packed)}]") from None
        return packed

    def _set(self, value: set[Any] | frozenset[Any], depth: int) -> bytes:
        packed: list[bytes] = []
        for node in value:
            try:
                packed.append(_dump(self.pack(node, depth)))
            except Unencodable as refused:
                raise refused.below(f"{{{self._label(node, _LABEL)}}}") from None
        # A set has no order of its own, and the same value must give the same bytes.
        return _dump([Raw(data) for data in sorted(packed)])

    def _dict(self, value: dict[Any, Any], depth: int) -> Any:
        keys: list[Any] = []
        nodes: list[Any] = []
        for key, node in value.items():
            try:
                keys.append(self.pack(key, depth))
            except Unencodable as refused:
                raise refused.below(f".keys()[{len(keys)}]") from None
            try:
                nodes.append(self.pack(node, depth))
            except Unencodable as refused:
                raise refused.below(self._step(key)) from None
        if NATIVE_KEYS.issuperset(map(type, keys)):
            return dict(zip(keys, nodes, strict=True))
        return Ext(MAP, _dump(list(chain.from_iterable(zip(keys, nodes, strict=True)))))

    def _step(self, key: Any) -> str:
        is_name = type(key) is str and key.isidentifier() and len(key) <= _LABEL
        return f".{key}" if is_name else f"[{self._label(key, _LABEL)}]"


def _unpack(code: int, nodes: Any) -> Any:
    if not isinstance(nodes, list):
        raise TypeError(f"extension {code} holds no array")
    if code == TUPLE:
        return tuple(nodes)
    if code == MAP:
        found: Any = dict(zip(nodes[::2], nodes[1::2], strict=True))
        nodes = nodes[::2]
    else:
        found = set(nodes) if code == SET else frozenset(nodes)
    if len(found) != len(nodes):
        raise ValueError(f"extension {code} holds an element twice")
    return found
