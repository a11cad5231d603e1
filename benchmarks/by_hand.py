"""What one would write by hand: the same libraries, and the same care for the disk."""

from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard


def write(path: Path, data: bytes) -> None:
    """Write a file so that a crash shows the old one or the new one."""
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("wb", buffering=0) as file:
        file.write(data)
        os.fsync(file.fileno())
    unfinished.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def put_msgpack(value: Any, path: Path) -> None:
    """Encode, compress, write."""
    compressor = zstandard.ZstdCompressor(level=1, write_checksum=True, write_content_size=True)
    write(path, compressor.compress(msgspec.msgpack.encode(value)))


def get_msgpack(path: Path) -> Any:
    """Read, decompress, decode."""
    return msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(path.read_bytes()))


def put_pickle(value: Any, path: Path) -> None:
    """Pickle and gzip, as tutorials show it."""
    write(path, gzip.compress(pickle.dumps(value, protocol=5)))


def get_pickle(path: Path) -> Any:
    """Read what `put_pickle` wrote."""
    return pickle.loads(gzip.decompress(path.read_bytes()))


def put_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a pandas frame as Parquet."""
    put_table(pa.Table.from_pandas(frame), path)


def get_frame(path: Path) -> pd.DataFrame:
    """Read a pandas frame from Parquet."""
    return get_table(path).to_pandas()


def put_table(table: pa.Table, path: Path) -> None:
    """Write an Arrow table as Parquet."""
    unfinished = path.with_suffix(".tmp")
    pq.write_table(table, unfinished, compression="zstd")
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def get_table(path: Path) -> pa.Table:
    """Read an Arrow table from Parquet."""
    return pq.read_table(path)
