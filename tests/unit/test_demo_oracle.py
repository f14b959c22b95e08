"""The one-statement oracle against the same rules in plain Python, on both servers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from demo.oracle import cohorts, offset_ranges
from demo.shop import TIME_ZONE, open_shop, write_case_study

if TYPE_CHECKING:
    from tests.conftest import Server

UNTIL = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
PARIS = offset_ranges(TIME_ZONE)


def in_plain_python(connection: Any, as_of: date) -> Iterator[tuple[Any, ...]]:
    """(cohort_month, month_number, is_guest, customers, active, orders, revenue, refunds, ltv, is_open)."""
    with connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute("SELECT id, order_date, customer_id, amount FROM orders WHERE status <> 'cancelled'")
        orders = {row[0]: row for row in cursor.fetchall() if row[1].date() <= as_of}
        cursor.execute("SELECT order_id, amount, created_at FROM charges WHERE amount < 0")
        charges = cursor.fetchall()

    def month(day: date) -> int:
        return 12 * day.year + day.month - 1

    buyer = {key: (not row[2], row[2] or key) for key, row in orders.items()}
    cohort: dict[tuple[bool, int], int] = {}
    for key, day, *_ in sorted(orders.values(), key=lambda row: (row[1], row[0])):
        cohort.setdefault(buyer[key], month(day))
    revenue: dict[Any, Decimal] = defaultdict(Decimal)
    refunds: dict[Any, Decimal] = defaultdict(Decimal)
    active: dict[Any, set[Any]] = defaultdict(set)
    counts: Counter[Any] = Counter()
    for key, day, _, amount in orders.values():
        cell = (cohort[buyer[key]], buyer[key][0], month(day) - cohort[buyer[key]])
        revenue[cell] += amount
        active[cell].add(buyer[key])
        counts[cell] += 1
    for key, amount, instant in charges:
        day = instant.replace(tzinfo=timezone.utc).astimezone(ZoneInfo(TIME_ZONE)).date()
        if key in orders and day <= as_of:
            refunds[cohort[buyer[key]], buyer[key][0], max(0, month(day) - cohort[buyer[key]])] += amount
    for (first, is_guest), customers in sorted(Counter((cohort[who], who[0]) for who in cohort).items()):
        ltv = Decimal()
        for number in range(month(as_of) - first + 1):
            cell = (first, is_guest, number)
            ltv += revenue[cell] + refunds[cell]
            yield (
                date(first // 12, first % 12 + 1, 1), number, is_guest, customers, len(active[cell]), counts[cell],
                revenue[cell], refunds[cell], ltv, first + number == month(as_of),
            )  # fmt: skip


def test_the_case_study(server: Server, database: str) -> None:
    with server.connect() as connection:
        write_case_study(connection, database)
        found = cohorts(connection, date(2022, 7, 31), offsets=PARIS)
    january = [row for row in found if row.cohort_month == date(2022, 1, 1)]
    april = [row for row in found if row.cohort_month == date(2022, 4, 1)]
    assert january + april == found
    assert [row.ltv_gross for row in january] == [225, 375, 375, 375, 375, 375, 675]
    assert [row.ltv for row in january] == [225, 375, 375, 375, 375, 375, 625]
    assert [row.ltv for row in april] == [150, 150, 150, 150]
    assert (january[0].customers, april[0].customers) == (2, 1)
    assert january[-1].ltv_per_customer == Decimal("312.5")
    assert [row.is_open for row in january] == [False] * 6 + [True]


@pytest.mark.parametrize("as_of", [date(2026, 11, 20), date(2026, 6, 15)])
def test_a_shop(server: Server, database: str, as_of: date) -> None:
    with server.connect() as connection:
        open_shop(connection, 11, customers=300, until=UNTIL, lasting=timedelta(days=500), database=database)
        found = cohorts(connection, as_of, offsets=PARIS)
        wanted = list(in_plain_python(connection, as_of))
    assert {row.is_guest for row in found} == {True, False}
    assert sum(row.refunds for row in found) < 0
    assert [(*row[:2], *row[3:10], row.is_open) for row in found] == wanted


def test_traps(server: Server, database: str) -> None:
    """A refund before the cohort month, one that is next month only in local time, an uncounted and a late order."""
    with server.connect() as connection, connection.cursor() as cursor:
        write_case_study(connection, database)
        for table in ("orders", "charges"):
            cursor.execute(f"DELETE FROM {table}")
        cursor.execute(
            "INSERT INTO orders (id, order_date, status, country, customer_id, amount, updated_at) VALUES"
            " (1, '2024-12-31 23:59:59', 'paid', 'FR', 1, 100, '2025-01-01'),"
            " (2, '2025-01-01 00:00:00', 'Cancelled', 'FR', 2, 10, '2025-01-01'),"  # another text than 'cancelled'
            " (3, '2025-01-05 00:00:00', ' cancelled ', 'FR', 3, 1000, '2025-01-05'),"
            " (4, '2025-03-01 00:00:00', 'paid', 'FR', 4, 5000, '2025-03-01'),"
            " (5, '2025-02-10 00:00:00', 'paid', 'FR', 5, 60, '2025-02-10')"
        )
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute(
            "INSERT INTO charges (id, order_id, amount, created_at) VALUES (1, 1, -30, '2025-01-31 23:30:00'),"
            " (2, 3, -1000, '2025-01-06'), (3, 5, -5, '2025-01-02'), (4, 1, -1, '2025-02-28 23:30:00'),"
            " (5, 77, -9, '2025-01-06')"
        )
        cursor.execute("SET time_zone = '-08:00'")
        found = cohorts(connection, date(2025, 2, 28), offsets=PARIS)
    cells = [(row.cohort_month.isoformat(), row.month_number, row.customers, *map(int, row[7:10:2])) for row in found]
    assert cells == [
        ("2024-12-01", 0, 1, 100, 100),
        ("2024-12-01", 1, 1, 0, 100),
        ("2024-12-01", 2, 1, 0, 70),
        ("2025-01-01", 0, 1, 10, 10),
        ("2025-01-01", 1, 1, 0, 10),
        ("2025-02-01", 0, 1, 60, 55),
    ]


def test_offsets_change_to_the_second() -> None:
    spring = datetime(2025, 3, 30, 1, tzinfo=timezone.utc)
    assert [(begins, minutes) for begins, _, minutes in PARIS if begins == spring] == [(spring, 120)]
    assert all(one[1] == other[0] for one, other in pairwise(PARIS))
