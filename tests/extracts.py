"""Extracts for tests: files of a shop's tables, and what a warehouse holds once they are read, without a runner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.changes import Changes
from pipeline.duckdb_warehouse import DuckDBWarehouse
from pipeline.entries import derive_entries
from pipeline.extract.numbers import bases
from pipeline.extract.plan import Reading, plan_table
from pipeline.extract.rows import ExtractFile
from pipeline.extract.source import changes_of
from pipeline.extract.survey import survey
from schemas.config import ShopConfig

HEADER = "id,order_date,status,customer_id,amount,updated_at"


def written(folder: Path, name: str, *lines: str, header: str = HEADER) -> str:
    """An extract of these lines; its path."""
    path = folder / name
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return str(path)


def extract_files(
    warehouse: DuckDBWarehouse,
    config: ShopConfig,
    paths: Sequence[str],
    reading: Reading | None = None,
    table: str = "shop.orders",
) -> list[ExtractFile]:
    """The files as the command reads them."""
    reading = reading or Reading()
    surveys = [survey(path, reading.encoding) for path in paths]
    plan, names = plan_table(table, paths, reading, config, warehouse.raw_tables())
    numbered = bases(table, surveys, warehouse)
    return [ExtractFile(path, plan, base, names[path]) for path, base in zip(paths, numbered, strict=True)]


def read(
    warehouse: DuckDBWarehouse,
    config: ShopConfig,
    *paths: str,
    reading: Reading | None = None,
    table: str = "shop.orders",
) -> list[Changes]:
    """Applies extracts of one table, in order."""
    made = []
    for file in extract_files(warehouse, config, paths, reading, table):
        for changes in changes_of(file, config):
            derived = (derive_entries(batch, config) for batch in changes.batches)
            changes.entries = [entries for entries in derived if entries is not None]
            warehouse.apply(changes)
            made.append(changes)
    return made
