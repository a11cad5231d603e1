"""The doctor: it finds what is wrong with a root, says what to do, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import fsspec
import pytest
from click.testing import CliRunner, Result

import handoff
from handoff import Store
from handoff.cli import app, buckets, checks
from handoff.storage import _faults
from handoff.storage.local import LocalStorage
from tests import console


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def examine(root: object, options: dict[str, Any] | None = None, *more: str) -> Result:
    """Call the doctor on a root."""
    environment = {"HANDOFF_STORAGE_OPTIONS": json.dumps(options or {})}
    return CliRunner().invoke(app, ["doctor", "--root", str(root), *more], env=environment, prog_name="handoff")


def found(root: object, options: dict[str, Any] | None = None) -> dict[str, tuple[str, str, str]]:
    """Call the doctor, and give of each of its findings how it is, what was found and what to do."""
    done = examine(root, options, "--json")
    told = json.loads(done.stdout)
    assert sorted(told) == ["findings", "is_well", "root"]
    is_well = all(finding["status"] != "failed" for finding in told["findings"])
    assert (told["is_well"], done.exit_code) == (is_well, 0 if is_well else 1)
    return {one["check"]: (one["status"], one["what"], one["remedy"]) for one in told["findings"]}


def test_a_folder_is_well_and_stays_as_it_was(tmp_path: Path) -> None:
    """A local root is tried out, and neither file nor folder is left behind, be it there before or not."""
    assert examine(tmp_path).stdout.endswith("All is well.\n")
    assert [] == os.listdir(tmp_path)
    done = examine(tmp_path / "not" / "yet")
    assert (done.exit_code, "the first put makes it" in done.stdout) == (0, True)
    assert done.stdout.endswith("It works; 1 thing to look at.\n")
    assert [] == os.listdir(tmp_path)
    Store(tmp_path, inline_limit=0).put([1], handoff.Address("d", "r", "t"))
    before = sorted(map(str, tmp_path.rglob("*")))
    assert {"ok"} == {status for status, _, _ in found(tmp_path).values()}
    assert before == sorted(map(str, tmp_path.rglob("*")))


def test_the_root_is_said_to_be_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A root of the environment is well, and the default of one machine is something to look at."""
    monkeypatch.chdir(tmp_path)
    told = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    assert "HANDOFF_ROOT" in told["findings"][0]["remedy"]
    monkeypatch.setenv("HANDOFF_ROOT", str(tmp_path))
    told = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    assert told["findings"][0]["status"] == "ok"


def test_what_cannot_be_written_is_found(tmp_path: Path) -> None:
    """A root that is a file, and one whose folder may not be written, have a cross with what to do."""
    (tmp_path / "file").touch()
    assert found(tmp_path / "file")["write"][0] == "failed"
    done = examine(tmp_path / "file")
    assert (done.exit_code, "✘ write" in done.stdout) == (1, True)
    assert "things to mend before tasks hand over here." in done.stdout


def test_what_a_store_does_wrong_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other bytes, a listing that lags, a clock that is off and attempts that overwrite each other are found, each by itself."""
    with monkeypatch.context() as patched:
        patched.setattr(Store, "get", lambda *_: b"other")
        assert found(tmp_path)["read"][0] == "failed"
    with monkeypatch.context() as patched:
        patched.setattr(Store, "list", lambda *_: iter(()))
        assert found(tmp_path)["listing"][0] == "warning"
    for now, which in ((0.0, "behind"), (4e9, "ahead of")):
        with monkeypatch.context() as patched:
            patched.setattr(LocalStorage, "now", lambda _, now=now: now)
            status, what, _ = found(tmp_path)["clock"]
            assert (status, which in what) == ("warning", True)
    with monkeypatch.context() as patched:
        patched.setattr("handoff.storage.local._mark", lambda *_: None)
        status, what, _ = found(tmp_path)["attempts"]
        assert (status, "the last writer wins" in what) == ("warning", True)
    room = namedtuple("room", "free")  # noqa: PYI024 - as shutil's own
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: room(1000))
        assert "TMPDIR" in found(tmp_path)["temporary"][2]
        assert "prune" in found(tmp_path)["room"][2]
    assert [] == os.listdir(tmp_path)


def test_what_is_refused_on_the_way_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may not be listed, read, overwritten or deleted has a cross, and the rest is tried all the same."""
    no = handoff.DeniedError("no", remedy="Mend the permissions", uri="s3://b/x")

    def refuse(*_: Any, **__: Any) -> Any:
        raise no

    for method, check in (("list", "list"), ("get", "read"), ("delete", "delete")):
        with monkeypatch.context() as patched:
            patched.setattr(Store, method, refuse)
            told = found(tmp_path)
            status, what, remedy = told[check]
            assert (status, what, remedy.startswith("Allow to ")) == ("failed", "no", True)
            assert told["attempts"][0] == "ok"
            assert ("litter" in told) == (check == "delete")
    put = Store.put
    with monkeypatch.context() as patched:
        patched.setattr(
            Store, "put", lambda self, *a, attempt, **k: put(self, *a, **k, attempt=2) if attempt == 2 else refuse()
        )
        assert found(tmp_path)["attempts"][:2] == ("failed", "no")


def test_a_library_that_is_missing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the root's own library is not installed nothing else is tried; which extras there are is said."""
    monkeypatch.setattr(checks, "find_spec", lambda name: None if name in ("s3fs", "polars") else name)
    told = found("s3://bucket/x")
    assert list(told) == ["root", "library", "extras"]
    assert (told["library"][0], told["library"][2]) == ("failed", "Install dag-handoff[s3]")
    assert "not: polars, s3" in told["extras"][1]


def test_any_filesystem_is_tried_out() -> None:
    """A filesystem that is known by fsspec alone is tried out, and is told to let the last writer win."""
    told = found("memory://base/x")
    assert told["attempts"][0] == "warning"
    assert "uploads" not in told
    fsspec.filesystem("memory").store.clear()


def test_a_bucket_is_examined(s3: dict[str, Any]) -> None:
    """On S3 it is as docs/cli.md shows it; whether a rule removes unfinished uploads is found; the bucket stays as it was."""
    client = fsspec.filesystem("s3", **s3)
    client.call_s3("delete_bucket_lifecycle", Bucket="bucket")
    before = client.find("bucket")
    page = console.PAGE.read_text("utf-8").partition(console.ON_S3)[2].partition("```")[0]
    assert console.masked(console.ON_S3 + page) == console.masked(console.on_s3(s3))
    for rule, expected in (
        ({"Filter": {"Prefix": "handoff/"}}, ("ok", "a rule removes unfinished ones after 3 d")),
        ({"Filter": {"Prefix": "other/"}}, ("warning", "no rule removes unfinished uploads here")),
        ({"Filter": {"Prefix": ""}, "Status": "Disabled"}, ("warning", "no rule removes unfinished uploads here")),
    ):
        ends = {"ID": "x", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3}}
        rules = {"Rules": [{**ends, **rule}]}
        client.call_s3("put_bucket_lifecycle_configuration", Bucket="bucket", LifecycleConfiguration=rules)
        assert expected == found("s3://bucket/handoff", s3)["uploads"][:2]
    client.call_s3("delete_bucket_lifecycle", Bucket="bucket")
    client.invalidate_cache()
    assert before == client.find("bucket")


def test_a_rule_counts_where_it_covers_the_root() -> None:
    """A rule for all of a bucket or for a prefix above covers a root; one for some tags, or that only expires, does not."""
    ends = {"Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}}
    assert buckets._days(ends, "handoff/") == 2
    assert buckets._days({**ends, "Prefix": "hand"}, "handoff/") == 2
    assert buckets._days({**ends, "Filter": {"Tag": {"Key": "a", "Value": "b"}}}, "handoff/") is None
    assert buckets._days({"Status": "Enabled", "Filter": {}}, "handoff/") is None


def test_wrong_credentials_are_told_from_missing_permissions(s3: dict[str, Any]) -> None:
    """A wrong secret is a matter of the credentials, whose origin is said, and nothing of what they are."""
    told = examine("s3://bucket/handoff", {**s3, "secret": "hunter2"})
    assert told.exit_code == 1
    assert "✘ credentials" in told.stdout
    assert "the key of the storage options" in told.stdout
    assert "hunter2" not in told.output
    assert s3["key"] not in told.output


def test_where_credentials_are_found_is_said(s3: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of the environment are told by botocore's own word for that; without any, it is said, too."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3["secret"])
    assert found("s3://bucket/x", {"client_kwargs": s3["client_kwargs"]})["credentials"][1] == "found by botocore: env"
    told = found("s3://bucket/x", {"anon": True, "client_kwargs": s3["client_kwargs"]})
    assert told["write"][0] == "failed"
    assert told["credentials"][1] == "none are used"
    assert told["list"][2] == "Allow s3:ListBucket: docs/stores says how"


def test_what_does_not_answer_is_found(s3: dict[str, Any]) -> None:
    """A bucket that is not there, and a server that is not, end it with one cross."""
    told = found("s3://no-such-bucket/x", s3)
    assert told["reach"][:2] == ("failed", "there is no bucket s3://no-such-bucket")
    assert "write" not in told


def test_a_rule_that_may_not_be_looked_at_is_not_known() -> None:
    """Where the lifecycle rules may not be read, that is said, and what to allow."""

    class Refusing:
        def call_s3(self, *_: Any, **__: Any) -> Any:
            raise _faults.Failure("AccessDenied", "no", 403)

    finding = buckets._unfinished(Refusing(), "bucket", "x/")
    assert (finding.status, "s3:GetLifecycleConfiguration" in finding.remedy) == ("untried", True)


def test_stores_that_end_uploads_by_themselves_need_no_rule() -> None:
    """GCS and Azure are not asked for a rule; whose credentials they use is the filesystem's affair."""
    store = Store("gs://bucket/x")
    assert [finding.status for finding in buckets.findings(store)] == ["ok"]
    assert buckets.whose(store).check == "credentials"
