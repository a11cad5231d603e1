"""Many values in one message: each is got back, the message keeps to its limit, and a later attempt leaves no surplus."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from handoff import (
    Address,
    DamagedError,
    DeniedError,
    DependencyError,
    EncodeError,
    EnvelopeError,
    Handoff,
    HandoffError,
    Inline,
    LimitError,
    MismatchError,
    MissingError,
    StaleError,
    Store,
    Stored,
    UnreachableError,
    gather,
    offload,
    run,
    storage,
)
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


def test_the_largest_leave_a_message_first(store: Store) -> None:
    """Where values are too many for their message together, as few as can be are stored, the largest of them."""
    texts = [os.urandom(size).hex() for size in (300, 1900, 900, 2000, 20)]
    sent = store.put_many(texts, AT, inline_limit=4000)
    assert [Inline, Stored, Inline, Stored, Inline] == [type(handoff) for handoff in sent]
    assert texts == [store.get(handoff) for handoff in sent]


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
    for before, now in ((1, [(1,), (2,)]), (3, [(1,)]), (5, [])):
        store.put((0,), AT, inline_limit=0, attempt=before)
        other = store.put_many([(1,)] * 5, msgspec.structs.replace(AT, map_index=3), inline_limit=0)
        own = store.put("model", msgspec.structs.replace(AT, key="model"), inline_limit=0)
        store.put_many([(1,)] * 4, AT, inline_limit=0, attempt=before)
        sent = store.put_many(now, AT, attempt=before + 1, inline_limit=0)
        kept = {handoff.address for handoff in [*sent, *other, own]}
        assert kept == set(store.list())
    store.put_many({"a": (1,), "b": (1,)}, AT, inline_limit=0)
    store.put_many({"a": (2,), "b": 1}, AT, attempt=2, inline_limit=None)
    assert {"model", "return_value"} == {address.key for address in store.list()}
    mine = store.put((1,), msgspec.structs.replace(AT, item=7), inline_limit=0)
    store.put_many([mine], AT, attempt=6)
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

    def entry(path: str, *said: Any) -> Any:
        if "item=1" in path:
            raise FileNotFoundError(path)
        return whole(path, *said)

    monkeypatch.setattr(storage.local, "Entry", entry)  # type: ignore[attr-defined]
    assert [0, 2] == [address.item for address in store.list()]


def at(n: int) -> Address:
    return Address("dag", "run", "task", n)


@given(
    st.lists(st.tuples(values(leaves=4), st.sampled_from(["plain", "handoff", "envelope", "address"])), max_size=8),
    st.integers(1, 5),
    st.integers(1, 2000),
)
def test_many_are_got_as_each_is(given_values: list[tuple[Any, str]], width: int, most_bytes: int) -> None:
    """Handoffs, envelopes, addresses and plain values in any mix come back identical and in order, whatever the bounds."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        xs: list[Any] = []
        for n, (value, form) in enumerate(given_values):
            handoff = store.put(value, at(n), inline_limit=48 * 1024 if form == "plain" else 0)
            xs.append({"handoff": handoff, "address": at(n)}.get(form, handoff.to_json()))
        bounds = {"width": width, "most_bytes": most_bytes}
        wanted = [store.get(x) for x in xs]
        assert same([value for value, _ in given_values], wanted)
        assert same(wanted, store.get_many(iter(xs), **bounds))
        assert same(wanted, list(store.iter_many(iter(xs), **bounds)))


@dataclass
class Point:
    x: int


def test_many_are_got_as_their_reader_asks(store: Store) -> None:
    """Each becomes the record that the reader names; those that do not are named by their place and address."""
    xs = [store.put(value, at(n), inline_limit=0) for n, value in enumerate([{"x": 1}, {"x": 2}, {"x": "3"}, {"y": 4}])]
    assert [Point(1), Point(2)] == store.get_many(xs[:2], Point) == list(store.iter_many(xs[:2], Point))
    with pytest.raises(MismatchError) as caught:
        store.get_many(xs, Point)
    errors = caught.value.failures
    assert [at(2).path, at(3).path] == [error.address for error in errors]
    assert ["[2].x", "[3].y"] == [error.path for error in errors if isinstance(error, MismatchError)]
    assert str(errors[0]).startswith("[2].x")


SPOILT: dict[str, type[HandoffError]] = {
    "missing": MissingError, "stale": StaleError, "damaged": DamagedError, "malformed": EnvelopeError, "inline": DamagedError,
}  # fmt: skip


def spoil(store: Store, n: int, how: str | None) -> Any:
    """Put a value, let something happen to it, and give what its reader holds."""
    handoff = store.put(("value", n), at(n), inline_limit=0)
    if how == "missing":
        store.delete(at(n))
    elif how == "stale":
        store.put(("another", n), at(n), inline_limit=0)
    elif how == "damaged":
        Path(store.root, at(n).path).write_bytes(b"torn")
    elif how == "malformed":
        return {**handoff.to_json(), "size": "large"}
    elif how == "inline":
        store.delete(at(n))
        return {**store.put(("value", n), at(n)).to_json(), "sha256": "0" * 64}
    return handoff


@given(st.lists(st.sampled_from([None, None, *SPOILT]), min_size=1, max_size=12), st.integers(1, 5))
def test_every_one_that_failed_is_named(fates: list[str | None], width: int) -> None:
    """All are tried; the error names each that failed, by its address or its place, and holds its own error."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        xs = [spoil(store, n, fate) for n, fate in enumerate(fates)]
        failed = [n for n, fate in enumerate(fates) if fate]
        if not failed:
            assert [("value", n) for n in range(len(xs))] == store.get_many(xs, width=width)
            return
        with pytest.raises(HandoffError) as caught:
            store.get_many(xs, width=width)
        errors = caught.value.failures or (caught.value,)
        assert [SPOILT[fates[n] or ""] for n in failed] == [type(error) for error in errors]
        for n, error in zip(failed, errors, strict=True):
            name = f"[{n}]" if fates[n] in ("malformed", "inline") else at(n).path
            assert (error.address or "").endswith(name) or name in str(error)
            assert name in str(caught.value)


def test_a_thousand_that_are_missing_are_all_named(store: Store) -> None:
    """The first ten say all they know, and of all others there is the address."""
    Path(store.root).mkdir()
    with pytest.raises(MissingError) as caught:
        store.get_many([at(n) for n in range(1000)])
    lines = str(caught.value).splitlines()
    assert "1,000 of 1,000 failed. Run the producer again" == lines[0]
    assert 1000 == len(lines[1:]) == len(caught.value.failures)
    assert all(at(n).path in line for n, line in enumerate(lines[1:]))
    assert f"  MissingError: {at(999).path}" == lines[-1]
    assert len(str(caught.value)) < 100_000


def test_a_missing_library_speaks_for_itself(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one value would need and is not installed is said as it is, with the address."""
    handoffs = [store.put((n,), at(n), inline_limit=0) for n in range(2)]

    def get(x: Any, *_: Any) -> Any:
        raise DependencyError("no pandas", extra="pandas")

    monkeypatch.setattr(store, "get", get)
    with pytest.raises(DependencyError, match="no pandas") as caught:
        store.get_many(handoffs[:1])
    assert at(0).path == caught.value.address


def test_one_by_one_holds_a_window(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a consumer works on one value, no more than the window has been read beyond it."""
    handoffs = [store.put((n,), at(n), inline_limit=0) for n in range(40)]
    whole, begun, lock = Store.get, 0, threading.Lock()

    def get(self: Store, *args: Any) -> Any:
        nonlocal begun
        with lock:
            begun += 1
        return whole(self, *args)

    monkeypatch.setattr(Store, "get", get)
    for taken, value in enumerate(store.iter_many(handoffs, width=3)):
        assert (taken,) == value
        assert begun <= taken + 3
    assert 40 == begun


def test_gathered_from_the_stores_they_came_from(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each handoff is read from its own store; what knows none from the default store, and plain values are themselves."""
    monkeypatch.setenv("HANDOFF_ROOT", str(tmp_path / "default"))
    other, default = Store(tmp_path / "other"), Store(tmp_path / "default")
    first, second, third, fourth = (
        each.put((name,), at(n), inline_limit=0)
        for n, (each, name) in enumerate([(store, "a"), (other, "b"), (default, "c"), (default, "d")])
    )
    xs = [first, second, third.to_json(), fourth.address, 5, store.put(6, at(9))]
    assert [("a",), ("b",), ("c",), ("d",), 5, 6] == gather(xs)
    assert [("a",)] == gather([first])

    @offload(store=other)
    def report(parts: list[Handoff]) -> list[Any]:
        return gather(parts)

    with run(dag_id="d", run_id="r"):
        assert [("b",), ("b",)] == other.get(report([second.to_json(), second.to_json()]))
    store.delete_many([at(0)])
    other.delete_many([at(1)])
    with pytest.raises(MissingError, match="2 of 6 failed"):
        gather(xs)


def test_an_argument_that_fails_is_named_with_all_others(store: Store) -> None:
    """A task whose arguments cannot be loaded says each address, and a type that does not fit which argument."""

    @offload(store=store)
    def total(rows: list[Any], *, one: Any = None, two: Any = None) -> None:
        raise AssertionError("it is not called")

    handoffs = [spoil(store, n, fate) for n, fate in enumerate(["missing", None, "damaged", "stale", "inline"])]
    with pytest.raises(DamagedError) as caught:
        total(
            [handoff if type(handoff) is dict else handoff.to_json() for handoff in handoffs[:3]],
            one=handoffs[3],
            two=handoffs[4],
        )
    errors = caught.value.failures
    assert [MissingError, DamagedError, StaleError, DamagedError] == [type(error) for error in errors]
    assert [at(0).path, at(2).path, at(3).path, None] == [error.address for error in errors]
    assert str(errors[3]).startswith("two: the data of this inline handoff")


def test_many_are_deleted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is named is gone, what was not there is no error, and all that is still there is named."""
    for n in range(5):
        store.put((n,), at(n), inline_limit=0)
    store.delete_many(iter([at(1), at(3), at(7)]))
    assert [at(0), at(2), at(4)] == list(store.list())
    store.delete_many([])
    whole = type(store._storage).delete

    def delete(self: Any, path: str) -> bool:
        if path == at(2).path:
            raise UnreachableError("no answer", address=path)
        if path == at(4).path:
            raise DeniedError("no", remedy="Mend it", address=path)
        return whole(self, path)

    monkeypatch.setattr(type(store._storage), "delete", delete)
    with pytest.raises(DeniedError, match="2 of 3 failed") as caught:
        store.delete_many([at(2), at(0), at(4)])
    assert [at(2).path, at(4).path] == [error.address for error in caught.value.failures]
    with pytest.raises(UnreachableError, match="no answer") as alone:
        store.delete_many([at(2)])
    assert at(2).path == alone.value.address
    monkeypatch.undo()
    assert [at(2), at(4)] == list(store.list())


def test_an_attempt_that_cannot_clear_up_says_what_is_left(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry that returns fewer names each surplus element that it could not remove."""
    store.put_many([(n,) for n in range(4)], AT, inline_limit=0)

    def withdraw(self: Any, path: str, *_: Any) -> None:
        raise DeniedError("no", address=path)

    monkeypatch.setattr(type(store._storage), "withdraw", withdraw)
    with pytest.raises(DeniedError, match="2 of 2 failed") as caught:
        store.put_many([(n,) for n in range(2)], AT, attempt=2, inline_limit=0)
    surplus = [msgspec.structs.replace(AT, item=n).path for n in (2, 3)]
    assert surplus == [error.address for error in caught.value.failures]


def test_every_write_that_failed_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the storage refuses, the elements under way are named, and no more are begun."""
    tried: list[str] = []

    def draft(self: Any, path: str) -> Any:
        tried.append(path)
        raise DeniedError("no", address=path)

    monkeypatch.setattr(type(store._storage), "draft", draft)
    with pytest.raises(DeniedError) as caught:
        store.put_many([(n,) for n in range(200)], AT, inline_limit=0)
    assert sorted(tried) == sorted(error.address or "" for error in caught.value.failures or [caught.value])
    assert len(tried) < 60


def test_a_source_of_what_to_get_may_fail(store: Store) -> None:
    """Where the addresses come from a listing that breaks off, its error is raised, and no thread is left."""
    handoffs = [store.put((n,), at(n), inline_limit=0) for n in range(3)]

    def broken() -> Iterator[Handoff]:
        yield from handoffs
        raise UnreachableError("the listing broke off")

    with pytest.raises(UnreachableError, match="broke off"):
        store.get_many(broken())
    got: list[Any] = []
    with pytest.raises(UnreachableError, match="broke off"):
        got.extend(store.iter_many(broken(), width=1))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("handoff_")]
