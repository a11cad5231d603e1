"""Every error this library raises, grouped by what the caller does about it.

::

    HandoffError
    │  fix the value, the message or the size
    ├── EncodeError       TypeError           a value cannot be kept as it is
    ├── EnvelopeError     ValueError          a message is not a handoff this version can read
    ├── LimitError        ValueError          too large or nested too deep
    │  run the producer again
    ├── MissingError      FileNotFoundError   there is no artifact at the address
    ├── StaleError        LookupError         the artifact was overwritten since
    ├── DamagedError      ValueError          the bytes are not what was written
    │  mend access, or try again later
    ├── DeniedError       PermissionError     the storage says no
    ├── UnreachableError  ConnectionError     the storage does not answer, or is full
    │  stop
    ├── SupersededError   RuntimeError        a newer attempt has already written
    │  mend the program or its settings
    ├── IdentityError     LookupError         which task is running is not certain
    ├── ConfigError       ValueError          a setting has no meaning
    ├── MismatchError     TypeError           a value is not of the type that its reader names, or it names none
    └── DependencyError   ImportError         an extra is not installed

Each one also inherits the builtin named beside it, carries facts as attributes, and survives pickle. Where many values
are read or written in one call and several fail, one error holds them all in its ``failures``: of the class that asks
most of its reader.
"""

from __future__ import annotations

from collections.abc import Sequence


class HandoffError(Exception):
    """Any failure of this library.

    Arguments: ``what`` happened and where, as a sentence without its full stop; ``remedy``, what to do next;
    further facts by name, each of which becomes an attribute.
    """

    remedy: str = ""
    #: The address concerned, as the path below the root.
    address: str | None = None
    #: The place in storage, for people: never resolved.
    uri: str | None = None
    #: Where several of many failed at once: the error of each, in order.
    failures: tuple[HandoffError, ...] = ()

    def __init__(self, what: str, *, remedy: str = "", **facts: object) -> None:
        super().__init__(f"{what.removesuffix('.')}. {remedy}." if remedy else what)
        unknown = [name for name in facts if not hasattr(type(self), name)]
        if unknown:
            raise TypeError(f"{type(self).__name__} carries no fact named {unknown[0]!r}")
        self.__dict__.update(facts, remedy=remedy)


class EncodeError(HandoffError, TypeError):
    """A value, or a part of it, cannot be kept exactly as it is. Change the part at ``path``."""

    #: Where in the value, such as ``rows[3].price``; empty for the value itself.
    path: str = ""


class EnvelopeError(HandoffError, ValueError):
    """A message is not a handoff that this version can read, or what it names is of a newer version."""


class LimitError(HandoffError, ValueError):
    """A size or a depth is over its limit. ``size`` and ``limit`` are in the same unit."""

    size: int | None = None
    limit: int | None = None


class MissingError(HandoffError, FileNotFoundError):
    """There is no artifact at the address. Run the producer again."""


class StaleError(HandoffError, LookupError):
    """A whole, valid artifact stands at the address, but not the one this handoff names.

    Run the reader with the newer handoff, or the producer again.
    """

    #: The attempt that made the handoff.
    attempt: int | None = None


class DamagedError(HandoffError, ValueError):
    """The bytes at rest are not what was written. Run the producer again."""


class DeniedError(HandoffError, PermissionError):
    """The storage refused. Mend the permissions or the credentials."""


class UnreachableError(HandoffError, ConnectionError):
    """The storage did not answer in time, is not there, or has no room. Try again later."""


class SupersededError(HandoffError, RuntimeError):
    """A newer attempt of the same task has already written here. Stop."""

    #: The attempt that has written.
    attempt: int | None = None


class IdentityError(HandoffError, LookupError):
    """Which task is running is not certain, so nothing was written. Say which."""


class ConfigError(HandoffError, ValueError):
    """A setting, or a use of the library, has no meaning."""


class MismatchError(HandoffError, TypeError):
    """A value is not of the type that its reader names, or holds records and the reader names none.

    Mend the annotation, or the producer.
    """

    #: Where in the value, such as ``flights[3].price``; empty for the value itself.
    path: str = ""


class DependencyError(HandoffError, ImportError):
    """A library that this value or this root needs is not installed. Install the ``extra``."""

    extra: str = ""


def newer(what: str) -> EnvelopeError:
    """Give the error for what no version up to this one has written, and damage does not explain."""
    return EnvelopeError(f"{what} of a newer dag-handoff than this one", remedy="Upgrade dag-handoff where it is read")


# From what a person has to mend to what a retry may: a caller that only retries must not be told to.
_GRAVEST = (
    SupersededError,
    ConfigError,
    DependencyError,
    IdentityError,
    DeniedError,
    EncodeError,
    LimitError,
    MismatchError,
    EnvelopeError,
    DamagedError,
    MissingError,
    StaleError,
    UnreachableError,
)
_IN_FULL = 10


def as_one(failures: Sequence[HandoffError], count: int) -> HandoffError:
    """Make one error of those of several values, of the class that asks most; a single one stays itself.

    Arguments: the failures in order; ``count``, how many were tried. Guarantees: its text names the address of each.
    """
    if len(failures) == 1:
        return failures[0]
    kind = next(kind for kind in (*_GRAVEST, HandoffError) if any(isinstance(error, kind) for error in failures))
    remedy = next(error.remedy for error in failures if isinstance(error, kind))
    lines = dict.fromkeys(
        f"{type(error).__name__}: {error if number < _IN_FULL else error.address or error}"
        for number, error in enumerate(failures)
    )
    head = f"{len(failures):,} of {count:,} failed" + (f". {remedy}" if remedy else "")
    whole = kind("\n  ".join([head, *lines]), failures=tuple(failures))
    whole.remedy = remedy
    return whole
