"""What the command lines have in common."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from handoff.errors import ConfigError
from handoff.sizes import parse_size

WIDTH = 130


def positive(text: str) -> int:
    """Read a number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def folder(text: str) -> Path:
    """Read the name of a folder that exists."""
    found = Path(text)
    if not found.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no folder")
    return found


def size(text: str) -> int:
    """Read a size in bytes: `256MiB`."""
    try:
        return parse_size(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_common(parser: argparse.ArgumentParser, *, draws: bool = True) -> None:
    """Add what the long runs share: where they work, how long they may, and what they leave behind."""
    parser.add_argument(
        "--folder", type=folder, metavar="FOLDER", help="an existing folder on the disk to measure (the temporary one)"
    )
    parser.add_argument(
        "--timeout", type=positive, default=600, metavar="SECONDS", help="the most for one act (%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here, in seconds and bytes")
    if draws:
        parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw them here")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown, for the page")
    parser.add_argument(
        "--show", type=Path, metavar="FILE", help="measure nothing: show what an earlier run wrote with --json"
    )
    parser.add_argument("--smoke", action="store_true", help="small values, once, to see that it runs")


def console(width: int = WIDTH) -> Console:
    """Give the console to print on: as wide as a page where it is none."""
    return Console() if sys.stdout.isatty() else Console(width=width)


def add_only(parser: argparse.ArgumentParser, *, also: str = "") -> None:
    """Add the choice of values by their names; ``also`` says what else may be chosen."""
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help=f"only the values with one of these in their name, as in: --only flights ints{also}",
    )


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """Give a bar that tells how far it is, beside what is printed."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as found:
        yield found


@contextlib.contextmanager
def working_folder(below: Path | None) -> Iterator[Path]:
    """Give a folder that is removed with all that is in it."""
    with tempfile.TemporaryDirectory(prefix="handoff-bench-", dir=below, ignore_cleanup_errors=True) as found:
        yield Path(found).resolve()


def available() -> int:
    """Give the bytes of memory that are free for a process."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return sys.maxsize
