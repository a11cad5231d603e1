"""A table of envelopes in a real database, and a SqlSensor of a real Airflow: `docs/examples/sql_sensor_dag.py`."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.sql.sensors.sql import SqlSensor

from handoff import Address, EnvelopeError, Handoff, Store, Stored, default_store
from tests.airflow.dagfiles import load

TABLE = "CREATE TABLE handoffs (name TEXT, day TEXT, envelope TEXT, PRIMARY KEY (name, day))"
AT = Address("flights", "2026-11-21", "extract")


@pytest.fixture(scope="module")
def example() -> Any:
    return load("sql_sensor_dag")


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    place = {"conn_type": "sqlite", "host": str(tmp_path / "warehouse.db")}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(place))
    with contextlib.closing(sqlite3.connect(tmp_path / "warehouse.db", isolation_level=None)) as connection:
        connection.execute(TABLE)
        yield connection


@pytest.mark.timeout(300)
def test_a_dag_waits_for_the_row_of_another(
    example: Any, warehouse: sqlite3.Connection, run: Callable[[Any], str], database: Path
) -> None:
    """One DAG writes an envelope into a table, and another waits for it and loads what it names."""
    assert run(example.writes_row()) == "success"
    ((name, day, cell),) = warehouse.execute("SELECT * FROM handoffs").fetchall()
    assert ("flights", "2026-11-21") == (name, day)
    assert isinstance(Handoff.from_json(cell), Stored)
    assert run(example.waits_for_row()) == "success"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT task_id, value FROM xcom WHERE dag_id = 'waits_for_row'").fetchall()
    rows = {task: json.loads(value) if isinstance(value, str | bytes) else value for task, value in found}
    assert {"row": cell, "envelope": json.loads(cell), "count": 20_000} == rows  # and nothing of the sensor


def test_the_sensor_waits_for_what_can_be_read(example: Any, warehouse: sqlite3.Connection) -> None:
    """It waits while there is no row, passes where the row's artifact is there, waits where that is gone, and fails on what is none."""
    store, query = default_store(), {"conn_id": "warehouse", "sql": example.READ, "parameters": {"day": "2026-11-21"}}
    sensor = SqlSensor(task_id="alone", success=example.is_there, **query)
    assert not sensor.poke({})

    def write(envelope: object) -> None:
        warehouse.execute(example.WRITE, {"day": "2026-11-21", "envelope": json.dumps(envelope)})

    write(store.put("late", AT, inline_limit=0).to_json())
    assert sensor.poke({})
    store.delete(AT)
    assert not sensor.poke({})
    write(store.put((1, 2), AT).to_json())  # in the row itself
    assert sensor.poke({})
    write({"__handoff__": 1, "kind": "stored"})
    with pytest.raises(EnvelopeError):
        sensor.poke({})
    warehouse.execute("DELETE FROM handoffs")
    assert not sensor.poke({})
    assert [] == list(Store(store.root).list("flights"))
