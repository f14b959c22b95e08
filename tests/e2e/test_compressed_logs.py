"""Compressed logs of real servers: the same changes as without compression, in bounded memory, over every restart."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from worker_shop import Shop, Topic, orders, until

from binlog_worker.changes import ChangeWriter, Origin
from binlog_worker.log import events
from binlog_worker.log.compressed import PlainEvents
from binlog_worker.log.dump import Dump
from binlog_worker.log.events import RawEvent
from binlog_worker.log.packets import SpilledEvent
from binlog_worker.reader import Reader
from binlog_worker.sinks.packer import Changes
from binlog_worker.xa.prepared import PreparedTransactions
from demo.servers import MariaDB, ensure_mariadb
from schemas.checkpoint import Place
from schemas.config_file import load_config
from tests.conftest import Server
from tests.past_logs import RecordedLogs

ITEMS = """CREATE TABLE items (id INT PRIMARY KEY, j JSON, b LONGBLOB, price DECIMAL(20,6), kind ENUM('a','b','é'),
 seen TIMESTAMP(6) NULL, name VARCHAR(200) CHARACTER SET latin1)"""
NOISE = "CREATE TABLE noise (id INT PRIMARY KEY, v TEXT)"
ITEM = """INSERT INTO items VALUES ({0}, '{{"a": [1, 2.5, "{0}", null], "é": {{"b": true}}}}', UNHEX('00ff80{0:04d}'),
 -{0}.000001, 'é', '2022-01-13 10:00:00.000001', 'größe'), ({0} + 1, NULL, NULL, NULL, NULL, NULL, '')"""

LIFE = (
    "INSERT INTO orders VALUES (1, 7, '2022-01-13 10:00:00', 150, 'paid', REPEAT('long note ', 500)),"
    " (2, NULL, '2022-02-01 00:00:00', 10.5, 'né', NULL)",
    "BEGIN",
    ITEM.format(10),
    "INSERT INTO noise SELECT id, REPEAT('n', 3000) FROM orders",
    "UPDATE orders SET id = id + 10",
    "SAVEPOINT a",
    "INSERT INTO orders SELECT id + 100, 1, order_date, amount, status, 'undone' FROM orders",
    "UPDATE items SET name = 'undone'",
    "ROLLBACK TO a",
    "UPDATE orders SET amount = 0.01 WHERE id = 11",
    "UPDATE items SET id = id + 1, j = JSON_SET(j, '$.a', 5) WHERE id = 11",
    orders(1_000, 700, "bought in one go"),
    "UPDATE orders SET note = CONCAT(note, id), amount = amount + 1 WHERE id >= 1000",
    "UPDATE orders SET id = id + 5000 WHERE id >= 1500",
    "COMMIT",
    ITEM.format(20),
    "DELETE FROM orders",
    "DELETE FROM items",
    "DELETE FROM noise",
)
"""Leaves the tables as it found them."""


@pytest.fixture(scope="module", params=["mariadb", pytest.param("mysql", marks=pytest.mark.mysql)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if request.param == "mysql":
        yield request.getfixturevalue("mysql")
        return
    ensure_mariadb()
    options = ["--log-bin-compress-min-len=10", "--max-allowed-packet=64M"]
    with MariaDB(tmp_path_factory.mktemp("compressing"), options) as running:
        yield Server.from_dsn(running.dsn(), "mariadb")


@pytest.fixture
def shop(server: Server, database: str, tmp_path: Path, server_id: int) -> Iterator[Shop]:
    made = Shop(server.connect, server.dsn, database, tmp_path, server_id)
    made.write(mirror=[f"{database}.items"])
    made.sql(ITEMS, NOISE)
    yield made
    made.connection.close()
    if server.flavor == "mariadb":
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SET GLOBAL log_bin_compress = OFF")


def compress(shop: Shop, server: Server, on: bool = True) -> None:
    """From the next transaction on."""
    setting = "SESSION binlog_transaction_compression" if server.flavor == "mysql" else "GLOBAL log_bin_compress"
    shop.sql(f"SET {setting} = {'ON' if on else 'OFF'}")


def place(text: str) -> Place:
    file, _, position = text.rpartition(":")
    return Place(file, int(position))


def recorded(shop: Shop, server: Server, begin: str) -> list[RawEvent]:
    """The log from a place to its end, compressed as it is."""
    end, start = place(shop.position()), place(begin)
    dump = Dump(server.connect, shop.settings["server_id"], start.file, start.position, heartbeat=0.2, read_timeout=10)
    found: list[RawEvent] = []
    try:
        for event in dump:
            if event.kind not in (events.HEARTBEAT, events.HEARTBEAT_V2):
                found.append(event)
            if Place(event.file, event.end).order >= end.order:
                return found
    finally:
        dump.close()
    raise AssertionError("the log ended")


def kinds(log: list[RawEvent]) -> set[str]:
    return {events.EVENT_KINDS[event.kind].name for event in log}


def said(event: dict[str, Any]) -> tuple[Any, ...]:
    return event["source"]["table"], event["op"], event["before"], event["after"]


def test_the_same_changes_as_without_compression(shop: Shop, server: Server) -> None:
    shop.sql(*LIFE)
    compress(shop, server)
    begin = shop.position()
    shop.sql(*LIFE)
    expected = (
        {"TRANSACTION_PAYLOAD"}
        if server.flavor == "mysql"
        else {"WRITE_ROWS_COMPRESSED_V1", "UPDATE_ROWS_COMPRESSED_V1", "DELETE_ROWS_COMPRESSED_V1"}
    )
    log = recorded(shop, server, begin)
    assert expected <= kinds(log) and not any(event.kind in events.ROWS for event in log)
    shop.run()
    found = sorted(shop.events(), key=lambda event: event["source"]["sequence"])
    half = len(found) // 2
    assert half > 2_500
    assert [said(event) for event in found[half:]] == [said(event) for event in found[:half]]
    assert "undone" not in str(found[half:])
    numbers = [event["source"]["sequence"] for event in found]
    assert all(one < other for one, other in pairwise(numbers)), "a total order, no number twice"
    assert all(event["source"]["gtid"] for event in found)


def test_small_statements_are_compressed_too(shop: Shop, server: Server) -> None:
    """Compressed DDL, and a statement in a client's character set."""
    compress(shop, server)
    shop.sql("INSERT INTO orders VALUES (1, 1, '2022-01-13 10:00:00', 1, 'paid', NULL)")
    shop.sql("SET NAMES latin1", "ALTER TABLE orders ADD COLUMN country CHAR(2) COMMENT 'größe'", "SET NAMES utf8mb4")
    shop.sql("INSERT INTO orders VALUES (2, 1, '2022-01-13 10:00:00', 1, 'paid', NULL, 'FR')", "TRUNCATE TABLE orders")
    shop.run()
    assert [event["op"] for event in shop.events()] == ["c", "c", "t"]
    assert shop.events()[1]["after"]["country"] == "FR"
    if server.flavor == "mariadb":
        assert "QUERY_COMPRESSED" in kinds(recorded(shop, server, shop.begin))


@pytest.mark.parametrize("level", [1, 10, 19, 22])
@pytest.mark.parametrize("server", [pytest.param("mysql", marks=pytest.mark.mysql)], indirect=True)
def test_levels(shop: Shop, server: Server, level: int) -> None:
    """MariaDB has none."""
    compress(shop, server)
    shop.sql(f"SET SESSION binlog_transaction_compression_level_zstd = {level}")
    shop.sql("BEGIN", *(orders(1_000 * number, 1_000, "x" * number) for number in range(1, 6)), "COMMIT")
    assert "TRANSACTION_PAYLOAD" in kinds(recorded(shop, server, shop.begin))
    shop.run()
    assert shop.ids() == list(range(1_000, 6_000))


def made_from(shop: Shop, server: Server, log: list[RawEvent], start: Place) -> Iterator[tuple[Place, str, bytes]]:
    """Of each change: the place below which it is done, sequence number, and the line but for our own time."""
    config = load_config(shop.folder / "shop.yaml")
    prepared = PreparedTransactions(start, RecordedLogs())
    reader = Reader(config, ChangeWriter(Origin(server.flavor, "shop", 1)), start, {}, prepared)
    for event in PlainEvents(event for event in log if event.position >= start.position):
        for change in reader.feed(event):
            if not isinstance(change, Changes):
                continue
            begun = reader.place.position
            for line, row in zip(change.lines, change.rows, strict=True):
                text = re.sub(rb'"ts_ms":\d+}$', b"", line)
                yield Place(event.file, begun, event.position, row), f"{change.prefix}{row:08X}", text
            assert reader.place == Place(event.file, begun, event.position, change.rows[-1])
            assert reader.beat(0).sequence == f"{change.prefix}{change.rows[-1] + 1:08X}"


def test_restart_at_every_row(shop: Shop, server: Server) -> None:
    """What is done is not made again, and nothing behind it is left out; whatever tables are configured."""
    compress(shop, server)
    begin = shop.position()
    shop.insert(1, 3)
    shop.sql(
        "BEGIN", orders(10, 5), ITEM.format(1), "INSERT INTO noise VALUES (1, 'x'), (2, 'y')",
        "UPDATE orders SET id = id + 100 WHERE id > 9", "DELETE FROM items WHERE id = 2", orders(20, 40, "n" * 900),
        "COMMIT",
    )  # fmt: skip
    shop.insert(300, 2)
    log, start = recorded(shop, server, begin), place(begin)
    everything = list(made_from(shop, server, log, start))
    assert len(everything) == 3 + 5 + 2 + 10 + 1 + 40 + 2
    assert len({number for _, number, _ in everything}) == len(everything)
    for done in range(len(everything)):
        again = list(made_from(shop, server, log, everything[done][0]))
        assert again == everything[done + 1 :], done
    shop.write(mirror=[f"{shop.database}.items", f"{shop.database}.noise"])
    more = [one for one in made_from(shop, server, log, start) if b'"table":"noise"' not in one[2]]
    assert more == everything, "no number depends on which tables are configured"


def test_a_run_that_crashes_in_the_middle_goes_on_there(shop: Shop, server: Server) -> None:
    compress(shop, server)
    shop.write(max_events_per_message=20)
    shop.sql("BEGIN", *(orders(500 * number, 500, "y" * 100) for number in range(1, 11)), "COMMIT")
    first, second = Topic(), Topic()

    class Crash(Exception):
        pass

    def send(messages: Any) -> None:
        if len(first.messages) >= 150:
            raise Crash
        time.sleep(0.01)
        first(messages)

    limits = {"requests": 1, "request_messages": 1, "buffer_messages": 2}
    with pytest.raises(Crash):
        shop.run(send, limits=limits, checkpoint_s=0.01)
    checkpoint = shop.checkpoint()
    assert checkpoint["event"] > 0 and checkpoint["row"] > 0, "not in the middle of a transaction"
    shop.run(second)
    assert sorted({*first.ids(), *second.ids()}) == list(range(500, 5_500))
    assert len(first.ids()) > 2_500
    assert len({*first.ids()} & {*second.ids()}) <= 10 * 20, "more was sent again than is underway at a time"


def memory(process: subprocess.Popen[str]) -> int:
    """Most bytes that it has held so far, 0 when it is gone."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def ended(process: subprocess.Popen[str], peak: list[int]) -> bool:
    peak.append(memory(process))
    return process.poll() is not None


@pytest.mark.skipif(not psutil.LINUX, reason="reads /proc")
def test_killed_in_the_middle_of_a_large_transaction(shop: Shop, server: Server) -> None:
    """The files hold every row once, and neither run holds the transaction's 60 MB."""
    compress(shop, server)
    tens = "(SELECT 0 d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6"
    tens += " UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)"
    joined = " CROSS JOIN ".join(f"{tens} t{place}" for place in range(5))
    number = " + ".join(f"t{place}.d * {10**place}" for place in range(5))
    shop.sql(
        "BEGIN",
        *(
            f"INSERT INTO orders SELECT {number} + {part}00000, 1, '2022-01-13 10:00:00', 150, 'paid',"
            f" REPEAT(SHA2({number}, 256), 4) FROM {joined}"
            for part in range(2)
        ),
        "COMMIT",
    )
    arguments = ("--to", str(shop.out), "--until-caught-up", "--from", shop.begin)
    first = shop.program(*arguments)
    peaks: list[int] = []
    until(lambda: shop.checkpoint().get("event", 0) > 0 or ended(first, peaks), 60)
    assert first.poll() is None, first.communicate()
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    checkpoint = shop.checkpoint()
    assert checkpoint["event"] > 0
    second = shop.program(*arguments)
    until(lambda: ended(second, peaks), 60)
    _, errors = second.communicate()
    assert second.returncode == 0, errors
    assert sorted(shop.ids()) == list(range(200_000))
    assert max(peaks) < 150_000_000


def test_transactions_larger_than_a_packet(shop: Shop, server: Server) -> None:
    """24 MB that cannot be compressed, on MySQL as one event, which is put on disk. MariaDB compresses each event, so
    there it is a row that takes more than a packet."""
    shop.write(mirror=[{"name": f"{shop.database}.items", "exclude": ["b"]}])
    compress(shop, server)
    sizes = [1_000_000] * 24 if server.flavor == "mysql" else [20_000_000]
    shop.insert(1, 1)
    shop.sql("BEGIN")
    with shop.connection.cursor() as cursor:
        for number, size in enumerate(sizes):
            cursor.execute("INSERT INTO items (id, b) VALUES (%s, %s)", (number, os.urandom(size)))
            cursor.execute(orders(100 + number, 1))
    shop.sql("COMMIT")
    shop.insert(2, 1)
    if server.flavor == "mysql":
        log = recorded(shop, server, shop.begin)
        assert sum(isinstance(event, SpilledEvent) for event in log) == 1
    shop.run()
    assert [said(event)[0] for event in shop.events()].count("items") == len(sizes)
    bought = [event["after"]["id"] for event in shop.events() if event["source"]["table"] == "orders"]
    assert bought == [1, *range(100, 100 + len(sizes)), 2]


def test_check_has_nothing_against_compression(shop: Shop, server: Server) -> None:
    compress(shop, server)
    checked = shop.program(command="check")
    output, errors = checked.communicate(timeout=30)
    assert checked.returncode == 0, output + errors
    assert "FAIL" not in output


def test_heartbeats_within_a_transaction_promise_only_what_has_left(shop: Shop, server: Server) -> None:
    compress(shop, server)
    shop.write(max_events_per_message=20, heartbeat_seconds=0.1)
    shop.sql("BEGIN", *(orders(500 * number, 500) for number in range(1, 11)), "COMMIT")
    sink = Topic()

    def send(messages: Any) -> None:
        time.sleep(0.005)
        sink(messages)

    shop.run(send, limits={"requests": 1, "request_messages": 1, "buffer_messages": 2})
    promised = ""
    inside = 0
    for message in sorted(sink.messages, key=lambda one: int(one.attributes["number"])):
        if message.attributes.get("kind") == "heartbeat":
            promised = message.attributes["last_sequence"]
            inside += not promised.endswith("/00000000")
        else:
            first = orjson.loads(message.data.split(b"\n")[1])["source"]["sequence"]
            assert first >= promised, "it came behind the heartbeat that said that it had left"
    assert inside > 2, "no heartbeat was sent in the middle"
