"""For tests of your tasks and stores: what "identical" means, values of every kind, and the store's contract."""

from __future__ import annotations

import datetime as dt
import decimal
import struct
import zoneinfo
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any
from uuid import UUID

from handoff.address import Address
from handoff.codecs import _records
from handoff.errors import DependencyError, MissingError
from handoff.records import kind_of, name_of
from handoff.store import Store

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


def same(left: Any, right: Any) -> bool:  # noqa: PLR0911 - one line for each kind of value
    """Whether two values are identical: type, float bits, order of dicts, zone and fold, all the way down."""
    kind = type(left)
    if kind is not type(right):
        return False
    if kind in (list, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if kind is dict:
        return same(list(left.items()), list(right.items()))
    if kind in (set, frozenset):
        return _same_elements(left, right)
    if kind_of(kind) == "enum":
        return left is right or (left.name, left.value) == (right.name, right.value)
    take = _records.taker(kind)
    if take:
        return same(take(left), take(right))
    compare = _COMPARE.get(name_of(kind).partition(".")[0])
    return bool(compare(left, right) if compare else _essence(left) == _essence(right))


def values(*, leaves: int = 30) -> SearchStrategy[Any]:
    """Give a Hypothesis strategy for trees of every type that the tree codec keeps, of up to ``leaves`` leaves."""
    _require_hypothesis()
    from hypothesis import strategies as st

    nodes = st.recursive(
        scalars(),
        lambda below: st.one_of(
            st.lists(below, max_size=5),
            st.lists(below, max_size=5).map(tuple),
            st.dictionaries(st.text(max_size=8), below, max_size=5),
            st.dictionaries(keys(), below, max_size=4),
        ),
        max_leaves=leaves,
    )
    return st.one_of(nodes, st.sets(keys(), max_size=5), st.frozensets(keys(), max_size=5))


def keys() -> SearchStrategy[Any]:
    """Give a Hypothesis strategy for hashable values, nested ones included."""
    _require_hypothesis()
    from hypothesis import strategies as st

    return st.recursive(
        _hashable_scalars(),
        lambda below: st.one_of(st.lists(below, max_size=3).map(tuple), st.frozensets(below, max_size=3)),
        max_leaves=5,
    )


def scalars() -> SearchStrategy[Any]:
    """Give a Hypothesis strategy for single values of every type that the tree codec keeps."""
    _require_hypothesis()
    from hypothesis import strategies as st

    signalling = st.builds(_decimal, st.booleans(), st.integers(0, 10**6), st.just("N"))
    return st.one_of(_hashable_scalars(), st.binary(max_size=20).map(bytearray), signalling)


def _hashable_scalars() -> SearchStrategy[Any]:
    _require_hypothesis()
    from hypothesis import strategies as st

    zones = st.one_of(
        st.none(),
        st.timezones(),
        st.builds(dt.timezone, st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23))),
        st.builds(dt.timezone, st.just(dt.timedelta(hours=1)), st.text(max_size=5)),
    )
    folds = st.sampled_from((0, 1))
    anything = st.text(st.characters(codec=None), max_size=12)  # lone surrogates too
    names = st.text(st.characters(codec=None, exclude_characters="\0"), max_size=12)
    exponents = st.integers(-400, 400) | st.sampled_from("Fn")
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(-(2**200), 2**200),
        st.floats(),
        st.integers(0, 2**64 - 1).map(_float_of_bits),
        anything,
        st.binary(max_size=20),
        st.complex_numbers(),
        st.decimals(allow_nan=False),
        st.builds(_decimal, st.booleans(), st.integers(0, 10**30), exponents),
        st.uuids(),
        st.dates(),
        st.builds(lambda when, zone, fold: when.replace(tzinfo=zone, fold=fold), st.datetimes(), zones, folds),
        st.builds(lambda when, zone, fold: when.replace(tzinfo=zone, fold=fold), st.times(), zones, folds),
        st.timedeltas(),
        names.map(PurePosixPath),
        names.map(PureWindowsPath),
    )


class StoreContract:
    """What every store keeps. Inherit it in a test class that has a pytest fixture ``store``, empty for each test."""

    ADDRESS = Address("dag", "run", "task")

    def test_what_is_put_is_got(self, store: Store) -> None:
        """What get returns is what was put, by handoff, by envelope and by address."""
        value = {"rows": [(1, decimal.Decimal("1.10"))] * 5}
        handoff = store.put(value, self.ADDRESS, inline_limit=0)
        assert same(value, store.get(handoff))
        assert same(value, store.get(handoff.to_json()))
        assert same(value, store.get(self.ADDRESS))

    def test_putting_again_leaves_one_artifact(self, store: Store) -> None:
        """The last value put at an address is the one artifact there."""
        for value in ("first", ("second", 2), "third"):
            store.put(value, self.ADDRESS, inline_limit=0)
        assert list(store.list()) == [self.ADDRESS]
        assert store.get(self.ADDRESS) == "third"

    def test_the_same_value_has_the_same_digest(self, store: Store) -> None:
        """Putting a value again, by a later attempt too, gives the same digest."""
        first = store.put({"a": {1, 2, 3}}, self.ADDRESS, inline_limit=0)
        again = store.put({"a": {3, 2, 1}}, self.ADDRESS, inline_limit=0, attempt=2)
        assert first.sha256 == again.sha256

    def test_deleting_takes_the_artifact_away(self, store: Store) -> None:
        """After delete nothing exists at the address, and get says that it is missing."""
        handoff = store.put("value", self.ADDRESS, inline_limit=0)
        assert store.exists(self.ADDRESS)
        store.delete(self.ADDRESS)
        assert not store.exists(self.ADDRESS)
        assert list(store.list()) == []
        _expect(MissingError, lambda: store.get(handoff))

    def test_many_are_got_in_order_and_deleted_as_one(self, store: Store) -> None:
        """Many values come back in order, at once and one by one; what is deleted with others is gone."""
        handoffs = store.put_many([("value", n) for n in range(20)], self.ADDRESS, inline_limit=0)
        addresses = list(store.list())
        assert store.get_many(handoffs) == list(store.iter_many(handoffs, width=3)) == [("value", n) for n in range(20)]
        assert {("value", n) for n in range(20)} == set(store.get_many(addresses))
        store.delete_many([*addresses[1:], self.ADDRESS])
        assert list(store.list()) == addresses[:1]
        _expect(MissingError, lambda: store.get_many(addresses))

    def test_list_is_by_dag_run_and_task(self, store: Store) -> None:
        """List gives the addresses of a DAG, a run or a task, hostile and overlong ids included."""
        wanted = [Address("d", "r=1/../%", "t", key="x" * 300), Address("d", "r=1/../%", "t2", 3, item=4)]
        others = [Address("d2", "r", "t"), Address("d" * 300, "r", "t")]
        for address in wanted + others:
            store.put(1, address, inline_limit=0)
        assert set(wanted) == set(store.list("d", "r=1/../%"))
        assert {wanted[1]} == set(store.list("d", task_id="t2"))
        assert {wanted[1]} == set(store.list("d", wanted[1].run_id, "t2"))
        assert set(wanted + others) == set(store.list())


def _same_elements(left: Iterable[Any], right: Iterable[Any]) -> bool:
    rest = list(right)
    for node in left:
        found = next((index for index, other in enumerate(rest) if same(node, other)), None)
        if found is None:
            return False
        del rest[found]
    return not rest


def _same_pandas(left: Any, right: Any) -> bool:
    testing = import_module("pandas.testing")
    if not hasattr(left, "columns"):
        if not same(left.name, right.name):
            return False
        left, right = (
            left.to_frame("cells").set_flags(**_flags(left)),
            right.to_frame("cells").set_flags(**_flags(right)),
        )
    exact = {"check_exact": True, "check_freq": True, "check_index_type": "exact", "check_column_type": "exact"}
    try:
        testing.assert_frame_equal(left, right, check_flags=True, **exact)
    except AssertionError:
        return False
    labels = [left.index, left.columns], [right.index, right.columns]
    return (
        same(left.attrs, right.attrs)
        and all(map(_same_labels, *labels))
        and all(_same_objects(left.iloc[:, place], right.iloc[:, place]) for place in range(left.shape[1]))
    )


def _flags(found: Any) -> dict[str, bool]:
    return {"allows_duplicate_labels": found.flags.allows_duplicate_labels}


def _same_labels(left: Any, right: Any) -> bool:
    if left.nlevels > 1:
        return all(map(_same_labels, left.levels, right.levels)) and same(list(left.names), list(right.names))
    return type(left) is type(right) and same(left.name, right.name) and _same_objects(left, right)


def _same_objects(left: Any, right: Any) -> bool:
    """Whether cells that are Python objects are the same: pandas compares them by ``==``."""
    if hasattr(left.dtype, "categories"):
        return _same_labels(left.dtype.categories, right.dtype.categories)
    return str(left.dtype) != "object" or same(list(left), list(right))


def _same_polars(left: Any, right: Any) -> bool:
    if hasattr(left, "collect"):
        return _same_polars(left.collect(), right.collect())
    if hasattr(left, "columns"):
        return (
            left.shape == right.shape
            and list(left.schema.items()) == list(right.schema.items())
            and all(map(_same_polars, left.get_columns(), right.get_columns()))
        )
    return left.name == right.name and left.dtype == right.dtype and same(left.to_list(), right.to_list())


def _same_arrow(left: Any, right: Any) -> bool:
    if hasattr(left, "schema"):
        left, right = (side.read_all() if hasattr(side, "read_all") else side for side in (left, right))
        return bool(left.schema.equals(right.schema, check_metadata=True)) and same(left.to_pylist(), right.to_pylist())
    return bool(left.type == right.type) and same(left.to_pylist(), right.to_pylist())


def _same_numpy(left: Any, right: Any) -> bool:
    return bool(left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes())


def _same_files(left: Any, right: Any) -> bool:
    return bool(left.name == right.name and left.path.read_bytes() == right.path.read_bytes())


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "handoff": _same_files,
    "numpy": _same_numpy,
    "pandas": lambda left, right: (_same_pandas if hasattr(left, "iloc") else _same_scalars)(left, right),
    "polars": _same_polars,
    "pyarrow": _same_arrow,
}


def _same_scalars(left: Any, right: Any) -> bool:
    """Whether two single values of pandas are the same: a moment, a period, or one of its gaps."""
    return left is right or bool(repr(left) == repr(right) and left == right)


def _essence(value: Any) -> Any:
    """Give what tells a value from every other of its type."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, complex):
        return struct.pack("<dd", value.real, value.imag)
    if isinstance(value, decimal.Decimal):
        return value.as_tuple()
    if isinstance(value, dt.datetime | dt.time):
        kind: Any = dt.datetime if isinstance(value, dt.datetime) else dt.time  # pendulum's own would move the clock
        return kind.replace(value, tzinfo=None, fold=0), value.fold, _zone(value.tzinfo)
    if isinstance(value, UUID | PurePath):
        return str(value), getattr(value, "is_safe", None)
    return value


def _zone(zone: dt.tzinfo | None) -> Any:
    if isinstance(zone, zoneinfo.ZoneInfo):
        return type(zone), zone.key
    return type(zone), repr(zone)


def _float_of_bits(bits: int) -> float:
    value: float = struct.unpack("<d", struct.pack("<Q", bits))[0]
    return value


def _decimal(negative: bool, digits: int, exponent: Any) -> decimal.Decimal:  # noqa: FBT001 - a sign
    return decimal.Decimal((int(negative), tuple(map(int, str(digits))), exponent))


def _require_hypothesis() -> None:
    try:
        import_module("hypothesis")
    except ImportError:
        raise DependencyError(
            "strategies need hypothesis, which is not installed", remedy="Install dag-handoff[testing]", extra="testing"
        ) from None


def _expect(error: type[Exception], act: Any) -> None:
    try:
        act()
    except error:
        return
    raise AssertionError(f"no {error.__name__} was raised")
