"""A DAG that publishes what it has made when it is done, and one that a consumer starts with it: see `queue_redis.py`.

Two deployments may have one each: they share the stream, and HANDOFF_ROOT.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from queue_redis import publish
from redis import Redis

from handoff import default_store, offload

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))
def sales() -> None:
    """Make rows, and tell others."""

    @task
    @offload(inline_limit=0)  # with an address, however small
    def extract() -> list[tuple[str, int]]:
        return [(f"article {n}", n) for n in range(20_000)]

    @task
    def tell(envelope: dict[str, Any]) -> None:  # not decorated: it sees what travels
        publish(Redis.from_url(os.environ["REDIS_URL"]), "handoffs", envelope)

    tell(extract())


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))
def report() -> None:
    """Load what the conf of its run names."""

    @task
    def total(dag_run: Any = None) -> int:
        return sum(price for _, price in default_store().get(dag_run.conf["rows"]))

    total()


sales()
report()
