"""A thousand artifacts handed to one task, and one artifact handed to fifty: each by what a contender offers for it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks import apart, rivals
from benchmarks.apart import Outcome
from benchmarks.contenders import OURS
from benchmarks.rivals import Whole
from handoff import Address, Store
from handoff.envelope import Handoff

#: So many readers are at work at once: as many as the machine has cores.
AT_ONCE = os.cpu_count() or 1


class Many(NamedTuple):
    """Puts many values under a name, and gets them all."""

    put: Callable[[Sequence[Any], str], list[Any]]
    get: Callable[[list[Any]], list[Any]]


def many(one: Whole, who: str, root: str, options: dict[str, Any]) -> Many:
    """Give how somebody hands over many: side by side where that is offered, and else in a loop, as one writes it."""
    if who == OURS:
        return _ours(Store(root, storage_options=options))
    if who in rivals.FLOORS:
        threads = ThreadPoolExecutor(rivals.THREADS)
        return Many(
            lambda values, name: list(threads.map(one.put, values, _names(values, name))),
            lambda references: list(threads.map(one.get, references)),
        )
    return Many(
        lambda values, name: list(map(one.put, values, _names(values, name))),
        lambda references: list(map(one.get, references)),
    )


def readers(make: Callable[[], Whole], reference: Any, count: int, folder: Path) -> Outcome:
    """Get a value in many processes, each with the libraries loaded and a client of its own; time them all together."""

    def get() -> Outcome:
        make().get(reference)
        return Outcome()

    start = time.perf_counter()
    seen = in_processes(count, get, folder)
    seconds = time.perf_counter() - start
    return next((one for one in seen if one.error), Outcome(seconds=seconds))


def in_processes(count: int, act: Callable[[], Outcome], folder: Path) -> list[Outcome]:
    """Act in so many processes, some at once, and give what they saw."""
    files = [folder / f"seen{number}" for number in range(count)]
    running = 0
    for file in files:
        file.unlink(missing_ok=True)  # what an earlier one saw is not this one's
        if running == AT_ONCE:
            os.wait()
            running -= 1
        if not os.fork():
            try:
                file.write_bytes(msgspec.json.encode(_acted(act)))
            finally:
                os._exit(0)
        running += 1
    for _ in range(running):
        os.wait()
    return [msgspec.json.decode(file.read_bytes(), type=Outcome) for file in files]


def at_rest(root: str, options: dict[str, Any]) -> int:
    """Give the bytes at rest below a root."""
    if not root.startswith("s3://"):
        return apart.stored(root)
    import s3fs

    found = s3fs.S3FileSystem(**options, use_listings_cache=False, skip_instance_cache=True).find(root, detail=True)
    return sum(int(entry["size"]) for entry in found.values())


def _acted(act: Callable[[], Outcome]) -> Outcome:
    try:
        return act()
    except Exception as error:  # noqa: BLE001 - whatever a contender raises is what came of it
        return Outcome(error=apart.in_a_line(error))


def _ours(store: Store) -> Many:
    def put(values: Sequence[Any], name: str) -> list[Any]:
        return [one.to_json() for one in store.put_many(values, Address("dag", name, "task", 0), inline_limit=0)]

    return Many(put, lambda references: store.get_many([Handoff.from_json(one) for one in references], type=Any))


def _names(values: Sequence[Any], name: str) -> list[str]:
    return [f"{name}{number}" for number in range(len(values))]
