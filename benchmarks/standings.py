"""What came of a run beside the peers: as lines of figures, as tables, and held against the floor and the best."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import msgspec
from rich.text import Text

from benchmarks import costs, report
from benchmarks.contenders import BY_HAND, OURS
from benchmarks.costs import Cost
from benchmarks.report import Sheet
from benchmarks.rivals import FLOORS, LOCAL, S3, UNFLUSHED
from benchmarks.turns import Done
from handoff.sizes import human_size

ROOTS = {LOCAL: "local folder", S3: "S3"}
COLUMNS = (
    *("", "encode", "decode", "put", "get", "floor"),
    *("put S3", "get S3", "floor", "spread", "at rest", "arrives"),
)
MIB = 1024**2
#: Two that are nearer to each other than this are alike: so much is chance.
ALIKE = 1.05


class Line(msgspec.Struct, kw_only=True):
    """One contender with one value: a sample for each round, by root."""

    case: str
    contender: str
    libraries: str = ""
    put: dict[str, list[float]] = {}
    get: dict[str, list[float]] = {}
    put_peak: dict[str, list[int]] = {}
    get_peak: dict[str, list[int]] = {}
    same: dict[str, bool] = {}
    errors: dict[str, str] = {}
    encode: list[float] = []
    decode: list[float] = []
    #: Bytes of the value in memory, and at rest.
    size: int = 0
    stored: int = 0
    #: How many requests of which kind a put and a get took, on S3.
    requests: dict[str, dict[str, int]] = {}

    def add(self, done: Done, roots: Iterable[str]) -> None:
        """Take the samples of a turn on some roots."""
        if done.error:
            self.errors |= dict.fromkeys(roots, done.error)
            return
        for name, act in done.acts.items():
            for samples, sample in (
                (self.put, act.put),
                (self.get, act.get),
                (self.put_peak, act.put_peak),
                (self.get_peak, act.get_peak),
            ):
                samples.setdefault(name, []).append(sample)
            if act.same is not None:
                self.same[name] = act.same
            self.stored = act.stored or self.stored
        self.encode += [] if done.encode is None else [done.encode]
        self.decode += [] if done.decode is None else [done.decode]
        self.size = done.size

    def both(self, root: str) -> list[float]:
        """Give the seconds of put and get together, by round."""
        return [put + get for put, get in zip(self.put.get(root, []), self.get.get(root, []), strict=True)]

    def middle(self, root: str) -> float:
        """Give the median of put and get together."""
        return statistics.median(self.both(root))

    def took_part(self, root: str) -> bool:
        """Whether it has figures of a root."""
        return bool(self.put.get(root)) and root not in self.errors

    @property
    def slowest(self) -> float:
        """Give the seconds of the slowest round, on all roots together."""
        return sum(max(self.both(root), default=0) for root in self.put)

    @property
    def is_lossy(self) -> bool:
        """Whether something else arrived than was put, on any root."""
        return not all(self.same.values())

    @property
    def name(self) -> str:
        """Name the contender, and what it is made of."""
        return f"{self.contender}: {self.libraries}" if self.libraries else self.contender


class Run(msgspec.Struct):
    """All lines, and what they were measured with; ``growth`` is one kind at growing sizes."""

    machine: dict[str, Any]
    versions: dict[str, str]
    lines: list[Line]
    growth: list[Line] = []
    costs: list[Cost] = []


def by_case(lines: Iterable[Line]) -> Iterator[tuple[str, dict[str, Line]]]:
    """Give the contenders' lines for each value."""
    for case, found in groupby(lines, lambda line: line.case):
        yield case, {line.contender: line for line in found}


def floor_of(found: dict[str, Line], root: str) -> Line | None:
    """Give the faster of the raw clients on a root."""
    floors = [line for line in found.values() if line.contender in FLOORS and line.took_part(root)]
    return min(floors, key=lambda line: line.middle(root), default=None)


def quartiles(found: list[float]) -> tuple[float, float]:
    """Give the bounds between which the middle half lies."""
    if len(found) < 2:
        return found[0], found[0]
    first, _, third = statistics.quantiles(found, n=4, method="inclusive")
    return first, third


def ratios(line: Line, other: Line, root: str) -> list[float]:
    """Give the time of one over that of another, round by round."""
    return [mine / theirs for mine, theirs in zip(line.both(root), other.both(root), strict=False)]


def sheets(run: Run) -> Iterator[Sheet]:
    """Give a table for each value, one of memory, one of requests, and one of growth."""
    for case, found in by_case(run.lines):
        sizes = [line.size for line in found.values() if line.size and line.contender not in FLOORS]
        sheet = Sheet(f"{case}: {human_size(sizes[0])} in memory" if sizes else case, COLUMNS)
        floors = {root: floor_of(found, root) for root in ROOTS}
        sheet.rows.extend(_row(line, floors) for line in found.values() if line.put)
        yield sheet
    if any(_is_large(found) for _, found in by_case(run.lines)):
        yield _peaks(run.lines)
    counted = [case for case, found in by_case(run.lines) if any(line.requests for line in found.values())]
    if counted:
        yield _requests(run.lines, counted)
    if run.growth:
        yield _growth(run.growth)
    yield from costs.sheets(run.costs)


def judge(lines: Sequence[Line]) -> Iterator[str]:
    """Say of each value on each root how far we are from the floor, and who is ahead of us."""
    for case, found in by_case(lines):
        ours = found[OURS]
        for root, called in ROOTS.items():
            if not any(line.put.get(root) or root in line.errors for line in found.values()):
                continue
            if not ours.took_part(root):
                yield f"{case}, {called}: no figures of ours, as {ours.errors.get(root, 'it was not measured')}"
                continue
            floor = floor_of(found, root)
            text = f"{statistics.median(ratios(ours, floor, root)):.2f} of {floor.contender}; " if floor else ""
            peers = [line for line in found.values() if line.contender not in (OURS, *FLOORS) and line.took_part(root)]
            yield f"{case}, {called}: {text}{_ahead(ours, peers, root)}"


def remarks(lines: Sequence[Line]) -> Iterator[str]:
    """Say whose values arrive altered, and who has no figures, and why."""
    for line in lines:
        if line.is_lossy:
            yield f"{line.case}, {line.name}: LOSSY, what arrives is not what was put"
    every = len({line.case for line in lines})
    absent: dict[tuple[str, str, str], list[str]] = {}
    for line in lines:
        for error in dict.fromkeys(line.errors.values()):
            roots = " and ".join(ROOTS[root] for root in ROOTS if line.errors.get(root) == error)
            absent.setdefault((line.contender, roots, error), []).append(line.case)
    for (who, roots, error), cases in absent.items():
        which = "every value" if len(cases) == every else "; ".join(map(_short, cases))
        yield f"{who}, {roots}: {error.partition('. ')[0]} ({which})"


def _ahead(ours: Line, peers: list[Line], root: str) -> str:
    lossy = "what arrives is NOT what was put; " if ours.is_lossy else ""
    peers = sorted((peer for peer in peers if not peer.is_lossy), key=lambda peer: peer.middle(root))
    if not peers:
        return f"{lossy}no other gives the value back"
    found = {peer.name: (statistics.median(ratios(ours, peer, root)), peer) for peer in peers}
    behind = [
        f"{name} ({ratio:.2f} of its time, {ours.stored / peer.stored:.2f} of its bytes"
        f"{', and it flushes nothing' if root == LOCAL and peer.contender in UNFLUSHED else ''})"
        for name, (ratio, peer) in found.items()
        if ratio > ALIKE
    ]
    if behind:
        return f"{lossy}BEHIND {', '.join(behind)}"
    name, (ratio, _) = next(iter(found.items()))
    return f"{lossy}first; {ratio:.2f} of the next, {name}"


def _row(line: Line, floors: dict[str, Line | None]) -> list[str | Text]:
    cells: list[str | Text] = [Text(line.name, style=report.OURS if line.contender == OURS else "")]
    cells += [report.seconds(statistics.median(found)) if found else "" for found in (line.encode, line.decode)]
    spread = ""
    for root in ROOTS:
        if not line.took_part(root):
            cells += ["", "", line.errors.get(root, "").partition(":")[0]]
            continue
        floor = floors[root]
        found = ratios(line, floor, root) if floor else []
        cells += [report.seconds(statistics.median(samples[root])) for samples in (line.put, line.get)]
        cells.append("" if floor in (None, line) else f"{statistics.median(found):.2f}")
        if root == S3 and floor not in (None, line):
            low, high = quartiles(found)
            spread = f"{low:.2f} – {high:.2f}" if len(found) > 1 else "once"
    arrives = "?" if not line.same else "LOSSY" if line.is_lossy else "identical"
    return [*cells, spread, human_size(line.stored), arrives]


def _peaks(lines: Sequence[Line]) -> Sheet:
    """Give the peaks of put and get, on the folder, or where it is not used, on S3."""
    cases = list(by_case(lines))
    title = "peak memory above the value, put / get, in MiB"
    sheet = Sheet(title, ("", *(_short(case) for case, found in cases if _is_large(found))))
    for who in dict.fromkeys(line.contender for line in lines if line.put):
        row = []
        for _, found in cases:
            if _is_large(found):
                line = found[who]
                root = next((root for root in ROOTS if line.took_part(root)), None)
                peaks = [statistics.median(peak[root]) / MIB for peak in (line.put_peak, line.get_peak)] if root else []
                row.append(" / ".join(f"{peak:,.0f}" for peak in peaks))
        sheet.rows.append([Text(who, style=report.OURS if who == OURS else ""), *row])
    return sheet


def _short(case: str) -> str:
    return case.partition(" (")[0].partition(", ")[0]


def _is_large(found: dict[str, Line]) -> bool:
    return max(line.size for line in found.values()) >= MIB / 2


def _requests(lines: Sequence[Line], cases: list[str]) -> Sheet:
    acts = [(case, act) for case in cases for act in ("put", "get")]
    sheet = Sheet("requests on S3", ("", *(f"{act} {_short(case)}" for case, act in acts)), names=1 + len(acts))
    for who in dict.fromkeys(line.contender for line in lines if line.requests):
        mine = {line.case: line.requests for line in lines if line.contender == who}
        found = [Counter(mine.get(case, {}).get(act, {})) for case, act in acts]
        told = [" + ".join(f"{count} {verb}" for verb, count in sorted(counted.items())) for counted in found]
        sheet.rows.append([Text(who, style=report.OURS if who == OURS else ""), *told])
    return sheet


def _growth(lines: Sequence[Line]) -> Sheet:
    cases = list(by_case(lines))
    sheet = Sheet("floats by size: put and get on S3 together", ("", *(case for case, _ in cases)))
    for who in dict.fromkeys(line.contender for line in lines):
        row = [found.get(who) for _, found in cases]
        sheet.rows.append(
            [
                Text(f"{who}: np.save" if who == BY_HAND else who, style=report.OURS if who == OURS else ""),
                *(report.seconds(line.middle(S3)) if line and line.took_part(S3) else "" for line in row),
            ]
        )
    return sheet
