"""Tables for tests: columns of every kind that pandas, Polars and pyarrow have, as Hypothesis strategies.

`docs/tables.md` lists the kinds by these names, and what becomes of each.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any

from handoff import testing

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_UNITS = ("s", "ms", "us", "ns")
_ZONES = ("UTC", "Europe/Berlin", "America/New_York")
_EARLY, _LATE = dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)  # noqa: DTZ001 - naive, as most moments in tables are
_BITS = (8, 16, 32, 64)
_MOST_ROWS = 6


def columns(library: str) -> dict[str, SearchStrategy[Any]]:
    """Give, by the name of their kind, strategies for the columns that a library has.

    Arguments: ``library``, one of pandas (a ``Series``), polars (a ``Series``) and pyarrow (an ``Array``).
    Raises: `DependencyError`.
    """
    testing.scalars()  # it says what to install
    return {"pandas": _pandas, "polars": _polars, "pyarrow": _arrow}[library]()


def tables(library: str, kinds: Sequence[str] | None = None) -> SearchStrategy[Any]:
    """Give a strategy for whole tables: a pandas or Polars frame, or a pyarrow table, of columns of some kinds.

    A pandas frame has labels and an index of many kinds. Raises: `DependencyError`.
    """
    from hypothesis import strategies as st

    known = columns(library)
    some = st.lists(st.one_of([known[kind] for kind in kinds or known]), min_size=1, max_size=4)
    if library == "pandas":
        return st.tuples(some, _labels(4), _indexes(_MOST_ROWS)).map(lambda drawn: _frame(*drawn))
    if library == "polars":
        return some.map(
            lambda found: import_module("polars").DataFrame(
                [column.head(min(map(len, found))).alias(str(place)) for place, column in enumerate(found)]
            )
        )
    return some.map(
        lambda found: import_module("pyarrow").table(
            {str(place): column.slice(0, min(map(len, found))) for place, column in enumerate(found)}
        )
    )


# --- cells ------------------------------------------------------------------------------------------------------


def _cells(strategy: SearchStrategy[Any], gaps: Sequence[Any] = (None,)) -> SearchStrategy[list[Any]]:
    from hypothesis import strategies as st

    return st.lists(st.one_of(strategy, st.sampled_from(gaps)) if gaps else strategy, max_size=_MOST_ROWS)


def _text() -> SearchStrategy[str]:
    from hypothesis import strategies as st

    return st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


def _integers(name: str) -> SearchStrategy[int]:
    from hypothesis import strategies as st

    bits = int(name.lower().lstrip("uint"))
    is_signed = not name.lower().startswith("u")
    return st.integers(-(2 ** (bits - 1)) if is_signed else 0, 2 ** (bits - is_signed) - 1)


def _moments() -> SearchStrategy[dt.datetime]:
    from hypothesis import strategies as st

    return st.datetimes(_EARLY, _LATE).map(lambda when: when.replace(microsecond=0))


def _durations() -> SearchStrategy[dt.timedelta]:
    from hypothesis import strategies as st

    return st.timedeltas(dt.timedelta(-1000), dt.timedelta(1000)).map(
        lambda span: dt.timedelta(span.days, span.seconds)
    )


def _decimals() -> SearchStrategy[Decimal]:
    from hypothesis import strategies as st

    return st.integers(-(10**8), 10**8).map(lambda number: Decimal(number).scaleb(-2))


# --- pandas -----------------------------------------------------------------------------------------------------


def _pandas() -> dict[str, SearchStrategy[Any]]:
    from hypothesis import strategies as st

    pandas, numpy, arrow = import_module("pandas"), import_module("numpy"), import_module("pyarrow")

    def of(dtype: Any, cells: SearchStrategy[Any], gaps: Sequence[Any] = ()) -> SearchStrategy[Any]:
        return _cells(cells, gaps).map(lambda found: pandas.Series(found, dtype=dtype))

    def in_numpy(dtype: str, cells: SearchStrategy[Any]) -> SearchStrategy[Any]:
        return _cells(cells, ["NaT"]).map(lambda found: pandas.Series(numpy.array(found, dtype=dtype)))

    def in_arrow(kind: Any, cells: SearchStrategy[Any]) -> SearchStrategy[Any]:
        return _cells(cells).map(
            lambda found: pandas.Series(
                pandas.arrays.ArrowExtensionArray(arrow.chunked_array([arrow.array(found, kind)]))
            )
        )

    def zoned(drawn: tuple[Any, Any]) -> Any:
        return drawn[0].dt.tz_localize("UTC").dt.tz_convert(drawn[1])

    whole = [f"int{bits}" for bits in _BITS] + [f"uint{bits}" for bits in _BITS]
    text, numbers = _text(), st.integers(0, 5)
    # pandas fails where it looks whether a signalling NaN is a gap.
    plain = testing.scalars().filter(lambda value: type(value) is not Decimal or not value.is_snan())
    moments = st.one_of([in_numpy(f"datetime64[{unit}]", _moments()) for unit in _UNITS])
    zones = st.sampled_from([*_ZONES, dt.timezone(dt.timedelta(hours=5))])
    ends = st.tuples(st.integers(-9, 0), st.integers(1, 9))
    return {
        "integers": st.one_of([of(name, _integers(name)) for name in whole]),
        "floats": st.one_of([of(f"float{bits}", st.floats(width=bits), [None]) for bits in (16, 32, 64)]),
        "booleans": of("bool", st.booleans()),
        "complex numbers": of("complex128", st.complex_numbers()).filter(len),
        "text": of("str" if pandas.__version__ >= "3" else object, text, [float("nan")]),
        "nullable text": st.one_of([of(name, text, [None]) for name in ("string[python]", "string[pyarrow]")]),
        "nullable numbers": st.one_of(
            [of(name.replace("i", "I").replace("u", "U"), _integers(name), [None]) for name in whole]
            + [of("Float64", st.floats(allow_nan=False), [None]), of("boolean", st.booleans(), [None])]
        ),
        "moments": moments,
        "moments in a zone": st.tuples(moments, zones).map(zoned),
        "durations": st.one_of([in_numpy(f"timedelta64[{unit}]", _durations()) for unit in _UNITS]),
        "categories": st.tuples(_cells(st.sampled_from("ab")), st.booleans()).map(
            lambda drawn: pandas.Series(pandas.Categorical(drawn[0], ["z", "b", "a"], ordered=drawn[1]))
        ),
        "categories of other types": st.one_of(
            _cells(numbers).map(lambda found: pandas.Series(pandas.Categorical(found, range(6)))),
            _cells(numbers, ()).filter(len).map(lambda found: pandas.cut(pandas.Series(found), [-1, 2, 9])),
        ),
        "periods": st.tuples(_cells(numbers), st.sampled_from(["M", "W-TUE", "D"])).map(
            lambda drawn: pandas.Series(
                pandas.PeriodIndex(
                    [n if n is None else pandas.Period(ordinal=n, freq=drawn[1]) for n in drawn[0]], freq=drawn[1]
                )
            )
        ),
        "intervals": st.tuples(
            _cells(ends.map(lambda found: tuple(map(float, found)))), st.sampled_from(["left", "both"])
        ).map(
            lambda drawn: pandas.Series(
                pandas.arrays.IntervalArray.from_tuples(drawn[0], drawn[1], dtype=f"interval[float64, {drawn[1]}]")
            )
        ),
        "sparse numbers": _cells(st.sampled_from([0, 0, 1]), ()).map(
            lambda found: pandas.Series(pandas.arrays.SparseArray(numpy.array(found, "int64"), fill_value=0))
        ),
        "Arrow's types": st.one_of(
            in_arrow(arrow.int64(), numbers),
            in_arrow(arrow.string(), text),
            in_arrow(arrow.list_(arrow.int64()), st.lists(numbers, max_size=3)),
            in_arrow(arrow.struct([("x", arrow.int64())]), st.fixed_dictionaries({"x": numbers})),
            in_arrow(arrow.decimal128(12, 2), _decimals()),
            in_arrow(arrow.timestamp("ns", "UTC"), numbers),
        ),
        "Arrow's types that Parquet lacks": st.one_of(
            in_arrow(arrow.timestamp("s"), numbers),
            in_arrow(arrow.date64(), st.dates()),
            in_arrow(arrow.time32("s"), numbers),
        ),
        "objects: text": st.sampled_from([None, float("nan"), pandas.NA]).flatmap(lambda gap: of(object, text, [gap])),
        "objects: one plain type": st.one_of(
            [of(object, cells, [None]) for cells in (st.binary(max_size=5), st.booleans(), st.integers(), st.dates())]
        ),
        "objects: plain values": of(object, plain | st.lists(plain, max_size=2)),
        "objects: of other classes": of(object, st.builds(object)).filter(len),
    }


def _labels(count: int) -> SearchStrategy[Any]:
    """Give a strategy for the labels of columns."""
    from hypothesis import strategies as st

    pandas = import_module("pandas")
    texts = _text() | st.sampled_from(["a", "__index_level_0__"])
    name = st.none() | texts | st.integers() | st.tuples(st.integers(), texts)
    plain = st.lists(texts | st.integers() | st.none() | st.dates(), min_size=count, max_size=count)
    return st.one_of(
        st.tuples(st.lists(texts, min_size=count, max_size=count), name).map(
            lambda drawn: pandas.Index(drawn[0], name=drawn[1], tupleize_cols=False)
        ),
        st.tuples(plain, name).map(
            lambda drawn: pandas.Index(drawn[0], dtype=object, name=drawn[1], tupleize_cols=False)
        ),
        _levels(count),
        _indexes(count),
    )


def _levels(count: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    pandas = import_module("pandas")
    levels = st.tuples(
        st.lists(st.integers(0, 2) | st.none(), min_size=count, max_size=count),
        st.lists(st.sampled_from("xyz") | st.none(), min_size=count, max_size=count),
    )
    names = st.lists(st.sampled_from(["a", "k", None]), min_size=2, max_size=2)
    return st.tuples(levels, names).map(lambda drawn: pandas.MultiIndex.from_arrays(drawn[0], names=drawn[1]))


def _indexes(count: int) -> SearchStrategy[Any]:
    """Give a strategy for indexes of so many rows."""
    from hypothesis import strategies as st

    pandas = import_module("pandas")
    start = st.integers(-5, 5)
    of_type: list[Callable[[int], Any]] = [
        lambda begin: pandas.RangeIndex(begin, begin + 2 * count, 2, name=(begin, "t")),
        lambda begin: pandas.Index([begin * 0.5] * count, name="a"),
        lambda begin: pandas.Index(["é" * abs(begin)] * count, name="n"),
        lambda begin: pandas.date_range(
            "2020-01-31", periods=count, freq=["D", "ME", "h"][begin % 3], tz="Europe/Berlin"
        ),
        lambda begin: pandas.timedelta_range(f"{begin}D", periods=count),
        lambda begin: pandas.period_range("2020", periods=count, freq=["M", "Q-DEC"][begin % 2]),
        lambda begin: pandas.interval_range(begin, begin + count),
        lambda begin: pandas.CategoricalIndex((["x", "y"] * count)[:count], ["y", "x", str(begin)]),
        lambda begin: pandas.Index([begin, None] * count, dtype="Int64")[:count],
    ]
    return st.one_of(st.tuples(st.sampled_from(of_type), start).map(lambda drawn: drawn[0](drawn[1])), _levels(count))


def _frame(columns: list[Any], labels: Any, index: Any) -> Any:
    pandas = import_module("pandas")
    rows = min(map(len, columns))
    found = pandas.DataFrame({place: column.iloc[:rows] for place, column in enumerate(columns)})
    found.columns = labels[: len(columns)]
    found.index = index[:rows]
    if rows % 2:
        found.attrs = {"rows": (rows,)}
    return found


# --- Polars -----------------------------------------------------------------------------------------------------


def _polars() -> dict[str, SearchStrategy[Any]]:
    from hypothesis import strategies as st

    polars = import_module("polars")

    def of(dtype: Any, cells: SearchStrategy[Any]) -> SearchStrategy[Any]:
        return _cells(cells).map(lambda found: polars.Series("n", found, dtype=dtype))

    whole = [f"Int{bits}" for bits in _BITS] + [f"UInt{bits}" for bits in _BITS]
    huge = [name for name in ("Int128", "UInt128") if hasattr(polars, name)]
    letters, numbers = st.sampled_from("ab"), st.integers(0, 5)
    units = _UNITS[1:]
    moments = [of(polars.Datetime(unit), _moments()) for unit in units]
    return {
        "integers": st.one_of([of(getattr(polars, name), _integers(name)) for name in whole]),
        **({"integers of 128 bits": st.one_of([of(getattr(polars, name), numbers) for name in huge])} if huge else {}),
        "floats": of(polars.Float64, st.floats()) | of(polars.Float32, st.floats(width=32)),
        "booleans": of(polars.Boolean, st.booleans()),
        "text": of(polars.String, _text()),
        "bytes": of(polars.Binary, st.binary(max_size=5)),
        "decimals": of(polars.Decimal(12, 2), _decimals()),
        "dates and times": of(polars.Date, st.dates()) | of(polars.Time, st.times()),
        "moments": st.one_of(moments),
        "moments in a zone": st.tuples(st.one_of(moments), st.sampled_from(_ZONES)).map(
            lambda drawn: drawn[0].dt.replace_time_zone("UTC").dt.convert_time_zone(drawn[1])
        ),
        "durations": st.one_of([of(polars.Duration(unit), _durations()) for unit in units]),
        "categories": of(polars.Categorical, letters) | of(polars.Enum(["z", "b", "a"]), letters),
        "lists": of(polars.List(polars.Int8), st.lists(numbers, max_size=3))
        | of(polars.List(polars.Categorical), st.lists(letters, max_size=3)),
        "lists of a fixed size": of(polars.Array(polars.Int8, 2), st.lists(numbers, min_size=2, max_size=2)),
        "structs": of(
            polars.Struct({"x": polars.Int64, "y": polars.String}), st.fixed_dictionaries({"x": numbers, "y": _text()})
        ),
        "nothing but gaps": of(polars.Null, st.none()),
        "objects: of other classes": st.just(polars.Series("n", [object()], dtype=polars.Object)),
    }


# --- Arrow ------------------------------------------------------------------------------------------------------


def _arrow() -> dict[str, SearchStrategy[Any]]:
    from hypothesis import strategies as st

    arrow = import_module("pyarrow")

    def of(kind: Any, cells: SearchStrategy[Any]) -> SearchStrategy[Any]:
        return _cells(cells).map(lambda found: arrow.array(found, kind))

    whole = [f"int{bits}" for bits in _BITS] + [f"uint{bits}" for bits in _BITS]
    text, numbers, letters = _text(), st.integers(0, 5), st.sampled_from("ab")
    units = _UNITS[1:]
    lists, binary = st.lists(numbers, max_size=3), st.binary(max_size=5)
    return {
        "integers": st.one_of([of(getattr(arrow, name)(), _integers(name)) for name in whole]),
        "floats": of(arrow.float64(), st.floats()) | of(arrow.float32(), st.floats(width=32)),
        "booleans": of(arrow.bool_(), st.booleans()),
        "text": of(arrow.string(), text) | of(arrow.large_string(), text),
        "bytes": of(arrow.binary(), binary) | of(arrow.binary(2), st.binary(min_size=2, max_size=2)),
        "decimals": of(arrow.decimal128(12, 2), _decimals()) | of(arrow.decimal256(50, 2), _decimals()),
        "dates and times": of(arrow.date32(), st.dates()) | of(arrow.time64("us"), st.times()),
        "moments": st.one_of([of(arrow.timestamp(unit), _moments()) for unit in units]),
        "moments in a zone": st.one_of(
            [of(arrow.timestamp("us", zone), st.integers(-(2**40), 2**40)) for zone in _ZONES]
        ),
        "durations": st.one_of([of(arrow.duration(unit), _durations()) for unit in _UNITS]),
        "moments in seconds": of(arrow.timestamp("s"), _moments()),
        "lists": of(arrow.list_(arrow.int64()), lists)
        | of(arrow.large_list(arrow.string()), st.lists(text, max_size=2)),
        "lists of a fixed size": of(arrow.list_(arrow.int8(), 2), st.lists(numbers, min_size=2, max_size=2)),
        "structs": of(arrow.struct([("x", arrow.int64())]), st.fixed_dictionaries({"x": numbers})),
        "maps": of(
            arrow.map_(arrow.string(), arrow.int64()), st.dictionaries(letters, numbers).map(lambda d: [*d.items()])
        ),
        "categories of other types": of(arrow.int64(), numbers).map(lambda found: found.dictionary_encode()),
        "unions": _cells(numbers, ())
        .filter(len)
        .map(
            lambda found: arrow.UnionArray.from_sparse(
                arrow.array([0] * len(found), arrow.int8()), [arrow.array(found, arrow.int64())]
            )
        ),
        "nothing but gaps": of(arrow.null(), st.none()),
    }
