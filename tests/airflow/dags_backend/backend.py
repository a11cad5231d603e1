"""DAGs for a deployment whose XCom backend is `HandoffXCom`. Each task that finds anything amiss fails, and the run with it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pandas as pd

try:
    from airflow.sdk import dag, task
except ImportError:
    from airflow.decorators import dag, task
try:
    from airflow.sdk import Asset
except ImportError:
    from airflow.datasets import Dataset as Asset
from airflow.utils.session import create_session

from handoff import Address, default_store, offload
from handoff.testing import same

LARGE = {"rows": [(n, Decimal(n) / 8, dt.date(2013, 1, 1)) for n in range(20_000)], "by": {("a", 1): {1, 2}}}
LIST = [([(n * 7919 + m, Decimal(m) / 8) for m in range(20_000)], n) for n in range(4)]
FRAME = pd.DataFrame({"n": range(50_000), "share": [n / 7 for n in range(50_000)]})
SMALL = {"n": 1, "names": ["a", "b"], "share": 0.25}


def address_of(ti: Any, key: str = "return_value") -> Address:
    """Give the address of a task instance's XCom."""
    return Address(ti.dag_id, ti.run_id, ti.task_id, ti.map_index, key)


@dag(schedule=None)
def values() -> None:
    """What undecorated tasks return and push arrives whole: large, small, a frame, bytes, None in a list."""

    @task
    def large(ti: Any = None) -> Any:
        ti.xcom_push("other", LARGE)
        ti.xcom_push("blob", b"\0" * 100)
        ti.xcom_push("nothing", None)
        return LARGE

    @task
    def frame() -> Any:
        return FRAME

    @task
    def small() -> Any:
        return SMALL

    @task
    def check(one: Any, many: Any, table: Any, ti: Any = None) -> Any:
        assert same(LARGE, one)
        assert same([LARGE, {"x": SMALL}], many)
        assert same(FRAME, table)
        assert same(LARGE, ti.xcom_pull("large", key="other"))
        assert same(b"\0" * 100, ti.xcom_pull("large", key="blob"))
        assert ti.xcom_pull("large", key="nothing") is None
        assert same(SMALL, ti.xcom_pull("small"))
        return "done"

    sent = large()
    check(sent, [sent, {"x": small()}], frame())


@dag(schedule=None)
def mapped() -> None:
    """A list that is stored whole is expanded by its length, and outputs of mapped tasks are collected."""

    @task
    def produce() -> Any:
        return LIST

    @task
    def settings() -> Any:
        return {"a": 1, "b": (2, "x" * 200_000)}

    @task
    def second(pair: Any) -> Any:
        assert type(pair) is tuple
        return pair[0], pair[1] * 10

    @task
    def item(pair: Any) -> None:
        assert pair in (("a", 1), ("b", (2, "x" * 200_000)))

    @task
    def joined(pair: Any) -> Any:
        return pair[0][1], pair[1][1]

    @task
    def collect(found: Any, pairs: Any) -> Any:
        assert same([(rows, n * 10) for rows, n in LIST], list(found))
        assert same([(n, n * 10) for n in range(4)], list(pairs))
        return found

    @task
    def again(found: Any) -> None:
        assert same([(rows, n * 10) for rows, n in LIST], found)

    produced = produce()
    found = second.expand(pair=produced.map(lambda pair: pair))
    item.expand(pair=settings())
    again(collect(found, joined.expand(pair=produced.zip(found))))


@dag(schedule=None)
def expanded() -> None:
    """Elements that are arguments are taken as such, and a list beside itself is one list."""

    @task
    def produce() -> Any:
        return LIST

    @task
    def arguments() -> Any:
        return [{"rows": rows, "n": n} for rows, n in LIST]

    @task
    def taken(rows: Any, n: int) -> None:
        assert same(LIST[n], (rows, n))

    @task
    def joined_up(pair: Any, ti: Any = None) -> None:
        assert same((LIST * 2)[ti.map_index], pair)

    produced = produce()
    taken.expand_kwargs(arguments())
    joined_up.expand(pair=produced.concat(produced))


@dag(schedule=None)
def decorated() -> None:
    """Decorated tasks hand over as they do without the backend, and undecorated ones take what they hand over."""

    @task
    @offload
    def large() -> Any:
        return LARGE

    @task
    def passed_on(ti: Any = None) -> Any:
        sent = default_store().put(LARGE, address_of(ti), inline_limit=0)
        ti.xcom_push("envelope", sent.to_json())
        ti.xcom_push("several", {"a": [sent, 1, (2, 3)], "b": sent.to_json()})
        return sent

    @task
    def plain_reader(one: Any, two: Any, ti: Any = None) -> Any:
        assert same(LARGE, one)
        assert same(LARGE, two)
        assert same(LARGE, ti.xcom_pull("passed_on", key="envelope"))
        assert same({"a": [LARGE, 1, (2, 3)], "b": LARGE}, ti.xcom_pull("passed_on", key="several"))
        return [one, two]

    @task
    @offload
    def reader(one: Any, two: Any) -> Any:
        assert same(LARGE, one)
        assert same([LARGE, LARGE], two)

    sent = large()
    reader(sent, plain_reader(sent, passed_on()))


@dag(schedule=None)
def elements() -> None:
    """Handoffs that are elements of a list or a dict arrive as values, one each in a task that is mapped over them."""

    @task
    def produce(ti: Any = None) -> Any:
        at = address_of(ti)
        parts = [Address(at.dag_id, at.run_id, at.task_id, at.map_index, at.key, n) for n in range(len(LIST))]
        return [default_store().put(node, part, inline_limit=0) for node, part in zip(LIST, parts, strict=True)]

    @task
    def one(pair: Any, ti: Any = None) -> None:
        assert same(LIST[ti.map_index], pair)

    @task
    @offload
    def one_decorated(pair: Any, ti: Any = None) -> None:
        assert same(LIST[ti.map_index], pair)

    @task
    def whole(pairs: Any) -> None:
        assert same(LIST, pairs)

    @task
    @offload
    def whole_decorated(pairs: Any) -> None:
        assert same(LIST, pairs)

    sent = produce()
    one.expand(pair=sent)
    one_decorated.expand(pair=sent)
    whole(sent)
    whole_decorated(sent)


@dag(schedule=None)
def outputs() -> None:
    """Several outputs are pulled one by one; the objects of Airflow's own are Airflow's; a branch is followed."""

    @task(multiple_outputs=True)
    def several() -> Any:
        return {"a": LARGE, "b": (1, 2)}

    @task
    def assets() -> Any:
        return [Asset("a"), {"b": Asset("b")}]

    @task.branch
    def choose() -> Any:
        return "check"

    @task
    def never() -> None:
        raise AssertionError("the branch led to the wrong task")

    @task
    def check(a: Any, b: Any, found: Any) -> None:
        assert same(LARGE, a)
        assert same((1, 2), b)
        assert [Asset("a").uri, Asset("b").uri] == [found[0].uri, found[1]["b"].uri]

    sent = several()
    choose().set_downstream([check(sent["a"], sent["b"], assets()), never()])


@dag(schedule=None)
def retried() -> None:
    """When the second try starts, what the first one pushed is gone; a handoff of another task is not."""

    @task
    def origin() -> Any:
        return LARGE

    @task(retries=3, retry_delay=dt.timedelta(0))
    def flaky(_: Any, ti: Any = None) -> Any:
        store = default_store()
        for key in ("first", "second", "third"):
            assert not store.exists(address_of(ti, key)), (ti.try_number, key)
        if ti.try_number < 4:
            ti.xcom_push(("first", "second", "third")[ti.try_number - 1], LARGE)
            at = Address(ti.dag_id, ti.run_id, "origin")
            ti.xcom_push("passed_on", store.put(LARGE, at, inline_limit=0))
            raise ValueError("once more")
        return LARGE

    @task
    def check(result: Any, ti: Any = None) -> None:
        assert same(LARGE, result)
        found = {address.task_id: address.key for address in default_store().list(ti.dag_id, ti.run_id)}
        assert found == {"origin": "return_value", "flaky": "return_value"}

    check(flaky(origin()))


@dag(schedule=None)
def cleared() -> None:
    """Clearing a task removes nothing yet; its next try starts without the artifact, and may return a small result."""

    @task
    def produce(ti: Any = None) -> Any:
        if ti.try_number == 1:
            ti.xcom_push("extra", FRAME)
            return LARGE
        assert list(default_store().list(ti.dag_id, ti.run_id, ti.task_id)) == []
        return SMALL

    @task
    def clear(result: Any, ti: Any = None) -> Any:
        if not same(SMALL, result):
            clear_now(ti.dag_id, ti.run_id, ("produce", "clear"))
            # The rows and artifacts are still there: what reads them now reads the old ones.
            assert same(LARGE, ti.xcom_pull("produce"))
        return ti.try_number

    @task
    def check(result: Any, tries: Any, ti: Any = None) -> None:
        assert same(SMALL, result)
        assert list(default_store().list(ti.dag_id, ti.run_id)) == []

    sent = produce()
    check(sent, clear(sent))


def clear_now(dag_id: str, run_id: str, task_ids: tuple[str, ...]) -> None:
    """Clear task instances as the web page's button does."""
    from airflow.models.taskinstance import TaskInstance, clear_task_instances

    with create_session() as session:
        wanted = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id, TaskInstance.task_id.in_(task_ids))
        clear_task_instances(session.query(TaskInstance).filter(*wanted).all(), session)


DAGS = {
    found.dag_id: found
    for found in (values(), mapped(), expanded(), decorated(), elements(), outputs(), retried(), cleared())
}
