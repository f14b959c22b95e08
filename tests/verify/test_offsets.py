"""Zones as SQL: instants and local dates as the pipeline makes them, on both servers, without their zone tables."""

from __future__ import annotations

import datetime as dt
import random

import pyarrow as pa
import pytest

from pipeline.local_time import instant_and_date
from pipeline.verify.offsets import Period, to_local, to_utc, transitions
from tests.conftest import Server

ZONES = ["Europe/Paris", "America/New_York", "America/Sao_Paulo", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]
SHOP = "Europe/Paris"


def times(zone: str) -> list[dt.datetime]:
    """Random ones, and those around every change of the clock; Arrow knows no changes after 2037."""
    chance = random.Random(zone)
    found = [dt.datetime(1971, 1, 1) + dt.timedelta(seconds=chance.randrange(2_050_000_000)) for _ in range(200)]  # noqa: DTZ001
    for change in transitions(zone):
        if 1971 < change.at.year < 2037:
            for offset in (change.before, change.after):
                for seconds in (-1, 0, 1, -1_800, 1_800):
                    found.append(change.at + dt.timedelta(seconds=offset + seconds))
    return found


@pytest.mark.parametrize("zone", ZONES)
def test_a_wall_clock_time_is_the_instant_that_the_pipeline_makes_of_it(server: Server, zone: str) -> None:
    walls = times(zone)
    instants, dates = instant_and_date(pa.array(walls, pa.timestamp("us")), zone, SHOP)
    period = Period(min(walls), max(walls))
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE mysql.walls (n INT PRIMARY KEY, x DATETIME(6))")
        cursor.executemany("INSERT INTO mysql.walls VALUES (%s, %s)", list(enumerate(walls)))
        cursor.execute(
            f"SELECT utc, DATE({to_local('utc', SHOP, Period())}) FROM"
            f" (SELECT n, {to_utc('x', zone, period)} AS utc FROM mysql.walls LIMIT 1000000) AS every ORDER BY n"
        )
        found = cursor.fetchall()
    expected = [instant.as_py().replace(tzinfo=None) for instant in instants]
    assert [utc for utc, _ in found] == expected
    if zone != SHOP:  # else the date is the wall clock's own, also of a time that it skipped
        assert [day for _, day in found] == dates.to_pylist()


def test_transitions_are_found_to_the_second() -> None:
    found = {change.at: (change.before, change.after) for change in transitions("Europe/Paris")}
    assert found[dt.datetime(2022, 3, 27, 1)] == (3_600, 7_200)  # noqa: DTZ001
    assert found[dt.datetime(2022, 10, 30, 1)] == (7_200, 3_600)  # noqa: DTZ001
    assert transitions("UTC") == ()
