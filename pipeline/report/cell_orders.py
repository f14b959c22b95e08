"""The orders and refunds behind the cells of the whole triangles: the largest of each for a file, all by pages live."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from pipeline.report.columns import instant, month, read, rows, shown
from pipeline.report.document import CellOrder, CellOrders, cell_name
from pipeline.warehouse import Warehouse

_BEHIND = """
  SELECT order_id, ordered_at AS at, customer_id, cohort_month, month_number, currency, amount, FALSE AS is_refund
  FROM order_first_purchase
  UNION ALL
  SELECT order_id, refunded_at, customer_id, cohort_month, month_number, currency, amount, TRUE
  FROM counted_refunds
"""
_ORDER = "ABS(amount) DESC, is_refund, order_id, at"
"""The largest first; a refund behind an order of its size."""

_PLAIN = ("order_id", "at", "customer_id", "is_refund")


def read_cell_orders(warehouse: Warehouse, limit: int, currencies: Sequence[str]) -> CellOrders:
    """`limit` orders and refunds of each cell."""
    if not limit:
        return {"limit": 0, "cells": {}}
    found = read(
        warehouse,
        f"""(
          SELECT *, customer_id IS NULL AS is_guest, ROW_NUMBER() OVER (
            PARTITION BY cohort_month, month_number, currency, customer_id IS NULL ORDER BY {_ORDER}
          ) AS place
          FROM ({_BEHIND}) AS behind
          WHERE TRUE
          QUALIFY place <= {limit:d}
        ) AS placed
        ORDER BY currency, is_guest, cohort_month, month_number, place""",
        (*_PLAIN, "cohort_month", "month_number", "currency", "is_guest"),
        ("amount",),
    )
    cells: dict[str, list[CellOrder]] = {}
    for row in rows(found):
        if row["currency"] in currencies:
            name = cell_name(row["currency"], row["is_guest"], month(row["cohort_month"]), row["month_number"])
            cells.setdefault(name, []).append(_cell_order(row))
    return {"limit": limit, "cells": cells}


def read_orders_of(
    warehouse: Warehouse, currency: str, is_guest: bool, cohort: dt.date, number: int, offset: int, limit: int
) -> tuple[int, list[CellOrder]]:
    """How many orders and refunds are behind a cell, and a page of them."""
    of_cell = (
        f"({_BEHIND}) AS behind WHERE currency = @currency AND customer_id IS {'' if is_guest else 'NOT '}NULL"
        " AND cohort_month = @cohort AND month_number = @number"
    )
    parameters: dict[str, Any] = {"currency": currency, "cohort": cohort, "number": number}
    total: int = read(warehouse, of_cell, ("COUNT(*) AS n",), parameters=parameters)["n"][0]
    page = f"{of_cell} ORDER BY {_ORDER} LIMIT {limit:d} OFFSET {offset:d}"
    return total, [_cell_order(row) for row in rows(read(warehouse, page, _PLAIN, ("amount",), parameters))]


def _cell_order(row: dict[str, Any]) -> CellOrder:
    return {
        "order_id": shown(row["order_id"]) or "",
        "at": instant(row["at"]) or "",
        "customer_id": shown(row["customer_id"]),
        "amount": row["amount"],
        "is_refund": row["is_refund"],
    }
