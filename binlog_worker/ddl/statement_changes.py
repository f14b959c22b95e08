"""What statements in the log make of the configured tables: truncations, reload marks, or the end of the run."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from binlog_worker import metrics
from binlog_worker.changes import ChangeWriter, Transaction
from binlog_worker.ddl.statements import Kind, Statement
from binlog_worker.log.events import RawEvent
from binlog_worker.sinks.packer import Changes, PackedSchema
from schemas.errors import StatementInBinlog
from schemas.event import reload_line


class Reload(NamedTuple):
    """Rows of a table changed without row events: an event line, and its place in the order of changes."""

    table: str
    line: bytes
    sequence: str
    committed_at: str


class StatementChanges:
    """`schemas` are those of the tables as last seen."""

    def __init__(self, writer: ChangeWriter, schemas: Mapping[str, PackedSchema]) -> None:
        self._writer, self._schemas = writer, schemas

    def made(
        self, statement: Statement, sql: str, event: RawEvent, transaction: Transaction, touched: Collection[str]
    ) -> Iterable[Changes | Reload]:
        """`touched` are the tables of which the transaction has changed rows. Raises StatementInBinlog."""
        kind = statement.kind
        tables = [f"{schema}.{table}" for schema, table in statement.tables]
        if kind is Kind.STOP:
            raise StatementInBinlog(
                f"{statement.why}: {' '.join(sql.split())[:200]}",
                table=", ".join(tables) or None,
                position=event.at,
                hint="set binlog_format=ROW globally and in the sessions that override it; then go on behind it with"
                f" `--from {event.file}:{event.end} --epoch N`; rows that it changed stay as they were",
            )
        if kind in (Kind.ROLLBACK, Kind.ROLLBACK_TO) and touched:
            return self.reloads(
                sorted(touched), f"{kind.value}: rows that were logged did not happen", event, transaction
            )
        if kind is Kind.RELOAD_NEEDED:
            return self.reloads(tables, statement.why, event, transaction)
        if kind in (Kind.TRUNCATE, Kind.DROP):
            return self._truncations(tables, statement.why, event, transaction)
        return ()

    def _truncations(
        self, tables: Iterable[str], why: str, event: RawEvent, transaction: Transaction
    ) -> Iterable[Changes | Reload]:
        for table in tables:
            schema = self._schemas.get(table)
            if schema is None:
                yield from self.reloads([table], why, event, transaction)
                continue
            yield self._writer.truncation(table, schema, event, transaction, time.time_ns() // 1_000_000)

    def reloads(self, tables: Iterable[str], why: str, event: RawEvent, transaction: Transaction) -> Iterable[Reload]:
        sequence = f"{self._writer.prefix(event.file, event.position)}{2 * event.first_row:08X}"
        for table in tables:
            source = {**self._writer.source(event, transaction, table), "sequence": sequence}
            line = reload_line(table, why, source, time.time_ns() // 1_000_000)
            metrics.RELOADS.labels(table).inc()
            yield Reload(table, line, sequence, transaction.committed_at)
