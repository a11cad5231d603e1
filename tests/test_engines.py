"""Engines read artifacts in place: by the uri of one, or by a pattern over all runs of a DAG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.dataframe as dd
import duckdb
import fsspec
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pytest

from handoff import Address, Store

RUNS = ("2026-11-21", "2026-11-22", "2026-11-23")
EXPECTED = [(run, carrier, delay) for run in RUNS for carrier, delay in (("AA", 1.5), ("UA", 3.0))]


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Give a store with a table of each run, and beside them a tree and a table of another task."""
    if request.param == "local":
        found = Store(tmp_path / "root")
    else:
        found = Store(f"s3://bucket/{tmp_path.name}", storage_options=request.getfixturevalue("s3"))
    for run in RUNS:
        frame = pd.DataFrame({"carrier": ["AA", "UA"], "delay": [1.5, 3.0]})
        found.put(frame, Address("etl", run, "extract"), inline_limit=0)
        found.put({"rows": 2}, Address("etl", run, "count"), inline_limit=0)
    found.put(pd.DataFrame({"x": [1]}), Address("etl", RUNS[0], "other"), inline_limit=0)
    return found


@pytest.fixture
def uri(store: Store) -> str:
    handoff = store.put(
        store.get(Address("etl", RUNS[0], "extract")), Address("etl", RUNS[0], "extract"), inline_limit=0
    )
    return str(handoff.to_json()["uri"])


def all_runs(store: Store) -> str:
    return f"{store.root}/dag_id=etl/*/task_id=extract/*/return_value"


def rows(found: Any) -> list[tuple[str, str, float]]:
    return sorted((str(run)[:10], carrier, delay) for run, carrier, delay in found)


def filesystem(store: Store) -> Any:
    """Give the filesystem on which the store is."""
    return fsspec.filesystem("s3" if store.root.startswith("s3:") else "file", **store.storage_options)


def test_duckdb_reads_one_and_all_runs(store: Store, uri: str) -> None:
    """DuckDB reads a table by its uri, and all runs by one query in which the run is a column."""
    connection = duckdb.connect()
    connection.register_filesystem(filesystem(store))
    assert connection.sql(f"select avg(delay) from read_parquet('{uri}')").fetchall() == [(2.25,)]
    query = f"select run_id, carrier, delay from read_parquet('{all_runs(store)}', hive_partitioning=true)"
    assert rows(connection.sql(query).fetchall()) == EXPECTED


def test_polars_scans_one_and_all_runs(store: Store, uri: str) -> None:
    """Polars scans a table by its uri, and all runs by a pattern."""
    given = store.storage_options
    options = {
        "aws_access_key_id": given["key"],
        "aws_secret_access_key": given["secret"],
        "aws_endpoint_url": given["client_kwargs"]["endpoint_url"],
        "aws_region": given["client_kwargs"]["region_name"],
        "aws_allow_http": "true",
    } if given else None  # fmt: skip
    one = pl.scan_parquet(uri, storage_options=options).filter(pl.col("carrier") == "UA").select("delay").collect()
    assert one["delay"].to_list() == [3.0]
    every = pl.scan_parquet(all_runs(store), hive_partitioning=True, storage_options=options)
    assert rows(every.select("run_id", "carrier", "delay").collect().rows()) == EXPECTED


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # Dask, of pandas
def test_dask_reads_one_and_all_runs(store: Store, uri: str) -> None:
    """Dask reads a table by its uri, and all runs by a pattern."""
    options = store.storage_options
    assert dd.read_parquet(uri, columns=["delay"], storage_options=options)["delay"].mean().compute() == 2.25
    every = dd.read_parquet(all_runs(store), storage_options=options)[["run_id", "carrier", "delay"]].compute()
    assert rows(every.itertuples(index=False)) == EXPECTED


def test_pyarrow_reads_a_task_as_a_dataset(store: Store) -> None:
    """A dataset of pyarrow over the artifacts of a task has the ids of the path as columns."""
    paths = [f"{store.root}/{address.path}".removeprefix("s3://") for address in store.list("etl", task_id="extract")]
    found = ds.dataset(paths, format="parquet", partitioning="hive", filesystem=filesystem(store))
    columns = found.to_table(columns=["run_id", "carrier", "delay"]).to_pydict().values()
    assert rows(zip(*columns, strict=True)) == EXPECTED
