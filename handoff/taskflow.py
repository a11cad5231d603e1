"""What Airflow does with a task's arguments and its result, told by the shape of its objects.

Nothing of Airflow is imported here, and of what its objects hold nothing is evaluated that is not needed.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import msgspec

from handoff import plain
from handoff.config import DEEPEST, MESSAGE_CAP
from handoff.errors import ConfigError

Role = Literal["result", "condition", "answer"]
"""What a function returns: the task's result, one that counts only where it is true, or a sensor's answer."""

_ROLES: dict[str, Role] = {
    "@task": "result",
    "PythonOperator": "result",
    "@task.short_circuit": "condition",
    "ShortCircuitOperator": "condition",
    "@task.sensor": "answer",
    "PythonSensor": "answer",
}
_LAZY = frozenset({"LazyXComSequence", "LazyXComSelectSequence", "_MapResult", "_ZipResult", "_ConcatResult"})
_CONTAINERS = frozenset({dict, list, tuple, set})
#: Arguments of an operator that are a list or a dict of a function's own.
_SPREAD = ("op_args", "op_kwargs")
_EXPANSIONS = ("op_kwargs_expand_input", "expand_input", "_expand_input")
_ELSEWHERE = frozenset(
    {"virtualenv", "external_python", "branch_virtualenv", "branch_external_python", "docker", "kubernetes"}
)
_DEFINITION = re.compile(r"\s*(async\s+)?def\s")
_LONGEST_DECORATOR = 100
# A slice of results comes in one answer, and Airflow 3 gives each answer five seconds.
_SLICE = 64

#: What marks a function that loads its arguments.
MARK = "__offloads__"


class Shape(msgspec.Struct, frozen=True):
    """How a task's result is handed over.

    Arguments: the ``role`` of what its function returns; ``outputs``, whether the values of the dict it returns are
    results of their own; ``levels``, how deep the result is opened: 1 where tasks are mapped over its elements, 2
    where each element is a dict of arguments.
    """

    role: Role = "result"
    outputs: bool = False
    levels: int = 0


def shape_of(task: Any, map_index: int) -> Shape | None:
    """Tell how a task's result is handed over; None where Airflow reads it by itself, or does not push it.

    Branches and commands are read by Airflow; other operators may do with the value what they like.

    Raises: `ConfigError` where ``.map`` would give a function what it cannot read.
    """
    role = _ROLES.get(getattr(task, "custom_operator_name", None) or type(task).__name__)
    if role is None or not getattr(task, "do_xcom_push", True):
        return None
    depth = _depth_of_use(task)
    # An instance of a mapped task gives one element of what the tasks after it take.
    levels = depth if map_index < 0 else max(0, depth - 1)
    return Shape(role, bool(getattr(task, "multiple_outputs", False)), levels)


def is_lazy_sequence(kind: type) -> bool:
    """Whether a type is what Airflow passes for many results: a sequence that fetches or makes each when asked."""
    return kind.__name__ in _LAZY and is_airflows(kind) and issubclass(kind, Sequence)


def fetch(sequence: Any) -> list[Any]:
    """Give what a lazy sequence holds, as a list.

    The results of a mapped task stand at their map index: None for an instance that gave none, where Airflow itself
    would close the gap.
    """
    kind = type(sequence).__name__
    if kind == "LazyXComSequence":
        return _fetch_from_api(sequence)
    if kind == "LazyXComSelectSequence":
        return _fetch_from_database(sequence)
    return list(sequence)


def is_airflows(kind: type) -> bool:
    """Whether a type is one of Airflow's own, such as an Asset."""
    return str(kind.__module__).partition(".")[0] == "airflow"


def is_of_airflow(value: Any) -> bool:
    """Whether a result is for Airflow itself to write: assets, alone or in containers beside plain values.

    A container is one of these where its first element is; elsewhere in data, an object of Airflow's is refused.
    """
    first = value
    for _ in range(DEEPEST):
        if type(first) not in _CONTAINERS or not first:
            break
        first = next(iter(first.values() if type(first) is dict else first))
    if not is_airflows(type(first)):
        return False
    return value is first or plain.encode(_without_airflow(value), MESSAGE_CAP) is not None


def runs_elsewhere(function: Callable[..., Any]) -> str:
    """Name the decorator above that ships a function's source to another interpreter; empty where there is none."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    lines: list[str] = []
    if code is not None:
        for number in range(code.co_firstlineno, code.co_firstlineno + _LONGEST_DECORATOR):
            lines.append(linecache.getline(code.co_filename, number))
            if not lines[0].lstrip().startswith("@"):
                return ""  # a lambda, or no decorator
            if _DEFINITION.match(lines[-1]):
                break
    decorators = textwrap.dedent("".join(lines[:-1]))
    try:
        found = ast.parse(f"{decorators}def function(): ...").body[0]
    except SyntaxError:
        return ""
    for decorator in getattr(found, "decorator_list", ()):
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(called, ast.Attribute) and called.attr in _ELSEWHERE:
            return called.attr
    return ""


def is_task_decorator(value: object) -> bool:
    """Whether an object is what ``@task`` made, and no function any more."""
    return getattr(type(value), "_airflow_is_task_decorator", False) is True


def layers(function: Any) -> Iterator[Any]:
    """Give a callable, and what it wraps: decorated functions, partials and methods."""
    while function is not None:
        yield function
        function = next(
            filter(None, (getattr(function, name, None) for name in ("__wrapped__", "func", "__func__"))), None
        )


def _without_airflow(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {name: _without_airflow(node) for name, node in value.items()}
    if kind is list:
        return [_without_airflow(node) for node in value]
    if kind in _CONTAINERS and all(is_airflows(type(node)) for node in value):
        return None
    return None if is_airflows(kind) else value


def _depth_of_use(task: Any) -> int:
    """Tell how deep Airflow itself looks into a task's result: 0 where it passes it on whole, 1 to its elements."""
    dependants = list(task.iter_mapped_dependants())
    depth = int(bool(dependants))
    others = getattr(getattr(task, "dag", None), "tasks", ())
    after = getattr(task, "downstream_task_ids", None)
    for other in [*(other for other in others if after is None or other.task_id in after), *dependants]:
        held = getattr(other, "__dict__", {})  # and no properties: they may do anything
        given = {name: held.get(name) for name in getattr(other, "template_fields", ())}
        given.update(getattr(other, "partial_kwargs", None) or {})
        depth = max([depth, *(_depth_in(name, argument, task) for name, argument in given.items())])
        for name in _EXPANSIONS:
            expansion: Any = getattr(getattr(other, name, None), "value", None)
            if type(expansion) is dict:
                inner = [_depth_in(key, argument, task) for key, argument in expansion.items() if key in _SPREAD]
                views = [_depth_in("", argument, task) for argument in expansion.values()]
                depth = max([depth, *(found + 1 for found in inner if found), *views])
            else:  # what .expand_kwargs takes: a list of dicts of arguments
                depth = max(depth, 2 * int(_refers(expansion, task)), _depth_in("", expansion, task))
    return depth


def _depth_in(name: str, argument: Any, task: Any) -> int:
    """Tell how deep Airflow looks into a task's result for an argument."""
    views = list(_views(argument, task))
    for view in views:
        _check_map(view)
    return int(bool(views) or (name in _SPREAD and _refers(argument, task)))


def _views(argument: Any, task: Any) -> Iterator[Any]:
    """Give what an argument holds of ``.map``, ``.zip`` and ``.concat`` over a task's result."""
    kind = type(argument)
    if kind in _CONTAINERS:
        for node in argument.values() if kind is dict else argument:
            yield from _views(node, task)
    elif _refers(argument, task):
        parts = [*getattr(argument, "args", ()), *filter(None, [getattr(argument, "arg", None)])]
        if parts:
            yield argument
            for part in parts:
                yield from _views(part, task)


def _refers(argument: Any, task: Any) -> bool:
    if not type(argument).__name__.endswith("XComArg"):
        return False
    return any(source.task_id == task.task_id for source, _ in argument.iter_references())


def _check_map(view: Any) -> None:
    functions = getattr(view, "callables", ())
    if functions and not any(hasattr(layer, MARK) for layer in layers(functions[0])):
        name = getattr(functions[0], "__name__", str(functions[0]))
        raise ConfigError(
            f".map calls {name} with this task's results, and {name} cannot read those that are handed over",
            remedy=f"Write .map(offload({name}))",
        )


def _fetch_from_api(sequence: Any) -> list[Any]:
    argument, instance = getattr(sequence, "_xcom_arg", None), getattr(sequence, "_ti", None)
    if argument is not None and instance is not None:
        task = argument.operator
        of_task = {"dag_id": task.dag_id, "task_ids": [task.task_id], "run_ids": [instance.run_id]}
        count = instance.get_ti_count(**of_task)
        removed = instance.get_ti_count(**of_task, states=["removed"])  # what a shorter mapping left behind
        if removed or count != len(sequence):
            if not instance.get_ti_count(**of_task, map_index=0):
                return []  # what was mapped over nothing has one instance, and it is not numbered
            count -= removed
            return list(instance.xcom_pull(task_ids=task.task_id, key=argument.key, map_indexes=range(count)))
    return [value for start in range(0, len(sequence), _SLICE) for value in sequence[start : start + _SLICE]]


def _fetch_from_database(sequence: Any) -> list[Any]:
    statement: Any = getattr(sequence, "_select_asc", None)
    models: Any = sys.modules.get("airflow.models.xcom"), sys.modules.get("airflow.models.taskinstance")
    if None in models or not hasattr(statement, "add_columns"):
        return list(sequence)
    if "map_index" in str(statement.whereclause):  # some were asked for, in an order of their own
        return list(sequence)
    row, instance = models[0].BaseXCom, models[1].TaskInstance
    session, value_of = sequence._session, sequence._process_row  # noqa: SLF001 - what its own iterator uses
    found = session.execute(statement.add_columns(row.dag_id, row.run_id, row.task_id, row.map_index)).all()
    values = [value_of(row) for row in found]
    ids = {(row.dag_id, row.run_id, row.task_id) for row in found}
    if len(ids) != 1 or any(row.map_index < 0 for row in found):
        return values
    dag_id, run_id, task_id = ids.pop()
    query = session.query(instance.map_index, instance.state)
    instances = query.filter_by(dag_id=dag_id, run_id=run_id, task_id=task_id).all()
    by_index = {row.map_index: value for row, value in zip(found, values, strict=True)}
    return [by_index.get(index) for index, state in sorted(instances) if state != "removed"]
