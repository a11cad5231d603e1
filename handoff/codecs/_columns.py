"""Lists of records of one class, field by field: the values of a field in all of them are one array.

So types are looked at, and values are written, many at a time. Blocks of records are small enough to stay in the
processor's cache while all their fields are taken.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import msgspec

from handoff import records
from handoff.codecs import _records
from handoff.records import LONGEST_NAME, Rows

#: Types that MessagePack gives back as they are.
SINGLE = frozenset({str, int, float, bool, type(None), bytes})
#: A list of fewer records is written record by record.
FEWEST = 16

_TEXTS = frozenset({str, bytes})
_BLOCK = 1000
_SHORT_ARRAY = 0xDC
_SHORT, _LONG = struct.Struct(">BH"), struct.Struct(">BI")  # how MessagePack begins an array
_PARTS = 3  # of rows, where the fourth matters

_dump = msgspec.msgpack.Encoder().encode


Getters = Sequence[Callable[[Any], Any]]


class Apart(NamedTuple):
    """Records of one class: what holds the values of each, what takes each field of that, and which fields were set."""

    states: Sequence[Any]
    getters: Getters
    given: list[str] | None


#: Gives None where a record has more or less than its fields, or not all had the same of them set.
Split = Callable[[Sequence[Any]], Apart | None]


class Splitter(NamedTuple):
    """How the records of a class are taken apart: its fields, and what does it."""

    names: tuple[str, ...]
    split: Split


def splitter(kind: Any) -> Splitter | None:
    """Give what takes many records of a class apart; None where that has to be done one by one."""
    names = tuple(field.name for field in records.fields_of(kind))
    make = {"namedtuple": _of_tuples, "pydantic": _of_models}.get(records.kind_of(kind) or "", _of_attributes)
    split = make(kind, names) if names else None
    return split and Splitter(names, split)


def _of_tuples(kind: Any, names: tuple[str, ...]) -> Split | None:
    getters = [itemgetter(place) for place in range(len(names))]
    is_plain = kind.__getitem__ is tuple.__getitem__ and kind.__len__ is tuple.__len__ and not kind.__dictoffset__
    return (lambda values: _of_one_length(values, getters)) if is_plain else None


def _of_attributes(kind: Any, names: tuple[str, ...]) -> Split | None:
    if set(_records.slots_of(kind)) - set(names):
        return None
    if not kind.__dictoffset__:
        slots = [attrgetter(name) for name in names]
        return lambda values: Apart(values, slots, None)
    if kind.__getattribute__ is not object.__getattribute__ or not records.is_kept_in_dict(kind, names):
        return None
    getters = [itemgetter(name) for name in names]
    return lambda values: _of_one_length(list(map(attrgetter("__dict__"), values)), getters)


def _of_models(kind: Any, names: tuple[str, ...]) -> Split | None:
    getters = [itemgetter(name) for name in names]

    def split(values: Sequence[Any]) -> Apart | None:
        first, *others = map(attrgetter("__pydantic_fields_set__"), values)
        if any(map(attrgetter("__pydantic_extra__"), values)) or not all(map(first.__eq__, others)):
            return None
        apart = _of_one_length(list(map(attrgetter("__dict__"), values)), getters) if first <= {*names} else None
        return apart and apart._replace(given=None if len(first) == len(names) else [n for n in names if n in first])

    return None if kind.__private_attributes__ else split


def _of_one_length(states: Sequence[Any], getters: Getters) -> Apart | None:
    # Where a field is missing, its getter raises: so nothing else is there.
    return Apart(states, getters, None) if set(map(len, states)) == {len(getters)} else None


def native(apart: Apart, check: Callable[[int], None]) -> Iterator[tuple[bytes | None, int]]:
    """Give for each field the MessagePack of its values and the size of their texts; None where they need another look.

    Arguments: ``check``, what refuses a size before it is spent. Raises: `KeyError`, `AttributeError` where a record
    lacks a field.
    """
    states, getters, _ = apart
    parts: list[list[bytes] | None] = [[] for _ in getters]
    sizes = [0] * len(getters)
    for start in range(0, len(states), _BLOCK):
        block = states[start : start + _BLOCK]
        for place, get in enumerate(getters):
            part = parts[place]
            if part is None:
                continue
            nodes = list(map(get, block))
            kinds = set(map(type, nodes))
            if not kinds.isdisjoint(_TEXTS):  # shared ones can be huge together
                sizes[place] += sum(map(len, nodes if kinds <= _TEXTS else _texts(nodes)))
                check(sum(sizes))
            data = _elements(nodes) if SINGLE.issuperset(kinds) else None
            if data is None:
                parts[place], sizes[place] = None, 0
            else:
                part.append(data)
    count = len(states)
    start_of = _SHORT.pack(_SHORT_ARRAY, count) if count < 1 << 16 else _LONG.pack(_SHORT_ARRAY + 1, count)
    whole = [None if part is None else b"".join([start_of, *part]) for part in parts]
    return zip(whole, sizes, strict=True)


def _texts(nodes: list[Any]) -> Iterator[Any]:
    return compress(nodes, map(_TEXTS.__contains__, map(type, nodes)))


def _elements(nodes: list[Any]) -> bytes | None:
    try:
        data = _dump(nodes)
    except (OverflowError, UnicodeEncodeError):  # an int beyond 64 bits, a lone surrogate
        return None
    return data[1:] if data[0] < _SHORT_ARRAY else data[_SHORT.size :]


def unpack(nodes: Any) -> Rows:
    """Give what stands for the records that an extension holds. Raises: `ValueError`, `TypeError`."""
    if type(nodes) is not list:
        raise TypeError("an extension holds no array")
    parts: Any = nodes if len(nodes) > _PARTS else [*nodes, None]
    name, names, columns, given = parts
    if not all(type(part) is list for part in (names, columns, [] if given is None else given)):
        raise TypeError("an extension holds no rows")
    texts = [name, *names, *(given or ())]
    if not all(isinstance(text, str) for text in texts) or len(name) > LONGEST_NAME:
        raise ValueError("an extension names no records")
    if not all(type(column) in (list, Rows) for column in columns):
        raise TypeError("an extension holds a column that is none")
    if not names or len({*names}) != len(names) or len(names) != len(columns):
        raise ValueError("an extension holds other columns than it names")
    lengths = set(map(len, columns))
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError("an extension holds columns of several lengths, or none")
    return Rows(name, names, columns, given)
