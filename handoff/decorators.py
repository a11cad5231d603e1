"""`offload`: a task's arguments arrive loaded, and its result leaves as a handoff."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Generator, Mapping
from typing import Any, ParamSpec, TypeVar, overload

import msgspec
from msgspec import UNSET, UnsetType

from handoff import context, envelope
from handoff.address import Address
from handoff.config import DEEPEST, MESSAGE_CAP, check_limit
from handoff.context import Task
from handoff.envelope import Handoff, Inline, Stored
from handoff.errors import ConfigError, LimitError
from handoff.sizes import human_size
from handoff.store import Store, default_store

P = ParamSpec("P")
R = TypeVar("R")

_CONTAINERS = frozenset({dict, list, tuple})
_HANDOFFS = frozenset({Inline, Stored})
_OPENED = _CONTAINERS | _HANDOFFS
_UNIONS = (types.UnionType, typing.Union)
# A message cannot hold more nodes than this and a handoff among them.
_MOST_NODES = 10_000


@overload
def offload(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def offload(
    *, store: Store | None = None, inline_limit: int | UnsetType | None = UNSET, key: str = "return_value"
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def offload(
    function: Callable[..., Any] | None = None,
    /,
    *,
    store: Store | None = None,
    inline_limit: int | UnsetType | None = UNSET,
    key: str = "return_value",
) -> Any:
    """Load the arguments of a task and hand over its result. Goes below ``@task``.

    Arguments that are handoffs arrive as their values, also inside lists, tuples, dicts and Airflow's sequences of
    mapped outputs; a parameter annotated `Handoff` arrives as the handoff. All others are passed on untouched. The
    result leaves as its envelope where the function is the running task's own; otherwise it is a plain function.

    Arguments: ``store``, else `default_store`; ``inline_limit`` in place of the store's; ``key`` of the address.
    Raises: `ConfigError` above ``@task``; when called, what ``Store.get`` and ``Store.put`` raise, and
    `IdentityError`.
    """
    if store is not None and not isinstance(store, Store):
        raise ConfigError(f"store must be a Store, not {type(store).__name__}", remedy="Write Store('s3://bucket')")
    if inline_limit is not UNSET:
        check_limit(inline_limit)
    Address("dag", "run", "task", key=key)  # a key that has no address is refused here, and not when a task runs
    if function is None:
        return lambda function: _decorate(function, store, inline_limit, key)
    return _decorate(function, store, inline_limit, key)


def _decorate(
    function: Callable[..., Any], store: Store | None, inline_limit: int | UnsetType | None, key: str
) -> Callable[..., Any]:
    if context.is_task_decorator(function):
        raise ConfigError("@offload stands above @task", remedy="Write @task above @offload")
    if not callable(function):
        raise ConfigError(f"@offload decorates a function, not {type(function).__name__}")
    wrap = _wrap
    if inspect.iscoroutinefunction(function):
        wrap = _wrap_async
    elif inspect.isgeneratorfunction(function):
        wrap = _wrap_generator
    wrapper = wrap(function, _Loader(function, store), _Sender(store, inline_limit, key))

    if not hasattr(function, "__name__"):  # a partial: its task is named after the function inside
        wrapper.__name__ = getattr(getattr(function, "func", function), "__name__", type(function).__name__)
    # Airflow reads the return annotation in the module of the wrapper, where its names mean nothing.
    returned = getattr(function, "__annotations__", {}).get("return")
    if isinstance(returned, str):
        resolved = _resolve_hint(function, returned)
        if resolved is not Any:
            wrapper.__annotations__ = {**function.__annotations__, "return": resolved}
    return wrapper


def _wrap(function: Callable[..., Any], loader: _Loader, sender: _Sender) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        task = context.running(wrapper, kwargs)
        args, kwargs = loader.load(args, kwargs)
        with context.inside(task):
            result = function(*args, **kwargs)
        return sender.send(result, task)

    return wrapper


def _wrap_async(function: Callable[..., Any], loader: _Loader, sender: _Sender) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        import asyncio

        task = context.running(wrapper, kwargs)
        args, kwargs = await asyncio.to_thread(loader.load, args, kwargs)
        with context.inside(task):
            result = await function(*args, **kwargs)
        return await asyncio.to_thread(sender.send, result, task)

    return wrapper


def _wrap_generator(function: Callable[..., Any], loader: _Loader, sender: _Sender) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        task = context.running(wrapper, kwargs)
        args, kwargs = loader.load(args, kwargs)
        result = yield from function(*args, **kwargs)
        return sender.send(result, task)

    return wrapper


class _Loader:
    """Puts values in place of handoffs, at the positions where a function was given them."""

    def __init__(self, function: Callable[..., Any], store: Store | None) -> None:
        self._function = function
        self._given_store = store

    def load(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        positional, named, others = self._hints
        hints = [*positional[: len(args)], *[others] * (len(args) - len(positional))]
        return (
            tuple(self._load(value, hint, 0) for value, hint in zip(args, hints, strict=True)),
            {name: self._load(value, named.get(name, Any), 0) for name, value in kwargs.items()},
        )

    def _load(self, value: Any, hint: Any, depth: int) -> Any:
        kind = type(value)
        if _is_handoff(hint):
            return value if value is None or kind in _HANDOFFS else envelope.bind(envelope.read(value), self._store)
        if kind in _HANDOFFS:
            return value.load(hint) if envelope.is_bound(value) else self._store.get(value, hint)
        if envelope.is_envelope(value):
            return self._store.get(value, hint)
        if kind in _CONTAINERS and depth < DEEPEST:  # what is nested deeper, or holds itself, is no message
            return self._load_container(value, hint, depth + 1)
        if context.is_lazy_sequence(kind):
            return [self._load(node, _hint_of_elements(hint), depth) for node in value]
        return value

    def _load_container(self, value: Any, hint: Any, depth: int) -> Any:
        nodes = value.values() if type(value) is dict else value
        hint = _hint_of_elements(hint)
        kinds = set(map(type, nodes))
        if not _is_handoff(hint) and _OPENED.isdisjoint(kinds) and not any(map(context.is_lazy_sequence, kinds)):
            return value
        loaded = [self._load(node, hint, depth) for node in nodes]
        if all(before is after for before, after in zip(nodes, loaded, strict=True)):
            return value
        return dict(zip(value, loaded, strict=True)) if type(value) is dict else type(value)(loaded)

    @property
    def _store(self) -> Store:
        return self._given_store or default_store()

    @functools.cached_property
    def _hints(self) -> tuple[list[Any], dict[str, Any], Any]:
        """The types that positional, named and further positional arguments are annotated with."""
        positional: list[Any] = []
        named: dict[str, Any] = {}
        others: Any = Any
        for name, parameter in _parameters(self._function).items():
            hint = _resolve_hint(self._function, parameter.annotation)
            if parameter.kind is parameter.VAR_POSITIONAL:
                others = hint
            elif parameter.kind is not parameter.VAR_KEYWORD:
                named[name] = hint
                if parameter.kind is not parameter.KEYWORD_ONLY:
                    positional.append(hint)
        return positional, named, others


class _Sender:
    """Hands over what a function returned."""

    def __init__(self, store: Store | None, inline_limit: int | UnsetType | None, key: str) -> None:
        self._given_store = store
        self._inline_limit = inline_limit
        self._key = key

    def send(self, result: Any, task: Task | None) -> Any:
        if task is None:
            return result
        if type(result) in _HANDOFFS:
            return result.to_json()
        store = self._given_store or default_store()
        at = task.address(self._key)
        if _holds_handoffs(result):
            return self._send_container(result, store, at)
        return store.put(result, at, attempt=task.attempt, inline_limit=self._inline_limit).to_json()

    def _send_container(self, result: Any, store: Store, at: Address) -> Any:
        message = _envelopes(result, store, at, 0)
        limit = store.inline_limit if self._inline_limit is UNSET else self._inline_limit
        size = len(msgspec.json.encode(message))
        if size > (limit or MESSAGE_CAP):
            raise LimitError(
                f"the handoffs and values returned together take a message of {human_size(size)}",
                remedy="Return fewer, or put what is large and return its handoff",
                size=size,
                limit=limit or MESSAGE_CAP,
            )
        return message


def _envelopes(value: Any, store: Store, at: Address, depth: int) -> Any:
    if type(value) in _HANDOFFS:
        return value.to_json()
    if not _holds_handoffs(value):
        # The address is the whole result's: a part has none of its own, so it travels in the message or not at all.
        return store.put(value, at, inline_limit=None).to_json()
    if depth == DEEPEST:
        raise LimitError(f"the result is nested deeper than {DEEPEST} levels, or holds itself", limit=DEEPEST)
    if type(value) is dict:
        return {name: _envelopes(node, store, at, depth + 1) for name, node in value.items()}
    return type(value)(_envelopes(node, store, at, depth + 1) for node in value)


def _holds_handoffs(value: Any) -> bool:
    level = [value] if type(value) in _CONTAINERS else []
    nodes = 0
    while level:
        nodes += sum(map(len, level))
        if nodes > _MOST_NODES:
            return False
        below: list[Any] = []
        for container in level:
            below += container.values() if type(container) is dict else container
        kinds = set(map(type, below))
        if not kinds.isdisjoint(_HANDOFFS):
            return True
        level = [] if kinds.isdisjoint(_CONTAINERS) else [node for node in below if type(node) in _CONTAINERS]
    return False


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except ValueError:  # some functions written in C do not tell
        return {}


def _resolve_hint(function: Callable[..., Any], annotation: Any) -> Any:
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
    options = [option for option in typing.get_args(hint) if option is not types.NoneType]
    return options[0] if typing.get_origin(hint) in _UNIONS and len(options) == 1 else hint


def _is_handoff(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Handoff)


def _hint_of_elements(hint: Any) -> Any:
    arguments = [argument for argument in typing.get_args(hint) if argument is not Ellipsis]
    return arguments[-1] if arguments and typing.get_origin(hint) not in _UNIONS else Any
