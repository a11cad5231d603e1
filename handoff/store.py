"""A root and its policy: what is put at an address is got back as it was.

The only room that knows what is made of a value and where it is stored.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, TypeVar, overload

from msgspec import UNSET, UnsetType

from handoff import address as addresses
from handoff import attempts, cancellation, codecs, envelope, parcel, parts, watch
from handoff.address import RETURN_VALUE, Address
from handoff.awaiting import Awaited
from handoff.config import INLINE_LIMIT, MAX_SIZE, TIMEOUT, check_limit
from handoff.envelope import MOST_ATTEMPTS, Handoff, Inline, Stored
from handoff.errors import (
    ConfigError,
    DamagedError,
    DependencyError,
    EnvelopeError,
    HandoffError,
    LimitError,
    MismatchError,
    MissingError,
    StaleError,
)
from handoff.parcel import Parcel
from handoff.sizes import human_size
from handoff.storage import Storage, open_storage

_T = TypeVar("_T")

# Every header at the beginning of an artifact is whole within so many bytes, and so is many an artifact.
_FIRST = 64 * 1024


class Store(Awaited):
    """Puts values at addresses below a root, and gets them back.

    Arguments: ``root``, a folder or an fsspec URL such as ``s3://bucket/prefix``, without credentials, or
    ``s3://aws_default@bucket/prefix``, where ``AIRFLOW_CONN_AWS_DEFAULT`` is the connection to use;
    ``inline_limit``, the most bytes of JSON that one message may hold: 0 stores every value, None stores none;
    ``storage_options`` for the filesystem, never written down; ``previews``, whether envelopes describe their value
    in a line; ``max_size``, the most bytes of an artifact, at rest or decompressed; ``timeout`` in seconds for one
    call to the storage. Making a store imports, reads and writes nothing.

    Raises: `ConfigError`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        inline_limit: int | None = INLINE_LIMIT,
        storage_options: Mapping[str, Any] | None = None,
        previews: bool = True,
        max_size: int = MAX_SIZE,
        timeout: float = TIMEOUT,
    ) -> None:
        self._options: Mapping[str, Any] = dict(storage_options or {})
        if "@" in str(place := os.fspath(root)):
            from handoff import connections

            place, self._options = connections.of_root(place, self._options)
        self._storage: Storage = open_storage(place, self._options, timeout)
        self._inline_limit = check_limit(inline_limit)
        self._previews = previews
        self._max_size = max_size
        self._timeout = timeout

    @property
    def root(self) -> str:
        """The root, as an absolute folder or a URL."""
        return self._storage.root

    @property
    def inline_limit(self) -> int | None:
        """The most bytes of JSON that one message may hold; 0 stores every value, None stores none."""
        return self._inline_limit

    @property
    def max_size(self) -> int:
        """The most bytes of an artifact, at rest or decompressed."""
        return self._max_size

    @property
    def storage_options(self) -> dict[str, Any]:
        """The options of the filesystem, for engines that read artifacts in place. They may hold credentials.

        A connection's are read from the environment. Raises: `ConfigError` where they cannot be.
        """
        return dict(self._options)

    @watch.puts
    def put(
        self, value: object, at: Address, *, attempt: int = 1, inline_limit: int | UnsetType | None = UNSET
    ) -> Handoff:
        """Keep a value at an address, and give what travels in its place.

        A small value travels in the handoff itself, and costs no storage call on a first attempt. A larger one
        becomes the one artifact at the address: putting again overwrites it, and the same value gives the same
        bytes. A put that raises leaves what was there.

        Arguments: ``attempt`` of the task, from 1; ``inline_limit`` in place of the store's own.
        Raises: `EncodeError` naming the part of the value that cannot be kept as it is, `LimitError`,
        `DeniedError`, `UnreachableError`, `DependencyError`.
        """
        limit = self._limit(inline_limit, attempt)
        handoff = self._wrap(value, limit, alone=True)
        if not isinstance(handoff, Inline):
            return self._write(handoff, at, attempt)
        if attempt > 1 and not attempts.has_written(at):
            # What an earlier attempt stored is not this task's result.
            watch.withdraw(self._storage, at.path, attempt, attempts.begun(at))
        return envelope.bind(handoff, self)

    @overload
    def get(self, x: Any, type: type[_T], columns: Sequence[str] | None = ...) -> _T: ...
    @overload
    def get(self, x: Any, type: Any = ..., columns: Sequence[str] | None = ...) -> Any: ...
    @watch.gets
    def get(self, x: Any, type: Any = Any, columns: Sequence[str] | None = None) -> Any:
        """Give the value of a handoff, an envelope or an address; anything else is a plain value, given back as it is.

        Arguments: ``type``, the reader's own choice of library for a table (``pd.DataFrame``, ``pa.Table``), or of the
        type of records (``list[Flight]``), which plain data become as well; ``columns`` of a table: of one above 16 MiB
        no others are fetched.
        Guarantees: the value is identical to the one that was put, or an error says why not.
        Raises: `MissingError`, `StaleError`, `DamagedError`, `DeniedError`, `UnreachableError`, `EnvelopeError`,
        `LimitError`, `DependencyError`; `MismatchError` where it is not of that type, or holds records and no type
        is given.
        """
        if envelope.is_envelope(x):
            x = Handoff.from_json(x)
        if columns is not None and isinstance(x, Stored | Address):
            found = parts.columns_of(self._storage, x, type, self._max_size, columns)
            if found is not UNSET:
                return found
        if isinstance(x, Stored):
            return self._get_stored(x, type, columns)
        if isinstance(x, Inline):
            return parcel.unwrap_inline(x, type, columns)
        if isinstance(x, Address):
            return self._get_at(x, type, columns)
        return parcel.of_given(x, type)

    def scan(self, x: Any, type: Any = Any) -> Any:
        """Give what reads a table in place, columns and rows as they are asked for: a `pyarrow.dataset.Dataset`.

        Arguments: a handoff, an envelope or an address; ``type``, where it is to be a `polars.LazyFrame`.
        Guarantees: the table was the one that the handoff names when it was scanned; what is read later is what
        stands there then, as for any engine. Raises: as `get`, and `ConfigError` for what is no Parquet file.
        """
        if envelope.is_envelope(x):
            x = Handoff.from_json(x)
        if not isinstance(x, Stored | Address):
            return parts.scan_value(self.get(x, parts.arrow_table()), type)
        found = watch.read("scan", self._storage, x, functools.partial(parts.scan, self._storage, x, type))
        if found is UNSET:
            self.get(x, parts.arrow_table())  # it says what is wrong, if anything is
            raise ConfigError("what stands there is no Parquet file, and is not read in place", remedy="Load it")
        return found

    def exists(self, address: Address) -> bool:
        """Whether an artifact stands at an address. Raises: `DeniedError`, `UnreachableError`."""
        return self._storage.exists(address.path)

    @watch.deletes
    def delete(self, address: Address) -> bool:
        """Remove the artifact at an address; False where none was there, as far as the store tells.

        Raises: `DeniedError`, `UnreachableError`.
        """
        return self._storage.delete(address.path)

    def list(
        self, dag_id: str | None = None, run_id: str | None = None, task_id: str | None = None
    ) -> Iterator[Address]:
        """Give the addresses of all artifacts, or of those of a DAG, a run or a task.

        Objects that stand at no handoff address are passed over. Raises: `DeniedError`, `UnreachableError`.
        """
        folder = "" if dag_id is None else addresses.folder_of(dag_id, run_id, task_id)
        for entry in self._storage.list(folder):
            found = address_at(self._storage, entry.path, EnvelopeError)
            if found is not None and run_id in (None, found.run_id) and task_id in (None, found.task_id):
                yield found

    def latest(self, dag_id: str, task_id: str, map_index: int = -1, key: str = RETURN_VALUE) -> Address:
        """Give the address of what a task of any run stored last, by the storage's clock; one listing of the DAG.

        A result that was small enough for its message has no artifact: where it is read like this, the producer
        needs ``inline_limit=0``. Raises: `MissingError`, `DeniedError`, `UnreachableError`.
        """
        folder = addresses.folder_of(dag_id)
        end = Address(dag_id, "run", task_id, map_index, key).path.split("/", 2)[2]
        entries = [entry for entry in self._storage.list(folder) if entry.path.split("/", 2)[2:] == [end]]
        for entry in sorted(entries, key=lambda entry: (entry.modified, entry.path), reverse=True):
            found = address_at(self._storage, entry.path)
            if found is not None:
                return found
        raise MissingError(
            f"no run of {dag_id!r} has stored {key!r} of the task {task_id!r}",
            remedy="Run it, with inline_limit=0 where its result is small",
            address=f"{folder}/*/{end}",
        )

    def __repr__(self) -> str:
        return f"Store({getattr(self._options, 'named', self.root)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        if getattr(self._options, "given", self._options):
            raise ConfigError(
                f"{self!r} has storage_options, which may hold credentials, and is not pickled",
                remedy="Make the store where it is used, or name a connection in the root",
            )
        again = functools.partial(
            Store,
            inline_limit=self._inline_limit,
            previews=self._previews,
            max_size=self._max_size,
            timeout=self._timeout,
        )
        return again, (getattr(self._options, "named", self.root),)

    # --- writing ------------------------------------------------------------------------------------------------

    def _limit(self, given: int | UnsetType | None, attempt: object) -> int | None:
        if type(attempt) is not int or not 1 <= attempt <= MOST_ATTEMPTS:
            raise ConfigError(f"attempt must be a number from 1, not {attempt!r}")
        return self._inline_limit if given is UNSET else check_limit(given)

    def _wrap(self, value: object, limit: int | None, *, alone: bool) -> Inline | Parcel:
        return parcel.wrap(value, limit, alone=alone, preview=self._previews)

    def _write(self, ready: Parcel, at: Address, attempt: int) -> Stored:
        with self._storage.draft(at.path) as draft:
            stored = ready.write(draft, at, attempt, self._storage.uri(at.path), self._max_size)
            cancellation.check()  # what stands here is overwritten by none who has been given up
            draft.commit(attempt, attempts.begun(at))
        attempts.note(at)
        return envelope.bind(stored, self)

    # --- reading ------------------------------------------------------------------------------------------------

    def _get_stored(self, handoff: Stored, type: Any, columns: Sequence[str] | None) -> Any:
        at = handoff.address
        codecs.codec_named(handoff.codec)  # one that is unknown here is not fetched
        self._check_size(at, max(handoff.size, handoff.raw_size))
        for _ in range(2):  # a fault on the way is mended by reading again
            with self._storage.source(at.path, handoff.size + 1) as source, self._placed(at):
                value = parcel.unwrap_stored(handoff, source, type, self._max_size, columns)
                if value is not UNSET:
                    return value
        raise self._changed(handoff)

    def _get_at(self, at: Address, type: Any, columns: Sequence[str] | None) -> Any:
        with self._storage.source(at.path, self._max_size + 1) as source:
            self._check_size(at, source.size)
            with self._placed(at):
                return parcel.unwrap(source, at, type, self._max_size, columns)

    def _changed(self, handoff: Stored) -> HandoffError:
        """Tell whether what stands in place of the artifact is another whole one, or no artifact at all."""
        at = handoff.address
        if handoff.codec == codecs.FILE:
            return DamagedError(
                f"{self._storage.uri(at.path)}: not the file that was handed over: it was overwritten since, or "
                "damaged, and a file has no header that tells which",
                remedy=parcel.RERUN,
                address=at.path,
                uri=self._storage.uri(at.path),
            )
        try:
            self._get_at(at, Any, None)
        except (LimitError, DependencyError, MismatchError):
            pass  # its header was read: it is whole as far as can be told here
        except HandoffError as error:
            return error
        when = self._storage.modified(at.path)
        return StaleError(
            f"the artifact at {self._storage.uri(at.path)} was overwritten{f' at {when}' if when else ''}; "
            f"this handoff is from attempt {handoff.attempt}",
            remedy="Run this task again with the newer handoff, or the producer",
            address=at.path,
            uri=self._storage.uri(at.path),
            attempt=handoff.attempt,
        )

    def _check_size(self, at: Address, size: int) -> None:
        if size > self._max_size:
            with self._placed(at):
                raise LimitError(
                    f"the value takes {human_size(size)}, and {human_size(self._max_size)} are allowed",
                    remedy="Raise max_size where it is read",
                    size=size,
                    limit=self._max_size,
                )

    @contextlib.contextmanager
    def _placed(self, at: Address) -> Generator[None]:
        """Let an error of the layers below say where it happened."""
        try:
            yield
        except (DamagedError, EnvelopeError, LimitError) as error:
            uri = self._storage.uri(at.path)
            error.args = (f"{uri}: {error}",)
            error.address, error.uri = at.path, uri
            raise


def storage_of(store: Store) -> Storage:
    """Give the objects below a store's root, for what works on them as they are."""
    return store._storage  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - it is of this room


def address_at(storage: Storage, path: str, *passed_over: type[HandoffError]) -> Address | None:
    """Give the address whose artifact stands at a path; None where none does.

    Where an id is too long to stand in the path, only the header knows it, and no more than that is read.
    Arguments: ``passed_over``, for which of the errors it is None as well.
    Raises: `EnvelopeError` where it is of a newer version; `DeniedError`, `UnreachableError`.
    """
    if not addresses.may_be_path(path):
        return None
    try:
        return Address.from_path(path)
    except ConfigError:
        pass  # an id is shortened; or it is no path of ours
    try:
        found = _address_in(storage, path)
    except HandoffError as error:
        if isinstance(error, (DamagedError, MissingError, DependencyError, *passed_over)):
            return None
        raise
    return found if found.path == path else None


def _address_in(storage: Storage, path: str) -> Address:
    with storage.source(path, _FIRST) as source:
        if source.size < _FIRST or source.at(0, len(codecs.PARQUET)) != codecs.PARQUET:
            return codecs.header_alone(source).address
    with storage.place(path) as source:  # a Parquet file says at its end what it is
        return codecs.header_alone(source).address
