"""The house: what is public, what an import costs, and how tests are written."""

from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import handoff

ROOT = Path(__file__).parent.parent
OPTIONAL = {
    "airflow",
    "adlfs",
    "asyncio",
    "click",
    "fsspec",
    "gcsfs",
    "hypothesis",
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "rich",
    "s3fs",
    "zstandard",
    "logging",
    "pickle",
}
SILENT = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
}  # fmt: skip
# Rooms that work with libraries which the core does not need. Each is one of its kind, and none knows another.
WITH_EXTRAS = (
    "cli/", "__main__.py", "storage/_s3.py", "storage/_gcs.py", "storage/_azure.py", "integrations/", "testing.py", "frames.py", "parts.py", "codecs/_nested.py",
    "codecs/array.py", "codecs/table.py", "codecs/_arrow.py", "codecs/_cells.py", "codecs/_index.py", "codecs/_ipc.py",
    "codecs/_libraries.py", "codecs/_objects.py", "codecs/_pandas.py", "codecs/_parquet.py", "codecs/_polars.py", "codecs/_rows.py",
    "codecs/_columns.py", "codecs/_records.py", "hints.py", "records/", "connections.py", "retention/", "codecs/_pendulum.py", "codecs/_zones.py",
)  # fmt: skip
PUBLIC = [
    "Address", "ConfigError", "DamagedError", "DeniedError", "DependencyError", "EncodeError", "EnvelopeError", "Event", "File", "Handoff",
    "HandoffError", "IdentityError", "Inline", "LimitError", "MismatchError", "MissingError", "StaleError", "Store", "Stored", "SupersededError",
    "UnreachableError", "default_store", "gather", "observe", "offload", "run",
]  # fmt: skip


def modules_after(code: str) -> set[str]:
    """Run code in a fresh interpreter and give the top-level modules that are loaded after it."""
    script = f"import sys, json\n{code}\nprint(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_public_names() -> None:
    """These are the public names, sorted, and each is there."""
    assert PUBLIC == handoff.__all__ == sorted(handoff.__all__)
    assert all(hasattr(handoff, name) for name in PUBLIC)


def test_importing_loads_nothing_optional() -> None:
    """A fresh interpreter that imports handoff loads msgspec, and nothing of storage, tables or an orchestrator."""
    loaded = modules_after("import handoff")
    assert "msgspec" in loaded
    assert set() == loaded & OPTIONAL


def test_an_inline_hand_over_loads_no_storage() -> None:
    """A task whose result travels plain loads no storage library, no compressor and no table library, even with S3 as root."""
    code = """
from handoff import Store, offload, run
@offload(store=Store("s3://bucket/prefix"))
def task(x): return {"rows": 3, "x": x}
with run(dag_id="d", run_id="r"): assert task(1) == {"rows": 3, "x": 1}
"""
    assert set() == modules_after(code) & OPTIONAL


def test_a_local_root_needs_no_fsspec(tmp_path: Path) -> None:
    """Storing and loading on a local root is done by the standard library and zstandard."""
    code = f"""
from handoff import Address, Store
store = Store({str(tmp_path)!r})
assert store.get(store.put((1, 2), Address("d", "r", "t"), inline_limit=0)) == (1, 2)
"""
    assert {"zstandard"} == modules_after(code) & OPTIONAL


def lines_of_code(path: Path) -> int:
    """Count the lines that hold code: no blank ones, comments or docstrings."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    said: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            said.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    return len(
        {line for kind, _, (first, _), (last, _), _ in tokens if kind not in SILENT for line in range(first, last + 1)}
        - said
    )


def test_modules_are_small() -> None:
    """A module fits on a few screens, and the core stays small: its code, whatever is said about it."""
    paths = list((ROOT / "handoff").rglob("*.py"))
    assert [] == [f"{path}" for path in paths if len(path.read_text().splitlines()) > 400]
    core = [path for path in paths if not path.relative_to(ROOT / "handoff").as_posix().startswith(WITH_EXTRAS)]
    assert sum(map(lines_of_code, core)) < 4_975


def named_tests(path: Path) -> list[ast.FunctionDef]:
    found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    return [node for node in found if node.name.startswith("test_")]


@pytest.mark.parametrize(
    "path", [*sorted((ROOT / "tests").rglob("test_*.py")), ROOT / "handoff" / "testing.py"], ids=lambda p: p.name
)
def test_every_test_says_in_one_line_what_it_shows(path: Path) -> None:
    """Each test has a docstring of one line that is a sentence."""
    for test in named_tests(path):
        said = ast.get_docstring(test) or ""
        assert said.endswith("."), test.name
        assert "\n" not in said, test.name
