"""What one would write by hand: the same libraries, and the same care for the disk."""

from __future__ import annotations

import gzip
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard


class Way(NamedTuple):
    """How a value gets into a file and out of it."""

    put: Callable[[Any, Path], None]
    get: Callable[[Path], Any]


def _put_msgpack(value: Any, path: Path) -> None:
    compressor = zstandard.ZstdCompressor(level=1, write_checksum=True, write_content_size=True)
    _write(path, compressor.compress(msgspec.msgpack.encode(value)))


def _get_msgpack(path: Path) -> Any:
    return msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(path.read_bytes()))


def _put_pickle(value: Any, path: Path) -> None:
    _write(path, gzip.compress(pickle.dumps(value, protocol=5)))


def _get_pickle(path: Path) -> Any:
    return pickle.loads(gzip.decompress(path.read_bytes()))


def _put_frame(frame: pd.DataFrame, path: Path) -> None:
    _put_table(pa.Table.from_pandas(frame), path)


def _get_frame(path: Path) -> pd.DataFrame:
    return _get_table(path).to_pandas()


def _put_table(table: pa.Table, path: Path) -> None:
    unfinished = path.with_suffix(".tmp")
    pq.write_table(table, unfinished, compression="zstd")
    _flush(unfinished)
    unfinished.replace(path)
    _flush(path.parent)


def _get_table(path: Path) -> pa.Table:
    return pq.read_table(path)


def _write(path: Path, data: bytes) -> None:
    """Write a file so that a crash shows the old one or the new one."""
    unfinished = path.with_suffix(".tmp")
    unfinished.write_bytes(data)
    _flush(unfinished)
    unfinished.replace(path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


MSGPACK = Way(_put_msgpack, _get_msgpack)
PICKLE = Way(_put_pickle, _get_pickle)
FRAME = Way(_put_frame, _get_frame)
TABLE = Way(_put_table, _get_table)
