"""What a put and a get cost by the kind of value, beside others: `python -m benchmarks.values --help`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks import apart, arguments, report
from benchmarks.apart import Outcome, Task
from benchmarks.contenders import AIRFLOW, BY_HAND, FEATHER, FRAMES, JOBLIB, JOBLIB_3, LINES, OURS, PICKLE
from benchmarks.results import AIM, Line, Run, absences, judge, sheets
from benchmarks.workloads import ALL_FLIGHTS

REPEATS = 5
#: Others that take longer than this, in seconds, do it once.
SLOW = 15
#: The most bytes for those that would take minutes above them.
MOST = {PICKLE: 256 * 10**6}
#: How many times the value a contender may need in memory, by what it was seen to take.
NEEDS = {AIRFLOW: 13}
NEEDS_OF_OTHERS = 5


class Case(NamedTuple):
    """A value that all contenders of its kind hand over: its size in the kind's unit, and about its bytes."""

    title: str
    kind: str
    size: int
    bytes: int
    smoke: int


CASES = (
    Case("flights frame, 336,776 rows", "flights", ALL_FLIGHTS, 63 * 10**6, 2_000),
    Case("100 MB of random floats", "floats", 100 * 10**6, 100 * 10**6, 10**6),
    Case("100 MB of small ints", "small ints", 100 * 10**6, 100 * 10**6, 10**6),
    Case("1 GB frame of numbers and text", "mixed", 10**9, 10**9, 10**6),
    Case("100,000 records", "records", 100_000, 90 * 10**6, 1_000),
)


def main() -> int:
    """Measure, or read what was measured, and show it."""
    asked = parse_arguments()
    console = arguments.console()
    if asked.show:
        run = msgspec.json.decode(asked.show.read_bytes(), type=Run)
    else:
        versions = report.versions([*report.LIBRARIES, "numpy", "joblib"]) | _airflow_of(asked.airflow)
        run = Run(report.machine(), versions, measure(asked))
    if not run.lines:
        console.print(f"No value has {' or '.join(map(repr, asked.only))} in its name.")
        return 2
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    if asked.plot:
        from benchmarks import plots

        plots.draw_values(run, asked.plot)
    texts = [*judge(run.lines), *absences(run.lines)]
    if asked.markdown:
        measured = report.measured_with(run.machine, run.versions)
        sys.stdout.write(report.as_markdown(sheets(run.lines), texts, measured))
        return 0
    for sheet in sheets(run.lines):
        sheet.show(console)
    console.print(
        "ratio: put and get together over those by hand, median of the rounds; spread: where their middle half lies;\n"
        f"peak: resident memory above the value itself. The aim: {AIM:.2f} of by hand, and behind no other that is as "
        "small.",
        style="dim",
        highlight=False,
    )
    for text in texts:
        console.print(f"- {text}", highlight=False)
    console.print()
    console.print(report.measured_with(run.machine, run.versions), style="dim", highlight=False)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.values",
        description="Put and get values of five kinds: with handoff, with what one would write by hand, with pickle "
        "and gzip, joblib, Feather, and with Airflow's own object-storage backend. Each put and each get has a process "
        "of its own, as tasks have; all take turns, on a local folder, with the same care for the disk (Airflow's own "
        "takes none).",
        epilog="What arrives is compared with what was put, in the first round. A full run takes some 20 minutes. No "
        "time is right or wrong: an aim is an aim.",
    )
    parser.add_argument("--repeats", type=arguments.positive, default=REPEATS, metavar="N", help="rounds (%(default)s)")
    arguments.add_only(parser)
    parser.add_argument(
        "--airflow",
        metavar="PYTHON",
        default=sys.executable if find_spec("airflow") else "",
        help="an interpreter with Airflow, pandas and the core of this library (this one, where it has them)",
    )
    arguments.add_common(parser)
    return parser.parse_args()


def measure(asked: argparse.Namespace) -> list[Line]:
    """Let all take turns, case by case."""
    cases = [case for case in CASES if not asked.only or any(text.lower() in case.title.lower() for text in asked.only)]
    if asked.smoke:
        cases = [case._replace(title=f"{case.title} (smoke)", size=case.smoke, bytes=0) for case in cases]
    rounds = 1 if asked.smoke else asked.repeats
    lines = [line for case in cases for line in _lines(case)]
    with arguments.progress() as progress, arguments.working_folder(asked.folder) as folder:
        bar = progress.add_task("", total=rounds * len(lines))
        for case in cases:
            mine = [line for line in lines if line.case == case.title]
            for number, line in _turns(mine, rounds):
                progress.update(bar, description=f"{case.title}: {line.contender}")
                line.add(*_act(case, line, asked, folder, check=not number))
                progress.advance(bar)
            progress.update(bar, completed=rounds * (lines.index(mine[-1]) + 1))
    return lines


def _lines(case: Case) -> Iterator[Line]:
    feather = [FEATHER] if case.kind in FRAMES else []
    for name in [OURS, BY_HAND, *feather, JOBLIB, JOBLIB_3, PICKLE, AIRFLOW]:
        yield Line(case=case.title, contender=name, libraries=LINES[case.kind][1] if name == BY_HAND else "")


def _turns(lines: list[Line], rounds: int) -> Iterator[tuple[int, Line]]:
    for number in range(rounds):
        for line in lines:
            is_measured = line.contender in (OURS, BY_HAND) or line.slowest <= SLOW
            if not number or (is_measured and not line.error):
                yield number, line


_serial = count()


def _act(case: Case, line: Line, asked: argparse.Namespace, folder: Path, *, check: bool) -> tuple[Outcome, Outcome]:
    refusal = _refusal(case, line.contender, asked)
    if refusal:
        return Outcome(error=refusal), Outcome()
    below = f"{folder}/{next(_serial)}"
    task = Task(
        contender=line.contender,
        kind=case.kind,
        size=case.size,
        folder=below,
        root=f"{below}/root",
        check=check,
    )
    python = asked.airflow if line.contender == AIRFLOW else sys.executable
    return apart.pair(task, python=python, home=f"{folder}/home", timeout=asked.timeout)


def _refusal(case: Case, contender: str, asked: argparse.Namespace) -> str:
    """Say why somebody does not take part; nothing where he does."""
    if contender == AIRFLOW and not asked.airflow:
        return "not run: no Airflow here, see --airflow"
    if case.bytes > MOST.get(contender, sys.maxsize):
        return "not run: it would take some ten minutes"
    if case.bytes * NEEDS.get(contender, NEEDS_OF_OTHERS) > arguments.available():
        return "not run: too little memory is free"
    return ""


def _airflow_of(python: str) -> dict[str, str]:
    """Ask an interpreter which Airflow it has."""
    if not python:
        return {}
    names = ("apache-airflow", "apache-airflow-providers-common-io")
    code = f"import importlib.metadata as m; print(*[m.version(name) for name in {names!r}])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return dict(zip(names, done.stdout.split(), strict=True))


if __name__ == "__main__":
    sys.exit(main())
