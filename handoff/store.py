"""A root and its policy: what is put at an address is got back as it was.

The only room that knows codecs, artifacts and storage together.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import warnings
from collections.abc import Generator, Iterator, Mapping
from typing import Any, TypeVar, overload

import msgspec
from msgspec import UNSET, UnsetType

from handoff import address as addresses
from handoff import codecs, envelope, plain
from handoff.address import Address
from handoff.artifact import Header
from handoff.config import INLINE_LIMIT, INLINE_SIZE, MAX_SIZE, MESSAGE_CAP, TIMEOUT, check_limit, from_environment
from handoff.envelope import MOST_ATTEMPTS, Handoff, Inline, Stored
from handoff.errors import (
    ConfigError,
    DamagedError,
    DependencyError,
    EnvelopeError,
    HandoffError,
    LimitError,
    MissingError,
    StaleError,
)
from handoff.sizes import human_size
from handoff.storage import Storage, open_storage

_T = TypeVar("_T")
_BASE64 = 0.75
_RERUN = "Run the producer again"


class Store:
    """Puts values at addresses below a root, and gets them back.

    Arguments: ``root``, a folder or an fsspec URL such as ``s3://bucket/prefix``, without credentials;
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
        self._options = dict(storage_options or {})
        self._storage: Storage = open_storage(os.fspath(root), self._options, timeout)
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
        limit = self._inline_limit if inline_limit is UNSET else check_limit(inline_limit)
        if type(attempt) is not int or not 1 <= attempt <= MOST_ATTEMPTS:
            raise ConfigError(f"attempt must be a number from 1, not {attempt!r}")
        room = MESSAGE_CAP if limit is None else limit
        data = plain.encode(value, room)
        if data is not None:
            handoff: Handoff | None = envelope.plain_handoff(value, data)
        else:
            codec = codecs.codec_for(value)
            encoded = codec.encode(value)
            handoff = self._inline(codec, encoded, room)
            if handoff is None and limit is not None:
                return envelope.bind(self._write(codec, encoded, at, attempt), self)
        if handoff is None:
            raise LimitError(
                f"the value does not fit into a message of {human_size(MESSAGE_CAP)}, and inline_limit is None",
                remedy="Set an inline_limit, so that it is stored",
                limit=MESSAGE_CAP,
            )
        if attempt > 1:
            self._storage.delete(at.path)  # what an earlier attempt stored is not this task's result
        return envelope.bind(handoff, self)

    @overload
    def get(self, x: Any, type: type[_T]) -> _T: ...
    @overload
    def get(self, x: Any, type: Any = ...) -> Any: ...
    def get(self, x: Any, type: Any = Any) -> Any:
        """Give the value of a handoff, an envelope or an address; anything else is a plain value, given back as it is.

        Arguments: ``type``, the reader's own choice of library for a table (``pd.DataFrame``, ``pa.Table``).
        Guarantees: the value is identical to the one that was put, or an error says why not.
        Raises: `MissingError`, `StaleError`, `DamagedError`, `DeniedError`, `UnreachableError`, `EnvelopeError`,
        `LimitError`, `DependencyError`.
        """
        if envelope.is_envelope(x):
            x = Handoff.from_json(x)
        if isinstance(x, Stored):
            return self._get_stored(x, type)
        if isinstance(x, Inline):
            return self._get_inline(x, type)
        if isinstance(x, Address):
            return self._get_at(x, type)
        return x

    def exists(self, address: Address) -> bool:
        """Whether an artifact stands at an address. Raises: `DeniedError`, `UnreachableError`."""
        return self._storage.exists(address.path)

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
        for path in self._storage.list(folder):
            found = self._address_at(path)
            if found is not None and run_id in (None, found.run_id) and task_id in (None, found.task_id):
                yield found

    def __repr__(self) -> str:
        return f"Store({self.root!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._options:
            raise ConfigError(
                f"{self!r} has storage_options, which may hold credentials, and is not pickled",
                remedy="Make the store where it is used",
            )
        again = functools.partial(
            Store,
            inline_limit=self._inline_limit,
            previews=self._previews,
            max_size=self._max_size,
            timeout=self._timeout,
        )
        return again, (self.root,)

    # --- writing ------------------------------------------------------------------------------------------------

    def _inline(self, codec: codecs.Codec, encoded: codecs.Encoded, room: int) -> Inline | None:
        payload = encoded.bare(int(room * _BASE64))
        if payload is None:
            return None
        inline = Inline(
            codec=codec.id,
            type=envelope.clean(encoded.type),
            sha256=hashlib.sha256(payload).hexdigest(),
            preview=self._preview(encoded),
            data=payload,
        )
        return inline if len(envelope.message_of(inline)) <= room else None

    def _write(self, codec: codecs.Codec, encoded: codecs.Encoded, at: Address, attempt: int) -> Stored:
        header = Header(address=at, codec=codec.id, type=envelope.clean(encoded.type), raw_size=encoded.raw_size)
        data = encoded.artifact(header)
        if len(data) > self._max_size:
            raise LimitError(
                f"the artifact takes {human_size(len(data))}, and {human_size(self._max_size)} are allowed",
                size=len(data),
                limit=self._max_size,
            )
        stored = envelope.fit(
            Stored(
                codec=header.codec,
                type=header.type,
                sha256=hashlib.sha256(data).hexdigest(),
                preview=self._preview(encoded),
                address=at,
                size=len(data),
                raw_size=header.raw_size,
                attempt=attempt,
                uri=self._storage.uri(at.path),
            )
        )
        self._storage.write(at.path, data)
        return stored

    def _preview(self, encoded: codecs.Encoded) -> str:
        return envelope.clean(encoded.preview()) if self._previews else ""

    # --- reading ------------------------------------------------------------------------------------------------

    def _get_inline(self, handoff: Inline, type: Any) -> Any:
        if handoff.codec == envelope.PLAIN:
            return handoff.to_json()
        if hashlib.sha256(handoff.data).hexdigest() != handoff.sha256:
            raise DamagedError("the data of this inline handoff does not match its digest", remedy=_RERUN)
        codec = codecs.codec_named(handoff.codec)
        return codec.decode(handoff.data, header=None, type=type, name=handoff.type, limit=INLINE_SIZE)

    def _get_stored(self, handoff: Stored, type: Any) -> Any:
        at = handoff.address
        codec = codecs.codec_named(handoff.codec)
        self._check_size(at, max(handoff.size, handoff.raw_size))
        data = self._storage.read(at.path, handoff.size + 1)
        if not _matches(data, handoff):
            data = self._storage.read(at.path, handoff.size + 1)  # a fault on the way is mended by reading again
            if not _matches(data, handoff):
                raise self._changed(handoff)
        with self._placed(at):
            header = self._header(codec, data, at)
            if (header.type, header.raw_size) != (handoff.type, handoff.raw_size):
                raise EnvelopeError("the envelope says other than the artifact's header", remedy=_RERUN)
            return codec.decode(data, header=header, type=type, name=header.type, limit=self._max_size)

    def _get_at(self, at: Address, type: Any) -> Any:
        data = self._read(at)
        with self._placed(at):
            codec = _codec_of(data)
            header = self._header(codec, data, at)
            return codec.decode(data, header=header, type=type, name=header.type, limit=self._max_size)

    def _read(self, at: Address) -> bytes:
        data = self._storage.read(at.path, self._max_size + 1)
        self._check_size(at, len(data))
        return data

    def _header(self, codec: codecs.Codec, data: bytes, at: Address) -> Header:
        header = codec.header(data)
        if header.codec != codec.id:
            raise DamagedError(f"the header names the codec {header.codec}, and this is {codec.id}", remedy=_RERUN)
        if header.address != at:
            raise DamagedError(f"the artifact belongs to {header.address.path}", remedy=_RERUN)
        return header

    def _changed(self, handoff: Stored) -> HandoffError:
        """Tell whether what stands in place of the artifact is another whole one, or no artifact at all."""
        at = handoff.address
        try:
            self._get_at(at, Any)
        except (LimitError, DependencyError):
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

    def _address_at(self, path: str) -> Address | None:
        if not addresses.may_be_path(path):
            return None
        try:
            return Address.from_path(path)
        except ConfigError:
            pass  # an id is shortened, so that only the header knows it; or it is no path of ours
        try:
            data = self._storage.read(path, self._max_size)
            found = _codec_of(data).header(data).address
        except (DamagedError, MissingError, DependencyError):
            return None
        return found if found.path == path else None

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


def default_store() -> Store:
    """Give the store that the environment names.

    It reads ``HANDOFF_ROOT``, ``HANDOFF_INLINE_LIMIT`` (``48 KiB``) and ``HANDOFF_STORAGE_OPTIONS`` (a JSON object).

    Without a root, artifacts go to ``$AIRFLOW_HOME/handoff``, else ``./.handoff``, and a warning says once that
    this serves one machine only. Raises: `ConfigError` naming the variable.
    """
    settings = from_environment()
    options = msgspec.json.encode(settings.storage_options)
    if not settings.is_given:
        _warn_of_default(settings.root)
    return _store_of(settings.root, settings.inline_limit, options)


@functools.lru_cache(maxsize=8)
def _warn_of_default(root: str) -> None:
    warnings.warn(
        f"HANDOFF_ROOT is not set: artifacts go to {root}, which serves the tasks of one machine only. "
        "Set it to a place that all workers reach, such as s3://bucket/prefix.",
        stacklevel=3,
    )


@functools.lru_cache(maxsize=8)
def _store_of(root: str, inline_limit: int | None, options: bytes) -> Store:
    return Store(root, inline_limit=inline_limit, storage_options=msgspec.json.decode(options))


def _matches(data: bytes, handoff: Stored) -> bool:
    return len(data) == handoff.size and hashlib.sha256(data).hexdigest() == handoff.sha256


def _codec_of(data: bytes) -> codecs.Codec:
    codec = codecs.codec_of(data)
    if codec is None:
        raise DamagedError("the bytes begin like no artifact", remedy=_RERUN)
    return codec
