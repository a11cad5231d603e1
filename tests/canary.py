"""A canary for secrets: a test during which one of them becomes visible fails, whatever else it shows.

It listens to what is printed, logged and warned of, to the text of errors and of what caused them, to handoffs, and to
the files that a test leaves. `tests/conftest.py` gives it the secrets that tests work with.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from handoff import Handoff, HandoffError

_HEAD = 64 * 1024  # a header in plain text is at the front of an artifact
_BESIDE = 40


class Canary:
    """A plugin of pytest that listens for secrets, and ends the test that shows one."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self.secrets = secrets
        self.heard: list[str] = []
        self._patched = pytest.MonkeyPatch()

    def pytest_configure(self) -> None:
        """Listen from now on."""
        logging.setLogRecordFactory(self._listening_to_logs(logging.getLogRecordFactory()))
        for kind, name, made in (
            (type(pytest.raises(HandoffError)), "__exit__", lambda args, _: self.error(args[2])),
            (HandoffError, "__init__", lambda args, _: self.error(args[0])),
            (warnings.WarningMessage, "__init__", lambda args, _: self.text("a warning", str(args[0].message))),
            (Handoff, "to_json", lambda args, result: self.handoff(args[0], result)),
        ):
            self._patched.setattr(kind, name, _followed(getattr(kind, name), made))

    def pytest_unconfigure(self) -> None:
        """Listen no longer."""
        self._patched.undo()
        logging.setLogRecordFactory(logging.LogRecord)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Let the test fail that made a secret visible."""
        report = yield
        for name, content in report.sections:
            if name.endswith(call.when):  # a report has those of the phases before it, too
                self.text(name, content)
        report.sections = [(name, self.hidden(content)) for name, content in report.sections]
        folder = getattr(item, "funcargs", {}).get("tmp_path")
        if call.when == "teardown" and folder is not None:
            self.folder(folder)
        if self.heard:
            report.outcome = "failed"
            report.longrepr = "a secret became visible:\n" + "\n".join(dict.fromkeys(self.heard))
            self.heard.clear()
        return report

    def text(self, where: str, text: str) -> None:
        """Listen to a text."""
        for secret in self.secrets:
            place = text.find(secret)
            if place >= 0:
                self.heard.append(f"{where}: …{self.hidden(text)[max(place - _BESIDE, 0) : place + _BESIDE]}…")

    def hidden(self, text: str) -> str:
        """Give a text without its secrets."""
        for secret in self.secrets:
            text = text.replace(secret, "*****")
        return text

    def error(self, error: BaseException | None) -> None:
        """Listen to all that a traceback would show of an error."""
        for one in _shown(error):
            facts = "\n".join([str(one), repr(one), repr(vars(one)), *getattr(one, "__notes__", ())])
            self.text(f"an error ({type(one).__name__})", facts)

    def handoff(self, handoff: Handoff, message: Any) -> None:
        """Listen to an envelope, and to what is shown of the handoff."""
        self.text("an envelope", msgspec.json.encode(message).decode())
        self.text("a handoff", repr(handoff))

    def folder(self, folder: Path) -> None:
        """Listen to the names of files, and to what stands at their front."""
        for parent, _, names in os.walk(folder):
            for name in names:
                self.text("the name of a file", os.path.join(parent, name))
                path = Path(parent, name)
                if path.is_file():
                    with path.open("rb") as file:
                        self.text(f"the file {name}", file.read(_HEAD).decode("latin-1"))

    def _listening_to_logs(self, make: Callable[..., logging.LogRecord]) -> Callable[..., logging.LogRecord]:
        def made(*args: Any, **kwargs: Any) -> logging.LogRecord:
            record = make(*args, **kwargs)
            self.text(f"a log record of {record.name}", record.getMessage())
            self.error(record.exc_info[1] if record.exc_info else None)
            return record

        return made


def _followed(function: Callable[..., Any], listen: Callable[[tuple[Any, ...], Any], None]) -> Callable[..., Any]:
    def followed(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        listen(args, result)
        return result

    return followed


def _shown(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error and those that are shown with it: what caused it, and what it is a group of."""
    while error is not None:
        yield error
        for one in getattr(error, "exceptions", ()):
            yield from _shown(one)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
