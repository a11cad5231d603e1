"""A task's arguments: values in place of handoffs, at the positions where a function was given them."""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from handoff import envelope, hints, lanes, parcel, records, sight, taskflow
from handoff.config import DEEPEST
from handoff.containers import CONTAINERS, levels
from handoff.defaults import default_store
from handoff.envelope import MARK, Handoff, Inline, Stored
from handoff.errors import EnvelopeError
from handoff.store import Store

_HANDOFFS = frozenset({Inline, Stored})
_OPENED = CONTAINERS | _HANDOFFS
# Above it, and where a value holds itself, nodes are looked at one by one.
_MOST_NODES = 2_000_000
_UNIONS = (types.UnionType, typing.Union)
# All others are objects, which stay as they are: the context that Airflow passes is full of them.
_PLAIN = CONTAINERS | {str, int, float, bool, type(None)}

_PLAIN_CODECS = frozenset({"plain", "tree"})

#: Is given what is to be loaded, its type, and where it stands.
_Visit = Callable[[Handoff, Any, str], Any]


class _Parameter(NamedTuple):
    """What is known of an argument's value: its name, its type, and whether None may stand for none."""

    name: str
    hint: Any = Any
    may_be_none: bool = False


#: The positional and the named parameters, and those for further positional and further named arguments.
_Parameters = tuple[list[_Parameter], dict[str, _Parameter], _Parameter, _Parameter]


class Loader:
    """Puts values in place of the handoffs among the arguments of a function."""

    def __init__(self, function: Callable[..., Any], store: Store | None) -> None:
        self._function = function
        self._given_store = store
        self._found: _Parameters | None = None

    def load(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Give the arguments with values in them. Handoffs are fetched side by side, and fail as one."""
        if MARK in kwargs or any(type(value) is str and value == MARK for value in args):
            raise EnvelopeError(
                "the function was called with the entries of an envelope, in place of arguments",
                remedy="Put @offload below the @task of what its op_args or op_kwargs take",
            )
        found: list[tuple[Handoff, Any, str]] = []
        fetched: dict[int, list[Any]] = {}

        def collect(handoff: Handoff, hint: Any, where: str) -> None:
            found.append((handoff, hint, where))

        walked = self._walk_all(args, kwargs, _Walk(self._reader, fetched, collect))
        if found:
            values = self._load_all(found)
            walked = self._walk_all(args, kwargs, _Walk(self._reader, fetched, lambda *_: next(values)))
        return self._fit_all(args, kwargs, walked)

    def _walk_all(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], walk: _Walk
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        parameters = self._parameters_of(args)
        return (
            tuple(walk.value(value, one.hint, 0, one.name) for value, one in zip(args, parameters, strict=True)),
            {name: walk.value(value, self._named(name).hint, 0, name) for name, value in kwargs.items()},
        )

    def _fit_all(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], loaded: tuple[tuple[Any, ...], dict[str, Any]]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Make records of plain arguments whose types name them; what was loaded is already."""
        return (
            tuple(map(_fit, args, loaded[0], self._parameters_of(args))),
            {name: _fit(value, loaded[1][name], self._named(name)) for name, value in kwargs.items()},
        )

    def _load_all(self, found: list[tuple[Handoff, Any, str]]) -> Iterator[Any]:
        with sight.together():
            return iter(
                lanes.in_order((envelope.weight_of(handoff), self._call(handoff, *of)) for handoff, *of in found)
            )

    def _call(self, handoff: Handoff, hint: Any, where: str) -> Callable[[], Any]:
        load = handoff.load if envelope.is_bound(handoff) else functools.partial(self._reader().get, handoff)

        def call() -> Any:
            with parcel.named(where, envelope.address_of(handoff)):
                # A table's library is told by its class alone.
                return load(hint if handoff.codec in _PLAIN_CODECS else _without_none(hint))

        return call

    def _reader(self) -> Store:
        return self._given_store or default_store()

    @property
    def _known(self) -> _Parameters:
        if self._found is None:
            self._found = self._looked_up()
        return self._found

    def _looked_up(self) -> _Parameters:
        positional: list[_Parameter] = []
        named: dict[str, _Parameter] = {}
        others = rest = _Parameter("args")
        for name, parameter in _parameters(self._function).items():
            known = _Parameter(name, _hint_of(self._function, parameter.annotation), parameter.default is None)
            if parameter.kind is parameter.VAR_POSITIONAL:
                others = known
            elif parameter.kind is parameter.VAR_KEYWORD:
                rest = known
                if records.kind_of(known.hint) == "typeddict":  # Airflow's own `**context: Context`, say
                    rest = known._replace(hint=Any)
                elif typing.get_origin(known.hint) is typing.Unpack:
                    rest = known._replace(hint=Any)
                    for key, hint in hints.of_class(typing.get_args(known.hint)[0]).items():
                        named.setdefault(key, _Parameter(key, hint.type))
            else:
                named[name] = known
                if parameter.kind is not parameter.KEYWORD_ONLY:
                    positional.append(known)
        return positional, named, others, rest

    def _parameters_of(self, args: tuple[Any, ...]) -> list[_Parameter]:
        positional, _, others, _ = self._known
        more = range(len(args) - len(positional))
        return [*positional[: len(args)], *(others._replace(name=f"{others.name}[{number}]") for number in more)]

    def _named(self, name: str) -> _Parameter:
        _, named, _, rest = self._known
        return named.get(name) or rest._replace(name=name)


class _Walk:
    """One walk over arguments: what is to be loaded is visited in order, and what holds nothing of it stays itself."""

    def __init__(self, reader: Callable[[], Store], fetched: dict[int, list[Any]], visit: _Visit) -> None:
        self._reader = reader
        self._fetched = fetched
        self._visit = visit
        #: What became of each container: one may stand at many places, or hold itself.
        self._walked: dict[tuple[int, int], Any] = {}

    def value(self, value: Any, hint: Any, depth: int, where: str) -> Any:
        kind = type(value)
        if _is_handoff(hint):
            return value if value is None or kind in _HANDOFFS else envelope.bind(envelope.read(value), self._reader())
        if kind in _HANDOFFS:
            return self._visit(value, hint, where)
        if envelope.is_envelope(value):
            return self._visit(Handoff.from_json(value), hint, where)
        if kind in CONTAINERS and depth < DEEPEST:  # what is nested deeper is no message
            if depth or _mentions_handoff(hint) or _holds_handoffs(value):
                return self._container_once(value, hint, depth + 1, where)
        elif taskflow.is_lazy_sequence(kind):
            nodes = self._fetched.get(id(value))
            if nodes is None:
                nodes = self._fetched[id(value)] = taskflow.fetch(value)
            inner = _hint_of_elements(hint)
            return [self.value(node, inner, depth, f"{where}[{number}]") for number, node in enumerate(nodes)]
        return value

    def _container_once(self, value: Any, hint: Any, depth: int, where: str) -> Any:
        place = (id(value), id(hint))
        if place not in self._walked:
            self._walked[place] = value
            self._walked[place] = self._container(value, hint, depth, where)
        return self._walked[place]

    def _container(self, value: Any, hint: Any, depth: int, where: str) -> Any:
        if _is_entry(value):
            raise EnvelopeError(
                "a task was mapped over the entries of an envelope, in place of the elements of a result",
                remedy="Put @offload below the @task of the producer, so that each element is handed over by itself",
            )
        nodes = list(value.values()) if type(value) is dict else value
        kinds = set(map(type, nodes))
        hints = _hints_of_tuple(hint, len(nodes)) if type(value) is tuple else None
        hint = _hint_of_elements(hint)
        asks = _is_handoff(hint) if hints is None else any(map(_is_handoff, hints))
        if not asks and _OPENED.isdisjoint(kinds) and not any(map(taskflow.is_lazy_sequence, kinds)):
            return value
        steps = [f"{where}[{key!r:.40}]" for key in (value if type(value) is dict else range(len(nodes)))]
        each = zip(nodes, [hint] * len(nodes) if hints is None else hints, steps, strict=True)
        loaded = [self.value(node, own, depth, step) for node, own, step in each]
        if all(before is after for before, after in zip(nodes, loaded, strict=True)):
            return value
        return dict(zip(value, loaded, strict=True)) if type(value) is dict else type(value)(loaded)


def _holds_handoffs(value: Any) -> bool:
    """Whether there may be anything to load in a container."""
    if _is_entry(value):
        return True
    try:
        for nodes, kinds in levels(value, _MOST_NODES):
            if not kinds.isdisjoint(_HANDOFFS) or any(map(taskflow.is_lazy_sequence, kinds)):
                return True
            if dict in kinds and any(map(envelope.is_envelope, nodes)):
                return True
            if tuple in kinds and any(map(_is_entry, nodes)):
                return True
    except OverflowError:  # or it holds itself
        return True
    return False


def _is_entry(value: Any) -> bool:
    """Whether a value is what Airflow makes of an envelope that a task is mapped over: its entries."""
    return type(value) is tuple and len(value) > 0 and type(value[0]) is str and value[0] == MARK


def resolve_hint(function: Callable[..., Any], annotation: Any) -> Any:
    """Give the type an annotation means, each by itself; one that means nothing here counts as absent."""
    return _without_none(_hint_of(function, annotation))


def _hint_of(function: Callable[..., Any], annotation: Any) -> Any:
    if annotation is inspect.Parameter.empty:
        return Any
    inner = inspect.unwrap(function)
    inside = dict[str, Any]()
    with contextlib.suppress(TypeError, ValueError):  # no function of Python's own, or a name that has no value yet
        inside.update(inspect.getclosurevars(inner).nonlocals)
    return hints.resolve(annotation, inside, getattr(inner, "__globals__", {}), extras=False)


def _fit(given: Any, value: Any, parameter: _Parameter) -> Any:
    """Give a plain argument as the records that its parameter names; one that was loaded, or is an object, stays."""
    hint = parameter.hint
    if type(value) not in _PLAIN or type(given) in _HANDOFFS or envelope.is_envelope(given) or _mentions_handoff(hint):
        return value
    if value is None and parameter.may_be_none:
        return value
    with parcel.named(parameter.name):
        return parcel.of_given(value, hint)


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except ValueError:  # some functions written in C do not tell
        return {}


def _is_handoff(hint: Any) -> bool:
    hint = _without_none(hint)
    return isinstance(hint, type) and issubclass(hint, Handoff)


def _without_none(hint: Any) -> Any:
    options = [option for option in typing.get_args(hint) if option is not types.NoneType]
    return options[0] if typing.get_origin(hint) in _UNIONS and len(options) == 1 else hint


def _mentions_handoff(hint: Any) -> bool:
    return _is_handoff(hint) or any(map(_mentions_handoff, typing.get_args(hint)))


def _hint_of_elements(hint: Any) -> Any:
    hint = _without_none(hint)
    arguments = [argument for argument in typing.get_args(hint) if argument is not Ellipsis]
    return arguments[-1] if arguments and typing.get_origin(hint) not in _UNIONS else Any


def _hints_of_tuple(hint: Any, length: int) -> list[Any] | None:
    """Give the types of a tuple's elements, where each has one of its own."""
    hint = _without_none(hint)
    arguments = typing.get_args(hint) if typing.get_origin(hint) is tuple else ()
    return [*arguments] if Ellipsis not in arguments and len(arguments) == length else None
