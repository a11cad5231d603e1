"""Sizes in bytes, as people write and read them."""

from __future__ import annotations

import re

from handoff.errors import ConfigError

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_SIZE = re.compile(r"\A\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*\Z")


def parse_size(text: str) -> int:
    """Read a size in bytes: ``49152``, ``48 KiB``, ``1.5MB``.

    Raises: `ConfigError`.
    """
    match = _SIZE.match(text)
    unit = _UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise ConfigError(f"{text!r} is not a size", remedy="Write bytes, as in 49152 or 48 KiB")
    return int(float(match[1]) * unit)


def human_size(size: int) -> str:
    """Write a number of bytes for people: ``5.0 MiB``."""
    for unit in ("GiB", "MiB", "KiB"):
        bytes_of_unit = _UNITS[unit.lower()]
        if size >= bytes_of_unit:
            return f"{size / bytes_of_unit:,.1f} {unit}"
    return f"{size:,} bytes"
