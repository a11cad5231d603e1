"""How many requests each operation takes on each store, counted on real servers: `python -m benchmarks.trips`."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import fsspec
import numpy as np

from benchmarks import proxy, servers
from benchmarks.proxy import Proxy, Request
from benchmarks.report import Sheet
from handoff import Address, MissingError, Store

STORES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "S3": ("s3", servers.s3),
    "GCS": ("gs", servers.gcs),
    "Azure": ("abfs", servers.azure),
}
LISTED = 1_100  # more than stand on a page of S3 or GCS
ORDER = ("CREATE", "PART", "COMPLETE", "ABORT", "PUT", "HEAD", "GET", "DELETE", "DELETE MANY", "LIST", "BUCKET")
SMALL, LARGE = ("row", 1), 25_000_000  # 200 MB of floats


def count(before: Proxy, protocol: str) -> dict[str, list[Request]]:
    """Carry out each operation through a proxy, and give the requests that it took."""
    store = Store(f"{protocol}://{servers.BUCKET}/trips", storage_options=before.options)
    found: dict[str, list[Request]] = {}
    for name, act in _operations(store):
        before.clear()
        act()
        found[name] = list(before.requests)
    return found


def markdown(found: Mapping[str, Mapping[str, list[Request]]]) -> str:
    """Give the table of requests by operation and store for docs/object-stores.md."""
    names = list(next(iter(found.values())))
    rows = [[name, *(_said(requests[name]) for requests in found.values())] for name in names]
    lines = Sheet("", ["operation", *found], rows, names=len(found) + 1).to_markdown()
    return lines.partition("\n\n")[2].strip()


def _operations(store: Store) -> Iterator[tuple[str, Callable[[], object]]]:
    at, large = Address("dag", "run", "task"), Address("dag", "run", "large")
    value = np.random.default_rng(1).standard_normal(LARGE)
    handoffs: dict[str, Any] = {}

    def put(name: str, value: object, at: Address, attempt: int = 1) -> Callable[[], object]:
        return lambda: handoffs.update({name: store.put(value, at, attempt=attempt, inline_limit=0)})

    store.exists(at)  # the filesystem is made, and what it asks once is asked
    yield "`put`, inline", lambda: store.put(SMALL, at)
    yield "`put`, stored", put("first", SMALL, at)
    yield "`put` again, of the same attempt", put("again", SMALL, at)
    yield "`put` of attempt 2 over attempt 1", put("second", SMALL, at, 2)
    yield "`put` of attempt 2 where nothing is", put("retry", SMALL, Address("dag", "run", "retry"), 2)
    yield "`get` of a handoff", lambda: store.get(handoffs["second"])
    yield "`get` of an address", lambda: store.get(at)
    yield "`get` of what is missing", lambda: _missing(store, Address("dag", "run", "none"))
    yield "`exists`, and it does", lambda: store.exists(at)
    yield "`exists`, and it does not", lambda: store.exists(Address("dag", "run", "none"))
    yield "`delete`", lambda: store.delete(Address("dag", "run", "retry"))
    yield "`put` of attempt 2, inline now", lambda: store.put(SMALL, at, attempt=2)
    yield "`put` of 200 MB", put("large", value, large)
    yield "`put` of 200 MB by attempt 2", put("large", value, large, 2)
    yield "`get` of 200 MB", lambda: store.get(handoffs["large"])
    store.delete(large)
    _fill(store)
    yield f"`list` of {LISTED:,}", lambda: _listed(store)


def _missing(store: Store, at: Address) -> None:
    try:
        store.get(at)
    except MissingError:
        return
    raise AssertionError("it is there")


def _fill(store: Store) -> None:
    """Put many artifacts there at once."""
    places = [Address("many", "run", "task", number) for number in range(LISTED)]
    full = f"{store.root.partition('://')[2]}/{{}}".format
    fsspec.filesystem(store.root.partition("://")[0], **store.storage_options).pipe(
        {full(place.path): b"some bytes" for place in places}
    )


def _listed(store: Store) -> None:
    assert len(list(store.list("many"))) == LISTED


def _said(requests: list[Request]) -> str:
    counted = Counter(request.verb for request in requests)
    return " + ".join(f"{counted[verb]} {verb}" for verb in sorted(counted, key=ORDER.index)) or "none"


def main() -> None:
    """Count, and print the table."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (protocol, server) in STORES.items():
            with server(Path(folder, name)) as options, proxy.before(options) as before:
                found[name] = count(before, protocol)
    sys.stdout.write(f"{markdown(found)}\n")


if __name__ == "__main__":
    main()
