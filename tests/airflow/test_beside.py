"""The comparison with Airflow's own XCom backend, as far as it is about this one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(600)
def test_beside_airflows_own_backend(tmp_path: Path) -> None:
    """The benchmark runs; nothing is altered, nothing is left by retries, and each fault has its error."""
    file = tmp_path / "found.json"
    command = [sys.executable, "-m", "benchmarks.backends", "--only", "HandoffXCom", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(file.read_text())["HandoffXCom"]
    outcomes = [outcome for of_type in found["types"].values() for outcome in of_type.values()]
    refused = {name for name, of_type in found["types"].items() if of_type["small"] == "refused: EncodeError"}
    assert {"identical", "refused: EncodeError"} == set(outcomes)
    assert len(outcomes) == 60
    assert {"pendulum.DateTime", "dataclass", "NamedTuple", "Enum"} >= refused
    assert found["left"] == 2
    assert {"deleted": "MissingError", "truncated": "DamagedError", "swapped": "DamagedError"} == {
        fault: outcome.removeprefix("pull: ") for fault, outcome in found["faults"].items()
    }
