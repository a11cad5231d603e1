"""The XCom backend: in process row by row, and end to end in an Airflow that is set to use it."""

from __future__ import annotations

import dataclasses
import enum
import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import airflow.models.xcom  # noqa: F401 - Airflow 2 loads its backend at the end of it
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff import (
    Address,
    DamagedError,
    EncodeError,
    EnvelopeError,
    Handoff,
    IdentityError,
    Inline,
    LimitError,
    MissingError,
    StaleError,
    Store,
    Stored,
    UnreachableError,
    default_store,
    offload,
)
from handoff.integrations.airflow import BaseXCom, HandoffXCom
from handoff.testing import same, values

pytestmark = pytest.mark.timeout(600)  # an Airflow is made, and its DAGs run, for whichever test asks first

IS_2 = BaseXCom.__module__ == "airflow.models.xcom"
DAGS_FOLDER = Path(__file__).parent / "dags_backend"
AT = Address("d", "r", "t")
LARGE = [(n, Decimal(n) / 8) for n in range(20_000)]
MALFORMED: list[Any] = [
    {"__handoff__": 1}, {"__handoff__": 7, "kind": "stored"}, [{"__handoff__": None}, 1], {"a": {"__handoff__": 1, "kind": "inline"}},
]  # fmt: skip


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [*os.environ]:
        if name.startswith("AIRFLOW_CTX_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HANDOFF_ROOT", str(tmp_path / "root"))
    return tmp_path / "root"


def through_the_database(row: Any) -> Any:
    """Take a row through SQLite as Airflow does: 2.11 keeps a blob, 3.x text in a column of numeric affinity."""
    with sqlite3.connect(":memory:") as connection:
        connection.execute(f"create table xcom (value {'blob' if IS_2 else 'json'})")
        connection.execute("insert into xcom values (?)", (row if IS_2 else json.dumps(row),))
        (found,) = connection.execute("select value from xcom").fetchone()
    connection.close()
    return json.loads(found) if type(found) is str else found


def push(value: Any, at: Address | None = AT) -> Any:
    """Give the row of a pushed value, as it comes out of the database."""
    if at is None:
        return through_the_database(HandoffXCom.serialize_value(value))
    names = ("key", "task_id", "dag_id", "run_id", "map_index")
    return through_the_database(HandoffXCom.serialize_value(value, **{name: getattr(at, name) for name in names}))


def message(row: Any) -> Any:
    """Give the JSON that a row holds."""
    return json.loads(row) if type(row) is bytes else row


def pull(row: Any) -> Any:
    return HandoffXCom.deserialize_value(SimpleNamespace(value=row))


def stored(value: Any, at: Address = AT) -> Stored:
    found = default_store().put(value, at, inline_limit=0)
    assert isinstance(found, Stored)
    return found


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


# --- what is pushed is pulled -----------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["48 KiB", "0", "200"])
@given(value=values())
def test_what_is_pushed_is_pulled(limit: str, value: Any) -> None:
    """Every value of the strategies comes back identical from its row, inline and stored alike."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HANDOFF_INLINE_LIMIT", limit)
        assert same(value, pull(push(value)))


@given(value=values(), depth=st.integers(1, 3))
def test_what_is_pushed_beside_a_handoff_is_pulled(value: Any, depth: int) -> None:
    """A container of handoffs and values arrives as the container of all the values."""
    sent: Any = [default_store().put(value, AT, inline_limit=0), value]
    expected: Any = [value, value]
    for _ in range(depth):
        sent, expected = {"a": [sent], "b": value}, {"a": [expected], "b": value}
    assert same(expected, pull(push(sent)))


@pytest.mark.parametrize("value", MALFORMED)
@pytest.mark.parametrize("limit", ["48 KiB", "0"])
def test_what_only_looks_like_an_envelope_is_data(value: Any, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dict with the mark that is no envelope is a value as any other."""
    monkeypatch.setenv("HANDOFF_INLINE_LIMIT", limit)
    assert same(value, pull(push(value)))


def test_a_loaded_value_is_not_searched() -> None:
    """An envelope inside of an artifact stays the dict that was put."""
    inner = stored("inner").to_json()
    outer = stored([inner], Address("d", "r", "outer"))
    assert same([inner], pull(push(outer)))
    assert same([[inner]], pull(push([outer])))


def test_a_frame_is_stored_and_pulled(root: Path) -> None:
    """A pandas frame becomes one artifact and comes back."""
    frame = pd.DataFrame({"n": range(50_000), "x": [n / 7 for n in range(50_000)]})
    row = push(frame)
    assert message(row)["codec"] == "table"
    assert same(frame, pull(row))
    assert files(root) == [AT.path]


def test_a_small_plain_value_is_its_own_row(root: Path) -> None:
    """The row of a small plain value holds its JSON, and storage is not touched."""
    value = {"n": 1, "names": ["a", None], "share": 0.25}
    assert value == message(push(value))
    assert message(push(None)) is None
    assert not root.exists()


def test_what_cannot_be_kept_is_refused() -> None:
    """A value that no codec keeps fails at the push, by the path of its part."""
    with pytest.raises(EncodeError, match=r"rows\[1\]"):
        push({"rows": [1, object()]})


@dataclasses.dataclass
class Flight:
    number: int


class Leg(NamedTuple):
    origin: str


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize("limit", ["0", "49152"])
@pytest.mark.parametrize("value", [Flight(1), Leg("a"), Colour.RED], ids=str)
def test_records_are_refused_for_want_of_an_annotation(
    value: Any, limit: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that a task returns without the decorator fails at the push, wherever it stands."""
    monkeypatch.setenv("HANDOFF_INLINE_LIMIT", limit)
    for pushed in (value, [value], {"a": (value, 1)}, [value, stored(1)], [stored(1), [value]]):
        with pytest.raises(EncodeError, match="Return its fields as a dict, or decorate both tasks with @offload"):
            push(pushed)


@pytest.mark.parametrize("limit", [0, 49_152])
def test_records_of_a_decorated_task_reach_a_decorated_one(limit: int) -> None:
    """What holds records is pulled as its handoff, which an annotation reads, or whoever names the type."""
    flights = [Flight(1), Flight(2)]
    handoff = default_store().put(flights, Address("d", "r", "decorated"), inline_limit=limit)

    @offload
    def take(flights: list[Flight], more: list[list[Flight]] | None = None) -> Any:
        return flights, more

    pulled = pull(push(handoff))
    assert (handoff, flights) == (pulled, pulled.load(list[Flight]))
    assert (flights, [flights]) == take(pulled, pull(push([handoff])))


def test_a_row_without_ids_travels_inline_or_not_at_all(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ids a small value travels, plain or in an envelope, and one to be stored is refused."""
    assert message(push({"a": 1}, None)) == {"a": 1}
    assert same((1, {2}), pull(push((1, {2}), None)))
    for value in (os.urandom(60_000), os.urandom(2_000_000)):
        with pytest.raises(IdentityError, match="is missing"):
            push(value, None)
    monkeypatch.setenv("HANDOFF_INLINE_LIMIT", "0")
    with pytest.raises(IdentityError, match="is missing"):
        push(1, None)
    monkeypatch.setenv("HANDOFF_INLINE_LIMIT", "none")
    noise = os.urandom(60_000)
    assert same(noise, pull(push(noise, None)))
    assert not root.exists()


# --- what was handed over already -------------------------------------------------------------------------------


def test_nothing_is_stored_twice(root: Path) -> None:
    """A handoff, its envelope and containers of them travel as they are."""
    one, two = stored(LARGE), stored("two", Address("d", "r", "u"))
    before = files(root)
    for value in (one, one.to_json()):
        assert one.to_json() == message(push(value, Address("d", "r", "other")))
    assert [one.to_json(), {"b": two.to_json()}] == message(push([one, {"b": two.to_json()}]))
    assert before == files(root)


@pytest.mark.parametrize("kind", [list, tuple])
def test_elements_arrive_as_values(kind: type) -> None:
    """A list or a tuple of handoffs arrives as the same of values."""
    sent = kind([stored(LARGE), Inline.from_json(default_store().put((1,), AT).to_json()), {"a": [stored(LARGE)]}, 3])
    assert same(kind([LARGE, (1,), {"a": [LARGE]}, 3]), pull(push(sent)))


def test_a_tuple_inside_is_kept_or_refused() -> None:
    """Airflow 3 keeps a tuple of handoffs inside of a list; Airflow 2 would make it a list, and it is refused."""
    if IS_2:
        with pytest.raises(EncodeError, match="Make it a list"):
            push([(stored(LARGE), 1)])
    else:
        assert same([(LARGE, 1)], pull(push([(stored(LARGE), 1)])))


@pytest.mark.parametrize("name", [1, "__classname__", "a\0"])
def test_a_dict_of_handoffs_has_plain_keys(name: Any) -> None:
    """A key that JSON or Airflow would alter is refused where the dict holds handoffs."""
    with pytest.raises(EncodeError, match="a key"):
        push({name: stored(1)})


def test_containers_of_handoffs_are_bounded() -> None:
    """A list of too many handoffs, and one that holds itself, are refused."""
    sent = stored(1)
    with pytest.raises(LimitError, match="pushed together"):
        push([sent] * 4_000)
    endless: list[Any] = [sent]
    endless.append(endless)
    with pytest.raises(LimitError, match="holds itself"):
        push(endless)


def test_handoffs_are_found_among_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Size makes no difference: beside ten thousand numbers a handoff, or its envelope, arrives as its value."""
    sent = stored(LARGE)
    for handoff in (sent, sent.to_json()):
        assert same(
            {"ids": [*range(12_000)], "refs": [LARGE]}, pull(push({"ids": [*range(12_000)], "refs": [handoff]}))
        )


def test_a_large_list_is_not_searched_to_its_end() -> None:
    """What has more nodes than a message could hold is data."""
    value = [[n] for n in range(2**18 + 1)]
    assert same(value, pull(push(value)))


def test_a_row_of_any_depth_is_read() -> None:
    """A row that was edited to be nested beyond all bounds is no message of handoffs."""
    deep: Any = stored(1).to_json()
    for _ in range(200):
        deep = [deep]
    assert deep == HandoffXCom.deserialize_value(SimpleNamespace(value=BaseXCom.serialize_value(deep)))


def test_a_parameter_for_a_handoff_is_told_that_it_was_loaded() -> None:
    """Under the backend a value arrives loaded; where a decorated task asked for the handoff, it is refused."""

    @offload
    def task(x: Handoff) -> None:
        raise AssertionError

    with pytest.raises(EnvelopeError, match="neither an envelope nor a plain value"):
        task(x=pull(push(LARGE)))


# --- what is Airflow's ------------------------------------------------------------------------------------------


def test_objects_of_airflow_are_airflows(root: Path) -> None:
    """Assets, and lists and dicts of them, stand in the row as Airflow writes them."""
    if IS_2:
        from airflow.datasets import Dataset as Asset
    else:
        from airflow.sdk import Asset
    for value in (Asset("a"), [Asset("a")], {"x": [Asset("a")]}):
        row = push(value)
        assert BaseXCom.deserialize_value(SimpleNamespace(value=row)) == pull(row) == value
    assert not root.exists()


def test_objects_of_airflow_beside_data_are_refused() -> None:
    """What Airflow would alter, or is too large for a row, is not given to it because an Asset stands beside it."""
    if IS_2:
        from airflow.datasets import Dataset as Asset
    else:
        from airflow.sdk import Asset
    for value in ([Asset("a"), Decimal("1.10")], {"n": 1, "a": Asset("a"), "t": (1,)}, [Asset("a"), "x" * 2**21]):
        with pytest.raises(EncodeError, match="stand beside data"):
            push(value)
    assert [Asset("a"), 1] == pull(push([Asset("a"), 1]))


def test_an_attempt_is_counted_from_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """`airflow tasks test` exports a try of 0, which is the first attempt."""
    for name, value in (("DAG_ID", "d"), ("DAG_RUN_ID", "r"), ("TASK_ID", "t"), ("TRY_NUMBER", "0")):
        monkeypatch.setenv(f"AIRFLOW_CTX_{name}", value)
    assert message(push(LARGE))["attempt"] == 1


def test_a_class_without_a_module_is_refused() -> None:
    """A value of a class that says nothing of its module is refused as any other that is not kept."""
    with pytest.raises(EncodeError):
        push(type("Nameless", (), {"__module__": None})())


def test_a_lazy_sequence_is_pushed_as_its_list() -> None:
    """The outputs of mapped tasks, returned by a task that collected them, are a list, as in Airflow 2."""
    module = sys.modules["airflow.models.xcom"]
    kind = type("LazyXComSequence", (list,), {"__module__": module.__name__})
    assert same([LARGE, 1], pull(push(kind([LARGE, 1]))))


@pytest.mark.parametrize("limit", ["48 KiB", "0"])
@pytest.mark.parametrize(("key", "value"), [("skipmixin_key", {"followed": ["a"]}), ("past_depends_met", True)])
def test_what_the_scheduler_reads_stands_in_its_row(
    limit: str, key: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was skipped stands in its row whatever the limit: the scheduler reads it, without a backend in Airflow 3."""
    monkeypatch.setenv("HANDOFF_INLINE_LIMIT", limit)
    assert value == message(push(value, Address("d", "r", "t", key=key)))


@pytest.mark.parametrize("value", [{"a": [1, "b"]}, (1, 2), Decimal("1.5"), None, "text", float("nan"), [2**70], 5.0])
def test_older_rows_are_read_as_before(value: Any) -> None:
    """A row that Airflow's own class wrote is read by it."""
    try:
        row = BaseXCom.serialize_value(value)
    except (TypeError, ValueError):
        pytest.fail(f"Airflow keeps {value!r}")
    assert same(BaseXCom.deserialize_value(SimpleNamespace(value=row)), pull(row))


def test_older_rows_of_decorated_tasks_are_loaded() -> None:
    """A list of envelopes that was pushed before the backend was set arrives as values."""
    row = BaseXCom.serialize_value([stored(LARGE).to_json(), 1])
    assert same([LARGE, 1], pull(row))


# --- attempts, and what is purged -------------------------------------------------------------------------------


def test_the_attempt_is_the_running_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The envelope carries the try that Airflow exported for this task, and 1 for any other."""
    for name, value in (("DAG_ID", "d"), ("DAG_RUN_ID", "r"), ("TASK_ID", "t"), ("TRY_NUMBER", "3")):
        monkeypatch.setenv(f"AIRFLOW_CTX_{name}", value)
    assert message(push(LARGE))["attempt"] == 3
    assert message(push(LARGE, Address("d", "r", "other")))["attempt"] == 1


def delete_row(row: Any, at: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delete a row as Airflow does when the next try starts."""
    if IS_2:
        HandoffXCom.purge(
            SimpleNamespace(value=row, dag_id=at.dag_id, run_id=at.run_id, task_id=at.task_id, map_index=at.map_index),
            None,
        )
        return
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import GetXCom, XComResult

    def answer(asked: Any) -> Any:
        return XComResult(key=at.key, value=row) if isinstance(asked, GetXCom) else None

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(send=answer), raising=False)
    index = None if at.map_index < 0 else at.map_index
    HandoffXCom.delete(key=at.key, task_id=at.task_id, dag_id=at.dag_id, run_id=at.run_id, map_index=index)


@pytest.mark.parametrize("index", [-1, 3])
def test_a_deleted_row_takes_its_artifact_along(index: int, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The artifact of a row, and those of its elements, go when the row goes."""
    at = Address("d", "r", "t", index)
    row = push(LARGE, at)
    assert files(root) == [at.path]
    delete_row(row, at, monkeypatch)
    assert files(root) == []
    parts = [stored(n, Address("d", "r", "t", index, item=n)) for n in range(3)]
    delete_row(push({"a": parts, "b": 1}, at), at, monkeypatch)
    assert files(root) == []


def test_what_is_of_another_task_is_left_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handoff that was passed on, from another task, run, DAG or map index, stays when the row goes."""
    others = [Address("d", "r", "u"), Address("d", "s", "t"), Address("e", "r", "t"), Address("d", "r", "t", 0)]
    delete_row(push([stored(1, other) for other in others]), AT, monkeypatch)
    assert sorted(other.path for other in others) == files(root)


@pytest.mark.parametrize("value", [*MALFORMED, None, 1, "text", [[1], {}]])
def test_a_row_without_artifacts_is_deleted(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no envelope, or a malformed one, keeps no task from starting again."""
    delete_row(json.dumps(value).encode() if IS_2 else value, AT, monkeypatch)
    delete_row(BaseXCom.serialize_value([1]), AT, monkeypatch)


if IS_2:

    def test_deleting_in_airflow_2_names_rows() -> None:
        """In Airflow 2 rows are deleted by themselves, and their own columns say whose they are."""
        commits: list[str] = []
        HandoffXCom.delete([], session=SimpleNamespace(commit=lambda: commits.append("done")))
        assert commits == ["done"]


def test_purging_without_coordinates_removes_nothing(root: Path) -> None:
    """A purge outside of delete, in Airflow 3, does not know whose the row is."""
    HandoffXCom.purge(SimpleNamespace(key=AT.key, value=stored(1).to_json()))
    assert files(root) == [AT.path]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (lambda path: path.unlink(), MissingError),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), DamagedError),
        (lambda path: path.write_bytes(b"garbage"), DamagedError),
        (lambda path: default_store().put("another", AT, inline_limit=0), StaleError),
    ],
    ids=["deleted", "truncated", "garbage", "overwritten"],
)
def test_a_fault_at_rest_is_an_error_of_its_own(fault: Callable[[Path], Any], error: type, root: Path) -> None:
    """An object that is gone, cut, garbage or another one is told by its error, and never stands in for the value."""
    row = push(LARGE)
    fault(root / AT.path)
    with pytest.raises(error):
        pull(row)


# --- end to end -------------------------------------------------------------------------------------------------


def run_everything(home: Path) -> dict[str, Any]:
    """Run the DAGs in this process, ask the web pages with a root that is not reachable, and give what was found."""
    from airflow.utils.db import initdb

    initdb()
    spec = importlib.util.spec_from_file_location("backend", DAGS_FOLDER / "backend.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["backend"] = module
    spec.loader.exec_module(module)
    runs = {dag_id: dag.test() for dag_id, dag in module.DAGS.items()}
    with sqlite3.connect(home / "airflow.db") as connection:
        rows = connection.execute("select dag_id, task_id, map_index, key, value from xcom").fetchall()
        lengths = connection.execute("select dag_id, task_id, length from task_map").fetchall()
    connection.close()
    os.environ["HANDOFF_ROOT"] = str(home / "not" / "there")
    large = next(row[4] for row in rows if row[:4] == ("values", "large", -1, "return_value"))
    try:
        pull(large if IS_2 else json.loads(large))
        refused = ""
    except UnreachableError as error:
        refused = type(error).__name__
    ask = ask_airflow_2 if IS_2 else ask_airflow_3
    return {
        "states": {dag_id: str(run.state) for dag_id, run in runs.items()},
        "rows": [[*row[:4], json.loads(row[4]) if type(row[4]) in (str, bytes) else row[4]] for row in rows],
        "lengths": lengths,
        "artifacts": sorted(address.path for address in Store(home / "artifacts").list()),
        "refused": refused,
        "pages": ask(runs["values"].run_id),
    }


def ask_airflow_2(run_id: str) -> list[Any]:
    """Ask the list page and the API of Airflow 2 for the XComs of a run."""
    from airflow.www.app import create_app

    client = create_app(testing=True).test_client()
    entries = f"/api/v1/dags/values/dagRuns/{run_id}/taskInstances/large/xcomEntries"
    entry = f"{entries}/return_value?stringify=false"
    return [[page.status_code, page.text] for page in map(client.get, ("/xcom/list/", entries, entry))]


def ask_airflow_3(run_id: str) -> list[Any]:
    """Ask the API server of Airflow 3, which the page itself asks, for the XComs of a run."""
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    with TestClient(create_app(), base_url="http://localhost") as client:
        token = client.get("/auth/token").json()["access_token"]
        entries = f"/api/v2/dags/values/dagRuns/{run_id}/taskInstances/large/xcomEntries"
        queries = (
            "",
            "/return_value",
            "/return_value?deserialize=true",
            "/return_value?deserialize=true&stringify=true",
        )
        pages = [client.get(entries + query, headers={"Authorization": f"Bearer {token}"}) for query in queries]
    return [[page.status_code, page.text] for page in pages]


@pytest.fixture(scope="session")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process found whose Airflow was set to use the backend."""
    home = tmp_path_factory.mktemp("backend")
    (home / "webserver_config.py").write_text("AUTH_ROLE_PUBLIC = 'Admin'\n")
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS_FOLDER),
        "AIRFLOW__API_AUTH__JWT_SECRET": "0123456789abcdef" * 4,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__XCOM_BACKEND": "handoff.integrations.airflow.HandoffXCom",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "HANDOFF_ROOT": str(home / "artifacts"),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, "-W", "ignore", __file__, str(home)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **settings}, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    found: dict[str, Any] = json.loads((home / "facts.json").read_text())
    return found


def rows_of(facts: dict[str, Any], dag_id: str) -> dict[tuple[str, int, str], Any]:
    return {(task, index, key): value for dag, task, index, key, value in facts["rows"] if dag == dag_id}


@pytest.mark.parametrize(
    "dag_id", ["values", "mapped", "expanded", "decorated", "elements", "outputs", "retried", "cleared"]
)
def test_a_dag_that_checks_for_itself_succeeds(dag_id: str, facts: dict[str, Any]) -> None:
    """Each task of the DAG finds what it was sent, identical, and the artifacts that should be there."""
    assert facts["states"][dag_id] == "success"


def test_large_results_are_references(facts: dict[str, Any]) -> None:
    """The row of a large XCom, whatever its key, is an envelope under 2 KiB, that of a small one its value."""
    found = rows_of(facts, "values")
    for name in (("large", -1, "return_value"), ("large", -1, "other"), ("frame", -1, "return_value")):
        assert found[name]["kind"] == "stored"
        assert len(json.dumps(found[name])) < 2048
    assert found["large", -1, "blob"]["kind"] == "inline"
    assert found["small", -1, "return_value"] == {"n": 1, "names": ["a", "b"], "share": 0.25}


def test_a_list_that_is_stored_whole_is_mapped_over_by_its_length(facts: dict[str, Any]) -> None:
    """Airflow counts the real value: the lengths of a list, a dict and a list of handoffs are right."""
    lengths = {(dag_id, task_id): length for dag_id, task_id, length in facts["lengths"]}
    assert 4 == lengths["elements", "produce"] == lengths["mapped", "produce"] == lengths["expanded", "arguments"]
    assert 2 == lengths["mapped", "settings"]
    assert rows_of(facts, "mapped")["produce", -1, "return_value"]["kind"] == "stored"


def test_decorated_tasks_store_nothing_twice(facts: dict[str, Any]) -> None:
    """An address has one artifact, and a handoff that was passed on none besides its own."""
    for dag_id, count in (("decorated", 3), ("elements", 4), ("values", 3)):
        assert count == len([path for path in facts["artifacts"] if path.startswith(f"dag_id={dag_id}/")])


def test_after_three_retries_one_artifact_is_left(facts: dict[str, Any]) -> None:
    """What three failed tries pushed under keys of their own is gone."""
    tasks = ["task_id=flaky", "task_id=origin"]
    assert tasks == [path.split("/")[2] for path in facts["artifacts"] if path.startswith("dag_id=retried/")]


def test_a_cleared_task_leaves_no_artifact_behind(facts: dict[str, Any]) -> None:
    """The second try returned a small result, and the artifact of the first one is gone."""
    assert [] == [path for path in facts["artifacts"] if path.startswith("dag_id=cleared/")]


def test_the_web_page_shows_the_envelope_and_loads_nothing(facts: dict[str, Any]) -> None:
    """With a root that a pull cannot reach, every page and call answers, and shows the preview."""
    assert facts["refused"] == "UnreachableError"
    row = rows_of(facts, "values")["large", -1, "return_value"]
    assert row["preview"].startswith("{'rows': [(0,")
    assert {200} == {status for status, _ in facts["pages"]}
    shown = [text for _, text in facts["pages"] if row["sha256"] in text]
    assert (2 if IS_2 else 3) == len(shown)  # the other is a list without values
    for text in shown:
        assert "rows" in text.partition("preview")[2]


if __name__ == "__main__":
    HOME = Path(sys.argv[1])
    (HOME / "facts.json").write_text(json.dumps(run_everything(HOME)))
