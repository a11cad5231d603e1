"""Which task is running: all that is known of an orchestrator, told by the shape of its objects.

Nothing of an orchestrator is imported: a module that is not loaded already runs no task.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar
from typing import Any

import msgspec

from handoff import attempts, envelope, who
from handoff.address import Address
from handoff.errors import EnvelopeError, IdentityError
from handoff.taskflow import Shape, layers, shape_of
from handoff.who import Who

_IDENTITY = ("dag_id", "run_id", "task_id", "map_index", "try_number")
_TASK_INSTANCE = ("ti", "task_instance")


class Run:
    """A run of a plain Python pipeline, as `run` opens it."""

    def __init__(self, dag_id: str, run_id: str, task_id: str | None, map_index: int) -> None:
        self.dag_id = dag_id
        self.run_id = run_id
        self.task_id = task_id
        self.map_index = map_index
        self._written: set[Address] = set()

    def claim(self, address: Address) -> None:
        """Note that an address is written. Raises: `IdentityError` where it was written before."""
        if address in self._written:
            raise IdentityError(
                f"{address.path} was already written in this run",
                remedy="Open a run(…, map_index=…) for each repetition, or give the result another key",
                address=address.path,
            )
        self._written.add(address)


class Task(msgspec.Struct, frozen=True):
    """A running task whose result is to be handed over."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    attempt: int = 1
    shape: Shape = Shape()
    run: Run | None = None

    def address(self, key: str) -> Address:
        """Give the address of this task's result. Raises: `IdentityError`."""
        found = Address(self.dag_id, self.run_id, self.task_id, self.map_index, key)
        if self.run is not None:
            self.run.claim(found)
        return found


_current_run: ContextVar[Run | None] = ContextVar("handoff_run", default=None)


@contextlib.contextmanager
def run(*, dag_id: str, run_id: str, task_id: str | None = None, map_index: int = -1) -> Generator[Run]:
    """Say which run the decorated functions called inside belong to, where no orchestrator does.

    Arguments: ids as in `Address`; without a ``task_id``, each function's name is its own. Each address is written
    once in a run. Raises: `IdentityError`.
    """
    Address(dag_id, run_id, task_id or "task", map_index)  # ids that have no address are refused here
    token = _current_run.set(Run(dag_id, run_id, task_id, map_index))
    try:
        with who.being(Who(dag_id, run_id, task_id or "", map_index)):
            yield _current_run.get()  # type: ignore[misc]  # it was just set
    finally:
        _current_run.reset(token)


@contextlib.contextmanager
def inside(task: Task | None) -> Generator[None]:
    """Let decorated functions that a task calls be plain functions, in its threads too."""
    if task is None:
        yield
    elif task.run is None:
        with attempts.work(Address(task.dag_id, task.run_id, task.task_id, task.map_index)):
            yield
    else:
        token = _current_run.set(None)
        try:
            yield
        finally:
            _current_run.reset(token)


def running(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Task | None:
    """Find the task that is running, where its result is what ``function`` returns and is to be handed over.

    Arguments: the decorated function, and its arguments by name. None where the function is called as a plain one:
    in a test, inside another task, or by a task whose result the orchestrator reads by itself. Raises: `IdentityError`
    where a task is running and does not say which; `ConfigError` where ``.map`` would give a function what it cannot
    read.
    """
    inside = _current_run.get()
    if inside is not None:
        name = inside.task_id or function.__name__
        return Task(inside.dag_id, inside.run_id, name, inside.map_index, run=inside)
    instance = _given(arguments) or who.instance()
    task: Any = getattr(instance, "task", None)
    if not any(layer is function for layer in layers(getattr(task, "python_callable", None))):
        return None
    if envelope.is_envelope(getattr(task, "op_kwargs", None)):
        raise EnvelopeError(
            "an envelope stands in place of the task's keyword arguments",
            remedy="Put @offload below the @task of what op_kwargs takes, or pass a dict of handoffs",
        )
    ids: list[Any] = [getattr(instance, name, None) for name in _IDENTITY]
    if None in ids:
        unknown = _IDENTITY[ids.index(None)]
        raise IdentityError(
            f"a task is running that does not tell its {unknown}", remedy="Put with an explicit address"
        )
    *place, attempt = ids
    at = Address(*place)  # ids that have no address are refused here, and not when there is a result
    if attempts.is_at_work(at):
        return None  # its function calls itself, or is decorated twice: the outermost hands over
    shape = shape_of(task, at.map_index)
    if shape is None:
        return None
    attempt = max(attempt, 1)  # `airflow tasks test` counts from 0
    return Task(at.dag_id, at.run_id, at.task_id, at.map_index, attempt, shape)


def _given(arguments: Mapping[str, Any]) -> Any:
    """Find the task instance among the arguments, where the function asked for it."""
    found = (arguments.get(name) for name in _TASK_INSTANCE)
    return next((value for value in found if type(getattr(value, "dag_id", None)) is str), None)
