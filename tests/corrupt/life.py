"""The life of a small shop: what is executed while a log is recorded, and the changes that must come out of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

DATABASE = "shop"

TABLES = (
    "CREATE TABLE orders (id INT UNSIGNED PRIMARY KEY, order_date DATETIME(3) NULL, amount DECIMAL(12,2) NOT NULL,"
    " status VARCHAR(20) NOT NULL)",
    "CREATE TABLE items (order_id INT, part CHAR(3), price DECIMAL(30,10) NULL, kind ENUM('a','b') NULL, doc JSON NULL,"
    " weight DOUBLE NULL, PRIMARY KEY (order_id, part))",
    "CREATE TABLE noise (id INT PRIMARY KEY)",
)

SECOND_SESSION = "2> "
COMPRESSED = "compressed> "
"""A transaction that is written compressed."""

DAY = "2022-01-13 10:00:00.5"


def _order(id: int, amount: str, status: str = "paid", note: str | None = None) -> str:
    return f"({id}, '{DAY}', {amount}, '{status}'{'' if note is None else f', {note!r}'})"


SQL = (
    f"INSERT INTO orders VALUES {_order(1, '1.50')}",
    f"INSERT INTO orders VALUES {_order(2, '-20')}, {_order(3, '9999999999.99', 'né')}, (4, NULL, 0, '')",
    "BEGIN",
    "INSERT INTO items VALUES (1, 'x', 0.0000000001, 'a', '{\"k\": [1, \"é\"]}', 0.5),"
    " (1, 'y', NULL, NULL, NULL, NULL)",
    "INSERT INTO noise VALUES (1)",
    "UPDATE orders SET amount = amount + 1 WHERE id IN (1, 2)",
    "DELETE FROM items WHERE part = 'y'",
    "COMMIT",
    "UPDATE orders SET id = 12 WHERE id = 2",
    "ALTER TABLE orders ADD COLUMN note VARCHAR(30) NULL",
    f"INSERT INTO orders VALUES {_order(5, '5', note='noted')}",
    f"{SECOND_SESSION}XA START 'a'",
    f"{SECOND_SESSION}INSERT INTO orders VALUES {_order(20, '20', note='x')}, {_order(21, '21', note='x')}",
    f"{SECOND_SESSION}INSERT INTO items VALUES (20, 'z', 1, 'b', NULL, 2)",
    f"{SECOND_SESSION}XA END 'a'",
    f"{SECOND_SESSION}XA PREPARE 'a'",
    f"INSERT INTO orders VALUES {_order(6, '6', note='between')}",
    f"{SECOND_SESSION}XA COMMIT 'a'",
    f"{SECOND_SESSION}XA START 'b'",
    f"{SECOND_SESSION}INSERT INTO orders VALUES {_order(30, '30', note='undone')}",
    f"{SECOND_SESSION}XA END 'b'",
    f"{SECOND_SESSION}XA PREPARE 'b'",
    f"{SECOND_SESSION}XA ROLLBACK 'b'",
    f"{COMPRESSED}INSERT INTO orders VALUES {_order(40, '40', note='c' * 30)}, {_order(41, '41', note='c' * 30)}",
    f"{COMPRESSED}UPDATE orders SET status = 'cancelled' WHERE id > 39",
    "FLUSH BINARY LOGS",
    f"INSERT INTO orders VALUES {_order(7, '7', note='next')}",
    "TRUNCATE TABLE items",
    "INSERT INTO items VALUES (7, 'x', -1, 'b', '[]', -1e10)",
    "DELETE FROM orders WHERE id = 1",
)


class Change(NamedTuple):
    """An image is the texts of its values in one, in the order of the columns; `-` is NULL."""

    op: str
    table: str
    before: str | None
    after: str | None


def shown(image: dict[str, Any] | None) -> str | None:
    """An image in one line: values in the order of the columns, NULL as -."""
    if image is None:
        return None
    return " | ".join("-" if value is None else str(value) for value in image.values())


_AT = "2022-01-13T10:00:00.500000"


def _paid(id: int, amount: str, note: str, status: str = "paid") -> str:
    return f"{id} | {_AT} | {amount} | {status} | {note}"


_FIRST = f"1 | {_AT} | 1.50 | paid"
_SECOND = f"2 | {_AT} | -20.00 | paid"
_RAISED = (f"1 | {_AT} | 2.50 | paid", f"2 | {_AT} | -19.00 | paid")
_EMPTY_ITEM = "1 | y | - | - | - | -"
_CS = "c" * 30


def changes(mariadb: bool) -> Iterable[Change]:
    """MySQL orders the members of a JSON object and prints it in its own way; here both have the same text."""
    yield Change("c", "orders", None, _FIRST)
    yield Change("c", "orders", None, _SECOND)
    yield Change("c", "orders", None, f"3 | {_AT} | 9999999999.99 | né")
    yield Change("c", "orders", None, "4 | - | 0.00 | ")
    yield Change("c", "items", None, '1 | x | 0.0000000001 | a | {"k": [1, "é"]} | 0.5')
    yield Change("c", "items", None, _EMPTY_ITEM)
    yield Change("u", "orders", _FIRST, _RAISED[0])
    yield Change("u", "orders", _SECOND, _RAISED[1])
    yield Change("d", "items", _EMPTY_ITEM, None)
    yield Change("d", "orders", _RAISED[1], None)
    yield Change("c", "orders", None, _RAISED[1].replace("2 |", "12 |", 1))
    yield Change("c", "orders", None, _paid(5, "5.00", "noted"))
    yield Change("c", "orders", None, _paid(6, "6.00", "between"))
    yield Change("c", "orders", None, _paid(20, "20.00", "x"))
    yield Change("c", "orders", None, _paid(21, "21.00", "x"))
    yield Change("c", "items", None, "20 | z | 1.0000000000 | b | - | 2.0")
    for number in (40, 41):
        yield Change("c", "orders", None, _paid(number, f"{number}.00", _CS))
    for number in (40, 41):
        paid = _paid(number, f"{number}.00", _CS)
        yield Change("u", "orders", paid, paid.replace("paid", "cancelled"))
    yield Change("c", "orders", None, _paid(7, "7.00", "next"))
    yield Change("t", "items", None, None)
    yield Change("c", "items", None, "7 | x | -1.0000000000 | b | [] | -10000000000.0")
    yield Change("d", "orders", f"{_RAISED[0]} | -", None)
