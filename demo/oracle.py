"""The LTV cohorts computed on the shop's own database in one SQL statement: a second opinion on `schemas/sql`.

Written from the rules alone, for MariaDB 10.11 and MySQL 9; shares no line with the warehouse's SQL. Months are plain
numbers here (12 × year + month), and zone names are not asked of the server, whose zone tables are usually empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

import pymysql

OffsetRange: TypeAlias = tuple[datetime, datetime, int]
"""(from, to, minutes east of UTC), the aware instants half open."""

EARLIEST = datetime(1970, 1, 2, tzinfo=timezone.utc)
LATEST = datetime(2107, 1, 1, tzinfo=timezone.utc)  # behind the last TIMESTAMP of either server


class CohortRow(NamedTuple):
    """One cell, with the columns of the design's `ltv_cohorts`."""

    cohort_month: date
    month_number: int
    currency: str
    is_guest: bool
    customers: int
    active_customers: int
    orders: int
    revenue: Decimal
    refunds: Decimal
    ltv: Decimal
    ltv_gross: Decimal
    ltv_per_customer: Decimal
    is_open: bool


@lru_cache(maxsize=16)
def offset_ranges(zone: str, since: datetime = EARLIEST, until: datetime = LATEST) -> tuple[OffsetRange, ...]:
    """The zone's offsets over [since, until), without gaps; each change found to the second."""
    local = ZoneInfo(zone)

    def minutes(instant: datetime) -> int:
        offset = instant.astimezone(local).utcoffset()
        assert offset is not None
        return int(offset.total_seconds()) // 60

    found: list[OffsetRange] = []
    begins = day = since
    while day < until:
        following = min(day + timedelta(days=1), until)
        if following < until and minutes(following) != minutes(day):
            low, high = day, following
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
                low, high = (middle, high) if minutes(middle) == minutes(day) else (low, middle)
            found.append((begins, high, minutes(day)))
            begins = high
        day = following
    found.append((begins, until, minutes(begins)))
    return tuple(found)


COHORTS = """
WITH RECURSIVE
offsets AS ({offsets}),
sales AS (  -- counted orders up to the day
  SELECT id, amount, is_guest, CAST(YEAR(order_date) * 12 + MONTH(order_date) AS SIGNED) AS month,
         CASE WHEN is_guest THEN CONCAT('order ', id) ELSE CONCAT('customer ', customer_id) END AS buyer
  FROM (SELECT orders.*, customer_id IS NULL OR CAST(customer_id AS CHAR) IN ('0', '') AS is_guest FROM orders) AS every
  WHERE {counted} AND DATE(order_date) <= %s),
buyers AS (  -- the lowest (order_date, id) is in the lowest month
  SELECT buyer, is_guest, MIN(month) AS cohort FROM sales GROUP BY buyer, is_guest),
refunds AS (
  SELECT sales.buyer, charges.amount,
         DATE('1970-01-01' + INTERVAL FLOOR(UNIX_TIMESTAMP(charges.created_at)) + offsets.minutes * 60 SECOND) AS day
  FROM charges
  JOIN sales ON sales.id = charges.order_id
  JOIN offsets ON UNIX_TIMESTAMP(charges.created_at) >= offsets.utc_from
              AND UNIX_TIMESTAMP(charges.created_at) < offsets.utc_to
  WHERE charges.amount < 0),
entries AS (
  SELECT buyer, month, 1 AS sold, amount FROM sales
  UNION ALL
  SELECT buyer, CAST(YEAR(day) * 12 + MONTH(day) AS SIGNED), 0, amount FROM refunds WHERE day <= %s),
cells AS (
  SELECT cohort, is_guest, GREATEST(month - cohort, 0) AS number,
         COUNT(DISTINCT CASE WHEN sold THEN buyer END) AS active, SUM(sold) AS orders,
         SUM(CASE WHEN sold THEN amount ELSE 0 END) AS revenue, SUM(CASE WHEN sold THEN 0 ELSE amount END) AS refunded
  FROM entries JOIN buyers USING (buyer)
  GROUP BY cohort, is_guest, GREATEST(month - cohort, 0)),
spine AS (  -- every month of a cohort, whether anything happened or not
  SELECT cohort, is_guest, COUNT(*) AS customers, 0 AS number FROM buyers GROUP BY cohort, is_guest
  UNION ALL
  SELECT cohort, is_guest, customers, number + 1 FROM spine WHERE cohort + number < %s),
totals AS (
  SELECT cohort, is_guest, number, customers, COALESCE(active, 0) AS active, COALESCE(orders, 0) AS orders,
         COALESCE(revenue, 0) AS revenue, COALESCE(refunded, 0) AS refunded,
         SUM(COALESCE(revenue, 0) + COALESCE(refunded, 0)) OVER life AS net,
         SUM(COALESCE(revenue, 0)) OVER life AS gross
  FROM spine LEFT JOIN cells USING (cohort, is_guest, number)
  WINDOW life AS (PARTITION BY cohort, is_guest ORDER BY number ROWS UNBOUNDED PRECEDING))
SELECT cohort, number, is_guest, customers, active, orders, revenue, refunded, net, gross,
       ROUND(net * 10000 / customers) / 10000, cohort + number = %s
FROM totals ORDER BY cohort, is_guest, number
"""


def cohorts(
    connection: pymysql.connections.Connection[Any],
    as_of: date,
    *,
    offsets: Sequence[OffsetRange],
    not_in: Sequence[str] = ("cancelled",),
    currency: str = "EUR",
) -> list[CohortRow]:
    """The cohorts of the selected database, by (cohort_month, is_guest, month_number).

    `offsets` are the shop's zone (`offset_ranges`), for charges.created_at, a TIMESTAMP; orders.order_date, a
    DATETIME, is the shop's wall time already. The session's time_zone does not matter.
    """
    month = as_of.year * 12 + as_of.month
    statuses = ", ".join(["CAST(%s AS BINARY)"] * len(not_in))
    sql = COHORTS.format(
        offsets=" UNION ALL ".join(["SELECT %s AS utc_from, %s AS utc_to, %s AS minutes"] * len(offsets)),
        counted=f"CAST(TRIM(status) AS BINARY) NOT IN ({statuses})" if not_in else "status IS NOT NULL",
    )
    ranges: list[int] = []
    for begins, ends, minutes in offsets:
        ranges += [int(begins.timestamp()), int(ends.timestamp()), minutes]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*ranges, *not_in, as_of, as_of, month, month])
        found = cursor.fetchall()
    connection.commit()
    return [_row(row, currency) for row in found]


def _row(row: Sequence[Any], currency: str) -> CohortRow:
    cohort, number, is_guest, customers, active, orders, *amounts, is_open = row
    year, month = divmod(int(cohort) - 1, 12)
    revenue, refunds, net, gross = (Decimal(amount) for amount in amounts[:4])
    per_customer = Decimal(amounts[4]).quantize(Decimal("0.0001"))
    first = date(year, month + 1, 1)
    people = (bool(is_guest), int(customers), int(active), int(orders))
    return CohortRow(first, int(number), currency, *people, revenue, refunds, net, gross, per_customer, bool(is_open))
