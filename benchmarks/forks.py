"""A process for each turn: forked from one that has imported what the contender needs, and made the value."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import apart, kinds, turns
from benchmarks.turns import Done, Turn

_REPOSITORY = Path(__file__).parent.parent
#: What begins so in the environment is the user's, and says nothing to a contender.
_OTHERS = ("AIRFLOW", "AWS", "HANDOFF", "PREFECT")
#: Objects of Python are made by each process: who counts references in another's pages pays for copies of them.
OBJECTS = ("small", "config", "records", "nested")


class Order(msgspec.Struct, frozen=True):
    """A turn, and the environment in which it is taken."""

    turn: Turn
    environment: dict[str, str]


class Forks:
    """A process that has imported modules, and forks for each turn; it is started at the first."""

    def __init__(self, python: str, modules: Iterable[str], environment: dict[str, str]) -> None:
        self._command = [python, "-W", "ignore", "-m", "benchmarks.forks", *modules]
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
        done = turns.perform(turn, lambda: made.value(turn))
    except ModuleNotFoundError as error:
        done = Done(error=f"not run: {error.name} is not installed")
    except Exception as error:  # noqa: BLE001 - whatever a contender raises is what came of it
        done = Done(error=apart.in_a_line(error))
    Path(turn.folder, "outcome.json").write_bytes(msgspec.json.encode(done))


if __name__ == "__main__":
    main()
