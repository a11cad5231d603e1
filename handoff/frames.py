"""Tables for tests: columns of every kind that pandas, Polars and pyarrow have, as Hypothesis strategies."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_DAYS = (dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))
