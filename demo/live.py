"""The shop's present: traffic in real time, one change after the other, at a steady rate."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import count
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pymysql

from demo import tables
from demo.assortment import COUNTRIES, draw_basket, draw_customer, total_cents, weighted
from demo.probe import FIRST_ID
from demo.tables import TIME_ZONE, Row, Transaction, money, write

REMEMBERED = 2000  # orders that may still change
NEXT_STATUS = {"pending": "paid", "paid": "shipped", "shipped": "completed"}
ACTIONS = {"order": 42, "advance": 42, "refund": 6, "cancel": 4, "move": 4, "delete": 2}


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass
class KnownOrder:
    id: int
    status: str
    cents: int
    order_date: datetime


class Traffic:
    """Decides what happens next; the same seed and the same shop give the same changes, only their times differ."""

    def __init__(self, rng: Random, next_ids: dict[str, int], orders: list[KnownOrder], zone: str = TIME_ZONE) -> None:
        self._rng = rng
        self._ids = {name: count(first) for name, first in next_ids.items()}
        self._customers = next_ids["customers"] - 1
        self._orders = orders
        self._zone = ZoneInfo(zone)

    @classmethod
    def on(cls, connection: pymysql.connections.Connection[Any], seed: int, zone: str = TIME_ZONE) -> Traffic:
        """Goes on where the selected database stands: above its highest ids but the probe's, with its latest orders."""
        with connection.cursor() as cursor:
            next_ids = {}
            for name in tables.TABLES:
                cursor.execute(f"SELECT COALESCE(MAX(id), 0) + 1 FROM {name} WHERE id < {FIRST_ID}")
                next_ids[name] = int(cursor.fetchall()[0][0])
            cursor.execute(
                f"SELECT id, status, amount, order_date FROM orders WHERE id < {FIRST_ID}"
                f" ORDER BY id DESC LIMIT {REMEMBERED}"
            )
            orders = [KnownOrder(key, status, int(amount * 100), day) for key, status, amount, day in cursor.fetchall()]
        connection.commit()
        return cls(Random(seed), next_ids, orders[::-1], zone)

    def step(self, now: datetime) -> tuple[str, Transaction]:
        """What was done (order, paid, shipped, completed, refund, cancel, move, delete) and its one transaction."""
        wall = now.astimezone(self._zone).replace(tzinfo=None, microsecond=0)
        action = weighted(self._rng, ACTIONS)
        if action == "advance" and (order := self._pick(*NEXT_STATUS)):
            return self._advance(order, now, wall)
        if action == "refund" and (order := self._pick("shipped", "completed")):
            whole = self._rng.random() < 0.3
            share = 100 if whole else self._rng.choice((10, 20, 35, 50))
            order.status = "refunded" if whole else "partial_refunded"
            charge = self._charge(order, -max(1, order.cents * share // 100), now)
            return action, [(tables.INSERT_CHARGE, [charge]), self._status(order, wall)]
        if action == "cancel" and (order := self._pick("pending")):
            order.status = "cancelled"
            return action, [self._status(order, wall)]
        if action == "move" and (order := self._pick("paid", "shipped", "completed")):
            days = order.order_date.day if self._rng.random() < 0.4 else self._rng.choice((1, 2, 3))
            order.order_date -= timedelta(days=days)
            return action, [(tables.MOVE_ORDER, [(order.order_date, wall, order.id)])]
        if action == "delete" and (order := self._pick("pending", "cancelled")):
            self._orders.remove(order)
            return action, [(tables.DELETE_ITEMS, [(order.id,)]), (tables.DELETE_ORDER, [(order.id,)])]
        return "order", self._place(wall)

    def _pick(self, *statuses: str) -> KnownOrder | None:
        for _ in range(20):
            if self._orders and (order := self._rng.choice(self._orders)).status in statuses:
                return order
        return None

    def _place(self, wall: datetime) -> Transaction:
        rng = self._rng
        transaction: Transaction = []
        customer_id: int | None = None
        country = weighted(rng, COUNTRIES)
        if (chance := rng.random()) < 0.5 or not self._customers:
            customer_id = self._customers = next(self._ids["customers"])
            customer = draw_customer(rng, wall.year)
            country = customer.country
            transaction.append((tables.INSERT_CUSTOMER, [(customer_id, *customer)]))
        elif chance < 0.92:
            customer_id = rng.randint(1, self._customers)
        basket = draw_basket(rng, wall.date())
        order = KnownOrder(next(self._ids["orders"]), "pending", total_cents(basket), wall)
        if len(self._orders) < REMEMBERED:
            self._orders.append(order)
        else:  # one of the remembered ones is forgotten
            self._orders[rng.randrange(REMEMBERED)] = order
        row: Row = (order.id, wall, order.status, country, customer_id, money(order.cents), wall)
        items: list[Row] = [
            (next(self._ids["order_items"]), order.id, item.name, item.quantity, money(item.unit_cents))
            for item in basket
        ]
        return [*transaction, (tables.INSERT_ORDER, [row]), (tables.INSERT_ITEM, items)]

    def _advance(self, order: KnownOrder, now: datetime, wall: datetime) -> tuple[str, Transaction]:
        order.status = NEXT_STATUS[order.status]
        changes = [self._status(order, wall)]
        if order.status == "paid":
            changes.insert(0, (tables.INSERT_CHARGE, [self._charge(order, order.cents, now)]))
        return order.status, changes

    def _charge(self, order: KnownOrder, cents: int, now: datetime) -> Row:
        instant = now.astimezone(timezone.utc).replace(tzinfo=None, microsecond=0)
        return (next(self._ids["charges"]), order.id, money(cents), instant)

    @staticmethod
    def _status(order: KnownOrder, wall: datetime) -> tables.Statement:
        return (tables.SET_STATUS, [(order.status, wall, order.id)])


def live(
    connection: pymysql.connections.Connection[Any],
    seed: int,
    *,
    per_second: float = 20.0,
    seconds: float | None = None,
    stop: threading.Event | None = None,
    zone: str = TIME_ZONE,
    now: Callable[[], datetime] = utc_now,
) -> Counter[str]:
    """Real traffic on the selected database, one transaction at a time, `per_second` of them (fewer if it cannot).

    Ends after `seconds`, or at once when `stop` is set. Returns how often each thing was done.
    """
    stop = stop or threading.Event()
    traffic = Traffic.on(connection, seed, zone)
    done: Counter[str] = Counter()
    started = time.monotonic()
    for number in count():
        due = number / per_second
        if seconds is not None and due >= seconds:
            stop.wait(max(0.0, started + seconds - time.monotonic()))
            break
        if stop.wait(max(0.0, started + due - time.monotonic())):
            break
        if seconds is not None and time.monotonic() - started >= seconds:
            break
        kind, transaction = traffic.step(now())
        write(connection, [transaction])
        done[kind] += 1
    return done
