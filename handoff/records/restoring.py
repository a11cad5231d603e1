"""Records set as they were, past what their class's constructor would alter: one, or many of a class at once."""

from __future__ import annotations

import copy
import functools
from collections import deque
from collections.abc import Callable
from itertools import repeat
from types import MemberDescriptorType
from typing import Any

import msgspec

from handoff import records

#: Gives a record of a class, its fields and the names of those that were set.
Restore = Callable[[Any, dict[str, Any], list[str]], Any]
#: Gives the records whose fields, in the order of the class, have the values in these columns.
RestoreAll = Callable[[list[Any], list[str] | None], list[Any]]


def one(kind: Any) -> Restore:
    """Give what makes a record of a class. It raises whatever the class does."""
    mark = records.kind_of(kind) or ""
    is_kept = mark == "dataclass" and records.is_kept_in_dict(kind, _names(kind))
    return _dict if is_kept else _RESTORE[mark]


def many(kind: Any) -> RestoreAll | None:
    """Give what makes many records of a class, or raises for all of them; None where each may say its own."""
    make = _ALL.get(records.kind_of(kind))
    return make and make(kind)


def _names(kind: Any) -> list[str]:
    return [field.name for field in records.fields_of(kind)]


def _objects(kind: Any) -> RestoreAll | None:
    names = _names(kind)
    if _keeps_its_hash(kind):
        return None
    if not records.is_kept_in_dict(kind, names):
        slots = [getattr(kind, name, None) for name in names]
        setters = [slot.__set__ for slot in slots if isinstance(slot, MemberDescriptorType)]
        return functools.partial(_in_slots, kind, setters) if len(setters) == len(names) else None
    if kind.__setattr__ is not object.__setattr__:
        return functools.partial(_in_dicts, kind, names)
    return functools.partial(_in_place, kind, names)


def _in_place(kind: Any, names: list[str], columns: list[Any], _: list[str] | None) -> list[Any]:
    made = _blank(kind, len(columns[0]))
    deque(map(_setter(kind, *names), made, *columns), maxlen=0)
    return made


@functools.lru_cache(maxsize=256)
def _setter(kind: Any, *names: str) -> Callable[..., None]:
    # The constructor that the standard library writes for such fields sets them, and nothing else, fastest of all. Each
    # class has its own: the interpreter adapts it to that.
    from dataclasses import make_dataclass

    setter: Callable[..., None] = vars(make_dataclass(kind.__name__, names))["__init__"]
    return setter


def _in_dicts(kind: Any, names: list[str], columns: list[Any], _: list[str] | None) -> list[Any]:
    made = _blank(kind, len(columns[0]))
    states = map(dict, map(zip, repeat(names), zip(*columns, strict=True)))
    deque(map(object.__setattr__, made, repeat("__dict__"), states), maxlen=0)
    return made


def _in_slots(kind: Any, setters: list[Callable[..., None]], columns: list[Any], _: list[str] | None) -> list[Any]:
    made = _blank(kind, len(columns[0]))
    for setter, column in zip(setters, columns, strict=True):
        deque(map(setter, made, column), maxlen=0)
    return made


def _blank(kind: Any, count: int) -> list[Any]:
    return list(map(object.__new__, repeat(kind, count)))


def _structs(kind: Any) -> RestoreAll | None:
    if hasattr(kind, "__post_init__"):
        return None
    if kind.__match_args__ == kind.__struct_fields__:
        return lambda columns, _: list(map(kind, *columns))
    return lambda columns, _: [kind(**dict(zip(_names(kind), row, strict=True))) for row in zip(*columns, strict=True)]


def _tuples(kind: Any) -> RestoreAll:
    return lambda columns, _: list(map(tuple.__new__, repeat(kind), zip(*columns, strict=True)))


def _models(kind: Any) -> RestoreAll | None:
    names = _names(kind)

    def restore(columns: list[Any], given: list[str] | None) -> list[Any]:
        rows = zip(*columns, strict=True)
        return [_model(kind, dict(zip(names, row, strict=True)), names if given is None else given) for row in rows]

    return restore if kind.__new__ is object.__new__ else None


def _object(kind: Any, found: dict[str, Any], _: list[str]) -> Any:
    made = object.__new__(kind)
    for name, node in found.items():
        object.__setattr__(made, name, node)
    if _keeps_its_hash(kind):
        object.__setattr__(made, "_attrs_cached_hash", None)
    return made


def _keeps_its_hash(kind: Any) -> bool:
    return "_attrs_cached_hash" in getattr(getattr(kind.__hash__, "__code__", None), "co_names", ())


def _dict(kind: Any, found: dict[str, Any], _: list[str]) -> Any:
    made = object.__new__(kind)
    object.__setattr__(made, "__dict__", found)
    return made


def _struct(kind: Any, found: dict[str, Any], _: list[str]) -> Any:
    if not hasattr(kind, "__post_init__"):
        return kind(**found)
    made = kind(**copy.deepcopy(found))  # which alters it a second time
    for name, node in found.items():
        msgspec.structs.force_setattr(made, name, node)
    return made


def _tuple(kind: Any, found: dict[str, Any], _: list[str]) -> Any:
    return tuple.__new__(kind, [found[name] for name in kind._fields])


def _model(kind: Any, found: dict[str, Any], given: list[str]) -> Any:
    made = kind.__new__(kind)
    hidden = {name: attribute.get_default() for name, attribute in kind.__private_attributes__.items()}
    private = {name: found.pop(name, default) for name, default in hidden.items()}
    extra = {name: found.pop(name) for name in [*found] if name not in kind.model_fields}
    undefined = "PydanticUndefinedType"
    state = {
        "__dict__": found,
        "__pydantic_fields_set__": {name for name in given if name not in private},
        "__pydantic_extra__": extra if kind.model_config.get("extra") == "allow" else None,
        "__pydantic_private__": {n: v for n, v in private.items() if type(v).__name__ != undefined} if hidden else None,
    }
    for name, node in state.items():
        if node is not None or not hasattr(made, name):  # a root model has None for some of it
            object.__setattr__(made, name, node)
    return made


_RESTORE: dict[str, Restore] = {
    "dataclass": _object,
    "attrs": _object,
    "struct": _struct,
    "namedtuple": _tuple,
    "pydantic": _model,
}
_ALL: dict[str | None, Callable[[Any], RestoreAll | None]] = {
    "dataclass": _objects,
    "attrs": _objects,
    "struct": _structs,
    "namedtuple": _tuples,
    "pydantic": _models,
}
