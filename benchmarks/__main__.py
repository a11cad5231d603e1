"""Measure, and print a table: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.contests import contests, loaded_by_an_inline_task
from benchmarks.timing import Result, hold

LIBRARIES = ("msgspec", "zstandard", "pyarrow", "pandas")


def main() -> int:
    """Hold every contest and show the results."""
    arguments = parse_arguments()
    console = Console()
    repeats, rows = (2, 2_000) if arguments.smoke else (arguments.repeats, 50_000)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        results = measure(console, Path(folder), repeats, rows, arguments.only)
    show(console, results)
    loaded = loaded_by_an_inline_task()
    console.print(
        f"\nLoaded by a task that hands over inline, with an S3 root: {', '.join(loaded) or 'no library but msgspec'}"
    )
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    console.print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}", style="dim"
    )
    if arguments.json:
        samples = [
            {"name": r.contest.name, "against": r.contest.against, "ours": r.ours, "theirs": r.theirs} for r in results
        ]
        arguments.json.write_text(json.dumps({"repeats": repeats, "results": samples}, indent=1))
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what handing over costs, beside what one would write by hand with the same libraries. "
        "Both take turns; the ratio is the median over the pairs of one run.",
    )
    parser.add_argument(
        "--repeats", type=int, default=15, metavar="N", help="pairs to measure in each contest (default: 15)"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="only the contests with this in their name")
    parser.add_argument("--folder", type=Path, metavar="FOLDER", help="where to write (default: the temporary folder)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples here, in seconds")
    parser.add_argument("--smoke", action="store_true", help="two pairs of small data, to see that it runs")
    return parser.parse_args()


def measure(console: Console, folder: Path, repeats: int, rows: int, only: str) -> list[Result]:
    """Hold the contests, with a bar that tells how far they are."""
    results: list[Result] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("reading the flights")
        for contest in contests(folder, rows=rows):
            if only in contest.name:
                progress.reset(bar, total=repeats + 1, description=contest.name)
                for result in hold(contest, repeats):
                    progress.advance(bar)
                    results += [result] if result else []
    return results


def show(console: Console, results: list[Result]) -> None:
    """Print a line for each contest."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for name in ("handoff", "beside"):
        table.add_column(name)
    for name in ("ours", "theirs", "ratio", "aim", "from – to"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        contest, ratios = result.contest, sorted(result.ratios)
        table.add_row(
            contest.name,
            contest.against,
            seconds(statistics.median(result.ours)),
            seconds(statistics.median(result.theirs)),
            f"{result.ratio:.2f}",
            f"≤ {contest.aim:g}" if contest.aim else "",
            f"{ratios[0]:.2f} – {ratios[-1]:.2f}",
        )
    console.print(table)


def seconds(value: float) -> str:
    """Write a time in the unit that suits it."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if value * factor >= 1:
            return f"{value * factor:,.1f} {unit}"
    return f"{value * 1e9:,.0f} ns"


if __name__ == "__main__":
    sys.exit(main())
