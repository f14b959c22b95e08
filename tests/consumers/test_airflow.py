"""Airflow itself parses the DAG and runs it on a DuckDB warehouse."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.duckdb_warehouse import open_duckdb
from pipeline.session import Statement
from tests.builders import apply, rows
from tests.consumers.environments import run
from tests.consumers.rich_shop import config_of, settings, two_parts

DAGS = Path(__file__).parents[2] / "consumers" / "airflow"


class Airflow:
    """With a database of its own. `ltv-pipeline` is that of the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        pipeline = folder / "ltv-pipeline"
        root = DAGS.parents[1]
        pipeline.write_text(f'#!/bin/sh\nPYTHONPATH="{root}" exec "{sys.executable}" -m pipeline "$@"\n')
        pipeline.chmod(0o755)
        (folder / "shop.yaml").write_text(yaml.safe_dump(settings(f"duckdb:{folder / 'ltv.duckdb'}")))
        self.variables = {
            "AIRFLOW_HOME": str(folder / "home"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "LTV_PIPELINE": str(pipeline),
            "LTV_CONFIG": str(folder / "shop.yaml"),
            "LTV_TIME_ZONE": "Asia/Kolkata",
        }

    def __call__(self, *command: str, fails: bool = False) -> str:
        return run("airflow", *command, folder=self.folder, variables=self.variables, fails=fails)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    made = Airflow(tmp_path_factory.mktemp("airflow"))
    made("airflow", "db", "migrate")
    with contextlib.closing(open_duckdb(str(made.folder / "ltv.duckdb"))) as duckdb:
        first, then = two_parts()
        apply(duckdb, config_of("duckdb:ltv.duckdb"), *first, *then)
    return made


def test_the_dag_runs_every_hour_in_the_shops_zone_and_never_twice_at_once(airflow: Airflow) -> None:
    said = airflow("python", str(Path(__file__).with_name("seen_dag.py")), str(DAGS))
    assert json.loads(said.splitlines()[-1]) == {
        "errors": {},
        "dags": {
            "ltv_rollup": {
                "timetable": {
                    "expression": "7 * * * *",
                    "timezone": "Asia/Kolkata",
                    "interval": 0.0,
                    "run_immediately": False,
                },
                "max_active_runs": 1,
                "catchup": False,
                "tasks": {"rollup": [[], 3], "check": [["rollup"], 0]},
                "outlets": ["ltv_rolled_up"],
            }
        },
    }


def test_it_rolls_up_and_says_what_is_wrong(airflow: Airflow) -> None:
    said = airflow("airflow", "dags", "test", "ltv_rollup", fails=True)  # no worker has ever sent anything
    assert "the source is applied up to nowhere" in said
    assert "does not add up" not in said
    with contextlib.closing(open_duckdb(str(airflow.folder / "ltv.duckdb"))) as duckdb:
        assert rows(duckdb, "SELECT COUNT(*) > 5 FROM ltv_cohorts") == [(True,)]
        sql = """INSERT INTO raw.arrivals (source, run, number, through, after_run, after_number, last_sequence,
            committed_at, received_at) VALUES ('s', 'r', 1, 1, '', 0, '0001', now(), now())"""
        duckdb.session.run([Statement(sql)])
    assert "the source is applied" not in airflow("airflow", "dags", "test", "ltv_rollup")
