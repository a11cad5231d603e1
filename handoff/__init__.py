"""Hand data from one task to the next: small values inside the message, large ones as a reference to an artifact."""

from handoff.address import Address
from handoff.context import run
from handoff.decorators import offload
from handoff.defaults import default_store
from handoff.envelope import Handoff, Inline, Stored
from handoff.errors import (
    ConfigError,
    DamagedError,
    DeniedError,
    DependencyError,
    EncodeError,
    EnvelopeError,
    HandoffError,
    IdentityError,
    LimitError,
    MismatchError,
    MissingError,
    StaleError,
    SupersededError,
    UnreachableError,
)
from handoff.event import Event
from handoff.files import File
from handoff.gathering import gather
from handoff.sight import observe
from handoff.store import Store

__all__ = [
    "Address",
    "ConfigError",
    "DamagedError",
    "DeniedError",
    "DependencyError",
    "EncodeError",
    "EnvelopeError",
    "Event",
    "File",
    "Handoff",
    "HandoffError",
    "IdentityError",
    "Inline",
    "LimitError",
    "MismatchError",
    "MissingError",
    "StaleError",
    "Store",
    "Stored",
    "SupersededError",
    "UnreachableError",
    "default_store",
    "gather",
    "observe",
    "offload",
    "run",
]
