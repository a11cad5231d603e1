"""A task that is killed while its result is half written, and tried again."""

from __future__ import annotations

import datetime as dt
import io
import os
import random
import signal
from decimal import Decimal
from typing import Any

try:
    from airflow.sdk import dag, task
except ImportError:
    from airflow.decorators import dag, task

from handoff import offload
from handoff.storage import local
from handoff.testing import same

LARGE = 64 * 1024


class Fatal(io.FileIO):
    """A file that kills whoever writes to it, as soon as half of a large piece stands in it."""

    def __init__(self, file: int, mode: str, *, buffering: int) -> None:
        assert buffering == 0
        super().__init__(file, mode)

    def write(self, data: Any) -> int:
        if len(data) < LARGE:  # the header
            return super().write(data)
        super().write(data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a killed process went on")


def value() -> dict[str, Any]:
    """Give some megabytes that no compression makes small, with types that JSON lacks."""
    noise = random.Random(2026).randbytes(4 * 1024**2)
    return {"noise": noise, "rows": [(n, Decimal(n) / 8, dt.date(2013, 1, 1)) for n in range(10_000)]}


@dag(schedule=None, start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
def killed() -> None:
    """A task that does not survive its first attempt, and one that takes what the second attempt returned."""

    @task(retries=1, retry_delay=dt.timedelta(0))
    @offload
    def large(ti: Any = None) -> Any:
        if ti.try_number == 1:
            vars(local)["open"] = Fatal  # found before the built-in one
        return value()

    @task
    @offload
    def check(arrived: Any) -> str:
        assert same(value(), arrived)
        return "identical"

    check(large())


killed()
