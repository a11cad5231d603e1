"""Airflow's connections as storage options, read from the environment without Airflow.

A root may name one, as in ``s3://aws_default@bucket/prefix``: what stands before the @ is no secret. What it stands for
is read from ``AIRFLOW_CONN_AWS_DEFAULT`` when a filesystem is first made, and again in each process: nowhere else is it
kept. It becomes what Airflow's own providers make of it, or an error says why not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from handoff.errors import ConfigError

_ROOT = re.compile(r"\A(s3a?|gc?s|abfss?|az)://([^/@:]+)@([^/@]+(?:/.*)?)\Z", re.IGNORECASE | re.DOTALL)
_ID = re.compile(r"\A[A-Za-z0-9_.!()-]{1,250}\Z")
_VARIABLE = "AIRFLOW_CONN_"
# It holds the others as JSON, where a query could not.
_ALL_EXTRAS = "__extra__"
_TEXTS = {"true": True, "1": True, "false": False, "0": False}


def of_root(root: str, options: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Take the connection out of a root: give the root without it, and the options that it stands for.

    Arguments: ``options`` that were given beside it, which win. A root that names no connection is given back with
    them. Raises: `ConfigError` for what can be no connection's id.
    """
    match = _ROOT.match(root) if type(root) is str else None
    if match is None:
        return root, options
    protocol, conn_id, place = match[1].lower(), match[2], match[3]
    if protocol.startswith("a") and "." in place.partition("/")[0]:
        return root, options  # container@account.dfs.core.windows.net
    if not _ID.match(conn_id):
        raise ConfigError(
            f"what stands before the @ of the {protocol}:// root is no connection's id",
            remedy="Write it as in s3://aws_default@bucket/prefix, and give credentials nowhere in a root",
        )
    return f"{protocol}://{place}", Connection(conn_id, root, options)


class Connection(Mapping[str, Any]):
    """The storage options of a connection. They are read when they are first looked at, and not before.

    Arguments: ``conn_id``; ``named``, the root that names it; ``given`` options, which win over the connection's.
    Raises, when they are read: `ConfigError` naming the variable, and repeating nothing that it holds.
    """

    def __init__(self, conn_id: str, named: str, given: Mapping[str, Any]) -> None:
        self.conn_id = conn_id
        self.named = named
        self.given = given

    def __getitem__(self, name: str) -> Any:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return f"Connection({self.conn_id!r})"

    def _read(self) -> dict[str, Any]:
        variable = _VARIABLE + self.conn_id.upper()
        text = os.environ.get(variable, "").strip()
        if not text:
            raise ConfigError(
                f"the root names the connection {self.conn_id!r}, and {variable} is not set in this process",
                remedy=f"Set it wherever tasks run, as a URI or JSON (what Airflow keeps in its database is not seen), "
                f"or take '{self.conn_id}@' from the root where credentials are found without a connection",
            )
        fields = parse(text, variable)
        protocol = self.named.partition(":")[0].lower()
        kinds, options_of = _KINDS[protocol]
        if fields.conn_type not in kinds:
            fields.refuse(f"is not of type {kinds[0]}, which {protocol}:// takes", "Name another in the root")
        return {**options_of(fields), **self.given}


class Fields(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection consists of. It shows nothing of that: most of it is secret."""

    #: Where it was read, for errors.
    variable: str
    conn_type: str
    login: str
    password: str
    host: str
    port: int | None
    schema: str
    extra: dict[str, Any]

    def __repr__(self) -> str:
        return f"Fields(variable={self.variable!r})"

    def refuse(self, what: str, remedy: str) -> NoReturn:
        """Say what of the connection is not taken."""
        raise ConfigError(f"{self.variable} {what}", remedy=remedy) from None

    def text(self, name: str) -> str:
        """Give an extra field; empty where it is not there."""
        value = self._extra(name) or ""
        if type(value) is not str:
            self.refuse(f"has an extra field {name} that is no text", "Write it as a text")
        return value

    def fields(self, name: str) -> dict[str, Any]:
        """Give an extra field that holds others: an object, or its JSON as a URI has it; empty if it is not there."""
        value: Any = self._extra(name) or {}
        try:
            found: dict[str, Any] = value if type(value) is dict else msgspec.json.decode(value, type=dict[str, Any])
        except (TypeError, msgspec.DecodeError):
            self.refuse(f"has an extra field {name} that is no JSON object", "Write it as an object")
        return found

    def flag(self, name: str) -> Any:
        """Give an extra field that is true or false; any other text is given as it is."""
        value = self._extra(name)
        return _TEXTS.get(value.lower(), value) if type(value) is str else value

    def refuse_extras(self, names: tuple[str, ...], remedy: str) -> None:
        """Refuse a connection that holds what this library cannot do, rather than leave it out."""
        for name in names:
            if self._extra(name):
                self.refuse(f"has an extra field {name}, which is not taken here", remedy)

    def _extra(self, name: str) -> Any:
        # Old connections have their type in the names of these fields. Airflow takes an empty one for none.
        value = self.extra.get(name, self.extra.get(f"extra__{self.conn_type}__{name}"))
        return None if value == "" else value


# --- parsing ----------------------------------------------------------------------------------------------------


def parse(text: str, variable: str) -> Fields:
    """Read a connection as Airflow does: a URI, or JSON.

    Arguments: the ``variable`` that holds it, for errors. Raises: `ConfigError`, which repeats nothing of it.
    """
    try:
        found = _of_json(text) if text.startswith("{") else _of_uri(text)
        extra: Any = found.pop("extra", None) or {}
        extra = extra if type(extra) is dict else msgspec.json.decode(extra, type=dict[str, Any])
        port = found.pop("port", None)
        texts = {name: found.get(name) or "" for name in ("conn_type", "login", "password", "host", "schema")}
        if {*map(type, texts.values())} != {str}:
            raise ValueError  # noqa: TRY301 - said below
        texts["conn_type"] = texts["conn_type"].replace("-", "_")
        return Fields(variable=variable, port=int(port) if port else None, extra=extra, **texts)
    except (ValueError, TypeError):
        # The error may quote a secret: urlsplit says what it takes for a port.
        raise ConfigError(
            f"{variable} is no connection that Airflow would read",
            remedy='Write JSON as in {"conn_type": "aws", "login": …}, or a URI whose parts are percent-encoded, '
            "with an @ after the password",
        ) from None


def _of_json(text: str) -> dict[str, Any]:
    found = msgspec.json.decode(text, type=dict[str, Any])
    if not found.keys() <= {*Fields.__struct_fields__, "description"} - {"variable"}:
        raise ValueError
    return found


def _of_uri(uri: str) -> dict[str, Any]:
    conn_type, colon, rest = uri.partition("://")
    # A host may bring a protocol of its own: aws://https://login:password@host.
    before, inner, _ = rest.partition("://")
    again = f"{conn_type.lower()}://" in rest  # Airflow would lose it
    if not colon or again or rest.count("://") > 1 or (inner and ("@" in before or ":" in before)):
        raise ValueError
    parts = urlsplit(rest if inner else f"//{rest}")
    host = unquote(parts.hostname or "")
    if "/" in host:  # urlsplit has put a path into lower case
        host = unquote(parts.netloc.rpartition("@")[2].partition(":")[0])
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return {
        "conn_type": conn_type.lower(),
        "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "host": f"{parts.scheme}://{host}" if host and parts.scheme else host,
        "port": parts.port,
        "schema": unquote(parts.path[1:]),
        "extra": query.get(_ALL_EXTRAS, query),
    }


# --- what each filesystem takes ---------------------------------------------------------------------------------


def _of_aws(given: Fields) -> dict[str, Any]:
    given.refuse_extras(
        ("role_arn", "aws_iam_role", "s3_config_file"),
        "Write the role into a profile of ~/.aws/config (role_arn with credential_source or source_profile), and name "
        "that by profile_name",
    )
    if given.host or given.extra.get("host"):
        given.refuse("names a host, which Airflow does not look at", "Name the server in extra, as endpoint_url")
    if bool(given.login) != bool(given.password):
        given.refuse("has a login without a password, or the other way round", "Give both, or none")
    session, service = given.fields("session_kwargs"), given.fields("service_config").get("s3") or {}
    if type(service) is not dict or service.get("signer"):
        given.refuse("has a service_config for S3 that is no object, or names a signer", "Name another in the root")
    pairs: list[tuple[Any, Any]] = [(given.login, given.password)]
    names = "aws_access_key_id", "aws_secret_access_key"
    pairs += [(source.get(names[0]), source.get(names[1])) for source in (given.extra, session)]
    key, secret = next((pair for pair in pairs if all(pair)), (None, None))
    config = given.fields("config_kwargs")
    anonymous = config.get("signature_version") == "unsigned"
    found = {
        "key": key,
        "secret": secret,
        "token": given.text("aws_session_token") or session.get("aws_session_token"),
        "profile": given.text("profile_name") or session.get("profile_name"),
        "endpoint_url": service.get("endpoint_url", given.text("endpoint_url")),
        "client_kwargs": _known(
            region_name=given.text("region_name") or session.get("region_name"), verify=given.flag("verify")
        ),
        "config_kwargs": {
            name: value for name, value in config.items() if not anonymous or name != "signature_version"
        },
        "anon": anonymous or None,
    }
    return _known(**found)


def _of_google(given: Fields) -> dict[str, Any]:
    names = ("key_secret_name", "credential_config_file", "impersonation_chain", "idp_issuer_url")
    given.refuse_extras(
        names, "Name the configuration by GOOGLE_APPLICATION_CREDENTIALS, and leave the connection out of the root"
    )
    key_path, key = given.text("key_path"), given.fields("keyfile_dict")
    if key_path and key:
        given.refuse("has both key_path and keyfile_dict", "Give one of them")
    if key_path and not os.path.exists(key_path):  # gcsfs would take the path for a token, and send it off
        given.refuse("names by key_path a file that is not on this machine", "Put it there, or give keyfile_dict")
    project = given.text("project")
    found = {
        # Without a project gcsfs takes the one of the credentials it finds, and refuses them where they have another.
        "token": "anon" if given.flag("is_anonymous") is True else key_path or key or "google_default",
        "project": project if key_path or key else None,
        "access": given.text("gcs.access"),
        "endpoint_url": given.text("gcs.endpoint"),
        "requester_pays": given.flag("gcs.requester-pays"),
    }
    return _known(**found)


def _of_azure(given: Fields) -> dict[str, Any]:
    connection_string = given.text("connection_string")
    if connection_string:
        return {"connection_string": connection_string}
    given.refuse_extras(
        ("client_secret_auth_config",), "Give login, password and tenant_id, or a connection without a tenant"
    )
    name = (urlsplit(given.host if "://" in given.host else f"//{given.host}").hostname or "").partition(".")[0]
    if given.conn_type != "adls" and "." not in given.host:
        name = given.login or name
    elif not name:
        name = given.login
    tenant = given.text("tenant_id")
    secrets = {"client_id": given.login, "client_secret": given.password} if tenant else {"account_key": given.password}
    texts = ("account_key", "sas_token", "account_host")
    identities = ("managed_identity_client_id", "workload_identity_client_id", "workload_identity_tenant_id")
    found = {
        "account_name": given.text("account_name") or name,
        "tenant_id": tenant,
        **secrets,
        **_known(**{field: given.text(field) for field in texts + identities}),
        "anon": given.flag("anon"),
    }
    if not found["account_name"]:
        given.refuse("names no account", "Name it in extra, as account_name")
    return _known(**found)


def _known(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is False or value}


_AWS = (("aws", "s3"), _of_aws)
_GOOGLE = (("google_cloud_platform",), _of_google)
_AZURE = (("wasb", "adls", "abfs", "azure_data_lake"), _of_azure)
_KINDS: dict[str, tuple[tuple[str, ...], Callable[[Fields], dict[str, Any]]]] = {
    "s3": _AWS, "s3a": _AWS, "gs": _GOOGLE, "gcs": _GOOGLE, "abfs": _AZURE, "abfss": _AZURE, "az": _AZURE,
}  # fmt: skip
