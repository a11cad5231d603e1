"""What the command `handoff` and ``python -m handoff`` start: the command line, or how to install it."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

_NEEDED = ("click", "rich")
_NOT_INSTALLED = 12


def main() -> Any:
    """Run the command line, and end with its exit code."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        sys.stderr.write(f"handoff: the command line needs {' and '.join(missing)}. Install dag-handoff[cli].\n")
        return _NOT_INSTALLED
    from handoff.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
