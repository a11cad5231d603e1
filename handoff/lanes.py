"""Calls that wait for a storage, run side by side in threads; what they return comes in order."""

from __future__ import annotations

import contextlib
import itertools
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, Self, TypeVar

from handoff import cancellation
from handoff.cancellation import Cancellation
from handoff.errors import (
    ConfigError,
    DamagedError,
    EncodeError,
    EnvelopeError,
    HandoffError,
    LimitError,
    MismatchError,
    MissingError,
    StaleError,
    as_one,
)

if TYPE_CHECKING:
    from concurrent.futures import Future

_T = TypeVar("_T")
_Calls = Iterable[tuple[int, Callable[[], _T]]]

#: How many calls are under way at most.
WIDTH = 16
#: The most bytes that running calls hold together; one call alone may hold more.
MOST_BYTES = 256 * 1024**2

# What is wrong with one artifact says nothing of the next; all else would be met again.
_OF_ONE = (DamagedError, EncodeError, EnvelopeError, LimitError, MismatchError, MissingError, StaleError)


def in_order(calls: _Calls[_T], *, width: int = WIDTH, most_bytes: int = MOST_BYTES) -> list[_T]:
    """Make calls, and give what they return in the order they came.

    Arguments: for each call, the bytes that it holds while it runs. The calls are asked for one by one, as there is
    room for them; ``width`` is how many are under way at most, ``most_bytes`` what these may hold together.

    Raises: where several fail, one error that names each; after a failure that is not of one artifact, none is begun.
    In any case those under way have ended; where the caller is interrupted, their storage calls are cancelled.
    """
    _check(width, most_bytes)
    waiting = iter(calls)
    head = [*itertools.islice(waiting, 2)]
    if len(head) < 2:  # noqa: PLR2004 - one call needs no thread
        return [call() for _, call in head]
    begun: list[Future[_T]] = []
    count = 0
    with _Lanes(width, most_bytes) as lanes:
        for held, call in itertools.chain(head, waiting):
            while lanes.are_full(held):
                if lanes.wait_for_one():  # what was loaded is no longer wanted
                    begun = [future for future in begun if not future.done() or future.exception()]
            if lanes.is_stopped:
                break
            begun.append(lanes.begin(held, call))
            count += 1
    _raise_failures(begun, count)
    return [future.result() for future in begun]


def as_taken(calls: _Calls[_T], *, width: int = WIDTH, most_bytes: int = MOST_BYTES) -> Generator[_T]:
    """Make calls, and give what they return one by one, in the order they came.

    No more than ``width`` calls, and what holds ``most_bytes``, are under way or wait to be taken. Closing it cancels
    the storage calls of those under way. Raises: as `in_order`, of those in the window.
    """
    _check(width, most_bytes)
    return _taken(calls, width, most_bytes)


def _taken(calls: _Calls[_T], width: int, most_bytes: int) -> Generator[_T]:
    begun: deque[Future[_T]] = deque()
    with _Lanes(width, most_bytes) as lanes:
        for held, call in calls:
            while lanes.are_full(held):
                yield lanes.take(begun)
            begun.append(lanes.begin(held, call))
        while begun:
            yield lanes.take(begun)


class _Lanes:
    """Threads, and the calls that are under way in them."""

    def __init__(self, width: int, most_bytes: int) -> None:
        from concurrent import futures

        self._futures: Any = futures
        self._pool = futures.ThreadPoolExecutor(width, thread_name_prefix="handoff")
        self._width = width
        self._most_bytes = most_bytes
        self._cancellation = Cancellation()
        self._held: dict[Future[Any], int] = {}
        self._opened = contextlib.ExitStack()
        self._has_failed = False
        #: Whether a call failed in a way that the next would meet again.
        self.is_stopped = False

    def are_full(self, held: int) -> bool:
        """Whether a call that holds so many bytes has to wait."""
        is_wide = len(self._held) >= self._width or held + sum(self._held.values()) > self._most_bytes
        return bool(self._held) and is_wide

    def begin(self, held: int, call: Callable[[], _T]) -> Future[_T]:
        """Make a call in a thread."""
        import contextvars

        future = self._pool.submit(contextvars.copy_context().run, self._cancellation.run, call)
        self._held[future] = held
        return future

    def wait_for_one(self) -> bool:
        """Wait until there is more room, and say whether any call has failed."""
        done, _ = self._futures.wait(self._held, return_when=self._futures.FIRST_COMPLETED)
        for future in done:
            del self._held[future]
            error = future.exception()
            self._has_failed = self._has_failed or error is not None
            self.is_stopped = self.is_stopped or not isinstance(error, (*_OF_ONE, type(None)))
        return self._has_failed

    def take(self, begun: deque[Future[_T]]) -> _T:
        """Give what the first of the calls returns, which makes room. Raises: what all of them do."""
        future = begun[0]
        if future.exception():
            self._futures.wait(begun)
            _raise_failures(begun, len(begun))
        del self._held[begun.popleft()]
        return future.result()

    def __enter__(self) -> Self:
        self._opened.enter_context(cancellation.ending(self._cancellation.cancel))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._opened:
            is_awaited = False
            try:
                if kind is None or issubclass(kind, Exception):
                    self._futures.wait(self._held)
                    is_awaited = True
            finally:
                self._close(is_awaited=is_awaited)

    def _close(self, *, is_awaited: bool) -> None:
        import threading

        if is_awaited:
            self._pool.shutdown()
        else:  # whoever is interrupted, or takes no more, does not wait for what nobody will have
            self._cancellation.cancel()
            closing = threading.Thread(target=self._pool.shutdown, kwargs={"cancel_futures": True}, daemon=True)
            closing.start()
            closing.join(cancellation.GRACE)
        self._held.clear()


def _check(width: object, most_bytes: object) -> None:
    for name, value in (("width", width), ("most_bytes", most_bytes)):
        if type(value) is not int or value < 1:
            raise ConfigError(f"{name} must be a number from 1, not {value!r}")


def _raise_failures(begun: list[Future[_T]] | deque[Future[_T]], count: int) -> None:
    errors = [error for future in begun if (error := future.exception())]
    if errors:
        begun.clear()  # the values are no longer wanted, and the traceback would hold them
    failures: list[HandoffError] = []
    for error in errors:
        if not isinstance(error, HandoffError):
            raise error
        if len(errors) > 1:
            _let_go(error)
        failures.append(error)
    if failures:
        raise as_one(failures, count)


def _let_go(error: BaseException | None) -> None:
    """Let an error keep its lines, and not the values that its frames hold."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__
