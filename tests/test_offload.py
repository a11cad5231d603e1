"""`offload`: arguments arrive loaded, results leave as handoffs, and a plain function stays one."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import inspect
import sys
import threading
import types
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import pandas as pd
import pyarrow as pa
import pydantic
import pytest

import handoff
from handoff import (
    Address,
    ConfigError,
    EncodeError,
    Handoff,
    IdentityError,
    Inline,
    LimitError,
    MismatchError,
    StaleError,
    Store,
    Stored,
    context,
    offload,
    run,
    who,
)  # fmt: skip
from handoff.testing import same

if TYPE_CHECKING:
    from somewhere import Unknown

LARGE = [("row", n, "x" * (n % 50)) for n in range(30_000)]


def address_of(task_id: str, **more: Any) -> Address:
    return Address("dag", "run", task_id, **more)


@pytest.fixture
def here(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Make the test's store the default one."""
    monkeypatch.setenv("HANDOFF_ROOT", store.root)
    return store


def test_a_pipeline_of_plain_functions(here: Store) -> None:
    """In a run, each function's result leaves as its envelope and arrives as a value in the next."""

    @offload
    def extract() -> list[Any]:
        return LARGE

    @offload
    def count(rows: list[Any]) -> int:
        assert same(LARGE, rows)
        return len(rows)

    with run(dag_id="dag", run_id="run"):
        rows = extract()
        total = count(rows)
    assert isinstance(rows, dict)
    assert (rows["kind"], rows["type"], total) == ("stored", "list", 30_000)
    assert [address_of("extract")] == list(here.list())


def test_without_a_run_it_is_a_plain_function(here: Store) -> None:
    """Outside any task or run the result is the very object, and nothing is stored; a handoff still arrives loaded."""

    @offload
    def double(values: list[int]) -> list[int]:
        return values * 2

    given, sent = [1, 2], here.put([3], address_of("t"), inline_limit=0)
    assert double(given) == [1, 2, 1, 2]
    assert double(sent.to_json()) == [3, 3]
    marker = object()
    assert offload(lambda x: x)(marker) is marker


def test_arguments_are_loaded_wherever_they_were_given(store: Store) -> None:
    """Envelopes and handoffs are loaded as arguments, in lists, tuples and dicts, positional, named and surplus."""
    stored = store.put(LARGE, address_of("a"), inline_limit=0)
    small = store.put((1, 2), address_of("b"))
    unbound = Handoff.from_json(stored.to_json())

    @offload(store=store)
    def echo(first: Any, *more: Any, named: Any = None, **others: Any) -> Any:
        return first, more, named, others

    found = echo(
        stored.to_json(),
        [small.to_json(), 3],
        (unbound, stored),
        named={"k": {"deep": [small]}},
        other=small.to_json(),
    )
    assert found == (LARGE, ([(1, 2), 3], (LARGE, LARGE)), {"k": {"deep": [(1, 2)]}}, {"other": (1, 2)})


def test_arguments_that_are_no_handoffs_are_untouched(store: Store) -> None:
    """What holds no handoff is passed on as the very object, however deep and whatever its type."""

    class Proxy(dict[str, Any]):
        def __contains__(self, key: object) -> bool:
            raise AssertionError("a lazy proxy was evaluated")

    for value in ([1, {"a": (2, [3])}], {"k": []}, (), Proxy(a=1), "s3://x", None, [Proxy()], {"conf": [[{}]]}):
        assert offload(store=store)(lambda x: x)(value) is value


class LazyXComSequence(Sequence[Any]):
    """A stand-in for what Airflow passes for the outputs of mapped tasks: each element is fetched when asked for."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def __getitem__(self, index: Any) -> Any:
        return self.values[index]

    def __len__(self) -> int:
        return len(self.values)


LazyXComSequence.__module__ = "airflow.sdk.execution_time.lazy_sequence"


def test_a_lazy_sequence_arrives_as_a_list(store: Store) -> None:
    """The outputs of mapped tasks arrive as a list of loaded values, also inside other arguments."""
    sent = [store.put((n,), address_of("t", map_index=n), inline_limit=0).to_json() for n in range(3)]
    echo = offload(store=store)(lambda x: x)
    assert echo(LazyXComSequence([*sent, 3])) == [(0,), (1,), (2,), 3]
    assert echo({"all": LazyXComSequence(sent)}) == {"all": [(0,), (1,), (2,)]}


def test_the_annotation_picks_the_library_or_the_handoff(store: Store) -> None:
    """A parameter's type picks the library of a table; one annotated Handoff gets the handoff, small or large."""
    frame = pd.DataFrame({"a": [1, 2]})
    table = store.put(frame, address_of("t"), inline_limit=0).to_json()
    tables = [table, table]

    @offload(store=store)
    def take(
        a: pa.Table,
        b: pd.DataFrame,
        c: Handoff,
        *rest: pa.Table,
        d: list[Handoff],
        e: Handoff | None = None,
        f: list[pa.Table] = [],
        g: dict[str, pa.Table] = {},
        h: Unknown = None,
        i: 1 / 0 = 3,
        j: pa.Table | None = None,
    ) -> Any:
        return a, b, c, rest, d, e, f, g, h, i, j

    a, b, c, rest, d, e, f, g, h, i, j = take(
        table, table, table, table, d=tables, e=None, f=tables, g={"k": table}, h=table, i=table, j=table
    )
    assert [type(x) for x in (a, b, c, *rest, *d, *f, *g.values(), j)] == [
        pa.Table, pd.DataFrame, Stored, pa.Table, Stored, Stored, pa.Table, pa.Table, pa.Table, pa.Table
    ]  # fmt: skip
    assert e is None
    assert [type(x) for x in (h, i)] == [pd.DataFrame, pd.DataFrame]
    assert same(frame, c.load())
    plain = offload(store=store)(_takes_handoff)("plain text")
    assert isinstance(plain, Inline)
    assert plain.load() == "plain text"
    assert offload(store=store)(_takes_handoff)(plain) is plain


def _takes_handoff(value: Handoff) -> Handoff:
    return value


def test_options_of_the_decorator_win(store: Store, here: Store, tmp_path: Any) -> None:
    """The decorator's store, limit and key are used in place of the defaults."""
    other = Store(tmp_path / "other")

    @offload(store=other, inline_limit=0, key="rows")
    def extract() -> int:
        return 1

    @offload(inline_limit=None)
    def huge() -> bytes:
        return bytes(range(256)) * 8000 + __import__("os").urandom(2_000_000)

    with run(dag_id="dag", run_id="run"):
        assert extract()["kind"] == "stored"
        with pytest.raises(LimitError, match=r"does not fit into a message of 1\.0 MiB"):
            huge()
    assert [address_of("extract", key="rows")] == list(other.list())
    assert [] == list(here.list())


def test_a_run_writes_each_address_once(here: Store) -> None:
    """Calling a function twice in a run is refused; a map index, another key or another run makes it another address."""

    @offload(inline_limit=0)
    def step(n: int) -> int:
        return n

    with run(dag_id="dag", run_id="run"):
        step(1)
        with pytest.raises(
            IdentityError, match=r"already written in this run\. Open a run\(…, map_index=…\)"
        ) as caught:
            step(2)
    assert caught.value.address == address_of("step").path
    for index in range(3):
        with run(dag_id="dag", run_id="run", map_index=index, task_id="mapped"):
            step(index)
    assert [
        address_of("mapped", map_index=0),
        address_of("mapped", map_index=1),
        address_of("mapped", map_index=2),
        address_of("step"),
    ] == sorted(here.list(), key=lambda a: a.path)
    with pytest.raises(IdentityError), run(dag_id="", run_id="r"):
        pass


def test_a_helper_called_by_a_task_is_a_plain_function(here: Store) -> None:
    """A decorated function that another one calls gives its value and stores nothing."""

    @offload(inline_limit=0)
    def helper() -> tuple[int, ...]:
        return (1, 2)

    @offload(inline_limit=0)
    def task() -> int:
        return len(helper())

    with run(dag_id="dag", run_id="run") as opened:
        assert task()["type"] == "int"
        helper()
        assert opened.dag_id == "dag"
    assert [address_of("helper"), address_of("task")] == sorted(here.list(), key=lambda a: a.task_id)


def test_async_functions_and_generators(here: Store) -> None:
    """Wrappers are of the function's own kind, and do the same."""

    @offload(inline_limit=0)
    async def fetch(rows: list[int]) -> tuple[int, ...]:
        await asyncio.sleep(0)
        return tuple(rows)

    @offload(inline_limit=0)
    def steps(rows: tuple[int, ...]) -> Generator[str, None, int]:
        yield "working"
        return sum(rows)

    assert inspect.iscoroutinefunction(fetch)
    assert inspect.isgeneratorfunction(steps)

    async def main() -> Any:
        return await fetch([1, 2])

    def drain(generator: Generator[str, None, int]) -> Any:
        assert next(generator) == "working"
        with pytest.raises(StopIteration) as stopped:
            next(generator)
        return stopped.value.value

    assert asyncio.run(main()) == (1, 2)
    with run(dag_id="dag", run_id="run"):
        sent = asyncio.run(main())
        total = drain(steps(sent))
    assert (sent["type"], here.get(total)) == ("tuple", 3)


def test_the_signature_stays(store: Store) -> None:
    """Name, docstring, signature and annotations are the function's own; a return type that is text is resolved."""

    def task(a: int, *args: str, ti: Any = None, **context: Any) -> dict[str, Store]:
        """Do it."""
        return {}

    wrapper = offload(store=store)(task)
    assert inspect.signature(wrapper) == inspect.signature(task)
    assert (wrapper.__name__, wrapper.__doc__) == ("task", "Do it.")
    assert wrapper.__annotations__["return"] == dict[str, Store]
    assert task.__annotations__["return"] == "dict[str, Store]"

    def unknown() -> Unknown:
        return 1

    assert "return" not in offload(unknown).__annotations__
    assert inspect.unwrap(wrapper) is task


class FakeDecorator:
    """What ``@task`` makes of a function."""

    _airflow_is_task_decorator = True

    def __call__(self) -> None: ...


def test_containers_that_hold_themselves(here: Store) -> None:
    """An argument that holds itself is passed on as it is; a result that does, with a handoff in it, is refused."""
    loop: list[Any] = [1]
    loop.append(loop)
    assert offload(lambda x: x)(loop) is loop
    stored = here.put(LARGE, address_of("a"), inline_limit=0)

    own: list[Any] = [stored]
    own.append(own)
    for index, result in enumerate(([stored, loop], {"k": own})):
        with run(dag_id="dag", run_id="run", map_index=index), pytest.raises(LimitError, match="holds itself"):
            offload(lambda result=result: result)()


def test_callables_of_every_kind(here: Store) -> None:
    """A partial, a builtin, an object that is called and a method are decorated as a function is."""

    class Step:
        def __call__(self, n: int) -> int:
            return n

        def method(self, n: int) -> int:
            return n

    def plain(n: int, m: int) -> int:
        return n + m

    callables = {"plain": functools.partial(plain, m=0), "max": max, "Step": Step(), "method": Step().method}
    for name, function in callables.items():
        with run(dag_id="dag", run_id="run"):
            arguments = [[1]] if name == "max" else [1]
            message = offload(inline_limit=0)(function)(*arguments)
        assert (message["address"]["task_id"], here.get(message)) == (name, 1)


def test_a_misuse_is_refused_when_the_dag_is_parsed(store: Store) -> None:
    """Above @task, on no function, with a store, limit or key that is none: a clear error at once."""
    with pytest.raises(ConfigError, match="Write @task above @offload"):
        offload(FakeDecorator())
    with pytest.raises(ConfigError, match="decorates a function, not int"):
        offload(store=store)(3)
    with pytest.raises(ConfigError, match="store must be a Store, not str"):
        offload(store="s3://bucket")
    for limit in ("48k", -2, 2**21, 1.5, True):
        with pytest.raises(ConfigError, match="inline_limit must be"):
            offload(inline_limit=limit)
    with pytest.raises(IdentityError, match="key"):
        offload(key="")


def test_handoffs_in_a_returned_container_travel_as_envelopes(here: Store) -> None:
    """A Handoff that is returned, alone or in lists and dicts, is its envelope there; what is beside it is handed over too."""
    stored = here.put(LARGE, address_of("a"), inline_limit=0)

    @offload
    def alone() -> Handoff:
        return stored

    @offload
    def several() -> Any:
        return {"all": [stored, 3, (1, 2)], "pair": [stored, LARGE], "none": []}

    @offload
    def take(x: Any) -> bool:
        return same({"all": [LARGE, 3, (1, 2)], "pair": [LARGE, LARGE], "none": []}, x)

    with run(dag_id="dag", run_id="run"):
        assert alone() == stored.to_json()
        sent = several()
        assert sent["all"][0] == sent["pair"][0] == stored.to_json()
        assert sent["all"][1] == 3
        assert take(sent) is True
    assert {address_of("a"), address_of("several", item=4)} == set(here.list())


def test_a_container_with_handoffs_has_to_be_json(here: Store) -> None:
    """A tuple that holds a handoff, and a dict with one under a key that JSON or Airflow alters, are refused with a remedy."""
    stored = here.put(LARGE, address_of("a"), inline_limit=0)
    results: dict[str, Any] = {
        "is a tuple that holds handoffs": (stored, 1), "1 names a value": {1: stored}, "'__type' names": [{"__type": stored}],
        "'' names": {"": stored}, r"'\\udc80' names": {"\udc80": stored},
    }  # fmt: skip
    for index, (words, result) in enumerate(results.items()):
        with run(dag_id="dag", run_id="run", map_index=index), pytest.raises(EncodeError, match=words):
            offload(lambda result=result: result)()


def test_a_container_with_handoffs_keeps_to_the_limit(here: Store) -> None:
    """References above the limit travel bare; more than a message holds are refused, and a Handoff in a tree too large to look through too."""
    stored = here.put(LARGE, address_of("a"), inline_limit=0)

    @offload
    def many() -> Any:
        return [stored] * 200

    @offload
    def more() -> Any:
        return [stored] * 5000

    @offload
    def buried() -> Any:
        return [*range(20_000), stored]

    with run(dag_id="dag", run_id="run"):
        assert {(1, "", "")} == {(node["attempt"], node["preview"], node["uri"]) for node in many()}
        with pytest.raises(LimitError, match="Return fewer"):
            more()
        with pytest.raises(EncodeError, match=r"\[20000\]"):
            buried()


def test_the_default_store_warns_once_that_it_is_local(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing set, artifacts go to a local folder, and one warning says whom that serves."""
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match="which serves the tasks of one machine only") as caught:
        first, again = handoff.default_store(), handoff.default_store()
    assert (len(caught), first.root) == (1, str(tmp_path / ".handoff"))
    assert first is again
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    with pytest.warns(UserWarning, match="HANDOFF_ROOT"):
        assert handoff.default_store().root == str(tmp_path / "airflow" / "handoff")


# --- an orchestrator, by its shape ------------------------------------------------------------------------------


class FakeTask:
    custom_operator_name = "@task"
    do_xcom_push = True
    multiple_outputs = False

    def __init__(self, function: Any, dependants: Sequence[Any] = (), **changes: Any) -> None:
        self.python_callable = function
        self.iter_mapped_dependants = lambda: iter(dependants)
        vars(self).update(changes)


class FakeInstance:
    def __init__(self, task: Any, **changes: Any) -> None:
        self.task, self.dag_id, self.run_id, self.task_id, self.map_index, self.try_number = (
            task,
            "dag",
            "run",
            "task",
            -1,
            1,
        )
        vars(self).update(changes)


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """A module of Airflow's name that answers get_current_context as it would."""
    module = types.SimpleNamespace(instance=None)

    def get_current_context() -> dict[str, Any]:
        if module.instance is None:
            raise RuntimeError("Current context was requested but no context was found!")
        return {"ti": module.instance}

    module.get_current_context = get_current_context
    monkeypatch.setitem(sys.modules, "airflow.sdk", module)
    return module


def test_the_running_task_hands_over(here: Store, airflow: Any) -> None:
    """In a task, its own callable leaves an envelope under the task's address and attempt."""

    @offload(inline_limit=0)
    def step() -> int:
        return 1

    assert step() == 1
    for callable_ in (
        step,
        types.SimpleNamespace(func=step),
        types.SimpleNamespace(__wrapped__=step),
        types.SimpleNamespace(__func__=step),
    ):
        airflow.instance = FakeInstance(FakeTask(callable_), map_index=4, try_number=3)
        message = step()
        assert isinstance(message, dict)
        assert (message["address"]["map_index"], message["attempt"]) == (4, 3)
    assert [address_of("task", map_index=4)] == list(here.list())


def test_outside_a_task_nothing_else_is_asked(airflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once Airflow has said that no task runs, the older name of the same question, which warns, is left alone."""
    older = types.SimpleNamespace(get_current_context=lambda: {"ti": airflow})
    monkeypatch.setitem(sys.modules, "airflow.providers.standard.operators.python", older)
    assert airflow.instance is None
    assert who.instance() is None


def test_the_functions_own_ti_wins(here: Store, airflow: Any) -> None:
    """A task instance that the function takes says who is running; an argument of that name that is none does not."""

    @offload(inline_limit=0)
    def step(ti: Any = None, task_instance: Any = None) -> int:
        return 1

    own = FakeInstance(FakeTask(step), task_id="own")
    airflow.instance = FakeInstance(FakeTask(step), task_id="current")
    for arguments, expected in (
        ({"ti": own}, "own"),
        ({"task_instance": own}, "own"),
        ({"ti": 3}, "current"),
        ({}, "current"),
    ):
        message = step(**arguments)
        assert isinstance(message, dict)
        assert message["address"]["task_id"] == expected


NOT_HANDED_OVER: dict[str, dict[str, Any]] = {
    "a branch": {"custom_operator_name": "@task.branch"}, "a sensor": {"custom_operator_name": "@task.sensor"},
    "no push": {"do_xcom_push": False}, "an operator of another kind": {"custom_operator_name": None},
}  # fmt: skip


@pytest.mark.parametrize("shape", NOT_HANDED_OVER.values(), ids=NOT_HANDED_OVER)
def test_what_airflow_reads_itself_is_left_alone(shape: dict[str, Any], here: Store, airflow: Any) -> None:
    """A result that is no plain hand-over stays the value that Airflow expects."""

    @offload(inline_limit=0)
    def step() -> list[int]:
        return [1]

    airflow.instance = FakeInstance(FakeTask(step, **shape))
    assert step() == [1]
    assert [] == list(here.list())


def test_a_mapped_instance_hands_over_whoever_maps_after_it(here: Store, airflow: Any) -> None:
    """The list that a later task expands is the list of all instances, so that each one's result is its own."""

    @offload(inline_limit=0)
    def step() -> list[int]:
        return [1]

    airflow.instance = FakeInstance(FakeTask(step, ["mapped"]), map_index=0)
    assert isinstance(step(), dict)


class PythonOperator(FakeTask):
    custom_operator_name = None


def test_a_classic_python_operator_hands_over(here: Store, airflow: Any) -> None:
    """An operator without the decorator hands over the result of its callable."""

    @offload(inline_limit=0)
    def step() -> int:
        return 1

    airflow.instance = FakeInstance(PythonOperator(step))
    assert isinstance(step(), dict)


def test_a_function_inside_a_task_is_a_plain_function(here: Store, airflow: Any) -> None:
    """A decorated helper, or one that another task's callable calls, gives its value."""

    @offload(inline_limit=0)
    def helper() -> int:
        return 1

    airflow.instance = FakeInstance(FakeTask(lambda: helper()))  # noqa: PLW0108 - another callable
    assert helper() == 1
    airflow.instance = FakeInstance(None)
    assert helper() == 1


@pytest.mark.parametrize("name", ["run_id", "task_id", "map_index", "try_number"])
def test_a_task_without_identity_writes_nothing(name: str, here: Store, airflow: Any) -> None:
    """A task instance that lacks a part of its identity raises IdentityError naming it."""

    @offload(inline_limit=0)
    def step() -> int:
        return 1

    airflow.instance = FakeInstance(FakeTask(step), **{name: None})
    if name == "map_index":
        airflow.instance.task.iter_mapped_dependants = lambda: iter(())
    with pytest.raises(IdentityError, match=name):
        step()
    assert [] == list(here.list())


def test_a_module_that_is_not_loaded_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for a running task imports nothing."""
    for name in [*sys.modules]:
        if name.startswith("airflow"):
            monkeypatch.delitem(sys.modules, name)
    assert context.running(test_a_module_that_is_not_loaded_is_not_imported, {}) is None
    assert not any(name.startswith("airflow") for name in sys.modules)


def test_a_retry_overwrites_and_an_old_envelope_is_stale(here: Store, airflow: Any) -> None:
    """The second attempt's artifact takes the place of the first's, whose envelope says so."""
    results = iter([(1,), (2,)])

    @offload(inline_limit=0)
    def step() -> tuple[int]:
        return next(results)

    messages: list[Any] = []
    for attempt in (1, 2):
        airflow.instance = FakeInstance(FakeTask(step), try_number=attempt)
        messages.append(step())
    assert here.get(messages[1]) == (2,)
    with pytest.raises(StaleError, match="attempt 1"):
        here.get(messages[0])
    assert 1 == len(list(here.list()))


def test_threads_of_a_run_are_their_own(here: Store) -> None:
    """A run is of the code that opened it: another thread is outside."""
    found: list[Any] = []
    step = offload(inline_limit=0)(lambda: 1)
    with run(dag_id="dag", run_id="run", task_id="step"):
        thread = threading.Thread(target=lambda: found.append(step()))
        thread.start()
        thread.join()
    assert found == [1]


@dataclasses.dataclass
class Flight:
    number: int
    price: float = 0.0


class Row(TypedDict):
    rows: list[int]


class RuntimeTaskInstance(pydantic.BaseModel):
    """A stand-in for Airflow 3's task instance, which is a pydantic model."""

    task_id: str
    try_number: int = 1


@pytest.mark.parametrize("limit", [48 * 1024, 0])
def test_records_arrive_as_the_annotation_says(limit: int, store: Store) -> None:
    """Records and plain data arrive as the parameter's type, small or large, wherever they stand."""
    flights = [Flight(n, n / 2) for n in range(3)]
    sent = store.put(flights, address_of("a"), inline_limit=limit).to_json()
    plain = store.put([{"number": 1}], address_of("b"), inline_limit=limit).to_json()
    one = store.put(flights[0], address_of("c"), inline_limit=limit).to_json()

    @offload(store=store)
    def take(
        flights: list[Flight],
        one: Flight | None,
        *rest: Flight,
        by: dict[str, list[Flight]],
        pair: tuple[Flight, int],
        unknown: Unknown = None,
        none: Flight = None,
        lazy: list[Flight] = [],
        nothing: Flight | None = None,
        row: Row | None = None,
        **more: Flight,
    ) -> Any:
        return flights, one, rest, by, pair, unknown, none, lazy, nothing, row, more

    found = take(
        sent,
        one,
        {"number": 7},
        one,
        by={"a": sent, "b": plain, "c": [{"number": 2}]},
        pair=(one, 3),
        unknown={"number": 1},
        none=None,
        lazy=LazyXComSequence([one, {"number": 3}]),
        nothing=None,
        row={"rows": store.put([1], address_of("d"), inline_limit=limit).to_json()},
        more={"number": 4},
    )
    assert found == (
        flights, Flight(0), (Flight(7), Flight(0)), {"a": flights, "b": [Flight(1)], "c": [Flight(2)]}, (Flight(0), 3),
        {"number": 1}, None, [Flight(0), Flight(3)], None, {"rows": [1]}, {"more": Flight(4)},
    )  # fmt: skip


class Options(TypedDict, total=False):
    first: Flight
    count: int


def test_a_typed_dict_of_further_arguments(store: Store) -> None:
    """`**context: Context` says nothing of each argument, as Airflow writes it; `Unpack` says what each of them is."""

    @offload(store=store)
    def take(**context: Options) -> Any:
        return context

    @offload(store=store)
    def unpack(count: str, **options: Unpack[Options]) -> Any:  # type: ignore[misc]
        return count, options

    sent = store.put(Flight(1), address_of("a"), inline_limit=0)
    assert {"ti": 1, "first": {"number": 1}} == take(ti=1, first={"number": 1})
    assert ("x", {"first": Flight(1), "other": {}}) == unpack("x", first={"number": 1}, other={})
    assert ("x", {"first": Flight(1)}) == unpack(count="x", first=sent)


def test_an_argument_that_does_not_fit_is_named(store: Store) -> None:
    """A mismatch names the parameter and the path in it; records for which no type is named ask for one."""
    sent = store.put([Flight(1), Flight(2), Flight(3), Flight(4, "x")], address_of("a"))

    @offload(store=store)
    def take(flights: list[Flight], one: Flight | None = None, *args: Flight, **more: Flight) -> None: ...

    for call, path in {
        lambda: take(sent): "flights[3].price",
        lambda: take([{"number": "x"}]): "flights[0].number",
        lambda: take([], {"price": 1}): "one.number",
        lambda: take([], None, {"number": 1}, {}): "args[1].number",
        lambda: take([], a=3): "a",
        lambda: take(None): "flights",
        lambda: take([store.put(["x"], address_of("b"))]): "flights[0]",
    }.items():
        with pytest.raises(MismatchError) as caught:
            call()
        assert path == caught.value.path
        assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(MismatchError, match=r"rows holds records .*Annotate the parameter: list\[Flight\]"):
        offload(store=store)(lambda rows: rows)(sent)


def test_a_table_that_a_library_cannot_hold_is_named(store: Store) -> None:
    """A table of two columns is no series, and the error says of which parameter."""

    @offload(store=store)
    def take(column: pd.Series) -> None: ...

    with pytest.raises(ConfigError, match=r"^column: "):
        take(store.put(pd.DataFrame({"a": [1], "b": [2]}), address_of("a")))


def test_objects_and_the_context_are_never_converted(store: Store) -> None:
    """What is an object already, as much of Airflow's context is, arrives as the very object."""
    ti = RuntimeTaskInstance(task_id="t")

    class Proxy(dict[str, Any]):
        def __iter__(self) -> Any:
            raise AssertionError("a lazy proxy was evaluated")

    proxy, flight, flights = Proxy(task_id="t"), Flight("x"), [Flight("x")]

    @offload(store=store)
    def take(ti: RuntimeTaskInstance, dag_run: Flight, task: RuntimeTaskInstance, f: Flight, fs: list[Flight]) -> Any:
        return ti, dag_run, task, f, fs

    given = (ti, ti, proxy, flight, flights)
    assert all(before is after for before, after in zip(given, take(*given), strict=True))


def test_types_without_records_check_nothing(store: Store) -> None:
    """An annotation that names no record converts nothing and checks nothing, wrong as it may be."""

    @offload(store=store)
    def take(a: int, b: list[int], c: dict[str, str], d: pd.DataFrame, e: str | None, f: tuple[int, ...]) -> Any:
        return a, b, c, d, e, f

    given = ("x", ["x"], {"a": 1}, "frame", 3, [1])
    assert all(before is after for before, after in zip(given, take(*given), strict=True))
    values = ("x", ("x",), {1: 1})
    sent = [store.put(value, address_of("a", item=n), inline_limit=0) for n, value in enumerate(values)]
    assert take(*sent, *given[3:])[:3] == ("x", ("x",), {1: 1})


def test_classes_local_to_a_function_are_found(store: Store) -> None:
    """A class that the function uses is found by its annotation's text; one it does not use counts as absent."""

    @dataclasses.dataclass
    class Here:
        x: int

    @dataclasses.dataclass
    class There:
        x: int

    @offload(store=store)
    def take(here: Here, there: There) -> Any:
        assert isinstance(here, Here)
        return here, there

    assert take({"x": 1}, {"x": 2}) == (Here(1), {"x": 2})
    given = [store.put(value, address_of("a")) for value in (Here(1), There(1))]
    with pytest.raises(MismatchError, match="there holds records"):
        take(*given)
    take.__wrapped__.__annotations__["there"] = There
    assert offload(store=store)(take.__wrapped__)(*given) == (Here(1), There(1))


def test_what_runs_between_the_steps_of_a_generator_is_a_step_of_its_own(store: Store) -> None:
    """Between the steps of a generator task other tasks hand over, and it may go on in another thread or be closed."""

    @offload(store=store)
    def steps(value: Any) -> Any:
        try:
            got = yield value
        except KeyError:
            got = yield "caught"
        return (got,)

    @offload(store=store)
    def other() -> Any:
        return (7.0,)

    def finish(step: Any, *args: Any) -> Any:
        with pytest.raises(StopIteration) as ended:
            step(*args)
        return store.get(ended.value.value)

    with handoff.run(dag_id="dag", run_id="run", map_index=1):
        first = steps(1)
        assert next(first) == 1
        assert other()["kind"] == "inline"
    with handoff.run(dag_id="dag", run_id="run", map_index=2):
        second = steps(2)
        assert next(second) == 2
    with handoff.run(dag_id="dag", run_id="run", map_index=3):
        third = steps(3)
        next(third)
        third.close()
    assert second.throw(KeyError()) == "caught"
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(finish, first.send, "a").result() == ("a",)
    assert finish(second.send, "b") == ("b",)
