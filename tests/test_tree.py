"""The tree codec: what get returns is identical to what was put, or put says which part cannot be kept."""

from __future__ import annotations

import collections
import datetime as dt
import hashlib
import io
import json
import struct
import threading
import tracemalloc
from decimal import Decimal, localcontext
from importlib import resources
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handoff import (
    Address,
    DamagedError,
    DependencyError,
    EncodeError,
    EnvelopeError,
    Inline,
    LimitError,
    Store,
    Stored,
    artifact,
)
from handoff.codecs import Reading, _containers, _scalars, tree
from handoff.records import name_of
from handoff.spool import Source
from handoff.testing import same, values

ADDRESS = Address("dag", "run", "task")
# One value of every kind: what a change to the codec breaks first.
EVERYTHING: list[Any] = [
    None, True, 0, 2**63, -(2**63) - 1, 2**200, -0.0, float("nan"), float("-inf"), 5e-324, "", "é\0\ud800", b"", bytearray(b"x"),
    (), ((),), [], {}, set(), frozenset(), {1, "1", (1,), frozenset({2})}, {(1, 2): 3, None: 4, 1.5: 5, b"k": 6, True: 7},
    {dt.date(2013, 1, 1): {Decimal(1): []}}, complex(-0.0, float("nan")), Decimal("1.10"), Decimal("-sNaN12"), Decimal("1E+400"),
    UUID(int=1), UUID(int=2, is_safe=SafeUUID.unsafe), dt.date.min, dt.time(1, 2, 3, 4, fold=1), dt.time(1, tzinfo=dt.UTC),
    dt.datetime(2013, 1, 1, fold=1), dt.datetime(2013, 1, 1, tzinfo=ZoneInfo("America/New_York")), dt.timedelta(-1, 2, 3),
    dt.datetime(2013, 1, 1, tzinfo=dt.timezone(dt.timedelta(microseconds=1), "odd")), PurePosixPath("//a/\udcff"), Path("a"),
    np.float32(1.5), np.float64("nan"), np.int8(-1), np.uint64(2**64 - 1), np.bool_(True), np.complex64(1j), np.float16(0.1),
    np.datetime64("2013-01-01T00", "h"), np.datetime64("NaT", "ns"), np.timedelta64(3, "s"), np.str_("a\0"), np.bytes_(b"a\0"),
    {"__handoff__": 1}, {"__classname__": "x"}, 5.0, 1e300, "a" * 70_000,
]  # fmt: skip


def both_ways(value: Any, store: Store) -> list[Any]:
    """Send a value inline, through JSON text, and stored, by envelope and by address."""
    inline = store.put(value, ADDRESS)
    stored = store.put(value, ADDRESS, inline_limit=0)
    return [
        store.get(json.loads(json.dumps(inline.to_json()))),
        inline.load(),
        store.get(json.loads(json.dumps(stored.to_json()))),
        store.get(ADDRESS),
    ]


@pytest.mark.parametrize("value", EVERYTHING, ids=lambda value: type(value).__name__)
def test_every_type_comes_back_identical(value: Any, store: Store) -> None:
    """A value of every type comes back identical, inline and stored."""
    assert [True] * 4 == [same(value, got) for got in both_ways(value, store)]


@given(value=values())
@example(value=EVERYTHING)
def test_any_tree_comes_back_identical(value: Any, store: Store) -> None:
    """Any tree of plain values comes back identical, inline and stored."""
    assert [True] * 4 == [same(value, got) for got in both_ways(value, store)]


@given(
    leaf=values(leaves=2), wraps=st.lists(st.sampled_from(["list", "tuple", "dict", "map"]), min_size=20, max_size=20)
)
def test_trees_of_depth_20_come_back_identical(leaf: Any, wraps: list[str], store: Store) -> None:
    """Nesting twenty deep, in any mixture of containers, changes nothing."""
    value = leaf
    for wrap in wraps:
        value = {"list": [value, 1], "tuple": (value,), "dict": {"k": value}, "map": {(1,): value}}[wrap]
    assert [True] * 4 == [same(value, got) for got in both_ways(value, store)]


@given(value=values())
def test_the_same_value_gives_the_same_bytes(value: Any, store: Store) -> None:
    """Encoding a value twice, the second time after a trip through the codec, gives the same digest."""
    first = store.put(value, ADDRESS, inline_limit=0, attempt=3)
    second = store.put(store.get(first), ADDRESS, inline_limit=0, attempt=4)
    assert first.sha256 == second.sha256
    store.delete(ADDRESS)


def test_the_order_of_a_dict_is_kept_and_that_of_a_set_means_nothing(store: Store) -> None:
    """Dicts that differ in order differ in bytes; sets that were filled in another order do not."""
    digests = [store.put(v, ADDRESS, inline_limit=0).sha256 for v in ({"a": (), "b": 1}, {"b": 1, "a": ()})]
    sets = [store.put(set(v), ADDRESS, inline_limit=0).sha256 for v in (("a", 1, 9), (9, 1, "a"))]
    assert (2, 1) == (len(set(digests)), len(set(sets)))


def test_the_callers_decimal_context_changes_nothing(store: Store) -> None:
    """A small precision and small capitals in the caller's context leave a Decimal as it is."""
    with localcontext() as context:
        context.prec, context.capitals = 2, 0
        assert same(Decimal("1.23456E+9"), store.get(store.put(Decimal("1.23456E+9"), ADDRESS)))


def test_the_attributes_of_an_object_are_looked_at(store: Store) -> None:
    """A __dict__, which Python lets its collector see only in part, hides no tuple from the codec."""

    class Holder:
        pass

    holder = Holder()
    holder.pair = (1, 2)
    value = [vars(holder), {1: 2}]
    assert same([{"pair": (1, 2)}, {1: 2}], store.get(store.put(value, ADDRESS)))


@given(value=values(leaves=10))
def test_both_ways_to_look_at_a_tree_agree(value: Any) -> None:
    """Children that are asked of containers, or of copies, tell the same of any tree."""
    found = []
    for copied in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tree, "_MAY_HIDE", copied)
            found.append(tree._is_native([value, {"a": value}]))
    assert found[0] == found[1]


class Text(str):
    __slots__ = ()


class OtherZone(dt.tzinfo):
    pass


with resources.files("tzdata").joinpath("zoneinfo/Asia/Tokyo").open("rb") as file:
    ZONE_OF_A_FILE = ZoneInfo.from_file(file, key="Europe/Berlin")


REFUSED = [
    ({"rows": [0, 1, 2, {"price": object()}]}, "rows[3].price", "object"),
    ([1, {"a b": {3: {range(3)}}}], "[1]['a b'][3]{range(0, 3)}", "range"),
    ({"x": {(1, range(2)): 1}}, "x.keys()[0][1]", "range"),
    ((Text("a"),), "[0]", "a mere str"),
    ({"n": collections.OrderedDict()}, "n", "a mere dict"),
    ({"when": dt.datetime(2013, 1, 1, tzinfo=OtherZone())}, "when", "OtherZone"),
    ({"when": dt.time(1, tzinfo=dt.timezone(dt.timedelta(hours=1), Text("x")))}, "when", "a mere str"),
    ({"when": dt.datetime(2013, 1, 1, tzinfo=ZONE_OF_A_FILE)}, "when", "ZoneInfo"),
    ([memoryview(b"")], "[0]", "memoryview"),
    ([np.longdouble(1)], "[0]", "longdouble"),
    ([np.array([object()])], "[0]", "dtype"),
    ([np.add], "[0]", "ufunc"),
    (object, "", "the value: type"),
]


@pytest.mark.parametrize(("value", "path", "why"), REFUSED, ids=[path for _, path, _ in REFUSED])
@pytest.mark.parametrize("limit", [48 * 1024, 0])
def test_what_cannot_be_kept_is_refused_by_path(value: Any, path: str, why: str, limit: int, store: Store) -> None:
    """A part that would not come back as it is raises EncodeError naming its path, small or large."""
    with pytest.raises(EncodeError) as caught:
        store.put(value, ADDRESS, inline_limit=limit)
    assert path == caught.value.path
    assert path in str(caught.value)
    assert why in str(caught.value)


def nested(depth: int, kind: str) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"list": [value], "tuple": (value,), "dict": {"k": value}, "mix": [(value,)]}[kind]
    return value


@pytest.mark.parametrize("kind", ["list", "tuple", "dict"])
def test_nesting_is_limited_to_128(kind: str, store: Store) -> None:
    """128 levels come back as they were, inline and stored; one more is refused."""
    assert [True] * 4 == [same(nested(128, kind), got) for got in both_ways(nested(128, kind), store)]
    for limit in (48 * 1024, 0):
        with pytest.raises(LimitError, match="deeper than 128"):
            store.put(nested(129, kind), ADDRESS, inline_limit=limit)


def test_a_value_that_holds_itself_is_refused(store: Store) -> None:
    """A list in itself is refused, and so is a tuple in a list in it."""
    for value in ([1], [()]):
        value.append(value)
        with pytest.raises(LimitError, match="holds itself"):
            store.put(value, ADDRESS)


def test_a_tree_of_shared_references_is_counted_before_it_is_gathered(store: Store) -> None:
    """A small value that would be a huge tree is refused without building the tree."""
    value: list[Any] = [0] * 1000
    for _ in range(12):
        value = [value] * 1000
    with pytest.raises(LimitError, match=r"over 1\.0 GiB"):
        store.put(value, ADDRESS)


def test_a_wide_level_is_counted_before_it_is_gathered(store: Store) -> None:
    """A list that names one long list again and again is refused within little memory."""
    value = [[[]] * 100_000] * 2_000
    tracemalloc.start()
    try:
        with pytest.raises(LimitError, match=r"over 1\.0 GiB"):
            store.put(value, ADDRESS)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_shared_texts_and_tuples_are_counted_before_they_are_encoded(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One large text in many places, or tuples of shared tuples, are refused by what they would take."""
    for value in ([b"x" * 10**6] * 10_000, {"k": ["x" * 10**6] * 10_000}, [("x" * 10**6,)] * 10_000):
        with pytest.raises(LimitError, match=r"over 1\.0 GiB"):
            store.put(value, ADDRESS)
    monkeypatch.setattr(_containers, "LARGEST", 10**6)
    pair: Any = (1,)
    for _ in range(60):
        pair = (pair, pair)
    with pytest.raises(LimitError, match="over 976"):
        store.put(pair, ADDRESS)


def test_a_message_is_no_bomb(store: Store) -> None:
    """A message of some hundred bytes that would become a gigabyte is refused: nothing vouches for what it holds."""
    data = artifact.compress(b"\xdd" + (10**7).to_bytes(4, "big") + b"\x90" * 10**7)
    message = Inline(codec="tree", type="list", sha256=hashlib.sha256(data).hexdigest(), data=data)
    assert message.size < 1000
    with pytest.raises(LimitError, match="allowed"):
        store.get(message)
    assert isinstance(store.put("x" * 4 * 2**20, ADDRESS), Stored)  # and none is written


def test_a_payload_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """A payload over the codec's limit is refused when written and when read."""
    handoff = store.put(["x" * 2000], ADDRESS, inline_limit=0)
    monkeypatch.setattr(_containers, "LARGEST", 1000)
    with pytest.raises(LimitError):
        store.put(["y" * 2000], ADDRESS, inline_limit=0)
    with pytest.raises(LimitError):
        store.get(handoff)


def test_a_payload_alone_bears_no_header() -> None:
    """Without a header, what a tree writes is its payload: what an inline handoff holds."""
    sink = io.BytesIO()
    ready = tree.encode([1, (2,)])
    ready.write(sink, None)
    assert ready.bare(1000) == sink.getvalue()


def payload_of(data: bytes) -> Any:
    return tree.decode(Source(artifact.compress(data)), Reading("list", 2**30))


def extension(code: int, content: bytes) -> bytes:
    return msgspec.msgpack.encode([msgspec.msgpack.Ext(code, content)])


PACK = msgspec.msgpack.encode
NONSENSE = {
    "the code 0": extension(0, PACK([])),
    "a code of another library": extension(-5, b""),
    "tuple of no array": extension(_containers.TUPLE, PACK({})),
    "tuple of nothing": extension(_containers.TUPLE, b""),
    "set of lists": extension(_containers.SET, PACK([[]])),
    "set with a double": extension(_containers.SET, PACK([1, 1])),
    "map of odd length": extension(_containers.MAP, PACK([1])),
    "map with a double": extension(_containers.MAP, PACK([1, 2, 1, 3])),
    "decimal of letters": extension(9, b"abc"),
    "decimal spelled otherwise": extension(9, b"1e5"),
    "decimal in other digits": extension(9, "１".encode()),
    "uuid cut short": extension(10, b"x"),
    "uuid of unknown safety": extension(10, b"x" * 16 + b"\x09"),
    "uuid with a tail": extension(10, b"x" * 16 + b"\x01\x01"),
    "date spelled otherwise": extension(11, b"20130101"),
    "no date": extension(11, b"2013-02-30"),
    "time that is a number": extension(12, PACK([1])),
    "date-time that is none": extension(13, PACK(["tomorrow"])),
    "date-time of too many parts": extension(13, PACK(["2013-01-01T00:00:00", 0, 5])),
    "zone by a path": extension(13, PACK(["2013-01-01T00:00:00", 0, "../../etc/passwd"])),
    "zone by an absolute path": extension(13, PACK(["2013-01-01T00:00:00", 0, "/etc/localtime"])),
    "offset of a week": extension(13, PACK(["2013-01-01T00:00:00", 0, [7 * 86_400 * 10**6]])),
    "timedelta beyond its range": extension(14, PACK([10**12, 0, 0])),
    "path of no flavour": extension(15, PACK([9, "a"])),
    "path of a flavour below all": extension(15, PACK([-1, "a"])),
    "complex cut short": extension(8, b"1234"),
    "text that is no UTF-8": extension(5, b"\xff"),
    "extension in a scalar": extension(15, PACK([0, msgspec.msgpack.Ext(6, b"")])),
    "numpy object": extension(16, PACK(["|O", b"12345678"])),
    "numpy void": extension(16, PACK(["|V8", b"12345678"])),
    "numpy bool of 2": extension(16, PACK(["|b1", b"\2"])),
    "numpy cut short": extension(16, PACK(["<i8", b"123"])),
    "numpy of two": extension(16, PACK(["<i8", b"1" * 16])),
    "nesting beyond the interpreter": b"\x91" * 100_000 + b"\x01",
    "bytes after the end": PACK([1]) + b"\x01",
    "an array longer than the bytes": b"\xdd\xff\xff\xff\xff",
    "invalid text": b"\x91\xa1\xff",
    "another type than recorded": PACK({}),
}


@pytest.mark.parametrize("data", NONSENSE.values(), ids=NONSENSE)
def test_a_payload_that_was_not_written_here_is_damage(data: bytes) -> None:
    """Well-compressed nonsense raises DamagedError, and nothing else."""
    with pytest.raises(DamagedError):
        payload_of(data)


@pytest.mark.parametrize(
    "data",
    [
        *(extension(code, content) for code in (22, 127) for content in (b"", PACK([]), PACK(["Type", "member"]))),
        extension(13, PACK(["2013-01-01T00:00:00", 0, {"arrow": "Europe/Berlin"}])),
    ],
)
def test_what_only_a_newer_version_writes_asks_for_an_upgrade(data: bytes) -> None:
    """An extension of an unknown code, and a zone of an unknown library, are no damage and no guess."""
    with pytest.raises(EnvelopeError, match=r"of a newer dag-handoff than this one\. Upgrade"):
        payload_of(data)


@pytest.mark.parametrize(
    ("value", "content"),
    [(2**64, "010000000000000000"), (-(2**63) - 1, "ff7fffffffffffffff"), (-(2**71), "800000000000000000")],
)
def test_an_integer_beyond_64_bits_takes_no_more_bytes_than_it_needs(value: int, content: str) -> None:
    """Two's complement has one shortest form, that of a power of two below zero too."""
    assert msgspec.msgpack.Ext(6, bytes.fromhex(content)) == _scalars.pack(value)
    assert value == _scalars.unpack(6, bytes.fromhex(content))


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_value_or_damage(data: bytes) -> None:
    """Whatever the payload, decoding gives a value that can be put again, or DamagedError or LimitError."""
    try:
        value = payload_of(b"\x91" + data)
    except (DamagedError, LimitError, EnvelopeError):
        return
    assert type(value) is list


@given(code=st.integers(1, 18), content=st.binary(max_size=40))
def test_any_extension_is_a_value_or_damage(code: int, content: bytes) -> None:
    """Whatever the content of an extension, decoding gives a value, or one of this library's errors."""
    try:
        payload_of(extension(code, content))
    except (DamagedError, LimitError, DependencyError, EnvelopeError):
        return


def test_a_payload_nested_too_deep_is_refused() -> None:
    """A payload with 129 levels, lists or extensions, is refused on read as on write, in a thread with a small stack too."""
    with pytest.raises(LimitError, match="deeper than 128"):
        payload_of(b"\x91" * 129 + b"\x01")
    value: Any = [1]
    for _ in range(129):
        value = [msgspec.msgpack.Ext(_containers.TUPLE, PACK(value))]
    with pytest.raises(LimitError, match="deeper than 128"):
        payload_of(PACK(value))
    for _ in range(1000):
        value = [msgspec.msgpack.Ext(_containers.TUPLE, PACK(value))]
    found: list[Exception] = []

    def read() -> None:
        try:
            payload_of(PACK(value))
        except LimitError as error:
            found.append(error)

    size = threading.stack_size(512 * 1024)
    thread = threading.Thread(target=read)
    threading.stack_size(size)
    thread.start()
    thread.join()
    assert len(found) == 1


def test_a_zone_this_machine_lacks_is_named() -> None:
    """A zone that is a key, but not known here, asks for tzdata and is no damage."""
    for zone in ("Mars/Olympus_Mons", "America", "a" * 300):
        with pytest.raises(DependencyError, match=zone):
            payload_of(extension(13, PACK(["2013-01-01T00:00:00", 0, zone])))


def test_a_path_that_its_text_does_not_give_back_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that this Python writes so that it reads otherwise is refused by name."""
    odd = PureWindowsPath("./c:a")
    if same(odd, PureWindowsPath(str(odd))) and odd.parts == PureWindowsPath(str(odd)).parts:
        monkeypatch.setattr(PureWindowsPath, "__str__", lambda self: "other")
    with pytest.raises(EncodeError, match="does not give back"):
        store.put([odd], ADDRESS)


def test_too_little_memory_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Running out of memory while decoding raises LimitError with the payload's size."""

    def full(payload: bytes, limit: int) -> Any:
        raise MemoryError

    monkeypatch.setattr(_containers, "decode", full)
    with pytest.raises(LimitError, match="6 bytes"):
        payload_of(PACK("value"))


def test_a_part_too_large_for_messagepack_is_a_limit(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """What MessagePack has no length for raises LimitError."""

    def refuse(value: Any) -> bytes:
        raise OverflowError("too long")

    monkeypatch.setattr(_containers, "_dump", refuse)
    with pytest.raises(LimitError, match="too long"):
        store.put(2**70, ADDRESS)


def test_numpy_scalars_without_numpy_name_the_extra(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """Reading a numpy scalar where numpy is not installed names the extra."""
    handoff = store.put([np.float32(1)], ADDRESS)
    monkeypatch.setitem(__import__("sys").modules, "numpy", None)
    with pytest.raises(DependencyError) as caught:
        store.get(handoff)
    assert caught.value.extra == "numpy"


PREVIEWS = {
    "(3, 'ok')": (3, "ok"),
    "{1: [1, 2], 'k': (1,)}": {1: [1, 2], "k": (1,)},
    "[0, 1, 2, 3, 4, 5, …]": list(map(Decimal, range(3))) and [*range(3), *range(3, 6), 9, (1,)],
    "a set of 2": {1, 2},
    "an int of 201 bits": 2**200,
    "[[[[…]]]]": [[[[()]]]],
}


@pytest.mark.parametrize(("shown", "value"), PREVIEWS.items(), ids=PREVIEWS)
def test_a_preview_describes_the_value(shown: str, value: Any, store: Store) -> None:
    """A preview is a short line that reads like Python."""
    assert shown == store.put(value, ADDRESS).preview


def test_previews_are_short_and_can_be_switched_off(tmp_path: Path) -> None:
    """A preview has at most 200 characters, of bytes too, and none where a store has them off."""
    value = {f"key {n}": "x" * 1000 + "\0" for n in range(100)} | {"b": (b"x" * 1000,)}
    assert len(Store(tmp_path).put(value, ADDRESS).preview) <= 200
    assert len(Store(tmp_path).put(b"x" * 1000, ADDRESS).preview) <= 200
    assert Store(tmp_path, previews=False).put(value, ADDRESS).preview == ""


def test_float_bits_are_kept(store: Store) -> None:
    """The payload of a NaN is kept to the bit."""
    nan = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_DEAD_BEEF))[0]
    assert same([nan], store.get(store.put([nan], ADDRESS)))


def test_a_class_that_names_no_module_is_refused(store: Store) -> None:
    """A value of a class whose module is None is refused as any other that is not kept."""
    with pytest.raises(EncodeError):
        store.put(type("Nameless", (), {"__module__": None})(), ADDRESS)


def test_a_boolean_of_numpy_has_one_name() -> None:
    """What numpy 1 calls bool_ is recorded by the name that numpy 2 gives it, and is read by both."""
    assert "numpy.bool" == name_of(type("bool_", (), {"__module__": "numpy"})) == name_of(np.bool_)
