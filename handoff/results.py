"""A task's result on its way out: whole, output by output, or element by element."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from handoff import sight, taskflow
from handoff.address import RETURN_VALUE, is_text
from handoff.config import DEEPEST
from handoff.containers import CONTAINERS, levels
from handoff.context import Task
from handoff.defaults import default_store
from handoff.envelope import any_handoff, handoff_in
from handoff.errors import ConfigError, EncodeError, LimitError
from handoff.store import Store

# A handoff among more nodes is not looked for: it is refused when the value is encoded.
_MOST_NODES = 10_000


class Sender:
    """Hands over what a function returned."""

    def __init__(self, store: Store | None, inline_limit: int | UnsetType | None, key: str) -> None:
        self._given_store = store
        self._inline_limit = inline_limit
        self._key = key

    def send(self, result: Any, task: Task | None) -> Any:
        """Give what the task is to return in place of its result."""
        if task is None:
            return result
        if task.shape.role == "answer":
            if type(result).__name__ != "PokeReturnValue" or not result or result.xcom_value is None:
                return result
            return type(result)(is_done=True, xcom_value=self._hand_over(result.xcom_value, task))
        if task.shape.role == "condition" and not result:
            return result
        return self._hand_over(result, task)

    def _hand_over(self, value: Any, task: Task) -> Any:
        shape = task.shape
        if taskflow.is_of_airflow(value):
            return value
        if shape.outputs and self._key != RETURN_VALUE:
            raise ConfigError("a task of several outputs hands over each under its own key", remedy="Leave key= away")
        if not shape.outputs and not shape.levels:
            handoff = handoff_in(value)
            if handoff is not None:
                return handoff.to_json()
            return self._send_parts(value, task) if _holds_handoffs(value) else self._send_whole(value, task)
        if value is None or (shape.outputs and not isinstance(value, Mapping)):
            return value  # Airflow has its own words for that
        if shape.outputs and type(value) is not dict:
            raise EncodeError(f"several outputs are returned as a {type(value).__name__}", remedy="Return a dict")
        if not shape.outputs or _holds_handoffs([*value.values()], below=True):
            return self._send_parts(value, task)
        return self._send_outputs(dict(value), task)

    def _send_whole(self, value: Any, task: Task) -> Any:
        at = task.address(self._key)
        if value is None:  # it leaves no row of XCom, and no artifact either
            return self._store.put(value, at, attempt=task.attempt, inline_limit=None).to_json()
        with sight.together():
            return self._store.put(value, at, attempt=task.attempt, inline_limit=self._inline_limit).to_json()

    def _send_outputs(self, value: dict[Any, Any], task: Task) -> dict[str, Any]:
        _check_names(value)
        at = task.address(self._key)
        given = {name: handoff_in(node) or node for name, node in value.items()}
        handoffs = self._store.put_many(given, at, attempt=task.attempt, inline_limit=self._inline_limit)
        return {name: handoff.to_json() for name, handoff in handoffs.items()}

    def _send_parts(self, value: Any, task: Task) -> Any:
        at = task.address(self._key)
        depth = max(task.shape.levels, int(task.shape.outputs))
        leaves: list[Any] = []
        frame = _open(value, depth, leaves.append)
        limit = self._store.inline_limit if self._inline_limit is UNSET else self._inline_limit
        room = limit and max(0, limit - len(msgspec.json.encode(frame)))
        handoffs = self._store.put_many(leaves, at, attempt=task.attempt, inline_limit=room)
        rest = iter(handoffs)
        return _open(value, depth, lambda _: next(rest).to_json())

    @property
    def _store(self) -> Store:
        return self._given_store or default_store()


def _open(value: Any, mapped: int, visit: Callable[[Any], Any], depth: int = 0) -> Any:
    """Give the containers of a result anew, with what ``visit`` gives for each value in them.

    Opened are as many levels as tasks are mapped over, and what holds handoffs.
    """
    kind, handoff = type(value), handoff_in(value)
    needed = depth < mapped and (depth == 0 or kind in CONTAINERS)
    if not needed and (handoff is not None or not _holds_handoffs(value)):
        return visit(value if handoff is None else handoff)
    if depth == DEEPEST:
        raise LimitError(f"the result is nested deeper than {DEEPEST} levels, or holds itself", limit=DEEPEST)
    if handoff is None and kind is dict:
        _check_names(value)
        return {name: _open(node, mapped, visit, depth + 1) for name, node in value.items()}
    if kind is list:
        return [_open(node, mapped, visit, depth + 1) for node in value]
    what = f"a {kind.__name__}" if handoff is None else "a handoff"
    why = "has tasks mapped over its elements" if needed else "holds handoffs, and JSON has no such type"
    where = "the result is" if depth == 0 else "the result holds"
    raise EncodeError(f"{where} {what} that {why}", remedy="Return a list of the values")


def _check_names(value: dict[Any, Any]) -> None:
    for name in value:
        if type(name) is not str or not name or name.startswith("__") or not is_text(name):
            raise EncodeError(
                f"{name!r} names a value of the result, and Airflow does not keep such a name",
                remedy="A name is text, not empty, and does not begin with two underscores",
                path=f"[{name!r}]",
            )


def _holds_handoffs(value: Any, *, below: bool = False) -> bool:
    """Whether a container holds handoffs or envelopes, at any depth; or only ``below`` its own elements."""
    if type(value) not in CONTAINERS:
        return False
    with contextlib.suppress(OverflowError):
        return any(any_handoff(*level) for level in itertools.islice(levels(value, _MOST_NODES), int(below), None))
    return False
