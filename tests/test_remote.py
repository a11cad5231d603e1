"""Remote storage: one call to write, one to read, every failure told apart, and nothing outlives its caller."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import pickle
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import fsspec
import pytest
from fsspec.asyn import AsyncFileSystem
from fsspec.registry import _registry

from handoff import Address, ConfigError, DeniedError, DependencyError, MissingError, Store, UnreachableError
from handoff.storage import Entry, _calls, open_storage
from handoff.testing import StoreContract

ADDRESS = Address("dag", "run", "task")


class Bucket(AsyncFileSystem):
    """An object store in memory that counts its requests and fails when told to: one bucket, named bucket."""

    protocol = "bucket"
    cachable = False
    objects: dict[str, bytes] = {}  # noqa: RUF012 - shared by all instances, as a store is
    requests: list[str] = []  # noqa: RUF012 - as above
    fault: Any = None
    there = True

    async def _request(self, name: str, path: str) -> None:
        type(self).requests.append(name)
        fault = type(self).fault
        if isinstance(fault, BaseException):
            raise fault
        if fault is not None:
            await fault(path)
        if not type(self).there:
            raise FileNotFoundError(path)

    async def _pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        await self._request("PUT", path)
        self.objects[path] = bytes(value)

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        await self._request("GET", path)
        if path not in self.objects:
            raise FileNotFoundError(path)
        return self.objects[path][start:end]

    async def _get_file(self, path: str, name: str, callback: Any = None, **_: Any) -> None:
        await self._request("GET", path)
        if path not in self.objects:
            raise FileNotFoundError(path)
        callback.set_size(len(self.objects[path]))
        with open(name, "wb") as file:  # noqa: ASYNC230 - it is short
            file.write(self.objects[path])

    async def _put_file(self, name: str, path: str, **_: Any) -> None:
        await self._request("PUT", path)
        with open(name, "rb") as file:  # noqa: ASYNC230 - as above
            self.objects[path] = file.read()

    async def _rm_file(self, path: str, **_: Any) -> None:
        await self._request("DELETE", path)
        self.objects.pop(path, None)

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        await self._request("HEAD", path)
        if path not in self.objects:
            raise FileNotFoundError(path)
        return {"name": path, "type": "file", "LastModified": dt.datetime(2013, 1, 1, 12, 3, tzinfo=dt.UTC)}

    async def _find(self, path: str, **_: Any) -> dict[str, dict[str, Any]]:
        await self._request("LIST", path)
        names = [name for name in self.objects if name.startswith(f"{path}/") or name == path]
        return {name: {"name": name, "LastModified": dt.datetime(2013, 1, 1, tzinfo=dt.UTC)} for name in names}

    async def _exists(self, path: str, **_: Any) -> bool:
        type(self).requests.append("PROBE")
        if isinstance(self.fault, PermissionError):
            raise self.fault
        return self.there


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Bucket]]:
    fsspec.register_implementation("bucket", Bucket, clobber=True)
    monkeypatch.setattr(Bucket, "objects", {})
    monkeypatch.setattr(Bucket, "requests", [])
    monkeypatch.setattr(Bucket, "fault", None)
    monkeypatch.setattr(Bucket, "there", True)
    monkeypatch.setattr(_calls, "WAITS", (0.0, 0.0))
    return Bucket


@pytest.fixture
def memory() -> Iterator[None]:
    yield
    fsspec.filesystem("memory").store.clear()
    fsspec.filesystem("memory").pseudo_dirs.clear()


class TestMemory(StoreContract):
    """The store in memory keeps the contract."""

    @pytest.fixture
    def store(self, memory: None) -> Store:
        return Store("memory://base/prefix")


class TestMemoryWithoutPrefix(StoreContract):
    """The whole of memory as a root keeps the contract."""

    @pytest.fixture
    def store(self, memory: None) -> Store:
        return Store("memory://")


class TestObjectStore(StoreContract):
    """An object store keeps the contract."""

    @pytest.fixture
    def store(self, bucket: type[Bucket]) -> Store:
        return Store("bucket://bucket/some/prefix")


def test_a_put_is_one_put_and_a_get_is_one_get(bucket: type[Bucket]) -> None:
    """A stored put is a single PUT, a get a single GET, and an inline value no request at all."""
    store = Store("bucket://bucket/p")
    handoff = store.put((1, 2), ADDRESS, inline_limit=0)
    assert bucket.requests == ["PUT"]
    store.get(handoff)
    assert bucket.requests == ["PUT", "GET"]
    store.get(ADDRESS)
    assert bucket.requests == ["PUT", "GET", "GET"]
    store.get(store.put((1, 2), ADDRESS))
    assert bucket.requests == ["PUT", "GET", "GET"]
    assert [*bucket.objects] == [f"bucket/p/{ADDRESS.path}"]


def test_an_inline_retry_removes_what_an_earlier_attempt_stored(bucket: type[Bucket]) -> None:
    """A later attempt whose value travels inline leaves no artifact of the attempt before."""
    store = Store("bucket://bucket/p")
    store.put("first", ADDRESS, inline_limit=0)
    store.put("second", ADDRESS, attempt=2)
    assert {} == bucket.objects


def test_each_object_that_is_not_deleted_is_named(bucket: type[Bucket]) -> None:
    """Where some of many cannot be deleted, the others are, and each that is left has its own error."""
    storage = open_storage("bucket://bucket", {}, 5.0)
    bucket.objects.update({f"bucket/{name}": b"1" for name in "abc"})

    async def fault(path: str) -> None:
        if path.endswith("b"):
            raise PermissionError(path)

    bucket.fault = staticmethod(fault)
    failed = storage.delete_many([Entry(name) for name in ("a", "b", "c", "not there")])
    assert {"b": DeniedError} == {path: type(error) for path, error in failed.items()}
    assert ["bucket/b"] == [*bucket.objects]


def test_a_uri_is_a_url(bucket: type[Bucket], memory: None) -> None:
    """The uri of a stored handoff is the object's URL."""
    assert Store("bucket://bucket/p").put(1, ADDRESS, inline_limit=0).uri == f"bucket://bucket/p/{ADDRESS.path}"
    assert Store("memory://").put(1, ADDRESS, inline_limit=0).uri == f"memory://{ADDRESS.path}"


class HttpError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__("of some client")
        self.code = code


class NoCredentialsError(Exception):
    pass


FAULTS: list[tuple[Exception, type[Exception], str]] = [
    (PermissionError("Access Denied"), DeniedError, "Mend the permissions"),
    (HttpError(403), DeniedError, "HttpError"),
    (HttpError(401), DeniedError, "HttpError"),
    (NoCredentialsError("Unable to locate credentials"), DeniedError, "Unable to locate"),
    (HttpError(503), UnreachableError, "Try again"),
    (ConnectionResetError("reset by peer"), UnreachableError, "reset by peer"),
    (OSError(22, "Invalid Argument"), UnreachableError, "Invalid"),
    (RuntimeError("x" * 5000), UnreachableError, "RuntimeError"),
]


@pytest.mark.parametrize(("fault", "expected", "words"), FAULTS, ids=[f"{e!r:.40}" for e, _, _ in FAULTS])
def test_every_fault_has_its_error(
    bucket: type[Bucket], fault: Exception, expected: type[Exception], words: str
) -> None:
    """Whatever a client library raises becomes one of this library's errors, with the place, the cause and a remedy."""
    store = Store("bucket://bucket/p")
    handoff = store.put((1, 2), ADDRESS, inline_limit=0)
    bucket.fault = fault
    acts: list[Any] = [
        lambda: store.put((3, 4), ADDRESS, inline_limit=0), lambda: store.get(handoff), lambda: store.get(ADDRESS),
        lambda: store.exists(ADDRESS), lambda: store.delete(ADDRESS), lambda: list(store.list()),
    ]  # fmt: skip
    for act in acts:
        with pytest.raises(expected, match=words) as caught:
            act()
        assert caught.value.__cause__ is fault
        assert len(str(caught.value)) < 1000


def test_missing_is_told_from_a_missing_bucket(bucket: type[Bucket]) -> None:
    """A missing object is missing; a missing bucket is unreachable; a bucket that cannot be asked for is denied."""
    store = Store("bucket://bucket/p")
    with pytest.raises(MissingError, match="there is no artifact at bucket://bucket/p/dag_id"):
        store.get(ADDRESS)
    assert not store.exists(ADDRESS)
    bucket.there = False
    for act in (
        lambda: store.get(ADDRESS),
        lambda: store.put((1,), ADDRESS, inline_limit=0),
        lambda: store.exists(ADDRESS),
    ):
        with pytest.raises(UnreachableError, match="there is no bucket bucket://bucket"):
            act()


def test_a_probe_that_fails_is_no_missing_artifact(bucket: type[Bucket], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot be found out whether the bucket is there, the failure of that question is what is raised."""
    store = Store("bucket://bucket/p")
    for fault, expected in ((PermissionError("no"), DeniedError), (FileNotFoundError("gone"), UnreachableError)):

        async def exists(self: Any, path: str, fault: Exception = fault, **_: Any) -> bool:
            raise fault

        monkeypatch.setattr(Bucket, "_exists", exists)
        with pytest.raises(expected):
            store.get(ADDRESS)


def test_a_call_that_hangs_ends_at_its_deadline(bucket: type[Bucket]) -> None:
    """A server that never answers raises UnreachableError after the timeout, and the call is cancelled."""
    ended = threading.Event()

    async def hang(path: str) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    store = Store("bucket://bucket/p", timeout=0.05)
    bucket.fault = hang
    with pytest.raises(UnreachableError, match=r"no answer within 0\.05 s"):
        store.get(ADDRESS)
    assert ended.wait(5)


def test_an_upload_does_not_outlive_its_task(bucket: type[Bucket], monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that is stopped while it uploads takes the upload with it: the object does not appear later."""
    import concurrent.futures

    async def slow(path: str) -> None:
        await asyncio.sleep(0.2)

    bucket.fault = slow
    store = Store("bucket://bucket/p")
    store.exists(ADDRESS)

    def stop(self: Any, timeout: float | None = None) -> Any:
        time.sleep(0.05)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(concurrent.futures.Future, "result", stop)
        with pytest.raises(KeyboardInterrupt):
            store.put((1, 2), ADDRESS, inline_limit=0)
    time.sleep(0.4)
    assert {} == bucket.objects


def test_a_filesystem_is_made_again_in_a_forked_child(bucket: type[Bucket], monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance made in the parent is not used in a child."""
    made: list[int] = []
    monkeypatch.setattr(fsspec, "filesystem", lambda *a, **k: (made.append(os.getpid()), Bucket(**k))[1])
    store = Store("bucket://bucket/p")
    store.exists(ADDRESS)
    store.exists(ADDRESS)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    store.exists(ADDRESS)
    assert len(made) == 2


def test_listings_are_never_cached(bucket: type[Bucket], monkeypatch: pytest.MonkeyPatch) -> None:
    """The filesystem is made with its listings cache off, whatever the options say."""
    options: list[dict[str, Any]] = []
    monkeypatch.setattr(fsspec, "filesystem", lambda protocol, **k: (options.append(k), Bucket())[1])
    Store("bucket://bucket", storage_options={"use_listings_cache": True, "profile": "x"}).exists(ADDRESS)
    assert options == [{"use_listings_cache": False, "profile": "x"}]


def test_an_unknown_protocol_names_the_extras() -> None:
    """A root that fsspec does not know says what there is."""
    with pytest.raises(ConfigError, match=r"no protocol nowhere://.*extras s3, gcs, azure"):
        Store("nowhere://bucket").put((1,), ADDRESS, inline_limit=0)


@pytest.mark.parametrize(
    ("root", "library", "extra"),
    [("gs://b", "gcsfs", "gcs"), ("abfs://c@a.dfs/x", "adlfs", "azure"), ("dropbox://b", "dropboxdrivefs", "")],
)
def test_a_protocol_without_its_library_names_the_extra(
    root: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A root whose filesystem is not installed says what to install."""
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(_registry, root.partition(":")[0], raising=False)  # another test may have loaded it
    with pytest.raises(DependencyError, match="Install ") as caught:
        Store(root).put((1,), ADDRESS, inline_limit=0)
    assert caught.value.extra == extra


def test_options_that_do_not_fit_are_not_repeated(bucket: type[Bucket], monkeypatch: pytest.MonkeyPatch) -> None:
    """An error about storage_options does not quote them: they may hold secrets."""

    def refuse(protocol: str, **options: Any) -> Any:
        raise TypeError(f"unexpected {options}")

    monkeypatch.setattr(fsspec, "filesystem", refuse)
    with pytest.raises(ConfigError, match="do not fit bucket://") as caught:
        Store("bucket://bucket", storage_options={"secret": "hunter2"}).exists(ADDRESS)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


ROOTS = {
    "s3://key:hunter2@bucket/p": "user and a password", "ftp://user:hunter2@host/p": "user and a password",
    "s3://bucket/p?token=hunter2": "query", "s3://bucket/p#hunter2": "fragment", "simplecache::s3://bucket": "is not known|chain",
    "s3://bucket/a::file:///hunter2": "chain", "s3://": "names no bucket", "s3:///p": "names no bucket", "s3://bucket/../other": "part",
    "s3://bucket/a//b": "part", "s3://bucket/" + "x" * 200: "160", "": "a folder or a URL", " ": "a folder or a URL", "a\0b": "a folder or a URL",
}  # fmt: skip


@pytest.mark.parametrize(("root", "words"), ROOTS.items(), ids=[root[:30] or "empty" for root in ROOTS])
def test_a_root_that_means_nothing_or_holds_a_secret_is_refused(root: str, words: str) -> None:
    """A bad root raises ConfigError when the store is made, and what may be secret is not repeated."""
    with pytest.raises(ConfigError, match=words) as caught:
        Store(root)
    assert "hunter2" not in str(caught.value)


def test_a_store_never_shows_or_pickles_its_options(bucket: type[Bucket]) -> None:
    """Options stay out of repr, handoffs, artifacts and pickles."""
    store = Store("bucket://bucket/p", storage_options={"secret": "hunter2"})
    handoff = store.put((1, 2), ADDRESS, inline_limit=0)
    shown = repr(store) + repr(handoff) + str(handoff.to_json()) + str(bucket.objects) + str(pickle.dumps(handoff))
    assert "hunter2" not in shown
    with pytest.raises(ConfigError, match="not pickled"):
        pickle.dumps(store)
    again = pickle.loads(pickle.dumps(Store("bucket://bucket/p", inline_limit=7)))
    assert (again.root, again.inline_limit) == ("bucket://bucket/p", 7)


def test_a_local_root_takes_no_options(tmp_path: Any) -> None:
    """Options for a local root are refused; file:// and ~ are local."""
    with pytest.raises(ConfigError, match="takes no storage_options"):
        Store(tmp_path, storage_options={"a": 1})
    assert Store(f"file://{tmp_path}/x").root == f"{tmp_path}/x"
    assert Store("~/x").root == os.path.expanduser("~/x")
    with pytest.raises(ConfigError, match="a folder or a URL"):
        open_storage(3, {}, 1.0)


def test_when_an_object_was_written_is_said_as_far_as_it_is_known(
    bucket: type[Bucket], memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A time of any shape is ISO 8601; an unknown one is empty."""
    storage = open_storage("bucket://bucket", {}, 5.0)
    assert storage.modified("x") == ""
    with storage.draft("x") as draft:
        draft.write(b"1")
        draft.commit(1, 0.0)
    assert storage.modified("x") == "2013-01-01T12:03:00+00:00"
    for when, shown in (
        (1357041780, "2013-01-01T12:03:00+00:00"),
        ("2013-01-01T12:03:00Z", "2013-01-01T12:03:00+00:00"),
        (dt.datetime(2013, 1, 1, 12, 3), "2013-01-01T12:03:00+00:00"),
        ("yesterday", ""),
        ([], ""),
        (None, ""),
    ):

        async def info(self: Any, path: str, when: Any = when, **_: Any) -> dict[str, Any]:
            return {"type": "file", "mtime": when}

        monkeypatch.setattr(Bucket, "_info", info)
        assert storage.modified("x") == shown


def test_a_folder_is_no_artifact(memory: None) -> None:
    """A folder at an address does not exist as an artifact, and holds none where nothing is listed."""
    store = Store("memory://base")
    store.put(1, Address("dag", "run", "task", item=1), inline_limit=0)
    storage = open_storage("memory://base", {}, 5.0)
    assert not storage.exists("dag_id=dag")
    assert [] == list(storage.list("dag_id=none"))


def test_what_is_not_there_is_deleted_and_listed_as_nothing(
    bucket: type[Bucket], memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleting nothing says so where the store tells, and a store that has no such folder lists none."""
    assert not Store("memory://base").delete(ADDRESS)

    async def find(self: Any, path: str, **_: Any) -> dict[str, Any]:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Bucket, "_find", find)
    assert [] == list(Store("bucket://bucket/p").list("dag"))
