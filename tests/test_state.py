"""Whatever the sequence of puts, overwrites, deletes and crashes, the store holds what a dict would."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from benchmarks import servers
from benchmarks.faults import CASES, MENDED
from benchmarks.proxy import Proxy
from handoff import Address, DeniedError, Handoff, Inline, MissingError, StaleError, Store, Stored, SupersededError
from handoff.testing import same, values

ADDRESSES = st.builds(
    Address, st.sampled_from(["d", "d=1", ".."]), st.sampled_from(["r", "r:2"]), st.just("t"), st.integers(-1, 1), item=st.none() | st.just(0)
)  # fmt: skip
#: Of faults that come one after the other, a request is mended by its next try.
MOST_FAULTS = 3


class Crash(BaseException):
    pass


class StoreMachine(RuleBasedStateMachine):
    """A local store beside a dict that is assumed to be perfect."""

    handoffs: Bundle[Any] = Bundle("handoffs")

    @initialize()
    def start(self) -> None:
        self.model: dict[Address, Any] = {}
        self.attempts: dict[Address, int] = {}
        self.store, self.sure = self.open()

    def open(self) -> tuple[Store, Store]:
        """Give the store, and the one that is looked through to see what it holds."""
        self.folder = tempfile.mkdtemp()
        return Store(self.folder), Store(self.folder)

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def attempt_from(self, drawn: int) -> int:
        return drawn

    def objects(self) -> int:
        return sum(path.is_file() for path in Path(self.folder).rglob("*"))

    @rule(
        target=handoffs,
        address=ADDRESSES,
        value=values(leaves=8),
        limit=st.sampled_from([0, 48 * 1024]),
        attempt=st.integers(1, 3),
    )
    def put(self, address: Address, value: Any, limit: int, attempt: int) -> Any:
        attempt = self.attempt_from(attempt)
        is_asked = limit == 0 or attempt > 1  # what is inline at first asks for nothing
        if attempt < self.attempts.get(address, 1) and is_asked:
            with pytest.raises(SupersededError) as caught:
                self.store.put(value, address, attempt=attempt, inline_limit=limit)
            assert self.attempts[address] == caught.value.attempt
            return multiple()
        handoff = self.store.put(value, address, attempt=attempt, inline_limit=limit)
        if not isinstance(handoff, Inline):
            assert attempt >= self.attempts.get(address, 1)
            self.model[address], self.attempts[address] = value, attempt
        elif attempt > 1:
            self.forget(address)
        return address, value, Handoff.from_json(json.dumps(handoff.to_json()))

    @rule(
        target=handoffs,
        address=ADDRESSES,
        elements=st.lists(values(leaves=3), max_size=3),
        limit=st.sampled_from([0, 300, 48 * 1024]),
        attempt=st.integers(1, 3),
    )
    def put_many(self, address: Address, elements: list[Any], limit: int, attempt: int) -> Any:
        attempt = self.attempt_from(max(attempt, *self.attempts.values(), 1))  # others may stop half-way
        handoffs = self.store.put_many(elements, address, attempt=attempt, inline_limit=limit)
        places = [msgspec.structs.replace(address, item=n) for n in range(len(elements))]
        if attempt > 1:
            for place in [*self.model]:
                if msgspec.structs.replace(place, item=None) == msgspec.structs.replace(address, item=None):
                    self.forget(place)
        sent = list(zip(places, elements, handoffs, strict=True))
        for place, value, handoff in sent:
            if isinstance(handoff, Stored):
                self.model[place], self.attempts[place] = value, attempt
        read = [(place, value, Handoff.from_json(json.dumps(handoff.to_json()))) for place, value, handoff in sent]
        return multiple(*read)

    @rule(address=ADDRESSES, value=values(leaves=3), call=st.sampled_from(["fsync", "replace"]))
    def crash(self, address: Address, value: Any, call: str) -> None:
        original = getattr(os, call)

        def fail(*args: Any, **kwargs: Any) -> Any:
            raise Crash

        setattr(os, call, fail)
        try:
            self.store.put(value, address, inline_limit=0, attempt=self.attempts.get(address, 1))
        except Crash:
            pass
        finally:
            setattr(os, call, original)

    @rule(address=ADDRESSES)
    def delete(self, address: Address) -> None:
        assert (address in self.model) == self.store.delete(address)
        self.forget(address)

    def forget(self, address: Address) -> None:
        self.model.pop(address, None)
        self.attempts.pop(address, None)

    @rule(sent=handoffs)
    def get(self, sent: Any) -> None:
        address, value, handoff = sent
        try:
            found = self.store.get(handoff)
        except MissingError:
            assert address not in self.model
        except StaleError:
            assert not same(value, self.model[address])
        else:
            assert same(value, found)
            assert isinstance(handoff, Inline) or same(value, self.model[address])

    @rule(target=handoffs, sent=handoffs)
    def put_again(self, sent: Any) -> Any:
        address, value, handoff = sent
        if isinstance(handoff, Inline):
            return multiple()
        attempt = self.attempt_from(self.attempts.get(address, 1))
        again = self.store.put(value, address, inline_limit=0, attempt=attempt)
        self.model[address], self.attempts[address] = value, attempt
        assert (again.sha256, again.size) == (handoff.sha256, handoff.size)
        return address, value, again

    @invariant()
    def holds_what_the_dict_holds(self) -> None:
        assert set(self.model) == set(self.sure.list())
        for address, value in self.model.items():
            assert self.sure.exists(address)
            assert same(value, self.sure.get(address))
        assert len(self.model) == self.objects()


TestStore = StoreMachine.TestCase
TestStore.settings = settings(stateful_step_count=30, max_examples=max(20, settings().max_examples // 5))


class FaultyMachine(StoreMachine):
    """A store on S3, behind a proxy that plays a fault now and then, beside the same dict: faults change nothing."""

    examples = itertools.count()

    def __init__(self, proxy: Proxy, options: dict[str, Any]) -> None:
        super().__init__()
        self.proxy, self.options, self.newest = proxy, options, 1

    def open(self) -> tuple[Store, Store]:
        self.proxy.clear()
        root = f"s3://{servers.BUCKET}/state-{next(self.examples)}"
        return Store(root, storage_options=self.proxy.options), Store(root, storage_options=self.options)

    def teardown(self) -> None:
        """Leave the objects to the server."""

    def attempt_from(self, drawn: int) -> int:
        """Let no attempt be older than those before it: what becomes of a zombie has tests of its own."""
        self.newest = max(self.newest, drawn)
        return self.newest

    def objects(self) -> int:
        # An empty folder stays on this server, and is told as found.
        found = fsspec.filesystem("s3", **self.options).find(self.store.root, refresh=True, detail=True)
        return sum(one["type"] == "file" for one in found.values())

    @precondition(lambda self: self.proxy.waiting < MOST_FAULTS)
    @rule(name=st.sampled_from([name for name, case in CASES.items() if case.once == MENDED and not case.verb]))
    def fault(self, name: str) -> None:
        self.proxy.play(name, CASES[name].fault)

    @rule(address=ADDRESSES, value=values(leaves=3))
    def crash(self, address: Address, value: Any) -> None:
        self.proxy.clear()
        self.proxy.play("403", CASES["403 forbidden"].fault, times=math.inf)
        with pytest.raises(DeniedError):
            self.store.put(value, address, inline_limit=0, attempt=self.attempt_from(1))
        self.proxy.clear()

    @rule(address=ADDRESSES)
    def delete(self, address: Address) -> None:
        assert self.store.delete(address) or address not in self.model
        self.forget(address)


@pytest.mark.timeout(400)
def test_faults_between_the_steps_change_nothing(
    s3: dict[str, Any], proxied: Callable[[dict[str, Any]], Proxy]
) -> None:
    """Whatever is put, got and deleted on S3 while faults happen, the store holds what a dict would."""
    proxy = proxied(s3)
    # Each step waits for a server: a shorter way to a failure is not looked for.
    phases = [phase for phase in Phase if phase is not Phase.shrink]
    few = settings(stateful_step_count=30, max_examples=max(6, settings().max_examples // 100), phases=phases)
    run_state_machine_as_test(lambda: FaultyMachine(proxy, s3), settings=few)
    assert {name for name, case in CASES.items() if case.once == MENDED} & set(proxy.played)
