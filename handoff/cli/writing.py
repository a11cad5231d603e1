"""Values written into files: a file appears under its name when all of it is there."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator
from pathlib import PurePath
from typing import Any, BinaryIO, Final

import msgspec

from handoff import codecs
from handoff.address import Address
from handoff.cli import terminal
from handoff.cli.forms import CSV, FILE, JSON, NPY, PARQUET, PIPE, first_line, form_of, numpy
from handoff.codecs._libraries import library
from handoff.envelope import Handoff
from handoff.errors import ConfigError, HandoffError, MismatchError, UnreachableError
from handoff.records import AsStored, Member, Record, Rows
from handoff.store import Store

# What each codec's values are written as where nothing is said; all others are JSON.
_USUAL: Final = {codecs.TABLE: CSV, codecs.ARRAY: NPY, codecs.FILE: FILE}
_TEXT: Final = (CSV, JSON)
_PIECE: Final = 1024**2


def chosen(codec: str, out: str, form: str | None) -> str:
    """Choose the form in which a value is written: what is said, what the name tells, or what is usual for stdout.

    Raises: `ConfigError`.
    """
    usual = _USUAL.get(codec, JSON)
    if codec == codecs.FILE:
        found, is_right = FILE, form in (None, FILE)
    else:
        found = form or (usual if out == PIPE else form_of(out))
        is_right = found != FILE
    if not is_right:
        raise ConfigError(
            f"this value is a {codec}, and is not written as {_named(out, form)}", remedy=f"Say --format {usual}"
        )
    if out == PIPE and found not in _TEXT and terminal.is_terminal(sys.stdout):
        raise ConfigError(f"{found} is not for a terminal", remedy="Name a file, or send it into a pipe")
    return found


def _named(out: str, form: str | None) -> str:
    """Name the form that was asked for."""
    return form or repr(os.path.basename(out))


def write(store: Store, what: Handoff | Address, codec: str, out: str, form: str) -> None:
    """Write a value into a file or to stdout. Raises: as ``store.get``, and `ConfigError` where it has no such form."""
    with _output(out) as file:
        _WRITE.get(codec, _write_tree)(store, what, file, form)


@contextlib.contextmanager
def _output(out: str) -> Generator[Any]:
    if out == PIPE:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = os.path.realpath(out)
    try:
        if os.path.exists(path) and not os.path.isfile(path):  # a device or a pipe is written into, and stays
            with open(path, "wb") as file:
                yield file
            return
        descriptor, unfinished = tempfile.mkstemp(prefix=".handoff-", dir=os.path.dirname(path))
        try:
            with open(descriptor, "wb") as file:
                yield file
            os.chmod(unfinished, 0o666 & ~_umask())
            os.replace(unfinished, path)
        except BaseException:
            os.unlink(unfinished)
            raise
    except HandoffError:  # some are errors of the system, too
        raise
    except OSError as error:
        raise UnreachableError(
            f"{out} cannot be written: {error.strerror or error}", remedy="Name another file"
        ) from None


def _umask() -> int:
    mask = os.umask(0o77)
    os.umask(mask)
    return mask


def _write_file(store: Store, what: Any, file: Any, _: str) -> None:
    with store.get(what, BinaryIO) as opened:
        shutil.copyfileobj(opened, file, _PIECE)


def _write_array(store: Store, what: Any, file: Any, form: str) -> None:
    value = store.get(what)
    if form == NPY:
        numpy().save(file, value, allow_pickle=False)
    elif form == JSON:
        file.write(encode(value) + b"\n")
    else:
        raise ConfigError(f"an array is not written as {form}", remedy="Write npy or json")


def _write_table(store: Store, what: Any, file: Any, form: str) -> None:
    if form == NPY:
        raise ConfigError("a table is not written as npy", remedy="Write parquet, csv or json")
    # Batch by batch: it may be larger than memory.
    _write_batches(store.get(what, library("pyarrow").RecordBatchReader), file, form)


def _write_tree(store: Store, what: Any, file: Any, form: str) -> None:
    value: Any = store.get(what, AsStored)
    if form == JSON:
        file.write(encode(value) + b"\n")
    elif form == NPY:
        raise ConfigError("a tree is not written as npy", remedy="Write json")
    else:
        _write_batches(_table_of(value, form).to_reader(), file, form)


def _write_batches(reader: Any, file: Any, form: str) -> None:
    if form == JSON:
        start = b"["
        for batch in reader:
            for row in batch.to_pylist():
                file.write(start + encode(row))
                start = b",\n"
        file.write(b"]\n" if start != b"[" else b"[]\n")
        return
    arrow = library("pyarrow")
    try:
        with _writer(file, reader.schema, form) as sink:
            for batch in reader:
                sink.write_batch(batch)
    except (arrow.ArrowInvalid, arrow.ArrowNotImplementedError) as error:
        raise ConfigError(f"the table has no {form}: {first_line(error)}", remedy="Write another form") from None


def _writer(file: Any, schema: Any, form: str) -> Any:
    if form == PARQUET:
        return library("pyarrow.parquet").ParquetWriter(file, schema, compression="zstd")
    return library("pyarrow.csv").CSVWriter(file, schema)


def _table_of(value: Any, form: str) -> Any:
    """Make a table of rows, where each has the same names."""
    found = value.records() if type(value) is Rows else value if type(value) is list else []
    rows = [row.fields if type(row) is Record else row for row in found]
    if not rows or not all(map(_has_names_of(rows[0]), rows)):
        raise ConfigError(
            f"the value is no list of rows with the same names, and is not written as {form}", remedy="Write json"
        )
    arrow = library("pyarrow")
    try:
        return arrow.Table.from_pylist(rows)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError, TypeError) as error:
        raise ConfigError(f"the rows make no table: {first_line(error)}", remedy="Write json") from None


def _has_names_of(first: Any) -> Callable[[Any], bool]:
    names = first.keys() if type(first) is dict else None
    return lambda row: type(row) is dict and row.keys() == names


def encode(value: Any) -> bytes:
    """Give a value as JSON, which has fewer types. Raises: `MismatchError` where a part of it has no JSON."""
    try:
        return msgspec.json.encode(value, enc_hook=_plain)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise MismatchError(f"the value has no JSON: {first_line(error)}", remedy="Read it in Python") from None


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in _RECORDS:
        return _RECORDS[kind](value)
    if hasattr(value, "isoformat"):  # moments and spans of pandas
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "__arrow_c_stream__"):
        return library("pyarrow").table(value).to_pylist()
    if hasattr(value, "tolist"):  # arrays of numpy, and its scalars
        return value.tolist()
    raise NotImplementedError(f"a {kind.__qualname__} has none")


_RECORDS: Final[dict[Any, Callable[[Any], Any]]] = {
    Record: lambda record: record.fields,
    Rows: lambda rows: rows.records(),
    Member: lambda member: member.member if member.value is msgspec.UNSET else member.value,
}
_WRITE: Final[dict[str, Callable[[Store, Any, Any, str], None]]] = {
    codecs.FILE: _write_file,
    codecs.ARRAY: _write_array,
    codecs.TABLE: _write_table,
}
