"""Calls to a storage from the thread of a task: with a deadline, tried again while that helps, ended with the task."""

from __future__ import annotations

import random
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar, cast

from handoff import cancellation
from handoff.storage import _faults

_T = TypeVar("_T")

#: Seconds between the tries of a call, before chance shortens them: so many clients do not come back as one.
WAITS: Final = (0.2, 0.8, 2.0, 4.0)
#: Seconds that a call which was cancelled has to clean up behind itself.
_LEAVING = 3.0


class Patience:
    """How long a request is tried: with waits between, and never beyond a deadline.

    Arguments: ``timeout`` in seconds for one request, its tries and waits included.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout

    async def attempt(self, request: Callable[[], Awaitable[_T]]) -> _T:
        """Make a request, and again where it failed in passing. Raises: what its last try raised, or TimeoutError."""
        import asyncio

        now = asyncio.get_running_loop().time
        deadline = now() + self.timeout
        for wait in WAITS:
            try:
                async with asyncio.timeout_at(deadline):
                    return await request()
            except Exception as error:
                rest = wait * random.uniform(0.5, 1)  # noqa: S311 - no secret hangs on it
                if _faults.meaning(error) != "passing" or now() + rest >= deadline:
                    raise
            await asyncio.sleep(rest)
        async with asyncio.timeout_at(deadline):
            return await request()

    async def once(self, request: Awaitable[_T]) -> _T:
        """Wait for one answer, such as the next piece of a body. Raises: TimeoutError."""
        import asyncio

        return await asyncio.wait_for(request, self.timeout)


async def side_by_side(calls: Sequence[Callable[[], Awaitable[_T]]], width: int) -> list[_T]:
    """Make calls, so many at once, and give their results in order. Raises: what one raised; the others are ended."""
    import asyncio

    room = asyncio.Semaphore(width)

    async def in_turn(call: Callable[[], Awaitable[_T]]) -> _T:
        async with room:
            return await call()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(in_turn(call)) for call in calls]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


async def to_its_end(call: Coroutine[Any, Any, _T]) -> _T:
    """Make a call that goes on where whoever waits for it is cancelled."""
    import asyncio

    return await asyncio.shield(call)


async def pause(seconds: float) -> None:
    """Wait before a request is made again."""
    import asyncio

    await asyncio.sleep(seconds)


def wait_for(loop: Any, call: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine on the loop of another thread, and end it when this thread is interrupted.

    A call that is ended so has a few seconds to take back what it began, such as an upload in parts. Without a loop
    it is run here, and never waits for anything.
    """
    if loop is None:
        try:
            call.send(None)
        except StopIteration as done:
            return cast("_T", done.value)
        raise RuntimeError("a call to a synchronous filesystem waited")
    import asyncio

    ended = threading.Event()

    async def watched() -> _T:
        try:
            return await call
        finally:
            ended.set()

    future = asyncio.run_coroutine_threadsafe(watched(), loop)
    with cancellation.ending(future.cancel):
        try:
            return future.result()
        finally:
            if not ended.is_set():
                future.cancel()
                ended.wait(_LEAVING)
