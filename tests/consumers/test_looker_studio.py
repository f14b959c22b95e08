"""The document on Looker Studio: every query in it runs and shows something, and every name in it is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.dbt.columns import COLUMNS
from pipeline.dbt.tables import TABLES
from pipeline.duckdb_warehouse import DuckDBWarehouse
from pipeline.rollup import rollup
from tests.builders import apply, memory, rows
from tests.consumers.rich_shop import FIRST_DAY, LAST_DAY, config_of, two_parts

DOCUMENT = Path(__file__).parents[2] / "consumers" / "looker_studio.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
BY_COHORT, BY_MONTH = "Revenue by cohort over calendar months", "Revenue by month, with guests"
QUERIES = dict(re.findall(r"^### (.+?)$.*?^```sql\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def warehouse() -> DuckDBWarehouse:
    made, config, (first, then) = memory(), config_of("duckdb:x"), two_parts()
    apply(made, config, *first)
    rollup(made, config, FIRST_DAY)
    apply(made, config, *then)
    rollup(made, config, LAST_DAY)
    return made


def test_every_query_is_found() -> None:
    assert len(QUERIES) == TEXT.count("```sql") == TEXT.count("\n### ") == 11


@pytest.mark.parametrize("title", QUERIES)
def test_a_query_shows_something(title: str, warehouse: DuckDBWarehouse) -> None:
    with warehouse.query(QUERIES[title]) as reader:
        found = reader.read_all()
    assert found.num_rows > 0
    empty = [name for name in found.column_names if found[name].null_count == found.num_rows]
    assert set(empty) <= {"tables_to_reload", "source_lag_seconds"}


def test_what_may_be_added_up_adds_up(warehouse: DuckDBWarehouse) -> None:
    cohorts = f"SELECT purchase_month, SUM(revenue) AS revenue FROM ({QUERIES[BY_COHORT]}) GROUP BY purchase_month"
    by_cohort = rows(warehouse, f"{cohorts} HAVING SUM(revenue) <> 0 ORDER BY purchase_month")
    assert by_cohort == rows(warehouse, f"SELECT purchase_month, revenue FROM ({QUERIES[BY_MONTH]}) ORDER BY 1")


def test_every_name_is_that_of_a_table_or_column() -> None:
    """What stands between back-quotes and looks like a name."""
    named = set(re.findall(r"`([a-z_]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)))
    columns = {column for table in TABLES.values() for column in table.columns.split()}
    assert set(COLUMNS) <= columns
    datasets, elsewhere = {"ltv", "ltv_raw"}, {"serve", "minutes_since_rollup"}
    assert named - set(TABLES) - columns - datasets == elsewhere
