"""dbt itself makes the rolled-up tables in DuckDB, row by row those of `ltv-pipeline rollup`, and tests them."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipeline.dbt.columns import COLUMNS
from pipeline.duckdb_warehouse import DuckDBWarehouse, open_duckdb
from pipeline.rollup import rollup, rollup_queries
from pipeline.session import Statement
from tests.builders import apply, rows
from tests.consumers.dbt_project import DbtProject
from tests.consumers.rich_shop import FIRST_DAY, LAST_DAY, config_of, two_parts

FILE = "duckdb:ltv.duckdb"
WHEN = {"rolled_up_at", "since", "source_lag_seconds"}
"""Columns that tell when it was rolled up."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> DbtProject:
    """The warehouse holds the first part of the shop, rolled up."""
    made = DbtProject(tmp_path_factory.mktemp("dbt") / "analytics", FILE)
    with warehouse(made) as duckdb:
        apply(duckdb, config_of(FILE), *two_parts()[0])
        rollup(duckdb, config_of(FILE), FIRST_DAY)
    made("deps")
    return made


@contextlib.contextmanager
def warehouse(project: DbtProject, name: str = "ltv.duckdb") -> Iterator[DuckDBWarehouse]:
    with contextlib.closing(open_duckdb(str(project.folder / name))) as opened:
        yield opened


def contents(duckdb: DuckDBWarehouse, schema: str = "main", without: set[str] = WHEN) -> dict[str, list[Any]]:
    """Every rolled-up table, rows sorted."""
    found = {}
    for table in [*(table for table, _ in rollup_queries()), "rolled_up"]:
        with duckdb.query(f"SELECT * FROM {schema}.{table}") as reader:
            read = [{name: row[name] for name in row if name not in without} for row in reader.read_all().to_pylist()]
        found[table] = sorted(read, key=repr)
    return found


def as_of(day: dt.date) -> tuple[str, ...]:
    return ("--vars", f"{{ltv_as_of: {day}}}")


def test_dbt_makes_the_tables_of_the_rollup(project: DbtProject) -> None:
    """Beside the rollup's in a schema of its own, twice; then in their place."""
    beside = {"DBT_SCHEMA": "analytics"}
    project("run", "--select", "package:ltv", *as_of(FIRST_DAY), **beside)
    with warehouse(project) as duckdb:
        first, before = contents(duckdb, "analytics"), contents(duckdb)
        assert first.pop("cohort_changes") == first.pop("changed_cells") == []
        assert first == {table: found for table, found in before.items() if table in first}
        apply(duckdb, config_of(FILE), *two_parts()[1])
    shutil.copy(project.folder / "ltv.duckdb", project.folder / "ours.duckdb")
    with warehouse(project, "ours.duckdb") as duckdb:
        rollup(duckdb, config_of(FILE), LAST_DAY)
        ours, exact = contents(duckdb), contents(duckdb, without={"rolled_up_at"})
    assert [table for table, found in ours.items() if not found] == []
    assert {row["reason"] for row in ours["cohort_changes"]} >= {"new", "late", "cancelled", "deleted", "refunded"}

    project("run", "--select", "package:ltv", *as_of(LAST_DAY), **beside)
    with warehouse(project) as duckdb:
        assert contents(duckdb, "analytics") == ours
        assert contents(duckdb) == before
    project("build", *as_of(LAST_DAY))
    with warehouse(project) as duckdb:
        assert contents(duckdb, without={"rolled_up_at"}) == exact
        assert paid_back(duckdb) == rows(duckdb, "SELECT cohort_month, paid_back_in FROM payback ORDER BY cohort_month")
        columns = "duckdb_columns() WHERE table_name = 'ltv_cohorts' AND column_name = 'ltv'"
        comment = Statement(f"SELECT comment FROM {columns}")
        kept = {row["comment"] for row in duckdb.session.run([comment]).read_all().to_pylist()}
        assert kept == {COLUMNS["ltv"]}
        rollup(duckdb, config_of(FILE), LAST_DAY)  # what dbt has made is no obstacle
        assert contents(duckdb)["ltv_cohorts"] == ours["ltv_cohorts"]


def paid_back(duckdb: DuckDBWarehouse) -> list[tuple[Any, ...]]:
    """The example's own model in plain Python."""
    costs = rows(duckdb, "SELECT cohort_month, cost FROM acquisition_costs ORDER BY cohort_month")
    cells = rows(duckdb, "SELECT cohort_month, month_number, ltv FROM ltv_cohorts WHERE NOT is_guest")
    found = [
        (month, min((number for cohort, number, ltv in cells if cohort == month and ltv >= cost), default=None))
        for month, cost in costs
    ]
    assert {number is None for _, number in found} == {True, False} and any(number for _, number in found)
    return found


def test_a_table_that_is_wrong_fails_its_test(project: DbtProject) -> None:
    with warehouse(project) as duckdb:
        rollup(duckdb, config_of(FILE), LAST_DAY)
        for sql in (
            "INSERT INTO ltv_cohorts SELECT * FROM ltv_cohorts LIMIT 1",
            "UPDATE adds_up SET is_equal = false WHERE purchase_month IS NULL",
            "UPDATE ltv_monthly SET revenue = NULL",
            "UPDATE freshness SET dead_letters = 3",
        ):
            duckdb.session.run([Statement(sql)])
    project("test", "--select", "ltv_cohorts", "adds_up", "ltv_monthly", "freshness", fails=True)
    assert {name: status for name, status in project.results().items() if status not in ("pass", "success")} == {
        "ltv_unique_ltv_cohorts_cohort_month__month_number__currency__is_guest": "fail",
        "ltv_always_adds_up_is_equal": "fail",
        "ltv_filled_ltv_monthly_purchase_month__currency__orders__customers__revenue": "fail",
        "ltv_always_freshness_gaps_0_AND_dead_letters_0_AND_reloads_needed_0": "warn",
    }


def test_a_worker_that_sends_nothing_makes_the_source_stale(project: DbtProject) -> None:
    def arrived(age: str) -> None:
        sql = f"""INSERT INTO raw.arrivals (source, run, number, through, after_run, after_number, last_sequence,
            committed_at, received_at) SELECT 's', 'r', 1, 1, '', 0, '', received, received
            FROM (SELECT now() - INTERVAL {age} AS received)"""
        with warehouse(project) as duckdb:
            duckdb.session.run([Statement("DELETE FROM raw.arrivals"), Statement(sql)])

    arrived("8 HOURS")
    assert "ERROR STALE freshness of ltv_raw.arrivals" in project("source", "freshness", fails=True)
    arrived("1 MINUTE")
    assert "PASS freshness of ltv_raw.arrivals" in project("source", "freshness")


def test_the_day_is_the_shops_own(project: DbtProject) -> None:
    shown = ("--quiet", "show", "--output", "json", "--inline", "SELECT '{{ ltv.ltv_as_of() }}' AS day")
    days = [dt.datetime.now(ZoneInfo("Europe/Paris")).date()]
    said = project(*shown)
    days.append(dt.datetime.now(ZoneInfo("Europe/Paris")).date())
    assert any(f'"{day}"' in said for day in days)
    said = project(*shown, "--vars", "{ltv_as_of: yesterday}", fails=True)
    assert "ltv_as_of is no date such as 2026-10-31: yesterday" in said


def test_the_tables_as_sources(project: DbtProject, tmp_path: Path) -> None:
    """For those who have `rollup` or the scheduled queries make them."""
    reader = DbtProject(tmp_path / "reader", FILE, "--sources-only")
    shutil.copy(project.folder / "ltv.duckdb", reader.folder / "ltv.duckdb")
    model = reader.folder / "models" / "payback.sql"
    model.write_text(model.read_text().replace("ref('ltv', 'ltv_cohorts')", "source('ltv', 'ltv_cohorts')"))
    with warehouse(reader) as duckdb:
        rollup(duckdb, config_of(FILE), LAST_DAY)
        before = contents(duckdb)
    reader.install()
    reader("build")
    assert reader.results()["source_ltv_always_ltv_adds_up_is_equal"] == "pass"
    with warehouse(reader) as duckdb:
        assert contents(duckdb) == before
        assert rows(duckdb, "SELECT COUNT(*) FROM payback") == [(3,)]
        duckdb.session.run([Statement("UPDATE rolled_up SET rolled_up_at = rolled_up_at - INTERVAL 3 HOURS")])
    assert "WARN freshness of ltv.rolled_up" in reader("source", "freshness")
