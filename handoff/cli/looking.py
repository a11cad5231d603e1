"""What stands at an address, told by its header: a few bytes, and never the value."""

from __future__ import annotations

from typing import NamedTuple

from handoff import codecs
from handoff.address import Address
from handoff.artifact import Header
from handoff.envelope import Handoff
from handoff.errors import DamagedError, MissingError
from handoff.store import Store, storage_of

#: What to do where nothing stands at an address that somebody named: its result may have been small.
REMEDY = "Run the producer again; or look in XCom, where small results are"


class Standing(NamedTuple):
    """An artifact: its bytes at rest, its header if it bears one, and why that could not be read if not."""

    size: int
    header: Header | None
    trouble: DamagedError | None = None


def look(store: Store, at: Address) -> Standing:
    """Read what an artifact says of itself. Raises: `MissingError`, `DeniedError`, `UnreachableError`."""
    with storage_of(store).place(at.path) as source:
        try:
            return Standing(source.size, codecs.header_alone(source))
        except DamagedError as error:
            error.address, error.uri = at.path, storage_of(store).uri(at.path)
            return Standing(source.size, None, error)


def look_named(store: Store, at: Address) -> Standing:
    """Read what stands at an address that somebody named, perhaps that of a small result. Raises: as `look`."""
    try:
        return look(store, at)
    except MissingError as error:
        raise MissingError(
            str(error).removesuffix(f". {error.remedy}."), remedy=REMEDY, address=error.address, uri=error.uri
        ) from None


def codec_of(store: Store, what: Handoff | Address, *, is_file: bool) -> str:
    """Tell the codec of what a reader names.

    Arguments: ``is_file``, whether the bytes at an address are to be taken as they are. Raises: `DamagedError` where
    they bear no header, and as `look`.
    """
    if isinstance(what, Handoff):
        return what.codec
    if is_file:
        return codecs.FILE
    found = look_named(store, what)
    if found.header is None:
        raise DamagedError(
            f"{storage_of(store).uri(what.path)} bears no header: it is damaged, or a file",
            remedy="Run the producer again; or say --file, to take the bytes as they are",
            address=what.path,
            uri=storage_of(store).uri(what.path),
        )
    return found.header.codec
