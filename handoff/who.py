"""Who is at work: the running task, as far as it is known.

Nothing of an orchestrator is imported: a module that is not loaded already runs no task.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar, Token
from typing import Any

import msgspec

_AIRFLOW = ("airflow.sdk", "airflow.providers.standard.operators.python", "airflow.operators.python")


class Who(msgspec.Struct, frozen=True):
    """The running task, and which attempt of it: empty and 0 where that is not known."""

    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    map_index: int = -1
    attempt: int = 0


_TYPES = {"dag_id": str, "run_id": str, "task_id": str, "map_index": int, "attempt": int}
_known: ContextVar[Any] = ContextVar("handoff_who", default=None)


class being:  # noqa: N801 - a block: it is written as a function is called
    """Say who is at work until the block ends; with None, nothing is said."""

    __slots__ = ("_task", "_token")

    def __init__(self, task: object) -> None:
        self._task = task
        self._token: Token[Any] | None = None

    def __enter__(self) -> None:
        if self._task is not None:
            self._token = _known.set(self._task)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _known.reset(self._token)


def asked() -> Who:
    """Tell who is at work: as it was said, else as Airflow says."""
    task = _known.get() or instance()
    known: dict[str, Any] = {name: getattr(task, name, None) for name in Who.__struct_fields__}
    known["attempt"] = known["attempt"] or getattr(task, "try_number", None)
    # What an orchestrator says is not always what it should be.
    known = {name: value for name, value in known.items() if type(value) is _TYPES[name]}
    return Who(**known)


def instance() -> Any:
    """Give the task instance of Airflow's context; None outside a task."""
    for name in _AIRFLOW:
        get_context = getattr(sys.modules.get(name), "get_current_context", None)
        if get_context is not None:
            try:
                return get_context().get("ti")
            except Exception:  # noqa: BLE001 - outside a task: RuntimeError in Airflow 3, one of its own in 2
                break  # the others would ask the same, and warn that they are deprecated
    return None
