"""The records, and the moments of other libraries, behind the golden files; and the types that they are read as."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import Any, NamedTuple

import attrs
import msgspec
import pendulum
import pydantic
from pydantic_core import TzInfo


class Carrier(enum.Enum):
    UA = "United"
    AA = ("American", [1])
    XX = object()  # which is not recorded


class Seat(enum.IntFlag):
    WINDOW = 1
    AISLE = 2
    EXIT = 4


@dataclasses.dataclass
class Leg:
    start: str
    end: str


@dataclasses.dataclass(frozen=True, slots=True)
class Flight:
    number: int
    carrier: Carrier
    delay: float | None
    legs: list[Leg]
    first: Leg


class Point(NamedTuple):
    x: int
    y: Any = None


class Price(msgspec.Struct):
    amount: float
    currency: str = "EUR"


@attrs.define
class Crew:
    _name: str
    size: int = 2


class Plane(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    tail: str
    year: int = 2000
    since: dt.datetime | None = None
    _note: str = pydantic.PrivateAttr("none")


class Engine(pydantic.BaseModel):
    kind: str
    thrust: float = 1.5


def flight(n: int) -> Flight:
    leg = Leg("JFK", f"L{n}")
    return Flight(2**62 + n, Carrier.UA if n % 2 else Carrier.AA, n / 4 or None, [leg] * (n % 3), leg)


NOTED = Plane(tail="N1", wings=2, since=dt.datetime(2013, 1, 1, tzinfo=TzInfo(3600)))
NOTED._note = "rebuilt"
BERLIN, FIXED = pendulum.timezone("Europe/Berlin"), pendulum.FixedTimezone(3600, name="one")

#: By name: the value, and the type that its reader names.
RECORDS: dict[str, tuple[Any, Any]] = {
    "dataclass": (flight(1), Flight),
    "dataclasses": ([flight(n) for n in range(20)], list[Flight]),
    "named tuples": ([Point(1), Point(2, (3,))], list[Point]),
    "structs": ({"a": Price(2.5), "b": [Price(1.0, "USD")] * 16}, dict[str, Price | list[Price]]),
    "attrs": (Crew("A"), Crew),
    "pydantic": (NOTED, Plane),
    "pydantic, many": ([Engine(kind=f"k{n}") for n in range(16)], list[Engine]),
    "enumerations": ([Carrier.UA, Carrier.AA, Carrier.XX], list[Carrier]),
    "flags": ([Seat.WINDOW | Seat.EXIT, Seat(0)], list[Seat]),
    "pendulum": (
        [
            pendulum.date(2013, 1, 1), pendulum.time(1, 2, 3, 4), pendulum.datetime(2013, 1, 1, tz=BERLIN),
            pendulum.naive(2013, 1, 1), dt.datetime(2013, 10, 27, 2, 30, fold=1, tzinfo=BERLIN), dt.time(1, tzinfo=FIXED),
        ],
        Any,
    ),
}  # fmt: skip
