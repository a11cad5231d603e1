"""Values in and out of the store: `put` and `get`."""

from __future__ import annotations

import os
import time
from typing import Any

import click

from handoff import envelope, files
from handoff.cli import forms, layout, looking, place, terminal, writing
from handoff.cli.forms import FILE, FORMS, PIPE
from handoff.config import check_limit
from handoff.envelope import Handoff, Stored
from handoff.errors import ConfigError, UnreachableError
from handoff.sizes import human_size, parse_size

#: Where the sidecar of Airflow's KubernetesPodOperator looks for what a container hands over.
SIDECAR = "/airflow/xcom/return.json"


@click.command(
    cls=layout.Command,
    epilog="""\b
Examples:
  handoff put flights.parquet --dag etl --run 2026-11-21 --task extract
  echo '{"rows": 3}' | handoff put - --dag etl --run 2026-11-21 --task count
  handoff put result.parquet --xcom""",
)
@click.argument(
    "source", required=False, metavar="[FILE|-]", type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)
@click.option("--value", metavar="JSON", help="The value itself, in place of a file.")
@click.option(
    "--format", "form", type=click.Choice(FORMS), help="What the file is; else its suffix tells; stdin is json."
)
@click.option("--file", "is_file", is_flag=True, help="Hand the file over as it is: the same as --format file.")
@click.option("--name", help="Under which name a file arrives; else its own.")
@click.option("--xcom", is_flag=True, help=f"Write the envelope into {SIDECAR}, as the result of this task.")
@click.option("--xcom-path", default=SIDECAR, hidden=True, envvar="HANDOFF_XCOM_PATH")
@click.option(
    "--inline-limit", metavar="SIZE", help="Most JSON of a message, such as 48KiB; else 0, with --xcom as set."
)
@place.which(attempt=True)
@place.where
def put(
    *,
    source: str | None,
    value: str | None,
    form: str | None,
    is_file: bool,
    name: str | None,
    xcom: bool,
    xcom_path: str,
    inline_limit: str | None,
    **given: Any,
) -> None:
    """Put a value into the store, and print its envelope.

    A .parquet or .csv file becomes a table, .json a value, .npy an array; anything else is handed over as it is.
    It is stored, whatever its size. With --xcom it is handed over as a task's result is: a small one travels in the
    message. In a task, AIRFLOW_CTX_DAG_ID, _DAG_RUN_ID, _TASK_ID, _MAP_INDEX and _TRY_NUMBER say which.
    """
    if (source is None) == (value is None):
        raise click.UsageError("Name a file, - for stdin, or give --value.")
    at, attempt = place.identity(given, is_at_work=xcom)
    target = place.store_of(given)
    limit = _limit(inline_limit, target.inline_limit if xcom else 0)
    if is_file:
        form = FILE
    if source is None:
        found: Any = forms.parse(value or "")
    else:
        found = forms.read(source, form or (forms.JSON if source == PIPE else forms.form_of(source)), name)
    began = time.perf_counter()
    with terminal.progress("storing"):
        handoff = target.put(found, at, attempt=attempt, inline_limit=limit)
    message = envelope.message_of(handoff)
    if xcom:
        _hand_over(message, xcom_path)
    terminal.note(_summary(handoff, time.perf_counter() - began))
    if not xcom or terminal.is_json():
        click.echo(message)  # as the last line: some operators take that for the result


@click.command(
    cls=layout.Command,
    epilog="""\b
Examples:
  handoff get "$ENVELOPE" out.parquet
  handoff get --dag etl --run 2026-11-21 --task extract out.csv
  handoff ls --dag etl --paths | head -1 | xargs handoff get""",
)
@click.argument("named", nargs=-1, metavar="[WHAT] [OUTPUT]")
@click.option("--format", "form", type=click.Choice(FORMS), help="What to write; else the suffix of the output tells.")
@click.option("--file", "is_file", is_flag=True, help="Take what stands at an address as a file, whatever it is.")
@place.which()
@place.where
def get(*, named: tuple[str, ...], form: str | None, is_file: bool, **given: Any) -> None:
    """Get a value out of the store, into a file or to stdout.

    WHAT is an envelope as JSON, - to read one from stdin, or an address as `handoff ls --paths` prints it; or --dag,
    --run and --task name it. The output's suffix says what is written: .parquet, .csv, .json or .npy; a file
    comes as it is, and into a folder under its own name, where none has it yet. Without an output, text goes to stdout.
    """
    is_by_options = given["dag"] is not None
    if len(named) > 2 - is_by_options:
        raise click.UsageError("There are too many arguments.")
    what_text = None if is_by_options or not named else named[0]
    out = next(iter(named[len(named) - 1 :] if is_by_options else named[1:]), PIPE)
    if out == PIPE and terminal.is_json():
        raise click.UsageError("--json tells what was written into a file: name one, or say --format json.")
    source = place.store_of(given)
    what = place.target(what_text, given, source)
    codec = looking.codec_of(source, what, is_file=is_file)
    if os.path.isdir(out):
        name = (what.file_name if isinstance(what, Handoff) else what.key) or "file"
        out = os.path.join(out, name if files.is_name(name) else "file")
        if os.path.lexists(out):  # whoever wrote the message chose its name
            raise ConfigError(f"{out} is there already, and stays as it is", remedy="Name the file, to replace it")
    form = writing.chosen(codec, out, form)
    with terminal.progress("getting"):
        writing.write(source, what, codec, out, form)
    if out == PIPE:
        return
    size = os.path.getsize(out)
    if terminal.is_json():
        terminal.emit({"output": terminal.for_json(out), "format": form, "size": size, "codec": codec})
    else:
        terminal.say(f"wrote {out}: {form}, {human_size(size)}")


def _limit(given: str | None, otherwise: int | None) -> int | None:
    if given is None:
        return otherwise
    return None if given.lower() == "none" else check_limit(parse_size(given))


def _hand_over(message: bytes, path: str) -> None:
    """Write what travels where the sidecar reads it: whole, since it reads when the container ends."""
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "wb") as file:
            file.write(message)
    except OSError as error:
        raise UnreachableError(
            f"{path} cannot be written: {error.strerror}",
            remedy="Set do_xcom_push=True, so that the pod has the volume that is shared with the sidecar",
        ) from None


def _summary(handoff: Handoff, seconds: float) -> str:
    if isinstance(handoff, Stored):
        sizes = f"{human_size(handoff.raw_size)} as {human_size(handoff.size)}"
        return (
            f"stored {handoff.type}: {sizes} at {terminal.shown(handoff.uri or handoff.address.path)}, {seconds:.2f} s"
        )
    size = human_size(len(envelope.message_of(handoff)))
    return f"handed over {handoff.type}: {size} in the message, {seconds:.2f} s"
