"""Confinement: nothing that arrives makes a reader touch anything outside the configured root."""

from __future__ import annotations

import builtins
import json
import os
import socket
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff import Address, EnvelopeError, Handoff, HandoffError, MissingError, Store, Stored, offload

ADDRESS = Address("dag", "run", "task")
LOCATIONS = [
    "file:///etc/passwd", "/etc/passwd", "local://etc/passwd", "simplecache::file:///etc/passwd", "filecache::file:///etc/passwd",
    "blockcache::file:///etc/passwd", "cached::file:///etc/passwd", "async_wrapper::file:///etc/passwd", "data:,x", "dir::x",
    "zip://a::x", "tar://a::x", "libarchive://a::x", "reference::x", "http://169.254.169.254/", "ftp://u:p@h/x", "sftp://h/x", "smb://h/x",
    "github://a:b@c/x", "git://x", "hf://x", "memory://x", "s3://other/key", "s3://base/../other", "k?versionId=x", "../../../etc/passwd",
    "..", ".", "...", "a/../b", "a//b", "a\\b", "~", "~root", "-rf", "CON", "a.", "*", "[1]", "?", "%2e%2e", "a::b",
]  # fmt: skip


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch, store: Store) -> Store:
    """A store in a world where every call to a file or a network outside its root fails the test."""
    store.put("inside", ADDRESS, inline_limit=0)

    def refuse(*args: Any, **_: Any) -> Any:
        raise AssertionError(f"touched {args[:1]}")

    opened = os.open

    def guarded(path: Any, *args: Any, dir_fd: int | None = None, **kwargs: Any) -> int:
        # Below an open folder, one plain name at a time; else the root itself.
        if dir_fd is None:
            assert path == store.root
        else:
            assert "/" not in path
            assert path not in (".", "..")
        return opened(path, *args, dir_fd=dir_fd, **kwargs)

    monkeypatch.setattr(os, "open", guarded)
    monkeypatch.setattr(builtins, "open", _only_descriptors(builtins.open))
    for module, names in {socket: ("socket", "create_connection"), fsspec: ("open", "filesystem", "url_to_fs")}.items():
        for name in names:
            monkeypatch.setattr(module, name, refuse)
    return store


def _only_descriptors(original: Any) -> Any:
    def guarded(file: Any, *args: Any, **kwargs: Any) -> Any:
        assert isinstance(file, int), f"opened {file!r}"
        return original(file, *args, **kwargs)

    return guarded


def envelope(**changes: Any) -> dict[str, Any]:
    return {
        "__handoff__": 1, "kind": "stored", "codec": "tree", "type": "str", "sha256": "a" * 64, "size": 10, "raw_size": 5, "attempt": 1,
        "address": {"dag_id": "dag", "run_id": "run", "task_id": "task"}, "uri": "", "preview": "", **changes,
    }  # fmt: skip


@pytest.mark.parametrize("location", LOCATIONS)
def test_no_location_is_ever_resolved(location: str, sealed: Store) -> None:
    """A hostile place, as a value, a uri, an id, a key, a codec or a whole envelope, reads nothing outside the root."""
    assert sealed.get(location) == location
    good = sealed.put("inside", ADDRESS, inline_limit=0)
    assert isinstance(good, Stored)
    assert sealed.get({**good.to_json(), "uri": location}) == "inside"
    for name in ("dag_id", "run_id", "task_id", "key"):
        address = {"dag_id": "dag", "run_id": "run", "task_id": "task", name: location}
        with pytest.raises(MissingError):
            sealed.get(envelope(address=address))
        assert not sealed.exists(Address(**address))
    for hostile in (
        envelope(codec=location),
        envelope(address=location),
        envelope(kind=location),
        envelope(__handoff__=location),
    ):
        with pytest.raises(EnvelopeError):
            sealed.get(hostile)
    with pytest.raises(EnvelopeError):
        Handoff.from_json(json.dumps(envelope(root=location)))


@pytest.mark.parametrize("location", LOCATIONS)
def test_hostile_ids_are_written_inside_the_root(location: str, store: Store, tmp_path: Path) -> None:
    """A DAG, run, task or key of any name is written and read below the root, and nowhere else."""
    for name in ("dag_id", "run_id", "task_id", "key"):
        address = Address(**{"dag_id": "d", "run_id": "r", "task_id": "t", name: location})
        handoff = store.put(name, address, inline_limit=0)
        assert store.get(handoff.to_json()) == name
        assert address in list(store.list())
    assert ["root"] == os.listdir(tmp_path)
    assert len([p for p in Path(store.root).rglob("*") if p.is_file()]) == 4


@given(
    message=st.dictionaries(
        st.sampled_from([*envelope(), "data"]),
        st.sampled_from([*LOCATIONS, envelope()["address"], 0, 10, "a" * 64, "stored", "inline", "tree"]),
    )
)
def test_no_envelope_reaches_outside(message: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any mixture of hostile fields is refused, or is missing inside the root."""
    root = tmp_path_factory.mktemp("empty")
    store = Store(root)
    try:
        found = store.get(message)
    except HandoffError:
        pass
    else:
        assert found is message
    assert [] == os.listdir(root)


def test_a_value_that_was_loaded_is_not_looked_into(store: Store) -> None:
    """An envelope inside a value that a task loads stays a value: only positions that were given are resolved."""
    secret = store.put("secret", Address("other", "run", "task"), inline_limit=0)
    trojan = store.put({"x": [secret.to_json()]}, ADDRESS, inline_limit=0)

    @offload(store=store)
    def consume(value: Any) -> Any:
        return value

    assert consume(trojan.to_json()) == {"x": [secret.to_json()]}
    assert consume([secret.to_json(), {"k": (trojan.to_json(),)}]) == ["secret", {"k": ({"x": [secret.to_json()]},)}]
