"""When the network or the store fails: each fault has one outcome, and none a wrong value, a hang or a storm of requests."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks import faults
from benchmarks.faults import CASES, MENDED, Outcome

PAGE = Path(__file__).parent.parent / "docs" / "object-stores.md"
# The client libraries send the bytes that they are given.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
#: How many requests an act may take whose every request fails, or every one for its parts.
MOST, MOST_IN_PARTS = 10, 30
STANDS = {"put": "new", "put in parts": "new", "overwrite": "new", "delete": "nothing"}


@pytest.fixture(scope="module")
def s3_outcomes(s3: dict[str, Any]) -> list[Outcome]:
    return faults.run("S3", s3, lanes=12)


@pytest.fixture(scope="module")
def gcs_outcomes(gcs: dict[str, Any]) -> list[Outcome]:
    return faults.run("GCS", gcs, lanes=12)


@pytest.fixture(params=["s3", "gcs"])
def outcomes(request: pytest.FixtureRequest) -> list[Outcome]:
    """Give what became of every act, on one of the stores."""
    found: list[Outcome] = request.getfixturevalue(f"{request.param}_outcomes")
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_fault_has_the_outcome_that_the_page_names(outcomes: list[Outcome], name: str) -> None:
    """Whatever is asked of whatever store, a fault is mended, or it is the error that the table of faults names."""
    mine = [outcome for outcome in outcomes if outcome.name == name]
    assert [] == [outcome for outcome in mine if outcome.ended != outcome.expected]


def test_every_fault_happened(outcomes: list[Outcome]) -> None:
    """No act was spared its fault: one that was to happen once happened once, and the others as often as it was tried."""
    assert [] == [outcome for outcome in outcomes if not 1 <= outcome.played <= outcome.times]


def test_what_is_acknowledged_stands(outcomes: list[Outcome]) -> None:
    """After an act that was carried out in the end, its value is at the address, whole; a get changes nothing."""
    done = [outcome for outcome in outcomes if outcome.ended == MENDED]
    assert done
    assert [] == [outcome for outcome in done if outcome.stands != STANDS.get(outcome.act, "old")]


def test_what_failed_has_left_the_old_version_or_the_new_one(outcomes: list[Outcome]) -> None:
    """After an act that failed, what was there is there, or what was to be: never a part of it, and no upload is left."""
    failed = [outcome for outcome in outcomes if outcome.ended != MENDED]
    whole = {"put": ("nothing", "new"), "put in parts": ("nothing", "new"), "delete": ("nothing", "old")}
    assert [] == [o for o in failed if o.stands not in whole.get(o.act, ("old", "new"))]
    assert [] == [outcome for outcome in outcomes if outcome.uploads]


def test_nothing_is_done_after_the_error(outcomes: list[Outcome]) -> None:
    """What an act has left is what is there much later: nothing goes on behind the back of a task that failed."""
    assert [] == [outcome for outcome in outcomes if outcome.stands != outcome.stays]


def test_there_is_no_storm_of_requests(outcomes: list[Outcome]) -> None:
    """A store that fails every time is asked a few times, and one that refuses once, or once more to know the bucket."""
    most = {"put in parts": MOST_IN_PARTS}
    assert [] == [outcome for outcome in outcomes if len(outcome.verbs) > most.get(outcome.act, MOST)]
    refused = [o for o in outcomes if o.expected == o.ended == "DeniedError" and o.times == math.inf]
    assert [] == [outcome for outcome in refused if len(outcome.verbs) > 2]


def test_the_page_has_the_table_of_faults() -> None:
    """The table in the documentation names every fault and its outcomes, once and every time."""
    table = PAGE.read_text("utf-8").partition("| fault |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")][:3] for line in table.splitlines()[2:]]
    ours = {MENDED: MENDED, **{error: f"`{error}`" for error in ("DeniedError", "DamagedError", "UnreachableError")}}
    assert [[name, ours[case.once], ours[case.always]] for name, case in CASES.items()] == rows
