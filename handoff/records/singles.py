"""Single values as what a reader's type names: those that are, and of plain data the texts that stand for some."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID

from handoff import records
from handoff.records import building
from handoff.records.building import GIVEN, JSON, PLAIN, Convert, Misfit, expected

_READ: dict[Any, Callable[[Any], Any]] = {
    dt.datetime: dt.datetime.fromisoformat,
    dt.date: dt.date.fromisoformat,
    dt.time: dt.time.fromisoformat,
    UUID: UUID,
    decimal.Decimal: decimal.Decimal,
    **{kind: kind for kind in (PurePath, Path, PurePosixPath, PureWindowsPath)},
}


def anything(value: Any, mode: int) -> Any:
    """Give any value that holds no records. Raises: `Misfit`."""
    if not mode & GIVEN and (record := records.found_in(value)):
        raise Misfit(
            f"holds a record ({record.name}), and the type here names none", "Annotate it with the record's type"
        )
    return value


def _int(value: Any, mode: int) -> Any:
    if isinstance(value, int) and not (mode & JSON and type(value) is bool):
        return value
    return building.refuse(value, mode, "int")


def _float(value: Any, mode: int) -> Any:
    if isinstance(value, float):
        return value
    if isinstance(value, int) and not (mode & JSON and type(value) is bool):
        return float(value) if mode & JSON and -(2**53) <= value <= 2**53 else value
    return building.refuse(value, mode, "float")


def leaf(kind: Any) -> Convert:
    """Give what checks that a value is of a class, and reads text as one where that is plain data's way."""
    if not isinstance(kind, type) or kind is object or hasattr(kind, "__get_pydantic_core_schema__"):
        return anything
    read = _READ.get(kind)

    def convert(value: Any, mode: int) -> Any:
        try:
            if isinstance(value, kind):
                return anything(value, mode)
        except TypeError:  # a protocol, say, that cannot be asked
            return anything(value, mode)
        if mode & PLAIN and read and (type(value) is str or (kind is decimal.Decimal and type(value) is int)):
            try:
                return read(value)
            except (ValueError, ArithmeticError):
                raise Misfit(f"expected {expected(kind)}, got {value!r:.60}") from None
        return building.refuse(value, mode, expected(kind))

    return convert


#: Of types that are told from others by more than their class.
FEW: dict[Any, Convert] = {Any: anything, int: _int, float: _float}
