"""Calls to a storage from the thread of a task: with a deadline, tried again while that helps, ended with the task."""

from __future__ import annotations

import random
import threading
from collections.abc import Awaitable, Callable, Coroutine
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
