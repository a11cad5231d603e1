"""Ages and sizes as people write and read them."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

import click

from handoff.errors import ConfigError
from handoff.sizes import parse_size

_SECONDS: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_LONGEST: Final = 1e10  # seconds, which no artifact is old
_AGE: Final = re.compile(r"\A\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([a-z]+)\s*\Z")
_SHOWN: Final = (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0))


def age(_: click.Context, __: click.Parameter, value: str | None) -> dt.timedelta | None:
    """Read a span of time from an option: ``7d``, ``12h``, ``30min``, ``2w``."""
    if value is None:
        return None
    match = _AGE.match(value)
    if match is None or match[2] not in _SECONDS:
        raise click.BadParameter(f"{value!r} is no age; write it as in 7d, 12h, 30min or 2w.")
    return dt.timedelta(seconds=min(float(match[1]) * _SECONDS[match[2]], _LONGEST))


def size(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """Read a number of bytes from an option: ``48KiB``, ``1.5GB``."""
    try:
        return None if value is None else parse_size(value)
    except ConfigError as error:
        raise click.BadParameter(str(error)) from None


def human_age(span: dt.timedelta) -> str:
    """Write a span of time for people: ``3 d``."""
    seconds = max(span.total_seconds(), 0.0)
    for unit, length in _SHOWN:
        if seconds >= length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:.0f} s"


def human_day(moment: dt.datetime | None) -> str:
    """Write the day of a moment; a dash where it is not known."""
    return moment.strftime("%Y-%m-%d") if moment else "–"
