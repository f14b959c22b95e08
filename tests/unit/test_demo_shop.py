"""The simulated shop: the same seed gives the same shop, in which everything happens that happens in real ones."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

import pytest

from demo import tables
from demo.history import STEP, Block
from demo.live import KnownOrder
from demo.shop import Traffic, Transaction, history, live, open_shop, write_case_study

if TYPE_CHECKING:
    from tests.conftest import Server

UNTIL = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
SINCE = UNTIL - timedelta(days=730)


@pytest.fixture(scope="module")
def past() -> list[Transaction]:
    return list(history(1, 500, SINCE, UNTIL))


def rows(past: list[Transaction], sql: str) -> list[tables.Row]:
    return [row for transaction in past for text, several in transaction if text == sql for row in several]


def values(past: list[Transaction]) -> list[tables.Value]:
    return [value for transaction in past for _, several in transaction for row in several for value in row]


def test_the_seed_decides_everything(past: list[Transaction]) -> None:
    assert list(history(1, 500, SINCE, UNTIL)) == past
    assert list(history(2, 500, SINCE, UNTIL)) != past


def test_money_is_decimal_in_cents(past: list[Transaction]) -> None:
    assert not [value for value in values(past) if isinstance(value, float)]
    amounts = [row[5] for row in rows(past, tables.INSERT_ORDER)] + [row[2] for row in rows(past, tables.INSERT_CHARGE)]
    assert all(isinstance(amount, Decimal) and amount.as_tuple().exponent == -2 for amount in amounts)


def test_items_add_up_to_their_order(past: list[Transaction]) -> None:
    totals: Counter[tables.Value] = Counter()
    for _, order_id, _, quantity, unit_amount in rows(past, tables.INSERT_ITEM):
        assert isinstance(quantity, int)
        assert isinstance(unit_amount, Decimal)
        totals[order_id] += quantity * unit_amount  # type: ignore[assignment]
    assert totals == {row[0]: row[5] for row in rows(past, tables.INSERT_ORDER)}


def test_everything_happens(past: list[Transaction]) -> None:
    orders = {row[0]: row for row in rows(past, tables.INSERT_ORDER)}
    statuses = Counter(row[0] for row in rows(past, tables.SET_STATUS))
    assert {"paid", "shipped", "completed", "cancelled", "refunded", "partial_refunded"} <= statuses.keys()
    assert {order[2] for order in orders.values()} == {"pending"}
    assert {None, 0} <= {order[4] for order in orders.values()}, "guests are written either way"
    assert len(rows(past, tables.INSERT_CUSTOMER)) == 500
    months = [(moved[0].month, orders[moved[2]][1].month) for moved in rows(past, tables.MOVE_ORDER)]  # type: ignore[union-attr]
    assert any(after != before for after, before in months)
    assert any(after == before for after, before in months)
    deleted = {row[0] for row in rows(past, tables.DELETE_ORDER)}
    assert deleted == {row[0] for row in rows(past, tables.DELETE_ITEMS)}
    charged = {row[1] for row in rows(past, tables.INSERT_CHARGE)}
    assert deleted - charged
    assert deleted & charged, "some charges stay behind as orphans"
    repeats = Counter(order[4] for order in orders.values() if order[4])
    assert 0.3 < sum(count > 1 for count in repeats.values()) / len(repeats) < 0.55


def test_refunds_partial_and_full_also_in_later_months(past: list[Transaction]) -> None:
    orders = {row[0]: row for row in rows(past, tables.INSERT_ORDER)}
    refunds = [row for row in rows(past, tables.INSERT_CHARGE) if row[2] < 0]  # type: ignore[operator]
    assert any(row[2] == -orders[row[1]][5] for row in refunds)  # type: ignore[operator]
    assert any(row[2] > -orders[row[1]][5] for row in refunds)  # type: ignore[operator]
    assert any(row[3].month != orders[row[1]][1].month for row in refunds)  # type: ignore[union-attr]


def test_first_orders_are_cancelled_too(past: list[Transaction]) -> None:
    orders = {row[0]: row[4] for row in rows(past, tables.INSERT_ORDER)}
    first: dict[tables.Value, tables.Value] = {}
    for order_id, customer_id in orders.items():
        if customer_id:
            first.setdefault(customer_id, order_id)
    cancelled = {row[2] for row in rows(past, tables.SET_STATUS) if row[0] == "cancelled"}
    returning = {customer for customer, count in Counter(orders.values()).items() if count > 1}
    assert any(first[customer] in cancelled for customer in returning if customer)


def test_time_runs_forward_and_ids_with_it(past: list[Transaction]) -> None:
    for sql in (tables.INSERT_CUSTOMER, tables.INSERT_ORDER, tables.INSERT_ITEM, tables.INSERT_CHARGE):
        ids = [row[0] for transaction in past for row in sorted(rows([transaction], sql))]
        assert ids == list(range(1, len(ids) + 1))
    created = [row[3] for transaction in past for row in sorted(rows([transaction], tables.INSERT_CHARGE))]
    assert created == sorted(created)  # type: ignore[type-var]
    assert SINCE.replace(tzinfo=None) <= created[0]  # type: ignore[operator]
    assert created[-1] < UNTIL.replace(tzinfo=None)  # type: ignore[operator]


def test_a_block_merges_orders_but_keeps_each_one_in_order() -> None:
    block = Block(SINCE)
    block.add(1, [("place", (1,)), ("pay", (1,))])
    block.add(1, [("place", (11,))])
    block.add(2, [("pay", (2,)), ("place", (2,))])
    assert block.transaction == [("place", [(1,)]), ("pay", [(1,), (2,)]), ("place", [(11,), (2,)])]
    assert block.turn(SINCE + STEP / 2) is None
    assert len(block.turn(SINCE + STEP * 5) or []) == 3
    assert block.turn(SINCE + STEP * 5) is None


def test_traffic_repeats_itself_and_does_everything() -> None:
    def traffic() -> Traffic:
        orders = [KnownOrder(key, "pending", 5000, datetime(2026, 11, 3, 10)) for key in range(1, 20)]  # noqa: DTZ001
        return Traffic(Random(7), {"customers": 9, "orders": 20, "order_items": 40, "charges": 20}, orders)

    one, other = traffic(), traffic()
    steps = [one.step(UNTIL) for _ in range(1500)]
    assert steps == [other.step(UNTIL) for _ in range(1500)]
    kinds = {"order", "paid", "shipped", "completed", "refund", "cancel", "move", "delete"}
    assert {kind for kind, _ in steps} == kinds
    assert not [value for value in values([transaction for _, transaction in steps]) if isinstance(value, float)]


def test_a_written_history_goes_on_live_until_stopped(server: Server, database: str) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        written = open_shop(connection, 3, customers=60, until=UNTIL, lasting=timedelta(days=200), database=database)
        cursor.execute("SELECT COUNT(*), MAX(id) FROM orders")
        ((orders, highest),) = cursor.fetchall()
        assert orders == written["INSERT orders"] - written["DELETE orders"]
        cursor.execute("SELECT COUNT(*) FROM order_items WHERE order_id NOT IN (SELECT id FROM orders)")
        assert cursor.fetchall() == ((0,),)

        done = live(connection, 4, per_second=200, seconds=0.3)
        assert 10 <= done.total() <= 60
        cursor.execute("SELECT COUNT(*) FROM orders WHERE id > %s", [highest])
        ((added,),) = cursor.fetchall()
        assert 0 < added <= done["order"]

        stop = threading.Event()
        timer = threading.Timer(0.1, stop.set)
        timer.start()
        began = time.monotonic()
        live(connection, 5, per_second=0.01, stop=stop)
        assert time.monotonic() - began < 5


def test_the_case_study_is_five_orders(server: Server, database: str) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        write_case_study(connection, database)
        cursor.execute("SELECT id, DATE_FORMAT(order_date, '%Y-%m-%d'), status, amount FROM orders ORDER BY id")
        orders = cursor.fetchall()
        assert len(orders) == 5
        assert orders[1] == (2, "2022-01-12", "partial_refunded", Decimal("150.00"))
        cursor.execute("SELECT order_id, SUM(quantity * unit_amount) FROM order_items GROUP BY order_id ORDER BY 1")
        assert cursor.fetchall() == tuple((order[0], order[3]) for order in orders)
        cursor.execute("SELECT SUM(amount) FROM charges WHERE order_id = 2")
        assert cursor.fetchall() == ((Decimal("100.00"),),)
