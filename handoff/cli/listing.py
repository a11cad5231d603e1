"""What is kept, one artifact a line: `ls`."""

from __future__ import annotations

import datetime as dt
import heapq
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Final

import click

from handoff import retention
from handoff.address import RETURN_VALUE, Address
from handoff.cli import layout, place, terminal
from handoff.cli.terminal import shown
from handoff.cli.units import age, human_age, size
from handoff.retention import Kept
from handoff.sizes import human_size

_SIZE, _AGE, _INDENT, _LEAST = 12, 8, 4, 20
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@click.command(
    cls=layout.Command,
    epilog="""\b
Examples:
  handoff ls --dag etl
  handoff ls --older-than 7d --larger-than 100MB --sort size -n 20
  handoff ls --dag etl --paths | head -1 | xargs handoff head""",
)
@click.option("--older-than", metavar="AGE", callback=age, help="Last written longer ago, such as 7d, 12h or 2w.")
@click.option("--newer-than", metavar="AGE", callback=age, help="Last written since.")
@click.option("--larger-than", metavar="SIZE", callback=size, help="Of more bytes at rest, such as 100MB.")
@click.option("--smaller-than", metavar="SIZE", callback=size, help="Of fewer.")
@click.option("--sort", type=click.Choice(["size", "age"]), help="Largest, or oldest, first; else by address.")
@click.option("-n", "--limit", type=click.IntRange(1), metavar="N", help="No more than so many.")
@click.option("--paths", is_flag=True, help="Print paths alone, one a line, for other commands.")
@place.among
@place.where
def ls(*, sort: str | None, limit: int | None, paths: bool, **given: Any) -> None:
    """List artifacts, with their sizes and ages.

    They come by DAG, run and task, as the store lists them, one request per thousand. With --json each is a line.
    """
    store = place.listed_store_of(given)
    found: Iterator[Kept] = filter(
        _is_meant(given), retention.artifacts(store, given["dag"], given["run"], given["task"])
    )
    if sort is not None:
        key: Callable[[Kept], Any] = _by_size if sort == "size" else _by_age
        found = iter(heapq.nsmallest(limit, found, key) if limit else sorted(found, key=key))
    found = itertools.islice(found, limit)
    count = total = 0
    show = _shower(is_sorted=sort is not None, paths=paths)
    for one in found:
        count, total = count + 1, total + one.size
        show(one)
    if not paths:
        terminal.note(f"{terminal.count(count, 'artifact')}, {human_size(total)}")


def _by_size(one: Kept) -> Any:
    return -one.size, one.path


def _by_age(one: Kept) -> Any:
    return one.modified or _EPOCH, one.path


def _is_meant(given: dict[str, Any]) -> Callable[[Kept], bool]:
    now = dt.datetime.now(dt.UTC)
    before = None if given["older_than"] is None else now - given["older_than"]
    since = None if given["newer_than"] is None else now - given["newer_than"]
    more, fewer = given["larger_than"], given["smaller_than"]

    def is_meant(one: Kept) -> bool:
        if (before or since) and one.modified is None:  # what is not known to be of an age is not of it
            return False
        when = one.modified or now
        is_of_age = (before is None or when < before) and (since is None or when >= since)
        return is_of_age and (more is None or one.size > more) and (fewer is None or one.size < fewer)

    return is_meant


def _shower(*, is_sorted: bool, paths: bool) -> Callable[[Kept], None]:
    """Give what prints an artifact, in the manner that is asked for."""
    if paths:
        return lambda one: click.echo(one.path)
    if terminal.is_json():
        return terminal.emit
    now = dt.datetime.now(dt.UTC)
    if is_sorted:
        return lambda one: click.echo(f"{_numbers(one, now)}  {shown(_whole(one.address), _room(2))}")
    last: list[str] = ["", ""]

    def show(one: Kept) -> None:
        for line in _headings(one.address, last):
            click.echo(line)
        room = _room(_INDENT)
        click.echo(f"{'':{_INDENT}}{shown(_task(one.address), room):<{room}}{_numbers(one, now)}")

    return show


def _headings(at: Address, last: list[str]) -> Iterator[str]:
    """Give the lines that name a DAG and a run, where they are others than before."""
    if at.dag_id != last[0]:
        yield click.style(shown(at.dag_id), bold=True)
    if [at.dag_id, at.run_id] != last:
        yield f"  {click.style(shown(at.run_id), fg='cyan')}"
    last[:] = at.dag_id, at.run_id


def _room(margin: int) -> int:
    return max(terminal.width() - _SIZE - _AGE - margin, _LEAST)


def _numbers(one: Kept, now: dt.datetime) -> str:
    age = human_age(now - one.modified) if one.modified else "–"
    return f"{human_size(one.size):>{_SIZE}}{age:>{_AGE}}"


def _task(at: Address) -> str:
    index = f"[{at.map_index}]" if at.map_index >= 0 else ""
    item = "" if at.item is None else f" item {at.item}"
    return f"{at.task_id}{index}{'' if at.key == RETURN_VALUE else f' {at.key}'}{item}"


def _whole(at: Address) -> str:
    return f"{at.dag_id} {at.run_id} {_task(at)}"
