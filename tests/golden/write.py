"""Write the golden files: `python -m tests.golden.write values records newest`, or `oldest` with the oldest libraries.

With the same version of zstd, values and records are the same bytes each time; tables bear the versions of the libraries that
wrote them, too. What a released version has written is never written again: a new version has golden files of its own beside it.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from handoff import Handoff, Store, Stored
from tests.golden.values import ADDRESSES, MANY, NAMED, VALUES, at

HERE = Path(__file__).parent
ROOT = HERE / "root"


def portable(handoff: Handoff) -> Any:
    """Give the message, which names no folder of this machine."""
    return (msgspec.structs.replace(handoff, uri="") if isinstance(handoff, Stored) else handoff).to_json()


def write(run: str, values: dict[str, Any], root: Path = ROOT) -> dict[str, list[Any]]:
    """Put each value inline and stored, and give the messages by its name."""
    store = Store(root)
    found = {}
    for name, value in values.items():
        inline, stored = (
            store.put(value, at(name, run), inline_limit=None),
            store.put(value, at(name, run), inline_limit=0),
        )
        found[name] = [portable(inline), portable(stored)]
    shutil.rmtree(root / ".tmp")
    return found


def write_many(root: Path = ROOT) -> list[Any]:
    """Put many in one message, by their places and by their names."""
    store = Store(root, previews=False)
    elements = store.put_many(MANY, at("many", "values"), inline_limit=1200)
    named = store.put_many(NAMED, at("named", "values"), inline_limit=1200)
    shutil.rmtree(root / ".tmp")
    return [list(map(portable, elements)), {name: portable(handoff) for name, handoff in named.items()}]


def main(runs: list[str]) -> None:
    """Write what is named on the command line."""
    for run in runs:
        shutil.rmtree(ROOT / "dag_id=golden" / f"run_id={run}", ignore_errors=True)
        found: dict[str, Any]
        if run == "values":
            found = {"messages": write(run, VALUES), "many": write_many()}
            found["paths"] = [[msgspec.to_builtins(address), address.path] for address in ADDRESSES]
        elif run == "records":
            from tests.golden.records import RECORDS

            found = {"messages": write(run, {name: value for name, (value, _) in RECORDS.items()})}
        else:
            from tests.golden.tables import TABLES, WRITTEN_BY

            found = {"messages": write(run, TABLES | WRITTEN_BY[run])}
        found["zstd"] = list(zstandard.ZSTD_VERSION)
        (HERE / f"{run}.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
