"""The sessions in docs/cli.md: how they run and are compared. ``python -m tests.console`` writes them anew."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from click.testing import CliRunner

from benchmarks import servers
from handoff import Address, Store
from handoff.cli import app

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
#: How the page begins to show what `doctor` finds of a bucket.
ON_S3 = "```text\n$ handoff doctor --root s3://my-bucket/handoff\n"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"\A\$ (?:(\w+)=\"\$\()?(?:echo (.+?) \| )?handoff(?: (.*?))?(?:\)\")?\Z")
# What differs from one run, machine or library to the next.
_MASKS = (
    (r"artifact  \S+(?:\n {10}\S+)*", "artifact  <uri>"),
    (r"free\s+in\s+\S+(?:\n {15}\S+)*", "free in <folder>"),
    (r"installed: .*", "<extras>"),
    (r"/[\w/.-]*?/(root|xcom)\b", r"/…/\1"),
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.+%A-Z]*)?", "<day>"),
    (r"[0-9a-f]{64}", "<digest>"),
    (r"\"check\":\"[0-9a-f]{16}\"", "<check>"),
    (r" *[0-9][0-9.,]* (bytes|[KMGT]iB|ms|s|d|h|min)\b(?! file)", " <n>"),
    (r"(\"size\"|\"raw_size\"|\"seconds\"):[0-9.]+", r"\1:<n>"),
    (r"(?: *[▁▂▃▄▅▆▇█▏▎▍▌▋▊▉])+", "  ▇"),
    (r"─+", "─"),
    (r"(?<=\S) {2,}", "  "),
    (r" +[0-9]+%", " <n>"),
    (r"[0-9.]+ times", "<n> times"),
    (r"(?<=[a-z] )[0-9]+\.[0-9][0-9.]*\b", "<version>"),
)


def flights(rows: int) -> pd.DataFrame:
    """Make a table, the same whenever it is asked for."""
    numbers = np.arange(rows)
    return pd.DataFrame(
        {
            "day": pd.Timestamp("2026-11-21") + pd.to_timedelta(numbers % 30, unit="D"),
            "carrier": np.array(["UA", "AA", "B6"])[numbers % 3],
            "flight": 1 + numbers * 7 % 1999,
            "dep_delay": ((numbers * 37) % 120 - 20).astype("float64"),
            "distance": 100 + numbers * 91 % 2500,
        }
    )


def fill(folder: Path) -> None:
    """Make what the page works on: a file, and a store with the results of some days."""
    flights(1_000).to_csv(folder / "flights.csv", index=False)
    store, now = Store(folder / "root", inline_limit=0), dt.datetime.now(dt.UTC)
    for age in range(1, 13):
        when = now - dt.timedelta(days=age, hours=1)
        run = f"scheduled__{when:%Y-%m-%d}T00:00:00+00:00"
        values = {
            Address("flights", run, "extract"): flights(20_000 + 1_500 * age),
            Address("flights", run, "delays"): flights(300),
            Address("weather", run, "station", 3): flights(9_000),
            Address("training", run, "embed"): np.sqrt(np.arange(19_200.0)).reshape(-1, 64),
        }
        for at, value in values.items():
            store.put(value, at)
            os.utime(folder / "root" / at.path, (when.timestamp(),) * 2)


@contextlib.contextmanager
def entered() -> Iterator[Path]:
    """Work in a folder of its own, where the page's store is the one of the environment."""
    back = Path.cwd()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as undone:
        folder = Path(name).resolve()
        for variable, value in {"HANDOFF_ROOT": str(folder / "root"), "COLUMNS": "80"}.items():
            before = os.environ.get(variable)
            undone.callback(_restore, variable, before)
            os.environ[variable] = value
        os.chdir(folder)
        undone.callback(os.chdir, back)
        fill(folder)
        yield folder


def sessions(page: str) -> Iterator[tuple[str, str]]:
    """Run the sessions of a page, and give each as it stands there and as it comes out."""
    variables: dict[str, str] = {}
    for block in _BLOCK.findall(page):
        lines = [line for line in block.splitlines() if line.startswith("$ ")]
        yield block, "\n".join(f"{line}\n{_run(line, variables)}".rstrip("\n") for line in lines) + "\n"


def masked(text: str) -> str:
    """Take from what was printed what differs from one run to the next."""
    for pattern, stands_for in _MASKS:
        text = re.sub(pattern, stands_for, text)
    return text


def _run(line: str, variables: dict[str, str]) -> str:
    match = _COMMAND.match(line)
    assert match is not None, line
    variable, piped, arguments = match.groups()
    words = [variables.get(word.removeprefix("$"), word) for word in shlex.split(arguments or "")]
    stdin = None if piped is None else variables.get(piped.strip('"$'), shlex.split(piped)[0])
    done = CliRunner().invoke(app, words, input=stdin, prog_name="handoff", catch_exceptions=False)
    if variable is None:
        return done.output
    variables[variable] = done.stdout.strip()
    return done.stderr


def _restore(variable: str, before: str | None) -> None:
    if before is None:
        del os.environ[variable]
    else:
        os.environ[variable] = before


def on_s3(options: dict[str, Any]) -> str:
    """Examine a bucket, and give what that shows: `doctor`, as it stands on the page."""
    environment = {"HANDOFF_STORAGE_OPTIONS": json.dumps(options), "COLUMNS": "80"}
    done = CliRunner().invoke(app, ["doctor", "--root", "s3://bucket/handoff"], env=environment, prog_name="handoff")
    return f"{ON_S3}{done.stdout.replace('s3://bucket/', 's3://my-bucket/')}"


if __name__ == "__main__":
    text = PAGE.read_text("utf-8")
    with tempfile.TemporaryDirectory() as name, servers.s3(Path(name, "s3")) as options:
        before, _, after = text.partition(ON_S3)
        text = before + on_s3(options) + "```" + after.partition("```")[2]
    with entered() as folder:
        for block, output in sessions(text):
            shown = output.replace(str(folder), "/mnt/shared")
            text = text.replace(f"```console\n{block}```", f"```console\n{shown}```", 1)
    PAGE.write_text(text, "utf-8")
