"""Many values in one message: each is got back, the message keeps to its limit, and a later attempt leaves no surplus."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from handoff import Address, EncodeError, Handoff, Inline, LimitError, MissingError, Store, Stored, storage
from handoff.testing import same, values

AT = Address("dag", "run", "task")


def text_of(handoffs: list[Handoff]) -> bytes:
    return msgspec.json.encode([handoff.to_json() for handoff in handoffs])


@given(st.lists(values(leaves=5), max_size=6), st.sampled_from([0, 300, 2000, 48 * 1024, None]))
def test_what_is_put_with_others_is_got(given_values: list[Any], limit: int | None) -> None:
    """Each element and each named value comes back identical, whether it stayed in the message or not."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        handoffs = store.put_many(given_values, AT, inline_limit=limit)
        named = store.put_many({f"k{n}": value for n, value in enumerate(given_values)}, AT, inline_limit=limit)
        for sent in (handoffs, list(named.values())):
            message = json.loads(text_of(sent))
            assert same(given_values, [store.get(node) for node in message])
        assert [f"k{n}" for n in range(len(given_values))] == list(named)


@given(st.lists(st.integers(0, 4000), min_size=1, max_size=30), st.sampled_from([0, 500, 5000, 20_000]))
def test_the_message_is_within_the_limit_or_no_value_can_leave_it(sizes: list[int], limit: int) -> None:
    """The largest values are stored until the message fits; where it does not, all that is worth storing is stored."""
    with tempfile.TemporaryDirectory() as folder:
        sent = Store(folder).put_many([os.urandom(size).hex() for size in sizes], AT, inline_limit=limit)
        stored = [size for size, handoff in zip(sizes, sent, strict=True) if isinstance(handoff, Stored)]
        inline = [size for size, handoff in zip(sizes, sent, strict=True) if isinstance(handoff, Inline)]
        if len(text_of(sent)) > limit:
            assert [] == [handoff for handoff in sent if isinstance(handoff, Inline) and handoff.size > 512]
        elif limit:
            assert max(inline, default=0) <= min(stored, default=10**6)


def test_elements_are_addressed_by_item_and_outputs_by_key(store: Store) -> None:
    """Elements stand at the items of the address, named values at keys, and each knows its store."""
    elements = store.put_many([(1,), (2,)], AT, inline_limit=0)
    outputs = store.put_many({"a": 1, "b": (2,)}, AT, inline_limit=0)
    assert [msgspec.structs.replace(AT, item=0), msgspec.structs.replace(AT, item=1)] == [h.address for h in elements]
    assert {"a": "a", "b": "b"} == {name: h.address.key for name, h in outputs.items()}
    assert [(1,), (2,), 1, (2,)] == [handoff.load() for handoff in [*elements, *outputs.values()]]


def test_a_number_of_a_list_is_no_row_of_its_own(store: Store) -> None:
    """A float that a database would alter when it stands alone is plain in a list, and not as an output."""
    assert [5.0, 0.5] == [handoff.to_json() for handoff in store.put_many([5.0, 0.5], AT)]
    outputs = store.put_many({"a": 5.0, "b": 0.5}, AT)
    assert ["inline", 0.5] == [outputs["a"].to_json()["kind"], outputs["b"].to_json()]


def test_a_handoff_among_the_values_stays_one(store: Store, tmp_path: Path) -> None:
    """A handoff that was put before travels as it is, keeps its own store, and counts."""
    other = Store(tmp_path / "other")
    before = other.put([1], Address("other", "run", "task"), inline_limit=0)
    first, second = store.put_many([before, (1,)], AT)
    assert before is first
    assert [1] == first.load()
    assert (1,) == second.load()
    assert [] == list(store.list())


def test_references_travel_bare_when_they_are_many(store: Store) -> None:
    """Above 48 KiB previews go first, then uris; what is for people is not worth a refusal."""
    few, some, many = (store.put_many(["é" * 200] * n, AT, inline_limit=0) for n in (10, 95, 150))
    assert all(handoff.preview and handoff.uri for handoff in few)
    assert all(not handoff.preview and handoff.uri for handoff in some)
    assert all(not handoff.preview and not handoff.uri for handoff in many)
    mixed = store.put_many([*few, *some, *many, 1, "a"], AT)
    assert [1, "a"] == [handoff.to_json() for handoff in mixed[-2:]]
    assert not any(handoff.preview or handoff.uri for handoff in mixed[:-2])
    assert all(handoff.preview for handoff in few)
    assert ["é" * 200] * 150 == [store.get(handoff) for handoff in many]


def test_more_than_a_message_holds_is_refused(store: Store) -> None:
    """References over 1 MiB, or values over it where nothing may be stored, are refused with a remedy."""
    reference = store.put((1,), AT, inline_limit=0)
    with pytest.raises(LimitError, match="Return fewer") as caught:
        store.put_many([reference] * 5000, AT)
    assert (caught.value.limit, caught.value.size) > (2**20, 2**20)
    with pytest.raises(LimitError, match="Set an inline_limit"):
        store.put_many(["x" * 1000] * 2000, AT, inline_limit=None)


def test_an_error_names_the_element(store: Store) -> None:
    """The path of what cannot be kept begins with the element's number, or the output's name."""
    for given_values, path, words in (
        ([1, {"a": [object()]}], "[1].a[0]", "element 1: a"),
        ({"x": object()}, "['x']", "'x': "),
        ([1, [object()]], "[1][0]", "element 1: "),
    ):
        with pytest.raises(EncodeError, match=words) as caught:
            store.put_many(given_values, AT)
        assert path == caught.value.path
    with pytest.raises(LimitError, match="element 1: "):
        store.put_many([1, os.urandom(2**21)], AT, inline_limit=None)


def test_a_later_attempt_leaves_nothing_over(store: Store) -> None:
    """Fewer elements, smaller ones, none, or a whole value before: what is left is what the last attempt stored."""
    for now in ([(1,), (2,)], [(1,)], []):
        store.put((0,), AT, inline_limit=0)
        other = store.put_many([(1,)] * 5, msgspec.structs.replace(AT, map_index=3), inline_limit=0)
        own = store.put("model", msgspec.structs.replace(AT, key="model"), inline_limit=0)
        store.put_many([(1,)] * 4, AT, inline_limit=0)
        sent = store.put_many(now, AT, attempt=2, inline_limit=0)
        kept = {handoff.address for handoff in [*sent, *other, own]}
        assert kept == set(store.list())
    store.put_many({"a": (1,), "b": (1,)}, AT, inline_limit=0)
    store.put_many({"a": (2,), "b": 1}, AT, attempt=2, inline_limit=None)
    assert {"model", "return_value"} == {address.key for address in store.list()}
    mine = store.put((1,), msgspec.structs.replace(AT, item=7), inline_limit=0)
    store.put_many([mine], AT, attempt=2)
    assert mine.address in set(store.list())


def test_the_latest_is_the_newest_run(store: Store) -> None:
    """Of one task's artifacts over all runs the newest by the storage's clock is found, and no other task's."""
    with pytest.raises(MissingError, match="no run of 'dag' has stored 'return_value' of the task 'task'"):
        store.latest("dag", "task")
    for second, run_id in enumerate(["b", "a" * 300, "c"]):
        for task, key, index in (("task", "return_value", -1), ("task", "rows", -1), ("task", "return_value", 2), ("other", "return_value", -1)):  # fmt: skip
            at = Address("dag", run_id, task, index, key)
            store.put((run_id, task, key, index), at, inline_limit=0)
            path = Path(store.root, at.path)
            os.utime(path, (1000 + second, 1000 + second * (task == "task")))
    assert Address("dag", "c", "task") == store.latest("dag", "task")
    os.utime(Path(store.root, Address("dag", "a" * 300, "task").path), (2000, 2000))
    assert ("a" * 300, "task", "return_value", -1) == store.get(store.latest("dag", "task"))
    assert Address("dag", "c", "task", key="rows") == store.latest("dag", "task", key="rows")
    assert Address("dag", "c", "task", 2) == store.latest("dag", "task", 2)
    Path(store.root, Address("dag", "a" * 300, "task").path).write_bytes(b"torn")
    assert Address("dag", "c", "task") == store.latest("dag", "task")


def test_a_file_that_vanishes_does_not_end_a_listing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another task deletes while a folder is read is passed over."""
    store.put_many([1, 2, 3], AT, inline_limit=0)
    whole = storage.local.Entry  # type: ignore[attr-defined]

    def entry(path: str, modified: float) -> Any:
        if "item=1" in path:
            raise FileNotFoundError(path)
        return whole(path, modified)

    monkeypatch.setattr(storage.local, "Entry", entry)  # type: ignore[attr-defined]
    assert [0, 2] == [address.item for address in store.list()]
