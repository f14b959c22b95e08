"""What must add up: the three sums, the way from gross to net, the revenue of each month; and the currencies."""

from __future__ import annotations

from collections.abc import Container

from pipeline.report.columns import month, read, rows
from pipeline.report.document import MonthTotal, Step, Sums
from pipeline.warehouse import Warehouse


def read_adds_up(warehouse: Warehouse, currencies: Container[str] | None = None) -> list[Sums]:
    """`currencies` None: all. What is not equal is there in any case."""
    found = read(
        warehouse,
        "adds_up ORDER BY currency, purchase_month",
        ("currency", "purchase_month", "is_equal"),
        ("triangle", "entries", "orders"),
    )
    return [
        {
            "currency": row["currency"] or "",
            "month": None if row["purchase_month"] is None else month(row["purchase_month"]),
            "triangle": row["triangle"],
            "entries": row["entries"],
            "orders": row["orders"],
            "is_equal": bool(row["is_equal"]),
        }
        for row in rows(found)
        if currencies is None or (row["currency"] or "") in currencies or not row["is_equal"]
    ]


def read_steps(warehouse: Warehouse, currencies: Container[str] | None = None) -> list[Step]:
    found = read(
        warehouse,
        "gross_to_net ORDER BY currency, purchase_month, step",
        ("currency", "purchase_month", "name", "orders"),
        ("amount",),
    )
    return [
        {
            "currency": row["currency"] or "",
            "month": None if row["purchase_month"] is None else month(row["purchase_month"]),
            "name": row["name"],
            "amount": row["amount"],
            "orders": row["orders"],
        }
        for row in rows(found)
        if currencies is None or (row["currency"] or "") in currencies
    ]


def read_months(warehouse: Warehouse, currencies: Container[str] | None = None) -> list[MonthTotal]:
    found = read(
        warehouse,
        "ltv_monthly ORDER BY currency, purchase_month",
        ("purchase_month", "currency", "orders", "customers"),
        ("revenue",),
    )
    return [
        {
            "month": month(row["purchase_month"]),
            "currency": row["currency"] or "",
            "orders": row["orders"],
            "customers": row["customers"],
            "revenue": row["revenue"],
        }
        for row in rows(found)
        if currencies is None or (row["currency"] or "") in currencies
    ]


def read_currencies(warehouse: Warehouse) -> list[str]:
    """That of most orders first."""
    return read(warehouse, "ltv_monthly GROUP BY currency ORDER BY SUM(orders) DESC, currency", ("currency",))[
        "currency"
    ]
