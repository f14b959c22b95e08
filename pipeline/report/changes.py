"""What changed since the rollup before: the cells that moved, and the orders that moved them."""

from __future__ import annotations

from typing import Any

from pipeline.report.columns import day, instant, month, read, rows, shown
from pipeline.report.document import Change, ChangedCell, ChangedOrder, Changes
from pipeline.warehouse import Warehouse

MOST_CELLS = 2_000
MOST_ORDERS = 500

_PLAIN = ("cohort_month", "month_number", "currency", "is_guest", "reason", "orders")
_MONEY = ("revenue", "refunds")


def read_changes(warehouse: Warehouse, most_orders: int | None = None) -> Changes:
    """Cells of closed months first, then by what they moved by; of orders those that moved most, 500 unless another
    number is given."""
    totals = read(
        warehouse,
        "changed_cells",
        ("COUNT(*) AS cells", "MAX(since) AS since", "MAX(since_as_of) AS since_as_of"),
    )
    cells = _cells(warehouse)
    orders = _orders(warehouse, MOST_ORDERS if most_orders is None else most_orders)
    every: int = read(warehouse, "cohort_changes", ("COUNT(*) AS n",))["n"][0]
    return {
        "since": instant(totals["since"][0]),
        "since_as_of": day(totals["since_as_of"][0]),
        "cells": cells,
        "cells_left_out": totals["cells"][0] - len(cells),
        "orders": orders,
        "left_out": every - len(orders),
    }


def _cells(warehouse: Warehouse) -> list[ChangedCell]:
    found = read(
        warehouse,
        "changed_cells ORDER BY was_open, ABS(revenue) + ABS(refunds) DESC, cohort_month, month_number, currency,"
        f" is_guest, reason LIMIT {MOST_CELLS}",
        (*_PLAIN, "was_open", "changes"),
        _MONEY,
    )
    return [{**_change(row), "was_open": row["was_open"], "changes": row["changes"]} for row in rows(found)]


def _orders(warehouse: Warehouse, most: int) -> list[ChangedOrder]:
    found = read(
        warehouse,
        "cohort_changes ORDER BY ABS(revenue) + ABS(refunds) DESC, order_id, cohort_month, month_number, reason"
        f" LIMIT {most:d}",
        (*_PLAIN, "order_id", "customer_id"),
        _MONEY,
    )
    return [
        {**_change(row), "order_id": shown(row["order_id"]) or "", "customer_id": shown(row["customer_id"])}
        for row in rows(found)
    ]


def _change(row: dict[str, Any]) -> Change:
    return {
        "month": month(row["cohort_month"]),
        "number": row["month_number"],
        "currency": row["currency"],
        "is_guest": row["is_guest"],
        "reason": row["reason"],
        "orders": row["orders"],
        "revenue": row["revenue"],
        "refunds": row["refunds"],
    }
