"""`offload`: a task's arguments arrive loaded, and its result leaves as a handoff."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from typing import Any, ParamSpec, TypeVar, overload

from msgspec import UNSET, UnsetType

from handoff import context, files, taskflow, who
from handoff.address import RETURN_VALUE, Address
from handoff.arguments import Loader, resolve_hint
from handoff.cancellation import in_thread
from handoff.config import check_limit
from handoff.context import Task
from handoff.errors import ConfigError
from handoff.results import Sender
from handoff.store import Store

P = ParamSpec("P")
R = TypeVar("R")


@overload
def offload(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def offload(
    *, store: Store | None = None, inline_limit: int | UnsetType | None = UNSET, key: str = RETURN_VALUE
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def offload(
    function: Callable[..., Any] | None = None,
    /,
    *,
    store: Store | None = None,
    inline_limit: int | UnsetType | None = UNSET,
    key: str = RETURN_VALUE,
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
    if taskflow.is_task_decorator(function):
        raise ConfigError("@offload stands above @task", remedy="Write @task above @offload")
    if not callable(function):
        raise ConfigError(f"@offload decorates a function, not {type(function).__name__}")
    if elsewhere := taskflow.runs_elsewhere(function):
        raise ConfigError(
            f"@task.{elsewhere} runs a function's source elsewhere, where @offload is unknown",
            remedy="Leave @offload away there, and call store.get and store.put inside: docs/airflow.md shows how",
        )
    wrap = _wrap
    if inspect.iscoroutinefunction(function):
        wrap = _wrap_async
    elif inspect.isgeneratorfunction(function):
        wrap = _wrap_generator
    wrapper = wrap(function, Loader(function, store), Sender(store, inline_limit, key))

    if not hasattr(function, "__name__"):  # a partial: its task is named after the function inside
        wrapper.__name__ = getattr(getattr(function, "func", function), "__name__", type(function).__name__)
    vars(wrapper)[taskflow.MARK] = True
    # Airflow reads the return annotation in the module of the wrapper, where its names mean nothing.
    returned = getattr(function, "__annotations__", {}).get("return")
    if isinstance(returned, str):
        resolved = resolve_hint(function, returned)
        wrapper.__annotations__ = {**function.__annotations__, "return": resolved}
        if resolved is Any:
            del wrapper.__annotations__["return"]
    return wrapper


def _wrap(function: Callable[..., Any], loader: Loader, sender: Sender) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        task = context.running(wrapper, kwargs)
        with files.kept(task), who.being(task):
            args, kwargs = loader.load(args, kwargs)
            with context.inside(task):
                return sender.send(function(*args, **kwargs), task)

    return wrapper


def _wrap_async(function: Callable[..., Any], loader: Loader, sender: Sender) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        task = context.running(wrapper, kwargs)
        with files.kept(task), who.being(task):
            args, kwargs = await in_thread(functools.partial(loader.load, args, kwargs))
            with context.inside(task):
                result = await function(*args, **kwargs)
                return await in_thread(functools.partial(sender.send, result, task))

    return wrapper


def _wrap_generator(function: Callable[..., Any], loader: Loader, sender: Sender) -> Callable[..., Any]:
    def steps(task: Task | None, args: Any, kwargs: Any) -> Generator[Any, Any, Any]:
        with files.kept(task), who.being(task):
            args, kwargs = loader.load(args, kwargs)
            with context.inside(task):
                result = yield from function(*args, **kwargs)
                return sender.send(result, task)

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return (yield from _in_own_context(steps(context.running(wrapper, kwargs), args, kwargs)))

    return wrapper


def _in_own_context(steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Run the steps of a generator where what it sets is seen by none that runs between them."""
    import contextvars

    own = contextvars.copy_context()
    step: Callable[[], Any] = functools.partial(steps.send, None)
    while True:
        try:
            item = own.run(step)
        except StopIteration as end:
            return end.value
        try:
            sent = yield item
        except GeneratorExit:
            own.run(steps.close)
            raise
        except BaseException as error:  # noqa: BLE001 - whatever is thrown is for the steps
            step = functools.partial(steps.throw, error)
        else:
            step = functools.partial(steps.send, sent)
