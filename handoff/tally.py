"""Events of one action, counted and put into a line for people."""

from __future__ import annotations

from collections.abc import Iterator

from handoff.event import OK, Event, Warned
from handoff.sizes import human_size

_DONE = {"put": "handed over", "get": "loaded", "scan": "opened", "delete": "deleted", "prune": "pruned"}
_MANY = {"put": "values", "get": "handoffs", "scan": "tables", "delete": "artifacts", "prune": "artifacts"}


class Tally:
    """What events of one action come to, in a few numbers however many they are."""

    def __init__(self, event: Event) -> None:
        self._is_put = event.action == "put"
        self._shown = event
        self._done = self._inline = self._inline_size = self._raw = self._size = 0
        self._failed: dict[str, int] = {}
        self._warned: dict[Warned, tuple[Event, int]] = {}
        self._keys: set[str] = set()
        self.add(event)

    @property
    def is_for_people(self) -> bool:
        """Whether it is more than what was loaded from messages."""
        return self._is_put or bool(self._failed) or self._inline < self._done

    def add(self, event: Event) -> None:
        """Count one more."""
        self._keys.add(event.address.key if event.address else "")
        if event.outcome != OK:
            self._failed[event.outcome] = self._failed.get(event.outcome, 0) + 1
            return
        if self._done == (self._inline if not event.is_inline else 0):
            self._shown = event
        self._done += 1
        if event.is_inline:
            self._inline += 1
            self._inline_size += event.size or 0
        else:
            self._raw += event.raw_size or 0
            self._size += event.size or 0
        for name in event.warnings:
            first, count = self._warned.get(name, (event, 0))
            self._warned[name] = (first, count + 1)

    def warnings(self) -> Iterator[str]:
        """Say what somebody should know: each once, however many it is true of."""
        for name, (event, count) in self._warned.items():
            yield f"{event.place}{f' and {count - 1:,} more' if count > 1 else ''}: {event.explained(name)}"

    def line(self, seconds: float) -> str:
        """Say what was done: what, how large, how small it became, where, and how long it took."""
        shown, done = self._shown, self._done if self._is_put else self._done - self._inline or self._done
        count, key = done or sum(self._failed.values()), shown.address.key if shown.address else ""
        if count > 1:
            what = f"{count:,} {_MANY[shown.action]}{f' of {key}' if self._is_put and len(self._keys) == 1 else ''}"
        elif done and self._is_put:
            what = f"{key}: {shown.type}"
        else:
            what = shown.place or f"a {shown.type or 'value'} in a message"
        parts = [*self._sizes(shown.place)]
        if self._failed:
            why = ", ".join(kind if n == 1 else f"{n:,} {kind}" for kind, n in sorted(self._failed.items()))
            parts.append(f"failed: {why}" if done else why)
        between = ": " if parts and not (done and self._is_put) else ", "
        return f"{'' if done else 'not '}{_DONE[shown.action]} {what}{between}{', '.join([*parts, f'{seconds:.2f} s'])}"

    def _sizes(self, place: str) -> Iterator[str]:
        stored = self._done - self._inline
        if self._size:
            sizes = f"{human_size(self._raw)} as {human_size(self._size)}" if self._raw else human_size(self._size)
            folder = place if stored == 1 else place.partition("/map_index=")[0] + "/"
            yield f"{sizes} in {folder}" if self._is_put else sizes
        if self._inline and (self._is_put or not stored):
            size = human_size(self._inline_size)
            yield f"{self._inline:,} of {size} in the message" if stored else f"{size} in the message"
