"""Records: what is put comes back as the type that its reader names, exactly, or an error says where it does not fit."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    Required,
    TypedDict,
    TypeVar,
    Union,
)
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff import Address, ConfigError, DamagedError, EncodeError, LimitError, MismatchError, Store
from handoff.codecs import _containers, tree
from handoff.testing import same

ADDRESS = Address("dag", "run", "task")
T = TypeVar("T")
Number = NewType("Number", int)
PACK = msgspec.msgpack.encode


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)
    NOTHING = None


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    A = "a"


class Right(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()
    BOTH = READ | WRITE


class Bits(enum.IntFlag):
    ONE = 1


class Leg(NamedTuple):
    origin: str
    km: float = 0.0


Old = collections.namedtuple("Old", ["a", "b"])


@dataclasses.dataclass
class Flight:
    number: int
    price: float = 1.0
    colour: Colour = Colour.RED
    legs: list[Leg] = dataclasses.field(default_factory=list)
    next: Flight | None = None
    CLASS: ClassVar[int] = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    when: dt.datetime
    tags: frozenset[str] = frozenset()
    _hidden: int = 2


@dataclasses.dataclass
class Derived:
    """Its constructor would alter it a second time."""

    price: float
    rate: dataclasses.InitVar[float]
    total: float = dataclasses.field(init=False)

    def __post_init__(self, rate: float) -> None:
        self.price *= 2
        self.total = self.price * rate


@dataclasses.dataclass
class Box(Generic[T]):
    held: T


@dataclasses.dataclass
class IntBox(Box[int]):
    more: str = ""


class Plane(msgspec.Struct):
    name: str
    seats: int | None = None


class Tagged(msgspec.Struct, frozen=True, tag="t", rename="camel", omit_defaults=True, kw_only=True):
    flight_number: int
    rows: tuple[int, ...] = ()


class Arrayed(msgspec.Struct, array_like=True):
    a: int

    def __post_init__(self) -> None:
        self.a += 1


@attrs.define
class Crew:
    _name: str = attrs.field(converter=lambda name: name + "!")
    age: int = attrs.field(default=3, validator=attrs.validators.gt(0))
    made: str = attrs.field(init=False, default=attrs.Factory(lambda self: self._name, takes_self=True))


@attrs.frozen(slots=False, cache_hash=True)
class Seat:
    row: int


class Airport(pydantic.BaseModel):
    code: str
    km: float = 0.0
    _cache: int = pydantic.PrivateAttr(7)

    @pydantic.field_validator("code")
    @classmethod
    def _louder(cls, code: str) -> str:
        return code + "!"

    @pydantic.computed_field
    @property
    def length(self) -> int:
        return len(self.code)


class Aliased(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True)
    number: int = pydantic.Field(alias="flightNumber")
    legs: list[Leg] = pydantic.Field(default=[], validation_alias=pydantic.AliasChoices("legs", "hops"))


class Loose(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    a: int


class Numbers(pydantic.RootModel[list[int]]):
    pass


class Typed(pydantic.BaseModel, Generic[T]):
    held: T
    mail: pydantic.PositiveInt = 1


@pydantic.dataclasses.dataclass
class Checked:
    x: pydantic.PositiveInt


class Row(TypedDict):
    price: float
    flight: NotRequired[Flight]


class Loosely(TypedDict, total=False):
    a: Required[Annotated[int, "the a"]]
    b: str


LEG = Leg("JFK", 3)
FLIGHT = Flight(1, 2.5, Colour.PAIR, [LEG], Flight(2))
EVERY: list[tuple[Any, Any]] = [
    (FLIGHT, Flight), ([FLIGHT] * 3, list[Flight]), ({"a": FLIGHT}, dict[str, Flight]), ((FLIGHT, FLIGHT), tuple[Flight, ...]),
    ((FLIGHT, 3, "x"), tuple[Flight, int, str]), (None, Optional[Flight]), (FLIGHT, Flight | None), (FLIGHT, Union[Plane, Flight]),
    ([], list[Flight]), ((), tuple[Flight, ...]), ((), tuple[()] | Flight), ({LEG}, set[Leg]), (frozenset({LEG}), frozenset[Leg]), ({LEG: 1}, dict[Leg, int]),
    ([LEG], Sequence[Leg]), ((LEG,), Sequence[Leg]), ({LEG}, Iterable[Leg]), ({1: LEG}, Mapping[int, Leg]), (FLIGHT, Annotated[Flight, "x"]),
    (Frozen(when=dt.datetime(2013, 1, 1, fold=1), tags=frozenset({"a"})), Frozen), (Derived(1.0, 3.0), Derived),
    (Box(3), Box[int]), (Box([FLIGHT]), Box[list[Flight]]), (Box(Box("x")), Box[Box[str]]), (IntBox(1, "x"), IntBox), (Box(Number(1)), Box[Number]),
    (Plane("a"), Plane), (Tagged(flight_number=1, rows=(1,)), Tagged), (Arrayed(1), Arrayed), ([Plane("a"), FLIGHT, None, 3], list[Plane | Flight | int | None]),
    (Crew("x"), Crew), (Seat(1), Seat), ({Seat(1)}, set[Seat]), (Airport(code="JFK"), Airport), (Airport(code="JFK", km=1), Airport),
    (Aliased(flightNumber=1), Aliased), (Loose(a=1, b=[2], c="x"), Loose), (Numbers([1, 2]), Numbers), (Typed[int](held=1), Typed[int]), (Checked(x=1), Checked),
    ({"price": 5, "flight": FLIGHT}, Row), ({"price": 5.5}, Row), ([{"a": 1}, {"b": "x", "a": 2}], list[Loosely]), (LEG, Leg), (Old(1, [2]), Old),
    (Colour.PAIR, Colour), (Colour.NOTHING, Colour), ([Level.LOW, Word.A], tuple[Level, Word] | list[Level | Word]), (Right.READ, Right), (Right.BOTH, Right), (Right(0), Right),
    (Bits(9), Bits), ({Colour.RED: 1}, dict[Colour, int]), ([Colour.RED, "x"], list[Literal[Colour.RED, "x"]]),
    (Box(2**70), Box[int]), (Box("\ud800"), Box[str]), (Box({"a": (1, b"x")}), Box[Any]), (Box(Path("a")), Box[Path]), ([1, 2, FLIGHT], list[float | Flight]),
    ({"number": 1}, Flight | dict[str, int]), ([True, 1, LEG], list[int | Leg]), (Box(None), Box[None]), (Box([1]), Box[list]),
]  # fmt: skip


def both_ways(value: Any, store: Store, kind: Any) -> list[Any]:
    """Send a value inline, through JSON text, and stored, by envelope and by address."""
    inline = store.put(value, ADDRESS)
    stored = store.put(value, ADDRESS, inline_limit=0)
    return [
        store.get(json.loads(json.dumps(inline.to_json())), type=kind),
        inline.load(kind),
        store.get(json.loads(json.dumps(stored.to_json())), kind),
        store.get(ADDRESS, kind),
    ]


@pytest.mark.parametrize(("value", "kind"), EVERY, ids=[str(kind)[:60] for _, kind in EVERY])
def test_every_kind_of_record_comes_back_identical(value: Any, kind: Any, store: Store) -> None:
    """A record of every kind comes back identical as the type its reader names, inline and stored."""
    found = both_ways(value, store, kind)
    assert [True] * 4 == [same(value, got) for got in found], found


def test_equality_and_hash_work_after_the_trip(store: Store) -> None:
    """What came back equals what was put, and hashes alike, where its class says so."""
    for value in (FLIGHT, Seat(1), Airport(code="a"), Aliased(flightNumber=1), Tagged(flight_number=1), LEG):
        (got, *_) = both_ways(value, store, type(value))
        assert value == got
        if type(value) not in (Flight, Airport, Aliased):
            assert hash(value) == hash(got)
    (got, *_) = both_ways(Airport(code="JFK"), store, Airport)
    assert ({"code"}, 7, 4) == (got.model_fields_set, got._cache, got.length)
