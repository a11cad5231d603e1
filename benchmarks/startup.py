"""How long the command line takes to start, and how much of that is Python's own: ``python -m benchmarks.startup``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

AGAIN = 9


def best(again: int, *arguments: str) -> float:
    """Give the seconds that the fastest of some runs takes."""
    taken: list[float] = []
    for _ in range(again):
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return min(taken)


def main(again: int = AGAIN) -> None:
    """Print a table of the best of so many runs."""
    with tempfile.TemporaryDirectory() as folder:
        table, root = Path(folder, "table.csv"), ("--root", str(Path(folder, "root")))
        ids = (*root, "--dag", "dag", "--run", "run", "--task")
        table.write_text("a,b\n1,2\n")
        commands = {
            "python -c pass": ("-c", "pass"),
            "import handoff": ("-c", "import handoff"),
            "handoff --help": ("-m", "handoff", "--help"),
            "handoff put --value": ("-m", "handoff", "put", "--value", "[1]", *ids, "value"),
            "handoff get": ("-m", "handoff", "get", *ids, "value"),
            "handoff ls": ("-m", "handoff", "ls", *root),
            "handoff show": ("-m", "handoff", "show", *ids, "value"),
            "handoff du": ("-m", "handoff", "du", *root),
            "handoff prune (draws a table)": ("-m", "handoff", "prune", "--older-than", "0s", *root),
            "handoff put table.csv": ("-m", "handoff", "put", str(table), *ids, "table"),
            "handoff head (of that table)": ("-m", "handoff", "head", *ids, "table"),
        }
        sys.stdout.write(f"| the best of {again} | seconds |\n|---|---|\n")
        for name, arguments in commands.items():
            sys.stdout.write(f"| `{name}` | {best(again, *arguments):.2f} |\n")


if __name__ == "__main__":
    main()
