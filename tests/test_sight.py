"""What is seen of handoffs: one event of each, told to observers, to the log, and to the audit."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import random
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from handoff import (
    Address,
    DamagedError,
    EncodeError,
    EnvelopeError,
    Event,
    HandoffError,
    MissingError,
    StaleError,
    Store,
    Stored,
    SupersededError,
    envelope,
    gather,
    observe,
    offload,
    run,
    sight,
)
from handoff.cancellation import Cancelled
from handoff.who import Who

LARGE = ["row"] * 30_000
NOISE = random.Random(0).randbytes(2_000)
TABLE = pd.DataFrame({"x": range(3)})
AT = Address("dag", "run", "task")
MB = 10**6


@pytest.fixture
def events() -> Iterator[list[Event]]:
    """Give all that an observer is told."""
    told: list[Event] = []
    with observe(told.append):
        yield told


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, store: Store, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the lines of the log, without what differs from run to run."""
    monkeypatch.setenv("HANDOFF_ROOT", store.root)
    caplog.set_level(logging.INFO, logger="handoff")
    return lambda: [re.sub(r"\d+\.\d\d s", "T s", line).replace(store.root, "ROOT") for line in caplog.messages]


# --- events -----------------------------------------------------------------------------------------------------


async def _in_async(store: Store) -> None:
    handoff = await store.aput(1, AT, inline_limit=0)
    await store.aget(handoff)
    await store.aget_many(await store.aput_many([1, 2], AT, inline_limit=0))


def _offloaded(store: Store) -> None:
    @offload(store=store, inline_limit=0)
    def rows() -> list[int]:
        return [1]

    @offload(store=store)
    def count(rows: list[int], more: list[Any]) -> int:
        return len(rows)

    with run(dag_id="dag", run_id="run"):
        given = rows()
        count(given, [given, 5])


FORMS: dict[str, tuple[Callable[[Store], object], list[str]]] = {
    "stored": (lambda store: store.get(store.put(1, AT, inline_limit=0)), ["put", "get"]),
    "inline": (lambda store: store.get(store.put((1, 2), AT)), ["put inline", "get inline"]),
    "plain": (lambda store: store.get(store.put(1, AT)), ["put inline", "get inline"]),
    "envelopes": (
        lambda store: (
            store.get(store.put((1, 2), AT).to_json()),
            store.get(store.put(1, AT, inline_limit=0).to_json()),
        ),
        ["put inline", "get inline", "put", "get"],
    ),
    "plain value": (lambda store: (store.get(5), store.get({"x": 1})), []),
    "load": (lambda store: store.put(1, AT, inline_limit=0).load(), ["put", "get"]),
    "by address": (lambda store: (store.put(1, AT, inline_limit=0), store.get(AT)), ["put", "get"]),
    "many": (
        lambda store: store.get_many(store.put_many([NOISE, 1, (2, 3)], AT, inline_limit=1_500)),
        ["get", "get inline", "get inline", "put", "put inline", "put inline"],
    ),
    "named": (lambda store: store.put_many({"a": 1, "b": store.put(2, AT)}, AT), ["put inline", "put inline"]),
    "one by one": (
        lambda store: [*store.iter_many(store.put_many([1, 2], AT, inline_limit=0))],
        ["get", "get", "put", "put"],
    ),
    "gather": (lambda store: gather([store.put(1, AT, inline_limit=0)]), ["put", "get"]),
    "scan": (lambda store: store.put(TABLE, AT, inline_limit=0).scan(), ["put", "scan"]),
    "scan inline": (lambda store: store.put(TABLE, AT).scan(), ["put inline", "get inline"]),
    "async": (lambda store: asyncio.run(_in_async(store)), ["get", "get", "get", "put", "put", "put"]),
    "offload": (_offloaded, ["put", "get", "get", "put inline"]),
    "delete": (
        lambda store: (store.put(1, AT, inline_limit=0), store.delete(AT), store.delete(AT)),
        ["put", "delete", "delete missing"],
    ),
    "delete many": (
        lambda store: store.delete_many(h.address for h in store.put_many([1, 2], AT, inline_limit=0)),  # type: ignore[attr-defined]
        ["delete", "delete", "put", "put"],
    ),
    "inline retry": (
        lambda store: (store.put(1, AT, inline_limit=0), store.put(1, AT, attempt=2), store.put(1, AT, attempt=3)),
        ["put", "delete", "put inline", "put inline"],
    ),
    "shorter retry": (
        lambda store: (store.put_many([1, 2], AT, inline_limit=0), store.put_many([3], AT, attempt=2, inline_limit=0)),
        ["delete", "put", "put", "put"],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_tells_one_event_of_each_value(store: Store, events: list[Event], form: str) -> None:
    """Whatever the form of a call, each value that is put, got, scanned or deleted is one event."""
    call, expected = FORMS[form]
    call(store)
    found = [
        f"{event.action}{' inline' * event.is_inline}{'' if event.outcome == 'ok' else f' {event.outcome}'}"
        for event in events
    ]
    is_ordered = len({event.address for event in events if event.address}) <= 1 and form != "async"
    assert expected == (found if is_ordered or form == "offload" else sorted(found))


def test_an_event_says_what_was_stored(store: Store, events: list[Event]) -> None:
    """Address, place, codec, type, sizes, ratio, seconds and attempt: of a put, and of a get by handoff and by address."""
    handoff = store.put(LARGE, AT, attempt=3, inline_limit=0)
    store.get(handoff)
    store.get(AT)
    assert isinstance(handoff, Stored)
    for event, attempt in zip(events, [3, 3, None], strict=True):
        facts = event.address, event.uri, event.codec, event.type, event.raw_size, event.size, event.attempt
        assert (AT, handoff.uri, "tree", "list", handoff.raw_size, handoff.size, attempt) == facts
        assert handoff.raw_size / handoff.size == event.ratio
        assert 0 < event.seconds < 60
        assert event.filled is None


def test_an_event_says_what_travels_in_a_message(store: Store, events: list[Event]) -> None:
    """Its sizes as far as they are known, and how much of its limit the message takes; a reader has no address."""
    plain, packed = store.put([1, 2], AT), store.put(tuple(LARGE), AT)
    store.get(packed)
    store.get(packed.to_json())
    assert [(AT, "plain", 5, 5, 1.0), (AT, "tree", 120_009, packed.size, 120_009 / packed.size)] == [
        (event.address, event.codec, event.raw_size, event.size, event.ratio) for event in events[:2]
    ]
    assert [5 / 49152, len(envelope.message_of(packed)) / 49152] == [event.filled for event in events[:2]]
    assert [(None, 120_009, packed.size), (None, None, packed.size)] == [
        (event.address, event.raw_size, event.size) for event in events[2:]
    ]
    assert [None, ""] == [events[3].ratio, events[3].place]
    assert plain.size == events[0].size


def test_a_table_is_known_by_its_address(store: Store, events: list[Event]) -> None:
    """A part of a large table, a table that is scanned, and an artifact that is read as a file: sizes are known."""
    from numpy.random import default_rng

    from handoff import File

    handoff = store.put(pd.DataFrame({"x": default_rng(0).random(2_300_000), "y": 1}), AT)
    store.get(AT, columns=["y"])
    store.scan(AT)
    store.get(AT, File)
    assert isinstance(handoff, Stored)
    assert ["put", "get", "scan", "get"] == [event.action for event in events]
    known = ("table", "pandas.DataFrame", handoff.raw_size, handoff.size)
    as_file = ("file", "handoff.File", handoff.size, handoff.size)
    sight.note(*as_file)  # where nobody asked, nothing becomes of it
    assert [known, known, known, as_file] == [(one.codec, one.type, one.raw_size, one.size) for one in events]


def _damage(store: Store, handoff: Any) -> None:
    path = Path(store.root, handoff.address.path)
    path.write_bytes(path.read_bytes()[:-9] + b"123456789")


def _elsewhere(store: Store) -> Address:
    store.put(1, AT, inline_limit=0)
    return Address("dag", "run", "other")


def _overwritten(store: Store) -> Any:
    old = store.put(1, AT, inline_limit=0)
    store.put(2, AT, inline_limit=0)
    return old


def _damaged(store: Store) -> Any:
    old = store.put(1, AT, inline_limit=0)
    _damage(store, old)
    return old


def _newer(store: Store) -> None:
    store.put(1, AT, attempt=2, inline_limit=0)


FAILURES: dict[str, tuple[type[HandoffError], Callable[[Store], Any], Callable[[Store, Any], object], list[str]]] = {
    "missing": (MissingError, _elsewhere, lambda store, x: store.get(x), ["get missing"]),
    "missing scan": (MissingError, _elsewhere, lambda store, x: store.scan(x), ["scan missing"]),
    "stale": (StaleError, _overwritten, lambda store, x: store.get(x), ["get stale"]),
    "damaged": (DamagedError, _damaged, lambda store, x: store.get(x), ["get damaged"]),
    "envelope": (
        EnvelopeError,
        lambda store: {"__handoff__": 1, "kind": "stored"},
        lambda store, x: store.get(x),
        ["get envelope"],
    ),
    "encode": (EncodeError, lambda store: object(), lambda store, x: store.put(x, AT), ["put encode"]),
    "encode one": (
        EncodeError,
        lambda store: [1, object()],
        lambda store, x: store.put_many(x, AT, inline_limit=0),
        ["put encode"],
    ),
    "superseded": (
        SupersededError,
        _newer,
        lambda store, x: store.put(1, AT, inline_limit=0),
        ["put superseded"],
    ),
    "superseded many": (
        SupersededError,
        lambda store: store.put_many([1], AT, attempt=2, inline_limit=0),
        lambda store, x: store.put_many([1], AT, inline_limit=0),
        ["put superseded"],
    ),
    "superseded inline": (
        SupersededError,
        lambda store: store.put(1, AT, attempt=3, inline_limit=0),
        lambda store, x: store.put(1, AT, attempt=2),
        ["delete superseded", "put superseded"],
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_an_event(store: Store, name: str) -> None:
    """What fails is told once, by the name of its error, and raised as ever."""
    error, prepare, call, expected = FAILURES[name]
    given, told = prepare(store), list[Event]()
    with observe(told.append), pytest.raises(error):
        call(store, given)
    assert expected == sorted(f"{event.action} {event.outcome}".removesuffix(" ok") for event in told)


def test_what_nobody_awaits_any_more_is_an_event(
    store: Store, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A put that is ended with its task is told as cancelled, alone and among many."""

    def cancelled(*_: Any) -> None:
        raise Cancelled

    monkeypatch.setattr("handoff.cancellation.check", cancelled)
    with pytest.raises(Cancelled):
        store.put(1, AT, inline_limit=0)
    with pytest.raises(Cancelled):
        store.put_many([1], AT, inline_limit=0)
    assert [("put", "cancelled")] * 2 == [(event.action, event.outcome) for event in events]


def test_deletes_that_fail_are_events(store: Store, events: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is refused is told, alone and among many, of which each is an event."""

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError

    other = Address("dag", "run", "other")
    store.put(1, AT, inline_limit=0)
    monkeypatch.setattr("os.unlink", refuse)
    with pytest.raises(HandoffError):
        store.delete(AT)
    with pytest.raises(HandoffError):
        store.delete_many([AT, other])
    assert [("delete", "denied", AT), ("delete", "denied", AT), ("delete", "ok", other)] == [
        (event.action, event.outcome, event.address) for event in events[1:]
    ]


def test_a_surplus_item_under_a_long_id_is_told_by_its_place(store: Store, events: list[Event]) -> None:
    """Where a path does not hold the whole address, the event has none, and says the place."""
    at = Address("dag", "run" * 200, "task")
    store.put_many([1, 2], at, inline_limit=0)
    store.put_many([3], at, attempt=2, inline_limit=0)
    (deleted,) = [event for event in events if event.action == "delete"]
    assert deleted.address is None
    assert deleted.place.endswith("/item=1/return_value")


# --- who --------------------------------------------------------------------------------------------------------


def test_an_event_says_who(store: Store, events: list[Event]) -> None:
    """The running task, in its arguments, in its body and in its result; else the run; else nobody."""

    @offload(store=store)
    def task(given: Any) -> int:
        store.put(1, AT)
        return 1

    given = store.put(1, AT, inline_limit=0)
    with run(dag_id="dag", run_id="run", map_index=4):
        store.get(AT)
        task(given)
    nobody, of_run, of_task = Who(), Who("dag", "run", "", 4), Who("dag", "run", "task", 4, 1)
    assert [nobody, of_run, of_task, of_task, of_task] == [event.who for event in events]


def test_airflow_says_who(store: Store, events: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    """In a task that is not decorated, the task instance of the context does; what is no id is left out."""
    found: Any = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=2, try_number=3)
    module: Any = ModuleType("airflow.sdk")
    module.get_current_context = lambda: {"ti": found}
    monkeypatch.setitem(sys.modules, "airflow.sdk", module)
    store.put(1, AT)

    def raises() -> Any:
        raise RuntimeError

    outside: Any = ModuleType("airflow.operators.python")
    outside.get_current_context = raises
    monkeypatch.setitem(sys.modules, "airflow.operators.python", outside)
    found = SimpleNamespace(dag_id="d", run_id=None, task_id=5, map_index="2", try_number=None)
    store.put(1, AT)
    monkeypatch.delitem(sys.modules, "airflow.sdk")
    store.put(1, AT)
    assert [Who("d", "r", "t", 2, 3), Who("d"), Who()] == [event.who for event in events]


# --- observers --------------------------------------------------------------------------------------------------


def test_an_observer_is_told_until_it_is_closed(store: Store) -> None:
    """It is closed by hand or at the end of a block, and once more without harm."""
    told: list[Event] = []
    watching = observe(told.append)
    store.put(1, AT)
    watching.close()
    watching.close()
    store.put(1, AT)
    with observe(told.append):
        store.put(1, AT)
    store.put(1, AT)
    assert 2 == len(told)


def test_an_observer_that_raises_breaks_nothing(
    store: Store, caplog: pytest.LogCaptureFixture, events: list[Event]
) -> None:
    """The first time is a warning with its traceback, the next ones are there for whoever looks; others are told."""
    caplog.set_level(logging.DEBUG, logger="handoff")

    def broken(event: Event) -> None:
        raise ZeroDivisionError(event.action)

    told: list[Event] = []
    with observe(broken), observe(told.append):
        assert [1, 1] == [store.get(store.put(1, AT)) for _ in range(2)]
    assert 4 == len(told) == len(events)
    failed = [record for record in caplog.records if "failed when it was told" in record.getMessage()]
    assert [logging.WARNING, *[logging.DEBUG] * 3] == [record.levelno for record in failed]
    assert all(record.exc_info and record.exc_info[0] is ZeroDivisionError for record in failed)
    assert "broken" in failed[0].getMessage()


def test_an_observer_does_not_swallow_the_end_of_a_task(store: Store) -> None:
    """What ends the task, and is no failure of the observer, goes on its way."""

    def ends(event: Event) -> None:
        raise KeyboardInterrupt

    with observe(ends), pytest.raises(KeyboardInterrupt):
        store.put(1, AT)


def test_an_observer_may_use_a_store(store: Store) -> None:
    """What it does with one is not told in turn."""
    told: list[Event] = []

    def keeps(event: Event) -> None:
        told.append(event)
        store.put(len(told), Address("events", "run", "task"), inline_limit=0)

    with observe(keeps):
        store.put(1, AT)
    assert 1 == len(told)
    assert 1 == store.get(Address("events", "run", "task"))


@pytest.fixture
def _setting_is_unread() -> Iterator[None]:
    before = dict(sight._observers)
    sight._observers.clear()
    sight._observers[sight._SETTING] = sight._configured
    yield
    sight._observers.clear()
    sight._observers.update(before)
    sight._failed.clear()


@pytest.mark.usefixtures("_setting_is_unread")
def test_the_environment_names_an_observer(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """HANDOFF_ON_EVENT is looked up once, at the first event of a process, and told of that too."""
    tmp_path.joinpath("telemetry_of_ours.py").write_text("told = []\non_event = told.append\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HANDOFF_ON_EVENT", "telemetry_of_ours:on_event")
    store.get(store.put(1, AT))
    monkeypatch.delenv("HANDOFF_ON_EVENT")
    store.put(1, AT)
    assert ["put", "get", "put"] == [event.action for event in sys.modules.pop("telemetry_of_ours").told]
    assert [] == caplog.messages


@pytest.mark.usefixtures("_setting_is_unread")
def test_no_event_is_lost_while_the_observer_is_imported(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What other threads do while the first event imports the module is told as well."""
    lines = (
        "import threading",
        "begun, go_on, told = threading.Event(), threading.Event(), []",
        "on_event = told.append",
    )
    tmp_path.joinpath("signals_of_ours.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    signals = importlib.import_module("signals_of_ours")
    tmp_path.joinpath("slow_telemetry.py").write_text(
        "import signals_of_ours as of\nof.begun.set()\nof.go_on.wait(20)\non_event = of.on_event\n"
    )
    monkeypatch.setenv("HANDOFF_ON_EVENT", "slow_telemetry:on_event")
    threads = [threading.Thread(target=store.put, args=(1, AT)) for _ in range(2)]
    threads[0].start()
    assert signals.begun.wait(20)
    threads[1].start()
    threads[1].join(0.1)
    signals.go_on.set()
    for thread in threads:
        thread.join()
    assert 2 == len(signals.told)
    for name in ("signals_of_ours", "slow_telemetry"):
        del sys.modules[name]


@pytest.mark.usefixtures("_setting_is_unread")
@pytest.mark.parametrize("named", ["no_such_module:on_event", "json:no_such_name", "json", "json:__doc__"])
def test_a_setting_that_names_nothing_breaks_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, named: str
) -> None:
    """It is a warning with its traceback, once."""
    monkeypatch.setenv("HANDOFF_ON_EVENT", named)
    assert 1 == store.get(store.put(1, AT))
    (record,) = caplog.records
    assert "HANDOFF_ON_EVENT failed when it was told" in record.getMessage()
    assert record.exc_info is not None


# --- the log ----------------------------------------------------------------------------------------------------


def test_what_fails_is_a_line(lines: Any, store: Store) -> None:
    """Alone by its name and place, and among many by how many there were."""
    stored = store.put_many([1, 2, 3, 4], AT, inline_limit=0)
    assert isinstance(stored[0], Stored)
    store.delete(stored[0].address)
    store.delete(stored[0].address)
    _damage(store, stored[1])
    for call in (
        lambda: store.get(stored[0]),
        lambda: store.get_many(stored),
        lambda: store.get_many(stored[:2]),
        lambda: store.get({"__handoff__": 1}),
        lambda: store.put(object(), AT),
    ):
        with pytest.raises(HandoffError):
            call()
    folder = "ROOT/dag_id=dag/run_id=run/task_id=task/map_index=-1"
    assert [
        f"deleted {folder}/item=0/return_value, T s",
        f"not deleted {folder}/item=0/return_value: missing, T s",
        f"not loaded {folder}/item=0/return_value: missing, T s",
        "loaded 2 handoffs: 36 bytes as SIZE bytes, failed: damaged, missing, T s",
        "not loaded 2 handoffs: damaged, missing, T s",
        "not loaded a value in a message: envelope, T s",
        f"not handed over {folder}/return_value: encode, T s",
    ] == [re.sub(r"as \d+ bytes", "as SIZE bytes", line).replace("2 bytes as", "36 bytes as") for line in lines()[1:]]


def test_a_prune_is_a_line_however_much_it_removes(lines: Any) -> None:
    """Whoever removes otherwise tells of each, and has a line for all."""
    with sight.together(), sight.together():
        for number in range(1_000):
            at = Address("dag", "run", f"task{number}")
            sight.tell(Event(action="prune", address=at, uri=f"ROOT/{at.path}", size=2**20))
    assert ["pruned 1,000 artifacts: 1,000.0 MiB, T s"] == lines()


def test_each_of_many_is_a_line_for_whoever_looks_closer(
    lines: Any, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG, what is put or got in one go is a line each, and so is what travels in messages."""
    caplog.set_level(logging.DEBUG, logger="handoff")
    assert [1, (2,)] == store.get_many(store.put_many([1, (2,)], AT))
    levels = [record.levelno for record in caplog.records]
    said = [re.sub(r"\d\d+ bytes", "N bytes", line) for line in lines()]
    assert [
        "handed over return_value: int, 1 bytes in the message, T s",
        "handed over return_value: tuple, N bytes in the message, T s",
        "handed over 2 values of return_value, N bytes in the message, T s",
        "loaded 2 handoffs: N bytes in the message, T s",
        "loaded a int in a message: 1 bytes in the message, T s",
        "loaded a tuple in a message: N bytes in the message, T s",
    ] == [*said[:3], *sorted(said[3:])]
    assert [logging.DEBUG] * 2 + [logging.INFO] + [logging.DEBUG] * 3 == levels


def test_a_hand_over_is_a_line(lines: Any) -> None:
    """What, how large, how small it became, where, how long: stored, in the message, and loaded."""

    @offload(inline_limit=0)
    def large() -> list[str]:
        return LARGE

    @offload
    def small(rows: list[str]) -> tuple[int]:
        return (len(rows),)

    @offload
    def plain(count: tuple[int]) -> int:
        return count[0]

    with run(dag_id="dag", run_id="run"):
        plain(small(large()))
    place = "ROOT/dag_id=dag/run_id=run/task_id=large/map_index=-1/return_value"
    said = lines()
    (artifact,) = _files(said[0])
    assert f"handed over return_value: list, 117.2 KiB as {artifact} bytes in {place}, T s" == said[0]
    assert f"loaded {place}: 117.2 KiB as {artifact} bytes, T s" == said[1]
    assert re.fullmatch(r"handed over return_value: tuple, \d+ bytes in the message, T s", said[2])
    assert "handed over return_value: int, 5 bytes in the message, T s" == said[3]
    assert 4 == len(said)


def _files(line: str) -> list[str]:
    return re.findall(r" as (\d+) bytes", line)


def test_many_values_are_one_line(lines: Any, store: Store) -> None:
    """Values that are handed over together, or loaded together, are counted in one line; what is in messages, nowhere."""
    at = Address("dag", "run", "task")
    stored = store.put_many([LARGE, LARGE], at, inline_limit=0)
    inline = store.put_many([1, "text"], at)
    mixed = store.put_many([LARGE, 1, "text"], at, inline_limit=80)
    assert [] == store.put_many([], at)
    for handoffs in (stored, inline, [*stored, *inline], mixed):
        store.get_many(handoffs)
    assert 3 == sum(1 for _ in store.iter_many([*stored, stored[0]]))
    gather(stored)
    store.delete_many([handoff.address for handoff in stored if isinstance(handoff, Stored)])
    folder = "ROOT/dag_id=dag/run_id=run/task_id=task/"
    size = stored[0].size
    assert [
        f"handed over 2 values of return_value, 234.4 KiB as {2 * size} bytes in {folder}, T s",
        "handed over 2 values of return_value, 7 bytes in the message, T s",
        (
            f"handed over 3 values of return_value, 117.2 KiB as {size} bytes in {folder}map_index=-1/item=0/return_value, "
            "2 of 7 bytes in the message, T s"
        ),
        f"loaded 2 handoffs: 234.4 KiB as {2 * size} bytes, T s",
        f"loaded 2 handoffs: 234.4 KiB as {2 * size} bytes, T s",
        f"loaded {folder}map_index=-1/item=0/return_value: 117.2 KiB as {size} bytes, T s",
        f"loaded 3 handoffs: 351.6 KiB as {3 * size} bytes, T s",
        f"loaded 2 handoffs: 234.4 KiB as {2 * size} bytes, T s",
        "deleted 2 artifacts, T s",
    ] == lines()


def test_several_outputs_are_of_no_single_key(lines: Any, store: Store) -> None:
    """Values that are handed over under keys of their own are not said to be of the first one."""
    store.put_many({"hot": LARGE, "cold": LARGE}, Address("dag", "run", "task"), inline_limit=0)
    (line,) = lines()
    assert line.startswith("handed over 2 values, 234.4 KiB as ")


def test_where_logging_is_not_loaded_nobody_reads(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no warning does not load it: a program that has not is told nothing."""
    monkeypatch.setattr(sight, "_loggers", {})
    monkeypatch.delitem(sys.modules, "logging")
    assert 1 == store.get(store.put(1, AT, inline_limit=0))
    assert 1 == store.get(store.put(1, AT))
    assert not sight.is_heard()
    assert "logging" not in sys.modules


def test_nothing_is_said_where_nobody_listens(caplog: pytest.LogCaptureFixture, store: Store) -> None:
    """A plain function, and a program that did not ask for INFO, see no line."""

    @offload(store=store)
    def function() -> list[str]:
        return LARGE

    function()
    assert [] == caplog.messages
    with run(dag_id="dag", run_id="run"):
        function()
    assert [] == caplog.messages


# --- warnings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"raw_size": 100 * MB, "size": MB}, []),
        ({"raw_size": 100 * MB + 1, "size": MB}, ["large"]),
        ({"raw_size": 10 * MB, "size": 9 * MB}, []),
        ({"raw_size": 11 * MB, "size": 6 * MB}, ["ratio"]),
        ({"raw_size": 12 * MB, "size": 6 * MB}, []),
        ({"raw_size": 11 * MB, "size": 11 * MB, "codec": "file"}, []),
        ({"raw_size": 5, "size": 5, "seconds": 1.0}, []),
        ({"raw_size": 5, "size": 5, "seconds": 1.1}, ["slow"]),
        ({"raw_size": 20 * MB, "size": MB, "seconds": 2.0}, []),
        ({"raw_size": 20 * MB, "size": MB, "seconds": 2.1}, ["slow"]),
        ({"raw_size": 5, "size": 5, "filled": 0.8}, []),
        ({"raw_size": 5, "size": 5, "filled": 0.81}, ["message"]),
        ({"raw_size": 200 * MB, "size": 150 * MB, "seconds": 21.0}, ["large", "ratio", "slow"]),
        ({"action": "get", "raw_size": 200 * MB, "size": 150 * MB, "seconds": 21.0}, []),
        ({"outcome": "unreachable", "seconds": 21.0}, []),
    ],
)
def test_the_thresholds(facts: dict[str, Any], expected: list[str]) -> None:
    """A put above one is named by the event, and explained with what to do."""
    event = Event(**{"action": "put", "address": AT, **facts})
    assert expected == [*event.warnings]
    assert all(". " in event.explained(name) or ": " in event.explained(name) for name in event.warnings)


def test_what_does_not_compress_is_warned_of(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """A warning needs no logging to be set up, and says where, what and what to do."""
    store.put(random.Random(0).randbytes(11 * MB), AT)
    (record,) = caplog.records
    assert logging.WARNING == record.levelno
    assert (
        f"{store.root}/{AT.path}: 10.5 MiB became 10.5 MiB, a ratio of 1.0. It is whole; to make it smaller, hand over"
        in record.getMessage()
    )


@pytest.mark.parametrize("value", ["x" * 900, random.Random(0).randbytes(580)], ids=["plain", "packed"])
def test_a_message_near_its_limit_is_warned_of(store: Store, caplog: pytest.LogCaptureFixture, value: Any) -> None:
    """Over 80 % of the limit, alone and with others, and nobody need listen; below, or where some are stored, it is not."""
    taken = len(envelope.message_of(store.put(value, AT)))
    for limit in (taken, int(taken / 0.81)):
        store.put(value, AT, inline_limit=limit)
    store.put_many([value, 1], AT, inline_limit=int(taken / 0.81))
    assert 3 == len(caplog.records)
    assert f"{AT.path}: the message takes 100% of its limit." in caplog.messages[0]
    assert f"{AT.path}: the message takes 81% of its limit." in caplog.messages[1]
    assert "item=0/return_value and 1 more: the message takes 81% of its limit." in caplog.messages[2]
    store.put(value, AT, inline_limit=int(taken / 0.79))
    store.put_many([value, 1], AT, inline_limit=int(taken / 0.79))
    store.put_many([value, NOISE, 1], AT, inline_limit=int(taken + 600))
    assert 3 == len(caplog.records)


# --- the audit --------------------------------------------------------------------------------------------------


@pytest.fixture
def audit() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Turn the audit on, and give its lines, read as JSON."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("handoff.audit")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    yield lambda: [json.loads(line) for line in said if line.isascii() and line.isprintable()]
    log.removeHandler(handler)
    log.setLevel(logging.NOTSET)
    log.propagate = True


def test_the_audit_says_who_read_and_deleted(store: Store, audit: Callable[[], list[dict[str, Any]]]) -> None:
    """A line of JSON for each, whatever became of it; what is put, and what travels in messages, is none of it."""

    @offload(store=store)
    def reader(rows: list[str]) -> int:
        return len(rows)

    handoff = store.put(LARGE, AT, attempt=2, inline_limit=0)
    assert isinstance(handoff, Stored)
    with run(dag_id="other", run_id="r"):
        reader(handoff)
    store.get(store.put(1, AT))
    store.delete(AT)
    with pytest.raises(MissingError):
        store.get(handoff)
    read, deleted, missing = audit()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", read.pop("time"))
    address = {
        "dag_id": "dag",
        "run_id": "run",
        "task_id": "task",
        "map_index": -1,
        "key": "return_value",
        "item": None,
    }
    assert {
        "action": "get",
        "outcome": "ok",
        "by": {"dag_id": "other", "run_id": "r", "task_id": "reader", "map_index": -1, "attempt": 1},
        "address": address,
        "uri": handoff.uri,
        "size": handoff.size,
        "attempt": 2,
    } == read
    assert ("delete", "ok", address) == (deleted["action"], deleted["outcome"], deleted["address"])
    assert ("get", "missing", address) == (missing["action"], missing["outcome"], missing["address"])


@pytest.mark.parametrize("name", ["a\nb", "a\u2028b", "a\x85b", "a\x1b[31mb", '"}', "a\r\nb", "\u202e"])
def test_no_id_ends_a_line_of_the_audit(store: Store, audit: Callable[[], list[dict[str, Any]]], name: str) -> None:
    """A line is ASCII that is printed as it is, whatever ids are, and gives them back."""
    at = Address(name, name, name, key=name)
    with run(dag_id=name, run_id=name, task_id=name):
        store.get(store.put(1, at, inline_limit=0))
    (line,) = audit()
    assert [name] * 4 == [line["address"][part] for part in ("dag_id", "run_id", "task_id", "key")]
    assert [name] * 3 == [line["by"][part] for part in ("dag_id", "run_id", "task_id")]


def test_nobody_is_audited_who_did_not_ask(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """A program that logs INFO has no second line for each value that is loaded."""
    caplog.set_level(logging.INFO)
    store.get(store.put(1, AT, inline_limit=0))
    assert {"handoff"} == {record.name for record in caplog.records}
