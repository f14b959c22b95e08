"""What is read straight from the receive buffer is what the general path makes of the same log, wherever it is cut."""

from __future__ import annotations

import fcntl
import re
import socket
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from worker_shop import Shop, until

from binlog_worker.changes import ChangeWriter, Origin
from binlog_worker.log import dump as dump_module
from binlog_worker.log import events
from binlog_worker.log.dump import Dump
from binlog_worker.position.gtids import parse_gtids
from binlog_worker.reader import Reader
from binlog_worker.sinks.packer import Changes, SingleChanges
from binlog_worker.xa.prepared import PreparedTransactions
from schemas.checkpoint import Place
from schemas.config_file import load_config
from tests.past_logs import RecordedLogs

COM_BINLOG_DUMP = 0x12
ITEMS = """CREATE TABLE items (id INT NOT NULL, part CHAR(3) NOT NULL, quantity SMALLINT UNSIGNED NULL,
 price DECIMAL(7,3), seen TIMESTAMP(3) NULL, kind ENUM('a','b') NULL, weight DOUBLE NULL, photo BLOB NULL,
 PRIMARY KEY (part, id))"""
ROW = "(%d, 'p%02d', %s, %s, %s, %s, %s, %s)"


@pytest.fixture
def shop(server: Any, database: str, tmp_path: Path, server_id: int) -> Iterator[Shop]:
    made = Shop(server.connect, server.dsn, database, tmp_path, server_id)
    made.write(mirror=[f"{database}.items"])
    made.sql(ITEMS, "CREATE TABLE unwanted (id INT PRIMARY KEY, note TEXT)")
    yield made
    made.connection.close()


def item(number: int) -> str:
    values = (str(number % 7), f"{number % 50}.125", "'2022-01-13 10:00:00.5'", "'b'", "0.5", "'\0\1'")
    return ROW % (number, number % 10, *(value if number >> bit & 1 else "NULL" for bit, value in enumerate(values)))


def write(shop: Shop) -> None:
    sql = shop.sql
    shop.insert(1, 1)
    for number in range(2, 60):
        shop.insert(number, 1, "x" * (number % 5) * 300)
        sql(f"INSERT INTO items VALUES {item(number)}")
        if number % 10 == 0:
            sql(
                f"INSERT INTO unwanted VALUES ({number}, 'n')",
                f"UPDATE orders SET amount = {number} WHERE id = {number}",
            )
    shop.insert(100, 40)
    sql("UPDATE items SET quantity = 9 WHERE id < 20", "UPDATE items SET part = 'new' WHERE id BETWEEN 20 AND 25")
    sql(
        "UPDATE items SET part = 'one' WHERE id = 30",
        "DELETE FROM items WHERE id = 31",
        "DELETE FROM items WHERE id > 50",
    )
    sql("BEGIN", f"INSERT INTO items VALUES {item(200)}, {item(201)}", "INSERT INTO unwanted VALUES (1, 'x')")
    shop.insert(200, 3)
    sql("UPDATE orders SET amount = 7.5 WHERE id = 200", "COMMIT")
    sql("BEGIN", "UPDATE orders SET amount = 8 WHERE id = 200", "SAVEPOINT s", "DELETE FROM orders WHERE id = 201")
    sql("ROLLBACK TO s", "COMMIT")
    sql(
        "ALTER TABLE items ADD COLUMN late DATETIME NULL", "INSERT INTO items (id, part, late) VALUES (300, 'z', NOW())"
    )
    sql("TRUNCATE TABLE items", "FLUSH BINARY LOGS")
    for number in range(400, 420):
        shop.insert(number, 1)
    sql("CREATE TABLE other (id INT PRIMARY KEY)", "DROP TABLE other")
    shop.insert(500, 1)


class Pass:
    """The log from the shop's beginning to its end, read once."""

    def __init__(self, shop: Shop, server: Any, server_id: int, *, ahead: bool, whole: int = 0) -> None:
        """`whole`: so many bytes of the log are here before the first is read, however busy the machine is."""
        config, end = load_config(shop.folder / "shop.yaml"), Place(*_place(shop.position()))
        begin = Place(*_place(shop.begin))
        writer = ChangeWriter(Origin(server.flavor, "shop", 1))
        prepared = PreparedTransactions(begin, RecordedLogs())
        self.reader = Reader(config, writer, begin, {}, prepared, gtids=parse_gtids("", server.flavor))
        self.lines: dict[str, list[tuple[str, str, bytes]]] = {}
        self.marks: set[tuple[Any, ...]] = set()
        self.general = self.bytes = 0

        def connect() -> Any:
            return arriving_whole(server.connect(), whole)

        dump = Dump(connect, server_id, begin.file, begin.position, heartbeat=0.2, read_timeout=10)
        try:
            for event in dump:
                if event.kind not in (events.HEARTBEAT, events.HEARTBEAT_V2):
                    self.general += 1
                    self.bytes += len(event.data)
                self._take(self.reader.feed(event))
                if ahead:
                    self._take(self.reader.read_ahead(dump))
                if self.reader.between_transactions:
                    self.marks.add(tuple(self.reader.mark(0)))
                if self.reader.place.order >= end.order:
                    break
        finally:
            dump.close()

    def _take(self, made: Any) -> None:
        for change in made:
            if isinstance(change, Changes | SingleChanges):
                for index, line in enumerate(change.lines):
                    at = (change.sequence(index), change.committed(index), re.sub(rb'"ts_ms":\d+}$', b"", line))
                    self.lines.setdefault(change.schema.schema.table, []).append(at)


def arriving_whole(connection: Any, size: int) -> Any:
    """A connection that sends the request for a dump and returns when `size` bytes have come."""
    execute = connection._execute_command

    def command(number: int, body: Any) -> None:
        if number == COM_BINLOG_DUMP and size:
            connection._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * size)
        execute(number, body)
        if number == COM_BINLOG_DUMP and size:
            until(lambda: waiting(connection._sock) >= size)

    connection._execute_command = command
    return connection


def waiting(sock: socket.socket) -> int:
    """Bytes that the kernel has for us."""
    return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)


def _place(text: str) -> tuple[str, int]:
    file, _, position = text.rpartition(":")
    return file, int(position)


@pytest.mark.parametrize("received", [64, 700, 5_000, 262_144])
def test_same_lines_and_same_places(
    shop: Shop, server: Any, server_id: int, received: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(shop)
    slow = Pass(shop, server, server_id, ahead=False)
    monkeypatch.setattr(dump_module, "RECEIVE_BYTES", received)
    fast = Pass(shop, server, server_id, ahead=True, whole=slow.bytes)
    assert slow.lines.keys() == fast.lines.keys() == {f"{shop.database}.orders", f"{shop.database}.items"}
    for table, lines in slow.lines.items():
        assert fast.lines[table] == lines
    assert fast.reader.mark(0) == slow.reader.mark(0)
    assert fast.reader.events >= fast.general and fast.reader.counted == slow.reader.counted
    assert fast.marks <= slow.marks
    if received > 5_000:
        assert fast.general < slow.general / 3, "hardly anything was read ahead, so nothing was compared"
