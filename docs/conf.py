"""How the pages of this folder become a site: `nox -s docs`.

The pages are written for readers on a code host, and docstrings for readers of the code; what both lack is added here.
"""

from __future__ import annotations

import builtins
import re
import tomllib
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import desc_annotation, desc_parameter, pending_xref

import handoff

project = "handoff"
copyright = "the authors of handoff"
release = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc"]
nitpicky = True
# What does not belong to this project is not looked up: the build asks no network.
# Nor are type variables, and what a with statement gives, which is no public name.
nitpick_ignore_regex = [("py:.*", r"(?!handoff\b).*"), ("py:class", r"handoff\.\w+\.(_T|[A-Z]|Run)")]
exclude_patterns = ["_build"]

myst_heading_anchors = 4

autodoc_mock_imports = ["airflow"]
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "inherited-members": "Struct,PathLike,Protocol,object"}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
add_module_names = False

html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = "handoff"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {"color-brand-primary": "#0b5c8c", "color-brand-content": "#0b5c8c"},
    "dark_css_variables": {"color-brand-primary": "#7cc4f0", "color-brand-content": "#7cc4f0"},
}
html_static_path = ["_static"]
html_css_files = ["site.css"]
linkcheck_timeout = 20
linkcheck_retries = 2

_NAME = re.compile(r"(?<![`:])`(?P<name>[A-Za-z_.]+)`(?!`)")
_BOUNDED = re.compile(r"Annotated\[(\w+), msgspec\.Meta\([^()]*\)\]")
_PART = re.compile(r"(?:^|(?<=[.;] ))(Arguments|Guarantees|Raises): ", re.MULTILINE)


def _linked(name: str, owner: type | None) -> str:
    """Give what a name between single backticks is: a public one, a member of the class that it stands in, or text."""
    if name in handoff.__all__:
        return f":py:obj:`~handoff.{name}`"
    if owner is not None and hasattr(owner, name):
        return f":py:obj:`~handoff.{owner.__name__}.{name}`"
    return f"``{name}``"


def write_out(_app: object, _what: str, name: str, _documented: object, _options: object, lines: list[str]) -> None:
    """Make links of the names in a docstring, and a paragraph of each of its parts."""
    words = name.split(".")
    owner = getattr(handoff, words[1], None) if words[0] == "handoff" and len(words) > 1 else None
    text = _NAME.sub(lambda match: _linked(match["name"], owner if isinstance(owner, type) else None), "\n".join(lines))
    lines[:] = _PART.sub(r"\n\n**\1**: ", text).splitlines()


def leave_builtins(_app: object, doctree: Any) -> None:
    """Take ``list`` and ``type`` in a signature for what they are, and not for a member of that name."""
    for node in list(doctree.findall(pending_xref)):
        if node["refdomain"] == "py" and node["reftarget"] in vars(builtins):
            node.replace_self(nodes.Text(node["reftarget"]))


def leave_bounds(_app: object, doctree: Any, _page: str) -> None:
    """Show the type of a field without the bounds of what may stand in an envelope: the format has them."""
    for node in list(doctree.findall(lambda found: isinstance(found, desc_annotation | desc_parameter))):
        if "Annotated[" in (text := node.astext()):
            node[:] = [nodes.Text(_BOUNDED.sub(r"\1", text))]


def setup(app: Any) -> None:
    """Have docstrings written out as they are read."""
    app.connect("autodoc-process-docstring", write_out)
    app.connect("doctree-read", leave_builtins)
    app.connect("doctree-resolved", leave_bounds)
