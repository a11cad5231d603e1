"""The tutorial's DAG, as it stands in docs/tutorial.md, in a real Airflow."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from handoff import default_store

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"


@pytest.fixture
def delays(database: Path, tmp_path: Path) -> Any:
    """Give the DAG, made known to Airflow as a file of its folder is."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    (block,) = re.findall(r"```python\n(from airflow\.sdk.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "delays.py").write_text(block)
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(tmp_path, bundle_path=tmp_path, bundle_name="dags-folder")
    sync_bag_to_db(bag, "dags-folder", None)
    return bag.dags["delays"]


def test_the_first_dag_runs(delays: Any, run: Callable[[Any], str]) -> None:
    """The DAG of the tutorial succeeds, and leaves the one artifact that its text speaks of, for any engine to read."""
    assert run(delays) == "success"
    store = default_store()
    (address,) = store.list("delays")
    assert address == store.latest("delays", "extract")
    assert pd.read_parquet(f"{store.root}/{address.path}", columns=["minutes"]).shape == (300_000, 1)
