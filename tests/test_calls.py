"""Calls to a storage: what is tried again and what is not, and that each ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from handoff.storage import _calls, _faults
from handoff.storage._calls import Patience
from handoff.storage._faults import Failure


class ClientError(Exception):
    """As a client of S3 raises it."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


def wrapped(error: Exception) -> Exception:
    found = OSError("wrapped")
    found.__cause__ = error
    return found


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (ClientError("SlowDown", 503), "passing"),
        (ClientError("InternalError", 500), "passing"),
        (ClientError("NoSuchKey", 404), "missing"),
        (ClientError("AccessDenied", 403), "denied"),
        (ClientError("ExpiredToken", 400), "denied"),
        (ClientError("RequestTimeTooSkewed", 403), "clock"),
        (ClientError("RequestTimeout", 400), "passing"),
        (ClientError("PreconditionFailed", 412), "conflict"),
        (ClientError("ConditionalRequestConflict", 409), "conflict"),
        (ClientError("InvalidRange", 416), "empty"),
        (ClientError("NotImplemented", 501), "unsupported"),
        (ClientError("InvalidRequest", 400), "final"),
        (wrapped(ClientError("AccessDenied", 403)), "denied"),
        (Failure("", "gone", 404), "missing"),
        (Failure("", "who are you", 401), "denied"),
        (Failure("", "slower", 429), "passing"),
        (Failure("", "too late", 408), "passing"),
        (Failure("", "no such part", 416), "empty"),
        (Failure("", "bad gateway", 502), "passing"),
        (Failure("BlobAlreadyExists", "it is there"), "conflict"),
        (type("ResourceModifiedError", (Exception,), {"status_code": 412})(), "conflict"),
        (type("NoCredentialsError", (Exception,), {})(), "denied"),
        (type("ServerTimeoutError", (TimeoutError,), {})(), "passing"),
        (FileNotFoundError(), "missing"),
        (FileExistsError(), "conflict"),
        (PermissionError(), "denied"),
        (ValueError(), "final"),
        (TimeoutError(), "final"),
        (ConnectionResetError(), "passing"),
        (RuntimeError(), "passing"),
    ],
    ids=repr,
)
def test_what_an_error_means(error: Exception, meaning: str) -> None:
    """An error is told by its code, its name, its status or its class, or those of what caused it."""
    assert meaning == _faults.meaning(error)


def asked(outcomes: Iterator[Any], patience: Patience) -> tuple[Any, int]:
    count = 0

    async def request() -> Any:
        nonlocal count
        count += 1
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    try:
        return asyncio.run(patience.attempt(request)), count
    except (OSError, Failure) as error:
        return error, count


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_calls, "WAITS", (0.0, 0.0))


def test_what_fails_in_passing_is_tried_again() -> None:
    """A request is tried until it is answered."""
    outcomes = iter([ConnectionResetError(), Failure("SlowDown", "slower"), "answer"])
    assert asked(outcomes, Patience(5)) == ("answer", 3)


def test_what_stays_so_is_not_tried_again() -> None:
    """A refusal is told at once."""
    refused = PermissionError("no")
    assert asked(iter([refused]), Patience(5)) == (refused, 1)


def test_there_is_an_end_to_trying() -> None:
    """What fails each time is told after the last of a few tries."""
    faults = [ConnectionResetError(str(number)) for number in range(9)]
    assert asked(iter(faults), Patience(5)) == (faults[2], 3)


def test_no_wait_leads_beyond_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the next try would come too late, there is none."""
    monkeypatch.setattr(_calls, "WAITS", (60.0,))
    fault = ConnectionResetError()
    assert asked(iter([fault]), Patience(0.5)) == (fault, 1)


def test_a_request_without_an_answer_ends() -> None:
    """A request ends at its deadline, on its last try too."""

    async def silence() -> None:
        await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        asyncio.run(Patience(0.01).attempt(silence))


def test_a_call_without_a_loop_may_not_wait() -> None:
    """A call to a synchronous filesystem is run where it is made, and one that waits is a mistake."""

    async def at_once() -> str:
        return "done"

    assert _calls.wait_for(None, at_once()) == "done"
    with pytest.raises(RuntimeError, match="waited"):
        _calls.wait_for(None, asyncio.sleep(0))
