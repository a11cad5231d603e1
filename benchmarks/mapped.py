"""Map a task over large values and collect what comes out, in a real Airflow: `python -m benchmarks.mapped --help`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from handoff.sizes import human_size
from tests.airflow.services import Services, services

DAG_FILE = Path(__file__).parents[1] / "tests" / "airflow" / "dags_services" / "mapped.py"
COUNT, SMOKE_COUNT = 200, 4
SIZE = 1_000_000
WIDTH = 110
POLL = 0.5
LONGEST_CAUSE = 400
ENDED = ("success", "failed")
# A run is lost with the first task that fails: the others are not waited for.
STATE = """
    select case when exists (select 1 from task_instance where state = 'failed') then 'failed' else state end
    from dag_run where dag_id = ?
"""
# As Airflow 3 writes it into a line of JSON, or Airflow 2 at the end of a traceback.
ERROR = re.compile(
    r'"exc_type":"(\w+)","exc_value":"((?:[^"\\]|\\.)*)"|^([\w.]*(?:Error|Exception|Timeout)): (.*)', re.MULTILINE
)
WAYS = {
    "handoff_list": "handoff, a list of values",
    "plain_list": "plain, a list of values",
    "handoff_indices": "handoff, a list of indices",
    "plain_indices": "plain, a list of indices",
}


@dataclass(frozen=True)
class Outcome:
    """How one way went."""

    way: str
    state: str
    #: From the run's start to its end, by Airflow's own clock; None where it did not end in time.
    seconds: float | None
    #: Task instances that succeeded, of all that were to run.
    succeeded: int
    xcom_bytes: int
    #: The largest of its rows.
    xcom_most: int
    artifacts: int
    artifact_bytes: int
    cause: str


def main() -> int:
    """Run the DAGs one after the other, each in an Airflow of its own, and show what they took."""
    arguments = parse_arguments()
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    count = SMOKE_COUNT if arguments.smoke else arguments.count
    outcomes = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        for way in arguments.only or WAYS:
            line = progress.add_task(WAYS[way], total=count + 2)
            with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
                for succeeded in run(way, Path(folder), count, arguments):
                    if isinstance(succeeded, Outcome):
                        outcomes.append(succeeded)
                    else:
                        progress.update(line, completed=succeeded)
    show(console, outcomes, count, arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n")
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mapped",
        description="Map a task over many large texts and collect what comes out, with handoff and without, in a real "
        "Airflow of the version that is installed: scheduler, LocalExecutor with two tasks at once, SQLite, artifacts "
        "in a local folder. The last task compares each text with what it must be.",
        epilog="Each way has an Airflow and a database of its own. One of them may fail: the table says of what.",
    )
    parser.add_argument("--count", type=_positive, default=COUNT, metavar="N", help="instances (%(default)s)")
    parser.add_argument("--size", type=_positive, default=SIZE, metavar="BYTES", help="of each text (%(default)s)")
    parser.add_argument(
        "--timeout", type=_positive, default=480, metavar="SECONDS", help="the most that a run may take (%(default)s)"
    )
    parser.add_argument("--only", nargs="+", choices=WAYS, metavar="WAY", help=f"some of: {', '.join(WAYS)}")
    parser.add_argument("--folder", type=Path, metavar="FOLDER", help="an existing folder on the disk to measure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument("--smoke", action="store_true", help=f"{SMOKE_COUNT} instances, to see that it runs")
    return parser.parse_args()


def run(way: str, folder: Path, count: int, arguments: argparse.Namespace) -> Iterator[int | Outcome]:
    """Run one DAG; give how many of its instances have succeeded, again and again, and the outcome at the end."""
    dags, root = folder / "dags", folder / "artifacts"
    dags.mkdir()
    shutil.copy(DAG_FILE, dags)
    env = {"HANDOFF_ROOT": str(root), "MAPPED_COUNT": str(count), "MAPPED_SIZE": str(arguments.size)}
    with services(folder / "home", dags, env) as airflow:
        run_id = airflow.trigger(way)
        deadline = time.monotonic() + arguments.timeout
        state = "running"
        while state not in ENDED and time.monotonic() < deadline:
            time.sleep(POLL)
            ((state,),) = airflow.query(STATE, way)
            yield _succeeded(airflow)
        yield _outcome(way, run_id, state, airflow, root)


def show(console: Console, outcomes: Sequence[Outcome], count: int, arguments: argparse.Namespace) -> None:
    """Print a line for each way, and why those failed that did."""
    console.print(f"{count} instances of {arguments.size:,} bytes each\n", highlight=False)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 2, 0, 0))
    table.add_column("mapped over", no_wrap=True)
    for name in ("outcome", "tasks", "time", "XCom rows", "largest row", "artifacts"):
        table.add_column(name, justify="right", no_wrap=True)
    for outcome in outcomes:
        table.add_row(
            WAYS[outcome.way],
            Text(outcome.state, style="green" if outcome.state == "success" else "red"),
            f"{outcome.succeeded} / {count + 2}",
            "-" if outcome.seconds is None else f"{outcome.seconds:.0f} s",
            human_size(outcome.xcom_bytes),
            human_size(outcome.xcom_most),
            f"{outcome.artifacts} of {human_size(outcome.artifact_bytes)}" if outcome.artifacts else "-",
        )
    console.print(table)
    console.print(
        "\nTime: from the run's start to its end. Tasks: that succeeded, of all.\n"
        "Indices: each instance makes its own value, and only the results are handed over.",
        style="dim",
    )
    for outcome in outcomes:
        if outcome.cause:
            console.print(f"\n{WAYS[outcome.way]}: {outcome.cause}", markup=False, highlight=False)
    versions = f"Airflow {version('apache-airflow')}, Python {platform.python_version()}"
    console.print(f"\n{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {versions}", style="dim")


def _outcome(way: str, run_id: str, state: str, airflow: Services, root: Path) -> Outcome:
    times = "select (julianday(end_date) - julianday(start_date)) * 86400 from dag_run where dag_id = ?"
    ((seconds,),) = airflow.query(times, way)
    sizes = (
        "select coalesce(sum(size), 0), coalesce(max(size), 0) from (select length(cast(value as blob)) size from xcom)"
    )
    ((xcom_bytes, xcom_most),) = airflow.query(sizes)
    artifacts = [path.stat().st_size for path in root.rglob("*") if path.is_file()]
    return Outcome(
        way,
        state if state in ENDED else "not ended",
        seconds,
        _succeeded(airflow),
        xcom_bytes,
        xcom_most,
        len(artifacts),
        sum(artifacts),
        _cause(way, run_id, airflow),
    )


def _succeeded(airflow: Services) -> int:
    ((found,),) = airflow.query("select count(*) from task_instance where state = 'success'")
    return int(found)


def _cause(way: str, run_id: str, airflow: Services) -> str:
    """Find the error that the first failed task has logged last."""
    query = "select task_id, try_number, map_index from task_instance where state = 'failed' order by end_date limit 1"
    for task_id, try_number, map_index in airflow.query(query):
        log = airflow.log(way, run_id, task_id, try_number, map_index)
        errors = [": ".join(filter(None, found)) for found in ERROR.findall(log)]
        return f"{task_id} failed with {errors[-1] if errors else log[-LONGEST_CAUSE:]}"[:LONGEST_CAUSE]
    return ""


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
