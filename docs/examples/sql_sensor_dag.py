"""A table of envelopes: one DAG writes a row when it is done, another waits for that row, and loads what it names.

The table: CREATE TABLE handoffs (name TEXT, day TEXT, envelope TEXT, PRIMARY KEY (name, day)). JSON in place of the
last TEXT does as well. The connection is `warehouse`, of any kind that the provider common.sql knows.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.providers.common.sql.sensors.sql import SqlSensor

from handoff import Handoff, Stored, default_store, offload

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task

WRITE = "REPLACE INTO handoffs VALUES ('flights', :day, :envelope)"  # SQLite's and MySQL's upsert
READ = "SELECT envelope FROM handoffs WHERE name = 'flights' AND day = :day"


def is_there(cell: Any) -> bool:
    """Tell whether what a row names can be read: the row may outlive its artifact."""
    handoff = Handoff.from_json(cell)
    return not isinstance(handoff, Stored) or default_store().exists(handoff.address)


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), params={"day": "2026-11-21"})
def writes_row() -> None:
    """Hand flights over, and write down where they are."""

    @task
    @offload(inline_limit=0)
    def extract() -> list[tuple[str, int]]:
        return [("UA", n) for n in range(20_000)]

    @task
    def as_text(envelope: Any) -> str:
        return json.dumps(envelope)

    text = as_text(extract())
    SQLExecuteQueryOperator(
        task_id="write",
        conn_id="warehouse",
        sql=WRITE,
        parameters={"day": "{{ params.day }}", "envelope": text},
    )


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), params={"day": "2026-11-21"})
def waits_for_row() -> None:
    """Wait for the row, fetch it, and load what it names: a SqlSensor passes on nothing of what it has found."""
    query = {"conn_id": "warehouse", "sql": READ, "parameters": {"day": "{{ params.day }}"}}
    ready = SqlSensor(task_id="ready", success=is_there, poke_interval=60, mode="reschedule", **query)
    row = SQLExecuteQueryOperator(task_id="row", handler=lambda cursor: cursor.fetchone()[0], **query)

    @task
    def envelope(cell: Any) -> Any:
        return Handoff.from_json(cell).to_json()

    @task
    @offload
    def count(flights: list[tuple[str, int]]) -> int:
        return len(flights)

    ready >> row
    count(envelope(row.output))


writes_row()
waits_for_row()
