"""Who is at work: the running task, as far as it is known.

Nothing of an orchestrator is imported: a module that is not loaded already runs no task.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar, Token
from typing import Any, Protocol

import msgspec

_AIRFLOW = ("airflow.sdk", "airflow.providers.standard.operators.python", "airflow.operators.python")


class Who(msgspec.Struct, frozen=True):
    """The running task, and which attempt of it: empty and 0 where that is not known."""

    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    map_index: int = -1
    attempt: int = 0


class Known(Protocol):
    """What says who is at work."""

    @property
    def dag_id(self) -> str: ...
    @property
    def run_id(self) -> str: ...
    @property
    def task_id(self) -> str: ...
    @property
    def map_index(self) -> int: ...
    @property
    def attempt(self) -> int: ...


_known: ContextVar[Known | None] = ContextVar("handoff_who", default=None)


class being:  # noqa: N801 - a block: it is written as a function is called
    """Say who is at work until the block ends; with None, nothing is said."""

    __slots__ = ("_task", "_token")

    def __init__(self, task: Known | None) -> None:
        self._task = task
        self._token: Token[Known | None] | None = None

    def __enter__(self) -> None:
        if self._task is not None:
            self._token = _known.set(self._task)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _known.reset(self._token)


def asked() -> Who:
    """Tell who is at work: as it was said, else as Airflow says."""
    task: Any = _known.get()
    if task is None:
        task = instance()
    if task is None:
        return Who()
    attempt = getattr(task, "attempt", None) or getattr(task, "try_number", None)
    dag_id, run_id, task_id = (_text(getattr(task, name, None)) for name in ("dag_id", "run_id", "task_id"))
    return Who(dag_id, run_id, task_id, _number(getattr(task, "map_index", None), -1), _number(attempt, 0))


def instance() -> Any:
    """Give the task instance of Airflow's context; None outside a task."""
    for name in _AIRFLOW:
        get_context = getattr(sys.modules.get(name), "get_current_context", None)
        if get_context is not None:
            try:
                return get_context().get("ti")
            except Exception:  # noqa: BLE001, S112 - outside a task: RuntimeError in Airflow 3, one of its own in 2
                continue
    return None


def _text(found: object) -> str:
    return found if type(found) is str else ""


def _number(found: object, default: int) -> int:
    return found if type(found) is int else default
