"""How much is kept: by DAG, run, task or day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable
from typing import Literal, TypeAlias

import msgspec

from handoff.address import Address
from handoff.errors import ConfigError, EnvelopeError
from handoff.retention._listing import Scope, moment
from handoff.storage import Entry, Storage
from handoff.store import Store, address_at, storage_of

By: TypeAlias = Literal["dag", "run", "task", "day"]
_PARTS: dict[str, tuple[int, ...]] = {"dag": (0,), "run": (0, 1), "task": (0, 2), "day": ()}


class Usage(msgspec.Struct, frozen=True):
    """What a group of artifacts takes: how many they are, their bytes at rest, and when they were written.

    The names that the group was made by are set: ``dag_id``, with ``run_id`` or ``task_id`` (of all its runs), or the
    ``day`` in UTC, which is None for what the store tells no time of.
    """

    artifacts: int
    size: int
    oldest: dt.datetime | None
    newest: dt.datetime | None
    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    day: dt.date | None = None


def usage(
    store: Store,
    *,
    by: By = "dag",
    dag_id: str | None = None,
    run_id: str | None = None,
    task_id: str | None = None,
) -> list[Usage]:
    """Sum up what is kept, by a listing: one request per thousand artifacts on S3.

    An artifact whose ids are too long to stand in its path costs a read of its header.

    Arguments: ``by`` what the sums are made: each DAG, each run of a DAG, each task of a DAG over its runs, each day
    of last writing; the ids, to look at no more than these.
    Guarantees: the largest comes first, of days the earliest; memory grows with the groups alone.
    Raises: `ConfigError`, `DeniedError`, `UnreachableError`.
    """
    if by not in _PARTS:
        raise ConfigError(f"usage is summed up by dag, run, task or day, not by {by!r}")
    storage, scope = storage_of(store), Scope(dag_id, run_id, task_id).checked()
    sums = Sums(storage, by)
    for entry in scope.within(storage.list(scope.folder)):
        sums.add(entry)
    return sums.found()


class Sums:
    """Groups of artifacts, as they are added."""

    def __init__(self, storage: Storage, by: By) -> None:
        self._storage = storage
        self._by: By = by
        self._sums: dict[Hashable, _Sum] = {}
        #: How many were counted in.
        self.artifacts = 0

    def add(self, entry: Entry, at: Address | None = None) -> None:
        """Count an artifact in, at its address if that is known; what stands at none is passed over."""
        segments = entry.path.split("/", 3)
        key: Hashable = tuple(segments[place] for place in _PARTS[self._by])
        if self._by == "day":
            when = moment(entry.modified)
            key = None if when is None else when.date()
        at = at or address_at(self._storage, entry.path, EnvelopeError)
        if at is None:
            return
        found = self._sums.get(key)
        if found is None:
            found = self._sums[key] = _Sum(at, key)
        self.artifacts += 1
        found.artifacts += 1
        found.size += entry.size
        if entry.modified:
            found.oldest = min(found.oldest or entry.modified, entry.modified)
            found.newest = max(found.newest, entry.modified)

    def found(self) -> list[Usage]:
        """Give the groups: the largest first, of days the earliest."""
        groups = [one.usage(self._by) for one in self._sums.values()]
        if self._by == "day":
            return sorted(groups, key=lambda one: one.day or dt.date.min)
        return sorted(groups, key=lambda one: (-one.size, one.dag_id or "", one.run_id or one.task_id or ""))


class _Sum:
    def __init__(self, at: Address, key: Hashable) -> None:
        self._at = at
        self._key = key
        self.artifacts = 0
        self.size = 0
        self.oldest = self.newest = 0.0

    def usage(self, by: By) -> Usage:
        return Usage(
            self.artifacts,
            self.size,
            moment(self.oldest),
            moment(self.newest),
            self._at.dag_id if by != "day" else None,
            self._at.run_id if by == "run" else None,
            self._at.task_id if by == "task" else None,
            self._key if by == "day" and isinstance(self._key, dt.date) else None,
        )
