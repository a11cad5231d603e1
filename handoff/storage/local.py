"""Artifacts in a local folder, by the standard library alone.

A file is written beside all readers' sight, flushed to the disk and renamed into place, so that neither a crash of
the process nor one of the machine shows half of it. Folders are opened one by one below the root without following
links, so that nothing planted there leads out.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import fcntl
import functools
import io
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NoReturn

from handoff.artifact import Buffer
from handoff.errors import ConfigError, DeniedError, HandoffError, MissingError, StaleError, UnreachableError
from handoff.spool import MOST_IN_MEMORY, Source
from handoff.storage import TEMPORARY, Draft, Entry, Mark, check_newest

_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a pipe that somebody planted would wait for ever.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ATTEMPT = "user.handoff.attempt"
_UNFINISHED = re.compile(r"\A\.tmp/[0-9]+-[0-9a-f]{16}\Z")
# How often a folder is made again that others remove.
_TRIES = 8
# No artifact is so far down: who digs deeper makes no listing fail.
_DEEPEST = 32
_NOT_A_FILE = "what stands there is no regular file, or a link is in the way"


class LocalStorage:
    """A folder. See `handoff.storage.Storage` for what it promises."""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(os.path.expanduser(root))

    def uri(self, path: str) -> str:
        return f"{self.root}/{path}"

    @contextlib.contextmanager
    def draft(self, path: str) -> Generator[Draft]:
        folder, name = os.path.split(path)
        unfinished = _unfinished()
        is_left = True
        with contextlib.ExitStack() as opened:
            with self._translated(path):
                self._make_root()
                temporary = opened.enter_context(self._folder(TEMPORARY, make=True))
                descriptor = os.open(unfinished, _NEW_FILE, 0o666, dir_fd=temporary)
                file = opened.enter_context(open(descriptor, "wb", buffering=0))

            def move(attempt: int, begun: float) -> None:
                nonlocal is_left
                with self._folder(folder, make=True) as target:
                    _mark(file.fileno(), attempt)
                    os.fsync(file.fileno())
                    with _locked(target):
                        self._check_newest(target, path, attempt, begun)
                        with contextlib.suppress(OSError):  # it counts from when it is seen, where that can be said
                            os.utime(file.fileno())
                        os.replace(unfinished, name, src_dir_fd=temporary, dst_dir_fd=target)
                    is_left = False
                    os.fsync(target)

            def commit(attempt: int, begun: float) -> None:
                tries = _TRIES
                with self._translated(path):
                    while True:
                        try:
                            return move(attempt, begun)
                        except FileNotFoundError:  # a folder that was empty was removed by another
                            tries -= 1
                            if not tries:
                                raise

            try:
                yield _Unfinished(file, functools.partial(self._translated, path), commit)
            finally:
                if is_left:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(unfinished, dir_fd=temporary)

    @contextlib.contextmanager
    def source(self, path: str, most: int) -> Generator[Source]:
        with self._reading(path) as file:
            with self._translated(path):
                size = min(most, os.fstat(file.fileno()).st_size)
                found = Source(file if size > MOST_IN_MEMORY else _read(file, size), size)
            yield found

    @contextlib.contextmanager
    def place(self, path: str) -> Generator[Source]:
        with self._reading(path) as file:
            yield Source(file, os.fstat(file.fileno()).st_size)

    def located(self, path: str) -> tuple[str, None]:
        return self.uri(path), None

    def delete(self, path: str) -> bool:
        folder, name = os.path.split(path)
        try:
            with self._translated(path), self._folder(folder) as parent:
                os.unlink(name, dir_fd=parent)
                os.fsync(parent)
        except MissingError:
            return False
        return True

    def delete_many(self, entries: Sequence[Entry]) -> dict[str, HandoffError]:
        failed: dict[str, HandoffError] = {}
        for entry in entries:
            try:
                if entry.tag:
                    self._delete_listed(entry)
                else:
                    self.delete(entry.path)
            except MissingError:
                pass
            except HandoffError as error:
                failed[entry.path] = error
        return failed

    def discard(self, entries: Sequence[Entry]) -> dict[str, HandoffError]:
        return self.delete_many([entry._replace(tag="") for entry in entries])

    def _delete_listed(self, entry: Entry) -> None:
        """Remove a file if it is still the one that was listed, and the folders that are left empty."""
        *folders, name = entry.path.split("/")
        with self._translated(entry.path), contextlib.ExitStack() as opened:
            parents = [opened.enter_context(self._folder(""))]
            for folder in folders:
                parents.append(opened.enter_context(_closing(os.open(folder, _FOLDER, dir_fd=parents[-1]))))
            opened.enter_context(_locked(parents[-1]))
            if _tag(os.stat(name, dir_fd=parents[-1], follow_symlinks=False)) != entry.tag:
                uri = self.uri(entry.path)
                raise StaleError(
                    f"{uri} was written anew since it was listed", remedy="List it again", address=entry.path, uri=uri
                )
            os.unlink(name, dir_fd=parents[-1])
            with contextlib.suppress(OSError):  # one that is not empty ends it
                while folders:
                    parents.pop()
                    os.rmdir(folders.pop(), dir_fd=parents[-1])

    def withdraw(self, path: str, attempt: int, begun: float) -> bool:
        folder, name = os.path.split(path)
        try:
            with self._translated(path), self._folder(folder) as parent, _locked(parent):
                self._check_newest(parent, path, attempt, begun)
                os.unlink(name, dir_fd=parent)
                os.fsync(parent)
        except MissingError:
            return False
        return True

    def exists(self, path: str) -> bool:
        return self._status(path) is not None

    def list(self, folder: str) -> Iterator[Entry]:
        try:
            with self._translated(folder), self._folder(folder) as top:
                yield from _files(top, f"{folder}/" if folder else "")
        except MissingError:
            return

    def now(self) -> float:
        try:
            with self._folder(TEMPORARY) as temporary:
                name = _unfinished()
                with _closing(os.open(name, _NEW_FILE, 0o666, dir_fd=temporary)) as file:
                    os.unlink(name, dir_fd=temporary)
                    return os.fstat(file).st_mtime
        except OSError:  # nothing was ever put here, or nothing can be: it is of this machine, as far as is known
            return time.time()

    def leftovers(self) -> Iterator[Entry]:
        try:
            with self._translated(TEMPORARY), self._folder(TEMPORARY) as temporary:
                found = [*_files(temporary, f"{TEMPORARY}/")]
        except MissingError:
            return
        yield from (entry for entry in found if _UNFINISHED.match(entry.path))

    def modified(self, path: str) -> str:
        status = self._status(path)
        if status is None:
            return ""
        when = min(max(status.st_mtime, 0), 2e11)  # anybody may set it, to no year of ours
        return dt.datetime.fromtimestamp(when, dt.UTC).isoformat(timespec="seconds")

    def _check_newest(self, folder: int, path: str, attempt: int, begun: float) -> None:
        try:
            there = os.open(os.path.basename(path), _FILE, dir_fd=folder)
        except OSError:  # nothing is there, or nothing that an attempt wrote
            return
        with _closing(there):
            check_newest(_marked(there), os.fstat(there).st_mtime, attempt, begun, self.uri(path))

    def _status(self, path: str) -> os.stat_result | None:
        folder, name = os.path.split(path)
        try:
            with self._translated(path), self._folder(folder) as parent:
                status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except MissingError:
            return None
        return status if stat.S_ISREG(status.st_mode) else None

    def _make_root(self) -> None:
        missing = [self.root]
        while not os.path.isdir(missing[-1]):
            missing.append(os.path.dirname(missing[-1]))
        if missing[1:]:
            try:
                os.makedirs(self.root, exist_ok=True)
            except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
                raise ConfigError(
                    f"the root {self.root} cannot be made: {error.strerror}: {error.filename}",
                    remedy="Set a root that can be a folder",
                    uri=self.root,
                ) from None
            for folder in missing[1:]:
                with _closing(os.open(folder, _ROOT)) as parent:
                    os.fsync(parent)

    @contextlib.contextmanager
    def _folder(self, path: str, *, make: bool = False) -> Generator[int]:
        """Open a folder below the root, part by part."""
        with contextlib.ExitStack() as opened:
            folder = opened.enter_context(_closing(os.open(self.root, _ROOT)))
            for name in path.split("/") if path else ():
                if make:
                    try:
                        os.mkdir(name, dir_fd=folder)
                        os.fsync(folder)
                    except FileExistsError:
                        pass
                folder = opened.enter_context(_closing(os.open(name, _FOLDER, dir_fd=folder)))
            yield folder

    @contextlib.contextmanager
    def _reading(self, path: str) -> Generator[io.FileIO]:
        with contextlib.ExitStack() as opened:
            try:
                with self._translated(path):
                    file = opened.enter_context(self._opened(path))
            except MissingError:
                if os.path.isdir(self.root):
                    raise
                raise UnreachableError(
                    f"the root folder {self.root} is not there",
                    remedy="Look whether its volume is mounted, and whether anything was ever handed over here",
                    uri=self.root,
                ) from None
            yield file

    @contextlib.contextmanager
    def _opened(self, path: str) -> Generator[io.FileIO]:
        folder, name = os.path.split(path)
        with self._folder(folder) as parent, open(os.open(name, _FILE, dir_fd=parent), "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.ELOOP, _NOT_A_FILE)
            yield file

    @contextlib.contextmanager
    def _translated(self, path: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            self._raise(path, error)

    def _raise(self, path: str, error: OSError) -> NoReturn:
        uri = self.uri(path)
        if isinstance(error, FileNotFoundError):
            raise MissingError(
                f"there is no artifact at {uri}", remedy="Run the producer again", address=path, uri=uri
            ) from None
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO):
            raise DeniedError(
                f"{uri} is not touched: {_NOT_A_FILE}", remedy="Remove what was put there", address=path, uri=uri
            ) from error
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise DeniedError(
                f"{uri}: {error.strerror}", remedy="Let this user read and write below the root", address=path, uri=uri
            ) from error
        raise UnreachableError(
            f"{uri}: {error.strerror}", remedy="Mend the storage and try again", address=path, uri=uri
        ) from error


class _Unfinished:
    """A file that is being written, beside all readers' sight."""

    def __init__(
        self,
        file: io.FileIO,
        translated: Callable[[], AbstractContextManager[None]],
        commit: Callable[[int, float], None],
    ) -> None:
        self._file = file
        self._translated = translated
        self.commit = commit

    def write(self, data: Buffer) -> None:
        with self._translated():
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]


@contextlib.contextmanager
def _closing(descriptor: int) -> Generator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(folder: int) -> Generator[None]:
    """Let one process at a time look at a folder and change it, where its filesystem can."""
    with contextlib.suppress(OSError):  # shared ones may not: there, two attempts of the same moment are not told apart
        fcntl.flock(folder, fcntl.LOCK_EX)
    yield  # closing the folder ends it


def _mark(file: int, attempt: int) -> None:
    """Note a later attempt beside the file's bytes, where the filesystem can: without a note, it is the first."""
    if attempt > 1:
        with contextlib.suppress(OSError, AttributeError):
            os.setxattr(file, _ATTEMPT, b"%d" % attempt)


def _marked(file: int) -> Mark | None:
    try:
        return Mark(int(os.getxattr(file, _ATTEMPT)), "")
    except (OSError, AttributeError, ValueError):
        return None


def _read(file: io.FileIO, most: int) -> bytes:
    data = file.read(most)
    while len(data) < most and (more := file.read(most - len(data))):
        data += more
    return data


def _files(folder: int, prefix: str) -> Iterator[Entry]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        with contextlib.suppress(FileNotFoundError):  # what is deleted meanwhile must not end the listing
            if entry.is_dir(follow_symlinks=False):
                if prefix.count("/") < _DEEPEST and (prefix or entry.name != TEMPORARY):
                    with _closing(os.open(entry.name, _FOLDER, dir_fd=folder)) as below:
                        yield from _files(below, f"{prefix}{entry.name}/")
            elif entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                yield Entry(prefix + entry.name, status.st_mtime, status.st_size, _tag(status))


def _tag(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns}-{status.st_ino}"


def _unfinished() -> str:
    """Make a name for what is being written."""
    return f"{os.getpid()}-{secrets.token_hex(8)}"
