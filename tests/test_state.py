"""Whatever the sequence of puts, overwrites, deletes and crashes, the store holds what a dict would."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import msgspec
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from handoff import Address, Handoff, Inline, MissingError, StaleError, Store, Stored, SupersededError
from handoff.testing import same, values

ADDRESSES = st.builds(
    Address, st.sampled_from(["d", "d=1", ".."]), st.sampled_from(["r", "r:2"]), st.just("t"), st.integers(-1, 1), item=st.none() | st.just(0)
)  # fmt: skip


class Crash(BaseException):
    pass


class StoreMachine(RuleBasedStateMachine):
    """A local store beside a dict that is assumed to be perfect."""

    handoffs: Bundle[Any] = Bundle("handoffs")

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.mkdtemp()
        self.store = Store(self.folder)
        self.model: dict[Address, Any] = {}
        self.attempts: dict[Address, int] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(
        target=handoffs,
        address=ADDRESSES,
        value=values(leaves=8),
        limit=st.sampled_from([0, 48 * 1024]),
        attempt=st.integers(1, 3),
    )
    def put(self, address: Address, value: Any, limit: int, attempt: int) -> Any:
        try:
            handoff = self.store.put(value, address, attempt=attempt, inline_limit=limit)
        except SupersededError as error:
            assert attempt < self.attempts[address] == error.attempt
            return multiple()
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
        attempt = max(attempt, *self.attempts.values(), 1)  # of the newest alone: others may stop half-way
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
            self.store.put(value, address, inline_limit=0)
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
        attempt = self.attempts.get(address, 1)
        again = self.store.put(value, address, inline_limit=0, attempt=attempt)
        self.model[address], self.attempts[address] = value, attempt
        assert (again.sha256, again.size) == (handoff.sha256, handoff.size)
        return address, value, again

    @invariant()
    def holds_what_the_dict_holds(self) -> None:
        assert set(self.model) == set(self.store.list())
        for address, value in self.model.items():
            assert self.store.exists(address)
            assert same(value, self.store.get(address))
        files = [path for path in Path(self.folder).rglob("*") if path.is_file()]
        assert len(self.model) == len(files)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(stateful_step_count=30, max_examples=max(20, settings().max_examples // 5))
