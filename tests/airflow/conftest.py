"""An Airflow of its own for these tests: a new home and SQLite database, made before Airflow is imported."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HOME = Path(tempfile.mkdtemp(prefix="handoff-airflow-"))
os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent / "dags"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
    "HANDOFF_ROOT": str(HOME / "artifacts"),
}


def pytest_unconfigure() -> None:
    """Take the home away again."""
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(autouse=True)
def _no_settings_from_outside() -> None:
    """Keep the settings above, which the fixture of this name would take away."""


@pytest.fixture(scope="session")
def database() -> Path:
    """Make the metadata database."""
    from airflow.utils.db import initdb

    initdb()
    return HOME / "airflow.db"


@pytest.fixture
def run(database: Path) -> Callable[[Any], str]:
    """Give what runs a DAG through Airflow's own execution API, and says how it ended."""
    return lambda dag: str(dag.test().state)
