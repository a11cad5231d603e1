"""What a record is: a class with named fields, or an enumeration; and what stands for one before its type is known."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from handoff import hints
from handoff.hints import Hint

LONGEST_NAME = 200
# Airflow puts it before the name of a DAG file, and it differs by the path.
_UNUSUAL = re.compile(r"\Aunusual_prefix_[0-9a-f]+_")
#: Types of values that hold others.
CONTAINERS = frozenset({dict, list, tuple, set, frozenset})


class Record:
    """A record as it was stored: its type's name, and its fields.

    ``given`` names the fields that its maker had set, where a library keeps account of that, and not all were.
    """

    __slots__ = ("fields", "given", "name")

    def __init__(self, name: str, fields: dict[str, Any], given: list[str] | None = None) -> None:
        self.name = name
        self.fields = fields
        self.given = given


class Rows:
    """A list of records of one class as it was stored: their type's name, and field by field the values in all of them.

    ``kinds`` are the types in each column. A column of records may be such rows itself.
    """

    __slots__ = ("_records", "columns", "given", "kinds", "name", "names")
    # It stands for a list: whoever asks is told so.
    __class__: Any = property(lambda _: list)
    __hash__: Any = None

    def __init__(self, name: str, names: list[str], columns: list[Any], given: list[str] | None = None) -> None:
        self.name = name
        self.names = names
        self.columns = columns
        self.given = given
        self._records: list[Record] | None = None
        self.kinds: list[set[Any]] = [
            {Record} if type(column) is Rows else set(map(type, column)) for column in columns
        ]

    def __len__(self) -> int:
        return len(self.columns[0])

    def records(self) -> list[Record]:
        """Give the records one by one: whenever it is asked, the same."""
        if self._records is None:
            columns = [column.records() if type(column) is Rows else column for column in self.columns]
            rows = zip(*columns, strict=True)
            self._records = [Record(self.name, dict(zip(self.names, row, strict=True)), self.given) for row in rows]
        return self._records


class Member:
    """A member of an enumeration as it was stored: its type's name, its own, and its value if that is plain data.

    One of a flag has the names of the members that it combines.
    """

    __slots__ = ("member", "name", "value")

    def __init__(self, name: str, member: str | list[str], value: Any = msgspec.UNSET) -> None:
        self.name = name
        self.member = member
        self.value = value


class AsStored:
    """What a reader names that has none of the classes, such as a tool: records come as `Record`, `Rows`, `Member`."""


class Field(NamedTuple):
    """A field of a class of records."""

    name: str
    hint: Hint
    #: What the constructor calls it; None where it takes none.
    init: str | None
    #: What gives the value of a field that is left away; None where it must be there.
    default: Callable[[], Any] | None = None
    #: What plain data call it.
    key: str = ""


class Located(Exception):  # noqa: N818 - it says what a node is; users see an error of `handoff.errors`
    """What is wrong with a node; its path is put together while this rises through the containers."""

    def __init__(self, why: str, remedy: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.remedy = remedy
        self._steps: list[str] = []

    def below(self, step: str) -> Located:
        self._steps.append(step)
        return self

    def again(self) -> Located:
        """Give one that says the same, and may rise elsewhere."""
        other = type(self)(self.why, self.remedy)
        other.__dict__["_steps"] = [*self._steps]
        return other

    @property
    def path(self) -> str:
        return "".join(reversed(self._steps)).removeprefix(".")


def name_of(kind: type) -> str:
    """Name a type by its package and name, which stay when a library moves its modules."""
    package = _UNUSUAL.sub("", str(kind.__module__).partition(".")[0])
    name = kind.__qualname__ if package == "builtins" else f"{package}.{kind.__qualname__}"
    name = "numpy.bool" if name == "numpy.bool_" else name  # which it was before numpy 2
    return name if len(name) <= LONGEST_NAME and name.isprintable() else repr(name)[1:LONGEST_NAME]


def kind_of(kind: Any) -> str | None:
    """Tell what makes a class one of records; None for any other. The libraries are told by their marks."""
    if not isinstance(kind, type) or kind.__module__ == "handoff.envelope":
        return None
    enum = sys.modules.get("enum")
    if enum and issubclass(kind, enum.Enum):  # whatever its members are besides
        return "enum"
    for mark, name in _MARKS.items():
        if hasattr(kind, mark):
            return name
    if issubclass(kind, tuple) and hasattr(kind, "_fields") and hasattr(kind, "_make"):
        return "namedtuple"
    return None


def is_flag(kind: type) -> bool:
    """Whether an enumeration is one whose members combine."""
    return issubclass(kind, sys.modules["enum"].Flag)


def is_kept_in_dict(kind: Any, names: Iterable[str]) -> bool:
    """Whether the fields of a class's instances are what is in their ``__dict__``."""
    return bool(kind.__dictoffset__) and not any(hasattr(getattr(kind, name, None), "__set__") for name in names)


def found_in(value: Any) -> Any:
    """Give a record of a decoded value, or what stands for some, if there is one."""
    level = [value]
    while level:
        if not _STAND_INS.isdisjoint(map(type, level)):
            return next(node for node in level if type(node) in _STAND_INS)
        level = gc.get_referents(*[node for node in level if type(node) in CONTAINERS])
    return None


def suggest(value: Any) -> str:
    """Write the type that a decoded value might be read as."""
    if type(value) in _STAND_INS:
        name: str = value.name.rpartition(".")[2]
        return f"list[{name}]" if type(value) is Rows else name
    if type(value) is dict and value:
        return f"dict[{suggest(next(iter(value)))}, {suggest(next(iter(value.values())))}]"
    if type(value) in CONTAINERS and value:
        return f"{type(value).__name__}[{suggest(next(iter(value)))}{', ...' * (type(value) is tuple)}]"
    return type(value).__name__


def fields_of(kind: type) -> list[Field]:
    """Give the fields of a class of records, in their order; those of a TypedDict are in its annotations."""
    mark = kind_of(kind)
    return _FIELDS[mark](kind, hints.of_class(kind)) if mark in _FIELDS else []


def _of_dataclass(kind: Any, known: Mapping[str, Hint]) -> list[Field]:
    from dataclasses import MISSING, fields

    return [
        Field(
            field.name,
            known.get(field.name) or Hint(hints.resolve(field.type, {}), kind),
            field.name if field.init else None,
            _default(field.default, field.default_factory, MISSING),
            field.name if field.init else "",
        )
        for field in fields(kind)
    ]


def _of_attrs(kind: Any, known: Mapping[str, Hint]) -> list[Field]:
    nothing = sys.modules["attr"].NOTHING
    found: list[Field] = []
    for field in kind.__attrs_attrs__:
        factory = getattr(field.default, "factory", None) if hasattr(field.default, "takes_self") else None
        default = _default(field.default, factory, nothing)
        hint = known.get(field.name) or Hint(hints.resolve(field.type or Any, {}), kind)
        found.append(Field(field.name, hint, field.alias if field.init else None, default, field.name))
    return found


def _of_struct(kind: Any, known: Mapping[str, Hint]) -> list[Field]:
    return [
        Field(
            field.name,
            known.get(field.name, Hint(field.type, kind)),
            field.name,
            _default(field.default, field.default_factory, msgspec.NODEFAULT),
            field.encode_name,
        )
        for field in msgspec.structs.fields(kind)
    ]


def _of_pydantic(kind: Any, _: Mapping[str, Hint]) -> list[Field]:
    return [
        Field(name, Hint(field.annotation, kind), name, None if field.is_required() else _later(field), name)
        for name, field in kind.model_fields.items()
    ]


def _of_namedtuple(kind: Any, known: Mapping[str, Hint]) -> list[Field]:
    return [
        Field(
            name,
            known.get(name, Hint(Any, kind)),
            name,
            _default(kind._field_defaults.get(name, kind), None, kind),
            name,
        )
        for name in kind._fields
    ]


def _later(field: Any) -> Callable[[], Any]:
    return lambda: field.get_default(call_default_factory=True, validated_data={})


def _default(default: Any, factory: Any, missing: Any) -> Callable[[], Any] | None:
    if factory is not None and factory is not missing:
        given: Callable[[], Any] = factory
        return given
    return None if default is missing else lambda: default


_STAND_INS = frozenset({Record, Rows, Member})
_MARKS = {
    "__dataclass_fields__": "dataclass",
    "__attrs_attrs__": "attrs",
    "__struct_fields__": "struct",
    "__pydantic_validator__": "pydantic",
    "__required_keys__": "typeddict",
}
_FIELDS: dict[str | None, Callable[[Any, Mapping[str, Hint]], list[Field]]] = {
    "dataclass": _of_dataclass,
    "attrs": _of_attrs,
    "struct": _of_struct,
    "pydantic": _of_pydantic,
    "namedtuple": _of_namedtuple,
}
