"""Records made of what was stored of them, or of plain data: of each class, a function that does it."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from msgspec import UNSET

from handoff import hints, records
from handoff.hints import Hint
from handoff.records import Field, Located, Member, Record, Rows, models, name_of, restoring

#: How a node is taken: of plain data, of plain data inside of a record, by the recorded name alone, of an argument in
#: which objects stay as they are. None of it inside of a stored record: there all is exact.
PLAIN, JSON, NAMED, GIVEN = 1, 2, 4, 8

#: Gives a node as one type, or raises `Misfit`.
Convert = Callable[[Any, int], Any]


#: Gives many records as one type, or raises `AtNode`; None where they are to be taken one by one.
ConvertRows = Callable[[Rows, int], list[Any] | None]


class FieldType(NamedTuple):
    """A field's type made ready: the functions for it, whether it names a record, and types of values that just fit."""

    convert: Convert
    convert_rows: Callable[[Rows, int], list[Any]]
    names_record: bool
    as_they_are: frozenset[Any] = frozenset()


_Of = Callable[[Hint], FieldType]

_JSON_TYPES = frozenset({dict, list, str, int, float, bool, type(None)})
_LABEL = 40
_MOST_SHAPES = 1000


class Misfit(Located):
    """A node that is not of the reader's type."""


class AtNode(Exception):  # noqa: N818 - as `Located`
    """The first of many nodes that is not of the reader's type: which one it is, and why."""

    def __init__(self, place: int, misfit: Located) -> None:
        super().__init__(place)
        self.place = place
        self.misfit = misfit


def expected(hint: Any) -> str:
    """Write a type for people."""
    if isinstance(hint, type) and not typing.get_args(hint):
        return hint.__qualname__.rpartition("<locals>.")[2]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(origin, type) and origin.__module__ not in ("types", "typing"):
        return f"{expected(origin)}[{', '.join('...' if one is Ellipsis else expected(one) for one in arguments)}]"
    if arguments and origin is not typing.Literal:
        return " | ".join("None" if one is type(None) else expected(one) for one in arguments)
    return str(hint).removeprefix("typing.")


def step(key: Any) -> str:
    """Write a key of a dict as a step in a path."""
    is_name = type(key) is str and key.isidentifier() and len(key) <= _LABEL
    return f".{key}" if is_name else f"[{key!r:.{_LABEL}}]"


def refuse(value: Any, mode: int, wanted: str) -> Any:
    """Say what was wanted in place of a value; but an object among arguments is given back. Raises: `Misfit`."""
    if mode & GIVEN and type(value) not in _JSON_TYPES:
        return value
    name = value.name if isinstance(value, Record | Member) else name_of(value.__class__)
    raise Misfit(f"expected {wanted}, got {'None' if value is None else name}")


def record(kind: Any, of: _Of) -> tuple[Convert, ConvertRows]:
    """Give what makes records of a class, and what makes many."""
    plan = _Plan(kind, of)

    def convert(value: Any, mode: int) -> Any:
        if type(value) is Record:
            return plan.of_stored(value, mode & NAMED)
        if isinstance(value, kind):
            return value
        if mode & PLAIN and (type(value) is dict or plan.is_root):
            return plan.of_plain(value, mode | JSON)
        return refuse(value, mode, plan.wanted)

    return convert, plan.of_rows


def typed_dict(kind: Any, of: _Of) -> Convert:
    """Give what checks the keys of a dict, and makes records of its values."""
    wanted = expected(kind)
    annotated = hints.of_class(kind)
    fields = _Fields(wanted, {name: of(hint) for name, hint in annotated.items()}, {})
    required = {name for name, hint in annotated.items() if _is_required(hint.type, name in kind.__required_keys__)}

    def convert(value: Any, mode: int) -> Any:
        if type(value) is not dict:
            return refuse(value, mode, wanted)
        fields.check(value)
        _check_missing(required - value.keys(), wanted)
        found = fields.convert(value, mode)
        return value if all(found[name] is node for name, node in value.items()) else found

    return convert


def member(kind: Any) -> Convert:
    """Give what makes members of an enumeration: of what was stored, or of the plain value of one."""
    wanted = expected(kind)

    def convert(value: Any, mode: int) -> Any:
        if type(value) is Member:
            found = None if mode & NAMED and value.name != name_of(kind) else _member_of(kind, value)
            if found is None:
                raise Misfit(f"expected {wanted}, got {value.name}.{value.member!s:.{_LABEL}}, which is none of these")
            return found
        if isinstance(value, kind):
            return value
        if mode & PLAIN and (
            type(value) is int if records.is_flag(kind) else any(_is_value(one._value_, value) for one in kind)
        ):
            return _call(kind, wanted, value)
        return refuse(value, mode, wanted)

    return convert


def _member_of(kind: Any, stored: Member) -> Any:
    """Give the member of the recorded name, unless its value is another by now."""
    if isinstance(stored.member, str):
        found = kind.__members__.get(stored.member)
        return (
            found if stored.value is UNSET or (found is not None and _is_value(found._value_, stored.value)) else None
        )
    if not records.is_flag(kind) or type(stored.value) is not int:
        return None
    found = _call(kind, expected(kind), stored.value)
    return found if [one._name_ for one in found] == stored.member else None


class _Plan:
    """How the records of one class are made."""

    def __init__(self, kind: Any, of: _Of) -> None:
        self.wanted = expected(kind)
        self.is_root = getattr(kind, "__pydantic_root_model__", False)
        self._kind = kind
        self._name = name_of(kind)
        self._mark = records.kind_of(kind) or ""
        self._fields = {field.name: field for field in records.fields_of(kind)}
        #: Those that must be there, and of them those that a constructor takes.
        self._needed_at_all = {name for name, field in self._fields.items() if not field.default}
        self._needed = {name for name in self._needed_at_all if self._fields[name].init}
        types = {name: of(field.hint) for name, field in self._fields.items()}
        private: dict[str, Field] = {}
        self._others: FieldType | None = None
        if self._mark == "pydantic":
            anything = of(Hint(Any, kind))
            annotated = hints.of_class(kind)
            for name in kind.__private_attributes__:
                own = of(annotated.get(name) or Hint(Any, kind))
                types[name] = own if own.names_record else anything
                private[name] = Field(name, Hint(Any, kind), None, kind.__private_attributes__[name].get_default)
            self._others = anything if kind.model_config.get("extra") == "allow" else None
        stored = {name: own._replace(as_they_are=_exact(own.as_they_are)) for name, own in types.items()}
        self._stored = _Fields(self.wanted, stored, self._fields | private)
        #: What the fields are called in plain data.
        self._names: dict[str, str | None] = {
            key: one.name for one in self._fields.values() for key in (one.name, one.key) if one.init
        }
        if self._mark == "pydantic":
            self._names = models.aliases(kind)
        seen = {
            key: types[name]
            for key, name in self._names.items()
            if name is not None and (self._mark != "pydantic" or types[name].names_record)
        }
        self._plain = _Fields(self.wanted, seen, {})
        self._restore = restoring.one(kind)
        self._restore_all = restoring.many(kind)

    def of_stored(self, value: Record, mode: int) -> Any:
        """Give a record as it was where its type has this name, and the constructor's own answer otherwise."""
        is_own = value.name == self._name
        if not is_own and (mode & NAMED or _has_subclass(self._kind, value.name)):
            raise Misfit(f"expected {self.wanted}, got {value.name}")
        self._stored.check(value.fields, self._others)
        missing = self._needed_at_all if is_own else self._needed
        _check_missing(missing - value.fields.keys(), self.wanted)
        found = self._stored.convert(value.fields, mode, self._others)
        if not is_own:
            return self._construct(found)
        given = list(found) if value.given is None else value.given
        for name, field in self._fields.items():
            if name not in found:
                found[name] = _call(typing.cast("Any", field.default), self.wanted)
        return _call(self._restore, self.wanted, self._kind, found, given)

    def of_rows(self, rows: Rows, mode: int) -> list[Any] | None:
        """Give records as they were where all of their type's fields are there; None where each is to be looked at.

        Raises: `AtNode`.
        """
        if rows.name != self._name or rows.names != [*self._fields] or self._restore_all is None:
            return None
        columns: list[Any] = []
        first: AtNode | None = None
        for name, column, kinds in zip(rows.names, rows.columns, rows.kinds, strict=True):
            try:
                columns.append(self._stored.convert_all(name, column, kinds, mode & NAMED))
            except AtNode as found:
                found.misfit.below(step(name))
                first = found if first is None or found.place < first.place else first
        if first is not None:
            raise first
        try:
            return _call(self._restore_all, self.wanted, columns, rows.given)  # type: ignore[no-any-return]
        except Misfit as misfit:  # an abstract class, say: the first is refused like all
            raise AtNode(0, misfit) from None

    def of_plain(self, value: Any, mode: int) -> Any:
        """Give a record of a dict, as its constructor would take it."""
        if self._mark == "pydantic":
            return self._of_json(value, mode)
        config = getattr(self._kind, "__struct_config__", None)
        if config and config.tag is not None and value.get(config.tag_field) == config.tag:
            value = {name: node for name, node in value.items() if name != config.tag_field}
        self._plain.check(value)
        _check_missing(self._needed - {self._names[key] for key in value}, self.wanted)
        found = self._plain.convert(value, mode)
        return self._construct({str(self._names[key]): node for key, node in found.items()})

    def _of_json(self, value: Any, mode: int) -> Any:
        model = self._kind
        if type(value) is dict and not self.is_root:
            unknown = [name for name in value if name not in self._names]
            if unknown and model.model_config.get("extra") is None:
                raise _unknown(unknown[0], self.wanted)
            # Its own validators see to the rest; but unknown fields of a record in it would go unnoticed.
            inner = {name: node for name, node in value.items() if name in self._plain.types}
            value = {**value, **self._plain.convert(inner, mode)}
        return _call(model.model_validate, self.wanted, value)

    def _construct(self, found: dict[str, Any]) -> Any:
        if self._mark == "pydantic":
            private = [name for name in self._kind.__private_attributes__ if name in found]
            if private:
                raise _unknown(private[0], self.wanted)
            return _call(models.validate, self.wanted, self._kind, found)
        named = {field.init: found[name] for name, field in self._fields.items() if field.init and name in found}
        made = _call(self._kind, self.wanted, **named)
        for name, node in found.items():
            if not self._fields[name].init:
                object.__setattr__(made, name, node)
        return made


class _Fields:
    """Gives the fields of a record, or the values of a dict, each as its own type."""

    def __init__(self, wanted: str, types: dict[str, FieldType], defaults: dict[str, Field]) -> None:
        self.wanted = wanted
        self.types = types
        self._defaults = defaults
        #: Names and types of values that need no further look: most rows of many are alike.
        self._seen: set[tuple[Any, ...]] = set()

    def check(self, nodes: dict[Any, Any], others: FieldType | None = None) -> None:
        """Refuse names that are unknown, before any of the values is looked at. Raises: `Misfit`."""
        if others is None and not nodes.keys() <= self.types.keys():
            raise _unknown(next(name for name in nodes if name not in self.types), self.wanted)

    def convert(self, nodes: dict[Any, Any], mode: int, others: FieldType | None = None) -> dict[str, Any]:
        shape = (*nodes, *map(type, nodes.values()))
        if shape in self._seen:
            return dict(nodes)
        found: dict[str, Any] = {}
        is_plain = len(self._seen) < _MOST_SHAPES
        for name, node in nodes.items():
            own = typing.cast("FieldType", self.types.get(name, others))
            if type(node) in own.as_they_are:
                found[name] = node
                continue
            is_plain = False
            try:
                found[name] = own.convert(node, mode)
            except Misfit as misfit:
                if not self._is_default(name, node):
                    raise misfit.below(step(name)) from None
                found[name] = node
        if is_plain:
            self._seen.add(shape)
        return found

    def convert_all(self, name: str, nodes: Any, kinds: set[Any], mode: int) -> list[Any]:
        """Give the stored values of one field, a list or `Rows`. Raises: `AtNode`."""
        own = self.types[name]
        if type(nodes) is Rows:
            return own.convert_rows(nodes, mode)
        if kinds <= own.as_they_are:
            return nodes  # type: ignore[no-any-return]  # a list
        found: list[Any] = []
        for node in nodes:
            try:
                found.append(own.convert(node, mode))
            except Misfit as misfit:
                if not self._is_default(name, node):
                    raise AtNode(len(found), misfit) from None
                found.append(node)
        return found

    def _is_default(self, name: str, node: Any) -> bool:
        # A default need not be of the field's type: `price: float = None` is often written.
        field = self._defaults.get(name)
        return type(node) in _JSON_TYPES and bool(field and field.default and _is_value(field.default(), node))


def _exact(kinds: frozenset[Any]) -> frozenset[Any]:
    """Add to types of values that fit those which Python takes for them, and which stay what they were when stored."""
    return kinds | ({int, bool} if float in kinds else {bool} if int in kinds else set())


def _unknown(name: Any, wanted: str) -> Located:
    return Misfit(f"{wanted} has no such field").below(step(name))


def _check_missing(names: Iterable[str], wanted: str) -> None:
    for name in sorted(names):
        raise Misfit(f"{wanted} needs this field, and it is missing").below(step(name))


def _is_value(one: Any, other: Any) -> bool:
    """Whether two values, or those in two containers, are the same; NaN is itself."""
    if type(one) is type(other) and type(one) in (list, tuple, dict):
        nodes, others = (one, other) if type(one) is not dict else ([*one.values(), *one], [*other.values(), *other])
        return len(nodes) == len(others) and all(map(_is_value, nodes, others))
    return type(one) is type(other) and bool(one == other or (one != one and other != other))  # noqa: PLR0124 - NaN


def _is_required(hint: Any, otherwise: bool) -> bool:  # noqa: FBT001 - what holds where the type does not say
    while (origin := typing.get_origin(hint)) in (typing.Annotated, typing.Required, typing.NotRequired):
        if origin is not typing.Annotated:
            return origin is typing.Required
        hint = hint.__origin__
    return otherwise


def _has_subclass(kind: Any, name: str) -> bool:
    """Whether the name is that of a class below: as its base, such a record would come back as less than it was."""
    return any(name_of(below) == name or _has_subclass(below, name) for below in kind.__subclasses__())


def _call(make: Callable[..., Any], wanted: str, /, *args: Any, **kwargs: Any) -> Any:
    """Call what the class itself says, and let its refusal say where."""
    try:
        return make(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - a constructor may raise anything
        misfit: Located = Misfit(f"{wanted} refuses it: {error}")
        errors: Any = getattr(error, "errors", None)
        if hasattr(error, "error_count"):  # pydantic's own
            first = errors()[0]
            misfit = Misfit(f"{first['msg']} ({wanted})")
            for key in reversed(first["loc"]):
                misfit = misfit.below(f"[{key}]" if isinstance(key, int) else step(key))
        raise misfit from None
