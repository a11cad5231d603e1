"""The command line: its commands, what its exit codes mean, and how an error is told.

A command's module is imported when it is called, so that none waits for what another needs.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, cast

import click

from handoff import errors
from handoff.cli import layout, terminal
from handoff.errors import HandoffError

#: It was looked for trouble, and there is some.
FOUND: Final = 1
INTERRUPTED: Final = 130
_PIPE_CLOSED: Final = 141
_BUG: Final = 70
# What a write into a file or a pipe may end in, where nothing is wrong with the command.
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
EXITS: Final[dict[type[HandoffError], int]] = {
    errors.MissingError: 3,
    errors.StaleError: 4,
    errors.DamagedError: 5,
    errors.DeniedError: 6,
    errors.UnreachableError: 7,
    errors.EncodeError: 8,
    errors.EnvelopeError: 8,
    errors.LimitError: 8,
    errors.MismatchError: 8,
    errors.SupersededError: 9,
    errors.IdentityError: 10,
    errors.ConfigError: 11,
    errors.DependencyError: 12,
}

# The module of each command and what it does, so that the list of them imports none.
COMMANDS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "Values": {
        "put": ("values", "Put a value into the store, and print its envelope."),
        "get": ("values", "Get a value out of the store, into a file or to stdout."),
        "head": ("preview", "Show the first rows of a table, or the start of any value."),
    },
    "What is there": {
        "ls": ("listing", "List artifacts, with their sizes and ages."),
        "show": ("showing", "Show what an envelope and its artifact say, loading no value."),
        "du": ("usage", "Draw where the bytes are, and how they grow."),
    },
    "Upkeep": {
        "verify": ("upkeep", "Read every artifact, and tell which are damaged."),
        "prune": ("upkeep", "Delete what is old; says what it would do, unless --yes."),
        "pin": ("pinning", "Protect a DAG, a run or a task from prune."),
        "unpin": ("pinning", "Take a protection away."),
        "pins": ("pinning", "List what is protected, since when and why."),
    },
    "Trouble": {
        "doctor": ("doctor", "Try out the root: reachable, writable, safe, how fast."),
    },
}


class App(click.Group):
    """All commands. What goes wrong in one is told in a few lines, and by the exit code."""

    context_class = layout.Context

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        if os.environ.get("NO_COLOR"):
            extra["color"] = False
        return super().make_context(info_name, args, parent, **extra)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the same in all
        return [name for section in COMMANDS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        for section in COMMANDS.values():
            if cmd_name in section:
                module = import_module(f"handoff.cli.{section[cmd_name][0]}")
                return cast("click.Command", getattr(module, cmd_name))
        return None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.list_commands(ctx)))
        for title, section in COMMANDS.items():
            layout.write_section(formatter, title, [(f"{name:<{width}}", does) for name, (_, does) in section.items()])
        layout.write_options(self, ctx, formatter)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            super().invoke(ctx)
            sys.stdout.flush()
        except HandoffError as error:
            terminal.tell(error)
            ctx.exit(exit_code(error))
        except BrokenPipeError:  # whoever read has enough
            _forget_output()
            ctx.exit(_PIPE_CLOSED)
        except KeyboardInterrupt:
            terminal.say("interrupted")
            ctx.exit(INTERRUPTED)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:  # noqa: BLE001 - it is told in full
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                _forget_output()
                full = errors.UnreachableError(
                    f"what comes out cannot be written: {error.strerror}",
                    remedy="Make room where the output goes, and in TMPDIR",
                )
                terminal.tell(full)
                ctx.exit(exit_code(full))
            traceback.print_exc()
            terminal.say("This is a bug in handoff: please report it with the lines above.")
            ctx.exit(_BUG)


def exit_code(error: HandoffError) -> int:
    """Give the exit code that stands for an error."""
    return next((code for kind, code in EXITS.items() if isinstance(error, kind)), _BUG)


def run(arguments: Sequence[str]) -> Any:
    """Run a command, and end this process with its exit code."""
    # As Ctrl-C does, so that an upload that is under way is taken back: a pod is ended like this.
    signal.signal(signal.SIGTERM, _end)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # it was closed: else the next file that is opened would take its place
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - as long as the process
    return app.main(list(arguments), prog_name="handoff")


def _forget_output() -> None:
    """Let what was not written be forgotten: the interpreter would try it again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end(number: int, _: object) -> None:
    raise SystemExit(128 + number)


@click.command(cls=App, context_settings=layout.SETTINGS, epilog=layout.EXIT_CODES)
@click.version_option(package_name="dag-handoff", message="%(package)s %(version)s")
def app() -> None:
    """Look after what tasks hand over: values, their artifacts, and the store.

    The root is the one of your tasks: HANDOFF_ROOT, or --root. Each command has --json for programs and --help
    with examples.
    """
