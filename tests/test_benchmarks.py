"""The benchmarks run, and compare what they say they compare."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_a_small_run_measures_every_contest(tmp_path: Path) -> None:
    """A smoke run prints a line for each contest, and writes as many samples for either side."""
    file = tmp_path / "samples.json"
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--json", str(file), "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    results = json.loads(file.read_text())["results"]
    assert "Loaded by a task that hands over inline, with an S3 root: no library but msgspec" in " ".join(
        done.stdout.split()
    )
    assert len(results) == 10
    assert all(len(result["ours"]) == len(result["theirs"]) == 2 for result in results)
    assert all(min(result["ours"] + result["theirs"]) > 0 for result in results)
