"""The forms of a table at rest, from inside: which column is named, and which message is not read."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from handoff import Address, DamagedError, EncodeError, Store
from handoff.codecs import _ipc, _messages, _parquet

TABLE = pa.table({"a": [1], "b": ["x"]})


@pytest.mark.parametrize("write", [_parquet._write_one, _ipc._write_one])
@pytest.mark.parametrize(("bad", "path"), [("b", "b"), ("", "the value")])
def test_a_column_that_is_not_written_is_named(bad: str, path: str, write: Callable[[Any], None]) -> None:
    """Where a group is not written, each column is tried alone, and the one that fails is named, or else the whole."""

    def write_one(table: Any) -> None:
        if table.column_names == [bad]:
            raise pa.ArrowInvalid("not this one")
        write(table)

    with pytest.raises(EncodeError, match="not all of it") as caught, _parquet.naming(TABLE, write_one):
        raise pa.ArrowInvalid("not all of it")
    assert path == caught.value.path


def test_lists_of_a_fixed_size_that_are_not_kept_go_by_ipc(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Parquet does not give such lists back, as older libraries do not, they come back by Arrow's own stream."""
    monkeypatch.setattr(_parquet, "_keeps_fixed_lists", lambda: False)
    value = pa.table({"a": pa.array([[1, 2]], pa.list_(pa.int64(), 2))})
    at = Address("dag", "run", "task")
    handoff = store.put(value, at, inline_limit=0)
    assert value.equals(store.get(handoff), check_metadata=True)
    assert "check" not in handoff.to_json()


def test_cells_that_parquet_does_not_give_back_are_told() -> None:
    """A table whose cells come back otherwise, or not at all, is not one for Parquet."""
    wide = pa.Array.from_buffers(pa.decimal128(3, 0), 1, [None, pa.py_buffer((123_456_789).to_bytes(16, "little"))])
    assert _parquet.gives_back(TABLE)
    assert not _parquet.gives_back(pa.table({"a": wide}))
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    assert not _parquet.gives_back(pa.table({"a": union}))


def test_a_message_of_a_negative_length_is_damage() -> None:
    """A message whose body would end before it begins is refused."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)
    data = sink.getvalue().to_pybytes()
    start = 8 + struct.unpack_from("<i", data, 4)[0]  # the second message: a batch
    table = bytearray(data[start + 8 : start + 8 + struct.unpack_from("<i", data, start + 4)[0]])
    place = _messages._field(bytes(table), _messages._number(bytes(table), 0, "<I"), _messages._BODY)
    assert _messages._body(bytes(table)) > 0
    struct.pack_into("<q", table, place, -8)
    with pytest.raises((DamagedError, IndexError)):
        _messages._body(bytes(table))
