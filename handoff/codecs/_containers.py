"""Containers to MessagePack and back, node by node: those that it lacks are extensions whose content is an array.

The codes are part of the format (`docs/format.md`) and never change their meaning. What is seen is counted on the way,
since shared references can make a small value a huge tree.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import msgspec
from msgspec import UNSET, Raw
from msgspec.msgpack import Ext

from handoff import records
from handoff.codecs import Nestable, _columns, _nested, _records, _scalars
from handoff.codecs._scalars import Unencodable
from handoff.config import DEEPEST
from handoff.errors import LimitError, newer
from handoff.records import CONTAINERS, LONGEST_NAME, Member, Record, kind_of, name_of
from handoff.sizes import human_size

#: The most bytes of MessagePack: the objects take some six times as much memory.
LARGEST = 1024**3
#: Bytes of memory that a container, and each element in it, takes at the least.
CONTAINER, POINTER = 56, 8
#: Types that MessagePack has, as keys of a dict.
NATIVE_KEYS = _columns.SINGLE

TUPLE, SET, FROZENSET, MAP = range(1, 5)
RECORD, ENUM, NESTED, ROWS = range(17, 21)

_BYTES = (str, bytes, bytearray)
_LABEL = 40
_MEMBER_DEPTH = 3  # of what is recorded of a member's value
_PARTS = 3  # of a record, where the third matters

_dump = msgspec.msgpack.Encoder().encode


def encode(value: object, label: Callable[[object, int], str], *, with_records: bool) -> tuple[bytes, int]:
    """Encode a tree that holds types MessagePack lacks, and say what the arrays and tables in it weigh in memory.

    Arguments: ``label``, what writes a node in a path; ``with_records``, whether what reads it converts records.
    Raises: `Unencodable`, `LimitError`, `EncodeError`.
    """
    try:
        packer = _Packer(label, with_records=with_records)
        return _dump(packer.pack(value, 0)), packer.weight
    except OverflowError as error:  # a bytes of 4 GiB or more
        raise LimitError(f"a part of the value is too large for MessagePack: {error}") from None


def decode(payload: bytes, limit: int) -> tuple[Any, bool]:
    """Decode what `encode`, or MessagePack alone, made, and tell whether records stand in it.

    Arguments: ``limit``, the most bytes that arrays and tables in it may weigh in memory. Raises: `LimitError`,
    `DependencyError`, `EnvelopeError` for what a newer version has, or any of the errors of msgspec and Python for
    bytes they cannot read.
    """
    depth = 0
    left = limit
    holds_records = False

    def unpack(code: int, content: memoryview) -> Any:
        nonlocal depth, left, holds_records
        if MAP < code < RECORD or code == _scalars.PENDULUM:
            return _scalars.unpack(code, bytes(content))
        if code > _scalars.PENDULUM:
            raise newer(f"the value holds an extension, {code},")
        # Counted here, because each extension is decoded by a call within a call.
        if depth == DEEPEST:
            raise too_deep()
        depth += 1
        nodes = load(content)
        depth -= 1
        if code == NESTED:
            value, weight = _nested.unpack(nodes, left)
            left -= weight
            return value
        if code <= MAP:
            return _unpack(code, nodes)
        holds_records = True
        return _columns.unpack(nodes) if code == ROWS else _unpack_record(code, nodes)

    load = msgspec.msgpack.Decoder(ext_hook=unpack).decode
    return load(payload), holds_records


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

    def __init__(self, label: Callable[[object, int], str], *, with_records: bool) -> None:
        self._label = label
        self._with_records = with_records
        self._size = 0
        #: Bytes that arrays and tables take in memory.
        self.weight = 0
        self._kinds: dict[type, Callable[[Any, int], Any]] = {
            list: self._list,
            tuple: lambda value, depth: Ext(TUPLE, _dump(self._nodes(value, depth))),
            set: lambda value, depth: Ext(SET, self._set(value, depth)),
            frozenset: lambda value, depth: Ext(FROZENSET, self._set(value, depth)),
            dict: self._dict,
        }
        self._splitters: dict[type, _columns.Splitter | None] = {}
        #: Whether a record was met that cannot be kept: from then on it is only looked for.
        self._is_refused = False

    def pack(self, value: Any, depth: int) -> Any:
        kind = type(value)
        pack = self._kinds.get(kind)
        if pack is None:
            if not _scalars.is_single(kind) and self._learn(kind):
                return self.pack(value, depth)
            self._size += len(value) if kind in _BYTES else 0
            return _scalars.pack(value)
        if depth == DEEPEST:
            raise too_deep()
        self._size += CONTAINER + (len(value) * POINTER if kind in CONTAINERS else 0)
        check_size(self._size)
        return pack(value, depth + 1)

    def _learn(self, kind: type) -> bool:
        """Find out once how the values of a class are packed: records, arrays and tables; False for any other class."""
        name = name_of(kind)
        if codec := _nested.codec_of(kind):
            self._kinds[kind] = lambda value, _: self._nested(codec, value)
            return True
        take = _records.taker(kind)
        if take is None and kind_of(kind) != "enum":
            return False
        if not self._with_records:
            raise Unencodable(
                f"{name}, a record in a cell", "Give its fields columns of their own, or convert it to a dict"
            )
        self._kinds[kind] = self._member
        if take is not None:
            self._kinds[kind] = lambda value, depth: Ext(RECORD, self._record(name, *take(value), depth))
            self._splitters[kind] = _columns.splitter(kind)
        return True

    def _nested(self, codec: Nestable, value: Any) -> Ext:
        parts, weight = _nested.pack(codec, value)
        self.weight += weight
        check_size(self._size + self.weight)
        return Ext(NESTED, _dump(parts))

    def _record(self, name: str, fields: dict[str, Any], given: list[str] | None, depth: int) -> bytes:
        content = [name, fields] if given is None else [name, fields, given]
        if NATIVE_KEYS.issuperset(map(type, fields.values())):
            try:
                data = _dump(content)
            except (OverflowError, UnicodeEncodeError):  # an int beyond 64 bits, a lone surrogate
                pass
            else:
                self._size += len(data)
                return data
        content[1] = self._dict(fields, depth)
        return _dump(content)

    def _member(self, value: Any, depth: int) -> Ext:
        name = name_of(type(value))
        if records.is_flag(type(value)):
            return Ext(ENUM, _dump([name, [member._name_ for member in value], _scalars.pack(value._value_)]))
        is_plain = _is_plain(value._value_, _MEMBER_DEPTH)
        return Ext(ENUM, _dump([name, value._name_, *([self.pack(value._value_, depth)] if is_plain else ())]))

    def _list(self, value: list[Any], depth: int) -> Any:
        if len(value) >= _columns.FEWEST and not self._is_refused:
            try:
                rows = self._rows(value, depth)
            except (Unencodable, KeyError, AttributeError):  # which record it is, is found one by one
                self._is_refused = True
            else:
                return self._nodes(value, depth) if rows is None else rows
        return self._nodes(value, depth)

    def _rows(self, value: list[Any], depth: int) -> Ext | None:
        """Give records of one class as their columns; None for a list of anything else."""
        kind = type(value[0])
        if _scalars.is_single(kind) or (kind not in self._kinds and not self._learn(kind)):
            return None
        splitter = self._splitters.get(kind)
        apart = splitter.split(value) if splitter and {*map(type, value)} == {kind} else None
        if splitter is None or apart is None:
            return None
        if depth == DEEPEST:
            raise too_deep()
        self._size += len(value) * (CONTAINER + len(splitter.names) * POINTER)
        check_size(self._size)
        columns: list[Any] = []
        for get, (data, size) in zip(
            apart.getters, _columns.native(apart, lambda size: check_size(self._size + size)), strict=True
        ):
            self._size += size
            columns.append(self._list([*map(get, apart.states)], depth + 1) if data is None else Raw(data))
        content = [name_of(kind), splitter.names, columns]
        return Ext(ROWS, _dump(content if apart.given is None else [*content, apart.given]))

    def _nodes(self, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
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


def _is_plain(value: Any, depth: int) -> bool:
    """Whether a value is a single one, or a container of such, of a few levels."""
    if type(value) not in CONTAINERS:
        return _scalars.is_single(type(value))
    nodes = chain(value, value.values()) if type(value) is dict else value
    return depth > 0 and all(_is_plain(node, depth - 1) for node in nodes)


def _unpack(code: int, nodes: Any) -> Any:
    if not isinstance(nodes, list):
        raise TypeError(f"extension {code} holds no array")
    if code == TUPLE:
        return tuple(nodes)
    if code == MAP:
        found: Any = dict(zip(nodes[::2], nodes[1::2], strict=True))
        nodes = nodes[::2]
    else:
        found = {SET: set, FROZENSET: frozenset}[code](nodes)
    if len(found) != len(nodes):
        raise ValueError(f"extension {code} holds an element twice")
    return found


def _unpack_record(code: int, nodes: Any) -> Any:
    if not isinstance(nodes, list):
        raise TypeError(f"extension {code} holds no array")
    parts: Any = nodes if len(nodes) == _PARTS else [*nodes, None if code == RECORD else UNSET]
    name, content, rest = parts
    if code == RECORD:
        is_right = isinstance(content, dict) and isinstance(rest, list | None)
        texts = [name, *content, *(rest or ())]
    else:
        is_right = isinstance(content, str | list) and not isinstance(rest, Record | Member)
        texts = [name, *content]
    if not is_right or not all(isinstance(text, str) for text in texts) or len(name) > LONGEST_NAME:
        raise ValueError(f"extension {code} holds no record")
    make: Any = Record if code == RECORD else Member
    return make(name, content, rest)
