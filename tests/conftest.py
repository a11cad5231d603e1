"""What all tests share: Hypothesis profiles, a local store, and no setting from outside."""

from __future__ import annotations

import contextlib
import os
from base64 import b64encode
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from benchmarks import proxy, servers
from benchmarks.proxy import Proxy
from handoff import Address, EncodeError, Store
from handoff.testing import same
from tests.canary import Canary

# What tests work with, and Azure's form of the servers' own.
SECRETS = (servers.SECRET, b64encode(servers.SECRET.encode()).decode(), "hunter2", "another-secret")

COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}
settings.register_profile("default", max_examples=100, **COMMON)
settings.register_profile("ci", max_examples=100, print_blob=True, derandomize=True, **COMMON)
settings.register_profile("nightly", max_examples=10_000, print_blob=True, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default"))


def pytest_configure(config: pytest.Config) -> None:
    """Let no test pass that makes a secret visible."""
    config.pluginmanager.register(Canary(SECRETS), "canary")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith(("HANDOFF_", "AIRFLOW_")):
            monkeypatch.delenv(name)


@pytest.fixture
def address() -> Address:
    return Address("dag", "run", "task")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "root")


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Give the storage options that reach a real S3 server with an empty bucket."""
    with servers.s3(tmp_path_factory.mktemp("s3") / "objects") as options:
        yield options


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Give the storage options that reach a real server with the API of GCS, and an empty bucket."""
    with servers.gcs(tmp_path_factory.mktemp("gcs") / "objects") as options:
        yield options


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Give the storage options that reach a real server with the API of Azure Blob Storage, and an empty bucket."""
    with servers.azure(tmp_path_factory.mktemp("azure") / "objects") as options:
        yield options


@pytest.fixture(scope="session")
def sqs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Give the arguments of a client that reach a real server with the API of SQS."""
    with servers.sqs(tmp_path_factory.mktemp("sqs") / "queues") as arguments:
        yield arguments


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of a real server with the protocol of Redis."""
    with servers.redis(tmp_path_factory.mktemp("redis") / "keys") as url:
        yield url


@pytest.fixture(scope="module")
def proxied() -> Iterator[Callable[[dict[str, Any]], Proxy]]:
    """Put a proxy, which writes down requests and plays faults, before the server that storage options reach."""
    with contextlib.ExitStack() as opened:
        yield lambda options: opened.enter_context(proxy.before(options))


@pytest.fixture
def becomes(store: Store) -> Callable[[Any], str]:
    """Say, in the words of docs/tables.md, what becomes of a table that is put: inline and stored, it is the same."""

    def find(value: Any) -> str:
        at = Address("dag", "run", "task")
        try:
            handoffs = [store.put(value, at), store.put(value, at, inline_limit=0)]
        except EncodeError as error:
            assert error.path  # noqa: PT017 - refusing is one of the right answers
            return "refused"
        for handoff in handoffs:
            assert same(value, store.get(handoff.to_json()))
        assert same(value, store.get(at))
        return "kept" if Path(store.root, at.path).read_bytes().startswith(b"PAR1") else "IPC"

    return find


@pytest.fixture(scope="session")
def said() -> Callable[[str], dict[str, str]]:
    """Give what docs/tables.md says of each kind of column, for the installed version of a library."""

    def find(library: str) -> dict[str, str]:
        version = import_module(library).__version__
        page = Path(__file__).parent.parent.joinpath("docs", "tables.md").read_text("utf-8")
        matrix = "| kind |" + page.partition("| kind |")[2].partition("\n\n")[0]
        head, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in matrix.splitlines()]
        names = {"pandas": "pandas", "polars": "Polars", "pyarrow": "pyarrow"}
        column = [place for place, name in enumerate(head) if f"{names[library]} {version.partition('.')[0]}" in name]
        place = column[0] if column else max(i for i, name in enumerate(head) if name.startswith(names[library]))
        return {line[0]: line[place] for line in lines[1:] if len(line) > place and line[place] != "–"}

    return find
