"""What the attempt of a task that is at work in this process has written."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Generator

from handoff.address import Address

# A thread of the task's sees the same: by the task, and not by the context.
_at_work: dict[tuple[str, str, str, int], tuple[float, set[Address]]] = {}


_process = [time.time()]
os.register_at_fork(after_in_child=lambda: _process.__setitem__(0, time.time()))


@contextlib.contextmanager
def work(at: Address) -> Generator[None]:
    """Say that the task of an address is at work, until the block ends."""
    _at_work[_task_of(at)] = (time.time(), set())
    try:
        yield
    finally:
        del _at_work[_task_of(at)]


def is_at_work(at: Address) -> bool:
    """Whether the task of an address is at work in this process."""
    return _task_of(at) in _at_work


def note(at: Address) -> None:
    """Remember that something was written at an address, where its task is at work."""
    if is_at_work(at):
        _at_work[_task_of(at)][1].add(at)


def has_written(at: Address) -> bool:
    """Whether the task of an address is at work, and has written there."""
    return at in _written(at)


def has_written_path(at: Address, path: str) -> bool:
    """Whether the task of an address is at work, and has written at the address of this path."""
    return any(written.path == path for written in _written(at))


def begun(at: Address) -> float:
    """Give when the attempt at work began, in seconds since 1970; else when this process did, or was forked."""
    return _at_work[_task_of(at)][0] if is_at_work(at) else _process[0]


def _written(at: Address) -> set[Address]:
    return _at_work[_task_of(at)][1] if is_at_work(at) else set()


def _task_of(at: Address) -> tuple[str, str, str, int]:
    return at.dag_id, at.run_id, at.task_id, at.map_index
