"""The examples of the documentation are tests: each block of Python is run in an empty folder.

One that shows an error by ``try`` and ``except`` fails where nothing is raised.
"""

from __future__ import annotations

import ast
import os
import tempfile
from typing import Any

from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, SkipParser

NOT_RAISED = ast.parse("raise AssertionError('nothing was raised')").body


def _enter(namespace: dict[str, Any]) -> None:
    namespace["_back"], namespace["_folder"] = os.getcwd(), tempfile.TemporaryDirectory()
    os.chdir(namespace["_folder"].name)


def _leave(namespace: dict[str, Any]) -> None:
    os.chdir(namespace["_back"])
    namespace["_folder"].cleanup()


def _run(example: Example) -> None:
    above = "\n" * (example.line + example.parsed.line_offset)
    block = ast.parse(above + example.parsed)
    for statement in block.body:
        if isinstance(statement, ast.Try) and not statement.orelse:
            statement.orelse = NOT_RAISED
    exec(compile(block, example.path, "exec", dont_inherit=True), example.namespace)  # noqa: S102 - it is our own
    del example.namespace["__builtins__"]


pytest_collect_file = Sybil(
    parsers=[SkipParser(), CodeBlockParser("python", _run)],
    patterns=["*.md"],
    setup=_enter,
    teardown=_leave,
).pytest()
