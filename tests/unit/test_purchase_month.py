"""The month of a purchase is the shop's: either side of midnight at the end of a month, in summer and winter time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import ORDER_COLUMNS, decode, event, message, order, schema, shop, with_columns


def month_and_instant(kind: str, date: str, zone: str, column_zone: str | None = None) -> tuple[str, str]:
    mapped: Any = {"column": "order_date", "time_zone": column_zone} if column_zone else "order_date"
    config = shop(time_zone=zone, tables=with_columns("orders", ordered_at=mapped))
    of = schema("shop.orders", {**ORDER_COLUMNS, "order_date": kind})
    changes = decode(config, message(of, event("c", order(order_date=date))))
    (entry,) = changes.entries[0].to_pylist()
    stored = changes.batches[0].rows.to_pylist()[0]
    assert entry["purchase_date"] == stored["ordered_on"]
    assert entry["purchase_date"].replace(day=1) == entry["purchase_month"]
    return f"{entry['purchase_month']:%Y-%m}", f"{entry['occurred_at']:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize(
    ("zone", "instant", "month"),
    [
        ("Europe/Paris", "2022-01-31T22:59:59.999999Z", "2022-01"),
        ("Europe/Paris", "2022-01-31T23:00:00.000000Z", "2022-02"),
        ("Europe/Paris", "2022-07-31T21:59:59.999999Z", "2022-07"),
        ("Europe/Paris", "2022-07-31T22:00:00.000000Z", "2022-08"),
        ("Europe/Paris", "2021-12-31T23:00:00.000000Z", "2022-01"),
        ("Europe/Paris", "2024-03-31T21:59:59.999999Z", "2024-03"),  # summer time began on this day
        ("Europe/Paris", "2024-03-31T22:00:00.000000Z", "2024-04"),
        ("Europe/Paris", "2021-10-31T22:59:59.999999Z", "2021-10"),  # and ended on this
        ("Europe/Paris", "2021-10-31T23:00:00.000000Z", "2021-11"),
        ("America/New_York", "2022-02-01T04:59:59.999999Z", "2022-01"),
        ("America/New_York", "2022-02-01T05:00:00.000000Z", "2022-02"),
        ("America/New_York", "2022-08-01T03:59:59.999999Z", "2022-07"),
        ("America/New_York", "2022-08-01T04:00:00.000000Z", "2022-08"),
        ("UTC", "2022-01-31T23:59:59.999999Z", "2022-01"),
        ("Asia/Kathmandu", "2022-01-31T18:15:00.000000Z", "2022-02"),
    ],
)
def test_a_timestamp_is_an_instant(zone: str, instant: str, month: str) -> None:
    assert month_and_instant("timestamp(6)", instant, zone)[0] == month
    assert month_and_instant("timestamp(6)", instant, zone, "Asia/Tokyo")[0] == month, (
        "a column's zone is for wall clocks"
    )


@pytest.mark.parametrize(
    ("kind", "date", "zone", "month", "instant"),
    [
        ("datetime(6)", "2022-01-31T23:59:59.999999", "Europe/Paris", "2022-01", "2022-01-31T22:59:59Z"),
        ("datetime(6)", "2022-02-01T00:00:00.000000", "Europe/Paris", "2022-02", "2022-01-31T23:00:00Z"),
        ("datetime(6)", "2022-08-01T00:00:00.000000", "Europe/Paris", "2022-08", "2022-07-31T22:00:00Z"),
        ("datetime(6)", "2022-01-31T23:59:59.999999", "America/New_York", "2022-01", "2022-02-01T04:59:59Z"),
        ("date", "2022-02-01", "America/New_York", "2022-02", "2022-02-01T05:00:00Z"),
        ("date", "2022-01-31", "Asia/Tokyo", "2022-01", "2022-01-30T15:00:00Z"),
    ],
)
def test_a_wall_clock_is_the_shops(kind: str, date: str, zone: str, month: str, instant: str) -> None:
    assert month_and_instant(kind, date, zone) == (month, instant)


@pytest.mark.parametrize(
    ("date", "column_zone", "month", "instant"),
    [
        ("2022-01-31T22:59:59.000000", "UTC", "2022-01", "2022-01-31T22:59:59Z"),
        ("2022-01-31T23:00:00.000000", "UTC", "2022-02", "2022-01-31T23:00:00Z"),
        ("2022-01-31T18:00:00.000000", "America/New_York", "2022-02", "2022-01-31T23:00:00Z"),
    ],
)
def test_a_column_may_have_a_zone_of_its_own(date: str, column_zone: str, month: str, instant: str) -> None:
    assert month_and_instant("datetime(6)", date, "Europe/Paris", column_zone) == (month, instant)


@pytest.mark.parametrize(
    ("date", "instant"),
    [
        ("2022-03-27T02:30:00.000000", "2022-03-27T01:00:00Z"),  # skipped: the first instant after the gap
        ("2022-10-30T02:30:00.000000", "2022-10-30T00:30:00Z"),  # shown twice: the first of the two
    ],
)
def test_the_hours_of_the_clock_change(date: str, instant: str) -> None:
    assert month_and_instant("datetime(6)", date, "Europe/Paris")[1] == instant
