"""DAGs that check for themselves what arrives: a task that finds anything amiss fails, and the run with it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Generator
from decimal import Decimal
from pathlib import Path
from typing import Any

from flavour import dag, task

from handoff import Address, Handoff, Stored, default_store, offload, plain
from handoff.testing import same

LARGE = {"rows": [(n, Decimal(n) / 8, dt.date(2013, 1, 1)) for n in range(20_000)], "by": {("a", 1): {1, 2}}}
SMALL = {"n": 1, "names": ["a", "b"], "share": 0.25}
# Values at the edge of what travels plain; a text of XCom cannot be told from JSON by its looks.
EDGES: list[Any] = [
    0, -(2**63), 2**63 - 1, 2**63, 0.25, 5.0, -0.0, 0.1 + 0.2, 54.36484838692596, 1e-5, 1e15 - 0.5, 1e16, 1e300, float("nan"), float("inf"), "", "text",
    "é\u2028", "a\0b", "\ud800", '{"__handoff__": 1}', True, False, [], {}, [5.0, -0.0, 1e15, 1e16, 54.36484838692596], {"b": 1, "a": {"c": [None]}},
    {"__classname__": "x"}, {"__type": 1}, {"__var": {}}, {1: 2}, (1, (2, [3])), {1}, b"\0", Decimal("1.10"), 2**200, dt.time(1, fold=1), [[[[1]]]],
]  # fmt: skip


@dag(schedule=None)
def values() -> None:
    """Large and small values, alone and in lists and dicts of arguments, from functions and generators."""

    @task
    @offload
    def large() -> Any:
        return LARGE

    @task
    @offload
    def small() -> Any:
        return SMALL

    @task
    @offload
    def steps() -> Generator[str, None, tuple[int, ...]]:
        yield "working"
        return (1, 2)

    @task
    @offload
    def check(
        one: Any, many: list[Any], named: dict[str, Any], kept: Handoff, ti: Any = None, *, marks: Any = (1,)
    ) -> str:
        assert same(LARGE, one)
        assert same([LARGE, SMALL, (1, 2)], many)
        assert same({"x": {"y": SMALL}}, named)
        assert isinstance(kept, Stored)
        assert same(LARGE, kept.load())
        assert same((1,), marks)
        helper = offload(inline_limit=0)(lambda: (3,))
        assert helper() == (3,)
        assert "__handoff__" in ti.xcom_pull("large")
        assert same(SMALL, ti.xcom_pull("small"))
        return "done"

    sent = large()
    check(sent, [sent, small(), steps()], {"x": {"y": small()}}, sent)


@dag(schedule=None)
def mapped() -> None:
    """Each mapped instance hands over its own artifact, and the task that collects them gets a list of all."""

    @task
    @offload(inline_limit=0)
    def square(n: int) -> tuple[int, int]:
        return n, n * n

    @task
    @offload
    def collect(squares: Any, again: list[Any]) -> None:
        assert same([(n, n * n) for n in range(5)], squares)
        assert same([[(n, n * n) for n in range(5)], 1], again)

    squares = square.expand(n=list(range(5)))
    collect(squares, [squares, 1])


@dag(schedule=None)
def retried() -> None:
    """A second attempt overwrites what the first one wrote, and its artifact is the only one."""

    @task(retries=1, retry_delay=dt.timedelta(0))
    @offload(inline_limit=0)
    def flaky(ti: Any = None) -> tuple[str, int]:
        address = Address(ti.dag_id, ti.run_id, ti.task_id, ti.map_index)
        if ti.try_number == 1:
            default_store().put(("torn", 1), address, inline_limit=0)
            raise ValueError("once")
        assert default_store().exists(address)
        return "whole", ti.try_number

    @task
    @offload
    def check(result: Any, ti: Any = None) -> None:
        assert same(("whole", 2), result)
        assert len(list(default_store().list(ti.dag_id, ti.run_id))) == 1

    check(flaky())


@dag(schedule=None)
def edges() -> None:
    """Every value at the edge of what travels plain comes back identical from a row of its own."""

    @task
    @offload(inline_limit=None)
    def push(ti: Any = None) -> None:
        for index, value in enumerate(EDGES):
            sent = default_store().put(value, Address(ti.dag_id, ti.run_id, ti.task_id, key=f"k{index}")).to_json()
            ti.xcom_push(f"k{index}", sent)

    @task
    @offload
    def pull(ti: Any = None) -> None:
        for index, value in enumerate(EDGES):
            arrived = ti.xcom_pull("push", key=f"k{index}")
            assert same(value, default_store().get(arrived)), (value, arrived)
            assert (plain.encode(value, 1000) is not None) == same(value, arrived), (value, arrived)

    push() >> pull()


@dag(schedule=None)
def read_by_airflow() -> None:
    """A branch, several outputs and a list that is expanded keep the meaning that they have for Airflow."""

    @task.branch
    @offload(inline_limit=0)
    def choose() -> str:
        return "outputs"

    @task
    def never() -> None:
        raise AssertionError("the branch led to the wrong task")

    @task
    @offload(inline_limit=0)
    def outputs() -> dict[str, Any]:
        return {"a": 1, "b": [1, 2]}

    @task
    @offload(inline_limit=0)
    def numbers(a: int, b: list[int]) -> list[int]:
        assert (a, b) == (1, [1, 2])
        return [1, 2, 3]

    @task
    @offload
    def double(n: int) -> int:
        return 2 * n

    @task
    @offload
    def check(doubled: list[int]) -> None:
        assert doubled == [2, 4, 6]

    found = outputs()
    choose() >> [found, never()]
    check(double.expand(n=numbers(found["a"], found["b"])))


DAGS = {found.dag_id: found for found in (values(), mapped(), retried(), edges(), read_by_airflow())}
ROOT = Path(default_store().root)
