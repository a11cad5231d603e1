"""The newest attempt wins, wherever the store can be asked what stands there, and a lost answer is no conflict."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from handoff import Address, MissingError, Store, SupersededError, UnreachableError, attempts, offload, run
from handoff.storage import _calls
from handoff.storage._azure import AzureObjects
from handoff.storage._faults import Failure
from handoff.storage._gcs import GcsObjects
from handoff.storage._s3 import S3Objects

ADDRESS = Address("dag", "run", "task")
STORES = ("local", "s3", "gcs", "azure")
LARGE = bytes(range(256)) * 2**17  # more than is sent in one request, and too dense to shrink below that

pytestmark = pytest.mark.usefixtures("in_haste")


@pytest.fixture
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_calls, "WAITS", (0.0, 0.0))


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return Store(tmp_path)
    scheme = {"s3": "s3", "gcs": "gs", "azure": "abfs"}[request.param]
    return Store(f"{scheme}://bucket/{tmp_path.name}", storage_options=request.getfixturevalue(request.param))


def put(store: Store, value: Any, attempt: int) -> Any:
    return store.put(value, ADDRESS, attempt=attempt, inline_limit=0)


def test_a_zombie_stops_and_leaves_what_its_successor_wrote(store: Store) -> None:
    """An attempt that finds the artifact of a newer one raises SupersededError, and that artifact stays."""
    put(store, "newest", 3)
    for attempt in (1, 2):
        with pytest.raises(SupersededError, match=f"attempt 3 has written .*, and this is attempt {attempt}") as caught:
            put(store, "of a zombie", attempt)
        assert caught.value.attempt == 3
    assert store.get(ADDRESS) == "newest"


def test_a_later_attempt_takes_the_place_of_an_earlier_one(store: Store) -> None:
    """Each attempt overwrites what earlier ones and it itself wrote."""
    for attempt, value in ((1, "first"), (1, "first again"), (2, "second"), (5, "fifth"), (5, "fifth again")):
        put(store, value, attempt)
        assert store.get(ADDRESS) == value
    assert list(store.list()) == [ADDRESS]


def test_a_large_artifact_is_bound_as_well(store: Store) -> None:
    """What goes up in parts obeys the same rule, and nothing of a refused one is seen."""
    import os

    first, second = os.urandom(20 * 2**20), os.urandom(20 * 2**20)
    put(store, first, 1)
    put(store, second, 3)
    # GCS's test server does not look at the condition of such an upload: a first attempt would not be told there.
    for attempt in (2,) if store.root.startswith("gs:") else (1, 2):
        with pytest.raises(SupersededError):
            put(store, first, attempt)
    assert second == store.get(ADDRESS)


def test_a_new_life_of_a_run_overwrites_the_old_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that began after the artifact was written overwrites it, whatever attempt that was of."""
    put(store, "of an earlier life", 4)
    with attempts.work(ADDRESS), pytest.raises(SupersededError):
        put(store, "of the same moment", 1)
    monkeypatch.setattr("handoff.attempts.time", _Later())
    with attempts.work(ADDRESS):
        put(store, "of this life", 1)
    assert store.get(ADDRESS) == "of this life"


class _Later:
    @staticmethod
    def time() -> float:
        return time.time() + 60


def test_an_inline_result_removes_nothing_of_a_newer_attempt(store: Store) -> None:
    """A later attempt whose value travels inline removes what earlier ones stored, and stops before a newer one's."""
    put(store, "stored", 3)
    with pytest.raises(SupersededError):
        store.put(1, ADDRESS, attempt=2)
    assert store.get(ADDRESS) == "stored"
    store.put(1, ADDRESS, attempt=3)
    with pytest.raises(MissingError):
        store.get(ADDRESS)
    store.put(1, ADDRESS, attempt=4)


def test_elements_that_are_left_over_are_removed_by_the_same_rule(store: Store) -> None:
    """A list of a later attempt removes surplus elements of earlier ones, and not those of a newer one."""
    store.put_many(["a", "b", "c"], ADDRESS, attempt=1, inline_limit=0)
    store.put_many(["d"], ADDRESS, attempt=2, inline_limit=0)
    assert [Address("dag", "run", "task", item=0)] == list(store.list())
    store.put_many(["e", "f"], ADDRESS, attempt=4, inline_limit=0)
    with pytest.raises(SupersededError):
        store.put_many([], ADDRESS, attempt=3, inline_limit=0)


def test_a_task_is_told_that_it_was_superseded(tmp_path: Path) -> None:
    """Under @offload, an attempt whose successor has written meanwhile ends with SupersededError."""
    store = Store(tmp_path)

    @offload(store=store, inline_limit=0)
    def task() -> str:
        store.put("of attempt 2", Address("d", "r", "task"), attempt=2, inline_limit=0)
        return "of attempt 1"

    with run(dag_id="d", run_id="r"), pytest.raises(SupersededError):
        task()


@pytest.mark.parametrize(("scheme", "recipe"), [("s3", S3Objects), ("gs", GcsObjects), ("abfs", AzureObjects)])
def test_a_store_without_conditions_is_written_without(
    scheme: str, recipe: Any, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a store knows no conditions, the last writer wins."""
    options = request.getfixturevalue({"s3": "s3", "gs": "gcs", "abfs": "azure"}[scheme])
    store, original = Store(f"{scheme}://bucket/{tmp_path.name}", storage_options=options), recipe.put

    async def refusing(self: Any, key: str, body: Any, mark: Any, onto: str | None) -> None:
        if onto is not None:
            raise Failure("NotImplemented", "A header you provided implies functionality that is not implemented")
        await original(self, key, body, mark, onto)

    monkeypatch.setattr(recipe, "put", refusing)
    for value, attempt in (("second", 2), ("first", 1)):
        put(store, value, attempt)
        assert store.get(ADDRESS) == value
    store.put(1, ADDRESS, attempt=2)
    assert not store.exists(ADDRESS)


class TestLostAnswers:
    """What a store did, though its answer got lost, is told from what another did."""

    @pytest.fixture
    def store(self, s3: dict[str, Any], tmp_path: Path) -> Store:
        return Store(f"s3://bucket/{tmp_path.name}", storage_options=s3)

    @pytest.mark.parametrize("value", ["small", LARGE], ids=["small", "large"])
    def test_a_lost_answer_is_no_conflict(self, store: Store, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A put whose answer got lost is tried again, finds its own work, and is done."""
        import s3fs

        lost: list[str] = []
        call = s3fs.S3FileSystem._call_s3

        async def losing(self: Any, method: str, *args: Any, **kwargs: Any) -> Any:
            found = await call(self, method, *args, **kwargs)
            if method in ("put_object", "complete_multipart_upload") and not lost:
                lost.append(method)
                raise ConnectionResetError("the answer got lost")
            return found

        monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", losing)
        handoff = put(store, value, 1)
        assert len(lost) == 1
        assert store.get(handoff) == value

    def test_a_place_that_others_write_without_end_is_given_up(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A put that finds another version each time it looks ends with an error that says so."""

        async def refusing(self: Any, key: str, body: Any, mark: Any, onto: str | None) -> None:
            raise Failure("PreconditionFailed", "At least one of the pre-conditions did not hold")

        monkeypatch.setattr(S3Objects, "put", refusing)
        with pytest.raises(UnreachableError, match="is written by others again and again"):
            put(store, "value", 1)

    def test_writers_of_one_moment_leave_one_whole_value(self, store: Store) -> None:
        """Eight puts of one attempt at once all end well, and what stands there is of one of them."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(8) as threads:
            handoffs = list(threads.map(lambda n: _patient_put(store, [n] * 1_000), range(8)))
        there = store.get(ADDRESS)
        assert there in [[n] * 1_000 for n in range(8)]
        assert len(handoffs) == 8


def _patient_put(store: Store, value: Any) -> Any:
    while True:
        try:
            return put(store, value, 1)
        except UnreachableError:
            continue
