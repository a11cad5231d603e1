"""The XCom backend beside Airflow's own object-storage backend: `python -m benchmarks.backends --help`.

Both get the same values in the same Airflow, through a DAG that pushes and pulls; each in a process with a home and a
database of its own, as the backend is chosen when Airflow is imported.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import datetime as dt
import enum
import functools
import importlib.metadata
import importlib.util
import itertools
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import uuid
import zoneinfo
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks import workloads
from handoff.testing import same

WIDTH = 110
THRESHOLD = 48 * 1024  # of either: larger values are stored
RETRIES = 3
BACKENDS = {
    "HandoffXCom": "handoff.integrations.airflow.HandoffXCom",
    "object storage": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
}
DAG_FILE = """
from airflow import DAG  # so that this file is known to hold some
from benchmarks.backends import make_dags

DAGS = {found.dag_id: found for found in make_dags()}
globals().update(DAGS)
"""
MEASURE = """
import json, pathlib, sys
from benchmarks import backends
home = pathlib.Path(sys.argv[1])
(home / "found.json").write_text(json.dumps(backends.measure(home)))
"""
STYLES = {"identical": "green", "altered": "red", "refused": "yellow", "pull": "red"}
NOISE = random.Random(0).randbytes(60_000).hex()
OUTCOMES: dict[str, Any] = collections.defaultdict(dict)


@dataclasses.dataclass
class Point:
    """A record as people write it."""

    x: int
    y: int


class Pair(NamedTuple):
    """A record that is a tuple too."""

    a: int
    b: int


class Colour(enum.Enum):
    """An Enum whose values are no text."""

    RED = 1


def values() -> dict[str, tuple[Any, Any]]:
    """Give thirty named values, each small, and large so that it is stored."""
    import pendulum

    moment = dt.datetime(2013, 11, 3, 1, 30, tzinfo=zoneinfo.ZoneInfo("America/New_York"), fold=1)
    flights = workloads.flights()
    few = flights.head(5).copy()
    own = f"file://{os.environ['BENCHMARK_OBJECTS']}/own.json"
    alone: dict[str, Any] = {
        "text": "text",
        "text that is a URI": own,
        "int": 7,
        "int beyond 64 bits": 2**70,
        "float": 0.1,
        "float 5.0": 5.0,
        "NaN": float("nan"),
        "list": [1, "a", None],
        "dict": {"b": 1, "a": [2]},
        "dict by int": {1: "a"},
        "dict by tuple": {("a", 1): "b"},
        "bytes": b"\0\xff",
        "tuple": (1, 2),
        "tuple in a list": [(1, 2)],
        "set": {1, 2},
        "Decimal": Decimal("1.10"),
        "UUID": uuid.UUID(int=1),
        "date": dt.date(2013, 1, 1),
        "datetime, fold, zone": moment,
        "time": dt.time(1, 2, 3),
        "timedelta": dt.timedelta(days=-1, microseconds=1),
        "complex": 1 + 2j,
        "path": PurePosixPath("a/b"),
        "numpy float64": np.float64(0.1),
        "pendulum.DateTime": pendulum.datetime(2013, 1, 1, fold=0),
        "dataclass": Point(1, 2),
        "NamedTuple": Pair(1, 2),
        "Enum": Colour.RED,
    }
    found = {name: (value, [value, NOISE]) for name, value in alone.items()}
    found["pandas: flights"] = few, flights
    found["pyarrow: flights"] = pa.Table.from_pandas(few), pa.Table.from_pandas(flights)
    return found


# --- in Airflow -------------------------------------------------------------------------------------------------


def make_dags() -> list[Any]:
    """Make the DAGs: one pushes and pulls every value, one meets faults at rest, one is retried."""
    try:
        from airflow.sdk import dag, task
    except ImportError:
        from airflow.decorators import dag, task

    @dag(schedule=None)
    def types() -> None:
        task(push_values)().set_downstream(task(pull_values)())

    @dag(schedule=None)
    def faults() -> None:
        task(push_objects)().set_downstream(task(pull_objects)())

    @dag(schedule=None)
    def retried() -> None:
        task(retries=RETRIES, retry_delay=dt.timedelta(0))(fail_often)()

    return [types(), faults(), retried()]


def push_values(ti: Any = None) -> None:
    """Push every value, small and large, under a key of its own."""
    for name, size, value in _each_value():
        before = objects()
        outcome = attempt(functools.partial(ti.xcom_push, f"{name} {size}", value))
        OUTCOMES[name][size] = f"refused: {outcome}" if outcome else ""
        OUTCOMES["sizes"][f"{name} {size}"] = sum(os.path.getsize(path) for path in objects() - before)


def pull_values(ti: Any = None) -> None:
    """Pull what was pushed."""
    for name, size, value in _each_value():
        if not OUTCOMES[name][size]:
            pull = functools.partial(ti.xcom_pull, "push_values", key=f"{name} {size}")
            OUTCOMES[name][size] = compare(value, pull)


def push_objects(ti: Any = None) -> None:
    """Push two large values for each fault, and note which object is whose."""
    before = objects()
    for name in itertools.product(FAULTS, "ab"):
        ti.xcom_push(" ".join(name), [*name, NOISE])
        (OUTCOMES["paths"][" ".join(name)],) = objects() - before
        before = objects()


def pull_objects(ti: Any = None) -> None:
    """Spoil the first object of each two, and pull it."""
    for name, spoil in FAULTS.items():
        spoil(*(Path(OUTCOMES["paths"][f"{name} {part}"]) for part in "ab"))
        pull = functools.partial(ti.xcom_pull, "push_objects", key=f"{name} a")
        OUTCOMES["faults"][name] = compare([name, "a", NOISE], pull)


def fail_often(ti: Any = None) -> Any:
    """Push twice under one key, and fail, but for the last time."""
    for draft in range(2):
        ti.xcom_push("progress", [draft, NOISE])
    if ti.try_number <= RETRIES:
        raise ValueError("once more")
    return [ti.try_number, NOISE]


def _each_value() -> Iterator[tuple[str, str, Any]]:
    for name, sizes in values().items():
        for size, value in zip(("small", "large"), sizes, strict=True):
            yield name, size, value


def attempt(act: Callable[[], Any]) -> str:
    """Do something, and name the error it raised."""
    try:
        act()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the user meets
        return type(error).__name__
    return ""


def compare(value: Any, act: Callable[[], Any]) -> str:
    """Say what a pull gave in place of a value."""
    try:
        found = act()
    except Exception as error:  # noqa: BLE001 - as above
        return f"pull: {type(error).__name__}"
    if same(value, found) or (isinstance(value, pa.Table) and value.equals(found, check_metadata=True)):
        return "identical"
    return f"altered: {shown(value, found)}"


def shown(value: Any, found: Any) -> str:
    """Show what arrived, without what only makes it large."""
    if type(found) is type(value) is list and len(found) == len(value) and found[-1] == NOISE:
        found = found[0] if len(found) == 2 else found[:-1]
    text = f"{type(found).__name__} {found!r}".replace(os.environ["BENCHMARK_OBJECTS"], "…").replace("\n", " ")
    return text if len(text) <= 60 else text[:59] + "…"


def objects() -> set[str]:
    """Give the files in storage."""
    return {str(path) for path in Path(os.environ["BENCHMARK_OBJECTS"]).rglob("*") if path.is_file()}


def _swap(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


FAULTS: dict[str, Callable[[Path, Path], Any]] = {
    "deleted": lambda one, _: one.unlink(),
    "truncated": lambda one, _: one.write_bytes(one.read_bytes()[:-100]),
    "swapped": _swap,
}


def measure(home: Path) -> dict[str, Any]:
    """Run the DAGs in this process, and give what came of it."""
    from airflow.utils.db import initdb

    initdb()
    spec = importlib.util.spec_from_file_location("backends_dags", home / "dags" / "dags.py")
    if spec is None or spec.loader is None:
        raise ImportError("the DAG file is gone")
    module = importlib.util.module_from_spec(spec)
    sys.modules["backends_dags"] = module
    spec.loader.exec_module(module)
    (home / "objects" / "own.json").write_text('"what stands there"')
    before = objects()
    for dag_id, dag in module.DAGS.items():
        run = dag.test()
        if str(run.state) != "success":
            raise RuntimeError(f"{dag_id} ended as {run.state}")
        left, before = objects() - before, objects()
    with contextlib.closing(sqlite3.connect(home / "airflow.db")) as database:
        query = "select key, length(cast(value as blob)) from xcom where dag_id = 'types'"
        rows = dict(database.execute(query).fetchall())
    faults, stored, _ = OUTCOMES.pop("faults"), OUTCOMES.pop("sizes"), OUTCOMES.pop("paths")
    return {"types": OUTCOMES, "faults": faults, "stored": stored, "rows": rows, "left": len(left)}


# --- around it --------------------------------------------------------------------------------------------------


def main() -> int:
    """Measure both backends and show what came of it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.backends",
        description="Push and pull thirty values through the XCom backend of this library and through Airflow's own "
        "object-storage backend, in the Airflow that is installed, and spoil what they stored.",
    )
    parser.add_argument("--only", choices=BACKENDS, help="measure one of them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found here")
    arguments = parser.parse_args()
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    results = {}
    for name in [arguments.only] if arguments.only else BACKENDS:
        with console.status(f"{name}: running its DAGs"):
            results[name] = _measured_apart(BACKENDS[name])
    show(console, results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


def _measured_apart(backend: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "dags").mkdir()
        (home / "objects").mkdir()
        (home / "dags" / "dags.py").write_text(DAG_FILE)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "HANDOFF"))}
        environment |= {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": f"file://{home}/objects",
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": str(THRESHOLD),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__XCOM_BACKEND": backend,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "BENCHMARK_OBJECTS": str(home / "objects"),
            "HANDOFF_INLINE_LIMIT": str(THRESHOLD),
            "HANDOFF_ROOT": str(home / "objects"),
            "PYTHONPATH": str(Path(__file__).parent.parent),
        }
        command = [sys.executable, "-W", "ignore", "-c", MEASURE, str(home)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{backend} was not measured:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        found: dict[str, Any] = json.loads((home / "found.json").read_text())
        return found


def show(console: Console, results: dict[str, dict[str, Any]]) -> None:
    """Print the tables."""
    table = _table("value", *(f"{name}, {size}" for name in results for size in ("small", "large")))
    names = list(next(iter(results.values()))["types"])
    for name in names:
        cells = [result["types"][name][size] for result in results.values() for size in ("small", "large")]
        table.add_row(name, *map(_outcome, cells))
    console.print(table)
    console.print("small: alone, or 5 rows; large: beside 120 KB of text, or 336,776 rows", style="dim")
    console.print()

    table = _table("of 60 pushes", *results)
    for kind in ("identical", "altered", "refused", "pull"):
        counts = [
            sum(outcome.startswith(kind) for of_type in result["types"].values() for outcome in of_type.values())
            for result in results.values()
        ]
        table.add_row({"pull": "fails at pull", "refused": "refused at push"}.get(kind, kind), *map(str, counts))
    kept = set.intersection(*({key for key in result["rows"] if _is_kept(result, key)} for result in results.values()))
    for name, key in (("database", "rows"), ("storage", "stored")):
        sizes = [sum(result[key][one] for one in kept) for result in results.values()]
        table.add_row(f"bytes in the {name}, of the {len(kept)} that both keep", *(f"{size:,}" for size in sizes))
    table.add_row(f"objects of 2 XComs after {RETRIES} retries", *(str(result["left"]) for result in results.values()))
    console.print(table)
    console.print()

    table = _table("an object that was", *(f"{name}: the consumer gets" for name in results))
    for name in FAULTS:
        table.add_row(name, *(_outcome(result["faults"][name]) for result in results.values()))
    console.print(table)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    console.print(f"\nPython {sys.version.split()[0]}; {versions}", style="dim", highlight=False)


def _is_kept(result: dict[str, Any], key: str) -> bool:
    name, _, size = key.rpartition(" ")
    return str(result["types"][name][size]).startswith(("identical", "altered"))


LIBRARIES = ("apache-airflow", "apache-airflow-providers-common-io", "pandas", "pyarrow", "numpy")


def _outcome(outcome: str) -> Text:
    return Text(outcome, style=STYLES[outcome.partition(":")[0]])


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold")
    return table


if __name__ == "__main__":
    sys.exit(main())
