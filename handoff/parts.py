"""Tables read where they stand: columns and rows without the rest.

A part is known to be of the version that a handoff names by the footer of the file, which bears a checksum of the
whole; the checksums of its pages are verified by Parquet itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from handoff import codecs, sight
from handoff.address import Address
from handoff.codecs import Reading
from handoff.envelope import Stored
from handoff.errors import ConfigError, DamagedError
from handoff.spool import MOST_IN_MEMORY, Source
from handoff.storage import Storage


def columns_of(storage: Storage, x: Stored | Address, type: Any, limit: int, columns: Sequence[str]) -> Any:
    """Give some columns of a large table, having read no others; UNSET where the whole is to be read.

    It is where it is small, where it is no Parquet file, where the reader asks for a stream of batches, and where
    anything is wrong, which reading the whole will tell. Raises: as ``Storage.source``, and `ConfigError`.
    """
    if isinstance(x, Stored) and x.size <= MOST_IN_MEMORY:
        return UNSET
    at = x.address if isinstance(x, Stored) else x
    with contextlib.suppress(DamagedError), storage.place(at.path) as source:
        stamp = _stamp_of(source, x) if source.size > MOST_IN_MEMORY else None
        if stamp is not None:
            header = stamp.header
            sight.note(header.codec, header.type, header.raw_size, source.size)
            reading = Reading(header.type, limit, type, header, columns, is_known=isinstance(x, Stored))
            value = codecs.codec_named(header.codec).decode(source, reading)
            # Nothing was overwritten meanwhile; a stream has not even begun.
            if not hasattr(value, "read_next_batch") and _stamp_of(source, x) == stamp:
                return value
    return UNSET


def scan(storage: Storage, x: Stored | Address, type: Any) -> Any:
    """Give what reads a table in place when it is asked to; UNSET where it cannot. Raises: as `columns_of`."""
    at = x.address if isinstance(x, Stored) else x
    with contextlib.suppress(DamagedError), storage.place(at.path) as source:
        if (stamp := _stamp_of(source, x)) is not None:
            header = stamp.header
            sight.note(header.codec, header.type, header.raw_size, source.size)
            from handoff.codecs import table

            table.check_scan(source)
            return table.dataset(*storage.located(at.path), type)
    return UNSET


def scan_value(value: Any, type: Any) -> Any:
    """Give the same for a table that is at hand. Raises: `ConfigError`."""
    from handoff.codecs import table

    if not isinstance(value, arrow_table()):
        raise ConfigError("only a table is scanned", remedy="Load it")
    return table.dataset_of(value, type)


def arrow_table() -> Any:
    """Give the class of Arrow's tables. Raises: `DependencyError`."""
    from handoff.codecs._libraries import library

    return library("pyarrow").Table


def _stamp_of(source: Source, x: Stored | Address) -> Any:
    """Read what a footer says of the whole file; None where that is not what the handoff or the address names."""
    if source.at(0, len(codecs.PARQUET)) != codecs.PARQUET:
        return None
    from handoff.codecs import table

    stamp = table.read_stamp(source)
    header = stamp.header
    if isinstance(x, Address):
        return stamp if header.address == x else None
    found = (header.address, header.codec, header.type, header.raw_size, source.size, stamp.check.decode("latin-1"))
    return stamp if found == (x.address, x.codec, x.type, x.raw_size, x.size, x.check) else None
