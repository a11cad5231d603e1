"""What `run_flights.py` shows: how each result travelled, and the summary as the next task got it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

from rich import box
from rich.console import Console
from rich.pretty import Pretty
from rich.table import Table

from handoff import Handoff, Stored
from handoff.sizes import human_size

SHOWN = 1


@dataclass(frozen=True)
class Result:
    """What one task returned, as Airflow's database and the folder of artifacts hold it."""

    run_id: str
    task_id: str
    instance_id: str
    seconds: float
    handoff: Handoff
    raw_size: int
    xcom_size: int

    @property
    def artifact_size(self) -> int:
        """The bytes at rest, 0 where the value is in the message."""
        return self.handoff.size if isinstance(self.handoff, Stored) else 0


def show_results(console: Console, results: list[Result]) -> None:
    """Print a line for each task: what it returned, and how that travelled."""
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("task", "total", no_wrap=True)
    table.add_column("Python type", no_wrap=True)
    for name, total in (
        ("raw size", human_size(sum(result.raw_size for result in results))),
        ("in XCom", human_size(sum(result.xcom_size for result in results))),
        ("artifact", human_size(sum(result.artifact_size for result in results))),
        ("ratio", ""),
        ("time", f"{sum(result.seconds for result in results):.2f} s"),
    ):
        table.add_column(name, total, justify="right", no_wrap=True)
    for result in results:
        table.add_row(
            result.task_id,
            result.handoff.type.rpartition(".")[2],
            human_size(result.raw_size),
            human_size(result.xcom_size),
            human_size(result.artifact_size) if result.artifact_size else "-",
            f"{result.raw_size / (result.artifact_size or result.xcom_size):.1f}×",
            f"{result.seconds:.2f} s",
        )
    console.print()
    console.print(table)
    console.print(
        "\nA dash: the value is in the XCom row itself. Ratio: raw size to artifact or row.\n"
        "Time: of the second run; in the first, one task waits for the import of pandas.",
        style="dim",
    )


def show_summary(console: Console, summary: dict[str, Any]) -> None:
    """Print a summary as Python writes it, so that the types are seen; of long dicts, the first items."""
    lines = Table.grid(padding=(0, 2))
    lines.add_column(no_wrap=True)
    for name, value in summary.items():
        if isinstance(value, dict):
            lines.add_row(name, Pretty(dict(islice(value.items(), SHOWN)), indent_size=2))
            lines.add_row("", f"[dim]and {len(value) - SHOWN} more[/]")
        else:
            lines.add_row(name, Pretty(value))
    console.print(lines)
