"""How help looks: options in sections, examples below, and colour only in a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click

_WIDTH = 80
# A bound that nobody meets is no help.
_RANGE: Final = re.compile(r"  \[[0-9<=]*x[0-9<>=]*\]\Z")
# Which section an option stands in; those of no section are the command's own.
_SECTIONS: Final[dict[str, tuple[str, ...]]] = {
    "Which": ("dag", "run", "task", "map_index", "item", "key", "attempt"),
    "Where": ("root", "option"),
}

EXIT_CODES = """\
\b
Exit codes: 0 fine, 1 trouble was found, 2 usage, 3 missing, 4 overwritten
since, 5 damaged, 6 denied, 7 unreachable, 8 the value or its message does not
fit, 9 a newer attempt has written, 10 which task is not certain, 11 a
setting, 12 an extra is not installed, 70 a bug, 130 interrupted."""


class Formatter(click.HelpFormatter):
    """Headings and names in colour, where a terminal shows it."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__(width=_WIDTH)

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, prefix or f"{click.style('Usage:', bold=True)} ")

    def write_heading(self, heading: str) -> None:
        self.write(f"{'':>{self.current_indent}}{click.style(f'{heading}:', bold=True)}\n")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 26, col_spacing: int = 2) -> None:
        super().write_dl([(click.style(name, fg="cyan"), text) for name, text in rows], col_max, col_spacing)


class Context(click.Context):
    """What a command runs in, with help that looks like this."""

    formatter_class = Formatter


class Command(click.Command):
    """A command whose help has sections."""

    context_class = Context

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_options(self, ctx, formatter)


SETTINGS: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"], "max_content_width": _WIDTH}


def write_options(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """Write the options of a command, section by section."""
    section_of = {name: title for title, names in _SECTIONS.items() for name in names}
    rows: dict[str, list[tuple[str, str]]] = {"Options": [], **{title: [] for title in _SECTIONS}}
    for parameter in command.get_params(ctx):
        row = parameter.get_help_record(ctx)
        if row is not None and isinstance(parameter, click.Option):  # an argument is explained in the text
            rows[section_of.get(parameter.name or "", "Options")].append((row[0], _RANGE.sub("", row[1])))
    for title, found in rows.items():
        write_section(formatter, title, found)


def write_section(formatter: click.HelpFormatter, title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Write a section, unless it is empty."""
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)
