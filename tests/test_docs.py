"""The documentation: its links lead somewhere on a code host too, its tables are what the code says, nothing public is left out."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

import handoff
from benchmarks import servers
from handoff import HandoffError, errors

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CLASSES = [cls for name, cls in vars(errors).items() if name.endswith("Error") and cls is not HandoffError]


def prose(page: Path) -> str:
    """Give a page without its blocks of code, and without what stands between backticks."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """Give what a code host makes of the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    """Each link to a page or file of the project names one that is there, and a heading in it."""
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if "://" not in target]
    for target in targets:
        path, _, anchor = unquote(target).partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert found.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(found), target


def test_the_table_of_errors_is_the_tree() -> None:
    """Each error stands in the table of docs/errors.md, with the builtin it also is and the facts it carries."""
    rows = re.findall(
        r"^\| `(\w+)` \| `(\w+)` \|.*\|([^|]*)\|$", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE
    )
    said = {name: (builtin, set(re.findall(r"`(\w+)`", facts))) for name, builtin, facts in rows}
    assert {
        cls.__name__: (cls.__bases__[1].__name__, set(vars(cls).get("__annotations__", {}))) for cls in CLASSES
    } == said


def test_the_order_of_errors_is_told() -> None:
    """The order in which one error stands for several is what docs/errors.md says."""
    last = (ROOT / "docs" / "errors.md").read_text().rpartition("The order: ")[2]
    assert [cls.__name__ for cls in errors._GRAVEST] == re.findall(r"`(\w+)`", last)


def test_all_that_is_public_has_its_place_in_the_reference() -> None:
    """Each public name is documented on one page of docs/api."""
    pages = "".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    assert handoff.__all__ == sorted(
        re.findall(r"^\.\. auto(?:class|exception|function):: handoff\.(\w+)$", pages, re.MULTILINE)
    )


def test_every_page_has_its_place_on_the_site() -> None:
    """Each page of docs stands in the contents of the site once."""
    listed: list[Path] = []
    for page in sorted((ROOT / "docs").rglob("index.md")):
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
            entries = [line for line in block.splitlines() if line and not line.startswith(":")]
            listed += [found for entry in entries for found in page.parent.glob(f"{entry}.md")]
    pages = set((ROOT / "docs").rglob("*.md")) - {ROOT / "docs" / "index.md"}
    assert sorted(pages) == sorted(listed)


def test_the_server_of_the_tutorial_knows_its_options() -> None:
    """Each option of the trial server's line in the tutorial is one that the server has."""
    (line,) = re.findall(r"^weed (mini .*\n.*)&$", (ROOT / "docs" / "tutorial.md").read_text(), re.MULTILINE)
    options = re.findall(r" (-[\w.]+)=", line)
    assert "-bucket" in options
    weed = servers.program()
    assert weed is not None
    told = subprocess.run([weed, "mini", "-h"], capture_output=True, text=True, check=False)
    assert [] == [option for option in options if f"\n  {option}" not in told.stdout + told.stderr]


def test_every_room_is_on_the_map() -> None:
    """Each module and package of the library is named in the map of CONTRIBUTING.md, and no other is."""
    rows = re.findall(r"^\| (`[^|]*) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    rooms = {path.stem for path in (ROOT / "handoff").iterdir() if path.suffix in {"", ".py"} and path.name[0] != "_"}
    assert rooms == set(re.findall(r"`(\w+)/?`", " ".join(rows)))
