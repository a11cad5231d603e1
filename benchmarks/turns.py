"""One turn of a contender with a value, in a process of its own: encode, put, get and decode, on each root.

The process is forked from one that has imported what the contender needs, and made the value: that takes long.
"""

from __future__ import annotations

import contextlib
import filecmp
import os
import selectors
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import apart, crowd, kinds, rivals
from benchmarks.apart import Outcome

_REPOSITORY = Path(__file__).parent.parent
#: What begins so in the environment is the user's, and says nothing to a contender.
_OTHERS = ("AIRFLOW", "AWS", "HANDOFF", "PREFECT")
#: Requests of these paths tell a proxy which act begins, and that the last has ended.
MARKS = MARK_PUT, MARK_GET, MARK_END = "/mark-put", "/mark-get", "/mark-end"
#: A value of so many bytes is compared once, not on each root: that takes long.
ONCE = 256 * 10**6
#: Objects of Python are made by each process: who counts references in another's pages pays for copies of them.
OBJECTS = ("small", "config", "records", "nested")


class Root(msgspec.Struct, frozen=True):
    """A folder, or an S3 URL with the options that reach it."""

    url: str
    options: dict[str, Any] = {}


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Who takes which value where, how often."""

    contender: str
    kind: str
    size: int
    #: A folder of this turn alone.
    folder: str
    #: One that lasts while the value is handed over.
    lasting: str
    roots: dict[str, Root]
    #: How often each act is carried out; the median counts.
    times: int = 1
    check: bool = False
    #: Whether the value is a list of which each is handed over.
    many: bool = False
    #: How many processes read the one value.
    readers: int = 0
    #: Whether a proxy is told which act begins.
    marks: bool = False


class Act(msgspec.Struct, kw_only=True):
    """Put and get on one root."""

    put: float
    get: float
    put_peak: int
    get_peak: int
    #: Bytes at rest.
    stored: int
    #: Whether what was got is what was put; None where that was not looked at.
    same: bool | None = None


class Done(msgspec.Struct, kw_only=True):
    """What came of a turn; with an error, only why."""

    acts: dict[str, Act] = {}
    encode: float | None = None
    decode: float | None = None
    #: Bytes of the value in memory.
    size: int = 0
    error: str = ""


class Order(msgspec.Struct, frozen=True):
    """A turn, and the environment in which it is taken."""

    turn: Turn
    environment: dict[str, str]


class Forks:
    """A process that has imported modules, and forks for each turn; it is started at the first."""

    def __init__(self, python: str, modules: Iterable[str], environment: dict[str, str]) -> None:
        self._command = [python, "-W", "ignore", "-m", "benchmarks.turns", *modules]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
        self._environment = {**kept, "PYTHONPATH": str(_REPOSITORY), **environment}
        self._process: Any = None

    def take(self, turn: Turn, environment: dict[str, str], timeout: float) -> Done:
        """Let a turn be taken, and give what came of it."""
        outcome = Path(turn.folder, "outcome.json")
        process = self._process = self._process or self._started()
        order = msgspec.json.encode(Order(turn, environment))
        os.write(process.stdin.fileno(), order + b"\n")
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                self.end()
                return Done(error=f"not done after {timeout:g} s")
        status = process.stdout.readline().strip().decode()
        if outcome.exists():
            return msgspec.json.decode(outcome.read_bytes(), type=Done)
        self.end()
        return Done(error=f"its process ended by {status or process.returncode}")

    def end(self) -> None:
        """End the process and what it has forked."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()
            self._process = None

    def _started(self) -> Any:
        return subprocess.Popen(
            self._command,
            env=self._environment,
            cwd=_REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def main() -> None:
    """Import the modules that are there, and fork for each order that stands on a line."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a contender prints is no answer
    for name in sys.argv[1:]:
        with contextlib.suppress(ImportError):
            import_module(name)
    made = _Made()
    for line in sys.stdin.buffer:
        order = msgspec.json.decode(line, type=Order)
        made.ready_for(order.turn)
        child = os.fork()
        if not child:
            try:
                _obey(order, made)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        answers.write(b"%d\n" % status)
        answers.flush()


class _Made:
    """The value of the turns in hand, which all inherit; one at a time."""

    def __init__(self) -> None:
        self._which: tuple[str, int, str] | None = None
        self._value: Any = None

    def ready_for(self, turn: Turn) -> None:
        """Make the value of a turn, where it is another than the last one's."""
        which = turn.kind, turn.size, turn.lasting
        if which != self._which and turn.kind not in OBJECTS:
            self._which = self._value = None
            with contextlib.suppress(ModuleNotFoundError):  # the turn itself says so
                self._value, self._which = self._make(turn, turn.lasting), which

    def value(self, turn: Turn) -> Any:
        """Give the value of a turn."""
        return self._make(turn, turn.folder) if self._value is None or turn.kind in OBJECTS else self._value

    def _make(self, turn: Turn, folder: str) -> Any:
        return kinds.KINDS[turn.kind].make(turn.size, Path(folder))


def _obey(order: Order, made: _Made) -> None:
    turn = order.turn
    os.environ.update(order.environment, TMPDIR=turn.folder)
    tempfile.tempdir = None  # it is read again
    try:
        done = _perform(turn, made)
    except ModuleNotFoundError as error:
        done = Done(error=f"not run: {error.name} is not installed")
    except Exception as error:  # noqa: BLE001 - whatever a contender raises is what came of it
        done = Done(error=apart.in_a_line(error))
    Path(turn.folder, "outcome.json").write_bytes(msgspec.json.encode(done))


def _perform(turn: Turn, made: _Made) -> Done:
    if turn.many or turn.readers:
        return _in_a_crowd(turn, made)
    kind, folder = kinds.KINDS[turn.kind], Path(turn.folder)
    (folder / "warm").mkdir()
    codec = rivals.codec(turn.contender, turn.kind, folder)
    few = kind.make(kind.few, folder / "warm")
    if codec is None:
        wholes = {
            name: rivals.whole(turn.contender, turn.kind, root.url, root.options, folder)
            for name, root in turn.roots.items()
        }
        for one in wholes.values():
            one.get(one.put(few, "warm"))
        return _in_one(turn, wholes, made.value(turn))
    places = {name: rivals.place(turn.contender, root.url, root.options) for name, root in turn.roots.items()}
    is_floor = turn.contender in rivals.FLOORS
    for one in places.values():
        one.write("warm", codec.encode(rivals.payload(turn.kind, few, folder) if is_floor else few))
        codec.decode(one.read("warm"))
    value = made.value(turn)
    if is_floor:
        value = rivals.payload(turn.kind, value, folder)
    return _coded(turn, codec, places, value)


def _in_a_crowd(turn: Turn, made: _Made) -> Done:
    folder, value = Path(turn.folder), made.value(turn)
    values = value if turn.many else [value]
    if turn.contender in rivals.FLOORS:
        values = [rivals.payload(turn.kind, one, folder) for one in values]
    done = Done(size=kinds.size_of(value))
    for name, root in turn.roots.items():

        def make(root: Root = root) -> rivals.Whole:
            return rivals.anyone(turn.contender, turn.kind, root.url, root.options, folder)

        act = _by_many(turn, root, make, values) if turn.many else _to_many(turn, root, make, values[0])
        if isinstance(act, str):
            return Done(error=act)
        done.acts[name] = act
    return done


def _by_many(turn: Turn, root: Root, make: Callable[[], rivals.Whole], values: list[Any]) -> Act:
    many = crowd.many(make(), turn.contender, root.url, root.options)
    many.get(many.put(values[:2], "warm"))
    already = crowd.at_rest(root.url, root.options)
    put, references = apart.measured(lambda: many.put(values, "value"))
    stored = crowd.at_rest(root.url, root.options) - already
    get, found = apart.measured(lambda: many.get(references))
    return Act(
        put=put.seconds,
        get=get.seconds,
        put_peak=put.peak,
        get_peak=max(0, get.peak - sum(map(kinds.size_of, found))),
        stored=stored,
        same=apart.same(values, list(found)) if turn.check else None,
    )


def _to_many(turn: Turn, root: Root, make: Callable[[], rivals.Whole], value: Any) -> Act | str:
    reference = Path(turn.folder, "reference.json")

    def put() -> Outcome:
        outcome, given = apart.measured(lambda: make().put(value, "value"))
        reference.write_bytes(msgspec.json.encode(given))
        return outcome

    def look() -> Outcome:
        outcome, found = apart.measured(lambda: make().get(given))
        outcome.size, outcome.same = kinds.size_of(found), _same(value, found) if turn.check else None
        outcome.stored = crowd.at_rest(root.url, root.options)
        return outcome

    # Who reads has no client before: none survives a fork.
    (putting,) = crowd.in_processes(1, put, Path(turn.folder))
    if putting.error:
        return putting.error
    given = msgspec.json.decode(reference.read_bytes())
    get = crowd.readers(make, given, turn.readers, Path(turn.folder))
    (seen,) = crowd.in_processes(1, look, Path(turn.folder))
    return (
        get.error
        or seen.error
        or Act(
            put=putting.seconds,
            get=get.seconds,
            put_peak=putting.peak,
            get_peak=max(0, seen.peak - seen.size),
            stored=seen.stored,
            same=seen.same,
        )
    )


def _in_one(turn: Turn, wholes: dict[str, rivals.Whole], value: Any) -> Done:
    done = Done(size=kinds.size_of(value))
    for name, one in wholes.items():
        root, given = turn.roots[name], []
        _mark(turn, root, MARK_PUT)
        already = apart.stored(root.url)
        put, last = _repeated(turn.times, lambda n, one=one: one.put(value, f"value{n}"))
        stored = (apart.stored(root.url) - already) // turn.times
        given.append(last)
        _mark(turn, root, MARK_GET)
        get, found = _repeated(turn.times, lambda _, one=one, given=given: one.get(given[0]))
        _mark(turn, root, MARK_END)
        done.acts[name] = Act(
            put=put.seconds,
            get=get.seconds,
            put_peak=put.peak,
            get_peak=max(0, get.peak - kinds.size_of(found)),
            stored=stored,
            same=_same(value, found) if turn.check and (not done.acts or done.size < ONCE) else None,
        )
        del found
    return done


def _coded(turn: Turn, codec: rivals.Codec, places: dict[str, rivals.Place], value: Any) -> Done:
    encode, data = _repeated(turn.times, lambda _: codec.encode(value))
    size, decode, same = kinds.size_of(value), None, None
    held = 0 if data is value else len(data)
    done = Done(encode=encode.seconds, size=size)
    for name, one in places.items():
        root = turn.roots[name]
        _mark(turn, root, MARK_PUT)
        write, _ = _repeated(turn.times, lambda n, one=one: one.write(f"value{n}", data))
        _mark(turn, root, MARK_GET)
        read, raw = _repeated(turn.times, lambda n, one=one: one.read(f"value{n}"))
        _mark(turn, root, MARK_END)
        if raw != data:
            raise AssertionError("what is read is not what was written")
        if decode is None:
            decode, found = _repeated(turn.times, lambda _, raw=raw: codec.decode(raw))
            same = _same(value, found) if turn.check else None
            del found
        done.acts[name] = Act(
            put=encode.seconds + write.seconds,
            get=read.seconds + decode.seconds,
            # The bytes are held while they are written, and while they are decoded.
            put_peak=max(encode.peak, write.peak + held),
            get_peak=max(0, max(read.peak, decode.peak + held) - size),
            stored=len(data),
            same=same,
        )
        del raw
    done.decode = None if decode is None else decode.seconds
    if turn.contender in rivals.FLOORS:
        done.encode = done.decode = None  # it has nothing to encode
    return done


def _repeated(times: int, act: Callable[[int], Any]) -> tuple[Outcome, Any]:
    """Act some times: the peak is that of the first, the time the median of them all."""
    outcome, found = apart.measured(lambda: act(0))
    seconds = [outcome.seconds]
    for number in range(1, times):
        start = time.perf_counter()
        found = act(number)
        seconds.append(time.perf_counter() - start)
    outcome.seconds = statistics.median(seconds)
    return outcome, found


def _mark(turn: Turn, root: Root, mark: str) -> None:
    if turn.marks:
        # A server that knows no such bucket, or wants a signature, refuses it: the proxy has seen it.
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(f"{root.options['client_kwargs']['endpoint_url']}{mark}", timeout=10).close()


def _same(expected: Any, actual: Any) -> bool:
    if isinstance(expected, Path):
        return filecmp.cmp(expected, str(getattr(actual, "path", actual)), shallow=False)
    return apart.same(expected, actual)


if __name__ == "__main__":
    main()
