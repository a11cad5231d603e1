"""What `doctor` asks of a bucket on S3: whose credentials are used, and who removes unfinished uploads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from handoff.cli import checks
from handoff.storage import _faults
from handoff.store import Store, storage_of

_S3: Final = ("s3", "s3a")
_BY_THEMSELVES: Final = ("gs", "gcs", "abfs", "abfss", "az")
_UPLOADS, _WHOSE = "uploads", "credentials"
# Codes and errors that say so: who they are of is not known, or they are no longer valid.
_WRONG: Final = frozenset(
    {"SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidToken", "ExpiredToken", "ExpiredTokenException"}
    | {"TokenRefreshRequired", "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"}
    | {"ClientAuthenticationError", "RefreshError", "DefaultCredentialsError", "ProfileNotFound"}
)
_RULE: Final = (
    "Add a rule with AbortIncompleteMultipartUpload: docs/stores/s3.md has one. What a killed task had sent "
    "of a large value costs money until then"
)


def is_s3(store: Store) -> bool:
    """Whether a root is on S3."""
    return store.root.partition("://")[0] in _S3


def is_of_credentials(error: BaseException) -> bool:
    """Whether credentials were refused themselves, and not what they were used for."""
    found: BaseException | None = error
    while found is not None:
        response: Any = getattr(found, "response", None)
        code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
        if code in _WRONG or type(found).__name__ in _WRONG:
            return True
        found = found.__cause__
    return False


def findings(store: Store) -> Iterator[checks.Finding]:
    """Give what is found of a root's bucket; nothing of what is no bucket."""
    protocol, _, place = store.root.partition("://")
    if protocol in _BY_THEMSELVES:
        yield checks.Finding(_UPLOADS, checks.OK, "this store removes unfinished uploads by itself, after a week")
    elif protocol in _S3:
        yield whose(store)
        bucket, _, prefix = place.partition("/")
        yield _unfinished(storage_of(store).located("")[1], bucket, f"{prefix}/" if prefix else "")


def whose(store: Store) -> checks.Finding:
    """Say where the credentials were found, and nothing of what they are."""
    if not is_s3(store):
        return checks.Finding(_WHOSE, checks.OK, "those that the filesystem found")
    from fsspec.asyn import sync  # type: ignore[import-untyped]  # it ships no types

    _, filesystem = storage_of(store).located("")
    found = None if filesystem.anon else sync(filesystem.loop, filesystem.session.get_credentials)
    if filesystem.key:
        return checks.Finding(_WHOSE, checks.OK, "the key of the storage options, or of the connection")
    if found is None:
        return checks.Finding(_WHOSE, checks.OK, "none are used")
    return checks.Finding(_WHOSE, checks.OK, f"found by botocore: {found.method}")


def _unfinished(filesystem: Any, bucket: str, prefix: str) -> checks.Finding:
    try:
        answer = filesystem.call_s3("get_bucket_lifecycle_configuration", Bucket=bucket)
    except Exception as error:  # noqa: BLE001 - client libraries raise what they like
        if _faults.meaning(error) == "missing":
            return checks.Finding(_UPLOADS, checks.WARNING, "no rule removes unfinished uploads", _RULE)
        why = f"{type(error).__name__}: {error}".partition("\n")[0][:100]
        return checks.Finding(
            _UPLOADS,
            checks.UNTRIED,
            f"whether a rule removes unfinished uploads is not known ({why})",
            "Allow s3:GetLifecycleConfiguration, or look in the console",
        )
    days = [days for rule in answer.get("Rules", ()) if (days := _days(rule, prefix)) is not None]
    if days:
        return checks.Finding(_UPLOADS, checks.OK, f"a rule removes unfinished ones after {min(days)} d")
    return checks.Finding(_UPLOADS, checks.WARNING, "no rule removes unfinished uploads here", _RULE)


def _days(rule: Mapping[str, Any], prefix: str) -> int | None:
    """Give after how many days a rule ends the unfinished uploads below a prefix; None where it does not."""
    wanted = rule.get("Filter", {})
    if rule.get("Status") != "Enabled" or not wanted.keys() <= {"Prefix"}:
        return None
    covered = wanted.get("Prefix", rule.get("Prefix", ""))
    days = rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation")
    return days if prefix.startswith(covered) else None
