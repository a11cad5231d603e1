"""Files as they are: the artifact is the file's bytes, and bears no header."""

from __future__ import annotations

import io
import os
import shutil
import stat
from collections.abc import Callable
from typing import Any, Final

from handoff import files
from handoff.artifact import Header, Sink
from handoff.codecs._reading import Reading
from handoff.errors import DamagedError, EncodeError, LimitError
from handoff.files import File
from handoff.sizes import human_size
from handoff.spool import PIECE, Source

id: Final = "file"

_TYPE = "handoff.File"


class Upload:
    """A file, as it was when it was looked at."""

    type = _TYPE

    def __init__(self, file: File, state: tuple[int, ...]) -> None:
        self._file = file
        self._state = state
        self.file_name = file.name
        self.raw_size = state[-1]

    def preview(self) -> str:
        return f"{self._file.name}, {human_size(self.raw_size)}"

    def bare(self, room: int) -> bytes | None:
        if self.raw_size > room:
            return None
        data = io.BytesIO()
        self._copy(data)
        return data.getvalue()

    def write(self, sink: Sink, header: Callable[[], Header] | None) -> None:  # noqa: ARG002 - it is a file and no more
        self._copy(sink)

    def _copy(self, sink: Sink) -> None:
        try:
            file = open(self._file.path, "rb", buffering=0)  # noqa: SIM115 - what goes wrong below is not of the opening
        except OSError as error:
            raise _refuse(self._file, str(error)) from error
        with file:
            while piece := file.read(PIECE):
                sink.write(piece)
            is_as_it_was = _state(os.fstat(file.fileno())) == self._state
        if not is_as_it_was:
            raise _refuse(self._file, "it was written to while it was read")


def encode(value: Any) -> Upload:
    """Look at a file. See `handoff.codecs.Codec`."""
    if type(value) is not File:
        raise EncodeError(
            f"the value: {type(value).__qualname__}, which would come back as a mere File", remedy="Return a File"
        )
    if not files.is_name(value.name):
        raise EncodeError(f"the value: {value.name!r} names no file", remedy="Give it another name: File(path, name=…)")
    try:
        status = os.stat(value.path)
    except OSError as error:
        raise _refuse(value, str(error)) from error
    if not stat.S_ISREG(status.st_mode):
        raise _refuse(value, "it is no regular file")
    return Upload(value, _state(status))


def decode(source: Source, reading: Reading) -> Any:
    """Give the file as a `File`, or as its reader asks for: a path, or an open binary file."""
    if reading.name != _TYPE:
        raise DamagedError(f"the artifact is a file, and a {reading.name} was recorded")
    if source.size > reading.limit:
        raise LimitError(
            f"the file takes {human_size(source.size)}, and {human_size(reading.limit)} are allowed",
            size=source.size,
            limit=reading.limit,
        )
    if files.opens(reading.type):
        raw: Any = io.BytesIO(source.data()) if source.name is None else open(source.name, "rb", buffering=0)  # noqa: SIM115 - its reader closes it
        return files.opened(io.BufferedReader(raw))
    name = reading.file_name if files.is_name(reading.file_name) else "file"
    arrived = files.arrival(name)
    if source.name is None:
        arrived.path.write_bytes(source.data())
    else:
        shutil.copyfile(source.name, arrived)
    return arrived.path if files.is_path(reading.type) else arrived


def _state(status: os.stat_result) -> tuple[int, ...]:
    """Give what changes when a file is written to; its size comes last."""
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _refuse(file: File, why: str) -> EncodeError:
    return EncodeError(f"the file {os.fspath(file.path)!r}: {why}", remedy="Hand over a whole file")
