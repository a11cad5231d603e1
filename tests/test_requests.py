"""One trip: what each operation asks of S3, GCS and Azure, counted by a proxy before a real server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import trips
from benchmarks.proxy import Proxy, Request

PAGE = Path(__file__).parent.parent / "docs" / "object-stores.md"
# The client libraries send the bytes that they are given.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning"),
    pytest.mark.timeout(400),  # the first test waits until all is counted
]
MOST = {
    "`put`, inline": 0,
    "`put`, stored": 1,
    "`put` again, of the same attempt": 3,
    "`put` of attempt 2 over attempt 1": 2,
    "`put` of attempt 2 where nothing is": 2,
    "`get` of a handoff": 1,
    "`get` of an address": 1,
    "`get` of what is missing": 2,
    "`exists`, and it does": 1,
    "`exists`, and it does not": 2,
    "`delete`": 1,
    "`put` of attempt 2, inline now": 2,
    "`list` of 1,100": 2,
}
UPLOADS = {"PUT", "CREATE", "PART", "COMPLETE"}

Counted = dict[str, dict[str, list[Request]]]


@pytest.fixture(scope="module")
def counted(
    s3: dict[str, Any], gcs: dict[str, Any], azure: dict[str, Any], proxied: Callable[[dict[str, Any]], Proxy]
) -> Counted:
    reached = {"S3": s3, "GCS": gcs, "Azure": azure}
    return {name: trips.count(proxied(reached[name]), protocol) for name, (protocol, _) in trips.STORES.items()}


@pytest.fixture(params=trips.STORES)
def requests(counted: Counted, request: pytest.FixtureRequest) -> dict[str, list[Request]]:
    return counted[request.param]


def verbs(requests: list[Request]) -> list[str]:
    return [request.verb for request in requests]


def test_no_operation_takes_more_requests_than_it_may(requests: dict[str, list[Request]]) -> None:
    """A first put is one PUT and a get one GET; a retry may read what is there first; no small operation takes many."""
    assert {} == {name: verbs(requests[name]) for name, most in MOST.items() if len(requests[name]) > most}
    assert ["PUT"] == verbs(requests["`put`, stored"])
    assert ["GET"] == verbs(requests["`get` of a handoff"])
    assert ["GET"] == verbs(requests["`get` of an address"])


def test_a_first_attempt_is_written_where_nothing_is(requests: dict[str, list[Request]]) -> None:
    """The one PUT of a first attempt has the condition that there is no object, and so cannot undo a later attempt's."""
    (put,) = requests["`put`, stored"]
    assert put.conditions in ({"if-none-match": "*"}, {"ifGenerationMatch": "0"})


def test_a_later_attempt_is_written_over_what_it_has_seen(requests: dict[str, list[Request]]) -> None:
    """The last PUT of a later attempt has the condition that the object is the one whose header was read."""
    *_, put = requests["`put` of attempt 2 over attempt 1"]
    assert ["if-match"] == list(put.conditions) or put.conditions["ifGenerationMatch"] != "0"


def test_a_large_put_asks_nothing_but_to_write(requests: dict[str, list[Request]]) -> None:
    """What is above what memory holds goes up in one piece or in parts, and nothing is asked before or after."""
    asked = verbs(requests["`put` of 200 MB"])
    assert set(asked) <= UPLOADS
    assert asked.count("CREATE") <= 1
    assert asked.count("COMPLETE") <= 1
    again = verbs(requests["`put` of 200 MB by attempt 2"])
    assert set(again) <= UPLOADS | {"HEAD", "GET"}
    assert again.count("HEAD") + again.count("GET") <= 1


def test_a_large_get_is_of_one_version(requests: dict[str, list[Request]]) -> None:
    """A large object is fetched without asking for its size, and in ranges only of the version that came first."""
    first, *others = requests["`get` of 200 MB"]
    assert {"GET"} == set(verbs([first, *others]))
    assert [] == [
        str(request) for request in others if not {"if-match", "generation"} & {*request.conditions, *request.query}
    ]


def test_the_page_says_what_was_counted(counted: Counted) -> None:
    """The table in the documentation is the one that was counted."""
    said = "| operation |" + PAGE.read_text("utf-8").partition("| operation |")[2].partition("\n\n")[0]
    assert trips.markdown(counted).splitlines() == said.splitlines()
