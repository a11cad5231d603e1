"""What Airflow does with a task's arguments and its result, told by the shape of its objects.

Nothing of Airflow is imported here, and of what its objects hold nothing is evaluated that is not needed.
"""

from __future__ import annotations

import inspect
import linecache
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import msgspec

from handoff.config import DEEPEST
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
_EXPANSIONS = ("op_kwargs_expand_input", "expand_input", "_expand_input")
_ELSEWHERE = re.compile(r"@[\w.]*\.(virtualenv|external_python|docker|kubernetes|pyspark_cmd)\b")
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
    views = [found for argument in _arguments_beside(task) for found in _views(argument, task)]
    for found in views:
        _check_map(found)
    levels = 0
    # An instance of a mapped task is itself one element of what the tasks after it are mapped over.
    if map_index < 0:
        dependants = list(task.iter_mapped_dependants())
        levels = 2 if any(_takes_arguments(other, task) for other in dependants) else int(bool(dependants or views))
    return Shape(role, bool(getattr(task, "multiple_outputs", False)), levels)


def is_lazy_sequence(kind: type) -> bool:
    """Whether a type is what Airflow passes for many results: a sequence that fetches or makes each when asked."""
    return kind.__name__ in _LAZY and kind.__module__.startswith("airflow.") and issubclass(kind, Sequence)


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


def is_of_airflow(value: Any) -> bool:
    """Whether a result is an object of Airflow's own, or a container of such: assets, which Airflow writes itself."""
    for _ in range(DEEPEST):
        if type(value) not in (dict, list, tuple, set) or not value:
            break
        value = next(iter(value.values() if type(value) is dict else value))
    return type(value).__module__.partition(".")[0] == "airflow"


def runs_elsewhere(function: Callable[..., Any]) -> str:
    """Name the decorator above that ships a function's source to another interpreter; empty where there is none."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is not None:
        for number in range(code.co_firstlineno, code.co_firstlineno + _LONGEST_DECORATOR):
            line = linecache.getline(code.co_filename, number).strip()
            if line.startswith(("def ", "async def ")):
                break
            if found := _ELSEWHERE.match(line):
                return found[1]
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


def _arguments_beside(task: Any) -> Iterator[Any]:
    """Give the arguments of all tasks of the DAG."""
    for other in getattr(getattr(task, "dag", None), "tasks", ()):
        for name in getattr(other, "template_fields", ()):
            yield getattr(other, name, None)
        yield getattr(other, "partial_kwargs", None)
        for name in _EXPANSIONS:
            yield getattr(getattr(other, name, None), "value", None)
    for group in task.iter_mapped_dependants():
        yield getattr(getattr(group, "_expand_input", None), "value", None)


def _views(argument: Any, task: Any) -> Iterator[Any]:
    """Give what an argument holds of ``.map``, ``.zip`` and ``.concat`` over a task's result."""
    kind = type(argument)
    if kind in (list, tuple):
        for node in argument:
            yield from _views(node, task)
    elif kind is dict:
        for node in argument.values():
            yield from _views(node, task)
    elif kind.__name__.endswith("XComArg") and _refers(argument, task):
        parts = [*getattr(argument, "args", ()), *filter(None, [getattr(argument, "arg", None)])]
        if parts:
            yield argument
            for part in parts:
                yield from _views(part, task)


def _refers(argument: Any, task: Any) -> bool:
    return any(source.task_id == task.task_id for source, _ in argument.iter_references())


def _takes_arguments(other: Any, task: Any) -> bool:
    """Whether ``.expand_kwargs`` takes its dicts of arguments from a task's result."""
    for name in _EXPANSIONS:
        given: Any = getattr(other, name, None)
        if type(given).__name__ == "ListOfDictsExpandInput":
            return any(source.task_id == task.task_id for source, _ in given.iter_references())
    return False


def _check_map(view: Any) -> None:
    functions = getattr(view, "callables", ())
    if functions and not any(hasattr(layer, MARK) for layer in layers(functions[0])):
        name = getattr(functions[0], "__name__", str(functions[0]))
        raise ConfigError(
            f".map calls {name} with this task's results, and {name} cannot read those that are handed over",
            remedy=f"Write .map(offload({name}))",
        )


def _fetch_from_api(sequence: Any) -> list[Any]:
    found = [value for start in range(0, len(sequence), _SLICE) for value in sequence[start : start + _SLICE]]
    argument, instance = getattr(sequence, "_xcom_arg", None), getattr(sequence, "_ti", None)
    if argument is None or instance is None:
        return found
    task = argument.operator
    of_task = {"dag_id": task.dag_id, "task_ids": [task.task_id], "run_ids": [instance.run_id]}
    count = instance.get_ti_count(**of_task)
    if count == len(found):
        return found
    if not instance.get_ti_count(**of_task, map_index=0):
        return []  # what was mapped over nothing has one instance, and it is not numbered
    count -= instance.get_ti_count(**of_task, states=["removed"])  # what a shorter mapping left behind
    return list(instance.xcom_pull(task_ids=task.task_id, key=argument.key, map_indexes=range(count)))


def _fetch_from_database(sequence: Any) -> list[Any]:
    statement: Any = getattr(sequence, "_select_asc", None)
    models: Any = sys.modules.get("airflow.models.xcom"), sys.modules.get("airflow.models.taskinstance")
    if None in models or not hasattr(statement, "add_columns"):
        return list(sequence)
    row, instance = models[0].BaseXCom, models[1].TaskInstance
    found = sequence._session.execute(  # noqa: SLF001 - this and the next are what its own iterator uses
        statement.add_columns(row.dag_id, row.run_id, row.task_id, row.map_index)
    ).all()
    values = [sequence._process_row(row) for row in found]  # noqa: SLF001
    ids = {(row.dag_id, row.run_id, row.task_id) for row in found}
    if len(ids) != 1 or any(row.map_index < 0 for row in found):
        return values
    dag_id, run_id, task_id = ids.pop()
    query = sequence._session.query(instance.map_index, instance.state)  # noqa: SLF001
    instances = query.filter_by(dag_id=dag_id, run_id=run_id, task_id=task_id).all()
    by_index = {row.map_index: value for row, value in zip(found, values, strict=True)}
    return [by_index.get(index) for index, state in sorted(instances) if state != "removed"]
