"""Artifacts on any fsspec filesystem, by the recipe for object stores: one PUT to write, one GET to read.

A filesystem is made on first use and again in a forked child. Calls to an asynchronous one run as coroutines on its
own loop, and are cancelled when the caller is: an upload must not outlive its task.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from handoff.address import may_be_path
from handoff.errors import DamagedError, DeniedError, HandoffError, MissingError, StaleError, UnreachableError
from handoff.spool import Ranges, Source
from handoff.storage import Draft, Entry, Mark, _faults, _filesystems, check_newest
from handoff.storage._calls import Patience, wait_for
from handoff.storage._objects import TooLarge
from handoff.storage._spool import Spool

_T = TypeVar("_T")
_Act: TypeAlias = Callable[[Sequence[Entry]], Coroutine[Any, Any, dict[str, Exception]]]

# How often a put looks again at what stands in its way.
_TRIES = 4
#: The most objects that are deleted in one request.
AT_ONCE: Final = 1_000
_of_parents: list[Any] = []
_REMEDIES: Final = {"denied": "Mend the permissions or the credentials", "clock": "Set the clock of this machine"}


class RemoteStorage:
    """A prefix on an fsspec filesystem. See `handoff.storage.Storage` for what it promises."""

    def __init__(self, protocol: str, prefix: str, options: Mapping[str, Any], timeout: float) -> None:
        self.root = f"{protocol}://{prefix}"
        self._prefix = prefix
        self._options = options
        # Now, and not amid the first call: a child that is forked while a thread imports would wait for it for ever.
        self._recipe = _filesystems.recipe_of(protocol)
        self._patience = Patience(timeout)
        self._made: tuple[int, Any, Any] | None = None

    def uri(self, path: str) -> str:
        return f"{self.root}/{path}" if self._prefix else f"{self.root}{path}"

    @contextlib.contextmanager
    def draft(self, path: str) -> Generator[Draft]:
        with contextlib.closing(Spool()) as spool:

            def commit(attempt: int, begun: float) -> None:
                self._put(path, spool.source(), attempt, begun)

            yield _Draft(spool, commit)

    def _put(self, path: str, body: Source, attempt: int, begun: float) -> None:
        """Make an object of a body, unless a newer attempt has written. A first attempt expects nothing there."""
        objects, key, mark = self._objects(), self._full(path), Mark(attempt, secrets.token_hex(8))
        is_looked_at = attempt > 1
        for _ in range(_TRIES):
            onto = None
            if objects.has_conditions:
                there = self._standing(path) if is_looked_at else None
                if there is not None and there.mark == mark:
                    return  # it is ours: the answer got lost on its way
                if there is not None:
                    check_newest(there.mark, there.modified, attempt, begun, self.uri(path))
                onto = "" if there is None else there.tag
            try:
                self._run(objects.put(key, body, mark, onto))
            except Exception as error:  # as in _call
                what = _faults.meaning(error)
                if onto is None or what not in ("conflict", "unsupported"):
                    raise self._translate(path, error) from error
                is_looked_at, objects.has_conditions = True, what == "conflict"
            else:
                return
        raise UnreachableError(
            f"{self.uri(path)} is written by others again and again",
            remedy="Look who else writes there, and try again",
            address=path,
            uri=self.uri(path),
        )

    @contextlib.contextmanager
    def source(self, path: str, most: int) -> Generator[Source]:
        objects = self._objects()
        if most <= objects.most_in_one:
            try:
                data = self._run(objects.get(self._full(path), 0, most))
            except Exception as error:  # as in _call
                if _faults.meaning(error) != "empty":
                    raise self._translate(path, error) from error
                data = b""
            yield Source(data)
            return
        with contextlib.closing(Spool(hashed=True)) as spool:
            try:
                self._fetch(path, spool, most)
            except TooLarge:
                yield Source(b"", most)
                return
            yield spool.source()

    def _fetch(self, path: str, spool: Spool, most: int) -> None:
        """Fetch one version of an object; from its start where the one that was begun is overwritten meanwhile."""
        tries = _TRIES
        while True:
            try:
                self._run(self._objects().fetch(self._full(path), spool, most))
            except (TooLarge, HandoffError):
                raise
            except Exception as error:  # as in _call
                tries -= 1
                if not tries or _faults.meaning(error) != "conflict":
                    raise self._translate(path, error) from error
                spool.restart()
            else:
                return

    @contextlib.contextmanager
    def place(self, path: str) -> Generator[Source]:
        objects, key = self._objects(), self._full(path)

        def fetch(start: int, end: int) -> bytes:
            found: bytes = self._call(path, objects.get(key, start, end))
            return found

        there = self._call(path, objects.look(key))
        yield Ranges(fetch, there.size if there else 0)

    def located(self, path: str) -> tuple[str, Any]:
        return self._full(path), self._filesystem()

    def delete(self, path: str) -> bool:
        try:
            self._call(path, self._objects().delete(self._full(path)))
        except MissingError:
            return False
        return True

    def delete_many(self, entries: Sequence[Entry]) -> dict[str, HandoffError]:
        return self._each(entries, self._objects().delete_many)

    def discard(self, entries: Sequence[Entry]) -> dict[str, HandoffError]:
        return self._each(entries, self._objects().abort_many)

    def _each(self, entries: Sequence[Entry], act: _Act) -> dict[str, HandoffError]:
        failed: dict[str, HandoffError] = {}
        for start in range(0, len(entries), AT_ONCE):
            some = [one._replace(path=self._full(one.path)) for one in entries[start : start + AT_ONCE]]
            try:
                errors = self._run(act(some))
            except Exception as error:  # noqa: BLE001 - as in _call: it is told of each
                errors = dict.fromkeys((one.path for one in some), error)
            bound = {one.path for one in some if one.tag}
            for key, found in errors.items():
                path, what = key[len(self._full("")) :], _faults.meaning(found)
                is_changed = what == "conflict" and key in bound
                failed[path] = self._changed(path) if is_changed else self._translate(path, found)
        return failed

    def _changed(self, path: str) -> HandoffError:
        uri = self.uri(path)
        return StaleError(f"{uri} was written anew since it was listed", remedy="List it again", address=path, uri=uri)

    def withdraw(self, path: str, attempt: int, begun: float) -> bool:
        if self._objects().has_conditions:
            there = self._standing(path)
            if there is None:
                return False
            check_newest(there.mark, there.modified, attempt, begun, self.uri(path))
        return self.delete(path)

    def exists(self, path: str) -> bool:
        try:
            return self._call(path, self._objects().look(self._full(path))) is not None
        except MissingError:
            return False

    def list(self, folder: str) -> Iterator[Entry]:
        start, token = len(self._full("")), None
        prefix = f"{self._full(folder).rstrip('/')}/"
        while True:
            try:
                found, token = self._call(folder, self._objects().page(prefix, token))
            except MissingError:
                return
            for entry in found:
                yield entry._replace(path=entry.path[start:])
            if token is None:
                return

    def leftovers(self) -> Iterator[Entry]:
        start, token = len(self._full("")), None
        while True:
            found, token = self._call("", self._objects().uploads(self._full(""), token))
            for entry in found:
                if may_be_path(entry.path[start:]):  # else it is somebody else's
                    yield entry._replace(path=entry.path[start:])
            if token is None:
                return

    def now(self) -> float:
        found: float = self._call("", self._objects().now(self._full("").partition("/")[0]))
        return found

    def modified(self, path: str) -> str:
        import datetime as dt

        there = self._standing(path)
        if not there or not there.modified:
            return ""
        return dt.datetime.fromtimestamp(there.modified, dt.UTC).isoformat(timespec="seconds")

    def _standing(self, path: str) -> Any:
        """Say what stands at a path, and nothing of where nothing does: the bucket is not asked for."""
        try:
            return self._run(self._objects().look(self._full(path)))
        except Exception as error:  # as in _call
            if _faults.meaning(error) == "missing":
                return None
            raise self._translate(path, error) from error

    def _full(self, path: str) -> str:
        return f"{self._prefix}/{path}" if self._prefix else path

    def _filesystem(self) -> Any:
        return self._made_here()[0]

    def _objects(self) -> Any:
        return self._made_here()[1]

    def _made_here(self) -> tuple[Any, Any]:
        if self._made is None or self._made[0] != os.getpid():
            # A parent's is held on to in its child: letting it go would close the connections that both have.
            _of_parents.append(self._made)
            self._made = (os.getpid(), *_filesystems.make(self.root, self._recipe, self._options, self._patience))
        return self._made[1:]

    def _run(self, call: Coroutine[Any, Any, _T]) -> _T:
        filesystem = self._filesystem()
        return wait_for(filesystem.loop if filesystem.async_impl else None, call)

    def _call(self, path: str, call: Coroutine[Any, Any, _T]) -> _T:
        try:
            return self._run(call)
        except Exception as error:  # client libraries raise errors of their own, which are no caller's business
            raise self._translate(path, error) from error

    def _translate(self, path: str, error: Exception) -> HandoffError:
        uri, what = self.uri(path), _faults.meaning(error)
        if what == "missing":
            return self._missing(path, uri)
        if what in _REMEDIES:
            return DeniedError(f"{uri}: {_shorten(error)}", remedy=_REMEDIES[what], address=path, uri=uri)
        text = _shorten(error)
        if _faults.is_damage(error):
            return DamagedError(f"{uri}: {text}", remedy="Run the producer again", address=path, uri=uri)
        if isinstance(error, TimeoutError):
            text = f"no answer within {self._patience.timeout:g} s"
        return UnreachableError(f"{uri}: {text}", remedy="Try again when the storage answers", address=path, uri=uri)

    def _missing(self, path: str, uri: str) -> HandoffError:
        # A missing bucket and a missing object raise the same.
        bucket = self._prefix.partition("/")[0]
        try:
            there = self.root.startswith("memory://") or self._run(self._objects().has_bucket(bucket))
        except Exception as error:  # noqa: BLE001 - as in _call
            if _faults.meaning(error) != "missing":
                return self._translate(path, error)
            there = False
        if there:
            return MissingError(
                f"there is no artifact at {uri}", remedy="Run the producer again", address=path, uri=uri
            )
        name = f"{self.root.partition('://')[0]}://{bucket}"
        return UnreachableError(f"there is no bucket {name}", remedy="Create it, or mend the root", uri=self.root)


def _free_the_loop() -> None:
    # fsspec forgets in a child the loop of the parent, but not its lock on it, which another thread may have held.
    asyn: Any = sys.modules.get("fsspec.asyn")
    if hasattr(asyn, "reset_lock"):
        asyn.reset_lock()


os.register_at_fork(after_in_child=_free_the_loop)


class _Draft:
    """An object that is held until all of it is there."""

    def __init__(self, spool: Spool, commit: Callable[[int, float], None]) -> None:
        self.write = spool.write
        self.commit = commit


def _shorten(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
