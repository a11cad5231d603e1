"""The command line: values in and out, what is there, and how it is told."""

from __future__ import annotations

import json
import os
import pty
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import handoff
from benchmarks import startup
from handoff import Address, File, Handoff, Store, cli, errors
from handoff.cli import app, forms, looking, terminal, units, writing
from handoff.codecs import _libraries
from handoff.testing import same
from tests import console

AT = Address("dag", "run", "task")
IDS = ("--dag", "dag", "--run", "run", "--task", "task")
FRAME = console.flights(100)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the store of the environment be an empty one, and work in an empty folder."""
    monkeypatch.setenv("HANDOFF_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> Store:
    return Store(root, inline_limit=0)


def call(*arguments: object, stdin: str | bytes | None = None) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [*map(str, arguments)], input=stdin, prog_name="handoff")


def told(*arguments: object, stdin: str | bytes | None = None) -> Any:
    """Run a command that succeeds, and give the JSON that it prints."""
    done = call(*arguments, stdin=stdin)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


# --- help, docs and how errors are told ---------------------------------------------------------------------------


def test_the_page_shows_what_one_sees() -> None:
    """Each session of docs/cli.md comes out as it stands there, but for times, digests and versions; none is wider than 80."""
    page = console.PAGE.read_text("utf-8")
    with console.entered():
        found = [*console.sessions(page)]
    assert len(found) == 25
    for expected, actual in found:
        assert console.masked(expected) == console.masked(actual)
        lines = [line for line in actual.splitlines() if "/" not in line and not line.startswith(("$", "{"))]
        assert [] == [line for line in lines if len(line) > 80]


def test_the_page_shows_the_help_of_every_command() -> None:
    """No command is left out of docs/cli.md, and what the list of commands says of each is how its own help begins."""
    page = console.PAGE.read_text("utf-8")
    context = app.make_context("handoff", ["--help"], resilient_parsing=True)
    for name in app.list_commands(context):
        assert f"$ handoff {name} --help\n" in page
        command = app.get_command(context, name)
        assert command is not None
        assert name == command.name


def test_every_error_has_a_code_of_its_own_or_its_group() -> None:
    """Each error of the library ends in the code that docs/cli.md gives; what is none of them is a bug."""
    page = console.PAGE.read_text("utf-8")
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, handoff.HandoffError)
    ]
    for kind in kinds:
        if kind is not handoff.HandoffError:
            row = next(
                line for line in page.splitlines() if f"| `{kind.__name__}" in line or f", `{kind.__name__}`" in line
            )
            assert row.startswith(f"| {cli.exit_code(kind('x'))} |")
    assert cli.exit_code(handoff.HandoffError("x")) == 70


def test_an_error_says_what_where_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """An error is told in a few lines without a traceback: what happened, where, if that is not said, and the remedy."""
    terminal.tell(handoff.DeniedError("no", remedy="Ask", uri="s3://bucket/x"))
    assert capsys.readouterr().err == "error: no\nwhere: s3://bucket/x\nremedy: Ask\n"
    terminal.tell(errors.as_one([handoff.MissingError("a", address="x"), handoff.MissingError("b", address="y")], 3))
    assert capsys.readouterr().err.splitlines()[:2] == ["error: 2 of 3 failed", "  MissingError: a"]
    terminal.tell(handoff.StaleError(""))
    assert capsys.readouterr().err == "error: StaleError\n"
    done = call("get", *IDS)
    assert done.exit_code == 7
    assert done.stderr.startswith("error: the root folder ")


def test_an_error_is_json_where_json_is_asked_for(store: Store) -> None:
    """With --json an error has the same names whatever it is, and stdout stays empty."""
    store.put(1, AT)
    done = call("get", "--dag", "dag", "--run", "run", "--task", "none", "out.json", "--json")
    assert (done.exit_code, done.stdout) == (3, "")
    error = json.loads(done.stderr)["error"]
    assert sorted(error) == ["address", "kind", "remedy", "uri", "what"]
    assert (error["kind"], error["remedy"]) == ("MissingError", looking.REMEDY)
    assert error["what"].endswith(f"/return_value. {looking.REMEDY}.")


def test_a_bug_is_told_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no error of the library ends in 70 with its traceback; an interruption in 130."""
    for raised, code, text in (
        (ZeroDivisionError("oh"), 70, "ZeroDivisionError: oh"),
        (KeyboardInterrupt(), 130, "interr"),
    ):

        def fail(*_: object, error: BaseException = raised, **__: object) -> None:
            raise error

        monkeypatch.setattr(Store, "__init__", fail)
        done = call("pins")
        assert done.exit_code == code
        assert text in done.stderr


def test_arguments_that_make_no_sense_are_usage() -> None:
    """What the command line lacks or has too much of ends in 2, and says so."""
    for arguments in (
        ["nix"],
        ["put"],
        ["put", "-", "--value", "1"],
        ["put", "no-such-file", *IDS],
        ["get"],
        ["get", "1", "a", "b"],
        ["get", *IDS, "a", "b"],
        ["get", "1", "--json"],
        ["get", "1", "x.json", "--task", "t"],
        ["show", "--run", "r"],
        ["show", "1", "--option", "secret"],
        ["show", "1", "--option", "=x"],
        ["ls", "--older-than", "7"],
        ["ls", "--older-than", "7y"],
        ["ls", "--larger-than", "much"],
        ["prune"],
        ["pin"],
    ):
        done = call(*arguments)
        assert done.exit_code == 2, arguments
        assert "secret" not in done.output


# --- which store, and which task ----------------------------------------------------------------------------------


def test_the_root_is_found_as_tasks_find_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An option wins over the environment; without either, the default is used and said, unless a program reads."""
    Store(tmp_path / "other", inline_limit=0).put([1], AT)
    assert call("get", *IDS, "--root", tmp_path / "other").stdout == "[1]\n"
    assert call("get", *IDS, "--root", f"file://{tmp_path}/other").stdout == "[1]\n"
    monkeypatch.setenv("HANDOFF_STORAGE_OPTIONS", '{"key": "k"}')  # those of another root
    assert call("get", *IDS, "--root", tmp_path / "other").stdout == "[1]\n"
    monkeypatch.delenv("HANDOFF_ROOT")
    assert "neither --root nor HANDOFF_ROOT" in call("ls").stderr
    Path(".handoff").mkdir()
    assert call("ls", "--json").stderr == ""


@pytest.mark.parametrize("command", ["ls", "du", "verify", "prune --keep-runs 3"])
def test_a_root_that_is_not_there_is_told(command: str, root: Path) -> None:
    """A misspelled folder is no store in which nothing is wrong."""
    done = call(*command.split())
    assert 7 == done.exit_code
    assert f"error: the root folder {root} is not there" in done.stderr


def test_options_reach_the_filesystem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Options of the command line win over those of the environment; text needs no quotes, and JSON is read."""
    seen: list[dict[str, Any]] = []
    init = Store.__init__
    monkeypatch.setattr(
        Store, "__init__", lambda self, *a, **k: seen.append(k["storage_options"]) or init(self, *a, **k)
    )
    monkeypatch.setenv("HANDOFF_STORAGE_OPTIONS", '{"a": 1, "b": 2}')
    call("ls", "--root", "memory://x", "--option", "a=x=y", "--option", 'c={"d": 3}', "--option", "e=true")
    assert seen == [{"a": "x=y", "b": 2, "c": {"d": 3}, "e": True}]
    done = call("ls", "--root", "memory://x", "--option", "token={nope")
    assert done.exit_code == 11
    assert "nope" not in done.output


TASK = {
    "AIRFLOW_CTX_DAG_ID": "d",
    "AIRFLOW_CTX_DAG_RUN_ID": "r",
    "AIRFLOW_CTX_TASK_ID": "t",
    "AIRFLOW_CTX_MAP_INDEX": "3",
    "AIRFLOW_CTX_TRY_NUMBER": "2",
}


def test_which_task_it_is_comes_from_its_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a task all is told by the environment, and what the command line says wins."""
    for name, value in TASK.items():
        monkeypatch.setenv(name, value)
    out = tmp_path / "xcom" / "return.json"
    done = call("put", "--value", "[1]", "--xcom", "--xcom-path", out, "--inline-limit", "0")
    assert (done.exit_code, done.stdout) == (0, "")
    found = Handoff.from_json(out.read_bytes())
    assert (Address("d", "r", "t", 3), 2) == (found.address, found.attempt)  # type: ignore[attr-defined]
    made = told(
        "put", "--value", "1", "--dag", "mine", "--map-index", "0", "--key", "k", "--item", "4", "--attempt", "5"
    )
    assert (Address("mine", "r", "t", 0, "k", 4).path, 5) == (Address(**made["address"]).path, made["attempt"])
    made = told("put", "--value", "1", *IDS)  # named in full: the task that runs is another's affair
    assert (AT, 1) == (Address(**made["address"]), made["attempt"])


def test_which_task_it_is_is_never_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing id, a map index that a task does not tell, or one that is no number: nothing is written."""
    for missing, names in (
        ("AIRFLOW_CTX_DAG_ID", "--dag"),
        ("AIRFLOW_CTX_DAG_RUN_ID", "--run"),
        ("AIRFLOW_CTX_TASK_ID", "--task"),
        ("AIRFLOW_CTX_MAP_INDEX", "--map-index"),
    ):
        for name, value in TASK.items():
            monkeypatch.setenv(name, "" if name == missing else value)
        done = call("put", "--value", "1")
        assert done.exit_code == 10
        assert names in done.stderr
        assert missing in done.stderr
    done = call("put", "--value", "1", *IDS, "--xcom")
    assert done.exit_code == 10
    monkeypatch.setenv("AIRFLOW_CTX_MAP_INDEX", "{{ ti.map_index }}")
    assert call("put", "--value", "1", *IDS, "--xcom").exit_code == 10
    assert call("put", "--value", "1", *IDS, "--attempt", "0").exit_code == 10
    assert not os.path.exists(os.environ["HANDOFF_ROOT"])


# --- values in and out --------------------------------------------------------------------------------------------


def test_a_container_hands_over_as_a_task_does(tmp_path: Path) -> None:
    """With --xcom what is small travels in the message, what is large is stored, and the next container reads either."""
    out = tmp_path / "xcom" / "return.json"
    task = [*IDS, "--map-index", "-1", "--xcom", "--xcom-path", out]
    assert call("put", "--value", '{"rows": 3}', *task).exit_code == 0
    assert out.read_text() == '{"rows":3}'
    assert call("get", out.read_text(), "-").stdout == '{"rows":3}\n'
    FRAME.to_parquet("result.parquet")
    done = call("put", "result.parquet", *task, "--inline-limit", "1KiB", "--json")
    assert done.stdout.strip() == out.read_text()
    assert call("get", out.read_text(), "again.parquet").stderr.startswith("wrote again.parquet: parquet")
    assert same(FRAME, pd.read_parquet("again.parquet"))
    assert same(FRAME, Store(tmp_path / "root").get(json.loads(out.read_text()), pd.DataFrame))
    assert "Python's own notation" in call("get", "{'kind': 'stored'}").stderr


def test_a_sidecar_that_is_not_there_is_said(tmp_path: Path) -> None:
    """Where the shared volume cannot be written, the error says how to get one."""
    (tmp_path / "file").touch()
    done = call("put", "--value", "1", *IDS, "--map-index", "-1", "--xcom", "--xcom-path", tmp_path / "file" / "x")
    assert done.exit_code == 7
    assert "do_xcom_push=True" in done.stderr


@pytest.mark.parametrize("form", ["parquet", "csv", "json", "npy", "bin"])
def test_a_file_goes_in_and_comes_out(form: str, store: Store) -> None:
    """Each kind of file becomes the value that it holds, from a path and from stdin, and is written again as it was."""
    array = np.arange(6.0).reshape(2, 3)
    values: dict[str, Any] = {
        "parquet": FRAME,
        "csv": FRAME,
        "json": {"a": [1, None, "ü"]},
        "npy": array,
        "bin": b"\0\1",
    }
    path, value = f"in.{form}", values[form]
    match form:
        case "parquet":
            FRAME.to_parquet(path)
        case "csv":
            FRAME.to_csv(path, index=False)
        case "json":
            Path(path).write_bytes(msgspec.json.encode(value))
        case "npy":
            np.save(path, value)
        case _:
            Path(path).write_bytes(value)
    data = Path(path).read_bytes()
    by_name = {} if form != "bin" else {"bin": "file"}
    for arguments, stdin in (([path], None), (["-", "--format", by_name.get(form, form)], data)):
        envelope = told("put", *arguments, *IDS, "--json", stdin=stdin)
        named = ["--file"] if form == "bin" else []
        assert call("get", json.dumps(envelope), f"out.{form}").exit_code == 0
        assert call("get", *named, *IDS, f"again.{form}").exit_code == 0
        assert Path(f"out.{form}").read_bytes() == Path(f"again.{form}").read_bytes()
        if form in ("json", "npy", "bin"):
            assert data.strip() == Path(f"out.{form}").read_bytes().strip()
        elif form == "parquet":
            assert same(FRAME, pd.read_parquet("out.parquet"))
        else:
            assert pacsv.read_csv("in.csv").to_pylist() == pacsv.read_csv("out.csv").to_pylist()
    if form == "bin":
        assert store.get(AT, File).path.read_bytes() == value


def test_what_has_no_suffix_goes_by_its_format(store: Store) -> None:
    """A format that is said wins over the suffix, and --file over both; a file arrives under the name that it was given."""
    Path("data").write_text("a,b\n1,2\n")
    told("put", "data", "--format", "csv", *IDS)
    assert store.get(AT).to_pydict() == {"a": [1], "b": [2]}
    os.rename("data", "data.csv")
    envelope = told("put", "data.csv", "--file", "--name", "named.csv", *IDS)
    assert envelope["file_name"] == "named.csv"
    os.mkdir("folder")
    assert call("get", json.dumps(envelope), "folder").exit_code == 0
    assert call("get", "--file", *IDS, "folder").exit_code == 0
    assert sorted(os.listdir("folder")) == ["named.csv", "return_value"]
    strange = {**envelope, "file_name": "../escaped"}
    assert call("get", json.dumps(strange), "folder").exit_code == 0
    assert sorted(os.listdir("folder")) == ["file", "named.csv", "return_value"]
    assert call("get", json.dumps(envelope), "any.csv").exit_code == 0
    assert Path("any.csv").read_text() == "a,b\n1,2\n"
    assert call("get", json.dumps(envelope), "x", "--format", "csv").exit_code == 11


class Pair(msgspec.Struct):
    when: date
    size: float


def test_json_holds_what_it_can(store: Store) -> None:
    """Trees, records, arrays and tables are written as JSON; what it cannot hold at all is refused."""
    moment, span = pd.Timestamp("2026-11-21T12:00:00.123456789"), pd.Timedelta(1, "ns")
    pairs = [Pair(date(2026, 11, n), n / 2) for n in range(1, 9)]
    cases: list[tuple[Any, Any]] = [
        ((1, {2}, b"ab"), [1, [2], "YWI="]),
        (pairs, [{"when": f"2026-11-{n:02}", "size": n / 2} for n in range(1, 9)]),
        (pairs[0], {"when": "2026-11-01", "size": 0.5}),
        ({"p": Path("a/b"), "n": np.float64(2.5), "a": np.arange(2)}, {"p": "a/b", "n": 2.5, "a": [0, 1]}),
        ([pa.table({"x": [1]})], [[{"x": 1}]]),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        (pd.DataFrame({"t": [moment], "s": [span]}), [{"t": moment.isoformat(), "s": span.isoformat()}]),
        (pd.DataFrame({"t": []}), []),
        ([signal.SIGINT, threading.TIMEOUT_MAX], [2, threading.TIMEOUT_MAX]),
    ]
    for value, expected in cases:
        store.put(value, AT)
        done = call("get", *IDS, "--format", "json")
        assert (0, expected) == (done.exit_code, json.loads(done.stdout)), value
    for value in ([1j], {(1, 2): 3}):
        store.put(value, AT)
        assert call("get", *IDS).exit_code == 8


def test_members_are_written_by_their_value_or_name() -> None:
    """A member of an enumeration is its value in JSON, or its name where that is no plain data."""
    from handoff.records import Member

    assert writing.encode([Member("E", "A", 1), Member("E", "B")]) == b'[1,"B"]'


def test_rows_become_a_table(store: Store) -> None:
    """A list of rows with the same names is written as Parquet and CSV; any other list is not."""
    for value in ([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], [Pair(date(2026, 1, 1), n / 2) for n in range(9)]):
        store.put(value, AT)
        assert call("get", *IDS, "out.parquet").exit_code == 0
        assert pq.read_table("out.parquet").num_rows == len(value)
        assert call("get", *IDS, "--format", "csv").stdout.count("\n") == len(value) + 1
    for value in ([], [1], [{"a": 1}, {"b": 1}], {"a": 1}, [{"a": 1}, {"a": "x"}]):
        store.put(value, AT)
        assert call("get", *IDS, "out.csv").exit_code == 11, value


def test_what_has_no_such_form_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A form that a value has not is refused with one that it has, and leaves no file behind."""
    nested = pa.table({"x": [[1, 2]]})
    for value, out, says in (
        (FRAME, "x.npy", "parquet, csv or json"),
        (np.arange(3), "x.csv", "npy or json"),
        ({"a": 1}, "x.npy", "Write json"),
        (FRAME, "x.model", "Say --format csv"),
        (nested, "x.csv", "another form"),
    ):
        store.put(value, AT)
        done = call("get", *IDS, out)
        assert done.exit_code == 11
        assert says in done.stderr
    assert [] == os.listdir()
    monkeypatch.setattr(terminal, "is_terminal", lambda _: True)
    store.put(np.arange(3), AT)
    assert "not for a terminal" in call("get", *IDS).stderr


def test_what_cannot_be_read_says_how_to_go_on() -> None:
    """A file that is not what its suffix says, and a value that is no JSON, are errors of the value."""
    for name in ("x.parquet", "x.csv", "x.json", "x.npy"):
        Path(name).write_bytes(b"\x93NUMPY nonsense" if name.endswith("npy") else b"" if name.endswith("csv") else b"{")
        done = call("put", name, *IDS)
        assert done.exit_code == 8, name
        assert "--file" in done.stderr
    assert call("put", "--value", "text", *IDS).exit_code == 8


def test_an_output_that_cannot_be_written_is_said(store: Store) -> None:
    """A folder that is not there is said; a device is written into, and stays one; nothing is left beside."""
    store.put([1], AT)
    assert call("get", *IDS, "no/such/x.json").exit_code == 7
    assert call("get", *IDS, "/dev/null", "--format", "json").exit_code == 0
    assert not os.path.isfile("/dev/null")
    os.symlink("real.json", "link.json")
    assert call("get", *IDS, "link.json").exit_code == 0
    assert os.path.islink("link.json")
    assert told("get", *IDS, "link.json", "--json") == {
        "output": "link.json",
        "format": "json",
        "size": 4,
        "codec": "tree",
    }
    assert sorted(os.listdir()) == ["link.json", "real.json"]


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without numpy, an array in a file says which extra to install."""
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(handoff.DependencyError, match=r"dag-handoff\[numpy\]"):
        forms.numpy()


def test_the_inline_limit_is_the_one_that_is_said() -> None:
    """A size or none is taken; none keeps all in the message, and what is no limit is an error."""
    assert told("put", "--value", "[1]", *IDS, "--inline-limit", "none") == [1]
    assert told("put", "--value", "[1]", *IDS, "--inline-limit", "48KiB") == [1]
    assert call("put", "--value", "[1]", *IDS, "--inline-limit", "5GiB").exit_code == 11


# --- the start of a value -----------------------------------------------------------------------------------------


def test_the_first_rows_of_a_table_are_shown(store: Store) -> None:
    """The head of a table has its first rows and chosen columns, stored in Parquet or not, and inline; as JSON too."""
    store.put(FRAME, AT)
    found = told("head", *IDS, "-n", "2", "--columns", "carrier,distance", "--json")
    assert found["columns"] == [{"name": "carrier", "type": "large_string"}, {"name": "distance", "type": "int64"}]
    assert (found["rows"], found["head"]) == (100, [["UA", 100], ["AA", 191]])
    inline = json.dumps(Store(store.root).put(FRAME.head(3), AT).to_json())
    assert told("head", inline, "--json")["rows"] == 3
    assert "no column 'nix'" in call("head", *IDS, "--columns", "nix").stderr
    union = pa.UnionArray.from_sparse(pa.array([0] * 9, pa.int8()), [pa.array(range(9))])
    store.put(pa.table({"u": union, "v": range(9)}), AT)
    found = told("head", *IDS, "-n", "2", "--columns", "v", "--json")
    assert (found["rows"], found["head"]) == (None, [[0], [1]])
    assert len(told("head", *IDS, "-n", "20", "--json")["head"]) == 9
    twice = json.dumps(store.put(pd.DataFrame([[1, 2]], columns=["a", "a"]), AT).to_json())
    assert told("head", twice, "--json")["head"] == [[1, 2]]
    whole = json.dumps(store.put(FRAME, AT).to_json())
    assert call("head", twice).exit_code == 4
    path = Path(store.root, AT.path)
    path.write_bytes(path.read_bytes()[:-9] + b"x" * 9)
    assert call("head", whole).exit_code == 5
    path.write_bytes(b"PAR1" + path.read_bytes()[4:-4] + b"PAR1")
    assert call("head", whole).exit_code == 5
    store.put([1], AT)
    assert call("head", *IDS, "--columns", "a").exit_code == 11


def test_a_table_is_turned_where_it_is_too_wide(store: Store) -> None:
    """A table of many columns has a line for each, and one without rows is drawn as well."""
    wide = pd.DataFrame({f"column_{n}": [n, None] for n in range(20)})
    store.put(wide, AT)
    lines = call("head", *IDS).stdout.splitlines()
    assert lines[0].split() == ["column", "type", "first", "values"]
    assert len(lines) == 22
    store.put(wide.head(0), AT)
    assert "column_19" in call("head", *IDS).stdout


def test_the_start_of_any_other_value_is_shown(store: Store) -> None:
    """Arrays, trees, records, texts and bytes show how they begin, and no more of it."""
    Path("text.txt").write_text("one\ntwo\nthree\n")
    Path("bytes.bin").write_bytes(bytes(range(40)))
    cases: list[tuple[Any, str, str]] = [
        (np.arange(5000.0).reshape(-1, 5), "float64 array of 1,000 × 5", "[ 5.  6.  7.  8.  9.]"),
        (np.array(2.5), "no dimension", "2.5"),
        ([*range(100)], "list of 100", "\n  7,\n…\n"),
        ({"a" * 3: {1, 2}}, "dict of 1", '"aaa"'),
        ("text", "str, as JSON", '"text"'),
        ([Pair(date(2026, 1, 1), n / 2) for n in range(20)], "list of 20", '"2026-01-01"'),
        (Pair(date(2026, 1, 1), 1.5), "Pair, as JSON", "1.5"),
        (File("text.txt"), "a file of text", "two"),
        (File("bytes.bin"), "a file", "00000010  10 11 12"),
    ]
    for value, summary, shown in cases:
        envelope = json.dumps(store.put(value, AT).to_json())
        for what in ([envelope], IDS if not isinstance(value, File) else [*IDS, "--file"]):
            done = call("head", *what, "-n", "9")
            assert done.exit_code == 0, done.output
            assert summary in done.stderr
            assert shown in done.stdout
            assert len(done.stdout.splitlines()) <= 10
    inline = json.dumps(Store(store.root).put(File("text.txt"), AT).to_json())
    assert call("head", inline, "-n", "1").stdout == "one\n"
    Path(store.root, AT.path).write_bytes(b"other")
    assert call("head", envelope).exit_code == 5


# --- what is there ------------------------------------------------------------------------------------------------


def test_what_an_envelope_says_is_shown_without_its_value(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An envelope and its artifact are told by their headers; of an inline one, there is only itself."""
    handoff = store.put(FRAME, Address("dag", "run", "task", 3, "key", 2))
    monkeypatch.setattr(Store, "get", None)
    for what in ([json.dumps(handoff.to_json())], [handoff.uri], [handoff.address.path]):  # type: ignore[attr-defined]
        lines = call("show", *what).stdout
        assert "map index  3" in lines
        assert "item       2" in lines
        assert "pandas.DataFrame" in lines
    found = told("show", json.dumps(handoff.to_json()), "--json")
    assert sorted(found) == ["artifact", "envelope", "path", "trouble"]
    assert (found["trouble"], found["artifact"]["codec"]) == (None, "table")
    lines = call("show", '{"a": 1}').stdout
    assert "inline" in lines
    assert told("show", "-", "--json", stdin="7")["artifact"] is None


def test_what_is_wrong_with_an_artifact_is_told(store: Store) -> None:
    """Missing, overwritten and damaged artifacts end in their codes, after what is known of them; a file has no header."""
    envelope = json.dumps(store.put([1, 2], AT).to_json())
    store.put([1, 2, 3], AT)
    assert call("show", envelope).exit_code == 4
    Path(store.root, AT.path).write_bytes(b"nothing")
    assert call("show", envelope).exit_code == 5
    assert call("show", *IDS).exit_code == 5
    assert call("get", *IDS).exit_code == 5
    store.delete(AT)
    done = call("show", envelope, "--json")
    assert (done.exit_code, json.loads(done.stdout)["trouble"]["kind"]) == (3, "MissingError")
    Path("file").write_bytes(b"data")
    envelope = json.dumps(store.put(File("file"), AT).to_json())
    assert "file name  file" in call("show", envelope).stdout
    assert call("show", *IDS).exit_code == 5
    Path(store.root, AT.path).write_bytes(b"other data")
    assert call("show", envelope).exit_code == 5
    assert call("show", "dag_id=x/nonsense").exit_code == 11


@pytest.fixture
def aged(store: Store) -> Store:
    """Give a store with artifacts of two DAGs and three days, the largest the newest."""
    now = datetime.now(UTC)
    for days in range(3):
        for dag in ("a", "b"):
            at = Address(dag, f"run{days}", "task", days - 1, "key" if days else "return_value", days or None)
            store.put(np.random.default_rng(days).bytes(1000 * (5 - days)), at)
            os.utime(Path(store.root, at.path), ((now - timedelta(days=days, hours=1)).timestamp(),) * 2)
    return store


def test_a_listing_is_by_dag_and_run(aged: Store) -> None:
    """The listing names each DAG and run once, with sizes and ages, and its JSON has one artifact a line."""
    done = call("ls")
    assert done.stdout.splitlines()[:3] == ["a", "  run0", f"    {'task':<56}     5.1 KiB     1 h"]
    assert "task[1] key item 2" in done.stdout
    assert done.stderr.startswith("6 artifacts, 2")
    lines = [json.loads(line) for line in call("ls", "--json").stdout.splitlines()]
    assert sorted(lines[0]) == ["address", "modified", "path", "size"]
    assert [line["path"] for line in lines] == call("ls", "--paths").stdout.splitlines()
    assert len(call("ls", "--dag", "a", "--run", "run1", "--paths").stdout.splitlines()) == 1


def test_a_listing_is_chosen_and_sorted(aged: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Age and size choose; the largest or the oldest come first; what the store tells no time of is of no age."""

    def runs(*arguments: object) -> list[str]:
        return [
            json.loads(line)["address"]["run_id"]
            for line in call("ls", "--dag", "a", "--json", *arguments).stdout.splitlines()
        ]

    assert runs("--older-than", "1d") == ["run1", "run2"]
    assert runs("--newer-than", "1.5d") == ["run0", "run1"]
    assert runs("--larger-than", "3.5KiB") == ["run0", "run1"]
    assert runs("--smaller-than", "3.5KiB") == ["run2"]
    assert runs("--sort", "age") == ["run2", "run1", "run0"]
    assert runs("--sort", "size", "-n", "2") == ["run0", "run1"]
    assert call("ls", "--sort", "age", "-n", "1").stdout.endswith("  a run2 task[1] key item 2\n")
    from handoff import retention

    artifacts = [*retention.artifacts(aged, "a")]
    monkeypatch.setattr(
        retention, "artifacts", lambda *_: (msgspec.structs.replace(one, modified=None) for one in artifacts)
    )
    assert runs("--older-than", "0s") == []
    assert len(runs("--sort", "age")) == 3
    assert " –\n" in call("ls").stdout


def test_where_the_bytes_are_is_drawn(aged: Store) -> None:
    """The sums are by DAG, run or task, the largest first, with what is left out; and by day, with days of nothing."""
    found = told("du", "--days", "5", "--json")
    assert [group["dag_id"] for group in found["groups"]] == ["a", "b"]
    assert (found["artifacts"], len(found["days"])) == (6, 5)
    assert sum(day["size"] for day in found["days"]) == found["size"] == sum(group["size"] for group in found["groups"])
    drawn = call("du", "--by", "run", "-n", "2").stdout
    assert "a run0" in drawn
    assert "… and 4 more" in drawn
    assert "the tallest is" in drawn
    # What was written an hour ago is yesterday's just after midnight.
    assert call("du", "--days", "2").stdout.endswith(f"{datetime.now(UTC):%Y-%m-%d}\n")
    assert len(call("du", "--days", "200").stdout.splitlines()[-1]) <= 80
    assert call("du", "--dag", "none").stdout.startswith("0 bytes in 0 artifacts")
    assert all(len(line) <= 80 for line in drawn.splitlines()[1:])


def test_ages_are_told_in_their_largest_unit() -> None:
    """An age is in days, hours, minutes or seconds, and never below none: clocks differ."""
    spans = (
        timedelta(days=40),
        timedelta(hours=30),
        timedelta(hours=2),
        timedelta(minutes=3),
        timedelta(seconds=9),
        timedelta(-1),
    )
    assert [units.human_age(span) for span in spans] == ["40 d", "1 d", "2 h", "3 min", "9 s", "0 s"]


def test_bars_and_columns_are_as_long_as_they_stand_for() -> None:
    """A bar is a share of its width in eighths, and something for what is more than nothing; so are columns."""
    assert terminal.bar(0.5, 4) == "██"
    assert terminal.bar(0, 4) == ""
    assert terminal.bar(1e-9, 4) == "▏"
    assert terminal.bar(2, 4) == "████"
    assert terminal.column_chart([0, 1, 8, 16], 2) == ["   █", " ▁██"]
    assert terminal.column_chart([], 1) == [""]


# --- upkeep -------------------------------------------------------------------------------------------------------


def test_damage_is_found(aged: Store) -> None:
    """What is damaged is named with the reason, and the exit code is 1; what is whole ends in 0."""
    assert "✔ All are whole." in call("verify").stdout
    assert call("verify", "--dag", "none").stdout.endswith("There are none.\n")
    at = next(aged.list("a"))
    path = Path(aged.root, at.path)
    data = path.read_bytes()
    path.write_bytes(data[:-9] + b"x" + data[-8:])
    done = call("verify", "--at-once", "2")
    assert done.exit_code == 1
    assert at.path in done.stdout
    assert "1 of 6 are not whole" in done.stdout
    done = call("verify", "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["artifacts"], found["failed"], found["failures"][0]["kind"]) == (
        1,
        6,
        1,
        "DamagedError",
    )


def test_files_and_many_failures_are_counted(aged: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, which bear no checksum, are told apart; of many failures, the rest is a number."""
    Path("file").write_bytes(b"data")
    aged.put(File("file"), AT)
    assert "of them 1 file without a checksum" in call("verify").stdout
    from handoff import retention

    failed = retention.Verified(500, 1, 0, 200, (handoff.DamagedError("bad", address="x"),))
    monkeypatch.setattr(retention, "verify", lambda *_, **__: failed)
    assert "… and 199 more" in call("verify").stdout


def test_nothing_is_pruned_unless_it_is_said(aged: Store) -> None:
    """A prune says per DAG what it would delete, and deletes it with --yes; pins protect."""
    done = call("prune", "--older-than", "1.5d")
    assert done.exit_code == 0
    assert "would delete 2 artifacts, 6.2 KiB" in done.stdout
    assert "Nothing was deleted: say --yes." in done.stdout
    assert len([*aged.list()]) == 6
    assert call("pin", "--dag", "a", "--note", "audit").stdout == "pinned a\n"
    assert "1 spared by pins" in call("prune", "--older-than", "1.5d").stdout
    assert call("prune", "--older-than", "90d").stdout == "would delete 0 artifacts, 0 bytes\n"
    assert told("pins", "--json")[0]["note"] == "audit"
    assert "audit" in call("pins").stdout
    done = call("prune", "--keep-runs", "1", "--yes")
    assert "deleted 2 artifacts" in done.stdout
    assert len([*aged.list("a")]) == 3
    assert told("unpin", "--dag", "a", "--json") == {"is_removed": True}
    assert call("unpin", "--dag", "a").stdout == "There was no such pin.\n"
    assert call("pins").stdout == "Nothing is pinned.\n"
    assert told("pin", "--dag", "a", "--run", "r", "--task", "t", "--json")["task_id"] == "t"
    assert call("unpin", "--dag", "a", "--run", "r", "--task", "t").stdout == "unpinned a r t\n"
    found = told("prune", "--leftovers", "--dag", "a", "--yes", "--json")
    assert (found["artifacts"], found["is_dry_run"]) == (3, False)


def test_what_could_not_be_deleted_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures, leftovers and what was written anew stand in the summary, and the exit code is 1."""
    from handoff import retention

    root.mkdir()
    error = handoff.DeniedError("s3://b/x: no", remedy="Ask", address="x", uri="s3://b/x")
    found = retention.Pruned(False, 3, 5, (), 0, 1, 2, 9, 1, (error,))
    monkeypatch.setattr(retention, "prune", lambda *_, **__: found)
    done = call("prune", "--leftovers", "--yes")
    assert done.exit_code == 1
    assert done.stdout == (
        "✘ x\n  no\ndeleted 3 artifacts, 5 bytes, and 2 leftovers; 1 written anew meanwhile\n1 could not be deleted.\n"
    )


def test_long_work_shows_how_far_it_is(aged: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a person looks, a bar on stderr is moved by what is done, with its end where that is known; stdout stays clean."""
    steps: list[int] = []
    progress = terminal.progress

    def counted(*args: Any, **kwargs: Any) -> Any:
        from contextlib import contextmanager

        @contextmanager
        def opened() -> Iterator[Callable[[int], None]]:
            with progress(*args, **kwargs) as step:
                yield lambda count: (steps.append(count), step(count))[1]

        return opened()

    monkeypatch.setattr(terminal, "is_watched", lambda: True)
    monkeypatch.setattr(terminal, "progress", counted)
    assert call("verify").stdout.endswith("✔ All are whole.\n")
    assert sum(steps) == 6
    steps.clear()
    assert call("prune", "--keep-runs", "1").exit_code == 0
    assert sum(steps) == 12  # once for the runs, once for the artifacts


# --- as a program -------------------------------------------------------------------------------------------------


def test_it_runs_as_a_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m handoff` is the command line; without its libraries it says what to install."""
    monkeypatch.delitem(sys.modules, "handoff.__main__", raising=False)
    monkeypatch.setattr(sys, "argv", ["handoff", "pins"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("handoff", run_name="__main__")
    assert ended.value.code == 0
    from handoff import __main__

    monkeypatch.setattr(__main__, "find_spec", lambda name: None if name == "rich" else name)
    assert __main__.main() == 12
    assert capsys.readouterr().err == "handoff: the command line needs rich. Install dag-handoff[cli].\n"


def test_a_terminal_gets_colours_and_a_pipe_none(aged: Store) -> None:
    """On a terminal headings are coloured, unless NO_COLOR asks for none; a pipe gets none."""

    def on_terminal(**environment: str) -> bytes:
        parent, child = pty.openpty()
        command = [sys.executable, "-m", "handoff", "ls"]
        with subprocess.Popen(command, stdout=child, stderr=child, env={**os.environ, **environment}) as done:
            os.close(child)
            data = b""
            try:
                while piece := os.read(parent, 65536):
                    data += piece
            except OSError:  # the other end is closed
                pass
            os.close(parent)
        assert done.returncode == 0
        return data

    assert b"\x1b[1ma" in on_terminal()
    assert b"\x1b" not in on_terminal(NO_COLOR="1")
    assert "\x1b" not in call("ls").output
    forced = CliRunner().invoke(app, ["ls"], color=True, env={"NO_COLOR": "1"})
    assert "\x1b" not in forced.output


def test_whoever_ends_it_has_it_clean_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM, by which pods are ended, leaves a command as Ctrl-C does, so that storage calls are taken back."""
    before, undone = signal.getsignal(signal.SIGTERM), list[str]()

    def work(*_: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(9)
        finally:
            undone.append("upload")

    monkeypatch.setattr("handoff.retention.pins", work)
    try:
        with pytest.raises(SystemExit) as ended:
            cli.run(["pins"])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (ended.value.code, undone) == (143, ["upload"])


def test_ids_do_nothing_to_a_terminal(store: Store) -> None:
    """Whatever ids, columns and cells hold, no control character and no markup of theirs reaches a terminal."""
    evil = "a\x1b]0;b\x07\n\u202e[bold]c"
    at = Address(evil, evil, evil, key=evil)
    handoff = store.put(pd.DataFrame({evil: [evil]}), at)
    call("pin", "--dag", evil, "--note", evil)
    which = ["--dag", evil, "--run", evil, "--task", evil]
    for arguments in (
        ["ls"],
        ["ls", "--sort", "age"],
        ["ls", "--paths"],
        ["du"],
        ["verify"],
        ["pins"],
        ["unpin", "--dag", evil],
        ["prune", "--older-than", "0s"],
        ["pin", "--dag", evil],
        ["show", *which, "--key", evil],
        ["show", *which],
        ["head", json.dumps(handoff.to_json())],
        ["head", *which],
        ["get", evil],
    ):
        output = CliRunner().invoke(app, arguments, color=True, prog_name="handoff").output
        assert "Traceback" not in output, arguments
        assert set() == set(output) & {"\x07", "\u202e", "\r"}, arguments
        assert "[bold]c" in output or "%5Bbold%5Dc" in output or "verify" in arguments, arguments
    assert "\u202e" not in call("put", "--value", "1", *which).stderr  # its stdout is JSON, and exact


def test_what_nobody_reads_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where whoever read the output has enough, the command ends in 141 and says nothing; nor does the interpreter."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        with pytest.raises(SystemExit) as ended:
            cli.run(["pins"])
    assert ended.value.code == 141


@pytest.mark.parametrize(("arguments", "code"), [(["prune", "--older-than", "1d"], 0), (["put", "-", *IDS], 8)])
def test_streams_that_are_closed_are_empty(store: Store, arguments: list[str], code: int) -> None:
    """A command whose stdin, stdout and stderr were closed works as if nobody wrote and nobody read."""
    store.put(1, AT)
    before, streams = signal.getsignal(signal.SIGTERM), ("stdin", "stdout", "stderr")
    with pytest.MonkeyPatch.context() as patch:
        for name in streams:
            patch.setattr(sys, name, None)
        with pytest.raises(SystemExit) as ended:
            cli.run(arguments)
        for name in streams:
            getattr(sys, name).close()
    signal.signal(signal.SIGTERM, before)
    assert code == ended.value.code


@pytest.mark.parametrize("arguments", [["ls"], ["get", *IDS]])
def test_a_full_disk_is_no_bug(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """Where what comes out has no room, that is said in a line, by a command and by the interpreter that ends."""
    store.put([1], AT)
    before = signal.getsignal(signal.SIGTERM)
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as ended:
            cli.run(arguments)
    signal.signal(signal.SIGTERM, before)
    assert 7 == ended.value.code
    assert "error: what comes out cannot be written: No space left on device" in capsys.readouterr().err


def test_what_is_no_utf_8_is_an_error_or_a_name(store: Store) -> None:
    """Bytes of an argument that are no text are refused where text is wanted, and name a file as ever."""
    store.put([1], AT)
    odd = os.fsdecode(b"o\xff.json")
    assert 11 == call("pin", "--dag", "dag", "--note", odd).exit_code
    assert 8 == call("put", "--value", f'"{odd}"', *IDS).exit_code
    assert "o\\udcff.json" == told("get", *IDS, odd, "--json")["output"]
    assert b"[1]\n" == Path(odd).read_bytes()
    Path(odd).write_bytes(b"no json")
    done = call("put", odd, *IDS, "--json")
    assert (8, "EncodeError") == (done.exit_code, json.loads(done.stderr)["error"]["kind"])


def test_json_that_is_nested_without_end_is_an_error() -> None:
    """What is nested deeper than a program can read is no bug of it, in stdin and on the command line."""
    for done in (call("put", "-", *IDS, stdin="[" * 100_000), call("put", "--value", "[" * 100_000, *IDS)):
        assert 8 == done.exit_code
        assert "maximum recursion depth exceeded" in done.stderr


def test_ages_beyond_all_artifacts_are_ages(store: Store) -> None:
    """What is older than for ever is nothing, and newer than that is everything."""
    store.put([1], AT)
    assert "" == call("ls", "--older-than", "999999999w", "--paths").stdout
    assert f"{AT.path}\n" == call("ls", "--newer-than", "999999999w", "--paths").stdout
    assert 0 == told("prune", "--older-than", "999999999w", "--json")["artifacts"]


def test_every_path_that_is_listed_is_taken(store: Store) -> None:
    """What `ls --paths` prints names the artifact to other commands, where an id is too long to stand in it as well."""
    for dag in ("dag", "x" * 300):
        at = Address(dag, "run", "task")
        store.put([dag], at)
        (path,) = call("ls", "--dag", dag, "--paths").stdout.split()
        assert [dag] == told("get", path)
        assert 3 == call("get", Address("none", "run", "task").path).exit_code
    assert 11 == call("get", Address("y" * 300, "run", "task").path).exit_code


def test_a_message_replaces_no_file(store: Store) -> None:
    """A folder gets a file under the name that its message says, and never in place of another; a named one is replaced."""
    Path("work.py").write_text("ours")
    Path("sent").write_text("theirs")
    message = json.dumps(store.put(File("sent", name="work.py"), AT).to_json())
    done = call("get", message, ".")
    assert 11 == done.exit_code
    assert "./work.py is there already" in done.stderr
    assert "ours" == Path("work.py").read_text()
    assert 0 == call("get", message, "work.py", "--format", "file").exit_code
    assert "theirs" == Path("work.py").read_text()


def test_completion_names_commands_and_options() -> None:
    """A shell that asks gets the commands that begin alike, and those of their options."""
    for words, expected in (("handoff pi", "pin"), ("handoff prune --ke", "--keep-runs")):
        asked = {"_HANDOFF_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        done = CliRunner().invoke(app, [], env=asked, prog_name="handoff")
        assert f"plain,{expected}" in done.stdout


def test_nothing_heavy_is_loaded_before_it_is_needed() -> None:
    """Help, and a put of what is no table, load neither rich nor a library of tables."""
    code = "import sys; from handoff.__main__ import main\ntry: main()\nexcept SystemExit: pass\nprint(*sys.modules)"
    for arguments in (["--help"], ["put", "--value", "[1]", *IDS], ["ls"]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        loaded = set(done.stdout.splitlines()[-1].split())
        assert "click" in loaded
        assert set() == loaded & {"rich", "numpy", "pandas", "pyarrow", "fsspec", "asyncio"}


def test_what_a_start_costs_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """The benchmark of the start calls every command that it names with success, and prints a line for each."""
    startup.main(again=1)
    assert capsys.readouterr().out.count("| `handoff ") == 9


def test_a_library_that_another_thread_imports_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A library that is half imported in one thread is whole when another thread gets it."""
    (tmp_path / "slow_library.py").write_text("import sys\nsys.begun.set()\nsys.go.wait(9)\nready = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    begun, go = threading.Event(), threading.Event()
    monkeypatch.setattr(sys, "begun", begun, raising=False)
    monkeypatch.setattr(sys, "go", go, raising=False)
    importing = threading.Thread(target=_libraries.library, args=["slow_library"])
    importing.start()
    begun.wait(9)
    later = threading.Timer(0.05, go.set)
    later.start()
    assert _libraries.library("slow_library").ready
    later.join()
    importing.join()
    del sys.modules["slow_library"]
