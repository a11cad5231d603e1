"""What a run has found, as tables for people and as samples for programs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.timing import Result

LIBRARIES = ("msgspec", "zstandard", "pyarrow", "pandas")


def show(console: Console, results: Iterable[Result]) -> None:
    """Print a line for each contest, the bytes at rest, and what a ratio does not tell."""
    results = list(results)
    console.print(_times(results))
    console.print("ratio: median of the pairs; spread: where the middle half of them lies", style="dim")
    if any(result.contest.sizes for result in results):
        console.print()
        console.print(_sizes(results))
    console.print()
    for result in results:
        if result.contest.adds:
            console.print(result.contest.adds.format(seconds(result.added)), highlight=False)


def show_loaded(console: Console, who: str, libraries: list[str]) -> None:
    """Print which libraries somebody has loaded."""
    console.print(f"Loaded by {who}: {', '.join(libraries) or 'no library but msgspec'}", highlight=False)


def show_machine(console: Console) -> None:
    """Print what the figures were measured with."""
    machine, libraries = _machine(), ", ".join(f"{name} {version}" for name, version in _versions().items())
    console.print()
    console.print(
        f"{machine['system']}, {machine['cores']} cores, Python {machine['python']}; {libraries}",
        style="dim",
        highlight=False,
    )


def samples(results: Iterable[Result]) -> dict[str, Any]:
    """Give every sample, in seconds for one act, and what it was measured with."""
    return {
        "machine": _machine(),
        "versions": _versions(),
        "results": [
            {
                "name": result.contest.name,
                "against": result.contest.against,
                "aim": result.contest.aim,
                "ratio": result.ratio,
                "bytes": result.contest.sizes,
                "ours": result.ours,
                "theirs": result.theirs,
            }
            for result in results
        ],
    }


def seconds(value: float) -> str:
    """Write a time in the unit that suits it."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if abs(value) * factor >= 1:
            return f"{value * factor:,.1f} {unit}"
    return f"{value * 1e9:,.0f} ns"


def _times(results: list[Result]) -> Table:
    table = _table("handoff", "beside", "ours", "theirs", "ratio", "aim", "spread")
    for result in results:
        contest, (low, high) = result.contest, result.spread
        style = "" if contest.aim is None else "green" if result.ratio <= contest.aim else "yellow"
        table.add_row(
            contest.name,
            contest.against,
            seconds(statistics.median(result.ours)),
            seconds(statistics.median(result.theirs)),
            Text(f"{result.ratio:.2f}", style=style),
            f"≤ {contest.aim:g}" if contest.aim else "",
            f"{low:.2f} – {high:.2f}",
        )
    return table


def _sizes(results: list[Result]) -> Table:
    table = _table("bytes at rest", "beside", "ours", "theirs", "ratio")
    for result in results:
        if result.contest.sizes:
            ours, theirs = result.contest.sizes
            name = result.contest.name.removeprefix("put ")
            table.add_row(name, result.contest.against, f"{ours:,}", f"{theirs:,}", f"{ours / theirs:.2f}")
    return table


def _table(name: str, against: str, *figures: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 2, 0, 0))
    table.add_column(name)
    table.add_column(against)
    for figure in figures:
        table.add_column(figure, justify="right", no_wrap=True)
    return table


def _machine() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in LIBRARIES}
