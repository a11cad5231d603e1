"""Handoffs loaded all at once, each from the store that it came from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar, overload

from handoff import envelope, lanes, many, sight
from handoff.defaults import default_store
from handoff.envelope import Handoff
from handoff.lanes import MOST_BYTES, WIDTH

_T = TypeVar("_T")


@overload
def gather(xs: Iterable[Any], type: type[_T], *, width: int = ..., most_bytes: int = ...) -> list[_T]: ...
@overload
def gather(xs: Iterable[Any], type: Any = ..., *, width: int = ..., most_bytes: int = ...) -> list[Any]: ...
def gather(xs: Iterable[Any], type: Any = Any, *, width: int = WIDTH, most_bytes: int = MOST_BYTES) -> list[Any]:
    """Give the values of many handoffs, in their order: ``[x.load() for x in xs]`` side by side.

    Each is read from the store that it came from: a parameter annotated ``list[Handoff]`` knows it. Envelopes and
    addresses know none, and are read from `default_store`. Arguments and errors: as ``Store.get_many``.
    """
    with sight.together():
        return lanes.in_order(many.calls_of(xs, _load, type), width=width, most_bytes=most_bytes)


def _load(x: Any, type: Any) -> Any:
    return x.load(type) if isinstance(x, Handoff) and envelope.is_bound(x) else default_store().get(x, type)
