"""What was decoded, or came as plain data, made into what a reader's type names; the type alone decides.

A type is made into a function once. Types that name no record convert nothing and are not checked.
"""

from __future__ import annotations

import datetime as dt
import decimal
import functools
import operator
import types
import typing
from collections import abc
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

from handoff import hints, records
from handoff.config import DEEPEST
from handoff.errors import LimitError, MismatchError
from handoff.records import Member, Record, Rows, building, choosing, singles
from handoff.records.building import GIVEN, PLAIN, AtNode, Convert, ConvertRows, FieldType, Misfit, expected

_UNIONS = (types.UnionType, typing.Union)
_SEQUENCES = (list, abc.Sequence, abc.Iterable, abc.Collection, abc.MutableSequence)
_SETS = (set, frozenset, abc.Set, abc.MutableSet)
_MAPPINGS = (dict, abc.Mapping, abc.MutableMapping)
_WRAPPERS = (typing.Annotated, typing.Required, typing.NotRequired, typing.Final, typing.ClassVar)
_SINGLE: frozenset[Any] = frozenset(
    {str, int, float, bool, type(None), bytes, bytearray, complex, decimal.Decimal, UUID}
    | {dt.datetime, dt.date, dt.time, dt.timedelta}
)
_BARE = (tuple, set, frozenset)
_STAND_FOR: Mapping[Any, Any] = {Rows: list}
_FREE: Mapping[Any, Any] = {}


def of_decoded(value: Any, hint: Any, *, holds_records: bool) -> Any:
    """Give a decoded value as the type that its reader asks for.

    Raises: `MismatchError` naming the path, or what to write where it holds records and the type names none.
    """
    convert = _converter(hint)
    if convert is not None:
        return _run(convert, value, PLAIN)
    if holds_records and hint is not records.AsStored:
        suggested = records.suggest(value)
        raise MismatchError(
            f"the value holds records ({records.found_in(value).name}), which are read as a type that the reader names"
            + ("" if hint is Any else f", and {expected(hint)} names none"),
            remedy=f"Annotate the parameter: {suggested}; or call store.get(…, type={suggested})",
        )
    return value


def of_given(value: Any, hint: Any) -> Any:
    """Give a plain value as the type that its reader asks for; what is an object already stays as it is.

    Raises: `MismatchError` naming the path.
    """
    convert = _converter(hint)
    return value if convert is None else _run(convert, value, PLAIN | GIVEN)


def _run(convert: Convert, value: Any, mode: int) -> Any:
    try:
        return convert(value, mode)
    except Misfit as misfit:
        path = misfit.path
        raise MismatchError(f"{path or 'the value'}: {misfit.why}", remedy=misfit.remedy, path=path) from None
    except RecursionError:
        raise LimitError(f"the value is nested deeper than {DEEPEST} levels, or holds itself", limit=DEEPEST) from None


def _converter(hint: Any) -> Convert | None:
    try:
        return None if hint is Any else _compiled(hints.hashable(hint))
    except RecursionError:
        raise LimitError("the type that its reader names holds itself without end", remedy="Mend the alias") from None


@functools.lru_cache(maxsize=256)
def _compiled(hint: Any) -> Convert | None:
    types_ = _Types()
    convert = types_.of(hint)
    return convert if types_.name_records else None


class _Types:
    """The types that are made into functions for one reader."""

    def __init__(self) -> None:
        self.name_records = False
        #: Those of records, which may hold themselves.
        self._known: dict[Any, list[Convert]] = {}
        #: What makes many records at once, by the function that makes one.
        self._many: dict[Convert, ConvertRows] = {}
        #: Those of aliases, which may hold themselves as well, and whether they name records.
        self._aliases: dict[Any, tuple[Convert, bool]] = {}

    def of(self, hint: Any, bound: Mapping[Any, Any] = _FREE) -> Convert:
        """Give the function for a type, in which type variables stand for what they are bound to."""
        if hints.alias_of(hint) is None:
            return self._of(hint, bound)
        hint = hints.hashable(hints.substitute(hint, bound))
        if hint in self._aliases:
            convert, names_record = self._aliases[hint]
            self.name_records |= names_record
            return convert
        cell: list[Convert] = []
        self._aliases[hint] = self._later(cell), False  # it may hold itself
        before, self.name_records = self.name_records, False
        cell.append(self._of(hint, _FREE))
        self._aliases[hint] = cell[0], self.name_records
        self.name_records |= before
        return cell[0]

    def _of(self, hint: Any, bound: Mapping[Any, Any]) -> Convert:
        hint = _bare(hint, bound)
        origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
        if hint is None or hint is types.NoneType:
            return lambda value, mode: value if value is None else building.refuse(value, mode, "None")
        if origin in _UNIONS:
            return self._union(hint, arguments)
        if origin is typing.Literal:
            return self._literal(hint, arguments)
        if records.kind_of(origin):
            self.name_records = True
            return self._record(origin, tuple(hints.hashable(_bare(argument, _FREE)) for argument in arguments))
        if hint in _BARE:
            hint = origin[(Any, ...) if origin is tuple else Any]
            arguments = typing.get_args(hint)
        if arguments and (make := self._container_of(origin)):
            return make(hint, arguments)
        return singles.FEW.get(origin) or singles.leaf(origin)

    def _container_of(self, origin: Any) -> Callable[[Any, tuple[Any, ...]], Convert] | None:
        if origin is tuple:
            return self._tuple
        if origin in _SEQUENCES or origin in _SETS:
            return self._sequence
        return self._mapping if origin in _MAPPINGS else None

    def _record(self, kind: Any, arguments: tuple[Any, ...]) -> Convert:
        key = kind, arguments
        if key in self._known:
            return self._later(self._known[key])
        cell = self._known[key] = list[Convert]()
        if records.kind_of(kind) == "enum":
            cell.append(building.member(kind))
            return cell[0]
        bound = hints.bindings(kind, arguments)

        if records.kind_of(kind) == "typeddict":  # which takes over the annotations of its bases
            bound = {kind: {name: node for each in bound.values() for name, node in each.items()}}

        def of(hint: hints.Hint) -> FieldType:
            self.name_records = False
            own = bound.get(hint.owner, {})
            convert = self.of(hint.type, own)
            names_record, self.name_records = self.name_records, True
            convert_rows = functools.partial(self._each, convert)
            return FieldType(convert, convert_rows, names_record, _as_they_are(hint.type, own))

        if records.kind_of(kind) == "typeddict":
            cell.append(building.typed_dict(kind, of))
        else:
            convert, convert_rows = building.record(kind, of)
            self._many[convert] = convert_rows
            cell.append(convert)
        return cell[0]

    def _later(self, cell: list[Convert]) -> Convert:
        """Give what calls the function that a cell, which is still empty, will hold."""
        later: Convert = lambda value, mode: cell[0](value, mode)  # noqa: E731, PLW0108 - as above
        self._many[later] = lambda rows, mode: self._each(cell[0], rows, mode)
        return later

    def _each(self, convert: Convert, values: Any, mode: int) -> list[Any]:
        if type(values) is Rows:
            make = self._many.get(convert)
            found = make(values, mode) if make else None
            return _each(convert, values.records(), mode) if found is None else found
        return _each(convert, values, mode)

    def _elements(self, convert: Convert, values: Any, mode: int, of: str = "") -> list[Any]:
        try:
            return self._each(convert, values, mode)
        except AtNode as found:
            raise found.misfit.below(f"{of}[{found.place}]") from None

    def _sequence(self, hint: Any, arguments: tuple[Any, ...]) -> Convert:
        element = self.of(arguments[0])
        origin = typing.get_origin(hint)
        kinds = {list: (list,), set: (set,), frozenset: (frozenset,), abc.MutableSequence: (list,)}.get(
            origin,
            (set, frozenset) if origin in _SETS else (list, tuple, set, frozenset)[: 4 - 2 * (origin is abc.Sequence)],
        )

        def convert(value: Any, mode: int) -> Any:
            kind = _STAND_FOR.get(type(value), type(value))
            if kind not in kinds:
                if kind is not list or not mode & PLAIN:
                    return building.refuse(value, mode, expected(hint))
                kind = kinds[0]
            found = self._elements(element, value, mode)
            if kind is type(value) and all(map(operator.is_, found, value)):
                return value
            return found if kind is list else _unique(kind, found)

        return convert

    def _tuple(self, hint: Any, arguments: tuple[Any, ...]) -> Convert:
        every = self.of(arguments[0]) if Ellipsis in arguments else None
        each = [] if every else [self.of(argument) for argument in arguments if argument != ()]

        def convert(value: Any, mode: int) -> Any:
            value = value.records() if type(value) is Rows else value
            if type(value) is not tuple and not (type(value) is list and mode & PLAIN):
                return building.refuse(value, mode, expected(hint))
            if every:
                found = self._elements(every, value, mode)
            else:
                if len(value) != len(each):
                    raise Misfit(f"expected {expected(hint)}, got {len(value)} elements")
                found = []
                for one, node in zip(each, value, strict=True):
                    try:
                        found.append(one(node, mode))
                    except Misfit as misfit:
                        raise misfit.below(f"[{len(found)}]") from None
            is_same = type(value) is tuple and all(map(operator.is_, found, value))
            return value if is_same else tuple(found)

        return convert

    def _mapping(self, hint: Any, arguments: tuple[Any, ...]) -> Convert:
        of_key, of_node = self.of(arguments[0]), self.of(arguments[-1])

        def convert(value: Any, mode: int) -> Any:
            if type(value) is not dict:
                return building.refuse(value, mode, expected(hint))
            keys, nodes = self._elements(of_key, value, mode, ".keys()"), []
            for key, node in value.items():
                try:
                    nodes.append(of_node(node, mode))
                except Misfit as misfit:
                    raise misfit.below(building.step(key)) from None
            if all(map(operator.is_, keys, value)) and all(map(operator.is_, nodes, value.values())):
                return value
            _unique(frozenset, keys)
            return dict(zip(keys, nodes, strict=True))

        return convert

    def _literal(self, hint: Any, arguments: tuple[Any, ...]) -> Convert:
        members = {type(one): building.member(type(one)) for one in arguments if records.kind_of(type(one))}
        self.name_records |= bool(members)

        def convert(value: Any, mode: int) -> Any:
            for one in arguments:
                read = members.get(type(one))
                try:
                    if one is (read(value, mode) if read else value) or (type(one) is type(value) and one == value):
                        return one
                except Misfit:
                    pass
            return building.refuse(value, mode, expected(hint))

        return convert

    def _union(self, hint: Any, options: tuple[Any, ...]) -> Convert:
        each = [self.of(option) for option in options]
        by_name: dict[str, list[Convert]] = {}
        by_type: dict[Any, list[Convert]] = {}
        for option, convert in zip([_bare(option, _FREE) for option in options], each, strict=True):
            origin = typing.get_origin(option) or option
            if records.kind_of(origin):
                by_name.setdefault(records.name_of(origin), []).append(convert)
            by_type.setdefault(types.NoneType if origin is None else origin, []).append(convert)
        if by_name:
            by_type.pop(dict, None)  # a dict may be one of the records as well

        def choose(value: Any, mode: int) -> Any:
            is_record = type(value) in (Record, Member)
            alone = (
                by_name.get(value.name, ()) if is_record else by_type.get(_STAND_FOR.get(type(value), type(value)), ())
            )
            return alone[0](value, mode) if len(alone) == 1 else choosing.only(each, value, mode, expected(hint))

        def choose_of_each(rows: Rows, mode: int) -> list[Any] | None:
            alone = by_name.get(rows.name, ())
            return self._each(alone[0], rows, mode) if len(alone) == 1 else None

        self._many[choose] = choose_of_each
        return choose


def _bare(hint: Any, bound: Mapping[Any, Any]) -> Any:
    """Take off what says nothing of a value's type: aliases, new types, qualifiers, type variables."""
    hint = hints.substitute(hint, bound)
    if hasattr(hint, "__supertype__"):
        return _bare(hint.__supertype__, bound)
    if typing.get_origin(hint) in _WRAPPERS:
        return _bare(typing.get_args(hint)[0], bound)
    alias = hints.alias_of(hint)
    return hint if alias is None else _bare(*alias)


def _as_they_are(hint: Any, bound: Mapping[Any, Any]) -> frozenset[Any]:
    """Give types whose values need not be looked at to be of a type."""
    hint = _bare(hint, bound)
    if typing.get_origin(hint) in _UNIONS:
        return frozenset[Any]().union(*(_as_they_are(option, _FREE) for option in typing.get_args(hint)))
    if hint is Any:
        return _SINGLE
    return _SINGLE & {types.NoneType if hint is None else hint if isinstance(hint, type) else object}


def _each(convert: Convert, values: Iterable[Any], mode: int) -> list[Any]:
    found: list[Any] = []
    try:
        for node in values:
            found.append(convert(node, mode))  # noqa: PERF401 - how many there are tells where it stopped
    except Misfit as misfit:
        raise AtNode(len(found), misfit) from None
    return found


def _unique(kind: Any, elements: list[Any]) -> Any:
    try:
        found = kind(elements)
    except TypeError as error:
        raise Misfit(str(error)) from None
    if len(found) != len(elements):
        raise Misfit("expected distinct elements, and two are equal")
    return found
