"""The shop's tables as they stand in the database and in the warehouse, as comparable rows."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.warehouse import Warehouse

ZONE = ZoneInfo("Europe/Paris")
SOURCE = {
    "orders": "SELECT id, order_date, status, country, customer_id, amount, updated_at FROM orders",
    "order_items": "SELECT id, order_id, name, quantity, unit_amount FROM order_items",
    "charges": "SELECT id, order_id, amount, created_at FROM charges",
    "customers": "SELECT id, country, channel FROM customers",
}
WAREHOUSE = {
    "orders": "SELECT id, ordered_at, status, country, customer_id, amount, updated_at FROM orders",
    "order_items": "SELECT id, order_id, product, quantity, unit_amount FROM order_items",
    "charges": "SELECT id, order_id, amount, charged_at FROM charges",
    "customers": "SELECT id, country, channel FROM customers",
}
NEWEST_OF_HISTORY = """
SELECT id, ordered_at, status, country, customer_id, amount, updated_at FROM orders_history
WHERE TRUE QUALIFY ROW_NUMBER() OVER (PARTITION BY id ORDER BY _sequence DESC) = 1 AND NOT _deleted
"""


def in_database(connection: Any) -> dict[str, set[tuple[Any, ...]]]:
    """Table → its rows; order_date as an instant, as the warehouse keeps it."""
    found = {}
    with connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        for table, sql in SOURCE.items():
            cursor.execute(sql)
            found[table] = set(cursor.fetchall())
    connection.commit()
    found["orders"] = {(row[0], _instant(row[1]), *row[2:]) for row in found["orders"]}
    found["charges"] = {(*row[:3], row[3].replace(tzinfo=dt.timezone.utc)) for row in found["charges"]}
    return found


def position(connection: Any) -> str:
    """FILE:POSITION of the end of the server's log."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        mariadb = "MariaDB" in cursor.fetchall()[0][0]
        cursor.execute("SHOW MASTER STATUS" if mariadb else "SHOW BINARY LOG STATUS")
        file, offset = cursor.fetchall()[0][:2]
    return f"{file}:{offset}"


def in_warehouse(warehouse: Warehouse) -> dict[str, set[tuple[Any, ...]]]:
    return {table: rows(warehouse, sql) for table, sql in WAREHOUSE.items()}


def rows(warehouse: Warehouse, sql: str) -> set[tuple[Any, ...]]:
    with warehouse.query(sql) as reader:
        return {tuple(row.values()) for batch in reader for row in batch.to_pylist()}


def _instant(wall: dt.datetime) -> dt.datetime:
    return wall.replace(tzinfo=ZONE).astimezone(dt.timezone.utc)
