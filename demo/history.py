"""The shop's past, as a pure function of a seed: who orders when, and what becomes of each order."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from itertools import accumulate, count
from random import Random
from zoneinfo import ZoneInfo

from demo import tables
from demo.assortment import COUNTRIES, SEASON, draw_basket, draw_customer, total_cents, weighted
from demo.tables import TIME_ZONE, Row, Transaction, money

STEP = timedelta(hours=1)  # what happens within one becomes one transaction
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@dataclass(frozen=True)
class Placement:
    """Somebody (None: a guest) orders at an instant."""

    at: datetime
    buyer: int | None
    first: bool


@dataclass(order=True)
class Step:
    """Something that happens to an order after it was placed. `cents` is the charge, `day` the new order date."""

    at: datetime
    number: int
    order_id: int = field(compare=False)
    kind: str = field(compare=False)  # a status, or "charge", "moved", "deleted"
    cents: int = field(compare=False, default=0)
    moved_to: datetime | None = field(compare=False, default=None)


def history(
    seed: int, customers: int, since: datetime, until: datetime, zone: str = TIME_ZONE
) -> Iterator[Transaction]:
    """Everything that happened in [since, until), oldest first, ready to `write`. Both instants are aware.

    Ids are explicit and grow with time. One transaction holds up to an hour of the shop; an order that changed twice
    within it is still changed by two statements. What would happen after `until` is left out: recent orders are
    pending, paid or on their way.
    """
    rng = Random(seed)
    local = ZoneInfo(zone)
    customer_ids: dict[int, tuple[int, str]] = {}
    item_ids, charge_ids, numbers = count(1), count(1), count()
    upcoming: list[Step] = []
    block = Block(since)

    def happen(instant: datetime) -> Iterator[Transaction]:
        while upcoming and upcoming[0].at < instant:
            step = heapq.heappop(upcoming)
            if done := block.turn(step.at):
                yield done
            block.add(step.order_id, statements(step, charge_ids, local))

    for order_id, placement in enumerate(placements(rng, customers, since, until, local), start=1):
        yield from happen(placement.at)
        if done := block.turn(placement.at):
            yield done
        wall = placement.at.astimezone(local)
        basket = draw_basket(rng, wall.date())
        if placement.buyer is None:  # shops write a guest either way
            customer_id, country = (None if rng.random() < 0.9 else 0), weighted(rng, COUNTRIES)
        elif placement.buyer in customer_ids:
            customer_id, country = customer_ids[placement.buyer]
        else:
            customer_id, customer = len(customer_ids) + 1, draw_customer(rng, wall.year)
            customer_ids[placement.buyer] = (customer_id, country := customer.country)
            block.add(order_id, [(tables.INSERT_CUSTOMER, (customer_id, *customer))])
        now, cents = wall.replace(tzinfo=None), total_cents(basket)
        order: Row = (order_id, now, "pending", country, customer_id, money(cents), now)
        items: list[Row] = [
            (next(item_ids), order_id, item.name, item.quantity, money(item.unit_cents)) for item in basket
        ]
        block.add(order_id, [(tables.INSERT_ORDER, order), *((tables.INSERT_ITEM, item) for item in items)])
        for at, kind, charge, moved_to in fate(rng, placement, cents, local):
            heapq.heappush(upcoming, Step(at, next(numbers), order_id, kind, charge, moved_to))
    yield from happen(until)
    if block.transaction:
        yield block.transaction


def placements(rng: Random, customers: int, since: datetime, until: datetime, local: ZoneInfo) -> list[Placement]:
    """All orders: first ones spread by season and growth, returning customers, and about one guest in 12 orders."""
    days = [since.astimezone(local).date() + n * DAY for n in range((until - since).days + 2)]
    weights = list(accumulate((1 + n / len(days)) * SEASON[day.month - 1] for n, day in enumerate(days)))

    def instant() -> datetime:
        while True:
            at = at_local(rng.choices(days, cum_weights=weights)[0], daytime(rng), local)
            if since <= at < until:
                return at

    found = [Placement(instant(), None, True) for _ in range(customers // 5)]
    for buyer in range(customers):
        at = instant()
        found.append(Placement(at, buyer, True))
        mean_gap = 7 + rng.gammavariate(2, 30)  # days
        leaves = 0.52
        while rng.random() > leaves:
            leaves = 0.22
            at = (at + rng.expovariate(1 / mean_gap) * DAY).replace(microsecond=0)
            while at < until and rng.random() > SEASON[at.month - 1] / max(SEASON):
                at += rng.randrange(1, 15) * DAY
            if at >= until:
                break
            found.append(Placement(at, buyer, False))
    return sorted(found, key=lambda placement: (placement.at, placement.buyer is None, placement.buyer or 0))


def fate(
    rng: Random, placement: Placement, cents: int, local: ZoneInfo
) -> Iterator[tuple[datetime, str, int, datetime | None]]:
    """What becomes of an order: (instant, kind, charge in cents, new order date)."""
    at, chance = placement.at, rng.random()
    if chance < (0.05 if placement.first else 0.03):
        yield at + rng.randrange(10, 3000) * MINUTE, "cancelled", 0, None
        return
    if chance < 0.056:  # never paid
        return
    if chance < 0.064:
        yield at + rng.randrange(60, 7000) * MINUTE, "deleted", 0, None
        return
    at += rng.randrange(1, 20) * MINUTE if rng.random() < 0.9 else rng.randrange(600, 6000) * MINUTE
    charged = cents if rng.random() > 0.006 else rng.choice((cents * 2, max(1, cents - 500)))  # nobody explains these
    yield at, "charge", charged, None
    yield at, "paid", 0, None
    chance = rng.random()
    if chance < 0.015:
        at += rng.randrange(120, 2880) * MINUTE
        yield at, "charge", -charged, None
        yield at, "cancelled", 0, None
        return
    if chance < 0.019:  # its charge stays behind as an orphan
        yield at + rng.randrange(60, 7000) * MINUTE, "deleted", 0, None
        return
    if rng.random() < 0.02:
        moved = at + rng.randrange(1, 9000) * MINUTE
        yield moved, "moved", 0, new_order_date(rng, placement.at.astimezone(local), moved.astimezone(local))
    at += rng.randrange(600, 4320) * MINUTE
    yield at, "shipped", 0, None
    at += rng.randrange(1440, 8640) * MINUTE
    yield at, "completed", 0, None
    chance = rng.random()
    at += rng.randrange(3 * 1440, 75 * 1440) * MINUTE
    if chance < 0.03:
        yield at, "charge", -charged, None
        yield at, "refunded", 0, None
    elif chance < 0.09:
        for share in rng.choice(((20,), (35,), (50,), (10, 30))):
            yield at, "charge", -max(1, charged * share // 100), None
            yield at, "partial_refunded", 0, None
            at += rng.randrange(1440, 40 * 1440) * MINUTE


def statements(step: Step, charge_ids: Iterator[int], local: ZoneInfo) -> list[tuple[str, Row]]:
    now = step.at.astimezone(local).replace(tzinfo=None)
    if step.kind == "charge":
        instant = step.at.astimezone(timezone.utc).replace(tzinfo=None)
        return [(tables.INSERT_CHARGE, (next(charge_ids), step.order_id, money(step.cents), instant))]
    if step.kind == "moved":
        return [(tables.MOVE_ORDER, (step.moved_to, now, step.order_id))]
    if step.kind == "deleted":
        return [(tables.DELETE_ITEMS, (step.order_id,)), (tables.DELETE_ORDER, (step.order_id,))]
    return [(tables.SET_STATUS, (step.kind, now, step.order_id))]


def new_order_date(rng: Random, ordered: datetime, now: datetime) -> datetime:
    """Wall time, never after `now`: into the month before, or up to three days to either side."""
    wall = ordered.replace(tzinfo=None)
    if rng.random() < 0.4:
        return wall - wall.day * DAY
    return min(wall + rng.choice((-3, -2, -1, 1, 2, 3)) * DAY, now.replace(tzinfo=None))


def at_local(day: date, seconds: int, local: ZoneInfo) -> datetime:
    """The instant, in UTC."""
    return datetime.combine(day, time(), local).astimezone(timezone.utc) + timedelta(seconds=seconds)


def daytime(rng: Random) -> int:
    """A second of the day: mostly evenings, some at any hour, so that months also turn between two orders."""
    return rng.randrange(86_400) if rng.random() < 0.1 else int(rng.triangular(7 * 3600, 86_399, 20 * 3600))


class Block:
    """Gathers statements into one transaction: across orders they are merged, within an order they keep their order."""

    def __init__(self, start: datetime) -> None:
        self.end = start + STEP
        self.transaction: Transaction = []
        self._last: dict[int, int] = {}

    def turn(self, instant: datetime) -> Transaction | None:
        """Returns the transaction when `instant` lies behind its end, and begins the next one."""
        if instant < self.end:
            return None
        done, self.transaction, self._last = self.transaction, [], {}
        self.end += ((instant - self.end) // STEP + 1) * STEP
        return done or None

    def add(self, order_id: int, changes: list[tuple[str, Row]]) -> None:
        for sql, row in changes:
            place = self._last.get(order_id, 0)
            while place < len(self.transaction) and self.transaction[place][0] != sql:
                place += 1
            if place == len(self.transaction):
                self.transaction.append((sql, []))
            self.transaction[place][1].append(row)
            self._last[order_id] = place
