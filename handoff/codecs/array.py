"""numpy arrays as `.npy`, in one zstd frame: any dtype without objects, any order and strides.

The header of `.npy` (numpy.lib.format) is written here, so that it does not change with numpy's version; it is read
in the one spelling in which it is written.
"""

from __future__ import annotations

import ast
import math
import struct
import sys
from importlib import import_module
from typing import Any, Final

from handoff import artifact
from handoff.artifact import Buffer
from handoff.codecs._framed import Framed
from handoff.codecs._reading import Reading
from handoff.errors import DamagedError, DependencyError, EncodeError, LimitError
from handoff.sizes import human_size
from handoff.spool import Source

id: Final = "array"

_TYPE = "numpy.ndarray"
_MAGIC = b"\x93NUMPY"
# Version 1.0 has a length of 16 bits and text in Latin-1, version 3.0 one of 32 bits and UTF-8.
_OLD, _NEW = b"\x01\x00", b"\x03\x00"
_SHORT, _LONG = struct.Struct("<H"), struct.Struct("<I")
_ALIGNED = 64
_LONGEST = 64 * 1024


class Array(Framed):
    """An array, and the bytes of its payload at any place."""

    type = _TYPE

    def __init__(self, array: Any, head: bytes) -> None:
        super().__init__(len(head) + array.nbytes, len(head) + array.nbytes)
        self._array = array
        self._bytes = _bytes_of(array)
        self._head = head

    def preview(self) -> str:
        shape = " × ".join(f"{length:,}" for length in self._array.shape)
        return f"{self._array.dtype} array of {shape or 'no dimension'}"

    def _at(self, start: int, end: int) -> Buffer:
        inside = len(self._head)
        if start >= inside:
            return self._body(start - inside, end - inside)
        return self._head[start:end] + bytes(self._body(0, max(0, end - inside)))

    def _body(self, start: int, end: int) -> Buffer:
        if self._bytes is not None:
            return self._bytes[start:end]
        # Neither order is at hand: elements are copied, a few at a time.
        size = self._array.itemsize
        first = start // size
        copied: bytes = self._array.flat[first : -(-end // size)].tobytes()
        return memoryview(copied)[start - first * size : end - first * size]


def encode(value: Any) -> Array:
    """Encode an array. See `handoff.codecs.Codec`."""
    numpy = sys.modules["numpy"]
    if type(value) is not numpy.ndarray:
        name = type(value).__qualname__
        remedy = "Hand over its data and its mask" if name == "MaskedArray" else "Convert it with numpy.array(…)"
        raise EncodeError(f"the value: a numpy {name}, which would come back as a mere array", remedy=remedy)
    if not _is_kept(value.dtype):
        raise EncodeError(
            f"the value: an array of dtype {value.dtype!r}, which .npy does not keep",
            remedy="Convert it with astype(…), or to a list",
        )
    return Array(value, _head_of(value.dtype, value.shape, is_fortran=_is_fortran(value)))


def weigh(source: Source) -> int:
    """Say how many bytes a payload takes. See `handoff.codecs.Codec`."""
    return artifact.Payload(source).size


def decode(source: Source, reading: Reading) -> Any:
    """Decode what `encode` made. See `handoff.codecs.Codec`."""
    if reading.name != _TYPE:
        raise DamagedError(f"the payload is an array, and a {reading.name} was recorded")
    try:
        numpy = import_module("numpy")
    except ImportError:
        raise DependencyError(
            "the value is an array, and numpy is not installed", remedy="Install dag-handoff[numpy]", extra="numpy"
        ) from None
    payload = reading.payload(source, reading.limit)
    with payload.reading() as fill:
        start = bytearray(len(_MAGIC) + 2 + _LONG.size)
        fill(memoryview(start)[: -_LONG.size])
        length = _SHORT if bytes(start[len(_MAGIC) : -_LONG.size]) == _OLD else _LONG
        fill(memoryview(start)[-_LONG.size :][: length.size])
        (size,) = length.unpack_from(start, len(_MAGIC) + 2)
        if not start.startswith(_MAGIC) or size > min(_LONGEST, payload.size):
            raise DamagedError("the payload does not begin like an array")
        text = bytearray(size)
        fill(memoryview(text))
        head = bytes(start[: len(_MAGIC) + 2 + length.size] + text)
        dtype, shape, is_fortran = _read_head(head, bytes(text))
        if dtype.itemsize * math.prod(shape) != payload.size - len(head):
            raise DamagedError("the array has another size than its header says")
        try:
            # numpy.empty would make text of no length one character long.
            array = numpy.ndarray(shape, dtype, order="F" if is_fortran else "C")
        except MemoryError:
            raise LimitError(f"the array of {human_size(payload.size)} needs more memory than there is") from None
        except ValueError as error:
            raise DamagedError(f"the array cannot be made: {error}") from None
        content = _bytes_of(array)
        fill(memoryview(b"") if content is None else content)
    return array


def _is_kept(dtype: Any) -> bool:
    """Whether a dtype is given back by its description."""
    if dtype.hasobject or not _is_packed(dtype):
        return False
    form = import_module("numpy.lib.format")
    try:
        back = form.descr_to_dtype(form.dtype_to_descr(dtype))
    except (TypeError, ValueError):
        return False
    return bool(dtype == back and repr(dtype) == repr(back))


def _is_packed(dtype: Any) -> bool:
    """Whether a dtype is without metadata and without gaps, in which anything may stand, at any depth."""
    if dtype.subdtype is not None:
        return dtype.metadata is None and _is_packed(dtype.subdtype[0])
    parts = [dtype.fields[name][0] for name in dtype.names or ()]
    is_filled = not parts or sum(part.itemsize for part in parts) == dtype.itemsize
    return dtype.metadata is None and is_filled and all(map(_is_packed, parts))


def _is_fortran(array: Any) -> bool:
    return bool(array.flags.f_contiguous and not array.flags.c_contiguous)


def _bytes_of(array: Any) -> memoryview | None:
    """Look at an array's own bytes; None where they are in neither order."""
    if array.nbytes == 0:
        return memoryview(b"")
    if not array.flags.forc:
        return None
    flat = (array.T if _is_fortran(array) else array).reshape(-1)
    return memoryview(flat.view("u1"))


def _head_of(dtype: Any, shape: tuple[int, ...], *, is_fortran: bool) -> bytes:
    descr = import_module("numpy.lib.format").dtype_to_descr(dtype)
    text = f"{{'descr': {descr!r}, 'fortran_order': {is_fortran}, 'shape': {shape!r}, }}"
    try:
        data, version, length = text.encode("latin-1"), _OLD, _SHORT
    except UnicodeEncodeError:
        data, version, length = text.encode(), _NEW, _LONG
    taken = len(_MAGIC) + len(version) + length.size + len(data) + 1
    data += b" " * (-taken % _ALIGNED) + b"\n"
    if len(data) > _LONGEST:
        raise EncodeError("the value: an array with too many or too long field names", remedy="Hand over its fields")
    return _MAGIC + version + length.pack(len(data)) + data


def _read_head(head: bytes, text: bytes) -> tuple[Any, tuple[int, ...], bool]:
    try:
        known = ast.literal_eval(text.decode("latin-1" if head[len(_MAGIC) :].startswith(_OLD) else "utf-8"))
        dtype = import_module("numpy.lib.format").descr_to_dtype(known["descr"])
        shape, is_fortran = known["shape"], known["fortran_order"]
        is_shape = type(shape) is tuple and all(type(length) is int and length >= 0 for length in shape)
        if (
            is_shape
            and type(is_fortran) is bool
            and _is_kept(dtype)
            and _head_of(dtype, shape, is_fortran=is_fortran) == head
        ):
            return dtype, shape, is_fortran
    except (ValueError, TypeError, LookupError, SyntaxError, RecursionError, MemoryError, EncodeError) as error:
        raise DamagedError(f"the array's header cannot be read: {error}") from None
    raise DamagedError("the array's header is not spelled as it is written here")
