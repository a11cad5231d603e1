"""The values behind the golden files: every extension of a tree, arrays, files, and what travels plain or in one message."""

from __future__ import annotations

import datetime as dt
import struct
from decimal import Decimal
from pathlib import Path, PosixPath, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

import numpy as np

from handoff import Address, File

HERE = Path(__file__).parent
# Each bit of a float is kept, a signalling NaN's too.
ODD_NAN = struct.unpack(">d", bytes.fromhex("7ff4000000000001"))[0]
BERLIN = ZoneInfo("Europe/Berlin")
DEEP: Any = 1
for _ in range(128):
    DEEP = [DEEP]
SCALARS = "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16 >i4 >f8 M8[ns] M8[25s] m8[D]"

TREES: dict[str, Any] = {
    "none": None,
    "true": True,
    "integer": 42,
    "float": 2.5,
    "float that looks like an integer": 5.0,
    "text": "Grüße, \U0001f600\u2028",
    "bytes": b"\0\xff",
    "list": [1, 2.5, "x", None, False, [], {}],
    "dict": {"b": 1, "a": {"c": [1.5]}, "": None},
    "integers": [0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63 - 1, 2**64 - 1, -1, -32, -33, -128, -129, -32_768, -32_769, -(2**31) - 1, -(2**63)],
    "integers beyond 64 bits": [2**64, -(2**63) - 1, 2**200, -(2**200), 2**71, -(2**71)],
    "floats": [0.1, -0.0, 1e16, 5e-324, 1.7976931348623157e308, float("inf"), float("-inf"), float("nan"), ODD_NAN],
    "sizes": ["x" * n for n in (31, 32, 255, 256, 65_536)] + [b"y" * n for n in (255, 256, 65_536)] + [[0] * 15, [0] * 16, [0] * 65_536],
    "large dict": {f"k{n}": n for n in range(16)},
    "dict of native keys": {1: "a", 2.5: "b", None: "c", b"d": "d", "e": "e", False: "f"},
    "tuples": ((), (1,), (1, (2, [3]))),
    "sets": [set(), {3, 1, 2, "b", "a"}, frozenset(), frozenset({(1, 2), frozenset({3})})],
    "dict of any keys": {(1, 2): "a", 2**64: "b", "\ud800": "c", "d": {dt.date(2013, 1, 1): 1}},
    "surrogates": ["\ud800", "a\udfffb", "\ud83d\ude00", "ä\U0001f600\udc00"],
    "bytearray": bytearray(b"\1\2"),
    "complex": [1 + 2j, complex("nan-infj"), complex(-0.0, 0.0)],
    "decimals": [Decimal(text) for text in ("1.10", "-0E+3", "1E-400", "NaN12", "-sNaN", "Infinity", "-Infinity", "0.000001", "1E+5")],
    "uuids": [UUID(int=1), UUID(int=2, is_safe=SafeUUID.safe), UUID(int=3, is_safe=SafeUUID.unsafe)],
    "dates": [dt.date.min, dt.date(2013, 1, 1), dt.date.max],
    "times": [dt.time(), dt.time(23, 59, 59, 5), dt.time(2, 30, fold=1), dt.time(1, tzinfo=dt.UTC)],
    "date-times": [
        dt.datetime(2013, 1, 1), dt.datetime(1, 1, 1, 1, 1, 1, 1), dt.datetime(2013, 10, 27, 2, 30, fold=1, tzinfo=BERLIN),
        dt.datetime(2013, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-5, microseconds=1))), dt.datetime(2013, 1, 1, tzinfo=dt.timezone(dt.timedelta(0), "Z\ud800")),
    ],
    "timedeltas": [dt.timedelta(), dt.timedelta(days=-1, microseconds=1), dt.timedelta.max],
    "paths": [PurePosixPath("a/../b"), PosixPath("/x"), PureWindowsPath("C:\\a"), PurePosixPath("\udcff")],
    "numpy scalars": [*(np.ones(1, dtype)[0] for dtype in SCALARS.split()), np.bool_(False), np.str_("ä\ud800"), np.bytes_(b"\0\1")],
    "numpy boolean": np.True_,
    "128 levels": DEEP,
}  # fmt: skip

POINT = np.dtype([("x", "<i4"), ("it's", ">f8", (2,)), ("in", [("name", "<U2"), ("raw", "S3")])])
ARRAYS: dict[str, Any] = {
    "array": np.arange(6, dtype="<f8").reshape(2, 3) / 4,
    "array in Fortran's order": np.asfortranarray(np.arange(6, dtype="<i4").reshape(2, 3)),
    "array of no dimension": np.array(7, "<u2"),
    "array without elements": np.empty((0, 3), "|b1"),
    "array of moments": np.array(["2013-01-01", "NaT"], "<M8[ns]"),
    "array of records": np.array([(1, (2.5, -1), ("ä", b"abc")), (-1, (0, 0), ("", b""))], POINT),
    "array with a name of Latin-1": np.ones(2, [("é\x85", "<i2")]),
    "array with a name beyond": np.ones(2, [("温度", "<i2")]),
    "arrays in a tree": {dtype: np.ones(2, dtype) for dtype in f"{SCALARS} U2 S3".split()},
}

FILES: dict[str, Any] = {
    "file": File(HERE / "report.csv"),
    "file of another name": File(HERE / "report.csv", name="Bericht, ä.csv"),
}

VALUES = TREES | ARRAYS | FILES

#: What travels in one message: as a list, of which some elements are stored, and by names.
MANY: list[Any] = [1, 5.0, "x", (1, 2), [None], list(range(300)), {"__a": 1}, np.arange(50)]
NAMED: dict[str, Any] = {"plain": [1], "large": list(range(1000)), "odd": (5.0, b"x")}

#: Addresses whose paths are among the golden files.
ADDRESSES = [
    Address("flights", "manual__2013-01-01T00:00:00+00:00", "extract"),
    Address("a", "b", "c", 0, "k", 0),
    Address("..", ".", "-rf /", 2**31 - 1, "~", 2**31 - 1),
    Address("a.b", ".a.", "CON", key="item=5"),
    Address("ü%2F", "\n", "\x7f\U0001f600", key="a:b"),
    Address("d" * 193, "r" * 194, "t" * 192),
    Address("ä" * 100, "r" + "ä" * 100, "tt" + "ä" * 100, key="k" * 201),
    Address("d", "r", "t", key="%" * 66),
    Address("d", "r", "t", key="%" * 67),
]


def at(name: str, run: str) -> Address:
    """Give the address of a golden value."""
    return Address("golden", run, name)
