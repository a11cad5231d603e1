"""Connections as this library reads them are what Airflow reads, for any that Airflow writes."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from handoff import ConfigError, connections

try:
    from airflow.sdk import Connection
except ImportError:
    from airflow.models import Connection

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["a/b+c=", "a b", "%2F", "@", ":", "?"]
)
HOSTS = TEXTS | st.sampled_from(["Minio", "https://minio.example", "http://Host/Path", "account.blob.core.windows.net"])
EXTRAS = st.dictionaries(
    TEXTS, TEXTS | st.booleans() | st.integers(-9, 9) | st.none() | st.lists(TEXTS, max_size=2), max_size=4
)
FIELDS = st.fixed_dictionaries(
    {"conn_type": st.sampled_from(["aws", "google_cloud_platform", "wasb", "adls"])},
    optional={
        "login": TEXTS,
        "password": TEXTS,
        "host": HOSTS,
        "port": st.integers(0, 65535),
        "schema": TEXTS,
        "extra": EXTRAS.map(json.dumps),
    },
)
PIECES = st.lists(
    st.sampled_from(["aws://", "Aws://", "http://", "a", "B", ":", "@", "/", "?", "&", "=", "#", "%2f", "9000", "__extra__", "{}", " "]),
    max_size=12,
).map("".join)  # fmt: skip


def read_by_airflow(connection: Any) -> dict[str, Any]:
    texts = {name: getattr(connection, name) or "" for name in ("conn_type", "login", "password", "host", "schema")}
    return {**texts, "port": connection.port or None, "extra": connection.extra_dejson}


def read_here(text: str) -> dict[str, Any]:
    fields = connections.parse(text, "AIRFLOW_CONN_LAKE")
    return {
        name: getattr(fields, name) for name in ("conn_type", "login", "password", "host", "schema", "port", "extra")
    }


@given(FIELDS)
@example({"conn_type": "aws", "login": "AK", "password": "a/b+c=", "extra": '{"endpoint_url": "http://minio:9000"}'})
def test_a_uri_is_read_as_airflow_reads_it(fields: dict[str, Any]) -> None:
    """What Airflow writes as a URI is the same connection here."""
    uri = Connection(conn_id="lake", **fields).get_uri()
    assert read_by_airflow(Connection(conn_id="lake", uri=uri)) == read_here(uri)


@given(FIELDS)
def test_json_is_read_as_airflow_reads_it(fields: dict[str, Any]) -> None:
    """What Airflow writes as JSON is the same connection here, and so is JSON whose extra is a text."""
    text = Connection(conn_id="lake", **fields).as_json()
    for one in (text, json.dumps(fields)):
        assert read_by_airflow(Connection.from_json(one, conn_id="lake")) == read_here(one)


@given(PIECES)
def test_no_uri_is_read_as_another_connection(rest: str) -> None:
    """Any text is refused, or is the connection that it is to Airflow."""
    with contextlib.suppress(ConfigError):
        found = read_here(f"aws://{rest}")
        assert read_by_airflow(Connection(conn_id="lake", uri=f"aws://{rest}")) == found
