"""What an envelope and its artifact say: `show`. The value is never loaded."""

from __future__ import annotations

from typing import Any

import click

from handoff import codecs
from handoff.address import Address
from handoff.cli import layout, looking, place, terminal
from handoff.envelope import Handoff, Inline, Stored
from handoff.errors import HandoffError, MissingError, StaleError
from handoff.sizes import human_size
from handoff.store import Store, storage_of


@click.command(
    cls=layout.Command,
    epilog="""\b
Examples:
  handoff show "$ENVELOPE"
  handoff show --dag etl --run 2026-11-21 --task extract --json""",
)
@click.argument("what", required=False, metavar="[WHAT]")
@place.which()
@place.where
def show(what: str | None, **given: Any) -> None:
    """Show what an envelope and its artifact say, loading no value.

    WHAT is an envelope, - to read one from stdin, or an address; or --dag, --run and --task name it. Of the artifact
    only the header is read: whether its bytes are whole is found by `handoff verify`. Where the artifact is
    not there, or is not the one that the envelope names, the error is told after what was found.
    """
    store = place.store_of(given)
    target = place.target(what, given, store)
    handoff = target if isinstance(target, Handoff) else None
    at = target.address if isinstance(target, Stored) else target if isinstance(target, Address) else None
    artifact, trouble = (None, None) if at is None else _artifact(store, at, handoff)
    if terminal.is_json():
        terminal.emit(
            {
                "envelope": handoff and handoff.to_json(),
                "path": at and at.path,
                "artifact": artifact,
                "trouble": trouble and terminal.as_json(trouble),
            }
        )
    else:
        terminal.print_pairs([*_lines_of_address(at), *_lines_of_envelope(handoff), *_lines_of_artifact(artifact)])
    if trouble is not None:
        raise trouble


def _artifact(store: Store, at: Address, handoff: Any) -> tuple[dict[str, Any] | None, HandoffError | None]:
    storage = storage_of(store)
    try:
        found = looking.look(store, at) if handoff else looking.look_named(store, at)
    except MissingError as error:
        return None, error
    header = found.header
    artifact = {
        "uri": storage.uri(at.path),
        "size": found.size,
        "modified": storage.modified(at.path) or None,
        "codec": header and header.codec,
        "type": header and header.type,
        "raw_size": header and header.raw_size,
    }
    if handoff is None or handoff.codec == codecs.FILE:
        is_of_it = header is not None or (handoff is not None and handoff.size == found.size)
        return artifact, None if is_of_it else found.trouble
    if header is None:
        return artifact, found.trouble
    said = (handoff.codec, handoff.type, handoff.raw_size, handoff.size, at)
    if said == (header.codec, header.type, header.raw_size, found.size, header.address):
        return artifact, None
    return artifact, StaleError(
        f"the artifact is another than the one of this envelope, which is from attempt {handoff.attempt}",
        remedy="Use the newer envelope, or run the producer again",
        uri=storage.uri(at.path),
        attempt=handoff.attempt,
    )


def _lines_of_address(at: Address | None) -> list[tuple[str, Any]]:
    if at is None:
        return []
    parts: list[tuple[str, Any]] = [("dag", at.dag_id), ("run", at.run_id), ("task", at.task_id)]
    parts += [("map index", at.map_index)] if at.map_index >= 0 else []
    parts += [("item", at.item)] if at.item is not None else []
    return [*parts, ("key", at.key)]


def _lines_of_envelope(handoff: Handoff | None) -> list[tuple[str, Any]]:
    if handoff is None:
        return []
    lines: list[tuple[str, Any]] = [("", ""), ("envelope", "stored" if isinstance(handoff, Stored) else "inline")]
    lines += [("type", handoff.type), ("codec", handoff.codec)]
    lines += [("preview", handoff.preview)] if handoff.preview else []
    lines += [("file name", handoff.file_name)] if handoff.file_name else []
    if isinstance(handoff, Stored):
        lines += [("size", _sizes(handoff.size, handoff.raw_size)), ("attempt", handoff.attempt)]
    lines += [("size", human_size(handoff.size))] if isinstance(handoff, Inline) else []
    return [*lines, ("sha256", handoff.sha256)]


def _lines_of_artifact(artifact: dict[str, Any] | None) -> list[tuple[str, Any]]:
    if artifact is None:
        return []
    lines: list[tuple[str, Any]] = [("", ""), ("artifact", artifact["uri"])]
    if artifact["codec"]:
        lines += [("type", artifact["type"]), ("codec", artifact["codec"])]
    size = (
        human_size(artifact["size"]) if artifact["raw_size"] is None else _sizes(artifact["size"], artifact["raw_size"])
    )
    return [*lines, ("size", size), ("written", artifact["modified"] or "unknown")]


def _sizes(size: int, raw_size: int) -> str:
    ratio = f", {raw_size / size:.1f} times as much" if size and raw_size > size else ""
    return f"{human_size(size)} at rest, {human_size(raw_size)} before compression{ratio}"
