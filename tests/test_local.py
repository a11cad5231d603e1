"""Local storage: whole files or none, inside the root, whoever crashes and whatever somebody planted there."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from handoff import Address, ConfigError, DeniedError, HandoffError, MissingError, Store, UnreachableError
from handoff.storage.local import LocalStorage
from handoff.testing import StoreContract

ADDRESS = Address("dag", "run", "task")
PATH = ADDRESS.path
KILLS = int(os.environ.get("HANDOFF_TEST_KILLS", "60"))


class TestContract(StoreContract):
    """A local folder keeps the store's contract."""


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "fault", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), SystemExit(1)], ids=repr
)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_put_that_raises_leaves_the_old_version_and_no_litter(
    store: Store, monkeypatch: pytest.MonkeyPatch, fault: BaseException, call: str
) -> None:
    """A fault on the way to the disk leaves what was there, and nothing else."""
    old = store.put("old", ADDRESS, inline_limit=0)
    before = files(Path(store.root))

    def fail(*_: Any, **__: Any) -> None:
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(UnreachableError if isinstance(fault, OSError) else type(fault)):
            store.put("new", ADDRESS, inline_limit=0)
    assert store.get(old) == "old"
    assert before == files(Path(store.root))


def test_folders_and_files_are_flushed_before_they_count(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is flushed before it is renamed, its folder after, and each folder's parent when the folder is made."""
    events: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda *a, **k: (events.append("replace"), replace(*a, **k))[1])
    store.put("value", ADDRESS, inline_limit=0)
    root = store.root
    folders = ["dag_id=dag", "dag_id=dag/run_id=run", "dag_id=dag/run_id=run/task_id=task"]
    target = f"{root}/{PATH.rpartition('/')[0]}"
    assert events[:2] == [os.path.dirname(root), root]  # the root itself, then .tmp in it
    assert [f"{root}/{folder}" for folder in folders] == events[3:6]
    assert events[6].startswith(f"{root}/.tmp/")
    assert events[7:] == ["replace", target]
    events.clear()
    store.put("again", ADDRESS, inline_limit=0)
    assert [event.startswith(f"{root}/.tmp/") or event for event in events] == [True, "replace", target]


def test_a_root_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    """Reading below a folder that does not exist says so, and is no missing artifact; asking and listing are empty."""
    store = Store(tmp_path / "not" / "there")
    with pytest.raises(UnreachableError, match=r"not/there is not there\. Look whether its volume is mounted"):
        store.get(ADDRESS)
    assert not store.exists(ADDRESS)
    assert not store.delete(ADDRESS)
    assert [] == list(store.list())
    assert [] == list(store.list("dag"))
    store.put("value", ADDRESS, inline_limit=0)
    assert store.get(ADDRESS) == "value"
    with pytest.raises(MissingError):
        store.get(Address("dag", "run", "other"))


def plant(path: Path, kind: str, outside: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "link":
        path.symlink_to(outside)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_planted_at_an_address_is_not_read(store: Store, tmp_path: Path, kind: str) -> None:
    """A link, a pipe or a folder where an artifact should be is refused at once, and does not exist."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    plant(Path(store.root) / PATH, kind, secret)
    with pytest.raises(DeniedError, match="is not touched"):
        store.get(ADDRESS)
    assert not store.exists(ADDRESS)
    assert [] == list(store.list())


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_a_link_among_the_folders_leads_nowhere(store: Store, tmp_path: Path, level: int) -> None:
    """A folder on the way that is a link out of the root is refused, by reads, writes and deletes."""
    outside = Store(tmp_path / "outside")
    outside.put("theirs", ADDRESS, inline_limit=0)
    parts = PATH.split("/")
    link = Path(store.root, *parts[: level + 1])
    link.parent.mkdir(parents=True)
    link.symlink_to(Path(outside.root, *parts[: level + 1]))
    for act in (
        lambda: store.get(ADDRESS),
        lambda: store.put("x", ADDRESS, inline_limit=0),
        lambda: store.delete(ADDRESS),
    ):
        with pytest.raises(DeniedError, match="a link is in the way"):
            act()
    assert [] == list(store.list())
    assert outside.get(ADDRESS) == "theirs"


def test_a_link_instead_of_an_artifact_is_replaced_and_not_followed(store: Store, tmp_path: Path) -> None:
    """Writing over a planted link puts a file in its place and leaves its target alone."""
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    plant(Path(store.root) / PATH, "link", target)
    store.put("value", ADDRESS, inline_limit=0)
    assert (store.get(ADDRESS), target.read_bytes()) == ("value", b"precious")


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    """Where the root leads is its owner's choice."""
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "real")
    store = Store(tmp_path / "root")
    store.put("value", ADDRESS, inline_limit=0)
    assert store.get(ADDRESS) == "value"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_storage_that_says_no_is_denied(store: Store, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """An unwritable root raises DeniedError with the place and the remedy."""
    Path(store.root).mkdir()
    monkeypatch.setattr(os, "mkdir", lambda *a, **k: (_ for _ in ()).throw(OSError(number, os.strerror(number))))
    with pytest.raises(DeniedError, match="Let this user read and write below the root") as caught:
        store.put("value", ADDRESS, inline_limit=0)
    assert caught.value.uri == f"{store.root}/{PATH}"
    assert isinstance(caught.value, PermissionError)


def test_a_storage_that_fails_is_unreachable(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other failure of the system raises UnreachableError with its words."""
    store.put("value", ADDRESS, inline_limit=0)
    monkeypatch.setattr(os, "open", lambda *a, **k: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
    with pytest.raises(UnreachableError, match="Input/output error"):
        store.get(ADDRESS)


@pytest.mark.parametrize("root", ["file", "file/below", "/proc/none"])
def test_a_root_that_cannot_be_a_folder_is_refused(tmp_path: Path, root: str) -> None:
    """A root at or below a file, or where nothing can be made, is named as the obstacle when it is first written to."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"the root .* cannot be made: .*Set a root that can be a folder"):
        Store(tmp_path / root).put("value", ADDRESS, inline_limit=0)


def test_a_read_in_pieces_is_put_together() -> None:
    """A system that gives less than was asked for is asked again; one that ends early gives what there is."""
    from handoff.storage import local

    class Piecemeal:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def read(self, most: int) -> bytes:
            piece, self.data = self.data[: min(most, 3)], self.data[min(most, 3) :]
            return piece

    assert local._read(Piecemeal(b"0123456789"), 8) == b"01234567"
    assert local._read(Piecemeal(b"0123"), 8) == b"0123"


def test_only_files_at_addresses_are_listed(store: Store) -> None:
    """Foreign files, links and temporary files are passed over."""
    store.put("value", ADDRESS, inline_limit=0)
    root = Path(store.root)
    (root / "README").write_text("x")
    (root / ".tmp" / "123-abc").write_text("x")
    (root / PATH).with_name("other.parquet").write_text("x")
    (root / PATH).with_name("link").symlink_to(root / PATH)
    (root / "dag_id=dag" / "stray").write_text("x")
    (root / "dag_id=~" / "run_id=r" / "task_id=t" / "map_index=0").mkdir(parents=True)
    (root / "dag_id=~" / "run_id=r" / "task_id=t" / "map_index=0" / "k").write_text("x")
    assert [Address("dag", "run", "task", key="other.parquet"), ADDRESS] == list(store.list())
    assert "" == LocalStorage(store.root).modified("nothing/here")


WRITER = """
import random, sys
from handoff import Address, Store
store, seed = Store(sys.argv[1]), int(sys.argv[2])
noise = random.Random(seed).randbytes(300_000)
print("ready", flush=True)
while True:
    for n in range(4):
        store.put((seed, n, noise[: 75_000 * (n + 1)]), Address("dag", "run", "task", n), inline_limit=0)
"""


@pytest.mark.timeout(900)
def test_kill_9_tears_nothing(store: Store) -> None:
    """Writers killed at any moment, with readers running, leave no torn and no empty artifact, one temporary file at most."""
    whole, torn, stop = [0], [], threading.Event()
    addresses = [Address("dag", "run", "task", n) for n in range(4)]

    def read() -> None:
        while not stop.is_set():
            for address in addresses:
                try:
                    value = store.get(address)
                except (MissingError, UnreachableError):  # before the first write
                    continue
                except HandoffError as error:
                    torn.append(error)
                    continue
                whole[0] += 1
                if len(value[2]) != 75_000 * (address.map_index + 1):
                    torn.append(value)

    reader = threading.Thread(target=read)
    reader.start()
    moments = random.Random(KILLS)
    try:
        for seed in range(KILLS):
            writer = subprocess.Popen([sys.executable, "-c", WRITER, store.root, str(seed)], stdout=subprocess.PIPE)
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(moments.uniform(0, 0.04))
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            writer.stdout.close()
    finally:
        stop.set()
        reader.join()
    assert torn == []
    assert whole[0] > KILLS
    assert len(list(Path(store.root, ".tmp").iterdir())) <= KILLS
    assert {"dag_id=dag", ".tmp"} == set(os.listdir(store.root))
    assert all(store.get(address)[1] == address.map_index for address in store.list())
