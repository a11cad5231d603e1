"""What all tests share: Hypothesis profiles, a local store, and no setting from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from benchmarks import servers
from handoff import Address, Store

COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}
settings.register_profile("default", max_examples=100, **COMMON)
settings.register_profile("ci", max_examples=300, print_blob=True, derandomize=True, **COMMON)
settings.register_profile("nightly", max_examples=10_000, print_blob=True, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default"))


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
