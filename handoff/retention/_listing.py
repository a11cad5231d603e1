"""What stands in storage, as a listing says it, and which part of it is meant."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from handoff.address import Address, folder_of, may_be_path
from handoff.errors import ConfigError, EnvelopeError
from handoff.storage import Entry
from handoff.store import Store, address_at, storage_of

#: How many entries of a listing are in memory; no store gives more of them in one answer, or deletes more.
PAGE = 1_000
#: How many of many failures are told one by one.
MOST_FAILURES = 100


class Kept(msgspec.Struct, frozen=True):
    """An artifact in storage: its address, and what the listing says of it.

    ``path`` is below the root, ``size`` in bytes at rest; ``modified`` is when it was last written by the storage's
    clock, in UTC, and None where the store does not say.
    """

    address: Address
    path: str
    size: int
    modified: dt.datetime | None


class Progress(msgspec.Struct, frozen=True):
    """How far a long call is: what was looked at so far, and what became of it.

    ``stage`` is ``verify``, or for a prune ``runs`` (it finds each DAG's latest), ``artifacts``, then ``leftovers``;
    ``artifacts`` and ``size`` in bytes count what was looked at in this stage, ``deleted`` what was removed (in a dry
    run: would be), ``failed`` what could not be, or is damaged.
    """

    stage: str
    artifacts: int
    size: int
    deleted: int = 0
    failed: int = 0


class Scope(NamedTuple):
    """Which part of a store is meant: all of it, or what is of a DAG, a run and a task, as far as they are named."""

    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None

    @property
    def _filled(self) -> tuple[str, str, str]:
        dag_id, run_id, task_id = ("-" if part is None else part for part in self)
        return dag_id, run_id, task_id

    def checked(self) -> Scope:
        """Give it, where each name can be an id. Raises: `IdentityError`."""
        Address(*self._filled)
        return self

    @property
    def folder(self) -> str:
        """The smallest folder that holds all of it."""
        return "" if self.dag_id is None else folder_of(self.dag_id, self.run_id, self.task_id)

    def within(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        """Give those of some objects that have the path of an address, and are meant."""
        wanted = [*zip(self, folder_of(*self._filled).split("/"), strict=True)]
        for entry in entries:
            found = entry.path.split("/", 3)
            if may_be_path(entry.path) and all(
                name is None or segment == there for (name, segment), there in zip(wanted, found, strict=False)
            ):
                yield entry


def artifacts(
    store: Store, dag_id: str | None = None, run_id: str | None = None, task_id: str | None = None
) -> Iterator[Kept]:
    """Give all artifacts, or those of a DAG, a run or a task, with their sizes and times, in the order of the store.

    Guarantees: each is asked for when it is taken, a page at a time. Objects that stand at no handoff address are
    passed over; an artifact whose ids are too long to stand in its path costs a read of its header.
    Raises: `DeniedError`, `UnreachableError`.
    """
    storage, scope = storage_of(store), Scope(dag_id, run_id, task_id).checked()
    for entry in scope.within(storage.list(scope.folder)):
        found = address_at(storage, entry.path, EnvelopeError)
        if found is not None:
            yield Kept(found, entry.path, entry.size, moment(entry.modified))


def address_in(path: str) -> Address | None:
    """Give the address that a path says by itself; None where it says none, or only the artifact's header would."""
    try:
        return Address.from_path(path)
    except ConfigError:
        return None


def pages(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    """Give a listing by pages. No further one is asked for before the next is taken."""
    while page := [*itertools.islice(entries, PAGE)]:
        yield page


def moment(seconds: float) -> dt.datetime | None:
    """Give a time in seconds since 1970 as people write it; None for 0, unknown, and for no year of ours."""
    try:
        return dt.datetime.fromtimestamp(seconds, dt.UTC) if seconds else None
    except (ValueError, OverflowError, OSError):  # whoever writes a file in a folder may set its time as he likes
        return None
