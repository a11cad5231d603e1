"""What a run has found, as tables for people, as Markdown for the page, and as samples for programs."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.timing import Result
from handoff.sizes import human_size

LIBRARIES = ("msgspec", "zstandard", "pyarrow", "pandas")


@dataclass(frozen=True)
class Sheet:
    """A table: what stands above it, the names of its columns, and its rows; a cell with a style is a `Text`."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str | Text]] = field(default_factory=list)
    #: How many columns from the left hold names; the others hold figures.
    names: int = 1

    def show(self, console: Console) -> None:
        """Print it for people."""
        found = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 2, 0, 0))
        for index, name in enumerate(self.columns):
            found.add_column(name, justify="left" if index < self.names else "right", no_wrap=True)
        for row in self.rows:
            found.add_row(*row)
        console.print(f"[bold]{self.title}[/bold]", highlight=False)
        console.print(found)
        console.print()

    def to_markdown(self) -> str:
        """Give it for the page."""
        rule = ["---" if index < self.names else "---:" for index in range(len(self.columns))]
        rows = [self.columns, rule, *([_marked(cell) for cell in row] for row in self.rows)]
        return "\n".join([f"**{self.title}**", "", *(f"| {' | '.join(row)} |" for row in rows), ""])


def _marked(cell: str | Text) -> str:
    text = str(cell).replace("|", "\\|")
    return f"**{text}**" if isinstance(cell, Text) and cell.style in (STANDS_OUT, OURS) and text else text


#: The styles of a cell that misses its aim, and of what is ours: both are bold on the page.
STANDS_OUT, OURS = "yellow", "bold"


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
    console.print()
    console.print(measured_with(machine(), versions()), style="dim", highlight=False)


def measured_with(on: dict[str, Any], libraries: dict[str, str]) -> str:
    """Say in a line what figures were measured with."""
    named = ", ".join(f"{name} {version}" for name, version in libraries.items())
    memory = f", {human_size(on['memory'])}" if "memory" in on else ""
    return f"{on['system']}, {on['cores']} cores{memory}, Python {on['python']}; {named}"


def as_markdown(sheets: Iterable[Sheet], texts: Iterable[str], measured: str) -> str:
    """Write what was found for a page: the tables, a list of sentences, and what it was measured with."""
    return "\n".join([*(sheet.to_markdown() for sheet in sheets), *(f"- {text}" for text in texts), "", measured, ""])


def samples(results: Iterable[Result]) -> dict[str, Any]:
    """Give every sample, in seconds for one act, and what it was measured with."""
    return {
        "machine": machine(),
        "versions": versions(),
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


def machine() -> dict[str, Any]:
    """Name what the figures were measured on."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": platform.python_version(),
    }


def versions(libraries: Iterable[str] = LIBRARIES) -> dict[str, str]:
    """Name the versions of the libraries that are installed."""
    found = {}
    for name in libraries:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
