"""Two contenders in turn, A B A B: the ratio of each pair holds when the machine's speed drifts."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Act = Callable[[], object]


@dataclass(frozen=True)
class Contest:
    """One of our ways beside another way: what they do, and what we aim at."""

    name: str
    against: str
    ours: Act
    theirs: Act
    #: The most that our time may be of theirs; None where only the figure counts.
    aim: float | None = None
    #: How many times an act is done within one sample.
    times: int = 1
    #: The most pairs that are worth their time, where one side takes seconds.
    most: int | None = None
    #: Whether an act returns the seconds it took, in place of being timed from outside.
    reports: bool = False
    #: A sentence for the time that our way takes more, where that says more than the ratio.
    adds: str = ""
    #: Bytes at rest, ours and theirs.
    sizes: tuple[int, int] | None = None

    def rounds(self, repeats: int) -> int:
        """Give the number of pairs that are measured."""
        return repeats if self.most is None else min(repeats, self.most)


@dataclass(frozen=True)
class Result:
    """The samples of one contest, in seconds for one act."""

    contest: Contest
    ours: list[float]
    theirs: list[float]

    @property
    def ratios(self) -> list[float]:
        """Give our time over theirs, pair by pair."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    @property
    def ratio(self) -> float:
        """Give the median of the pairs."""
        return statistics.median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """Give the bounds between which the middle half of the ratios lies."""
        if len(self.ratios) == 1:
            return self.ratio, self.ratio
        first, _, third = statistics.quantiles(self.ratios, n=4, method="inclusive")
        return first, third

    @property
    def added(self) -> float:
        """Give the seconds that our way takes longer: the median of the pairs."""
        return statistics.median([ours - theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)])


def hold(contest: Contest, repeats: int) -> Iterator[Result | None]:
    """Do both ways in turn after one round that is not counted; None after each round, the result at the end."""
    ours: list[float] = []
    theirs: list[float] = []
    for counted in range(-1, contest.rounds(repeats)):
        pair = _sample(contest, contest.ours), _sample(contest, contest.theirs)
        if counted >= 0:
            ours.append(pair[0])
            theirs.append(pair[1])
        yield None
    yield Result(contest, ours, theirs)


def _sample(contest: Contest, act: Act) -> float:
    gc.collect()
    if contest.reports:
        return float(str(act()))
    start = time.perf_counter()
    for _ in range(contest.times):
        act()
    return (time.perf_counter() - start) / contest.times
