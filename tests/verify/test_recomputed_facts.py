"""What the database itself makes of items, charges, countries and segments: equal to the warehouse's tables, and what
was planted is found in its row."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.rollup import rollup
from pipeline.verify.rolled_up import RollupResult
from tests.conftest import Server
from tests.verify.followed_shop import FollowedShop, printed

AS_OF = dt.date(2022, 7, 31)
ORDERS = """CREATE TABLE orders (id BIGINT PRIMARY KEY, customer VARCHAR(20), at DATETIME NULL, amount DECIMAL(12,2),
 status VARCHAR(20) COLLATE utf8mb4_general_ci, land CHAR(2), code CHAR(3))"""
ITEMS = """CREATE TABLE items (id BIGINT UNSIGNED PRIMARY KEY, order_id BIGINT, name VARCHAR(60) NULL, pieces INT,
 price DECIMAL(12,4) UNSIGNED, hidden TINYINT)"""
CHARGES = """CREATE TABLE charges (id BIGINT PRIMARY KEY, order_id BIGINT, amount DECIMAL(12,2), paid TIMESTAMP(6) NULL,
 code CHAR(3) NULL)"""
CREDITS = "CREATE TABLE credits (id BIGINT PRIMARY KEY, order_id BIGINT, amount DECIMAL(12,2), day DATE)"
CUSTOMERS = """CREATE TABLE customers (id VARCHAR(20) PRIMARY KEY, channel VARCHAR(30) CHARACTER SET latin1,
 country INT ZEROFILL, born DATE)"""
PRODUCTS = [None, "", "chair", "Chair", "chair ", " chair", "chaïr", "🪑", "Tisch", "table\n", "p1", "p2", "p3"]
LANDS = ["FR", "fr", "DE", None, "", "IT"]
CHANNELS = [None, "", "web", "Web", "web ", "été", "mail"]
EXACT = ("product_stats", "product_top_country", "payment_reconciliation", "ltv_cohorts_by_segment")
OVER_TABLES = ("ltv_triangle", "ltv_averages", "adds_up", "gross_to_net", "reconciliation_states")


def mapping(database: str) -> dict[str, Any]:
    return {
        "orders": {
            "name": f"{database}.orders",
            "columns": {
                "id": "id", "customer_id": "customer", "ordered_at": "at", "amount": "amount", "status": "status",
                "country": "land", "currency": "code",
            },
        },
        "order_items": {
            "name": f"{database}.items",
            "columns": {"id": "id", "order_id": "order_id", "product": "name", "quantity": "pieces",
                        "unit_amount": "price"},
            "where": {"column": "hidden", "in": [0]},
        },
        "charges": {
            "name": f"{database}.charges",
            "columns": {"id": "id", "order_id": "order_id", "amount": "amount", "charged_at": "paid",
                        "currency": "code"},
        },
        "refunds": {
            "name": f"{database}.credits",
            "columns": {"id": "id", "order_id": "order_id", "amount": "amount", "charged_at": "day"},
            "sign": -1,
        },
        "customers": {
            "name": f"{database}.customers",
            "columns": {"id": "id"},
            "segments": ["channel", "country", "born"],
        },
    }  # fmt: skip


@pytest.fixture
def shop(server: Server, database: str, server_id: int, tmp_path: Path) -> FollowedShop:
    """Every role, with segments of orders and of customers; 300 orders."""
    made = FollowedShop(server, database, tmp_path, server_id, ORDERS, ITEMS, CHARGES, CREDITS, CUSTOMERS)
    made.configure(
        counted={"column": "status", "not_in": ["cancelled"]},
        guests=[None, "", "0"],
        segments=["country", "status"],
        tables=mapping(database),
    )
    made.sql("SET time_zone = '+00:00'", "SET sql_mode = ''")
    chance = random.Random(11)
    orders = [_order(chance, number) for number in range(1, 301)]
    orders.append((301, "c1", "0000-00-00", 5, "cancelled", "FR", "EUR"))
    insert(made, "orders", orders)
    insert(made, "items", [_item(chance, number) for number in range(1, 500)])
    insert(made, "charges", [_charge(chance, number, orders) for number in range(1, 330)])
    insert(made, "charges", [(1000, 1, "-5", None, None)])
    insert(made, "credits", [(number, chance.randint(1, 320), f"{number}.25", _day(chance)) for number in range(30)])
    customers = [f"c{number}" for number in range(35)]
    insert(made, "customers", [(id, chance.choice(CHANNELS), chance.randrange(3), _day(chance)) for id in customers])
    return made


def insert(shop: FollowedShop, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    with shop.shop.connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(rows[0]))})", rows)


def _day(chance: random.Random) -> dt.date:
    return dt.date(2021, 12, 1) + dt.timedelta(days=chance.randrange(260))


def _at(chance: random.Random) -> dt.datetime:
    """Often around midnight."""
    minutes = chance.choice([chance.randint(-150, 150), chance.randint(0, 1400)])
    return dt.datetime.combine(_day(chance), dt.time()) + dt.timedelta(minutes=minutes)


def _order(chance: random.Random, number: int) -> tuple[object, ...]:
    customer = chance.choice([None, "0", "", *(f"c{place}" for place in range(40)), " c1\t"])
    status = chance.choice(["paid", "shipped", "cancelled", " cancelled\t", "Cancelled", None])
    counts = status is not None and status.strip() != "cancelled"
    at = _at(chance) if counts or chance.random() < 0.8 else None
    amount = f"{chance.uniform(-5, 300):.2f}" if counts or chance.random() < 0.8 else None
    code = chance.choice(["EUR", "eur", "JPY"])
    return number, customer, at, amount, status, chance.choice(LANDS), code


def _item(chance: random.Random, number: int) -> tuple[object, ...]:
    pieces = chance.choice([1, 1, 2, 3, -1, 0, None])
    price = chance.choice([None, *(f"{chance.uniform(0, 80):.4f}" for _ in range(9))])
    return number, chance.randint(1, 310), chance.choice(PRODUCTS), pieces, price, int(chance.random() < 0.1)


def _charge(chance: random.Random, number: int, orders: Sequence[tuple[object, ...]]) -> tuple[object, ...]:
    """Most pay their order in full; some have no date, another currency, or no order."""
    if number <= 250:
        code = chance.choice([None, None, None, "EUR", "USD"])
        paid = chance.choice([None, _at(chance)]) if code else _at(chance)
        return number, number, orders[number - 1][3] or 1, paid, code
    amount = chance.uniform(-30, 30)
    paid = _at(chance) if amount < 0 or chance.random() < 0.7 else None
    return number, chance.randint(1, 330), f"{amount:.2f}", paid, None


def verified(shop: FollowedShop, as_of: dt.date | None = None) -> dict[str, RollupResult]:
    found = [result for result in shop.verify(rollup=True, as_of=as_of) if isinstance(result, RollupResult)]
    unverified = {result.table for result in found if result.unverified}
    assert unverified == {"freshness", "cohort_changes", "changed_cells"}
    return {result.table: result for result in found if not result.unverified}


def assert_equal(results: dict[str, RollupResult]) -> None:
    for result in results.values():
        assert (result.differing, result.moving, result.problem, result.not_held) == (0, 0, "", ""), result


def test_equal_on_every_day_and_nothing_is_locked_or_logged(shop: FollowedShop) -> None:
    with shop.followed(), shop.server.connect(database=shop.shop.database) as buyer:
        assert {letter.reason for letter in shop.warehouse.dead_letters()} == {"incomplete", "zero_date"}
        before = shop.shop.position()
        with buyer.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("UPDATE orders SET amount = amount + 1")
            cursor.execute("UPDATE items SET pieces = 9")
        assert_equal(verified(shop, dt.date(2022, 2, 28)))
        assert shop.shop.position() == before
        buyer.rollback()

        rollup(shop.warehouse, shop.config, AS_OF)
        results = verified(shop)
        assert_equal(results)
        assert all(result.rows > 5 and result.behind == 0 for result in results.values())
        assert len(shop.raw_rows("SELECT DISTINCT state FROM payment_reconciliation")) == 7
        products = {name for (name,) in shop.raw_rows("SELECT DISTINCT product FROM product_stats")}
        assert products == set(PRODUCTS)
        segments = {name for (name,) in shop.raw_rows("SELECT DISTINCT segment FROM ltv_cohorts_by_segment")}
        assert segments == {"country", "status", "channel", "customers.country", "born", "first product"}


def test_planted_differences_are_found_in_their_rows(shop: FollowedShop) -> None:
    with shop.followed():
        item, order, currency = shop.raw_rows(
            "SELECT item.id, item.order_id, entry.currency FROM raw.order_items item JOIN raw.ltv_entries entry"
            " ON entry.order_id = CAST(item.order_id AS VARCHAR) WHERE item.product = 'Tisch' AND item.quantity = 3"
            " AND NOT item._deleted AND NOT entry._deleted AND entry.origin = 'orders' ORDER BY 1"
        )[0]
        customer = shop.raw_rows(
            "SELECT customer_id FROM raw.ltv_entries JOIN raw.customers ON id = customer_id"
            " WHERE NOT raw.ltv_entries._deleted ORDER BY 1"
        )[0][0]
        (charge, charged), *_ = shop.raw_rows(
            "SELECT entry_id, order_id FROM raw.ltv_entries WHERE entry_id LIKE 'charge:1%' AND amount > 50 ORDER BY 1"
        )
        shop.raw(f"UPDATE raw.order_items SET product = 'table' WHERE id = {item}")
        shop.raw(f"UPDATE raw.ltv_entries SET amount = amount - 1 WHERE entry_id = '{charge}'")
        shop.raw(f"UPDATE raw.customers SET channel = 'planted' WHERE id = '{customer}'")
        shop.raw("UPDATE raw.orders SET amount = amount + 1000 WHERE id = 1")
        results = verified(shop, AS_OF)
    assert {tuple(cell.grain.values()) for cell in results["product_stats"].differences} == {
        ("Tisch", currency),
        ("table", currency),
    }, order
    assert {cell.kind for cell in results["product_stats"].differences} == {"differs", "surplus"}
    paid = results["payment_reconciliation"].differences
    assert [cell.grain for cell in paid] == [{"order_id": charged, "charge_id": None}]
    assert {"paid", "charged", "difference"} <= set(paid[0].columns)
    assert {cell.grain["segment"] for cell in results["ltv_cohorts_by_segment"].differences} >= {"channel"}
    assert any(cell.grain["value"] == "planted" for cell in results["ltv_averages"].differences)
    assert results["reconciliation_states"].differing
    assert {*results["adds_up"].differences[0].columns} == {"orders", "is_equal"}
    assert results["ltv_cohorts"].differing == results["ltv_monthly"].differing == 0
    lines = printed(list(results.values()))
    assert f"  payment_reconciliation order_id='{charged}', charge_id=NULL: differs\n" in lines


def test_an_altered_table_and_one_that_is_behind(shop: FollowedShop) -> None:
    with shop.followed():
        rollup(shop.warehouse, shop.config, AS_OF)
        shop.raw("UPDATE main.payment_reconciliation SET paid = paid + 1 WHERE charge_id IS NOT NULL AND paid = 0")
        shop.raw("UPDATE main.product_stats SET quantity = quantity + 1 WHERE product = 'Tisch'")
        results = verified(shop)
        assert results["payment_reconciliation"].altered
        assert results["product_stats"].altered == []  # items may have come while it was rolled up
        assert results["product_stats"].behind
        shop.raw("UPDATE raw.order_items SET _written_at = _written_at - INTERVAL 1 HOUR")
        results = verified(shop)
        assert {cell.grain["product"] for cell in results["product_stats"].altered} == {"Tisch"}
        assert results["product_stats"].differences == []

        rollup(shop.warehouse, shop.config, AS_OF)
        insert(shop, "items", [(number, number - 1000, "late", 1, "5", 0) for number in range(1001, 1300)])
        shop.caught_up()
        results = verified(shop)
    assert_equal(results)
    assert results["product_stats"].behind
    assert "rows behind what the warehouse's rows give by now" in printed([results["product_stats"]])


def test_without_temporary_tables_it_says_what_is_not_verified(shop: FollowedShop) -> None:
    user = f"reader_{shop.shop.database[-8:]}"
    grants = [f"GRANT SELECT ON {shop.shop.database}.* TO {user}", f"GRANT REPLICATION CLIENT ON *.* TO {user}"]
    if shop.server.flavor == "mariadb":
        grants.append(f"GRANT BINLOG MONITOR ON *.* TO {user}")
    shop.sql(f"CREATE USER {user} IDENTIFIED BY 'secret'", *grants)
    try:
        with shop.followed():
            source = f"mysql://{user}:secret@{shop.server.host}:{shop.server.port}"
            shop.configure(source=source)
            found = [result for result in shop.verify(rollup=True, as_of=AS_OF) if isinstance(result, RollupResult)]
    finally:
        shop.sql(f"DROP USER {user}")
    compared = {result.table: result for result in found if not result.unverified}
    assert set(compared) == {"counted_refunds", "ltv_cohorts", "ltv_monthly", "order_first_purchase"}
    assert_equal(compared)
    reasons = {result.table: result.unverified for result in found if result.unverified}
    assert "GRANT CREATE TEMPORARY TABLES" in reasons["product_stats"]
    assert "between two rollups" in reasons["cohort_changes"]
