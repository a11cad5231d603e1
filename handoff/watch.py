"""A store's calls, watched: each tells what it did, or failed to do."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
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
                _tell("put", self._storage, began, address=at, attempt=attempt, filled=filled, **_facts_of(handoff))
        else:
            _tell("put", self._storage, began, **_facts_of(handoff))
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
        with _told("delete", self._storage, address=address) as facts:
            was_there: bool = method(self, address)
            facts["outcome"] = OK if was_there else "missing"
        return was_there

    return cast("_Method", delete)


def read(action: Action, storage: Storage, x: Any, call: Callable[[], Any]) -> Any:
    """Watch a call that reads a handoff, an envelope or an address; UNSET is an answer left to another call."""
    found, noted = envelope.handoff_in(x) or x, dict[str, Any]()
    with _told(action, storage, **_facts_of(found)) as facts, sight.noting(noted):
        try:
            value = call()
        finally:
            facts.update(noted if isinstance(x, Address) else {})
        facts["outcome"] = "" if value is UNSET else OK
    return value


def written(storage: Storage, call: Callable[[], Stored], at: Address, attempt: int, before: float) -> Stored:
    """Watch a call that writes one of many values, on which some seconds were spent ``before``."""
    with _told("put", storage, before, address=at, attempt=attempt) as facts:
        stored = call()
        facts.update(_facts_of(stored))
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
            facts = _facts_of(handoff)
            sight.tell(Event(action="put", address=at, attempt=attempt, seconds=seconds[at], filled=filled, **facts))


def delete_many(storage: Storage, addresses: Iterable[Address]) -> dict[str, HandoffError]:
    """Have a storage remove many artifacts, and tell of each; give those that failed, as it does."""
    places = {address.path: address for address in addresses}
    began = time.perf_counter()
    errors = storage.delete_many([Entry(path) for path in places])
    for path, address in places.items():
        _tell("delete", storage, began, address=address, outcome=name_of(errors.get(path)))
    return errors


def withdraw(storage: Storage, path: str, attempt: int, begun: float) -> None:
    """Have a storage remove what an earlier attempt left, and tell of it where there was something."""
    with _told("delete", storage, uri=storage.uri(path)) as facts:
        with contextlib.suppress(ConfigError):  # an id may be too long to stand in the path
            facts["address"] = Address.from_path(path)
        facts["outcome"] = OK if storage.withdraw(path, attempt, begun) else ""


def failed(action: Action, storage: Storage, at: Address, error: BaseException, began: float, **facts: Any) -> None:
    """Tell of a call that failed."""
    _tell(action, storage, began, address=at, outcome=name_of(error), **facts)


def name_of(error: BaseException | None) -> str:
    """Give the outcome that an error is: its name in small letters, without Error; of none, ok."""
    return OK if error is None else type(error).__name__.removesuffix("Error").lower()


@contextlib.contextmanager
def _told(action: Action, storage: Storage, before: float = 0, **facts: Any) -> Generator[dict[str, Any]]:
    """Tell of what the block does or fails to do. It adds what it finds, and without an outcome nothing is told."""
    began = time.perf_counter() - before
    try:
        yield facts
    except BaseException as error:
        facts["outcome"] = name_of(error)
        raise
    finally:
        if facts.get("outcome", OK):
            _tell(action, storage, began, **facts)


def _tell(action: Action, storage: Storage, began: float, address: Address | None = None, **facts: Any) -> None:
    if address is not None and not facts.get("is_inline"):
        facts["uri"] = storage.uri(address.path)
    sight.tell(Event(action=action, address=address, seconds=time.perf_counter() - began, **facts))


def _facts_of(x: object) -> dict[str, Any]:
    if isinstance(x, Address):
        return {"address": x}
    if not isinstance(x, Handoff):
        return {}
    facts = {"codec": x.codec, "type": x.type, "raw_size": envelope.raw_size_of(x)}
    if isinstance(x, Stored):
        return facts | {"address": x.address, "size": x.size, "attempt": x.attempt}
    return facts | {"size": len(cast("Inline", x).data), "is_inline": True}
