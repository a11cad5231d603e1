"""Where the bytes are, and how they grow: `du`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

import click

from handoff import retention
from handoff.cli import layout, place, terminal
from handoff.cli.terminal import shown
from handoff.retention import Usage
from handoff.sizes import human_size

_SIZE, _SHARE, _COUNT, _LEAST_BAR, _LEAST_NAME = 11, 7, 11, 8, 8
_HEIGHT = 5
_DAY: Final = dt.timedelta(days=1)


@click.command(
    cls=layout.Command,
    epilog="""\b
Examples:
  handoff du
  handoff du --dag etl --by task
  handoff du --days 90 --json""",
)
@click.option("--by", type=click.Choice(["dag", "run", "task"]), default="dag", help="What to sum up by; else dag.")
@click.option("-n", "--limit", type=click.IntRange(1), default=20, metavar="N", help="The largest so many; else 20.")
@click.option("--days", type=click.IntRange(0, 3650), default=30, metavar="N", help="Of growth; else 30; 0 for none.")
@place.among
@place.where
def du(*, by: Any, limit: int, days: int, **given: Any) -> None:
    """Draw where the bytes are, and how they grow.

    Sizes are those at rest. The growth counts what is kept today by the day on which it was last written, in UTC.
    Everything is told from listings, one request per thousand artifacts, twice where days are drawn.
    """
    store = place.listed_store_of(given)
    meant = {"dag_id": given["dag"], "run_id": given["run"], "task_id": given["task"]}
    with terminal.progress("listing"):
        groups = retention.usage(store, by=by, **meant)
        daily = _filled(retention.usage(store, by="day", **meant), days) if days else []
    size, count = sum(one.size for one in groups), sum(one.artifacts for one in groups)
    if terminal.is_json():
        written = [{"day": day, "artifacts": one.artifacts, "size": one.size} for day, one in daily]
        terminal.emit({"root": store.root, "artifacts": count, "size": size, "groups": groups, "days": written})
        return
    click.echo(f"{human_size(size)} in {terminal.count(count, 'artifact')} below {shown(store.root)}")
    if groups:
        click.echo()
        _draw(groups[:limit], size, by, is_one_dag=given["dag"] is not None)
        if groups[limit:]:
            rest = sum(one.size for one in groups[limit:])
            click.echo(f"… and {len(groups) - limit:,} more of {human_size(rest)}")
    if any(one.size for _, one in daily):
        click.echo()
        _draw_days(daily, terminal.width())


def _draw(groups: Sequence[Usage], size: int, by: str, *, is_one_dag: bool) -> None:
    named = [
        " ".join(filter(None, [None if is_one_dag and by != "dag" else one.dag_id, one.run_id, one.task_id]))
        for one in groups
    ]
    free = terminal.width() - _SIZE - _SHARE - _COUNT - 1
    room = min(max(_LEAST_NAME, *map(len, named)), max(free - _LEAST_BAR, _LEAST_NAME))
    bar = max(free - room, _LEAST_BAR)
    title = f"{by if by == 'dag' or is_one_dag else f'dag, {by}':<{room + bar + 1}}"
    click.echo(click.style(f"{title}{'at rest':>{_SIZE}}{'share':>{_SHARE}}{'artifacts':>{_COUNT}}", bold=True))
    for name, one in zip(named, groups, strict=True):
        drawn = f"{terminal.bar(one.size / (groups[0].size or 1), bar):<{bar}}"
        share = f"{one.size / size if size else 0:.0%}"
        click.echo(
            f"{shown(name, room):<{room}} {click.style(drawn, fg='cyan')}"
            f"{human_size(one.size):>{_SIZE}}{share:>{_SHARE}}{one.artifacts:>{_COUNT},}"
        )


def _filled(groups: Sequence[Usage], days: int) -> list[tuple[dt.date, Usage]]:
    """Give the last so many days up to today, those without any artifact too."""
    found = {one.day: one for one in groups}
    today = dt.datetime.now(dt.UTC).date()
    nothing = Usage(0, 0, None, None)
    return [(day, found.get(day, nothing)) for day in (today - _DAY * back for back in reversed(range(days)))]


def _draw_days(daily: Sequence[tuple[dt.date, Usage]], width: int) -> None:
    daily = daily[-width:]
    most = max(one.size for _, one in daily)
    thick = max(1, min(3, width // len(daily)))
    click.echo(f"written per day, of what is kept; the tallest is {human_size(most)}")
    for line in terminal.column_chart([one.size for _, one in daily], _HEIGHT):
        wide = "".join(cell * max(thick - 1, 1) + " " * (thick > 1) for cell in line)
        click.echo(click.style(wide.rstrip(), fg="cyan"))
    first, last = (f"{daily[place][0]:%Y-%m-%d}" for place in (0, -1))
    gap = len(daily) * thick - len(first) - len(last)
    click.echo(f"{first}{'':{gap}}{last}" if gap > 0 else last)
