"""What a task's log says: a line for each hand-over, and nothing that was not asked for."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from handoff import Address, Store, Stored, gather, offload, run

LARGE = ["row"] * 30_000


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, store: Store, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the lines of the log, without what differs from run to run."""
    monkeypatch.setenv("HANDOFF_ROOT", store.root)
    caplog.set_level(logging.INFO, logger="handoff")
    return lambda: [re.sub(r"\d+\.\d\d s", "T s", line).replace(store.root, "ROOT") for line in caplog.messages]


def test_a_hand_over_is_a_line(lines: Any) -> None:
    """What, how large, how small it became, where, how long: stored, in the message, and loaded."""

    @offload(inline_limit=0)
    def large() -> list[str]:
        return LARGE

    @offload
    def small(rows: list[str]) -> tuple[int]:
        return (len(rows),)

    @offload
    def plain(count: tuple[int]) -> int:
        return count[0]

    with run(dag_id="dag", run_id="run"):
        plain(small(large()))
    place = "ROOT/dag_id=dag/run_id=run/task_id=large/map_index=-1/return_value"
    said = lines()
    (artifact,) = _files(said[0])
    assert f"handed over return_value: list, 117.2 KiB as {artifact} bytes in {place}, T s" == said[0]
    assert f"loaded {place}: 117.2 KiB as {artifact} bytes, T s" == said[1]
    assert re.fullmatch(r"handed over return_value: tuple, \d+ bytes in the message, T s", said[2])
    assert "handed over return_value: int, 5 bytes in the message, T s" == said[3]
    assert 4 == len(said)


def _files(line: str) -> list[str]:
    return re.findall(r" as (\d+) bytes", line)


def test_many_values_are_one_line(lines: Any, store: Store) -> None:
    """Values that are handed over together, or loaded together, are counted in one line; what is in messages, nowhere."""
    at = Address("dag", "run", "task")
    stored = store.put_many([LARGE, LARGE], at, inline_limit=0)
    inline = store.put_many([1, "text"], at)
    mixed = store.put_many([LARGE, 1, "text"], at, inline_limit=80)
    assert [] == store.put_many([], at)
    for handoffs in (stored, inline, [*stored, *inline], mixed):
        store.get_many(handoffs)
    assert 3 == sum(1 for _ in store.iter_many([*stored, stored[0]]))
    gather(stored)
    store.delete_many([handoff.address for handoff in stored if isinstance(handoff, Stored)])
    folder = "ROOT/dag_id=dag/run_id=run/task_id=task/"
    size = stored[0].size
    assert [
        f"handed over 2 values of return_value, 234.4 KiB as {2 * size} bytes in {folder}, T s",
        "handed over 2 values of return_value, 7 bytes in the message, T s",
        (
            f"handed over 3 values of return_value, 117.2 KiB as {size} bytes in {folder}map_index=-1/item=0/return_value, "
            "2 of 7 bytes in the message, T s"
        ),
        f"loaded 2 handoffs: 234.4 KiB as {2 * size} bytes, T s",
        f"loaded 2 handoffs: 234.4 KiB as {2 * size} bytes, T s",
        f"loaded {folder}map_index=-1/item=0/return_value: 117.2 KiB as {size} bytes, T s",
        f"loaded 3 handoffs: 351.6 KiB as {3 * size} bytes, T s",
        f"loaded 2 handoffs: 234.4 KiB as {2 * size} bytes, T s",
        "deleted 2 artifacts, T s",
    ] == lines()


def test_nothing_is_said_where_nobody_listens(caplog: pytest.LogCaptureFixture, store: Store) -> None:
    """A plain function, and a program that did not ask for INFO, see no line."""

    @offload(store=store)
    def function() -> list[str]:
        return LARGE

    function()
    assert [] == caplog.messages
    with run(dag_id="dag", run_id="run"):
        function()
    assert [] == caplog.messages
