"""The README's main job: the flights DAG, as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "run_flights.py"


@pytest.mark.timeout(300)
def test_the_flights_cross_a_real_dag_twice(tmp_path: Path) -> None:
    """The DAG runs twice under one run id, its tables are artifacts, and the second run adds none."""
    command = [sys.executable, "-W", "ignore", str(SCRIPT), "--root", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "100"}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 artifacts before, 4 after" in done.stdout
    assert "the worst day was Friday, 08 March 2013, 83.54 minutes" in done.stdout
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 4
