"""Whether what is kept is whole, and what is no longer kept: `verify` and `prune`."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from typing import Any

import click

from handoff import cli, retention
from handoff.cli import layout, place, terminal
from handoff.cli.terminal import Column, shown
from handoff.cli.units import age, human_day
from handoff.errors import HandoffError
from handoff.lanes import WIDTH
from handoff.retention import Progress, Pruned
from handoff.sizes import human_size


@click.command(
    cls=layout.Command,
    epilog="""\b
Examples:
  handoff verify
  handoff verify --dag etl --at-once 32""",
)
@click.option(
    "--at-once", type=click.IntRange(1, 256), default=WIDTH, metavar="N", help=f"Read so many at once; else {WIDTH}."
)
@place.among
@place.where
def verify(*, at_once: int, **given: Any) -> None:
    """Read every artifact, and tell which are damaged.

    Checksums, header and decodability are looked at; nothing is written. The exit code is 1 where one is damaged or
    cannot be read.
    """
    store, meant = place.listed_store_of(given), _meant(given)
    began = time.perf_counter()
    total = sum(one.artifacts for one in retention.usage(store, **meant)) if terminal.is_watched() else None
    with terminal.progress("verifying", total) as step:
        found = retention.verify(store, **meant, width=at_once, tell=lambda _: step(1))
    seconds = time.perf_counter() - began
    if terminal.is_json():
        terminal.emit({**_plain(found), "seconds": round(seconds, 3)})
    else:
        _tell_failures(found.failures, found.failed)
        files = f", of them {terminal.count(found.files, 'file')} without a checksum" if found.files else ""
        click.echo(
            f"read {terminal.count(found.artifacts, 'artifact')}, {human_size(found.size)}{files}, in {seconds:.1f} s"
        )
        click.echo(_verdict(found.artifacts, found.failed))
    _end(found.failed)


@click.command(
    cls=layout.Command,
    epilog="""\b
Examples:
  handoff prune --older-than 30d
  handoff prune --keep-runs 10 --dag etl --yes
  handoff prune --older-than 7d --leftovers --yes""",
)
@click.option(
    "--older-than", metavar="AGE", callback=age, help="What was last written longer ago, such as 7d, 12h or 2w."
)
@click.option("--keep-runs", type=click.IntRange(1), metavar="N", help="What is not of its DAG's latest N runs.")
@click.option("--leftovers", is_flag=True, help="Also what killed writers left, of more than a day ago.")
@click.option("--yes", is_flag=True, help="Delete; without it, only say what would be.")
@place.among
@place.where
def prune(*, older_than: dt.timedelta | None, keep_runs: int | None, leftovers: bool, yes: bool, **given: Any) -> None:
    """Delete what is no longer wanted; without --yes, only say what that would be.

    What meets all that is said is deleted: --older-than 7d --keep-runs 10 spares both the young and the latest runs.
    Pins protect, and so does being written while this runs. It may be interrupted, and goes on when it is called
    again. The exit code is 1 where something could not be deleted.
    """
    meant = _meant(given)
    if older_than is None and keep_runs is None and not leftovers and not any(meant.values()):
        raise click.UsageError("Say what to prune: --older-than, --keep-runs, --leftovers, or a DAG, run or task.")
    store = place.listed_store_of(given)
    with terminal.progress("deleting" if yes else "looking", is_counted=True) as step:
        seen = _Seen(step)
        found = retention.prune(
            store, older_than=older_than, keep_runs=keep_runs, leftovers=leftovers, delete=yes, tell=seen, **meant
        )
    if terminal.is_json():
        terminal.emit(_plain(found))
    else:
        _tell(found)
    _end(found.failed)


class _Seen:
    """Takes what a prune tells of itself, and moves the bar by what is new."""

    def __init__(self, step: Any) -> None:
        self._step = step
        self._last: Progress | None = None

    def __call__(self, now: Progress) -> None:
        before = self._last.artifacts if self._last is not None and self._last.stage == now.stage else 0
        self._step(now.artifacts - before)
        self._last = now


def _meant(given: dict[str, Any]) -> dict[str, Any]:
    return {"dag_id": given["dag"], "run_id": given["run"], "task_id": given["task"]}


def _tell(found: Pruned) -> None:
    if found.dags:
        columns = [Column("DAG", "cyan"), Column("artifacts", is_number=True), Column("at rest", is_number=True)]
        rows = [
            (one.dag_id, f"{one.artifacts:,}", human_size(one.size), human_day(one.oldest), human_day(one.newest))
            for one in found.dags
        ]
        terminal.print_table([*columns, Column("oldest"), Column("newest")], rows)
        click.echo()
    _tell_failures(found.failures, found.failed)
    spared = [f"{found.pinned:,} spared by pins" if found.pinned else ""]
    spared += [f"{found.replaced:,} written anew meanwhile" if found.replaced else ""]
    left = f", and {terminal.count(found.leftovers, 'leftover')}" if found.leftovers else ""
    what = f"{terminal.count(found.artifacts, 'artifact')}, {human_size(found.size)}{left}"
    beside = "".join(f"; {part}" for part in spared if part)
    if found.is_dry_run:
        click.echo(f"would delete {what}{beside}")
        if found.artifacts or found.leftovers:
            click.echo(click.style("Nothing was deleted: say --yes.", fg="yellow", bold=True))
    else:
        click.echo(f"deleted {what}{beside}")
        if found.failed:
            click.echo(click.style(f"{found.failed:,} could not be deleted.", fg="red", bold=True))


def _tell_failures(failures: Sequence[HandoffError], count: int) -> None:
    for error in failures:
        click.echo(f"{click.style('✘', fg='red', bold=True)} {shown(error.address or '')}")
        what = str(error).removeprefix(f"{error.uri}: ").removesuffix(f". {error.remedy}.")
        click.echo(f"  {shown(what, 1_000)}")
    if count > len(failures):
        click.echo(f"… and {count - len(failures):,} more")


def _verdict(count: int, failed: int) -> str:
    if failed:
        return click.style(f"✘ {failed:,} of {count:,} are not whole. Run their producers again.", fg="red", bold=True)
    return click.style("✔ All are whole." if count else "There are none.", fg="green", bold=True)


def _plain(found: Any) -> dict[str, Any]:
    plain = {name: getattr(found, name) for name in found.__struct_fields__}
    return {**plain, "failures": [terminal.as_json(error) for error in found.failures]}


def _end(failed: int) -> None:
    if failed:
        click.get_current_context().exit(cli.FOUND)
