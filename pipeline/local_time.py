"""Wall-clock times, instants, and the date that an instant has in the shop's zone."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_UTC = pa.timestamp("us", "UTC")


def instant_and_date(array: pa.Array, zone: str, shop_zone: str) -> tuple[pa.Array, pa.Array]:
    """Dates or times of a source column → (instants in UTC, dates in the shop's zone), both of the same length.

    A TIMESTAMP is an instant already. A DATE or DATETIME is wall-clock time in `zone`: one that the clock skipped in
    spring is taken as the first instant after the gap, one that it showed twice in autumn as the first of the two.
    """
    if pa.types.is_timestamp(array.type) and array.type.tz:
        return array, local_date(array, shop_zone)
    wall = array.cast(pa.timestamp("us"))
    instants = pc.assume_timezone(wall, zone, ambiguous="earliest", nonexistent="latest").cast(_UTC)
    return instants, array.cast(pa.date32()) if zone == shop_zone else local_date(instants, shop_zone)


def local_date(instants: pa.Array, zone: str) -> pa.Array:
    """The date that a clock in `zone` shows at each instant."""
    return pc.local_timestamp(instants.cast(pa.timestamp("us", zone))).cast(pa.date32())


def month_of(dates: pa.Array) -> pa.Array:
    """The first day of each date's month."""
    return pc.floor_temporal(dates.cast(pa.timestamp("us")), unit="month").cast(pa.date32())
