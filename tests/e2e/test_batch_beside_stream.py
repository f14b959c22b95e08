"""A worker, a stream and batches at once, while eight writers commit: the warehouse ends equal to the database."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from batch_shop import BatchShop
from shop_rows import NEWEST_OF_HISTORY, in_database, in_warehouse, position, rows

from demo.servers import PubSubEmulator
from demo.stack import Stack
from pipeline.warehouse import open_warehouse
from tests.conftest import Server

WRITERS = 8
SECONDS = 6.0
EQUAL_WITHIN_S = 90


def test_equal_in_the_end(
    server: Server, database: str, server_id: int, pubsub: PubSubEmulator, tmp_path: Path
) -> None:
    """Two batches: the first finds the tables empty, as the worker begins with it; the second finds them full."""
    shop = BatchShop(server, database, tmp_path, server_id)
    ended = threading.Event()
    counts: list[int] = []
    writers = [
        threading.Thread(target=_write, args=(server, database, number, ended, counts), daemon=True)
        for number in range(WRITERS)
    ]
    with contextlib.closing(server.connect()) as connection, Stack(tmp_path, shop.settings, pubsub) as stack:
        stack.start_worker("--from", position(connection))
        stack.start_pipeline()
        stack.wait_until(lambda: (tmp_path / "ltv.duckdb.server").exists(), 60, "the stream shares its file")
        for writer in writers:
            writer.start()
        began = time.monotonic()
        loaded = 0
        while loaded < 2 or time.monotonic() - began < SECONDS:
            _batch(stack.config_file)
            loaded += 1
        ended.set()
        for writer in writers:
            writer.join(30)
        assert len(counts) == WRITERS and min(counts) > 5, "the writers were held up, so nothing was tested"
        connection.select_db(database)
        expected = in_database(connection)
        with contextlib.closing(open_warehouse(shop.config, read_only=True)) as warehouse:
            stack.wait_until(lambda: in_warehouse(warehouse) == expected, EQUAL_WITHIN_S, "equal")
            assert rows(warehouse, NEWEST_OF_HISTORY) == expected["orders"]
            assert all(load.done for load in warehouse.loads())
            assert rows(warehouse, "SELECT COUNT(*) FROM raw.floors") == {(4,)}


def _batch(config_file: Path) -> None:
    """As a process of its own, beside the stream that holds the file."""
    arguments = ["-c", str(config_file), "--chunk-rows", "150", "--no-rollup"]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "batch", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def _write(server: Server, database: str, number: int, ended: threading.Event, counts: list[int]) -> None:
    """New, changed, moved and deleted rows, in transactions of one to three statements."""
    chance = random.Random(number)
    written = 0
    with contextlib.closing(server.connect(database=database)) as connection, connection.cursor() as cursor:
        cursor.execute("SET innodb_lock_wait_timeout = 50")
        while not ended.wait(0.05):
            try:
                for _ in range(chance.randint(1, 3)):
                    _change(cursor, chance)
                connection.commit()
                written += 1
            except Exception as error:  # noqa: BLE001 - two writers that met
                assert "Deadlock" in str(error) or "Record has changed" in str(error), error
                connection.rollback()
    counts.append(written)


def _change(cursor: Any, chance: random.Random) -> None:
    key = chance.randint(1, 80)
    cursor.execute(
        *chance.choice(
            (
                ("UPDATE orders SET amount = amount + 1, status = 'shipped' WHERE id = %s", (key,)),
                ("UPDATE orders SET status = 'cancelled' WHERE id = %s", (key,)),
                ("DELETE FROM charges WHERE id = %s", (key,)),
                ("UPDATE customers SET channel = %s WHERE id = %s", (chance.choice(("mail", "search")), key)),
                ("DELETE FROM orders WHERE id = %s", (key,)),
                ("UPDATE order_items SET quantity = quantity + 1 WHERE order_id = %s", (key,)),
                (
                    "INSERT INTO orders (order_date, status, country, customer_id, amount, updated_at)"
                    " VALUES ('2026-02-03 10:00:00', 'paid', 'IT', %s, 12.50, '2026-02-03 10:00:00')",
                    (key,),
                ),
                ("INSERT INTO charges (order_id, amount) VALUES (%s, -1.25)", (key,)),
            )
        )
    )
