"""Where bytes are at rest: whole objects by path, below one root.

Both kinds of storage keep the same promises: a write is seen whole or not at all, a read sees one version, no path
leads out of the root, and every failure is one of this library's errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from handoff.address import is_text
from handoff.artifact import Sink
from handoff.errors import ConfigError, HandoffError, SupersededError
from handoff.spool import Source

#: Where unfinished files are, below a local root: out of the way of every reader that scans for artifacts.
TEMPORARY = ".tmp"
#: Where pins are, below any root: `handoff.retention`.
PINS = ".pins"

_SCHEME = re.compile(r"\A([A-Za-z][A-Za-z0-9+.-]+)://")
_LOCAL = ("file", "local")
_LONGEST_ROOT = 160
_TICK = 1.0  # seconds to which stores say when an object was written


class Entry(NamedTuple):
    """An object in a listing: its ``path``, when it was last written, in seconds since 1970 (0 if unknown), its size.

    The ``tag`` tells one version of it from another, as far as the store does: of two writes with the same bytes, S3
    has the same.
    """

    path: str
    modified: float = 0.0
    size: int = 0
    tag: str = ""


class Mark(NamedTuple):
    """What an object says of its writer: the attempt of the task, and a token of this put alone."""

    attempt: int
    token: str


class Draft(Sink, Protocol):
    """An object that is being written, beside all readers' sight."""

    def commit(self, attempt: int, begun: float, /) -> None:
        """Let it be seen, in place of any other that a newer attempt did not write.

        Arguments: ``attempt``, which is writing; ``begun``, when it began its work, in seconds since 1970: what was
        there before is of an earlier life of the run, whatever its attempt. Raises: `SupersededError`, `DeniedError`,
        `UnreachableError`.
        """
        ...


class Storage(Protocol):
    """Objects below a root. Paths are relative, made by `handoff.address`, and never patterns."""

    #: The root, without credentials.
    root: str

    def uri(self, path: str) -> str:
        """Name an object for people and engines: a plain path on local storage, else a URL."""
        ...

    def draft(self, path: str) -> AbstractContextManager[Draft]:
        """Give what an object is written into. A block that ends without a commit leaves what was there.

        Raises: `DeniedError`, `UnreachableError`.
        """
        ...

    def source(self, path: str, most: int) -> AbstractContextManager[Source]:
        """Give an object's bytes, and no more than ``most`` of them; all of one version, until the block ends.

        Raises: `MissingError`, `DeniedError`, `UnreachableError`.
        """
        ...

    def place(self, path: str) -> AbstractContextManager[Source]:
        """Give an object where it stands: only what is asked for is read, until the block ends. Raises: as `source`."""
        ...

    def located(self, path: str) -> tuple[str, Any]:
        """Name an object for an engine: its path, and the fsspec filesystem it is on; None for this machine's own."""
        ...

    def delete(self, path: str) -> bool:
        """Remove an object; False where none was there, on stores that tell. Raises: as `read`."""
        ...

    def delete_many(self, entries: Sequence[Entry]) -> dict[str, HandoffError]:
        """Remove objects, and give for each path that was not why; that one is not there is no failure.

        One that has a tag is removed only while it is the one that was listed, and is a `StaleError` otherwise; of a
        folder, the parents that are left empty go with it.
        """
        ...

    def withdraw(self, path: str, attempt: int, begun: float) -> bool:
        """Remove what an earlier attempt left; False as `delete`.

        Raises: `SupersededError` where it is of a newer one; as `delete`.
        """
        ...

    def exists(self, path: str) -> bool:
        """Whether there is an object. Raises: `DeniedError`, `UnreachableError`."""
        ...

    def list(self, folder: str) -> Iterator[Entry]:
        """Give all objects in a folder ("" for the root), sorted by path. Raises: as `exists`."""
        ...

    def now(self) -> float:
        """Give the time by the clock that says when objects were written, in seconds since 1970, rounded down.

        Raises: as `exists`.
        """
        ...

    def leftovers(self) -> Iterator[Entry]:
        """Give what writers have begun and not ended, whether at work or killed. Raises: as `exists`."""
        ...

    def discard(self, entries: Sequence[Entry]) -> dict[str, HandoffError]:
        """Remove leftovers, and give for each path that was not why; that one is not there is no failure."""
        ...

    def modified(self, path: str) -> str:
        """Say when an object was last written, in ISO 8601; empty where that is not known."""
        ...


def open_storage(root: str, options: Mapping[str, Any], timeout: float) -> Storage:
    """Choose the storage for a root. Nothing is imported, read or written yet.

    Arguments: ``root``, a folder or an fsspec URL; ``options`` for the filesystem; ``timeout`` in seconds for one
    call. Raises: `ConfigError`.
    """
    if type(root) is not str or not root.strip() or not is_text(root):
        raise ConfigError(f"a root is a folder or a URL, not {root!r}", remedy="Write it as in s3://bucket/prefix")
    scheme = _SCHEME.match(root)
    if scheme is None and "://" in root:
        raise ConfigError(
            "the root is a chain of filesystems, or its protocol is misspelled", remedy="Name one filesystem"
        )
    if scheme is None or scheme[1].lower() in _LOCAL:
        from handoff.storage.local import LocalStorage

        if options:
            raise ConfigError("a local root takes no storage_options")
        return LocalStorage(root if scheme is None else root[scheme.end() :])
    _check_url(root)
    from handoff.storage.remote import RemoteStorage

    return RemoteStorage(scheme[1].lower(), root[scheme.end() :].strip("/"), options, timeout)


def check_newest(mark: Mark | None, modified: float, attempt: int, begun: float, uri: str) -> None:
    """Refuse to take the place of what a newer attempt wrote. Raises: `SupersededError`."""
    is_of_earlier_life = 0 < modified < begun - _TICK
    if mark is None or mark.attempt <= attempt or is_of_earlier_life:
        return
    raise SupersededError(
        f"attempt {mark.attempt} has written {uri}, and this is attempt {attempt}",
        remedy="Let this attempt end: a newer one has its result; if there is none, delete the artifact first",
        uri=uri,
        attempt=mark.attempt,
    )


def _check_url(root: str) -> None:
    from urllib.parse import urlsplit

    # Nothing of a refused root is repeated: it may hold a secret.
    parts = urlsplit(root)
    scheme = parts.scheme
    if "@" in parts.netloc and ":" in parts.netloc.rpartition("@")[0]:
        raise ConfigError(
            f"the {scheme}:// root has a user and a password in it",
            remedy="Give credentials by the environment or by storage_options, which are never written down",
        )
    if parts.query or parts.fragment:
        raise ConfigError(f"the {scheme}:// root has a query or a fragment", remedy="Give options by storage_options")
    if "::" in root:
        raise ConfigError(f"the {scheme}:// root is a chain of filesystems", remedy="Name one filesystem")
    if not parts.netloc and scheme != "memory":
        raise ConfigError(f"the {scheme}:// root names no bucket", remedy=f"Write it as in {scheme}://bucket/prefix")
    segments = parts.path.strip("/").split("/")
    if any(segment in (".", "..") for segment in segments) or "" in segments[1:] or len(parts.path) > _LONGEST_ROOT:
        raise ConfigError(
            f"the path of the {scheme}:// root has an empty, '.' or '..' part, or over {_LONGEST_ROOT} characters",
            remedy="Write it as in s3://bucket/prefix",
        )
