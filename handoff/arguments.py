"""A task's arguments: values in place of handoffs, at the positions where a function was given them."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from handoff import envelope, lanes, log, taskflow
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

_Visit = Callable[[Handoff, Any], Any]


class Loader:
    """Puts values in place of the handoffs among the arguments of a function."""

    def __init__(self, function: Callable[..., Any], store: Store | None) -> None:
        self._function = function
        self._given_store = store

    def load(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Give the arguments with values in them. Handoffs are fetched side by side; the first failure is raised."""
        if MARK in kwargs or any(type(value) is str and value == MARK for value in args):
            raise EnvelopeError(
                "the function was called with the entries of an envelope, in place of arguments",
                remedy="Put @offload below the @task of what its op_args or op_kwargs take",
            )
        found: list[tuple[Handoff, Any]] = []
        fetched: dict[int, list[Any]] = {}

        def collect(handoff: Handoff, hint: Any) -> None:
            found.append((handoff, hint))

        walked = self._walk_all(args, kwargs, _Walk(self._reader, fetched, collect))
        if not found:
            return walked
        values = self._load_all(found)
        return self._walk_all(args, kwargs, _Walk(self._reader, fetched, lambda *_: next(values)))

    def _walk_all(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], walk: _Walk
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        positional, named, others, rest = self._hints
        hints = [*positional[: len(args)], *[others] * (len(args) - len(positional))]
        return (
            tuple(walk.value(value, hint, 0) for value, hint in zip(args, hints, strict=True)),
            {name: walk.value(value, named.get(name, rest), 0) for name, value in kwargs.items()},
        )

    def _load_all(self, found: list[tuple[Handoff, Any]]) -> Iterator[Any]:
        with log.loads([handoff for handoff, _ in found]):
            return iter(
                lanes.in_order((envelope.weight_of(handoff), self._call(handoff, hint)) for handoff, hint in found)
            )

    def _call(self, handoff: Handoff, hint: Any) -> Callable[[], Any]:
        if envelope.is_bound(handoff):
            return functools.partial(handoff.load, hint)
        return functools.partial(self._reader().get, handoff, hint)

    def _reader(self) -> Store:
        return self._given_store or default_store()

    @functools.cached_property
    def _hints(self) -> tuple[list[Any], dict[str, Any], Any, Any]:
        """The types that positional, named, further positional and further named arguments are annotated with."""
        positional: list[Any] = []
        named: dict[str, Any] = {}
        others: Any = Any
        rest: Any = Any
        for name, parameter in _parameters(self._function).items():
            hint = resolve_hint(self._function, parameter.annotation)
            if parameter.kind is parameter.VAR_POSITIONAL:
                others = hint
            elif parameter.kind is parameter.VAR_KEYWORD:
                rest = hint
            else:
                named[name] = hint
                if parameter.kind is not parameter.KEYWORD_ONLY:
                    positional.append(hint)
        return positional, named, others, rest


class _Walk:
    """One walk over arguments: what is to be loaded is visited in order, and what holds nothing of it stays itself."""

    def __init__(self, reader: Callable[[], Store], fetched: dict[int, list[Any]], visit: _Visit) -> None:
        self._reader = reader
        self._fetched = fetched
        self._visit = visit
        #: What became of each container: one may stand at many places, or hold itself.
        self._walked: dict[tuple[int, int], Any] = {}

    def value(self, value: Any, hint: Any, depth: int) -> Any:
        kind = type(value)
        if _is_handoff(hint):
            return value if value is None or kind in _HANDOFFS else envelope.bind(envelope.read(value), self._reader())
        if kind in _HANDOFFS:
            return self._visit(value, hint)
        if envelope.is_envelope(value):
            return self._visit(Handoff.from_json(value), hint)
        if kind in CONTAINERS and depth < DEEPEST:  # what is nested deeper is no message
            if depth or _mentions_handoff(hint) or _holds_handoffs(value):
                return self._container_once(value, hint, depth + 1)
        elif taskflow.is_lazy_sequence(kind):
            nodes = self._fetched.get(id(value))
            if nodes is None:
                nodes = self._fetched[id(value)] = taskflow.fetch(value)
            return [self.value(node, _hint_of_elements(hint), depth) for node in nodes]
        return value

    def _container_once(self, value: Any, hint: Any, depth: int) -> Any:
        place = (id(value), id(hint))
        if place not in self._walked:
            self._walked[place] = value
            self._walked[place] = self._container(value, hint, depth)
        return self._walked[place]

    def _container(self, value: Any, hint: Any, depth: int) -> Any:
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
        if hints is None:
            loaded = [self.value(node, hint, depth) for node in nodes]
        else:
            loaded = [self.value(node, own, depth) for node, own in zip(nodes, hints, strict=True)]
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
    if annotation is inspect.Parameter.empty:
        return Any

    def holder() -> None: ...

    holder.__annotations__ = {"hint": annotation}
    names = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        hint = typing.get_type_hints(holder, globalns=names)["hint"]
    except Exception:  # noqa: BLE001 - an annotation is any expression, and may raise anything
        return Any
    return _without_none(hint)


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except ValueError:  # some functions written in C do not tell
        return {}


def _is_handoff(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Handoff)


def _without_none(hint: Any) -> Any:
    options = [option for option in typing.get_args(hint) if option is not types.NoneType]
    return options[0] if typing.get_origin(hint) in _UNIONS and len(options) == 1 else hint


def _mentions_handoff(hint: Any) -> bool:
    return _is_handoff(hint) or any(map(_mentions_handoff, typing.get_args(hint)))


def _hint_of_elements(hint: Any) -> Any:
    arguments = [argument for argument in typing.get_args(hint) if argument is not Ellipsis]
    return _without_none(arguments[-1]) if arguments and typing.get_origin(hint) not in _UNIONS else Any


def _hints_of_tuple(hint: Any, length: int) -> list[Any] | None:
    """Give the types of a tuple's elements, where each has one of its own."""
    arguments = typing.get_args(hint) if typing.get_origin(hint) is tuple else ()
    return [*map(_without_none, arguments)] if Ellipsis not in arguments and len(arguments) == length else None
