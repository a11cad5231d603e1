"""Who takes part: `handoff`, what one would write by hand, and others. All put into a folder or a bucket, and get."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

from benchmarks import by_hand
from benchmarks.by_hand import Way
from benchmarks.kinds import KINDS
from benchmarks.workloads import Flight
from handoff import Address, File, Store
from handoff.envelope import Handoff

OURS, BY_HAND, AIRFLOW = "handoff", "by hand", "Airflow's own"
JOBLIB = "joblib"
#: What is written by hand for each kind, and how that is called.
LINES = {
    "flights": (by_hand.FRAME, "pyarrow.parquet"),
    "records": (by_hand.RECORDS, "msgspec + zstd"),
    "mixed": (by_hand.FRAME, "pyarrow.parquet"),
    "numbers": (by_hand.FRAME, "pyarrow.parquet"),
    "text": (by_hand.FRAME, "pyarrow.parquet"),
    "polars": (by_hand.POLARS, "write_parquet"),
    "arrow": (by_hand.TABLE, "pyarrow.parquet"),
    "stream": (by_hand.STREAM, "ParquetWriter"),
    "floats": (by_hand.ARRAY, "np.save"),
    "small ints": (by_hand.ARRAY, "np.save"),
    "file": (by_hand.FILE, "shutil"),
    "small": (by_hand.MSGPACK, "msgspec + zstd"),
    "config": (by_hand.MSGPACK, "msgspec + zstd"),
    "nested": (by_hand.MSGPACK, "msgspec + zstd"),
    "chunks": (by_hand.MSGPACK, "msgspec + zstd"),
    "bytes": (by_hand.BYTES, "write_bytes"),
}


class Contender(Protocol):
    """Puts a value, and gets it back by what the put gave, in another process."""

    def put(self, value: Any) -> Any:
        """Keep a value; what is given in its place can be written as JSON."""
        ...

    def get(self, reference: Any) -> Any:
        """Give the value that was put."""
        ...


def contender(who: str, kind: str, root: str, options: Mapping[str, Any], name: str = "value") -> Contender:
    """Give a contender for values of a kind, on a local folder or an S3 root; what it puts bears a name."""
    if who == OURS:
        return _Ours(kind, root, options, name)
    if who == AIRFLOW:
        return _Airflow()
    way = LINES[kind][0] if who == BY_HAND else by_hand.JOBLIB
    return _OnS3(way, f"{root}/{name}", options) if root.startswith("s3://") else _InFolder(way, Path(root, name))


class _Ours:
    def __init__(self, kind: str, root: str, options: Mapping[str, Any], name: str) -> None:
        self._store = Store(root, storage_options=options)
        self._address = Address("dag", name, "task")
        self._kind = kind

    def put(self, value: Any) -> Any:
        value = File(value) if self._kind == "file" else value
        return self._store.put(value, self._address, inline_limit=0).to_json()

    def get(self, reference: Any) -> Any:
        return self._store.get(Handoff.from_json(reference), type=self._wanted())

    def _wanted(self) -> Any:
        if self._kind == "records":
            return list[Flight]
        package, _, name = KINDS[self._kind].wanted.rpartition(".")
        return getattr(import_module(package), name) if package else Any


class _InFolder:
    def __init__(self, way: Way, path: Path) -> None:
        self._way = way
        self._path = path
        path.parent.mkdir(exist_ok=True)

    def put(self, value: Any) -> Any:
        self._way.put(value, self._path)
        return str(self._path)

    def get(self, reference: Any) -> Any:
        return self._way.get(Path(reference))


class _OnS3:
    """A file that is uploaded whole, and fetched whole: what S3 shows is one version."""

    def __init__(self, way: Way, url: str, options: Mapping[str, Any]) -> None:
        import s3fs

        self._way = way
        self._url = url
        self._filesystem = s3fs.S3FileSystem(**options, use_listings_cache=False)

    def put(self, value: Any) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "value"
            self._way.save(value, path)
            self._filesystem.put_file(str(path), self._url)
        return self._url

    def get(self, reference: Any) -> Any:
        folder = tempfile.mkdtemp()  # below what the parent removes: a stream is read from it after this
        path = Path(folder) / "value"
        self._filesystem.get_file(reference, str(path))
        return self._way.load(path)


class _Airflow:
    """Airflow's own backend, called as Airflow calls it for a task that returned and one that takes."""

    def __init__(self) -> None:
        module = import_module("airflow.providers.common.io.xcom.backend")
        self._backend = module.XComObjectStorageBackend

    def put(self, value: Any) -> Any:
        row = self._backend.serialize_value(
            value, key="return_value", task_id="task", dag_id="dag", run_id="run", map_index=-1
        )
        return row.decode() if isinstance(row, bytes) else row

    def get(self, reference: Any) -> Any:
        return self._backend.deserialize_value(SimpleNamespace(value=reference))


def settings(root: str, home: str) -> dict[str, str]:
    """Give the environment in which Airflow's own backend stores every value in a folder."""
    return {
        "AIRFLOW_HOME": home,
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": f"file://{os.path.abspath(root)}",
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "0",
        "AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES": "airflow.* benchmarks.*",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
