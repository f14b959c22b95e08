"""Single rows of a document, as the tables would have them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from pipeline.report.document import (
    CellOrder,
    ChangedCell,
    ChangedOrder,
    Freshness,
    Key,
    Product,
    StateCount,
    UnexplainedOrder,
)
from tests.report.figures import text


def key(
    segment: str | None = None,
    value: str | None = None,
    *,
    is_other: bool = False,
    currency: str = "EUR",
    is_guest: bool = False,
) -> Key:
    return {"segment": segment, "value": value, "is_other": is_other, "currency": currency, "is_guest": is_guest}


def freshness() -> Freshness:
    return {
        "rolled_up_at": "2022-07-31T18:00:05Z",
        "applied_at": "2022-07-31T18:00:00Z",
        "source_lag_seconds": 3,
        "last_change_at": "2022-07-31T17:59:58Z",
        "gaps": 0,
        "gap_since": None,
        "dead_letters": 0,
        "oldest_dead_letter_at": None,
        "reloads_needed": 0,
        "tables_to_reload": None,
        "is_stale": False,
    }


def order(order_id: str, day: str, customer: str | None, amount: str, *, is_refund: bool = False) -> CellOrder:
    return {
        "order_id": order_id,
        "at": f"{day}T10:00:00Z",
        "customer_id": customer,
        "amount": amount,
        "is_refund": is_refund,
    }


def product(
    name: str | None,
    quantity: str,
    revenue: str,
    average_price: str,
    customers: int,
    first_sold_on: str,
    top_countries: Sequence[str | None],
    ltv: dict[str, str | None],
) -> Product:
    return {
        "product": name,
        "currency": "EUR",
        "quantity": quantity,
        "revenue": revenue,
        "average_price": average_price,
        "customers": customers,
        "first_sold_on": first_sold_on,
        "top_countries": list(top_countries),
        "first_customers": customers,
        "ltv": ltv,
    }


def states(currency: str, rows: dict[str, tuple[int, str, str]], age: str | None = None) -> list[StateCount]:
    return [
        {
            "currency": currency,
            "state": state,
            "age": age,
            "orders": orders,
            "amount": amount,
            "due": amount,
            "charged": charged,
            "difference": text(Decimal(amount) - Decimal(charged)),
        }
        for state, (orders, amount, charged) in rows.items()
    ]


def unexplained(order_id: str, day: str, amount: str, paid: str, state: str, age: int) -> UnexplainedOrder:
    difference = Decimal(amount) - Decimal(paid)
    return {
        "order_id": order_id,
        "charge_id": None,
        "ordered_on": day,
        "currency": "EUR",
        "status": "shipped",
        "amount": amount,
        "due": amount,
        "paid": paid,
        "refunded": "0",
        "difference": text(difference),
        "difference_pct": text((difference / Decimal(amount) * 100).quantize(Decimal("0.1"))),
        "state": state,
        "age_days": age,
    }


def changed(
    month: str, number: int, was_open: bool, reason: str, count: int, orders: int, revenue: str, refunds: str
) -> ChangedCell:
    return {
        "month": month,
        "number": number,
        "currency": "EUR",
        "is_guest": False,
        "was_open": was_open,
        "reason": reason,
        "changes": count,
        "orders": orders,
        "revenue": revenue,
        "refunds": refunds,
    }


def changed_order(
    month: str, number: int, reason: str, order_id: str, customer: str, orders: int, revenue: str, refunds: str
) -> ChangedOrder:
    return {
        "month": month,
        "number": number,
        "currency": "EUR",
        "is_guest": False,
        "reason": reason,
        "order_id": order_id,
        "customer_id": customer,
        "orders": orders,
        "revenue": revenue,
        "refunds": refunds,
    }
