"""Many large texts through expand and aggregate: with and without hand-over, as one list and made by each instance."""

from __future__ import annotations

import base64
import datetime as dt
import os
import random
from collections.abc import Callable
from typing import Any

try:
    from airflow.sdk import dag, task
except ImportError:
    from airflow.decorators import dag, task

from handoff import offload

COUNT = int(os.environ.get("MAPPED_COUNT", "200"))
SIZE = int(os.environ.get("MAPPED_SIZE", "1000000"))

# Airflow logs what a task returns: of a list of 200 MB, that alone takes minutes.
QUIET = {"show_return_value_in_logs": False}


def text(index: int) -> str:
    """Give the text of one element, which compression makes little smaller."""
    return base64.b64encode(random.Random(index).randbytes(SIZE)).decode()[:SIZE]


def untouched(function: Any) -> Any:
    """Stand where ``offload`` stands in the other DAGs."""
    return function


def make(dag_id: str, decorator: Callable[[Any], Any], *, whole: bool) -> None:
    """Make one of the DAGs: its first task returns all texts in a list, or only their indices."""

    @dag(dag_id=dag_id, schedule=None, start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    def mapped() -> None:
        @task(**QUIET)
        @decorator
        def produce() -> Any:
            return [text(index) for index in range(COUNT)] if whole else list(range(COUNT))

        @task(**QUIET)
        @decorator
        def transform(element: Any) -> Any:
            return (element if whole else text(element)).swapcase()

        @task(**QUIET)
        @decorator
        def aggregate(elements: Any) -> Any:
            arrived = 0
            for index, element in enumerate(elements):
                assert element == text(index).swapcase(), index
                arrived += 1
            assert arrived == COUNT
            return "identical"

        aggregate(transform.expand(element=produce()))

    mapped()


make("handoff_list", offload, whole=True)
make("plain_list", untouched, whole=True)
make("handoff_indices", offload, whole=False)
make("plain_indices", untouched, whole=False)
