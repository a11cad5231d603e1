"""Stores awaited: the event loop goes on, and a cancelled task takes its storage calls with it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.asyn import AsyncFileSystem

from handoff import Address, Handoff, MissingError, Store, cancellation, offload, run, storage

ADDRESS = Address("dag", "run", "task")


class Slow(AsyncFileSystem):
    """An object store in memory that answers when it is let."""

    protocol = "slow"
    cachable = False
    objects: dict[str, bytes] = {}  # noqa: RUF012 - shared by all instances, as a store is
    hangs = False
    asked: threading.Event
    cancelled: threading.Event

    async def _wait(self) -> None:
        self.asked.set()
        try:
            await asyncio.sleep(60 if self.hangs else 0)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def _pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        await self._wait()
        self.objects[path] = bytes(value)

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        await self._wait()
        if path not in self.objects:
            raise FileNotFoundError(path)
        return self.objects[path][start:end]

    async def _get_file(self, path: str, name: str, callback: Any = None, **_: Any) -> None:
        data = await self._cat_file(path)
        with open(name, "wb") as file:  # noqa: ASYNC230 - it is short
            file.write(data)

    async def _exists(self, path: str, **_: Any) -> bool:
        return True


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    fsspec.register_implementation("slow", Slow, clobber=True)
    for name, value in {
        "objects": {},
        "hangs": False,
        "asked": threading.Event(),
        "cancelled": threading.Event(),
    }.items():
        monkeypatch.setattr(Slow, name, value, raising=False)
    yield Store("slow://bucket/p", inline_limit=0)
    gc.collect()  # an exception of a thread that nobody saw would be reported now


async def cancelled_while_it_hangs(call: Any) -> None:
    """Cancel a task once its storage call is under way, and see that it ends so."""
    task = asyncio.create_task(call)
    assert await asyncio.to_thread(Slow.asked.wait, 30)
    start = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - start < 30
    assert await asyncio.to_thread(Slow.cancelled.wait, 30)


def test_what_is_awaited_is_what_is_called(slow: Store) -> None:
    """Each awaitable form gives what its plain form gives, and raises what it raises."""

    async def main() -> None:
        handoff = await slow.aput({"a": (1, 2)}, ADDRESS)
        assert {"a": (1, 2)} == await slow.aget(handoff) == await slow.aget(handoff.to_json()) == slow.get(ADDRESS)
        many = await slow.aput_many([(1,), (2,)], ADDRESS)
        named = await slow.aput_many({"x": (3,)}, ADDRESS, attempt=1, inline_limit=0)
        assert [(1,), (2,), (3,)] == await slow.aget_many([*many, *named.values()])
        assert [(1,), (2,)] == await slow.aget_many(many, width=1)
        with pytest.raises(MissingError):
            await slow.aget(Address("dag", "run", "none"))

    asyncio.run(main())


def test_the_event_loop_goes_on(slow: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a storage call waits, other tasks have their turn: here it waits for one of them."""
    slow.put((1,), ADDRESS)
    had_its_turn = threading.Event()

    async def until_another_had_its_turn(self: Slow) -> None:
        assert await asyncio.to_thread(had_its_turn.wait, 60)

    async def another() -> None:
        had_its_turn.set()

    async def main() -> list[Any]:
        got = asyncio.gather(*(slow.aget(ADDRESS) for _ in range(3)))
        await asyncio.sleep(0)
        await another()
        return await got

    monkeypatch.setattr(Slow, "_wait", until_another_had_its_turn)
    assert [(1,)] * 3 == asyncio.run(main())


@pytest.mark.parametrize("form", ["aput", "aput_many", "aget", "aget_many"])
def test_a_cancelled_task_takes_its_storage_calls_with_it(slow: Store, form: str) -> None:
    """The call is cancelled on the storage's own loop, nothing is written afterwards, and no thread goes on."""
    slow.put_many([(0,), (1,)], ADDRESS)
    before = dict(Slow.objects)
    Slow.asked.clear()
    Slow.hangs = True
    calls = {
        "aput": lambda: slow.aput((9,), ADDRESS),
        "aput_many": lambda: slow.aput_many([(9,)] * 40, ADDRESS),
        "aget": lambda: slow.aget(ADDRESS),
        "aget_many": lambda: slow.aget_many([ADDRESS] * 40),
    }
    asyncio.run(cancelled_while_it_hangs(calls[form]()))
    assert before == Slow.objects
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("handoff_")]


def test_a_timeout_ends_an_upload(slow: Store) -> None:
    """`asyncio.timeout` around an upload raises TimeoutError at once, and the object never appears."""
    Slow.hangs = True

    async def main() -> None:
        async with asyncio.timeout(0.05):
            await slow.aput((9,), ADDRESS)

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert Slow.cancelled.wait(30)
    assert {} == Slow.objects


def test_a_cancelled_task_function_hands_nothing_over(slow: Store) -> None:
    """An async task that is cancelled while its result is uploaded, or its arguments are loaded, leaves nothing."""

    @offload(store=slow, inline_limit=0)
    async def task(x: Any = None) -> Any:
        return (1, 2)

    async def main(**arguments: Any) -> None:
        with run(dag_id="d", run_id="r"):
            await cancelled_while_it_hangs(task(**arguments))

    handoff = slow.put((3,), ADDRESS)
    before = dict(Slow.objects)
    Slow.hangs = True
    for arguments in ({}, {"x": handoff.to_json()}):
        Slow.asked.clear()
        Slow.cancelled.clear()
        asyncio.run(main(**arguments))
    assert before == Slow.objects


def test_an_upload_of_a_cancelled_task_to_a_folder_is_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a call cannot be ended from outside, its thread gives up before anything is overwritten."""
    before = store.put("old", ADDRESS, inline_limit=0)
    begun, goes_on, ended = threading.Event(), threading.Event(), threading.Event()
    whole = storage.local._Unfinished.write  # type: ignore[attr-defined]

    def write(self: Any, data: Any) -> None:
        begun.set()
        assert goes_on.wait(60)
        whole(self, data)

    monkeypatch.setattr(storage.local._Unfinished, "write", write)  # type: ignore[attr-defined]
    monkeypatch.setattr(cancellation, "GRACE", 0.05)

    async def main() -> None:
        task = asyncio.create_task(store.aput("new", ADDRESS, inline_limit=0))
        assert await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        goes_on.set()

    asyncio.run(main())  # it waits for the thread
    ended.set()
    assert "old" == store.get(before)
    assert [] == list(Path(store.root, ".tmp").iterdir())


def test_a_context_goes_into_the_thread(store: Store) -> None:
    """What a task has set is seen by the call that it awaits: its types may look at it."""
    variable = contextvars.ContextVar("variable", default="none")

    async def main() -> str:
        variable.set("mine")
        return await cancellation.in_thread(variable.get)

    assert "mine" == asyncio.run(main())


def test_a_store_is_shared_by_event_loops_and_threads(slow: Store) -> None:
    """One store serves several event loops at the same time, each in a thread of its own."""
    slow.put((5,), ADDRESS)
    found: list[Any] = []

    def loop() -> None:
        async def main() -> list[Any]:
            return await asyncio.gather(*(slow.aget(ADDRESS) for _ in range(5)))

        found.extend(asyncio.run(main()))

    threads = [threading.Thread(target=loop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(5,)] * 20 == found


def test_a_handoff_that_was_awaited_knows_its_store(slow: Store) -> None:
    """What aput and aput_many give can be loaded."""

    async def main() -> list[Handoff]:
        return [await slow.aput((1,), ADDRESS), *await slow.aput_many([(2,)], ADDRESS)]

    assert [(1,), (2,)] == [handoff.load() for handoff in asyncio.run(main())]
