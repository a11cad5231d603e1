"""In a real Airflow, through its execution API and rows of SQLite: what a task returns is what the next one takes."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handoff import Store
from tests.airflow.dagfiles import load


@pytest.fixture(scope="session")
def shapes(database: Path) -> Any:
    return load("shapes")


def rows(database: Path, dag_id: str) -> dict[tuple[str, int, str], Any]:
    """Read what stands in the rows of XCom, as JSON text would give it."""
    with sqlite3.connect(database) as connection:
        found = connection.execute(
            "select task_id, map_index, key, value from xcom where dag_id = ?", (dag_id,)
        ).fetchall()
    connection.close()
    return {
        (task, index, key): json.loads(value) if isinstance(value, str | bytes) else value
        for task, index, key, value in found
    }


@pytest.mark.parametrize("dag_id", ["values", "mapped", "retried", "edges", "read_by_airflow"])
def test_a_dag_that_checks_for_itself_succeeds(dag_id: str, shapes: Any, run: Callable[[Any], str]) -> None:
    """Each task of the DAG finds what it was sent, identical."""
    assert run(shapes.DAGS[dag_id]) == "success"


def test_large_results_are_references_in_the_rows(shapes: Any, run: Callable[[Any], str], database: Path) -> None:
    """The row of a large result is its envelope, that of a small one the value itself."""
    run(shapes.DAGS["values"])
    found = rows(database, "values")
    assert found["large", -1, "return_value"]["kind"] == "stored"
    assert len(json.dumps(found["large", -1, "return_value"])) < 2048
    assert found["small", -1, "return_value"] == shapes.SMALL
    assert found["check", -1, "return_value"] == "done"


def test_a_task_is_tried_out_by_itself(shapes: Any) -> None:
    """`airflow tasks test` counts attempts from 0, and the task hands over as ever."""
    command = [sys.executable, "-W", "ignore", "-m", "airflow", "tasks", "test", "values", "large", "2026-01-02"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = {address.run_id for address in Store(shapes.ROOT).list("values", task_id="large")}
    assert [] != [run_id for run_id in runs if "2026-01-02" in run_id or run_id.startswith("__airflow_temp")], runs


def test_mapped_instances_have_artifacts_of_their_own(shapes: Any, run: Callable[[Any], str], database: Path) -> None:
    """Five instances leave five artifacts, each at its own map index."""
    run(shapes.DAGS["mapped"])
    store = Store(shapes.ROOT)
    addresses = {
        envelope["address"]["run_id"] for (task, _, _), envelope in rows(database, "mapped").items() if task == "square"
    }
    for run_id in addresses:
        assert [0, 1, 2, 3, 4] == sorted(address.map_index for address in store.list("mapped", run_id))
