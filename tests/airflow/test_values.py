"""Arrays, files, tables and records between the tasks of a real DAG."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.airflow.dagfiles import load


@pytest.mark.timeout(300)
def test_values_of_many_kinds_cross_a_real_dag(
    run: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrays, files, frames and records arrive in what the next task's parameters name, and files go with their task."""
    monkeypatch.chdir(tmp_path)
    assert run(load("values").dag) == "success"
