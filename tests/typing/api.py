"""Typed uses of the public names: checked by mypy and pyright, never run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Generator, Iterator
from typing import Any, assert_type

from handoff import Address, Handoff, Inline, Store, Stored, default_store, gather, observe, offload, retention, run

store = Store("s3://bucket/prefix", inline_limit=None, storage_options={"profile": "data"}, timeout=10)
address = Address("dag", "run", "task", map_index=3, key="rows", item=1)

handoff = store.put({"a": 1}, at=address, attempt=2, inline_limit=0)
assert_type(handoff, Handoff)
assert_type(store.get(handoff), Any)
assert_type(store.get(handoff, type=list), list[Any])
assert_type(store.get(address, type=dict[str, int]), dict[str, int])
assert_type(store.exists(address), bool)
assert_type(store.delete(address), bool)
assert_type(store.list("dag", "run"), Iterator[Address])
assert_type(store.put_many([1], address), list[Handoff])
assert_type(store.put_many({"a": 1}, address), dict[str, Handoff])
assert_type(store.get_many([handoff, address], width=4), list[Any])
assert_type(store.get_many([handoff, address], dict[str, int]), list[dict[str, int]])
assert_type(store.iter_many(iter([handoff]), most_bytes=10), Iterator[Any])
assert_type(store.iter_many([handoff], type=list), Iterator[list[Any]])
assert_type(gather([handoff]), list[Any])
assert_type(gather([handoff], tuple[int, ...]), list[tuple[int, ...]])
assert_type(store.delete_many([address]), None)
assert_type(Handoff.from_json("{}"), Handoff)
assert_type(default_store(), Store)

if isinstance(handoff, Stored):
    assert_type(handoff.uri, str)
    assert_type(handoff.address, Address)
elif isinstance(handoff, Inline):
    assert_type(handoff.data, bytes)


@offload
def plain(a: int, *, b: str = "") -> list[int]:
    """Keep the signature."""
    return [a] * len(b)


@offload(store=store, inline_limit=0, key="rows")
async def later(a: int) -> str:
    """Keep the signature of a coroutine function."""
    return str(a)


@offload
def steps(a: int) -> Generator[str, None, int]:
    """Keep the signature of a generator function."""
    yield str(a)
    return a


assert_type(plain(1, b="x"), list[int])


async def main() -> None:
    """Await what was decorated."""
    assert_type(await later(1), str)
    assert_type(await store.aput(1, address, attempt=2), Handoff)
    assert_type(await store.aput_many([1], address), list[Handoff])
    assert_type(await store.aput_many({"a": 1}, address, inline_limit=0), dict[str, Handoff])
    assert_type(await store.aget(address), Any)
    assert_type(await store.aget(address, dict[str, int]), dict[str, int])
    assert_type(await store.aget_many([address], list), list[list[Any]])
    assert_type(await store.aget_many([address], width=2), list[Any])
    assert_type(steps(1), Generator[str, None, int])
    plain("1")  # type: ignore[arg-type]  # the wrong type is found  # pyright: ignore[reportArgumentType]


with run(dag_id="dag", run_id="run", map_index=1) as opened:
    assert_type(opened.dag_id, str)

with observe(lambda event: print(event.action, event.ratio)) as watching:  # noqa: T201 - it is not run
    watching.close()

assert_type(retention.artifacts(store, "dag", "run"), Iterator[retention.Kept])
assert_type(retention.usage(store, by="day", task_id="task"), list[retention.Usage])
assert_type(retention.verify(store, width=4, tell=lambda progress: progress.failed), retention.Verified)
assert_type(retention.prune(store, older_than=dt.timedelta(7), keep_runs=3, leftovers=True), retention.Pruned)
assert_type(retention.pin(store, "dag", "run", note="why"), retention.Pin)
assert_type(retention.pins(store), list[retention.Pin])
assert_type(retention.unpin(store, "dag", "run", "task"), bool)
