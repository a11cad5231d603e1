"""Time zones, of the standard library and of others, by what they are known by: a key, or an offset and a name."""

from __future__ import annotations

import datetime as dt
import re
import sys
import zoneinfo
from importlib import import_module
from typing import Any

from handoff.errors import DependencyError, newer
from handoff.records import name_of

_MICROSECOND, _SECOND = dt.timedelta(microseconds=1), dt.timedelta(seconds=1)
_KEY = re.compile(r"\A[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*\Z")


def known_by(zone: dt.tzinfo | None) -> tuple[str, Any] | None:
    """Give whose a zone is, and what it is known by there; None for one that cannot be kept.

    The standard library's are nobody's: a key, or a list of microseconds and, where it has one, a name.
    """
    kind = type(zone)
    if zone is None:
        return "", None
    if type(zone) is dt.timezone:
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]  # what pickle takes it apart with
        return "", [offset // _MICROSECOND, *name]
    if type(zone) is zoneinfo.ZoneInfo and _is_named(zone):
        return "", zone.key
    if name_of(kind) == "pydantic_core.TzInfo":  # of each moment that a model has read from text
        return "pydantic", (zone.utcoffset(None) or dt.timedelta()) // _SECOND
    if str(kind.__module__).startswith("pendulum."):
        return _known_to_pendulum(zone)
    return None


def zone_of(found: Any) -> dt.tzinfo | None:
    """Give the zone that is known by this: as `known_by` gives it, or in a dict under the name of whose it is.

    Raises: `DependencyError`; ValueError for what is no key.
    """
    if found is None:
        return None
    if isinstance(found, dict):
        ((owner, found),) = found.items()
        if owner not in _OWNERS:
            raise newer(f"the value holds a time zone, of {owner!r:.40},")
        return _OWNERS[owner](found)
    if isinstance(found, list):
        offset, *name = found
        return dt.timezone(offset * _MICROSECOND, *name)
    return _named(found, zoneinfo.ZoneInfo)


def _named(key: Any, make: Any) -> dt.tzinfo:
    # The key is not looked up before it is known to be a key: a path must not lead out of the zone database.
    if not _KEY.match(key):
        raise ValueError(f"{key!r} is not a time zone's key")
    try:
        zoneinfo.ZoneInfo(key)
    except (zoneinfo.ZoneInfoNotFoundError, OSError):  # no such zone, or a folder of zones
        raise DependencyError(
            f"the time zone {key} is not known on this machine", remedy="Install the package tzdata"
        ) from None
    zone: dt.tzinfo = make(key)
    return zone


def _is_named(zone: Any) -> bool:
    try:
        zone.__reduce__()  # a zone that was read from a file refuses: its key, if it has one, says nothing of it
    except Exception:  # noqa: BLE001 - pickle's own error, for which pickle is not imported
        return False
    return _KEY.match(zone.key) is not None


def _known_to_pendulum(zone: Any) -> tuple[str, Any] | None:
    pendulum = sys.modules["pendulum"]
    if type(zone) is pendulum.FixedTimezone:
        return "pendulum", [zone.offset, zone.name]
    # Newer versions let a zone be pickled that was read from a file.
    if type(zone) is pendulum.Timezone and getattr(zone, "_file_bytes", None) is None and _is_named(zone):
        return "pendulum", zone.key
    return None


def _pydantic_zone(seconds: Any) -> dt.tzinfo:
    zone: dt.tzinfo = _library("pydantic", "pydantic_core").TzInfo(seconds)
    return zone


def _pendulum_zone(found: Any) -> dt.tzinfo:
    pendulum = _library("pendulum", "pendulum")
    zone: dt.tzinfo = pendulum.FixedTimezone(*found) if isinstance(found, list) else _named(found, pendulum.Timezone)
    return zone


def _library(owner: str, module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise DependencyError(
            f"the value holds a time zone of {owner}, which is not installed", remedy=f"Install {owner}"
        ) from None


_OWNERS = {"pydantic": _pydantic_zone, "pendulum": _pendulum_zone}
