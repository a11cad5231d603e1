"""Errors: one tree, each with its builtin, facts as attributes, a remedy, and a way through pickle."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest

import handoff
from handoff import HandoffError, errors

CLASSES = [cls for name, cls in vars(errors).items() if name.endswith("Error") and cls is not HandoffError]
TREE = dict(re.findall(r"[├└]── (\w+) +(\w+)", errors.__doc__ or ""))


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Every error is drawn in the module's docstring with the builtin it inherits, and is public."""
    assert set(TREE) == {cls.__name__ for cls in CLASSES}
    for cls in CLASSES:
        assert TREE[cls.__name__] in [base.__name__ for base in cls.__mro__]
        assert issubclass(cls, HandoffError)
        assert getattr(handoff, cls.__name__) is cls


@pytest.mark.parametrize("cls", [HandoffError, *CLASSES])
def test_errors_survive_pickle_with_their_facts(cls: type[HandoffError]) -> None:
    """Message, remedy, facts and class come back from pickle, as a process pool or an orchestrator sends them."""
    facts: dict[str, Any] = {
        name: 3
        for base in cls.__mro__
        for name in vars(base).get("__annotations__", {})
        if issubclass(base, HandoffError)
    }
    facts.pop("remedy")
    error = cls("it happened", remedy="Do this", **facts)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls
    assert str(again) == str(error) == "it happened. Do this."
    assert {**facts, "remedy": "Do this"} == vars(again)
    assert str(cls("it happened")) == "it happened"


def test_what_a_storage_says_ends_in_one_full_stop() -> None:
    """Where the words of another end a sentence, the remedy follows as the next."""
    assert "bucket: Check your key. Do this." == str(HandoffError("bucket: Check your key.", remedy="Do this"))


def test_an_error_carries_only_facts_it_knows() -> None:
    """A fact that a class does not name is a mistake of ours, found at once."""
    with pytest.raises(TypeError, match="MissingError carries no fact named 'colour'"):
        errors.MissingError("x", colour="red")
