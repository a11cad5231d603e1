"""What is seen of handoffs: events, told to observers, to the logs and to the audit."""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from _thread import allocate_lock
from collections.abc import Callable, Generator, Iterable
from contextvars import ContextVar
from typing import Any, TypeVar

from handoff import config
from handoff.envelope import clean
from handoff.event import Action, Event
from handoff.tally import Tally

_T = TypeVar("_T")
Observer = Callable[[Event], object]

_LONGEST = 4096
_DEBUG, _INFO, _WARNING = 10, 20, 30  # as in logging, which is not loaded where nobody listens
_FAILED = "{} failed when it was told of an event; what it fails at next is logged at DEBUG"


def observe(observer: Callable[[Event], object]) -> contextlib.ExitStack:
    """Have a callable told of each put, get, scan, delete and prune of this process, until the answer is closed.

    The answer is a block as well: ``with observe(callable): ...``. For all tasks of a deployment, set
    ``HANDOFF_ON_EVENT=package.module:name`` in place of a call.

    Guarantees: what it raises breaks no task: the first time it is logged, with its traceback, as a warning. It is
    called where things happen, from several threads at once, and not for what it does with a store itself.
    """
    key = object()
    _observers[key] = observer
    with contextlib.ExitStack() as stack:
        stack.callback(_observers.pop, key, None)
        stack.callback(_failed.discard, key)
        return stack.pop_all()


def tell(event: Event) -> None:
    """Tell observers, the audit and the log of an event."""
    _tell_observers(event)
    if event.action != "put" and not event.is_inline:
        _audit(event)
    group = _group.get()
    if group is not None:
        # What is done in one go is one line for people, and each of it one for whoever looks closer.
        group.add(event)
        _say(_DEBUG, lambda: Tally(event).line(event.seconds))
    else:
        _say_all(Tally(event), _DEBUG if event.is_inline else _INFO, event.seconds)


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
        self._tallies: dict[Action, Tally] = {}

    def add(self, event: Event) -> None:
        """Count an event."""
        with self._lock:
            if event.action in self._tallies:
                self._tallies[event.action].add(event)
            else:
                self._tallies[event.action] = Tally(event)

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
        for tally in self._tallies.values():
            _say_all(tally, _INFO if tally.is_for_people else _DEBUG, time.perf_counter() - self._began)


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


# --- observers --------------------------------------------------------------------------------------------------


def _configured(event: Event) -> None:
    """Take the place of the observer that the environment names, until the first event.

    It stays until that one is imported: other threads, whose events come meanwhile, wait for the import as well.
    """
    found: dict[object, Observer] = {}
    try:
        if (named := config.on_event()) is not None:
            import importlib

            found[_SETTING] = getattr(importlib.import_module(named[0]), named[1])
            _observers.update(found)
    finally:
        if not found:
            _observers.pop(_SETTING, None)
    for observer in found.values():
        observer(event)


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


def _say_all(tally: Tally, level: int, seconds: float) -> None:
    _say(level, lambda: tally.line(seconds))
    for line in tally.warnings():
        _say(_WARNING, line.strip)


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
