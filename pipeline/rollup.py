"""`ltv-pipeline rollup`: runs `schemas/sql/*.sql`, and then `schemas/sql/report/*.sql`, which read the tables of the
former. Each file is a table; all are replaced in one transaction."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import schemas
from pipeline.arguments import as_of_day
from pipeline.facts import ENTRIES_MARK, FLOORS_MARK, replace_fact_views
from pipeline.warehouse import Warehouse
from schemas.config import ShopConfig

SQL_FOLDER = Path(schemas.__file__).parent / "sql"

ROLLED_UP = f"""SELECT @as_of AS as_of, CURRENT_TIMESTAMP() AS rolled_up_at, {ENTRIES_MARK} AS entries_mark,
  (SELECT MAX(_written_at) FROM raw.ltv_entries) AS written_up_to, {FLOORS_MARK} AS floors_mark"""
"""The table `rolled_up`: of which day the rolled-up tables are, when that was, and which entries they hold."""


def rollup_queries() -> list[tuple[str, str]]:
    """(table, GoogleSQL) of every rolled-up table, in the order in which they are made."""
    files = [*sorted(SQL_FOLDER.glob("*.sql")), *sorted(SQL_FOLDER.glob("report/*.sql"))]
    return [(file.stem, file.read_text(encoding="utf-8")) for file in files]


def prepare_rollup(config: ShopConfig) -> None:
    """Does beforehand what DuckDB needs of the queries, which takes a quarter of a second."""
    if config.duckdb_file:
        from pipeline.google_sql import to_duckdb

        for _, query in rollup_queries():
            to_duckdb(query)


def rollup(warehouse: Warehouse, config: ShopConfig, as_of: dt.date) -> dict[str, int]:
    """Recomputes every rolled-up table as of the end of a local day; their numbers of rows.

    Raises SettingsChanged where the entries were derived with other settings.
    """
    warehouse.check_settings(config)
    replace_fact_views(warehouse, config)
    with warehouse.fresh():
        counts = warehouse.replace_tables([*rollup_queries(), ("rolled_up", ROLLED_UP)], {"as_of": as_of})
    del counts["rolled_up"]
    return counts


def as_of_date(text: str | None, config: ShopConfig, now: dt.datetime) -> dt.date:
    """`--as-of`, or today in the shop's zone. Raises UsageError."""
    if text is None:
        return now.astimezone(ZoneInfo(config.time_zone)).date()
    return as_of_day(text)
