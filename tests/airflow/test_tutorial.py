"""The tutorial's DAG, as it stands in docs/tutorial.md, in a real Airflow."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from handoff import default_store

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"


def test_the_first_dag_runs(run: Callable[[Any], str], tmp_path: Path) -> None:
    """The DAG of the tutorial succeeds, and leaves the one artifact that its text speaks of, for any engine to read."""
    (block,) = re.findall(r"```python\n(from airflow\.sdk.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "delays.py").write_text(block)
    assert run(runpy.run_path(str(tmp_path / "delays.py"))["delays"]()) == "success"
    store = default_store()
    (address,) = store.list("delays")
    assert address == store.latest("delays", "extract")
    assert pd.read_parquet(f"{store.root}/{address.path}", columns=["minutes"]).shape == (300_000, 1)
