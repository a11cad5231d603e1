"""What users test with: `same` tells apart what == does not, and the contract fails for a store that breaks it."""

from __future__ import annotations

import datetime as dt
import sys
from decimal import Decimal
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given

from handoff import DependencyError, MissingError, Store
from handoff.testing import StoreContract, same, values

MOMENT = dt.datetime(2013, 11, 3, 1, 30)
DIFFERENT: list[tuple[Any, Any]] = [
    (1, True), (1, 1.0), (0.0, -0.0), (float("nan"), float("-nan")), (1j, complex(-0.0, 1)), (Decimal("1.1"), Decimal("1.10")),
    (Decimal("NaN"), Decimal("sNaN")), ((1,), [1]), ([1], [1, 1]), ({1}, frozenset({1})), ({1}, {True}), ({1, 2}, {1}), ({1}, {1, 2}),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({"a": 1}, {"a": 1.0}), (b"a", bytearray(b"a")), ("a", "b"),
    (MOMENT, MOMENT.replace(fold=1)), (MOMENT, MOMENT.replace(tzinfo=dt.UTC)), (dt.time(1), dt.time(1, fold=1)),
    (MOMENT.replace(tzinfo=ZoneInfo("UTC")), MOMENT.replace(tzinfo=dt.UTC)),
    (MOMENT.replace(tzinfo=ZoneInfo("Europe/Berlin")), MOMENT.replace(tzinfo=ZoneInfo("Europe/Paris"))),
    (UUID(int=1), UUID(int=1, is_safe=SafeUUID.safe)), (PurePosixPath("a"), PureWindowsPath("a")),
    (PureWindowsPath("A"), PureWindowsPath("a")), (np.float32(1), np.float64(1)), (np.zeros((2, 3)), np.zeros((3, 2))), (np.float64(0.0), np.float64(-0.0)), (np.datetime64(1, "s"), np.datetime64(1000, "ms")),
    (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1.0]})), (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})),
    (pd.DataFrame({"a": pd.Series([1, 2.0], dtype=object)}), pd.DataFrame({"a": pd.Series([1, 2], dtype=object)})),
    (pd.Series([1], name="a"), pd.Series([1], name="b")), (pa.table({"a": [1]}), pa.table({"a": [2]})), (pa.table({"a": [1]}), pa.table({"a": [1]}).replace_schema_metadata({"a": "b"})),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_same_tells_apart_what_is_not_identical(left: Any, right: Any) -> None:
    """Values that differ in type, bits, order, zone or fold are not the same, at the top or inside; each is itself."""
    assert not same(left, right)
    assert not same(right, left)
    assert not same([left], [right])
    assert same(left, left)
    assert same({"k": (right,)}, {"k": (right,)})


@given(value=values())
def test_every_value_is_the_same_as_itself(value: Any) -> None:
    """Same is reflexive, for NaN too."""
    assert same(value, value)


class Forgetful(Store):
    def delete(self, address: Any) -> bool:
        return True


def test_a_store_that_forgets_nothing_fails_the_contract(tmp_path: Any) -> None:
    """The contract finds a store whose delete does nothing, and one whose missing artifact is not missing."""
    with pytest.raises(AssertionError):
        StoreContract().test_deleting_takes_the_artifact_away(Forgetful(tmp_path / "a"))

    class Guessing(Store):
        def get(self, x: Any, type: Any = Any) -> Any:
            try:
                return super().get(x, type)
            except MissingError:
                return None

    with pytest.raises(AssertionError, match="no MissingError was raised"):
        StoreContract().test_deleting_takes_the_artifact_away(Guessing(tmp_path / "b"))


def test_strategies_without_hypothesis_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where hypothesis is not installed, the strategies say what to install."""
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(DependencyError, match=r"dag-handoff\[testing\]"):
        values()
