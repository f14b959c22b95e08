"""Magento's sales tables → LTV cohorts, by its preset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from shop_ways import WAYS, SystemShop, assert_the_same, published, query, triangle

OPEN, DONE, CANCELLED = 1, 2, 3
"""States of invoices and credit memos."""


def place(
    shop: SystemShop, id: int, customer: int | None, at: str, total: str, state: str, currency: str = "EUR", **more: Any
) -> None:
    shop.insert_into(
        "sales_order", entity_id=id, increment_id=f"{id:09}", state=state, status=f"my_{state}", store_id=1,
        customer_id=customer, customer_is_guest=int(customer is None), customer_email="ann@example.com",
        base_grand_total=total, base_currency_code=currency, created_at=at, updated_at=at, **more,
    )  # fmt: skip


def paper(shop: SystemShop, table: str, id: int, order: int, at: str, total: str, state: int = DONE) -> None:
    """An invoice or a credit memo."""
    shop.insert_into(
        table,
        entity_id=id,
        order_id=order,
        base_grand_total=total,
        state=state,
        created_at=at,
        base_currency_code="EUR",
    )


@pytest.fixture
def shop(server: Any, database: str, tmp_path: Path, server_id: int) -> SystemShop:
    shop = SystemShop(server, database, tmp_path, server_id, "magento", "")
    shop.write(time_zone="America/New_York", allow_cascades=True)
    shop.insert_into("store", store_id=1, code="default", name="Default")
    for id in (5, 6):
        shop.insert_into("customer_entity", entity_id=id, email=f"{id}@example.com", group_id=2, store_id=1)
    # In New York it is still January. The customer saw pounds.
    place(shop, 1, 5, "2024-02-01 02:00:00", "100.00", "new", grand_total="86.00", order_currency_code="GBP")
    paper(shop, "sales_invoice", 1, 1, "2024-02-01 02:05:00", "100.00")
    shop.set("sales_order", "entity_id = 1", state="processing")
    shop.set("sales_order", "entity_id = 1", state="complete")
    place(shop, 2, 5, "2024-03-05 12:00:00", "80.00", "processing")
    paper(shop, "sales_invoice", 2, 2, "2024-03-05 12:00:00", "50.00")
    shop.set("sales_order", "entity_id = 2", state="complete", base_total_canceled="30.00")
    paper(shop, "sales_creditmemo", 1, 2, "2024-04-10 12:00:00", "20.00")
    paper(shop, "sales_creditmemo", 2, 2, "2024-04-11 12:00:00", "10.00", OPEN)
    paper(shop, "sales_creditmemo", 3, 2, "2024-04-11 12:00:00", "11.00", CANCELLED)
    place(shop, 3, None, "2024-03-10 12:00:00", "40.00", "processing")
    place(shop, 4, 6, "2024-02-20 12:00:00", "200.00", "complete", "USD")
    paper(shop, "sales_creditmemo", 4, 4, "2024-04-01 02:00:00", "200.00")  # in New York it is still March
    shop.set("sales_creditmemo", "entity_id = 4", base_currency_code="USD")
    shop.set("sales_order", "entity_id = 4", state="closed")
    for id, state in enumerate(("new", "pending_payment", "payment_review", "canceled", "holded"), 5):
        place(shop, id, 6, "2024-01-02 12:00:00", "1000.00", state, "USD")
    for id, parent, kind, price in ((1, None, "configurable", "25.00"), (2, 1, "simple", "0.00")):
        shop.insert_into(
            "sales_order_item", item_id=id, order_id=2, parent_item_id=parent, product_type=kind, name=f"Shirt {kind}",
            qty_ordered="2", base_price_incl_tax=price,
        )  # fmt: skip
    return shop


@pytest.mark.parametrize("way", WAYS)
def test_cohorts(shop: SystemShop, way: str) -> None:
    config = WAYS[way](shop)
    assert query(config, "SELECT reason, error FROM raw.dead_letters") == []
    assert triangle(config) == {
        "2024-01 EUR 1 customers": ["100", "100", "150", "130"],
        "2024-02 USD 1 customers": ["200", "0", "0"],
        "2024-03 EUR 1 guests": ["40", "40"],
    }
    assert query(config, "SELECT product, quantity, unit_amount FROM order_items") == [("Shirt configurable", 2, 25)]
    assert query(config, "SELECT order_id, amount FROM charges ORDER BY id") == [(1, 100), (2, 50)]
    assert query(config, "SELECT id, group_id FROM customers ORDER BY id") == [(5, 2), (6, 2)]
    assert query(config, "SELECT status, source_status, order_currency_code, grand_total FROM orders WHERE id = 1") == [
        ("complete", "my_new", "GBP", 86)
    ]


def test_both_ways_end_the_same(shop: SystemShop) -> None:
    assert_the_same(shop)


def test_what_is_nobodys_business_stays_in_the_database(shop: SystemShop) -> None:
    text = published(shop)
    assert b"Shirt" in text
    assert b"example.com" not in text
