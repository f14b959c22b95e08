"""A shop whose tables a batch loads: its shop.yaml, the command run in this process, and both sides to compare."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shop_folder import ShopFolder
from shop_rows import WAREHOUSE, in_database, rows

from demo.shop import create_tables, history, write
from demo.stack import shop_config
from pipeline.batch.command import Batch, BatchOptions, batch
from pipeline.warehouse import Warehouse, open_warehouse
from schemas.config import ShopConfig
from schemas.config_file import load_config
from tests.conftest import Server

UNTIL = dt.datetime(2026, 3, 1, tzinfo=dt.timezone.utc)


class BatchShop(ShopFolder):
    """The simulated shop in a database of its own, empty or with a past of `customers` customers."""

    def __init__(self, server: Server, database: str, folder: Path, server_id: int, customers: int = 40) -> None:
        self.server, self.database, self.folder = server, database, folder
        self.connection = server.connect(autocommit=True)
        create_tables(self.connection, database)
        if customers:
            write(self.connection, history(7, customers, UNTIL - dt.timedelta(days=90), UNTIL))
        self.connection.autocommit(True)
        self.settings = shop_config(
            server.dsn, server_id, database=database, topic=f"batch-{database}", subscription=f"s-{database}"
        )
        self.write()

    @property
    def config(self) -> ShopConfig:
        return load_config(self.folder / "shop.yaml")

    def batch(self, stop: threading.Event | None = None, **options: Any) -> Batch:
        return batch(self.config, BatchOptions(**{"rollup": False, "tries": 2, **options}), stop)

    @contextlib.contextmanager
    def warehouse(self) -> Iterator[Warehouse]:
        with contextlib.closing(open_warehouse(self.config, read_only=True)) as opened:
            yield opened

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.warehouse() as opened, opened.query(sql) as reader:
            return [tuple(row.values()) for row in reader.read_all().to_pylist()]

    def assert_equal(self, *tables: str) -> None:
        """Every row of the database is in the warehouse, and no other; of all tables, or of those named."""
        expected = in_database(self.connection)
        with self.warehouse() as opened:
            for table in tables or WAREHOUSE:
                assert rows(opened, WAREHOUSE[table]) == expected[table], table
