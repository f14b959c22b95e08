"""The simulated shop on a real server: a seeded past (`history`), a present (`live`), the case study's five orders."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pymysql

from demo.case_study import CASE_STUDY_SQL, FIRST_EXTRACT, SECOND_EXTRACT
from demo.history import history
from demo.live import Traffic, live, utc_now
from demo.tables import TABLES, TIME_ZONE, Transaction, create_tables, write

__all__ = [
    "CASE_STUDY_SQL",
    "FIRST_EXTRACT",
    "SECOND_EXTRACT",
    "TABLES",
    "TIME_ZONE",
    "Traffic",
    "Transaction",
    "create_tables",
    "history",
    "live",
    "open_shop",
    "write",
    "write_case_study",
]

TWO_YEARS = timedelta(days=730)


def open_shop(
    connection: pymysql.connections.Connection[Any],
    seed: int = 1,
    *,
    customers: int = 2000,
    until: datetime | None = None,
    lasting: timedelta = TWO_YEARS,
    database: str = "shop",
) -> Counter[str]:
    """Creates the tables and writes the history that ends at `until` (aware; now by default). Counts rows changed."""
    end = until or utc_now()
    create_tables(connection, database)
    return write(connection, history(seed, customers, end - lasting, end))


def write_case_study(connection: pymysql.connections.Connection[Any], database: str = "shop") -> None:
    """The five orders, each statement a transaction of its own."""
    create_tables(connection, database)
    with connection.cursor() as cursor:
        for statement in CASE_STUDY_SQL:
            cursor.execute(statement)
            connection.commit()
