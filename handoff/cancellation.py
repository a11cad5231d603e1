"""Storage calls that end when nobody waits for them any more: an upload must not outlive its task."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator
from contextvars import ContextVar, copy_context
from typing import TypeVar

_T = TypeVar("_T")

#: The most seconds that one who no longer waits is kept for what cannot be ended: a computation, a disk that hangs.
GRACE = 5.0


class Cancelled(BaseException):
    """Whoever asked for this no longer waits. It ends a thread, and nobody is to take it for a failure."""


class Cancellation:
    """Ends what was begun on behalf of one caller, in whatever thread it is."""

    def __init__(self) -> None:
        self._is_cancelled = False
        self._ends: dict[object, Callable[[], object]] = {}

    def run(self, call: Callable[[], _T]) -> _T:
        """Make a call that this can end. Raises: `Cancelled`, and what the call raises."""
        token = _current.set(self)
        try:
            check()
            return call()
        finally:
            _current.reset(token)

    def cancel(self) -> None:
        """End the storage calls that are under way, and let none begin."""
        self._is_cancelled = True
        for end in [*self._ends.values()]:
            end()

    def check(self) -> None:
        """Go on where somebody waits. Raises: `Cancelled`."""
        if self._is_cancelled:
            raise Cancelled

    @contextlib.contextmanager
    def ending(self, end: Callable[[], object]) -> Generator[None]:
        """Call ``end``, from another thread, where this is cancelled before the block ends. Raises: `Cancelled`."""
        mine = object()
        self._ends[mine] = end
        try:
            if self._is_cancelled:  # maybe just before: then nobody has called it
                end()
            yield
        finally:
            del self._ends[mine]
            self.check()  # what the block raised because of it is no failure


_current: ContextVar[Cancellation | None] = ContextVar("handoff_cancellation", default=None)


def check() -> None:
    """Go on where somebody waits. Raises: `Cancelled`."""
    current = _current.get()
    if current is not None:
        current.check()


def ending(end: Callable[[], object]) -> contextlib.AbstractContextManager[None]:
    """Call ``end``, from another thread, where the caller stops waiting before the block ends. Raises: `Cancelled`."""
    current = _current.get()
    return contextlib.nullcontext() if current is None else current.ending(end)


async def in_thread(call: Callable[[], _T]) -> _T:
    """Make a blocking call in a thread, and end its storage calls where the awaiting task is cancelled.

    Guarantees: a task that is cancelled ends when its call has, and after 5 s at the latest.
    """
    import asyncio

    cancellation = Cancellation()
    in_context = functools.partial(copy_context().run, functools.partial(cancellation.run, call))
    running = asyncio.get_running_loop().run_in_executor(None, in_context)
    try:
        await asyncio.wait({running})
    except asyncio.CancelledError:
        running.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # it was seen
        cancellation.cancel()
        await asyncio.wait({running}, timeout=GRACE)
        raise
    return running.result()
