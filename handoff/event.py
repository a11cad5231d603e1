"""What happened to one artifact or message: an event, as those are told it who watch over many tasks."""

from __future__ import annotations

from typing import Literal

import msgspec

from handoff import who
from handoff.address import Address
from handoff.sizes import human_size
from handoff.who import Who

Action = Literal["put", "get", "scan", "delete", "prune"]
Warned = Literal["large", "ratio", "slow", "message"]

OK = "ok"

_MB = 10**6
_LARGE = 100 * _MB
_RATIO, _RATIO_FROM = 2, 10 * _MB
_PER_SECOND = 10 * _MB
#: How much of its limit a message takes before somebody should know.
NEAR = 0.8

# A file is stored as it is, whatever it holds.
_AS_IT_IS = "file"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One put, get, scan, delete or prune of one value. What is not known is None, or empty.

    Arguments: ``action``; ``outcome``, ``ok`` or the name of the error without ``Error``, in small letters; the
    ``address`` and the ``uri`` of the artifact; ``is_inline``, where the value travels in the message; its ``codec``
    and ``type``; ``raw_size`` before compression and ``size`` after it, in bytes; ``seconds`` that it took;
    ``attempt`` of the task that wrote it; ``filled``, how much of its limit a message takes, from 0 to 1;
    ``who`` did it.
    """

    action: Action
    outcome: str = OK
    address: Address | None = None
    uri: str = ""
    is_inline: bool = False
    codec: str = ""
    type: str = ""
    raw_size: int | None = None
    size: int | None = None
    seconds: float = 0.0
    attempt: int | None = None
    filled: float | None = None
    who: Who = msgspec.field(default_factory=who.asked)

    @property
    def ratio(self) -> float | None:
        """How many bytes became one: None where a size is not known or 0."""
        return self.raw_size / self.size if self.raw_size is not None and self.size else None

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return self.uri or (self.address.path if self.address else "")

    @property
    def warnings(self) -> tuple[Warned, ...]:
        """Name what somebody should know of a put."""
        raw, ratio = self.raw_size or 0, self.ratio
        if self.action != "put" or self.outcome != OK:
            return ()
        found: list[Warned] = []
        if raw > _LARGE:
            found.append("large")
        if raw > _RATIO_FROM and ratio is not None and ratio < _RATIO and self.codec != _AS_IT_IS:
            found.append("ratio")
        if self.seconds > max(1, -(-raw // _PER_SECOND)):  # for each 10 MB that were begun
            found.append("slow")
        if self.filled is not None and self.filled > NEAR:
            found.append("message")
        return tuple(found)

    def explained(self, warned: Warned) -> str:
        """Say what a warning means, and what to do."""
        raw = human_size(self.raw_size or 0)
        if warned == "large":
            return f"a value of {raw}. Hand over less, or a table or a file, of which a reader takes what it needs"
        if warned == "ratio":
            return (
                f"{raw} became {human_size(self.size or 0)}, a ratio of {self.ratio or 0:.1f}. It is whole; to make it "
                "smaller, hand over what is compressed already as a File, and numbers in a smaller type"
            )
        if warned == "slow":
            return (
                f"{raw} took {self.seconds:.1f} s, over 1 s for each 10 MB. See whether the root is near the workers "
                "(`handoff doctor` times it), and whether they have the processor to themselves"
            )
        return (
            f"the message takes {self.filled or 0:.0%} of its limit. What takes more is stored, and with "
            "inline_limit=None refused: set the limit for that"
        )
