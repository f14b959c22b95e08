"""A shop of some system on a real server, and the two ways from it into a warehouse."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

from worker_shop import Shop

from pipeline.batch.command import BatchOptions, batch
from pipeline.replay import replay
from pipeline.rollup import rollup, rollup_queries
from pipeline.warehouse import open_warehouse
from schemas.config import ShopConfig
from schemas.config_file import load_config

SCHEMAS = Path(__file__).parent
AS_OF = dt.date(2024, 4, 30)
Row = tuple[Any, ...]


class SystemShop(Shop):
    """The tables of a shop system in a database of their own, with a shop.yaml that names its preset."""

    def __init__(self, server: Any, database: str, folder: Path, server_id: int, system: str, prefix: str) -> None:
        super().__init__(server.connect, server.dsn, database, folder, server_id, table="")
        self.server, self.system, self.prefix = server, system, prefix
        self.sql("SET sql_mode = ''", "SET time_zone = '+00:00'", *schema(system, prefix))
        self.begin = self.position()
        del self.settings["tables"], self.settings["currency"]
        preset = {"name": system, "database": database, "prefix": prefix}
        self.write(preset=preset, warehouse="duckdb:stream.duckdb")

    def insert_into(self, table: str, **values: Any) -> None:
        """A row; what is NOT NULL and not named takes the type's own default, as under the empty sql_mode."""
        with self.connection.cursor() as cursor:
            names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
            cursor.execute(f"INSERT INTO {self.prefix}{table} ({names}) VALUES ({marks})", tuple(values.values()))

    def set(self, table: str, where: str, **values: Any) -> None:
        with self.connection.cursor() as cursor:
            changes = ", ".join(f"{name} = %s" for name in values)
            cursor.execute(f"UPDATE {self.prefix}{table} SET {changes} WHERE {where}", tuple(values.values()))


def schema(system: str, prefix: str) -> list[str]:
    """The statements that make a system's tables."""
    text = (SCHEMAS / f"{system}.sql").read_text(encoding="utf-8").replace("{prefix}", prefix)
    return [statement for statement in text.split(";\n") if statement.strip()]


def through_stream(shop: Shop) -> ShopConfig:
    """Worker → files → replay, rolled up."""
    shop.write(warehouse="duckdb:stream.duckdb")
    shop.run()
    config = load_config(shop.folder / "shop.yaml")
    replay(config, [str(shop.out)])
    return _rolled_up(config)


def through_batch(shop: Shop) -> ShopConfig:
    """The tables themselves, in one go."""
    shop.write(warehouse="duckdb:batch.duckdb", checkpoint="batch.json")
    config = load_config(shop.folder / "shop.yaml")
    batch(config, BatchOptions(rollup=False))
    return _rolled_up(config)


def _rolled_up(config: ShopConfig) -> ShopConfig:
    warehouse = open_warehouse(config)
    try:
        rollup(warehouse, config, AS_OF)
    finally:
        warehouse.close()
    return config


WAYS: dict[str, Callable[[Shop], ShopConfig]] = {"stream": through_stream, "batch": through_batch}


def published(shop: Shop) -> bytes:
    """All that the worker sends of the shop."""
    shop.run()
    return b"".join(path.read_bytes() for path in shop.out.glob("*.jsonl"))


def query(config: ShopConfig, sql: str) -> list[Row]:
    warehouse = open_warehouse(config, read_only=True)
    try:
        with warehouse.query(sql) as reader:
            return [tuple(row.values()) for row in reader.read_all().to_pylist()]
    finally:
        warehouse.close()


def triangle(config: ShopConfig) -> dict[str, list[str]]:
    """«cohort currency, buyers» → LTV by month number; guests apart."""
    cells: dict[str, list[str]] = {}
    for cohort, currency, guest, buyers, ltv in query(
        config,
        "SELECT cohort_month, currency, is_guest, customers, ltv FROM ltv_cohorts"
        " ORDER BY cohort_month, currency, is_guest, month_number",
    ):
        name = f"{cohort:%Y-%m} {currency} {buyers} {'guests' if guest else 'customers'}"
        cells.setdefault(name, []).append(f"{ltv.normalize():f}")
    return cells


def assert_the_same(shop: Shop) -> None:
    """That stream and batch end in the same tables."""
    streamed, loaded = (tables(way(shop)) for way in WAYS.values())
    assert streamed["orders"]
    for name in {*streamed, *loaded}:
        assert streamed.get(name) == loaded.get(name), name


def tables(config: ShopConfig) -> dict[str, list[Row]]:
    """Every table that consumers read, without what says how a row came here."""
    of_rows = "schema_name = 'main' AND column_name = '_written_at'"  # further views are made of these
    views = query(config, f"SELECT table_name FROM duckdb_columns() WHERE {of_rows}")
    # The history has every version for a stream, and one for a batch.
    found = {
        name: query(config, f"SELECT * EXCEPT (_sequence, _committed_at, _written_at) FROM {name}")
        for (name,) in views
        if not name.endswith("_history")
    }
    found |= {name: query(config, f"SELECT * FROM {name}") for name, _ in rollup_queries() if name != "freshness"}
    return {name: sorted(rows, key=repr) for name, rows in found.items()}
