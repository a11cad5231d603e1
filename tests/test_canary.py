"""The canary: that it hears a secret on each way out, and that the loudest logs of a real server hold none."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import servers
from handoff import Address, HandoffError, Store

# The secret is put together, so that it stands in no line of source that pytest may show.
LEAKS = """
import logging, warnings
import pytest
from handoff import Address, ConfigError, Store

SECRET = "-".join(["canary", "secret", "01"])


def test_printed():
    print(f"key={SECRET}")


def test_printed_in_setup(request):
    request.getfixturevalue("loud")


def test_logged():
    logging.getLogger("x").warning("with %s", SECRET)


def test_logged_with_its_error():
    try:
        int(SECRET)
    except ValueError:
        logging.getLogger("x").exception("failed")


def test_in_an_error_that_is_expected():
    with pytest.raises(ValueError):
        int(SECRET)


def test_in_the_cause_of_an_error():
    with pytest.raises(ConfigError):
        try:
            int(SECRET)
        except ValueError as error:
            raise ConfigError("a setting has no meaning") from error


def test_in_a_group_of_errors():
    with pytest.raises(ExceptionGroup):
        raise ExceptionGroup("two", [KeyError(1), KeyError(SECRET)])


def test_in_a_note():
    with pytest.raises(KeyError):
        error = KeyError(1)
        error.add_note(SECRET)
        raise error


def test_in_an_error_that_is_swallowed():
    ConfigError("no", remedy=f"try {SECRET}")


def test_in_a_fact_of_an_error():
    ConfigError("no", uri=f"s3://{SECRET}")


def test_in_a_warning_that_is_expected():
    with pytest.warns(UserWarning):
        warnings.warn(SECRET)


def test_in_an_envelope(tmp_path):
    Store(tmp_path).put((SECRET,), Address("d", "r", "t"), inline_limit=0).to_json()


def test_in_the_name_of_an_artifact(tmp_path):
    Store(tmp_path, previews=False).put((1,), Address(SECRET, "r", "t"), inline_limit=0)


def test_in_a_file(tmp_path):
    (tmp_path / "file").write_text(SECRET)
"""
QUIET = """

def test_in_an_error_that_hides_it():
    with pytest.raises(ConfigError):
        try:
            int(SECRET)
        except ValueError:
            raise ConfigError("a setting has no meaning") from None


def test_in_memory():
    assert SECRET


@pytest.fixture
def loud():
    print(SECRET)
"""
CONFTEST = """
from tests.canary import Canary


def pytest_configure(config):
    config.pluginmanager.register(Canary(["canary-secret-01"]))
"""


def test_a_secret_is_heard_on_each_way_out(tmp_path: Path) -> None:
    """Every test that lets a secret out fails, by the canary alone; those that keep theirs pass; nothing repeats it."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_leaks.py").write_text(LEAKS + QUIET)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    root = str(Path(__file__).parent.parent)
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {"PYTHONPATH": root, "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root, env=environment)
    told = re.findall(r"^(FAILED|ERROR|PASSED) \S+::(\w+)", done.stdout, flags=re.MULTILINE)
    leaking, keeping = (set(re.findall(r"^def (test_\w+)", text, flags=re.MULTILINE)) for text in (LEAKS, QUIET))
    failed = [name for outcome, name in told if outcome != "PASSED"]
    assert (leaking, keeping) == (set(failed), {name for _, name in told} - set(failed)), done.stdout
    assert len(failed) == done.stdout.count("a secret became visible:")
    assert "canary-secret-01" not in done.stdout + done.stderr


def test_the_loudest_logs_hold_no_secret(
    s3: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every logger at DEBUG, nothing that the client libraries say of a put, a get and a refusal holds the secret."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(
        "AIRFLOW_CONN_LAKE", f"aws://{s3['key']}:{s3['secret']}@/?endpoint_url=" + "http%3A%2F%2F127.0.0.1%3A9"
    )
    at = Address("dag", "run", "task")
    store = Store(f"s3://bucket/{tmp_path.name}", storage_options={**s3, "use_ssl": False})  # an instance of its own
    assert (1,) == store.get(store.put((1,), at, inline_limit=0))
    for other in (
        Store("s3://lake@bucket/p", timeout=5),
        Store("s3://bucket/p", storage_options={**s3, "key": "no-such-key"}, timeout=5),
    ):
        with pytest.raises(HandoffError):
            other.get(at)
    assert {"botocore", "s3fs"} <= {record.name.partition(".")[0] for record in caplog.records}
    assert servers.SECRET not in caplog.text
