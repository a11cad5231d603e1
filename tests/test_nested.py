"""Arrays and tables inside trees: kept by their own codecs, at any depth, within the same bounds."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from handoff import Address, DamagedError, EncodeError, File, Inline, LimitError, Store, Stored, artifact, codecs
from handoff.codecs import Reading, _containers, _nested, tree
from handoff.spool import Source
from handoff.testing import same

ADDRESS = Address("dag", "run", "task")
FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", None]})


@dataclasses.dataclass
class Model:
    weights: np.ndarray
    metrics: pd.DataFrame


VALUES: dict[str, Any] = {
    "array": [np.arange(3.0), np.array(1)],
    "frame": {"train": FRAME, "test": (FRAME, {1: FRAME})},
    "polars": (pl.DataFrame({"a": [1]}), pl.Series("s", ["x"])),
    "arrow": [pa.table({"a": [1, None]})],
    "a type that Parquet lacks": [
        pa.table({"u": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])})
    ],
    "both": {"weights": np.zeros((2, 2)), "metrics": FRAME, "name": "m"},
    "in a dict with other keys": {1: np.zeros(2), (2,): [np.ones(1)]},
    "many": [np.full(3, n) for n in range(200)],
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_arrays_and_tables_in_a_tree_come_back(value: Any, store: Store) -> None:
    """Arrays and tables of every library come back from inside lists, tuples and dicts, inline and stored."""
    inline, stored = store.put(value, ADDRESS), store.put(value, ADDRESS, inline_limit=0)
    for what in (inline, inline.to_json(), stored, ADDRESS):
        assert same(value, store.get(what))
    assert stored.sha256 == store.put(value, ADDRESS, inline_limit=0).sha256


def test_arrays_and_tables_in_records_come_back(store: Store) -> None:
    """A dataclass of an array and a frame comes back as its reader's type."""
    value = Model(np.arange(4.0), FRAME)
    got = store.get(store.put(value, ADDRESS), Model)
    assert type(got) is Model
    assert same([value.weights, value.metrics], [got.weights, got.metrics])


def test_what_its_codec_refuses_is_refused_by_path(store: Store) -> None:
    """A part that its own codec does not keep is named with its path in the tree, and the codec's reason."""
    for value, path, why in [
        ({"a": [np.array([object()])]}, "a[0]", "dtype"),
        ({"a": File("x")}, "a", "Return it by itself"),
        ([FRAME.iloc[:, :1].rename(columns={"a": object()})], "[0]", "object"),
    ]:
        with pytest.raises(EncodeError, match=why) as caught:
            store.put(value, ADDRESS)
        assert path == caught.value.path


def test_a_record_in_a_cell_is_refused(store: Store) -> None:
    """A column of dataclasses is refused by name: nothing would say what they are to come back as."""
    with pytest.raises(EncodeError, match="a record in a cell"):
        store.put(pd.DataFrame({"a": [Model(np.zeros(1), FRAME)]}), ADDRESS)
    payload, _ = tree._dump(Model(np.zeros(1), FRAME), with_records=True)
    with pytest.raises(DamagedError, match="records where there can be none"):
        tree.load(payload)


def test_what_is_inside_counts_in_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays and tables count with what they take in memory, on both ways, however small they are at rest."""
    zeros = [np.zeros(10**6) for _ in range(3)]
    handoff = store.put(zeros, ADDRESS)
    assert isinstance(handoff, Stored)  # some kilobytes, and too large in memory for a message
    assert handoff.size < 10_000
    assert same(zeros, store.get(handoff))
    monkeypatch.setattr(_containers, "LARGEST", 20 * 10**6)
    with pytest.raises(LimitError, match="are left"):
        store.get(handoff)
    with pytest.raises(LimitError):
        store.put(zeros, ADDRESS)


def test_a_message_of_many_tables_is_no_bomb(store: Store) -> None:
    """A forged message whose tables would fill the memory is refused, however small each of them is."""
    parts, _ = _nested.pack(codecs.codec_of(pd.DataFrame), pd.DataFrame({"a": np.zeros(300_000)}))
    nodes = [msgspec.msgpack.Ext(_containers.NESTED, msgspec.msgpack.encode(parts))] * 10
    data = artifact.compress(msgspec.msgpack.encode(nodes))
    forged = Inline(codec="tree", type="list", sha256=hashlib.sha256(data).hexdigest(), data=data)
    with pytest.raises(LimitError, match="are left"):
        store.get(forged)


ARRAY, _ = _nested.pack(codecs.codec_of(np.ndarray), np.zeros(2))
FORGED: dict[str, Any] = {
    "no list": {},
    "too few": ARRAY[:2],
    "another codec": ["tree", *ARRAY[1:]],
    "no codec at all": [{}, *ARRAY[1:]],
    "a number as type": [ARRAY[0], 1, ARRAY[2]],
    "text for bytes": [*ARRAY[:2], "x"],
    "another type": [ARRAY[0], "list", ARRAY[2]],
    "cut": [*ARRAY[:2], ARRAY[2][:-3]],
    "empty": [*ARRAY[:2], b""],
    "a table that is none": ["table", "pandas.DataFrame", b"PAR1" + bytes(50)],
    "a frame that is no table": ["table", "pandas.DataFrame", ARRAY[2]],
}


@pytest.mark.parametrize("parts", FORGED.values(), ids=FORGED)
def test_forged_parts_are_damage(parts: Any) -> None:
    """An extension that is not exactly an array or a table is refused."""
    data = msgspec.msgpack.encode([msgspec.msgpack.Ext(_containers.NESTED, msgspec.msgpack.encode(parts))])
    with pytest.raises(DamagedError):
        tree.decode(Source(artifact.compress(data)), Reading("list", 2**30))
