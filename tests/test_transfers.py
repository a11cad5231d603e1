"""Large transfers on real stores: what is interrupted is taken up again, of the same version, and what is empty is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from benchmarks import faults
from benchmarks.proxy import Exchange, Proxy
from handoff import Address, DamagedError, DeniedError, StaleError, Store
from handoff.testing import same

ADDRESS = Address("dag", "run", "task")
VALUE = np.random.default_rng(7).standard_normal(3_000_000)
SCHEMES = {"s3": "s3", "gcs": "gs"}

Proxied = Callable[[dict[str, Any]], Proxy]


@pytest.fixture(params=SCHEMES)
def proxy(request: pytest.FixtureRequest, proxied: Proxied) -> Proxy:
    return proxied(request.getfixturevalue(request.param))


@pytest.fixture
def store(request: pytest.FixtureRequest, proxy: Proxy, tmp_path: Path) -> Store:
    scheme = SCHEMES[request.node.callspec.params["proxy"]]
    return Store(f"{scheme}://bucket/{tmp_path.name}", storage_options=proxy.options, inline_limit=0)


@pytest.mark.parametrize("fault", [faults.reset_midway, faults.cut_short], ids=lambda fault: fault.__name__)
def test_a_transfer_that_was_cut_is_taken_up_where_it_ended(store: Store, proxy: Proxy, fault: Any) -> None:
    """The rest of a large object is asked for, of the version that the first part is of, and all of it is right."""
    handoff = store.put(VALUE, ADDRESS)
    proxy.clear()
    proxy.play("cut", fault)
    assert same(VALUE, store.get(handoff))
    first, second = [request for request in proxy.requests if request.verb == "GET"]
    assert {} == first.conditions
    assert {"range", "if-match"} == set(second.conditions) or {"range", "ifGenerationMatch"} == set(second.conditions)
    assert int(second.conditions["range"].removeprefix("bytes=").partition("-")[0]) > 0


def test_a_look_that_is_cut_is_taken_again(store: Store, proxy: Proxy) -> None:
    """A retry that is told only half of what stands in its way asks again, and knows then."""
    store.put(1, ADDRESS)
    proxy.play("cut", faults.cut_short_unsaid, verb="HEAD")
    store.put(2, ADDRESS, attempt=2)
    assert 1 == proxy.played["cut"]
    assert 2 == store.get(ADDRESS)


def test_a_large_transfer_that_is_damaged_once_is_done_again(store: Store, proxy: Proxy) -> None:
    """A bit that flips on the way down is noticed, and the object is read anew."""
    handoff = store.put(VALUE, ADDRESS)
    proxy.clear()
    proxy.play("flip", faults.flip_down)
    assert same(VALUE, store.get(handoff))


def test_an_overwrite_amid_an_interrupted_transfer_is_told(store: Store, proxy: Proxy) -> None:
    """Where the version that was begun is gone when its rest is asked for, the handoff is stale and the new one is got."""
    handoff = store.put(VALUE, ADDRESS)
    again = Store(store.root, storage_options=store.storage_options, inline_limit=0)

    def overwrite(exchange: Exchange) -> None:
        answer = exchange.ask()
        again.put(VALUE + 1, ADDRESS)
        exchange.give(answer, 0.5)
        exchange.reset()

    for what in (ADDRESS, handoff):
        proxy.clear()
        proxy.play("overwrite", overwrite, verb="GET")
        if what is handoff:
            with pytest.raises(StaleError):
                store.get(what)
        else:
            assert same(VALUE + 1, store.get(what))


def test_an_object_that_was_emptied_is_damaged(s3: dict[str, Any], gcs: dict[str, Any], azure: dict[str, Any]) -> None:
    """An artifact in whose place stands an object of no bytes is damaged, on every store."""
    for scheme, options in (("s3", s3), ("gs", gcs), ("abfs", azure)):
        store = Store(f"{scheme}://bucket/emptied", storage_options=options, inline_limit=0)
        handoff = store.put("value", ADDRESS)
        fsspec.filesystem(scheme, **options).pipe_file(f"bucket/emptied/{ADDRESS.path}", b"")
        with pytest.raises(DamagedError):
            store.get(handoff)


def test_many_that_may_not_be_deleted_are_all_named(s3: dict[str, Any]) -> None:
    """Where one request for many deletions is refused, each of them is named."""
    store = Store("s3://bucket/refused", storage_options={**s3, "secret": "another-secret-0001"})
    addresses = [Address("dag", "run", "task", item=item) for item in range(3)]
    with pytest.raises(DeniedError, match="3 of 3 failed") as caught:
        store.delete_many(addresses)
    assert [address.path for address in addresses] == [
        error.uri.partition("refused/")[2] for error in caught.value.failures
    ]


def test_a_large_put_that_may_not_be_is_refused(azure: dict[str, Any]) -> None:
    """Where a part of a large put is refused, so is the put."""
    import base64

    key = base64.b64encode(b"handoff-test-secret-01").decode()
    wrong = azure["connection_string"].replace(key, base64.b64encode(b"another-secret-0001").decode())
    store = Store("abfs://bucket/refused", storage_options={"connection_string": wrong})
    with pytest.raises(DeniedError):
        store.put(VALUE, ADDRESS)
