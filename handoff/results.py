"""A task's result on its way out: whole, output by output, or element by element."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from handoff import log, taskflow
from handoff.address import RETURN_VALUE, is_text
from handoff.config import DEEPEST
from handoff.context import Task
from handoff.defaults import default_store
from handoff.envelope import Inline, Stored, is_envelope
from handoff.errors import ConfigError, EncodeError, LimitError
from handoff.store import Store

_CONTAINERS = frozenset({dict, list, tuple})
_HANDOFFS = frozenset({Inline, Stored})
# A message cannot hold more nodes than this and a handoff among them.
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
        began = time.perf_counter()
        if not shape.outputs and not shape.levels:
            if type(value) in _HANDOFFS:
                return value.to_json()
            if not _holds_handoffs(value):
                return self._send_whole(value, task, began)
        elif not _is_mappable(value):
            return value  # Airflow has its own words for that
        elif shape.outputs and type(value) is dict and not _holds_handoffs([*value.values()], below=True):
            return self._send_outputs(value, task, began)
        return self._send_parts(value, task, began)

    def _send_whole(self, value: Any, task: Task, began: float) -> Any:
        at = task.address(self._key)
        limit = (
            None if value is None else self._inline_limit
        )  # nothing is never stored: it leaves no row of XCom either
        handoff = self._store.put(value, at, attempt=task.attempt, inline_limit=limit)
        log.sent(at, [handoff], began)
        return handoff.to_json()

    def _send_outputs(self, value: dict[str, Any], task: Task, began: float) -> dict[str, Any]:
        _check_names(value)
        at = task.address(self._key)
        handoffs = self._store.put_many(value, at, attempt=task.attempt, inline_limit=self._inline_limit)
        log.sent(at, list(handoffs.values()), began)
        return {name: handoff.to_json() for name, handoff in handoffs.items()}

    def _send_parts(self, value: Any, task: Task, began: float) -> Any:
        at = task.address(self._key)
        levels = max(task.shape.levels, int(task.shape.outputs))
        leaves: list[Any] = []
        frame = _open(value, levels, leaves.append)
        limit = self._store.inline_limit if self._inline_limit is UNSET else self._inline_limit
        room = limit and max(0, limit - len(msgspec.json.encode(frame)))
        handoffs = self._store.put_many(leaves, at, attempt=task.attempt, inline_limit=room)
        log.sent(at, handoffs, began)
        rest = iter(handoffs)
        return _open(value, levels, lambda _: next(rest).to_json())

    @property
    def _store(self) -> Store:
        return self._given_store or default_store()


def _open(value: Any, levels: int, visit: Callable[[Any], Any], depth: int = 0) -> Any:
    """Give the containers of a result anew, with what ``visit`` gives for each value in them.

    Opened are as many levels as tasks are mapped over, and what holds handoffs.
    """
    kind = type(value)
    mapped = depth < levels and (depth == 0 or kind is dict)
    if not mapped and not _holds_handoffs(value):
        return visit(value)
    if depth == DEEPEST:
        raise LimitError(f"the result is nested deeper than {DEEPEST} levels, or holds itself", limit=DEEPEST)
    if kind is dict and not is_envelope(value):
        _check_names(value)
        return {name: _open(node, levels, visit, depth + 1) for name, node in value.items()}
    if kind is list:
        return [_open(node, levels, visit, depth + 1) for node in value]
    what = "an envelope" if is_envelope(value) or kind in _HANDOFFS else f"a {kind.__name__}"
    why = "holds handoffs, and JSON has no such type" if not mapped else "has tasks mapped over its elements"
    raise EncodeError(f"the result is {what} that {why}", remedy="Return a list of the values")


def _check_names(value: dict[Any, Any]) -> None:
    for name in value:
        if type(name) is not str or not name or name.startswith("__") or not is_text(name):
            raise EncodeError(
                f"{name!r} names a value of the result, and Airflow does not keep such a name",
                remedy="Use text that does not begin with two underscores",
                path=f"[{name!r}]",
            )


def _is_mappable(value: Any) -> bool:
    return type(value) in _HANDOFFS or (isinstance(value, Sequence | Mapping) and not isinstance(value, str | bytes))


def _holds_handoffs(value: Any, *, below: bool = False) -> bool:
    """Whether a container holds handoffs, at any depth; or only ``below`` its own elements."""
    level = [value] if type(value) in _CONTAINERS else []
    nodes = 0
    while level:
        nodes += sum(map(len, level))
        if nodes > _MOST_NODES:
            return False
        under: list[Any] = []
        for container in level:
            under += container.values() if type(container) is dict else container
        kinds = set(map(type, under))
        if not below and not kinds.isdisjoint(_HANDOFFS):
            return True
        below = False
        level = [] if kinds.isdisjoint(_CONTAINERS) else [node for node in under if type(node) in _CONTAINERS]
    return False
