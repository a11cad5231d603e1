"""Small results, records and frames, each beside its line by hand, in turns: `python -m benchmarks.pairs --help`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import arguments, report
from benchmarks.contests import IMPORT, INLINE, contests, loaded
from benchmarks.timing import Result, hold

ROWS, SMOKE_ROWS = 50_000, 2_000
REPEATS, SMOKE_REPEATS = 15, 2
WIDTH = 100


def main() -> int:
    """Hold the contests and show the results."""
    asked = parse_arguments()
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    repeats, rows = (SMOKE_REPEATS, SMOKE_ROWS) if asked.smoke else (asked.repeats, ROWS)
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        results = measure(console, Path(folder), repeats, rows, asked.only)
    if not results:
        console.print(f"No contest has {' or '.join(map(repr, asked.only))} in its name.")
        return 2
    report.show(console, results)
    report.show_loaded(console, "import handoff", loaded(IMPORT))
    report.show_loaded(console, "a task that hands over inline, with an S3 root", loaded(INLINE))
    report.show_machine(console)
    if asked.json:
        asked.json.write_text(json.dumps(report.samples(results), indent=1) + "\n")
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pairs",
        description="Measure what handing over costs, beside what one would write by hand with the same libraries and "
        "the same care for the disk. Both take turns, so that the ratio holds where the machine's speed does not.",
        epilog="The data are the flights that left New York in 2013. What either way gives back is compared with what "
        "went in, once, before it is measured. No time is right or wrong: an aim is an aim.",
    )
    parser.add_argument(
        "--repeats",
        type=arguments.positive,
        default=REPEATS,
        metavar="N",
        help="pairs to measure in each contest (%(default)s)",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help="only the contests with one of these in their name, as in: --only import 'put pandas'",
    )
    parser.add_argument(
        "--folder",
        type=arguments.folder,
        metavar="FOLDER",
        help="an existing folder on the disk to measure (the temporary one)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples here, in seconds")
    parser.add_argument(
        "--smoke", action="store_true", help=f"{SMOKE_REPEATS} pairs of small data, to see that it runs"
    )
    return parser.parse_args()


def measure(console: Console, folder: Path, repeats: int, rows: int, only: list[str]) -> list[Result]:
    """Hold the contests, with a bar that tells how far they are."""
    results: list[Result] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("reading the flights", total=None)
        for contest in contests(folder, rows=rows, only=only):
            description = f"{contest.name}, beside {contest.against}"
            progress.reset(bar, total=contest.rounds(repeats) + 1, description=description)
            for result in hold(contest, repeats):
                if result is None:
                    progress.advance(bar)
                else:
                    results.append(result)
    return results


if __name__ == "__main__":
    sys.exit(main())
