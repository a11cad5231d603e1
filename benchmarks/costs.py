"""What a contender costs before a byte has moved: its import, and for us the decorator around a task."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.text import Text

from benchmarks import report
from benchmarks.contenders import BY_HAND, JOBLIB, OURS
from benchmarks.contests import contests
from benchmarks.report import Sheet
from benchmarks.rivals import BOTO3, OBSTORE, PREFECT, STORAGE, XCOM
from benchmarks.timing import hold

#: What has to be imported for a value to be handed over to S3.
IMPORTS = {
    OURS: "handoff",
    f"{OURS}, as a result is stored on S3": "handoff, s3fs, zstandard",
    f"{BY_HAND}: msgspec + zstd on S3": "msgspec, s3fs, zstandard",
    JOBLIB: "joblib",
    XCOM: "airflow.sdk.bases.xcom",
    STORAGE: "airflow.providers.common.io.xcom.backend",
    PREFECT: "prefect.serializers, prefect.filesystems",
    BOTO3: "boto3",
    OBSTORE: "obstore, obstore.store",
}


class Cost(msgspec.Struct):
    """One import or call: a sample in seconds for each round."""

    name: str
    what: str
    seconds: list[float] = []
    error: str = ""


def imports(pythons: dict[str, str], rounds: int) -> Iterator[Cost | None]:
    """Import in fresh interpreters, all in turn; None after each round, what was found at the end."""
    costs = [Cost(name, f"import {modules}") for name, modules in IMPORTS.items()]
    with tempfile.TemporaryDirectory() as compiled:
        for number in range(-1, rounds):  # in the first, modules are compiled
            for cost in costs:
                if not cost.error:
                    _import(cost, pythons[cost.name], compiled, counts=number >= 0)
            yield None
    yield from costs


def calls(rounds: int) -> Iterator[Cost]:
    """Call a task that returns 1 KB, bare and under the decorator, inline."""
    with tempfile.TemporaryDirectory() as folder:
        for contest in contests(Path(folder), rows=1, only=["offload"]):
            for result in filter(None, hold(contest, rounds)):
                yield Cost("a bare function", "called", result.theirs)
                yield Cost(f"{OURS}: @offload", "called, its 1 KB inline", result.ours)


def sheets(costs: Sequence[Cost]) -> Iterator[Sheet]:
    """Give them as a table."""
    if costs:
        sheet = Sheet("before a byte has moved", ("", "what is done", "median", "least", "most"), names=2)
        for cost in costs:
            name = Text(cost.name, style=report.OURS if cost.name.startswith(OURS) else "")
            seconds = [statistics.median(cost.seconds), min(cost.seconds), max(cost.seconds)] if cost.seconds else []
            sheet.rows.append([name, cost.what, *([report.seconds(one) for one in seconds] or ["", "", cost.error])])
        yield sheet


def _import(cost: Cost, python: str, compiled: str, *, counts: bool) -> None:
    if not python:
        cost.error = "not run: it is not installed"
        return
    code = f"import time; start = time.perf_counter(); {cost.what}; print(time.perf_counter() - start)"
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "PYTHONPYCACHEPREFIX": compiled,
        "AIRFLOW_HOME": compiled,
        "PREFECT_HOME": compiled,
    }
    command = [python, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        cost.error = done.stderr.strip().rpartition("\n")[2]
    elif counts:
        cost.seconds.append(float(done.stdout.split()[-1]))
