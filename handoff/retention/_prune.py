"""What is no longer kept: artifacts by their age, by the runs of their DAG, and what killed writers left."""

from __future__ import annotations

import datetime as dt
import functools
import heapq
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from handoff import lanes, sight, watch, who
from handoff.address import Address, is_in_full
from handoff.errors import ConfigError, DeniedError, EnvelopeError, HandoffError, StaleError, UnreachableError, as_one
from handoff.event import OK, Event
from handoff.retention._listing import MOST_FAILURES, Progress, Scope, address_in, pages
from handoff.retention._pins import is_pinned, pinned
from handoff.retention._usage import Sums, Usage
from handoff.storage import Entry, Storage
from handoff.store import Store, address_at, storage_of

#: How old what an unfinished write left has to be: nobody writes for so long.
ABANDONED: Final = dt.timedelta(days=1)
_Tell = Callable[[Progress], object]


class Pruned(msgspec.Struct, frozen=True):
    """What a prune removed, or in a dry run would remove.

    ``artifacts`` with ``size`` bytes at rest, and the same for each of ``dags``, the largest first; ``leftovers`` of
    killed writers with ``leftovers_size`` bytes (0 on S3, which does not say). Of what the conditions meant,
    ``pinned`` were spared for a pin and ``replaced`` because they were written anew meanwhile. ``failed`` could not be
    removed: ``failures`` are the errors of the first hundred, each with its ``address``.
    """

    is_dry_run: bool
    artifacts: int
    size: int
    dags: tuple[Usage, ...]
    pinned: int
    replaced: int
    leftovers: int
    leftovers_size: int
    failed: int
    failures: tuple[HandoffError, ...]


def prune(
    store: Store,
    *,
    older_than: dt.timedelta | None = None,
    keep_runs: int | None = None,
    dag_id: str | None = None,
    run_id: str | None = None,
    task_id: str | None = None,
    leftovers: bool | dt.timedelta = False,
    delete: bool = False,
    tell: Callable[[Progress], object] | None = None,
) -> Pruned:
    """Remove artifacts that are no longer wanted; without ``delete=True``, only say which they would be.

    What meets every condition that is given is removed. Arguments: ``older_than``, which was last written longer ago
    than this; ``keep_runs``, which is not of the latest so many runs of its DAG, by the newest artifact of each run
    (the DAG's other tasks count); the ids, which is of that DAG, run or task; ``leftovers``, remove as well what
    killed writers left anywhere below the root more than a day ago, or than a time given here: alone, it removes
    nothing else; ``tell``, what is called after each thousand with how far it is.

    Guarantees: nothing is removed that stands at no handoff address, is pinned, is of a time that the store does not
    know, or was written since this call began, by the storage's clock. What a writer replaces meanwhile is not
    removed, as far as the store can tell (`docs/retention.md`). An interrupted prune has removed whole pages, and the
    next one goes on. Each artifact that is removed, or should have been, is an `Event`. Memory grows with the DAGs and
    the runs that are kept, not with the artifacts.

    Raises: `ConfigError` where no condition is given; `DeniedError`, `UnreachableError` where the store cannot be
    listed, or refuses all of a page.
    """
    scope = Scope(dag_id, run_id, task_id).checked()
    _check(older_than, keep_runs, leftovers)
    is_of_artifacts = older_than is not None or keep_runs is not None or any(part is not None for part in scope)
    if not is_of_artifacts and leftovers is False:
        raise ConfigError(
            "a prune without a condition would remove everything", remedy="Give older_than, keep_runs, or a dag_id"
        )
    work = _Work(store, delete=delete, tell=tell)
    with sight.together():
        if is_of_artifacts:
            before = work.now - (older_than.total_seconds() if older_than else 0)
            latest = None if keep_runs is None else work.latest_runs(scope, keep_runs)
            work.artifacts(scope, before, latest)
        if leftovers is not False:
            age = ABANDONED if leftovers is True else leftovers
            work.leftovers(work.now - age.total_seconds())
    return work.done()


class _Work:
    """One prune: what it has found so far."""

    def __init__(self, store: Store, *, delete: bool, tell: _Tell | None) -> None:
        self._storage: Storage = storage_of(store)
        self._is_real = delete
        self._tell = tell
        self._folders: frozenset[str] | None = None
        self._sums = Sums(self._storage, "dag")
        self._pinned = self._replaced = self._failed = self._leftovers = self._leftovers_size = 0
        self._failures: list[HandoffError] = []
        self._who = who.asked()
        #: When it began, by the storage's clock: what was written since is no concern of it.
        self.now = self._storage.now()

    def latest_runs(self, scope: Scope, count: int) -> Mapping[str, _Latest]:
        """Find the latest runs of each DAG that has more, by the newest artifact of each run."""
        of_dags = Scope(scope.dag_id)
        newest: dict[str, _Latest] = {}
        run, written, seen, size = ["", ""], 0.0, 0, 0
        for page in pages(self._storage.list(of_dags.folder)):
            for entry in of_dags.within(iter(page)):
                if _is_foreign(entry):
                    continue
                here = entry.path.split("/", 2)[:2]
                if here != run:  # the objects of a run stand together in a listing
                    newest.setdefault(run[0], _Latest(count)).add(run[1], written)
                    run, written = here, 0.0
                written = max(written, entry.modified)
                seen, size = seen + 1, size + entry.size
            self._say("runs", seen, size, 0)
        newest.setdefault(run[0], _Latest(count)).add(run[1], written)
        for one in newest.values():
            one.end()
        return newest

    def artifacts(self, scope: Scope, before: float, latest: Mapping[str, _Latest] | None) -> None:
        """Remove what was written before a moment and is of none of the latest runs, page by page."""
        seen = size = 0
        for page in pages(self._storage.list(scope.folder)):
            here = [*scope.within(iter(page))]
            seen, size = seen + len(here), size + sum(entry.size for entry in here)
            old = [entry for entry in here if 0 < entry.modified < before]
            self._remove(old if latest is None else [entry for entry in old if _is_of_earlier(entry, latest)])
            self._say("artifacts", seen, size, self._sums.artifacts)

    def leftovers(self, before: float) -> None:
        """Remove what killed writers left before a moment."""
        seen = size = 0
        for page in pages(self._storage.leftovers()):
            old = [entry for entry in page if 0 < entry.modified < before]
            failed = self._storage.discard(old) if self._is_real and old else {}
            self._note_failures(failed)
            removed = [entry for entry in old if entry.path not in failed]
            self._leftovers += len(removed)
            self._leftovers_size += sum(entry.size for entry in removed)
            seen, size = seen + len(page), size + sum(entry.size for entry in page)
            self._say("leftovers", seen, size, self._leftovers)

    def done(self) -> Pruned:
        """Give what was found."""
        dags = self._sums.found()
        return Pruned(
            not self._is_real,
            sum(one.artifacts for one in dags),
            sum(one.size for one in dags),
            tuple(dags),
            self._pinned,
            self._replaced,
            self._leftovers,
            self._leftovers_size,
            self._failed,
            tuple(self._failures),
        )

    def _remove(self, entries: list[Entry]) -> None:
        """Remove what stands at addresses and is not pinned. It was listed just before."""
        meant = self._at_addresses(entries)
        if not meant:
            return
        if self._is_real or self._folders is None:  # a pin may have been set since the last page
            self._folders = pinned(self._storage)
        chosen = [(entry, at) for entry, at in meant if not is_pinned(entry.path, self._folders)]
        self._pinned += len(meant) - len(chosen)
        failed = self._delete(chosen) if self._is_real and chosen else {}
        for entry, at in chosen:
            if entry.path not in failed:
                self._sums.add(entry, at)
        self._note_failures(failed)
        if len(failed) == len(chosen) and chosen and _are_refused(failed.values()):
            raise as_one([*failed.values()], len(chosen))

    def _delete(self, chosen: list[tuple[Entry, Address]]) -> dict[str, HandoffError]:
        began = time.perf_counter()
        failed = self._storage.delete_many([entry for entry, _ in chosen])
        share = (time.perf_counter() - began) / len(chosen)
        for entry, at in chosen:
            error = failed.get(entry.path)
            sight.tell(
                Event(
                    action="prune",
                    outcome=OK if error is None else watch.name_of(error),
                    address=at,
                    uri=self._storage.uri(entry.path),
                    size=entry.size,
                    seconds=share,
                    who=self._who,
                )
            )
        return failed

    def _at_addresses(self, entries: list[Entry]) -> list[tuple[Entry, Address]]:
        """Give the addresses of those that stand at one; where ids are shortened, the header has to say the same."""
        shortened = [entry.path for entry in entries if not is_in_full(entry.path)]
        calls = ((0, functools.partial(address_at, self._storage, path, EnvelopeError)) for path in shortened)
        read = dict(zip(shortened, lanes.in_order(calls), strict=True))
        found = [(entry, read.get(entry.path) or address_in(entry.path)) for entry in entries]
        return [(entry, at) for entry, at in found if at is not None]

    def _note_failures(self, failed: Mapping[str, HandoffError]) -> None:
        for error in failed.values():
            if isinstance(error, StaleError):
                self._replaced += 1
                continue
            self._failed += 1
            if len(self._failures) < MOST_FAILURES:
                self._failures.append(error)

    def _say(self, stage: str, artifacts: int, size: int, deleted: int) -> None:
        if self._tell is not None:
            self._tell(Progress(stage, artifacts, size, deleted, self._failed))


class _Latest:
    """The runs of a DAG that were written last."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._newest: dict[str, float] = {}
        self._oldest = 0.0
        self._has_more = False

    def add(self, run: str, written: float) -> None:
        """Take a run in, or more of it: not every store lists by name; and let the oldest of too many go."""
        newest = self._newest
        newest[run] = max(written, newest.get(run, 0.0))
        if len(newest) > 2 * self._count:  # seldom, so that each costs little
            self._let_go()

    def end(self) -> None:
        """Let all that are too many go."""
        self._let_go()
        self._oldest = min(self._newest.values())

    def _let_go(self) -> None:
        if len(self._newest) > self._count:
            self._newest = dict(heapq.nlargest(self._count, self._newest.items(), lambda one: (one[1], one[0])))
            self._has_more = True

    def is_before(self, run: str, written: float) -> bool:
        """Whether an artifact is of a run that was let go.

        What is newer than those are was put there since they were looked at, be it in a run that was not seen.
        """
        return self._has_more and written <= self._oldest and run not in self._newest


def _is_of_earlier(entry: Entry, latest: Mapping[str, _Latest]) -> bool:
    dag, run = entry.path.split("/", 2)[:2]
    return dag in latest and latest[dag].is_before(run, entry.modified)


def _is_foreign(entry: Entry) -> bool:
    return is_in_full(entry.path) and address_in(entry.path) is None


def _are_refused(errors: Iterable[HandoffError]) -> bool:
    return all(isinstance(error, DeniedError | UnreachableError) for error in errors)


def _check(older_than: object, keep_runs: object, leftovers: object) -> None:
    ages = {"older_than": older_than, "leftovers": leftovers if type(leftovers) is not bool else None}
    for name, age in ages.items():
        if age is not None and not (isinstance(age, dt.timedelta) and age >= dt.timedelta()):
            raise ConfigError(f"{name} must be a timedelta of 0 or more, not {age!r}")
    if keep_runs is not None and (type(keep_runs) is not int or keep_runs < 1):
        raise ConfigError(f"keep_runs must be a number from 1, not {keep_runs!r}")
