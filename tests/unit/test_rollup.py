"""Rows in, rows out, for each rolled-up table: the traps of cohort analysis (`rollup/*.yaml`)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from pipeline.deploy.rollup_scripts import read_tables
from pipeline.facts import BEFORE
from pipeline.rollup import as_of_date, rollup, rollup_queries
from pipeline.session import Statement
from schemas.config import RESERVED_TABLES
from schemas.errors import SettingsChanged, UsageError
from tests.builders import MAPPED, apply, by_words, memory, rolled_up, shop, texts
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


def test_a_table_is_made_after_those_that_it_is_made_of() -> None:
    made: set[str] = set()
    tables = {table for table, _ in rollup_queries()}
    for table, sql in rollup_queries():
        assert read_tables(sql) & tables <= made or table == "cohort_changes", table
        made.add(table)
    assert len(made) == len(rollup_queries()), "two files of one name"
    assert made <= RESERVED_TABLES


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


SUMS = "SELECT currency, purchase_month, triangle, entries, orders, is_equal FROM adds_up"


@pytest.mark.parametrize(
    ("lost", "sums"),
    [
        (
            "raw.orders SET _deleted = TRUE WHERE id = 2",
            ["EUR - 9.00 9.00 4.00 false", "EUR {} 10.00 10.00 5.00 false"],
        ),
        ("raw.orders SET _deleted = TRUE", ["EUR - 9.00 9.00 0.00 false", "EUR {} 10.00 10.00 0.00 false"]),
        ("raw.charges SET _deleted = TRUE", ["EUR - 9.00 9.00 10.00 false", "EUR {} 10.00 10.00 10.00 true"]),
    ],
)
def test_what_is_lost_beside_the_entries_does_not_add_up(lost: str, sums: list[str]) -> None:
    config, warehouse = shop(), memory()
    apply(
        warehouse, config, *by_words(["order 1 2022-01-13 1 5", "order 2 2022-01-13 2 5", "charge 1 1 -1 2022-01-13"])
    )
    warehouse.session.run([Statement(f"UPDATE {lost}")])
    assert rolled_up(warehouse, config, dt.date(2022, 1, 31), SUMS) == [line.format("2022-01-01") for line in sums]


def test_an_order_without_its_entry_does_not_add_up() -> None:
    config, warehouse = shop(), memory()
    apply(warehouse, config, *by_words(["order 1 2022-01-13 1 5", "order 2 2022-01-13 2 5", "order 3 2022-02-01 1 5"]))
    warehouse.session.run([Statement("DELETE FROM raw.ltv_entries WHERE order_id = '2'")])
    expected = ["EUR - 5.00 5.00 10.00 false", "EUR 2022-01-01 5.00 5.00 10.00 false"]
    assert rolled_up(warehouse, config, dt.date(2022, 1, 31), SUMS) == expected


@pytest.mark.parametrize(
    ("wrong", "sums"),
    [
        ("ltv = ltv + 1", ["EUR - 6.00 5.00 5.00 false", "EUR {} 5.00 5.00 5.00 true"]),
        ("revenue = revenue - 0.01", ["EUR - 5.00 5.00 5.00 true", "EUR {} 4.99 5.00 5.00 false"]),
        (
            "currency = 'USD'",
            [
                "EUR - 0.00 5.00 5.00 false",
                "EUR {} 0.00 5.00 5.00 false",
                "USD - 5.00 0.00 0.00 false",
                "USD {} 5.00 0.00 0.00 false",
            ],
        ),
    ],
)
def test_a_triangle_that_is_wrong_does_not_add_up(wrong: str, sums: list[str]) -> None:
    config, warehouse, as_of = shop(), memory(), dt.date(2022, 1, 31)
    apply(warehouse, config, *by_words(["order 1 2022-01-13 1 5"]))
    rollup(warehouse, config, as_of)
    warehouse.session.run([Statement(f"UPDATE main.ltv_cohorts SET {wrong}")])
    warehouse.replace_tables([("adds_up", dict(rollup_queries())["adds_up"])], {"as_of": as_of})
    assert texts(warehouse, SUMS) == [line.format("2022-01-01") for line in sums]


def test_the_values_beyond_the_largest_are_one_of_the_twenty_where_they_are_many() -> None:
    config = shop(
        tables={"orders": {**MAPPED["orders"], "columns": {**MAPPED["orders"]["columns"], "country": "country"}}},
        segments=["country"],
    )
    warehouse, as_of = memory(), dt.date(2022, 2, 28)
    orders = [f"order {id} 2022-01-13 {id} 10 completed country=c{id:03}" for id in range(1, 261)]
    apply(warehouse, config, *by_words(["order 999 2022-01-13 999 1 completed", *orders]))
    where = "WHERE segment IS NOT NULL AND month_number = 0"
    sql = f"SELECT is_other, COUNT(*), SUM(customers) FROM ltv_triangle {where} GROUP BY is_other ORDER BY is_other"
    assert rolled_up(warehouse, config, as_of, sql) == ["false 19 19", "true 1 11"]
    assert texts(warehouse, sql.replace("ltv_triangle", "ltv_averages")) == ["false 250 250", "true 1 11"]
    assert texts(warehouse, f"SELECT COUNT(*), COUNT(value) FROM ltv_triangle {where} AND NOT is_other") == ["19 18"]


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
