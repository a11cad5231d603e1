"""The names of Airflow that a DAG uses, from where this version keeps them."""

from __future__ import annotations

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.providers.standard.operators.python import PythonOperator
    from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
    from airflow.sdk import DAG, Asset, dag, get_current_context, setup, task, task_group, teardown
    from airflow.sdk.bases.sensor import PokeReturnValue
    from airflow.sdk.exceptions import AirflowSkipException

    NEWEST = True
except ImportError:
    from airflow import DAG
    from airflow.datasets import Dataset as Asset
    from airflow.decorators import dag, setup, task, task_group, teardown
    from airflow.exceptions import AirflowSkipException
    from airflow.operators.bash import BashOperator
    from airflow.operators.python import PythonOperator, get_current_context
    from airflow.sensors.base import PokeReturnValue
    from airflow.sensors.time_delta import TimeDeltaSensorAsync as TimeDeltaSensor

    NEWEST = False

__all__ = [
    "DAG",
    "DEFERRED",
    "NEWEST",
    "AirflowSkipException",
    "Asset",
    "BashOperator",
    "PokeReturnValue",
    "PythonOperator",
    "TimeDeltaSensor",
    "dag",
    "get_current_context",
    "setup",
    "task",
    "task_group",
    "teardown",
]

DEFERRED = {"deferrable": True} if NEWEST else {}
