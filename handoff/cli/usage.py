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

_NAME, _SIZE, _SHARE, _COUNT = 24, 11, 6, 18
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
    store = place.store_of(given)
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
        _draw(groups[:limit], size, terminal.width())
        if groups[limit:]:
            rest = sum(one.size for one in groups[limit:])
            click.echo(f"… and {len(groups) - limit:,} more of {human_size(rest)}")
    if any(one.size for _, one in daily):
        click.echo()
        _draw_days(daily, terminal.width())


def _draw(groups: Sequence[Usage], size: int, width: int) -> None:
    longest = max(len(_name(one)) for one in groups)
    room = min(max(longest, 8), max(_NAME, width - _SIZE - _SHARE - _COUNT - 22))
    bar = max(width - room - _SIZE - _SHARE - _COUNT - 1, 8)
    for one in groups:
        share = one.size / size if size else 0.0
        drawn = f"{terminal.bar(one.size / (groups[0].size or 1), bar):<{bar}}"
        click.echo(
            f"{shown(_name(one), room):<{room}} {click.style(drawn, fg='cyan')}{human_size(one.size):>{_SIZE}}"
            f"{share:>{_SHARE}.0%}{terminal.count(one.artifacts, 'artifact'):>{_COUNT}}"
        )


def _name(one: Usage) -> str:
    return " ".join(filter(None, [one.dag_id, one.run_id, one.task_id]))


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
