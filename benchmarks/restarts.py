"""Processes that put and get while their server is killed again and again: `python -m benchmarks.restarts --help`."""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import arguments, report, servers
from benchmarks.report import Sheet
from handoff import Address, HandoffError, Store

PROCESSES, ACTS, ADDRESSES, RESTARTS = 10, 1_000, 50, 5
#: Seconds that one call may take: a server that starts again answers within a few.
TIMEOUT = 60.0
SIZES = (1_000, 200_000)


@dataclass
class Tally:
    """What processes did, and what they saw."""

    puts: int = 0
    gets: int = 0
    #: Errors of this library by their class; and whatever else was raised, which should be nothing.
    errors: Counter[str] = field(default_factory=Counter)
    untyped: list[str] = field(default_factory=list)
    #: What was read and is no whole value, and what is older than was acknowledged before it was asked for.
    torn: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def add(self, other: Tally) -> None:
        """Take in what another has done."""
        self.puts, self.gets = self.puts + other.puts, self.gets + other.gets
        self.errors += other.errors
        self.slowest = max(self.slowest, other.slowest)
        for name in ("untyped", "torn", "lost"):
            getattr(self, name).extend(getattr(other, name))


def main() -> int:
    """Run it and show what was seen."""
    asked = parse_arguments()
    counts = (3, 40, 6, 1) if asked.smoke else (asked.processes, asked.acts, asked.addresses, asked.restarts)
    start = time.monotonic()
    with arguments.working_folder(None) as folder:
        tally = hammer(folder, *counts)
    show(tally, counts, time.monotonic() - start)
    return 1 if tally.torn or tally.lost or tally.untyped else 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.restarts",
        description="Let processes put and get values on a real S3 server while it is killed and started again. Each "
        "address has one writer, and all read; whoever reads what is no whole value, or is older than what was "
        "acknowledged before, says so.",
    )
    parser.add_argument("--processes", type=arguments.positive, default=PROCESSES, metavar="N", help="(%(default)s)")
    parser.add_argument("--acts", type=arguments.positive, default=ACTS, metavar="N", help="of each (%(default)s)")
    parser.add_argument("--addresses", type=arguments.positive, default=ADDRESSES, metavar="N", help="(%(default)s)")
    parser.add_argument("--restarts", type=arguments.positive, default=RESTARTS, metavar="N", help="(%(default)s)")
    parser.add_argument("--smoke", action="store_true", help="little of all, to see that it runs")
    return parser.parse_args()


def hammer(folder: Path, processes: int, acts: int, addresses: int, restarts: int) -> Tally:
    """Let processes act on a server that is killed so many times, spread over what they do."""
    context = multiprocessing.get_context("spawn")
    acknowledged, done = context.Array("l", addresses), context.Value("l", 0)
    results: Any = context.Queue()
    with servers.s3_to_restart(folder / "s3") as (options, restart):
        workers = [
            context.Process(target=act, args=(number, processes, acts, options, acknowledged, done, results))
            for number in range(processes)
        ]
        for worker in workers:
            worker.start()
        for number in range(1, restarts + 1):
            while done.value < processes * acts * number // (restarts + 1):
                time.sleep(0.02)
            restart()
        tally = Tally()
        for _ in workers:
            tally.add(results.get())
        for worker in workers:
            worker.join()
        tally.add(look_through(options, acknowledged))
    return tally


def act(number: int, of: int, acts: int, options: Any, acknowledged: Any, done: Any, results: Any) -> None:
    """Put at addresses of one's own, and get from all."""
    store, chance, tally = _store(options), random.Random(number), Tally()
    mine = range(number, len(acknowledged), of)
    for count in range(1, acts + 1):
        start = time.monotonic()
        try:
            if mine and chance.random() < 0.5:
                place = chance.choice(mine)
                store.put(_value(place, count, chance), _address(place), inline_limit=0)
                acknowledged[place] = count
                tally.puts += 1
            else:
                _read(store, chance.randrange(len(acknowledged)), acknowledged, tally)
        except HandoffError as error:
            tally.errors[type(error).__name__] += 1
        except Exception as error:  # noqa: BLE001 - that there is none is what is to be seen
            tally.untyped.append(repr(error))
        tally.slowest = max(tally.slowest, time.monotonic() - start)
        with done.get_lock():
            done.value += 1
    results.put(tally)


def look_through(options: Any, acknowledged: Any) -> Tally:
    """Read every address once more, when nobody writes."""
    store, tally = _store(options), Tally()
    for place in range(len(acknowledged)):
        try:
            _read(store, place, acknowledged, tally)
        except HandoffError as error:
            tally.lost.append(f"{place}: {error!r}")
    return tally


def show(tally: Tally, counts: tuple[int, ...], seconds: float) -> None:
    """Print what was seen."""
    processes, acts, addresses, restarts = counts
    title = f"{processes} processes × {acts:,} acts over {addresses} addresses, {restarts} restarts, {seconds:,.0f} s"
    errors = ", ".join(f"{many:,} {name}" for name, many in tally.errors.items())
    rows = {
        "puts acknowledged": f"{tally.puts:,}",
        "gets answered": f"{tally.gets:,}",
        "failed by an error of ours": errors or "0",
        "failed by any other": f"{len(tally.untyped):,}",
        "torn": f"{len(tally.torn):,}",
        "acknowledged and lost": f"{len(tally.lost):,}",
        "the slowest act": report.seconds(tally.slowest),
    }
    console = arguments.console()
    Sheet(title, ["", "seen"], [*rows.items()]).show(console)
    for text in (*tally.untyped, *tally.torn, *tally.lost)[:20]:
        console.print(text, highlight=False)


def _read(store: Store, place: int, acknowledged: Any, tally: Tally) -> None:
    known = acknowledged[place]
    if not known and not store.exists(_address(place)):
        return
    found = store.get(_address(place))
    tally.gets += 1
    if found["place"] != place or found["bytes"] != random.Random(found["seed"]).randbytes(found["size"]):
        tally.torn.append(f"{place}: {found['count']}")
    if found["count"] < known:
        tally.lost.append(f"{place}: {found['count']} is there, {known} was acknowledged")


def _value(place: int, count: int, chance: random.Random) -> dict[str, Any]:
    seed, size = chance.randrange(2**32), chance.choice(SIZES)
    return {"place": place, "count": count, "seed": seed, "size": size, "bytes": random.Random(seed).randbytes(size)}


def _address(place: int) -> Address:
    return Address("dag", "run", "task", place)


def _store(options: Any) -> Store:
    return Store(f"s3://{servers.BUCKET}/restarts", storage_options=options, timeout=TIMEOUT)


if __name__ == "__main__":
    sys.exit(main())
