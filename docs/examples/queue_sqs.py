"""Handoffs through SQS: one is published when a DAG is done, and whoever takes it starts the next DAG with it, once.

A message is an envelope and nothing else. `docs/queues.md` says why each error goes where it goes.
"""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from handoff import (
    ConfigError,
    DeniedError,
    DependencyError,
    EnvelopeError,
    Handoff,
    HandoffError,
    Stored,
    UnreachableError,
)

# Nothing is wrong with the message: it comes again, to this consumer or another.
LATER = (ConfigError, DeniedError, DependencyError, UnreachableError)


def publish(sqs: Any, queue: str, envelope: Any) -> None:
    """Send what `to_json()` gave. json.dumps writes ASCII, of which SQS takes every character."""
    sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(envelope))


def consume(sqs: Any, queue: str, dead: str, act: Callable[[str, Handoff], None], wait: int = 20) -> int:
    """Act on what is there, with a key that is the same whenever the same hand-over comes, and say how many it were."""
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=wait).get("Messages", [])
    for message in messages:
        try:
            handoff = Handoff.from_json(message["Body"])
            act(key_of(handoff), handoff)
        except LATER:
            continue
        except HandoffError as error:
            why = {"error": {"DataType": "String", "StringValue": type(error).__name__}}
            sqs.send_message(QueueUrl=dead, MessageBody=message["Body"], MessageAttributes=why)
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return len(messages)


def key_of(handoff: Handoff) -> str:
    """Give what names one version of one artifact, fit for the id of a DAG run."""
    if not isinstance(handoff, Stored):
        raise EnvelopeError("this message has no address", remedy="Publish what was put with inline_limit=0")
    return hashlib.sha256(f"{handoff.address.path} {handoff.sha256}".encode()).hexdigest()


def start_dag(api: str, token: str, dag_id: str) -> Callable[[str, Handoff], None]:
    """Give an act for `consume`: start a run of a DAG, by the REST API of Airflow 3, unless this hand-over has one."""

    def start(key: str, handoff: Handoff) -> None:
        run = {"dag_run_id": key, "logical_date": None, "conf": {"rows": handoff.to_json()}}
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        request = urllib.request.Request(f"{api}/api/v2/dags/{dag_id}/dagRuns", json.dumps(run).encode(), headers)
        try:
            urllib.request.urlopen(request, timeout=60).close()
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.CONFLICT:  # the message had come before
                raise

    return start
