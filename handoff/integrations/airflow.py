"""The XCom backend: every XCom of a deployment obeys the laws, with no decorator in its DAGs.

Set ``AIRFLOW__CORE__XCOM_BACKEND=handoff.integrations.airflow.HandoffXCom``, in Airflow 2.11 and in 3;
`docs/xcom-backend.md` describes it. The only room that imports Airflow, and only what that publishes for backends.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import msgspec

from handoff import envelope, lanes, plain, records, taskflow
from handoff.address import Address
from handoff.config import DEEPEST, MESSAGE_CAP
from handoff.containers import CONTAINERS, levels, nodes_of
from handoff.defaults import default_store
from handoff.envelope import Handoff, Stored
from handoff.errors import EncodeError, IdentityError, LimitError, MismatchError
from handoff.sizes import human_size
from handoff.who import Who, being

if TYPE_CHECKING:

    class BaseXCom:
        """What is used of Airflow's class, which differs by version and is not there where types are checked."""

        @staticmethod
        def serialize_value(value: Any) -> Any: ...
        @staticmethod
        def deserialize_value(result: Any) -> Any: ...
        @classmethod
        def delete(cls, *args: Any, **kwargs: Any) -> None: ...
else:
    try:
        from airflow.sdk.bases.xcom import BaseXCom
    except ImportError:
        from airflow.models.xcom import BaseXCom

#: Airflow 2 keeps bytes in a row, Airflow 3 an object that the API writes as JSON.
_KEEPS_BYTES = BaseXCom.__module__ == "airflow.models.xcom"
# Airflow's scheduler reads these, to know what was skipped: in Airflow 3 without a backend, in 2 without the storage.
_READ_BY_AIRFLOW = frozenset({"skipmixin_key", "past_depends_met"})
# Each takes two bytes of JSON at the least: with more of them nothing travels as a message.
_MOST_NODES = MESSAGE_CAP // 2
_NOWHERE = Address("none", "none", "none")

_deleting: ContextVar[tuple[Any, ...] | None] = ContextVar("handoff_deleting", default=None)


class HandoffXCom(BaseXCom):
    """Keeps small XComs in their row as they are, and large ones as artifacts of `default_store`.

    Guarantees: what is pulled is identical to what was pushed, or the push raises `EncodeError`; a row of the web page
    is never loaded; when the next try starts, the artifacts of the last one's rows are removed.
    """

    @staticmethod
    def serialize_value(
        value: Any,
        *,
        key: str | None = None,
        task_id: str | None = None,
        dag_id: str | None = None,
        run_id: str | None = None,
        map_index: int | None = None,
    ) -> Any:
        """Give what the row of a value holds: itself, or an envelope. Airflow calls it for every push.

        Handoffs, envelopes, and lists, dicts and tuples that hold some travel as they are; objects of Airflow's own
        as Airflow writes them. Raises: what ``Store.put`` raises; `EncodeError` for records; `IdentityError` where a
        value is to be stored and an id is missing.
        """
        if taskflow.is_lazy_sequence(type(value)):
            value = list(value)
        holds = _what_is_in(value)
        if key in _READ_BY_AIRFLOW:
            return BaseXCom.serialize_value(value)
        if holds == "airflow":
            if taskflow.is_of_airflow(value):
                return BaseXCom.serialize_value(value)
            raise EncodeError(
                "objects of Airflow's own stand beside data that Airflow would alter, or that is too large for a row",
                remedy="Push them apart",
            )
        if holds == "handoffs":
            message = _bounded(_message_of(value, 0))
            return _row(message) if envelope.is_envelope(message) else BaseXCom.serialize_value(message)
        if key is None or task_id is None or dag_id is None or run_id is None or map_index is None:
            return _row(_put_inline(value))
        at = Address(dag_id, run_id, task_id, map_index, key)
        attempt = _attempt(at)
        with being(Who(dag_id, run_id, task_id, map_index, attempt)):
            return _row(default_store().put(value, at, attempt=attempt).to_json())

    @staticmethod
    def deserialize_value(result: Any) -> Any:
        """Give the value of a row, an artifact's too. Airflow calls it for every pull, in the task's process.

        Envelopes that are elements of the row's lists and dicts arrive as their values; what was loaded is not
        searched. What holds records arrives as its handoff, whose reader names their type. Rows that this class did not
        write are Airflow's. Raises: what ``Store.get`` raises.
        """
        message = _read(result.value)
        if envelope.is_envelope(message):
            return _value_of(Handoff.from_json(message))
        if plain.encode(message, MESSAGE_CAP) is not None:
            return message
        return _load(BaseXCom.deserialize_value(result))

    @classmethod
    def purge(cls, xcom: Any, *_: Any) -> None:
        """Remove the artifacts of a row, where they are its own task's. A handoff that was passed on is left alone."""
        # In Airflow 2 it is the row, which names its task; in 3 no more than key and value.
        row = (xcom.dag_id, xcom.run_id, xcom.task_id, xcom.map_index) if hasattr(xcom, "task_id") else _deleting.get()
        for handoff in _stored_in(_read(xcom.value)):
            at = handoff.address
            if (at.dag_id, at.run_id, at.task_id, at.map_index) == row:
                default_store().delete(at)

    @classmethod
    def delete(cls, *args: Any, **kwargs: Any) -> None:
        """Delete a row as Airflow does, and let `purge` know whose it is."""
        named = inspect.signature(super().delete).bind(*args, **kwargs).arguments
        index = named.get("map_index")
        row = named.get("dag_id"), named.get("run_id"), named.get("task_id"), -1 if index is None else index
        token = _deleting.set(row)
        try:
            super().delete(*args, **kwargs)
        finally:
            _deleting.reset(token)


# --- writing ----------------------------------------------------------------------------------------------------


def _row(message: Any) -> Any:
    return msgspec.json.encode(message) if _KEEPS_BYTES else message


def _attempt(at: Address) -> int:
    # Airflow 3 pushes a result when the task's context is gone. What it exported for the task is still there.
    given = os.environ.get
    ids = given("AIRFLOW_CTX_DAG_ID"), given("AIRFLOW_CTX_DAG_RUN_ID"), given("AIRFLOW_CTX_TASK_ID")
    attempt = given("AIRFLOW_CTX_TRY_NUMBER", "")
    if ids != (at.dag_id, at.run_id, at.task_id) or not attempt.isdecimal():
        return 1
    return max(int(attempt), 1)  # `airflow tasks test` counts from 0


def _put_inline(value: Any) -> Any:
    """Give the message of a value of which it is not known whose it is: it travels inline, or not at all."""
    store = default_store()
    limit = MESSAGE_CAP if store.inline_limit is None else store.inline_limit
    with contextlib.suppress(LimitError):  # it is larger than any message
        message = store.put(value, _NOWHERE, inline_limit=None).to_json()
        if len(msgspec.json.encode(message)) <= limit:
            return message
    raise IdentityError(
        "this XCom is to be stored, and its dag_id, run_id, task_id, map_index or key is missing",
        remedy="Push it by a task instance, or put it with an explicit address and push the handoff",
    )


def _what_is_in(value: Any) -> str:
    """Tell ``handoffs`` and objects of ``airflow`` from data, looking into lists, dicts and tuples."""
    with contextlib.suppress(OverflowError):
        for nodes, kinds in itertools.chain([([value], {type(value)})], levels(value, _MOST_NODES)):
            if envelope.any_handoff(nodes, kinds):
                return "handoffs"
            if any(map(taskflow.is_airflows, kinds)):
                return "airflow"
            _refuse_records(kinds)
    return ""


def _refuse_records(kinds: set[type]) -> None:
    for name in sorted(records.name_of(kind) for kind in kinds if records.kind_of(kind)):
        raise EncodeError(
            f"a record ({name}) is read by its reader's annotation, and the backend has none to go by",
            remedy="Return its fields as a dict, or decorate both tasks with @offload",
        )


def _message_of(value: Any, depth: int) -> Any:
    """Give what travels for a container that holds handoffs: they as envelopes, and all else in the message."""
    handoff = envelope.handoff_in(value)
    if handoff:
        return handoff.to_json()
    if _what_is_in(value) != "handoffs":
        # A part has no address of its own, so it travels in the message or not at all.
        return default_store().put(value, _NOWHERE, inline_limit=None).to_json()
    if depth == DEEPEST:
        raise LimitError(f"this XCom is nested deeper than {DEEPEST} levels, or holds itself", limit=DEEPEST)
    if type(value) is tuple and depth and _KEEPS_BYTES:
        raise EncodeError("a tuple that holds handoffs, inside of another container", remedy="Make it a list")
    if type(value) is dict and plain.encode(dict.fromkeys(value), MESSAGE_CAP) is None:
        raise EncodeError("a dict that holds handoffs has a key that is no text, or begins with __", remedy="Rename it")
    return _rebuilt(value, lambda node: _message_of(node, depth + 1))


def _bounded(message: Any) -> Any:
    size = len(msgspec.json.encode(message))
    if size <= MESSAGE_CAP:
        return message
    raise LimitError(
        f"the handoffs and values pushed together take a message of {human_size(size)}",
        remedy="Push fewer, or put what is large and push its handoff",
        size=size,
        limit=MESSAGE_CAP,
    )


# --- reading ----------------------------------------------------------------------------------------------------


def _read(value: Any) -> Any:
    """Give the JSON of a row; bytes that are no JSON are Airflow's own, and stay what they are."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeError, RecursionError):
        return msgspec.json.decode(value) if type(value) is bytes else value
    return value


def _load(value: Any) -> Any:
    """Put values in place of the envelopes in a container, fetched side by side."""
    found: list[Any] = []
    _visit(value, found.append)
    handoffs = map(Handoff.from_json, found)
    values = iter(
        lanes.in_order((envelope.weight_of(handoff), functools.partial(_value_of, handoff)) for handoff in handoffs)
    )
    return _visit(value, lambda _: next(values)) if found else value


def _value_of(handoff: Handoff) -> Any:
    store = default_store()
    try:
        return store.get(handoff)
    except MismatchError:  # it holds records, and who pulls may know their type
        return envelope.bind(handoff, store)


def _visit(value: Any, visit: Callable[[Any], Any], depth: int = 0) -> Any:
    if envelope.is_envelope(value):
        return visit(value)
    if type(value) not in CONTAINERS or depth == DEEPEST:
        return value
    return _rebuilt(value, lambda node: _visit(node, visit, depth + 1))


def _stored_in(message: Any, depth: int = 0) -> Iterator[Stored]:
    handoff = envelope.handoff_in(message)
    if isinstance(handoff, Stored):
        yield handoff
    elif handoff is None and type(message) in CONTAINERS and depth < DEEPEST:
        for node in nodes_of(message):
            yield from _stored_in(node, depth + 1)


def _rebuilt(container: Any, change: Callable[[Any], Any]) -> Any:
    """Make a container of the same kind, each of its nodes changed."""
    nodes = map(change, nodes_of(container))
    return dict(zip(container, nodes, strict=True)) if type(container) is dict else type(container)(nodes)
