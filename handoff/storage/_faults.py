"""What an error of a client library means, told by its status and its code: no library is imported for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

_DENIED: Final = (401, 403)
_MISSING: Final = 404
_CONFLICT: Final = (409, 412)
_EMPTY: Final = 416
_TOO_MANY: Final = 429
_TIMED_OUT: Final = 408
_CLIENT, _SERVER = 400, 500

# Codes that stores send with a status that says less.
_CODES: Final = {
    "AccessDenied": "denied",
    "ExpiredToken": "denied",
    "ExpiredTokenException": "denied",
    "InvalidToken": "denied",
    "InvalidAccessKeyId": "denied",
    "TokenRefreshRequired": "denied",
    "RequestTimeTooSkewed": "clock",
    "RequestTimeout": "passing",
    "SlowDown": "passing",
    "BadDigest": "passing",
    "XAmzContentSHA256Mismatch": "passing",
    "XAmzContentChecksumMismatch": "passing",
    "PreconditionFailed": "conflict",
    "ConditionNotMet": "conflict",
    "BlobAlreadyExists": "conflict",
    "ConditionalRequestConflict": "conflict",
    "NoSuchUpload": "conflict",  # it was completed before, and the answer got lost
    "InvalidRange": "empty",
    "NotImplemented": "unsupported",
}
# What libraries raise where they find no credentials, or none that are taken.
_NAMES: Final = {
    "NoCredentialsError": "denied",
    "PartialCredentialsError": "denied",
    "CredentialRetrievalError": "denied",
    "ClientAuthenticationError": "denied",
    "RefreshError": "denied",
    "DefaultCredentialsError": "denied",
    "ProfileNotFound": "denied",
    "ParamValidationError": "final",
    "ResourceExistsError": "conflict",
    "ResourceModifiedError": "conflict",
    "ResourceNotFoundError": "missing",
    "TooLarge": "final",
    "DecodeError": "passing",  # of an answer that was cut
    "ClientPayloadError": "passing",  # the status of its cause is the library's own
    # They inherit TimeoutError, but are of one request.
    "ServerTimeoutError": "passing",
    "SocketTimeoutError": "passing",
    "ConnectionTimeoutError": "passing",
}

_DAMAGED: Final = ("FlexibleChecksumError", "ChecksumError")
_KINDS: Final = (
    (FileNotFoundError, "missing"),
    (FileExistsError, "conflict"),
    (PermissionError, "denied"),
    (TypeError, "final"),
    (ValueError, "final"),
    (NotImplementedError, "final"),
    (TimeoutError, "final"),  # of a deadline
)


def meaning(error: BaseException) -> str:
    """Say what an error means: missing, denied, clock, conflict, empty, unsupported, final, or passing.

    A conflict is a condition that did not hold, empty an object without the bytes asked for. What is passing may be
    mended by trying again, and what is final is not.
    """
    for found in _chain(error):
        code = _code(found)
        if code in _CODES:
            return _CODES[code]
        if type(found).__name__ in _NAMES:
            return _NAMES[type(found).__name__]
        status = _status(found)
        if status:
            return _of_status(status)
    return next((what for kind, what in _KINDS if isinstance(error, kind)), "passing")


class Failure(OSError):  # noqa: N818 - it is what an error is made of
    """A store said no, by a code or a status, where no client library raises it."""

    def __init__(self, code: str, text: str, status: int = 0) -> None:
        super().__init__(f"{code}: {text}" if code else text)
        self.error_code = code
        self.status = status


def is_damage(error: BaseException) -> bool:
    """Whether a client library found that bytes are not what their checksum says."""
    return any(type(found).__name__ in _DAMAGED for found in _chain(error))


def _of_status(status: int) -> str:
    if status in _DENIED:
        return "denied"
    if status == _MISSING:
        return "missing"
    if status in _CONFLICT:
        return "conflict"
    if status == _EMPTY:
        return "empty"
    if status in (_TOO_MANY, _TIMED_OUT) or not _CLIENT <= status < _SERVER:
        return "passing"
    return "final"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Give an error, and what caused it: a filesystem often wraps what its client raised."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__


def _code(error: BaseException) -> str:
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code", ""))
    return str(getattr(error, "error_code", None) or "")


def _status(error: BaseException) -> int:
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    for name in ("status_code", "status", "code"):
        found = getattr(error, name, None)
        if isinstance(found, int | str) and str(found).isdigit():
            return int(found)
    return 0
