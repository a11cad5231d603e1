"""Moments of pendulum, of which Airflow's context is full: imported when the first is read."""

from __future__ import annotations

import datetime as dt
import sys
from importlib import import_module
from typing import Any, Final

from handoff.errors import DependencyError

#: The types that are kept, by their place in this table, and the types of the standard library that they build on.
KINDS: Final[tuple[tuple[str, type[Any]], ...]] = (("Date", dt.date), ("Time", dt.time), ("DateTime", dt.datetime))


def place_of(kind: type) -> int | None:
    """Give the place of a type in `KINDS`; None where it is none of them."""
    if not str(kind.__module__).startswith("pendulum."):  # it may be None
        return None
    pendulum = sys.modules["pendulum"]
    return next((place for place, (name, _) in enumerate(KINDS) if getattr(pendulum, name) is kind), None)


def fields_of(value: Any) -> tuple[int, ...]:
    """Give year, month and so on, as far as a value has them: what its type, and the one it builds on, is made of."""
    date = (value.year, value.month, value.day) if isinstance(value, dt.date) else ()
    has_time = isinstance(value, dt.datetime | dt.time)
    return (*date, value.hour, value.minute, value.second, value.microsecond) if has_time else date


def make(place: int, plain: Any, **more: Any) -> Any:
    """Make a value of the type at a place of `KINDS`.

    Arguments: ``plain``, the value of the standard library's type, without ``fold`` and ``tzinfo``, which are beside
    it. Raises: `DependencyError`.
    """
    return getattr(_library(), KINDS[place][0])(*fields_of(plain), **more)


def _library() -> Any:
    try:
        return import_module("pendulum")
    except ImportError:
        raise DependencyError(
            "the value holds moments of pendulum, which is not installed", remedy="Install pendulum"
        ) from None
