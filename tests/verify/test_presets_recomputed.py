"""Shops of the presets, loaded by a batch: every rolled-up table is what the database makes of its own tables."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from pipeline.verify.command import compare
from pipeline.verify.options import Options, Scope
from pipeline.verify.rolled_up import RollupResult
from pipeline.verify.rows_of_tables import Reporter
from pipeline.verify.sides import Source
from pipeline.warehouse import open_warehouse
from schemas.config import ShopConfig
from tests.conftest import Server
from tests.e2e.shops.shop_ways import SystemShop, through_batch

PREFIXES = {"prestashop": "ps_", "woocommerce": "wp_", "magento": ""}
NEVER = {"freshness", "cohort_changes", "changed_cells"}


def prestashop(shop: SystemShop) -> None:
    shop.write(time_zone="Europe/Paris", currencies={1: "EUR", 2: "USD"})
    for id in range(1, 6):
        shop.insert_into("customer", id_customer=id, is_guest=int(id == 3), id_default_group=id % 2)
    for id in range(1, 25):
        at = f"2024-{id % 4 + 1:02}-{id % 3 * 14 + 1:02} 00:30:00"
        shop.insert_into(
            "orders", id_order=id, reference=f"R{id}", id_customer=id % 6, id_currency=id % 5 // 4 + 1,
            valid=id % 7 > 0, total_paid_tax_incl=f"{id * 7}.10", date_add=at, date_upd=at, payment="card",
            invoice_date="0000-00-00 00:00:00", delivery_date="0000-00-00 00:00:00",
        )  # fmt: skip
        shop.insert_into(
            "order_detail", id_order_detail=id, id_order=id, product_id=id % 4,
            product_name=["Chair", "chair", "Chair ", "Ö"][id % 4],
            product_quantity=id % 3, unit_price_tax_incl="12.345678", tax_name="",
        )  # fmt: skip
        if id % 4 == 0:
            shop.insert_into(
                "order_slip", id_order_slip=id, id_order=id, total_products_tax_incl="4.25",
                total_shipping_tax_incl=None if id % 8 else "1.5", date_add=at, date_upd=at,
            )  # fmt: skip


def woocommerce(shop: SystemShop) -> None:
    shop.write(time_zone="Europe/Paris")
    for id in range(1, 5):
        shop.insert_into("users", ID=id, user_email="ann@example.com")
    for id in range(1, 25):
        is_refund = id % 4 == 0
        shop.insert_into(
            "wc_orders", id=id, type="shop_order_refund" if is_refund else "shop_order",
            status=["wc-completed", "wc-failed", "wc-on-hold"][id % 3], currency=["EUR", "USD"][id % 5 // 4],
            total_amount="-3.50" if is_refund else f"{id}.25", customer_id=id % 5, parent_order_id=id - 1,
            date_created_gmt=f"2024-0{id % 4 + 1}-01 23:30:00", date_updated_gmt="2024-04-01 00:00:00",
        )  # fmt: skip
        shop.insert_into("wc_order_product_lookup", order_item_id=id, order_id=id, product_id=id % 3, variation_id=0,
                         product_qty=id % 4 - 1, product_net_revenue=id * 1.1)  # fmt: skip


def magento(shop: SystemShop) -> None:
    shop.write(time_zone="America/New_York", allow_cascades=True)
    shop.insert_into("store", store_id=1, code="default", name="Default")
    for id in range(1, 5):
        shop.insert_into("customer_entity", entity_id=id, email=f"{id}@example.com", group_id=id % 2, store_id=1)
    for id in range(1, 25):
        at = f"2024-0{id % 4 + 1}-01 02:30:00"  # in New York it is the month before
        shop.insert_into(
            "sales_order", entity_id=id, increment_id=f"{id:09}", state=["complete", "new", "closed"][id % 3],
            status="any", store_id=1, customer_id=id % 5 or None, base_grand_total=f"{id}.1234",
            base_total_canceled=None if id % 2 else "0.1", base_currency_code=["EUR", "USD"][id % 5 // 4],
            created_at=at, updated_at=at,
        )  # fmt: skip
        for table, amount in (("sales_invoice", f"{id}.1234"), ("sales_creditmemo", "0.5")):
            if id % (2 if table == "sales_invoice" else 4) == 0:
                shop.insert_into(table, entity_id=id, order_id=id, base_grand_total=amount, state=2 + id % 8 // 6,
                                 created_at=at, base_currency_code="EUR")  # fmt: skip
        shop.insert_into(
            "sales_order_item", item_id=id, order_id=id, parent_item_id=id - 1 if id % 6 == 0 else None,
            name=f"Shirt {id % 4}", qty_ordered=f"{id % 3}.5", base_price_incl_tax="9.9999",
        )  # fmt: skip


SHOPS = {"prestashop": prestashop, "woocommerce": woocommerce, "magento": magento}


def recomputed(config: ShopConfig) -> dict[str, RollupResult]:
    warehouse = open_warehouse(config, read_only=True)
    with contextlib.closing(warehouse), contextlib.closing(Source(config)) as source:
        found = list(compare(source, warehouse, config, Options(Scope(wait=0)), Reporter()))
    return {result.table: result for result in found if isinstance(result, RollupResult)}


@pytest.mark.parametrize(
    ("server", "system"),
    [
        ("mariadb", "prestashop"),
        ("mariadb", "magento"),
        pytest.param("mysql", "woocommerce", marks=pytest.mark.mysql),
        pytest.param("mysql", "magento", marks=pytest.mark.mysql),
    ],
    indirect=["server"],
)
def test_every_table_is_equal(server: Server, database: str, tmp_path: Path, server_id: int, system: str) -> None:
    shop = SystemShop(server, database, tmp_path, server_id, system, PREFIXES[system])
    SHOPS[system](shop)
    results = recomputed(through_batch(shop))
    assert {name for name, result in results.items() if result.unverified} == NEVER
    for result in results.values():
        assert (result.differences, result.altered, result.behind, result.problem) == ([], [], 0, ""), result
    made = ["ltv_cohorts", "ltv_cohorts_by_segment", "product_stats", "ltv_triangle", "gross_to_net", "adds_up"]
    assert all(results[name].rows for name in made)
    assert bool(results["payment_reconciliation"].rows) == (system == "magento")
