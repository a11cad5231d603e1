"""A file as a value, and the folder where those that arrive are kept while their task runs."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Generator
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
        self._path = os.fspath(path)
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
        if self.has_arrived:
            self.path.unlink(missing_ok=True)

    def __fspath__(self) -> str:
        return self._path

    def __repr__(self) -> str:
        return f"File({self._path!r})"


# What is closed or removed when the task ends for which it arrived.
_kept: ContextVar[contextlib.ExitStack | None] = ContextVar("handoff_kept", default=None)


@contextlib.contextmanager
def kept(task: object) -> Generator[None]:
    """Keep the files that arrive until the block ends, where there is a task."""
    if task is None:
        yield
        return
    with contextlib.ExitStack() as mine:
        token = _kept.set(mine)
        try:
            yield
        finally:
            _kept.reset(token)


def arrival(name: str) -> File:
    """Give a file yet to be written, in a folder that goes with its task; where none runs, with the interpreter."""
    import atexit
    import shutil
    import tempfile

    # Each file has a folder of its own: they may have the same name.
    folder = tempfile.mkdtemp(prefix="handoff-")
    mine = _kept.get()
    remember = atexit.register if mine is None else mine.callback
    remember(shutil.rmtree, folder, ignore_errors=True)
    file = File(f"{folder}/{name}")
    file.has_arrived = True
    return file


def opened(file: BinaryIO) -> BinaryIO:
    """Have an open file closed when its task ends."""
    mine = _kept.get()
    return file if mine is None else mine.enter_context(file)


def is_asked_for(wanted: Any) -> bool:
    """Whether a reader's type is one that a file arrives as."""
    return wanted is File or opens(wanted) or is_path(wanted)


def opens(wanted: Any) -> bool:
    """Whether a reader asks for an open binary file."""
    return any(wanted is kind for kind in _OPEN) or wanted == IO[bytes]


def is_path(wanted: Any) -> bool:
    """Whether a reader asks for a path."""
    return isinstance(wanted, type) and wanted.__module__.partition(".")[0] == "pathlib" and wanted.__name__ == "Path"


def is_name(name: str) -> bool:
    """Whether a text names a file in a folder, and nothing else."""
    if not is_text(name) or not name.isprintable() or len(os.fsencode(name)) > _LONGEST_NAME:
        return False
    return name not in {"", ".", ".."} and "/" not in name and "\\" not in name
