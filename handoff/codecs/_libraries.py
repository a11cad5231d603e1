"""The libraries that tables are of, each imported when a table first needs it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from handoff.errors import DependencyError

_EXTRAS = {"numpy": "numpy", "pandas": "pandas", "polars": "polars", "pyarrow": "arrow"}


def library(name: str) -> Any:
    """Import one of them, or a module in it. Raises: `DependencyError` naming the extra."""
    try:
        # A module in sys.modules may be half of one: another thread imports it.
        return import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        extra = _EXTRAS[package]
        raise DependencyError(
            f"this table needs {package}, which is not installed", remedy=f"Install dag-handoff[{extra}]", extra=extra
        ) from None


def first_line(error: object) -> str:
    """Give the first line of what an error says: libraries write pages."""
    return str(error).strip().partition("\n")[0]
