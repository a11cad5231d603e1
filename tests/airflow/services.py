"""A real Airflow for tests: its scheduler, its executor and what they need, each a process of its own on this machine.

Airflow 3 is an API server, a scheduler with LocalExecutor and a DAG processor; Airflow 2 is one scheduler with
LocalExecutor. Whoever starts them may die by any signal: each service hangs by a pipe, and ends when that is closed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

AIRFLOW_3 = int(version("apache-airflow").partition(".")[0]) >= 3
STARTED = 120.0  # seconds until a service must have started, on a slow machine
ENDED = 20.0
POLL = 0.1
TAIL = 60
LONGEST_LINE = 2000

# Two tasks at once; nothing is looked at twice that is there from the beginning; nobody waits for the next round.
SETTINGS = {
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__PARALLELISM": "2",
    "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
    "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "NO_PROXY": "127.0.0.1",
    "PYTHONUNBUFFERED": "1",
}
SETTINGS_2 = {
    # Airflow 2 refuses other executors than one that starts an interpreter for each task, unless this is set.
    "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
    "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "300",
    # SQLite locks no rows: a task that schedules the next ones would race the scheduler, and both count an attempt.
    "AIRFLOW__SCHEDULER__SCHEDULE_AFTER_TASK_EXECUTION": "False",
    # A killed task is noticed in this round, and not by the executor.
    "AIRFLOW__SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "1",
}
SETTINGS_3 = {
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    # Whoever looks after a task may notice its end only when the next heartbeat is due.
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
}


class ServicesError(Exception):
    """A service did not do what it is there for. The message ends with what the services have logged last."""


class Services:
    """A running Airflow. Made by `services`."""

    def __init__(self, home: Path, environ: Mapping[str, str], port: int) -> None:
        self.home = home
        self.database = home / "airflow.db"
        self.environ = environ
        self._port = port
        self._token = ""
        self._numbers = itertools.count(1)
        self._running: dict[str, subprocess.Popen[str]] = {}

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None, timeout: float = STARTED) -> str:
        """Start a run of a DAG, as soon as its file was read, and give the run's id.

        Raises: `ServicesError`.
        """
        run_id = f"run_{next(self._numbers)}"
        ask = self._trigger_by_rest if AIRFLOW_3 else self._trigger_by_process
        self._until(lambda: ask(dag_id, run_id, conf or {}), f"{dag_id} was not triggered", timeout)
        return run_id

    def api(self) -> tuple[str, str]:
        """Give the address of the REST API, and a token for it: of Airflow 3, once a run was triggered."""
        return f"http://127.0.0.1:{self._port}", self._token

    def wait(self, dag_id: str, run_id: str, timeout: float = 120) -> str:
        """Wait until a run has ended, and say how. Raises: `ServicesError`."""
        query = "select state from dag_run where dag_id = ? and run_id = ? and state in ('success', 'failed')"
        ended = self._until(lambda: self.query(query, dag_id, run_id), f"{run_id} of {dag_id} did not end", timeout)
        return str(ended[0][0])

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """Give the log of one attempt of a task: lines of text in Airflow 2, of JSON in Airflow 3."""
        index = f"/map_index={map_index}" if map_index >= 0 else ""
        folder = f"dag_id={dag_id}/run_id={run_id}/task_id={task_id}{index}"
        return (self.home / "logs" / folder / f"attempt={try_number}.log").read_text()

    def rows(self, dag_id: str, run_id: str) -> dict[tuple[str, int, str], Any]:
        """Read the rows of XCom, by task, map index and key, as JSON text would give them."""
        query = "select task_id, map_index, key, value from xcom where dag_id = ? and run_id = ?"
        return {
            (task, index, key): json.loads(value) if isinstance(value, str | bytes) else value
            for task, index, key, value in self.query(query, dag_id, run_id)
        }

    def query(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the metadata database."""
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute(query, values).fetchall()

    def clear(self, dag_id: str, run_id: str) -> None:
        """Clear all tasks of a run that has ended, so that they run again. Raises: `ServicesError`."""
        if AIRFLOW_3:
            body = {"dag_run_id": run_id, "dry_run": False, "only_failed": False, "reset_dag_runs": True}
            if self._ask(f"/api/v2/dags/{dag_id}/clearTaskInstances", body) is None:
                raise ServicesError(f"{dag_id} was not cleared\n{self.report()}")
            return
        command = [sys.executable, "-m", "airflow", "tasks", "clear", "--yes", dag_id]
        done = subprocess.run(
            command, env=self.environ, cwd=self.home, capture_output=True, text=True, check=False, timeout=STARTED
        )
        if done.returncode:
            raise ServicesError(f"{dag_id} was not cleared: {done.stdout}{done.stderr}")

    def report(self) -> str:
        """Give what explains a failure: DAG files that do not import, the ends of the logs of services and failed tasks."""
        failed = self.query(
            "select dag_id, run_id, task_id, try_number, map_index from task_instance"
            " where state in ('failed', 'up_for_retry', 'upstream_failed')"
        )
        broken = self.query("select filename, stacktrace from import_error")
        logs = broken + [(path.name, path.read_text(errors="replace")) for path in sorted(self.home.glob("*.log"))]
        for instance in failed:
            with contextlib.suppress(FileNotFoundError):  # one that never ran has no log
                logs.append((" ".join(map(str, instance)), self.log(*instance)))
        return "\n".join(
            "\n".join([f"--- {name}", *(line[:LONGEST_LINE] for line in text.splitlines()[-TAIL:])])
            for name, text in logs
        )

    def start(self, name: str, *command: str, stdout: int | None = None) -> None:
        """Start a service that ends when its standard input does, so when this process does."""
        with (self.home / f"{name}.log").open("w") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, __file__, *command],
                stdin=subprocess.PIPE,
                stdout=stdout or log,
                stderr=log,
                text=True,
                env=self.environ,
                cwd=self.home,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End all services and whatever they have started. Raises: `ServicesError` where one would not end."""
        stubborn = []
        for process in self._running.values():
            with contextlib.suppress(BrokenPipeError):  # it has ended, and not read all that it was sent
                process.stdin.close()
        for name, process in self._running.items():
            try:
                process.wait(ENDED)
            except subprocess.TimeoutExpired:
                stubborn.append(name)
                end_session(process.pid)
                process.kill()
                process.wait(ENDED)
            if process.stdout is not None:
                process.stdout.close()
        if stubborn:
            raise ServicesError(f"{', '.join(stubborn)} had to be ended by force\n{self.report()}")

    def is_healthy(self) -> bool:
        """Whether the API server answers, and has heard of the scheduler and the DAG processor."""
        parts = self._ask("/api/v2/monitor/health")
        needed = ("metadatabase", "scheduler", "dag_processor")
        return parts is not None and all(parts[part]["status"] == "healthy" for part in needed)

    def _until(self, ask: Callable[[], Any], failure: str, timeout: float) -> Any:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            answer = ask()
            if answer:
                return answer
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise ServicesError(f"{failure}: {name} ended with {process.returncode}\n{self.report()}")
            time.sleep(POLL)
        raise ServicesError(f"{failure} within {timeout:.0f} seconds\n{self.report()}")

    def _trigger_by_rest(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> bool:
        if not self._token:
            answer = self._ask("/auth/token")
            self._token = answer["access_token"] if answer else ""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        return bool(self._token) and self._ask(f"/api/v2/dags/{dag_id}/dagRuns", body) is not None

    def _trigger_by_process(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> bool:
        process = self._running["trigger"]
        if process.poll() is not None:
            return False
        process.stdin.write(json.dumps([dag_id, run_id, conf]) + "\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], STARTED)[0]:
            raise ServicesError(f"{dag_id} was neither triggered nor refused\n{self.report()}")
        return process.stdout.readline() == "triggered\n"

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the API server; None while it does not listen yet, or does not know yet what is asked for."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"},
        )
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise ServicesError(f"{path}: {error.code}: {error.read().decode()}\n{self.report()}") from None
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return None


@contextlib.contextmanager
def services(home: Path, dags_folder: Path, env: Mapping[str, str] | None = None) -> Generator[Services]:
    """Run an Airflow with a home and a new database of its own, and end all of it afterwards.

    Arguments: ``env`` goes to all of its processes, tasks included; settings of Airflow and ``handoff`` in the
    environment of this process do not. Raises: `ServicesError` where a service does not start.
    """
    home.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "HANDOFF_"))}
    own = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags_folder),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=60",
    }
    airflow = Services(home, inherited | SETTINGS | (SETTINGS_3 if AIRFLOW_3 else SETTINGS_2) | own | (env or {}), port)
    make = [sys.executable, "-c", "from airflow.utils.db import initdb; initdb()"]
    with (home / "initdb.log").open("w") as log:
        made = subprocess.run(make, env=airflow.environ, cwd=home, stdout=log, stderr=log, check=False, timeout=STARTED)
    if made.returncode:
        raise ServicesError(f"no database was made\n{(home / 'initdb.log').read_text()}")
    try:
        if AIRFLOW_3:
            airflow.start(
                "api-server", "guard", "api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"
            )
            airflow.start("dag-processor", "guard", "dag-processor")
        else:
            airflow.start("trigger", "trigger", stdout=subprocess.PIPE)
        airflow.start("scheduler", "guard", "scheduler", "--skip-serve-logs")
        if AIRFLOW_3:
            airflow._until(airflow.is_healthy, "the services did not start", STARTED)
        yield airflow
    finally:
        airflow.stop()


def guard(command: list[str]) -> int:
    """Run a command of Airflow until it ends or the standard input does, and then end all that it has started."""
    service = subprocess.Popen([sys.executable, "-m", "airflow", *command], stdin=subprocess.DEVNULL)

    def wait_for_the_end() -> None:
        sys.stdin.buffer.read()
        end_session(os.getpid())

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    status = service.wait()
    end_session(os.getpid())
    return status


def end_session(leader: int) -> None:
    """Kill all processes of a session but its leader: tasks of Airflow 2 have process groups of their own."""
    while members := [pid for pid in _processes() if pid != leader and _session_of(pid) == leader]:
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL / 10)


def trigger() -> int:
    """Start the runs that the standard input names, a line each, where Airflow has no server to ask."""
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.exceptions import DagNotFound

    answers, sys.stdout = sys.stdout, sys.stderr  # Airflow may print
    for line in sys.stdin:
        dag_id, run_id, conf = json.loads(line)
        try:
            trigger_dag(dag_id, run_id=run_id, conf=conf, replace_microseconds=False)
        except DagNotFound:
            print("unknown", file=answers, flush=True)
        else:
            print("triggered", file=answers, flush=True)
    return 0


def _processes() -> Iterable[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())


def _session_of(pid: int) -> int | None:
    """Give the session of a process that has not ended: one that only waits to be asked how it ended has."""
    try:
        state, _, _, session = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[:4]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else int(session)


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


if __name__ == "__main__":
    sys.exit(trigger() if sys.argv[1] == "trigger" else guard(sys.argv[2:]))
