"""Settings and bounds: what is given in code wins over the environment, and that over the defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from handoff.errors import ConfigError
from handoff.sizes import parse_size

#: The most bytes of JSON that one message may hold, where nothing else is said.
INLINE_LIMIT = 48 * 1024
#: The most bytes of JSON that any message may hold: queues and metadata databases break above it.
MESSAGE_CAP = 1024 * 1024
#: The most bytes of a stored envelope.
ENVELOPE_CAP = 2 * 1024
#: The most bytes that an artifact may have, at rest or decompressed.
MAX_SIZE = 8 * 1024**3
#: The most bytes that a value inside a message may have decompressed: nothing vouches for what a message holds.
INLINE_SIZE = 4 * 1024**2
#: How deep containers may be nested, in every codec, written or read.
DEEPEST = 128
#: Seconds that one call to the storage may take.
TIMEOUT = 300.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment says of the default store.

    Arguments: ``root``, a folder or an fsspec URL; ``is_given``, False where the root is only a default on this
    machine; ``inline_limit`` in bytes, None for never storing; ``storage_options`` for the filesystem.
    """

    root: str
    is_given: bool
    inline_limit: int | None
    storage_options: Mapping[str, Any]


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """Read ``HANDOFF_ROOT``, ``HANDOFF_INLINE_LIMIT`` and ``HANDOFF_STORAGE_OPTIONS``.

    Without a root, the answer is a local folder: ``$AIRFLOW_HOME/handoff``, else ``./.handoff``.

    Raises: `ConfigError` naming the variable.
    """
    environ = os.environ if environ is None else environ
    given, home = environ.get("HANDOFF_ROOT"), environ.get("AIRFLOW_HOME")
    return Settings(
        root=given or (os.path.join(home, "handoff") if home else os.path.abspath(".handoff")),
        is_given=bool(given),
        inline_limit=_limit(environ.get("HANDOFF_INLINE_LIMIT", "")),
        storage_options=_options(environ.get("HANDOFF_STORAGE_OPTIONS", "")),
    )


def on_event(environ: Mapping[str, str] | None = None) -> tuple[str, str] | None:
    """Read ``HANDOFF_ON_EVENT``: the module and the name of what is told of events. Raises: `ConfigError`."""
    given = (os.environ if environ is None else environ).get("HANDOFF_ON_EVENT", "")
    module, _, name = given.partition(":")
    if given and not (module and name):
        raise ConfigError("HANDOFF_ON_EVENT names no callable", remedy="Write it as in package.module:on_event")
    return (module, name) if given else None


def check_limit(limit: object) -> int | None:
    """Give back an inline limit: bytes from 0 (always store) to `MESSAGE_CAP`, or None (never store).

    Raises: `ConfigError`.
    """
    if limit is None or (type(limit) is int and 0 <= limit <= MESSAGE_CAP):
        return limit
    raise ConfigError(
        f"inline_limit must be a number of bytes from 0 to {MESSAGE_CAP:,}, or None, not {limit!r}",
        remedy="0 stores every value, None stores none",
    )


def _limit(text: str) -> int | None:
    if not text:
        return INLINE_LIMIT
    if text.strip().lower() == "none":
        return None
    try:
        return check_limit(parse_size(text))
    except ConfigError as error:
        raise ConfigError(f"HANDOFF_INLINE_LIMIT: {error}") from None


def _options(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any]) if text else {}
    except msgspec.DecodeError:
        # The text may hold credentials: it is not repeated, and neither is the error that quotes it.
        raise ConfigError(
            "HANDOFF_STORAGE_OPTIONS is not a JSON object", remedy='Write it as in {"profile": "data"}'
        ) from None
