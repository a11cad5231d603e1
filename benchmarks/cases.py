"""Which values are handed over, of which sizes, and who does not take part."""

from __future__ import annotations

import sys
from typing import NamedTuple

from benchmarks.contenders import BY_HAND, JOBLIB, OURS
from benchmarks.rivals import BOTO3, LOCAL, PREFECT, PREFECT_SMALL, S3, STORAGE, STORAGE_GZIP, TUTORIAL, XCOM
from benchmarks.workloads import ALL_FLIGHTS

LARGE = 10**8
#: The most bytes of a value for those that would take minutes above them, or could not keep it.
MOST = {
    TUTORIAL: (256 * 10**6, "it would take minutes"),
    STORAGE_GZIP: (256 * 10**6, "it would take minutes"),
    PREFECT_SMALL: (50 * 10**6, "lzma would take minutes"),
    XCOM: (256 * 10**6, "a row of the database is no place for it"),
}
#: How many times the value a contender may need in memory, by what it was seen to take.
NEEDS = {STORAGE: 13, STORAGE_GZIP: 13, XCOM: 13, PREFECT: 9}
NEEDS_OF_OTHERS = 6
#: The most who read one value, where it is only to be seen that it runs.
SMOKE_READERS = 3


class Case(NamedTuple):
    """A value that all hand over: its size in the kind's unit, and about its bytes."""

    title: str
    kind: str
    size: int
    bytes: int
    smoke: int
    #: Whether requests are counted.
    counted: bool = False
    #: The most rounds that are worth their time.
    rounds: int = sys.maxsize
    #: Whether each of a list is handed over; and how many processes read the one value.
    many: bool = False
    readers: int = 0
    roots: tuple[str, ...] = (LOCAL, S3)

    def smaller(self) -> Case:
        """Give it in a size that shows whether it runs."""
        return self._replace(
            title=f"{self.title} (smoke)", size=self.smoke, bytes=self.smoke, readers=min(self.readers, SMOKE_READERS)
        )


ALL = (
    Case("small dict of 1 KB", "small", 1, 1_000, 1),
    Case("config of 20 KB", "config", 20_000, 20_000, 2_000, counted=True),
    Case("50,000 flight records", "records", 50_000, 45 * 10**6, 500),
    Case("nested JSON of 10 MB", "nested", 10**7, 10**7, 50_000),
    Case("flights frame, 336,776 rows", "flights", ALL_FLIGHTS, 63 * 10**6, 2_000, counted=True),
    Case("1 GB frame of numbers and text", "mixed", 10**9, 10**9, 10**6, rounds=1),
    Case("100 MB of random floats", "floats", 10**8, 10**8, 10**6),
    Case("100 MB of small ints", "small ints", 10**8, 10**8, 10**6),
    Case("200 MB of bytes", "bytes", 2 * 10**8, 2 * 10**8, 10**6),
    Case("model file of 100 MB", "file", 10**8, 10**8, 10**6),
    Case("1,000 artifacts of 100 KB", "chunks", 1_000, 10**8, 20, rounds=1, many=True, roots=(S3,)),
    Case("one of 1 MB, read by 50", "nested", 10**6, 10**6, 50_000, rounds=1, readers=50, roots=(S3,)),
)
GROWING = "floats"
GROWTH = tuple(10**power for power in range(3, 10))
SMOKE_GROWTH = (10**3, 10**5)
IN_GROWTH = (OURS, BY_HAND, JOBLIB, TUTORIAL, PREFECT, BOTO3)
TITLES = {10**3: "1 KB", 10**4: "10 KB", 10**5: "100 KB", 10**6: "1 MB", 10**7: "10 MB", 10**8: "100 MB", 10**9: "1 GB"}


def of_size(size: int) -> Case:
    """Give the value that grows, at a size in bytes."""
    return Case(TITLES[size], GROWING, size, size, size, rounds=1 if size >= LARGE else 2)


def refusal(case: Case, who: str, free: int) -> str:
    """Say why somebody has no part in a case, by the bytes of memory that are free; nothing where he has."""
    most, why = MOST.get(who, (sys.maxsize, ""))
    if case.bytes > most:
        return f"not run: {why}"
    if case.bytes * NEEDS.get(who, NEEDS_OF_OTHERS) > free:
        return "not run: too little memory is free"
    return ""
