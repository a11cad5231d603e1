"""Airflow's connections: what a root names becomes storage options, and what cannot is refused without repeating it."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff import Address, ConfigError, Store, connections, default_store

ADDRESS = Address("dag", "run", "task")
SECRET = "hunter2/+ x"  # noqa: S105 - it has to be percent-encoded in a URI
QUOTED = "hunter2%2F%2B%20x"
KEYS = {"key": "AK", "secret": SECRET}


def as_json(**fields: Any) -> str:
    return json.dumps(fields)


TAKEN = {
    "a key pair in a URI": ("s3", f"aws://AK:{QUOTED}@", KEYS),
    "with a path behind": ("s3", f"aws://AK:{QUOTED}@/", KEYS),
    "nothing": ("s3", "aws://", {}),
    "nothing, as JSON": ("s3a", as_json(conn_type="aws"), {}),
    "its type in capitals": ("s3", f"AWS://AK:{QUOTED}@", KEYS),
    "a key pair as JSON": ("s3", f"\n {as_json(conn_type='aws', login='AK', password=SECRET)} ", KEYS),
    "a key pair in extra": (
        "s3",
        as_json(conn_type="aws", extra={"aws_access_key_id": "AK", "aws_secret_access_key": SECRET}),
        KEYS,
    ),
    "the login before extra": (
        "s3",
        f"aws://AK:{QUOTED}@/?aws_access_key_id=other&aws_secret_access_key=other&aws_session_token=t",
        {**KEYS, "token": "t"},
    ),
    "extra before session_kwargs": (
        "s3",
        as_json(
            conn_type="aws",
            extra={
                "aws_access_key_id": "AK",
                "aws_secret_access_key": SECRET,
                "session_kwargs": {"aws_access_key_id": "other", "aws_secret_access_key": "other"},
            },
        ),
        KEYS,
    ),
    "session_kwargs as text": (
        "s3",
        as_json(conn_type="aws", extra={"session_kwargs": '{"profile_name": "data", "region_name": "eu-west-1"}'}),
        {"profile": "data", "client_kwargs": {"region_name": "eu-west-1"}},
    ),
    "extra as text": (
        "s3",
        as_json(conn_type="aws", extra='{"profile_name": "data", "verify": false}'),
        {"profile": "data", "client_kwargs": {"verify": False}},
    ),
    "an endpoint and a region": (
        "s3",
        f"aws://AK:{QUOTED}@/?endpoint_url=http%3A%2F%2Fminio%3A9000&region_name=eu-west-1&verify=False",
        {
            **KEYS,
            "endpoint_url": "http://minio:9000",
            "client_kwargs": {"region_name": "eu-west-1", "verify": False},
        },
    ),
    "an endpoint for S3 alone": (
        "s3",
        as_json(conn_type="aws", extra={"endpoint_url": "http://a", "service_config": {"s3": {"endpoint_url": "http://b"}}}),
        {"endpoint_url": "http://b"},
    ),
    "AWS's own endpoint for S3": (
        "s3",
        as_json(conn_type="aws", extra={"endpoint_url": "http://a", "service_config": {"s3": {"endpoint_url": None}}}),
        {},
    ),
    "without a signature": (
        "s3",
        as_json(conn_type="aws", extra={"config_kwargs": {"signature_version": "unsigned", "read_timeout": 5}}),
        {"anon": True, "config_kwargs": {"read_timeout": 5}},
    ),
    "all extras at once": (
        "s3",
        "aws://?__extra__=%7B%22verify%22%3A%20%22%2Fca.pem%22%7D&verify=false",
        {"client_kwargs": {"verify": "/ca.pem"}},
    ),
    "credentials that are found": ("gs", "google-cloud-platform://?project=mine", {"token": "google_default"}),
    "a key file": (
        "gcs",
        f"google-cloud-platform://?key_path={__file__}&project=mine&scope=ignored",
        {"token": __file__, "project": "mine"},
    ),
    "a key file, named the old way": (
        "gs",
        f"google-cloud-platform://?extra__google_cloud_platform__key_path={__file__}",
        {"token": __file__},
    ),
    "a key": (
        "gs",
        as_json(conn_type="google_cloud_platform", extra={"keyfile_dict": {"private_key": SECRET}, "project": "mine"}),
        {"token": {"private_key": SECRET}, "project": "mine"},
    ),
    "a key as text": (
        "gs",
        as_json(conn_type="google-cloud-platform", extra={"keyfile_dict": as_json(private_key=SECRET)}),
        {"token": {"private_key": SECRET}},
    ),
    "nobody": (
        "gs",
        "google-cloud-platform://?is_anonymous=true&gcs.endpoint=http%3A%2F%2Fa&gcs.access=read_only&gcs.requester-pays=1",
        {"token": "anon", "endpoint_url": "http://a", "access": "read_only", "requester_pays": True},
    ),
    "a connection string": (
        "abfs",
        as_json(conn_type="wasb", login="other", extra={"connection_string": SECRET}),
        {"connection_string": SECRET},
    ),
    "an account and its key": (
        "az",
        f"wasb://account:{QUOTED}@",
        {"account_name": "account", "account_key": SECRET},
    ),
    "an account by its host": (
        "abfss",
        as_json(conn_type="wasb", host="https://account.blob.core.windows.net/", extra={"sas_token": SECRET}),
        {"account_name": "account", "sas_token": SECRET},
    ),
    "a host that is no account's": (
        "abfs",
        as_json(conn_type="wasb", host="other", login="account"),
        {"account_name": "account"},
    ),
    "adls, by its host": ("abfs", f"adls://client:{QUOTED}@account?tenant_id=t", {
        "account_name": "account", "tenant_id": "t", "client_id": "client", "client_secret": SECRET,
    }),
    "adls, by its login": (
        "abfs",
        f"adls://account:{QUOTED}@",
        {"account_name": "account", "account_key": SECRET},
    ),
    "an identity": (
        "abfs",
        "abfs://?account_name=account&managed_identity_client_id=id&anon=false&account_host=a.example",
        {"account_name": "account", "managed_identity_client_id": "id", "anon": False, "account_host": "a.example"},
    ),
    "a field named the old way": (
        "abfs",
        f"wasb://account@?extra__wasb__sas_token={QUOTED}",
        {"account_name": "account", "sas_token": SECRET},
    ),
}  # fmt: skip


def options_of(protocol: str, text: str, monkeypatch: pytest.MonkeyPatch, **given: Any) -> dict[str, Any]:
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", text)
    return Store(f"{protocol}://lake@bucket/prefix", storage_options=given).storage_options


@pytest.mark.parametrize("case", TAKEN, ids=TAKEN)
def test_a_connection_is_what_its_provider_makes_of_it(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """URI or JSON, each way to write credentials becomes the options of the filesystem."""
    protocol, text, expected = TAKEN[case]
    assert expected == options_of(protocol, text, monkeypatch)


EXTRA_REFUSED = {"role_arn": "profile_name", "aws_iam_role": "profile_name", "s3_config_file": "profile_name"}
REFUSED = {
    "": "AIRFLOW_CONN_LAKE is not set",
    SECRET: "no connection that Airflow would read",
    f"aws:{SECRET}": "no connection that Airflow would read",
    f"aws://AK:{SECRET}": "with an @ after the password",
    f"aws://AK:{QUOTED}": "with an @ after the password",
    f"aws://[{SECRET}": "no connection that Airflow would read",
    f"aws://AK:{QUOTED}@http://minio": "no connection that Airflow would read",
    "aws://aws://b": "no connection that Airflow would read",
    "aws://a://b://c": "no connection that Airflow would read",
    f'{{"password": "{SECRET}"': "no connection that Airflow would read",
    as_json(conn_type="aws", hunter2="x"): "no connection that Airflow would read",
    as_json(conn_type="aws", password=[SECRET], login="AK"): "no connection that Airflow would read",
    as_json(conn_type="aws", port=SECRET): "no connection that Airflow would read",
    as_json(conn_type=[SECRET]): "no connection that Airflow would read",
    as_json(conn_type="aws", extra=[SECRET]): "no connection that Airflow would read",
    as_json(conn_type="aws", extra=SECRET): "no connection that Airflow would read",
    f"wasb://AK:{QUOTED}@": "is not of type aws, which s3:// takes",
    f"aws://AK:{QUOTED}@minio": "endpoint_url",
    "aws://?host=hunter2": "endpoint_url",
    f"aws://:{QUOTED}@": "has a login without a password",
    "aws://hunter2@": "has a login without a password",
    as_json(conn_type="aws", extra={"profile_name": [SECRET]}): "profile_name that is no text",
    as_json(conn_type="aws", extra={"service_config": [SECRET]}): "service_config that is no JSON object",
    as_json(conn_type="aws", extra={"service_config": "hunter2"}): "service_config that is no JSON object",
    as_json(conn_type="aws", extra={"service_config": {"s3": "hunter2"}}): "service_config for S3",
    as_json(conn_type="aws", extra={"service_config": {"s3": {"signer": "hunter2"}}}): "names a signer",
    **{as_json(conn_type="aws", extra={name: "hunter2"}): remedy for name, remedy in EXTRA_REFUSED.items()},
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_is_refused_is_not_repeated(text: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that cannot be read, or asks for more than the filesystem can do, is named by its variable alone."""
    with pytest.raises(ConfigError, match=said) as caught:
        options_of("s3", text, monkeypatch)
    assert "AIRFLOW_CONN_LAKE" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


OTHERS_REFUSED = {
    ("gs", "google-cloud-platform://?key_path=/nowhere"): "not on this machine",
    (
        "gs",
        f"google-cloud-platform://?key_path={__file__}&keyfile_dict=%7B%22a%22%3A1%7D",
    ): "both key_path and keyfile_dict",
    ("gs", "google-cloud-platform://?impersonation_chain=hunter2"): "GOOGLE_APPLICATION_CREDENTIALS",
    ("gs", "google-cloud-platform://?key_secret_name=hunter2"): "GOOGLE_APPLICATION_CREDENTIALS",
    ("gs", "aws://"): "is not of type google_cloud_platform",
    ("abfs", "aws://"): "is not of type wasb",
    ("abfs", f"wasb://:{QUOTED}@"): "names no account",
    ("abfs", as_json(conn_type="wasb", extra={"client_secret_auth_config": {"a": 1}})): "client_secret_auth_config",
}


@pytest.mark.parametrize(("protocol", "text", "said"), [(*case, said) for case, said in OTHERS_REFUSED.items()])
def test_other_stores_refuse_too(protocol: str, text: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What gcsfs and adlfs cannot do is refused, rather than left out."""
    with pytest.raises(ConfigError, match=said) as caught:
        options_of(protocol, text, monkeypatch)
    assert "hunter2" not in str(caught.value)


PIECES = st.lists(
    st.sampled_from(
        ["aws://", "http://", "AK", ":", "@", "/", "?", "&", "=", "#", "[", "]", "%", "%2F", "hunter2", "{", "}", '"extra"',
         '"conn_type"', '"aws"', '"', ",", " ", "\n", "\\", "role_arn", "endpoint_url", "é", "９"]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@given(PIECES)
def test_no_text_makes_an_error_that_repeats_it(text: str) -> None:
    """However a connection is misspelled, it is read or refused by ConfigError, and no part of its values is shown."""
    shown = ""
    try:
        fields = connections.parse(text, "AIRFLOW_CONN_LAKE")
        shown = repr(fields)
        connections._of_aws(fields)
    except ConfigError as error:
        shown += str(error)
    assert "hunter2" not in shown


def test_a_root_names_a_connection_or_none() -> None:
    """What stands before the @ of an S3, GCS or Azure root is a connection; other roots stay what they are."""
    for root, place in {
        "s3://aws_default@bucket/a/b": "s3://bucket/a/b",
        "S3A://a.b-c@bucket": "s3a://bucket",
        "gs://google_cloud_default@bucket/": "gs://bucket/",
        "abfs://wasb_default@container/p@q": "abfs://container/p@q",
        "az://a@c": "az://c",
    }.items():
        assert place == connections.of_root(root, {})[0]
        assert isinstance(connections.of_root(root, {})[1], connections.Connection)
    given = {"key": "k"}
    assert (b"s3://a@b", given) == connections.of_root(b"s3://a@b", given)
    for root in (
        "s3://bucket/p@q", "sftp://user@host/p", "abfs://container@account.dfs.core.windows.net/p", "/home/a@b", "s3://u:p@bucket",
        "s3://@bucket", "s3://a@", "s3://a@b@c/d", "memory://a@b",
    ):  # fmt: skip
        assert (root, given) == connections.of_root(root, given)


@pytest.mark.parametrize("root", ["s3://hunter2%2F@bucket", "s3://hunter2 x@bucket", "gs://" + "hunter2" * 40 + "@b"])
def test_what_can_be_no_connection_is_not_repeated(root: str) -> None:
    """A root with something else before the @ is refused, and may hold a secret."""
    with pytest.raises(ConfigError, match="no connection's id") as caught:
        Store(root)
    assert "hunter2" not in str(caught.value)


def test_a_connection_is_read_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store is made where the connection is not set, and says so when the storage is first needed."""
    store = Store("s3://lake@bucket/prefix")
    assert (3, "s3://bucket/prefix") == (store.get(store.put(3, ADDRESS)), store.root)
    with pytest.raises(ConfigError, match="AIRFLOW_CONN_LAKE is not set in this process"):
        store.put((1,), ADDRESS, inline_limit=0)
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", f"aws://AK:{QUOTED}@")
    assert KEYS == store.storage_options
    assert ("Connection('lake')", 2) == (repr(store._options), len(store._options))


def test_options_beside_a_connection_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given in code or by HANDOFF_STORAGE_OPTIONS stands over what the connection says."""
    assert {**KEYS, "key": "mine", "use_ssl": False} == options_of(
        "s3", f"aws://AK:{QUOTED}@", monkeypatch, key="mine", use_ssl=False
    )
    monkeypatch.setenv("HANDOFF_ROOT", "s3://lake@bucket/p")
    monkeypatch.setenv("HANDOFF_STORAGE_OPTIONS", '{"key": "mine"}')
    assert {**KEYS, "key": "mine"} == default_store().storage_options


def test_a_store_is_pickled_by_the_name_of_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle and a repr hold the connection's id, and nothing that it stands for; options of the store's own refuse."""
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", f"aws://AK:{QUOTED}@")
    store = Store("s3://lake@bucket/prefix", timeout=7)
    assert KEYS == store.storage_options
    data = pickle.dumps(store)
    assert b"hunter2" not in data
    again = pickle.loads(data)
    assert ("Store('s3://lake@bucket/prefix')", KEYS) == (repr(again), again.storage_options)
    with pytest.raises(ConfigError, match="is not pickled"):
        pickle.dumps(Store("s3://lake@bucket/prefix", storage_options={"use_ssl": False}))


def test_a_connection_reaches_a_real_server(
    s3: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A URI and JSON put and get on S3, here and in another process that was sent the store."""
    from urllib.parse import urlencode

    client = s3["client_kwargs"]
    uri = f"aws://{s3['key']}:{s3['secret']}@/?{urlencode(client)}"
    text = as_json(conn_type="aws", login=s3["key"], password=s3["secret"], extra=client)
    for number, connection in enumerate((uri, text)):
        monkeypatch.setenv("AIRFLOW_CONN_LAKE", connection)
        store = Store(f"s3://lake@bucket/{tmp_path.name}-{number}")
        handoff = store.put((1, "two"), ADDRESS, inline_limit=0)
        assert (1, "two") == store.get(handoff.to_json())
        assert f"s3://bucket/{tmp_path.name}-{number}/{ADDRESS.path}" == handoff.to_json()["uri"]
        script = "import pickle, sys; store, at = pickle.load(sys.stdin.buffer); assert store.get(at) == (1, 'two')"
        subprocess.run([sys.executable, "-c", script], input=pickle.dumps((store, ADDRESS)), check=True, timeout=60)


def test_a_store_without_a_connection_does_not_load_the_room() -> None:
    """Importing the library, and making stores that name no connection, leaves this room alone."""
    code = "import sys, handoff; handoff.Store('s3://b/p'); handoff.Store('x'); print('handoff.connections' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "False\n" == done.stdout
