"""Tasks of Airflow that are decorated, that are not, and that are mapped: each is told by its own name."""

from __future__ import annotations

from datetime import UTC, datetime

from flavour import dag, task

from handoff import Handoff, default_store, offload

START = datetime(2026, 1, 1, tzinfo=UTC)


@dag(schedule=None, start_date=START, catchup=False)
def seen():
    @task
    @offload(inline_limit=0)
    def numbers() -> list[int]:
        return [1, 2, 3]

    @task
    def by_hand(message) -> int:
        return sum(default_store().get(message))

    @task
    @offload
    def mapped(number: int, given: Handoff) -> int:
        return number + len(given.load())

    made = numbers()
    by_hand(made)
    mapped.partial(given=made).expand(number=[1, 2])


dag = seen()
