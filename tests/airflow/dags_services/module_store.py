"""A store on S3 that is made, and used, when the DAG file is read: Airflow 2 forks its tasks after that."""

from __future__ import annotations

import datetime as dt
import os
from decimal import Decimal

try:
    from airflow.sdk import dag, task
except ImportError:
    from airflow.decorators import dag, task

from handoff import Address, Store, offload

ROOT = "s3://lake@bucket/module-store"
STORE = Store(ROOT, inline_limit=0)
HAS_STATE = STORE.exists(Address("module_store", "none", "state"))
READ_BY = os.getpid()

ROWS = [(n, Decimal(n) / 8) for n in range(20_000)]


@dag(schedule=None, start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
def module_store() -> None:
    """Rows that go through S3, by tasks that say whether they run in the process that read this file."""

    @task
    @offload(store=STORE)
    def rows() -> list[tuple[int, Decimal]]:
        return ROWS

    @task
    @offload(store=STORE)
    def frame(rows: list[tuple[int, Decimal]]) -> list[int]:
        assert rows == ROWS
        return [n for n, _ in rows]

    @task
    def check(numbers: dict[str, object]) -> dict[str, object]:
        assert STORE.get(numbers) == list(range(20_000))
        return {"has_state": HAS_STATE, "is_forked": os.getpid() != READ_BY}

    check(frame(rows()))


module_store()
