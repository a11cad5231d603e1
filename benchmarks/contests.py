"""Which of our ways are measured, and beside what."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

import handoff
from benchmarks import by_hand, workloads
from benchmarks.timing import Contest
from handoff import Address, Store
from handoff.testing import same

WATCHED = ("airflow", "fsspec", "gcsfs", "numpy", "pandas", "pyarrow", "s3fs", "zstandard")


def contests(folder: Path, *, rows: int) -> Iterator[Contest]:
    """Give every contest, each checked once: what either way gives back is what went in."""
    yield Contest("import handoff", "import msgspec", _importing("handoff"), _importing("msgspec"), reports=True)
    yield _inline()
    frame = workloads.flights().head(rows * 7)
    records = workloads.records(frame, rows)
    count = f"{len(records):,} flight records"
    bare, pickled = (by_hand.put_msgpack, by_hand.get_msgpack), (by_hand.put_pickle, by_hand.get_pickle)
    yield from _stored(count, "msgspec + zstd + write", records, bare, (2.5, 1.2), folder)
    yield from _stored(count, "pickle + gzip + write", records, pickled, (None, None), folder)
    table = pa.Table.from_pandas(frame)
    frames, tables = (by_hand.put_frame, by_hand.get_frame), (by_hand.put_table, by_hand.get_table)
    yield from _stored(f"frame of {len(frame):,} flights", "pq.write_table", frame, frames, (1.15, None), folder)
    yield from _stored(f"Arrow table of {len(frame):,}", "pq.write_table", table, tables, (1.15, None), folder)


def loaded_by_an_inline_task() -> list[str]:
    """Say which libraries a fresh interpreter has loaded after handing over a small result."""
    code = f"""
import sys, handoff
from handoff import Store, offload, run
@offload(store=Store("s3://bucket/prefix"))
def task(): return {{"rows": 3}}
with run(dag_id="d", run_id="r"): task()
print(" ".join(name for name in {WATCHED!r} if name in sys.modules))
"""
    return _python(code).split()


def _importing(name: str) -> Callable[[], object]:
    code = f"import time; start = time.perf_counter(); import {name}; print(time.perf_counter() - start)"
    return lambda: _python(code)


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


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

    check(value, call(offloaded)())
    return Contest("offload, 1 KB dict, inline", "the bare function", call(offloaded), call(task), times=500)


def _stored(
    what: str,
    against: str,
    value: Any,
    other: tuple[Callable[[Any, Path], None], Callable[[Path], Any]],
    aims: tuple[float | None, float | None],
    folder: Path,
) -> Iterator[Contest]:
    store, address = Store(folder / "root"), Address("dag", "run", "task")
    path = folder / "by_hand"
    put, get = other
    handoff_ = store.put(value, address, inline_limit=0)
    put(value, path)
    check(value, store.get(handoff_))
    check(value, get(path))
    yield Contest(f"put {what}", against, lambda: store.put(value, address), lambda: put(value, path), aims[0])
    handoff_ = store.put(value, address)
    yield Contest(
        f"get {what}", against.replace("write", "read"), lambda: store.get(handoff_), lambda: get(path), aims[1]
    )


def check(expected: Any, actual: Any) -> None:
    """Fail where a contender does not give back what it got."""
    if not same(expected, actual):
        raise AssertionError("a contender altered its value")
