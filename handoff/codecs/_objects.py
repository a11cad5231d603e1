"""Columns of Python objects: of one plain type they are a column of that type, else MessagePack cell by cell."""

from __future__ import annotations

import datetime as dt
import struct
from typing import Any

from handoff.codecs import tree
from handoff.codecs._libraries import library
from handoff.errors import DamagedError

_LEAST, _MOST = -(2**63), 2**63 - 1
_FORMS: dict[type, str] = {str: "text", bytes: "bytes", bool: "bool", int: "int", float: "float", dt.date: "date"}
_TYPES = {
    "text": "large_string", "bytes": "large_binary", "bool": "bool", "int": "int64", "float": "float64",
    "date": "date32", "cells": "large_binary",
}  # fmt: skip
_GAPS = ("None", "NaN", "NA", "NaT")
_PIECE = 64 * 1024
_NAN = struct.pack("<d", float("nan"))


class Objects:
    """Python objects.

    Arguments: the ``form`` that all of them have; the ``gap``, by which of pandas' ways a missing one is marked.
    """

    def __init__(self, form: str, gap: str) -> None:
        if form not in _TYPES or gap not in _GAPS:
            raise DamagedError(f"{form!r} with {gap!r} is no form of objects")
        self._form = form
        self._gap = gap
        self.is_open = form != "cells"
        self.type = library("pyarrow").type_for_alias(_TYPES[form])

    def note(self) -> list[Any]:
        return ["objects", self._form, self._gap]

    def to_arrow(self, cells: Any) -> Any:
        arrow = library("pyarrow")
        if self._form == "cells":
            return arrow.array([tree.dump(cell) for cell in cells], self.type)
        return arrow.array(cells, self.type, from_pandas=self._form != "float")

    def begin(self, rows: int) -> Any:
        return library("numpy").empty(rows, object)

    def add(self, into: Any, start: int, part: Any) -> None:
        numpy = library("numpy")
        end = start + len(part)
        if self._form in ("text", "bytes"):
            # Equal texts become one object, as they mostly were.
            encoded = part.dictionary_encode()
            values = _filled([*encoded.dictionary.to_pylist(), _gaps()[self._gap]])
            numbers = library("pyarrow.compute").fill_null(encoded.indices, len(values) - 1)
            into[start:end] = values[numbers.to_numpy(zero_copy_only=False)]
            return
        into[start:end] = _filled(part.to_pylist())
        if self._form == "cells":
            into[start:end] = _filled(list(map(tree.load, into[start:end])))
        elif part.null_count:
            gaps = library("pyarrow.compute").is_null(part).to_numpy(zero_copy_only=False)
            into[start:end][gaps] = numpy.array([_gaps()[self._gap]], object)

    def end(self, into: Any) -> Any:
        return into


def objects_of(cells: Any) -> Objects:
    """Choose the form for the objects of a numpy array, having looked at the type of each."""
    gaps = {type(gap): name for name, gap in _gaps().items()}
    kinds = set(map(type, cells))
    marks, plain = kinds & set(gaps), kinds - set(gaps)
    if float in marks and not plain and marks <= {float, type(None)}:
        return Objects("float", "None")
    form = "text" if not plain else _FORMS.get(plain.pop(), "cells") if len(plain) == 1 else "cells"
    if len(marks) > 1 or (float in marks and not all(map(_is_gap, cells))):
        form = "cells"
    if form == "text" and not _is_text(cells):
        form = "cells"
    if form == "int" and not all(_LEAST <= cell <= _MOST for cell in cells if type(cell) is int):
        form = "cells"
    return Objects(form, gaps[marks.pop()] if form != "cells" and marks else "None")


def _gaps() -> dict[str, Any]:
    pandas = library("pandas")
    return {"None": None, "NaN": float("nan"), "NA": pandas.NA, "NaT": pandas.NaT}


def _is_text(cells: Any) -> bool:
    """Whether texts are without lone surrogates."""
    for start in range(0, len(cells), _PIECE):
        text = "".join(cell for cell in cells[start : start + _PIECE] if type(cell) is str)
        try:
            if not text.isascii():
                text.encode()
        except UnicodeEncodeError:
            return False
    return True


def _is_gap(cell: Any) -> bool:
    return type(cell) is not float or struct.pack("<d", cell) == _NAN


def _filled(cells: list[Any]) -> Any:
    # Given the list itself, numpy would look for dimensions in it.
    found = library("numpy").empty(len(cells), object)
    found[:] = cells
    return found
