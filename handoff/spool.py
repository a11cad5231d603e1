"""Bytes at rest on their way to a reader: in memory while they are few, in a local file above that."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from typing import IO, Any, Self

#: The most bytes of an artifact that are held in memory on either way.
MOST_IN_MEMORY = 16 * 1024**2
#: How many bytes are moved at once where there are more.
PIECE = 4 * 1024**2

_WORTH_A_THREAD = 256 * 1024


class Source:
    """Bytes that can be read any number of times.

    Arguments: the bytes, or a file opened for reading, which stays open meanwhile; ``size``, how many there are;
    ``digest``, where it is known already.
    """

    #: Whether the bytes are elsewhere, so that no more of them should be read than are needed.
    is_apart = False

    def __init__(self, content: bytes | IO[bytes], size: int | None = None, digest: str = "") -> None:
        self._content = content
        self._digest = digest
        self.size = len(content) if size is None and isinstance(content, bytes) else size or 0

    @property
    def name(self) -> str | None:
        """The path under which libraries open the file anew; None for bytes in memory."""
        # The file may have no other name: it is unlinked, or its folders are not to be trusted.
        return None if isinstance(self._content, bytes) else f"/dev/fd/{self._content.fileno()}"

    def data(self) -> bytes:
        """Give all bytes."""
        return self._content if isinstance(self._content, bytes) else self.at(0, self.size)

    def view(self) -> memoryview:
        """Give all bytes to be looked at."""
        return memoryview(self.data())

    def at(self, start: int, length: int) -> bytes:
        """Give up to ``length`` bytes from ``start`` on."""
        length = max(0, min(length, self.size - start))
        if isinstance(self._content, bytes):
            return self._content[start : start + length]
        found = os.pread(self._content.fileno(), length, start)
        while len(found) < length and (
            more := os.pread(self._content.fileno(), length - len(found), start + len(found))
        ):
            found += more  # the system gives at most 2 GiB at once
        return found

    def pieces(self, start: int = 0) -> Iterator[bytes | memoryview]:
        """Give the bytes from ``start`` on, a piece at a time."""
        if isinstance(self._content, bytes):
            yield memoryview(self._content)[start:]
            return
        for begin in range(start, self.size, PIECE):
            yield self.at(begin, PIECE)

    def reader(self, start: int = 0) -> Any:
        """Give a binary file that reads the bytes from ``start`` on."""
        if isinstance(self._content, bytes):
            file: Any = io.BytesIO(self._content)
        else:
            file = open(f"/dev/fd/{self._content.fileno()}", "rb", buffering=0)  # noqa: SIM115 - it is the caller's
        file.seek(start)
        return file

    def digest(self) -> str:
        """Give the SHA-256 of all bytes, in hex."""
        if self._digest:
            return self._digest
        with Digest() as found:
            for piece in self.pieces():
                found.update(piece)
            return found.hex()


class Ranges(Source):
    """An object that stays where it is: parts are fetched as they are asked for, maybe of more than one version."""

    is_apart = True

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        super().__init__(b"", size)
        self._fetch = fetch

    def data(self) -> bytes:
        return self.at(0, self.size)

    def at(self, start: int, length: int) -> bytes:
        length = max(0, min(length, self.size - start))
        return self._fetch(start, start + length) if length else b""

    def pieces(self, start: int = 0) -> Iterator[bytes | memoryview]:
        for begin in range(start, self.size, PIECE):
            yield self.at(begin, PIECE)

    def reader(self, start: int = 0) -> Any:
        file = _Window(self)
        file.seek(start)
        return file


class _Window(io.RawIOBase):
    """A binary file of which nothing is held."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._source.size}[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        found = self._source.at(self._place, len(buffer))
        buffer[: len(found)] = found
        self._place += len(found)
        return len(found)


class Digest:
    """The SHA-256 of bytes as they pass. Large pieces are hashed in a thread, beside what else is done with them."""

    def __init__(self) -> None:
        self._sum = hashlib.sha256()
        self._threads: Any = None
        self._under_way: Any = None

    def update(self, piece: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._wait()
        # What is no bytes object may be changed by its owner as soon as this returns.
        if type(piece) is not bytes or len(piece) < _WORTH_A_THREAD:
            self._sum.update(piece)
            return
        if self._threads is None:
            from concurrent.futures import ThreadPoolExecutor

            self._threads = ThreadPoolExecutor(1, thread_name_prefix="handoff-digest")
        self._under_way = self._threads.submit(self._sum.update, piece)

    def hex(self) -> str:
        """Give the digest of all bytes so far."""
        self._wait()
        return self._sum.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the thread."""
        if self._threads is not None:
            self._threads.shutdown()

    def _wait(self) -> None:
        if self._under_way is not None:
            self._under_way.result()
            self._under_way = None
