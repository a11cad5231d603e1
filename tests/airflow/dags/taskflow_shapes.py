"""Every shape of TaskFlow as DAGs that check for themselves, each with small results and with stored ones."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import datetime as dt
import sys
from collections.abc import Callable, Generator, Mapping
from decimal import Decimal
from typing import Any, TypedDict

from flavour import (
    DAG,
    DEFERRED,
    NEWEST,
    AirflowSkipException,
    Asset,
    BashOperator,
    PokeReturnValue,
    PythonOperator,
    TimeDeltaSensor,
    get_current_context,
    setup,
    task,
    task_group,
    teardown,
)

from handoff import Address, ConfigError, Handoff, Stored, default_store, offload
from handoff.testing import same

#: Where a task that cannot ask Airflow belongs: a template that Airflow fills in.
AT = '{{ {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index} | tojson }}'
SIZES: dict[str, dict[str, Any]] = {"inline": {}, "stored": {"inline_limit": 0}}
VALUE = {"rows": [(n, Decimal(n) / 8, dt.date(2013, 1, 1)) for n in range(3)], "by": {("a", 1): {1, 2}}}
TRY = "{{ [ti.try_number, 1] | max }}"


class Hand:
    """`offload`, as a size is handed over."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options

    def __call__(self, **more: Any) -> Any:
        return offload(**{**self.options, **more})


SHAPES: dict[str, Callable[[Hand], None]] = {}
#: What made a task fail, by DAG.
FAILURES: dict[str, list[str]] = collections.defaultdict(list)


def shape(body: Callable[[Hand], None]) -> Callable[[Hand], None]:
    """Register a body, by the first line of its docstring, as a row of the table in docs/airflow.md."""
    SHAPES[(body.__doc__ or "").partition("\n")[0].rstrip(".")] = body
    return body


def dag_of(name: str, size: str) -> DAG:
    """Make the DAG of a shape."""
    dag_id = name_of(name, size)

    def note(context: Any) -> None:
        FAILURES[dag_id].append(f"{type(context['exception']).__name__}: {context['exception']}")

    with DAG(
        dag_id, schedule=None, start_date=dt.datetime(2024, 1, 1), default_args={"on_failure_callback": note}
    ) as dag:
        SHAPES[name](Hand(SIZES[size]))
    return dag


def artifacts(ti: Any) -> list[Address]:
    return sorted(default_store().list(ti.dag_id, ti.run_id), key=lambda a: (a.task_id, a.map_index, a.item or 0))


# --- plain tasks ------------------------------------------------------------------------------------------------


@shape
def plain(hand: Hand) -> None:
    """`@task`."""

    @task
    @hand()
    def make() -> Any:
        return VALUE

    @task
    @hand()
    def take(value: Any, kept: Handoff, many: list[Any], named: dict[str, Any]) -> None:
        assert same(VALUE, value)
        assert same(VALUE, kept.load())
        assert same([VALUE, 1], many)
        assert same({"deep": {"er": VALUE}}, named)

    sent = make()
    take(sent, sent, [sent, 1], {"deep": {"er": sent}})


@dataclasses.dataclass
class Flight:
    number: int
    price: float
    stops: list[str] = dataclasses.field(default_factory=list)


@shape
def records(hand: Hand) -> None:
    """Records of a class of the DAG file."""
    flights = [Flight(n, n / 8, ["ORD"] * n) for n in range(3)]

    @task
    @hand()
    def make() -> list[Flight]:
        return flights

    @task
    @hand()
    def take(found: list[Flight], parts: dict[str, list[Flight]], plain: Flight, ti: Any = None) -> None:
        assert same(flights, found)
        assert same({"all": flights}, parts)
        assert same(Flight(1, 2.0), plain)
        assert ti.task_id == "take"

    sent = make()
    take(sent, {"all": sent}, {"number": 1, "price": 2})  # type: ignore[arg-type]  # a dict, as a conf has


@shape
def signatures(hand: Hand) -> None:
    """`*args`, `**kwargs`, `ti`, `run_id`, defaults, positional-only."""

    @task
    @hand()
    def make() -> Any:
        return VALUE

    @task
    @hand()
    def context(value: Any, run_id: Any = None, ti: Any = None, **kwargs: Any) -> None:
        assert same(VALUE, value)
        assert run_id == ti.run_id == kwargs["dag_run"].run_id
        assert kwargs["params"] is not None

    @task
    @hand()
    def several(*values: Any, last: Any = (1,)) -> Any:
        assert same((VALUE, VALUE, 3), values)
        assert same((1,), last)
        return last

    @task
    @hand()
    def only(first: Any, second: Any = (2,), /, third: Any = VALUE) -> None:
        assert same(VALUE, first)
        assert same((2,), second)
        assert same((1,), third)

    sent = make()
    context(sent)
    only(sent, third=several(sent, sent, 3))


@shape
def steps(hand: Hand) -> None:
    """A generator's return value."""

    @task
    @hand()
    def make() -> Generator[str, None, Any]:
        yield "working"
        return VALUE

    @task
    @hand()
    def take(value: Any) -> None:
        assert same(VALUE, value)

    take(make())


@shape
def coroutine(hand: Hand) -> None:
    """`async def`."""

    @task
    @hand()
    async def make() -> Any:
        await asyncio.sleep(0)
        return VALUE

    @task
    @hand()
    async def each(x: int) -> Any:
        await asyncio.sleep(0)
        return x, VALUE

    @task
    @hand()
    async def take(value: Any, many: list[Any]) -> None:
        await asyncio.sleep(0)
        assert same(VALUE, value)
        assert same([(n, VALUE) for n in range(3)], many)
        kept = await default_store().aput(value, Address("by_hand", "run", "coroutine"), inline_limit=0)
        assert same([VALUE, VALUE], await default_store().aget_many([kept, kept.to_json()]))

    take(make(), each.expand(x=[0, 1, 2]))


@shape
def classic(hand: Hand) -> None:
    """`PythonOperator` and `.output`."""

    @hand()
    def make() -> Any:
        return VALUE

    @hand()
    def take(value: Any, *, named: Any) -> None:
        assert same(VALUE, value)
        assert same([VALUE], named)

    made = PythonOperator(task_id="make", python_callable=make)
    PythonOperator(task_id="take", python_callable=take, op_args=[made.output], op_kwargs={"named": [made.output]})


@shape
def whole_arguments(hand: Hand) -> None:
    """`op_args` and `op_kwargs` that are a result."""

    @task
    @hand()
    def some() -> Any:
        return [VALUE, (1,)]

    @task(multiple_outputs=False)
    @hand()
    def named() -> Any:
        return {"x": VALUE, "y": (1,)}

    @hand()
    def take(x: Any, y: Any = None) -> None:
        assert same((VALUE, (1,)), (x, y))

    PythonOperator(task_id="take_some", python_callable=take, op_args=some())
    PythonOperator(task_id="take_named", python_callable=take, op_kwargs=named())

    @task
    @hand()
    def many() -> Any:
        return [{"x": VALUE, "y": (1,)}]

    PythonOperator.partial(task_id="take_each", python_callable=take).expand(op_kwargs=many())


@shape
def twice(hand: Hand) -> None:
    """A function that is decorated twice, or calls itself."""

    @task
    @hand()
    @hand()
    def double() -> Any:
        return VALUE

    @hand()
    def down(n: int = 2) -> Any:
        return (n, down(n - 1)) if n else ()

    @task
    @hand()
    def take(one: Any, two: Any, ti: Any = None) -> None:
        assert same(VALUE, one)
        assert same((2, (1, ())), two)
        assert len(artifacts(ti)) == (2 if LIMITS[ti.dag_id] else 0)

    take(double(), PythonOperator(task_id="down", python_callable=down).output)


@shape
def own_operator(hand: Hand) -> None:
    """An operator of one's own."""

    class Own(PythonOperator):
        def execute(self, context: Any) -> Any:
            return {"count": len(super().execute(context)["rows"])}

    @task
    @hand()
    def make() -> Any:
        return VALUE

    @hand()
    def take(value: Any) -> Any:
        assert same(VALUE, value)
        return value

    Own(task_id="own", python_callable=take, op_args=[make()])


@shape
def helper(hand: Hand) -> None:
    """A decorated helper called inside a task."""

    @hand()
    def helper(value: Any) -> Any:
        return value

    @task
    @hand()
    def make() -> Any:
        assert same((VALUE,), helper((VALUE,)))
        return helper(VALUE)

    @task
    def undecorated(value: Any, ti: Any = None) -> None:
        message = ti.xcom_pull("make")
        assert message == value
        assert same(VALUE, helper(default_store().get(message)))

    undecorated(make())


@shape
def no_push(hand: Hand) -> None:
    """`do_xcom_push=False`."""

    @task(do_xcom_push=False)
    @hand()
    def make() -> Any:
        return VALUE

    @task
    @hand()
    def take(value: Any, ti: Any = None) -> None:
        assert value is None
        assert [] == artifacts(ti)

    take(make())


@shape
def other_key(hand: Hand) -> None:
    """`ti.xcom_push` of a handoff under another key."""

    @task
    @hand()
    def make(ti: Any = None) -> None:
        address = Address(ti.dag_id, ti.run_id, ti.task_id, ti.map_index, "model")
        ti.xcom_push("model", default_store().put(VALUE, address, **LIMITS[ti.dag_id]).to_json())

    @task
    @hand()
    def take(value: Any) -> None:
        assert same(VALUE, value)

    take(make()["model"])


@shape
def assets(hand: Hand) -> None:
    """Returned Assets."""
    asset = Asset("s3://bucket/rows")

    @task(outlets=[asset])
    @hand()
    def make() -> Any:
        return asset

    @task
    @hand()
    def many() -> Any:
        return [asset]

    @task
    def take(one: Any, ti: Any = None) -> None:
        assert one.uri == "s3://bucket/rows"
        assert [] == artifacts(ti)

    sent = make()
    sent >> many()
    take(sent)


# --- decorators of other kinds ----------------------------------------------------------------------------------


@shape
def branch(hand: Hand) -> None:
    """`@task.branch`."""

    @task
    @hand()
    def make() -> Any:
        return VALUE

    @task.branch
    @hand()
    def choose(value: Any) -> str:
        assert same(VALUE, value)
        return "right"

    @task
    @hand()
    def right() -> Any:
        return VALUE

    @task
    @hand()
    def wrong() -> None:
        raise AssertionError("the branch led to the wrong task")

    @task(trigger_rule="none_failed_min_one_success")
    @hand()
    def join(first: Any, second: Any) -> None:
        assert same(VALUE, first)
        assert second is None

    found = [right(), wrong()]
    choose(make()) >> found
    join(*found)


@shape
def short_circuit(hand: Hand) -> None:
    """`@task.short_circuit`."""

    @task.short_circuit
    @hand()
    def goes_on() -> Any:
        return VALUE

    @task.short_circuit
    @hand()
    def stops() -> Any:
        return ()

    @task
    @hand()
    def take(value: Any) -> None:
        assert same(VALUE, value)

    @task
    def never(value: Any) -> None:
        raise AssertionError("a false condition went on")

    take(goes_on())
    never(stops())


@shape
def sensor(hand: Hand) -> None:
    """`@task.sensor` with a `PokeReturnValue`."""

    @task.sensor(poke_interval=0.01, timeout=10)
    @hand()
    def ready(marks: list[int] = []) -> Any:
        marks.append(1)
        return PokeReturnValue(is_done=len(marks) > 1, xcom_value=VALUE if len(marks) > 1 else None)

    @task.sensor(poke_interval=0.01, timeout=10)
    @hand()
    def bare() -> bool:
        return True

    @task
    @hand()
    def take(value: Any) -> None:
        assert same(VALUE, value)

    ready_value = ready()
    bare() >> ready_value
    take(ready_value)


@shape
def rescheduled(hand: Hand) -> None:
    """`mode="reschedule"`."""
    pokes: list[int] = []

    @task.sensor(poke_interval=0.01, timeout=10, mode="reschedule")
    @hand()
    def ready() -> Any:
        pokes.append(1)
        return PokeReturnValue(is_done=len(pokes) > 1, xcom_value=VALUE)

    @task
    @hand()
    def take(value: Any) -> None:
        assert same(VALUE, value)

    take(ready())


@shape
def bash(hand: Hand) -> None:
    """`@task.bash`."""

    @task
    @hand()
    def make() -> Any:
        return VALUE

    @task.bash
    @hand()
    def command(value: Any) -> str:
        return f"echo {len(value['rows'])}"

    @task
    @hand()
    def take(text: str) -> None:
        assert text == "3"

    take(command(make()))


@shape
def virtualenv(hand: Hand) -> None:
    """`@task.virtualenv`, `@task.external_python`."""

    @task.virtualenv(
        system_site_packages=True,
    )
    @hand()
    def elsewhere() -> None: ...

    elsewhere()


@shape
def external_python(hand: Hand) -> None:
    """`@task.external_python` that gets and puts by itself."""

    @task
    @hand()
    def make() -> Any:
        return VALUE

    @task.external_python(python=sys.executable, expect_airflow=False)
    def elsewhere(message: Any, at: str, attempt: str, limit: Any) -> Any:
        import json

        from handoff import Address, default_store

        store = default_store()
        rows = store.get(message)["rows"]
        return store.put(rows, Address(**json.loads(at)), attempt=int(attempt), **limit).to_json()

    @task
    @hand()
    def take(value: Any, ti: Any = None) -> None:
        assert same(VALUE["rows"], value)
        assert len(artifacts(ti)) == (2 if LIMITS[ti.dag_id] else 0)

    take(elsewhere(make(), AT, TRY, hand.options))


@shape
def setups(hand: Hand) -> None:
    """`@setup` and `@teardown`."""

    @setup
    @hand()
    def prepare() -> Any:
        return VALUE

    @teardown
    @hand()
    def clean(value: Any) -> None:
        assert same(VALUE, value)

    @task
    @hand()
    def work(value: Any) -> None:
        assert same(VALUE, value)

    sent = prepare()
    sent >> work(sent) >> clean(sent)


@shape
def groups(hand: Hand) -> None:
    """`@task_group`."""

    @task
    @hand()
    def make() -> Any:
        return VALUE

    @task
    @hand()
    def both(value: Any) -> Any:
        return [value, value]

    @task_group
    def group(value: Any) -> Any:
        return both(value)

    @task
    @hand()
    def take(value: Any, ti: Any = None) -> None:
        assert same([VALUE, VALUE], value)
        assert "group.both" in [a.task_id for a in artifacts(ti)] or not artifacts(ti)

    take(group(make()))


# --- lifecycle --------------------------------------------------------------------------------------------------


@shape
def retried(hand: Hand) -> None:
    """Retries."""

    @task(retries=1, retry_delay=dt.timedelta(0))
    @hand()
    def flaky(ti: Any = None) -> Any:
        if ti.try_number == 1:
            address = Address(ti.dag_id, ti.run_id, ti.task_id, ti.map_index)
            default_store().put(("torn", 1), address, inline_limit=0)
            raise ValueError("once")
        return VALUE, ti.try_number

    @task
    @hand()
    def take(value: Any, ti: Any = None) -> None:
        assert same((VALUE, 2), value)
        assert len(artifacts(ti)) == (1 if LIMITS[ti.dag_id] else 0)

    take(flaky())


@shape
def skipped(hand: Hand) -> None:
    """Skipped and failed upstreams."""

    @task
    @hand()
    def make() -> Any:
        return VALUE

    @task
    @hand()
    def skips() -> Any:
        raise AirflowSkipException

    @task(on_failure_callback=None)
    @hand()
    def fails() -> Any:
        raise ValueError("as meant")

    @task(trigger_rule="all_done")
    @hand()
    def take(one: Any, two: Any, three: list[Any]) -> None:
        assert same(VALUE, one)
        assert two is None
        assert same([VALUE, None], three)

    sent = make()
    take(sent, skips(), [sent, fails()])


@shape
def deferred(hand: Hand) -> None:
    """Deferral before and after."""
    if NEWEST:
        pass
    else:
        pass

    @task
    @hand()
    def make() -> Any:
        return VALUE

    @task
    @hand()
    def take(value: Any) -> None:
        assert same(VALUE, value)

    sent = make()
    sent >> TimeDeltaSensor(task_id="wait", delta=dt.timedelta(milliseconds=10), **DEFERRED) >> take(sent)


# --- several outputs --------------------------------------------------------------------------------------------


class Outputs(TypedDict):
    rows: Any
    count: int
    share: float


def check_outputs(hand: Hand, make: Any) -> None:
    @task
    @hand()
    def take(rows: Any, count: int, share: float, whole: Any, ti: Any = None) -> None:
        assert same(VALUE, rows)
        assert same((3, 5.0), (count, share))
        assert same({"rows": VALUE, "count": 3, "share": 5.0}, whole)
        stored = {(a.key, a.item) for a in artifacts(ti)}
        assert stored == ({("rows", None), ("count", None), ("share", None)} if LIMITS[ti.dag_id] else set())
        if LIMITS[ti.dag_id]:
            assert same(VALUE, default_store().get(Address(ti.dag_id, ti.run_id, "make", key="rows")))

    @task
    def undecorated(whole: Any, ti: Any = None) -> None:
        assert set(whole) == {"rows", "count", "share"}
        assert whole["rows"] == ti.xcom_pull("make", key="rows")

    sent = make()
    take(sent["rows"], sent["count"], sent["share"], sent)
    undecorated(sent)


OUTPUTS = {"rows": VALUE, "count": 3, "share": 5.0}


@shape
def multiple_outputs(hand: Hand) -> None:
    """`multiple_outputs=True`."""

    @task(multiple_outputs=True)
    @hand()
    def make():
        return OUTPUTS

    check_outputs(hand, make)


def _annotated(annotation: Any) -> Callable[[Hand], None]:
    def body(hand: Hand) -> None:
        def make():
            return OUTPUTS

        make.__annotations__["return"] = annotation
        check_outputs(hand, task(hand()(make)))

    return body


for annotation in ("dict[str, Any]", "Mapping[str, Any]", "Outputs"):
    name = {"Outputs": "TypedDict"}.get(annotation, annotation.partition("[")[0])
    SHAPES[f"`-> {name}`, its annotation a text"] = _annotated(annotation)
SHAPES["`-> dict`"] = _annotated(dict[str, Any])
SHAPES["`-> Mapping`"] = _annotated(Mapping[str, Any])
SHAPES["`-> TypedDict`"] = _annotated(Outputs)


# --- dynamic mapping --------------------------------------------------------------------------------------------

ELEMENTS = [(n, VALUE) for n in range(3)]


def elements(hand: Hand, **more: Any) -> Any:
    @task(**more)
    @hand()
    def make() -> Any:
        return ELEMENTS

    return make()


def collect(hand: Hand, expected: Any) -> Any:
    @task
    @hand()
    def collect(values: Any, again: list[Any]) -> None:
        assert same(expected, values), values
        assert same([expected, 1], again)

    return lambda values: collect(values, [values, 1])


@shape
def expand(hand: Hand) -> None:
    """`.expand` over a list."""

    @task
    @hand()
    def each(x: Any, ti: Any = None) -> Any:
        assert same(ELEMENTS[ti.map_index], x)
        stored = [a.item for a in artifacts(ti) if a.task_id == "make"]
        assert stored == ([0, 1, 2] if LIMITS[ti.dag_id] else [])
        return x[0], "done"

    sent = elements(hand)
    collect(hand, [(n, "done") for n in range(3)])(each.expand(x=sent))

    @task
    @hand()
    def whole(values: Any) -> None:
        assert same(ELEMENTS, values)

    whole(sent)


@shape
def expand_dict(hand: Hand) -> None:
    """`.expand` over a dict."""

    @task(multiple_outputs=False)
    @hand()
    def make() -> Any:
        return {"a": VALUE, "b": (1,)}

    @task
    @hand()
    def each(entry: Any) -> Any:
        assert same(("a", VALUE), entry) or same(("b", (1,)), entry)
        return entry[0]

    collect(hand, ["a", "b"])(each.expand(entry=make()))


@shape
def expand_kwargs(hand: Hand) -> None:
    """`.expand_kwargs`."""

    @task
    @hand()
    def make() -> Any:
        return [{"x": VALUE, "n": n} for n in range(3)]

    @task
    @hand()
    def each(x: Any, n: int) -> Any:
        assert same(VALUE, x)
        return n

    collect(hand, [0, 1, 2])(each.expand_kwargs(make()))


@shape
def expand_kwargs_of_mapped(hand: Hand) -> None:
    """`.expand_kwargs` over mapped results."""

    @task(multiple_outputs=False)
    @hand()
    def arguments(n: int) -> Any:
        return {"x": (VALUE, n), "n": n}

    @task
    @hand()
    def each(x: Any, n: int) -> Any:
        assert same((VALUE, n), x)
        return n

    collect(hand, [0, 1, 2])(each.expand_kwargs(arguments.expand(n=[0, 1, 2])))


@shape
def mapped_by(hand: Hand) -> None:
    """`.map` with a decorated function."""

    @hand()
    def first(pair: Any) -> Any:
        assert same(VALUE, pair[1])
        return pair[0]

    @task
    @hand()
    def each(x: int, ti: Any = None) -> Any:
        assert x == ti.map_index
        return x

    sent = elements(hand)
    collect(hand, [0, 1, 2])(each.expand(x=sent.map(first)))
    collect(hand, [0, 1, 2])(sent.map(first))


@shape
def mapped_by_undecorated(hand: Hand) -> None:
    """`.map` with a function that is not decorated."""

    @task
    @hand()
    def each(x: int) -> Any:
        return x

    each.expand(x=elements(hand).map(lambda pair: pair[0]))


@shape
def zipped(hand: Hand) -> None:
    """`.zip`."""

    @task
    @hand()
    def each(x: Any, ti: Any = None) -> Any:
        assert same((ELEMENTS[ti.map_index], ELEMENTS[ti.map_index]), x)
        return ti.map_index

    sent = elements(hand)
    collect(hand, [0, 1, 2])(each.expand(x=sent.zip(sent)))


@shape
def concatenated(hand: Hand) -> None:
    """`.concat`."""

    @task
    @hand()
    def each(x: Any, ti: Any = None) -> Any:
        assert same((ELEMENTS * 2)[ti.map_index], x)
        return ti.map_index

    sent = elements(hand)
    collect(hand, [*range(6)])(each.expand(x=sent.concat(sent)))


@shape
def mapped_groups(hand: Hand) -> None:
    """Mapped task groups."""

    @task
    @hand()
    def first(x: Any) -> Any:
        return x

    @task
    @hand()
    def second(x: Any, ti: Any = None) -> Any:
        assert same(ELEMENTS[ti.map_index], x)
        return (ti.map_index, x)

    @task_group
    def group(x: Any) -> Any:
        return second(first(x))

    collect(hand, list(enumerate(ELEMENTS)))(group.expand(x=elements(hand)))


@shape
def gaps(hand: Hand) -> None:
    """Aggregation with gaps: None and skipped."""

    @task
    @hand()
    def each(x: Any, ti: Any = None) -> Any:
        if ti.map_index == 1:
            raise AirflowSkipException
        return None if ti.map_index == 3 else (ti.map_index, x)

    @task(trigger_rule="all_done")
    @hand()
    def take(values: list[Any]) -> None:
        assert same([(0, "a"), None, (2, "c"), None, (4, "e")], values), values

    take(each.expand(x=["a", "b", "c", "d", "e"]))


@shape
def only_gaps(hand: Hand) -> None:
    """Aggregation of nothing but None."""

    @task
    @hand()
    def each(x: Any) -> None: ...

    @task
    @hand()
    def take(values: list[Any]) -> None:
        assert same([None, None] if NEWEST else None, values), values  # Airflow 2 itself makes no rows None

    take(each.expand(x=["a", "b"]))


@shape
def mapped_over_nothing(hand: Hand) -> None:
    """`.expand` over an empty list."""

    @task
    @hand()
    def make() -> Any:
        return []

    @task
    @hand()
    def each(x: Any) -> Any:
        return x

    @task(trigger_rule="all_done")
    @hand()
    def take(values: list[Any]) -> None:
        assert same([] if NEWEST else None, values), values

    take(each.expand(x=make()))


@shape
def fewer(hand: Hand) -> None:
    """A retry that returns fewer elements."""

    @task(retries=1, retry_delay=dt.timedelta(0))
    @hand()
    def make(ti: Any = None) -> Any:
        at = Address(ti.dag_id, ti.run_id, ti.task_id)
        if ti.try_number == 1:
            default_store().put_many(ELEMENTS * 2, at, inline_limit=0)
            raise ValueError("once")
        return ELEMENTS

    @task
    @hand()
    def each(x: Any, ti: Any = None) -> Any:
        assert same(ELEMENTS[ti.map_index], x)
        stored = [a.item for a in artifacts(ti) if a.task_id == "make"]
        assert stored == ([0, 1, 2] if LIMITS[ti.dag_id] else [])

    each.expand(x=make())


@shape
def whole_expanded(hand: Hand) -> None:
    """`.expand` over an envelope that was made by hand."""

    @task
    def make(ti: Any = None) -> Any:
        return default_store().put(VALUE, Address(ti.dag_id, ti.run_id, ti.task_id)).to_json()

    @task
    @hand()
    def each(x: Any) -> Any:
        return x

    each.expand(x=make())


@shape
def handoff_expanded(hand: Hand) -> None:
    """`.expand` over a `Handoff` that was returned whole."""

    @task
    @hand()
    def make(ti: Any = None) -> Any:
        return default_store().put(ELEMENTS, Address(ti.dag_id, ti.run_id, ti.task_id))

    @task
    @hand()
    def each(x: Any) -> Any:
        return x

    each.expand(x=make())


@shape
def handoffs_returned(hand: Hand) -> None:
    """A list of handoffs that were put by hand."""

    @task
    @hand()
    def make(ti: Any = None) -> Any:
        at = Address(ti.dag_id, ti.run_id, ti.task_id, key="part")
        return [default_store().put(VALUE, at, inline_limit=0), (1,)]

    @task
    @hand()
    def take(values: Any, kept: list[Handoff]) -> None:
        assert same([VALUE, (1,)], values)
        assert isinstance(kept[0], Stored)

    sent = make()
    take(sent, sent)


# --- across tasks -----------------------------------------------------------------------------------------------


@shape
def template(hand: Hand) -> None:
    """A Jinja template."""

    @task
    @hand()
    def make() -> Any:
        return VALUE

    @hand()
    def take(text: str) -> None:
        assert same(VALUE, default_store().get(Handoff.from_json(text)))

    sent = make()
    taker = PythonOperator(task_id="take", python_callable=take, op_args=["{{ ti.xcom_pull('make') | tojson }}"])
    sent >> taker


@shape
def asset_extra(hand: Hand) -> None:
    """An asset event's `extra`."""
    asset = Asset("s3://bucket/extra")

    @task(outlets=[asset])
    @hand()
    def make(ti: Any = None, outlet_events: Any = None) -> None:
        address = Address(ti.dag_id, ti.run_id, ti.task_id, key="rows")
        outlet_events[asset].extra = {"rows": default_store().put(VALUE, address, **LIMITS[ti.dag_id]).to_json()}

    @task(inlets=[asset])
    @hand()
    def take(inlet_events: Any = None) -> None:
        assert same(VALUE, default_store().get(inlet_events[asset][-1].extra["rows"]))

    make() >> take()


@shape
def command(hand: Hand) -> None:
    """A classic operator that takes an output."""

    @task
    @hand()
    def make() -> Any:
        return "text"

    sent = make()
    text = "{{ ti.xcom_pull('make') if ti.xcom_pull('make') is string else ti.xcom_pull('make').preview[1:-1] }}"
    sent >> BashOperator(task_id="take", bash_command=f"test {text} = text")


@shape
def current_context(hand: Hand) -> None:
    """`get_current_context()` inside."""

    @task
    @hand()
    def make() -> Any:
        return get_current_context()["ti"].task_id, VALUE

    @task
    @hand()
    def take(value: Any) -> None:
        assert same(("make", VALUE), value)

    take(make())


def name_of(name: str, size: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in f"{name}_{size}")


NAMES = [(name, size) for name in SHAPES for size in SIZES]
LIMITS = {name_of(name, size): SIZES[size] for name, size in NAMES}
DAGS: dict[str, DAG] = {}
for name, size in NAMES:
    try:
        DAGS[name_of(name, size)] = dag_of(name, size)
    except ConfigError as error:
        FAILURES[name_of(name, size)].append(f"ConfigError: {error}")
globals().update(DAGS)
