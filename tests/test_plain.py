"""Plain values: what travels as itself comes back the same from JSON and from every metadata database."""

from __future__ import annotations

import json
import math
import sqlite3
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handoff import Address, Inline, Store, plain
from handoff.testing import same, values

LIMIT = 48 * 1024
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.floats(-1e6, 1e6).map(lambda x: round(x, 3)),
    lambda below: st.lists(below, max_size=5) | st.dictionaries(st.text(max_size=5), below, max_size=5),
    max_leaves=20,
)  # fmt: skip


def through_sqlite(value: Any) -> Any:
    """Send a value through a JSON column of SQLite, as Airflow 3 keeps its XComs."""
    with sqlite3.connect(":memory:") as database:
        database.execute("create table xcom (value JSON)")
        database.execute("insert into xcom values (?)", (json.dumps(value),))
        ((found,),) = database.execute("select value from xcom")
    database.close()
    return json.loads(found) if isinstance(found, str) else found


def through_jsonb(value: Any) -> Any:
    """Do to a value what a JSONB column of Postgres does: numbers are decimal, without exponent, and zero has no sign."""

    def number(text: str) -> Any:
        shown = f"{float(text):f}" if abs(float(text)) >= 1e16 else text.removeprefix("-") if float(text) == 0 else text
        return float(shown) if "." in shown or "e" in shown else int(shown)

    return json.loads(
        json.dumps(value), parse_float=lambda text: number(text.replace(".0", "") if abs(float(text)) >= 1e16 else text)
    )


@given(value=JSON_VALUES)
@example(value=54.36484838692596)
@example(value=0.1 + 0.2)
@example(value=5361.162374)
@example(value=-9.429999999999999e-303)
@example(value=[54.36484838692596, -0.0])
def test_what_travels_plain_comes_back_from_every_database(value: Any) -> None:
    """A plain value is identical after JSON, SQLite's column and Postgres' column."""
    if plain.encode(value, LIMIT) is not None:
        assert same(value, json.loads(json.dumps(value)))
        assert same(value, through_sqlite(value))
        assert same(value, through_jsonb(value))


@given(number=st.floats() | st.builds(round, st.floats(-1e12, 1e12), st.integers(1, 7)))
def test_numbers_alone_come_back_from_sqlite(number: float) -> None:
    """A float by itself travels plain only where SQLite's own reading of numbers gives it back."""
    if plain.encode(number, LIMIT) is not None:
        assert same(number, through_sqlite(number))


@given(value=values())
def test_only_what_is_json_travels_plain(value: Any) -> None:
    """No value that JSON would alter travels plain, whatever its types."""
    if plain.encode(value, LIMIT) is not None:
        assert same(value, json.loads(json.dumps(value)))


PLAIN: list[Any] = [
    None, True, 0, -(2**63), 2**63 - 1, "", "text", "é", "__main__", "\\u0000", 0.25, -1.5, 54.3, 0.0001, 99999999999.5, [], {}, [5.0, 0.0, 1e15, 1e-300],
    {"a": {"b": [1, 2.5, None, "x", False]}}, {"a_": 1, "_b": 2}, [54.36484838692596], ["a", "\t"],
]  # fmt: skip
NOT_PLAIN: list[Any] = [
    5.0, 0.0, -0.0, 1e16, 54.36484838692596, 5361.162374, 1e-7, 0.00001, 1e11 + 0.5, 1e15 + 0.5, math.nan, [math.nan], [math.inf], [-0.0], [1e16], [-1e16], 2**63, [2**63],
    [-(2**63) - 1], "\0", ["a\0"], {"a\0": 1}, "\ud800", {"\ud800": 1}, {"__handoff__": 1}, {"a": [{"__classname__": 1}]}, {1: 2}, {None: 1},
    (1,), [(1,)], {"a": {1}}, b"", [b""], 1j,
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_values_travel_as_themselves(value: Any, store: Store, address: Address) -> None:
    """A plain value is its own message, and costs no envelope."""
    handoff = store.put(value, address)
    assert type(handoff) is Inline
    assert same(value, handoff.to_json())
    assert same(value, store.get(handoff))
    assert json.dumps(value).replace(" ", "") == handoff.data.decode().replace("é", "\\u00e9")


@pytest.mark.parametrize("value", NOT_PLAIN, ids=ascii)
def test_the_others_travel_in_an_envelope(value: Any, store: Store, address: Address) -> None:
    """What some database would alter is wrapped, and comes back identical through each of them."""
    message = store.put(value, address).to_json()
    assert "__handoff__" in message
    for column in (json.dumps, through_sqlite, through_jsonb):
        arrived = column(message)
        assert same(value, store.get(json.loads(arrived) if isinstance(arrived, str) else arrived))


def test_the_json_counts_against_the_limit(store: Store, address: Address) -> None:
    """A text whose JSON is exactly the limit travels plain, and one byte more does not."""
    assert "x" * (LIMIT - 2) == store.put("x" * (LIMIT - 2), address).to_json()
    assert "__handoff__" in store.put("x" * (LIMIT - 1), address).to_json()


@pytest.mark.parametrize(
    "value", ["é" * LIMIT, ["x"] * LIMIT, {str(n): 1 for n in range(LIMIT)}, [["x" * 100] * 1000] * 2, "\n" * LIMIT]
)
def test_what_cannot_fit_is_given_up(value: Any) -> None:
    """A value too large for the limit is found out, wherever its bulk is."""
    assert plain.encode(value, LIMIT) is None


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: {"k": v}])
def test_plain_nesting_is_limited(wrap: Any) -> None:
    """128 levels travel plain, 129 do not."""
    value: Any = 1
    for _ in range(128):
        value = wrap(value)
    assert plain.encode(value, LIMIT) is not None
    assert plain.encode(wrap(value), LIMIT) is None


def test_what_was_put_is_not_what_is_changed_later(store: Store, address: Address) -> None:
    """Changing a value after it was put changes nothing of its handoff, nor does changing what was got."""
    value = {"a": [1]}
    handoff = store.put(value, address)
    value["a"].append(2)
    store.get(handoff)["a"].append(3)
    assert store.get(handoff) == {"a": [1]}
