"""A file as a value, and the folder where those that arrive are kept while their task runs."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Self

from handoff.address import is_text

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST_NAME = 255
_OPEN = (BinaryIO, IO, io.BufferedReader, io.BufferedIOBase, io.IOBase)


class File(os.PathLike[str]):
    """A file that is handed over as it is: a model, an archive, a report.

    Arguments: ``path`` of a file, relative to the working directory or not; ``name`` under which it arrives, else its
    own. What arrives is a `File` again, in a folder that is removed when its task ends; where no task runs, when the
    interpreter does, or the block of ``with store.get(handoff) as file``.
    """

    def __init__(self, path: str | os.PathLike[str], *, name: str | None = None) -> None:
        self._path = os.fsdecode(path)
        #: Whether it came out of a handoff, so that it is removed.
        self.has_arrived = False
        self.name = os.path.basename(self._path) if name is None else name

    @property
    def path(self) -> Path:
        """Where the file is."""
        from pathlib import Path

        return Path(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove a file that has arrived, before its task ends; any other stays."""
        if self.has_arrived:
            import shutil

            shutil.rmtree(os.path.dirname(self._path), ignore_errors=True)

    def __fspath__(self) -> str:
        return self._path

    def __repr__(self) -> str:
        return f"File({self._path!r})"


class _Kept:
    """What is removed or closed at an end: that of a task, or of the interpreter."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []
        self._has_ended = False
        self._process = os.getpid()

    def until_end(self, undo: Callable[[], object]) -> None:
        """Do something at the end; at once, where that is past: a thread may outlive its task."""
        self._undo.append(undo)
        if self._has_ended:
            self.end()

    def end(self) -> None:
        """Undo all, in the process in which it was done: a fork of it has the same to undo, and must not."""
        self._has_ended = True
        while self._undo and self.is_of_this_process():
            self._undo.pop()()

    def is_of_this_process(self) -> bool:
        return self._process == os.getpid()


_kept: ContextVar[_Kept | None] = ContextVar("handoff_kept", default=None)
# A thread of the task's own does not know its context.
_at_work: list[_Kept] = []
_until_exit: list[_Kept] = []


@contextlib.contextmanager
def kept(task: object) -> Generator[None]:
    """Keep the files that arrive until the block ends, where there is a task."""
    if task is None:
        yield
        return
    mine = _Kept()
    token = _kept.set(mine)
    _at_work.append(mine)
    try:
        yield
    finally:
        _at_work.remove(mine)
        _kept.reset(token)
        mine.end()


def arrival(name: str) -> File:
    """Give a file yet to be written, in a folder that goes with its task; where none runs, with the interpreter."""
    import tempfile

    # Each file has a folder of its own: they may have the same name.
    file = File(f"{tempfile.mkdtemp(prefix='handoff-')}/{name}")
    file.has_arrived = True
    _keeper().until_end(file.remove)
    return file


def opened(file: BinaryIO) -> BinaryIO:
    """Have an open file closed when its task ends."""
    _keeper().until_end(file.close)
    return file


def _keeper() -> _Kept:
    mine = _kept.get() or (_at_work[0] if len(_at_work) == 1 else None)
    if mine is not None:
        return mine
    if not _until_exit or not _until_exit[-1].is_of_this_process():
        import atexit

        _until_exit.append(_Kept())
        atexit.register(_until_exit[-1].end)
    return _until_exit[-1]


def is_asked_for(wanted: Any) -> bool:
    """Whether a reader's type is one that a file arrives as."""
    return wanted is File or opens(wanted) or is_path(wanted)


def opens(wanted: Any) -> bool:
    """Whether a reader asks for an open binary file."""
    return any(wanted is kind for kind in _OPEN) or wanted == IO[bytes]


def is_path(wanted: Any) -> bool:
    """Whether a reader asks for a path."""
    return (
        isinstance(wanted, type) and str(wanted.__module__).partition(".")[0] == "pathlib" and wanted.__name__ == "Path"
    )


def is_name(name: str) -> bool:
    """Whether a text names a file in a folder, and nothing else."""
    if type(name) is not str or not is_text(name) or not name.isprintable() or len(os.fsencode(name)) > _LONGEST_NAME:
        return False
    return name not in {"", ".", ".."} and "/" not in name and "\\" not in name
