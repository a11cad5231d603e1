"""Bytes on their way to or from an object store: held until all are there, since neither end takes them back."""

from __future__ import annotations

import mmap
from typing import IO

from handoff.artifact import Buffer
from handoff.errors import UnreachableError
from handoff.spool import MOST_IN_MEMORY, Digest, Source

_BATCH = 1024**2


class Spool:
    """Bytes that come piece by piece: in memory while they are few, in a local file above that.

    Arguments: ``hashed``, whether their digest is made as they come, in a thread of its own.
    """

    def __init__(self, *, hashed: bool = False) -> None:
        self._is_hashed = hashed
        self._file: IO[bytes] | None = None
        self._digest = Digest()
        self.restart()

    def restart(self) -> None:
        """Forget all bytes so far."""
        self.close()
        self._digest = Digest()
        self._small = bytearray()
        self._kept: list[bytes] = []
        self.size = 0

    def write(self, piece: Buffer) -> int:
        """Take the next bytes. Raises: `UnreachableError` where there is no room for them."""
        self.size += len(piece)
        if len(piece) < _BATCH:
            self._small += piece
        if len(self._small) >= _BATCH or len(piece) >= _BATCH:
            self._take_small()
        if len(piece) >= _BATCH:
            self._take(piece)
        return len(piece)

    def source(self) -> Source:
        """Give all bytes, until this is closed."""
        self._take_small()
        digest = self._digest.hex() if self._is_hashed else ""
        if self._file is None:
            return Source(self._kept[0] if len(self._kept) == 1 else b"".join(self._kept), digest=digest)
        return _Spooled(self._file, self.size, digest)

    def close(self) -> None:
        """Let go of the bytes."""
        self._digest.close()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _take_small(self) -> None:
        if self._small:
            batch, self._small = bytes(self._small), bytearray()
            self._take(batch)

    def _take(self, batch: Buffer) -> None:
        if self._is_hashed:
            self._digest.update(batch)
        if self._file is None and self.size <= MOST_IN_MEMORY:
            self._kept.append(bytes(batch))  # what is no bytes object may be changed by its owner
            return
        try:
            if self._file is None:
                import tempfile

                # Without a buffer: one would be written where no error is expected, when it is closed.
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - until this is closed
            for piece in (*self._kept, batch):
                rest = memoryview(piece)
                while rest:  # the system takes at most 2 GiB at once
                    rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise UnreachableError(
                f"the folder for temporary files: {error}", remedy="Make room there, or set TMPDIR to another folder"
            ) from error
        self._kept = []


class _Spooled(Source):
    """A file of this process alone: no other can cut it short while it is looked at where it is."""

    def __init__(self, file: IO[bytes], size: int, digest: str) -> None:
        super().__init__(file, size, digest)
        self._file = file

    def view(self) -> memoryview:
        return memoryview(mmap.mmap(self._file.fileno(), self.size, prot=mmap.PROT_READ))
