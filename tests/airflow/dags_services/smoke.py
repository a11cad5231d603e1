"""Values of every size between decorated tasks, which find out for themselves whether anything arrived otherwise."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

try:
    from airflow.sdk import dag, task
except ImportError:
    from airflow.decorators import dag, task

from handoff import offload
from handoff.testing import same

LARGE = {"rows": [(n, Decimal(n) / 8, dt.date(2013, 1, 1)) for n in range(20_000)], "by": {("a", 1): {1, 2}}}
SMALL = {"n": 1, "names": ["a", "b"], "share": 0.25}


@dag(schedule=None, start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
def smoke() -> None:
    """One large and one small result, three mapped ones, and a task that takes all of them."""

    @task
    @offload
    def large() -> Any:
        return LARGE

    @task
    @offload
    def small() -> Any:
        return SMALL

    @task
    @offload(inline_limit=0)
    def square(n: int) -> tuple[int, Decimal]:
        return n, Decimal(n * n)

    @task
    @offload
    def check(one: Any, many: list[Any], named: dict[str, Any], squares: Any) -> str:
        assert same(LARGE, one)
        assert same([LARGE, SMALL], many)
        assert same({"x": SMALL}, named)
        assert same([(n, Decimal(n * n)) for n in (3, 5, 7)], squares)
        return "all arrived"

    sent, also = large(), small()
    check(sent, [sent, also], {"x": also}, square.expand(n=[3, 5, 7]))


smoke()
