"""Settings: what is given in code wins over the environment, and nonsense is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from handoff import Address, ConfigError, Inline, LimitError, Store, Stored, config, default_store
from handoff.sizes import human_size, parse_size

ADDRESS = Address("dag", "run", "task")


def test_the_environment_names_the_default_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Root, limit and options come from the environment; the same settings give the same store."""
    monkeypatch.setenv("HANDOFF_ROOT", str(tmp_path))
    monkeypatch.setenv("HANDOFF_INLINE_LIMIT", "2 KiB")
    assert (default_store().root, default_store().inline_limit) == (str(tmp_path), 2048)
    assert default_store() is default_store()
    monkeypatch.setenv("HANDOFF_INLINE_LIMIT", "none")
    assert default_store().inline_limit is None
    monkeypatch.setenv("HANDOFF_ROOT", "s3://bucket/prefix")
    monkeypatch.setenv("HANDOFF_STORAGE_OPTIONS", '{"profile": "data"}')
    assert repr(default_store()) == "Store('s3://bucket/prefix')"
    assert config.from_environment({"HANDOFF_STORAGE_OPTIONS": '{"a": [1]}'}).storage_options == {"a": [1]}


@pytest.mark.parametrize("text", ["a lot", "-1", "48 parsecs", "1e3", "", "KiB", "2 GiB", "0x10"])
def test_a_limit_that_is_no_size_names_the_variable(text: str) -> None:
    """A limit that is not a size, or is beyond what a message holds, raises ConfigError naming the variable."""
    if text:
        with pytest.raises(ConfigError, match="HANDOFF_INLINE_LIMIT: "):
            config.from_environment({"HANDOFF_INLINE_LIMIT": text})
    else:
        assert config.from_environment({"HANDOFF_INLINE_LIMIT": text}).inline_limit == 48 * 1024


@pytest.mark.parametrize("text", ["hunter2", '["hunter2"]', '"hunter2"', "{'key': 'hunter2'}", '{"hunter2": '])
def test_options_that_are_no_json_object_are_not_repeated(text: str) -> None:
    """A bad value of HANDOFF_STORAGE_OPTIONS is named by its variable, and not quoted."""
    with pytest.raises(ConfigError, match="HANDOFF_STORAGE_OPTIONS is not a JSON object") as caught:
        config.from_environment({"HANDOFF_STORAGE_OPTIONS": text})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


SIZES = {
    "0": 0,
    "49152": 49152,
    "48 KiB": 49152,
    "1.5MB": 1_500_000,
    " 2gib ": 2**31,
    "10 b": 10,
    "3kB": 3000,
    "1MiB": 2**20,
    "1 GB": 10**9,
}


@pytest.mark.parametrize(("text", "size"), SIZES.items())
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    """Decimal and binary units, any case, with or without a space."""
    assert parse_size(text) == size


SHOWN = {0: "0 bytes", 1023: "1,023 bytes", 1024: "1.0 KiB", 5 * 2**20: "5.0 MiB", 1500 * 2**30: "1,500.0 GiB"}


@pytest.mark.parametrize(("size", "text"), SHOWN.items())
def test_sizes_are_written_for_people(size: int, text: str) -> None:
    """A size is written in the largest unit that it fills."""
    assert human_size(size) == text


@pytest.mark.parametrize("limit", ["48k", -1, 2**21, 1.5, True, object])
def test_a_store_refuses_a_limit_that_is_no_size(limit: object, tmp_path: Path) -> None:
    """A limit is a number of bytes up to a message's, or None: in the constructor and in put."""
    with pytest.raises(ConfigError, match="inline_limit must be a number of bytes"):
        Store(tmp_path, inline_limit=limit)
    with pytest.raises(ConfigError, match="inline_limit must be a number of bytes"):
        Store(tmp_path).put(1, ADDRESS, inline_limit=limit)


def test_zero_always_stores_and_none_never_does(tmp_path: Path) -> None:
    """Limit 0 stores the smallest value; None stores nothing and refuses what no message holds."""
    assert isinstance(Store(tmp_path, inline_limit=0).put(None, ADDRESS), Stored)
    store = Store(tmp_path / "none", inline_limit=None)
    assert isinstance(store.put("x" * 1_000_000, ADDRESS), Inline)
    assert isinstance(store.put(["x" * 4_000_000], ADDRESS), Inline)  # squeezed
    import random

    dense = random.Random(1).randbytes(1_000_000)
    with pytest.raises(LimitError, match=r"and inline_limit is None\. Set an inline_limit"):
        store.put(dense, ADDRESS)
    assert not (tmp_path / "none").exists()
