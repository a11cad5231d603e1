"""Values that one DAG hands to another: by address, by the newest run, in a conf, in an asset's event, in XCom."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

try:
    from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
    from airflow.sdk import Asset, dag, task

    NEWEST = True
except ImportError:
    from airflow.datasets import Dataset as Asset
    from airflow.decorators import dag, task
    from airflow.operators.trigger_dagrun import TriggerDagRunOperator

    NEWEST = False

from handoff import Address, EnvelopeError, Handoff, default_store, offload
from handoff.testing import same

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ROWS = [(n, Decimal(n) / 8, dt.date(2013, 1, 1)) for n in range(10_000)]
ASSET = Asset("s3://bucket/rows")


@dag(schedule=None, start_date=START)
def sends() -> None:
    """Hand rows over, and trigger the other DAG with them."""

    @task(outlets=[ASSET])
    @offload
    def make(ti: Any = None, outlet_events: Any = None) -> Any:
        address = Address(ti.dag_id, ti.run_id, ti.task_id, key="of_event")
        outlet_events[ASSET].extra = {"rows": default_store().put(ROWS, address).to_json()}
        return ROWS

    sent = make()
    sent >> TriggerDagRunOperator(
        task_id="trigger",
        trigger_dag_id="receives",
        conf={
            "rows": sent,
            "text": "{{ ti.xcom_pull('make') | tojson }}",
            "repr": "{{ ti.xcom_pull('make') }}",
            "run_id": "{{ run_id }}",
        },
        wait_for_completion=True,
        poke_interval=1,
    )


@dag(schedule=None, start_date=START)
def receives() -> None:
    """Take the rows on every way."""

    @task.sensor(poke_interval=1, timeout=30)
    def ready(dag_run: Any = None) -> bool:
        return default_store().exists(Address("sends", dag_run.conf["run_id"], "make"))

    @task
    def by_address(dag_run: Any = None) -> None:
        assert same(ROWS, default_store().get(Address("sends", dag_run.conf["run_id"], "make")))

    @task
    def newest(dag_run: Any = None) -> None:
        found = default_store().latest("sends", "make")
        assert found.run_id == dag_run.conf["run_id"]
        assert same(ROWS, default_store().get(found))

    @task
    def in_conf(dag_run: Any = None) -> None:
        assert same(ROWS, default_store().get(dag_run.conf["rows"]))

    @task
    def in_template(dag_run: Any = None) -> None:
        assert same(ROWS, default_store().get(Handoff.from_json(dag_run.conf["text"])))
        try:
            Handoff.from_json(dag_run.conf["repr"])
        except EnvelopeError as error:
            said = str(error)
        else:
            said = "Python's repr of an envelope was read"
        assert "| tojson" in said

    @task(inlets=[ASSET])
    def in_event(inlet_events: Any = None) -> None:
        assert same(ROWS, default_store().get(inlet_events[ASSET][-1].extra["rows"]))

    @task
    @offload
    def in_xcom(ti: Any = None, dag_run: Any = None) -> None:
        where = {"run_id": dag_run.conf["run_id"]} if NEWEST else {"include_prior_dates": True}
        assert same(ROWS, default_store().get(ti.xcom_pull("make", dag_id="sends", **where)))

    ready() >> [by_address(), newest(), in_conf(), in_template(), in_event(), in_xcom()]


sends()
receives()
