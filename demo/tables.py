"""The shop's tables, the statements that change them, and the thin writer that executes transactions.

DATETIME columns hold the shop's wall time, the TIMESTAMP `charges.created_at` an instant. No foreign-key cascades:
MariaDB does not log the rows that they change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias

import pymysql

TIME_ZONE = "Europe/Paris"

Value: TypeAlias = int | str | Decimal | datetime | None
Row: TypeAlias = tuple[Value, ...]
Statement: TypeAlias = tuple[str, list[Row]]
Transaction: TypeAlias = list[Statement]

TABLES = {
    "customers": """(
        id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        country CHAR(2) NOT NULL,
        channel VARCHAR(20) NOT NULL,
        birth_year SMALLINT NULL)""",
    "orders": """(
        id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        order_date DATETIME NOT NULL,
        status VARCHAR(20) NOT NULL,
        country CHAR(2) NOT NULL,
        customer_id BIGINT NULL,
        amount DECIMAL(12,2) NOT NULL,
        updated_at DATETIME NOT NULL,
        KEY (customer_id))""",
    "order_items": """(
        id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        order_id BIGINT NOT NULL,
        name VARCHAR(80) NOT NULL,
        quantity INT NOT NULL,
        unit_amount DECIMAL(12,2) NOT NULL,
        KEY (order_id))""",
    "charges": """(
        id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        order_id BIGINT NOT NULL,
        amount DECIMAL(12,2) NOT NULL,
        created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        KEY (order_id))""",
}

INSERT_CUSTOMER = "INSERT INTO customers (id, country, channel, birth_year) VALUES (%s, %s, %s, %s)"
INSERT_ORDER = (
    "INSERT INTO orders (id, order_date, status, country, customer_id, amount, updated_at)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s)"
)
INSERT_ITEM = "INSERT INTO order_items (id, order_id, name, quantity, unit_amount) VALUES (%s, %s, %s, %s, %s)"
INSERT_CHARGE = "INSERT INTO charges (id, order_id, amount, created_at) VALUES (%s, %s, %s, %s)"
SET_STATUS = "UPDATE orders SET status = %s, updated_at = %s WHERE id = %s"
MOVE_ORDER = "UPDATE orders SET order_date = %s, updated_at = %s WHERE id = %s"
DELETE_ITEMS = "DELETE FROM order_items WHERE order_id = %s"
DELETE_ORDER = "DELETE FROM orders WHERE id = %s"


def money(cents: int) -> Decimal:
    """1999 → Decimal('19.99')."""
    return Decimal(cents).scaleb(-2)


def create_tables(connection: pymysql.connections.Connection[Any], database: str = "shop") -> None:
    """Creates database and tables where missing, and selects the database."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE IF NOT EXISTS `{database}` CHARACTER SET utf8mb4")
        connection.select_db(database)
        for name, columns in TABLES.items():
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {name} {columns} ENGINE=InnoDB")


def write(connection: pymysql.connections.Connection[Any], transactions: Iterable[Transaction]) -> Counter[str]:
    """Executes and commits each transaction; counts the rows changed, e.g. {"INSERT orders": 3}.

    An INSERT of several rows is one statement; UPDATE and DELETE are one a row.
    """
    counts: Counter[str] = Counter()
    autocommit = connection.get_autocommit()
    connection.autocommit(False)
    with connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        for transaction in transactions:
            for sql, rows in transaction:
                counts[subject(sql)] += cursor.executemany(sql, rows) or 0
            connection.commit()
    connection.autocommit(autocommit)
    return counts


def subject(sql: str) -> str:
    """'INSERT INTO orders (…' → 'INSERT orders'."""
    verb, *rest = sql.split(maxsplit=3)
    return f"{verb} {rest[0] if verb == 'UPDATE' else rest[1]}"
