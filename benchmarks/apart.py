"""One act in a process of its own: how long it takes, and how far its memory rises above the value itself."""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

PUT, GET = "put", "get"
_REPOSITORY = Path(__file__).parent.parent
_RESET_PEAK = "5"  # see proc_pid_clear_refs(5)


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """An act: who puts or gets which value, and where."""

    contender: str
    kind: str
    size: int
    #: A folder of this pair of put and get alone.
    folder: str
    #: A folder, or an S3 URL whose options follow.
    root: str
    options: dict[str, Any] = {}
    act: str = PUT
    #: Whether what is got is compared with what was put.
    check: bool = False


class Outcome(msgspec.Struct, kw_only=True):
    """What came of an act; with an error, only why."""

    seconds: float = 0.0
    #: Bytes by which the resident memory rose at most, above what it was before and above the value that was got.
    peak: int = 0
    #: Bytes of the value in memory.
    size: int = 0
    #: Bytes at rest in a local root.
    stored: int = 0
    #: Whether what was got is what was put; None where that was not looked at.
    same: bool | None = None
    error: str = ""


def pair(task: Task, *, timeout: float = 600) -> tuple[Outcome, Outcome]:
    """Put in one process and get in another. Everything below the task's folder is removed."""
    os.makedirs(task.folder)
    try:
        put = run(task, timeout=timeout)
        if put.error:
            return put, put
        return put, run(msgspec.structs.replace(task, act=GET), timeout=timeout)
    finally:
        shutil.rmtree(task.folder, ignore_errors=True)


def run(task: Task, *, timeout: float = 600) -> Outcome:
    """Do one act in a fresh process, which is ended where it takes too long."""
    outcome = Path(task.folder, "outcome.json")
    outcome.unlink(missing_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HANDOFF")}
    environment |= {"PYTHONPATH": str(_REPOSITORY), "TMPDIR": task.folder}
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.apart", msgspec.json.encode(task).decode()]
    try:
        done = subprocess.run(
            command, env=environment, cwd=_REPOSITORY, capture_output=True, text=True, check=False, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        return Outcome(error=f"not done after {timeout:g} s")
    if not outcome.exists():
        lines = done.stderr.strip().splitlines()
        return Outcome(error=lines[-1] if lines else f"ended by {done.returncode}")
    return msgspec.json.decode(outcome.read_bytes(), type=Outcome)


def main() -> None:
    """Do the act that the command line describes."""
    task = msgspec.json.decode(sys.argv[1], type=Task)
    try:
        outcome = _perform(task)
    except Exception as error:  # noqa: BLE001 - whatever a contender raises is what came of it
        outcome = Outcome(error=in_a_line(error))
    Path(task.folder, "outcome.json").write_bytes(msgspec.json.encode(outcome))


def in_a_line(error: Exception) -> str:
    """Say in a line what a contender raised."""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}"[:200]


def _perform(task: Task) -> Outcome:
    from benchmarks import kinds
    from benchmarks.contenders import contender

    kind, folder = kinds.KINDS[task.kind], Path(task.folder)
    warm = contender(task.contender, task.kind, task.root, task.options, name="warm")
    with suppress(FileExistsError):
        (folder / "warm").mkdir()
    kinds.consumed(warm.get(warm.put(kind.make(kind.few, folder / "warm"))))
    acting = contender(task.contender, task.kind, task.root, task.options)
    reference = folder / "reference.json"
    if task.act == PUT:
        value = kind.make(task.size, folder)
        already = stored(task.root)
        outcome, given = measured(lambda: acting.put(value))
        outcome.size, outcome.stored = kinds.size_of(value), stored(task.root) - already
        reference.write_bytes(msgspec.json.encode(given))
    else:
        given = msgspec.json.decode(reference.read_bytes())
        outcome, found = measured(lambda: kinds.consumed(acting.get(given)))
        outcome.size = kinds.size_of(found)
        outcome.peak = max(0, outcome.peak - outcome.size)
        if task.check:
            outcome.same = same(kind.make(task.size, folder), found)
    return outcome


def measured(act: Any) -> tuple[Outcome, Any]:
    """Act, and tell how long it took and how far the resident memory rose above what it was before."""
    settle()
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    start = time.perf_counter()
    found = act()
    seconds = time.perf_counter() - start
    return Outcome(seconds=seconds, peak=max(0, _status("VmHWM") - before)), found


def settle() -> None:
    """Give back what is free, so that it is not counted as there before; and write what others left to the disk."""
    gc.collect()
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):  # of glibc alone
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    os.sync()


def same(expected: Any, actual: Any) -> bool:
    """Whether a contender gave back what it was given."""
    from handoff.testing import same as identical

    if type(expected) is not type(actual):
        return False
    if type(expected) is list and hasattr(expected[0], "__dataclass_fields__"):
        # By their fields, and those that arrived as plain dicts by their own.
        expected = [vars(one) for one in expected]
        actual = [one if type(one) is dict else vars(one) for one in actual]
    if type(expected) is dict or (type(expected) is list and type(expected[0]) is dict):
        # Of plain values the text tells type, order and every bit, in a tenth of the time.
        return repr(expected) == repr(actual)
    return identical(expected, actual)


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {name} in /proc/self/status")


def stored(root: str) -> int:
    """Give the bytes at rest in a folder."""
    if "://" in root:
        return 0
    return sum(path.stat().st_size for path in Path(root).rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
