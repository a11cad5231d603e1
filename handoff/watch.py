"""A store's calls, watched: each tells what it did, or failed to do."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

from msgspec import UNSET

from handoff import envelope, sight
from handoff.address import Address
from handoff.config import MESSAGE_CAP
from handoff.envelope import MARK, Handoff, Inline, Stored
from handoff.errors import ConfigError, HandoffError
from handoff.event import NEAR, OK, Action, Event
from handoff.storage import Entry, Storage

_Method = TypeVar("_Method", bound=Callable[..., Any])

_kind = type  # which a reader's argument hides
_MISSING = "missing"
# What a message takes beside its data in base64, but for rare previews.
_AROUND = 1024


def puts(method: _Method) -> _Method:
    """Watch a method that puts one value."""

    @functools.wraps(method)
    def put(self: Any, value: object, at: Address, *, attempt: int = 1, inline_limit: Any = UNSET) -> Handoff:
        began = time.perf_counter()
        try:
            handoff: Handoff = method(self, value, at, attempt=attempt, inline_limit=inline_limit)
        except BaseException as error:
            failed("put", self._storage, at, error, began, attempt=attempt)
            raise
        if type(handoff) is Inline:
            limit = (self._inline_limit if inline_limit is UNSET else inline_limit) or MESSAGE_CAP
            if len(handoff.data) * 2 + _AROUND > limit or sight.is_heard_together():
                filled = len(envelope.message_of(handoff)) / limit
                seconds = time.perf_counter() - began
                sight.tell(_of_inline("put", handoff, seconds, address=at, attempt=attempt, filled=filled))
        elif type(handoff) is Stored:
            sight.tell(_of_stored("put", self._storage, handoff, time.perf_counter() - began))
        return handoff

    return cast("_Method", put)


def gets(method: _Method) -> _Method:
    """Watch a method that gets one value."""

    @functools.wraps(method)
    def get(self: Any, x: Any, type: Any = Any, columns: Sequence[str] | None = None) -> Any:
        kind = _kind(x)
        if kind is Inline:
            is_watched = sight.is_heard()
        elif kind is dict:
            is_watched = MARK in x and (x.get("kind") != "inline" or sight.is_heard())
        else:
            is_watched = kind is Stored or kind is Address
        if is_watched:
            return read("get", self._storage, x, functools.partial(method, self, x, type, columns))
        return method(self, x, type, columns)

    return cast("_Method", get)


def deletes(method: _Method) -> _Method:
    """Watch a method that deletes one artifact."""

    @functools.wraps(method)
    def delete(self: Any, address: Address) -> bool:
        began = time.perf_counter()
        try:
            was_there: bool = method(self, address)
        except BaseException as error:
            failed("delete", self._storage, address, error, began)
            raise
        _removed(self._storage, address.path, address, OK if was_there else _MISSING, began)
        return was_there

    return cast("_Method", delete)


def read(action: Action, storage: Storage, x: Any, call: Callable[[], Any]) -> Any:
    """Watch a call that reads a handoff, an envelope or an address; UNSET is an answer left to another call."""
    at, handoff = (x, None) if isinstance(x, Address) else (None, envelope.handoff_in(x))
    if at is None and handoff is None and not envelope.is_envelope(x):
        return call()  # a plain value: nothing was handed over
    began, facts = time.perf_counter(), dict[str, Any]()

    def tell(outcome: str) -> None:
        sight.tell(_of_read(action, storage, handoff or at, facts | {"outcome": outcome}, time.perf_counter() - began))

    try:
        with sight.noting(facts):
            value = call()
    except BaseException as error:
        tell(name_of(error))
        raise
    if value is not UNSET:  # else it is left to another call
        tell(OK)
    return value


def written(storage: Storage, call: Callable[[], Stored], at: Address, attempt: int, before: float) -> Stored:
    """Watch a call that writes one of many values, on which some seconds were spent ``before``."""
    began = time.perf_counter() - before
    try:
        stored = call()
    except BaseException as error:
        failed("put", storage, at, error, began, attempt=attempt)
        raise
    sight.tell(_of_stored("put", storage, stored, time.perf_counter() - began))
    return stored


def kept_in_message(
    handoffs: Mapping[Address, Handoff], seconds: Mapping[Address, float], attempt: int, size: int, limit: int | None
) -> None:
    """Tell of those of many values that travel in their message, and on each of which some seconds were spent."""
    inline = [(at, found) for at in seconds if isinstance(found := handoffs[at], Inline)]
    # Where some had to be stored, it was filled by intent.
    filled = size / (limit or MESSAGE_CAP) if len(inline) == len(seconds) else None
    if sight.is_heard_together() or (filled or 0) > NEAR:
        for at, handoff in inline:
            sight.tell(_of_inline("put", handoff, seconds[at], address=at, attempt=attempt, filled=filled))


def delete_many(storage: Storage, addresses: Iterable[Address]) -> dict[str, HandoffError]:
    """Have a storage remove many artifacts, and tell of each; give those that failed, as it does."""
    places = {address.path: address for address in addresses}
    began = time.perf_counter()
    errors = storage.delete_many([Entry(path) for path in places])
    for path, address in places.items():
        _removed(storage, path, address, name_of(errors[path]) if path in errors else OK, began)
    return errors


def withdraw(storage: Storage, path: str, attempt: int, begun: float) -> None:
    """Have a storage remove what an earlier attempt left, and tell of it where there was something."""
    began = time.perf_counter()
    address = None
    with contextlib.suppress(ConfigError):  # an id is too long to stand in the path
        address = Address.from_path(path)
    try:
        was_there = storage.withdraw(path, attempt, begun)
    except BaseException as error:
        _removed(storage, path, address, name_of(error), began)
        raise
    if was_there:
        _removed(storage, path, address, OK, began)


def failed(action: Action, storage: Storage, at: Address, error: BaseException, began: float, **facts: Any) -> None:
    """Tell of a call that failed."""
    uri, seconds = storage.uri(at.path), time.perf_counter() - began
    sight.tell(Event(action=action, outcome=name_of(error), address=at, uri=uri, seconds=seconds, **facts))


def name_of(error: BaseException) -> str:
    """Give the outcome that an error is: its name in small letters, without Error."""
    return type(error).__name__.removesuffix("Error").lower()


def _of_stored(action: Action, storage: Storage, handoff: Stored, seconds: float, outcome: str = OK) -> Event:
    return Event(
        action=action,
        outcome=outcome,
        address=handoff.address,
        uri=storage.uri(handoff.address.path),
        codec=handoff.codec,
        type=handoff.type,
        raw_size=handoff.raw_size,
        size=handoff.size,
        seconds=seconds,
        attempt=handoff.attempt,
    )


def _of_inline(action: Action, handoff: Inline, seconds: float, **facts: Any) -> Event:
    codec, type, raw_size = handoff.codec, handoff.type, envelope.raw_size_of(handoff)
    facts |= {"codec": codec, "type": type, "raw_size": raw_size, "size": handoff.size}
    return Event(action=action, is_inline=True, seconds=seconds, **facts)


def _of_read(action: Action, storage: Storage, x: object, facts: dict[str, Any], seconds: float) -> Event:
    if isinstance(x, Stored):
        return _of_stored(action, storage, x, seconds, facts["outcome"])
    if isinstance(x, Inline):
        return _of_inline(action, x, seconds, **facts)
    if isinstance(x, Address):
        facts |= {"address": x, "uri": storage.uri(x.path)}
    return Event(action=action, seconds=seconds, **facts)


def _removed(storage: Storage, path: str, address: Address | None, outcome: str, began: float) -> None:
    seconds = time.perf_counter() - began
    sight.tell(Event(action="delete", outcome=outcome, address=address, uri=storage.uri(path), seconds=seconds))
