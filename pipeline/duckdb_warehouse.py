"""The DuckDB warehouse: raw tables upserted by sequence number, views over their live rows, rolled-up tables beside."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from pipeline import duckdb_sql as sql
from pipeline.changes import Changes, DeadRow, Load, TableBatch
from pipeline.derivation import check_derivation
from pipeline.duckdb_catalogue import stored_tables
from pipeline.duckdb_loads import DuckDBLoads
from pipeline.duckdb_server import DuckDBServer, RemoteSession
from pipeline.duckdb_tables import RawTables, arriving, by_table, distinct_keys, fitting, versions_of
from pipeline.google_sql import to_duckdb
from pipeline.layout import Layout, stored_columns
from pipeline.session import LocalSession, Statement, WarehouseLocked
from pipeline.source_kinds import SourceKinds
from pipeline.stored_letters import stored_letters
from pipeline.warehouse import Applied, Scanned, StoredLoad, StoredTable, Waiting
from schemas.columns import STRING
from schemas.config import ShopConfig
from schemas.errors import QueryError, WarehouseError, WarehouseUnavailable
from schemas.tables import OWN_TABLES

LOG = logging.getLogger(__name__)
HOLD_WAIT_S = 30.0
SHARE_WAIT_S = 3.0
MERGE_ARRIVALS_S = 60.0


def open_duckdb(
    path: str,
    *,
    hold: bool = False,
    join: bool = False,
    read_only: bool = False,
    memory: str | None = None,
    waiting: Waiting | None = None,
) -> DuckDBWarehouse:
    """Opens the file, or joins the stream that holds it.

    A short command may hold the file for a moment: `hold` waits 30 s for it, the others 3 s for the holder to share.
    `hold` and `join`: shares the file with the others, or joins one that does. `memory` limits DuckDB's, such as 512MB.
    Raises WarehouseError: locked and not shared, not a DuckDB file, no such folder.
    """
    if read_only and not Path(path).exists():
        raise WarehouseError(f"{path} does not exist", hint="`ltv-pipeline stream` or `replay` makes it")
    deadline = time.monotonic() + (HOLD_WAIT_S if hold else SHARE_WAIT_S)
    told = False
    while True:
        try:
            session = LocalSession(path, read_only=read_only, memory=memory)
            return DuckDBWarehouse(session, server=DuckDBServer(session) if hold else None, read_only=read_only)
        except WarehouseLocked as locked:
            if join or not hold:
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

    writers = 1

    def __init__(
        self, session: LocalSession | RemoteSession, *, server: DuckDBServer | None = None, read_only: bool = False
    ) -> None:
        self.session = session
        self._server = server
        self._tables = RawTables(session)
        self._loads = DuckDBLoads(session, self._tables)
        self._kinds = SourceKinds(self._setting)
        self._epoch = ""
        self._lock: IO[bytes] | None = None
        self._merged_at = time.monotonic()
        if not (isinstance(session, LocalSession) and read_only):
            session.run(sql.create_own_tables())

    # What the stream does

    def apply(self, changes: Changes) -> Applied:
        started = time.monotonic()
        now = dt.datetime.now(dt.timezone.utc)
        statements: list[Statement] = []
        inputs: dict[str, pa.Table] = {}
        upserted: list[sql.Upserted] = []
        stale = 0
        self._tables.know()
        try:
            if changes.chunk is not None and changes.chunk.load.beside:
                self._loads.append(changes, statements, inputs, now)
            else:
                upserted = self._upsert(changes, statements, inputs, now)
            statements += [sql.setting(name, kinds) for name, kinds in self._kinds.new(changes.batches)]
            if changes.chunk is not None:
                statements.append(self._loads.note(changes.chunk, now))
            self._note(changes, statements, inputs, now)
            if time.monotonic() - self._merged_at > MERGE_ARRIVALS_S:
                self._merged_at = time.monotonic()
                statements += [
                    Statement(statement.sql, {"now": now} if "$now" in statement.sql else {})
                    for statement in sql.MERGE_ARRIVALS
                ]
            if upserted:
                statements.append(sql.count_stale(upserted, now))
                stale = self.session.run(statements, inputs).read_all()["stale"][0].as_py()
            elif statements:
                self.session.run(statements, inputs)
            if changes.loaded is not None:
                self._loads.finish(changes.loaded, now)
        except BaseException:
            self._tables.forget()
            self._kinds.forget()
            raise
        self._epoch = max(self._epoch, changes.highest_epoch)
        return Applied(changes.events, len(changes.dead), time.monotonic() - started, stale)

    def _upsert(
        self, changes: Changes, statements: list[Statement], inputs: dict[str, pa.Table], now: dt.datetime
    ) -> list[sql.Upserted]:
        upserted = []
        for table, batches in by_table(changes.batches).items():
            for layout in dict.fromkeys(batch.layout for batch in batches):
                self._ensure(table, layout, statements)
            for _, alike in itertools.groupby(batches, lambda batch: stored_columns(batch.layout)):
                upserted.append(self._upsert_table(table, list(alike), statements, inputs, now))
        if changes.entries:
            rows = arriving(changes.entries, now)
            inputs["new_entries"] = rows
            columns = [name for name in OWN_TABLES["ltv_entries"] if name in rows.column_names]
            distinct = distinct_keys(rows, ("entry_id",))
            statements.append(sql.upsert("ltv_entries", columns, ("entry_id",), "new_entries", distinct=distinct))
        return upserted

    def _ensure(self, table: str, layout: Layout, statements: list[Statement]) -> None:
        """Before any of the table's rows: DuckDB commits no rows that came before an ALTER of the same transaction."""
        wanted = stored_columns(layout)
        self._tables.ensure(table, wanted, layout.key, statements, sql.create_view)
        if layout.role == "orders":
            history = {"_op": STRING, **wanted}
            self._tables.ensure(f"{table}_history", history, (), statements, sql.create_history_view)

    def _upsert_table(
        self,
        table: str,
        batches: list[TableBatch],
        statements: list[Statement],
        inputs: dict[str, pa.Table],
        now: dt.datetime,
    ) -> sql.Upserted:
        key = batches[0].layout.key
        known = self._tables.columns[table]
        rows = fitting(arriving([batch.rows for batch in batches], now), known)
        name = f"new_{len(inputs)}"
        inputs[name] = rows
        distinct = distinct_keys(rows, key)
        statements.append(sql.upsert(table, list(known), key, name, distinct=distinct))
        if batches[0].layout.role == "orders":
            history = f"{table}_history"
            columns = [column for column in self._tables.columns[history] if column in rows.column_names]
            statements += sql.append_versions(history, columns, key, name, versions_of(rows), distinct=distinct)
        return sql.Upserted(table, key, name, rows.num_rows if distinct else None)

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
            inputs["new_dead"] = dead_table(changes.dead, now)
            columns = list(OWN_TABLES["dead_letters"])
            again = sql.REPLACE_LETTERS if changes.chunk is not None else "ON CONFLICT DO NOTHING"
            statements.append(sql.insert("dead_letters", columns, "new_dead", again))
        if changes.highest_epoch > self._epoch:
            statements.append(sql.setting("highest_epoch", changes.highest_epoch))

    # What it remembers

    def _setting(self, key: str) -> str | None:
        with self.session.read(Statement("SELECT value FROM raw.settings WHERE key = $key", {"key": key})) as reader:
            rows = reader.read_all().to_pylist()
        return rows[0]["value"] if rows else None

    def highest_epoch(self) -> str:
        self._epoch = self._setting("highest_epoch") or ""
        return self._epoch

    def recall(self, name: str) -> str | None:
        return self._setting(name)

    def remember(self, name: str, value: str) -> None:
        self.session.run([sql.setting(name, value)])

    def raw_tables(self) -> dict[str, StoredTable]:
        return stored_tables(self.session)

    def check_settings(self, config: ShopConfig) -> None:
        derivation = check_derivation(self._setting("derivation"), config)
        if derivation is not None:
            self.session.run([sql.setting("derivation", derivation)])

    # What a batch asks

    def lock_loads(self) -> None:
        import fcntl

        self._lock = Path(f"{self.session.path}.batch").open("ab")  # noqa: SIM115 - closed with the warehouse
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WarehouseError(
                f"a batch is running on {self.session.path} already", hint="wait for it, or stop it: the next goes on"
            ) from error

    def loads(self) -> list[StoredLoad]:
        return self._loads.stored()

    def open_load(self, load: Load) -> Load:
        self._tables.forget()
        return self._loads.open(load, dt.datetime.now(dt.timezone.utc))

    # What the other commands ask

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None
    ) -> AbstractContextManager[pa.RecordBatchReader]:
        return self.session.read(Statement(to_duckdb(sql), dict(parameters or {})))

    def replace_tables(self, tables: Sequence[tuple[str, str]], parameters: Mapping[str, Any]) -> dict[str, int]:
        statements = []
        for table, text in tables:
            used = {name: value for name, value in parameters.items() if f"@{name}" in text}
            query = Statement(to_duckdb(text), used)
            statements += sql.replace_table(table, self._columns_of(query), query)
        counts = ", ".join(
            f"(SELECT count(*) FROM main.{sql.quoted(name)}) AS {sql.quoted(name)}" for name, _ in tables
        )
        statements.append(Statement(f"SELECT {counts}"))
        found: dict[str, int] = self.session.run(statements, own_connection=True).read_all().to_pylist()[0]
        return found

    def replace_views(self, views: Sequence[tuple[str, str]]) -> None:
        statements = [
            Statement(f"CREATE OR REPLACE VIEW main.{sql.quoted(name)} AS {to_duckdb(text)}") for name, text in views
        ]
        self.session.run(statements, own_connection=True)

    def _columns_of(self, query: Statement) -> dict[str, str]:
        """Column → DuckDB type of a result; none where the query reads a table that is not there yet."""
        try:
            with self.session.read(Statement(f"DESCRIBE {query.sql}", query.parameters)) as reader:
                return {row["column_name"]: row["column_type"] for row in reader.read_all().to_pylist()}
        except QueryError:
            return {}

    def fresh(self) -> AbstractContextManager[None]:
        return nullcontext()

    def scanned(self) -> Scanned | None:
        if isinstance(self.session, LocalSession):
            return Scanned(self.session.scanned_bytes, self.session.scanned_rows)
        return None

    def dead_letters(self, table: str | None = None) -> list[DeadRow]:
        return stored_letters(self.query, table)

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
        if self._lock:
            self._lock.close()
        self.session.close()


def dead_table(dead: Sequence[DeadRow], now: dt.datetime) -> pa.Table:
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
