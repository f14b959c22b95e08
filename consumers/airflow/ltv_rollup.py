"""An Airflow 3 DAG in place of cron or BigQuery's scheduled queries: the rollup every hour, then what must hold of it.

`ltv-pipeline` lives in an environment of its own, since Beam and Airflow pin other versions of the same packages. What
the shop has differently is set in the scheduler's and workers' environment: LTV_PIPELINE, LTV_CONFIG, LTV_TIME_ZONE.
"""

from __future__ import annotations

import datetime as dt
import os

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Asset
from airflow.timetables.trigger import CronTriggerTimetable

PIPELINE = os.environ.get("LTV_PIPELINE", "/opt/ltv-stream/bin/ltv-pipeline")
CONFIG = os.environ.get("LTV_CONFIG", "/etc/ltv-stream/shop.yaml")
ZONE = os.environ.get("LTV_TIME_ZONE", "Europe/Paris")

ROLLED_UP = Asset("ltv_rolled_up")
"""What other DAGs can wait for, such as one that runs dbt: schedule=[Asset("ltv_rolled_up")]."""

# A row for each thing that is wrong. A worker sends heartbeats, so a lag tells a dead one from a quiet night. Take that
# part away where only `batch` fills the warehouse.
PROBLEMS = """
SELECT CONCAT('does not add up: ', currency, ' ', COALESCE(CAST(purchase_month AS STRING), 'in all')) AS problem
FROM adds_up WHERE NOT is_equal
UNION ALL
SELECT CONCAT('the source is applied up to ', COALESCE(CAST(applied_at AS STRING), 'nowhere')) FROM freshness
WHERE source_lag_seconds IS NULL OR source_lag_seconds > 3600
UNION ALL
SELECT CONCAT('dead letters: ', CAST(dead_letters AS STRING)) FROM freshness WHERE dead_letters > 0
UNION ALL
SELECT CONCAT('to load again by ltv-pipeline batch: ', tables_to_reload) FROM freshness WHERE reloads_needed > 0
"""

# Fails where the query itself fails, and where it has rows, which are then in the task's log.
CHECK = """set -euo pipefail
problems=$("$LTV_PIPELINE" query -c "$LTV_CONFIG" --format csv "$LTV_PROBLEMS" | tail -n +2)
if [ -n "$problems" ]; then echo "$problems"; exit 1; fi"""

with DAG(
    dag_id="ltv_rollup",
    description="LTV by cohort: the rolled-up tables anew, then whether they add up and are fresh",
    schedule=CronTriggerTimetable("7 * * * *", timezone=ZONE),
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc),
    catchup=False,  # a rollup is of now: one makes up for all that were missed
    max_active_runs=1,
    default_args={
        "retries": 3,
        "retry_delay": dt.timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "execution_timeout": dt.timedelta(minutes=30),
        "env": {"LTV_PIPELINE": PIPELINE, "LTV_CONFIG": CONFIG, "LTV_PROBLEMS": PROBLEMS},
        "append_env": True,  # PATH, MYSQL_PASSWORD and Google's credentials come from the worker
    },
    tags=["ltv-stream"],
):
    rollup = BashOperator(
        task_id="rollup",
        bash_command='"$LTV_PIPELINE" rollup -c "$LTV_CONFIG"',
        outlets=[ROLLED_UP],
    )
    check = BashOperator(task_id="check", bash_command=CHECK, retries=0)
    rollup >> check
