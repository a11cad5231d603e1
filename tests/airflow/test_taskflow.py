"""Every shape of TaskFlow in a real Airflow: what happened is what the table in docs/airflow.md says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from airflow import __version__

from tests.airflow.dagfiles import load

ROOT = Path(__file__).parents[2]
VERSION = ".".join(__version__.split(".")[:2])


def table() -> tuple[dict[tuple[str, str, str], str], dict[str, str]]:
    """Read the table: what is said of a shape, version and size; and the texts of the errors."""
    page = (ROOT / "docs" / "airflow.md").read_text()
    lines = page[page.index("| shape | ") :].partition("\n\n")[0].splitlines()
    heading, _, *rows = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in lines)
    versions = [tuple(cell.split(", ")) for cell in heading[1:]]
    cells = {(row[0], *version): cell for row in rows for version, cell in zip(versions, row[1:], strict=True)}
    return cells, dict(re.findall(r"^- \[(\d+)\] `(.*)`$", page, re.MULTILINE))


# What it takes a scheduler to do: see test_services.py.
CLEARED = "A task that is cleared and runs again"
SHAPES = load("taskflow_shapes")
CELLS, TEXTS = table()


def test_the_table_knows_each_cell() -> None:
    """There is a cell for each shape, in each supported version, small and large; and no other."""
    shapes = {*SHAPES.SHAPES, CLEARED}
    known = {(name, version, size) for name in shapes for size in SHAPES.SIZES for version in ("2.11", "3.3")}
    assert known == set(CELLS)
    assert {"pass", *(f"[{number}]" for number in TEXTS)} == set(CELLS.values())


@pytest.mark.parametrize(("name", "size"), SHAPES.NAMES)
def test_a_shape_does_what_the_table_says(name: str, size: str, run: Callable[..., str]) -> None:
    """The DAG checks for itself what arrives; it passes, or fails with the text that stands below the table."""
    dag_id = SHAPES.name_of(name, size)
    state = run(SHAPES.DAGS[dag_id]) if dag_id in SHAPES.DAGS else "failed"
    said = CELLS[name, VERSION, size].strip("[]")
    expected = ("success", []) if said == "pass" else ("failed", [TEXTS[said]])
    assert expected == (state, sorted(set(SHAPES.FAILURES[dag_id])))
