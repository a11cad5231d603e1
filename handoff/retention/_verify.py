"""Whether what is kept is whole."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

import msgspec

from handoff import artifact, codecs, lanes, parcel
from handoff.address import is_in_full
from handoff.errors import (
    DamagedError,
    DependencyError,
    HandoffError,
    LimitError,
    MismatchError,
    MissingError,
)
from handoff.lanes import WIDTH
from handoff.retention._listing import MOST_FAILURES, Progress, Scope, address_in
from handoff.sizes import human_size
from handoff.spool import MOST_IN_MEMORY, Source
from handoff.storage import Entry, Storage
from handoff.store import Store, storage_of

#: The most bytes of a value that is decoded to see that it can be; of a larger one, checksums and header are read.
DECODED: Final = 64 * 1024**2
# What is larger is decoded one at a time: as objects it may take seven times its bytes.
_LIGHT: Final = 1024**2
_LEAST_HELD: Final = 1024**2
_BUFFER: Final = 1024**2
# How a header begins in an artifact of either kind, and what else the end of a Parquet file of ours holds.
_SPELLED: Final = b'{"handoff":'
_CHECKED: Final = b"handoff.crc32"
_TAIL: Final = 64 * 1024


class Verified(msgspec.Struct, frozen=True):
    """What a verification found.

    ``artifacts`` were read, ``size`` bytes in all; ``files`` of them bear no header, as files do, so that no more is
    known than that they can be read. ``failed`` are damaged, or could not be read: ``failures`` are the errors of the
    first hundred, each with its ``address`` and ``uri``.
    """

    artifacts: int
    size: int
    files: int
    failed: int
    failures: tuple[HandoffError, ...]


def verify(
    store: Store,
    *,
    dag_id: str | None = None,
    run_id: str | None = None,
    task_id: str | None = None,
    width: int = WIDTH,
    tell: Callable[[Progress], object] | None = None,
) -> Verified:
    """Read every artifact, or those of a DAG, a run or a task, and see whether it is whole.

    It is where its checksums hold (of the compressed frame, of the whole Parquet file and its pages), its header says
    the address where it stands, and, up to 64 MiB, its value can be decoded as far as that needs no type of its
    reader's and no library that is missing here. The digest in an envelope is the envelope's: ``store.get`` compares
    it.

    Arguments: the ids, to read no more than these; ``width``, how many are read at once; ``tell``, what is called
    after each with how far it is.
    Guarantees: nothing is written. What is put or deleted meanwhile is no failure: an artifact is read again before
    it is called damaged, as it stands then. Memory does not grow with the number of artifacts.
    Raises: `ConfigError`, `DeniedError`, `UnreachableError` where the store cannot be listed.
    """
    storage, scope = storage_of(store), Scope(dag_id, run_id, task_id).checked()
    heavy = threading.Lock()

    def calls() -> Iterator[tuple[int, Callable[[], _Found | None]]]:
        for entry in scope.within(storage.list(scope.folder)):
            held = max(_LEAST_HELD, min(entry.size, MOST_IN_MEMORY))
            yield held, functools.partial(_look, storage, entry, store.max_size, heavy)

    count = size = files = failed = 0
    failures: list[HandoffError] = []
    for found in lanes.as_taken(calls(), width=width):
        if found is None:
            continue
        count, size, files = count + 1, size + found.size, files + found.is_file
        if found.failure is not None:
            failed += 1
            failures += [found.failure][: MOST_FAILURES - len(failures)]
        if tell is not None:
            tell(Progress("verify", count, size, failed=failed))
    return Verified(count, size, files, failed, tuple(failures))


class _Found(msgspec.Struct, frozen=True):
    size: int
    is_file: bool = False
    failure: HandoffError | None = None


def _look(storage: Storage, entry: Entry, most: int, heavy: AbstractContextManager[Any]) -> _Found | None:
    """Read an artifact; None where it is gone meanwhile."""
    read = functools.partial(_read, storage, entry, most, heavy)
    try:
        try:
            return read()
        except DamagedError:
            return read()  # it may have been damaged on its way
    except MissingError:
        return None
    except HandoffError as error:
        if error.address is None:
            error.args = (f"{storage.uri(entry.path)}: {error}",)
            error.address, error.uri = entry.path, storage.uri(entry.path)
        _let_go(error)
        return _Found(entry.size, failure=error)


def _read(storage: Storage, entry: Entry, most: int, heavy: AbstractContextManager[Any]) -> _Found | None:
    if entry.size <= MOST_IN_MEMORY < most:
        with storage.source(entry.path, MOST_IN_MEMORY + 1) as source:
            if source.size <= MOST_IN_MEMORY:  # else it has grown since it was listed
                return _check(source, entry.path, most, heavy)
    with storage.source(entry.path, most + 1) as source:
        return _check(source, entry.path, most, heavy)


def _check(source: Source, path: str, most: int, heavy: AbstractContextManager[Any]) -> _Found | None:
    """Look through the bytes that stand at a path. Raises: `DamagedError`, `LimitError`, `DependencyError`."""
    if source.size > most:
        raise LimitError(
            f"the artifact takes over {human_size(most)}, which are allowed",
            remedy="Raise max_size of the store",
            size=source.size,
            limit=most,
        )
    at = address_in(path)
    if at is None and is_in_full(path):
        return None
    if at is not None and _is_file(source):
        return _Found(source.size, is_file=True)
    header = codecs.header_of(source)
    if header.address.path != path:
        raise DamagedError(f"the artifact belongs to {header.address.path}", remedy=parcel.RERUN)
    is_decoded = False
    if header.raw_size <= DECODED:
        # What its reader would have to say, or to install, is no damage.
        with contextlib.suppress(LimitError, DependencyError, MismatchError):
            with heavy if header.raw_size > _LIGHT else contextlib.nullcontext():
                parcel.unwrap(source, header.address, Any, DECODED, None)
            is_decoded = True
    if not is_decoded and source.at(0, len(artifact.MAGIC)) == artifact.MAGIC:
        _drain(source, header.raw_size)
    return _Found(source.size)


def _let_go(error: BaseException | None) -> None:
    """Let an error go of the bytes that its frames hold."""
    while error is not None:
        error.__traceback__ = None
        error = error.__context__


def _drain(source: Source, size: int) -> None:
    """Decompress a frame, a piece at a time, for its checksum. Raises: `DamagedError`."""
    _, start = artifact.read_header(source)
    payload, buffer = artifact.Payload(source, start=start, expected=size), memoryview(bytearray(_BUFFER))
    with payload.reading() as fill:
        for place in range(0, payload.size, _BUFFER):
            fill(buffer[: payload.size - place])


def _is_file(source: Source) -> bool:
    """Whether nothing says that the bytes have a header, or had one before they were damaged."""
    head, tail = source.at(0, len(artifact.MAGIC) + 4 + len(_SPELLED)), source.at(max(0, source.size - _TAIL), _TAIL)
    if head.startswith(artifact.MAGIC) or head.endswith(_SPELLED):
        return False
    is_cut = head.startswith(codecs.PARQUET) and not tail.endswith(codecs.PARQUET)
    return not (is_cut or _SPELLED in tail or _CHECKED in tail)
