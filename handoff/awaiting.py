"""What a store does for those that await it: the same calls, in a thread, ended where the task is cancelled."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, overload

from msgspec import UNSET, UnsetType

from handoff.address import Address
from handoff.cancellation import in_thread
from handoff.envelope import Handoff
from handoff.lanes import MOST_BYTES, WIDTH
from handoff.many import Many

_T = TypeVar("_T")


class Awaited(Many):
    """The part of a `Store` for asynchronous tasks: the event loop goes on meanwhile.

    A task that is cancelled takes its storage calls with it: nothing is written afterwards. What cannot be ended, a
    computation or a disk that hangs, is waited for up to 5 s, and writes nothing either once it goes on.
    """

    async def aput(
        self, value: object, at: Address, *, attempt: int = 1, inline_limit: int | UnsetType | None = UNSET
    ) -> Handoff:
        """Keep a value at an address, as `put`. The value must not be changed meanwhile."""
        return await in_thread(functools.partial(self.put, value, at, attempt=attempt, inline_limit=inline_limit))

    @overload
    async def aput_many(
        self, values: Sequence[object], at: Address, *, attempt: int = ..., inline_limit: int | UnsetType | None = ...
    ) -> list[Handoff]: ...
    @overload
    async def aput_many(
        self,
        values: Mapping[str, object],
        at: Address,
        *,
        attempt: int = ...,
        inline_limit: int | UnsetType | None = ...,
    ) -> dict[str, Handoff]: ...
    async def aput_many(
        self, values: Any, at: Address, *, attempt: int = 1, inline_limit: int | UnsetType | None = UNSET
    ) -> Any:
        """Keep values that travel in one message, as `put_many`."""
        return await in_thread(functools.partial(self.put_many, values, at, attempt=attempt, inline_limit=inline_limit))

    @overload
    async def aget(self, x: Any, type: type[_T], columns: Sequence[str] | None = ...) -> _T: ...
    @overload
    async def aget(self, x: Any, type: Any = ..., columns: Sequence[str] | None = ...) -> Any: ...
    async def aget(self, x: Any, type: Any = Any, columns: Sequence[str] | None = None) -> Any:
        """Give the value of a handoff, an envelope or an address, as `get`."""
        return await in_thread(functools.partial(self.get, x, type, columns))

    @overload
    async def aget_many(
        self, xs: Iterable[Any], type: type[_T], *, width: int = ..., most_bytes: int = ...
    ) -> list[_T]: ...
    @overload
    async def aget_many(
        self, xs: Iterable[Any], type: Any = ..., *, width: int = ..., most_bytes: int = ...
    ) -> list[Any]: ...
    async def aget_many(
        self, xs: Iterable[Any], type: Any = Any, *, width: int = WIDTH, most_bytes: int = MOST_BYTES
    ) -> list[Any]:
        """Give the values of many, in their order, as `get_many`."""
        return await in_thread(functools.partial(self.get_many, xs, type, width=width, most_bytes=most_bytes))
