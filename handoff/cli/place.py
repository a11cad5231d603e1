"""Where and which: the store that a command works on, and the address that its options or its environment name.

A root and its options are found as `handoff.default_store` finds them. Which task a value is of is never guessed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import click
import msgspec

from handoff import config
from handoff.address import RETURN_VALUE, Address
from handoff.cli import terminal
from handoff.envelope import MOST_ATTEMPTS, Handoff
from handoff.errors import ConfigError, EnvelopeError, IdentityError, UnreachableError
from handoff.store import Store, address_at, storage_of

_F = TypeVar("_F", bound=Callable[..., Any])

_VARIABLES: Final = {"dag": "AIRFLOW_CTX_DAG_ID", "run": "AIRFLOW_CTX_DAG_RUN_ID", "task": "AIRFLOW_CTX_TASK_ID"}
_MAP_INDEX, _ATTEMPT = "AIRFLOW_CTX_MAP_INDEX", "AIRFLOW_CTX_TRY_NUMBER"
_NAMED: Final = {"dag": "DAG", "run": "run", "task": "task"}
# What begins like these is JSON; any other value of an option is text, and needs no quotes.
_JSON: Final = ("{", "[", "true", "false", "null")


class Identity(NamedTuple):
    """Where a value belongs, and which attempt of its task makes it."""

    address: Address
    attempt: int


def where(command: _F) -> _F:
    """Give a command the options that say which store, and the one for JSON."""
    for add in (
        click.option(
            "--json", "as_json", is_flag=True, expose_value=False, callback=_note_json, help="JSON on stdout."
        ),
        click.option("--root", help="Folder or URL, such as s3://bucket/prefix; else HANDOFF_ROOT."),
        click.option(
            "--option",
            multiple=True,
            metavar="NAME=VALUE",
            help="For the filesystem, such as profile=data; else HANDOFF_STORAGE_OPTIONS.",
        ),
    )[::-1]:
        command = add(command)
    return command


def which(*, attempt: bool = False) -> Callable[[_F], _F]:
    """Give a command the options that make an address."""

    def decorate(command: _F) -> _F:
        added = [
            *_ids(),
            click.option("--map-index", type=int, metavar="N", help="Of a mapped task; -1 for any other."),
            click.option("--item", type=int, metavar="N", help="An element of a result."),
            click.option("--key", help=f"As in XCom; else {RETURN_VALUE}."),
        ]
        if attempt:
            added.append(click.option("--attempt", type=int, metavar="N", help="The try number, from 1."))
        for add in reversed(added):
            command = add(command)
        return command

    return decorate


def among(command: _F) -> _F:
    """Give a command the options that choose a DAG, a run or a task."""
    for add in reversed(_ids()):
        command = add(command)
    return command


def store_of(given: Mapping[str, Any], *, timeout: float = config.TIMEOUT) -> Store:
    """Make the store that a command works on. Raises: `ConfigError`."""
    settings = config.from_environment()
    root = given["root"] or settings.root
    if not given["root"] and not settings.is_given:
        terminal.note(f"note: neither --root nor HANDOFF_ROOT says where artifacts are: {terminal.shown(root)}")
    # Those of the environment are for its root; a folder takes none.
    environment = settings.storage_options if "://" in root and not root.startswith("file:") else {}
    options = {**environment, **dict(map(_option, given["option"]))}
    return Store(root, inline_limit=settings.inline_limit, storage_options=options, timeout=timeout)


def listed_store_of(given: Mapping[str, Any]) -> Store:
    """Make the store whose artifacts a command lists. Raises: `ConfigError`; `UnreachableError` without its folder."""
    store = store_of(given)
    if "://" not in store.root and not os.path.isdir(store.root):  # a bucket that is missing says so itself
        raise UnreachableError(
            f"the root folder {store.root} is not there",
            remedy="Look whether it is misspelled, or its volume is not mounted",
            uri=store.root,
        )
    return store


def target(text: str | None, given: Mapping[str, Any], store: Store) -> Handoff | Address:
    """Give what a reader names: an envelope or a plain value as JSON, an address's path or URI, or its parts.

    Arguments: ``text``, None where the options say it; ``-`` reads JSON from stdin. Raises: `EnvelopeError`,
    `ConfigError`, `IdentityError`; `DeniedError`, `UnreachableError`, since only the header knows an id that is too
    long to stand in its path.
    """
    named = {name: given[name] for name in _VARIABLES if given[name] is not None}
    if text is None:
        missing = [name for name in _VARIABLES if name not in named]
        if missing:
            raise click.UsageError(
                "Name an envelope, an address as `handoff ls --paths` prints it, or --dag, --run and --task."
            )
        return _address(named, _number(given["map_index"], -1), given)
    if named:
        raise click.UsageError("Name either an envelope or an address, or --dag, --run and --task.")
    below = text.removeprefix(f"{store.root.rstrip('/')}/")
    if below.startswith("dag_id="):
        return address_at(storage_of(store), below) or Address.from_path(below)  # which says what is wrong with it
    try:
        return Handoff.from_json(sys.stdin.buffer.read() if text == "-" else text)
    except EnvelopeError as error:
        why = str(error).removesuffix(f". {error.remedy}.")
        raise EnvelopeError(
            f"{terminal.shown(text, 60)!r} is no envelope and no address: {why}",
            remedy=f"{error.remedy}; or an address as `handoff ls --paths` prints it",
        ) from None


def identity(given: Mapping[str, Any], *, is_at_work: bool) -> Identity:
    """Say where a value belongs that is put.

    Arguments: ``is_at_work``, whether it is the result of the task that runs here. What the options leave open is read
    from the ``AIRFLOW_CTX_*`` variables. Those tell no map index by themselves: it has to be said, as mapped instances
    would overwrite each other. Raises: `IdentityError`.
    """
    environ = os.environ
    named = {name: given[name] or environ.get(variable, "") for name, variable in _VARIABLES.items()}
    missing = next((name for name in named if not named[name]), None)
    if missing is not None:
        raise IdentityError(
            f"which {_NAMED[missing]} this value is of is not said",
            remedy=f"Give --{missing}, or set {_VARIABLES[missing]}",
        )
    is_at_work = is_at_work or any(not given[name] for name in named)
    map_index, attempt = given["map_index"], given["attempt"]
    if is_at_work:
        map_index = _number(map_index, environ.get(_MAP_INDEX) or None, _MAP_INDEX)
        attempt = _number(attempt, environ.get(_ATTEMPT) or None, _ATTEMPT)
        if map_index is None:
            raise IdentityError(
                "which instance of the task this value is of is not said: mapped ones would overwrite each other",
                remedy=f"Give --map-index, or set {_MAP_INDEX}: '{{{{ ti.map_index }}}}', -1 where it is not mapped",
            )
    attempt = _number(attempt, 1)
    if not 1 <= attempt <= MOST_ATTEMPTS:
        raise IdentityError(f"the attempt is a number from 1, not {attempt}")
    return Identity(_address(named, _number(map_index, -1), given), attempt)


def _address(named: Mapping[str, str], map_index: int, given: Mapping[str, Any]) -> Address:
    key = given["key"] or RETURN_VALUE
    return Address(named["dag"], named["run"], named["task"], map_index, key, given["item"])


def _number(given: int | None, default: Any, variable: str = "") -> Any:
    if given is not None or not isinstance(default, str):
        return default if given is None else given
    try:
        return int(default)
    except ValueError:
        raise IdentityError(f"{variable} is {terminal.shown(default, 40)!r}, and no number") from None


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError("Write --option as NAME=VALUE.")  # what was written may be a secret
    if not value.startswith(_JSON):
        return name, value
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        raise ConfigError(f"the option {name} begins like JSON and is none", remedy="Quote it for the shell") from None


def _ids() -> list[Callable[[Any], Any]]:
    return [click.option(f"--{name}", metavar="ID", help=text) for name, text in _HELP.items()]


_HELP: Final = {"dag": "The DAG's id.", "run": "The run's id.", "task": "The task's id."}


def _note_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click calls it so
    ctx.find_root().meta[terminal.AS_JSON] = value
