"""The maintenance DAG of the documentation, run as it is: what is old and of no latest run goes, the rest stays."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from handoff import Address, default_store, retention
from tests.airflow.dagfiles import load


def test_the_maintenance_dag_prunes(run: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a DAG with twelve old runs the two earliest go, pinned ones and those of a DAG that rarely runs stay."""
    monkeypatch.setenv("HANDOFF_ROOT", str(tmp_path))
    store = default_store()
    places = [Address("often", f"run{n}", "task") for n in range(13)] + [Address("rarely", "run", "task")]
    for n, at in enumerate(places):
        store.put(("value", n), at, inline_limit=0)
        when = time.time() - (100 - n) * 86_400
        os.utime(tmp_path / at.path, (when, when))
    retention.pin(store, "often", "run1")
    assert "success" == run(load("maintenance").maintenance)
    gone = {Address("often", "run0", "task"), Address("often", "run2", "task")}
    assert set(places) - gone == set(store.list(dag_id="often")) | set(store.list(dag_id="rarely"))
