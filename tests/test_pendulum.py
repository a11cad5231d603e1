"""Moments of pendulum, which Airflow gives to every task: kept with type, fold and zone, and read only where it is."""

from __future__ import annotations

import datetime as dt
import io
import json
import subprocess
import sys
import zoneinfo
from dataclasses import dataclass
from typing import Any

import msgspec
import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import Ext

from handoff import Address, DependencyError, EncodeError, Store
from handoff.codecs import _scalars
from handoff.testing import same

AT = Address("dag", "run", "task")
ZONES = st.one_of(
    st.none(),
    st.timezones(),
    st.just(dt.UTC),
    st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Etc/GMT+7", "Asia/Kathmandu"]).map(pendulum.timezone),
    st.builds(pendulum.FixedTimezone, st.integers(-86_000, 86_000), st.none() | st.text(st.characters(codec=None), max_size=4)),
)  # fmt: skip
FOLDS = st.sampled_from((0, 1))
FIELDS = st.datetimes().map(
    lambda when: (when.year, when.month, when.day, when.hour, when.minute, when.second, when.microsecond)
)
MOMENTS = st.one_of(
    st.builds(lambda fields, zone, fold: pendulum.DateTime(*fields, tzinfo=zone, fold=fold), FIELDS, ZONES, FOLDS),
    st.builds(lambda fields, zone, fold: pendulum.Time(*fields[3:], tzinfo=zone, fold=fold), FIELDS, ZONES, FOLDS),
    st.builds(lambda fields: pendulum.Date(*fields[:3]), FIELDS),
    # Of the standard library, with a zone of pendulum's: what Airflow's own timezone module makes.
    st.builds(lambda fields, zone, fold: dt.datetime(*fields, tzinfo=zone, fold=fold), FIELDS, ZONES, FOLDS),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("root"))


@given(MOMENTS)
def test_moments_come_back_as_they_were(store: Store, moment: Any) -> None:
    """Type, fields, fold and zone of a moment are the same afterwards, alone and among others, inline and stored."""
    value = {"when": moment, "all": [moment, (moment,)], "set": {1, moment}, moment: "key"}
    for one in (moment, value):
        for limit in (None, 0):
            found = store.get(store.put(one, AT, inline_limit=limit).to_json())
            assert same(one, found)
    found = store.get(store.put(moment, AT))
    assert type(moment) is type(found)
    if isinstance(moment, dt.datetime | dt.time):
        assert type(moment.tzinfo) is type(found.tzinfo)
        assert (moment.fold, repr(moment.tzinfo)) == (found.fold, repr(found.tzinfo))


def test_the_same_tells_pendulums_from_others() -> None:
    """A moment of pendulum is not the same as one of the standard library, nor is one in another's zone."""
    paris = pendulum.datetime(2026, 10, 25, 2, 30, tz="Europe/Paris")
    others = [
        dt.datetime(2026, 10, 25, 2, 30, tzinfo=paris.tzinfo, fold=paris.fold),
        pendulum.DateTime(2026, 10, 25, 2, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Paris"), fold=paris.fold),
        pendulum.DateTime(2026, 10, 25, 2, 30, tzinfo=paris.tzinfo, fold=1 - paris.fold),
        pendulum.DateTime(2026, 10, 25, 2, 30, tzinfo=pendulum.FixedTimezone(7200), fold=paris.fold),
    ]
    assert same(paris, pendulum.datetime(2026, 10, 25, 2, 30, tz="Europe/Paris"))
    assert [False] * 4 == [same(paris, other) for other in others]


class Later(pendulum.DateTime):
    """A type of one's own."""


REFUSED = {
    "a duration": pendulum.duration(days=1, months=2),
    "an interval": pendulum.datetime(2026, 1, 2) - pendulum.datetime(2026, 1, 1),
    "a type of one's own": Later(2026, 1, 1),
}


@pytest.mark.parametrize("what", REFUSED, ids=REFUSED)
def test_what_is_not_kept_is_refused(store: Store, what: str) -> None:
    """Durations, intervals and types that build on pendulum's are refused, and named by their path."""
    with pytest.raises(EncodeError, match=r"\Aat: ") as caught:
        store.put({"at": REFUSED[what]}, AT)
    assert "at" == caught.value.path


def test_zones_that_are_known_nowhere_are_refused(store: Store) -> None:
    """A zone that was read from a file, and one that builds on pendulum's, cannot be found again."""

    class Own(pendulum.FixedTimezone):
        pass

    path = next(file for folder in zoneinfo.TZPATH if (file := f"{folder}/Europe/Paris") and _is_there(file))
    with open(path, "rb") as file:
        data = file.read()
    for zone in (Own(3600), pendulum.Timezone.from_file(io.BytesIO(data), key="Europe/Paris")):
        with pytest.raises(EncodeError, match="a time zone of type"):
            store.put(pendulum.DateTime(2026, 1, 1, tzinfo=zone), AT)


def _is_there(path: str) -> bool:
    try:
        with open(path, "rb"):
            return True
    except OSError:
        return False


def test_a_record_holds_a_moment(store: Store) -> None:
    """A field annotated by the type of pendulum is given that type."""
    run = Run(pendulum.datetime(2026, 1, 1, tz="Europe/Paris"))
    for value in (run, [run] * 20):
        found = store.get(store.put(value, AT, inline_limit=0), type=type(value) if value is run else list[Run])
        assert same(value, found)


@dataclass
class Run:
    logical_date: pendulum.DateTime


def test_only_who_reads_a_moment_needs_pendulum(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pendulum other values are read and it is not imported; a moment of its own says what to install."""
    message = store.put([pendulum.date(2026, 1, 1), 3], AT).to_json()
    zoned = store.put([dt.datetime(2026, 1, 1, tzinfo=pendulum.UTC)], AT).to_json()
    monkeypatch.setitem(sys.modules, "pendulum", None)
    for one, what in ((message, "moments"), (zoned, "a time zone")):
        with pytest.raises(DependencyError, match=f"the value holds {what} of pendulum, .* Install pendulum"):
            store.get(one)
    monkeypatch.undo()
    plain = store.put([(1,), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)], AT).to_json()
    script = f"""
import json, sys
from handoff import Store
Store("nowhere").get(json.loads({json.dumps(plain)!r}))
print("pendulum" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert "False\n" == done.stdout


DAMAGED = [
    [3, "2026-01-01"], [0, "2026-1-1"], [0, "2026-01-01T00:00:00", 0, None], [2, "2026-01-01T00:00:00", 2, None],
    [2, "2026-01-01T00:00:00", 0, {"pendulum": "../../etc/passwd"}], [2, "2026-01-01T00:00:00", 0, {"os": "UTC"}],
    [2, "2026-01-01T00:00:00", 0, {"pendulum": "UTC", "pydantic": 1}], [-4, "2026-01-01"], [], ["DateTime", "2026-01-01"],
]  # fmt: skip


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_moment_that_nobody_wrote_is_refused(content: list[Any]) -> None:
    """Another kind, spelling, fold or zone than pendulum's is an error, and nothing is looked up by its name."""
    with pytest.raises((ValueError, TypeError, IndexError, KeyError)):
        _scalars.unpack(_scalars.PENDULUM, msgspec.msgpack.encode(content))


def test_the_format_of_a_moment() -> None:
    """The extension is what docs/format.md says."""
    moment = pendulum.DateTime(2026, 10, 25, 2, 30, tzinfo=pendulum.timezone("Europe/Paris"), fold=1)
    packed = [_scalars.pack(one) for one in (moment, pendulum.date(2026, 1, 2), pendulum.time(3))]
    assert all(isinstance(one, Ext) and one.code == 21 for one in packed)
    assert [
        [2, "2026-10-25T02:30:00", 1, {"pendulum": "Europe/Paris"}],
        [0, "2026-01-02"],
        [1, "03:00:00", 0, None],
    ] == [msgspec.msgpack.decode(one.data) for one in packed]
    fixed = _scalars.pack(dt.datetime(2026, 1, 1, tzinfo=pendulum.FixedTimezone(3600)))
    assert ["2026-01-01T00:00:00", 0, {"pendulum": [3600, "+01:00"]}] == msgspec.msgpack.decode(fixed.data)
