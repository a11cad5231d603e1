"""Ways to read many artifacts from S3, each in a process of its own: ours, and those of the raw clients."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import apart
from benchmarks.apart import Outcome
from handoff import Store
from handoff.envelope import Handoff, Stored

_REPOSITORY = Path(__file__).parent.parent


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """What one process reads, and how."""

    way: str
    width: int
    #: A URL of a root, the options that reach it, and the file with the envelopes of all that is in it.
    root: str
    options: dict[str, Any]
    envelopes: str
    #: Where the outcome goes.
    folder: str


def run(act: Act, timeout: float) -> Outcome:
    """Read in a fresh process, which is ended where it takes too long."""
    outcome = Path(act.folder, "outcome.json")
    outcome.unlink(missing_ok=True)
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.gathering", msgspec.json.encode(act).decode()]
    try:
        done = subprocess.run(command, cwd=_REPOSITORY, capture_output=True, text=True, check=False, timeout=timeout)
    except subprocess.TimeoutExpired:
        return Outcome(error=f"not done after {timeout:g} s")
    if not outcome.exists():
        lines = done.stderr.strip().splitlines()
        return Outcome(error=lines[-1] if lines else f"ended by {done.returncode}")
    return msgspec.json.decode(outcome.read_bytes(), type=Outcome)


def main() -> None:
    """Do the act that the command line describes."""
    act = msgspec.json.decode(sys.argv[1], type=Act)
    try:
        outcome = _perform(act)
    except ModuleNotFoundError as error:
        outcome = Outcome(error=f"not run: {error.name} is not installed")
    Path(act.folder, "outcome.json").write_bytes(msgspec.json.encode(outcome))


def _perform(act: Act) -> Outcome:
    handoffs = [Handoff.from_json(one) for one in msgspec.json.decode(Path(act.envelopes).read_bytes())]
    stored = [one for one in handoffs if isinstance(one, Stored)]
    read = WAYS[act.way](act)
    read(stored[:2])  # the libraries are loaded, and a connection is open
    outcome, outcome.size = apart.measured(lambda: sum(map(len, read(stored))))
    outcome.stored = sum(one.size for one in stored)
    return outcome


_Read = Callable[[list[Stored]], Iterable[bytes]]


def _store(act: Act) -> Store:
    return Store(act.root, storage_options=act.options)


def _loop(act: Act) -> _Read:
    store = _store(act)
    return lambda stored: [store.get(one) for one in stored]


def _get_many(act: Act) -> _Read:
    store = _store(act)
    return lambda stored: store.get_many(stored, width=act.width)


def _iter_many(act: Act) -> _Read:
    store = _store(act)
    return lambda stored: store.iter_many(stored, width=act.width)


def _aget_many(act: Act) -> _Read:
    store = _store(act)
    return lambda stored: asyncio.run(store.aget_many(stored, width=act.width))


def _s3fs_loop(act: Act) -> _Read:
    filesystem, names = _s3fs(act)
    return lambda stored: [filesystem.cat_file(name, max_concurrency=1) for name in names(stored)]


def _s3fs_cat(act: Act) -> _Read:
    filesystem, names = _s3fs(act)
    return lambda stored: filesystem.cat(names(stored), batch_size=act.width).values()


def _s3fs(act: Act) -> tuple[Any, Callable[[list[Stored]], list[str]]]:
    import s3fs

    # Where there are fewer connections than calls, calls wait for one: botocore has ten, where nothing else is said.
    options = {**act.options, "config_kwargs": {"max_pool_connections": max(10, act.width)}}
    filesystem = s3fs.S3FileSystem(**options, use_listings_cache=False)
    return filesystem, lambda stored: [_name(act, one) for one in stored]


def _boto3_threads(act: Act) -> _Read:
    import boto3
    from botocore.config import Config

    keys = {"aws_access_key_id": act.options["key"], "aws_secret_access_key": act.options["secret"]}
    config = Config(max_pool_connections=act.width)
    client: Any = boto3.client("s3", config=config, **keys, **act.options["client_kwargs"])

    def read(one: Stored) -> bytes:
        bucket, _, key = _name(act, one).partition("/")
        data: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return data

    def all_of(stored: list[Stored]) -> Iterator[bytes]:
        with ThreadPoolExecutor(act.width) as threads:
            yield from list(threads.map(read, stored))

    return all_of


def _obstore(act: Act) -> _Read:
    import obstore
    from obstore.store import S3Store

    bucket = _name_of_bucket(act)
    store: Any = S3Store(
        bucket,
        access_key_id=act.options["key"],
        secret_access_key=act.options["secret"],
        endpoint=act.options["client_kwargs"]["endpoint_url"],
        region=act.options["client_kwargs"]["region_name"],
        client_options={"allow_http": True},
    )

    async def read_all(stored: list[Stored]) -> list[bytes]:
        turns = asyncio.Semaphore(act.width)

        async def read(one: Stored) -> bytes:
            async with turns:
                found = await obstore.get_async(store, _name(act, one).partition("/")[2])
                return bytes(await found.bytes_async())

        return await asyncio.gather(*map(read, stored))

    return lambda stored: asyncio.run(read_all(stored))


def _name(act: Act, one: Stored) -> str:
    return f"{act.root.removeprefix('s3://')}/{one.address.path}"


def _name_of_bucket(act: Act) -> str:
    return act.root.removeprefix("s3://").partition("/")[0]


LOOP, GET_MANY, ITER_MANY, AGET_MANY = "loop", "get_many", "iter_many", "aget_many"
S3FS_LOOP, S3FS_CAT, BOTO3, OBSTORE = "s3fs loop", "s3fs cat", "boto3 threads", "obstore"
WAYS: dict[str, Callable[[Act], _Read]] = {
    LOOP: _loop,
    GET_MANY: _get_many,
    ITER_MANY: _iter_many,
    AGET_MANY: _aget_many,
    S3FS_LOOP: _s3fs_loop,
    S3FS_CAT: _s3fs_cat,
    BOTO3: _boto3_threads,
    OBSTORE: _obstore,
}


if __name__ == "__main__":
    main()
