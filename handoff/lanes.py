"""Calls that wait for a storage, run side by side; their results come in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

_T = TypeVar("_T")

_WIDTH = 8
#: The most bytes that running calls hold together; one call alone may hold more.
_MOST_BYTES = 256 * 1024**2


def in_order(calls: Iterable[tuple[int, Callable[[], _T]]]) -> list[_T]:
    """Run calls in threads, and give what they return in the order they came.

    Arguments: for each call, the bytes that it holds while it runs. The calls are asked for one by one, as there is
    room for them: at most 8, and 256 MiB, are under way.

    Raises: what the first of the failed calls in order raised, after those under way have ended; none is begun then.
    """
    waiting = iter(calls)
    first = next(waiting, None)
    if first is None:
        return []
    second = next(waiting, None)
    if second is None:
        return [first[1]()]

    import contextvars
    import itertools
    from concurrent import futures

    begun: list[futures.Future[_T]] = []
    running: dict[futures.Future[_T], int] = {}
    failed = False
    with futures.ThreadPoolExecutor(_WIDTH, thread_name_prefix="handoff") as pool:
        for held, call in itertools.chain((first, second), waiting):
            while running and (len(running) == _WIDTH or held + sum(running.values()) > _MOST_BYTES):
                done, _ = futures.wait(running, return_when=futures.FIRST_COMPLETED)
                failed = failed or any(future.exception() for future in done)
                running = {future: held for future, held in running.items() if future not in done}
            if failed:
                break
            begun.append(pool.submit(contextvars.copy_context().run, call))
            running[begun[-1]] = held
    return [future.result() for future in begun]
