"""Rows in Arrow's memory: what they weigh, and where a table of them is cut into groups.

What a row weighs follows from its cells, never from the buffers that hold them: equal tables are cut at the same rows.
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from handoff.codecs._libraries import library

#: The bytes of cells in a group of rows: what is converted, written and read at once.
GROUP: Final = 8 * 1024**2
#: A table that is likely to have fewer bytes is one group: that is written faster, and takes less room.
ONE_GROUP = 64 * 1024**2
#: Rows whose weight is looked at together.
_LOOK = 64 * 1024
_POINTER = 8
# How many rows are weighed or converted at first, and how much more with each step, while their weight is not known.
_FIRST, _GROWTH = 256, 8


class Rows(NamedTuple):
    """A value as rows of Arrow, before anything is written.

    Arguments: ``type``, the name to record; ``schema``; ``parts``, tables or batches in order, of any length;
    ``rows``, how many there are, None for a stream, which is consumed once; ``names`` of the columns, for people;
    ``notes``, what the metadata says beside the schema; ``is_parquet``, whether Parquet gives all of it back.
    """

    type: str
    schema: Any
    parts: Callable[[], Iterator[Any]]
    rows: int | None
    names: list[str]
    notes: dict[bytes, bytes]
    is_parquet: bool


class Ruler:
    """Measures rows as they come, and says after which of them a group ends.

    Arguments: the schema; how many rows there will be, None for a stream; the most bytes of cells. Raises:
    `OverflowError` where there are more.
    """

    def __init__(self, schema: Any, count: int | None, most: int | None = None) -> None:
        self._fixed = sum(map(_bits, schema.types))
        self._count = count
        self._group = GROUP
        self._most = most
        #: Bytes of all cells so far.
        self.size = 0
        self.rows = 0
        self._held = 0

    def cuts(self, part: Any) -> list[int]:
        """Give the numbers of rows of this part after which a group ends."""
        found: list[int] = []
        if not self.rows and self._count:
            first = part.slice(0, _FIRST)
            is_one = self._weight(first, self._texts(first)) * self._count < ONE_GROUP * first.num_rows
            self._group = ONE_GROUP if is_one else GROUP
        for start in range(0, part.num_rows, _LOOK):
            found += [start + end for end in self._look(part.slice(start, _LOOK))]
            if self._most is not None and self.size > self._most:
                raise OverflowError
        self.rows += part.num_rows
        return found

    def _look(self, part: Any) -> list[int]:
        compute = library("pyarrow.compute")
        lengths = self._texts(part)
        total = self._weight(part, lengths)
        if self._held + total < self._group:
            self._held += total
            self.size += total
            return []
        if not lengths:
            return self._cut(part.num_rows, lambda row: row * self._fixed // 8)
        sums = compute.cumulative_sum(functools.reduce(compute.add, map(_counts, lengths)))
        return self._cut(part.num_rows, lambda row: row * self._fixed // 8 + (sums[row - 1].as_py() if row else 0))

    @staticmethod
    def _texts(part: Any) -> list[Any]:
        return [length for column in part.columns for length in _lengths(_array(column))]

    def _weight(self, part: Any, lengths: list[Any]) -> int:
        total = library("pyarrow.compute").sum
        return int(part.num_rows * self._fixed // 8 + sum(total(length).as_py() or 0 for length in lengths))

    def _cut(self, rows: int, weight: Callable[[int], int]) -> list[int]:
        found: list[int] = []
        begun = 0
        while self._held + weight(rows) - begun >= self._group:
            # The first row with which the group is full ends it.
            row = bisect_left(range(rows + 1), self._group - self._held + begun, lo=1, key=weight)
            found.append(row)
            begun, self._held = weight(row), 0
            self._group = GROUP  # the first rows were not like the others
            if row == rows:
                break
        self._held += weight(rows) - begun
        self.size += weight(rows)
        return found


def groups(schema: Any, parts: Iterator[Any], ruler: Ruler) -> Iterator[Any]:
    """Give the rows of some parts as tables of about as many bytes as a group has.

    Each column is in one piece, where Arrow can join it, so that the bytes that are written follow from the cells.
    """
    arrow = library("pyarrow")
    waiting: list[Any] = []

    def together() -> Any:
        found = arrow.concat_tables(waiting)
        waiting.clear()
        return joined(found)

    for part in parts:
        table = arrow.Table.from_batches([part], schema) if isinstance(part, arrow.RecordBatch) else part
        start = 0
        for end in ruler.cuts(table):
            waiting.append(table.slice(start, end - start))
            start = end
            yield together()
        if start < table.num_rows:
            waiting.append(table.slice(start))
    if waiting:
        yield together()


def joined(table: Any) -> Any:
    """Give a table whose columns are in one piece each, where Arrow can join it."""
    try:
        return table.combine_chunks()
    except library("pyarrow").ArrowException:  # dictionaries that hold a null; lists of a fixed size before Arrow 19
        return table


def frugal_pool() -> Any:
    """Give a pool of Arrow's memory for much of it: the usual one keeps half as much again as is in use."""
    arrow = library("pyarrow")
    try:
        return arrow.jemalloc_memory_pool()
    except NotImplementedError:  # pragma: no cover - an Arrow that was built without it
        return arrow.system_memory_pool()


def release() -> None:
    """Give back what Arrow's pools keep for later: what comes now is not of Arrow."""
    for pool in (library("pyarrow").default_memory_pool(), frugal_pool()):
        pool.release_unused()


def steps(rows: int, convert: Callable[[int, int], Any]) -> Iterator[Any]:
    """Convert rows from one place to another, as many at once as weigh little: of what may be one group, a few more."""
    start, step = 0, _FIRST
    while start < rows:
        part = convert(start, min(rows, start + step))
        start += part.num_rows
        most = GROUP if part.nbytes * rows < ONE_GROUP * part.num_rows else GROUP // 4
        fitting = most * part.num_rows // max(1, part.nbytes)
        step = max(1, min(step * _GROWTH, fitting))
        yield part


def least_size(schema: Any, rows: int) -> int:
    """Give the bytes that cells take in memory at the least, from their number and types."""
    return sum(rows * _bits(field.type) // 8 for field in schema)


def _bits(kind: Any) -> int:
    return int(kind.bit_width) if _has_width(kind) else _POINTER * 8


def _has_width(kind: Any) -> bool:
    try:
        return bool(kind.bit_width)
    except ValueError:
        return False


def _array(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _lengths(array: Any) -> list[Any]:
    """Give what the rows of a column weigh beyond its fixed width, as arrays of int64 to be added up."""
    types, compute = library("pyarrow").types, library("pyarrow.compute")
    kind = array.type
    if isinstance(array, library("pyarrow").ExtensionArray):
        return _lengths(array.storage)
    if types.is_string(kind) or types.is_binary(kind) or types.is_large_string(kind) or types.is_large_binary(kind):
        return [compute.binary_length(array)]
    if types.is_struct(kind):
        return [length for index in range(kind.num_fields) for length in _inner(array.field(index))]
    if types.is_list(kind) or types.is_large_list(kind) or types.is_map(kind):
        return [_elements(array)]
    if types.is_fixed_size_list(kind):
        width = kind.list_size * _bits(kind.value_type) // 8
        return [_counts(compute.multiply(compute.cast(compute.is_valid(array), "int64"), width))]
    return []


def _inner(array: Any) -> list[Any]:
    compute = library("pyarrow.compute")
    width = compute.multiply(compute.cast(compute.is_valid(array), "int64"), max(1, _bits(array.type) // 8))
    return [width, *_lengths(array)]


def _elements(array: Any) -> Any:
    arrow, compute = library("pyarrow"), library("pyarrow.compute")
    offsets, below = array.offsets, array.values
    begin, end = offsets[0].as_py(), offsets[-1].as_py()
    total = functools.reduce(compute.add, map(_counts, _inner(below.slice(begin, end - begin))))
    sums = arrow.concat_arrays([arrow.array([0], "int64"), compute.cumulative_sum(total)])
    places = compute.subtract(offsets.cast("int64"), begin)
    reached = sums.take(places)
    weights = compute.subtract(reached.slice(1), reached.slice(0, len(array)))
    return compute.if_else(array.is_valid(), weights, 0)


def _counts(lengths: Any) -> Any:
    compute = library("pyarrow.compute")
    return compute.fill_null(compute.cast(lengths, "int64"), 0)
