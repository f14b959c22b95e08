"""Rows in, rows out, for each rolled-up table: the traps of cohort analysis (`rollup/*.yaml`)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from pipeline.facts import BEFORE
from pipeline.rollup import as_of_date, rollup, rollup_queries
from schemas.errors import SettingsChanged, UsageError
from tests.builders import apply, by_words, memory, rolled_up, shop
from tests.rollup_cases import CASES, found_and_expected, rolled_up_case


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES])
def test_rows_in_rows_out(case: dict[str, Any]) -> None:
    warehouse = memory()
    rolled_up_case(case, warehouse)
    for what, found, expected in found_and_expected(case, warehouse):
        assert found == expected, what


def test_what_reads_the_tables_of_the_rollup_before_is_made_before_them() -> None:
    tables = [table for table, _ in rollup_queries()]
    for view, (table, _) in BEFORE.items():
        readers = [name for name, sql in rollup_queries() if f" {view} " in sql]
        assert readers == ["cohort_changes"]
        assert table == "rolled_up" or tables.index("cohort_changes") < tables.index(table)


def test_a_rollup_replaces_what_was_there_before() -> None:
    config, warehouse = shop(), memory()
    sql = "SELECT cohort_month, ltv FROM ltv_cohorts"
    messages = by_words(["order 1 2022-01-13 1 75", "delete order 1"])
    apply(warehouse, config, messages[0])
    assert rolled_up(warehouse, config, dt.date(2022, 1, 31), sql) == ["2022-01-01 75.00"]
    apply(warehouse, config, messages[1])
    assert rolled_up(warehouse, config, dt.date(2022, 1, 31), sql) == []


def test_a_rollup_of_an_empty_warehouse_has_all_tables() -> None:
    counts = rollup(memory(), shop(), dt.date(2022, 1, 31))
    assert {table: rows for table, rows in counts.items() if rows} == {"freshness": 1}
    assert {"ltv_cohorts", "ltv_monthly", "order_first_purchase"} <= set(counts)


def test_a_rollup_refuses_entries_of_other_settings() -> None:
    warehouse = memory()
    rollup(warehouse, shop(), dt.date(2022, 1, 31))
    with pytest.raises(SettingsChanged, match="time_zone"):
        rollup(warehouse, shop(time_zone="UTC"), dt.date(2022, 1, 31))


@pytest.mark.parametrize(("zone", "day"), [("Europe/Paris", dt.date(2022, 8, 1)), ("UTC", dt.date(2022, 7, 31))])
def test_today_is_the_shops_day(zone: str, day: dt.date) -> None:
    now = dt.datetime(2022, 7, 31, 22, 30, tzinfo=dt.timezone.utc)
    assert as_of_date(None, shop(time_zone=zone), now) == day
    assert as_of_date("2022-02-28", shop(), now) == dt.date(2022, 2, 28)


@pytest.mark.parametrize("text", ["2022-02-30", "yesterday", "", "20220101x"])
def test_as_of_must_be_a_date(text: str) -> None:
    with pytest.raises(UsageError, match="is no date"):
        as_of_date(text, shop(), dt.datetime.now(dt.timezone.utc))
