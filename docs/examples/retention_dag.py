"""A DAG that prunes artifacts every night: by age, and never one of the latest runs of its DAG.

Put it among your DAGs, and change the four settings; it runs on Airflow 2.11 and 3. Trigger it by hand with
`{"dry_run": true}` as its configuration to see in the log what it would remove.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task

from handoff import default_store, retention

OLDER_THAN = timedelta(days=30)
KEEP_RUNS = 10
AT = "30 3 * * *"
LONGEST = timedelta(hours=2)  # what is left then is for the next night

log = logging.getLogger(__name__)


@dag(schedule=AT, start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False, max_active_runs=1, tags=["handoff"])
def handoff_retention() -> None:
    """Remove what is older than a month and of none of its DAG's latest ten runs, and what killed writers left."""

    @task(retries=2, execution_timeout=LONGEST)
    def prune(**context: Any) -> dict[str, int]:
        is_dry_run = bool((context["dag_run"].conf or {}).get("dry_run"))
        found = retention.prune(
            default_store(),
            older_than=OLDER_THAN,
            keep_runs=KEEP_RUNS,
            leftovers=True,
            delete=not is_dry_run,
            tell=lambda progress: log.info("%s", progress),
        )
        verb = "would remove" if is_dry_run else "removed"
        for one in found.dags:
            log.info("%s: %s %s artifacts, %s bytes", one.dag_id, verb, one.artifacts, one.size)
        for failure in found.failures:
            log.error("not removed: %s", failure)
        if found.failed:
            raise RuntimeError(f"{found.failed} could not be removed, see above")
        return {"artifacts": found.artifacts, "size": found.size, "pinned": found.pinned, "leftovers": found.leftovers}

    prune()


handoff_retention()
