"""Who takes part beside the peers: `handoff`, what people use in its place, and raw clients as the floor."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

from benchmarks import by_hand, contenders
from benchmarks.contenders import BY_HAND, JOBLIB, LINES, OURS
from handoff import Address, File, Store
from handoff.envelope import Handoff

XCOM, STORAGE, STORAGE_GZIP = "Airflow XCom", "Airflow object storage", "Airflow object storage, gzip"
TUTORIAL = "S3 + pickle + gzip"
PREFECT, PREFECT_JSON, PREFECT_SMALL = "Prefect pickle", "Prefect json", "Prefect compressed/pickle"
BOTO3, OBSTORE = "boto3 alone", "obstore alone"
OF_AIRFLOW = (XCOM, STORAGE, STORAGE_GZIP)
OF_PREFECT = (PREFECT, PREFECT_JSON, PREFECT_SMALL)
#: These move bytes, and know of no values: they get those that are written by hand.
FLOORS = (BOTO3, OBSTORE)
ALL = (OURS, BY_HAND, JOBLIB, TUTORIAL, *OF_AIRFLOW, *OF_PREFECT, *FLOORS)
#: These write into a folder and leave it to the system when that is on the disk.
UNFLUSHED = (STORAGE, STORAGE_GZIP, *OF_PREFECT, OBSTORE)
#: So many requests of theirs are under way at once, where there is more than one: as many as `get_many` has.
THREADS = 16
LOCAL, S3 = "local", "s3"
#: What is imported before a turn is taken, where it is installed.
_COMMON = ("numpy", "pandas", "pyarrow.parquet", "zstandard", "s3fs")
_OURS = ("handoff.storage._s3", "handoff.codecs.tree", "handoff.codecs.table", "handoff.codecs.array")
_AIRFLOW = ("common.io.xcom.backend", "amazon.aws.fs.s3")
_PREFECT = ("prefect.serializers", "prefect.filesystems")
MODULES = {
    "airflow": (*_COMMON, "airflow.sdk.bases.xcom", *(f"airflow.providers.{name}" for name in _AIRFLOW)),
    "prefect": (*_COMMON, *_PREFECT),
    "": (*_COMMON, *_OURS, "boto3", "joblib", "obstore"),
}
#: Who has no part on a root, and why.
NOT_ON = {
    (XCOM, S3): "not run: it is kept in the database",
    (BOTO3, LOCAL): "not run: it speaks to S3 alone",
}


class Whole(Protocol):
    """Puts a value under a name, and gets it back; how it is encoded is its own affair."""

    def put(self, value: Any, name: str) -> Any:
        """Keep a value, and give what finds it."""
        ...

    def get(self, reference: Any) -> Any:
        """Give the value that was put."""
        ...


class Codec(NamedTuple):
    """How a value is made into bytes, and bytes into a value: apart from where they are kept."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


class Place(NamedTuple):
    """Where bytes are kept under a name."""

    write: Callable[[str, bytes], object]
    read: Callable[[str], bytes]


def belongs_to(who: str) -> str:
    """Name the environment that somebody needs; nothing for the one of this library."""
    return "airflow" if who in OF_AIRFLOW else "prefect" if who in OF_PREFECT else ""


def codec(who: str, kind: str, folder: Path) -> Codec | None:
    """Give how somebody encodes, where that can be told apart from the keeping."""
    makers = {TUTORIAL: _pickle_gzip, XCOM: _xcom, BOTO3: _nothing, OBSTORE: _nothing}
    makers |= {name: lambda name=name: _prefect(name) for name in OF_PREFECT}
    if who not in makers:
        return None
    found = makers[who]()
    if kind == "file" and who not in FLOORS:
        return Codec(
            lambda path: found.encode(path.read_bytes()), lambda data: _own_file(folder, bytes(found.decode(data)))
        )
    return found


def place(who: str, root: str, options: Mapping[str, Any]) -> Place:
    """Give where somebody keeps bytes: a folder or an S3 root."""
    is_s3 = root.startswith("s3://")
    if not is_s3:
        os.makedirs(root, exist_ok=True)
    if who == XCOM:
        return _row(root)
    if who in OF_PREFECT:
        return _prefect_blocks(root, options)
    if who == OBSTORE:
        return _obstore(root, options)
    return _boto3(root, options) if is_s3 else _folder(root)


def whole(who: str, kind: str, root: str, options: Mapping[str, Any], folder: Path) -> Whole:
    """Give somebody who encodes and keeps in one."""
    named = contenders.AIRFLOW if who in OF_AIRFLOW else who
    found = _Ours(kind, root, options) if who == OURS else _Named(named, kind, root, options)
    return _OfFiles(found, folder) if kind == "file" and who not in (OURS, BY_HAND) else found


def anyone(who: str, kind: str, root: str, options: Mapping[str, Any], folder: Path) -> Whole:
    """Give somebody as one who encodes and keeps, even where the two can be told apart."""
    found = codec(who, kind, folder)
    return _Coded(found, place(who, root, options)) if found else whole(who, kind, root, options, folder)


def payload(kind: str, value: Any, folder: Path) -> bytes:
    """Give the bytes that a line written by hand makes of a value: what a floor moves."""
    path = folder / "payload"
    LINES[kind][0].save(value, path)
    try:
        return path.read_bytes()
    finally:
        path.unlink()


def environment(who: str, root: str, options: Mapping[str, Any], home: str) -> dict[str, str]:
    """Give the environment in which a contender works."""
    found = {"PREFECT_HOME": f"{home}/prefect", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    if who not in OF_AIRFLOW:
        return found
    found = contenders.settings(root, f"{home}/airflow")
    if who == STORAGE_GZIP:
        found["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION"] = "gzip"
    if root.startswith("s3://"):
        extra = options["client_kwargs"]
        connection = {"conn_type": "aws", "login": options["key"], "password": options["secret"], "extra": extra}
        found["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps(connection)
        found["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"] = f"s3://aws_default@{root.removeprefix('s3://')}"
    return found


class _Ours:
    def __init__(self, kind: str, root: str, options: Mapping[str, Any]) -> None:
        self._kind = kind
        self._store = Store(root, storage_options=options)
        self._wanted = list[contenders.Flight] if kind == "records" else Any

    def put(self, value: Any, name: str) -> Any:
        value = File(value) if self._kind == "file" else value
        return self._store.put(value, Address("dag", name, "task"), inline_limit=0).to_json()

    def get(self, reference: Any) -> Any:
        return self._store.get(Handoff.from_json(reference), type=self._wanted)


class _Coded:
    """One whose encoding is known, and where the bytes are kept."""

    def __init__(self, codec: Codec, place: Place) -> None:
        self._codec = codec
        self._place = place

    def put(self, value: Any, name: str) -> Any:
        self._place.write(name, self._codec.encode(value))
        return name

    def get(self, reference: Any) -> Any:
        return self._codec.decode(self._place.read(reference))


class _Named:
    """One that is made for each name."""

    def __init__(self, *made_of: Any) -> None:
        self._made_of = made_of

    def put(self, value: Any, name: str) -> Any:
        return name, contenders.contender(*self._made_of, name=name).put(value)

    def get(self, reference: Any) -> Any:
        name, given = reference
        return contenders.contender(*self._made_of, name=name).get(given)


class _OfFiles:
    """For one that takes no file: its bytes are handed over, and written to a file of the reader's own."""

    def __init__(self, of_bytes: Whole, folder: Path) -> None:
        self._of_bytes = of_bytes
        self._folder = folder

    def put(self, value: Any, name: str) -> Any:
        return self._of_bytes.put(value.read_bytes(), name)

    def get(self, reference: Any) -> Any:
        return _own_file(self._folder, self._of_bytes.get(reference))


def _own_file(folder: Path, data: bytes) -> Path:
    descriptor, path = tempfile.mkstemp(dir=folder)
    with open(descriptor, "wb") as file:
        file.write(data)
    return Path(path)


def _nothing() -> Codec:
    return Codec(lambda data: data, lambda data: data)


def _pickle_gzip() -> Codec:
    """Give what custom backends do in tutorials, with the level that gzip has where none is named."""
    return Codec(lambda value: gzip.compress(pickle.dumps(value)), lambda data: pickle.loads(gzip.decompress(data)))


def _xcom() -> Codec:
    """Give what Airflow does with a result where no backend is set, as the JSON that the database keeps."""
    base = import_module("airflow.sdk.bases.xcom").BaseXCom
    return Codec(
        lambda value: json.dumps(base.serialize_value(value)).encode(),
        lambda data: base.deserialize_value(SimpleNamespace(value=json.loads(data))),
    )


def _prefect(who: str) -> Codec:
    module = import_module("prefect.serializers")
    names = {
        PREFECT: "PickleSerializer",
        PREFECT_JSON: "JSONSerializer",
        PREFECT_SMALL: "CompressedPickleSerializer",
    }
    found = getattr(module, names[who])()
    return Codec(found.dumps, found.loads)


def _folder(root: str) -> Place:
    """Give files written with care: the way that is used for all that is written by hand."""
    way, below = by_hand.BYTES, Path(root)
    return Place(lambda name, data: way.put(data, below / name), lambda name: way.get(below / name))


def _row(root: str) -> Place:
    """Give rows of a table in SQLite, each committed; the way there through Airflow's API is left out."""
    connection = sqlite3.connect(Path(root, "rows.db"))
    connection.execute("CREATE TABLE IF NOT EXISTS xcom (name TEXT PRIMARY KEY, value TEXT)")

    def write(name: str, data: bytes) -> None:
        with connection:
            connection.execute("INSERT INTO xcom VALUES (?, ?)", (name, data))

    def read(name: str) -> bytes:
        (found,) = connection.execute("SELECT value FROM xcom WHERE name = ?", (name,)).fetchone()
        return bytes(found)

    return Place(write, read)


def _prefect_blocks(root: str, options: Mapping[str, Any]) -> Place:
    module = import_module("prefect.filesystems")
    if root.startswith("s3://"):
        block = module.RemoteFileSystem(basepath=root, settings=dict(options))
    else:
        block = module.LocalFileSystem(basepath=root)
    return Place(block.write_path, block.read_path)


def _boto3(root: str, options: Mapping[str, Any]) -> Place:
    boto3: Any = import_module("boto3")
    keys = {"aws_access_key_id": options["key"], "aws_secret_access_key": options["secret"]}
    config = import_module("botocore.config").Config(max_pool_connections=THREADS)
    client = boto3.client("s3", config=config, **keys, **options["client_kwargs"])
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    return Place(
        lambda name, data: client.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=data),
        lambda name: client.get_object(Bucket=bucket, Key=f"{prefix}/{name}")["Body"].read(),
    )


def _obstore(root: str, options: Mapping[str, Any]) -> Place:
    obstore: Any = import_module("obstore")
    stores: Any = import_module("obstore.store")
    if root.startswith("s3://"):
        bucket, _, prefix = root.removeprefix("s3://").partition("/")
        store = stores.S3Store(
            bucket,
            prefix=prefix,
            access_key_id=options["key"],
            secret_access_key=options["secret"],
            endpoint=options["client_kwargs"]["endpoint_url"],
            region=options["client_kwargs"]["region_name"],
            client_options={"allow_http": True},
        )
    else:
        store = stores.LocalStore(root)
    return Place(
        lambda name, data: obstore.put(store, name, data), lambda name: bytes(obstore.get(store, name).bytes())
    )
