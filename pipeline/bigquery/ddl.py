"""GoogleSQL that makes the warehouse: pure text. Every statement may be run again, and by several processes at once.

BigQuery's documentation: «Data definition language», and «Stream table updates with change data capture» for tables
that take upserts: a primary key that is not enforced, and `max_staleness`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.bigquery.names import DatasetName
from pipeline.google_names import quoted, text
from pipeline.google_sql import Places, qualified, with_parameter, without_order
from schemas.columns import ColumnType
from schemas.rollup_tables import PLAIN, ROLLUP_STORAGE
from schemas.tables import RAW

MINUTE = dt.timedelta(minutes=1)

DELETED = "_deleted"
FORGETTING = ("dead_letters", "loads", "load_chunks")
"""Own tables of which rows go: tables that take upserts take no DELETE, so what is forgotten stays with `_deleted`."""


@dataclass(frozen=True)
class Storage:
    """How a raw table lies: `partition` is an expression such as TIMESTAMP_TRUNC(`received_at`, DAY), whose partitions
    go after `kept_days`; `cluster` has up to four columns."""

    partition: str | None = None
    cluster: tuple[str, ...] = ()
    kept_days: int | None = None


def listed(names: Iterable[str]) -> str:
    return ", ".join(map(quoted, names))


def places(dataset: DatasetName) -> Places:
    """Where the tables of a query are: `raw.x` in the raw dataset, a bare `x` in the one beside it. Nobody sees what an
    own table has forgotten."""

    def raw(table: str) -> str:
        if table not in FORGETTING:
            return dataset.raw_table(table)
        return f"(SELECT * EXCEPT ({DELETED}) FROM {dataset.raw_table(table)} WHERE {DELETED} IS NOT TRUE)"

    return Places(dataset.table, {RAW: raw})


def create_dataset(dataset: DatasetName, name: str, location: str | None = None) -> str:
    """`name` is the dataset or its `raw`. Without a location it is where BigQuery puts it, which is the US."""
    options = f" OPTIONS (location = {text(location)})" if location else ""
    return f"CREATE SCHEMA IF NOT EXISTS {quoted(f'{dataset.project}.{name}')}{options}"


def create_table(
    dataset: DatasetName, table: str, columns: Mapping[str, ColumnType], key: Sequence[str], storage: Storage
) -> str:
    """A raw table, which takes upserts by `key`."""
    lines = [f"{quoted(name)} {kind.bigquery()}" for name, kind in columns.items()]
    lines.append(f"PRIMARY KEY ({listed(key)}) NOT ENFORCED")
    parts = [f"CREATE TABLE IF NOT EXISTS {dataset.raw_table(table)} ({', '.join(lines)})"]
    if storage.partition:
        parts.append(f"PARTITION BY {storage.partition}")
    if storage.cluster:
        parts.append(f"CLUSTER BY {listed(storage.cluster)}")
    if storage.kept_days:
        parts.append(f"OPTIONS (partition_expiration_days = {storage.kept_days})")
    return " ".join(parts)


def add_columns(dataset: DatasetName, table: str, columns: Mapping[str, ColumnType]) -> str:
    """All in one statement: BigQuery takes five changes of a table in ten seconds."""
    added = ", ".join(f"ADD COLUMN IF NOT EXISTS {quoted(name)} {kind.bigquery()}" for name, kind in columns.items())
    return f"ALTER TABLE {dataset.raw_table(table)} {added}"


def widen_column(dataset: DatasetName, table: str, name: str, bigquery_type: str) -> str:
    return f"ALTER TABLE {dataset.raw_table(table)} ALTER COLUMN {quoted(name)} SET DATA TYPE {bigquery_type}"


def set_staleness(dataset: DatasetName, table: str, staleness: dt.timedelta) -> str:
    """How old what a query reads may be. The Tables API is reported to drop it silently, so it goes this way."""
    minutes = f"INTERVAL {staleness // MINUTE} MINUTE"
    return f"ALTER TABLE {dataset.raw_table(table)} SET OPTIONS (max_staleness = {minutes})"


def stalenesses(dataset: DatasetName) -> str:
    """`table_name` and `option_value` of the raw tables that have a max_staleness."""
    options = quoted(f"{dataset.project}.{dataset.raw}") + ".INFORMATION_SCHEMA.TABLE_OPTIONS"
    return f"SELECT table_name, option_value FROM {options} WHERE option_name = 'max_staleness'"


_INTERVAL = re.compile(r"(-?\d+)-(\d+) (-?\d+) (-?\d+):(\d+):(\d+)(?:\.\d+)?")


def parse_staleness(option_value: str) -> dt.timedelta | None:
    """An interval as INFORMATION_SCHEMA shows it, `0-0 0 0:10:0` (years-months days hours:minutes:seconds). None where
    it is another text, or has years or months."""
    found = _INTERVAL.search(option_value)
    if found is None:
        return None
    years, months, days, hours, minutes, seconds = map(int, found.groups())
    if years or months:
        return None
    return dt.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def create_view(dataset: DatasetName, table: str, columns: Sequence[str], origin: str | None = None) -> str:
    """What consumers read: a table's live rows. Its own floor counts, or that of the table named in column `origin`."""
    shown = [name for name in columns if name not in ("_deleted", "_op")]
    floor_of = f"versions.{quoted(origin)}" if origin else text(table)
    return (
        f"CREATE OR REPLACE VIEW {dataset.table(table)} AS"
        f" SELECT {', '.join(f'versions.{quoted(name)}' for name in shown)}"
        f" FROM {dataset.raw_table(table)} AS versions"
        f" LEFT JOIN {dataset.raw_table('floors')} AS floors ON floors.`table` = {floor_of}"
        f" WHERE NOT versions._deleted AND (floors._sequence IS NULL OR versions._sequence >= floors._sequence)"
    )


def create_history_view(dataset: DatasetName, table: str, columns: Sequence[str]) -> str:
    return f"CREATE OR REPLACE VIEW {dataset.table(table)} AS SELECT {listed(columns)} FROM {dataset.raw_table(table)}"


def replace_table(dataset: DatasetName, table: str, query: str) -> str:
    """A rolled-up table anew, from a query of `schemas/sql`. Raises QueryError where it is not GoogleSQL.

    BigQuery clusters no result that is ordered, so an ORDER BY at the end of the query is left out.
    """
    storage = ROLLUP_STORAGE.get(table, PLAIN)
    parts = [f"CREATE OR REPLACE TABLE {dataset.table(table)}"]
    if storage.partition:
        parts.append(f"PARTITION BY DATE_TRUNC({quoted(storage.partition)}, MONTH)")
    if storage.cluster:
        parts.append(f"CLUSTER BY {listed(storage.cluster)}")
    parts.append(f"AS\n{qualified(without_order(query), places(dataset)).sql}")
    return " ".join(parts)


def replace_view(dataset: DatasetName, view: str, query: str) -> str:
    """A view beside the rolled-up tables, from GoogleSQL. Raises QueryError where it is none."""
    return f"CREATE OR REPLACE VIEW {dataset.table(view)} AS\n{qualified(query, places(dataset)).sql}"


def scheduled(statement: str, time_zone: str) -> str:
    """A statement for a scheduled query: `@as_of` is the local day on which it runs. `@run_date` would be UTC's."""
    return with_parameter(statement, "as_of", f"DATE(@run_time, {text(time_zone)})")
