"""PrestaShop's own tables → LTV cohorts, by its preset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from shop_ways import WAYS, SystemShop, assert_the_same, published, query, triangle

PAID, SHIPPED, DELIVERED, CANCELLED, REFUNDED, UNPAID = 2, 4, 5, 6, 7, 1
VALID = (PAID, SHIPPED, DELIVERED)
EUR, USD = 1, 2


def place(
    shop: SystemShop, id: int, customer: int, at: str, total: str, currency: int = EUR, state: int = PAID
) -> None:
    shop.insert_into(
        "orders", id_order=id, reference=f"REF{id:06}", id_customer=customer, id_currency=currency, current_state=state,
        payment="card", total_paid_tax_incl=total, total_paid_tax_excl=1, total_paid=total, valid=int(state in VALID),
        date_add=at, date_upd=at, invoice_date="0000-00-00 00:00:00", delivery_date="0000-00-00 00:00:00",
    )  # fmt: skip


def change_state(shop: SystemShop, id: int, state: int) -> None:
    shop.set("orders", f"id_order = {id}", current_state=state, valid=int(state in VALID))


def refund(shop: SystemShop, id: int, order: int, at: str, products: str, shipping: str | None = None) -> None:
    shop.insert_into(
        "order_slip", id_order_slip=id, id_customer=0, id_order=order, total_products_tax_incl=products,
        total_products_tax_excl=1, total_shipping_tax_incl=shipping, amount=products, partial=0,
        date_add=at, date_upd=at,
    )  # fmt: skip


@pytest.fixture
def shop(server: Any, database: str, tmp_path: Path, server_id: int) -> SystemShop:
    shop = SystemShop(server, database, tmp_path, server_id, "prestashop", "ps8_")
    shop.write(time_zone="Europe/Paris", currencies={1: "EUR", 2: "USD"})
    for id, guest in ((1, 0), (2, 0), (3, 1), (4, 0)):
        shop.insert_into("customer", id_customer=id, email=f"{id}@example.com", is_guest=guest)
    place(shop, 1, 1, "2024-01-31 23:30:00", "100.00")
    place(shop, 2, 1, "2024-02-10 10:00:00", "50.00")
    place(shop, 3, 2, "2024-02-05 10:00:00", "80.00", USD)
    place(shop, 4, 3, "2024-02-20 10:00:00", "30.00")
    place(shop, 5, 2, "2024-02-06 10:00:00", "999.00", state=UNPAID)
    place(shop, 6, 4, "2024-01-15 10:00:00", "40.00")
    change_state(shop, 6, CANCELLED)
    place(shop, 7, 1, "2024-03-03 10:00:00", "60.00")
    refund(shop, 5, 7, "2024-03-20 10:00:00", "60.00")
    change_state(shop, 7, REFUNDED)
    place(shop, 8, 4, "2024-03-01 10:00:00", "70.00")
    change_state(shop, 8, DELIVERED)
    refund(shop, 1, 8, "2024-04-02 10:00:00", "65.00", "5.00")
    refund(shop, 2, 1, "2024-02-15 10:00:00", "20.00")
    refund(shop, 3, 3, "2024-03-10 10:00:00", "10.00", "2.50")
    refund(shop, 4, 5, "2024-03-10 10:00:00", "9.00")
    shop.insert_into("order_detail", id_order_detail=11, id_order=1, product_id=5, product_name="Chair",
                     product_quantity=2, unit_price_tax_incl="45.00", tax_name="")  # fmt: skip
    shop.insert_into("order_payment", order_reference="REF000001", id_currency=EUR, amount="100.00",
                     payment_method="card", card_number="card-of-1", date_add="2024-01-31 23:31:00")  # fmt: skip
    return shop


@pytest.mark.parametrize("way", WAYS)
def test_cohorts(shop: SystemShop, way: str) -> None:
    config = WAYS[way](shop)
    assert query(config, "SELECT reason, error FROM raw.dead_letters") == []
    assert triangle(config) == {
        "2024-01 EUR 1 customers": ["100", "130", "130", "130"],
        "2024-02 EUR 1 customers": ["30", "30", "30"],
        "2024-02 USD 1 customers": ["80", "67.5", "67.5"],
        "2024-03 EUR 1 customers": ["70", "0"],
    }
    assert query(config, "SELECT id, product, quantity, unit_amount FROM order_items") == [(11, "Chair", 2, 45)]
    assert query(config, "SELECT order_reference, amount FROM ps8_order_payment") == [("REF000001", 100)]
    assert query(config, "SELECT id, is_guest FROM customers ORDER BY id") == [(1, 0), (2, 0), (3, 1), (4, 0)]


def test_both_ways_end_the_same(shop: SystemShop) -> None:
    assert_the_same(shop)


def test_what_is_nobodys_business_stays_in_the_database(shop: SystemShop) -> None:
    text = published(shop)
    assert b"REF000001" in text
    assert b"example.com" not in text
    assert b"card-of-1" not in text


def test_a_currency_that_the_file_does_not_list_is_a_dead_letter(shop: SystemShop) -> None:
    shop.write(currencies={1: "EUR"})
    config = WAYS["stream"](shop)
    assert query(config, "SELECT reason, error FROM raw.dead_letters") == [
        ("currency", "currency 2 is not among the `currencies` of shop.yaml")
    ]
    assert [name for name in triangle(config) if "USD" in name] == []
