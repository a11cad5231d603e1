"""Azure: the store's contract on a real server, through adlfs."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import Any

import pytest

from handoff import Address, DeniedError, File, LimitError, MissingError, StaleError, Store, UnreachableError
from handoff.spool import Source
from handoff.storage._azure import AzureObjects
from handoff.testing import StoreContract, same

# The client library sends the bytes that it is given.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
ADDRESS = Address("dag", "run", "task")
ACTS: list[Any] = [
    lambda s: s.get(ADDRESS), lambda s: s.put((1,), ADDRESS, inline_limit=0), lambda s: s.exists(ADDRESS),
    lambda s: s.delete(ADDRESS), lambda s: list(s.list()),
]  # fmt: skip


class TestContract(StoreContract):
    """Azure keeps the store's contract."""

    @pytest.fixture
    def store(self, azure: dict[str, Any], tmp_path: Path) -> Store:
        return Store(f"abfs://bucket/{tmp_path.name}", storage_options=azure)


@pytest.fixture
def store(azure: dict[str, Any], tmp_path: Path) -> Store:
    return Store(f"abfs://bucket/{tmp_path.name}", storage_options=azure)


def test_large_values_cross_azure(store: Store, tmp_path: Path) -> None:
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


def test_blocks_of_two_writers_are_not_mixed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another writer has sent of its value beside the same object is in no other's value."""
    send = AzureObjects._send

    async def crossed(self: AzureObjects, there: Any, body: Source, token: str) -> list[Any]:
        blocks = await send(self, there, body, token)
        await send(self, there, Source(os.urandom(9 * 2**20)), "0" * len(token))
        return blocks

    monkeypatch.setattr(AzureObjects, "_send", crossed)
    value = os.urandom(20 * 2**20)
    store.put(value, ADDRESS)
    assert value == store.get(ADDRESS)


def test_what_is_missing_is_told_from_a_missing_container(store: Store, azure: dict[str, Any]) -> None:
    """No artifact is missing; no container, and a server that is not there, are unreachable, whatever is asked."""
    with pytest.raises(MissingError, match="there is no artifact at abfs://"):
        store.get(ADDRESS)
    assert not store.exists(ADDRESS)
    nobody = {"connection_string": re.sub(r":\d+/", ":9/", azure["connection_string"])}
    for act in ACTS:
        with pytest.raises(UnreachableError, match="no bucket abfs://nowhere"):
            act(Store("abfs://nowhere/p", storage_options=azure))
        with pytest.raises(UnreachableError):
            act(Store("abfs://bucket/p", storage_options=nobody, timeout=0.5))


def test_a_wrong_key_is_denied(azure: dict[str, Any]) -> None:
    """A key that the account does not have is denied, whatever is asked, and is not repeated."""
    wrong = base64.b64encode(b"another-secret-0001").decode()
    options = {"connection_string": re.sub(r"AccountKey=[^;]+", f"AccountKey={wrong}", azure["connection_string"])}
    for act in ACTS:
        with pytest.raises(DeniedError) as caught:
            act(Store("abfs://bucket/p", storage_options=options))
        assert wrong not in str(caught.value)
