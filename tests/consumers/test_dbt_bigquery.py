"""dbt itself makes the rolled-up tables in what stands in for BigQuery, from the GoogleSQL as it is."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import yaml

from pipeline.rollup import rollup, rollup_queries
from schemas.rollup_tables import ROLLUP_STORAGE
from tests.bigquery.server import PROJECT, BigQueryServer
from tests.bigquery.two_warehouses import bigquery_warehouse, contents, differences
from tests.builders import apply, decode, memory
from tests.consumers.dbt_project import DbtProject
from tests.consumers.rich_shop import FIRST_DAY, LAST_DAY, config_of, settings, two_parts


def test_dbt_makes_the_tables_of_the_rollup(bigquery: BigQueryServer, tmp_path: Path) -> None:
    config, duckdb, (first, then) = config_of(bigquery.warehouse), memory(), two_parts()
    apply(duckdb, config, *first)
    rollup(duckdb, config, FIRST_DAY)
    apply(duckdb, config, *then)
    rollup(duckdb, config, LAST_DAY)
    project = DbtProject(tmp_path / "analytics", bigquery.warehouse)
    profile = {"type": "bigquery", "method": "oauth-secrets", "token": "none", "project": PROJECT, "threads": 1}
    target = {**profile, "dataset": bigquery.dataset, "api_endpoint": bigquery.rest_url}
    profiles = {"shop_analytics": {"target": "bigquery", "outputs": {"bigquery": target}}}
    (project.folder / "profiles.yml").write_text(yaml.safe_dump(profiles), encoding="utf-8")
    more = {key: value for key, value in settings("").items() if key != "warehouse"}
    with bigquery_warehouse(bigquery, **more) as ours:
        ours.apply(decode(config, *first))
        rollup(ours, config, FIRST_DAY)
        ours.apply(decode(config, *then))
        project.install()
        project(
            "build", "--select", "package:ltv", "--vars", f"{{ltv_as_of: {LAST_DAY}}}"
        )  # it takes no uploads of seeds
        found, expected = contents(ours, {}, rolled_up=True), contents(duckdb, {}, rolled_up=True)
        for table in ("cohort_changes", "changed_cells"):  # when the rollup before was
            found[table], expected[table] = _without_since(found[table]), _without_since(expected[table])
        assert len(found) == len(rollup_queries()) - 1
        assert differences(found, expected) == []
        for table, storage in ROLLUP_STORAGE.items():
            laid = ours.client.table(bigquery.dataset, table)
            assert laid is not None and (laid.partition, laid.cluster) == (storage.partition, storage.cluster), table


def _without_since(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [tuple(value for value in row if not isinstance(value, dt.datetime)) for row in found]
