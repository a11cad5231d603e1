"""What one would write in place of `handoff`: the best libraries for each kind, and the same care for the disk."""

from __future__ import annotations

import gzip
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

PIECE = 1024**2


class Way(NamedTuple):
    """How a value gets into a file and out of it."""

    save: Callable[[Any, Path], object]
    load: Callable[[Path], Any]

    def put(self, value: Any, path: Path) -> None:
        """Write a file so that a crash shows the old one or the new one."""
        unfinished = path.with_suffix(".tmp")
        self.save(value, unfinished)
        _flush(unfinished)
        unfinished.replace(path)
        _flush(path.parent)

    def get(self, path: Path) -> Any:
        """Read what was put."""
        return self.load(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _save_msgpack(value: Any, path: Path) -> None:
    import zstandard

    compressor = zstandard.ZstdCompressor(level=1, write_checksum=True, write_content_size=True)
    path.write_bytes(compressor.compress(msgspec.msgpack.encode(value)))


def _load_msgpack(path: Path, kind: Any = Any) -> Any:
    import zstandard

    return msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(path.read_bytes()), type=kind)


def _load_flights(path: Path) -> Any:
    from benchmarks.workloads import Flight

    return _load_msgpack(path, list[Flight])


def _save_pickle(value: Any, path: Path) -> None:
    path.write_bytes(gzip.compress(pickle.dumps(value, protocol=5)))


def _load_pickle(path: Path) -> Any:
    return pickle.loads(gzip.decompress(path.read_bytes()))


def _save_frame(frame: Any, path: Path) -> None:
    import pyarrow as pa

    _save_table(pa.Table.from_pandas(frame), path)


def _load_frame(path: Path) -> Any:
    return _load_table(path).to_pandas()


def _save_table(table: Any, path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, path, compression="zstd")


def _load_table(path: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.read_table(path)


def _save_polars(frame: Any, path: Path) -> None:
    frame.write_parquet(path, compression="zstd")


def _load_polars(path: Path) -> Any:
    import polars as pl

    return pl.read_parquet(path)


def _save_batches(batches: Any, path: Path) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, batches.schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)


def _load_batches(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    return pq.ParquetFile(path).iter_batches()


def _save_array(array: Any, path: Path) -> None:
    import numpy as np

    with path.open("wb") as file:
        np.save(file, array)


def _load_array(path: Path) -> Any:
    import numpy as np

    return np.load(path)


def _save_joblib(value: Any, path: Path) -> None:
    import joblib

    joblib.dump(value, path)


def _load_joblib(path: Path) -> Any:
    import joblib

    return joblib.load(path)


def _load_file(path: Path) -> Path:
    # What arrives is the reader's own, whatever becomes of what was put.
    own = path.with_suffix(".own")
    shutil.copyfile(path, own)
    return own


def _save_bytes(value: bytes, path: Path) -> None:
    path.write_bytes(value)


MSGPACK = Way(_save_msgpack, _load_msgpack)
RECORDS = Way(_save_msgpack, _load_flights)
PICKLE = Way(_save_pickle, _load_pickle)
JOBLIB = Way(_save_joblib, _load_joblib)
FRAME = Way(_save_frame, _load_frame)
TABLE = Way(_save_table, _load_table)
POLARS = Way(_save_polars, _load_polars)
STREAM = Way(_save_batches, _load_batches)
ARRAY = Way(_save_array, _load_array)
BYTES = Way(_save_bytes, Path.read_bytes)
FILE = Way(shutil.copyfile, _load_file)
