"""Which of our ways are measured, and beside what."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

import handoff
from benchmarks import by_hand, workloads
from benchmarks.by_hand import Way
from benchmarks.timing import Contest
from handoff import Address, Store, Stored
from handoff.testing import same

WATCHED = ("airflow", "fsspec", "gcsfs", "numpy", "pandas", "pyarrow", "s3fs", "zstandard")

IMPORT = "import handoff"
INLINE = """
from handoff import Store, offload, run
@offload(store=Store("s3://bucket/prefix"))
def task(): return {"rows": 3}
with run(dag_id="d", run_id="r"): task()
"""


def contests(folder: Path, *, rows: int, only: list[str]) -> Iterator[Contest]:
    """Give the contests with one of these texts in their name, or all."""
    for contest in _contests(folder, rows, only):
        if _wanted(contest.name, only):
            yield contest


def loaded(code: str) -> list[str]:
    """Say which libraries are loaded in a fresh interpreter that has run some code."""
    return _python(f"import sys\n{code}\nprint(*[name for name in {WATCHED!r} if name in sys.modules])").split()


def _contests(folder: Path, rows: int, only: list[str]) -> Iterator[Contest]:
    compiled = folder / "compiled"
    yield Contest(
        IMPORT,
        "import msgspec",
        _importing("handoff", compiled),
        _importing("msgspec", compiled),
        reports=True,
        adds="import handoff takes {} more",
    )
    yield _inline()
    frame = workloads.flights().head(rows * 7)
    records, table = workloads.records(frame, rows), pa.Table.from_pandas(frame)
    many, all_rows = f"{len(records):,} records", f"{len(frame):,}"
    yield from _stored(many, "msgspec + zstd", records, by_hand.MSGPACK, folder, only, aims=(2.5, 1.2))
    yield from _stored(many, "pickle + gzip", records, by_hand.PICKLE, folder, only, most=3)
    yield from _stored(
        f"pandas frame of {all_rows}", "pyarrow.parquet", frame, by_hand.FRAME, folder, only, aims=(1.15, None)
    )
    yield from _stored(
        f"Arrow table of {all_rows}", "pyarrow.parquet", table, by_hand.TABLE, folder, only, aims=(1.15, None)
    )


def _wanted(name: str, only: list[str]) -> bool:
    return not only or any(text.lower() in name.lower() for text in only)


def _importing(name: str, compiled: Path) -> Callable[[], object]:
    # Modules are compiled in the round that is not counted, even where the environment has no bytecode written.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(compiled)
    code = f"import time; start = time.perf_counter(); import {name}; print(time.perf_counter() - start)"
    return lambda: _python(code, environment)


def _python(code: str, environment: dict[str, str] | None = None) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def _inline() -> Contest:
    value, runs = workloads.small(), itertools.count()

    def task() -> Any:
        return value

    offloaded = handoff.offload(store=Store("unused"))(task)

    def call(function: Callable[[], Any]) -> Callable[[], Any]:
        # Each address is written once in a run, so every call has a run of its own: on both sides.
        def once() -> Any:
            with handoff.run(dag_id="dag", run_id=str(next(runs)), task_id="task"):
                return function()

        return once

    _check(value, call(offloaded)())
    return Contest(
        "offload 1 KB inline",
        "bare function",
        call(offloaded),
        call(task),
        times=2_000,
        adds="offload adds {} to a call",
    )


def _stored(
    what: str,
    against: str,
    value: Any,
    way: Way,
    folder: Path,
    only: list[str],
    *,
    aims: tuple[float | None, float | None] = (None, None),
    most: int | None = None,
) -> Iterator[Contest]:
    """Give a put and a get, once what either way gives back is known to be what went in."""
    names = f"put {what}", f"get {what}"
    if not any(_wanted(name, only) for name in names):
        return
    store, address, path = Store(folder / "root"), Address("dag", "run", "task"), folder / "by_hand"

    def prepare() -> Stored:
        way.put(value, path)
        found = store.put(value, address)
        if not isinstance(found, Stored):
            raise TypeError(f"the workload is too small to be stored: {what}")
        return found

    stored = prepare()
    _check(value, store.get(stored))
    _check(value, way.get(path))
    sizes = stored.size, path.stat().st_size
    yield Contest(
        names[0],
        against,
        lambda: store.put(value, address),
        lambda: way.put(value, path),
        aim=aims[0],
        most=most,
        sizes=sizes,
    )
    yield Contest(names[1], against, lambda: store.get(stored), lambda: way.get(path), aim=aims[1])


def _check(expected: Any, actual: Any) -> None:
    # Arrow compares a table of this size in no time, and knows of no NaN here: from_pandas made them null.
    is_table = isinstance(expected, pa.Table)
    if not (expected.equals(actual, check_metadata=True) if is_table else same(expected, actual)):
        raise AssertionError("a contender altered its value")
