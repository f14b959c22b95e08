"""WooCommerce's order tables → LTV cohorts, by its preset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from shop_ways import WAYS, SystemShop, assert_the_same, published, query, triangle


def place(
    shop: SystemShop, id: int, customer: int, at: str, total: str, status: str = "wc-completed", currency: str = "EUR"
) -> None:
    shop.insert_into(
        "wc_orders", id=id, type="shop_order", status=status, currency=currency, total_amount=total, tax_amount=1,
        customer_id=customer, billing_email="ann@example.com", date_created_gmt=at, date_updated_gmt=at,
        payment_method="stripe", ip_address="192.0.2.1",
    )  # fmt: skip


def refund(shop: SystemShop, id: int, order: int, at: str, total: str) -> None:
    shop.insert_into(
        "wc_orders", id=id, type="shop_order_refund", status="wc-completed", currency="EUR", total_amount=total,
        parent_order_id=order, customer_id=0, date_created_gmt=at, date_updated_gmt=at,
    )  # fmt: skip


@pytest.fixture
def shop(server: Any, database: str, tmp_path: Path, server_id: int) -> SystemShop:
    shop = SystemShop(server, database, tmp_path, server_id, "woocommerce", "wp_")
    shop.write(time_zone="Europe/Paris")
    for id in (7, 8):
        shop.insert_into("users", ID=id, user_email=f"{id}@example.com")
    place(shop, 101, 7, "2024-01-31 23:30:00", "100.00", "wc-pending")  # in Paris it is February
    shop.set("wc_orders", "id = 101", status="wc-processing")
    shop.set("wc_orders", "id = 101", status="wc-completed")
    place(shop, 102, 7, "2024-03-10 10:00:00", "40.00")
    refund(shop, 103, 102, "2024-04-05 10:00:00", "-15.00")
    place(shop, 104, 0, "2024-02-10 10:00:00", "25.00", "wc-on-hold")
    place(shop, 105, 0, "2024-02-11 10:00:00", "35.00")
    refund(shop, 106, 105, "2024-02-29 23:30:00", "-35.00")  # in Paris it is March
    shop.set("wc_orders", "id = 105", status="wc-refunded")
    place(shop, 107, 8, "2024-02-15 10:00:00", "60.00", currency="USD")
    place(shop, 108, 8, "2024-02-16 10:00:00", "61.00", "wc-failed", "USD")
    place(shop, 109, 8, "2024-02-16 10:00:00", "62.00", "wc-cancelled", "USD")
    place(shop, 110, 8, "2024-02-16 10:00:00", "63.00", "wc-checkout-draft", "USD")
    place(shop, 111, 8, "2024-02-16 10:00:00", "64.00")
    refund(shop, 112, 111, "2024-02-17 10:00:00", "-5.00")
    shop.set("wc_orders", "id = 111", status="trash")
    place(shop, 113, 8, "2024-02-16 10:00:00", "65.00")
    shop.set("wc_orders", "id = 113", type="shop_subscription")
    place(shop, 114, 8, "2024-02-16 10:00:00", "66.00")
    refund(shop, 115, 107, "2024-02-18 10:00:00", "-7.00")
    shop.sql("DELETE FROM wp_wc_orders WHERE id IN (114, 115)")
    shop.insert_into("wc_order_product_lookup", order_item_id=1, order_id=102, product_id=55, variation_id=0,
                     product_qty=2, product_net_revenue=33.33)  # fmt: skip
    return shop


@pytest.mark.parametrize("way", WAYS)
def test_cohorts(shop: SystemShop, way: str) -> None:
    config = WAYS[way](shop)
    assert query(config, "SELECT reason, error FROM raw.dead_letters") == []
    assert triangle(config) == {
        "2024-02 EUR 1 customers": ["100", "140", "125"],
        "2024-02 EUR 2 guests": ["60", "25", "25"],
        "2024-02 USD 1 customers": ["60", "60", "60"],
    }
    assert query(config, "SELECT COUNT(*) FROM orders") == [(9,)]
    assert query(config, "SELECT id, order_id FROM refunds ORDER BY id") == [(103, 102), (106, 105), (112, 111)]
    assert query(config, "SELECT product, quantity, amount FROM order_items") == [(55, 2, 33.33)]
    assert query(config, "SELECT id FROM customers ORDER BY id") == [(7,), (8,)]


def test_both_ways_end_the_same(shop: SystemShop) -> None:
    assert_the_same(shop)


def test_what_is_nobodys_business_stays_in_the_database(shop: SystemShop) -> None:
    text = published(shop)
    assert b"wc-on-hold" in text
    assert b"example.com" not in text
    assert b"192.0.2.1" not in text
