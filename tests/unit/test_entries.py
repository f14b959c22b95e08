"""LTV entries: what counts as money, whose it is, how much, and in which month."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pipeline.output import text_of
from schemas.config import ShopConfig
from tests.builders import (
    CHARGE_COLUMNS,
    ORDER_COLUMNS,
    ORDERS,
    charge,
    decode,
    event,
    message,
    order,
    schema,
    shop,
    tables,
    with_columns,
)


def entries(config: ShopConfig, of: Any, *rows: Any, op: str = "c") -> list[dict[str, Any]]:
    changes = decode(config, message(of, *(event(op, row, at) for at, row in enumerate(rows, 1))))
    assert not changes.dead, changes.dead
    return [entry for table in changes.entries for entry in table.to_pylist()]


def of_order(config: ShopConfig, row: Any, **types: str) -> dict[str, Any]:
    return entries(config, schema("shop.orders", {**ORDER_COLUMNS, **types}), row)[0]


def of_charge(config: ShopConfig, row: Any, table: str = "shop.charges", **types: str) -> dict[str, Any]:
    return entries(config, schema(table, {**CHARGE_COLUMNS, **types}), row)[0]


def test_an_order_is_a_sale_in_its_month() -> None:
    entry = of_order(shop(), order(2, "2022-01-13", 7, "150.00"))
    shown = {name: text_of(value) for name, value in entry.items()}
    assert shown == {
        "entry_id": "order:2",
        "kind": "sale",
        "origin": "orders",
        "order_id": "2",
        "customer_id": "7",
        "purchase_month": "2022-01-01",
        "purchase_date": "2022-01-13",
        "amount": "150.00",
        "currency": "EUR",
        "occurred_at": "2022-01-13 11:00:00Z",
        "_sequence": "0001/00000001/0000000000000001/00000000",
        "_deleted": "false",
        "_committed_at": "2022-07-14 15:03:20Z",
    }


@pytest.mark.parametrize(
    ("counted", "status", "live"),
    [
        ({"column": "status", "not_in": ["cancelled"]}, "completed", True),
        ({"column": "status", "not_in": ["cancelled"]}, " cancelled\t", False),
        ({"column": "status", "not_in": ["cancelled"]}, "Cancelled", True),
        ({"column": "status", "not_in": ["cancelled"]}, "", True),
        ({"column": "status", "not_in": ["cancelled"]}, None, False),
        ({"column": "status", "in": ["completed", "shipped"]}, "shipped ", True),
        ({"column": "status", "in": ["completed"]}, "shipped", False),
        ({"column": "status", "in": ["completed", None]}, None, False),
        ({"column": "status", "is_null": True}, None, True),
        ({"column": "status", "is_null": True}, "", False),
        ({"column": "status", "is_null": False}, "", True),
        ({"column": "status", "is_null": False}, None, False),
        (None, None, True),
    ],
)
def test_what_is_counted(counted: Any, status: Any, live: bool) -> None:
    assert of_order(shop(counted=counted), order(status=status))["_deleted"] is not live


@pytest.mark.parametrize(
    ("kind", "value", "listed"),
    [
        ("tinyint", 1, 1),
        ("tinyint", 1, True),
        ("enum", "paid", "paid"),
        ("decimal(3,1)", "1.0", "1.0"),
        ("set", ["a", "b"], "a,b"),
    ],
)
def test_a_condition_compares_any_type_as_text(kind: str, value: Any, listed: Any) -> None:
    config = shop(counted={"column": "status", "in": [listed]})
    assert of_order(config, order(status=value), status=kind)["_deleted"] is False
    assert of_order(shop(counted={"column": "status", "in": ["other"]}), order(status=value), status=kind)["_deleted"]


@pytest.mark.parametrize(
    ("guests", "kind", "customer", "expected"),
    [
        (None, "bigint", 5, "5"),
        (None, "bigint", 0, None),
        (None, "bigint", None, None),
        (None, "varchar", "  ", None),
        (None, "varchar", " x1 ", "x1"),
        ([-1], "bigint", 0, "0"),
        ([-1], "bigint", -1, None),
        ([-1], "bigint", None, None),
        (None, "bigint unsigned", 2**64 - 1, "18446744073709551615"),
        (None, "binary", "/wD+", "ff00fe"),
    ],
)
def test_guests_are_nobody(guests: Any, kind: str, customer: Any, expected: str | None) -> None:
    assert of_order(shop(guests=guests), order(customer=customer), customer_id=kind)["customer_id"] == expected


def test_ids_may_be_binary() -> None:
    entry = of_order(shop(), order(id="/wD+"), id="binary")
    assert (entry["entry_id"], entry["order_id"]) == ("order:ff00fe", "ff00fe")


@pytest.mark.parametrize(("amount", "live"), [("-5.00", True), ("5.00", False), ("0.00", False)])
def test_only_a_negative_charge_is_a_refund(amount: str, live: bool) -> None:
    entry = of_charge(shop(), charge(17, 2, amount))
    assert entry["_deleted"] is not live
    assert (entry["entry_id"], entry["kind"], entry["order_id"]) == ("charge:17", "refund", "2")
    assert (entry["customer_id"], entry["currency"]) == (None, None), "they are its order's"


@pytest.mark.parametrize(("sign", "amount", "live"), [(-1, "5.00", True), (-1, "-5.00", False), (1, "-5.00", True)])
def test_a_role_of_refunds_has_a_sign(sign: int, amount: str, live: bool) -> None:
    refunds = {"name": "shop.refunds", "columns": tables()["charges"]["columns"], "sign": sign}
    entry = of_charge(shop(tables=tables(refunds=refunds)), charge(3, 2, amount), "shop.refunds")
    assert (entry["entry_id"], entry["origin"], entry["_deleted"]) == ("refund:3", "refunds", not live)
    assert entry["amount"] == (Decimal(-5) if live else Decimal(5))


@pytest.mark.parametrize(
    ("default", "own", "expected"),
    [("EUR", "usd ", "USD"), ("EUR", None, "EUR"), (None, None, ""), (None, "JPY", "JPY")],
)
def test_a_currency_column(default: str | None, own: str | None, expected: str) -> None:
    config = shop(currency=default, tables=with_columns("orders", currency="currency"))
    assert of_order(config, order(currency=own), currency="char")["currency"] == expected


NUMBERED = {1: "EUR", " 2 ": "USD", "eur": "GBP"}


@pytest.mark.parametrize(
    ("kind", "own", "expected"),
    [
        ("int", 1, "EUR"),
        ("bigint unsigned", 2, "USD"),
        ("char", " 1", "EUR"),
        ("char", "eur", "GBP"),
        ("int", None, "JPY"),
    ],
)
def test_currencies_may_be_numbered(kind: str, own: Any, expected: str) -> None:
    config = shop(currency="JPY", currencies=NUMBERED, tables=with_columns("orders", currency="currency"))
    assert of_order(config, order(currency=own), currency=kind)["currency"] == expected


def test_a_currency_that_is_not_listed_is_a_dead_letter_where_it_counts() -> None:
    config = shop(currencies=NUMBERED, tables=with_columns("orders", currency="currency"))
    of = schema("shop.orders", {**ORDER_COLUMNS, "currency": "int"})
    rows = [order(1, currency=1), order(2, currency=3), order(3, currency=4, status="cancelled")]
    changes = decode(config, message(of, *(event("c", row, at) for at, row in enumerate(rows, 1))))
    assert [(dead.line, dead.reason, dead.error) for dead in changes.dead] == [
        (2, "currency", "currency 3 is not among the `currencies` of shop.yaml")
    ]
    assert [entry["order_id"] for entry in changes.entries[0].to_pylist()] == ["1", "3"]


def test_a_number_is_no_currency() -> None:
    config = shop(tables=with_columns("orders", currency="code"))
    changes = decode(
        config, message(schema("shop.orders", {**ORDER_COLUMNS, "code": "int"}), event("c", order(code=1)))
    )
    assert [(dead.reason, dead.error) for dead in changes.dead] == [
        ("bad_schema", "shop.orders.code is a number: `currencies` must say which currency each number means")
    ]


PARTS = {"column": "amount", "plus": ["shipping", "wrapping"], "minus": ["cancelled"]}
PART_TYPES = {"shipping": "decimal(12,4)", "wrapping": "double", "cancelled": "int"}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"shipping": "5.0050", "wrapping": 0.1, "cancelled": 3}, Decimal("77.105")),
        ({"shipping": None, "wrapping": None, "cancelled": None}, Decimal("75")),
        ({"shipping": "-80.0000", "wrapping": 0.0, "cancelled": 0}, Decimal("-5")),
    ],
)
def test_an_amount_may_be_made_of_several_columns(parts: dict[str, Any], expected: Decimal) -> None:
    config = shop(tables=with_columns("orders", amount=PARTS))
    assert of_order(config, order(**parts), **PART_TYPES)["amount"] == expected


def test_the_sign_is_that_of_the_whole_amount() -> None:
    columns = {**tables()["charges"]["columns"], "amount": {"column": "amount", "plus": ["shipping"]}}
    config = shop(tables=tables(refunds={"name": "shop.refunds", "columns": columns, "sign": -1}))
    entry = of_charge(config, charge(3, 2, "0.00", shipping="5.00"), "shop.refunds", shipping="decimal(9,2)")
    assert (entry["amount"], entry["_deleted"]) == (Decimal(-5), False)


@pytest.mark.parametrize(
    ("kinds", "parts"),
    [
        ({"wrapping": "double"}, {"wrapping": 1e300}),
        ({"wrapping": "decimal(38,0)"}, {"wrapping": "1" * 30}),
        ({"wrapping": "decimal(29,0)", "shipping": "decimal(29,0)"}, {"wrapping": "9" * 29, "shipping": "9" * 29}),
    ],
)
def test_a_sum_that_numeric_cannot_hold_is_a_dead_letter(kinds: dict[str, str], parts: dict[str, Any]) -> None:
    config = shop(tables=with_columns("orders", amount=PARTS))
    of = schema("shop.orders", {**ORDER_COLUMNS, **PART_TYPES, **kinds})
    row = {**order(), "shipping": None, "wrapping": None, "cancelled": None, **parts}
    assert [dead.reason for dead in decode(config, message(of, event("c", row))).dead] == ["value"]


@pytest.mark.parametrize(
    ("types", "what"),
    [
        ({}, "has no column 'cancelled', 'shipping', 'wrapping'"),
        ({**PART_TYPES, "wrapping": "char"}, "it is no number"),
    ],
)
def test_parts_of_an_amount_must_be_there_and_numbers(types: dict[str, str], what: str) -> None:
    config = shop(tables=with_columns("orders", amount=PARTS))
    row = {**order(), **dict.fromkeys(types)}
    (dead,) = decode(config, message(schema("shop.orders", {**ORDER_COLUMNS, **types}), event("c", row))).dead
    assert dead.reason == "bad_schema"
    assert what in dead.error


def test_a_refund_may_name_its_currency() -> None:
    config = shop(tables=with_columns("charges", currency="code"))
    assert of_charge(config, charge(code="usd"), code="char")["currency"] == "USD"
    assert of_charge(config, charge(code=None), code="char")["currency"] is None


def test_a_deleted_row_has_a_deleted_entry_whatever_it_says() -> None:
    row = {**order(3), "amount": "no number", "order_date": "0000-00-00T00:00:00", "status": None}
    (entry,) = entries(shop(), ORDERS, row, op="d")
    assert (entry["entry_id"], entry["_deleted"], entry["amount"]) == ("order:3", True, None)


@pytest.mark.parametrize(
    ("kind", "amount", "expected"),
    [
        ("int", 75, "75.00"),
        ("decimal(20,9)", "0.123456789", "0.123456789"),
        ("decimal(38,0)", "12345678901234567890123456789", "12345678901234567890123456789.00"),
        ("decimal(38,37)", "1.5" + "0" * 36, "1.50"),
        ("double", 19.99, "19.99"),
        ("double", 0.1 + 0.2, "0.30"),
        ("double", 1e-7, "0.0000001"),
        ("float", 1e22, "10000000000000000000000.00"),
    ],
)
def test_amounts_are_exact(kind: str, amount: Any, expected: str) -> None:
    assert text_of(of_order(shop(), order(amount=amount), amount=kind)["amount"]) == expected


@pytest.mark.parametrize(
    ("kind", "amount"), [("double", 1e300), ("decimal(38,0)", "1" * 30), ("decimal(38,10)", "0.0000000001")]
)
def test_an_amount_that_numeric_cannot_hold_is_a_dead_letter(kind: str, amount: Any) -> None:
    of = schema("shop.orders", {**ORDER_COLUMNS, "amount": kind})
    changes = decode(shop(), message(of, event("c", order(1, amount=amount)), event("c", order(2, amount=None), 2)))
    assert [(dead.line, dead.reason) for dead in changes.dead] == [(1, "value"), (2, "incomplete")]
    cancelled = order(1, amount=amount, status="cancelled")
    assert not decode(shop(), message(of, event("c", cancelled))).dead, "it counts for nothing"
