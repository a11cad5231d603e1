"""Records: what is put comes back as the type that its reader names, exactly, or an error says where it does not fit."""

from __future__ import annotations

import abc
import collections
import dataclasses
import datetime as dt
import enum
import functools
import json
import re
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
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
    ParamSpec,
    Protocol,
    Required,
    TypedDict,
    TypeVar,
    TypeVarTuple,
    Union,
)
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff import (
    Address,
    DamagedError,
    DependencyError,
    EncodeError,
    LimitError,
    MismatchError,
    StaleError,
    Store,
    artifact,
)
from handoff.codecs import Reading, _containers, tree
from handoff.records import name_of
from handoff.spool import Source
from handoff.testing import same

try:
    from typing import TypeAliasType
except ImportError:  # Python 3.11
    from typing_extensions import TypeAliasType

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


Old = collections.namedtuple("Old", ["a", "b"])  # noqa: PYI024 - such are among the kinds


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
class Empty:
    pass


@dataclasses.dataclass
class Box(Generic[T]):
    held: T


@dataclasses.dataclass
class IntBox(Box[int]):
    more: str = ""


@dataclasses.dataclass
class Boxes(Box[list[T]], Generic[T]):
    inner: Box[Box[T]] | None = None


@dataclasses.dataclass
class Same(Box[T]):
    pass


Short = TypeVar("Short", str, int)
Few = TypeVar("Few", bound=Leg)
Args = ParamSpec("Args")
Rest = TypeVarTuple("Rest")


@dataclasses.dataclass
class Kinds(Generic[Short, Few]):
    short: Short
    few: Few


@dataclasses.dataclass
class Odd(Generic[Args]):
    call: Box[Callable[Args, int]] | None = None


@dataclasses.dataclass
class Tail(Generic[*Rest]):
    held: Box[tuple[*Rest]] | None = None


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


class Moment(pydantic.BaseModel):
    when: dt.datetime


class One(Empty, enum.Enum):
    ONE = ()


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


class Asked(Protocol):
    def __len__(self) -> int: ...


class Row(TypedDict):
    price: float
    flight: NotRequired[Flight]


class Loosely(TypedDict, total=False):
    a: Annotated[Required[int], "the a"]
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
    (Boxes([LEG], Box(Box(LEG))), Boxes[Leg]), (Boxes([1]), Boxes), (Same(LEG), Same[Leg]), (Kinds(1, LEG), Kinds), (Kinds("x", LEG), Kinds[str, Leg]), (Odd(), Odd), (Tail(), Tail[int]), ([1.5, LEG], list[float | Leg]), (Odd(), Odd[[int]]),
    (Box(1), Box[TypeAliasType("Alias", int)]), (Box(["x"]), Box[Sized]), (Box(["x"]), Box[Asked]), (Empty(), Empty), (Box(Empty()), Box[Empty]),
    (Plane("a"), Plane), (Tagged(flight_number=1, rows=(1,)), Tagged), (Arrayed(1), Arrayed), ([Plane("a"), FLIGHT, None, 3], list[Plane | Flight | int | None]),
    (Crew("x"), Crew), (Seat(1), Seat), ({Seat(1)}, set[Seat]), (Moment(when="2013-01-01T00:00:00+05:30"), Moment), (Moment(when="2013-01-01T00:00:00-00:30"), Moment), (Moment(when="2013-01-01T00:00:00Z"), Moment), (One.ONE, One), (Airport(code="JFK"), Airport), (Airport(code="JFK", km=1), Airport),
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


def with_more(value: Any) -> Any:
    value.extra = 1
    return value


class Sub(Leg):
    pass


@dataclasses.dataclass
class Listed(list[int]):
    a: int = 1


@dataclasses.dataclass
class Slotted:
    __slots__ = ("__more", "a")
    a: int

    def __post_init__(self) -> None:
        self.__more = 1


@dataclasses.dataclass
class Unset:
    a: int = dataclasses.field(init=False)


@dataclasses.dataclass
class Cached:
    a: int

    @functools.cached_property
    def twice(self) -> int:
        return 2 * self.a


class Secret(pydantic.BaseModel):
    word: pydantic.SecretStr


class Open(msgspec.Struct, dict=True):
    a: int


def evaluated() -> Cached:
    value = Cached(1)
    assert value.twice == 2
    return value


REFUSED: list[tuple[Any, str, str]] = [
    ([with_more(Flight(1))], "[0]", "'extra'"), ([with_more(Sub("a"))], "[0]", "'extra'"), ([with_more(Open(1))], "[0]", "'extra'"),
    ([Listed()], "[0]", "is a list too"), ([Slotted(1)], "[0]", "'_Slotted__more'"), ([Unset()], "[0]", "no value"), ([evaluated()], "[0]", "'twice'"),
    ({"a": Secret(word="x")}, "a.word", "a secret"), ([Airport.model_construct(km=1)], "[0]", "'code' has no value"),
    ([Airport.model_construct(code="a", _fields_set={"what"})], "[0]", "'what'"), ([Flight(1, next=Flight(object()))], "[0].next.number", "object"),
    ([tuple.__new__(Leg, "abc")], "[0]", "3 elements for its 2"), ({Box(1).__class__: 1}, ".keys()[0]", "type"), ([Loose(a=1, **{"b": 1j, "c d": {object}})], "[0]['c d']{type}", "type"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "path", "why"), REFUSED, ids=[why for _, _, why in REFUSED])
def test_a_record_that_holds_more_than_its_fields_is_refused(value: Any, path: str, why: str, store: Store) -> None:
    """State that the declared fields do not show, a secret, or a part that is not kept raises EncodeError by path."""
    with pytest.raises(EncodeError) as caught:
        store.put(value, ADDRESS)
    assert path.removeprefix(".").split("{")[0] == caught.value.path.split("{")[0]
    assert why in str(caught.value)


def renamed(name: str, fields: list[Any], **more: Any) -> Any:
    """Make a class of the name that another had when it was stored."""
    kind = dataclasses.make_dataclass(name, fields, **more)
    kind.__module__ = __name__
    return kind


class Other(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Base:
    a: int


@dataclasses.dataclass
class Circle(Base):
    pass


@dataclasses.dataclass
class Twin:
    a: int


@dataclasses.dataclass
class Twins:
    a: int


@dataclasses.dataclass
class Strict:
    a: int

    def __post_init__(self) -> None:
        raise ValueError("never")


class Positive(pydantic.BaseModel):
    a: pydantic.PositiveInt


class Mine(pydantic.BaseModel):
    code: str
    km: float
    _cache: int = 1


class Pathed(pydantic.BaseModel):
    a: int = pydantic.Field(validation_alias=pydantic.AliasPath("b", 0))


MISMATCHES: list[tuple[Any, Any, str, str]] = [
    ([Flight(1), Flight(2, "x")], list[Flight], "[1].price", "expected float, got str"),
    ({"f": [FLIGHT]}, dict[str, list[Plane]], "f[0].number", "Plane has no such field"),
    (Flight(1), Leg, "number", "no such field"), (Plane("a"), renamed("Plane", [("name", str)]), "seats", "no such field"),
    (Plane("a"), renamed("Plane", [("name", str), ("seats", Any), ("wings", int)]), "wings", "missing"), (Box(1), renamed("Wider", [("held", int), ("b", int)]), "b", "missing"),
    (Circle(1), Base, "", "expected Base, got tests.Circle"), (Twin(1), Base | Circle, "", "fits more than one"), (Twin(-1), Positive, "a", "greater than 0"),
    (Twin(1), Strict, "", "Strict refuses it: never"), (Twin(None), Twin, "a", "expected int, got None"), (Box(FLIGHT), Box, "held", "holds a record (tests.Flight)"),
    (Box(FLIGHT), Box[object], "held", "holds a record"), (Box([FLIGHT]), Box[list], "held", "holds a record"), (Box(1), Box[str], "held", "expected str, got int"), (Box("red"), Box[Colour], "held", "expected Colour, got str"), (Box({}), Box[Flight], "held", "expected Flight, got dict"),
    (Colour.RED, Level, "", "expected Level, got tests.Colour.RED"), (Level.LOW, int | Flight, "", "expected int | Flight, got tests.Level"), (Right.READ, Colour, "", "none of these"),
    (Bits(9), Level, "", "none of these"), ((1, LEG), tuple[str, Leg], "[0]", "expected str, got int"), ((LEG,), tuple[Leg, int], "", "got 1 elements"), ([], tuple[Leg], "", "got 0 elements"),
    ({LEG}, list[Leg], "", "expected list[Leg], got set"), ({LEG: 1}, dict[str, int] | dict[Flight, int], "", ""), ({"a": LEG}, list[Leg], "", "got dict"), ([FLIGHT], dict[str, Flight], "", "got list"),
    (FLIGHT, Frozen, "number", "no such field"), (FLIGHT, Literal[Colour.RED], "", "expected Literal"), (3, Flight, "", "expected Flight, got int"), (None, Flight, "", "got None"), ("x", Flight | None, "", "expected Flight | None, got str"),
    ({Seat(1): 1}, dict[Box, int], "keys()[0].row", "no such field"), ({Leg("a"), Leg("b")}, set[Old], "{0}", ""), ({"a": 1}, Row, "a", "no such field"), ({}, Row, "price", "missing"), ({"a": 1, "b": 1}, Loosely, "b", "expected str"), ({"b": ""}, Loosely, "a", "missing"), ([1], Row, "", "expected Row, got list"),
    (Airport(code="a"), Mine, "_cache", "Mine has no such field"), ({"a": ""}, Loosely, "a", "expected int"), (Loose(a=1, b=2), Airport, "a", "no such field"), (Airport(code="a"), Loose, "", ""), (Airport(code="a"), renamed("A", [("code", str), ("km", float), ("x", int)]), "_cache", "no such field"), (Box(1), Typed[str], "held", "expected str"),
    (Tagged(flight_number=1), Aliased, "flight_number", "no such field"), (Box([1]), Box[Row], "held", "expected Row, got list"), (Twin("x"), Twin | Colour, "a", "expected int, got str"), (Box(1), list[Flight] | Box[str], "held", "expected str, got int"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "kind", "path", "why"), MISMATCHES, ids=[f"{k}"[:50] for _, k, _, _ in MISMATCHES])
@pytest.mark.parametrize("limit", [48 * 1024, 0])
def test_what_does_not_fit_is_an_error_by_path(
    value: Any, kind: Any, path: str, why: str, limit: int, store: Store
) -> None:
    """A value that is not of the reader's type raises MismatchError naming the path, small or large."""
    handoff = store.put(value, ADDRESS, inline_limit=limit)
    with pytest.raises(MismatchError) as caught:
        store.get(handoff, kind)
    if why:
        assert (path, True) == (caught.value.path, why in str(caught.value)), caught.value


PLAIN: list[tuple[Any, Any, Any]] = [
    ({"number": 1, "price": 2, "colour": "red", "legs": [{"origin": "a"}], "next": {"number": 2}}, Flight, Flight(1, 2.0, legs=[Leg("a")], next=Flight(2))),
    ([{"a": 1}, {"name": "x"}], list[Plane | Twin], [Twin(1), Plane("x")]), ({"when": "2013-01-01T00:00:00Z", "tags": ["a"]}, Frozen, Frozen(when=dt.datetime(2013, 1, 1, tzinfo=dt.UTC), tags=frozenset({"a"}))),
    ({"flightNumber": 3, "rows": [1], "type": "t"}, Tagged, Tagged(flight_number=3, rows=(1,))), ({"flight_number": 3}, Tagged, Tagged(flight_number=3)),
    ({"_name": "x"}, Crew, Crew("x")), ({"code": "JFK"}, Airport, Airport(code="JFK")), ({"flightNumber": "3", "hops": [{"origin": "a"}]}, Aliased, Aliased(flightNumber=3, hops=[Leg("a")])), ({"a": 1, "b": 2}, Loose, Loose(a=1, b=2)),
    ({"b": [3]}, Pathed, Pathed(b=[3])), ([1, 2], Numbers, Numbers([1, 2])), ("red", Colour, Colour.RED), (1, Level, Level.LOW), (3, Right, Right.BOTH), ("a", Literal["a", Colour.RED], "a"), ("red", Literal["a", Colour.RED], Colour.RED),
    ({"held": "1.10"}, Box[Decimal], Box(Decimal("1.10"))), ({"held": 1}, Box[Decimal], Box(Decimal(1))), ({"held": str(UUID(int=1))}, Box[UUID], Box(UUID(int=1))), ({"held": "a/b"}, Box[PurePosixPath], Box(PurePosixPath("a/b"))), ({"held": "2013-01-01"}, Box[dt.date | None], Box(dt.date(2013, 1, 1))),
    ({"red": {"a": 1}}, dict[Colour, Twin], {Colour.RED: Twin(1)}), ([{"a": 1}], tuple[Twin, ...], (Twin(1),)), ([{"row": 1}], set[Seat], {Seat(1)}), ({"price": 1, "flight": {"number": 1}}, Row, {"price": 1, "flight": Flight(1)}), (None, Flight | None, None), ([], list[Flight], []),
    ({"x": 1}, Checked, Checked(1)), ({"row": 1}, Seat, Seat(1)), ({"held": True}, Box[bool], Box(True)), ({"held": {"a": [1.5]}}, Box[dict[str, Any]], Box({"a": [1.5]})), ({"held": {"held": 1}}, Box[Box[int]], Box(Box(1))),
]  # fmt: skip


@pytest.mark.parametrize(("plain", "kind", "value"), PLAIN, ids=[f"{k}"[:50] for _, k, _ in PLAIN])
def test_plain_data_becomes_the_record_that_is_asked_for(plain: Any, kind: Any, value: Any, store: Store) -> None:
    """Plain data, given as they are, inline or stored, become records by their class's own constructor."""
    inline, stored = store.put(plain, ADDRESS), store.put(plain, ADDRESS, inline_limit=0)
    found = [store.get(plain, kind), inline.load(kind), stored.load(kind)]
    assert [True] * 3 == [same(value, got) for got in found], found


BAD_PLAIN: list[tuple[Any, Any, str, str]] = [
    ({"flights": [{"number": 1}, {"number": 2, "prize": 3}]}, dict[str, list[Flight]], "flights[1].prize", "Flight has no such field"), ({}, Flight, "number", "missing"),
    ({"number": "1"}, Flight, "number", "expected int, got str"), ({"number": True}, Flight, "number", "expected int, got bool"), ({"number": 1, "price": True}, Flight, "price", "got bool"), ({"number": 1, "colour": "blue"}, Flight, "colour", "expected Colour, got str"),
    ({"held": "x"}, Box[Decimal], "held", "expected Decimal, got 'x'"), ({"held": "x"}, Box[dt.date], "held", "expected date, got 'x'"), ({"code": "a", "nonsense": 1}, Airport, "nonsense", "Airport has no such field"), ({"held": {"code": "a", "x": 1}}, Typed[Airport], "held.x", "no such field"),
    ({"km": 1}, Airport, "code", "Field required"), ({"held": 1, "mail": -1}, Typed[int], "mail", "greater than 0"), (["a"], Numbers, "[0]", "valid integer"), ({"flight_number": 1, "type": "other"}, Tagged, "type", "no such field"), ([{"row": 1}, {"row": 1}], set[Seat], "", "two are equal"),
    ([{"a": 1}], set[Twin], "", "unhashable"), ({"a": 1}, Base | Twin, "", "more than one"), (9, Right, "", "Right refuses it"), ({"a": -1}, Positive, "a", "greater than"), ({"a": "x"}, Twin | Colour, "a", "expected int, got str"), ({"age": 0, "_name": "a"}, Crew, "", "Crew refuses it"), ({"a": 1, "made": "x", "_name": "y"}, Crew, "a", "no such field"), ({"total": 1.0, "price": 1.0}, Derived, "total", "no such field"), ({"price": 1.0}, Derived, "", "Derived refuses it"),
]  # fmt: skip


@pytest.mark.parametrize(("plain", "kind", "path", "why"), BAD_PLAIN, ids=[w for _, _, _, w in BAD_PLAIN])
def test_plain_data_that_are_no_such_record_are_an_error(
    plain: Any, kind: Any, path: str, why: str, store: Store
) -> None:
    """Plain data with unknown, missing or wrong fields raise MismatchError naming the path, small or large."""
    for sent in (plain, store.put(plain, ADDRESS), store.put(plain, ADDRESS, inline_limit=0)):
        with pytest.raises(MismatchError) as caught:
            store.get(sent, kind)
        assert (path, True) == (caught.value.path, why in str(caught.value)), caught.value


SUGGESTED = [
    ([FLIGHT], "list[Flight]"), ({"a": FLIGHT}, "dict[str, Flight]"), ((FLIGHT,), "tuple[Flight, ...]"), (FLIGHT, "Flight"), ({Colour.RED}, "set[Colour]"), ([1, [FLIGHT]], "list[int]"), ([[], FLIGHT], "list[list]"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "kind"), SUGGESTED, ids=[kind for _, kind in SUGGESTED])
def test_a_record_that_is_read_as_no_type_asks_for_an_annotation(value: Any, kind: str, store: Store) -> None:
    """Where the reader names no type, or one without records, an error says what to write: never a silent dict."""
    for limit in (48 * 1024, 0):
        handoff = store.put(value, ADDRESS, inline_limit=limit)
        for asked in (Any, dict, dict[str, Any], list, list[int] | None, object):
            with pytest.raises(MismatchError, match="Annotate the parameter: ") as caught:
                store.get(handoff, asked)
            assert kind in str(caught.value)


@pytest.mark.parametrize(("value", "kind"), [
    (Twin(1), Twins), (Twin(1), Plane | Twins), (Plane("a"), renamed("P", [("name", str), ("seats", int | None)])), (Twin(1), Positive), (Leg("a", 2.0), renamed("L", [("origin", str), ("km", float), ("more", int, dataclasses.field(default=3))])),
    (Derived(1.0, 2.0), renamed("D", [("price", float), ("total", float, dataclasses.field(init=False))])), (Crew("a"), renamed("C", [("_name", str), ("age", int), ("made", str)])), (Colour.RED, Other), (Twin(1), Loose),
])  # fmt: skip
def test_a_record_is_read_as_another_type_of_the_same_fields(value: Any, kind: Any, store: Store) -> None:
    """The reader's own type decides, whatever the record was called: one of the same fields, by its constructor."""
    for got in both_ways(value, store, kind):
        wanted = [one for one in (kind.__args__ if isinstance(kind, type(int | str)) else [kind]) if type(got) is one]
        assert len(wanted) == 1
        if not isinstance(value, enum.Enum):
            names = (
                [name.lstrip("_") for name in getattr(value, "__slots__", None) or vars(value)]
                if type(value) is not Leg
                else Leg._fields
            )
            assert [getattr(value, n, None) for n in names] == [getattr(got, n, None) for n in names]


@dataclasses.dataclass
class Add:
    left: Add | Mul | int
    right: Add | Mul | int = 0


@dataclasses.dataclass
class Mul:
    left: Add | Mul | int
    right: Add | Mul | int = 0
    by: int | None = None


def test_a_deep_union_is_read_in_a_time_that_grows_with_the_value(store: Store) -> None:
    """Of types that hold each other, each part is tried once: by plain data, by records of other names, by a misfit."""
    plain: Any = {"left": 1, "by": 2}
    wanted = Mul(1, by=2)
    for _ in range(50):
        plain, wanted = {"left": plain, "right": 3, "by": None}, Mul(wanted, 3)
    assert wanted == store.get(plain, Add | Mul)
    many: Any = {"left": 1}
    for _ in range(100):
        many = {"left": many}
    with pytest.raises(MismatchError, match="fits more than one"):
        store.get(many, Add | Mul)
    odd = renamed("Odd", [("left", Any), ("right", Any)])
    stored = odd(1, "x")
    for _ in range(100):
        stored = odd(stored, 1)
    with pytest.raises(MismatchError, match=r"expected Add \| Mul"):
        store.get(store.put(stored, ADDRESS), Add | Mul)
    odd = renamed("Odd", [("many", Any), ("leaf", int)])
    rows: Any = []
    for _ in range(30):
        rows = [odd(rows, 1), *[odd([], 1)] * 15]
    found: Any = store.get(store.put(rows, ADDRESS), list[Branch | Twig])
    for _ in range(30):
        assert [Branch] * 16 == [*map(type, found)]
        found = found[0].many


@dataclasses.dataclass
class Branch:
    many: list[Branch | Twig]
    leaf: int


@dataclasses.dataclass
class Twig:
    many: list[Branch | Twig]
    leaf: str


def test_paths_of_one_dag_file_make_no_other_type(store: Store) -> None:
    """What Airflow puts before the name of a DAG's module, by its path, is no part of a record's name."""
    kinds = [renamed("Base", [("a", int)]) for _ in range(2)]
    for kind, digest in zip(kinds, ("0a1b", "ff99"), strict=True):
        kind.__module__ = f"unusual_prefix_{digest}_my_dag"
    assert kinds[1](1) == store.get(store.put(kinds[0](1), ADDRESS), Plane | kinds[1])
    assert ["my_dag.Base"] * 2 == [name_of(kind) for kind in kinds]


def test_a_type_may_grow_fields_with_defaults(store: Store) -> None:
    """A class that has a new field with a default since reads what was put before; its constructor is not run again."""
    grown: list[Any] = [
        (Twin(2), renamed("Twin", [("a", int), ("more", list, dataclasses.field(default_factory=list))]), ("more", [])),
        (Plane("a", 3), msgspec.defstruct("Plane", [("name", str), ("seats", int), ("wings", int, 2)], module=__name__), ("wings", 2)),
        (Airport(code="a"), pydantic.create_model("Airport", __base__=Airport, __module__=__name__, size=(int, 5)), ("size", 5)),
    ]  # fmt: skip
    for value, kind, (name, default) in grown:
        got, *_ = both_ways(value, store, kind)
        assert (kind, default) == (type(got), getattr(got, name))
    assert (got.code, got.model_fields_set) == ("a!", {"code"})


def test_a_default_of_another_type_is_kept(store: Store) -> None:
    """What a class itself gives for a field, None for a float say, is no mismatch."""
    kind = renamed("Sloppy", [("a", float, None), ("b", int, dataclasses.field(default="x"))])
    assert same(kind(), store.get(store.put(kind(), ADDRESS), kind))
    with pytest.raises(MismatchError, match="b: expected int, got str"):
        store.get(store.put(kind(1.0, "y"), ADDRESS), kind)


def define(code: str, names: dict[str, Any]) -> None:
    """Run `type` statements, or on Python 3.11, which has none, make what they make."""
    if sys.version_info >= (3, 12):
        exec(code, names)  # noqa: S102 - no other Python can read it
        return

    class TypeAliasType:
        def __init__(self, value: Callable[[], Any], *variables: Any) -> None:
            self.value, self.__type_params__ = value, variables

        __value__ = functools.cached_property(lambda self: self.value())

        def __getitem__(self, argument: Any) -> Any:
            return types.GenericAlias(self, argument)

        __or__ = __ror__ = lambda self, other: Union[self, other]
        __call__ = None

    for line in code.splitlines():
        name, variable, value = re.fullmatch(r"type (\w+)(?:\[(\w+)\])? = (.*)", line).groups()  # type: ignore[union-attr]
        own = {variable: TypeVar(variable)} if variable else {}
        names[name] = TypeAliasType(lambda value=value, own=own: eval(value, {**names, **own}), *own.values())


def test_an_alias_may_hold_itself(store: Store) -> None:
    """A recursive alias checks nothing where it names no record, and names those that it does."""
    names: dict[str, Any] = {"Twin": Twin, "Plane": Plane}
    code = "type J = dict[str, J] | list[J] | str | int | None\ntype N = dict[str, N] | Twin\n"
    code += (
        "type L[Q] = list[Q] | dict[str, L[Q]]\ntype X = list[X | None]\ntype Lost = list[Nowhere]\ntype P = N | Plane\n"
        "type E[Q] = list[E[list[Q]]]"
    )
    define(code, names)
    kinds: Any = types.SimpleNamespace(**names)
    pair = dataclasses.make_dataclass("Pair", [("one", kinds.N), ("two", kinds.N)])
    deep: Any = {"a": [1, {"b": None}]}
    for value, kind in (
        (deep, kinds.J), ([[None], []], kinds.X), ([1], kinds.Lost), ({"a": {"b": Twin(1)}}, kinds.N), ({"b": [Twin(1)]}, kinds.L[Twin]),
        (Box(deep), Box[kinds.J]), (pair({"a": Twin(1)}, Twin(2)), pair), ([Plane("a"), {"b": Twin(1)}], list[kinds.P]), ([Twin(1)] * 16, list[kinds.N]), ({"a": [Twin(n) for n in range(16)]}, kinds.L[kinds.N]),
    ):  # fmt: skip
        assert [True] * 4 == [same(value, got) for got in both_ways(value, store, kind)], kind
    assert {"a": Twin(1)} == store.get({"a": {"a": 1}}, kinds.N) == store.get({"a": {"a": 1}}, kinds.P)
    with pytest.raises(MismatchError):
        store.get({"a": "x"}, kinds.N)
    with pytest.raises(LimitError, match="holds itself without end"):
        store.get([], kinds.E[int])


def test_what_a_struct_alters_in_place_is_set_back(store: Store) -> None:
    """A Struct that changes what one of its fields holds when it is made has what was put."""
    assert [[1, 0]] * 4 == [got.held for got in both_ways(Growing([1]), store, Growing)]


class Growing(msgspec.Struct):
    held: list[int]

    def __post_init__(self) -> None:
        self.held.append(0)


class ByName(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(validate_by_alias=False, validate_by_name=True)
    number: int = pydantic.Field(default=0, alias="flightNumber")


class Chosen(pydantic.BaseModel):
    a: int = pydantic.Field(default=0, validation_alias=pydantic.AliasChoices("a1", pydantic.AliasPath("b", 0)))
    leg: Leg | None = pydantic.Field(default=None, validation_alias=pydantic.AliasPath("legs", 0))


class Private(pydantic.BaseModel):
    a: int = 0
    _leg: Leg = pydantic.PrivateAttr(default=LEG)
    _free: Any = pydantic.PrivateAttr()
    _made: list[int] = pydantic.PrivateAttr(default_factory=list)
    _none: Leg = None  # type: ignore[assignment]


def test_fields_are_known_to_a_model_by_whatever_alias(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record of another class becomes a model by the names of its fields, whatever it calls them in data."""
    number, chosen = renamed("R", [("number", int)])(7), renamed("R", [("a", int), ("leg", Any)])(7, LEG)
    by_path = renamed("R", [("leg", Leg)])(LEG)
    assert ByName(number=7) == store.get(store.put(number, ADDRESS), ByName) == store.get({"number": 7}, ByName)
    assert (7, LEG) == tuple(vars(store.get(store.put(chosen, ADDRESS), Chosen)).values())
    with pytest.raises(MismatchError, match="flightNumber: ByName has no such field"):
        store.get({"flightNumber": 7}, ByName)
    assert Chosen(b=[3], legs=[LEG]) == store.get({"b": [3], "legs": [{"origin": "JFK", "km": 3}]}, Chosen)
    with pytest.raises(MismatchError, match="nonsense: Chosen has no such field"):
        store.get({"b": [3], "nonsense": 1}, Chosen)
    older = classmethod(lambda model, found: model(**found))
    for model in (Aliased, Chosen):
        monkeypatch.setattr(model, "model_validate", older)
    assert Aliased(flightNumber=7) == store.get(store.put(number, ADDRESS), Aliased)
    assert Chosen(a1=7) == store.get(store.put(renamed("R", [("a", int)])(7), ADDRESS), Chosen)
    with pytest.raises(MismatchError, match="the alias of leg is a path"):
        store.get(store.put(by_path, ADDRESS), Chosen)


def test_private_attributes_may_be_records_and_are_not_lost(store: Store) -> None:
    """A private attribute that holds a record comes back; one that was deleted is refused."""
    value = Private()
    assert value == both_ways(value, store, Private)[0]
    value._free, value._made = 3, [1]
    assert [(LEG, 3, [1], None)] * 4 == [
        (got._leg, got._free, got._made, got._none) for got in both_ways(value, store, Private)
    ]
    for name in ("_leg", "_made"):
        less = Private()
        delattr(less, name)
        with pytest.raises(EncodeError, match=f"{name}' has no value"):
            store.put(less, ADDRESS)


def test_a_union_of_empty_candidates_is_not_guessed(store: Store) -> None:
    """What is as well the one as the other is an error, empty or not; what stays itself is no question."""
    with pytest.raises(MismatchError, match="more than one"):
        store.get([], set[Leg] | tuple[Leg, ...])
    assert [] == store.get([], list[Leg] | tuple[Leg, ...])


Changing = enum.Enum("Changing", {"A": (1, [2]), "B": None, "C": {"a": {1.5}}, "D": frozenset({1})}, module=__name__)


@pytest.mark.parametrize("changes", [{"A": (1, [3])}, {"A": (1, [2.0])}, {"A": (1, [2, 3])}, {"B": 0}, {"C": {"a": {2.5}}}, {"C": {"b": {1.5}}}, {"D": frozenset()}, {"A": None}])  # fmt: skip
def test_a_member_whose_value_has_changed_is_an_error(changes: dict[str, Any], store: Store) -> None:
    """Members with values that are containers, or None, are told from those of the same name and another value."""
    members = {"A": (1, [2]), "B": None, "C": {"a": {1.5}}, "D": frozenset({1})}
    (name,) = changes
    value = Changing[name]
    assert [value] * 4 == both_ways(value, store, Changing)
    changed = enum.Enum("Changing", members | changes, module=__name__)
    with pytest.raises(MismatchError, match="none of these"):
        store.get(store.put(value, ADDRESS), changed)


def test_a_member_whose_value_is_an_object_is_known_by_name(store: Store) -> None:
    """What is no plain data, or deep, is not recorded of a member."""
    kind = enum.Enum("Odd", {"A": object(), "B": [object()], "C": [[[[1]]]], "D": LEG}, module=__name__)
    other = enum.Enum("Odd", {"A": 1, "B": 2, "C": 3, "D": 4}, module=__name__)
    for name in "ABCD":
        assert other[name] is store.get(store.put(kind[name], ADDRESS), other)


@attrs.define
class Lazy:
    a: int

    @functools.cached_property
    def twice(self) -> int:
        raise AssertionError("nobody asked")


def test_a_property_that_nobody_asked_for_is_not_run(store: Store) -> None:
    """A cached property of a class with slots is asked for by no put; one that has its value is refused."""
    assert [Lazy(1)] * 4 == both_ways(Lazy(1), store, Lazy)
    value = Lazy(1)
    object.__setattr__(value, "twice", 2)
    with pytest.raises(EncodeError, match="'twice'"):
        store.put(value, ADDRESS)


def test_a_record_made_by_a_generic_alias_is_like_any_other(store: Store) -> None:
    """What `Box[int](1)` remembers of how it was made is no field, and is not kept."""
    assert [Box(1)] * 4 == both_ways(Box[int](1), store, Box[int])
    assert store.put([Box[int](1)] * 16, ADDRESS).sha256 == store.put([Box[int](1)] * 16, ADDRESS).sha256


def test_what_is_said_beside_a_type_needs_no_hash(store: Store) -> None:
    """Metadata of any kind stand in an annotation, at any depth."""
    beside = Annotated[Twin, {"a": 1}]
    for value, kind in ((Twin(1), beside), ([Twin(1)], list[beside]), (Box(Twin(1)), Box[beside]), (Box([Twin(1)]), Box[list[beside]])):  # fmt: skip
        assert [value] * 4 == both_ways(value, store, kind)


@pytest.mark.parametrize(("plain", "kind", "value"), [
    ({"f": 1}, Right, Right.READ), ({"f": [1, 2]}, tuple, (1, 2)), ({"f": [1, 2]}, set, {1, 2}), ({"f": [1]}, frozenset, frozenset({1})),
])  # fmt: skip
def test_plain_lists_and_numbers_stand_for_what_json_lacks(plain: Any, kind: Any, value: Any, store: Store) -> None:
    """A list is taken for a tuple or a set of anything, an int for a flag; a bool for no flag."""
    holder = renamed("Holder", [("f", kind)])
    assert holder(value) == store.get(plain, holder)
    assert [holder(value)] * 4 == both_ways(holder(value), store, holder)
    with pytest.raises(MismatchError, match="f: expected "):
        store.get({"f": True}, holder)


def test_records_that_were_overwritten_are_stale(store: Store) -> None:
    """Where newer records stand in place of older ones, the older handoff says so, whatever type it is read as."""
    old = store.put([Twin(1)], ADDRESS, inline_limit=0)
    store.put([Twin(2)], ADDRESS, inline_limit=0)
    for asked in (Any, list[Twin]):
        with pytest.raises(StaleError, match="was overwritten"):
            store.get(old, asked)


def test_classes_that_are_local_work(store: Store) -> None:
    """A class within a function is read as itself, also one with a long name."""

    @dataclasses.dataclass
    class Here:
        x: int
        own: Here | None = None

    kind = dataclasses.make_dataclass("N" * 300, [("x", int)])
    assert same(Here(1, Here(2)), store.get(store.put(Here(1, Here(2)), ADDRESS), Here))
    assert kind(1) == store.get(store.put(kind(1), ADDRESS, inline_limit=0), kind)


def test_objects_stay_as_they_are(store: Store) -> None:
    """What is an object already is given back as the very object, whatever the type says."""
    for value in (FLIGHT, [FLIGHT], object(), {1, 2}, {"a": FLIGHT}, (FLIGHT, {1: Colour.RED})):
        assert store.get(value, list[Plane] | Flight | dict[str, Flight] | tuple[Flight, Any]) is value


def nested(depth: int) -> Flight:
    value = Flight(1)
    for _ in range(depth - 1):
        value = Flight(1, next=value)
    return value


def test_records_nest_as_deep_as_containers(store: Store) -> None:
    """Records and their lists are 128 levels deep at most, on write as on read."""
    value = nested(127)  # the last has a list of legs
    got: Any = store.get(store.put(value, ADDRESS), Flight)
    for depth in range(127):
        assert (Flight, 1) == (type(got), got.number), depth
        got = got.next
    assert got is None
    for deep in (nested(128), nested(2000)):
        with pytest.raises(LimitError, match="deeper than 128"):
            store.put(deep, ADDRESS)
    content = PACK(["x", {}])
    for _ in range(200):
        content = PACK(["x", {"a": msgspec.msgpack.Ext(_containers.RECORD, content)}])
    with pytest.raises(LimitError, match="deeper than 128"):
        read(_containers.RECORD, content, Flight)


def read(code: int, content: bytes, kind: Any) -> Any:
    data = artifact.compress(PACK([msgspec.msgpack.Ext(code, content)]))
    return tree.decode(Source(data), Reading("list", 2**30, list[kind]))


FORGED = {
    "no array": (17, PACK({"a": 1, "b": 2})), "nothing": (17, PACK([])), "a name alone": (17, PACK(["x"])), "too much": (17, PACK(["x", {}, None, 1])), "a number as name": (17, PACK([1, {}])),
    "numbered fields": (17, PACK(["x", {1: 2}])), "a list of fields": (17, PACK(["x", ["a"]])), "numbers as set fields": (17, PACK(["x", {}, [1]])), "text as set fields": (17, PACK(["x", {}, "a"])), "a name of a megabyte": (17, PACK(["x" * 10**6, {}])),
    "rows that are no array": (20, PACK({"a": 1})), "rows of too few parts": (20, PACK(["x", ["a"]])), "rows of too many": (20, PACK(["x", ["a"], [[1]], None, 1])), "no columns": (20, PACK(["x", [], []])), "columns of no rows": (20, PACK(["x", ["a"], [[]]])),
    "columns of several lengths": (20, PACK(["x", ["a", "b"], [[1], [1, 2]]])), "a column that is text": (20, PACK(["x", ["a"], ["a"]])), "a column that is a dict": (20, PACK(["x", ["a"], [{"a": 1}]])), "columns in a dict": (20, PACK(["x", ["a"], {"a": [1]}])), "a name twice": (20, PACK(["x", ["a", "a"], [[1], [1]]])),
    "fewer columns than names": (20, PACK(["x", ["a", "b"], [[1]]])), "numbered columns": (20, PACK(["x", [1], [[1]]])), "rows of a number": (20, PACK([1, ["a"], [[1]]])), "a long name of rows": (20, PACK(["x" * 201, ["a"], [[1]]])), "numbers as set fields of rows": (20, PACK(["x", ["a"], [[1]], [1]])), "text as set fields of rows": (20, PACK(["x", ["a"], [[1]], "a"])),
    "a member that is a number": (18, PACK(["x", 1])), "a member that is a dict": (18, PACK(["x", {"a": 1}])),  "a flag of numbers": (18, PACK(["x", [1], 1])),
}  # fmt: skip


@pytest.mark.parametrize(("code", "content"), FORGED.values(), ids=FORGED)
def test_an_extension_that_holds_no_record_is_damage(code: int, content: bytes) -> None:
    """A forged record or member raises DamagedError."""
    with pytest.raises(DamagedError):
        read(code, content, Flight)


def test_forged_records_are_what_the_reader_names_or_an_error() -> None:
    """Whatever a record says of itself, a reader gets its own type or MismatchError; no name in it is looked up."""
    name = f"{__name__.partition('.')[0]}.Twin"
    assert [Twin(1)] == read(17, PACK([name, {"a": 1}]), Twin)
    assert [Twin(2)] == read(17, PACK([name, {"a": 1}])[:-3] + b"\xa1a\x02", Twin)
    assert [Twin(1)] == read(17, PACK(["os.system", {"a": 1}]), Twin)
    many = {f"f{n}": n for n in range(100_000)}
    for fields in (many, {"a": 1} | many, {}, {"a": "x"}, {"__class__": 1}, {"a": 1, "__dict__": {}}):
        with pytest.raises(MismatchError):
            read(17, PACK([name, fields]), Twin)
    for content in (
        ["tests.Right", ["READ"], 2],
        ["tests.Right", ["READ"], 99],
        ["tests.Right", ["READ"], "x"],
        ["tests.Right", "NONE"],
        ["tests.Colour", "RED", "blue"],
    ):
        with pytest.raises(MismatchError):
            read(18, PACK(content), Right if "Right" in content[0] else Colour)
    with pytest.raises(MismatchError, match="unhashable"):
        read(_containers.SET, PACK([msgspec.msgpack.Ext(17, PACK([name, {"a": 1}]))]), set[Twin])
    twice = [msgspec.msgpack.Ext(17, PACK(["x.Leg", {"origin": "a", "km": 1.0}]))] * 2
    with pytest.raises(MismatchError, match="two are equal"):
        read(_containers.SET, PACK(twice), set[Leg])


@given(code=st.sampled_from([17, 18, 20]), content=st.binary(max_size=40))
def test_any_record_is_a_value_or_an_error_of_ours(code: int, content: bytes) -> None:
    """Whatever the content of the extension of a record, reading it gives a value or one of this library's errors."""
    try:
        read(code, content, Flight | Colour | Right)
    except (DamagedError, LimitError, MismatchError):
        return


texts, numbers = st.text(max_size=5), st.integers(-(2**70), 2**70)
legs = st.builds(Leg, texts, st.floats())
leaves = st.one_of(
    st.builds(Plane, texts, st.none() | numbers),
    st.builds(Seat, numbers),
    st.builds(lambda n: Tagged(flight_number=n, rows=(n,)), numbers),
    st.builds(
        lambda code, km: Airport(code=code, **km),
        st.just("x") | texts.filter(str.isascii),
        st.dictionaries(st.just("km"), st.floats()),
    ),
    st.builds(lambda when, tags: Frozen(when=when, tags=tags), st.datetimes(), st.frozensets(texts)),
    st.sampled_from([*Colour, *Right, Right(0), Level.LOW]),
    legs,
)


@dataclasses.dataclass
class Held:
    """Holds a record of any kind, at any depth."""

    one: Plane | Seat | Tagged | Airport | Frozen | Colour | Right | Level | Leg | Flight | Held | None
    many: list[Held] = dataclasses.field(default_factory=list)
    named: dict[str, Held] = dataclasses.field(default_factory=dict)
    pair: tuple[Leg, int] | None = None


flights = st.builds(Flight, numbers, st.floats(), st.sampled_from(Colour), st.lists(legs, max_size=3))
held = st.recursive(
    st.builds(Held, leaves | flights | st.none()),
    lambda below: st.builds(
        Held,
        below | leaves,
        st.lists(below, max_size=3),
        st.dictionaries(texts, below, max_size=3),
        st.none() | st.tuples(legs, numbers),
    ),
    max_leaves=8,
)


@given(value=st.lists(held, max_size=4))
def test_any_records_come_back_identical(value: list[Held], store: Store) -> None:
    """Records of all kinds, nested in any way, come back identical, inline and stored; again put they are the same bytes."""
    found = both_ways(value, store, list[Held])
    assert [True] * 4 == [same(value, got) for got in found]
    digests = {store.put(one, ADDRESS, inline_limit=0).sha256 for one in (value, found[0])}
    assert len(digests) == 1


def test_objects_that_stay_may_hold_themselves(store: Store) -> None:
    """Objects inside of plain data stay as well; data that hold themselves raise LimitError."""
    colour, plain = Colour.RED, [{"a": 1}]
    assert store.get([colour, "red"], list[Colour]) == [Colour.RED, Colour.RED]
    assert store.get([{"held": plain}], list[Box[list[Any]]]) == [Box(plain)]
    endless: dict[str, Any] = {"many": []}
    endless["many"].append(endless)
    with pytest.raises(LimitError, match="holds itself"):
        store.get(endless, Endless)


@dataclasses.dataclass
class Endless:
    many: list[Endless]


def test_a_zone_of_pydantic_needs_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment that a model read from text names pydantic where it is not installed; a forged zone is damage."""
    handoff = store.put(Moment(when="2013-01-01T00:00:00Z").when, ADDRESS)
    for zone in ({}, {"pydantic": "x"}, {"pydantic": 10**9}):
        with pytest.raises(DamagedError):
            read(13, PACK(["2013-01-01T00:00:00", 0, zone]), dt.datetime)
    monkeypatch.setitem(__import__("sys").modules, "pydantic_core", None)
    with pytest.raises(DependencyError, match="Install pydantic"):
        store.get(handoff)


# --- many records of one class ----------------------------------------------------------------------------------

MANY = 20


class Named(msgspec.Struct, kw_only=True):
    a: int
    b: list[Leg] = []


@attrs.define
class Ticket:
    price: float
    leg: Leg | None = None


@dataclasses.dataclass(frozen=True)
class Fixed:
    a: int
    leg: Leg


@dataclasses.dataclass
class Looked:
    a: int

    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, name)


@dataclasses.dataclass
class Described:
    a: int = 0
    held: int = dataclasses.field(default=0, init=False)

    @property
    def _doubled(self) -> int:
        return 2 * self.held


class Doubling:
    """Keeps half of what is set, and gives it back doubled."""

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self if owner is None else owner.__dict__["half"] * 2

    def __set__(self, owner: Any, value: int) -> None:
        owner.__dict__["half"] = value // 2


def is_in_columns(value: Any) -> bool:
    payload, _ = _containers.encode(value, lambda node, longest: "", with_records=True)
    found = msgspec.msgpack.decode(payload)
    return isinstance(found, msgspec.msgpack.Ext) and found.code == _containers.ROWS


@pytest.mark.parametrize(("value", "kind"), EVERY, ids=[str(kind)[:60] for _, kind in EVERY])
def test_many_of_every_kind_come_back_identical(value: Any, kind: Any, store: Store) -> None:
    """A list of as many as are written in columns comes back identical whatever it holds, inline and stored."""
    many = [value] * MANY
    found = both_ways(many, store, list[kind])
    assert [True] * 4 == [same(many, got) for got in found]


@pytest.mark.parametrize(("value", "is_whole"), [
    (FLIGHT, True), (LEG, True), (Plane("a"), True), (Named(a=1), True), (Arrayed(1), True), (Frozen(when=dt.datetime(2013, 1, 1)), True), (Fixed(1, LEG), True), (Ticket(1.5, LEG), True), (Moment(when=dt.datetime(2013, 1, 1)), True), (Aliased(flightNumber=1), True), (Sub("a"), False),
    (Seat(1), False), (Looked(1), False), (Empty(), False), (Airport(code="a"), False), (Loose(a=1, b=2), False), (Crew("a"), True), (Colour.RED, False),
])  # fmt: skip
def test_many_records_of_one_class_are_columns(value: Any, store: Store, *, is_whole: bool) -> None:
    """From sixteen records on, a list of one class is written field by field where all of them are only their fields."""
    assert is_whole == is_in_columns([value] * 16)
    assert not is_in_columns([value] * 15)
    assert not is_in_columns([*[value] * 15, None])
    kind = type(value)
    assert same([value] * 1001, store.get(store.put([value] * 1001, ADDRESS, inline_limit=0), list[kind]))


@given(
    value=st.one_of(
        *(st.lists(each, min_size=14, max_size=18) for each in (leaves | st.none(), flights, legs, held)),
        st.lists(st.builds(Fixed, numbers, legs) | st.builds(Ticket, st.floats(), st.none() | legs), min_size=16),
        st.lists(st.builds(Aliased, flightNumber=st.integers()), min_size=16, max_size=18),
        st.lists(legs | st.builds(Sub, texts), min_size=16, max_size=18),
    )
)
def test_any_many_records_come_back_identical(value: list[Any], store: Store) -> None:
    """Lists of one class or of several, with None or subclasses among them, come back identical, with the same digest."""
    kind = list[functools.reduce(lambda one, other: one | other, dict.fromkeys(map(type, value)))]
    found = both_ways(value, store, kind)
    assert [True] * 4 == [same(value, got) for got in found]
    digests = {store.put(one, ADDRESS, inline_limit=0).sha256 for one in (value, found[0])}
    assert len(digests) == 1


FLIGHTS = [Flight(n) for n in range(MANY)]
READ_AS: list[tuple[Any, Any, Any]] = [
    (FLIGHTS, Sequence[Flight], FLIGHTS), (FLIGHTS, Iterable[Flight], FLIGHTS), (FLIGHTS, list[Flight] | None, FLIGHTS), (FLIGHTS, Sequence[Flight] | Plane, FLIGHTS), (FLIGHTS, list[Flight | Plane], FLIGHTS), (FLIGHTS, list[Flight | Plane | None], FLIGHTS),
    (FLIGHTS, tuple[Flight, ...], tuple(FLIGHTS)), (FLIGHTS, tuple[(Flight,) * MANY], tuple(FLIGHTS)), ([LEG] * 16, list[Leg] | list[Flight], [LEG] * 16), ([Fixed(1, Leg(f"{n}")) for n in range(16)], list[Fixed], [Fixed(1, Leg(f"{n}")) for n in range(16)]),
    ({"a": FLIGHTS}, dict[str, list[Flight]], {"a": FLIGHTS}), (Box(FLIGHTS), Box[list[Flight]], Box(FLIGHTS)), ([FLIGHTS] * 2, list[list[Flight]], [FLIGHTS] * 2), ([Leg(f"{n}") for n in range(16)], set[Leg], {Leg(f"{n}") for n in range(16)}),
    ([Twin(n) for n in range(16)], list[Twins], [Twins(n) for n in range(16)]), ([Twin(n) for n in range(16)], list[Plane | Twins], [Twins(n) for n in range(16)]), ([Twin(n) for n in range(16)], list[Twin | Twins], [Twin(n) for n in range(16)]), ([Box(FLIGHTS)] * 16, list[Box[list[Flight]]], [Box(FLIGHTS)] * 16),
    ([Box(Twin(1))] * 16, list[Box[Twins]], [Box(Twins(1))] * 16), ([Box(Box(1))] * 16, list[Box[Box[int]]], [Box(Box(1))] * 16), ([Box(True), *[Box(1)] * 15], list[Box[int]], [Box(True), *[Box(1)] * 15]), ([Box(1), *[Box(1.5)] * 15], list[Box[float]], [Box(1), *[Box(1.5)] * 15]),
    ([Box(dt.date(2013, 1, 1))] * 16, list[Box[dt.date]], [Box(dt.date(2013, 1, 1))] * 16), ([Held(FLIGHT, [Held(None)] * 16)] * 16, list[Held], [Held(FLIGHT, [Held(None)] * 16)] * 16), ([Box(2**70)] * 16, list[Box[int]], [Box(2**70)] * 16), ([Box("\ud800")] * 16, list[Box[str]], [Box("\ud800")] * 16),
]  # fmt: skip


@pytest.mark.parametrize(("value", "kind", "wanted"), READ_AS, ids=[f"{k}"[:60] for _, k, _ in READ_AS])
def test_many_records_are_read_as_what_the_reader_names(value: Any, kind: Any, wanted: Any, store: Store) -> None:
    """Records that were written in columns are read as any type that takes a list of them."""
    assert [True] * 4 == [same(wanted, got) for got in both_ways(value, store, kind)]


def with_one(place: int, value: Any, others: Any) -> list[Any]:
    return [value if n == place else others for n in range(MANY)]


MISMATCHED: list[tuple[Any, Any, str, str]] = [
    (with_one(3, Flight(1, "x"), FLIGHT), list[Flight], "[3].price", "expected float, got str"), ([Flight(n, "x" if n > 4 else 1.0, next=Flight("x") if n > 2 else None) for n in range(MANY)], list[Flight], "[3].next.number", "expected int, got str"),
    ([Flight("x", "y")] * MANY, list[Flight], "[0].number", "expected int"), (with_one(5, Box(Leg(1)), Box(LEG)), list[Box[Leg]], "[5].held.origin", "expected str, got int"), (with_one(5, Box(Twin("x")), Box(Twin(1))), list[Box[Twins]], "[5].held.a", "expected int, got str"),
    (FLIGHTS, list[Plane], "[0].number", "Plane has no such field"), (FLIGHTS, list[int | Flight], "", ""), (FLIGHTS, dict[str, Flight], "", "expected dict[str, Flight], got list"), (FLIGHTS, Flight, "", "expected Flight, got list"), (FLIGHTS, tuple[Flight, int], "", "got 20 elements"), (FLIGHTS, int | Flight, "", "expected int | Flight, got list"),
    (FLIGHTS, set[Flight], "", "unhashable"), ([LEG] * 16, set[Leg], "", "two are equal"), ([Circle(1)] * 16, list[Base], "[0]", "expected Base, got tests.Circle"), (Box(FLIGHTS), Box[list], "held", "holds a record (tests.Flight)"), (Box(FLIGHTS), Box[Any], "held", "holds a record"), ([Twin(1)] * 16, list[Strict], "[0]", "Strict refuses it"),
    (Box(FLIGHTS), Box[Sized], "held", "holds a record"), (Box(FLIGHTS), Box[Colour], "held", "got list"), (Box(FLIGHTS), Box[Row], "held", "got list"), ([Named(a="x")] * 16, list[Named], "[0].a", "expected int"), ([Aliased.model_construct(number="x")] * 16, list[Aliased], "[0].number", "expected int"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "kind", "path", "why"), MISMATCHED, ids=[f"{k} {p}"[:60] for _, k, p, _ in MISMATCHED]
)
def test_one_of_many_that_does_not_fit_is_named_by_path(
    value: Any, kind: Any, path: str, why: str, store: Store
) -> None:
    """The first record of many that is not of the reader's type is named, and its first field that is not."""
    if not why:
        assert same(value, store.get(store.put(value, ADDRESS), kind))
        return
    with pytest.raises(MismatchError) as caught:
        store.get(store.put(value, ADDRESS), kind)
    assert (path, True) == (caught.value.path, why in str(caught.value)), caught.value


@pytest.mark.parametrize(("value", "path", "why"), [
    (with_one(3, with_more(Flight(1)), Flight(2)), "[3]", "'extra'"), (with_one(3, Unset(), Unset()), "[0]", "no value"), (with_one(7, evaluated(), Cached(1)), "[7]", "'twice'"), (with_one(3, Flight(1, next=Flight(object())), Flight(1)), "[3].next.number", "object"),
    ([Flight(n, 1j if n == 9 else object() if n == 4 else 1.0, object() if n == 6 else Colour.RED) for n in range(MANY)], "[4].price", "object"), (with_one(3, tuple.__new__(Leg, "abc"), LEG), "[3]", "3 elements"), ([Slotted(1)] * 16, "[0]", "'_Slotted__more'"), ([Secret(word="x")] * 16, "[0].word", "a secret"), ([Listed()] * 16, "[0]", "is a list too"),
    (with_one(3, Aliased.model_construct(number=1, legs=[], _fields_set={"what"}), Aliased(flightNumber=1)), "[3]", "'what'"), ([Aliased.model_construct(number=1, legs=[], _fields_set={"what"})] * 16, "[0]", "'what'"), (with_one(3, Aliased.model_construct(legs=[]), Aliased(flightNumber=1)), "[3]", "'number' has no value"),
])  # fmt: skip
def test_one_of_many_that_cannot_be_kept_is_named_by_path(value: Any, path: str, why: str, store: Store) -> None:
    """The first record of many that holds more or less than its fields is named, as in a short list."""
    with pytest.raises(EncodeError) as caught:
        store.put(value, ADDRESS)
    assert (path, True) == (caught.value.path, why in str(caught.value)), caught.value


def test_a_record_whose_field_has_lost_its_value_is_refused(store: Store) -> None:
    """One that has another attribute in place of a field is as large as the others, and is found."""
    odd = Twin(1)
    del odd.a
    odd.b = 1  # type: ignore[attr-defined]
    with pytest.raises(EncodeError, match=r"\[3\]: .*'b'"):
        store.put(with_one(3, odd, Twin(1)), ADDRESS)


def test_a_deep_list_with_one_that_cannot_be_kept_is_refused_at_once(store: Store) -> None:
    """Many in many in many are looked through once more at most, to say which of them it is."""
    value: Any = [Box(object())] * 16
    for _ in range(30):
        value = [Box(value), *[Box(1)] * 15]
    with pytest.raises(EncodeError) as caught:
        store.put(value, ADDRESS)
    assert "[0].held" * 31 == caught.value.path


def test_many_records_that_are_read_as_no_type_ask_for_an_annotation(store: Store) -> None:
    """Without a type for them, an error says what to write; and a preview shows them as any list."""
    handoff = store.put(FLIGHTS, ADDRESS, inline_limit=0)
    assert "[Flight(…), Flight(…), Flight(…), Flight(…), Flight(…), Flight(…), …]" == handoff.preview
    for asked in (Any, list, list[int], object):
        with pytest.raises(MismatchError, match=r"Annotate the parameter: list\[Flight\]"):
            store.get(handoff, asked)


def test_defaults_and_descriptors_of_many_are_kept(store: Store) -> None:
    """A default of another type is kept in each of many; and a class that keeps its fields elsewhere is made one by one."""
    sloppy = renamed("Sloppy", [("a", float, None), ("b", int, dataclasses.field(default="x"))])
    assert same([sloppy()] * 16, store.get(store.put([sloppy()] * 16, ADDRESS), list[sloppy]))
    grown = renamed("Twin", [("a", int), ("more", int, dataclasses.field(default=2))])
    assert [grown(1)] * 16 == store.get(store.put([Twin(1)] * 16, ADDRESS), list[grown])
    halved = dataclasses.make_dataclass("Halved", [("half", int), ("a", int)])
    halved.a = Doubling()
    value = [halved(n, 2 * n) for n in range(MANY)]
    assert value == store.get(store.put(value, ADDRESS), list[halved])


def test_a_class_that_cannot_be_made_refuses_many(store: Store) -> None:
    """A class that has become abstract refuses the first of many records, as it refuses one."""
    abstract = renamed("Twin", [("a", int)], bases=(Abstract,))
    for many in ([Twin(1)], [Twin(1)] * 16):
        with pytest.raises(MismatchError, match="Twin refuses it") as caught:
            store.get(store.put(many, ADDRESS), list[abstract])
        assert caught.value.path == "[0]"


class Abstract(abc.ABC):
    @abc.abstractmethod
    def more(self) -> int: ...


def test_many_records_nest_as_deep_as_few(store: Store) -> None:
    """A list of many and the records in it are two levels, on write as on read."""
    many: Any = [Box(1)] * 16
    for _ in range(126):
        many = [many]
    kind: Any = Any
    assert store.put(many, ADDRESS)
    for deep in ([many], [[many]]):
        with pytest.raises(LimitError, match="deeper than 128"):
            store.put(deep, ADDRESS)
    content = PACK(["x", ["a"], [[1]]])
    for _ in range(63):
        content = PACK(["x", ["a"], [[msgspec.msgpack.Ext(20, content)]]])
    with pytest.raises(LimitError, match="deeper than 128"):
        read(20, content, kind)
    for _ in range(100):
        content = PACK(["x", ["a"], [msgspec.msgpack.Ext(20, content)]])
    with pytest.raises(LimitError, match="deeper than 128"):
        read(20, content, kind)


def test_forged_rows_are_what_the_reader_names_or_an_error() -> None:
    """Whatever rows say of themselves, a reader gets its own type or an error, and in no more time for being nested."""
    name = f"{__name__.partition('.')[0]}.Twin"
    assert [[Twin(1), Twin(2)]] == read(20, PACK([name, ["a"], [[1, 2]]]), list[Twin])
    assert [[Twin(1)]] == read(20, PACK(["os.system", ["a"], [[1]]]), list[Twin])
    for names, columns in ((["b"], [[1]]), (["a", "b"], [[1], [2]]), (["a"], [["x"]]), (["__dict__"], [[{}]])):
        with pytest.raises(MismatchError):
            read(20, PACK([name, names, columns]), list[Twin])
    content = PACK(["tests.Held", ["one", "many", "named", "pair"], [["x"], [[]], [{}], [None]]])
    for _ in range(50):
        inner = msgspec.msgpack.Ext(20, content)
        content = PACK(["tests.Held", ["one", "many", "named", "pair"], [[None], [inner], [{}], [None]]])
    with pytest.raises(MismatchError, match="got str"):
        read(20, content, list[Held])
    with pytest.raises(DamagedError):
        read(_containers.SET, PACK([msgspec.msgpack.Ext(20, PACK([name, ["a"], [[1]]]))]), set[Twin])
    for code, forged in ((_containers.TUPLE, [name, ["a"], [[1]]]), (20, [name, ["a"], [[1], [1]]])):
        with pytest.raises(DamagedError):
            read(code, PACK(msgspec.msgpack.Ext(20, PACK(forged))), list[Twin])


def test_many_records_have_no_place_in_a_cell() -> None:
    """Where nothing converts records, many of them are refused like one."""
    with pytest.raises(EncodeError, match=r"\[0\]: .*a record in a cell"):
        tree.dump(FLIGHTS)
    with pytest.raises(DamagedError, match="records where there can be none"):
        tree.load(PACK(msgspec.msgpack.Ext(20, PACK(["x", ["a"], [[1]]]))))


def test_texts_that_many_records_share_are_counted(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """What is shared by many is refused before it is written out once for each."""
    text = "x" * 10_000
    monkeypatch.setattr(_containers, "LARGEST", 1_000_000)
    for value in ([Leg(text)] * 1000, [Box([Leg(text)] * 100)] * 100, [Box("")] * 20_000):
        with pytest.raises(LimitError, match="as plain Python values"):
            store.put(value, ADDRESS)
    mixed = [Leg(text if n % 2 else "\ud800") for n in range(16)]
    assert mixed == store.get(store.put(mixed, ADDRESS), list[Leg])
