"""What no prune removes: `pin`, `unpin` and `pins`."""

from __future__ import annotations

from typing import Any

import click

from handoff import retention
from handoff.cli import layout, place, terminal
from handoff.cli.terminal import Column, shown
from handoff.cli.units import human_day


@click.command(
    cls=layout.Command,
    epilog="""\b
Examples:
  handoff pin --dag etl --run 2026-11-21 --note 'audit until March'
  handoff pin --dag training""",
)
@click.option("--note", default="", help="Why, for whoever finds it.")
@place.among
@place.where
def pin(*, note: str, **given: Any) -> None:
    """Protect a DAG, a run or a task in it from prune, until it is unpinned.

    What is put there later is protected, too. Setting it again replaces the note.
    """
    made = retention.pin(place.store_of(given), *_named(given), note=note)
    if terminal.is_json():
        terminal.emit(made)
    else:
        click.echo(f"pinned {_place(*_named(given))}")


@click.command(
    cls=layout.Command,
    epilog="""\b
Example:
  handoff unpin --dag etl --run 2026-11-21""",
)
@place.among
@place.where
def unpin(**given: Any) -> None:
    """Take a pin away: the very one that was set.

    A run stays protected while its DAG is pinned.
    """
    is_removed = retention.unpin(place.store_of(given), *_named(given))
    if terminal.is_json():
        terminal.emit({"is_removed": is_removed})
    else:
        click.echo(f"unpinned {_place(*_named(given))}" if is_removed else "There was no such pin.")


@click.command(cls=layout.Command)
@place.where
def pins(**given: Any) -> None:
    """List what is protected from prune, since when and why."""
    found = retention.pins(place.store_of(given))
    if terminal.is_json():
        terminal.emit(found)
    elif found:
        columns = [Column("DAG", "cyan"), Column("run"), Column("task"), Column("since"), Column("note")]
        rows = [
            (one.dag_id, one.run_id or "all", one.task_id or "all", human_day(one.since), one.note) for one in found
        ]
        terminal.print_table(columns, rows)
    else:
        click.echo("Nothing is pinned.")


def _named(given: dict[str, Any]) -> tuple[str, str | None, str | None]:
    if given["dag"] is None:
        raise click.UsageError("Say which DAG: --dag.")
    return given["dag"], given["run"], given["task"]


def _place(dag: str, run: str | None, task: str | None) -> str:
    return shown(" ".join(filter(None, [dag, run, task])))
