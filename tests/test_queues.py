"""Handoffs through queues and key-value stores: a real server of SQS's API and one of Redis's protocol."""

from __future__ import annotations

import importlib
import itertools
import json
import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import redis as clients
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from handoff import Address, File, Handoff, Store
from handoff.config import ENVELOPE_CAP, INLINE_LIMIT, MESSAGE_CAP
from handoff.testing import same, values

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
ADDRESS = Address("flights", "2026-11-21", "extract")
ROWS = [(n, n / 7) for n in range(5_000)]
SQS_CAP = 1024 * 1024
MOST_DELIVERIES = 4
WORST_ESCAPE = 6  # bytes of ASCII that json.dumps writes for one byte of UTF-8, at the most
numbers = itertools.count()

HOSTILE = [
    "", "not JSON", "{'__handoff__': 1}", "[1, 2]", "null", '"/etc/passwd"', '"s3://other/key"', "NaN", "[" * 100_000,
    '{"__handoff__": 2}', '{"__handoff__": 1, "kind": "stored"}', '{"__handoff__": 1, "kind": "pickle", "data": "gASVCg=="}',
    json.dumps({"__handoff__": 1, "kind": "inline", "codec": "tree", "type": "str", "sha256": "a" * 64, "data": "eA=="}),
]  # fmt: skip


def stored(**changes: Any) -> str:
    """Give a message that is well formed, and names what is not there."""
    address = {"dag_id": "flights", "run_id": "2026-11-21", "task_id": "never"}
    return json.dumps(
        {"__handoff__": 1, "kind": "stored", "codec": "tree", "type": "str", "sha256": "a" * 64, "size": 10, "raw_size": 5,
         "attempt": 1, "address": address, **changes}
    )  # fmt: skip


OUTSIDE = [
    stored(uri="file:///etc/passwd"), stored(uri="http://169.254.169.254/"), stored(codec="../../etc/passwd"), stored(root="/etc"),
    *(
        stored(address={"dag_id": "d", "run_id": "r", "task_id": "t", name: place})
        for name in ("dag_id", "run_id", "task_id", "key") for place in ("../../../etc/passwd", "/etc/passwd", "simplecache::file:///etc/passwd")
    ),
]  # fmt: skip


class DeathError(BaseException):
    """What ends a consumer amid its work."""


class Sqs:
    """A queue of SQS with its dead letters, and the example at work on it."""

    def __init__(self, example: Any, client: Any) -> None:
        self.example, self.client, name = example, client, f"q{next(numbers)}"
        self.dead = client.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        arn = client.get_queue_attributes(QueueUrl=self.dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MOST_DELIVERIES})
        # What is received and not deleted is there again at once.
        attributes = {"VisibilityTimeout": "0", "RedrivePolicy": policy}
        self.queue = client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def send(self, message: Any) -> None:
        self.client.send_message(QueueUrl=self.queue, MessageBody=message or " ")

    def publish(self, envelope: Any) -> None:
        self.example.publish(self.client, self.queue, envelope)

    def consume(self, act: Callable[[str, Handoff], None]) -> int:
        return int(self.example.consume(self.client, self.queue, self.dead, act, wait=0))

    def dead_letters(self) -> list[tuple[str, str]]:
        found: dict[str, tuple[str, str]] = {}
        while True:
            answer = self.client.receive_message(
                QueueUrl=self.dead, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            )
            for message in answer.get("Messages", []):
                # SQS gives no reason where it moves a message by its own policy.
                why = message.get("MessageAttributes", {"error": {"StringValue": "LimitError"}})
                found[message["MessageId"]] = why["error"]["StringValue"], message["Body"]
            if "Messages" not in answer:
                return list(found.values())


class Redis:
    """A stream of Redis with its dead letters, and the example at work on it."""

    def __init__(self, example: Any, client: Any) -> None:
        self.example, self.client, self.stream = example, client, f"stream{next(numbers)}"

    def send(self, message: Any) -> None:
        self.client.xadd(self.stream, {"handoff": message})

    def publish(self, envelope: Any) -> None:
        self.example.publish(self.client, self.stream, envelope)

    def consume(self, act: Callable[[str, Handoff], None], name: str = "one") -> int:
        return int(self.example.consume(self.client, self.stream, name, act, idle=0))

    def dead_letters(self) -> list[tuple[str, str]]:
        entries = [fields for _, fields in self.client.xrange(f"{self.stream}:dead")]
        return [(fields[b"error"].decode(), fields[b"handoff"].decode()) for fields in entries]


@pytest.fixture(scope="session")
def clients_of(sqs: dict[str, Any], redis_url: str) -> tuple[Any, Any]:
    return boto3.client("sqs", **sqs), clients.Redis.from_url(redis_url)


@pytest.fixture(params=["sqs", "redis"])
def queue(request: pytest.FixtureRequest, clients_of: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(EXAMPLES)
    example = importlib.import_module(f"queue_{request.param}")
    return Sqs(example, clients_of[0]) if request.param == "sqs" else Redis(example, clients_of[1])


def files(root: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(root).rglob("*") if path.is_file()}


def test_a_message_that_comes_again_reads_the_same_value(queue: Any, store: Store) -> None:
    """A consumer that dies before it is done is given the message again, with the same key and value; no read deletes."""
    queue.publish(store.put(ROWS, ADDRESS, inline_limit=0).to_json())
    before, seen = files(store.root), []

    def die(key: str, handoff: Handoff) -> None:
        seen.append((key, store.get(handoff)))
        raise DeathError

    for _ in range(2):
        with pytest.raises(DeathError):
            queue.consume(die)
    assert 1 == queue.consume(lambda key, handoff: seen.append((key, store.get(handoff))))
    assert 0 == queue.consume(die)
    assert [(seen[0][0], ROWS)] * 3 == seen
    assert before == files(store.root)
    assert [] == queue.dead_letters()


def test_the_key_is_of_the_hand_over(queue: Any, store: Store, tmp_path: Path) -> None:
    """A retry that publishes the same file has the same key; another file, or another run, has another."""
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    other, keys = Address("flights", "2026-11-22", "extract"), []
    for name, at, attempt in (("a", ADDRESS, 1), ("a", ADDRESS, 2), ("a", other, 1), ("b", other, 2)):
        queue.publish(store.put(File(tmp_path / name), at, attempt=attempt, inline_limit=0).to_json())
        assert 1 == queue.consume(lambda key, _: keys.append(key))
    assert keys[0] == keys[1]
    assert 3 == len(set(keys))
    assert all(key.isalnum() for key in keys)


def test_two_consumers_share_a_queue(
    clients_of: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    """Two consumers at once take each message once and read what was put; another group is given all of them again."""
    monkeypatch.syspath_prepend(EXAMPLES)
    example = importlib.import_module("queue_redis")
    stream, seen = f"stream{next(numbers)}", []
    for n in range(40):
        example.publish(
            clients_of[1], stream, store.put((n, "x" * n), Address("d", "r", "t", n), inline_limit=0).to_json()
        )

    def work(name: str) -> None:
        while example.consume(clients_of[1], stream, name, lambda _, handoff: seen.append(store.get(handoff))):
            pass

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [(n, "x" * n) for n in range(40)] == sorted(seen)
    monkeypatch.setattr(example, "GROUP", "auditors")
    work("three")
    assert 80 == len(seen)


def test_what_is_too_large_for_a_queue_leaves_as_a_reference(
    queue: Any, clients_of: tuple[Any, Any], store: Store
) -> None:
    """A value of 2 MB, which SQS refuses, is handed over in a message of less than 2 KiB."""
    value = random.Random(1).randbytes(1024**2).hex()
    with pytest.raises(ClientError, match="shorter than 1048576"):
        Sqs(None, clients_of[0]).send(value)
    envelope = store.put(value, ADDRESS).to_json()
    assert len(json.dumps(envelope)) < ENVELOPE_CAP
    arrived: list[Any] = []
    queue.publish(envelope)
    queue.consume(lambda _, handoff: arrived.append(store.get(handoff)))
    assert [value] == arrived


@settings(max_examples=25)
@given(value=values(leaves=15), limit=st.sampled_from([0, 200, INLINE_LIMIT, None]))
def test_any_value_arrives_through_any_of_them(
    value: Any, limit: int | None, clients_of: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any value, inline and stored, is read identical from a message of SQS, from a key and from a stream of Redis."""
    store = Store(tmp_path_factory.mktemp("root"))
    message = json.dumps(store.put(value, ADDRESS, inline_limit=limit).to_json())
    assert message.isascii()
    sqs, redis = clients_of
    url = sqs.create_queue(QueueName="values")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=message)
    (received,) = sqs.receive_message(QueueUrl=url)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=received["ReceiptHandle"])
    redis.set("value", message)
    redis.xadd("values", {"handoff": message}, maxlen=1)
    ((_, fields),) = redis.xrevrange("values", count=1)
    for arrived in (received["Body"], redis.get("value"), fields[b"handoff"]):
        assert same(value, store.get(Handoff.from_json(arrived)))


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50))
def test_ascii_takes_six_times_what_the_limit_counts_at_the_most(text: str) -> None:
    """What json.dumps writes of a message at the limit fits into SQS, whatever it says."""
    counted = json.dumps([text] * 50, ensure_ascii=False, separators=(",", ":")).encode()
    assert len(json.dumps([text] * 50)) <= WORST_ESCAPE * len(counted)
    assert WORST_ESCAPE * INLINE_LIMIT < SQS_CAP == MESSAGE_CAP


def test_what_cannot_be_read_goes_to_the_dead_letters(queue: Any, store: Store) -> None:
    """Whatever is no handoff of ours is refused by its error, acted upon by nobody, and comes no more."""
    good = store.put(ROWS, ADDRESS, inline_limit=0).to_json()
    before, seen = files(store.root), []
    for message in (*HOSTILE, *OUTSIDE, json.dumps({**good, "uri": "file:///etc/passwd"})):
        queue.send(message)

    def read(_: str, handoff: Handoff) -> None:
        seen.append(store.get(handoff))

    while queue.consume(read):
        pass
    assert [ROWS] == seen  # the uri is for people
    found = queue.dead_letters()
    assert len(HOSTILE) == sum(error == "EnvelopeError" for error, message in found if message.strip() in HOSTILE)
    refused = [error for error, message in found if message in OUTSIDE]
    assert len(OUTSIDE) == len(refused)
    assert {"EnvelopeError", "MissingError"} == set(refused)
    assert before == files(store.root)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda store, path: path.unlink(), "MissingError"),
        (lambda store, path: store.put("newer", ADDRESS, attempt=2, inline_limit=0), "StaleError"),
        (lambda store, path: path.write_bytes(path.read_bytes()[:-1]), "DamagedError"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_what_is_gone_goes_to_the_dead_letters(spoil: Any, error: str, queue: Any, store: Store) -> None:
    """A message that outlived its artifact, or whose artifact was overwritten or damaged, is a dead letter by that error."""
    envelope = store.put(ROWS, ADDRESS, inline_limit=0).to_json()
    spoil(store, Path(store.root, ADDRESS.path))
    queue.publish(envelope)
    queue.consume(lambda _, handoff: store.get(handoff))
    assert [(error, json.dumps(envelope))] == queue.dead_letters()
    assert 0 == queue.consume(lambda _, handoff: store.get(handoff))


def test_a_message_that_kills_its_consumers_is_given_up(
    queue: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message at which every consumer dies is delivered so many times, and then it is a dead letter."""
    monkeypatch.setattr(queue.example, "MOST_DELIVERIES", MOST_DELIVERIES, raising=False)
    envelope = store.put(ROWS, ADDRESS, inline_limit=0).to_json()
    queue.publish(envelope)

    def die(_: str, handoff: Handoff) -> None:
        raise DeathError

    for _ in range(MOST_DELIVERIES):
        with pytest.raises(DeathError):
            queue.consume(die)
    queue.consume(die)
    assert 0 == queue.consume(die)
    assert [("LimitError", json.dumps(envelope))] == queue.dead_letters()


def test_a_message_waits_for_its_storage(queue: Any, store: Store) -> None:
    """While the storage does not answer the message stays, and it is read when the storage is back."""
    queue.publish(store.put(ROWS, ADDRESS, inline_limit=0).to_json())
    shutil.move(store.root, f"{store.root}-away")
    seen: list[Any] = []
    for _ in range(2):
        assert 1 == queue.consume(lambda _, handoff: seen.append(store.get(handoff)))
    assert [] == seen
    shutil.move(f"{store.root}-away", store.root)
    queue.consume(lambda _, handoff: seen.append(store.get(handoff)))
    assert [ROWS] == seen
    assert 0 == queue.consume(lambda _, handoff: seen.append(store.get(handoff)))
    assert [] == queue.dead_letters()
