"""One turn of a contender with a value: encode, put, get and decode, on each root."""

from __future__ import annotations

import contextlib
import filecmp
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import apart, crowd, kinds, rivals
from benchmarks.apart import Outcome

#: Requests of these paths tell a proxy which act begins, and that the last has ended.
MARKS = MARK_PUT, MARK_GET, MARK_END = "/mark-put", "/mark-get", "/mark-end"
#: A value of so many bytes is compared once, not on each root: that takes long.
ONCE = 256 * 10**6


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


def perform(turn: Turn, value: Callable[[], Any]) -> Done:
    """Hand over what ``value`` gives, once the contender has handed over a small one."""
    if turn.many or turn.readers:
        return _in_a_crowd(turn, value())
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
        return _in_one(turn, wholes, value())
    places = {name: rivals.place(turn.contender, root.url, root.options) for name, root in turn.roots.items()}
    is_floor = turn.contender in rivals.FLOORS
    for one in places.values():
        one.write("warm", codec.encode(rivals.payload(turn.kind, few, folder) if is_floor else few))
        codec.decode(one.read("warm"))
    given = value()
    return _coded(turn, codec, places, rivals.payload(turn.kind, given, folder) if is_floor else given)


def _in_a_crowd(turn: Turn, value: Any) -> Done:
    folder = Path(turn.folder)
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

    def put(name: str = "value") -> Outcome:
        outcome, given = apart.measured(lambda: make().put(value, name))
        reference.write_bytes(msgspec.json.encode(given))
        return outcome

    def look() -> Outcome:
        outcome, found = apart.measured(lambda: make().get(given))
        outcome.size, outcome.same = kinds.size_of(found), _same(value, found) if turn.check else None
        # The first one, which was not measured, is as large.
        outcome.stored = crowd.at_rest(root.url, root.options) // 2
        return outcome

    # Who puts and who reads has no client before: none survives a fork. A server takes longer for its first object.
    crowd.in_processes(1, lambda: put("warm"), Path(turn.folder))
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
