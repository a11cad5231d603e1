"""What is seen of handoffs: events, told to observers, to the logs and to the audit."""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from _thread import allocate_lock
from collections.abc import Callable, Generator, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, Self, TypeVar

from handoff import config
from handoff.envelope import clean
from handoff.event import OK, Action, Event, Warned
from handoff.sizes import human_size

_T = TypeVar("_T")
Observer = Callable[[Event], object]

_LONGEST = 4096
_DEBUG, _INFO, _WARNING = 10, 20, 30  # as in logging, which is not loaded where nobody listens
_FAILED = "{} failed when it was told of an event; what it fails at next is logged at DEBUG"
_READS = ("get", "scan")
_DONE = {"put": "handed over", "get": "loaded", "scan": "opened", "delete": "deleted", "prune": "pruned"}


class Observation:
    """An observer at work, until it is closed; as a block, until that ends."""

    def __init__(self, observer: Observer) -> None:
        _observers[self] = observer

    def close(self) -> None:
        """Tell the observer no more."""
        _observers.pop(self, None)
        _failed.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def observe(observer: Callable[[Event], object]) -> Observation:
    """Have a callable told of each put, get, scan, delete and prune of this process, as an `Event`.

    For all tasks of a deployment, set ``HANDOFF_ON_EVENT=package.module:name`` in place of a call.

    Guarantees: what it raises breaks no task: the first time it is logged, with its traceback, as a warning. It is
    called where things happen, from several threads at once, and not for what it does with a store itself.
    """
    return Observation(observer)


def tell(event: Event) -> None:
    """Tell observers, the audit and the log of an event."""
    _tell_observers(event)
    if event.action != "put" and not event.is_inline:
        _audit(event)
    group = _group.get()
    if group is not None:
        group.add(event)
    for name in event.warnings if group is None else ():
        _warn(name, event, 1)
    # What was done in one go is one line for people, and each of it one for whoever looks closer.
    _say(_DEBUG if group is not None or event.is_inline else _INFO, lambda: _Total(event).line(event.seconds))


def is_heard() -> bool:
    """Whether anybody wants to know of what travels in a message: it happens in microseconds, most of the time."""
    if _observers:
        return True
    log = _loggers.get("handoff") or _logger(_DEBUG)
    return log is not None and log.isEnabledFor(_DEBUG)


def is_heard_together() -> bool:
    """Whether anybody wants to know of what is put into a message, be it in the one line that all of it has."""
    return is_heard() or (_group.get() is not None and _logger(_INFO) is not None)


@contextlib.contextmanager
def noting(facts: dict[str, Any]) -> Generator[None]:
    """Let the block below say what it finds at an address that says nothing of it."""
    token = _noted.set(facts)
    try:
        yield
    finally:
        _noted.reset(token)


def note(codec: str, type: str, raw_size: int, size: int) -> None:
    """Say what was found at an address."""
    noted = _noted.get()
    if noted is not None:
        noted.update(codec=codec, type=type, raw_size=raw_size, size=size)


class Together:
    """What is done in one go: an event each, and one line of the log for all."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._lock = allocate_lock()
        self._totals: dict[Action, _Total] = {}
        self._warned: dict[Warned, tuple[Event, int]] = {}

    def add(self, event: Event) -> None:
        """Count an event."""
        with self._lock:
            total = self._totals.get(event.action)
            if total is None:
                self._totals[event.action] = _Total(event)
            else:
                total.add(event)
            for name in event.warnings:
                first, count = self._warned.get(name, (event, 0))
                self._warned[name] = (first, count + 1)

    def within(self, call: Callable[[], _T]) -> _T:
        """Make a call as a part of this."""
        token = _group.set(self)
        try:
            return call()
        finally:
            _group.reset(token)

    def over(self, values: Iterable[_T]) -> Generator[_T]:
        """Give values that parts of this are made for, and end with them."""
        try:
            yield from values
        finally:
            self.end()

    def end(self) -> None:
        """Say what was done."""
        seconds = time.perf_counter() - self._began
        for name, (event, count) in self._warned.items():
            _warn(name, event, count)
        for total in self._totals.values():
            if total.is_told:
                _say(_INFO, functools.partial(total.line, seconds))


@contextlib.contextmanager
def together() -> Generator[None]:
    """Let the log have one line for all that is done in the block; in a larger one, its line."""
    if _group.get() is not None:
        yield
        return
    group = Together()
    token = _group.set(group)
    try:
        yield
    finally:
        _group.reset(token)
        group.end()


class _Total:
    """What events of one action come to."""

    def __init__(self, event: Event) -> None:
        self._first = event
        self._count = self._inline = self._inline_size = self._raw = self._size = 0
        self._failed: dict[str, int] = {}
        self.add(event)

    @property
    def is_told(self) -> bool:
        """Whether people want to know: of what was loaded from messages, they do not."""
        return self._first.action == "put" or self._inline < self._count

    def add(self, event: Event) -> None:
        self._count += 1
        if event.outcome != OK:
            self._failed[event.outcome] = self._failed.get(event.outcome, 0) + 1
        elif event.is_inline:
            self._inline += 1
            self._inline_size += event.size or 0
        else:
            if self._first.outcome != OK or self._first.is_inline:
                self._first = event
            self._raw += event.raw_size or 0
            self._size += event.size or 0

    def line(self, seconds: float) -> str:
        """Say what was done: what, how large, how small it became, where, and how long it took."""
        first, done = self._first, self._count - sum(self._failed.values())
        why = ", ".join(f"{name} ({count:,})" if self._count > 1 else name for name, count in self._failed.items())
        if not done:
            what = first.place if self._count == 1 else self._many(self._count)
            return f"not {_DONE[first.action]} {what or 'what came'}: {why}, {seconds:.2f} s"
        if first.action == "put":
            key = first.address.key if first.address else "a value"
            what = f"{key}: {first.type}" if done == 1 else self._many(done)
        else:
            what = (first.place or f"a {first.type} in a message") if done == 1 else self._many(done)
        parts = [f"{_DONE[first.action]} {what}", *self._sizes(done), f"{self._count - done:,} not: {why}"]
        if first.action != "put" and len(parts) > 2:  # noqa: PLR2004 - there is a size
            parts[:2] = [": ".join(parts[:2])]
        return ", ".join([*parts[: None if why else -1], f"{seconds:.2f} s"])

    def _many(self, count: int) -> str:
        first = self._first
        if first.action == "put":
            return f"{count:,} values of {first.address.key if first.address else 'a task'}"
        return f"{count:,} {'handoffs' if first.action in _READS else 'artifacts'}"

    def _sizes(self, done: int) -> Iterator[str]:
        stored, first = done - self._inline, self._first
        if self._raw or self._size:
            place = first.place if stored == 1 else first.place.partition("/map_index=")[0] + "/"
            sizes = f"{human_size(self._raw)} as {human_size(self._size)}" if self._raw else human_size(self._size)
            yield f"{sizes} in {place}" if first.action == "put" else sizes
        if self._inline and (first.action == "put" or not stored):
            size = human_size(self._inline_size)
            yield f"{self._inline:,} of {size} in the message" if stored else f"{size} in the message"


# --- observers --------------------------------------------------------------------------------------------------


def _configured(event: Event) -> None:
    """Take the place of the observer that the environment names, until the first event."""
    _observers.pop(_SETTING, None)
    named = config.on_event()
    if named is not None:
        import importlib

        module, name = named
        _observers[_SETTING] = getattr(importlib.import_module(module), name)
        _observers[_SETTING](event)


_SETTING = "HANDOFF_ON_EVENT"
_observers: dict[object, Observer] = {_SETTING: _configured}
_failed: set[object] = set()
_is_telling: ContextVar[bool] = ContextVar("handoff_is_telling", default=False)
_noted: ContextVar[dict[str, Any] | None] = ContextVar("handoff_noted", default=None)
_group: ContextVar[Together | None] = ContextVar("handoff_together", default=None)


def _tell_observers(event: Event) -> None:
    if not _observers or _is_telling.get():
        return
    token = _is_telling.set(True)
    try:
        for key, observer in [*_observers.items()]:
            try:
                observer(event)
            except Exception:  # noqa: BLE001 - whatever it raises is its own affair, and not the task's
                level = _DEBUG if key in _failed else _WARNING
                _failed.add(key)
                name = key if key == _SETTING else getattr(observer, "__qualname__", type(observer).__qualname__)
                _say(level, functools.partial(_FAILED.format, name), with_error=True)
    finally:
        _is_telling.reset(token)


# --- logs -------------------------------------------------------------------------------------------------------


def _audit(event: Event) -> None:
    log = _logger(_INFO, "handoff.audit")
    if log is None or not (log.level or log.handlers):
        return
    import datetime as dt
    import json

    import msgspec

    facts = {
        "time": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
        "action": event.action,
        "outcome": event.outcome,
        "by": msgspec.structs.asdict(event.who),
        "address": msgspec.structs.asdict(event.address) if event.address else None,
        "uri": event.uri,
        "size": event.size,
        "attempt": event.attempt,
    }
    log.info("%s", json.dumps(facts))  # ASCII alone: nothing in an id ends a line


def _warn(name: Warned, event: Event, count: int) -> None:
    others = f", and {count - 1:,} more" if count > 1 else ""
    what = event.place or (event.address.path if event.address else "")
    _say(_WARNING, lambda: f"{what}{others}: {event.explained(name)}")


def _say(level: int, line: Callable[[], str], *, with_error: bool = False) -> None:
    log = _logger(level)
    if log is not None:
        log.log(level, "%s", clean(line(), _LONGEST), exc_info=with_error)


_loggers: dict[str, Any] = {}


def _logger(level: int, name: str = "handoff") -> Any:
    """Give the logger that says lines of a level; None where nobody reads them.

    A program that has not loaded logging reads no more than warnings.
    """
    log = _loggers.get(name)
    if log is None:
        if level < _WARNING and "logging" not in sys.modules:
            return None
        import logging

        log = _loggers[name] = logging.getLogger(name)
    return log if log.isEnabledFor(level) else None
