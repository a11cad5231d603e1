"""A server that is killed amid everything: nothing is torn, and nothing that was acknowledged is lost."""

from __future__ import annotations

from pathlib import Path

from benchmarks import restarts


def test_a_server_that_is_killed_tears_and_loses_nothing(tmp_path: Path) -> None:
    """Three processes put and get while their server is killed and started again, and see whole and current values."""
    tally = restarts.hammer(tmp_path, processes=3, acts=30, addresses=6, restarts=1)
    assert [] == tally.untyped + tally.torn + tally.lost
    assert tally.puts > 0
    assert tally.gets > 0
