"""The DuckDB warehouse: raw tables upserted by sequence number, views over their live rows, rolled-up tables beside."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import duckdb_sql as sql
from pipeline.changes import Changes, DeadRow, TableBatch
from pipeline.duckdb_server import DuckDBServer, RemoteSession
from pipeline.google_sql import to_duckdb
from pipeline.layout import stored_columns
from pipeline.session import LocalSession, Statement, WarehouseLocked
from pipeline.values import as_text
from pipeline.warehouse import Applied, Waiting
from schemas.columns import STRING, ColumnType
from schemas.config import ShopConfig
from schemas.errors import SettingsChanged, WarehouseError, WarehouseUnavailable
from schemas.tables import META_COLUMNS, OWN_TABLES

LOG = logging.getLogger(__name__)
HOLD_WAIT_S = 30.0
SHARE_WAIT_S = 3.0
MERGE_ARRIVALS_S = 60.0


def open_duckdb(
    path: str, *, hold: bool = False, read_only: bool = False, waiting: Waiting | None = None
) -> DuckDBWarehouse:
    """Opens the file, or joins the stream that holds it.

    A short command may hold the file for a moment: `hold` waits 30 s for it, the others 3 s for the holder to share.
    Raises WarehouseError: locked and not shared, not a DuckDB file, no such folder.
    """
    if read_only and not Path(path).exists():
        raise WarehouseError(f"{path} does not exist", hint="`ltv-pipeline stream` or `replay` makes it")
    deadline = time.monotonic() + (HOLD_WAIT_S if hold else SHARE_WAIT_S)
    told = False
    while True:
        try:
            session = LocalSession(path, read_only=read_only)
            return DuckDBWarehouse(session, server=DuckDBServer(session) if hold else None, read_only=read_only)
        except WarehouseLocked as locked:
            if not hold:
                try:
                    return DuckDBWarehouse(RemoteSession(path))
                except WarehouseUnavailable as unavailable:
                    if time.monotonic() > deadline:
                        raise WarehouseError(unavailable.message, hint=unavailable.hint) from locked
            elif time.monotonic() > deadline:
                raise
            if waiting and not told:
                waiting(f"waiting for another process to release {path}")
                told = True
            time.sleep(0.05)


class DuckDBWarehouse:
    """See `pipeline.warehouse.Warehouse`. One writer at a time; readers see the last commit."""

    def __init__(
        self, session: LocalSession | RemoteSession, *, server: DuckDBServer | None = None, read_only: bool = False
    ) -> None:
        self.session = session
        self._server = server
        self._columns: dict[str, dict[str, str]] = {}
        self._epoch = ""
        self._merged_at = time.monotonic()
        if not (isinstance(session, LocalSession) and read_only):
            session.run(sql.create_own_tables())

    # What the stream does

    def apply(self, changes: Changes) -> Applied:
        started = time.monotonic()
        now = dt.datetime.now(dt.timezone.utc)
        statements: list[Statement] = []
        inputs: dict[str, pa.Table] = {}
        if not self._columns:
            self._columns = self._stored()
        try:
            for table, batches in _by_table(changes.batches).items():
                for _, alike in itertools.groupby(batches, lambda batch: stored_columns(batch.layout)):
                    self._upsert_table(table, list(alike), statements, inputs, now)
            if changes.entries:
                rows = _arriving(changes.entries, now)
                inputs["new_entries"] = rows
                columns = [name for name in OWN_TABLES["ltv_entries"] if name in rows.column_names]
                distinct = _distinct(rows, ("entry_id",))
                statements.append(sql.upsert("ltv_entries", columns, ("entry_id",), "new_entries", distinct=distinct))
            self._note(changes, statements, inputs, now)
            if time.monotonic() - self._merged_at > MERGE_ARRIVALS_S:
                self._merged_at = time.monotonic()
                statements += [
                    Statement(statement.sql, {"now": now} if "$now" in statement.sql else {})
                    for statement in sql.MERGE_ARRIVALS
                ]
            if statements:
                self.session.run(statements, inputs)
        except BaseException:
            self._columns = {}  # a rolled-back CREATE or ALTER never happened
            raise
        self._epoch = max(self._epoch, changes.highest_epoch)
        return Applied(changes.events, len(changes.dead), time.monotonic() - started)

    def _upsert_table(
        self,
        table: str,
        batches: list[TableBatch],
        statements: list[Statement],
        inputs: dict[str, pa.Table],
        now: dt.datetime,
    ) -> None:
        key, wanted = batches[0].layout.key, stored_columns(batches[0].layout)
        self._ensure(table, wanted, key, statements)
        rows = _arriving([_text_where_needed(batch.rows, self._columns[table]) for batch in batches], now)
        name = f"new_{len(inputs)}"
        inputs[name] = rows
        columns = list(self._columns[table])
        missing = [column for column in columns if column not in rows.column_names]
        if missing:
            rows = _with_nulls(rows, missing)
            inputs[name] = rows
        distinct = _distinct(rows, key)
        statements.append(sql.upsert(table, columns, key, name, distinct=distinct))
        if batches[0].layout.role == "orders":
            history = f"{table}_history"
            self._ensure(history, {"_op": STRING, **wanted}, (), statements)
            committed = pc.min_max(rows["_committed_at"]).as_py()
            first, last = committed["min"].isoformat(), committed["max"].isoformat()
            columns = [column for column in self._columns[history] if column in rows.column_names]
            statements += sql.append_versions(history, columns, key, name, first, last, distinct=distinct)

    def _ensure(
        self, table: str, wanted: Mapping[str, ColumnType], key: Sequence[str], statements: list[Statement]
    ) -> None:
        """Creates the raw table, or adds columns and widens types where the source's have changed; then its view."""
        known = self._columns.get(table)
        history = not key
        if known is None:
            columns = {**wanted, **META_COLUMNS}
            statements.append(sql.create_table(table, columns, key))
            self._columns[table] = known = {name: kind.duckdb() for name, kind in columns.items()}
        else:
            changed = False
            for name, kind in wanted.items():
                if name not in known:
                    statements.append(sql.add_column(table, name, kind))
                    known[name] = kind.duckdb()
                    changed = True
                elif known[name] != kind.duckdb() and (wider := _wider(known[name], kind.duckdb())) != known[name]:
                    known[name] = wider
                    changed = True
                    statements += (
                        sql.retype_key(table, known, key) if name in key else [sql.retype_column(table, name, wider)]
                    )
            if not changed:
                return
        view = sql.create_history_view if history else sql.create_view
        statements.append(view(table, list(known)))

    def _note(
        self, changes: Changes, statements: list[Statement], inputs: dict[str, pa.Table], now: dt.datetime
    ) -> None:
        """Floors, reload marks, arrivals, dead letters and the highest epoch."""
        if changes.floors:
            inputs["new_floors"] = pa.table(
                {
                    "table": [floor.table for floor in changes.floors],
                    "_sequence": [floor.sequence for floor in changes.floors],
                }
            )
            statements.append(sql.RAISE_FLOORS)
        if changes.reloads:
            inputs["new_reloads"] = pa.table(
                {
                    "table": [reload.table for reload in changes.reloads],
                    "_sequence": [reload.sequence for reload in changes.reloads],
                    "reason": [reload.reason for reload in changes.reloads],
                    "received_at": [now] * len(changes.reloads),
                }
            )
            columns = list(OWN_TABLES["reloads"])
            statements.append(sql.insert("reloads", columns, "new_reloads", "ON CONFLICT DO NOTHING"))
        if changes.arrivals:
            arrivals = changes.arrivals
            inputs["new_arrivals"] = pa.table(
                {
                    "source": [arrival.source for arrival in arrivals],
                    "run": [arrival.run for arrival in arrivals],
                    "number": [arrival.number for arrival in arrivals],
                    "through": [arrival.number for arrival in arrivals],
                    "after_run": [arrival.after_run for arrival in arrivals],
                    "after_number": [arrival.after_number for arrival in arrivals],
                    "last_sequence": [arrival.last_sequence for arrival in arrivals],
                    "committed_at": pa.array([arrival.committed_at for arrival in arrivals], pa.int64()).cast(
                        pa.timestamp("us", "UTC")
                    ),
                    "received_at": [now] * len(arrivals),
                }
            )
            statements.append(sql.insert("arrivals", list(OWN_TABLES["arrivals"]), "new_arrivals"))
        if changes.dead:
            inputs["new_dead"] = _dead_table(changes.dead, now)
            columns = list(OWN_TABLES["dead_letters"])
            statements.append(sql.insert("dead_letters", columns, "new_dead", "ON CONFLICT DO NOTHING"))
        if changes.highest_epoch > self._epoch:
            statements.append(_set("highest_epoch", changes.highest_epoch))

    def _stored(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for row in self.session.run([sql.COLUMNS]).read_all().to_pylist():
            found.setdefault(row["table_name"], {})[row["column_name"]] = row["data_type"]
        return found

    # What it remembers

    def _setting(self, key: str) -> str | None:
        with self.session.read(Statement("SELECT value FROM raw.settings WHERE key = $key", {"key": key})) as reader:
            rows = reader.read_all().to_pylist()
        return rows[0]["value"] if rows else None

    def highest_epoch(self) -> str:
        self._epoch = self._setting("highest_epoch") or ""
        return self._epoch

    def check_settings(self, config: ShopConfig) -> None:
        settings = json.loads(json.dumps(config.settings()))
        known = self._setting("derivation")
        if known is None:
            self.session.run([_set("derivation", json.dumps(settings, sort_keys=True))])
            return
        differing = [key for key in settings if json.loads(known).get(key) != settings[key]]
        if differing:
            raise SettingsChanged(
                f"the warehouse was derived with other settings: {', '.join(differing)} in shop.yaml changed since",
                hint="put the settings back, or name a new warehouse file and load it again"
                " (binlog-worker run --from earliest with a new checkpoint, or ltv-pipeline replay)",
            )

    # What the other commands ask

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None
    ) -> AbstractContextManager[pa.RecordBatchReader]:
        return self.session.read(Statement(to_duckdb(sql), dict(parameters or {})))

    def replace_tables(self, tables: Sequence[tuple[str, str]], parameters: Mapping[str, Any]) -> dict[str, int]:
        statements = []
        for table, text in tables:
            used = {name: value for name, value in parameters.items() if f"@{name}" in text}
            statements.append(Statement(f"CREATE OR REPLACE TABLE main.{sql.quoted(table)} AS {to_duckdb(text)}", used))
        counts = ", ".join(
            f"(SELECT count(*) FROM main.{sql.quoted(name)}) AS {sql.quoted(name)}" for name, _ in tables
        )
        statements.append(Statement(f"SELECT {counts}"))
        found: dict[str, int] = self.session.run(statements, own_connection=True).read_all().to_pylist()[0]
        return found

    def dead_letters(self, table: str | None = None) -> list[DeadRow]:
        where = 'WHERE "table" = $table' if table else ""
        statement = Statement(
            f"SELECT * FROM raw.dead_letters {where} ORDER BY received_at, message_id, line",
            {"table": table} if table else {},
        )
        with self.session.read(statement) as reader:
            rows = reader.read_all().to_pylist()
        return [
            DeadRow(
                row["message_id"],
                row["line"],
                row["table"],
                row["reason"],
                row["error"],
                row["data"],
                row["schema_line"],
                json.loads(row["attributes"]),
            )
            for row in rows
        ]

    def forget_dead_letters(self, letters: Sequence[DeadRow]) -> None:
        if letters:
            gone = pa.table(
                {
                    "message_id": [letter.message_id for letter in letters],
                    "line": [letter.line for letter in letters],
                }
            )
            statement = Statement(
                "DELETE FROM raw.dead_letters WHERE (message_id, line) IN (SELECT (message_id, line) FROM gone)"
            )
            self.session.run([statement], {"gone": gone})

    def close(self) -> None:
        if self._server:
            self._server.close()
        self.session.close()


def _by_table(batches: Sequence[TableBatch]) -> dict[str, list[TableBatch]]:
    found: dict[str, list[TableBatch]] = {}
    for batch in batches:
        if batch.rows.num_rows:
            found.setdefault(batch.layout.table, []).append(batch)
    return found


def _arriving(tables: Sequence[pa.Table], now: dt.datetime) -> pa.Table:
    """All rows, in order of arrival, which `_arrival` keeps; a column that only some have is NULL in the rest."""
    rows = pa.concat_tables(tables, promote_options="permissive") if len(tables) > 1 else tables[0]
    count = rows.num_rows
    rows = rows.append_column("_arrival", pa.array(range(count), pa.int64()))
    return rows.append_column("_written_at", pa.repeat(pa.scalar(now, pa.timestamp("us", "UTC")), count))


def _distinct(rows: pa.Table, key: Sequence[str]) -> bool:
    """Whether no key comes twice; False where that is not known."""
    return rows.num_rows == 1 or (len(key) == 1 and pc.count_distinct(rows[key[0]]).as_py() == rows.num_rows)


def _with_nulls(rows: pa.Table, missing: Sequence[str]) -> pa.Table:
    for name in missing:
        rows = rows.append_column(name, pa.nulls(rows.num_rows))
    return rows


def _wider(known: str, new: str) -> str:
    """A DuckDB type that holds the values of both, which is text where numbers and times do not do."""
    if known == new:
        return known
    if {known, new} <= _NUMBERS or known.startswith("DECIMAL") or new.startswith("DECIMAL"):
        merged = _wider_number(known, new)
        if merged:
            return merged
    return "VARCHAR"


_NUMBERS = {"BIGINT", "DOUBLE"}


def _wider_number(known: str, new: str) -> str | None:
    def digits(name: str) -> tuple[int, int] | None:
        if name == "BIGINT":
            return 19, 0
        if name.startswith("DECIMAL("):
            precision, scale = name[8:-1].split(",")
            return int(precision) - int(scale), int(scale)
        return None

    left, right = digits(known), digits(new)
    if left is None or right is None:
        return "DOUBLE" if {known, new} == _NUMBERS else None
    whole, scale = max(left[0], right[0]), max(left[1], right[1])
    return f"DECIMAL({whole + scale},{scale})" if whole + scale <= 38 else None


def _text_where_needed(rows: pa.Table, known: Mapping[str, str]) -> pa.Table:
    """A column whose table holds text by now is handed over as text."""
    for index, field in enumerate(rows.schema):
        if known.get(field.name) == "VARCHAR" and not pa.types.is_string(field.type):
            rows = rows.set_column(index, field.name, as_text(rows.column(index)))
    return rows


def _dead_table(dead: Sequence[DeadRow], now: dt.datetime) -> pa.Table:
    return pa.table(
        {
            "message_id": [row.message_id for row in dead],
            "line": [row.line for row in dead],
            "table": pa.array([row.table for row in dead], pa.string()),
            "reason": [row.reason for row in dead],
            "error": [row.error for row in dead],
            "data": pa.array([row.data for row in dead], pa.binary()),
            "schema_line": pa.array([row.schema for row in dead], pa.binary()),
            "attributes": [json.dumps(row.attributes) for row in dead],
            "received_at": [now] * len(dead),
        }
    )


def _set(key: str, value: str) -> Statement:
    return Statement(
        "INSERT INTO raw.settings VALUES ($key, $value) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        {"key": key, "value": value},
    )
