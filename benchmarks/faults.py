"""What becomes of each operation when the network, or the store, fails: `python -m benchmarks.faults`.

A fault is played by a proxy before a real server, once or every time, and has one outcome: it is mended, or it is an
error of ours.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import numpy as np

from benchmarks import proxy, servers
from benchmarks.proxy import Answer, Exchange, Fault, Proxy
from benchmarks.report import Sheet
from handoff import Address, Store
from handoff.testing import same

STORES = {"S3": ("s3", servers.s3), "GCS": ("gs", servers.gcs)}
LONG = 15.0  # seconds that one call to the storage may take, where it ends by itself
SHORT, SHORT_IN_PARTS = 1.5, 8.0  # and where it may go on until then
HANGS = 30.0  # seconds after which nothing more is hoped for
MENDED = "mended"
VALUE, PAST = np.random.default_rng(1).standard_normal(30_000), np.random.default_rng(2).standard_normal(30_000)
LARGE = np.random.default_rng(3).standard_normal(2_200_000)  # above what is held in memory: it goes up in parts


def refused(status: int, s3: str, gcs: str = "") -> Fault:
    """Give a fault that answers in place of the server."""

    def play(exchange: Exchange) -> None:
        exchange.complain(status, gcs if gcs and exchange.is_gcs else s3)

    return play


def reset_midway(exchange: Exchange) -> None:
    """Take half of what comes up, or give half of what goes down, and reset the connection."""
    if int(exchange.headers.get("Content-Length", 0)):
        exchange.take(0.5)
    else:
        exchange.give(exchange.ask(), 0.5)
    exchange.reset()


def stop_midway(exchange: Exchange) -> None:
    """As `reset_midway`, but say nothing more."""
    if int(exchange.headers.get("Content-Length", 0)):
        exchange.take(0.5)
    else:
        exchange.give(exchange.ask(), 0.5)
    exchange.stall()


def cut_short(exchange: Exchange) -> None:
    """Close the connection in good order before all of the body has been given."""
    exchange.give(exchange.ask(), 0.5)
    exchange.close()


def cut_short_unsaid(exchange: Exchange) -> None:
    """Give half of the body as if it were all."""
    exchange.give(exchange.ask(), 0.5, length=False)


def flip_down(exchange: Exchange) -> None:
    """Change a byte of the answer."""
    answer = exchange.ask()
    exchange.give(Answer(answer.status, answer.headers, flipped(answer.body)))


def flip_up(exchange: Exchange) -> None:
    """Change a byte of what is sent."""
    exchange.give(exchange.ask(flipped(exchange.take())))


def lose_answer(exchange: Exchange) -> None:
    """Let the server do its work, and say nothing of it."""
    exchange.ask()
    exchange.reset()


def complain_late(exchange: Exchange) -> None:
    """Say in the body of a good answer that it failed, as S3 does where many parts become one object."""
    exchange.take()
    error = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>played by a proxy</Message></Error>"
    exchange.give(Answer(200, [("Content-Type", "application/xml")], error))


def flipped(body: bytes) -> bytes:
    """Change one bit in the middle."""
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :] if body else body


ALL = ("put", "get", "exists", "delete", "list")
PARTS = ("put in parts",)
DENIED, DAMAGED, UNREACHABLE = "DeniedError", "DamagedError", "UnreachableError"


@dataclass(frozen=True)
class Case:
    """A fault, the acts that it happens to, and what becomes of them: when it happens once, and when every time.

    Arguments: ``verb``, of the requests that it happens to; ``gcs``, whether GCS knows it too.
    """

    fault: Fault
    acts: Sequence[str]
    once: str = MENDED
    always: str = UNREACHABLE
    verb: str = ""
    gcs: bool = True


FAILS = refused(500, "InternalError", "backendError")
#: What goes wrong, by the name that it has on the page.
CASES = {
    "500 internal error": Case(FAILS, ALL),
    "503 slow down": Case(refused(503, "SlowDown", "backendError"), ALL),
    "429 too many requests": Case(refused(429, "TooManyRequests", "rateLimitExceeded"), ("put", "get")),
    "connection reset before an answer": Case(Exchange.reset, ALL),
    "connection reset midway": Case(reset_midway, ("put", "get", "list")),
    "body shorter than its length": Case(cut_short, ("get", "list")),
    "body cut short, without a length": Case(cut_short_unsaid, ("get",), always=DAMAGED),
    "flipped byte, going down": Case(flip_down, ("get",), always=DAMAGED),
    "flipped byte, going up": Case(flip_up, ("put",)),
    "no answer": Case(Exchange.stall, ALL, once=UNREACHABLE),
    "transfer that stops midway": Case(stop_midway, ("put", "get"), once=UNREACHABLE),
    "answer lost, work done": Case(lose_answer, ("put", "overwrite", "delete")),
    "401 unauthorized": Case(refused(401, "Unauthorized", "authError"), ALL, DENIED, DENIED),
    "403 forbidden": Case(refused(403, "AccessDenied", "forbidden"), ALL, DENIED, DENIED),
    "credentials expired": Case(refused(400, "ExpiredToken"), ("put", "get"), DENIED, DENIED, gcs=False),
    "clock skewed": Case(refused(403, "RequestTimeTooSkewed"), ("put", "get"), DENIED, DENIED, gcs=False),
    "500 at the start of an upload in parts": Case(FAILS, PARTS, verb="CREATE"),
    "500 for a part": Case(FAILS, PARTS, verb="PART"),
    "connection reset amid a part": Case(reset_midway, PARTS, verb="PART"),
    "500 at the end of an upload in parts": Case(FAILS, PARTS, verb="COMPLETE", gcs=False),
    "error in the body of a good answer": Case(complain_late, PARTS, verb="COMPLETE", gcs=False),
    "answer lost at the end, work done": Case(lose_answer, PARTS, verb="COMPLETE", gcs=False),
}


@dataclass
class Outcome:
    """What became of one act.

    ``ended`` is ``mended``, or the name of the error, and ``said`` its text; ``stands`` says what is at the address
    afterwards, and ``stays`` what is there much later; ``verbs`` are the requests, and ``played`` counts those that
    the fault happened to; ``uploads`` counts those in parts that are neither finished nor given up.
    """

    name: str
    act: str
    times: float
    ended: str = ""
    said: str = ""
    seconds: float = 0.0
    stands: str = ""
    stays: str = ""
    verbs: list[str] = field(default_factory=list)
    played: int = 0
    uploads: int = 0

    @property
    def expected(self) -> str:
        """What the table of faults says of it."""
        return CASES[self.name].once if self.times == 1 else CASES[self.name].always


def scenarios(store: str) -> Iterator[Outcome]:
    """Give every fault with every act that it can happen to, once and every time."""
    for name, case in CASES.items():
        if store == "S3" or case.gcs:
            for act, times in itertools.product(case.acts, (1, math.inf)):
                yield Outcome(name, act, times)


def play(before: Proxy, sure: Store, outcome: Outcome, patience: float | None) -> None:
    """Carry out an act while its fault is played, and write down what became of it."""
    case, at, value = CASES[outcome.name], Address("dag", "run", "task"), value_of(outcome)
    short = SHORT_IN_PARTS if outcome.act == "put in parts" else SHORT
    timeout = patience or (short if outcome.expected == UNREACHABLE else LONG)
    store = Store(sure.root, storage_options=before.options, timeout=timeout)
    before.clear()
    handoff = None if outcome.act.startswith("put") else sure.put(PAST, at, inline_limit=0)
    acts: dict[str, Callable[[], Any]] = {
        "put": lambda: store.put(value, at, inline_limit=0),
        "put in parts": lambda: store.put(value, at, inline_limit=0),
        "overwrite": lambda: store.put(value, at, inline_limit=0, attempt=2),
        "get": lambda: same(PAST, store.get(handoff)),
        "exists": lambda: store.exists(at),
        "delete": lambda: store.delete(at) in (True, False),
        "list": lambda: [at] == list(store.list()),
    }
    before.play(outcome.name, case.fault, times=outcome.times, verb=case.verb)
    started = time.monotonic()
    outcome.ended, outcome.said = _ended(acts[outcome.act])
    outcome.seconds = time.monotonic() - started
    outcome.verbs = before.verbs()
    outcome.played = sum(bool(request.fault) for request in before.requests)
    before.clear()
    outcome.stands = _standing(sure, at, value)
    outcome.uploads = _unfinished(sure)


def _ended(act: Callable[[], Any]) -> tuple[str, str]:
    answers: queue.Queue[tuple[str, str]] = queue.Queue()

    def run() -> None:
        try:
            found = act()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome
            answers.put((type(error).__name__, str(error)))
        else:
            answers.put(("WRONG" if found is False else MENDED, ""))

    threading.Thread(target=run, daemon=True).start()
    try:
        return answers.get(timeout=HANGS)
    except queue.Empty:
        return "HANGS", ""


def _standing(sure: Store, at: Address, value: object) -> str:
    """Say what is at an address: the new value, the old one, nothing, or what must not be."""
    try:
        found = sure.get(at)
    except Exception as error:  # noqa: BLE001 - as above
        return "nothing" if type(error).__name__ == "MissingError" else type(error).__name__
    return "new" if same(value, found) else "old" if same(PAST, found) else "WRONG"


def _unfinished(sure: Store) -> int:
    """Count the uploads in parts that were begun and are neither finished nor given up, where the store tells."""
    protocol, _, root = sure.root.partition("://")
    if protocol != "s3":
        return 0
    bucket, _, prefix = root.partition("/")
    filesystem = fsspec.filesystem(protocol, **sure.storage_options)
    return len(filesystem.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{prefix}/").get("Uploads", []))


def run(store: str, options: Mapping[str, Any], *, lanes: int, patience: float | None = None) -> list[Outcome]:
    """Play all faults on a store, some side by side: most of the time is spent waiting.

    Arguments: ``patience``, the timeout of the store in seconds; without it, as short as the outcome allows.
    """
    protocol, _ = STORES[store]
    outcomes = list(scenarios(store))
    roots = [f"{protocol}://{servers.BUCKET}/faults-{number}" for number in range(len(outcomes))]
    stores = [Store(root, storage_options=options) for root in roots]
    with contextlib.ExitStack() as opened:
        free: queue.Queue[Proxy] = queue.Queue()
        for _ in range(lanes):
            before = opened.enter_context(proxy.before(options))
            # The filesystem is made here: that takes a second on a busy machine.
            Store(roots[0], storage_options=before.options).exists(Address("dag", "run", "none"))
            free.put(before)

        def one(sure: Store, outcome: Outcome) -> None:
            before = free.get()
            try:
                play(before, sure, outcome, patience)
            finally:
                free.put(before)

        with ThreadPoolExecutor(lanes) as pool:
            list(pool.map(one, stores, outcomes))
        for sure, outcome in zip(stores, outcomes, strict=True):
            outcome.stays = _standing(sure, Address("dag", "run", "task"), value_of(outcome))
    return outcomes


def value_of(outcome: Outcome) -> Any:
    """Give the value that is put."""
    return LARGE if outcome.act == "put in parts" else VALUE


def markdown(found: Mapping[str, Sequence[Outcome]]) -> str:
    """Give the table of faults for docs/object-stores.md, with the time that each took."""
    columns = [f"{store}, {often}" for store in found for often in ("once", "every time")]
    rows = []
    for name, case in CASES.items():
        times = []
        for outcomes, often in itertools.product(found.values(), (1, math.inf)):
            took = [outcome.seconds for outcome in outcomes if (outcome.name, outcome.times) == (name, often)]
            low, high = (f"{seconds:.1f}" for seconds in (min(took, default=0), max(took, default=0)))
            times.append((f"{low} s" if low == high else f"{low} – {high} s") if took else "–")
        rows.append([name, _linked(case.once), _linked(case.always), *times])
    lines = Sheet("", ["fault", "once", "every time", *columns], rows, names=len(columns) + 3).to_markdown()
    return lines.partition("\n\n")[2].strip()


def _linked(ended: str) -> str:
    return ended if ended == MENDED else f"`{ended}`"


def main() -> None:
    """Play all faults, and print the table, and what is not as it says; the argument is the timeout in seconds."""
    patience = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for store, (_, server) in STORES.items():
            with server(Path(folder, store)) as options:
                found[store] = run(store, options, lanes=8, patience=patience)
    sys.stdout.write(f"{markdown(found)}\n")
    for store, outcomes in found.items():
        for outcome in outcomes:
            if outcome.ended != outcome.expected:
                sys.stderr.write(f"{store}: not {outcome.expected}: {outcome}\n")


if __name__ == "__main__":
    main()
