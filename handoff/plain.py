"""Which values travel as themselves, because JSON and every metadata database give them back unchanged.

The rule is the narrowest of what the columns of SQLite, Postgres and MySQL were seen to do; `docs/design/0001`
has the cases.
"""

from __future__ import annotations

import re

import msgspec

from handoff.config import DEEPEST

_TYPES = frozenset({dict, list, str, int, float, bool, type(None)})
_LEAST_INT, _MOST_INT = -(2**63), 2**63 - 1
_FLOAT_BOUND = 1e16
# SQLite turns text that is one number into a double by its own arithmetic. That is exact for a few decimals.
_ALONE = re.compile(r"\A-?[0-9]{1,11}\.[0-9]{1,4}\Z")


def encode(value: object, limit: int, *, alone: bool = True) -> bytes | None:
    """Give a value's JSON where it may travel plain within ``limit`` bytes, else None.

    Arguments: ``alone``, False for a part of a message that holds more.
    """
    if alone and type(value) is float and (value.is_integer() or not _ALONE.match(repr(value))):
        return None
    if not _is_plain(value, limit):
        return None
    try:
        data = msgspec.json.encode(value)
    except UnicodeEncodeError:  # a lone surrogate
        return None
    return data if len(data) <= limit else None


def decode(data: bytes) -> object:
    """Give back the value that `encode` took."""
    return msgspec.json.decode(data)


def _is_plain(value: object, room: int) -> bool:
    # Level by level, so that what cannot fit into `room` bytes of JSON is given up early.
    level = [value]
    for _ in range(DEEPEST + 1):
        if not _TYPES.issuperset(map(type, level)):
            return False
        below: list[object] = []
        for node in level:
            if type(node) is str:
                room -= len(node)
                if room < 0 or "\0" in node:
                    return False
            elif type(node) is float:
                if not _keeps(node):
                    return False
            elif type(node) is int:
                if not _LEAST_INT <= node <= _MOST_INT:
                    return False
            elif type(node) is dict:
                room -= len(node)
                if room < 0:
                    return False
                for key in node:
                    if type(key) is not str or key.startswith("__") or "\0" in key:
                        return False
                    room -= len(key)
                below.extend(node.values())
            elif type(node) is list:
                room -= len(node)
                if room < 0:
                    return False
                below.extend(node)
        if not below:
            return True
        if room < 0:
            return False
        level = below
    return False


def _keeps(number: float) -> bool:
    # Postgres turns larger floats into integers and minus zero into zero; NaN and infinity are not JSON.
    return -_FLOAT_BOUND < number < _FLOAT_BOUND and (number != 0 or str(number) == "0.0")
