"""Which rollup the page shows: of which day, when it was made, and whether anything was written since."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from pipeline.facts import ENTRIES_MARK
from pipeline.report.document import AVERAGE_MEASURES, MEASURES
from pipeline.warehouse import Warehouse
from schemas.errors import QueryError, RollupOutdated

ROLL_UP = "ltv-pipeline rollup"

_KEY = ("segment", "value", "is_other", "currency", "is_guest", "month_number")
NEEDED: dict[str, tuple[str, ...]] = {
    "ltv_triangle": (*_KEY, "cohort_month", "customers", "is_open", *MEASURES),
    "ltv_averages": (*_KEY, "cohorts", "customers", *AVERAGE_MEASURES),
    "ltv_cohorts_by_segment": (*_KEY, "customers"),
    "adds_up": ("currency", "purchase_month", "triangle", "entries", "orders", "is_equal"),
    "gross_to_net": ("currency", "purchase_month", "step", "name", "amount", "orders"),
    "ltv_monthly": ("purchase_month", "currency", "orders", "customers", "revenue"),
    "product_stats": ("product", "currency", "quantity", "revenue", "average_price", "customers", "first_sold_on"),
    "product_top_country": ("product", "country", "quantity"),
    "reconciliation_states": ("currency", "state", "age", "orders", "amount", "due", "charged", "difference"),
    "payment_reconciliation": (
        *("order_id", "charge_id", "ordered_on", "currency", "status", "amount", "due", "paid", "refunded"),
        *("difference", "difference_pct", "state", "age_days"),
    ),
    "changed_cells": (
        *("cohort_month", "month_number", "currency", "is_guest", "was_open", "reason", "changes", "orders"),
        *("revenue", "refunds", "since", "since_as_of"),
    ),
    "cohort_changes": (
        *("cohort_month", "month_number", "currency", "is_guest", "reason", "order_id", "customer_id", "orders"),
        *("revenue", "refunds"),
    ),
    "order_first_purchase": (
        *("order_id", "ordered_at", "customer_id", "cohort_month", "month_number", "currency", "amount"),
    ),
    "counted_refunds": (
        *("order_id", "refunded_at", "customer_id", "cohort_month", "month_number", "currency", "amount"),
    ),
    "freshness": (
        *("applied_at", "source_lag_seconds", "last_change_at", "gaps", "gap_since", "dead_letters"),
        *("oldest_dead_letter_at", "reloads_needed", "tables_to_reload"),
    ),
}
"""Rolled-up table → the columns of it that the page is made of."""


@dataclass(frozen=True)
class RolledUp:
    """The row of `rolled_up`."""

    as_of: dt.date
    rolled_up_at: dt.datetime
    entries_mark: str


def last_rollup(warehouse: Warehouse) -> RolledUp | None:
    """None where nothing was rolled up yet. Raises WarehouseError where the warehouse may not be read."""
    try:
        with warehouse.query("SELECT as_of, rolled_up_at, entries_mark FROM rolled_up") as reader:
            found = reader.read_all().to_pylist()
    except QueryError:
        return None
    return RolledUp(**found[0]) if found else None


def present_mark(warehouse: Warehouse) -> str | None:
    """Of the entries as they are now, to be held against `RolledUp.entries_mark`. None where there are none yet.

    The view is what somebody who may not read the raw tables can still ask; the first rollup makes it.
    """
    for mark in ("SELECT entries_mark AS mark FROM marks", f"SELECT {ENTRIES_MARK} AS mark"):
        try:
            with warehouse.query(mark) as reader:
                found = str(reader.read_all().to_pylist()[0]["mark"])
        except QueryError:
            continue
        return None if found.startswith("0 ") else found
    return None


def require_tables(warehouse: Warehouse) -> None:
    """Raises RollupOutdated where a rolled-up table, or a column of one, is not there.

    Trap: side by side in one FROM, DuckDB lets a table take a column that it lacks from its left neighbour.
    """
    every = [
        f"(SELECT COUNT(*) FROM (SELECT {', '.join(columns)} FROM {table} LIMIT 0) AS needed) AS {table}"
        for table, columns in NEEDED.items()
    ]
    if _answers(warehouse, f"SELECT {', '.join(every)}"):
        return
    for table, columns in NEEDED.items():
        if not _answers(warehouse, f"SELECT {', '.join(columns)} FROM {table} LIMIT 0"):
            raise RollupOutdated(
                f"{table} is missing, or lacks columns that the page is made of: another version made it",
                table=table,
                hint=f"run `{ROLL_UP}`",
            )


def _answers(warehouse: Warehouse, sql: str) -> bool:
    try:
        with warehouse.query(sql) as reader:
            reader.read_all()
    except QueryError:
        return False
    return True
