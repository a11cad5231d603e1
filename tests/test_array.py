"""The array codec: an array comes back with its dtype, shape, order and bytes, or its dtype is refused by name."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from handoff import Address, DamagedError, DependencyError, EncodeError, Inline, LimitError, Store, Stored, artifact
from handoff.codecs import Reading, array
from handoff.spool import Source
from handoff.testing import same

ADDRESS = Address("dag", "run", "task")
DTYPES = st.one_of(
    hn.scalar_dtypes(),
    hn.byte_string_dtypes(),
    hn.unicode_string_dtypes(),
    hn.nested_dtypes(subtype_strategy=hn.scalar_dtypes(), max_itemsize=64),
)


@st.composite
def arrays(draw: Any) -> np.ndarray:
    """Give an array of any dtype without objects, in either order, or as a view with strides of its own."""
    dtype = draw(DTYPES)
    shape = draw(hn.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
    size = int(np.prod(shape, dtype=int)) * dtype.itemsize
    data = draw(st.binary(min_size=size, max_size=size))
    found = np.ndarray(shape, dtype, data)
    arranged = draw(st.sampled_from(["as it is", "fortran", "every other", "backwards", "transposed"]))
    if arranged == "fortran":
        return np.asfortranarray(found)
    if arranged == "every other":
        return found[..., ::2] if found.ndim else found
    if arranged == "backwards":
        return found[::-1] if found.ndim else found
    return found.T if arranged == "transposed" else found


@given(value=arrays())
@example(value=np.array(3.5))
@example(value=np.zeros((0, 3)))
@example(value=np.zeros(3, "V0"))
@example(value=np.zeros(3, [("a", "U0"), ("b", "i4")])["a"])
@example(value=np.zeros(2, "S0"))
@example(value=np.array(["2013-01-01", "NaT"], "M8[D]"))
@example(value=np.array([1, -1], ">i4"))
@example(value=np.zeros(2, [("é€", "f4"), ("b", "i1", (2, 2))]))
def test_any_array_comes_back_as_it_was(value: np.ndarray, store: Store) -> None:
    """Dtype, shape and bytes of any array come back, inline, stored, and by address, in the order it had."""
    stored = store.put(value, ADDRESS, inline_limit=0)
    for got in (store.get(store.put(value, ADDRESS)), store.get(stored.to_json()), store.get(ADDRESS)):
        assert same(value, got)
        assert not value.flags.forc or value.flags.f_contiguous == got.flags.f_contiguous
        assert got.flags.writeable


@given(value=arrays())
def test_how_an_array_lies_in_memory_changes_no_byte(value: np.ndarray, store: Store) -> None:
    """The same elements in the same order have one digest, whatever their strides."""
    spread = np.zeros((*value.shape, 2), value.dtype)
    view = spread[..., 0]
    view[...] = value
    first = store.put(np.ascontiguousarray(view).reshape(value.shape), ADDRESS, inline_limit=0)
    assert first.sha256 == store.put(view, ADDRESS, inline_limit=0).sha256


@pytest.mark.parametrize("value", [np.arange(9.0).reshape(3, 3), np.asfortranarray(np.ones((2, 3), "i2"))])
def test_an_array_opens_with_zstd_and_numpy(value: np.ndarray, store: Store) -> None:
    """What the zstd command gives for an artifact is a file that numpy loads."""
    store.put(value, ADDRESS, inline_limit=0)
    command = shutil.which("zstd")
    assert command, "the zstd command is not installed"
    payload = subprocess.run([command, "-dc", f"{store.root}/{ADDRESS.path}"], check=True, capture_output=True).stdout
    assert same(value, np.load(io.BytesIO(payload), allow_pickle=False))


@pytest.mark.parametrize("count", [150_000, 700_000, 2_500_000])
@pytest.mark.parametrize("kind", ["dense", "sparse", "strided"])
def test_large_arrays_come_back(count: int, kind: str, store: Store) -> None:
    """Arrays of some megabytes come back, whether they shrink or not, and wherever their elements lie."""
    value = np.zeros(count) if kind == "sparse" else np.random.default_rng(1).standard_normal(count)
    if kind == "strided":
        value = value[::3]
    handoff = store.put(value, ADDRESS)
    assert isinstance(handoff, Inline if count == 150_000 and kind == "sparse" else Stored)
    assert same(value, store.get(handoff))
    if kind == "dense":
        assert isinstance(handoff, Stored)
        assert handoff.size < value.nbytes + 2000


REFUSED: dict[str, Any] = {
    "objects": np.array([object()]),
    "a field of objects": np.zeros(1, [("a", "O")]),
    "texts of any length": np.array(["a", "bc"], np.dtypes.StringDType()),
    "metadata": np.zeros(1, np.dtype("f8", metadata={"unit": "m"})),
    "aligned fields": np.zeros(1, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "fields at one place": np.zeros(1, np.dtype({"names": ["a", "b"], "formats": ["i4", "i2"], "offsets": [0, 0]})),
    "fields at one place beside a gap": np.zeros(
        1, np.dtype({"names": ["a", "b"], "formats": ["i4", "i4"], "offsets": [0, 0], "itemsize": 8})
    ),
    "gaps between fields": np.zeros(
        9, np.dtype({"names": ["a", "b"], "formats": ["i1", "i8"], "offsets": [0, 8], "itemsize": 32})
    )[::2],
    "gaps inside of fields": np.zeros(1, [("a", np.dtype({"names": ["b"], "formats": ["i1"], "itemsize": 4}), 2)]),
    "metadata of a field": np.zeros(1, [("a", np.dtype("f8", metadata={"unit": "m"}))]),
    "metadata of an element": np.zeros(1, [("a", np.dtype((np.dtype("f8", metadata={"unit": "m"}), 2)))]),
    "a mask": np.ma.masked_array([1, 2], [True, False]),
    "records": np.rec.array([(1, 2.0)]),
    "names without end": np.zeros(1, [(f"{n:04}" * 20, "i1") for n in range(900)]),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_npy_does_not_keep_is_refused(kind: str, store: Store) -> None:
    """Objects, masks, subclasses and dtypes that would come back otherwise raise EncodeError, small or large."""
    for limit in (48 * 1024, 0):
        with pytest.raises(EncodeError, match=r"the value: an? "):
            store.put(REFUSED[kind], ADDRESS, inline_limit=limit)


def test_a_masked_array_says_what_to_hand_over() -> None:
    """The error for a masked array names its two parts."""
    with pytest.raises(EncodeError, match="Hand over its data and its mask"):
        array.encode(REFUSED["a mask"])


def test_a_preview_is_the_dtype_and_the_shape(store: Store) -> None:
    """The preview of an array says what is in it and how much."""
    assert store.put(np.zeros((1000, 3)), ADDRESS).preview == "float64 array of 1,000 × 3"
    assert store.put(np.array(1, "u1"), ADDRESS).preview == "uint8 array of no dimension"


def payload(data: bytes) -> Any:
    return array.decode(Source(artifact.compress(data)), Reading("numpy.ndarray", 2**30))


def npy(text: str, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    data = text.encode() + b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + version + len(data).to_bytes(2 if version == b"\x01\x00" else 4, "little") + data + body


GOOD = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", bytes(8))
FORGED = {
    "no array": b"x" * 100,
    "cut in the header": GOOD[:50],
    "cut in the elements": GOOD[:-1],
    "an element more": GOOD + bytes(8),
    "a length beyond the end": b"\x93NUMPY\x03\x00" + b"\xff" * 4 + bytes(100),
    "objects": npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", bytes(8)),
    "a shape below zero": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1), }", bytes(8)),
    "a shape of floats": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1.0,), }", bytes(8)),
    "a shape of bools": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (True,), }", bytes(8)),
    "a shape that is a number": npy("{'descr': '<f8', 'fortran_order': False, 'shape': 1, }", bytes(8)),
    "a shape that is a dict": npy("{'descr': '<f8', 'fortran_order': False, 'shape': {1: 1}, }", bytes(8)),
    "an order that is a number": npy("{'descr': '<f8', 'fortran_order': 0, 'shape': (1,), }", bytes(8)),
    "a shape of texts": npy("{'descr': '<f8', 'fortran_order': False, 'shape': ('a',), }", bytes(8)),
    "a shape beyond the address space": npy("{'descr': '|V0', 'fortran_order': False, 'shape': (2**99,), }".replace("2**99", str(2**99))),
    "another spelling": npy("{'shape': (1,), 'descr': '<f8', 'fortran_order': False, }", bytes(8)),
    "a header that is no dict": npy("[1, 2]", bytes(8)),
    "a header that is no Python": npy("import os", bytes(8)),
    "a header without end": npy("(" * 5000, bytes(8)),
    "text that is no UTF-8": b"\x93NUMPY\x03\x00" + (1).to_bytes(4, "little") + b"\xff",
    "another version": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", bytes(8), b"\x02\x00"),
}  # fmt: skip


@pytest.mark.parametrize("data", FORGED.values(), ids=FORGED)
def test_a_forged_array_is_damage(data: bytes) -> None:
    """A payload that is not exactly what is written here is refused, and nothing in it runs."""
    assert same(np.zeros(1), payload(GOOD))
    with pytest.raises(DamagedError):
        payload(data)


@given(data=st.binary(max_size=100), start=st.integers(0, len(GOOD)))
def test_any_payload_is_an_array_or_damage(data: bytes, start: int) -> None:
    """Whatever bytes follow the beginning of an array, they are an array or damage."""
    try:
        assert type(payload(GOOD[:start] + data)) is np.ndarray
    except DamagedError:
        return


def test_an_array_of_another_type_is_damage(store: Store) -> None:
    """An envelope that calls an array something else is refused."""
    with pytest.raises(DamagedError, match="a list was recorded"):
        array.decode(Source(artifact.compress(GOOD)), Reading("list", 2**30))


def test_a_large_array_in_a_message_is_refused(store: Store) -> None:
    """A message that would become a large array is refused: nothing vouches for what a message holds."""
    frame = artifact.compress(npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000,), }", bytes(8_000_000)))
    forged = Inline(codec="array", type="numpy.ndarray", sha256=hashlib.sha256(frame).hexdigest(), data=frame)
    with pytest.raises(LimitError, match="allowed"):
        store.get(forged)


def test_too_little_memory_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """An array that is whole and larger than the memory raises LimitError."""

    def full(*_: Any, **__: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(np, "ndarray", full)
    with pytest.raises(LimitError, match="more memory than there is"):
        payload(GOOD)


def test_without_numpy_the_extra_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where numpy is not installed, reading an array says which extra to install."""
    handoff = store.put(np.zeros(3), ADDRESS)
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(DependencyError, match=r"dag-handoff\[numpy\]") as caught:
        store.get(handoff)
    assert caught.value.extra == "numpy"
