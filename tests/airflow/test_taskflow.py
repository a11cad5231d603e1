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
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in page.splitlines() if line.startswith("| ")
    ]
    start = next(number for number, row in enumerate(rows) if row[0] == "shape")
    versions = [tuple(heading.split(", ")) for heading in rows[start][1:]]
    cells = {
        (row[0], *version): cell
        for row in rows[start + 1 :]
        if len(row) == len(rows[start])
        for version, cell in zip(versions, row[1:], strict=True)
    }
    return cells, dict(re.findall(r"^- \[(\d+)\] `(.*)`$", page, re.MULTILINE))


SHAPES = load("taskflow_shapes")
CELLS, TEXTS = table()


def test_the_table_knows_each_cell() -> None:
    """There is a cell for each shape, in each supported version, small and large; and no other."""
    known = {(name, version, size) for name, size in SHAPES.NAMES for version in ("2.11", "3.3")}
    assert known == set(CELLS)
    assert {"pass", *(f"[{number}]" for number in TEXTS)} == set(CELLS.values())


@pytest.mark.parametrize(("name", "size"), SHAPES.NAMES)
def test_a_shape_does_what_the_table_says(name: str, size: str, run: Callable[..., str]) -> None:
    """The DAG checks for itself what arrives; it passes, or fails with the text that stands below the table."""
    dag_id = SHAPES.name_of(name, size)
    if dag_id in SHAPES.DAGS:
        again = 2 if name == "A task that is cleared and runs again" else 1
        states = {run(SHAPES.DAGS[dag_id], at=SHAPES.DATE) for _ in range(again)}
    else:
        states = {"failed"}
    said = CELLS[name, VERSION, size].strip("[]")
    expected = ({"success"}, []) if said == "pass" else ({"failed"}, [TEXTS[said]])
    assert expected == (states, SHAPES.FAILURES[dag_id])
