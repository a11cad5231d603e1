"""The kinds of pandas arrays: what each is in Arrow, and how it is made again from there.

A kind is noted in the table's metadata by plain values. Reading fills one array part by part, so that what was
read is not held beside it.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, Final, Protocol

from handoff.codecs._libraries import library
from handoff.errors import DamagedError

_NUMBERS = re.compile(r"\A(?:u?int(?:8|16|32|64)|float(?:16|32|64)|bool|(?:datetime|timedelta)64\[(?:s|ms|us|ns)\])\Z")
_UNIT = re.compile(r"\[(s|ms|us|ns)")
_NOT_A_TIME = -(2**63)


class Kind(Protocol):
    """A kind of array."""

    #: The type of its cells in Arrow.
    type: Any
    #: Whether another library sees what pandas shows; else numbers, or bytes, that stand for it.
    is_open: bool

    def note(self) -> list[Any]:
        """Give what the kind is made again from, by `kind_noted`."""
        ...

    def to_arrow(self, cells: Any) -> Any:
        """Convert some of an array's cells."""
        ...

    def begin(self, rows: int, /) -> Any:
        """Give what the cells of so many rows are put into."""
        ...

    def add(self, into: Any, start: int, part: Any, /) -> None:
        """Put a `pyarrow.Array` into it, from a row on."""
        ...

    def end(self, into: Any) -> Any:
        """Give the array."""
        ...


def carrier(unit: str) -> str:
    """Give the unit in which Parquet holds moments: it has no seconds."""
    return "ms" if unit == "s" else unit


class Numbers:
    """Numbers, booleans, moments and durations of numpy."""

    is_open = True

    def __init__(self, dtype: str) -> None:
        arrow = library("pyarrow")
        if not self.takes(dtype):
            raise DamagedError(f"{dtype!r} is no dtype of numbers")
        self.dtype = library("numpy").dtype(dtype)
        found = _UNIT.search(dtype)
        self._has_gaps = self.dtype.kind in "fmM"
        if found is None:
            self.type = arrow.from_numpy_dtype(self.dtype)
        else:
            self.type = (arrow.timestamp if self.dtype.kind == "M" else arrow.duration)(carrier(found[1]))

    def note(self) -> list[Any]:
        return ["numbers", str(self.dtype)]

    @staticmethod
    def takes(dtype: str) -> bool:
        """Whether a dtype of this name is kept."""
        return _NUMBERS.match(dtype) is not None

    def to_arrow(self, cells: Any) -> Any:
        found = library("pyarrow").array(library("numpy").asarray(cells), from_pandas=True)
        return found if found.type == self.type else found.cast(self.type)

    def begin(self, rows: int) -> Any:
        return library("numpy").empty(rows, self.dtype)

    def add(self, into: Any, start: int, part: Any) -> None:
        if part.null_count and not self._has_gaps:
            raise DamagedError(f"a column of {self.dtype} has gaps")
        into[start : start + len(part)] = part.to_numpy(zero_copy_only=False)

    def end(self, into: Any) -> Any:
        return into


class Zoned:
    """Moments in a time zone."""

    is_open = True

    def __init__(self, unit: str, zone: Any) -> None:
        self._unit = unit
        self._zone = zone
        self._moments = Numbers(f"datetime64[{unit}]")
        name = str(getattr(zone, "key", None) or getattr(zone, "zone", None) or "UTC")
        self.type = library("pyarrow").timestamp(carrier(unit), name)

    def note(self) -> list[Any]:
        name = getattr(self._zone, "zone", None)  # only pytz has it
        return ["zoned", self._unit, name or dt.time(0, tzinfo=self._zone)]

    def to_arrow(self, cells: Any) -> Any:
        return self._moments.to_arrow(cells.tz_convert(None)).cast(self.type)

    def begin(self, rows: int) -> Any:
        return self._moments.begin(rows)

    def add(self, into: Any, start: int, part: Any) -> None:
        self._moments.add(into, start, part.cast(self._moments.type))

    def end(self, into: Any) -> Any:
        return library("pandas").DatetimeIndex(into).tz_localize("UTC").tz_convert(self._zone).array


class Masked:
    """Nullable numbers and booleans of pandas."""

    NAMES: Final = frozenset(
        ["Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64", "boolean"]
    )
    is_open = True

    def __init__(self, name: str) -> None:
        if name not in self.NAMES:
            raise DamagedError(f"{name!r} is no nullable dtype")
        self._dtype = library("pandas").api.types.pandas_dtype(name)
        self.type = library("pyarrow").from_numpy_dtype(self._dtype.numpy_dtype)

    def note(self) -> list[Any]:
        return ["masked", self._dtype.name]

    def to_arrow(self, cells: Any) -> Any:
        return library("pyarrow").array(cells, self.type)

    def begin(self, rows: int) -> Any:
        numpy = library("numpy")
        return numpy.zeros(rows, self._dtype.numpy_dtype), numpy.empty(rows, bool)

    def add(self, into: Any, start: int, part: Any) -> None:
        compute = library("pyarrow.compute")
        values, mask = into
        end = start + len(part)
        values[start:end] = compute.fill_null(part, False if self._dtype.name == "boolean" else 0).to_numpy(
            zero_copy_only=False
        )
        mask[start:end] = compute.is_null(part).to_numpy(zero_copy_only=False)

    def end(self, into: Any) -> Any:
        return self._dtype.construct_array_type()(*into)


class Chunks:
    """Arrays of pandas that hold Arrow's own: text, and Arrow's types."""

    is_open = True

    def __init__(self, dtype: Any, kind: Any, note: list[Any]) -> None:
        self._dtype = dtype
        self._note = note
        self.type = kind

    def note(self) -> list[Any]:
        return self._note

    def to_arrow(self, cells: Any) -> Any:
        found = library("pyarrow").array(cells, self.type)
        found.validate(full=True)
        return found if found.type == self.type else found.cast(self.type)

    def begin(self, _rows: int) -> Any:
        return []

    def add(self, into: Any, _start: int, part: Any) -> None:
        into.append(part)

    def end(self, into: Any) -> Any:
        return self._dtype.__from_arrow__(library("pyarrow").chunked_array(into, self.type))


class Periods:
    """Periods, as their ordinals."""

    is_open = False

    def __init__(self, freq: str) -> None:
        self._dtype = library("pandas").PeriodDtype(freq)
        self.type = library("pyarrow").int64()

    def note(self) -> list[Any]:
        return ["period", str(self._dtype)[len("period[") : -1]]

    def to_arrow(self, cells: Any) -> Any:
        return library("pyarrow").array(cells.asi8, mask=cells.isna())

    def begin(self, rows: int) -> Any:
        return library("numpy").empty(rows, "int64")

    def add(self, into: Any, start: int, part: Any) -> None:
        filled = library("pyarrow.compute").fill_null(part, _NOT_A_TIME)
        into[start : start + len(part)] = filled.to_numpy(zero_copy_only=False)

    def end(self, into: Any) -> Any:
        return library("pandas").arrays.PeriodArray(into, dtype=self._dtype)


class Intervals:
    """Intervals, as structs of their ends."""

    is_open = True

    def __init__(self, closed: str, ends: Kind) -> None:
        self._closed = closed
        self._ends = ends
        arrow = library("pyarrow")
        self.type = arrow.struct([("left", ends.type), ("right", ends.type)])

    def note(self) -> list[Any]:
        return ["interval", self._closed, self._ends.note()]

    def to_arrow(self, cells: Any) -> Any:
        arrow = library("pyarrow")
        ends = [self._ends.to_arrow(end.array) for end in (cells.left, cells.right)]
        return arrow.StructArray.from_arrays(ends, fields=list(self.type), mask=arrow.array(cells.isna()))

    def begin(self, rows: int) -> Any:
        return self._ends.begin(rows), self._ends.begin(rows)

    def add(self, into: Any, start: int, part: Any) -> None:
        for end, field in zip(into, part.flatten(), strict=True):
            self._ends.add(end, start, field)

    def end(self, into: Any) -> Any:
        left, right = map(self._ends.end, into)
        return library("pandas").arrays.IntervalArray.from_arrays(left, right, closed=self._closed)


class Sparse:
    """Sparse numbers, all written out."""

    is_open = True

    def __init__(self, numbers: Kind, fill: Any, index: str) -> None:
        self._numbers = numbers
        self._fill = fill
        self._index = index
        self.type = numbers.type

    def note(self) -> list[Any]:
        return ["sparse", self._numbers.note(), self._fill, self._index]

    def to_arrow(self, cells: Any) -> Any:
        dense = cells.to_dense()
        if self.end(dense).npoints != cells.npoints:
            raise ValueError("it stores its fill value here and there")
        return self._numbers.to_arrow(dense)

    def begin(self, rows: int) -> Any:
        return self._numbers.begin(rows)

    def add(self, into: Any, start: int, part: Any) -> None:
        self._numbers.add(into, start, part)

    def end(self, into: Any) -> Any:
        pandas = library("pandas")
        dtype = pandas.SparseDtype(into.dtype, self._fill)
        return pandas.arrays.SparseArray(into, fill_value=self._fill, kind=self._index, dtype=dtype)


class Categories:
    """Categories: where Arrow has a type for them, the cells are the categories themselves, else their numbers."""

    def __init__(self, categories: Any, cells: Any, kind: Kind, note: Any, *, is_ordered: bool) -> None:
        arrow = library("pyarrow")
        self.categories = categories
        self._note = note
        self._is_ordered = is_ordered
        self._kind = kind
        types = arrow.types
        self.is_open = kind.is_open and not (types.is_struct(kind.type) or types.is_dictionary(kind.type))
        is_text = arrow.types.is_large_string(kind.type)
        self._values = kind.to_arrow(cells) if self.is_open else None
        if is_text and self._values is not None:
            self._values = self._values.cast(arrow.string())
        self.type = (
            arrow.dictionary(arrow.int32(), arrow.string()) if is_text else kind.type if self.is_open else arrow.int32()
        )

    def note(self) -> list[Any]:
        return ["categories", self._is_ordered, self._note]

    def to_arrow(self, cells: Any) -> Any:
        return self._of_codes(cells.codes)

    def _of_codes(self, codes: Any) -> Any:
        arrow = library("pyarrow")
        numbers = arrow.array(codes.astype("int32"), mask=codes == -1)
        if self._values is None:
            return numbers
        if not arrow.types.is_dictionary(self.type):
            return self._values.take(numbers)
        if len(self._values) <= len(codes):
            return arrow.DictionaryArray.from_arrays(numbers, self._values)
        return self._values.take(numbers).dictionary_encode()

    def begin(self, rows: int) -> Any:
        return library("numpy").empty(rows, "int32")

    def add(self, into: Any, start: int, part: Any) -> None:
        compute = library("pyarrow.compute")
        codes = into[start : start + len(part)]
        if self._values is None:
            codes[:] = compute.fill_null(part, -1).to_numpy(zero_copy_only=False)
        else:
            found = part if hasattr(part, "dictionary") else part.dictionary_encode()
            values = self._kind.begin(len(found.dictionary))
            self._kind.add(values, 0, found.dictionary.cast(self._kind.type))
            numbers = library("numpy").append(self.categories.get_indexer(self._kind.end(values)), -1)
            codes[:] = numbers[compute.fill_null(found.indices, len(numbers) - 1).to_numpy(zero_copy_only=False)]
        if (codes < 0).sum() != part.null_count or (codes >= len(self.categories)).any():
            raise DamagedError("a cell is of none of the categories")

    def end(self, into: Any) -> Any:
        pandas = library("pandas")
        return pandas.Categorical.from_codes(
            into, dtype=pandas.CategoricalDtype(self.categories, ordered=self._is_ordered)
        )


class Level(Categories):
    """A level of a MultiIndex, its cells given by their numbers."""

    def note(self) -> list[Any]:
        return ["level", self._note]

    def to_arrow(self, cells: Any) -> Any:
        return self._of_codes(cells)

    def end(self, into: Any) -> Any:
        return into, self.categories
