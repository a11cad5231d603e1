"""What lists, tuples and dicts hold, a whole level at a time: node by node would cost more than to encode it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from handoff.config import DEEPEST

#: The containers that messages are made of. Others, and classes derived from these, are values.
CONTAINERS = frozenset({dict, list, tuple})


def levels(value: Any, most: int) -> Iterator[tuple[list[Any], set[type]]]:
    """Give what a container holds, level by level: the nodes, and their types.

    It ends below the deepest level that a message may have. Raises: `OverflowError` above ``most`` nodes.
    """
    nodes = 0
    level = [value]
    for _ in range(DEEPEST):
        containers = [node for node in level if type(node) in CONTAINERS]
        nodes += sum(map(len, containers))
        if not nodes:
            return
        if nodes > most:
            raise OverflowError(f"more than {most:,} nodes")
        level = list(chain.from_iterable(map(nodes_of, containers)))
        kinds = set(map(type, level))
        yield level, kinds
        if kinds.isdisjoint(CONTAINERS):
            return


def nodes_of(container: Any) -> Any:
    """Give the values of a dict, or the elements of a list or tuple."""
    return container.values() if type(container) is dict else container
