"""The shapes of Airflow's objects: how a result is handed over follows from the task and from what is made of it."""

from __future__ import annotations

import collections
import concurrent.futures
import linecache
import sys
import types
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from handoff import ConfigError, EncodeError, EnvelopeError, Handoff, IdentityError, Store, offload, taskflow
from handoff.testing import same

VALUE = {"rows": [(1, 2)]}


class FakeXComArg:
    """A reference to a task's result, or a view of one: ``.map``, ``.zip``, ``.concat``."""

    def __init__(self, *tasks: Any, **more: Any) -> None:
        self.tasks = tasks
        vars(self).update(more)

    def iter_references(self) -> Any:
        return ((task, "return_value") for task in self.tasks)


class ListOfDictsExpandInput(FakeXComArg):
    """What ``.expand_kwargs`` keeps."""


class FakeTask:
    custom_operator_name: str | None = "@task"

    def __init__(
        self, function: Any, dependants: Sequence[Any] = (), others: Sequence[Any] = (), **changes: Any
    ) -> None:
        self.python_callable, self.task_id, self.do_xcom_push, self.multiple_outputs = function, "task", True, False
        self.dag = types.SimpleNamespace(tasks=[self, *others])
        self.iter_mapped_dependants = lambda: iter(dependants)
        vars(self).update(changes)


@pytest.fixture
def here(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Make the test's store the default one."""
    monkeypatch.setenv("HANDOFF_ROOT", store.root)
    return store


def returned(result: Any, monkeypatch: pytest.MonkeyPatch, *, attempt: int = 1, map_index: int = -1, key: str | None = None, limit: Any = 0, **shape: Any) -> Any:  # fmt: skip
    """Give what Airflow would see of a task that returns ``result``."""
    more = {} if key is None else {"key": key}
    function = offload(inline_limit=limit, **more)(lambda: result)
    task = FakeTask(function, **shape)
    instance = types.SimpleNamespace(
        task=task, dag_id="dag", run_id="run", task_id="task", map_index=map_index, try_number=attempt
    )
    module = types.SimpleNamespace(get_current_context=lambda: {"ti": instance})
    monkeypatch.setitem(sys.modules, "airflow.sdk", module)
    return function()


def kinds(message: Any) -> Any:
    return message.get("kind") if isinstance(message, dict) else None


def test_each_output_is_a_handoff(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The values of a dict that is several outputs are handed over each under its own key, and nothing twice."""
    sent = returned({"a": VALUE, "b": 5.0}, monkeypatch, multiple_outputs=True)
    assert {"a": "stored", "b": "stored"} == {name: kinds(message) for name, message in sent.items()}
    assert ["a", "b"] == [address.key for address in here.list()]
    assert {"a": VALUE, "b": 5.0} == {name: here.get(message) for name, message in sent.items()}
    for result in (None, [1], "text", 3):
        assert returned(result, monkeypatch, multiple_outputs=True) is result or [1] == result
    with pytest.raises(ConfigError, match="Leave key= away"):
        returned({"a": 1}, monkeypatch, multiple_outputs=True, key="other")
    for name in ("__type", 3, ""):
        with pytest.raises(EncodeError, match="Airflow does not keep such a name"):
            returned({name: 1}, monkeypatch, multiple_outputs=True)


def test_outputs_are_a_dict(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another mapping, whose type would be lost, is refused."""
    with pytest.raises(EncodeError, match="several outputs are returned as a OrderedDict"):
        returned(collections.OrderedDict(a=1), monkeypatch, multiple_outputs=True)


def test_outputs_may_hold_handoffs(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An output that is a handoff, or a list of some, travels as envelopes at those positions."""
    stored = here.put(
        VALUE, Handoff.from_json(here.put((1,), _address(), inline_limit=0).to_json()).address, inline_limit=0
    )
    sent = returned({"a": stored, "b": 1}, monkeypatch, multiple_outputs=True)
    assert stored.to_json() == sent["a"]
    sent = returned({"a": [stored, (2,)], "b": 1}, monkeypatch, multiple_outputs=True)
    assert stored.to_json() == sent["a"][0]
    assert [(2,), 1] == [here.get(sent["a"][1]), here.get(sent["b"])]


def _address() -> Any:
    from handoff import Address

    return Address("other", "run", "task")


def test_each_element_is_a_handoff_where_tasks_are_mapped_over_it(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list stays a list and a dict a dict, with a handoff for each element; an instance of a mapped task is one element."""
    sent = returned([VALUE, (2,)], monkeypatch, dependants=["mapped"])
    assert ["stored", "stored"] == [kinds(message) for message in sent]
    assert [0, 1] == [address.item for address in here.list()]
    assert [VALUE, (2,)] == [here.get(message) for message in sent]
    sent = returned({"a": VALUE, "b": 1}, monkeypatch, dependants=["mapped"], limit=1000)
    assert ("inline", 1) == (kinds(sent["a"]), sent["b"])
    assert "stored" == kinds(returned([VALUE], monkeypatch, dependants=["mapped"], map_index=0))
    assert [1, "a", None] == returned([1, "a", None], monkeypatch, dependants=["mapped"], limit=1000)
    assert returned(None, monkeypatch, dependants=["mapped"]) is None
    assert {"a", "b"} == set(returned({"a": 1, "b": 2}, monkeypatch, dependants=["mapped"], multiple_outputs=True))


def test_what_cannot_be_mapped_over_is_refused(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tuple, a handoff, an envelope or another sequence, where tasks are mapped over its elements, says to return a list."""
    stored = here.put([VALUE], _address(), inline_limit=0)
    for result, words in (
        ((1, 2), "a tuple that has tasks mapped"), (stored, "a handoff that has tasks mapped"), (range(3), "a range"),
        (stored.to_json(), "a handoff that"), ("text", "a str that"), (3, "a int that"),
    ):  # fmt: skip
        with pytest.raises(EncodeError, match=words):
            returned(result, monkeypatch, dependants=["mapped"])


def test_a_dict_of_arguments_stays_one(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ``.expand_kwargs`` takes the elements, the values in each are handed over; what is no dict is a value."""
    for name in ("op_kwargs_expand_input", "expand_input", "_expand_input"):
        source = types.SimpleNamespace(task_id="task")
        dependant = types.SimpleNamespace(**{name: ListOfDictsExpandInput(source, value=FakeXComArg(source))})
        sent = returned([{"x": VALUE, "n": 1}, 3], monkeypatch, dependants=[dependant])
        assert {"x": "stored", "n": "stored"} == {key: kinds(message) for key, message in sent[0].items()}
        assert [VALUE, 1, 3] == [here.get(message) for message in [*sent[0].values(), sent[1]]]
    with pytest.raises(EncodeError, match="the result holds a tuple that has tasks mapped"):
        returned([(1,)], monkeypatch, dependants=[dependant])
    other = types.SimpleNamespace(expand_input=ListOfDictsExpandInput(types.SimpleNamespace(task_id="other")))
    assert ["stored"] == [kinds(message) for message in returned([{"x": 1}], monkeypatch, dependants=[other])]


def test_views_of_a_result_open_it(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """``.zip``, ``.concat`` and ``.map`` over a result see its elements, wherever a task takes such a view as argument."""
    source = types.SimpleNamespace(task_id="task")
    plain = FakeXComArg(source)
    decorated = offload(lambda x: x)
    views = [
        FakeXComArg(source, args=[plain, plain]), FakeXComArg(source, arg=plain, callables=[decorated, str]),
        FakeXComArg(source, args=[plain, FakeXComArg(source, arg=plain, callables=[decorated])]),
    ]  # fmt: skip
    for view in views:
        for other in (
            types.SimpleNamespace(template_fields=("op_args", "none"), op_args=[1, {"deep": (view,)}]),
            types.SimpleNamespace(partial_kwargs={"op_kwargs": {"x": view}}),
            types.SimpleNamespace(op_kwargs_expand_input=types.SimpleNamespace(value={"x": view})),
        ):
            assert ["stored"] == [kinds(message) for message in returned([VALUE], monkeypatch, others=[other])]
    group = types.SimpleNamespace(_expand_input=types.SimpleNamespace(value={"x": views[0]}))
    assert ["stored"] == [kinds(message) for message in returned([VALUE], monkeypatch, dependants=[group])]
    elsewhere = types.SimpleNamespace(
        partial_kwargs={"x": FakeXComArg(types.SimpleNamespace(task_id="other"), args=[plain])}
    )
    for other in (elsewhere, types.SimpleNamespace(partial_kwargs={"x": plain})):
        assert "stored" == kinds(returned([VALUE], monkeypatch, others=[other]))


def test_a_function_of_map_has_to_be_decorated(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """``.map`` with a function that would be given envelopes is refused by the producer, whatever the size."""
    source = types.SimpleNamespace(task_id="task")
    view = FakeXComArg(source, args=[FakeXComArg(source, arg=FakeXComArg(source), callables=[len])])
    for index in (-1, 0):
        with pytest.raises(ConfigError, match=r"Write \.map\(offload\(len\)\)"):
            returned(
                [1],
                monkeypatch,
                others=[types.SimpleNamespace(partial_kwargs={"x": view})],
                map_index=index,
                limit=1000,
            )


def test_arguments_that_are_a_result_open_it(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a result is the whole of op_args or op_kwargs, its elements are handed over; and each element's, where that is mapped."""
    source = types.SimpleNamespace(task_id="task")
    plain = FakeXComArg(source)
    for name in ("op_args", "op_kwargs"):
        for other in (
            types.SimpleNamespace(template_fields=(name,), **{name: plain}),
            types.SimpleNamespace(partial_kwargs={name: plain}),
        ):
            assert ["stored"] == [kinds(message) for message in returned([VALUE], monkeypatch, others=[other])]
        mapped = types.SimpleNamespace(expand_input=types.SimpleNamespace(value={name: plain}))
        assert [["stored"]] == [[*map(kinds, inner)] for inner in returned([[VALUE]], monkeypatch, dependants=[mapped])]
        sent = returned({"x": VALUE}, monkeypatch, dependants=[mapped], map_index=3)
        assert "stored" == kinds(sent["x"])
    elsewhere = types.SimpleNamespace(task_id="elsewhere", template_fields=("op_args",), op_args=plain)
    sent = returned([VALUE], monkeypatch, others=[elsewhere], downstream_task_ids={"next"})
    assert "stored" == kinds(sent)


def test_an_envelope_in_place_of_arguments_is_refused(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that would be called with the entries of an envelope says so, also where Airflow has dropped them."""
    with pytest.raises(EnvelopeError, match="in place of the task's keyword arguments"):
        returned(1, monkeypatch, op_kwargs={"__handoff__": 1})
    for call in (lambda f: f(__handoff__=1), lambda f: f("kind", "__handoff__")):
        with pytest.raises(EnvelopeError, match="entries of an envelope, in place of arguments"):
            call(offload(lambda *args, **kwargs: None))


def test_the_outermost_decorator_hands_over(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that is decorated twice, or calls itself, or is called in a thread of the task's, hands over once."""
    calls: list[Any] = []

    @offload
    def inner(n: int = 2) -> Any:
        calls.append(n)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            below = pool.submit(task.python_callable, n=n - 1).result() if n else ()
        return (n, below)

    task = FakeTask(offload(inner))
    instance = types.SimpleNamespace(task=task, dag_id="dag", run_id="run", task_id="task", map_index=-1, try_number=0)
    module = types.SimpleNamespace(get_current_context=lambda: {"ti": instance})
    monkeypatch.setitem(sys.modules, "airflow.sdk", module)
    assert (2, (1, (0, ()))) == here.get(task.python_callable())
    assert [2, 1, 0] == calls


def test_an_envelope_that_is_returned_is_a_handoff(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to_json gave is passed on, alone and in containers; what only looks like it is data."""
    sent = here.put(VALUE, _address(), inline_limit=0).to_json()
    assert sent == returned(sent, monkeypatch)
    assert [sent, {"a": sent}] == returned([sent, {"a": sent}], monkeypatch)
    assert {"a": sent, "b": 1} == returned({"a": sent, "b": 1}, monkeypatch, multiple_outputs=True, limit=1000)
    like = {"__handoff__": 1}
    assert [like] == here.get(returned([like], monkeypatch))
    assert like == here.get(returned(like, monkeypatch))


def test_a_retry_keeps_what_it_put_by_hand(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an attempt puts at its own address stays when its result is small, and what an earlier one put goes."""
    from handoff import Address

    at = Address("dag", "run", "task")
    item = Address("dag", "run", "task", item=7)

    for put, shape in ((at, {}), (item, {"multiple_outputs": True}), (item, {"dependants": ["mapped"]})):
        here.put((0,), at, inline_limit=0)
        here.put((0,), Address("dag", "run", "task", item=3), inline_limit=0)

        def by_hand(put: Any = put, shape: Any = shape) -> Any:
            here.put(VALUE, put, inline_limit=0)
            return [1] if "dependants" in shape else {"a": 1}

        function = offload(by_hand)
        task = FakeTask(function, **shape)
        instance = types.SimpleNamespace(
            task=task, dag_id="dag", run_id="run", task_id="task", map_index=-1, try_number=2
        )
        module = types.SimpleNamespace(get_current_context=lambda instance=instance: {"ti": instance})
        monkeypatch.setitem(sys.modules, "airflow.sdk", module)
        function()
        left = set(here.list())
        assert put in left
        assert (at in left) == (put == at)
        for address in left:
            here.delete(address)


class PokeReturnValue:
    """What a sensor may return."""

    def __init__(self, *, is_done: bool, xcom_value: Any = None) -> None:
        self.is_done, self.xcom_value = is_done, xcom_value

    def __bool__(self) -> bool:
        return self.is_done


def test_a_sensor_hands_over_what_it_waited_for(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the value of a sensor that is done is handed over; the answer stays what Airflow asks for."""
    shape = {"custom_operator_name": "@task.sensor"}
    for result in (True, False, PokeReturnValue(is_done=False, xcom_value=VALUE), PokeReturnValue(is_done=True)):
        assert returned(result, monkeypatch, **shape) is result
    done = returned(PokeReturnValue(is_done=True, xcom_value=VALUE), monkeypatch, **shape)
    assert done.is_done
    assert VALUE == here.get(done.xcom_value)


def test_a_condition_hands_over_what_is_true(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result that stops the tasks after it is left as it is; one that lets them go on is handed over."""
    shape = {"custom_operator_name": "@task.short_circuit"}
    for result in ((), 0, False, None, {}):
        assert returned(result, monkeypatch, **shape) is result
    assert "stored" == kinds(returned((1,), monkeypatch, **shape))


def test_nothing_is_never_stored(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """None leaves no row of XCom and no artifact, and takes away what an earlier attempt stored."""
    assert "stored" == kinds(returned(VALUE, monkeypatch))
    assert returned(None, monkeypatch, attempt=2) is None
    assert [] == list(here.list())


class Asset:
    """One of Airflow's own."""


Asset.__module__ = "airflow.sdk.definitions.asset"


def test_objects_of_airflow_are_its_own(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assets, alone or in containers, are returned as they are; a container that holds itself is none of them."""
    for result in (Asset(), [Asset()], {"a": (Asset(),)}):
        assert returned(result, monkeypatch) is result
    assert taskflow.is_of_airflow([Asset(), 1, {"a": [Asset()]}])
    for result in ([Asset(), (1,)], {"a": Asset(), "b": 5.0j}, [1, Asset()], [Asset(), "x" * 2**21]):
        with pytest.raises(EncodeError):
            returned(result, monkeypatch)
    own: list[Any] = []
    own.append(own)
    assert not taskflow.is_of_airflow(own)


# --- arguments --------------------------------------------------------------------------------------------------


def sequence_of(name: str, values: Sequence[Any], **more: Any) -> Any:
    """Make what Airflow passes for many results, of the class of this name."""

    class Lazy(Sequence[Any]):
        def __getitem__(self, index: Any) -> Any:
            return values[index]

        def __len__(self) -> int:
            return len(values)

    Lazy.__name__ = name
    Lazy.__module__ = "airflow.somewhere"
    found = Lazy()
    vars(found).update(more)
    return found


class FakeApi:
    """The part of a task instance that counts and pulls."""

    run_id = "run"

    def __init__(self, rows: dict[int, Any], count: int, removed: int = 0) -> None:
        self.rows, self.count, self.removed = rows, count, removed

    def get_ti_count(self, *, map_index: int | None = None, states: list[str] | None = None, **_: Any) -> int:
        if states is not None:
            return self.removed
        return self.count if map_index is None else int(bool(self.rows))

    def xcom_pull(self, *, map_indexes: Any, **_: Any) -> Any:
        return [self.rows.get(index) for index in map_indexes]


@pytest.mark.parametrize(
    ("rows", "count", "removed", "expected"),
    [
        ({0: 1, 1: 2}, 2, 0, [1, 2]), ({0: 1, 2: 3}, 3, 0, [1, None, 3]), ({0: 1, 1: 2, 2: 9}, 2, 0, [1, 2]),
        ({0: 1, 2: 9}, 3, 1, [1, None]), ({}, 1, 0, []), ({}, 0, 0, []),
    ],
    ids=["all", "a gap", "one too many", "a gap and a removed one", "nothing", "no instance"],
)  # fmt: skip
def test_the_results_of_a_mapped_task_stand_at_their_index(
    rows: dict[int, Any], count: int, removed: int, expected: list[Any]
) -> None:
    """In Airflow 3 the rows that there are come in slices, and gaps are asked for one by one."""
    producer = types.SimpleNamespace(operator=types.SimpleNamespace(dag_id="dag", task_id="task"), key="return_value")
    lazy = sequence_of("LazyXComSequence", list(rows.values()), _xcom_arg=producer, _ti=FakeApi(rows, count, removed))
    assert expected == taskflow.fetch(lazy)
    assert [*rows.values()] == taskflow.fetch(sequence_of("LazyXComSequence", list(rows.values())))


class FakeDatabase:
    """The parts of a session and of a statement that a sequence of Airflow 2 holds."""

    whereclause = "xcom.key = :key"

    def __init__(self, rows: list[Any], instances: list[tuple[int, str]]) -> None:
        self.rows, self.instances = rows, instances

    def add_columns(self, *_: Any) -> Any:
        return self

    execute = query = filter_by = lambda self, *_, **__: self

    def all(self) -> Any:
        rows, self.rows = self.rows, self.instances
        return rows


@pytest.mark.parametrize(
    ("rows", "instances", "expected"),
    [
        ([("task", 0, 1), ("task", 2, 3)], [(2, "success"), (0, "success"), (1, "skipped")], [1, None, 3]),
        ([("task", 0, 1), ("task", 1, 9)], [(0, "success"), (1, "removed")], [1]),
        ([("task", 0, 1), ("other", 0, 3)], [], [1, 3]), ([("task", -1, 1)], [], [1]), ([], [], []),
    ],
    ids=["a gap", "a removed one", "two tasks", "not mapped", "nothing"],
)  # fmt: skip
def test_the_rows_of_a_mapped_task_stand_at_their_index(
    rows: list[Any], instances: list[Any], expected: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Airflow 2 the rows come with their map index, and the instances of the task tell where gaps are."""
    model = types.SimpleNamespace(dag_id=0, run_id=0, task_id=0, map_index=0, state=0)
    monkeypatch.setitem(sys.modules, "airflow.models.xcom", types.SimpleNamespace(BaseXCom=model))
    monkeypatch.setitem(sys.modules, "airflow.models.taskinstance", types.SimpleNamespace(TaskInstance=model))
    found = [types.SimpleNamespace(dag_id="dag", run_id="run", task_id=t, map_index=i, value=v) for t, i, v in rows]
    database = FakeDatabase(found, instances)
    lazy = sequence_of("LazyXComSelectSequence", [], _select_asc=database, _session=database, _process_row=lambda row: row.value)  # fmt: skip
    assert expected == taskflow.fetch(lazy)
    filtered = FakeDatabase([], [])
    filtered.whereclause += " AND xcom.map_index IN (2, 1)"
    assert [3, 2] == taskflow.fetch(sequence_of("LazyXComSelectSequence", [3, 2], _select_asc=filtered))
    monkeypatch.delitem(sys.modules, "airflow.models.xcom")
    assert [7] == taskflow.fetch(sequence_of("LazyXComSelectSequence", [7]))


@pytest.mark.parametrize("name", ["_MapResult", "_ZipResult", "_ConcatResult"])
def test_a_view_of_results_arrives_as_a_list(name: str, here: Store) -> None:
    """What ``.map``, ``.zip`` and ``.concat`` give arrives loaded, and is read once."""
    sent = here.put(VALUE, _address(), inline_limit=0).to_json()
    reads: list[int] = []

    class Values(list[Any]):
        def __getitem__(self, index: Any) -> Any:
            reads.append(index)
            return super().__getitem__(index)

    view = sequence_of(name, Values([sent, (sent, 1)]))
    assert same(([VALUE, (VALUE, 1)], 2), offload(lambda x, y: (x, y))(view, 2))
    assert [0, 1] == [index for index in reads if index < 2]


def test_an_entry_of_an_envelope_is_refused(here: Store) -> None:
    """A task that was mapped over an envelope, in place of a list, says so."""
    for given in (("__handoff__", 1), (("__handoff__", 1), 5), [[("__handoff__", 1)]]):
        with pytest.raises(EnvelopeError, match="mapped over the entries of an envelope"):
            offload(lambda x: x)(given)
    assert ("other", 0) == offload(lambda x: x)(("other", 0))


def test_arguments_are_fetched_side_by_side(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a task is given is loaded at once, and arrives where it was given."""
    import threading

    sent = [
        here.put((n,), Handoff.from_json(here.put((n,), _at(n), inline_limit=0).to_json()).address, inline_limit=0)
        for n in range(6)
    ]
    met = threading.Barrier(6, timeout=10)
    whole = Store.get

    def get(self: Store, *args: Any) -> Any:
        met.wait()
        return whole(self, *args)

    monkeypatch.setattr(Store, "get", get)
    found = offload(lambda *a, **k: (a, k))(
        sent[0], [sent[1].to_json(), {"x": sent[2]}], k=(sent[3], sent[4]), z=sent[5]
    )
    assert ((((0,), [(1,), {"x": (2,)}]), {"k": ((3,), (4,)), "z": (5,)})) == found


def _at(n: int) -> Any:
    from handoff import Address

    return Address("other", "run", "task", n)


def test_arguments_that_share_or_hold_themselves_are_walked_once(here: Store) -> None:
    """A container at many places is loaded once and stays one; one that holds itself, or a frame in a tuple, is passed on."""
    sent = here.put(VALUE, _address(), inline_limit=0)
    shared: Any = [sent]
    for _ in range(60):
        shared = [shared, shared]
    found = offload(lambda x: x)(shared)
    assert found[0] is found[1]
    for _ in range(60):
        found = found[1]
    assert [VALUE] == found
    own: list[Any] = []
    own += [own, own]
    frames = (pd.DataFrame({"a": [1]}), 1)
    for given in (own, frames, [frames], {"x": frames}):
        assert offload(lambda x: x)(given) is given


def test_hints_of_elements_say_which_are_handoffs(here: Store) -> None:
    """A tuple's elements each have a hint of their own, an element may be absent, and further named arguments have theirs."""
    sent = here.put(VALUE, _address(), inline_limit=0).to_json()

    @offload
    def take(
        pair: tuple[int, Handoff],
        other: tuple[Handoff, int],
        all_: tuple[Handoff, ...],
        gaps: list[Handoff | None],
        **parts: Handoff,
    ) -> Any:
        return [type(x).__name__ for x in (*pair, *other, *all_, *gaps, *parts.values())]

    names = take((5, sent), (sent, 5), (sent,), [sent, None], part=sent)
    assert ["int", "Stored", "Stored", "int", "Stored", "Stored", "NoneType", "Stored"] == names
    assert (VALUE, [VALUE]) == offload(_takes_pair)((sent, [sent]))


def _takes_pair(pair: tuple[Any, list[Any], int]) -> Any:
    return pair


# --- where a function may not run -------------------------------------------------------------------------------


def virtualenv(**_: Any) -> Any:
    return lambda function: function


task = types.SimpleNamespace(virtualenv=virtualenv, external_python=virtualenv, docker=virtualenv, kubernetes=virtualenv, here=virtualenv)  # fmt: skip


def test_a_function_whose_source_is_shipped_is_refused() -> None:
    """Under a decorator that runs the source elsewhere, the DAG does not parse, and the error says what to do."""
    with pytest.raises(ConfigError, match=r"@task\.virtualenv runs a function's source elsewhere"):

        @task.virtualenv(
            requirements=[],
        )
        @offload
        def first() -> None: ...

    with pytest.raises(ConfigError, match="kubernetes"):

        @task.kubernetes()
        @offload(inline_limit=0)
        async def second() -> None: ...

    @task.here(
        name="""
@task.virtualenv
"""
    )
    @offload
    def third() -> int:
        return 3

    assert 3 == third()
    first_of_a_pair = offload(lambda pair: pair[0])

    @task.virtualenv()
    def fourth() -> None: ...

    assert 1 == first_of_a_pair((1, 2))


def test_a_long_decorator_is_read_to_a_bound() -> None:
    """Where no function begins below the first line of its code, reading ends."""
    lines = ["@task(\n", *["# virtualenv\n"] * 300, ")\n", "def f(): ...\n"]
    linecache.cache["nowhere"] = (1, None, lines, "nowhere")
    for first in (1, 7, 1000):
        code = (lambda: None).__code__.replace(co_filename="nowhere", co_firstlineno=first)
        assert "" == taskflow.runs_elsewhere(types.FunctionType(code, {}))
    del linecache.cache["nowhere"]


@pytest.mark.parametrize("index", [None, "0"])
def test_an_index_that_is_none_is_no_identity(index: Any, here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task instance without a usable map index writes nothing."""
    with pytest.raises(IdentityError):
        returned((1,), monkeypatch, map_index=index)
    assert [] == list(here.list())
