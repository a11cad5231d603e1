"""What is printed, and where: results to stdout, all else to stderr; colours and bars only where a person looks."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import click
import msgspec

from handoff.envelope import clean
from handoff.errors import HandoffError

AS_JSON = "handoff.json"
_LONGEST = 400
_BLOCKS = " ▏▎▍▌▋▊▉█"
_COLUMNS = " ▁▂▃▄▅▆▇█"


class Column(NamedTuple):
    """A column of a table: its title, and how its cells are shown."""

    title: str
    style: str = ""
    is_number: bool = False
    #: Whether a text that has no room is cut, rather than broken into lines.
    is_cut: bool = False


def is_json() -> bool:
    """Whether the command at work was asked for JSON."""
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(AS_JSON))


def emit(value: Any) -> None:
    """Print JSON, in one line."""
    click.echo(msgspec.json.encode(value))


def say(text: str) -> None:
    """Tell a person something beside the result."""
    click.echo(text, err=True)


def note(text: str) -> None:
    """Tell a person, unless a program reads."""
    if not is_json():
        say(text)


def width() -> int:
    """Give the columns of the terminal; 80 where there is none, or as many as COLUMNS says."""
    return shutil.get_terminal_size().columns


def shown(text: str, longest: int = _LONGEST) -> str:
    """Make anybody's text harmless on a terminal."""
    return clean(text, longest)


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> None:
    """Draw a table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        overflow: Any = "ellipsis" if column.is_cut else "fold"
        justify: Any = "right" if column.is_number else "left"
        table.add_column(
            column.title, style=column.style or None, justify=justify, overflow=overflow, no_wrap=column.is_cut
        )
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else shown(str(cell)) for cell in row))
    # Ids and values are anybody's text: they are neither markup nor emoji.
    console = Console(markup=False, emoji=False, highlight=False, width=width())
    with console.capture() as drawn:
        console.print(table)
    for line in drawn.get().splitlines():
        click.echo(line.rstrip())


def print_pairs(pairs: Sequence[tuple[str, Any]]) -> None:
    """Print names and what they stand for, one a line."""
    import textwrap

    margin = max((len(name) for name, _ in pairs), default=0) + 2
    for name, value in pairs:
        lines = textwrap.wrap(shown(str(value), 2_000), max(width() - margin, 20), break_on_hyphens=False) or [""]
        first = f"{click.style(name, fg='cyan')}{'':{margin - len(name)}}{lines[0]}"
        click.echo("\n".join([first.rstrip(), *(f"{'':{margin}}{line}" for line in lines[1:])]))


def bar(share: float, width: int) -> str:
    """Draw a share of 1 as a bar of so many columns."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    eighths = max(eighths, 1) if share > 0 else 0
    return "█" * (eighths // 8) + _BLOCKS[eighths % 8].strip()


def column_chart(values: Sequence[float], height: int) -> list[str]:
    """Draw numbers as columns side by side, so many lines high."""
    most = max(values, default=0) or 1
    eighths = [max(round(value / most * height * 8), 1) if value > 0 else 0 for value in values]
    return ["".join(_COLUMNS[max(0, min(8, count - 8 * row))] for count in eighths) for row in reversed(range(height))]


def count(number: int, noun: str) -> str:
    """Write how many there are: ``1 artifact``, ``1,200 artifacts``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def tell(error: HandoffError) -> None:
    """Tell an error: what happened, where, and what to do."""
    if is_json():
        text = msgspec.json.encode({"error": as_json(error)})
        click.echo(text, err=True)
        return
    what = str(error)
    remedy = f". {error.remedy}." if error.remedy else ""
    head, *below = what.removesuffix(remedy).splitlines() or [type(error).__name__]
    say(f"{click.style('error:', fg='red', bold=True)} {shown(head, 2_000)}")
    for line in below:
        say(f"  {shown(line.strip(), 2_000)}")
    place = error.uri or error.address
    if place and place not in what:
        say(f"{click.style('where:', bold=True)} {shown(place, 2_000)}")
    if error.remedy:
        say(f"{click.style('remedy:', fg='green', bold=True)} {shown(error.remedy, 2_000)}")


def as_json(error: HandoffError) -> dict[str, Any]:
    """Give an error as JSON: the same names whatever it is."""
    return {
        "kind": type(error).__name__,
        "what": for_json(str(error)),
        "remedy": error.remedy,
        "address": error.address,
        "uri": error.uri,
    }


def for_json(text: str) -> str:
    """Give text as JSON can hold it: the name of a file need be none."""
    return text.encode("utf-8", "backslashreplace").decode()


@contextlib.contextmanager
def progress(title: str, total: int | None = None, *, is_counted: bool = False) -> Generator[Callable[[int], None]]:
    """Show on stderr how far long work is, where that is a terminal; give what is told of each step done."""
    if not is_watched():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    count = [TextColumn("{task.completed:,.0f}")] if is_counted else []
    how_far = count if total is None else [BarColumn(), MofNCompleteColumn()]
    parts = [SpinnerColumn(), TextColumn("{task.description}"), *how_far, TimeElapsedColumn()]
    with Progress(*parts, console=Console(stderr=True), transient=True) as drawn:
        task = drawn.add_task(title, total=total)
        yield lambda steps: drawn.advance(task, steps)


def is_watched() -> bool:
    """Whether a person sees what long work tells of itself."""
    return is_terminal(sys.stderr)


def is_terminal(stream: Any) -> bool:
    """Whether a person looks at a stream."""
    return bool(stream.isatty())
