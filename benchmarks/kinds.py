"""Values of every kind and size, made alike in every process."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import workloads

SEED = 2013
FEW_ROWS, SMALL = 2_000, 1024**2
BATCH = 8 * 1024**2
BATCHES = 8
WORDS = 10_000
WORD = 24  # bytes of a word on average
_NUMBER = 8
_VIEW, _IN_VIEW = 16, 12  # bytes that a text takes beside its own in Polars, and the most that stand there
CHUNK = 100_000
_SOURCE, _ORDER = 308, 385  # bytes of one as JSON
_TEXT = WORD + 8 + 8  # a word, a number behind it, and where it starts


class Kind(NamedTuple):
    """A kind of value: what makes one of a size in a folder, and what a reader asks for."""

    title: str
    make: Callable[[int, Path], Any]
    #: Enough of it to have every library loaded, in the unit that ``make`` takes.
    few: int = SMALL
    #: The root package and the name of the type that the reader asks for, where it has to ask.
    wanted: str = ""


def size_of(value: Any) -> int:
    """Give the bytes that a value takes in memory; of what is read piece by piece, none."""
    package = type(value).__module__.partition(".")[0]
    if package == "pandas":
        return int(value.memory_usage(deep=True).sum())
    if package == "polars":
        return sum(map(_size_of_column, value.get_columns()))
    if package == "numpy" or hasattr(value, "nbytes"):
        return int(value.nbytes)
    return _size_of_plain(value)


def consumed(value: Any) -> Any:
    """Read a stream to its end, batch by batch, and give its rows in place of it; anything else is what it is."""
    if type(value).__name__ in ("RecordBatchReader", "generator"):
        return sum(batch.num_rows for batch in value)
    return value


def _numbers(size: int, _: Path) -> Any:
    import pandas as pd

    rng, rows = _rng(), size // (8 * _NUMBER)
    columns = {f"float {n}": rng.random(rows) for n in range(4)}
    columns |= {f"int {n}": rng.integers(0, 10 ** (n + 2), rows) for n in range(4)}
    return pd.DataFrame(columns)


def _texts(size: int, _: Path) -> Any:
    rows = size // (4 * _TEXT)
    return _arrow({f"text {n}": _column_of_texts(rows, n) for n in range(4)}).to_pandas()


def _mixed(size: int, _: Path) -> Any:
    import pandas as pd

    rng, rows = _rng(), size // (6 * _NUMBER + 2 * _TEXT)
    frame = pd.DataFrame(
        {
            "id": range(rows),
            "share": rng.random(rows),
            "price": (rng.random(rows) * 10_000).round(2),
            "count": rng.integers(0, 100, rows),
            "when": pd.Timestamp("2013-01-01") + pd.to_timedelta(rng.integers(0, 31_536_000, rows), unit="s"),
            "weight": rng.standard_normal(rows),
        }
    )
    texts = _arrow({"name": _column_of_texts(rows, 0), "note": _column_of_texts(rows, 1)}).to_pandas()
    return pd.concat([frame, texts], axis=1)


def _polars(size: int, folder: Path) -> Any:
    import polars as pl

    return pl.from_arrow(_table(size, folder))


def _table(size: int, _: Path) -> Any:
    return _arrow(_columns(size // (2 * _NUMBER + _TEXT)))


def _stream(size: int, _: Path) -> Any:
    import pyarrow as pa

    row = 2 * _NUMBER + _TEXT
    # They are made beforehand, and come again and again: what it takes to make them is not what a put takes.
    made = [_arrow(_columns(BATCH // row, seed=n)).combine_chunks().to_batches()[0] for n in range(BATCHES)]

    def batches() -> Iterator[Any]:
        for number, start in enumerate(range(0, size, BATCH)):
            yield made[number % BATCHES].slice(0, min(BATCH, size - start) // row)

    return pa.RecordBatchReader.from_batches(made[0].schema, batches())


def _floats(size: int, _: Path) -> Any:
    return _rng().random(size // _NUMBER)


def _small_ints(size: int, _: Path) -> Any:
    return _rng().integers(0, 100, size // _NUMBER)


def _config(size: int, _: Path) -> Any:
    """Give settings as a file of them holds: texts, switches and numbers, a few levels deep."""
    chance = random.Random(SEED)
    return {
        "version": 3,
        "sources": [
            {
                "name": f"source_{n:03}",
                "path": f"s3://landing/source_{n:03}/{{{{ ds }}}}/*.parquet",
                "enabled": chance.random() < 0.9,
                "schedule": f"{chance.randrange(60)} {chance.randrange(24)} * * *",
                "limits": {"rows": chance.randrange(10**6), "share": round(chance.random(), 4), "retries": 3},
                "columns": [f"column_{chance.randrange(100)}" for _ in range(8)],
                "owner": None,
            }
            for n in range(max(1, size // _SOURCE))
        ],
    }


def _chunks(count: int, _: Path) -> Any:
    """Give what so many mapped tasks return: 100 KB each, of text that hardly compresses."""
    chance = random.Random(SEED)
    return [{"part": n, "data": chance.randbytes(CHUNK // 2).hex()} for n in range(count)]


def _nested(size: int, _: Path) -> Any:
    """Give what an API answers: orders with their lines, nested, of about so many bytes as JSON."""
    chance = random.Random(SEED)
    return {
        "page": 1,
        "orders": [
            {
                "id": n,
                "customer": {"name": f"customer {chance.randrange(10**5)}", "tags": ["new", "retail"][: n % 3]},
                "total": round(chance.random() * 1_000, 2),
                "paid": chance.random() < 0.8,
                "note": None if n % 5 else "left at the door, please call before",
                "lines": [
                    {"sku": f"A-{chance.randrange(10**6):06}", "count": chance.randrange(9), "price": chance.random()}
                    for _ in range(4)
                ],
            }
            for n in range(max(1, size // _ORDER))
        ],
    }


def _bytes(size: int, _: Path) -> Any:
    chance = random.Random(SEED)
    return b"".join(chance.randbytes(min(SMALL, size - start)) for start in range(0, size, SMALL))


def _file(size: int, folder: Path) -> Any:
    path, rng = folder / "made.bin", random.Random(SEED)
    with path.open("wb") as file:
        for start in range(0, size, SMALL):
            file.write(rng.randbytes(min(SMALL, size - start)))
        file.flush()
        os.fsync(file.fileno())
    return path


def _columns(rows: int, seed: int = 0) -> dict[str, Any]:
    rng = _rng(seed)
    return {"share": rng.random(rows), "count": rng.integers(0, 1_000, rows), "name": _column_of_texts(rows, seed)}


def _column_of_texts(rows: int, seed: int) -> Any:
    """Give a column of words with a number behind them, so that few are alike."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rng = _rng(seed)
    letters = rng.integers(ord("a"), ord("z") + 1, WORDS * 2 * WORD, dtype="u1").tobytes().decode()
    ends = [0, *rng.integers(1, 2 * WORD, WORDS).cumsum().tolist()]
    words = pa.array([letters[start:end] for start, end in pairwise(ends)], pa.large_string())
    picked = words.take(pa.array(rng.integers(0, WORDS, rows)))
    numbers = pa.array(rng.integers(1_000_000, 10_000_000, rows)).cast(pa.large_string())
    return pc.binary_join_element_wise(picked, numbers, pa.scalar(" ", pa.large_string()))


def _arrow(columns: dict[str, Any]) -> Any:
    import pyarrow as pa

    return pa.table(columns)


def _rng(seed: int = 0) -> Any:
    import numpy as np

    return np.random.default_rng(SEED + seed)


def _size_of_column(column: Any) -> int:
    """Give the bytes of a column of Polars, whose own estimate leaves out where each text is, and short ones itself."""
    import polars as pl

    if column.dtype != pl.String:
        return int(column.estimated_size())
    lengths = column.str.len_bytes()
    return int(_VIEW * len(column) + (lengths.filter(lengths > _IN_VIEW).sum() or 0))


def _size_of_plain(value: Any) -> int:
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, dict):
        return _size_of_tree(value)
    if isinstance(value, list):
        return sys.getsizeof(value) + len(value) * _size_of_records(value[:1_000])
    return 0


def _size_of_tree(value: Any) -> int:
    """Give the bytes of dicts, lists and what they hold; what stands there more than once counts each time."""
    own = sys.getsizeof(value) if value is not None else 0
    if isinstance(value, dict):
        return own + sum(map(_size_of_tree, value)) + sum(map(_size_of_tree, value.values()))
    return own + sum(map(_size_of_tree, value)) if isinstance(value, list) else own


def _size_of_records(values: list[Any]) -> int:
    """Give the bytes of a record on average: its own, its fields and what they hold, common objects aside."""
    fields = [value if isinstance(value, dict) else vars(value) for value in values]
    held = sum(sys.getsizeof(cell) for cells in fields for cell in cells.values() if cell is not None)
    own = sum(sys.getsizeof(value) + (0 if isinstance(value, dict) else sys.getsizeof(vars(value))) for value in values)
    return (own + held) // max(1, len(values))


KINDS = {
    "flights": Kind("frame of flights", lambda rows, _: workloads.flights(rows), few=FEW_ROWS),
    "records": Kind("records", lambda count, _: workloads.flight_records(count), few=FEW_ROWS),
    "mixed": Kind("frame of numbers and text", _mixed),
    "numbers": Kind("frame of numbers", _numbers),
    "text": Kind("frame of text", _texts),
    "polars": Kind("Polars frame", _polars),
    "arrow": Kind("Arrow table", _table),
    "stream": Kind("stream of batches", _stream, wanted="pyarrow.RecordBatchReader"),
    "floats": Kind("float array", _floats),
    "small ints": Kind("small-int array", _small_ints),
    "file": Kind("file", _file),
    "small": Kind("small dict", lambda *_: workloads.small()),
    "config": Kind("config", _config, few=1_000),
    "nested": Kind("nested JSON", _nested, few=10_000),
    "bytes": Kind("bytes", _bytes),
    "chunks": Kind("results of mapped tasks", _chunks, few=2),
}
