"""Envelopes: strict to read, small to send, and the same after any message system."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handoff import Address, ConfigError, EncodeError, EnvelopeError, Handoff, HandoffError, Inline, Store, Stored
from handoff.testing import same, values

ADDRESS = Address("dag", "run", "task")


def stored(**changes: Any) -> dict[str, Any]:
    message = {
        "__handoff__": 1, "kind": "stored", "codec": "tree", "type": "tuple", "sha256": "a" * 64, "preview": "(1,)",
        "address": {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "key": "k", "item": None},
        "size": 10, "raw_size": 5, "attempt": 1, "uri": "/base/x",
    }  # fmt: skip
    return {name: value for name, value in {**message, **changes}.items() if value != "DROP"}


def inline(**changes: Any) -> dict[str, Any]:
    message = {"__handoff__": 1, "kind": "inline", "codec": "tree", "type": "tuple", "sha256": "a" * 64, "data": "AAAA"}
    return {name: value for name, value in {**message, **changes}.items() if value != "DROP"}


@given(value=values(), limit=st.sampled_from([0, 300, 48 * 1024]))
@example(value="", limit=300)
@example(value="null", limit=300)
def test_an_envelope_survives_json_in_any_order(value: Any, limit: int, store: Store) -> None:
    """JSON text, with its keys in any order, gives the handoff again."""
    handoff = store.put(value, ADDRESS, inline_limit=limit)
    message = handoff.to_json()
    if isinstance(message, dict) and "__handoff__" in message:
        message = dict(sorted(message.items(), reverse=True))
    text = json.dumps(message)
    assert handoff == Handoff.from_json(text) == Handoff.from_json(text.encode())
    if not isinstance(message, str):  # text is parsed, wherever it comes from
        assert handoff == Handoff.from_json(json.loads(text))


def test_a_stored_envelope_names_everything(store: Store) -> None:
    """A stored envelope says what, where, how large, how made, and what it looks like."""
    handoff = store.put((1, "ok"), ADDRESS, inline_limit=0, attempt=2)
    assert isinstance(handoff, Stored)
    assert handoff.to_json() == {
        "__handoff__": 1,
        "kind": "stored",
        "codec": "tree",
        "type": "tuple",
        "address": {
            "dag_id": "dag",
            "run_id": "run",
            "task_id": "task",
            "map_index": -1,
            "key": "return_value",
            "item": None,
        },
        "size": handoff.size,
        "raw_size": handoff.raw_size,
        "sha256": handoff.sha256,
        "attempt": 2,
        "uri": f"{store.root}/{ADDRESS.path}",
        "preview": "(1, 'ok')",
    }


MALFORMED: dict[str, dict[str, Any]] = {
    "no kind": stored(kind="DROP"), "unknown kind": stored(kind="other"), "unknown field": stored(extra=1),
    "no digest": stored(sha256="DROP"), "digest in capitals": stored(sha256="A" * 64), "digest and a newline": stored(sha256="a" * 64 + "\n"),
    "size as text": stored(size="10"), "size as float": stored(size=10.0), "size as bool": stored(size=True), "negative size": stored(size=-1),
    "absurd size": stored(size=2**70), "no address": stored(address="DROP"), "address as text": stored(address="dag_id=d"),
    "address with more": stored(address={"dag_id": "d", "run_id": "r", "task_id": "t", "root": "/"}),
    "address with an empty id": stored(address={"dag_id": "", "run_id": "r", "task_id": "t"}),
    "address with a NUL": stored(address={"dag_id": "a\0", "run_id": "r", "task_id": "t"}),
    "map index as text": stored(address={"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": "0"}),
    "attempt 0": stored(attempt=0), "uri with a control character": stored(uri="a\0b"), "preview with one": stored(preview="a\0b"),
    "preview with a surrogate": stored(preview="\ud800"), "long preview": stored(preview="x" * 201), "codec as number": stored(codec=1),
    "empty type": stored(type=""), "long type": stored(type="x" * 201), "data in a stored one": stored(data="AAAA"), "oversize": stored(uri="x" * 2000),
    "version as text": stored(__handoff__="1"), "version as bool": stored(__handoff__=True), "version as float": stored(__handoff__=1.0), "version 0": stored(__handoff__=0), "negative version": stored(__handoff__=-1),
    "no version at all": stored(__handoff__=None), "an endless version": stored(__handoff__=10**5000), "data that is no base64": inline(data="A"), "data as number": inline(data=1),
    "a plain value in an envelope": inline(codec="plain", data="MQ=="), "inline oversize": inline(data="AAAA" * 400_000),
    "inline with an address": inline(address={"dag_id": "d", "run_id": "r", "task_id": "t"}),
}  # fmt: skip


@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_envelope_is_refused(message: dict[str, Any], store: Store) -> None:
    """An envelope with anything missing, unknown or of another type raises EnvelopeError, read or got."""
    for read in (Handoff.from_json, store.get):
        with pytest.raises(EnvelopeError):
            read(message)


def test_an_envelope_of_a_newer_version_asks_for_an_upgrade(store: Store) -> None:
    """A newer version is told from a malformed one."""
    for message in (stored(__handoff__=2, unheard_of={}), inline(__handoff__=10**5000), {"__handoff__": 3}):
        with pytest.raises(EnvelopeError, match=r"envelope is of a newer dag-handoff .*\. Upgrade dag-handoff"):
            store.get(message)


def test_an_envelope_of_an_unknown_codec_asks_for_an_upgrade(store: Store) -> None:
    """A codec of another name is refused before storage is touched."""
    for message in (
        stored(codec="os.system"),
        inline(codec="pickle", sha256="709e80c88487a2411e1ee4dfb9f22a861492d20c4765150c0c794abd70f8147c"),
    ):
        with pytest.raises(EnvelopeError, match="no codec named"):
            store.get(message)


@pytest.mark.parametrize("text", ["", "{", b"\xff", "nope", "[1", "1e999999", '"\ud800"', "[" * 100_000])
def test_text_that_is_no_json_is_refused(text: Any) -> None:
    """Only JSON can be read as a handoff."""
    with pytest.raises(EnvelopeError):
        Handoff.from_json(text)


@given(
    message=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda s: st.dictionaries(st.sampled_from([*stored(), *inline(), "x"]), s) | st.lists(s),
    )
)
def test_any_message_is_a_handoff_or_refused(message: Any, store: Store) -> None:
    """Whatever arrives, reading it gives a handoff or one of this library's errors; a value that claims nothing is itself."""
    try:
        handoff = Handoff.from_json(json.dumps(message))
    except EnvelopeError:
        pass
    else:
        assert same(message, handoff.to_json())
    try:
        assert same(message, store.get(message))
    except HandoffError:
        assert "__handoff__" in message


@pytest.mark.parametrize("value", ["s3://bucket/key", '{"__handoff__": 1}', b"x", (1,), {"k": object}, None], ids=repr)
def test_what_is_no_envelope_is_a_value(value: Any, store: Store) -> None:
    """Get gives back anything that is no envelope as it is: text is never parsed, nor resolved."""
    assert store.get(value) is value


def test_a_text_longer_than_any_message_is_not_parsed() -> None:
    """Text beyond what a message may hold is refused by its length."""
    with pytest.raises(EnvelopeError, match="no message is so long"):
        Handoff.from_json("[" + "[]," * 3_000_000 + "[]]")


def test_odd_roots_and_attempts(tmp_path: Path) -> None:
    """A root of any text travels in an envelope; one that is no text, or an attempt that is none, is refused."""
    for name in ("a\u00a0b", "\u202e", "\ue000", "line\nfeed"):
        store = Store(tmp_path / name, inline_limit=0)
        assert store.get(json.loads(json.dumps(store.put(1, ADDRESS).to_json()))) == 1
    with pytest.raises(ConfigError, match="a folder or a URL"):
        Store("root/\udcff")
    for attempt in (0, -1, 2**40, True, "1"):
        with pytest.raises(ConfigError, match="attempt must be"):
            Store(tmp_path).put(1, ADDRESS, attempt=attempt)


def test_text_is_parsed_by_from_json_alone(store: Store) -> None:
    """A plain value as JSON text becomes an inline handoff; a value that is not plain is refused."""
    assert Handoff.from_json('{"a": [1, 2.5]}') == store.put({"a": [1, 2.5]}, ADDRESS)
    for odd in ([1e16], {"__x": 1}):
        with pytest.raises(EnvelopeError, match="neither an envelope nor a plain value"):
            Handoff.from_json(odd)


def test_a_handoff_from_a_store_loads_and_one_from_json_says_how(store: Store) -> None:
    """The store goes with a handoff it gave, but not into its JSON, repr, equality or pickle."""
    for limit in (0, 48 * 1024):
        handoff = store.put((1, 2), ADDRESS, inline_limit=limit)
        assert handoff.load() == (1, 2)
        unbound = Handoff.from_json(handoff.to_json())
        for other in (unbound, pickle.loads(pickle.dumps(handoff))):
            assert (other, hash(other), repr(other)) == (handoff, hash(handoff), repr(handoff))
            with pytest.raises(ConfigError, match=r"Use store\.get\(handoff\)"):
                other.load()
        assert copy.deepcopy(handoff) == handoff
        assert store.get(unbound) == (1, 2)


def test_inline_and_stored_have_size_and_uri(store: Store) -> None:
    """Size counts the bytes of the payload or artifact; a uri has only what is stored."""
    small, large = store.put((1,), ADDRESS), store.put((1,), ADDRESS, inline_limit=0)
    assert (type(small), small.uri, small.size) == (Inline, None, len(small.data))
    assert isinstance(large, Stored)
    assert (large.uri, large.size) == (f"{store.root}/{ADDRESS.path}", len(Path(large.uri).read_bytes()))


def test_a_long_address_drops_the_preview_and_then_the_uri(tmp_path: Any) -> None:
    """A stored envelope keeps under 2 KiB: the preview goes first, then the uri; ids alone that are longer are refused."""
    store = Store(tmp_path)

    def put(length: int) -> Stored:
        handoff = store.put("text", Address("d" * length, "r", "t"), inline_limit=0)
        assert isinstance(handoff, Stored)
        assert len(json.dumps(handoff.to_json(), separators=(",", ":"))) <= 2048
        assert store.get(handoff.to_json()) == "text"
        return handoff

    sizes = {(bool(put(n).preview), bool(put(n).uri)) for n in range(1000, 1700, 5)}
    assert {(True, True), (False, True), (False, False)} >= sizes >= {(False, False)}
    with pytest.raises(EncodeError, match="shorter ids"):
        store.put("text", Address("d" * 2000, "r", "t"), inline_limit=0)
    assert len(list(store.list())) == len(range(1000, 1700, 5))


def test_the_message_keeps_to_the_inline_limit(store: Store) -> None:
    """Whatever the limit, an inline message is within it, compressed where that helps."""
    value = [("row", n) for n in range(3000)]
    for limit in (200, 1000, 10_000, 20_000, 48 * 1024):
        handoff = store.put(value, ADDRESS, inline_limit=limit)
        if isinstance(handoff, Inline):
            assert len(json.dumps(handoff.to_json(), separators=(",", ":"))) <= limit
        assert store.get(handoff.to_json()) == value
    assert isinstance(store.put(["row " * 60_000], ADDRESS), Inline)


def test_inline_data_that_was_changed_is_damage(store: Store) -> None:
    """Each changed character of an inline payload is found out."""
    message = store.put((1, "ok"), ADDRESS).to_json()
    for index, letter in enumerate(message["data"]):
        other = "B" if letter == "A" else "A"
        with pytest.raises(HandoffError):
            store.get({**message, "data": message["data"][:index] + other + message["data"][index + 1 :]})
