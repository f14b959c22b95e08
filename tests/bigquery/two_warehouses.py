"""What DuckDB and BigQuery hold after the same changes, as comparable rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from pipeline.bigquery.warehouse import BigQueryWarehouse
from pipeline.rollup import rollup_queries
from pipeline.warehouse import Warehouse, open_warehouse
from tests.bigquery.server import BigQueryServer
from tests.builders import shop

WHEN = {"_written_at", "received_at", "started_at", "done_at", "written_at"}
"""Columns that tell when this run of the program wrote something."""

OF_THIS_RUN = {"freshness"}
"""A rolled-up table that tells little else."""


@contextlib.contextmanager
def bigquery_warehouse(server: BigQueryServer, **settings: Any) -> Iterator[BigQueryWarehouse]:
    """On the test's dataset, made where it is missing."""
    with contextlib.closing(open_warehouse(shop(warehouse=server.warehouse, **settings))) as warehouse:
        assert isinstance(warehouse, BigQueryWarehouse)
        yield warehouse


def rows(warehouse: Warehouse, sql: str) -> list[tuple[Any, ...]]:
    with warehouse.query(sql) as reader:
        return [tuple(row.values()) for row in reader.read_all().to_pylist()]


def columns_of(warehouse: Warehouse) -> dict[str, list[str]]:
    """Every raw table, with what can be compared of it."""
    return {
        table: [name for name in stored.columns if name not in WHEN and (name, table) != ("_deleted", "dead_letters")]
        for table, stored in warehouse.raw_tables().items()
        if table not in ("loads", "load_chunks")
    }


def contents(warehouse: Warehouse, columns: dict[str, list[str]], *, rolled_up: bool = False) -> dict[str, Any]:
    """Raw tables, views and rolled-up tables, rows sorted."""
    found = {}
    views = [name for name in columns if name not in ("settings", "floors", "arrivals", "dead_letters", "reloads")]
    for table in columns:
        found[f"raw.{table}"] = _rows(warehouse, f"raw.`{table}`", columns[table])
    for view in views:
        found[view] = _rows(warehouse, f"`{view}`", [name for name in columns[view] if name not in ("_deleted", "_op")])
    for table, _ in rollup_queries() if rolled_up else ():
        if table not in OF_THIS_RUN:
            found[table] = sorted(rows(warehouse, f"SELECT * FROM {table}"), key=repr_of)
    return found


def _rows(warehouse: Warehouse, source: str, columns: list[str]) -> list[tuple[Any, ...]]:
    """BigQuery stores no NULL in place of an array («ARRAY type»): it reads back as an empty one."""
    with warehouse.query(f"SELECT {', '.join(f'`{name}`' for name in columns)} FROM {source}") as reader:
        found = reader.read_all()
    lists = [pa.types.is_list(kind) for kind in found.schema.types]
    made = [
        tuple([] if value is None and many else value for value, many in zip(row.values(), lists, strict=True))
        for row in found.to_pylist()
    ]
    return sorted(made, key=repr_of)


def repr_of(row: tuple[Any, ...]) -> list[str]:
    """A number sorts by its value, whatever its scale."""
    return [f"{value.normalize():f}" if hasattr(value, "normalize") else str(value) for value in row]


def differences(left: dict[str, Any], right: dict[str, Any]) -> list[str]:
    """A line for each table that is not the same, with the first rows that only one has."""
    found = [f"only one has {table}" for table in left.keys() ^ right.keys()]
    for table in left.keys() & right.keys():
        if left[table] != right[table]:
            only = [row for row in left[table] if row not in right[table]][:2]
            other = [row for row in right[table] if row not in left[table]][:2]
            found.append(f"{table}: {len(left[table])} and {len(right[table])} rows; {only} against {other}")
    return sorted(found)
