"""What is told of the tasks of a real DAG, and who they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from handoff import Event, observe
from tests.airflow.dagfiles import load


@pytest.mark.timeout(300)
def test_each_task_of_a_real_dag_is_told_by_its_name(run: Callable[..., str]) -> None:
    """Decorated, reading by hand, or mapped: an event says which task, which instance of it, and which attempt."""
    events: list[Event] = []
    with observe(events.append):
        assert run(load("seen").dag) == "success"
    assert {"seen"} == {event.who.dag_id for event in events}
    assert 1 == len({event.who.run_id for event in events} - {""})
    told = [(event.action, event.who.task_id, event.who.map_index, event.is_inline) for event in events]
    assert [
        ("get", "by_hand", -1, False),
        ("get", "mapped", 0, False),
        ("get", "mapped", 1, False),
        ("put", "mapped", 0, True),
        ("put", "mapped", 1, True),
        ("put", "numbers", -1, False),
    ] == sorted(told)
    assert all(event.who.attempt <= 1 for event in events)  # `dag.test` may count from 0
