"""The BigQuery warehouse: rows, entries and notes as upserts through the Storage Write API, queries over REST.

There is no transaction over several tables. What is written is the same however often, and each group of messages is
noted as arrived only after all that came of it is confirmed: killed in between, it comes again.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pyarrow as pa

from pipeline.bigquery import ddl, own_rows
from pipeline.bigquery.append_client import AppendClient
from pipeline.bigquery.appends import Append, Appends
from pipeline.bigquery.arrivals import JOIN_S, join_arrivals
from pipeline.bigquery.arriving import Arriving, Written
from pipeline.bigquery.client import BigQueryClient
from pipeline.bigquery.loads import BigQueryLoads, Lease
from pipeline.bigquery.names import parse_dataset
from pipeline.bigquery.tables import RawTables
from pipeline.changes import Changes, DeadRow, Load
from pipeline.derivation import check_derivation
from pipeline.google_names import quoted
from pipeline.source_kinds import SourceKinds
from pipeline.stored_letters import stored_letters
from pipeline.warehouse import Applied, Scanned, StoredLoad, StoredTable
from schemas.config import ShopConfig
from schemas.errors import WarehouseError

WRITERS = 4
"""Groups that are written at once: while one waits for its confirmations, the next is made ready."""

EPOCH_S = 60.0
"""For so long the highest epoch that another process has seen may be unknown here: a guard, which decides no order."""


def open_bigquery(config: ShopConfig, *, read_only: bool = False, writing: bool = False) -> BigQueryWarehouse:
    """Opens the warehouse; makes its datasets and tables where they are missing, unless it is `read_only`. `writing`:
    it will be written to, so what is missing for that is said at once.

    Raises ConfigError, WarehouseError, WarehouseUnavailable.
    """
    client = BigQueryClient(parse_dataset(str(config.warehouse), config.project), config.location)
    tables = RawTables(client, staleness=config.max_staleness, partition=config.partition)
    warehouse = BigQueryWarehouse(client, tables)
    try:
        if writing:
            warehouse.appends.connections_opened  # noqa: B018 - opens what it needs, or says what is missing
        if not read_only:
            tables.make_own()
    except BaseException:
        warehouse.close()
        raise
    return warehouse


class BigQueryWarehouse:
    """See `pipeline.warehouse.Warehouse`. Safe for several threads; several processes may write at once."""

    writers = WRITERS

    def __init__(self, client: BigQueryClient, tables: RawTables, appends: Appends | None = None) -> None:
        self.client = client
        self._tables = tables
        self._arriving = Arriving(tables)
        self._appends = appends
        self._loads = BigQueryLoads(client, self.note)
        self._kinds = SourceKinds(self.recall)
        self._lease: Lease | None = None
        self._epoch: tuple[float, str] | None = None
        self._joined_at = time.monotonic()
        self._retries_told = 0
        self._lock = threading.RLock()
        self._seen = threading.local()

    # What the stream does

    def apply(self, changes: Changes) -> Applied:
        """In this order: tables and columns; rows, entries and versions; what is noted of them; their arrivals."""
        started = time.monotonic()
        now = dt.datetime.now(dt.timezone.utc)
        self._seen.append_ms = []
        written = Written.of(changes)
        try:
            with self._lock:
                rounds = self._arriving.rounds(changes, written, now)
                kinds = dict(self._kinds.new(changes.batches))
            for rows in rounds:
                self._arriving.refused(rows, self.appends.write([one.append for one in rows]), written)
            self._write_notes(changes, written, kinds, now)
            self.note(own_rows.arrivals(changes.arrivals, now))
            self._join_arrivals(changes, now)
            if changes.loaded is not None:
                self._finish(changes.loaded, now)
        except BaseException:
            with self._lock:
                self._tables.forget()
                self._kinds.forget()
            raise
        return Applied(
            changes.events - written.refused,
            len(written.dead),
            time.monotonic() - started,
            retries=self._retries(),
            append_ms=tuple(self._seen.append_ms),
        )

    def _retries(self) -> int:
        """Requests that were sent again since it was asked last."""
        with self._lock:
            told, self._retries_told = self._retries_told, self.appends.retries
            return self._retries_told - told

    @property
    def appends(self) -> Appends:
        """Opened by the first write: most commands only read."""
        with self._lock:
            if self._appends is None:
                self._appends = Appends(AppendClient(), self.client.dataset, self._told)
            return self._appends

    def _told(self, seconds: float, rows: int, size: int) -> None:
        """In the thread that writes."""
        if hasattr(self._seen, "append_ms"):
            self._seen.append_ms.append(round(seconds * 1000))

    def _write_notes(self, changes: Changes, written: Written, kinds: dict[str, str], now: dt.datetime) -> None:
        """Floors, reload marks, dead letters, settings and chunks of loads: all at once, after the rows."""
        notes = [
            *own_rows.floors(changes.floors),
            *own_rows.reloads(changes.reloads, now),
            *own_rows.letters(list(written.dead.values()), now),
        ]
        settings = dict(kinds)
        if changes.highest_epoch > self._known_epoch():
            settings["highest_epoch"] = changes.highest_epoch
        notes += own_rows.settings(settings)
        if changes.chunk is not None:
            dead = changes.chunk.dead + len(written.dead) - written.before
            notes += self._loads.note(changes.chunk, dead, now)
        self.note(notes)
        if "highest_epoch" in settings:
            self._epoch = (time.monotonic(), settings["highest_epoch"])

    def note(self, notes: Sequence[Append]) -> None:
        """Writes to own tables. Raises WarehouseError where BigQuery refuses a row of one."""
        if not notes:
            return
        refused = self.appends.write(notes)
        for table, rows in refused.items():
            raise WarehouseError(
                f"BigQuery refuses a row of {self.client.dataset.raw}.{table}: {rows[0].message[:500]}",
                hint="was the table changed by hand? Name another dataset under `warehouse`, or drop that table",
                table=table,
            )

    def forget_loads(self, tables: Sequence[str]) -> None:
        """Loads of source tables that are not done begin anew."""
        self._loads.forget(tables)

    def _join_arrivals(self, changes: Changes, now: dt.datetime) -> None:
        with self._lock:
            due = bool(changes.arrivals) and time.monotonic() - self._joined_at > JOIN_S
            if due:
                self._joined_at = time.monotonic()
        if due:
            self.note(join_arrivals(self.client, now))

    def _finish(self, load: Load, now: dt.datetime) -> None:
        """Tables of a load without rows are there, too."""
        with self._lock:
            for layout in load.targets:
                self._arriving.ensured(layout)
        self._loads.finish(load, now)

    # What it remembers

    def _settings(self, *keys: str) -> dict[str, str]:
        sql = "SELECT key, value FROM raw.settings WHERE key IN UNNEST(@keys)"
        return {row["key"]: row["value"] for row in self.client.rows(sql, {"keys": list(keys)})}

    def _known_epoch(self) -> str:
        return self._epoch[1] if self._epoch else ""

    def highest_epoch(self) -> str:
        if self._epoch is None or time.monotonic() - self._epoch[0] > EPOCH_S:
            found = self._settings("highest_epoch").get("highest_epoch", "")
            self._epoch = (time.monotonic(), max(found, self._known_epoch()))
        return self._known_epoch()

    def recall(self, name: str) -> str | None:
        return self._settings(name).get(name)

    def remember(self, name: str, value: str) -> None:
        self.note(own_rows.settings({name: value}))

    def raw_tables(self) -> dict[str, StoredTable]:
        return self._tables.stored()

    def check_settings(self, config: ShopConfig) -> None:
        derivation = check_derivation(self.recall("derivation"), config)
        if derivation is not None:
            self.remember("derivation", derivation)

    # What a batch asks

    def lock_loads(self) -> None:
        self._lease = Lease(self.client, self.note)
        self._lease.take()

    def loads(self) -> list[StoredLoad]:
        return self._loads.stored()

    def open_load(self, load: Load) -> Load:
        return self._loads.open(load, dt.datetime.now(dt.timezone.utc))

    # What the other commands ask

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None
    ) -> AbstractContextManager[pa.RecordBatchReader]:
        return self.client.read(sql, parameters)

    def replace_tables(self, tables: Sequence[tuple[str, str]], parameters: Mapping[str, Any]) -> dict[str, int]:
        """Each table is replaced atomically, in order, but not all of them at once: BigQuery's transactions take no
        CREATE TABLE, and DELETE and INSERT of all rows would scan and keep them twice. A reader may meet tables of two
        rollups for some seconds; the last of them, `rolled_up`, tells which day they are of."""
        for table, query in tables:
            used = {name: value for name, value in parameters.items() if f"@{name}" in query}
            self.client.run(ddl.replace_table(self.client.dataset, table, query), used, what=f"rolled-up table {table}")
        counts = ", ".join(f"(SELECT COUNT(*) FROM {quoted(name)}) AS {quoted(name)}" for name, _ in tables)
        return dict(self.client.rows(f"SELECT {counts}")[0])

    def replace_views(self, views: Sequence[tuple[str, str]]) -> None:
        for name, query in views:
            self.client.run(ddl.replace_view(self.client.dataset, name, query), what=f"view {name}")

    def fresh(self) -> AbstractContextManager[None]:
        return self._tables.fresh()

    def scanned(self) -> Scanned:
        return Scanned(size=self.client.bytes_scanned)

    def dead_letters(self, table: str | None = None) -> list[DeadRow]:
        return stored_letters(self.query, table)

    def forget_dead_letters(self, letters: Sequence[DeadRow]) -> None:
        keys = [(letter.message_id, letter.line) for letter in letters]
        self.note(own_rows.forgotten(keys, dt.datetime.now(dt.timezone.utc)))

    def close(self) -> None:
        if self._lease is not None:
            self._lease.release()
        if self._appends is not None:
            self._appends.close()
        self.client.close()
