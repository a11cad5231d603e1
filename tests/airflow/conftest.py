"""An Airflow of its own for these tests: a new home and SQLite database, made before Airflow is imported."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

# The examples of the README and of the tutorial are written for Airflow 3.
collect_ignore = ["test_flights.py", "test_tutorial.py"] if version("apache-airflow").startswith("2.") else []

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
    """Make the metadata database; Airflow 2 has to be told what DAGs and datasets there are."""
    from airflow.utils.db import initdb

    initdb()
    if version("apache-airflow").startswith("2."):
        from airflow.models import DagBag

        DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"], include_examples=False).sync_to_db()
    return HOME / "airflow.db"


@pytest.fixture
def run(database: Path) -> Callable[..., str]:
    """Give what runs a DAG in this process, as Airflow does for a task, and says how it ended."""
    return lambda dag: str(dag.test().state)
