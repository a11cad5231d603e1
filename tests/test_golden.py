"""Golden files: what a released version has written is read for ever, to exactly the value that was put."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import zstandard

from handoff import Handoff, Store, artifact
from handoff.artifact import Payload
from handoff.spool import Source
from handoff.testing import same
from tests.golden import write
from tests.golden.tables import TABLES, WRITTEN_BY
from tests.golden.values import MANY, NAMED, VALUES, at

FOUND = {run: json.loads((write.HERE / f"{run}.json").read_text("utf-8")) for run in ("values", "newest", "oldest")}
EXPECTED = {"values": VALUES} | {run: TABLES | own for run, own in WRITTEN_BY.items()}


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Give the golden files as a store: a copy of them, so that no test alters one."""
    root = tmp_path_factory.mktemp("golden") / "root"
    shutil.copytree(write.ROOT, root)
    return Store(root)


@pytest.mark.parametrize("run", FOUND)
def test_there_is_a_golden_file_for_every_value(run: str) -> None:
    """No value is without its golden file, and no file without its value."""
    assert set(EXPECTED[run]) == set(FOUND[run]["messages"])


@pytest.mark.parametrize(("run", "name"), [(run, name) for run in FOUND for name in EXPECTED[run]])
def test_what_was_written_is_read(run: str, name: str, golden: Store) -> None:
    """By its message, inline and stored, and by its address, each is the value that was put."""
    expected, (inline, stored) = EXPECTED[run][name], FOUND[run]["messages"][name]
    assert same(expected, golden.get(inline))
    assert same(expected, golden.get(stored))
    if stored["codec"] != "file":
        assert same(expected, golden.get(at(name, run)))


def test_many_in_one_message_are_read() -> None:
    """The elements of a message, and named values, are what was put together."""
    elements, named = FOUND["values"]["many"]
    assert {"Inline", "Stored"} == {type(Handoff.from_json(json.dumps(one))).__name__ for one in elements}
    store = Store(write.ROOT)
    assert same(MANY, [store.get(one) for one in elements])
    assert same(NAMED, {name: store.get(one) for name, one in named.items()})


def contents(path: Path) -> tuple[bytes, bytes]:
    """Give the header of an artifact, and its payload: what does not depend on zstd."""
    source = Source(path.read_bytes())
    if not source.data().startswith(artifact.MAGIC):
        return b"", source.data()
    header, start = artifact.read_header(source)
    return header.to_json(), Payload(source, start=start).data()


def check_written_again(run: str, again: dict[str, Any], root: Path) -> None:
    """Hold what was written now against the golden files; with the same zstd, byte by byte."""
    golden = json.loads((write.HERE / f"{run}.json").read_text("utf-8"))
    folder = Path("dag_id=golden", f"run_id={run}")
    paths = [path.relative_to(write.ROOT) for path in sorted((write.ROOT / folder).rglob("*")) if path.is_file()]
    assert paths == [path.relative_to(root) for path in sorted((root / folder).rglob("*")) if path.is_file()]
    for path in paths:
        assert contents(write.ROOT / path) == contents(root / path)
    if list(zstandard.ZSTD_VERSION) == golden["zstd"]:
        assert {name: golden[name] for name in again} == again
        assert [(write.ROOT / path).read_bytes() for path in paths] == [(root / path).read_bytes() for path in paths]


def test_values_are_written_as_they_were(tmp_path: Path) -> None:
    """Trees, arrays, files and messages of many are the very bytes that were written once."""
    check_written_again(
        "values", {"messages": write.write("values", VALUES, tmp_path), "many": write.write_many(tmp_path)}, tmp_path
    )
