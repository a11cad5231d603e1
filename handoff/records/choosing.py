"""The one type of several that a value fits, found without trying any of them twice on the same part of it."""

from __future__ import annotations

import threading
from typing import Any

from handoff.records import CONTAINERS, Record, Rows, building
from handoff.records.building import NAMED, Convert, Misfit

_OPENED = CONTAINERS | {Record, Rows}


class _Tried(threading.local):
    """What became of the parts of the value that this thread looks at: the part itself, and its value or misfit."""

    found: dict[tuple[Any, ...], tuple[Any, Any]] | None = None


_tried = _Tried()


def only(each: list[Convert], value: Any, mode: int, wanted: str) -> Any:
    """Give a value as the one type of several that it fits: by the recorded names first, else by its structure.

    Each part is looked at once for each union, however many types of those above it are tried. Raises: `Misfit`.
    """
    found = _tried.found
    if type(value) not in _OPENED:
        return _only(each, value, mode, wanted)
    if found is None:
        _tried.found = {}
        try:
            return _only(each, value, mode, wanted)
        finally:
            _tried.found = None
    place = (id(value), id(each), mode)
    if place not in found:
        try:
            found[place] = value, _only(each, value, mode, wanted)
        except Misfit as misfit:
            found[place] = value, misfit.again()
    _, outcome = found[place]
    if isinstance(outcome, Misfit):
        raise outcome.again()
    return outcome


def _only(each: list[Convert], value: Any, mode: int, wanted: str) -> Any:
    """Give a value as the one type of several that it fits: by the recorded names first, else by its structure."""
    found: list[Any] = []
    misfits: dict[str, Misfit] = {}
    for tried in dict.fromkeys((mode | NAMED, mode)):
        for convert in each if not found else ():
            try:
                found.append(convert(value, tried))
            except Misfit as misfit:
                misfits[misfit.path] = misfit
    if any(one is value for one in found):
        return value
    if len(found) > 1 and any(one is not None for one in found):
        raise Misfit(f"expected {wanted}, and the value fits more than one of them")
    if found:
        return found[0]
    misfits.pop("", None)
    if len(misfits) == 1:
        raise misfits.popitem()[1]
    return building.refuse(value, mode, wanted)
