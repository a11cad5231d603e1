"""Addresses: injective, reversible, and inside the root whatever the ids hold."""

from __future__ import annotations

import posixpath
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff import Address, ConfigError, IdentityError
from handoff.address import folder_of, may_be_path

HOSTILE_IDS = [
    "..", ".", "...", "a/../b", "a//b", "a\\b", "~", "~root", "-rf", "CON", "a.", "line\n", "a::b", "*", "[1]", "?",
    "x" * 256, "é" * 300, "%2e%2e", "e\u0301", "\u00e9", "ﬁ", "İ", "\u202eabc", "=", "item=3", "dag_id=x", " ", "file:///etc/passwd",
    "/etc/passwd", "simplecache::file:///etc/passwd", "http://169.254.169.254/", "k?versionId=x", "a" * 199 + "/", ".tmp", "#", "+",
]  # fmt: skip
IDS = st.one_of(st.sampled_from(HOSTILE_IDS), st.text(min_size=1)).filter(
    lambda text: "\0" not in text and not re.search("[\ud800-\udfff]", text)
)
ADDRESSES = st.builds(
    Address, IDS, IDS, IDS, st.integers(-1, 2**31 - 1), IDS, st.none() | st.integers(0, 2**31 - 1)
)  # fmt: skip


@given(address=ADDRESSES)
def test_the_path_stays_inside_the_root(address: Address) -> None:
    """A path is relative, ASCII, normal, of parts that any store takes, and within the bytes of an object's key."""
    path = address.path
    assert path.isascii()
    assert path == posixpath.normpath(path)
    assert not path.startswith(("/", ".", "~"))
    assert all(0 < len(part) <= 200 and part not in (".", "..") for part in path.split("/"))
    assert len(path) + 160 <= 1024
    assert set(path) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-@.%=/~")


@given(address=ADDRESSES)
def test_the_path_gives_back_the_address(address: Address) -> None:
    """Reading the path gives the address again, unless an id was shortened, which is said."""
    assert may_be_path(address.path)
    if "~" in address.path:
        with pytest.raises(ConfigError):
            Address.from_path(address.path)
    else:
        assert address == Address.from_path(address.path)


@given(one=ADDRESSES, other=ADDRESSES)
def test_two_addresses_have_two_paths(one: Address, other: Address) -> None:
    """Different addresses never share a path, nor does one stand in the folder of another's artifact."""
    assert (one == other) == (one.path == other.path)
    assert not other.path.startswith(f"{one.path}/")


@pytest.mark.parametrize("one", HOSTILE_IDS)
def test_hostile_ids_are_told_apart(one: str) -> None:
    """Each hostile id has a folder of its own."""
    assert [one] == [other for other in HOSTILE_IDS if folder_of(other) == folder_of(one)]


def test_the_layout_is_that_of_remote_logs() -> None:
    """The path is Hive-style, with the map index always, the item where there is one, and the key last."""
    assert (
        Address("etl", "manual__2013-01-01T00:00:00+00:00", "group.load", 3, "rows", 7).path
        == "dag_id=etl/run_id=manual__2013-01-01T00%3A00%3A00+00%3A00/task_id=group.load/map_index=3/item=7/rows"
    )
    assert Address("d", "r", "t").path == "dag_id=d/run_id=r/task_id=t/map_index=-1/return_value"


def test_a_shortened_id_is_cut_between_characters() -> None:
    """A long id keeps a readable beginning that ends with no broken escape, and a digest."""
    for length in range(60, 70):
        segment = folder_of("x" * (128 - length) + "é" * length)
        assert re.fullmatch(r"dag_id=x+(%C3%A9|%C3)*~[0-9a-f]{64}", segment), segment
        assert len(segment) <= 200


@pytest.mark.parametrize(
    "path",
    [
        "", "x", "dag_id=d", "dag_id=d/run_id=r/task_id=t/map_index=-1", "/dag_id=d/run_id=r/task_id=t/map_index=-1/k",
        "dag_id=d/run_id=r/task_id=t/map_index=-2/k", "dag_id=d/run_id=r/task_id=t/map_index=01/k",
        "dag_id=d/run_id=r/task_id=t/map_index=-1/k\n", "dag_id=d/run_id=r/task_id=t/map_index=-1/a/k",
        "dag_id=%64/run_id=r/task_id=t/map_index=-1/k", "dag_id=%c3/run_id=r/task_id=t/map_index=-1/k",
        "dag_id=%FF/run_id=r/task_id=t/map_index=-1/k", "dag_id=%00/run_id=r/task_id=t/map_index=-1/k",
        "dag_id=../run_id=r/task_id=t/map_index=-1/k", "dag_id=d/run_id=r/task_id=t/map_index=99999999999/k",
        "dag_id=é/run_id=r/task_id=t/map_index=-1/k", "dag_id=d/run_id=r/task_id=t/map_index=-1/item=-1/k",
        "dag_id=\u0130/run_id=r/task_id=t/map_index=-1/k",
    ],
)  # fmt: skip
def test_another_path_is_no_address(path: str) -> None:
    """A path that no address gives, in spelling or in sense, is refused."""
    with pytest.raises(ConfigError, match="not the path of an address"):
        Address.from_path(path)


@pytest.mark.parametrize(
    "parts",
    [
        {"dag_id": ""}, {"run_id": None}, {"task_id": 3}, {"key": ""}, {"dag_id": "a\0"}, {"run_id": "\ud800"},
        {"map_index": -2}, {"map_index": True}, {"map_index": 2**31}, {"item": -1}, {"item": "0"}, {"map_index": None},
    ],
)  # fmt: skip
def test_what_is_no_identity_is_refused(parts: dict[str, Any]) -> None:
    """A missing or impossible part of an address raises IdentityError naming it."""
    with pytest.raises(IdentityError, match=next(iter(parts))):
        Address(**{"dag_id": "d", "run_id": "r", "task_id": "t", **parts})
