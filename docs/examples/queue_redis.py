"""Handoffs through a stream of Redis: as `queue_sqs.py`, and what there is in Redis for what SQS does by itself.

A message is an envelope and nothing else. Valkey speaks the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from queue_sqs import LATER, key_of
from redis import ResponseError

from handoff import Handoff, HandoffError, LimitError

GROUP = "starters"  # each group is given every message, and its consumers share them
MOST_DELIVERIES = 100


def publish(redis: Any, stream: str, envelope: Any) -> None:
    """Append what `to_json()` gave."""
    redis.xadd(stream, {"handoff": json.dumps(envelope)})


def consume(redis: Any, stream: str, name: str, act: Callable[[str, Handoff], None], idle: int = 60_000) -> int:
    """Act on what is new, and on what another consumer, or this one, has left for ``idle`` milliseconds."""
    try:
        redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):  # it is there
            raise
    left = redis.xautoclaim(stream, GROUP, name, min_idle_time=idle, count=10)[1]
    new = redis.xreadgroup(GROUP, name, {stream: ">"}, count=10)
    messages = left + (new[0][1] if new else [])
    for message_id, fields in messages:
        pending = redis.xpending_range(stream, GROUP, message_id, message_id, 1)
        if not pending:  # it took so long to come to it that another has done it
            continue
        try:
            if pending[0]["times_delivered"] > MOST_DELIVERIES:
                raise LimitError("nobody could act on this message")
            handoff = Handoff.from_json(fields.get(b"handoff", b""))
            act(key_of(handoff), handoff)
        except LATER:
            continue
        except HandoffError as error:
            redis.xadd(f"{stream}:dead", {**fields, "error": type(error).__name__})
        redis.xack(stream, GROUP, message_id)
    return len(messages)
