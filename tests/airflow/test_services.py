"""Real schedulers, executors and task processes: what a user's deployment does with decorated tasks."""

from __future__ import annotations

import importlib
import json
import re
import shutil
from collections.abc import Callable, Generator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from handoff import Address, Handoff, Store, Stored
from tests.airflow.services import AIRFLOW_3, Services, services

DAGS = Path(__file__).parent / "dags_services"
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
TUTORIAL = "tutorial_taskflow_api"
ENVELOPE = 2 * 1024
# With the decorator at its defaults all of the tutorial's values travel plain.
TUTORIALS = {"plain_tutorial": "", "tutorial": "@offload", "stored_tutorial": "@offload(inline_limit=0)"}

pytestmark = pytest.mark.timeout(300)


def tutorial(dag_id: str, decorator: str) -> str:
    """Read the tutorial that the installed Airflow brings, and put a decorator under each of its tasks."""
    package = find_spec("airflow.example_dags")
    assert package is not None
    assert package.submodule_search_locations is not None
    text = Path(package.submodule_search_locations[0], f"{TUTORIAL}.py").read_text().replace(TUTORIAL, dag_id)
    if not decorator:
        return text
    text, imports = re.subn(
        r"^(from airflow\S* import dag, task)$", r"\1\nfrom handoff import offload", text, flags=re.MULTILINE
    )
    text, tasks = re.subn(r"^( +)(@task.*)$", rf"\1\2\n\1{decorator}", text, flags=re.MULTILINE)
    assert (imports, tasks) == (1, 3)
    return text


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory, s3: dict[str, Any], redis_url: str) -> Generator[Services]:
    folder = tmp_path_factory.mktemp("services")
    dags = folder / "dags"
    dags.mkdir()
    for name in ("smoke", "killed", "across", "module_store"):
        shutil.copy(DAGS / f"{name}.py", dags)
    for name in ("queue_dags", "queue_redis", "queue_sqs"):
        shutil.copy(EXAMPLES / f"{name}.py", dags)
    for dag_id, decorator in TUTORIALS.items():
        (dags / f"{dag_id}.py").write_text(tutorial(dag_id, decorator))
    lake = {"conn_type": "aws", "login": s3["key"], "password": s3["secret"], "extra": s3["client_kwargs"]}
    environment = {
        "AIRFLOW_CONN_LAKE": json.dumps(lake),
        "HANDOFF_ROOT": str(folder / "artifacts"),
        "REDIS_URL": redis_url,
    }
    with services(folder / "home", dags, environment) as running:
        yield running


@pytest.fixture(scope="session")
def runs(airflow: Services) -> dict[str, str]:
    """Start all runs, so that none waits for another's test."""
    return {
        dag_id: airflow.trigger(dag_id) for dag_id in ("killed", "sends", "sales", "smoke", "module_store", *TUTORIALS)
    }


@pytest.fixture(scope="session")
def finished(airflow: Services, runs: dict[str, str]) -> Callable[[str], str]:
    """Give the id of a DAG's run when that has succeeded."""

    def wait(dag_id: str) -> str:
        state = airflow.wait(dag_id, runs[dag_id])
        assert state == "success", airflow.report()
        return runs[dag_id]

    return wait


@pytest.fixture
def root(airflow: Services) -> Path:
    return Path(airflow.environ["HANDOFF_ROOT"])


def total_of(airflow: Services, dag_id: str, run_id: str) -> str:
    """Find what the last task of the tutorial printed."""
    found = re.search(r"Total order value is: ([\d.]+)", airflow.log(dag_id, run_id, "load"))
    assert found is not None
    return found[1]


def test_values_of_every_size_cross_task_processes(airflow: Services, finished: Callable[[str], str]) -> None:
    """Large, small, mapped and collected values arrive identical, and no row of theirs has more than 2 KiB."""
    rows = airflow.rows("smoke", finished("smoke"))
    found = {(task, index): value for (task, index, key), value in rows.items() if key == "return_value"}
    stored = [("large", -1), ("square", 0), ("square", 1), ("square", 2)]
    assert all(isinstance(Handoff.from_json(found[at]), Stored) for at in stored)
    assert all(len(json.dumps(value)) < ENVELOPE for value in found.values())
    assert found["small", -1] == {"n": 1, "names": ["a", "b"], "share": 0.25}
    assert found["check", -1] == "all arrived"


def test_a_task_killed_amid_writing_is_made_good_by_its_retry(
    airflow: Services, finished: Callable[[str], str], root: Path
) -> None:
    """After kill -9 with half an artifact written, the retry's is the only one, and half a temporary file is left."""
    run_id = finished("killed")
    rows = airflow.rows("killed", run_id)
    sent = Handoff.from_json(rows["large", -1, "return_value"])
    assert isinstance(sent, Stored)
    assert sent.attempt == 2
    assert rows["check", -1, "return_value"] == "identical"
    assert list(Store(root).list("killed")) == [Address("killed", run_id, "large")]
    (left,) = (root / ".tmp").iterdir()
    assert 32 * 1024 <= left.stat().st_size < sent.size


def test_a_store_made_when_the_file_is_read_is_used_by_its_tasks(
    airflow: Services, finished: Callable[[str], str], s3: dict[str, Any]
) -> None:
    """A store on S3 that the DAG file makes and uses serves the tasks: in 2.11 they are forked from who read the file."""
    run_id = finished("module_store")
    rows = airflow.rows("module_store", run_id)
    sent = Handoff.from_json(rows["rows", -1, "return_value"])
    assert isinstance(sent, Stored)
    assert sent.uri == f"s3://bucket/module-store/{sent.address.path}"
    assert {"has_state": False, "is_forked": not AIRFLOW_3} == rows["check", -1, "return_value"]
    stored = Store("s3://bucket/module-store", storage_options=s3).list("module_store", run_id)
    assert [Address("module_store", run_id, task) for task in ("frame", "rows")] == list(stored)
    assert s3["secret"] not in airflow.report() + airflow.log("module_store", run_id, "rows")


def test_another_dag_takes_what_one_hands_over(airflow: Services, finished: Callable[[str], str]) -> None:
    """By address, by the newest run, in a conf, through a template, in an asset's event and in XCom, the rows arrive."""
    finished("sends")
    states = airflow.query("select task_id, state from task_instance where dag_id = 'receives'")
    ways = ("ready", "by_address", "newest", "in_conf", "in_template", "in_event", "in_xcom")
    assert dict.fromkeys(ways, "success") == dict(states)


def test_a_message_starts_the_next_dag(
    airflow: Services, finished: Callable[[str], str], redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a DAG publishes when it is done starts another one with it: with Airflow 3, once, if it comes twice as well."""
    monkeypatch.syspath_prepend(EXAMPLES)
    queue_redis, queue_sqs = importlib.import_module("queue_redis"), importlib.import_module("queue_sqs")
    finished("sales")
    client, keys, started = Redis.from_url(redis_url), [], []
    start = queue_sqs.start_dag(*airflow.api(), "report") if AIRFLOW_3 else None

    def act(key: str, handoff: Handoff) -> None:
        keys.append(key)
        if start:
            start(key, handoff)
        elif not started:
            started.append(airflow.trigger("report", {"rows": handoff.to_json()}))

    ((_, message),) = client.xrange("handoffs")
    client.xadd("handoffs", message)
    assert 2 == queue_redis.consume(client, "handoffs", "starter", act)
    assert keys[:1] == keys[1:]
    run_id = started[0] if started else keys[0]
    assert "success" == airflow.wait("report", run_id), airflow.report()
    assert sum(range(20_000)) == airflow.rows("report", run_id)["total", -1, "return_value"]
    assert [(run_id,)] == airflow.query("select run_id from dag_run where dag_id = 'report'")


def test_the_tutorial_of_airflow_runs_with_the_decorator(airflow: Services, finished: Callable[[str], str]) -> None:
    """Airflow's own TaskFlow tutorial prints the same total with the decorator, and without."""
    plain, decorated = (total_of(airflow, dag_id, finished(dag_id)) for dag_id in ("plain_tutorial", "tutorial"))
    assert plain == decorated


def test_the_tutorial_of_airflow_runs_through_storage(
    airflow: Services, finished: Callable[[str], str], root: Path
) -> None:
    """With every result stored, the tutorial prints the same total."""
    plain, run_id = total_of(airflow, "plain_tutorial", finished("plain_tutorial")), finished("stored_tutorial")
    assert plain == total_of(airflow, "stored_tutorial", run_id)
    assert Address("stored_tutorial", run_id, "extract") in Store(root).list("stored_tutorial", run_id)


@pytest.mark.parametrize(("task_id", "map_index"), [("large", -1), ("small", -1), ("square", 2)])
def test_the_log_of_a_task_says_what_was_handed_over(
    task_id: str, map_index: int, airflow: Services, finished: Callable[[str], str]
) -> None:
    """The log of a task has one line for its hand-over."""
    log = airflow.log("smoke", finished("smoke"), task_id, map_index=map_index)
    assert 1 == sum("handed over" in line for line in log.splitlines()), log


def test_a_task_that_is_cleared_runs_again(
    airflow: Services, runs: dict[str, str], finished: Callable[[str], str], root: Path
) -> None:
    """After a clear the second attempt overwrites what the first one stored, and the small result stays in its row."""
    run_id = [finished(dag_id) for dag_id in runs][list(runs).index("smoke")]  # nothing else is at work then
    before = set(Store(root).list("smoke", run_id))
    airflow.clear("smoke", run_id)
    assert "success" == airflow.wait("smoke", run_id), airflow.report()
    tries = dict(airflow.query("select task_id, min(try_number) from task_instance where dag_id = 'smoke' group by 1"))
    assert {"large": 2, "small": 2, "square": 2, "check": 2} == tries
    rows = airflow.rows("smoke", run_id)
    stored = [Handoff.from_json(rows[at]) for at in rows if at[0] in ("large", "square")]
    assert [2, 2, 2, 2] == [handoff.attempt for handoff in stored if isinstance(handoff, Stored)]
    assert before == set(Store(root).list("smoke", run_id))
