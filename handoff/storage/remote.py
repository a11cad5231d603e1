"""Artifacts on any fsspec filesystem, by the recipe for object stores: one PUT to write, one GET to read.

A filesystem is made on first use and again in a forked child. Calls to an asynchronous one run as coroutines on its
own loop with a deadline, and are cancelled when the caller is: an upload must not outlive its task.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sys
from collections.abc import Generator, Iterator, Mapping
from typing import Any

from handoff.artifact import Buffer, Sink
from handoff.errors import ConfigError, DeniedError, DependencyError, HandoffError, MissingError, UnreachableError
from handoff.spool import MOST_IN_MEMORY, Ranges, Source
from handoff.storage import Entry

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "abfs": "azure", "abfss": "azure", "az": "azure"}
_REFUSED_STATUS = (401, 403)
# What libraries raise where they find no credentials, told by name so that none is imported for it.
_REFUSED_NAMES = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "ClientAuthenticationError",
    "CredentialRetrievalError",
)
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")
# More is spooled to the disk: on its way there it is in memory twice.
_SPOOLED = 4 * 1024**2
# Large objects are uploaded in parts of which few are in memory, and read in one request: one version of them.
_PARTS = {
    "s3": {"chunksize": 8 * 1024**2, "max_concurrency": 3},
    "gcs": {"chunksize": 8 * 1024**2},
    "azure": {"max_concurrency": 2},
}
_ONE_STREAM = {"s3": {"max_concurrency": 1}, "gcs": {"concurrency": 1}, "azure": {"max_concurrency": 1}}


class RemoteStorage:
    """A prefix on an fsspec filesystem. See `handoff.storage.Storage` for what it promises."""

    def __init__(self, protocol: str, prefix: str, options: Mapping[str, Any], timeout: float) -> None:
        self.root = f"{protocol}://{prefix}"
        self._protocol = protocol
        self._prefix = prefix
        self._options = options
        self._timeout = timeout
        self._made: tuple[int, Any, Any] | None = None

    def uri(self, path: str) -> str:
        return f"{self.root}/{path}" if self._prefix else f"{self.root}{path}"

    @contextlib.contextmanager
    def draft(self, path: str) -> Generator[Sink]:
        import tempfile

        with tempfile.SpooledTemporaryFile(_SPOOLED) as spool:
            yield _Spooled(spool)
            size = spool.tell()
            spool.seek(0)
            if size <= MOST_IN_MEMORY:
                self._call(path, "pipe_file", self._full(path), spool.read())
            else:
                spool.flush()
                self._call(path, "put_file", f"/dev/fd/{spool.fileno()}", self._full(path), **self._asked(_PARTS))

    @contextlib.contextmanager
    def source(self, path: str, most: int) -> Generator[Source]:
        if most <= MOST_IN_MEMORY + 1:
            # With a range, no filesystem asks for the size first, and none reads in pieces of several versions.
            yield Source(self._call(path, "cat_file", self._full(path), start=0, end=most))
            return
        import tempfile

        with tempfile.TemporaryDirectory(prefix="handoff-", ignore_cleanup_errors=True) as folder:
            name = f"{folder}/artifact"
            options = self._asked(_ONE_STREAM)
            try:
                self._call(path, "get_file", self._full(path), name, callback=_bounded(most), **options)
            except _TooLarge:
                yield Source(b"", most)
                return
            with open(name, "rb", buffering=0) as file:
                os.unlink(name)
                yield Source(file, min(most, os.fstat(file.fileno()).st_size))

    @contextlib.contextmanager
    def place(self, path: str) -> Generator[Source]:
        def fetch(start: int, end: int) -> bytes:
            data: bytes = self._call(path, "cat_file", self._full(path), start=start, end=end)
            return data

        info: dict[str, Any] = self._call(path, "info", self._full(path))
        yield Ranges(fetch, info["size"] or 0)

    def located(self, path: str) -> tuple[str, Any]:
        return self._full(path), self._filesystem()

    def delete(self, path: str) -> bool:
        try:
            self._call(path, "rm_file", self._full(path))
        except MissingError:
            return False
        return True

    def exists(self, path: str) -> bool:
        return self._info(path) is not None

    def list(self, folder: str) -> Iterator[Entry]:
        start = len(self._full(""))
        try:
            found = self._call(folder, "find", self._full(folder).rstrip("/"), detail=True)
        except MissingError:
            return
        for name in sorted(found):
            when = _moment(found[name])
            yield Entry(name.lstrip("/")[start:], when.timestamp() if when else 0)

    def modified(self, path: str) -> str:
        when = _moment(self._info(path) or {})
        return when.isoformat(timespec="seconds") if when else ""

    def _info(self, path: str) -> dict[str, Any] | None:
        try:
            info: dict[str, Any] = self._call(path, "info", self._full(path))
        except MissingError:
            return None
        return info if info.get("type") == "file" else None

    def _full(self, path: str) -> str:
        return f"{self._prefix}/{path}" if self._prefix else path

    def _asked(self, options: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
        return options.get(_EXTRAS.get(self._protocol, ""), {})

    def _call(self, path: str, name: str, *args: Any, **kwargs: Any) -> Any:
        filesystem = self._filesystem()
        try:
            return self._run(filesystem, name, *args, **kwargs)
        except _TooLarge:
            raise
        except Exception as error:  # client libraries raise errors of their own, which are no caller's business
            raise self._translate(filesystem, path, error) from error

    def _run(self, filesystem: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        if not filesystem.async_impl:
            return getattr(filesystem, name)(*args, **kwargs)
        call = getattr(filesystem, f"_{name}")(*args, **kwargs)
        import asyncio

        future = asyncio.run_coroutine_threadsafe(call, filesystem.loop)
        try:
            return future.result(self._timeout)
        finally:
            future.cancel()

    def _filesystem(self) -> Any:
        if self._made is None or self._made[0] != os.getpid():
            # A parent's is held on to in its child: letting it go would close the connections that both have.
            self._made = (os.getpid(), self._make(), self._made)
        return self._made[1]

    def _make(self) -> Any:
        import fsspec  # type: ignore[import-untyped]  # it ships no types

        try:
            kind = fsspec.get_filesystem_class(self._protocol)
            # An asynchronous filesystem would answer from its listings: what was written since would be missing.
            fixed = {"use_listings_cache": False} if kind.async_impl else {}
        except ValueError:
            raise ConfigError(
                f"fsspec knows no protocol {self._protocol}://",
                remedy="Use a folder, s3://, gs:// or abfs:// (extras s3, gcs, azure), or install its filesystem",
            ) from None
        except ImportError:
            extra = _EXTRAS.get(self._protocol, "")
            package = f"dag-handoff[{extra}]" if extra else f"the package that fsspec needs for {self._protocol}://"
            raise DependencyError(
                f"{self.root} needs a library that is not installed", remedy=f"Install {package}", extra=extra
            ) from None
        options = {**self._options, **fixed}  # what a connection holds is read here
        try:
            return fsspec.filesystem(self._protocol, **options)
        except (TypeError, ValueError) as error:
            # The options may hold secrets, and so may an error about them.
            raise ConfigError(
                f"the storage_options do not fit {self._protocol}:// ({type(error).__name__})",
                remedy="Compare their names with the filesystem's arguments",
            ) from None

    def _translate(self, filesystem: Any, path: str, error: Exception) -> HandoffError:
        uri = self.uri(path)
        if isinstance(error, FileNotFoundError):
            return self._missing(filesystem, path, uri)
        status = getattr(error, "status", None) or getattr(error, "code", None)
        if isinstance(error, PermissionError) or status in _REFUSED_STATUS or type(error).__name__ in _REFUSED_NAMES:
            return DeniedError(
                f"{uri}: {_shorten(error)}", remedy="Mend the permissions or the credentials", address=path, uri=uri
            )
        what = f"no answer within {self._timeout:g} s" if isinstance(error, TimeoutError) else _shorten(error)
        return UnreachableError(f"{uri}: {what}", remedy="Try again when the storage answers", address=path, uri=uri)

    def _missing(self, filesystem: Any, path: str, uri: str) -> HandoffError:
        # A missing bucket and a missing object raise the same.
        bucket = self._prefix.partition("/")[0]
        try:
            there = self._protocol == "memory" or self._run(filesystem, "exists", bucket)
        except FileNotFoundError:
            there = False
        except Exception as error:  # noqa: BLE001 - as in _call
            return self._translate(filesystem, path, error)
        if there:
            return MissingError(
                f"there is no artifact at {uri}", remedy="Run the producer again", address=path, uri=uri
            )
        return UnreachableError(
            f"there is no bucket {self._protocol}://{bucket}", remedy="Create it, or mend the root", uri=self.root
        )


def _free_the_loop() -> None:
    # fsspec forgets in a child the loop of the parent, but not its lock on it, which another thread may have held.
    asyn: Any = sys.modules.get("fsspec.asyn")
    if hasattr(asyn, "reset_lock"):
        asyn.reset_lock()


os.register_at_fork(after_in_child=_free_the_loop)


class _Spooled:
    """A local file that holds an object until all of it is there."""

    def __init__(self, spool: Any) -> None:
        self._spool = spool

    def write(self, data: Buffer) -> None:
        try:
            self._spool.write(data)
        except OSError as error:
            raise UnreachableError(
                f"the folder for temporary files: {error}", remedy="Make room there, or set TMPDIR to another folder"
            ) from error


def _bounded(most: int) -> Any:
    """Give a callback that ends a transfer of more bytes than asked for."""
    from fsspec.callbacks import Callback  # type: ignore[import-untyped]  # as above

    class Bounded(Callback):  # type: ignore[misc]  # as above
        def call(self, *_: Any, **__: Any) -> None:
            if max(self.size or 0, self.value) > most:
                raise _TooLarge

    return Bounded()


class _TooLarge(Exception):  # noqa: N818 - it only ends a transfer
    """More bytes come than are wanted."""


def _moment(info: Mapping[str, Any]) -> dt.datetime | None:
    when = next((info[name] for name in _TIMES if info.get(name)), None)
    if isinstance(when, int | float):
        return dt.datetime.fromtimestamp(when, dt.UTC)
    if isinstance(when, str):
        try:
            when = dt.datetime.fromisoformat(when)
        except ValueError:
            return None
    if not isinstance(when, dt.datetime):
        return None
    return when if when.tzinfo else when.replace(tzinfo=dt.UTC)


def _shorten(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
