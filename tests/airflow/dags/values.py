"""Values that scientists pass: each leaves one task and arrives in the next in what its parameter names."""

from __future__ import annotations

import pathlib
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import pandas as pd
import pendulum
import pyarrow as pa
from flavour import DAG, task

from handoff import File, offload

if TYPE_CHECKING:
    from collections.abc import Sequence


with DAG("values", schedule=None, start_date=datetime(2026, 1, 1)) as dag:

    @task
    @offload
    def array():
        return np.arange(100_000.0).reshape(-1, 2)

    @task
    @offload
    def take_array(found: np.ndarray, unknown: Sequence = ()):
        assert found.shape == (50_000, 2)
        assert found[-1, 1] == 99_999.0
        assert unknown == ()

    @task
    @offload
    def model():
        pathlib.Path("model.onnx").write_bytes(b"weights" * 100_000)
        return File("model.onnx")

    @task
    @offload
    def take_model(path: pathlib.Path, raw: BinaryIO, file):
        assert path.name == "model.onnx"
        assert path.read_bytes() == raw.read() == file.path.read_bytes() == b"weights" * 100_000
        return str(path)

    @task
    def is_gone(path):
        assert not pathlib.Path(path).exists()

    @task
    @offload
    def frame():
        return pd.DataFrame({"carrier": ["AA", "UA"] * 50_000, "delay": np.arange(100_000.0)})

    @task
    @offload
    def take_frame(found: pd.DataFrame, table: pa.Table):
        assert len(found) == table.num_rows == 100_000
        assert table.column("delay").to_pylist() == found["delay"].tolist()

    @task
    @offload
    def moments(logical_date=None):
        local = pendulum.datetime(2026, 10, 25, 2, 30, tz="Europe/Paris")
        return {"local": local, "said": (local.isoformat(), local.fold), "given": logical_date}

    @task
    @offload
    def take_moments(found, logical_date=None):
        local, given = found["local"], found["given"]
        assert (local.isoformat(), local.fold) == found["said"]
        assert (type(local), type(local.tzinfo)) == (pendulum.DateTime, pendulum.Timezone)
        assert given == logical_date
        assert (type(given), type(given.tzinfo)) == (type(logical_date), type(logical_date.tzinfo))

    take_moments(moments())
    take_array(array())
    trained = model()
    is_gone(take_model(trained, trained, trained))
    rows = frame()
    take_frame(rows, rows)
