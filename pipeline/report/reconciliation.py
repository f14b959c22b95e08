"""Orders beside their charges: how many are in each state, and those that are neither matched nor explained."""

from __future__ import annotations

from collections.abc import Container

from pipeline.report.columns import day, read, rows, shown
from pipeline.report.document import Reconciliation, StateCount, UnexplainedOrder
from pipeline.warehouse import Warehouse
from schemas.config import ShopConfig

MOST = 500
_UNEXPLAINED = "payment_reconciliation WHERE state NOT IN ('matched', 'explained')"


def read_reconciliation(
    warehouse: Warehouse, config: ShopConfig, currencies: Container[str] | None = None
) -> Reconciliation:
    """`currencies` of the states; None: all."""
    orders = read_unexplained(warehouse, 0, MOST)
    return {
        "is_mapped": "charges" in config.tables,
        "states": _states(warehouse, currencies),
        "orders": orders,
        "left_out": count_unexplained(warehouse) - len(orders),
    }


def count_unexplained(warehouse: Warehouse) -> int:
    found: int = read(warehouse, _UNEXPLAINED, ("COUNT(*) AS n",))["n"][0]
    return found


def read_unexplained(warehouse: Warehouse, offset: int, limit: int) -> list[UnexplainedOrder]:
    """Those with the largest differences first."""
    found = read(
        warehouse,
        f"{_UNEXPLAINED} ORDER BY ABS(difference) DESC, order_id, charge_id LIMIT {limit:d} OFFSET {offset:d}",
        ("order_id", "charge_id", "ordered_on", "currency", "status", "state", "age_days"),
        ("amount", "due", "paid", "refunded", "difference", "difference_pct"),
    )
    return [
        {
            "order_id": shown(row["order_id"]),
            "charge_id": shown(row["charge_id"]),
            "ordered_on": day(row["ordered_on"]),
            "currency": row["currency"],
            "status": shown(row["status"]),
            "amount": row["amount"],
            "due": row["due"],
            "paid": row["paid"],
            "refunded": row["refunded"],
            "difference": row["difference"],
            "difference_pct": row["difference_pct"],
            "state": row["state"],
            "age_days": row["age_days"],
        }
        for row in rows(found)
    ]


def _states(warehouse: Warehouse, currencies: Container[str] | None) -> list[StateCount]:
    found = read(
        warehouse,
        "reconciliation_states ORDER BY currency, state, age",
        ("currency", "state", "age", "orders"),
        ("amount", "due", "charged", "difference"),
    )
    return [
        {
            "currency": row["currency"],
            "state": row["state"],
            "age": row["age"],
            "orders": row["orders"],
            "amount": row["amount"],
            "due": row["due"],
            "charged": row["charged"],
            "difference": row["difference"],
        }
        for row in rows(found)
        if currencies is None or (row["currency"] or "") in currencies
    ]
