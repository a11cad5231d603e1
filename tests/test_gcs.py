"""GCS: the store's contract on a real server, through gcsfs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from handoff import Address, File, LimitError, MissingError, StaleError, Store, UnreachableError
from handoff.testing import StoreContract, same

# The client library sends the bytes that it is given.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
ADDRESS = Address("dag", "run", "task")
ACTS: list[Any] = [
    lambda s: s.get(ADDRESS), lambda s: s.put((1,), ADDRESS, inline_limit=0), lambda s: s.exists(ADDRESS),
    lambda s: s.delete(ADDRESS), lambda s: list(s.list()),
]  # fmt: skip


class TestContract(StoreContract):
    """GCS keeps the store's contract."""

    @pytest.fixture
    def store(self, gcs: dict[str, Any], tmp_path: Path) -> Store:
        return Store(f"gs://bucket/{tmp_path.name}", storage_options=gcs)


@pytest.fixture
def store(gcs: dict[str, Any], tmp_path: Path) -> Store:
    return Store(f"gs://bucket/{tmp_path.name}", storage_options=gcs)


def test_large_values_cross_gcs(store: Store, tmp_path: Path) -> None:
    """An array and a file above what memory holds come back identical, and one that was overwritten is stale."""
    import numpy as np

    value = np.random.default_rng(1).standard_normal(5_000_000)
    handoff = store.put(value, ADDRESS)
    assert same(value, store.get(handoff.to_json()))
    assert same(value, store.get(ADDRESS))
    path = tmp_path / "model.bin"
    path.write_bytes(os.urandom(30 * 2**20))
    with store.get(store.put(File(path), ADDRESS)) as arrived:
        assert path.read_bytes() == arrived.path.read_bytes()
    store.put(np.zeros(5), ADDRESS, inline_limit=0)
    with pytest.raises(StaleError):
        store.get(handoff)
    store.put(value, ADDRESS)
    with pytest.raises(LimitError):
        Store(store.root, storage_options=store.storage_options, max_size=10**6).get(ADDRESS)


def test_what_is_missing_is_told_from_a_missing_bucket(store: Store, gcs: dict[str, Any]) -> None:
    """No artifact is missing; no bucket, and a server that is not there, are unreachable, whatever is asked."""
    with pytest.raises(MissingError, match="there is no artifact at gs://"):
        store.get(ADDRESS)
    assert not store.exists(ADDRESS)
    for act in ACTS:
        with pytest.raises(UnreachableError, match="no bucket gs://nowhere"):
            act(Store("gs://nowhere/p", storage_options=gcs))
        with pytest.raises(UnreachableError):
            act(Store("gs://bucket/p", storage_options={**gcs, "endpoint_url": "http://127.0.0.1:9"}, timeout=0.5))


def test_bytes_that_look_like_the_end_of_an_upload_are_kept(store: Store, tmp_path: Path) -> None:
    """A file that holds what divides the parts of a MIME message comes back whole."""
    path = tmp_path / "mail"
    path.write_bytes(b"before\r\n--==0==--\r\nbehind\n--==0==--\nend" * 100)
    with store.get(store.put(File(path), ADDRESS)) as arrived:
        assert path.read_bytes() == arrived.path.read_bytes()
