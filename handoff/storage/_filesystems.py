"""Which fsspec filesystem a protocol needs, and how its objects are used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from handoff.errors import ConfigError, DependencyError
from handoff.storage._calls import Patience
from handoff.storage._objects import AnyObjects, Objects

_EXTRAS: Final = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "abfs": "azure",
    "abfss": "azure",
    "az": "azure",
}
_RECIPES: Final = {
    "s3": "handoff.storage._s3:S3Objects",
    "gcs": "handoff.storage._gcs:GcsObjects",
    "azure": "handoff.storage._azure:AzureObjects",
}


def recipe_of(protocol: str) -> Any:
    """Give the class that uses the objects of a protocol's filesystem. Its library is not loaded yet."""
    module, _, name = _RECIPES.get(_EXTRAS.get(protocol, ""), "").partition(":")
    return getattr(import_module(module), name) if module else AnyObjects


def make(root: str, kind: Any, options: Mapping[str, Any], patience: Patience) -> tuple[Any, Objects]:
    """Make the filesystem of a root and what uses its objects. Raises: `ConfigError`, `DependencyError`."""
    import fsspec  # type: ignore[import-untyped]  # it ships no types

    protocol = root.partition("://")[0]
    extra = _EXTRAS.get(protocol, "")
    try:
        found = fsspec.get_filesystem_class(protocol)
    except ValueError:
        raise ConfigError(
            f"fsspec knows no protocol {protocol}://",
            remedy="Use a folder, s3://, gs:// or abfs:// (extras s3, gcs, azure), or install its filesystem",
        ) from None
    except ImportError:
        package = f"dag-handoff[{extra}]" if extra else f"the package that fsspec needs for {protocol}://"
        raise DependencyError(
            f"{root} needs a library that is not installed", remedy=f"Install {package}", extra=extra
        ) from None
    asked = kind.options(options, is_async=found.async_impl)  # what a connection holds is read here
    try:
        filesystem = fsspec.filesystem(protocol, **asked)
    except (TypeError, ValueError) as error:
        # The options may hold secrets, and so may an error about them.
        raise ConfigError(
            f"the storage_options do not fit {protocol}:// ({type(error).__name__})",
            remedy="Compare their names with the filesystem's arguments",
        ) from None
    return filesystem, kind(filesystem, patience)
