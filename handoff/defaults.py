"""The store that the environment names, made once for each setting."""

from __future__ import annotations

import functools
import warnings

import msgspec

from handoff.config import from_environment
from handoff.store import Store


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
