"""The raw tables of a BigQuery warehouse as they stand: made where they are missing, columns added and widened as the
source's are, and what BigQuery does not store, by name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Literal

from pipeline.bigquery import ddl
from pipeline.bigquery.client import BigQueryClient, BigQueryTable
from pipeline.bigquery.ddl import DELETED, FORGETTING, Storage
from pipeline.bigquery.names import MAX_COLUMNS, MAX_KEY_COLUMNS, column_problem, table_problem
from pipeline.layout import LOCAL_DATES
from pipeline.warehouse import StoredTable
from schemas.columns import BOOL, STRING, TIMESTAMP, ColumnType, Kind
from schemas.errors import QueryError, WarehouseError
from schemas.tables import META_COLUMNS, OWN_KEYS, OWN_TABLES

Partition = Literal["month", "none"]
View = Callable[[str, Sequence[str]], str]

FRESH: dict[str, dict[str, ColumnType]] = {
    name: {**columns, **({DELETED: BOOL} if name in FORGETTING else {})}
    for name, columns in OWN_TABLES.items()
    if name != "ltv_entries"
}
FRESH["arrivals"]["_written_at"] = TIMESTAMP  # by which they go; one row may be of messages of many days
FRESH["load_chunks"].update(lower=STRING, upper=STRING)  # keys as they were written: JSON has no exact large numbers
"""The pipeline's own tables, which it reads back: without max_staleness a query sees every confirmed row."""

KEYS: dict[str, tuple[str, ...]] = {**OWN_KEYS, "arrivals": ("source", "run", "number")}

_UNFIT_KEYS = frozenset({Kind.BYTES, Kind.FLOAT64, Kind.JSON, Kind.STRINGS, Kind.FLOATS})
"""Types that BigQuery takes in no primary key."""

_UNFIT_CLUSTERS = _UNFIT_KEYS
_AT_ONCE = 8

AGE = (
    "BigQuery takes rows into a monthly partition only from five years ago to one year ahead. Set `partition: none` in"
    " shop.yaml, drop the table, and load it again with `ltv-pipeline batch`"
)
"""The way out for a row that is too old, or too new, for the partitions of its table."""


class RawTables:
    """Which raw tables there are, as this process knows them."""

    def __init__(self, client: BigQueryClient, *, staleness: dt.timedelta, partition: Partition) -> None:
        self.client = client
        self.staleness, self.partition = staleness, partition
        self._known: dict[str, BigQueryTable] = {}
        self._fit: dict[tuple[object, ...], str | None] = {}

    def forget(self) -> None:
        """After an error, which may be that somebody has changed a table meanwhile."""
        self._known, self._fit = {}, {}

    def make_own(self) -> None:
        """Datasets, own tables and their views, where they are missing. Raises WarehouseError where one is there that
        is another."""
        self.client.ensure_datasets()
        missing = set(OWN_TABLES) - set(self.client.table_names(self.client.dataset.raw))
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="bigquery") as pool:
            list(pool.map(self.make_own_table, sorted(missing)))
        if "ltv_entries" not in self.client.table_names(self.client.dataset.dataset):
            columns = list(OWN_TABLES["ltv_entries"])
            self.client.run(ddl.create_view(self.client.dataset, "ltv_entries", columns, "origin"))
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="bigquery") as pool:
            list(pool.map(self._check_own, sorted(OWN_TABLES)))
        self._check_staleness()

    def make_own_table(self, table: str) -> None:
        columns = FRESH.get(table, OWN_TABLES[table])
        self.client.run(ddl.create_table(self.client.dataset, table, columns, KEYS[table], self._own_storage(table)))

    def _own_storage(self, table: str) -> Storage:
        if table == "arrivals":
            return Storage("TIMESTAMP_TRUNC(`_written_at`, DAY)", ("run",), kept_days=7)
        if table == "ltv_entries":
            return self._cut("purchase_month", Kind.DATE, ("customer_id",))
        return Storage()

    def _check_own(self, table: str) -> None:
        """Adds the columns of a newer version of this program. Raises WarehouseError."""
        known, wanted = self.columns_of(table), FRESH.get(table, OWN_TABLES[table])
        self._check_key(table, KEYS[table])
        missing = {name: kind for name, kind in wanted.items() if name not in known}
        others = [name for name, kind in wanted.items() if name in known and not _is_of(known[name], kind)]
        if others:
            raise WarehouseError(
                f"{self.client.dataset.raw}.{table} has other types in {', '.join(others)} than this warehouse needs",
                hint="it is another program's, or was changed by hand: name another dataset under `warehouse`",
            )
        if missing:
            self.add_columns(table, missing)

    def columns_of(self, table: str) -> dict[str, ColumnType | None]:
        """Of a table that exists. Raises WarehouseError where it does not."""
        known = self._look(table)
        if known is None:
            raise WarehouseError(f"{self.client.dataset.raw}.{table} does not exist", hint="was it dropped just now?")
        return known.columns

    def stored(self) -> dict[str, StoredTable]:
        """Every raw table that there is; columns of types that no source column has are left out."""
        names = self.client.table_names(self.client.dataset.raw)
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="bigquery") as pool:
            found = dict(zip(names, pool.map(self._look, names), strict=True))
        return {
            name: StoredTable({column: kind for column, kind in table.columns.items() if kind}, table.key)
            for name, table in found.items()
            if table is not None
        }

    def _look(self, table: str) -> BigQueryTable | None:
        if table not in self._known:
            found = self.client.table(self.client.dataset.raw, table)
            if found is None:
                return None
            self._known[table] = found
        return self._known[table]

    # What follows the source

    def ensure(self, table: str, wanted: Mapping[str, ColumnType], key: Sequence[str], view: View) -> str | None:
        """Makes the raw table, or adds and widens columns where the source's have changed; then its view. Returns why
        rows of these columns cannot be stored, with the way out, or None.

        Raises WarehouseError where a table is there that has another key.
        """
        asked = (table, tuple(wanted.items()), tuple(key))
        if asked not in self._fit:
            self._fit[asked] = self._refusal(table, wanted, key) or self._follow(table, wanted, key, view)
        return self._fit[asked]

    def _refusal(self, table: str, wanted: Mapping[str, ColumnType], key: Sequence[str]) -> str | None:
        problem = table_problem(table) or next(filter(None, map(column_problem, wanted)), None)
        if problem:
            return problem
        if len(key) > MAX_KEY_COLUMNS:
            return f"BigQuery takes primary keys of {MAX_KEY_COLUMNS} columns at most; that of {table} has {len(key)}"
        if len(wanted) + len(META_COLUMNS) > MAX_COLUMNS:
            return f"BigQuery takes {MAX_COLUMNS:,} columns at most: name some of {table} under `exclude` in shop.yaml"
        unfit = [f"{name} ({wanted[name].bigquery()})" for name in key if wanted.get(name, STRING).kind in _UNFIT_KEYS]
        if unfit:
            return f"BigQuery takes no primary key of {', '.join(unfit)}: leave {table} out of shop.yaml"
        return None

    def _follow(self, table: str, wanted: Mapping[str, ColumnType], key: Sequence[str], view: View) -> str | None:
        known = self._look(table)
        if known is None:
            columns = {**wanted, **META_COLUMNS}
            self.client.run(
                ddl.create_table(self.client.dataset, table, columns, key, self._storage(table, columns, key))
            )
            self.set_staleness([table])
            self._check_key(table, key)
        else:
            self._check_key(table, key)
            missing = {name: kind for name, kind in wanted.items() if name not in known.columns}
            if missing:
                self.add_columns(table, missing)
            refused = self._widen(table, wanted)
            if refused or not missing:
                return refused
        self.client.run(view(table, list(self.columns_of(table))))
        return None

    def add_columns(self, table: str, columns: Mapping[str, ColumnType]) -> None:
        self.client.run(ddl.add_columns(self.client.dataset, table, columns))
        self._known.pop(table, None)  # another process may have added others

    def _widen(self, table: str, wanted: Mapping[str, ColumnType]) -> str | None:
        """Changes types where BigQuery can. Returns what it cannot."""
        for name, kind in wanted.items():
            known = self.columns_of(table)[name]
            if _holds(known, kind):
                continue
            if known is not None and _is_number(known) and _is_number(kind):
                try:
                    self.client.run(ddl.widen_column(self.client.dataset, table, name, kind.bigquery()))
                    self._known.pop(table, None)
                    continue
                except QueryError as error:
                    why = f" ({error.message})"
            else:
                why = ""
            has = known.bigquery() if known else "of a type that no source column has"
            where = f"{self.client.dataset.raw}.{table}"
            return (
                f"column {name} of {where} is {has}, and values come as {kind.bigquery()} now, which BigQuery cannot"
                f" change it to{why}: drop {where} and load it again with `ltv-pipeline batch --table`, then put these"
                " rows through with `dead-letters --retry`; or name the column under `exclude` in shop.yaml"
            )
        return None

    def _check_key(self, table: str, key: Sequence[str]) -> None:
        known = self._look(table)
        if known is None or (known.kind == "TABLE" and known.key == tuple(key)):
            return
        has = f"the primary key ({', '.join(known.key)})" if known.key else "no primary key"
        if known.kind != "TABLE":
            has = f"a {known.kind.lower()}"
        where = f"{self.client.dataset.raw}.{table}"
        raise WarehouseError(
            f"{where} is there already, with {has}; wanted is ({', '.join(key)})",
            hint=f"where the key was changed at the source: drop {where} and load it again with `ltv-pipeline batch"
            " --table`. Where the table is another program's: name another dataset",
            table=table,
        )

    # How tables lie

    def _storage(self, table: str, columns: Mapping[str, ColumnType], key: Sequence[str]) -> Storage:
        """By the month of its rows, or of the versions of a history, and then by customer or key."""
        near = tuple(name for name in ("customer_id", "order_id") if name in columns) or tuple(key)
        if table.endswith("_history") and "_op" in columns:
            return self._cut("_committed_at", Kind.TIMESTAMP, tuple(key[:1]))
        date = next((name for name in LOCAL_DATES if name in columns and LOCAL_DATES[name] in columns), None)
        near = tuple(name for name in near if columns[name].kind not in _UNFIT_CLUSTERS)
        return self._cut(date, Kind.TIMESTAMP, near) if date else Storage(cluster=near[:4])

    def _cut(self, date: str, kind: Kind, near: tuple[str, ...]) -> Storage:
        if self.partition == "none":
            return Storage(cluster=(date, *near)[:4])
        function = "DATE_TRUNC" if kind is Kind.DATE else "TIMESTAMP_TRUNC"
        return Storage(f"{function}(`{date}`, MONTH)", near[:4])

    # How stale a query may read

    def _check_staleness(self) -> None:
        """Brings max_staleness of every table to what the configuration says."""
        found = self.stalenesses()
        tables = [name for name in self.client.table_names(self.client.dataset.raw) if name not in FRESH]
        differing = [name for name in tables if found.get(name, dt.timedelta()) != self.staleness]
        self.set_staleness(differing)
        stale = [name for name in FRESH if found.get(name, dt.timedelta())]
        if stale:
            raise WarehouseError(
                f"{', '.join(stale)} of {self.client.dataset.raw}: max_staleness is set, but the pipeline reads back"
                " what it has written there",
                hint="set it back: ALTER TABLE … SET OPTIONS (max_staleness = INTERVAL 0 MINUTE)",
            )

    def set_staleness(self, tables: Sequence[str]) -> None:
        """Raises WarehouseError where BigQuery has not kept it."""
        if not self.staleness and not tables:
            return
        for table in tables:
            self.client.run(ddl.set_staleness(self.client.dataset, table, self.staleness))
        if tables:
            found = self.stalenesses()
            wrong = [name for name in tables if found.get(name, dt.timedelta()) != self.staleness]
            if wrong:
                shown = ", ".join(f"{name} ({found.get(name, 'none')})" for name in wrong)
                raise WarehouseError(
                    f"BigQuery has not kept max_staleness = {self.staleness} of {self.client.dataset.raw}: {shown}",
                    hint="may the service account change tables (roles/bigquery.dataEditor)? Or set another"
                    " `max_staleness` in shop.yaml",
                )

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """Until it ends, queries see every confirmed row, which BigQuery knows no other way to ask for. What a killed
        process leaves is set back by the next that opens the warehouse to write."""
        stale = [name for name, span in self.stalenesses().items() if span != dt.timedelta()]
        self._set_all(stale, dt.timedelta())
        try:
            yield
        finally:
            there = set(self.client.table_names(self.client.dataset.raw))
            self._set_all([name for name in stale if name in there], self.staleness)

    def _set_all(self, tables: Sequence[str], staleness: dt.timedelta) -> None:
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="bigquery") as pool:
            statements = [ddl.set_staleness(self.client.dataset, table, staleness) for table in tables]
            list(pool.map(self.client.run, statements))

    def stalenesses(self) -> dict[str, dt.timedelta | None]:
        rows = self.client.rows(ddl.stalenesses(self.client.dataset))
        return {row["table_name"]: ddl.parse_staleness(row["option_value"]) for row in rows}


def _is_number(kind: ColumnType) -> bool:
    return kind.kind in (Kind.INT64, Kind.DECIMAL)


def _is_of(known: ColumnType | None, wanted: ColumnType) -> bool:
    return known is not None and known.bigquery() == wanted.bigquery()


_WIDTH = {"INT64": 0, "NUMERIC": 1, "BIGNUMERIC": 2}


def _holds(known: ColumnType | None, wanted: ColumnType) -> bool:
    """Whether a column takes the values of another type as they are."""
    if known is None:
        return False
    if _is_number(known) and _is_number(wanted):
        return _WIDTH[known.bigquery()] >= _WIDTH[wanted.bigquery()]
    return known.bigquery() == wanted.bigquery()


def arriving_type(known: ColumnType | None, wanted: ColumnType) -> ColumnType:
    """The type in which values go into a column: an integer into a NUMERIC goes as one."""
    if known is not None and known.kind is Kind.DECIMAL and wanted.kind is Kind.INT64:
        return ColumnType(Kind.DECIMAL, 19, 0)
    return wanted
