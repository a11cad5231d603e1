"""Handoffs that travel in one message: which of the values stay in it, and which are stored after all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from handoff.config import INLINE_LIMIT, MESSAGE_CAP
from handoff.envelope import Handoff, Inline, Stored, message_of
from handoff.errors import LimitError
from handoff.sizes import human_size

_Place = TypeVar("_Place")

# What a reference takes at the least: to store less would make the message longer.
_REFERENCE = 512


def pack(handoffs: dict[_Place, Handoff], limit: int | None, store: Callable[[list[_Place]], None]) -> int:
    """Bring a message within its limit: store its largest values, then take previews and uris from the references.

    Arguments: the handoffs by where they belong, changed in place; the bytes that all may take together, or None for
    storing nothing; ``store``, which puts references in place of some. References alone may take more than the limit,
    bare of what is for people above 48 KiB. Guarantees: the answer is how many bytes the message takes.

    Raises: `LimitError` above 1 MiB.
    """
    size = _size_of(handoffs)
    if limit is not None and size > limit:
        lengths = {place: len(message_of(handoff)) for place, handoff in handoffs.items() if type(handoff) is Inline}
        large = sorted((place for place in lengths if lengths[place] > _REFERENCE), key=lengths.__getitem__)
        while large and size > limit:
            chosen: list[_Place] = []
            while large and size > limit:
                chosen.append(large.pop())
                size -= lengths[chosen[-1]] - _REFERENCE
            store(chosen)
            size = _size_of(handoffs)
    for name in ("preview", "uri"):
        if limit is not None and size > max(limit, INLINE_LIMIT):
            for place, handoff in handoffs.items():
                if type(handoff) is Stored:
                    handoffs[place] = msgspec.structs.replace(handoff, **{name: ""})
            size = _size_of(handoffs)
    if size > MESSAGE_CAP:
        raise LimitError(
            f"{len(handoffs):,} handoffs in one message take {human_size(size)}",
            remedy="Return fewer, or return them as one value" if limit is not None else "Set an inline_limit",
            size=size,
            limit=MESSAGE_CAP,
        )
    return size


def _size_of(handoffs: dict[_Place, Handoff]) -> int:
    return sum(len(message_of(handoff)) + 1 for handoff in handoffs.values())
