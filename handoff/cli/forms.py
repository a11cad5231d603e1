"""The forms in which files hold values: Parquet, CSV, JSON and npy, told by a file's suffix or by name; and reading."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, BinaryIO, Final

import msgspec

from handoff.codecs._libraries import library
from handoff.errors import DependencyError, EncodeError
from handoff.files import File, arrival

PARQUET, CSV, JSON, NPY, FILE = "parquet", "csv", "json", "npy", "file"
FORMS: Final = (PARQUET, CSV, JSON, NPY, FILE)
#: What is read or written in place of a file's name for stdin or stdout.
PIPE: Final = "-"
_SUFFIXES: Final = {".parquet": PARQUET, ".pq": PARQUET, ".csv": CSV, ".json": JSON, ".npy": NPY}


def form_of(path: str) -> str:
    """Tell a file's form by its suffix: one that is not known here is a mere file."""
    return _SUFFIXES.get(os.path.splitext(path)[1].lower(), FILE)


def read(path: str, form: str, name: str | None) -> Any:
    """Give the value in a file, or in stdin. Raises: `EncodeError`, `DependencyError`."""
    if form == FILE:
        return File(_spooled() if path == PIPE else path, name=name)
    with contextlib.ExitStack() as opened:
        file: Any = sys.stdin.buffer if path == PIPE else opened.enter_context(open(path, "rb"))
        try:
            return _READ[form](file)
        except (ValueError, EOFError, OSError, RecursionError, msgspec.MsgspecError) as error:
            raise EncodeError(
                f"{'stdin' if path == PIPE else path} cannot be read as {form}: {first_line(error)}",
                remedy="Say which --format it has, or hand it over as it is with --file",
            ) from None


def parse(text: str) -> Any:
    """Give the value that is written as JSON. Raises: `EncodeError`."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise EncodeError(
            f"what --value says is not JSON: {error}", remedy="Text needs quotes inside the shell's: '\"text\"'"
        ) from None


def numpy() -> Any:
    """Import numpy. Raises: `DependencyError`."""
    try:
        return import_module("numpy")
    except ImportError:
        raise DependencyError(
            "npy needs numpy, which is not installed", remedy="Install dag-handoff[numpy]", extra="numpy"
        ) from None


def first_line(error: object) -> str:
    """Give the first line of what an error says: libraries write pages."""
    return str(error).strip().partition("\n")[0]


def _spooled() -> str:
    file = arrival("stdin")
    with open(file, "wb") as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept)
    return os.fspath(file)


def _read_parquet(file: BinaryIO) -> Any:
    # In a pipe there is no going back, which Parquet needs.
    return library("pyarrow.parquet").read_table(file if file.seekable() else io.BytesIO(file.read()))


def _read_csv(file: BinaryIO) -> Any:
    return library("pyarrow.csv").read_csv(file)


def _read_json(file: BinaryIO) -> Any:
    return msgspec.json.decode(file.read())


def _read_npy(file: BinaryIO) -> Any:
    return numpy().load(file if file.seekable() else io.BytesIO(file.read()), allow_pickle=False)


_READ: Final[dict[str, Callable[[BinaryIO], Any]]] = {
    PARQUET: _read_parquet,
    CSV: _read_csv,
    JSON: _read_json,
    NPY: _read_npy,
}
