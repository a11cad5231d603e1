"""What a store does with many values at once: side by side, in order, and failing as one."""

from __future__ import annotations

import builtins
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar, overload

import msgspec
from msgspec import UNSET, UnsetType

from handoff import address as addresses
from handoff import attempts, envelope, lanes, message, parcel, sight, watch
from handoff.address import Address
from handoff.envelope import Handoff, Inline, Reader, Stored
from handoff.errors import as_one
from handoff.lanes import MOST_BYTES, WIDTH
from handoff.parcel import Parcel
from handoff.spool import MOST_IN_MEMORY
from handoff.storage import Storage

_T = TypeVar("_T")


class Single(Reader, Protocol):
    """What a store does with one value."""

    _storage: Storage

    def put(
        self, value: object, at: Address, *, attempt: int = ..., inline_limit: int | UnsetType | None = ...
    ) -> Handoff: ...

    def _limit(self, given: int | UnsetType | None, attempt: object) -> int | None: ...

    def _wrap(self, value: object, limit: int | None, *, alone: bool) -> Inline | Parcel: ...

    def _write(self, ready: Parcel, at: Address, attempt: int) -> Stored: ...


class Many(Single):
    """The part of a `Store` that knows what many values have in common."""

    @overload
    def put_many(
        self, values: Sequence[object], at: Address, *, attempt: int = ..., inline_limit: int | UnsetType | None = ...
    ) -> list[Handoff]: ...
    @overload
    def put_many(
        self,
        values: Mapping[str, object],
        at: Address,
        *,
        attempt: int = ...,
        inline_limit: int | UnsetType | None = ...,
    ) -> dict[str, Handoff]: ...
    def put_many(
        self,
        values: Sequence[object] | Mapping[str, object],
        at: Address,
        *,
        attempt: int = 1,
        inline_limit: int | UnsetType | None = UNSET,
    ) -> Any:
        """Keep values that travel in one message: the elements of a list, or the values of a dict by their names.

        An element belongs at the address with its number as ``item``, a named value at the address with its name as
        ``key``; a `Handoff` among them stays as it is. The largest are stored until the message is within the limit;
        references alone may take up to 1 MiB. A later attempt removes what an earlier one left at these addresses
        and was not written again, surplus items too. One that raises may have written some: the next attempt
        overwrites or removes them.

        Raises: as `put`, naming the element; `LimitError` where the references alone are too many.
        """
        limit = self._limit(inline_limit, attempt)
        if isinstance(values, Mapping):
            places = {name: msgspec.structs.replace(at, key=name, item=None) for name in values}
            given = list(zip(places.values(), values.values(), strict=True))
        else:
            given = [(msgspec.structs.replace(at, item=number), value) for number, value in enumerate(values)]
        with sight.together():
            handoffs = self._put_all(given, limit, attempt)
            if attempt > 1:
                self._sweep(msgspec.structs.replace(at, item=None), handoffs, attempt)
        for place, value in given:
            if not isinstance(value, Handoff):
                envelope.bind(handoffs[place], self)
        ordered = [handoffs[place] for place, _ in given]
        return dict(zip(values, ordered, strict=True)) if isinstance(values, Mapping) else ordered

    @overload
    def get_many(self, xs: Iterable[Any], type: type[_T], *, width: int = ..., most_bytes: int = ...) -> list[_T]: ...
    @overload
    def get_many(self, xs: Iterable[Any], type: Any = ..., *, width: int = ..., most_bytes: int = ...) -> list[Any]: ...
    def get_many(
        self, xs: Iterable[Any], type: Any = Any, *, width: int = WIDTH, most_bytes: int = MOST_BYTES
    ) -> list[Any]:
        """Give the values of many handoffs, envelopes and addresses, in their order; plain values as they are.

        Arguments: ``type`` of each, as in `get`; ``width``, how many are fetched at once; ``most_bytes``, what those
        under way may take decompressed (an address counts 16 MiB): one alone may take more.
        Raises: as `get`. Where several fail, one error holds them all in its ``failures`` and names each address; its
        class is that of the gravest. All are tried, but where the storage refuses or does not answer.
        """
        with sight.together():
            return lanes.in_order(calls_of(xs, self.get, type), width=width, most_bytes=most_bytes)

    @overload
    def iter_many(
        self, xs: Iterable[Any], type: type[_T], *, width: int = ..., most_bytes: int = ...
    ) -> Iterator[_T]: ...
    @overload
    def iter_many(
        self, xs: Iterable[Any], type: Any = ..., *, width: int = ..., most_bytes: int = ...
    ) -> Iterator[Any]: ...
    def iter_many(
        self, xs: Iterable[Any], type: Any = Any, *, width: int = WIDTH, most_bytes: int = MOST_BYTES
    ) -> Iterator[Any]:
        """Give the values as `get_many`, one by one, while the next are being fetched.

        No more than ``width`` values, and ``most_bytes`` of them, are under way or wait to be taken. Whoever takes no
        more ends it, with all that is under way. Raises: as `get_many`, when the first that failed would be given:
        of the failures, those that were under way then.
        """
        group = sight.Together()
        calls = ((held, functools.partial(group.within, call)) for held, call in calls_of(xs, self.get, type))
        return group.over(lanes.as_taken(calls, width=width, most_bytes=most_bytes))

    def delete_many(self, addresses: Iterable[Address]) -> None:
        """Remove the artifacts at many addresses, in few requests where the store can; what is not there is none.

        Raises: `DeniedError`, `UnreachableError`, for several as `get_many`; all others are removed.
        """
        addresses = [*addresses]
        with sight.together():
            failed = watch.delete_many(self._storage, addresses)
        if failed:
            raise as_one([*failed.values()], len(addresses))

    def _put_all(
        self, given: builtins.list[tuple[Address, object]], limit: int | None, attempt: int
    ) -> dict[Address, Handoff]:
        values, handoffs, seconds = dict(given), dict[Address, Handoff](), dict[Address, float]()

        def write(places: Iterable[Address], limit: int | None) -> None:
            stored: list[Address] = []

            def calls() -> Iterator[tuple[int, Callable[[], Stored]]]:
                for at in places:
                    began = time.perf_counter()
                    try:
                        with parcel.said(at):
                            ready = self._wrap(values[at], limit, alone=at.item is None)
                    except BaseException as error:
                        watch.failed("put", self._storage, at, error, began, attempt=attempt)
                        raise
                    seconds[at] = time.perf_counter() - began
                    if isinstance(ready, Inline):
                        handoffs[at] = ready
                    else:
                        stored.append(at)
                        call = functools.partial(self._write, ready, at, attempt)
                        watched = functools.partial(watch.written, self._storage, call, at, attempt, seconds[at])
                        yield ready.encoded.raw_size, watched

            for at, handoff in zip(stored, lanes.in_order(calls()), strict=True):
                handoffs[at] = handoff

        handoffs.update((at, value) for at, value in given if isinstance(value, Handoff))
        write((at for at, _ in given if at not in handoffs), limit)
        size = message.pack(handoffs, limit, lambda places: write(places, 0))
        watch.kept_in_message(handoffs, seconds, attempt, size, limit)
        return handoffs

    def _sweep(self, at: Address, kept: Mapping[Address, Handoff], attempt: int) -> None:
        """Remove what earlier attempts left at the keys of these addresses, items included."""
        stored = {handoff.address.path for handoff in kept.values() if isinstance(handoff, Stored)}
        names = {place.path.rpartition("/")[2] for place in (at, *kept)}
        folder = addresses.folder_of(at.dag_id, at.run_id, at.task_id, at.map_index)
        found = [entry.path for entry in self._storage.list(folder) if entry.path not in stored]
        left = [path for path in found if path.rpartition("/")[2] in names and not attempts.has_written_path(at, path)]
        # Each by itself: what a newer attempt wrote stays.
        begun = attempts.begun(at)
        lanes.in_order((0, functools.partial(watch.withdraw, self._storage, path, attempt, begun)) for path in left)


def calls_of(xs: Iterable[Any], get: Callable[[Any, Any], Any], type: Any) -> Iterator[tuple[int, Callable[[], Any]]]:
    """Give, for each of many, the bytes that it takes and the call that reads it, whose error says which it is."""
    for number, x in enumerate(xs):
        # A malformed envelope is told by the call: it is one failure among others.
        found = envelope.handoff_in(x) or x
        at = envelope.address_of(found)
        weight = envelope.weight_of(found) if isinstance(found, Handoff) else 0 if at is None else MOST_IN_MEMORY
        yield weight, functools.partial(_read, get, found, type, f"[{number}]", at)


def _read(get: Callable[[Any, Any], Any], x: Any, type: Any, where: str, at: Address | None) -> Any:
    with parcel.named(where, at):
        return get(x, type)
