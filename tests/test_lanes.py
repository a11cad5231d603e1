"""Calls side by side: their results come in order, their number and bytes are bounded, and they fail as one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from handoff import lanes


def calls(number: int, call: Callable[[int], Any], held: int = 0) -> Iterator[tuple[int, Callable[[], Any]]]:
    return ((held, lambda n=n: call(n)) for n in range(number))


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 100)), max_size=30))
def test_results_come_in_the_order_of_the_calls(jobs: list[tuple[int, int]]) -> None:
    """However long each call takes and holds, its result stands where it was asked for."""
    made = ((held, lambda n=n, value=value: (n, value)) for n, (value, held) in enumerate(jobs))
    assert [(n, value) for n, (value, _) in enumerate(jobs)] == lanes.in_order(made)


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
    """Eight run at once, fewer where they hold much, and one alone may hold more than all may together."""
    assert most_at_once(30) == 8
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
