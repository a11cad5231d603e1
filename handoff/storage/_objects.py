"""Objects on any fsspec filesystem, by the calls that all have: without conditions and marks, the last writer wins."""

from __future__ import annotations

import datetime as dt
import email.utils
import functools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from handoff.spool import MOST_IN_MEMORY, Source
from handoff.storage import Entry, Mark, _calls, _faults
from handoff.storage._calls import Patience
from handoff.storage._spool import Spool

#: Bytes of a part in which a large object is sent.
PART: Final = 8 * 1024**2

_AT_ONCE = 16  # deletes, where each is a request

_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")


class Standing(NamedTuple):
    """What stands at a key: the ``tag`` of its version, its size, and its writer's mark if it has one.

    ``modified`` is in seconds since 1970, 0 where that is not known.
    """

    tag: str
    size: int
    modified: float
    mark: Mark | None = None


class Objects(Protocol):
    """How the objects of one kind of store are used. Keys are whole: the bucket, and the path in it.

    Every request has a deadline. What a client library raises is passed on as it is.
    """

    #: Whether a put can be bound to what stands there, and leaves its mark.
    has_conditions: bool
    #: The most bytes that are better got at once than fetched piece by piece, and hashed on the way.
    most_in_one: int

    async def put(self, key: str, body: Source, mark: Mark, onto: str | None) -> None:
        """Make an object of a body, whole or not at all.

        Arguments: ``onto``, the tag of the version that it takes the place of; empty for none, None for any.
        """
        ...

    async def get(self, key: str, start: int, end: int) -> bytes:
        """Give the bytes from one place to another, as far as there are any, in one request."""
        ...

    async def fetch(self, key: str, spool: Spool, most: int) -> None:
        """Write the bytes of one version of an object into a spool. Raises: `TooLarge` where there are more."""
        ...

    async def look(self, key: str) -> Standing | None:
        """Say what stands there. Raises: FileNotFoundError where nothing does, on most."""
        ...

    async def delete(self, key: str) -> None:
        """Remove an object."""
        ...

    async def delete_many(self, entries: Sequence[Entry]) -> dict[str, Exception]:
        """Remove objects, up to a thousand, and give for each key that was not why; not there is no failure.

        One with a tag is removed only while that version stands there, and is a conflict otherwise.
        """
        ...

    async def uploads(self, prefix: str, token: Any) -> tuple[list[Entry], Any]:
        """List what was begun in parts and not ended, as `page`; the tag says which. None where none can be left."""
        ...

    async def abort_many(self, entries: Sequence[Entry]) -> dict[str, Exception]:
        """End uploads in parts, as `delete_many`."""
        ...

    async def now(self, bucket: str) -> float:
        """Give the time by the clock of the store, in seconds since 1970, rounded down; else by this machine's."""
        ...

    async def has_bucket(self, bucket: str) -> bool:
        """Whether a bucket is there."""
        ...

    async def page(self, prefix: str, token: Any) -> tuple[list[Entry], Any]:
        """List objects whose keys begin alike: some, and what to ask for the next with, None at the end."""
        ...


class AnyObjects:
    """Objects of a filesystem that is known by fsspec's interface alone. See `Objects`."""

    has_conditions = False
    most_in_one = MOST_IN_MEMORY

    @staticmethod
    def options(given: Mapping[str, Any], *, is_async: bool) -> dict[str, Any]:
        """Give the options of the filesystem."""
        # An asynchronous one would answer from its listings: what was written since would be missing.
        return {**given, "use_listings_cache": False} if is_async else dict(given)

    def __init__(self, filesystem: Any, patience: Patience) -> None:
        self.filesystem = filesystem
        self.patience = patience

    async def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call the filesystem; a synchronous one in the thread of the caller, whom nothing else would interrupt."""
        if not self.filesystem.async_impl:
            return getattr(self.filesystem, name)(*args, **kwargs)
        method = getattr(self.filesystem, f"_{name}")
        return await self.patience.attempt(lambda: method(*args, **kwargs))

    async def put(self, key: str, body: Source, mark: Mark, onto: str | None) -> None:  # noqa: ARG002 - it has none
        if body.name is None:
            await self.call("pipe_file", key, body.data())
        else:
            await self.call("put_file", body.name, key)

    async def get(self, key: str, start: int, end: int) -> bytes:
        # With a range, no filesystem asks for the size first, and none reads in pieces of several versions.
        found: bytes = await self.call("cat_file", key, start=start, end=end)
        return found

    async def fetch(self, key: str, spool: Spool, most: int) -> None:
        import shutil
        import tempfile

        with tempfile.TemporaryDirectory(prefix="handoff-", ignore_cleanup_errors=True) as folder:
            await self.call("get_file", key, f"{folder}/artifact", callback=_bounded(most))
            with open(f"{folder}/artifact", "rb") as fetched:  # noqa: ASYNC230 - as filesystems do themselves
                shutil.copyfileobj(fetched, spool, PART)

    async def look(self, key: str) -> Standing | None:
        info: dict[str, Any] = await self.call("info", key)
        if info.get("type") != "file":
            return None
        return Standing(_tag(info), int(info.get("size") or 0), seconds(moment(info)))

    async def delete(self, key: str, tag: str = "") -> None:
        """Remove an object; where a tag is given, no other version, as far as a look just before tells."""
        if tag:
            there = await self.look(key)
            if there is None or there.tag != tag:
                raise _faults.Failure("PreconditionFailed", "another version stands there now")
        await self.call("rm_file", key)

    async def delete_many(self, entries: Sequence[Entry]) -> dict[str, Exception]:
        return await self._each(entries, lambda entry: self.delete(entry.path, entry.tag))

    async def _each(self, entries: Sequence[Entry], act: Callable[[Entry], Awaitable[None]]) -> dict[str, Exception]:
        failed: dict[str, Exception] = {}

        async def one(entry: Entry) -> None:
            try:
                await act(entry)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is given back
                if _faults.meaning(error) != "missing":
                    failed[entry.path] = error

        if not self.filesystem.async_impl:
            for entry in entries:
                await one(entry)
            return failed
        await _calls.side_by_side([functools.partial(one, entry) for entry in entries], _AT_ONCE)
        return failed

    async def uploads(self, prefix: str, token: Any) -> tuple[list[Entry], Any]:  # noqa: ARG002 - there are none
        return [], None

    async def abort_many(self, entries: Sequence[Entry]) -> dict[str, Exception]:  # noqa: ARG002 - as above
        return {}

    async def now(self, bucket: str) -> float:  # noqa: ARG002 - it says nothing of its clock
        return clock(None)

    async def has_bucket(self, bucket: str) -> bool:
        return bool(await self.call("exists", bucket))

    async def page(self, prefix: str, token: Any) -> tuple[list[Entry], Any]:  # noqa: ARG002 - it is all one page
        found: Mapping[str, Any] = await self.call("find", prefix.rstrip("/"), detail=True)
        return [_entry(name, found[name]) for name in sorted(found)], None


class TooLarge(Exception):  # noqa: N818 - it only ends a transfer
    """More bytes come than are wanted."""


def check_size(size: int, most: int) -> None:
    """End a transfer of more bytes than are wanted. Raises: `TooLarge`."""
    if size > most:
        raise TooLarge


def _bounded(most: int) -> Any:
    from fsspec.callbacks import Callback  # type: ignore[import-untyped]  # it ships no types

    class Bounded(Callback):  # type: ignore[misc]  # as above
        def call(self, *_: Any, **__: Any) -> None:
            check_size(max(self.size or 0, self.value), most)

    return Bounded()


def _entry(name: str, info: Mapping[str, Any]) -> Entry:
    return Entry(name.lstrip("/"), seconds(moment(info)), int(info.get("size") or 0), _tag(info))


def _tag(info: Mapping[str, Any]) -> str:
    """Tell one version from another by what a filesystem says of it."""
    return str(info.get("ETag") or info.get("etag") or f"{seconds(moment(info))}-{info.get('size')}")


def moment(info: Mapping[str, Any]) -> dt.datetime | None:
    """Give when an object was written, from what a filesystem says of it in one of many ways."""
    when = next((info[name] for name in _TIMES if info.get(name)), None)
    if isinstance(when, int | float):
        return dt.datetime.fromtimestamp(when, dt.UTC)
    if isinstance(when, str):
        try:
            when = dt.datetime.fromisoformat(when)
        except ValueError:
            return None
    if not isinstance(when, dt.datetime):
        return None
    return when if when.tzinfo else when.replace(tzinfo=dt.UTC)


def clock(date: str | None) -> float:
    """Give the time that an answer says it was made, in seconds since 1970; this machine's where it says none."""
    return email.utils.parsedate_to_datetime(date).timestamp() if date else float(int(time.time()))


def seconds(when: dt.datetime | None) -> float:
    """Give a moment in seconds since 1970; 0 where it is not known."""
    return when.timestamp() if when else 0.0
