"""A server that is killed while it writes a large transaction to its log: MariaDB leaves the part that it wrote."""

from __future__ import annotations

import contextlib
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
import pymysql
import pytest
from worker_shop import Running, Shop, Topic, orders, shop_on, until

from demo.servers import MariaDB
from schemas.errors import TruncatedBinlog

ROWS = 20_000
EVENT_END = struct.Struct("<9xI6x")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MariaDB]:
    with MariaDB(tmp_path / "server", ["--max-allowed-packet=256M"]) as running:
        yield running


@pytest.fixture
def shop(server: MariaDB, tmp_path: Path, server_id: int) -> Shop:
    return shop_on(server, "crashed", tmp_path, server_id)


def commit_large(shop: Shop) -> None:
    connection = shop.connect(database=shop.database)
    with contextlib.suppress(pymysql.err.MySQLError), connection, connection.cursor() as cursor:
        for first in range(1000, 1000 + ROWS, 500):
            cursor.execute(orders(first, 500, note="x" * 2000))
        connection.commit()


def crash(server: MariaDB, shop: Shop) -> Path:
    """The log that ends inside a transaction of 40 MB."""
    log = server.folder / "data" / shop.position().partition(":")[0]
    begin = log.stat().st_size
    writer = threading.Thread(target=commit_large, args=(shop,))
    writer.start()
    until(lambda: log.stat().st_size > begin + 1_000_000)
    server.kill()
    writer.join()
    assert log.stat().st_size < begin + ROWS * 2000, "it was not killed in the middle"
    return log


def events(log: Path) -> Iterator[tuple[int, int]]:
    """Start and end of each whole event, and of what is left at the end."""
    data, start = log.read_bytes(), 4
    while len(data) - start >= 19:
        size = EVENT_END.unpack_from(data, start)[0]
        if start + size > len(data):
            break
        yield start, start + size
        start += size
    yield start, len(data)


def check(shop: Shop, sink: Topic, left: list[int]) -> None:
    """`left` are the committed orders that must have left. Others have, too, so the table is marked behind them."""
    until(lambda: left[-1] in sink.ids())
    assert [number for number in sink.ids() if number < 1000] == left
    messages = [message for message in sink.of() if message.attributes["table"].endswith(".orders")]
    invented = [message for message in messages if b"xxxxxxxx" in message.data]
    assert invented
    (mark,) = (message for message in sink.messages if message.data.startswith(b'{"reload"'))
    assert orjson.loads(mark.data)["reload"]["reason"].startswith("the server crashed")
    assert mark.attributes["table"] == f"{shop.database}.orders"
    last = max(message.attributes["last_sequence"] for message in invented)
    assert last < mark.attributes["last_sequence"] < messages[-1].attributes["first_sequence"]


@pytest.mark.parametrize("inside", [True, False])
def test_log_that_ends_in_a_transaction(server: MariaDB, shop: Shop, inside: bool) -> None:
    """Inside an event the server cannot send the rest, and never will; between two it goes on with the next log. So
    does the worker, then and from an older checkpoint."""
    sink, again = Topic(), Topic()
    with Running(shop, send=sink) as running:
        shop.insert(1, 1)
        until(lambda: sink.ids() == [1])
        until(lambda: shop.checkpoint().get("number", 0) > 0)
        kept = (shop.folder / "checkpoint.json").read_bytes()
        log = crash(server, shop)
        *_, (start, _) = events(log)
        os.truncate(log, start + 10 if inside else start)
        server.start()
        shop.connection = server.connect(database=shop.database, autocommit=True)
        shop.insert(2, 1)
        check(shop, sink, [1, 2])
        assert running.alive, running.error
        assert shop.sql("SELECT id FROM orders") == [(1,), (2,)]
    (shop.folder / "checkpoint.json").write_bytes(kept)
    with Running(shop, send=again) as running:
        check(shop, again, [2])
        assert running.alive, running.error
    shop.connection.close()


def test_log_that_was_damaged_otherwise(server: MariaDB, shop: Shop) -> None:
    """The server goes on running: what the log lacks may have been committed."""
    shop.insert(1, 1)
    log = server.folder / "data" / shop.position().partition(":")[0]
    shop.sql("FLUSH BINARY LOGS")
    shop.insert(2, 1)
    *_, (start, _), _ = events(log)
    os.truncate(log, start + 10)
    sink = Topic()
    with pytest.raises(TruncatedBinlog) as caught:
        shop.run(sink)
    assert caught.value.position == f"{log.name}:{start}"
    assert "disk full" in (caught.value.hint or "")
    until(lambda: sink.ids() == [1])
    shop.connection.close()
