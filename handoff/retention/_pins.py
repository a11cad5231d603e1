"""What no prune removes: pins, small objects beside the artifacts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Container

import msgspec

from handoff.address import Address, folder_of, is_text
from handoff.errors import ConfigError, DamagedError, IdentityError, MissingError
from handoff.storage import PINS, Storage
from handoff.store import Store, storage_of

_NAME = "pin"
_LARGEST = 64 * 1024
_LONGEST_NOTE = 1_000


class Pin(msgspec.Struct, frozen=True):
    """What is kept whatever its age: all of a DAG, of one of its runs, or of a task in that.

    ``note`` says why, ``since`` when it was set by the clock of whoever set it.
    """

    dag_id: str
    run_id: str | None = None
    task_id: str | None = None
    note: str = ""
    since: dt.datetime | None = None


def pin(store: Store, dag_id: str, run_id: str | None = None, task_id: str | None = None, *, note: str = "") -> Pin:
    """Keep a DAG's artifacts, or those of a run or of a task in that, until `unpin`: no prune removes them.

    What is put there later is kept as well, and nothing need be there yet. Setting it again replaces the note.
    Arguments: ``note``, why, for whoever finds the pin; it is no place for a secret.
    Guarantees: it holds for every page that a prune has yet to delete when this returns. Lifecycle rules of a bucket
    know nothing of pins. Raises: `ConfigError`, `IdentityError`, `DeniedError`, `UnreachableError`.
    """
    path = _path_of(dag_id, run_id, task_id)
    if len(note) > _LONGEST_NOTE:
        raise ConfigError(f"the note has {len(note):,} characters, and {_LONGEST_NOTE:,} are allowed")
    if not is_text(note):
        raise ConfigError("the note holds a NUL or a lone surrogate", remedy="Write it in UTF-8")
    made = Pin(dag_id, run_id, task_id, note, dt.datetime.now(dt.UTC))
    with storage_of(store).draft(path) as draft:
        draft.write(msgspec.json.encode(made))
        draft.commit(1, 0)
    return made


def unpin(store: Store, dag_id: str, run_id: str | None = None, task_id: str | None = None) -> bool:
    """Take a pin away; False where there was none, as far as the store tells.

    It takes away the very pin that was set: a run stays pinned while its DAG is.
    Raises: `ConfigError`, `IdentityError`, `DeniedError`, `UnreachableError`.
    """
    return storage_of(store).delete(_path_of(dag_id, run_id, task_id))


def pins(store: Store) -> list[Pin]:
    """Give all pins, by DAG, run and task.

    Raises: `DamagedError` where one cannot be read (it protects nevertheless), `DeniedError`, `UnreachableError`.
    """
    storage, found = storage_of(store), list[Pin]()
    for path in _paths(storage):
        try:
            with storage.source(path, _LARGEST) as source:
                found.append(_read(source.data(), path, storage.uri(path)))
        except MissingError:  # it was taken away meanwhile
            continue
    return sorted(found, key=lambda one: (one.dag_id, one.run_id or "", one.task_id or ""))


def pinned(storage: Storage) -> frozenset[str]:
    """Give the folders that are pinned, by a listing alone; what has just the shape of a pin protects as well."""
    return frozenset(path[len(PINS) + 1 : -len(_NAME) - 1] for path in _paths(storage))


def is_pinned(path: str, folders: Container[str]) -> bool:
    """Whether an artifact is in a folder that is pinned."""
    dag, run, task = path.split("/", 3)[:3]
    return any(folder in folders for folder in (dag, f"{dag}/{run}", f"{dag}/{run}/{task}"))


def _path_of(dag_id: str, run_id: str | None, task_id: str | None) -> str:
    if task_id is not None and run_id is None:
        raise ConfigError("a task is pinned in a run", remedy="Say which run, or pin the DAG")
    Address(dag_id, run_id or "-", task_id or "-")  # it refuses what is no id
    return f"{PINS}/{folder_of(dag_id, run_id, task_id)}/{_NAME}"


def _paths(storage: Storage) -> list[str]:
    return [entry.path for entry in storage.list(PINS) if entry.path.endswith(f"/{_NAME}")]


def _read(data: bytes, path: str, uri: str) -> Pin:
    try:
        found = msgspec.json.decode(data, type=Pin)
        if path == _path_of(found.dag_id, found.run_id, found.task_id):
            return found
    except (msgspec.DecodeError, ConfigError, IdentityError, UnicodeError, RecursionError):
        pass
    raise DamagedError(f"the pin {uri} cannot be read", remedy="Set it again, or delete it", address=path, uri=uri)
