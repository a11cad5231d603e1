"""The tables behind the golden files: what each library has, as Parquet and as Arrow's stream."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

# pandas 2 has no text but objects, and reads that of pandas 3 as such.
TEXT: Any = "str" if pd.__version__ >= "3" else object


def frame(columns: dict[str, Any], names: Any = object) -> pd.DataFrame:
    """Make a frame whose labels have one dtype in each pandas."""
    return pd.DataFrame(columns).set_axis(pd.Index(list(columns), dtype=names), axis="columns")


DAYS = pd.DatetimeIndex(["2013-01-01", "2013-01-02", "2013-01-03"], dtype="datetime64[ns]", freq="D", name="day")
CARRIERS = pd.Series(["UA", "AA", "UA"], dtype=object)
FRAME = frame({"carrier": CARRIERS, "delay": [1.5, np.nan, -0.0], "hour": [1, 2, 3]})
KINDS = frame(
    {
        "nullable": pd.array([1, None, 3], "Int16"),
        "switch": pd.array([True, None, False], "boolean"),
        "zoned": pd.DatetimeIndex(DAYS.values, tz="UTC").tz_convert(ZoneInfo("Europe/Berlin")).as_unit("us"),
        "seconds": pd.array(["2013-01-01", None, "2013-01-03"], "datetime64[s]"),
        "lasted": pd.to_timedelta([1, None, 3], unit="s").as_unit("ms"),
        "period": pd.period_range("2013-01-01", periods=3, freq="D"),
        "interval": pd.interval_range(0, 3),
        "sparse": pd.arrays.SparseArray([0, 0, 1]),
        "category": pd.Categorical([3, 1, None], [3, 2, 1], ordered=True),
        "text": pd.array(["a", None, "c"], pd.StringDtype("python")),
        "cells": pd.Series([(1, 2), {"a": Decimal("1.10")}, None], dtype=object),
        "dates": pd.Series([dt.date(2013, 1, 1), None, dt.date(2013, 1, 3)], dtype=object),
        "arrow": pd.array([Decimal("1.10"), None, Decimal("-2.00")], pd.ArrowDtype(pa.decimal128(5, 2))),
    }
)
LABELLED = pd.DataFrame([[1, 2], [3, 4], [5, 6]], index=DAYS, columns=pd.Index([1, ("a", 2.5)], tupleize_cols=False))
LABELLED.attrs = {"source": ("nyc", 13)}
LEVELS = frame({"n": [1, 2, 3]}).set_index(
    pd.MultiIndex.from_arrays([CARRIERS.rename(None), [2.5, 1.5, 3.5]], names=["a", None])
)
LEVELS = LEVELS.set_flags(allows_duplicate_labels=False)
COLUMNS = pl.DataFrame(
    {
        "n": pl.Series([1, None, 3], dtype=pl.UInt8),
        "text": ["a", None, "ü"],
        "when": pl.Series([dt.datetime(2013, 1, 1), None, None], dtype=pl.Datetime("ms", "Europe/Berlin")),
        "lasted": pl.Series([dt.timedelta(1), None, None], dtype=pl.Duration("us")),
        "lists": [[1, 2], [], None],
        "structs": [{"a": 1, "b": None}, {"a": 2, "b": "x"}, {"a": None, "b": None}],
        "category": pl.Series(["x", "y", None], dtype=pl.Categorical),
        "enum": pl.Series(["x", None, "y"], dtype=pl.Enum(["y", "x"])),
        "price": pl.Series([Decimal("1.10"), None, Decimal("2.00")], dtype=pl.Decimal(10, 2)),
        "nothing": [None, None, None],
    }
)
ARROW = pa.table(
    {
        "n": pa.array([1, None, 3], pa.int8()),
        "text": pa.array(["a", None, "ü"], pa.large_string()),
        "when": pa.array([0, None, 1], pa.timestamp("ns", "UTC")),
        "structs": pa.array([{"a": [1]}, None, {"a": None}], pa.struct([("a", pa.list_(pa.int64()))])),
        "words": pa.array(["x", "y", "x"]).dictionary_encode(),
    }
).replace_schema_metadata({"made": "by hand"})
LACKING = pa.table(
    {
        "maps": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
        "seconds": pa.array([0, None], pa.timestamp("s")),
    }
)

TABLES: dict[str, Any] = {
    "pandas frame": FRAME,
    "pandas kinds": KINDS,
    "pandas labels": LABELLED,
    "pandas levels": LEVELS,
    "pandas series": pd.Series([1.5, 2.5], name=("a", 1), index=[5, 7]),
    "pandas frame without rows": FRAME[:0],
    "pandas frame, IPC": frame({"s": pd.array([0, None], pd.ArrowDtype(pa.timestamp("s")))}),
    "polars frame": COLUMNS,
    "polars series": pl.Series("s", [1.5, None]),
    "polars lazy frame": COLUMNS.select("n", "text").lazy(),
    "polars frame without columns": pl.DataFrame(),
    "pyarrow table": ARROW,
    "pyarrow table, IPC": LACKING,
    "pyarrow batch": ARROW.select(["n", "text"]).to_batches()[0],
    "pyarrow chunked array": ARROW["n"],
    "pyarrow array": LACKING["maps"].chunk(0),
    "tables in a tree": {"parquet": [FRAME, (ARROW,)], "ipc": LACKING},
}

#: What the newest libraries write in a way of their own, and the oldest: text, and zones of pytz.
WRITTEN_BY: dict[str, dict[str, Any]] = {
    "newest": {"pandas text": frame({"text": pd.Series(["a", np.nan, "ü"], dtype=TEXT)}, TEXT)},
    "oldest": {"pandas zone": frame({"when": pd.DatetimeIndex(DAYS.values, tz="UTC").tz_convert("Europe/Berlin")})},
}
