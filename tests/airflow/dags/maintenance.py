"""The maintenance DAG of the documentation, as a file of the folder that Airflow reads."""

import runpy
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "retention_dag.py"

maintenance = runpy.run_path(str(EXAMPLE))["handoff_retention"]()
