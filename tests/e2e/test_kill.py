"""kill -9 of worker and pipeline at random moments under writes: afterwards warehouse and database are equal."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from pathlib import Path

import pytest
from shop_rows import NEWEST_OF_HISTORY, in_database, in_warehouse, position, rows

from demo.servers import PubSubEmulator
from demo.shop import create_tables, live
from demo.stack import Stack, shop_config
from pipeline.warehouse import open_warehouse
from schemas.config_file import load_config
from tests.conftest import LONG, Server

KILLS = 20 if LONG else 8
PER_SECOND = 150
EQUAL_WITHIN_S = 60


@pytest.mark.chaos
def test_kills_at_random_moments(
    server: Server, database: str, server_id: int, pubsub: PubSubEmulator, tmp_path: Path
) -> None:
    chance = random.Random(server_id)
    config = shop_config(
        server.dsn, server_id, database=database, topic=f"kill-{database}", subscription=f"s-{database}"
    )
    stop = threading.Event()
    done: list[int] = []

    def write() -> None:
        with contextlib.closing(server.connect(database=database)) as connection:
            done.append(sum(live(connection, 3, per_second=PER_SECOND, stop=stop).values()))

    with contextlib.closing(server.connect()) as connection, Stack(tmp_path, config, pubsub) as stack:
        create_tables(connection, database)
        begin = ("--from", position(connection))  # the server is shared: its older log is other tests'
        stack.start_worker(*begin)
        stack.start_pipeline()
        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.1, 3.0))  # the moment of the kill is the input of this test
            for process, start, arguments in _victims(chance, stack, begin):
                process.kill()
                start(*arguments)
        stop.set()
        writer.join(timeout=30)
        assert done and done[0] > 25 * KILLS, "the writer was held up, so nothing was tested"
        expected = in_database(connection)
        _until_equal(stack, expected)
        with contextlib.closing(open_warehouse(load_config(stack.config_file), read_only=True)) as warehouse:
            found = in_warehouse(warehouse)
            for table, wanted in expected.items():
                assert found[table] == wanted, table
            assert rows(warehouse, NEWEST_OF_HISTORY) == expected["orders"]
            twice = "SELECT id, _sequence FROM orders_history GROUP BY id, _sequence HAVING COUNT(*) > 1"
            assert rows(warehouse, twice) == set()
            assert warehouse.dead_letters() == []
            live_sales = "SELECT order_id FROM ltv_entries WHERE kind = 'sale'"
            counted = {str(row[0]) for row in expected["orders"] if row[2] != "cancelled"}
            assert {row[0] for row in rows(warehouse, live_sales)} == counted


def _victims(chance: random.Random, stack: Stack, begin: tuple[str, ...]):  # type: ignore[no-untyped-def]
    both = [(stack.worker, stack.start_worker, begin), (stack.pipeline, stack.start_pipeline, ())]
    return chance.choice([both[:1], both[1:], both[:1], both[1:], both])


def _until_equal(stack: Stack, expected: dict[str, set[tuple[object, ...]]]) -> None:
    """Returns when equal, or after a minute: the asserts then say what differs."""
    config = load_config(stack.config_file)
    deadline = time.monotonic() + EQUAL_WITHIN_S
    while time.monotonic() < deadline:
        stack.require_alive()
        with contextlib.suppress(Exception), contextlib.closing(open_warehouse(config, read_only=True)) as warehouse:
            if in_warehouse(warehouse) == expected:
                return
        time.sleep(0.2)
