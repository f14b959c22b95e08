"""A worker, a stream and batches at once, while eight writers commit: the warehouse ends equal to the database."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

from batch_shop import BatchShop
from shop_rows import NEWEST_OF_HISTORY, in_database, in_warehouse, position, rows
from shop_writers import ShopWriters

from demo.servers import PubSubEmulator
from demo.stack import Stack
from pipeline.warehouse import open_warehouse
from tests.conftest import Server

BATCHES = 2
EQUAL_WITHIN_S = 90


def test_equal_in_the_end(
    server: Server, database: str, server_id: int, pubsub: PubSubEmulator, tmp_path: Path
) -> None:
    """Two batches: the first finds the tables empty, as the worker begins with it; the second finds them full."""
    shop = BatchShop(server, database, tmp_path, server_id)
    with contextlib.closing(server.connect()) as connection, Stack(tmp_path, shop.settings, pubsub) as stack:
        stack.start_worker("--from", position(connection))
        stack.start_pipeline()
        stack.wait_until(lambda: (tmp_path / "ltv.duckdb.server").exists(), 60, "the stream shares its file")
        with ShopWriters(server, database):
            for _ in range(BATCHES):
                _batch(stack.config_file)
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
