"""Files: handed over as they are, and arriving as a path, a `File` or an open file that goes with its task."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import os
import threading
import typing
from collections.abc import Generator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

import handoff
from handoff import (
    Address,
    DamagedError,
    EncodeError,
    EnvelopeError,
    File,
    Inline,
    LimitError,
    MissingError,
    Store,
    Stored,
    files,
    offload,
)
from handoff.codecs import Reading, file
from handoff.spool import Source
from handoff.testing import same

ADDRESS = Address("dag", "run", "task")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(os.urandom(200_000))
    return path


@given(data=st.binary(max_size=200_000), name=st.text(st.characters(codec="utf-8"), max_size=20))
def test_any_file_comes_back_as_it_was(data: bytes, name: str, store: Store, tmp_path: Path) -> None:
    """The bytes and the name of a file come back, inline and stored; a name that names no file is refused."""
    path = tmp_path / "file"
    path.write_bytes(data)
    given = File(path, name=name)
    try:
        handoffs = [store.put(given, ADDRESS), store.put(given, ADDRESS, inline_limit=0)]
    except EncodeError:
        assert not files.is_name(name)
        return
    for sent in handoffs:
        got = store.get(sent.to_json())
        assert same(given, got)
        with got as arrived:
            assert (data, name) == (arrived.path.read_bytes(), arrived.path.name)
        assert not got.path.exists()
    with given as still:
        pass
    assert still.path.exists()


def test_the_artifact_is_the_file(store: Store, model: Path) -> None:
    """What stands in storage is the file's bytes and nothing else, and the envelope has its name."""
    handoff = store.put(File(model), ADDRESS)
    assert isinstance(handoff, Stored)
    assert model.read_bytes() == Path(handoff.uri).read_bytes()
    assert handoff.to_json()["file_name"] == "model.onnx"
    assert handoff.preview == "model.onnx, 195.3 KiB"
    assert "file_name" not in store.put((1,), ADDRESS, inline_limit=0).to_json()


def test_the_reader_picks_a_path_or_an_open_file(store: Store, model: Path) -> None:
    """A file arrives as a File, a Path or an open binary file, as the reader asks for it; any other type is none."""
    for sent in (store.put(File(model), ADDRESS), store.put(File(model, name="small"), ADDRESS, inline_limit=2**20)):
        for wanted in (BinaryIO, typing.IO, typing.IO[bytes]):
            with sent.load(wanted) as opened:
                assert model.read_bytes() == opened.read()
        assert sent.load(Path).read_bytes() == model.read_bytes()
        for wanted in (File, Any, dict):
            assert type(sent.load(wanted)) is File


def test_a_file_can_be_opened_where_paths_can(store: Store, model: Path) -> None:
    """A File that arrives is a path to open, and says where it is."""
    got = store.get(store.put(File(model), ADDRESS))
    with open(got, "rb") as opened:
        assert opened.read() == model.read_bytes()
    assert repr(got) == f"File('{got.path}')"


def test_files_go_with_their_task(store: Store, model: Path) -> None:
    """What arrived for a task, in lists too, is there while it runs, and afterwards removed or closed."""
    seen: list[Any] = []

    @offload(store=store)
    def train() -> File:
        return File(model)

    @offload(store=store)
    def score(path: Path, opened: BinaryIO, many: list[Path], plain: Any) -> Any:
        seen.extend([path, *many, plain.path, opened])
        assert all(found.read_bytes() == model.read_bytes() for found in seen[:-1])
        return File(path) if opened.read() == model.read_bytes() else None

    with handoff.run(dag_id="dag", run_id="run"):
        trained = train()
        scored = score(trained, trained, [trained, trained], trained)
    assert len({*seen[:-1]}) == 4
    assert [] == [found for found in seen[:-1] if found.exists() or found.parent.exists()]
    assert seen[-1].closed
    assert store.get(scored).path.read_bytes() == model.read_bytes()


def test_files_go_with_their_task_whatever_kind_it_is(store: Store, model: Path) -> None:
    """Async tasks, generators and tasks that fail leave no file behind."""
    seen: list[Path] = []

    @offload(store=store)
    async def wait(path: Path) -> bool:
        seen.append(path)
        return os.path.exists(path)  # noqa: ASYNC240 - it is short

    @offload(store=store)
    def step(path: Path) -> Generator[int, None, bool]:
        seen.append(path)
        yield 1
        return path.exists()

    @offload(store=store)
    def fail(path: Path) -> None:
        seen.append(path)
        raise RuntimeError("as ordered")

    trained = store.put(File(model), ADDRESS)
    with handoff.run(dag_id="dag", run_id="run"):
        assert asyncio.run(wait(trained))  # type: ignore[arg-type]
        steps = step(trained)  # type: ignore[arg-type]
        next(steps)
        with pytest.raises(StopIteration) as ended:
            next(steps)
        assert ended.value.value is True
        with pytest.raises(RuntimeError):
            fail(trained)  # type: ignore[arg-type]
    assert [False] * 3 == [path.exists() for path in seen]


def test_outside_a_task_files_stay_until_the_end(store: Store, model: Path) -> None:
    """A file that arrives where no task runs stays while the interpreter does."""
    got = store.get(store.put(File(model), ADDRESS))
    path = store.get(store.put(File(model), ADDRESS), Path)
    gc.collect()
    assert got.path.exists()
    assert path.exists()


def test_a_file_may_be_removed_earlier(store: Store, model: Path) -> None:
    """The block of a file that arrived removes its folder with it; one's own file stays, by a path in bytes too."""
    with store.get(store.put(File(os.fsencode(model)), ADDRESS)) as arrived:
        assert arrived.path.read_bytes() == model.read_bytes()
    assert not arrived.path.parent.exists()
    with File(model):
        pass
    assert model.exists()


def test_a_thread_of_a_task_leaves_no_file(store: Store, model: Path) -> None:
    """What a thread of a task's own gets goes with the task, and what comes when that has ended goes at once."""
    handoff_ = store.put(File(model), ADDRESS)
    ended = threading.Event()
    seen: list[Any] = []

    def get_late() -> None:
        ended.wait(10)
        with pytest.raises(FileNotFoundError):
            store.get(handoff_)
        assert store.get(handoff_, BinaryIO).closed

    @offload(store=store)
    def task() -> threading.Thread:
        early = threading.Thread(target=lambda: seen.append(store.get(handoff_)))
        early.start()
        early.join()
        assert seen[0].path.exists()
        late = threading.Thread(target=contextvars.copy_context().run, args=[get_late])
        late.start()
        seen.append(late)

    with handoff.run(dag_id="dag", run_id="run"):
        task()
    assert not seen[0].path.parent.exists()
    ended.set()
    seen[1].join()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")  # as Airflow does
def test_a_fork_leaves_the_files_of_its_parent(store: Store, model: Path) -> None:
    """A child that ends, after it got a file of its own, removes that and none of its parent's."""
    handoff_ = store.put(File(model), ADDRESS)
    got = store.get(handoff_)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            own = store.get(handoff_)
            os.write(writer, os.fsencode(own))
            for one in files._until_exit:
                one.end()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        own = Path(os.fsdecode(pipe.read()))
    assert (own.name, own.exists(), got.path.exists()) == ("model.onnx", False, True)


def test_by_address_a_file_has_to_be_asked_for(store: Store, model: Path) -> None:
    """A file bears no header: by address it is read as a file or not at all."""
    store.put(File(model), ADDRESS)
    with pytest.raises(DamagedError, match=r"or as a handoff\.File"):
        store.get(ADDRESS)
    got = store.get(ADDRESS, File)
    assert (model.read_bytes(), "return_value") == (got.path.read_bytes(), got.name)
    with pytest.raises(MissingError):
        store.get(Address("dag", "run", "none"), File)


def test_another_file_is_no_file_that_was_handed_over(store: Store, model: Path) -> None:
    """A file that was overwritten or damaged since is not given, and the error says why it cannot tell which."""
    handoff = store.put(File(model), ADDRESS)
    model.write_bytes(b"another")
    store.put(File(model), ADDRESS, attempt=2, inline_limit=0)
    with pytest.raises(DamagedError, match="overwritten since, or damaged") as caught:
        store.get(handoff)
    assert ADDRESS.path == caught.value.address


def test_what_is_no_file_is_refused(store: Store, tmp_path: Path) -> None:
    """A file that is missing, a folder, a pipe, and a class of one's own are refused before anything is stored."""
    os.mkfifo(tmp_path / "pipe")

    class Mine(File):
        pass

    for value, why in [
        (File(tmp_path / "pipe", name=5), "names no file"),  # type: ignore[arg-type]
        (File(tmp_path / "none"), "No such file"),
        (File(tmp_path), "no regular file"),
        (File(tmp_path / "pipe"), "no regular file"),
        (Mine(tmp_path), "mere File"),
    ]:
        with pytest.raises(EncodeError, match=why):
            store.put(value, ADDRESS)
    assert [] == list(store.list())


def test_a_file_that_changes_while_it_is_read_is_refused(store: Store, model: Path) -> None:
    """A file that grows, shrinks or goes away on its way raises, and nothing is stored."""
    changes = (b"short", bytes(300_000), bytes(200_000))
    for change in [*(functools.partial(model.write_bytes, data) for data in changes), model.unlink]:
        model.write_bytes(b"x" * 200_000)
        ready = file.encode(File(model))
        change()
        with pytest.raises(EncodeError):
            ready.bare(2**20)
    assert [] == list(store.list())


def test_ids_too_long_for_the_path_are_refused(store: Store, model: Path) -> None:
    """A file bears no header that would say a shortened id: such an address takes none."""
    with pytest.raises(EncodeError, match="too long to stand in the path"):
        store.put(File(model), Address("d" * 300, "run", "task"))
    assert [] == list(store.list())


def test_a_name_from_outside_leads_nowhere(store: Store, model: Path) -> None:
    """An envelope's file name with a path in it is not followed."""
    message = store.put(File(model), ADDRESS).to_json()
    for name in ("../../etc/passwd", "/etc/passwd", "..", "a\\b", "a\nb", "x" * 200 + "é" * 50):
        got = store.get({**message, "file_name": name})
        assert got.path.name == "file"
    for name in ("", "a\0b", "x" * 256):
        with pytest.raises(EnvelopeError):
            store.get({**message, "file_name": name})


def test_a_file_is_within_its_limits(store: Store, model: Path, tmp_path: Path) -> None:
    """A file over the store's size is refused on both ways."""
    small = Store(tmp_path / "root", max_size=1000)
    with pytest.raises(LimitError):
        small.put(File(model), ADDRESS)
    store.put(File(model), ADDRESS)
    with pytest.raises(LimitError):
        small.get(ADDRESS, File)
    with pytest.raises(LimitError):
        file.decode(Source(b"12"), Reading("handoff.File", 1))


def test_an_envelope_that_calls_a_file_something_else_is_damage(store: Store, model: Path) -> None:
    """A file under another type's name is refused."""
    message = store.put(File(model), ADDRESS).to_json()
    with pytest.raises(DamagedError, match="a list was recorded"):
        store.get({**message, "type": "list"})


def test_files_of_one_result_are_handed_over_one_by_one(store: Store, model: Path) -> None:
    """Several files in one message are stored each at an address of its own, small ones inline."""
    model.with_name("small").write_text("small")
    handoffs = store.put_many({"model": File(model), "notes": File(model.with_name("small"))}, ADDRESS)
    assert isinstance(handoffs["model"], Stored)
    assert isinstance(handoffs["notes"], Inline)
    assert store.get(handoffs["notes"]).path.read_text() == "small"
