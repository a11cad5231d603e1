"""What `doctor` looks at, one after the other: each gives findings, and none raises."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from importlib import metadata
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

from handoff import config
from handoff.address import Address
from handoff.cli import buckets
from handoff.errors import DeniedError, HandoffError, SupersededError
from handoff.sizes import human_size
from handoff.storage import TEMPORARY
from handoff.store import Store, storage_of

OK, WARNING, FAILED, UNTRIED = "ok", "warning", "failed", "untried"
#: The DAG in whose name the root is tried out.
DAG: Final = "handoff-doctor"
# What each extra stands for: the package that is looked for.
EXTRAS: Final = {
    "arrow": "pyarrow", "azure": "adlfs", "gcs": "gcsfs", "numpy": "numpy", "pandas": "pandas", "polars": "polars",
    "s3": "s3fs",
}  # fmt: skip
_PROTOCOLS: Final = {
    "s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "abfs": "azure", "abfss": "azure", "az": "azure",
}  # fmt: skip
_PAYLOAD = 64 * 1024
_LEAST_ROOM = 1024**3
_SKEW = 5.0  # seconds
_LONGEST = 200
# What has to be allowed: on S3 by its name, elsewhere in words.
_NEEDS: Final = {
    "list": ("s3:ListBucket", "to list objects"),
    "write": ("s3:PutObject, and s3:GetObject for retries", "to create and overwrite objects"),
    "read": ("s3:GetObject", "to read objects"),
    "delete": ("s3:DeleteObject", "to delete objects"),
}


class Finding(NamedTuple):
    """What a check found: its name, how it is, what was found, what to do, and how long the call took."""

    check: str
    status: str
    what: str = ""
    remedy: str = ""
    seconds: float | None = None


def of(store: Store, *, is_given: bool) -> Iterator[Finding]:
    """Try out a root. Arguments: ``is_given``, whether it was named on the command line."""
    yield _root(is_given=is_given)
    yield from _libraries(store.root)
    if not _is_usable(store.root):
        return
    at = Address(DAG, f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%S}-{secrets.token_hex(4)}", "round-trip")
    with _left_as_it_was(store, at):
        if (yield from _reach(store)):
            yield from buckets.findings(store)
            yield from _round_trip(store, at)
    yield from _room(store.root)


def _root(*, is_given: bool) -> Finding:
    if is_given:
        return Finding("root", OK, "named by --root")
    if config.from_environment().is_given:
        return Finding("root", OK, "named by HANDOFF_ROOT")
    return Finding(
        "root",
        WARNING,
        "nothing names one: this is the default of this machine",
        "Set HANDOFF_ROOT to a place that all workers reach, such as s3://bucket/prefix",
    )


def _libraries(root: str) -> Iterator[Finding]:
    needed = _needed(root)
    if needed and find_spec(EXTRAS[needed]) is None:
        yield Finding("library", FAILED, f"{root} needs {EXTRAS[needed]}", f"Install dag-handoff[{needed}]")
    elif needed:
        yield Finding("library", OK, f"{EXTRAS[needed]} {metadata.version(EXTRAS[needed])}")
    present = [extra for extra, package in EXTRAS.items() if find_spec(package) is not None]
    absent = [extra for extra in EXTRAS if extra not in present]
    what = f"installed: {', '.join(present) or 'none'}"
    yield Finding("extras", OK, what + (f"; not: {', '.join(absent)}" if absent else ""))


def _needed(root: str) -> str | None:
    return _PROTOCOLS.get(root.partition("://")[0]) if "://" in root else None


def _is_usable(root: str) -> bool:
    needed = _needed(root)
    return needed is None or find_spec(EXTRAS[needed]) is not None


# --- a round trip -------------------------------------------------------------------------------------------------


def _reach(store: Store) -> Generator[Finding, None, bool]:
    """Ask for the first time, which connects, and tell whether it is of use to go on."""
    if "://" not in store.root:
        if os.path.isdir(store.root):
            yield Finding("reach", OK, "the folder is there")
        else:
            yield Finding(
                "reach",
                WARNING,
                "the folder is not there: the first put makes it",
                "Look whether its volume is mounted, if it has one",
            )
        return True
    began = time.perf_counter()
    try:
        next(store.list(DAG), None)
    except DeniedError as error:
        yield Finding("reach", OK, "it answers", "", _since(began))
        if not buckets.is_of_credentials(error):
            return True
        yield buckets.whose(store)
        yield Finding("credentials", FAILED, _what(error), "Give others, or mend these: docs/stores says where from")
        return False
    except HandoffError as error:
        yield Finding("reach", FAILED, _what(error), error.remedy)
        return False
    yield Finding("reach", OK, "connected", "", _since(began))
    return True


def _round_trip(store: Store, at: Address) -> Iterator[Finding]:
    """List, write, read and delete. Where it may not be listed, the rest is tried all the same."""
    payload = secrets.token_bytes(_PAYLOAD)
    listed = yield from _tried(store, "list", lambda: [*store.list(DAG)])
    written = yield from _tried(store, "write", lambda: store.put(payload, at, attempt=2, inline_limit=0))
    if written is None:
        return
    try:
        arrived = yield from _tried(store, "read", lambda: store.get(written))
        if arrived is not None and arrived != payload:
            yield Finding(
                "read", FAILED, "other bytes came back than were written", "Look what stands before the store"
            )
        yield from _newest_wins(store, at, payload)
        if listed is not None:
            yield from _seen(store, at)
    finally:
        deleted = yield from _tried(store, "delete", lambda: store.delete(at))
        if deleted is None:
            yield Finding("litter", WARNING, f"{at.path} was left behind", "Delete it")


def _tried(store: Store, check: str, call: Callable[[], Any]) -> Generator[Finding, None, Any]:
    """Make a call and tell how it went; give what it gave, None where it failed."""
    began = time.perf_counter()
    try:
        result = call()
    except HandoffError as error:
        needs = _NEEDS[check][0 if buckets.is_s3(store) else 1]
        remedy = f"Allow {needs}: docs/stores says how" if isinstance(error, DeniedError) else error.remedy
        yield Finding(check, FAILED, _what(error), remedy)
        return None
    yield Finding(check, OK, "", "", _since(began))
    return result


def _what(error: HandoffError) -> str:
    what = str(error).removesuffix(f". {error.remedy}.").removeprefix(f"{error.uri}: ")
    return what.partition("\n")[0][:_LONGEST]


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 6)


def _newest_wins(store: Store, at: Address, payload: bytes) -> Iterator[Finding]:
    """Write as an older attempt would that outlived its successor: it must be refused."""
    check = "attempts"
    try:
        store.put(payload, at, attempt=1, inline_limit=0)
    except SupersededError:
        yield Finding(check, OK, "an older attempt cannot overwrite a newer one")
    except HandoffError as error:
        yield Finding(check, FAILED, _what(error), error.remedy)
    else:
        yield Finding(
            check,
            WARNING,
            "an older attempt overwrites a newer one: the last writer wins here",
            "Its readers are told (StaleError). It takes a store with conditional writes, or a folder that keeps "
            "extended attributes",
        )


def _seen(store: Store, at: Address) -> Iterator[Finding]:
    """Look whether a listing shows what was just written, and whose clock says when that was."""
    if at in [*store.list(DAG)]:
        yield Finding("listing", OK, "what was written is listed at once")
    else:
        yield Finding("listing", WARNING, "what was written is not listed at once", "Wait before prune and verify")
    yield _clock(store)


def _clock(store: Store) -> Finding:
    began = time.time()
    skew = storage_of(store).now() - began
    if abs(skew) <= _SKEW:
        return Finding("clock", OK, "this machine's and the store's agree")
    return Finding(
        "clock",
        WARNING,
        f"the store's is {abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's",
        "Set both by NTP: which attempt is the newest, and what is old, is told by time",
    )


# --- this machine -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _left_as_it_was(store: Store, at: Address) -> Generator[None]:
    """Remove the folders that are made for an artifact in a local root."""
    if "://" in store.root:
        yield
        return
    parts = at.path.split("/")[:-1]
    folders = [os.path.join(store.root, *parts[:count]) for count in range(len(parts), 0, -1)]
    folders += [os.path.join(store.root, TEMPORARY), *_upwards(store.root)]
    missing = [folder for folder in folders if not os.path.isdir(folder)]
    try:
        yield
    finally:
        for folder in missing:
            with contextlib.suppress(OSError):  # others may have put something there meanwhile
                os.rmdir(folder)


def _upwards(folder: str) -> Sequence[str]:
    found = [folder]
    while os.path.dirname(found[-1]) != found[-1]:
        found.append(os.path.dirname(found[-1]))
    return found


def _room(root: str) -> Iterator[Finding]:
    """Look how much room there is where large values pass, and in a local root."""
    places = [("temporary", tempfile.gettempdir(), "set TMPDIR to another folder")]
    if "://" not in root and os.path.isdir(root):
        places.append(("room", root, "prune"))
    for check, folder, otherwise in places:
        free = shutil.disk_usage(folder).free
        what = f"{human_size(free)} free in {folder}"
        if free >= _LEAST_ROOM:
            yield Finding(check, OK, what)
        else:
            yield Finding(check, WARNING, what, f"Make room, or {otherwise}: large values pass there")
