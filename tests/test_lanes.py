"""Calls side by side: their results come in order, their number and bytes are bounded, and they fail as one."""

from __future__ import annotations

import contextvars
import gc
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from handoff import (
    ConfigError,
    DamagedError,
    DeniedError,
    HandoffError,
    LimitError,
    MissingError,
    StaleError,
    UnreachableError,
    cancellation,
    lanes,
)


def calls(number: int, call: Callable[[int], Any], held: int = 0) -> Iterator[tuple[int, Callable[[], Any]]]:
    return ((held, lambda n=n: call(n)) for n in range(number))


JOBS = st.lists(st.tuples(st.integers(0, 10), st.integers(0, 100)), max_size=30)


@given(JOBS, st.integers(1, 9), st.integers(1, 200))
def test_results_come_in_the_order_of_the_calls(jobs: list[tuple[int, int]], width: int, most_bytes: int) -> None:
    """However many run at once and whatever each holds, its result stands where it was asked for, taken at once or one by one."""
    wanted = [(n, value) for n, (value, _) in enumerate(jobs)]
    for run in (lanes.in_order, lanes.as_taken):
        made = ((held, lambda n=n, value=value: (n, value)) for n, (value, held) in enumerate(jobs))
        assert wanted == list(run(made, width=width, most_bytes=most_bytes))


class Load:
    """Counts what is under way, and what it holds: from the moment a call begins until it ends, or is taken."""

    def __init__(self) -> None:
        self.under_way: dict[int, int] = {}
        self.most_calls = 0
        self.most_bytes = 0
        self.lock = threading.Lock()

    def begin(self, n: int, held: int) -> int:
        with self.lock:
            self.under_way[n] = held
            self.most_calls = max(self.most_calls, len(self.under_way))
            if len(self.under_way) > 1:
                self.most_bytes = max(self.most_bytes, sum(self.under_way.values()))
        return n

    def end(self, n: int) -> int:
        with self.lock:
            del self.under_way[n]
        return n


@given(st.lists(st.integers(0, 100), max_size=30), st.integers(1, 9), st.integers(1, 200))
def test_never_more_is_under_way_than_is_allowed(sizes: list[int], width: int, most_bytes: int) -> None:
    """Neither calls nor the bytes they hold exceed their bounds, but for one call that holds more than all may."""
    load = Load()

    def call(n: int, held: int) -> int:
        load.begin(n, held)
        time.sleep(0.0002)
        return load.end(n)

    made = ((held, lambda n=n, held=held: call(n, held)) for n, held in enumerate(sizes))
    lanes.in_order(made, width=width, most_bytes=most_bytes)
    assert load.most_calls <= width
    assert load.most_bytes <= most_bytes


@given(st.lists(st.integers(0, 100), max_size=30), st.integers(1, 9), st.integers(1, 200))
def test_never_more_waits_to_be_taken_than_is_allowed(sizes: list[int], width: int, most_bytes: int) -> None:
    """One by one, what has been fetched and not been taken counts as well: only a window is in memory."""
    load = Load()
    made = ((held, lambda n=n, held=held: load.begin(n, held)) for n, held in enumerate(sizes))
    for n in lanes.as_taken(made, width=width, most_bytes=most_bytes):
        load.end(n)
    assert load.most_calls <= width
    assert load.most_bytes <= most_bytes
    assert {} == load.under_way


@given(st.lists(st.sampled_from([MissingError, StaleError, DamagedError, None]), max_size=20), st.integers(1, 5))
def test_every_failure_is_named(ends: list[Any], width: int) -> None:
    """Whichever fail, one is raised as it is, and several as one that holds each in order and names its address."""

    def call(n: int) -> int:
        if ends[n] is not None:
            raise ends[n](f"no {n}", remedy="Run it", address=f"place-{n}")
        return n

    wanted = [f"place-{n}" for n, end in enumerate(ends) if end]
    if not wanted:
        assert [*range(len(ends))] == lanes.in_order(calls(len(ends), call), width=width)
        return
    with pytest.raises(HandoffError) as caught:
        lanes.in_order(calls(len(ends), call), width=width)
    error = caught.value
    assert wanted == [failure.address for failure in error.failures or [error]]
    if len(wanted) > 1:
        assert all(f"no {place[6:]}. Run it." in str(error) or place in str(error) for place in wanted)
        assert f"{len(wanted)} of {len(ends)} failed. Run it" == str(error).partition("\n")[0]
        assert DamagedError in ends or type(error) is not DamagedError


def test_one_call_stays_in_its_thread() -> None:
    """Nothing, or a single call, needs no thread."""
    assert [] == lanes.in_order(iter(()))
    assert [threading.current_thread()] == lanes.in_order(calls(1, lambda _: threading.current_thread()))


def most_at_once(number: int, held: int = 0) -> int:
    running, most, lock = 0, 0, threading.Lock()

    def call(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1

    lanes.in_order(calls(number, call, held))
    return most


def test_calls_are_bounded_in_number_and_bytes() -> None:
    """Sixteen run at once, fewer where they hold much, and one alone may hold more than all may together."""
    assert most_at_once(60) == 16
    assert most_at_once(10, held=100 * 1024**2) == 2
    assert most_at_once(4, held=1024**3) == 1


def test_the_first_failure_in_order_is_raised() -> None:
    """When several calls fail, the first of them speaks, and no further call is begun."""
    begun: list[int] = []
    both = threading.Barrier(2, timeout=10)

    def call(n: int) -> int:
        begun.append(n)
        if n in (3, 5):
            both.wait()
            raise ValueError(n)
        return n

    with pytest.raises(ValueError, match="3"):
        lanes.in_order(calls(1000, call))
    assert len(begun) < 50


def test_a_failure_of_what_makes_the_calls_is_raised() -> None:
    """Where the next call cannot be made, those under way end first."""
    ended: list[int] = []

    def made() -> Iterator[tuple[int, Callable[[], Any]]]:
        yield from calls(3, ended.append)
        raise KeyError("next")

    with pytest.raises(KeyError, match="next"):
        lanes.in_order(made())
    assert {0, 1, 2} == set(ended)


def test_a_storage_that_refuses_is_not_asked_for_the_rest() -> None:
    """After a missing artifact all others are tried; after a refusal, and where nothing answers, none is begun."""
    for kind, few in ((MissingError, False), (DeniedError, True), (UnreachableError, True)):
        begun: list[int] = []

        def call(n: int, kind: Any = kind, begun: list[int] = begun) -> int:
            begun.append(n)
            time.sleep(0.001)
            raise kind("no", address=f"{n}")

        with pytest.raises(kind) as caught:
            lanes.in_order(calls(100, call), width=4)
        assert few == (len(begun) < 20)
        assert sorted(begun) == [int(failure.address or "") for failure in caught.value.failures]
        assert f"{len(begun)} of {len(begun)} failed" == str(caught.value).partition("\n")[0]


def test_the_class_is_of_what_asks_most() -> None:
    """Among several failures a retry is not promised where another needs a person, and the error survives pickle."""
    kinds = [UnreachableError, MissingError, StaleError, DeniedError]
    for number, kind, remedy in ((4, DeniedError, "Do 3"), (3, MissingError, "Do 1"), (1, UnreachableError, "Do 0")):
        all_begun = threading.Barrier(4, timeout=10)

        def call(n: int, number: int = number, all_begun: threading.Barrier = all_begun) -> int:
            all_begun.wait()
            raise kinds[n % number]("no", remedy=f"Do {n}", address=f"at-{n}")

        with pytest.raises(kind) as caught:
            lanes.in_order(calls(4, call), width=4)
        again = pickle.loads(pickle.dumps(caught.value))
        assert (kind, remedy) == (type(again), again.remedy)
        assert str(caught.value) == str(again)
        assert [f"at-{n}" for n in range(4)] == [failure.address for failure in again.failures]


def test_what_failed_holds_no_values() -> None:
    """The values that failed calls worked with are let go, and so are those that nobody will get any more."""

    class Value:
        alive = 0

        def __init__(self) -> None:
            Value.alive += 1

        def __del__(self) -> None:
            Value.alive -= 1

    def call(n: int) -> Any:
        value = Value()
        if n % 2:
            raise LimitError(f"{n}", address=f"{n}")
        return value

    with pytest.raises(LimitError) as caught:
        lanes.in_order(calls(100, call), width=4)
    gc.collect()
    assert 50 == len(caught.value.failures)
    assert 0 == Value.alive


def test_a_context_goes_with_its_call() -> None:
    """A call sees the context variables of whoever asked for it."""
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("mine")
    assert ["mine"] * 3 == lanes.in_order(calls(3, lambda _: variable.get()))
    assert ["mine"] * 3 == list(lanes.as_taken(calls(3, lambda _: variable.get())))


def threads() -> int:
    return sum(thread.name.startswith("handoff_") for thread in threading.enumerate())


def all_threads_end() -> bool:
    """Wait until no thread is left: one that an interrupt met while it was being started ends unjoined."""
    while threads():
        time.sleep(0.01)
    return True


def test_whoever_takes_no_more_leaves_nothing_behind() -> None:
    """Stopping early cancels what is under way, begins nothing more, and ends the threads."""
    begun: list[int] = []
    all_begun, ended = threading.Event(), threading.Event()

    def call(n: int) -> int:
        begun.append(n)
        if len(begun) == 4:
            all_begun.set()
        if n:
            with cancellation.ending(ended.set):
                assert ended.wait(60)
        return n

    values = lanes.as_taken(calls(1000, call), width=4)
    assert 0 == next(values)
    assert all_begun.wait(60)
    start = time.monotonic()
    values.close()
    assert time.monotonic() - start < 30
    assert {0, 1, 2, 3} == set(begun)
    assert 0 == threads()


def test_the_first_failure_that_would_be_taken_is_raised() -> None:
    """One by one, what was fetched before comes first; then all failures of the window are raised as one."""

    def call(n: int) -> int:
        if n in (3, 4):
            raise MissingError("no", address=f"at-{n}")
        return n

    values = lanes.as_taken(calls(100, call), width=4)
    assert [0, 1, 2] == [next(values) for _ in range(3)]
    with pytest.raises(MissingError) as caught:
        next(values)
    assert ["at-3", "at-4"] == [failure.address for failure in caught.value.failures]
    assert 0 == threads()


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Let Ctrl-C interrupt, also where whoever started the tests has them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("run", [lanes.in_order, lambda made: list(lanes.as_taken(made))], ids=["in_order", "as_taken"])
def test_an_interrupt_ends_what_is_under_way(run: Any) -> None:
    """Ctrl-C, or a task's timeout, in the waiting thread cancels the storage calls, and does not wait for their deadline."""
    ended = threading.Event()
    outcomes: list[type[BaseException]] = []

    def call(n: int) -> None:
        if n == 3:
            os.kill(os.getpid(), signal.SIGINT)
        try:
            with cancellation.ending(ended.set):
                ended.wait(60)
        except BaseException as error:
            outcomes.append(type(error))
            raise

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(calls(4, call))
    assert time.monotonic() - start < 30
    assert all_threads_end()
    assert {cancellation.Cancelled} == set(outcomes)


@pytest.mark.usefixtures("interrupts")
def test_what_cannot_be_ended_is_left_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that hangs outside of a storage's reach keeps an interrupted task for its time of grace alone."""
    monkeypatch.setattr(cancellation, "GRACE", 0.05)
    hangs = threading.Event()

    def call(n: int) -> None:
        if n == 1:
            os.kill(os.getpid(), signal.SIGINT)
        hangs.wait(60)

    with pytest.raises(KeyboardInterrupt):
        lanes.in_order(calls(2, call))
    assert 2 == threads()
    hangs.set()
    assert all_threads_end()


def test_lanes_within_lanes_end_together() -> None:
    """Cancelling a call cancels the calls that it waits for, and those that it is about to make."""
    outer = cancellation.Cancellation()
    begun = threading.Barrier(3, timeout=10)
    ended = threading.Event()
    count: list[int] = []

    def call(n: int) -> None:
        count.append(n)
        with cancellation.ending(ended.set):
            begun.wait()
            assert ended.wait(60)

    def cancel() -> None:
        begun.wait()
        outer.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(cancellation.Cancelled):
        outer.run(lambda: lanes.in_order(calls(50, call), width=2))
    thread.join()
    assert {0, 1} == set(count)
    with pytest.raises(cancellation.Cancelled):
        outer.run(lambda: count.append(99))
    assert 99 not in count


def test_what_is_cancelled_before_it_begins_is_ended() -> None:
    """A storage call that begins as its caller gives up is ended as well."""
    token = cancellation.Cancellation()
    ended: list[int] = []
    token.cancel()
    with pytest.raises(cancellation.Cancelled), token.ending(lambda: ended.append(1)):
        pass
    assert [1] == ended


def test_bounds_are_numbers_from_one() -> None:
    """A width or a bound that lets nothing pass is refused at once, by its name."""
    for given_bounds, name in (({"width": 0}, "width"), ({"width": True}, "width"), ({"most_bytes": 0}, "most_bytes")):
        for run in (lanes.in_order, lanes.as_taken):
            with pytest.raises(ConfigError, match=f"{name} must be a number from 1"):
                run(calls(3, lambda n: n), **given_bounds)
