"""A log with everything in it that a worker could be killed in: what is executed, and the tables that must come of
it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
from worker_shop import Shop

from binlog_worker.log import events
from binlog_worker.log.dump import UNREGISTERED, Dump
from binlog_worker.log.events import RawEvent
from binlog_worker.log.payload import decompressor, inner_events

ITEMS = """CREATE TABLE items (order_id BIGINT, part CHAR(3), price DECIMAL(30,10) NULL, kind ENUM('a','b') NULL,
 PRIMARY KEY (order_id, part))"""
NOISE = "CREATE TABLE noise (id INT PRIMARY KEY)"

GTIDS = frozenset((events.GTID, events.ANONYMOUS_GTID, events.GTID_TAGGED, events.MARIADB_GTID))
COMPRESSED_ROWS = frozenset((166, 167, 168, 169, 170, 171))

Rows = dict[tuple[Any, ...], dict[str, Any]]
"""Primary key → row; values as in change events."""

KEYS = {"orders": ("id",), "items": ("order_id", "part")}
SELECTS = {
    "orders": "SELECT id, customer_id, DATE_FORMAT(order_date, '%Y-%m-%dT%H:%i:%s.000000') AS order_date,"
    " CAST(amount AS CHAR) AS amount, status, note, extra FROM orders",
    "items": "SELECT order_id, part, CAST(price AS CHAR) AS price, kind FROM items",
}


def orders(first: int, count: int, *, note: str = "", more: str = "") -> str:
    """Of different amounts and notes, so that compression finds something to do, and no two are alike."""
    rows = (
        f"({number}, {number % 7}, '2022-01-13 10:00:00', {number % 90}.5, 'paid', '{note}{number * 7919}'{more})"
        for number in range(first, first + count)
    )
    return f"INSERT INTO orders VALUES {', '.join(rows)}"


def items(first: int, count: int) -> str:
    rows = (f"({number // 3}, 'p{number % 3}', {number}.25, 'a')" for number in range(first, first + count))
    return f"INSERT INTO items VALUES {', '.join(rows)}"


class Sessions:
    """More connections to the shop's database: XA transactions take one for themselves."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._open: dict[str, Any] = {}

    def xid(self, name: str) -> str:
        return f"'{self._shop.database}.{name}'"

    def prepare(self, name: str, *statements: str) -> None:
        connection = self._open[name] = self._shop.connect(database=self._shop.database, autocommit=True)
        xid = self.xid(name)
        with connection.cursor() as cursor:
            for statement in (f"XA START {xid}", *statements, f"XA END {xid}", f"XA PREPARE {xid}"):
                cursor.execute(statement)

    def end(self, name: str, how: str) -> None:
        with self._open.pop(name) as connection, connection.cursor() as cursor:
            cursor.execute(f"XA {how} {self.xid(name)}")

    def end_all(self) -> None:
        for name in list(self._open):
            self.end(name, "ROLLBACK")


@contextmanager
def compressed(shop: Shop, mariadb: bool) -> Iterator[None]:
    """What is written meanwhile is compressed in the log."""
    if not mariadb:
        shop.sql("SET SESSION binlog_transaction_compression = ON")
        yield
        shop.sql("SET SESSION binlog_transaction_compression = OFF")
        return
    before = shop.sql("SELECT @@GLOBAL.log_bin_compress, @@GLOBAL.log_bin_compress_min_len")[0]
    try:
        shop.sql("SET GLOBAL log_bin_compress_min_len = 10", "SET GLOBAL log_bin_compress = ON")
        yield
    finally:
        shop.sql(
            *(f"SET GLOBAL log_bin_compress{name} = {old}" for name, old in zip(("", "_min_len"), before, strict=True))
        )


def write_log(shop: Shop, sessions: Sessions, mariadb: bool) -> None:
    """Leaves one XA transaction prepared."""
    shop.sql(orders(1, 1), orders(2, 3), "UPDATE orders SET amount = 7 WHERE id = 1", "INSERT INTO noise VALUES (1)")
    shop.sql(
        "BEGIN",
        orders(1000, 700, note="a large transaction "),
        items(1000, 900),
        "INSERT INTO noise VALUES (2), (3)",
        "UPDATE orders SET amount = amount + 1 WHERE id BETWEEN 1100 AND 1499",
        "DELETE FROM items WHERE order_id < 400",
        orders(2000, 200, note="the end of it "),
        "COMMIT",
    )
    shop.sql("UPDATE orders SET id = id + 100000 WHERE id IN (2, 1000, 1001)")
    shop.sql("BEGIN", orders(3000, 5), "ROLLBACK")
    sessions.prepare("a", orders(4000, 150, note="prepared "), items(9000, 20))
    shop.sql(orders(5, 1))
    shop.sql("ALTER TABLE noise ADD COLUMN more INT NULL")
    sessions.end("a", "COMMIT")
    shop.sql("ALTER TABLE orders ADD COLUMN extra VARCHAR(30) NULL", orders(6, 2, more=", 'x'"))
    sessions.prepare("b", orders(4500, 20, more=", 'rolled back'"))
    sessions.prepare("c", orders(4600, 20, more=", NULL"), "DELETE FROM items WHERE order_id = 500")
    shop.sql("FLUSH BINARY LOGS", "UPDATE orders SET status = 'shipped' WHERE id = 5")
    sessions.end("b", "ROLLBACK")
    sessions.end("c", "COMMIT")
    with compressed(shop, mariadb):
        shop.sql(
            "BEGIN",
            orders(7000, 150, more=", 'compressed'"),
            items(12000, 100),
            "UPDATE orders SET extra = 'twice' WHERE id BETWEEN 7000 AND 7099",
            "COMMIT",
        )
    sessions.prepare("left", orders(8000, 3, more=", 'nobody knows'"))
    shop.sql("TRUNCATE TABLE items", items(30, 2), "DELETE FROM orders WHERE id IN (1, 1700, 6)")


def logged(shop: Shop, begin: str) -> list[RawEvent]:
    """All events that stand in the log from a place on."""
    file, _, position = begin.partition(":")
    end = shop.position()
    dump = Dump(lambda: shop.connect(autocommit=True), UNREGISTERED, file, int(position), heartbeat=0.5)
    found = []
    for event in dump:
        if event.end > event.position:
            found.append(event)
        if f"{event.file}:{event.end}" == end:
            dump.close()
    return found


def boundaries(log: Iterable[RawEvent], database: str) -> list[int]:
    """How many events have been read behind each event of this database; others write to the same log at times."""
    wanted = (database.encode(), database.encode().hex().encode())
    groups: list[list[tuple[int, RawEvent]]] = [[]]
    for number, event in enumerate(log, 1):
        if event.kind in GTIDS or event.kind in (events.ROTATE, events.FORMAT_DESCRIPTION):
            groups.append([])
        groups[-1].append((number, event))
    unpacker = decompressor()

    def is_wanted(event: RawEvent) -> bool:
        inside = inner_events(event, unpacker) if event.kind == events.TRANSACTION_PAYLOAD else (event,)
        return any(name in plain.data for plain in inside for name in wanted)

    found = []
    for group in groups:
        ours = any(is_wanted(event) for _, event in group)
        found += [number for number, event in group if ours or event.kind in (events.ROTATE, events.FORMAT_DESCRIPTION)]
    return found


def inner_count(log: Iterable[RawEvent]) -> int:
    """Events inside of compressed transactions of MySQL."""
    unpacker = decompressor()
    return sum(1 for event in log if event.kind == events.TRANSACTION_PAYLOAD for _ in inner_events(event, unpacker))


def applied(lines: Mapping[tuple[str, str], bytes]) -> dict[str, Rows]:
    """(table, sequence) → change event: the highest sequence wins for each key, and a `t` is above all below it."""
    found: dict[str, Rows] = {table: {} for table in KEYS}
    added = {"orders": {"extra": None}, "items": {}}  # of rows from before the ALTER TABLE
    for (table, _), line in sorted(lines.items()):
        event = orjson.loads(line)
        if event["op"] == "t":
            found[table].clear()
            continue
        row = event["before" if event["op"] == "d" else "after"]
        key = tuple(row[name] for name in KEYS[table])
        if event["op"] == "d":
            found[table].pop(key, None)
        else:
            found[table][key] = {**added[table], **row}
    return found


def in_database(shop: Shop) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    for table, sql in SELECTS.items():
        with shop.connection.cursor() as cursor:
            cursor.execute(sql)
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        found[table] = {tuple(row[name] for name in KEYS[table]): row for row in rows}
    return found
