"""What is kept, for how long, and whether it is whole: for those who run it, and for the command line.

Nothing here knows how values are made: it works on listings, and reads artifacts only to verify them. A call goes
through a million artifacts a page at a time, and its memory does not grow with them.
"""

from __future__ import annotations

from handoff.retention._listing import Kept, Progress, artifacts
from handoff.retention._pins import Pin, pin, pins, unpin
from handoff.retention._prune import Pruned, prune
from handoff.retention._usage import Usage, usage
from handoff.retention._verify import Verified, verify

__all__ = [
    "Kept",
    "Pin",
    "Progress",
    "Pruned",
    "Usage",
    "Verified",
    "artifacts",
    "pin",
    "pins",
    "prune",
    "unpin",
    "usage",
    "verify",
]
