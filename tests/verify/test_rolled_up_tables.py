"""The rolled-up tables against the same analysis on the database: equal, and what was planted is found."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path

import pytest

from pipeline.rollup import rollup, rollup_queries
from pipeline.verify.rolled_up import RollupResult
from pipeline.verify.shop_sql import shop_query
from schemas.errors import QueryError
from tests.conftest import Server
from tests.verify.followed_shop import FollowedShop, printed

AS_OF = dt.date(2022, 7, 31)
VERIFIED = {name for name, _ in rollup_queries()} - {"freshness", "cohort_changes", "changed_cells"}
WITHOUT_ROWS = {"ltv_cohorts_by_segment", "product_stats", "product_top_country"}
"""No items and no segments are mapped."""
ORDERS = """CREATE TABLE orders (id BIGINT PRIMARY KEY, customer VARCHAR(20), at DATETIME(3), amount DECIMAL(12,2),
 tax DECIMAL(10,4) NULL, status VARCHAR(20) COLLATE utf8mb4_general_ci, code CHAR(3))"""
CHARGES = """CREATE TABLE charges (id BIGINT PRIMARY KEY, order_id BIGINT, amount DECIMAL(12,2), paid TIMESTAMP(6) NULL,
 code CHAR(3) NULL)"""
CREDITS = """CREATE TABLE credits (id VARCHAR(20) PRIMARY KEY, order_id BIGINT, amount DECIMAL(12,2), day DATE)"""


@pytest.fixture
def shop(server: Server, database: str, server_id: int, tmp_path: Path) -> FollowedShop:
    """Orders with currencies and guests at wall-clock time, charges as instants, credits in another zone's days."""
    made = FollowedShop(server, database, tmp_path, server_id, ORDERS, CHARGES, CREDITS)
    orders = {
        "id": "id", "customer_id": "customer", "ordered_at": "at", "status": "status", "currency": "code",
        "amount": {"column": "amount", "minus": ["tax"]},
    }  # fmt: skip
    charges = {"id": "id", "order_id": "order_id", "amount": "amount", "charged_at": "paid", "currency": "code"}
    credits = {
        "id": "id", "order_id": "order_id", "amount": "amount",
        "charged_at": {"column": "day", "time_zone": "America/New_York"},
    }  # fmt: skip
    made.configure(
        counted={"column": "status", "not_in": ["cancelled"]},
        guests=[None, "", "0", "Nobody"],
        tables={
            "orders": {"name": f"{database}.orders", "columns": orders},
            "charges": {"name": f"{database}.charges", "columns": charges},
            "refunds": {"name": f"{database}.credits", "columns": credits, "sign": -1},
        },
    )
    chance = random.Random(5)
    made.sql("SET time_zone = '+00:00'")
    with made.shop.connection.cursor() as cursor:
        for number in range(1, 400):
            cursor.execute("INSERT INTO orders VALUES (%s, %s, %s, %s, %s, %s, %s)", _order(chance, number))
        for number in range(1, 150):
            cursor.execute("INSERT INTO charges VALUES (%s, %s, %s, %s, %s)", _charge(chance, number))
        for number in range(1, 40):
            day = dt.date(2022, 1, 1) + dt.timedelta(days=chance.randrange(250))
            cursor.execute(
                "INSERT INTO credits VALUES (%s, %s, %s, %s)", (f"c{number}", chance.randint(1, 420), number, day)
            )
    return made


def _month_end(chance: random.Random) -> dt.datetime:
    """Often within two hours of the end of a month."""
    first = dt.datetime(2021, 11, 1) + dt.timedelta(days=31 * chance.randrange(10))  # noqa: DTZ001
    minutes = chance.choice([chance.randint(-150, 150), chance.randint(0, 40_000)])
    return first.replace(day=1) + dt.timedelta(minutes=minutes)


def _order(chance: random.Random, number: int) -> tuple[object, ...]:
    customer = chance.choice([None, "0", " nobody", "Nobody", "nobody", *(f"c{place}" for place in range(30))])
    amount = f"{chance.uniform(-5, 300):.2f}"
    tax = chance.choice([None, "0.1234", "2.5000"])
    status = chance.choice(["paid", "shipped", "cancelled", " cancelled ", "Cancelled", None])
    return number, customer, _month_end(chance), amount, tax, status, chance.choice(["EUR", "eur", "JPY"])


def _charge(chance: random.Random, number: int) -> tuple[object, ...]:
    order, amount = chance.randint(1, 420), f"{chance.uniform(-40, 40):.2f}"
    return number, order, amount, _month_end(chance), chance.choice([None, None, "EUR"])


def verified(shop: FollowedShop, as_of: dt.date | None = None) -> dict[str, RollupResult]:
    """Those that the database can stand in for; the others are said to be not verified."""
    found = [result for result in shop.verify(rollup=True, as_of=as_of) if isinstance(result, RollupResult)]
    assert {result.table for result in found} == {name for name, _ in rollup_queries()}
    for result in found:
        assert bool(result.unverified) == (result.table not in VERIFIED), result
        assert not result.unverified or (result.rows, result.differing, result.problem) == (0, 0, "")
    return {result.table: result for result in found if not result.unverified}


def counted(shop: FollowedShop) -> tuple[str, str, str]:
    """Entry, month and currency of an order that counts up to AS_OF."""
    live = f"kind = 'sale' AND NOT _deleted AND purchase_date <= '{AS_OF}' AND customer_id IS NOT NULL"
    return shop.raw_rows(f"SELECT entry_id, purchase_month, currency FROM raw.ltv_entries WHERE {live} ORDER BY 1")[0]


def test_equal_on_every_day_and_planted_differences_are_found(shop: FollowedShop) -> None:
    with shop.followed():
        assert shop.warehouse.dead_letters() == []
        for as_of in (dt.date(2022, 2, 28), dt.date(2021, 12, 1)):
            for result in verified(shop, as_of).values():
                assert (result.differing, result.moving, result.problem) == (0, 0, ""), result
        rollup(shop.warehouse, shop.config, AS_OF)
        results = verified(shop)
        assert set(results) == VERIFIED
        for result in results.values():
            assert (result.as_of, result.differing, result.behind, result.problem) == (AS_OF, 0, 0, ""), result
            assert (result.rows == 0) if result.table in WITHOUT_ROWS else (result.rows > 5), result

        entry, month, currency = counted(shop)
        shop.raw(f"UPDATE raw.ltv_entries SET amount = amount + 0.01 WHERE entry_id = '{entry}'")
        shop.raw("UPDATE main.ltv_cohorts SET orders = orders + 1 WHERE month_number = 0 AND NOT is_guest")
        results = verified(shop)
    (cell,) = results["ltv_monthly"].differences
    assert cell.grain == {"purchase_month": str(month), "currency": currency}
    assert list(cell.columns) == ["revenue"]
    assert results["ltv_cohorts"].differing
    assert [list(row.columns) for row in results["order_first_purchase"].differences] == [["amount"]]
    assert results["counted_refunds"].differing == 0
    assert "  ltv_monthly purchase_month=" in printed(list(results.values()))


def test_an_altered_table_and_one_that_is_behind(shop: FollowedShop) -> None:
    with shop.followed():
        rollup(shop.warehouse, shop.config, AS_OF)
        shop.raw("UPDATE main.ltv_monthly SET orders = orders + 1 WHERE currency = 'JPY'")
        results = verified(shop)
        assert len(results["ltv_monthly"].altered) > 3
        assert results["ltv_monthly"].differences == []
        assert results["ltv_cohorts"].differing == 0

        rollup(shop.warehouse, shop.config, AS_OF)
        shop.sql("INSERT INTO orders VALUES (1000, 'c1', '2022-01-31 23:59:59', 10, NULL, 'paid', 'EUR')")
        shop.caught_up()
        results = verified(shop)
        assert [result.differing for result in results.values()] == [0] * len(VERIFIED)
        assert (results["ltv_monthly"].behind, results["order_first_purchase"].behind) == (1, 1)
        assert results["payment_reconciliation"].behind == 1
        assert f"as of {AS_OF}, 1 rows behind what the warehouse's rows give by now" in printed(list(results.values()))


def test_rows_of_a_large_table_are_found_in_their_group(shop: FollowedShop) -> None:
    with shop.followed():
        entry, _, _ = counted(shop)
        shop.raw(f"UPDATE raw.ltv_entries SET occurred_at = occurred_at - INTERVAL 1 DAY WHERE entry_id = '{entry}'")
        result = verified(shop, AS_OF)["order_first_purchase"]
    assert result.differences and result.rows > 100
    assert {tuple(cell.grain) for cell in result.differences} == {("order_id",)}
    assert entry.removeprefix("order:") in {cell.grain["order_id"] for cell in result.differences}
    changed = {name for cell in result.differences for name in cell.columns}
    assert changed <= {"ordered_at", "first_ordered_at", "first_order_id"}


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("SELECT @other FROM ltv_entries", "@other is not known"),
        ("SELECT x FROM ltv_entries CROSS JOIN UNNEST([1, 2]) AS x", "only UNNEST"),
        ("SELECT SAFE_CAST(order_id AS DATE) FROM ltv_entries", "SAFE_CAST"),
    ],
)
def test_what_the_database_cannot_compute_is_refused_by_name(sql: str, what: str) -> None:
    with pytest.raises(QueryError, match=what):
        shop_query(sql, AS_OF)
