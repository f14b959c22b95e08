"""The table `freshness`: how far the source has been applied, as `pipeline.applied` says it, and what waits."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pyarrow as pa
import pytest

from pipeline.applied import newest_applied
from pipeline.duckdb_warehouse import DuckDBWarehouse
from pipeline.rollup import rollup
from pipeline.session import Statement
from schemas.tables import OWN_TABLES
from tests.builders import LETTER, apply, event, memory, message, order, rows, schema, sequence, shop

AS_OF = dt.date(2022, 1, 31)
NOW = dt.datetime.now(dt.timezone.utc)


def arrive(warehouse: DuckDBWarehouse, *arrivals: tuple[str, int, int, str, int, int], days_ago: float = 0) -> None:
    """(run, number, through, after_run, after_number, position of the last sequence)."""
    names = list(OWN_TABLES["arrivals"])
    received = NOW - dt.timedelta(days=days_ago)
    lines: list[dict[str, Any]] = [
        {
            "source": "s",
            "run": run,
            "number": number,
            "through": through,
            "after_run": after_run,
            "after_number": after_number,
            "last_sequence": sequence(position),
            "committed_at": received - dt.timedelta(seconds=100 - position),
            "received_at": received,
        }
        for run, number, through, after_run, after_number, position in arrivals
    ]
    insert = Statement(f"INSERT INTO raw.arrivals ({', '.join(names)}) SELECT {', '.join(names)} FROM new_rows")
    warehouse.session.run([insert], {"new_rows": pa.Table.from_pylist(lines)})


def freshness(warehouse: DuckDBWarehouse, columns: str) -> tuple[Any, ...]:
    rollup(warehouse, shop(), AS_OF)
    (row,) = rows(warehouse, f"SELECT {columns} FROM freshness")
    return row


def test_an_empty_warehouse_knows_nothing_and_lacks_nothing() -> None:
    columns = "as_of, applied_up_to, applied_at, source_lag_seconds, gaps, dead_letters, reloads_needed, last_change_at"
    assert freshness(memory(), columns) == (AS_OF, None, None, None, 0, 0, 0, None)


def test_the_lag_is_that_of_the_gap_free_prefix() -> None:
    warehouse = memory()
    arrive(warehouse, ("a", 1, 5, "", 0, 50), ("a", 7, 9, "", 0, 90))
    upto, applied_at, lag, gaps, since, rolled_up_at = freshness(
        warehouse, "applied_up_to, applied_at, source_lag_seconds, gaps, gap_since, rolled_up_at"
    )
    assert (upto, gaps, since) == (sequence(50), 1, NOW)
    assert applied_at == NOW - dt.timedelta(seconds=50)
    assert abs(lag - (rolled_up_at - applied_at).total_seconds()) <= 1
    arrive(warehouse, ("a", 6, 6, "", 0, 60))
    assert freshness(warehouse, "applied_up_to, gaps, gap_since") == (sequence(90), 0, None)


def test_a_run_that_was_sent_again_from_before_its_gap_is_no_gap_any_more() -> None:
    warehouse = memory()
    arrive(warehouse, ("a", 1, 5, "", 0, 50), ("a", 7, 7, "", 0, 70), ("b", 1, 4, "a", 5, 80))
    assert freshness(warehouse, "applied_up_to, gaps") == (sequence(80), 0)


@pytest.mark.parametrize("seed", range(25))
def test_it_is_what_the_pipeline_itself_says(seed: int) -> None:
    chance, warehouse = random.Random(seed), memory()
    for at, run in enumerate("abcdef"):
        before = chance.choice(["", *"abcdef"[:at], "forgotten"]) if at else chance.choice(["", "b"])
        after, first, position = chance.randint(0, 4), chance.randint(1, 2), at * 10
        for number in range(first, chance.randint(2, 6)):
            if chance.random() < 0.85:
                position += 1
                arrive(warehouse, (run, number, number, before, after, position), days_ago=8 if at < 2 else 0)
    assert freshness(warehouse, "COALESCE(applied_up_to, '')") == (newest_applied(warehouse, NOW),)


def test_dead_letters_reload_marks_and_the_last_change_are_told() -> None:
    config, warehouse = shop(), memory()
    of = schema("shop.orders", {"id": "bigint", "order_date": "datetime(6)", "status": "varchar",
                                "customer_id": "bigint", "amount": "decimal(12,2)"})  # fmt: skip
    apply(warehouse, config, message(of, event("c", order(1), 7), LETTER))
    for table, at in (("shop.orders", 5), ("shop.charges", 9), ("shop.items", 3)):
        mark = f"INSERT INTO raw.reloads VALUES ('{table}', '{sequence(at)}', 'ADD COLUMN', now())"
        warehouse.session.run([Statement(mark)])
    columns = 'id, "table", whole, sequence, done_at'
    for table, at, whole, done in (
        ("shop.orders", 6, True, "now()"),  # later than the mark
        ("shop.charges", 8, True, "now()"),  # before it
        ("shop.items", 9, False, "now()"),  # a part of the table
        ("shop.items", 9, True, "NULL"),  # under way
    ):
        load = f"INSERT INTO raw.loads ({columns}) SELECT uuid()::VARCHAR, '{table}', {whole}, '{sequence(at)}', {done}"
        warehouse.session.run([Statement(load)])
    dead, needed, tables, changed, written = freshness(
        warehouse, "dead_letters, reloads_needed, tables_to_reload, last_change_at, last_written_at"
    )
    assert (dead, needed, tables) == (1, 2, "shop.charges, shop.items")
    assert changed == dt.datetime.fromtimestamp(1_657_811_000, dt.timezone.utc)
    assert written > NOW
