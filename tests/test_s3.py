"""S3: the store's contract on a real server, through s3fs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from handoff import Address, DeniedError, File, LimitError, MissingError, StaleError, Store, UnreachableError
from handoff.testing import StoreContract, same

ADDRESS = Address("dag", "run", "task")


class TestContract(StoreContract):
    """S3 keeps the store's contract."""

    @pytest.fixture
    def store(self, s3: dict[str, Any], tmp_path: Path) -> Store:
        return Store(f"s3://bucket/{tmp_path.name}", storage_options=s3)


@pytest.fixture
def store(s3: dict[str, Any], tmp_path: Path) -> Store:
    return Store(f"s3://bucket/{tmp_path.name}", storage_options=s3)


def test_a_frame_and_a_tree_cross_s3(store: Store) -> None:
    """Values of several megabytes come back identical, and missing is told from a missing bucket and from refused."""
    import pandas as pd

    for value in (pd.DataFrame({"a": range(300_000), "b": [0.5] * 300_000}), [("row", n) for n in range(300_000)]):
        assert same(value, store.get(store.put(value, ADDRESS, inline_limit=0).to_json()))
    with pytest.raises(MissingError):
        store.get(Address("dag", "run", "none"))


def test_faults_of_a_real_server_are_told_apart(s3: dict[str, Any]) -> None:
    """A missing bucket and a server that is not there are unreachable; a wrong secret is denied."""
    with pytest.raises(UnreachableError, match="no bucket"):
        Store("s3://nowhere/p", storage_options=s3).get(ADDRESS)
    with pytest.raises(UnreachableError, match="no bucket"):
        Store("s3://nowhere/p", storage_options=s3).put((1,), ADDRESS, inline_limit=0)
    wrong = {**s3, "secret": "another-secret-0001"}
    for act in (lambda s: s.get(ADDRESS), lambda s: s.put((1,), ADDRESS, inline_limit=0), lambda s: s.exists(ADDRESS)):
        with pytest.raises(DeniedError) as caught:
            act(Store("s3://bucket/p", storage_options=wrong))
        assert "another-secret" not in str(caught.value)
    nobody = {**s3, "client_kwargs": {"endpoint_url": "http://127.0.0.1:9", "region_name": "us-east-1"}}
    with pytest.raises(UnreachableError):
        Store("s3://bucket/p", storage_options=nobody, timeout=5).get(ADDRESS)


def test_an_empty_object_is_no_value(store: Store, s3: dict[str, Any]) -> None:
    """An object of no bytes, as a broken writer leaves, raises one of this library's errors."""
    import s3fs

    from handoff import HandoffError

    s3fs.S3FileSystem(**s3).pipe_file(f"{store.root.removeprefix('s3://')}/{ADDRESS.path}", b"")
    with pytest.raises(HandoffError):
        store.get(ADDRESS)


def test_what_is_not_held_in_memory_crosses_s3(store: Store, tmp_path: Path) -> None:
    """An array and a file above what memory holds go up in parts and come down as one, by handoff and by address."""
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
    small = Store(store.root, storage_options=store._options, max_size=10**6)
    with pytest.raises(LimitError):
        small.get(ADDRESS)
    with pytest.raises(MissingError):
        store.get(Address("dag", "run", "none"))


def test_a_large_object_is_one_version_in_one_request(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read of a large object is one GET and no HEAD, so that it is one version of it."""
    import numpy as np
    import s3fs

    handoff = store.put(np.random.default_rng(1).standard_normal(5_000_000), ADDRESS)
    calls: list[str] = []
    call = s3fs.S3FileSystem._call_s3

    async def counted(self: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        calls.append(method)
        return await call(self, method, *args, **kwargs)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)
    for what in (handoff, ADDRESS):
        store.get(what)
    assert calls == ["get_object"] * 2


def test_columns_of_a_large_table_are_fetched_without_the_rest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of twenty columns on S3 cost less than a quarter of the bytes, and a scan reads no more than it is asked for."""
    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow.dataset as ds
    import s3fs

    frame = pd.DataFrame({f"c{n}": np.random.default_rng(n).standard_normal(150_000) for n in range(20)})
    handoff = store.put(frame, ADDRESS)
    fetched: list[int] = []
    call = s3fs.S3FileSystem._call_s3

    async def counted(self: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        found = await call(self, method, *args, **kwargs)
        fetched.append(found["ContentLength"] if method == "get_object" else 0)
        return found

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)
    assert same(frame[["c3", "c9"]], handoff.load(columns=["c3", "c9"]))
    assert 0 < sum(fetched) < handoff.to_json()["size"] / 4
    late = handoff.scan().to_table(columns=["c1"], filter=ds.field("c2") > 4)
    assert frame[frame["c2"] > 4]["c1"].to_list() == late["c1"].to_pylist()
    lazy = handoff.scan(pl.LazyFrame).filter(pl.col("c2") > 4).select("c1").collect()
    assert late["c1"].to_pylist() == lazy["c1"].to_list()
