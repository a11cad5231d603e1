"""Whether all is well with a root: `doctor`, which tries it out and says what to mend."""

from __future__ import annotations

from typing import Any, Final

import click

from handoff import cli
from handoff.cli import checks, layout, place, terminal
from handoff.cli.checks import FAILED, OK, WARNING, Finding

_MARKS: Final = {OK: ("✔", "green"), WARNING: ("!", "yellow"), FAILED: ("✘", "red")}
_UNTRIED: Final = ("·", "bright_black")
_NAME = 13
# Seconds for one call: whoever asks is waiting.
_TIMEOUT: Final = 20.0


@click.command(
    cls=layout.Command,
    epilog="""\b
Examples:
  handoff doctor
  handoff doctor --root s3://my-bucket/handoff --option profile=data""",
)
@place.where
def doctor(**given: Any) -> None:
    """Try out the root: whether it is reachable, may be listed, written and read, is safe, and how fast.

    Each finding comes with what to do about it. What is written for that, at an address of its own, is removed again.
    The exit code is 1 where something has to be mended.
    """
    store = place.store_of(given, timeout=_TIMEOUT)
    is_shown = not terminal.is_json()
    if is_shown:
        click.echo(f"{click.style('doctor', bold=True)}  {terminal.shown(store.root)}\n")
    found: list[Finding] = []
    for finding in checks.of(store, is_given=bool(given["root"])):
        found.append(finding)
        if is_shown:
            _draw(finding)
    troubles = [sum(finding.status == status for finding in found) for status in (FAILED, WARNING)]
    if is_shown:
        click.echo(f"\n{_summary(*troubles)}")
    else:
        findings = [finding._asdict() for finding in found]
        terminal.emit({"root": store.root, "is_well": not troubles[0], "findings": findings})
    if troubles[0]:
        click.get_current_context().exit(cli.FOUND)


def _draw(finding: Finding) -> None:
    mark, colour = _MARKS.get(finding.status, _UNTRIED)
    taken = "" if finding.seconds is None else f"{finding.seconds * 1000:,.1f} ms"
    what = ", ".join(filter(None, [taken, finding.what]))
    _lines(f"{click.style(mark, fg=colour, bold=True)} {finding.check:<{_NAME}}", what)
    if finding.remedy:
        _lines(f"{'':{_NAME + 2}}", finding.remedy, "→ ")


def _lines(start: str, text: str, arrow: str = "") -> None:
    import textwrap

    margin = _NAME + 2 + len(arrow)
    first, *rest = textwrap.wrap(terminal.shown(text, 2_000), max(terminal.width() - margin, 20)) or [""]
    click.echo(f"{start}{click.style(arrow, fg='green')}{first}")
    for line in rest:
        click.echo(f"{'':{margin}}{line}")


def _summary(failed: int, warnings: int) -> str:
    if failed:
        return click.style(
            f"{terminal.count(failed, 'thing')} to mend before tasks hand over here.", fg="red", bold=True
        )
    if warnings:
        return click.style(f"It works; {terminal.count(warnings, 'thing')} to look at.", fg="yellow", bold=True)
    return click.style("All is well.", fg="green", bold=True)
