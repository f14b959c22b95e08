"""What the page says that its money is made of, for shops that are configured otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.report.formulas import formulas
from tests.builders import FURTHER, MAPPED, shop, tables, with_columns

TOTAL = {"column": "products", "plus": ["shipping"], "minus": ["cancelled"]}


def told(name: str, **settings: Any) -> str:
    return {formula["name"]: formula["text"] for formula in formulas(shop(**settings))}[name]


@pytest.mark.parametrize(
    ("counted", "text"),
    [
        (None, "Every order counts."),
        ({"column": "status", "in": ["paid", "shipped"]}, "An order counts if its status is «paid» or «shipped»."),
        ({"column": "status", "not_in": ["cancelled"]}, "An order counts if its status is not «cancelled»."),
        ({"column": "status", "is_null": True}, "An order counts if its status is NULL."),
        ({"column": "status", "is_null": False}, "An order counts if its status is not NULL."),
    ],
)
def test_which_orders_count(counted: Any, text: str) -> None:
    assert told("order", counted=counted) == text


def test_the_column_is_called_as_the_shop_calls_it() -> None:
    counted = {"column": "status", "is_null": False}
    mapped = with_columns("orders", status="paid_at")
    assert told("order", counted=counted, tables=mapped) == "An order counts if its paid_at is not NULL."


def test_of_what_an_amount_is_made() -> None:
    assert told("amount") == "The amount of an order is amount of shop.orders."
    mapped = with_columns("orders", amount=TOTAL)
    assert told("amount", tables=mapped) == "The amount of an order is products + shipping − cancelled of shop.orders."


def test_which_refunds_are_taken_off() -> None:
    assert "Refunds are the amounts below zero of shop.charges, of orders that count" in told("net")
    assert "below zero of shop.charges and the amounts of shop.refunds" in told(
        "net", tables=tables(refunds=FURTHER["refunds"])
    )
    assert told("net", tables={"orders": MAPPED["orders"]}).endswith("No refunds are mapped, so net is gross.")


def test_in_which_currency() -> None:
    assert told("currency") == "All amounts are in EUR."
    mapped = with_columns("orders", currency="code")
    assert told("currency", tables=mapped) == (
        "Each order is in the currency of its code (where it is empty: EUR); nothing is converted."
    )
    assert "where it is empty" not in told("currency", tables=mapped, currency=None)


def test_who_is_a_guest() -> None:
    assert "(NULL, «-1»)" in told("customer", guests=[None, -1])
