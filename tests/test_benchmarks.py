"""The benchmarks run, and compare what they say they compare."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET


def run(module: str, tmp_path: Path, *options: str) -> tuple[str, Any]:
    """Run a benchmark on little data, and give what it prints and what it writes."""
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", module, "--smoke", "--json", str(file), "--folder", str(tmp_path), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    return " ".join(done.stdout.split()), json.loads(file.read_text())


def test_a_small_run_measures_every_contest(tmp_path: Path) -> None:
    """A smoke run prints a line for each contest, and writes as many samples for either side."""
    printed, found = run("benchmarks.pairs", tmp_path)
    assert "Loaded by a task that hands over inline, with an S3 root: no library but msgspec" in printed
    assert len(found["results"]) == 10
    assert all(len(result["ours"]) == len(result["theirs"]) == 2 for result in found["results"])
    assert all(min(result["ours"] + result["theirs"]) > 0 for result in found["results"])


def test_peers_take_turns_on_a_folder_and_on_s3(tmp_path: Path) -> None:
    """Every peer that is installed gives back what it was given, on both roots; the others are named, and why."""
    beside = ("by hand", "S3 + pickle + gzip", "Airflow XCom", "Prefect json", "boto3 alone", "obstore alone")
    options = ("--only", "config", "--airflow", "", "--prefect", "", "--beside", *beside)
    printed, found = run("benchmarks", tmp_path, *options)
    lines = {line["contender"]: line for line in found["lines"]}
    assert {"handoff", *beside} == set(lines)
    assert {"not run: no Airflow here, see --airflow"} == set(lines["Airflow XCom"]["errors"].values())
    assert {"not run: no Prefect here, see --prefect"} == set(lines["Prefect json"]["errors"].values())
    assert set(lines["obstore alone"]["errors"].values()) <= {"not run: obstore is not installed"}
    for name in ("handoff", "by hand", "S3 + pickle + gzip"):
        assert {"local": True, "s3": True} == lines[name]["same"]
        assert {"put": {"PUT": 1}, "get": {"GET": 1}} == lines[name]["requests"]
    assert {"s3": True} == lines["boto3 alone"]["same"]
    assert "boto3 alone, local folder: not run: it speaks to S3 alone" in printed
    assert ["figures.json"] == sorted(path.name for path in tmp_path.iterdir())


def test_many_are_handed_to_one_and_one_to_many(tmp_path: Path) -> None:
    """All of a list arrive from S3, one value arrives in several processes, and imports and calls are measured."""
    beside = ("by hand", "S3 + pickle + gzip", "boto3 alone")
    options = ("--only", "1,000", "read by", "costs", "--airflow", "", "--prefect", "", "--beside", *beside)
    printed, found = run("benchmarks", tmp_path, *options)
    lines = found["lines"]
    assert ["1,000 artifacts of 100 KB (smoke)"] * 4 + ["one of 1 MB, read by 50 (smoke)"] * 4 == [
        line["case"] for line in lines
    ]
    assert [{"s3": True}] * 8 == [line["same"] for line in lines]
    assert all(line["stored"] > 9_000 and line["put"]["s3"] and line["get"]["s3"] for line in lines)
    costs = {cost["name"]: cost for cost in found["costs"]}
    assert 1 == len(costs["handoff"]["seconds"])
    assert "not run: it is not installed" == costs["Prefect pickle"]["error"]
    assert costs["handoff: @offload"]["seconds"] > [0]
    assert "before a byte has moved" in printed


def test_a_run_that_is_stopped_keeps_what_it_has_measured(tmp_path: Path) -> None:
    """Who ends a run gets the figures of the values that were done, and no server stays behind."""
    file = tmp_path / "figures.json"
    options = ("--only", "small dict", "nested", "flights", "--beside", "by hand", "--json", str(file))
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--folder", str(tmp_path), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent) as running:
        while not file.exists() and running.poll() is None:
            time.sleep(0.05)
        running.terminate()
        printed, _ = running.communicate()
    assert 130 == running.returncode
    assert "Stopped: this is what was measured until then." in printed
    assert "small dict of 1 KB (smoke)" == json.loads(file.read_text())["lines"][0]["case"]
    assert [file] == [*tmp_path.iterdir()]
    assert [] == [line for line in map(_command_of, Path("/proc").glob("[0-9]*")) if str(tmp_path / "handoff-") in line]


def _command_of(process: Path) -> str:
    with contextlib.suppress(OSError):  # it has ended
        return (process / "cmdline").read_text()
    return ""


def test_who_is_lossy_or_ahead_is_told(tmp_path: Path) -> None:
    """A peer that alters its value is marked and is no rival; one that is ahead of us is named; others are not first."""
    line = {"case": "a value", "size": 9, "stored": 5, "same": {"s3": True}}
    lines = [
        {**line, "contender": "handoff", "put": {"s3": [3.0, 3.0]}, "get": {"s3": [1.0, 1.0]}},
        {**line, "contender": "joblib", "put": {"s3": [1.0, 1.0]}, "get": {"s3": [1.0, 1.0]}, "stored": 10},
        {**line, "contender": "Prefect json", "put": {"s3": [0.1]}, "get": {"s3": [0.1]}, "same": {"s3": False}},
        {**line, "contender": "boto3 alone", "put": {"s3": [0.5, 1.5]}, "get": {"s3": [0.5, 0.5]}},
    ]
    for one in lines:
        one |= {f"{act}_peak": {"s3": [0] * len(one[act]["s3"])} for act in ("put", "get")}
    file = tmp_path / "figures.json"
    file.write_text(
        json.dumps(
            {"machine": {"system": "s", "cores": 1, "python": "3"}, "versions": {}, "lines": lines, "growth": lines}
        )
    )
    plot = tmp_path / "peers.svg"
    command = [sys.executable, "-m", "benchmarks", "--show", str(file), "--markdown", "--plot", str(plot)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    assert "| **handoff** |  |  |  |  |  | 3.0 s | 1.0 s | 3.00 | 2.50 – 3.50 | 5 bytes | identical |" in done.stdout
    assert "- a value, S3: 3.00 of boto3 alone; BEHIND joblib (2.00 of its time, 0.50 of its bytes)" in done.stdout
    assert "- a value, Prefect json: LOSSY" in done.stdout
    assert "| Prefect json |  |  |  |  |  | 100.0 ms | 100.0 ms | 0.20 | once | 5 bytes | LOSSY |" in done.stdout
    for drawn in (plot, tmp_path / "peers-growth.svg"):
        assert "svg" in ET.parse(drawn).getroot().tag


def test_memory_is_measured_above_the_value(tmp_path: Path) -> None:
    """A put and a get of each contender have a peak, on a folder and on S3, and nothing is left behind."""
    plot = tmp_path / "memory.svg"
    printed, found = run("benchmarks.memory", tmp_path, "--kinds", "floats", "--plot", str(plot))
    cells = found["cells"]
    assert [""] * 8 == [cell["error"] for cell in cells]
    assert {("local", "put"), ("local", "get"), ("s3", "put"), ("s3", "get")} == {
        (cell["root"], cell["act"]) for cell in cells
    }
    assert all(cell["peak"] >= 0 and cell["seconds"] > 0 for cell in cells)
    assert "handoff: 4 of 4 within 64 MiB or 10% of the value" in printed
    assert "svg" in ET.parse(plot).getroot().tag
    assert ["figures.json", "memory.svg"] == sorted(path.name for path in tmp_path.iterdir())


def test_many_artifacts_are_read_by_all_ways(tmp_path: Path) -> None:
    """Every way reads the same objects, at once and through a proxy that answers later; one that is not installed is named."""
    printed, found = run("benchmarks.fan_in", tmp_path, "--delays", "0", "30", "--size", "1000")
    lines = found["lines"]
    assert all(line["error"] in ("", f"not run: {line['title'].partition(':')[0]} is not installed") for line in lines)
    assert {0.0, 30.0} == {line["delay"] for line in lines}
    assert all(len(line["seconds"]) == len(line["peak"]) == 1 for line in lines if not line["error"])
    assert "handoff: get_many, 16 wide" in printed
    assert "30 ms: get_many is" in printed
    loops = {line["delay"]: line["seconds"][0] for line in lines if line["way"] == "loop"}
    assert loops[30.0] > 20 * 0.03  # each of the twenty waited for the proxy: it does what it says
    assert ["figures.json"] == sorted(path.name for path in tmp_path.iterdir())


def test_a_prune_is_counted_and_looked_at(tmp_path: Path) -> None:
    """A smoke run prunes what it should and no more, counts its requests, and loses nothing of what others put."""
    printed, found = run("benchmarks.pruning", tmp_path)
    assert [("a dry run", 60), ("a prune", 60), ("the same again", 0)] == [
        (line["act"], line["removed"]) for line in found["lines"]
    ]
    assert {"BUCKET": 1, "LIST": 3, "DELETE MANY": 1} == found["lines"][1]["requests"]
    assert "a prune of 60: 1 BUCKET + 1 DELETE MANY + 3 LIST" in printed
    assert "gone: 0; to go and still there: 0; decoys touched: 0" in printed
    assert (40, 20, 0, 0) == tuple(found["writing"][name] for name in ("artifacts", "puts", "damaged", "lost"))
    assert ["figures.json"] == sorted(path.name for path in tmp_path.iterdir())


def test_a_store_is_measured_beside_bare_clients(tmp_path: Path) -> None:
    """Each act at each size has a contest, and the memory of a large one is told for both sides."""
    printed, found = run("benchmarks.stores", tmp_path, "--beside", "s3fs", "boto3")
    assert 8 == len(found["results"])
    assert ["put 19.1 MiB", "get 19.1 MiB"] == [row[0] for row in found["peaks"]]
    assert "handoff s3fs boto3" in printed
