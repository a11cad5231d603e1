"""What a task's log says of its hand-overs: a line each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Sequence

from handoff.address import Address
from handoff.envelope import Handoff, Inline, Stored, clean
from handoff.sizes import human_size

_LONGEST = 4096


@contextlib.contextmanager
def loads(handoffs: Sequence[Handoff]) -> Generator[None]:
    """Say what was loaded, once it is."""
    stored = [handoff for handoff in handoffs if isinstance(handoff, Stored)]
    began = time.perf_counter()
    yield
    if stored:
        what = stored[0].uri or stored[0].address.path if len(stored) == 1 else f"{len(stored):,} handoffs"
        _say(f"loaded {what}: {_sizes(stored)}, {time.perf_counter() - began:.2f} s")


def sent(at: Address, handoffs: Sequence[Handoff], began: float) -> None:
    """Say what was handed over: what, how large, how small it became, where, and how long it took.

    Arguments: the address of the result; the handoffs that it became; when that began, by ``time.perf_counter()``.
    """
    stored = [handoff for handoff in handoffs if isinstance(handoff, Stored)]
    inline = [handoff for handoff in handoffs if isinstance(handoff, Inline)]
    what = f"{at.key}: {handoffs[0].type}" if len(handoffs) == 1 else f"{len(handoffs):,} values of {at.key}"
    parts: list[str] = []
    if stored:
        place = stored[0].uri or stored[0].address.path
        folder = place if len(stored) == 1 else place.partition("/map_index=")[0] + "/"
        parts.append(f"{_sizes(stored)} in {folder}")
    if inline or not stored:
        size = human_size(sum(handoff.size for handoff in inline))
        parts.append(f"{len(inline):,} of {size} in the message" if stored else f"{size} in the message")
    _say(f"handed over {what}, {', '.join(parts)}, {time.perf_counter() - began:.2f} s")


def _sizes(stored: Sequence[Stored]) -> str:
    raw, size = sum(handoff.raw_size for handoff in stored), sum(handoff.size for handoff in stored)
    return f"{human_size(raw)} as {human_size(size)}"


def _say(line: str) -> None:
    import logging

    logging.getLogger("handoff").info("%s", clean(line, _LONGEST))
