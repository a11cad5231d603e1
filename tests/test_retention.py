"""Retention: exactly what the conditions mean is removed, whoever writes meanwhile, and what is whole is found whole."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import itertools
import os
import random
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from benchmarks import servers
from benchmarks.proxy import Proxy
from handoff import (
    Address,
    ConfigError,
    DamagedError,
    DeniedError,
    EnvelopeError,
    Event,
    File,
    HandoffError,
    IdentityError,
    LimitError,
    MissingError,
    StaleError,
    Store,
    UnreachableError,
    observe,
    run,
)
from handoff.retention import _listing, _prune, _verify, artifacts, pin, pins, prune, unpin, usage, verify
from handoff.storage import Entry, local, remote
from handoff.store import storage_of

# The client libraries send the bytes that they are given.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
HOUR = dt.timedelta(hours=1)
NONE = dt.timedelta()
LONG = "x" * 300
AT = Address("dag", "run", "task")
FOREIGN = (
    "return_value", "dag_id=d/return_value", "dag_id=%41/run_id=r/task_id=t/map_index=-1/k", ".pins/notes.txt", "README.md",
    "dag_id=d/run_id=r/task_id=t/map_index=01/k", f"dag_id={'y' * 134}~{'0' * 64}/run_id=r/task_id=t/map_index=-1/k", "dag_id=d/run_id=r/a=b/map_index=-1/k",
)  # fmt: skip


class Tree(NamedTuple):
    """A store with artifacts, and the hours since each was written."""

    store: Store
    ages: dict[Address, float]


def age(store: Store, address: Address, hours: float) -> None:
    """Let an artifact, or another object, in a folder or in memory, be so old."""
    path = address if isinstance(address, str) else address.path
    when = time.time() - hours * 3600
    if store.root.startswith("memory:"):
        file = fsspec.filesystem("memory").store[f"/{store.root.removeprefix('memory://').strip('/')}/{path}"]
        file.created = file.modified = dt.datetime.fromtimestamp(when, dt.UTC)
    else:
        os.utime(f"{store.root}/{path}", (when, when))


def write(store: Store, path: str, data: bytes) -> None:
    """Put an object that is not ours somewhere below a root."""
    if "://" not in store.root:
        Path(store.root, path).parent.mkdir(parents=True, exist_ok=True)
        Path(store.root, path).write_bytes(data)
        return
    protocol, _, prefix = store.root.partition("://")
    fsspec.filesystem(protocol, **store.storage_options).pipe_file(f"{prefix}/{path}", data)


def objects(store: Store) -> set[str]:
    """Give the paths of all objects below a root, but those of pins."""
    return {entry.path for entry in storage_of(store).list("") if not entry.path.endswith("/pin")}


@contextlib.contextmanager
def few_at_once(store: Store, **more: dict[str, Any]) -> Iterator[None]:
    """Let S3 give few at once, by what is asked for in some requests."""
    filesystem = storage_of(store)._filesystem()  # type: ignore[attr-defined]
    ask = filesystem._call_s3

    async def paged(method: str, *args: Any, **kwargs: Any) -> Any:
        return await ask(method, *args, **kwargs, **more.get(method, {}))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filesystem, "_call_s3", paged)
        yield


@pytest.fixture
def memory() -> Iterator[Store]:
    yield Store("memory://base/retention")
    fsspec.filesystem("memory").store.clear()
    fsspec.filesystem("memory").pseudo_dirs.clear()


def remote_store(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> Store:
    if kind == "local":
        return Store(tmp_path / "root")
    if kind == "memory":
        return request.getfixturevalue("memory")
    protocol = {"s3": "s3", "gcs": "gs", "azure": "abfs"}[kind]
    return Store(f"{protocol}://bucket/{tmp_path.name}", storage_options=request.getfixturevalue(kind))


@pytest.fixture(params=["local", "memory", "s3", "gcs", "azure"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return remote_store(request, tmp_path, request.param)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[dt.timedelta], None]:
    """Let the clock of every storage be ahead, so that what was just written is old."""

    def ahead(by: dt.timedelta) -> None:
        for kind in (local.LocalStorage, remote.RemoteStorage):
            now = kind.now
            monkeypatch.setattr(kind, "now", lambda self, now=now: now(self) + by.total_seconds())

    return ahead


# --- what is removed -----------------------------------------------------------------------------------------------

ADDRESSES = st.builds(
    Address, st.sampled_from(["d", "d-2", "d/=%", LONG]), st.sampled_from(["r", "r-1", "r=1/../%", "s", f"{LONG}s"]),
    st.sampled_from(["t", LONG]), st.sampled_from([-1, 0, 12]), st.sampled_from(["return_value", LONG]), st.none() | st.just(0),
)  # fmt: skip
PINS = st.tuples(
    st.sampled_from(["d", LONG, "other"]), st.none() | st.sampled_from(["r", f"{LONG}s"]), st.none() | st.just("t")
)
IDS = st.fixed_dictionaries(
    {},
    optional={
        "dag_id": st.sampled_from(["d", "d/=%", LONG, "none"]),
        "run_id": st.sampled_from(["r", f"{LONG}s"]),
        "task_id": st.sampled_from(["t", LONG]),
    },
)
CONDITIONS = st.fixed_dictionaries(
    {}, optional={"older_than": st.integers(0, 12).map(lambda hours: hours * HOUR), "keep_runs": st.integers(1, 3)}
)


def model(ages: dict[Address, float], conditions: dict[str, Any], pinned: Any) -> set[Address]:
    """Say by the plainest of means which artifacts the conditions mean."""
    newest: dict[tuple[str, str], float] = {}
    for at, hours in ages.items():
        newest[at.dag_id, at.run_id] = min(hours, newest.get((at.dag_id, at.run_id), hours))

    def is_meant(at: Address) -> bool:
        mine = newest[at.dag_id, at.run_id]
        later = sum(dag == at.dag_id and hours < mine for (dag, _), hours in newest.items())
        return (
            ages[at] * HOUR > conditions.get("older_than", NONE)
            and ("keep_runs" not in conditions or later >= conditions["keep_runs"])
            and all(conditions.get(name, getattr(at, name)) == getattr(at, name) for name in ("dag_id", "run_id", "task_id"))
            and not any((at.dag_id, run or at.run_id, task or at.task_id) == (dag, at.run_id, at.task_id) for dag, run, task in pinned)
        )  # fmt: skip

    return {at for at in ages if is_meant(at)}


@given(
    addresses=st.lists(ADDRESSES, unique=True, max_size=14),
    conditions=st.tuples(CONDITIONS, IDS).map(lambda two: two[0] | two[1]).filter(bool),
    pinned=st.lists(PINS.filter(lambda one: one[1] or not one[2]), max_size=2, unique=True),
    kind=st.sampled_from(["local", "local", "memory"]),
    page=st.integers(1, 6),
    chance=st.randoms(use_true_random=False),
)
@settings(max_examples=max(40, settings().max_examples // 3))
def test_exactly_what_is_meant_is_removed(
    addresses: list[Address], conditions: dict[str, Any], pinned: Any, kind: str, page: int, chance: random.Random
) -> None:
    """Of any artifacts, any conditions remove those that a model says, a dry run says the same, and all else stays."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(_listing, "PAGE", page)
        store = Store(folder if kind == "local" else f"memory://{folder}")
        ages = {at: n + 0.5 for n, at in enumerate(chance.sample(addresses, len(addresses)))}
        for n, (at, hours) in enumerate(ages.items()):
            store.put(("value", n), at, inline_limit=0)
            age(store, at, hours)
        for path in FOREIGN:
            write(store, path, b"foreign")
            age(store, path, 100)
        for one in pinned:
            pin(store, *one)
        before, meant = objects(store), model(ages, conditions, pinned)
        said = prune(store, **conditions)
        assert before == objects(store)
        assert len(meant) == said.artifacts == sum(one.artifacts for one in said.dags)
        done = prune(store, **conditions, delete=True)
        assert before - {at.path for at in meant} == objects(store)
        assert (said.artifacts, said.size, said.dags, said.pinned) == (
            done.artifacts,
            done.size,
            done.dags,
            done.pinned,
        )
        assert {at.dag_id for at in meant} == {one.dag_id for one in done.dags}
        assert prune(store, **conditions).artifacts == 0 or "keep_runs" in conditions
        assert (0, 0) == (done.failed, done.replaced)
        if kind == "local":  # no folder is left empty
            assert [] == [name for name, *inside in os.walk(folder) if not any(inside) and ".tmp" not in name]


def test_what_is_meant_is_removed_on_every_store(
    anywhere: Store, later: Callable[[dt.timedelta], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a folder, in memory, on S3, GCS and Azure: by age, runs, DAG and pins; what is beside and foreign stays."""
    monkeypatch.setattr(_listing, "PAGE", 4)
    store, beside = anywhere, Store(f"{anywhere.root}2", storage_options=anywhere.storage_options)
    put = [Address(dag, f"r{run}", task) for dag in ("d", "e") for run in range(3) for task in ("t", LONG)]
    for store_ in (store, beside):
        for at in put:
            store_.put(("value", at.run_id), at, inline_limit=0)
    for path in FOREIGN:
        write(store, path, b"foreign")
    there = objects(store)
    assert 0 == prune(store, dag_id="d", older_than=HOUR, delete=True).artifacts
    later(2 * HOUR)
    pin(store, "e", "r1", note="for the audit")
    listed = sorted(artifacts(store), key=lambda one: one.path)
    assert sorted(at.path for at in put) == [one.path for one in listed]
    assert all(one.size > 50 and one.modified is not None for one in listed)
    newest = {run: max(one.modified for one in listed if one.path.startswith(run)) for run in {one.path.rsplit("/task_id", 1)[0] for one in listed}}  # fmt: skip
    latest = max((when, run) for run, when in newest.items() if run.startswith("dag_id=e/"))[1]
    gone = {one.path for one in listed if one.path.startswith("dag_id=e/") and not one.path.startswith((latest, "dag_id=e/run_id=r1/"))}  # fmt: skip
    found = prune(store, dag_id="e", keep_runs=1, older_than=HOUR, delete=True)
    assert there - gone == objects(store)
    assert (len(gone), 2 if "run_id=r1" not in latest else 0, 0) == (found.artifacts, found.pinned, found.failed)
    assert 6 == prune(store, dag_id="d", delete=True).artifacts
    assert unpin(store, "e", "r1")
    assert 12 - 6 - len(gone) == prune(store, older_than=HOUR, delete=True).artifacts
    assert set(FOREIGN) == objects(store)
    assert set(put) == set(beside.list())


def test_what_is_written_since_it_began_is_left(anywhere: Store) -> None:
    """Nothing is removed that is newer than the prune, by the clock of the storage itself."""
    anywhere.put((1,), AT, inline_limit=0)
    now = storage_of(anywhere).now()
    assert abs(now - time.time()) < 60
    (entry,) = storage_of(anywhere).list("")
    if not anywhere.root.startswith(("/", "memory")):
        assert 0 == now % 1
    before = prune(anywhere, dag_id="dag").artifacts
    assert before == (entry.modified < storage_of(anywhere).now()) or before == (entry.modified < now)


@pytest.mark.parametrize("kind", ["local", "memory", "s3", "azure"])
def test_what_is_replaced_before_it_is_removed_is_kept(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: Any, kind: str
) -> None:
    """An artifact that a writer replaces between the listing and the removal is spared, and said to be."""
    store = remote_store(request, tmp_path, kind)
    store.put_many(["a", "b", "c"], AT, inline_limit=0)
    later(HOUR)
    pinned = _prune.pinned

    def meanwhile(storage: Any) -> frozenset[str]:
        store.put("new", Address("dag", "run", "task", item=1), inline_limit=0)
        return pinned(storage)

    monkeypatch.setattr(_prune, "pinned", meanwhile)
    found = prune(store, dag_id="dag", delete=True)
    assert (2, 1, 0) == (found.artifacts, found.replaced, found.failed)
    assert [("new", 1)] == [(store.get(at), at.item) for at in store.list()]


def test_gcs_is_asked_to_remove_what_was_listed(
    gcs: dict[str, Any], proxied: Callable[[dict[str, Any]], Proxy], tmp_path: Path, later: Any
) -> None:
    """On GCS every removal is bound to the generation that was listed."""
    proxy = proxied(gcs)
    store = Store(f"gs://bucket/{tmp_path.name}", storage_options=proxy.options)
    store.put_many([1, 2], AT, inline_limit=0)
    tags = [entry.tag for entry in storage_of(store).list("")]
    later(HOUR)
    proxy.clear()
    assert 2 == prune(store, dag_id="dag", delete=True).artifacts
    asked = [request.conditions for request in proxy.requests if request.method == "DELETE"]
    assert sorted(asked, key=str) == sorted(({"ifGenerationMatch": tag} for tag in tags), key=str)


def test_a_thousand_take_few_requests(
    s3: dict[str, Any], proxied: Callable[[dict[str, Any]], Proxy], tmp_path: Path, later: Any, monkeypatch: Any
) -> None:
    """On S3 a page of a thousand is listed, pins are looked for, and the page is removed: no request for each."""
    proxy = proxied(s3)
    store = Store(f"s3://bucket/{tmp_path.name}", storage_options=proxy.options)
    full = f"bucket/{tmp_path.name}/{{}}".format
    places = [Address("dag", "run", "task", n).path for n in range(22)]
    fsspec.filesystem("s3", **s3).pipe({full(path): b"bytes" for path in places})
    later(HOUR)
    monkeypatch.setattr(_listing, "PAGE", 20)
    with few_at_once(store, list_objects_v2={"MaxKeys": 20}):
        proxy.clear()
        assert 0 == prune(store, keep_runs=1, dag_id="dag").artifacts
        assert ["BUCKET", "LIST", "LIST", "LIST", "LIST"] == proxy.verbs()
        proxy.clear()
        assert 22 == prune(store, older_than=NONE, delete=True).artifacts
        assert ["BUCKET", *["LIST", "LIST", "DELETE MANY"] * 2] == proxy.verbs()
    assert [] == list(store.list())


def test_a_run_that_comes_meanwhile_is_not_taken_for_an_old_one(
    store: Store, monkeypatch: pytest.MonkeyPatch, later: Any
) -> None:
    """A run, and a DAG, that are first written after the latest runs were looked for are kept, whatever the clocks say."""
    for number in range(3):
        store.put(number, Address("dag", f"r{number}", "task"), inline_limit=0)
        age(store, Address("dag", f"r{number}", "task"), 5 - number)
    late = [Address("dag", "late", "task"), Address("another", "late", "task")]
    later(HOUR)
    told: list[str] = []

    def tell(progress: Any) -> None:
        if not told:
            for at in late:
                store.put("late", at, inline_limit=0)
        told.append(progress.stage)

    assert 1 == prune(store, keep_runs=2, delete=True, tell=tell).artifacts
    assert ["runs", "artifacts"] == told
    assert {*late, Address("dag", "r1", "task"), Address("dag", "r2", "task")} == set(store.list())


def test_an_interrupted_prune_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch, later: Any) -> None:
    """A prune that is interrupted has removed whole pages, and the next one removes the rest."""
    monkeypatch.setattr(_listing, "PAGE", 5)
    store.put_many([*range(12)], AT, inline_limit=0)
    later(HOUR)
    seen: list[Any] = []

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    def tell(progress: Any) -> None:
        seen.append(progress)
        if len(seen) == 2:
            interrupt()

    with pytest.raises(KeyboardInterrupt):
        prune(store, dag_id="dag", delete=True, tell=tell)
    assert [5, 10] == [one.artifacts for one in seen] == [one.deleted for one in seen]
    assert 2 == len(list(store.list()))
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", interrupt)  # amid a page
        with pytest.raises(KeyboardInterrupt):
            prune(store, dag_id="dag", delete=True)
    assert 2 == prune(store, dag_id="dag", delete=True).artifacts
    assert [] == list(store.list())


def test_pins_count_until_the_last_page(store: Store, monkeypatch: pytest.MonkeyPatch, later: Any) -> None:
    """A pin that is set while a prune is at work holds for every page that is left."""
    monkeypatch.setattr(_listing, "PAGE", 2)
    for name in "abcdef":
        store.put(name, Address("dag", name, "task"), inline_limit=0)
    later(HOUR)
    found = prune(store, dag_id="dag", delete=True, tell=lambda _: pin(store, "dag", "d"))
    assert (5, 1) == (found.artifacts, found.pinned)
    assert ["d"] == [at.run_id for at in store.list()]


def test_what_is_not_removed_is_told(store: Store, monkeypatch: pytest.MonkeyPatch, later: Any) -> None:
    """A failure is counted and told; where the storage refuses a whole page, that is raised; a missing one is none."""
    monkeypatch.setattr(_listing, "PAGE", 3)
    monkeypatch.setattr(_prune, "MOST_FAILURES", 1)
    store.put_many([*range(6)], AT, inline_limit=0)
    later(HOUR)
    delete = local.LocalStorage._delete_listed

    def refuse(self: Any, entry: Entry) -> None:
        if entry.path.endswith(("item=1/return_value", "item=5/return_value")):
            raise DeniedError("no", address=entry.path)
        if entry.path.endswith("item=3/return_value"):
            raise MissingError("gone")
        delete(self, entry)

    with monkeypatch.context() as patch:
        patch.setattr(local.LocalStorage, "_delete_listed", refuse)
        found = prune(store, dag_id="dag", delete=True)
        assert (4, 2, 1) == (found.artifacts, found.failed, len(found.failures))
        assert isinstance(found.failures[0], DeniedError)
        patch.setattr(_listing, "PAGE", 1)
        with pytest.raises(DeniedError):
            prune(store, dag_id="dag", delete=True)
    assert 3 == len(list(store.list()))


def test_what_is_pruned_is_seen(store: Store, later: Any, caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    """Each artifact that is removed, or is not although it should be, is an event; all of them are one line of the log."""
    store.put_many(["a", "b", "c"], AT, inline_limit=0)
    later(HOUR)
    events: list[Event] = []
    delete = local.LocalStorage._delete_listed

    def refuse(self: Any, entry: Entry) -> None:
        if "item=1" in entry.path:
            raise DeniedError("no", address=entry.path)
        delete(self, entry)

    monkeypatch.setattr(local.LocalStorage, "_delete_listed", refuse)
    caplog.set_level("INFO", "handoff")
    with observe(events.append), run(dag_id="nightly", run_id="now"):
        prune(store, dag_id="dag")
        assert [] == events
        found = prune(store, dag_id="dag", delete=True)
    assert [("prune", "ok", 0), ("prune", "denied", 1), ("prune", "ok", 2)] == [
        (event.action, event.outcome, event.address.item) for event in events if event.address
    ]
    assert {("nightly", "now")} == {(event.who.dag_id, event.who.run_id) for event in events}
    assert found.size == sum(event.size or 0 for event in events if event.outcome == "ok")
    (line,) = [record.message for record in caplog.records if "pruned" in record.message]
    assert line.startswith("pruned 2 artifacts: ")


def test_a_time_that_is_not_known_is_no_age(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a store tells no time of is not removed, and has no day."""
    store.put((1,), AT, inline_limit=0)
    listing = local.LocalStorage.list
    monkeypatch.setattr(
        local.LocalStorage, "list", lambda self, folder: (e._replace(modified=0.0) for e in listing(self, folder))
    )
    assert 0 == prune(store, dag_id="dag").artifacts
    (day,) = usage(store, by="day")
    assert (1, None, None, None) == (day.artifacts, day.day, day.oldest, day.newest)
    assert [None] == [one.modified for one in artifacts(store)]


@pytest.mark.parametrize(
    "conditions",
    [
        {}, {"older_than": -HOUR}, {"older_than": 7}, {"older_than": True}, {"keep_runs": 0}, {"keep_runs": True}, {"keep_runs": "3"},
        {"leftovers": -HOUR}, {"leftovers": 3}, {"dag_id": ""}, {"run_id": "\ud800"}, {"task_id": "\0"}, {"leftovers": False},
    ],
    ids=repr,
)  # fmt: skip
def test_what_has_no_meaning_removes_nothing(store: Store, conditions: dict[str, Any]) -> None:
    """No condition at all, and one that has no meaning, are refused before anything is looked at."""
    with pytest.raises((ConfigError, IdentityError)):
        prune(store, **conditions, delete=True)


# --- leftovers -----------------------------------------------------------------------------------------------------


def test_leftovers_of_killed_writers_are_removed(store: Store) -> None:
    """Unfinished files older than a day go, younger and foreign ones stay, and artifacts are not looked at."""
    assert 0 == prune(store, leftovers=True, delete=True).leftovers  # nothing was ever put here
    store.put((1,), AT, inline_limit=0)
    age(store, AT, 100)
    names = {"12-0123456789abcdef": 25, "13-0123456789abcdef": 23, "notes": 100, "14-0123456789abcdef.gz": 100}
    for name, hours in names.items():
        Path(store.root, ".tmp", name).write_bytes(b"unfinished")
        age(store, f".tmp/{name}", hours)
    said = prune(store, leftovers=True)
    assert (1, 10, 0) == (said.leftovers, said.leftovers_size, said.artifacts)
    assert 4 == len(os.listdir(f"{store.root}/.tmp"))
    told: list[Any] = []
    assert 1 == prune(store, leftovers=True, delete=True, tell=told.append).leftovers
    assert [("leftovers", 2, 1)] == [(one.stage, one.artifacts, one.deleted) for one in told]
    assert 1 == prune(store, leftovers=HOUR, older_than=1000 * HOUR, delete=True).leftovers
    assert ["14-0123456789abcdef.gz", "notes"] == sorted(os.listdir(f"{store.root}/.tmp"))
    assert store.exists(AT)


def test_uploads_that_were_never_ended_are_removed(s3: dict[str, Any], tmp_path: Path, later: Any) -> None:
    """On S3 uploads in parts at addresses of the root go, all pages of them; beside the root and at no address they stay."""
    client = fsspec.filesystem("s3", **s3)
    store = Store(f"s3://bucket/{tmp_path.name}", storage_options=s3)

    def begin(path: str) -> str:
        upload = client.call_s3("create_multipart_upload", Bucket="bucket", Key=path)["UploadId"]
        client.call_s3("upload_part", Bucket="bucket", Key=path, UploadId=upload, PartNumber=1, Body=b"part")
        return str(upload)

    mine = [begin(f"{tmp_path.name}/{Address('dag', 'run', 'task', n).path}") for n in (0, 1, 1)]
    theirs = [begin(f"{tmp_path.name}2/{AT.path}"), begin(f"{tmp_path.name}/dag_id=dag/film.mp4")]
    assert 0 == prune(store, leftovers=True, delete=True).leftovers
    later(25 * HOUR)
    storage = storage_of(store)
    with few_at_once(store, list_multipart_uploads={"MaxUploads": 2}):
        assert 3 == prune(store, leftovers=True).leftovers
        listed = [*storage.leftovers()]
        done = prune(store, leftovers=True, delete=True)
    assert (3, 0) == (done.leftovers, done.failed)
    left = client.call_s3("list_multipart_uploads", Bucket="bucket", Prefix=tmp_path.name).get("Uploads", [])
    assert set(theirs) == {one["UploadId"] for one in left}
    assert set(mine).isdisjoint(one["UploadId"] for one in left)
    gone = [*listed, listed[0]._replace(tag="no-such-upload")]
    assert {} == storage.discard(gone)  # they are gone: that is no failure


def test_an_upload_that_is_not_ended_is_told(
    s3: dict[str, Any], proxied: Callable[[dict[str, Any]], Proxy], tmp_path: Path, later: Any
) -> None:
    """Where the storage refuses to end an upload, that is a failure which names it."""
    proxy = proxied(s3)
    store = Store(f"s3://bucket/{tmp_path.name}", storage_options=proxy.options)
    fsspec.filesystem("s3", **s3).call_s3("create_multipart_upload", Bucket="bucket", Key=f"{tmp_path.name}/{AT.path}")
    later(25 * HOUR)
    proxy.play("403", lambda exchange: exchange.complain(403, "AccessDenied"), verb="ABORT", times=2)
    found = prune(store, leftovers=True, delete=True)
    assert (0, 1, AT.path) == (found.leftovers, found.failed, found.failures[0].address)
    assert isinstance(found.failures[0], DeniedError)


@pytest.mark.parametrize("kind", ["memory", "gcs", "azure"])
def test_other_stores_keep_no_leftovers(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    """In memory, on GCS and on Azure there is nothing to remove: the services let unfinished uploads go by themselves."""
    store = remote_store(request, tmp_path, kind)
    assert 0 == prune(store, leftovers=True, delete=True).leftovers
    assert {} == storage_of(store).discard([Entry(AT.path)])


# --- pins ----------------------------------------------------------------------------------------------------------


def test_pins_are_set_found_and_taken_away(anywhere: Store) -> None:
    """A pin says what it is of and why, may be set again, and is gone when it is taken away; readers see none of it."""
    assert [] == pins(anywhere)
    first = pin(anywhere, "dag", note="first")
    assert (first.dag_id, first.run_id, first.task_id, first.note) == ("dag", None, None, "first")
    pin(anywhere, "dag", "r/1", "t" * 300)
    again = pin(anywhere, "dag", note="again")
    found = pins(anywhere)
    assert [("dag", None, None), ("dag", "r/1", "t" * 300)] == [(one.dag_id, one.run_id, one.task_id) for one in found]
    assert again == found[0]
    assert [] == list(anywhere.list())
    assert [] == usage(anywhere)
    assert unpin(anywhere, "dag")
    assert ["r/1"] == [one.run_id for one in pins(anywhere)]


def test_a_pin_that_cannot_be_read_protects(store: Store, monkeypatch: pytest.MonkeyPatch, later: Any) -> None:
    """Whatever stands in its place, a pin protects; asked for, it is said to be damaged, and one that vanishes is none."""
    store.put((1,), AT, inline_limit=0)
    later(HOUR)
    pin(store, "dag", "run")
    place = Path(store.root, ".pins/dag_id=dag/run_id=run/pin")
    for data in (b"", b"{}", b'{"dag_id":"other","run_id":"run"}', b'{"dag_id":""}', b'{"dag_id":"dag","task_id":"t"}'):
        place.write_bytes(data)
        assert 1 == prune(store, dag_id="dag", delete=True).pinned
        with pytest.raises(DamagedError, match="Set it again, or delete it"):
            pins(store)
    monkeypatch.setattr(local.LocalStorage, "list", lambda self, folder: iter([Entry(f"{folder}/dag_id=gone/pin")]))
    assert [] == pins(store)


def test_what_cannot_be_pinned_is_refused(store: Store) -> None:
    """A task without its run, no id and an endless note are refused."""
    for act in (pin, unpin):
        with pytest.raises(ConfigError, match="Say which run"):
            act(store, "dag", task_id="task")
        with pytest.raises(IdentityError):
            act(store, "")
    with pytest.raises(ConfigError, match="are allowed"):
        pin(store, "dag", note="x" * 1001)
    with pytest.raises(ConfigError, match="lone surrogate"):  # as an argument that is no UTF-8 arrives
        pin(store, "dag", note="\udcff")


# --- how much there is ---------------------------------------------------------------------------------------------


def test_usage_sums_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sums by DAG, run, task and day are those of the listing, the largest first, shortened ids by their names."""
    assert [] == usage(store)
    places = [Address(dag, run, task) for dag in ("d", LONG) for run in ("r1", "r2") for task in ("t", "u")][:7]
    for n, at in enumerate(places):
        store.put(os.urandom(100 * (n + 1)), at, inline_limit=0)
        age(store, at, 30 * n)
    for path in FOREIGN:
        write(store, path, b"foreign")
    listed = [*artifacts(store)]
    assert set(places) == {one.address for one in listed}
    names: dict[Any, tuple[str, ...]] = {"dag": ("dag_id",), "run": ("dag_id", "run_id"), "task": ("dag_id", "task_id")}
    for by, parts in names.items():
        key = lambda at, parts=parts: tuple(getattr(at, name) for name in parts)  # noqa: E731 - of this loop
        found = usage(store, by=by)
        assert {key(at) for at in places} == {key(one) for one in found}
        for one in found:
            mine = [kept for kept in listed if key(kept.address) == key(one)]
            assert (len(mine), sum(kept.size for kept in mine)) == (one.artifacts, one.size)
            times = [kept.modified for kept in mine if kept.modified]
            assert (min(times), max(times)) == (one.oldest, one.newest)
        assert [one.size for one in found] == sorted((one.size for one in found), reverse=True)
    days = usage(store, by="day")
    assert [one.day for one in days] == sorted({kept.modified.date() for kept in listed if kept.modified})
    assert 7 == sum(one.artifacts for one in days)
    assert [("d", "r1")] == [(one.dag_id, one.run_id) for one in usage(store, by="run", dag_id="d", run_id="r1")]
    assert 2 == usage(store, task_id="u", dag_id="d")[0].artifacts
    with pytest.raises(ConfigError, match="not by 'hour'"):
        usage(store, by="hour")  # type: ignore[arg-type]


def test_times_of_no_year_hinder_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes in a folder sets times as he likes: what is of no year of ours has none, and is counted."""
    listed, when = local.LocalStorage.list, {"run0": 1e12, "run1": -1e12, "run2": 1.0}
    for run_id in when:
        store.put("x", Address("dag", run_id, "task"), inline_limit=0)

    def far(self: Any, folder: str) -> Iterator[Entry]:
        return (one._replace(modified=when[one.path.split("/")[1][-4:]]) for one in listed(self, folder))

    monkeypatch.setattr(local.LocalStorage, "list", far)
    assert [None, None, 1970] == [one.modified and one.modified.year for one in artifacts(store)]
    assert [(None, 2), (1970, 1)] == [(one.day and one.day.year, one.artifacts) for one in usage(store, by="day")]
    (all_of_it,) = usage(store)
    assert 3 == all_of_it.artifacts
    at = Address("dag", "run0", "task")
    far_status = os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, 1, 0, 10**12, 0))
    monkeypatch.setattr(local.LocalStorage, "_status", lambda *_: far_status)
    assert "8307-10-01T19:33:20+00:00" == storage_of(store).modified(at.path)


def test_folders_without_end_hinder_nothing(store: Store) -> None:
    """However deep somebody digs below a root, a listing goes no deeper than it has to: it is one call in another."""
    store.put("x", AT, inline_limit=0)
    write(store, f"{'deep/' * 40}note", b"")
    write(store, "deep/note", b"")
    assert {AT.path, "deep/note"} == objects(store)


def test_what_a_newer_version_wrote_hinders_nothing(store: Store) -> None:
    """Where ids are too long to stand in the path, and the header is of a newer version, it is passed over, and stays."""
    newer = Address(LONG, "run", "task")
    for at in (AT, newer):
        store.put(("x",), at, inline_limit=0)
    with storage_of(store).source(newer.path, 1_000) as source:
        data = source.data()
    write(store, newer.path, data.replace(b'{"handoff":1,', b'{"handoff":2,'))
    for at in (AT, newer):
        age(store, at, 2)
    assert [AT] == [*store.list()] == [one.address for one in artifacts(store)]
    assert 1 == sum(one.artifacts for one in usage(store))
    assert 1 == prune(store, older_than=HOUR, delete=True).artifacts
    assert store.exists(newer)
    with pytest.raises(EnvelopeError, match="newer dag-handoff"):  # the one before it is not the latest
        store.latest(LONG, "task")


def test_a_long_id_costs_a_header_and_no_artifact(anywhere: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of an artifact whose ids are too long to stand in its path, its header alone is read."""
    import pandas as pd

    places = {Address(LONG, "run", task) for task in ("tree", "table")}
    for at in places:
        data = os.urandom(300_000)
        anywhere.put(pd.DataFrame({"a": [data]}) if at.task_id == "table" else data, at, inline_limit=0)
    most = list[int]()
    storage = storage_of(anywhere)
    read = storage.source

    def source(path: str, count: int) -> Any:
        most.append(count)
        return read(path, count)

    monkeypatch.setattr(storage, "source", source)
    assert places == {*anywhere.list()}
    assert [64 * 1024] * 2 == most


def test_runs_are_told_apart_in_any_order() -> None:
    """The latest runs are the same in whatever order a store lists, and however often it comes back to a run."""
    chance = random.Random(1)
    for _ in range(50):
        pieces = [(f"run{chance.randrange(6)}", float(chance.randrange(8))) for _ in range(12)]
        newest = {one: max(at for name, at in pieces if name == one) for one, _ in pieces}
        kept = sorted(newest, key=lambda one: (newest[one], one))[-2:]
        found = _prune._Latest(2)
        for name, at in pieces:
            found.add(name, at)
        found.end()
        assert newest.keys() - {*kept} == {name for name, at in newest.items() if found.is_before(name, at)}


# --- whether it is whole -------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Flight:
    number: int


def values(tmp_path: Path) -> dict[str, Any]:
    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"handoff_id": [1, 2]}), tmp_path / "theirs.parquet")
    (tmp_path / "empty").write_bytes(b"")
    return {
        "tree": {"rows": [(1, b"x" * 50)] * 20},
        "records": [Flight(1), Flight(2)],
        "array": np.arange(2_000_000),
        "frame": pd.DataFrame({"a": range(100)}),
        "polars": pl.DataFrame({"a": range(100)}),
        "ipc": pa.table({"a": pa.array([[]], pa.list_(pa.int8(), 0))}),
        "file": File(tmp_path / "theirs.parquet"),
        "empty": File(tmp_path / "empty"),
    }


def test_what_is_whole_is_found_whole(anywhere: Store, tmp_path: Path) -> None:
    """Values of every codec, records and files among them, large ones and those at overlong ids, are whole."""
    put = values(tmp_path)
    for name, value in put.items():
        anywhere.put(value, Address("dag", "run", name), inline_limit=0)
    anywhere.put((1,), Address(LONG, "run", "task"), inline_limit=0)
    write(anywhere, "dag_id=%41/run_id=r/task_id=t/map_index=-1/k", b"foreign")
    told: list[Any] = []
    found = verify(anywhere, tell=told.append)
    assert () == found.failures
    assert (9, 2, 0) == (found.artifacts, found.files, found.failed)
    assert sum(one.size for one in usage(anywhere)) == found.size == told[-1].size
    assert [*range(1, 10)] == [one.artifacts for one in told]
    assert 1 == verify(anywhere, dag_id="dag", task_id="tree", width=1).artifacts


@pytest.mark.parametrize("name", ["tree", "array", "frame", "ipc", "records"])
def test_any_damage_is_found(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Wherever a byte is flipped, and wherever an artifact is cut, it is told, whether its value is decoded or not."""
    store.put(values(tmp_path)[name], AT, inline_limit=0)
    path = Path(store.root, AT.path)
    data, chance = path.read_bytes(), random.Random(1)
    places = {0, 5, 20, len(data) - 1, len(data) - 5, len(data) - 20, *(chance.randrange(len(data)) for _ in range(8))}
    damaged = [data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :] for place in places]
    damaged += [data[:-1], data[: len(data) // 2], data[:30], data + b"\0"]
    for decoded in (_verify.DECODED, -1):
        monkeypatch.setattr(_verify, "DECODED", decoded)
        path.write_bytes(data)
        assert 0 == verify(store).failed
        for one in damaged:
            path.write_bytes(one)
            found = verify(store)
            assert (1, 1, 0) == (found.artifacts, found.failed, found.files)
            assert isinstance(found.failures[0], DamagedError)
            assert AT.path == found.failures[0].address
            assert str(path) in str(found.failures[0])
            assert found.failures[0].__traceback__ is None  # its frames would hold the bytes


def test_what_stands_in_the_wrong_place_is_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An artifact of another address, one too large to be read and one that is refused are told; a hundred one by one."""
    monkeypatch.setattr(_verify, "MOST_FAILURES", 2)
    store.put(("here",), AT, inline_limit=0)
    data = Path(store.root, AT.path).read_bytes()
    for name in "abc":
        write(store, Address("dag", name, "task").path, data)
    found = verify(store)
    assert (4, 3, 2) == (found.artifacts, found.failed, len(found.failures))
    assert f"the artifact belongs to {AT.path}. Run the producer again" in str(found.failures[0])
    (small,) = verify(Store(store.root, max_size=30), run_id="run").failures
    assert isinstance(small, LimitError)
    for address in (None, "there"):
        error = DeniedError("no", address=address)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_verify, "_read", lambda *_, error=error: (_ for _ in ()).throw(error))
            (failure,) = verify(store, run_id="run").failures
        assert isinstance(failure, DeniedError)
        assert (address or AT.path) == failure.address
    write(store, FOREIGN[6], b"no header")
    assert 4 == verify(store).failed


def test_what_was_damaged_on_its_way_or_is_gone_is_no_failure(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An artifact is read again before it is called damaged; one that is deleted, or grows, meanwhile is no failure."""
    store.put_many(["a", "b", "c"], AT, inline_limit=0)
    read, seen = _verify._read, list[str]()

    def once(storage: Any, entry: Entry, *rest: Any) -> Any:
        seen.append(entry.path)
        if "item=0" in entry.path and seen.count(entry.path) == 1:
            raise DamagedError("on its way")
        if "item=1" in entry.path:
            store.delete(Address("dag", "run", "task", item=1))
        if "item=2" in entry.path:
            store.put(os.urandom(17 * 2**20), Address("dag", "run", "task", item=2), inline_limit=0)
        return read(storage, entry, *rest)

    monkeypatch.setattr(_verify, "_read", once)
    found = verify(store)
    assert (2, 0) == (found.artifacts, found.failed)
    assert found.size > 17 * 2**20


# --- writers at work -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_writers_lose_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """While four writers put anew what is old, prunes remove the old, verifications find no damage, and the new stays."""
    store = remote_store(request, tmp_path, kind)
    monkeypatch.setattr(_listing, "PAGE", 7)
    places = [[Address("dag", f"run{n}", f"task{writer}") for n in range(15)] for writer in range(4)]
    for at in itertools.chain.from_iterable(places):
        store.put(("old", at.run_id), at, inline_limit=0)
    old = {(entry.path, entry.tag) for entry in storage_of(store).list("")}
    kind_of = type(storage_of(store))
    listing = kind_of.list

    def aged(self: Any, folder: str) -> Iterator[Entry]:
        """As if what stood there at the beginning were a day old."""
        for entry in listing(self, folder):
            yield entry._replace(modified=entry.modified - 86_400) if (entry.path, entry.tag) in old else entry

    monkeypatch.setattr(kind_of, "list", aged)
    kept: dict[Address, Any] = {}
    errors: list[BaseException] = []

    def put(writer: int) -> None:
        chance = random.Random(writer)
        try:
            for count, at in enumerate(chance.choices(places[writer], k=20)):
                value = ("new", writer, count, chance.randbytes(200))
                store.put(value, at, inline_limit=0)
                kept[at] = value
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    writers = [threading.Thread(target=put, args=(writer,)) for writer in range(4)]
    for thread in writers:
        thread.start()
    rounds, removed = 0, 0
    while rounds < 2 or any(thread.is_alive() for thread in writers):
        removed += prune(store, older_than=12 * HOUR, delete=True).artifacts
        found = verify(store, width=4)
        errors += found.failures
        rounds += 1
    for thread in writers:
        thread.join()
    assert [] == errors
    assert 0 == prune(store, older_than=12 * HOUR).artifacts
    assert set(kept) == set(store.list())
    assert kept == {at: store.get(at) for at in kept}
    assert removed > 0


def test_a_folder_that_goes_amid_a_put_is_made_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer whose folder is removed because it is empty makes it again; where it goes each time, the put says so."""
    replace, times = os.replace, itertools.count()

    def go(count: float) -> Callable[..., None]:
        def vanish(*args: Any, **kwargs: Any) -> None:
            if next(times) < count:
                os.removedirs(Path(store.root, AT.path).parent)
            replace(*args, **kwargs)

        return vanish

    monkeypatch.setattr(os, "replace", go(2))
    handoff = store.put((1,), AT, inline_limit=0)
    assert (1,) == store.get(handoff)
    store.delete(AT)
    monkeypatch.setattr(os, "replace", go(1e9))
    with pytest.raises(MissingError):
        store.put((1,), AT, inline_limit=0)
    assert [] == os.listdir(f"{store.root}/.tmp")


def test_a_reader_amid_a_get_keeps_its_file(store: Store, later: Any) -> None:
    """What is removed from a folder while it is read is read to its end."""
    store.put(("value", 1), AT, inline_limit=0)
    later(HOUR)
    with storage_of(store).source(AT.path, 10**9) as source, storage_of(store).place(AT.path) as place:
        assert 1 == prune(store, dag_id="dag", delete=True).artifacts
        assert source.data() == place.data()
    assert not os.path.exists(f"{store.root}/dag_id=dag")


def test_what_the_storage_refuses_is_raised(s3: dict[str, Any], tmp_path: Path) -> None:
    """A store that is not there, or refuses, is told by every call."""
    nowhere = Store("s3://nowhere/p", storage_options=s3)
    wrong = Store(f"s3://{servers.BUCKET}/p", storage_options={**s3, "secret": "another-secret-0001"})
    for act in (lambda s: prune(s, dag_id="d"), usage, verify, pins, lambda s: [*artifacts(s)]):
        with pytest.raises(DeniedError):
            act(wrong)
        if act is not pins:
            with pytest.raises(UnreachableError):
                act(nowhere)


def test_a_version_that_is_gone_is_stale_and_named(anywhere: Store) -> None:
    """What the storage itself says of one that was replaced since it was listed names the object."""
    anywhere.put(("old",), AT, inline_limit=0)
    (entry,) = storage_of(anywhere).list("")
    anywhere.put(("new", 2), AT, inline_limit=0)
    if anywhere.root.startswith("gs:"):  # the server of the tests looks at no condition
        return
    failed: dict[str, HandoffError] = storage_of(anywhere).delete_many([entry])
    assert [AT.path] == [*failed]
    assert isinstance(failed[AT.path], StaleError)
    assert AT.path == failed[AT.path].address
    assert {} == storage_of(anywhere).delete_many([*storage_of(anywhere).list("")])
    assert {} == storage_of(anywhere).delete_many([entry._replace(tag="")])
