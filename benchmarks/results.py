"""What came of the contenders, by the kind of value: as lines of figures, as tables, and held against the aim."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import msgspec
from rich.text import Text

from benchmarks import report
from benchmarks.apart import Outcome
from benchmarks.contenders import BY_HAND, OURS
from benchmarks.report import Sheet
from handoff.sizes import human_size

#: The most that our time may be of the line written by hand.
AIM = 1.10
COLUMNS = ("", "put", "get", "both", "ratio", "spread", "at rest", "put peak", "get peak", "arrives")


class Line(msgspec.Struct, kw_only=True):
    """One contender with one value: a sample for each round."""

    case: str
    contender: str
    #: Of what is written by hand: with which libraries.
    libraries: str = ""
    put: list[float] = []
    get: list[float] = []
    put_peak: list[int] = []
    get_peak: list[int] = []
    #: Bytes of the value in memory, and at rest.
    size: int = 0
    stored: int = 0
    same: bool | None = None
    remark: str = ""
    error: str = ""

    def add(self, put: Outcome, get: Outcome) -> None:
        """Take the samples of a round."""
        self.error = self.error or put.error or get.error
        if self.error:
            return
        self.put.append(put.seconds)
        self.get.append(get.seconds)
        self.put_peak.append(put.peak)
        self.get_peak.append(get.peak)
        self.size, self.stored = put.size, put.stored
        self.same = self.same if get.same is None else get.same
        self.remark = put.remark or get.remark

    @property
    def both(self) -> list[float]:
        """Give the seconds of put and get together, by round."""
        return [put + get for put, get in zip(self.put, self.get, strict=True)]

    @property
    def slowest(self) -> float:
        """Give the seconds of the slowest round."""
        return max(self.both, default=0)

    @property
    def name(self) -> str:
        """Name the contender, and what it is made of."""
        return f"{self.contender}: {self.libraries}" if self.libraries else self.contender


class Run(msgspec.Struct):
    """All lines, and what they were measured with."""

    machine: dict[str, Any]
    versions: dict[str, str]
    lines: list[Line]


def sheets(lines: Sequence[Line]) -> Iterator[Sheet]:
    """Give a table for each value."""
    for case, found in by_case(lines):
        sizes = [line.size for line in found.values() if line.size]
        sheet = Sheet(f"{case}: {human_size(sizes[0]) if sizes else '?'} in memory", COLUMNS)
        sheet.rows.extend(_row(line, found[BY_HAND]) for line in found.values())
        yield sheet


def by_case(lines: Sequence[Line]) -> Iterator[tuple[str, dict[str, Line]]]:
    """Give the contenders' lines for each value."""
    for case, found in groupby(lines, lambda line: line.case):
        yield case, {line.contender: line for line in found}


def ratios(line: Line, other: Line) -> list[float]:
    """Give the time of one over that of another, round by round."""
    return [mine / theirs for mine, theirs in zip(line.both, other.both, strict=False)]


def quartiles(found: list[float]) -> tuple[float, float]:
    """Give the bounds between which the middle half lies."""
    if len(found) < 2:
        return found[0], found[0]
    first, _, third = statistics.quantiles(found, n=4, method="inclusive")
    return first, third


def judge(lines: Sequence[Line]) -> Iterator[str]:
    """Say of each value whether the aim is met, and who is ahead of us."""
    for case, found in by_case(lines):
        ours, by_hand = found[OURS], found[BY_HAND]
        if ours.error or by_hand.error:
            yield f"{case}: no ratio, as {ours.error or by_hand.error}"
            continue
        ratio = statistics.median(ratios(ours, by_hand))
        met = "within" if ratio <= AIM else "NOT within"
        text = f"{case}: {ratio:.2f} of {by_hand.libraries} by hand, {met} {AIM:.2f}"
        if not ours.same:
            text += "; what arrives is NOT what was put"
        if ours.remark:
            text += f" ({ours.remark})"
        yield f"{text}; {_ahead(ours, [line for line in found.values() if line not in (ours, by_hand)])}"


def absences(lines: Sequence[Line]) -> Iterator[str]:
    """Say who has no figures, and why."""
    for line in lines:
        if line.error:
            yield f"{line.case}, {line.contender}: {line.error}"


def _ahead(ours: Line, peers: list[Line]) -> str:
    rivals = [peer for peer in peers if not peer.error and peer.same and peer.stored <= ours.stored * 1.01]
    if not rivals:
        return "no other is as small and gives the value back"
    ahead = {peer.contender: statistics.median(ratios(ours, peer)) for peer in rivals}
    behind = [f"{name} ({ratio:.2f} of its time)" for name, ratio in ahead.items() if ratio > 1]
    if behind:
        return f"BEHIND {' and '.join(behind)}"
    best = min(rivals, key=lambda peer: statistics.median(peer.both))
    return f"ahead of all that are as small, of {best.contender} by {1 / ahead[best.contender]:.2f} times"


def _row(line: Line, by_hand: Line) -> list[str | Text]:
    is_ours = line.contender == OURS
    name = Text(line.name, style=report.OURS if is_ours else "")
    if line.error:
        return [name, *[""] * (len(COLUMNS) - 2), line.error.partition(":")[0]]
    put, get, both = (report.seconds(statistics.median(found)) for found in (line.put, line.get, line.both))
    found = ratios(line, by_hand)
    ratio, spread = Text(""), ""
    if found and line is not by_hand:
        middle, (low, high) = statistics.median(found), quartiles(found)
        ratio = Text(f"{middle:.2f}", style=report.STANDS_OUT if is_ours and middle > AIM else "")
        spread = f"{low:.2f} – {high:.2f}" if len(found) > 1 else "once"
    peaks = (human_size(int(statistics.median(found))) for found in (line.put_peak, line.get_peak))
    arrives = {True: "identical", False: "LOSSY", None: "?"}[line.same] + ("*" if line.remark else "")
    return [name, put, get, both, ratio, spread, human_size(line.stored), *peaks, arrives]
