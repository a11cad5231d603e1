"""What annotations mean: each is resolved by itself, and one that means nothing here counts as absent."""

from __future__ import annotations

import functools
import operator
import sys
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple


class Hint(NamedTuple):
    """A field's type, and the class that gives it: whose type variables it speaks of."""

    type: Any
    owner: type


def resolve(
    annotation: Any, names: Mapping[str, Any], others: Mapping[str, Any] | None = None, *, extras: bool = True
) -> Any:
    """Give the type that an annotation means where ``names`` are known, and behind them ``others``; else Any.

    Arguments: ``extras``, whether ``Annotated``, ``Required`` and the like stay.
    """
    holder = type("holder", (), {"__annotations__": {"hint": annotation}})
    try:
        found = typing.get_type_hints(holder, globalns={**(others or {})}, localns={**names}, include_extras=extras)
    except Exception:  # noqa: BLE001 - an annotation is any expression, and may raise anything
        return Any
    return found["hint"]


def of_class(kind: type) -> dict[str, Hint]:
    """Give the types of a class's annotated attributes, inherited ones first."""
    found: dict[str, Hint] = {}
    for base in reversed(kind.__mro__):
        module = sys.modules.get(base.__module__)
        variables = {variable.__name__: variable for variable in getattr(base, "__type_params__", ())}
        others = {**vars(base), base.__name__: base, kind.__name__: kind, **variables}
        for name, annotation in vars(base).get("__annotations__", {}).items():
            found[name] = Hint(resolve(annotation, vars(module) if module else {}, others), base)
    return found


def bindings(kind: type, arguments: tuple[Any, ...]) -> dict[type, dict[Any, Any]]:
    """Give what the type variables of a generic class and of its bases stand for, class by class."""
    own = dict(zip(getattr(kind, "__parameters__", ()), arguments, strict=False))
    found = {kind: own}
    for base in getattr(kind, "__orig_bases__", kind.__bases__):
        origin = typing.get_origin(base) or base
        if isinstance(origin, type) and origin is not typing.Generic:
            found = {**bindings(origin, typing.get_args(substitute(base, own))), **found}
    return found


def substitute(hint: Any, bound: Mapping[Any, Any]) -> Any:
    """Put what type variables stand for in place of them; of one that is free, its bound."""
    if isinstance(hint, typing.TypeVar):
        free = hint.__constraints__ or (hint.__bound__ or Any,)
        return bound.get(hint, functools.reduce(operator.or_, free))
    variables = getattr(hint, "__parameters__", ()) if typing.get_origin(hint) else ()
    try:
        return hint[tuple(substitute(variable, bound) for variable in variables)] if variables else hint
    except TypeError:  # a variable of another sort
        return Any


def alias_of(hint: Any) -> tuple[Any, dict[Any, Any]] | None:
    """Give what an alias stands for, and what its type variables are bound to; None for any other type."""
    alias = typing.get_origin(hint) or hint
    if type(alias).__name__ != "TypeAliasType":
        return None
    try:
        return alias.__value__, dict(zip(alias.__type_params__, typing.get_args(hint), strict=False))
    except Exception:  # noqa: BLE001 - as in an annotation
        return Any, {}


def hashable(hint: Any) -> Any:
    """Give a type as it is, or without what is said beside it where that has no hash."""
    try:
        hash(hint)
    except TypeError:
        return resolve(hint, {}, extras=False)
    return hint
