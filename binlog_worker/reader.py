"""Binlog events → changes: which transaction an event belongs to, whether it concerns a configured table, and how far
the log is done. No I/O."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from binlog_worker import events, metrics
from binlog_worker.changes import ChangeWriter, Transaction, iso_utc, published_columns
from binlog_worker.event_bodies import Query
from binlog_worker.event_gtids import Gtid, MariadbGtid
from binlog_worker.events import RawEvent, parse
from binlog_worker.gtids import GtidSet
from binlog_worker.packer import Changes, PackedSchema
from binlog_worker.rows import Tables, decode_rows
from binlog_worker.sink import Mark
from binlog_worker.statements import Kind, Statement, classify
from binlog_worker.table_map import TableLayout
from schemas.checkpoint import Place
from schemas.config import ShopConfig
from schemas.errors import StatementInBinlog
from schemas.event import reload_line

_BOUNDARIES = frozenset((
    events.GTID, events.ANONYMOUS_GTID, events.GTID_TAGGED, events.MARIADB_GTID,
    events.QUERY, events.XID, events.ROTATE, events.FORMAT_DESCRIPTION, events.HEARTBEAT, events.HEARTBEAT_V2,
))  # fmt: skip
"""What is looked at even in a transaction that is passed over."""

_BEGIN = b"BEGIN"


class Reload(NamedTuple):
    """Rows of a table changed without row events: an event line, and its place in the order of changes."""

    table: str
    line: bytes
    sequence: str
    committed_at: str


class Beat(NamedTuple):
    """What a heartbeat says: all changes below `sequence` have left, at `server_time` (ISO, UTC)."""

    sequence: str
    server_time: str
    source: dict[str, Any]


class Reader:
    """`schemas` are those of the catalogue, for a TRUNCATE of a table of which no row was seen; `delivered` are
    transactions to pass over; `refuse_created` raises, when the file of `place` was not created at `created` (seconds
    since 1970; 0: not known)."""

    def __init__(
        self,
        config: ShopConfig,
        writer: ChangeWriter,
        place: Place,
        schemas: Mapping[str, PackedSchema],
        *,
        ignore_case: bool = False,
        delivered: GtidSet | None = None,
        gtids: GtidSet | None = None,
        created: int = 0,
        refuse_created: Callable[[int], None] = lambda created: None,
    ) -> None:
        self._config, self._writer, self._schemas = config, writer, dict(schemas)
        self._names: Collection[tuple[str, str]] = [
            (schema, table) for schema, _, table in (name.partition(".") for name in config.source_tables)
        ]
        self._ignore_case, self._delivered, self._refuse_created = ignore_case, delivered, refuse_created
        self.place = place
        self.counted = 0
        """Changes made so far."""
        self.created = created
        self._gtids, self._gtid = gtids, ""
        self.committed_us = 0
        """Commit time of the last transaction read, microseconds since 1970."""
        self.restart()

    def restart(self) -> Place:
        """Forgets what a new connection tells again; returns where that must begin."""
        self._tables = Tables(self._choose, mariadb=self._writer.origin.connector == "mariadb")
        self._transaction: Transaction | None = None
        self._begun = self._passed_over = False
        self._touched: set[str] = set()
        self._done = self.place if self.place.event else None
        return self.place

    def _choose(self, layout: TableLayout) -> list[int] | None:
        return published_columns(self._config, layout)

    @property
    def between_transactions(self) -> bool:
        return self._transaction is None

    def mark(self, number: int) -> Mark:
        gtids = str(self._gtids) if self._gtids is not None else ""
        return Mark(self.place, self.created, self._gtid, gtids, number, self.committed_us)

    def reached(self, order: tuple[int, int, int, int]) -> bool:
        """Whether everything below a place (its `order`) has been read, and the log is known to be the right one."""
        return self.created > 0 and self.place.order >= order

    def beat(self, server_us: int) -> Beat:
        place = self.place
        source: dict[str, Any] = {
            "connector": self._writer.origin.connector,
            "name": self._writer.origin.name,
            "file": place.file,
            "pos": place.position,
        }
        position = place.event + 1 if place.event else place.position
        sequence = f"{self._writer.prefix(place.file, position)}{0:08X}"
        return Beat(sequence, iso_utc(server_us), source)

    def feed(self, event: RawEvent) -> Iterable[Changes | Reload]:
        """What an event changes. Raises what its decoding raises, and StatementInBinlog."""
        kind = event.kind
        if self._passed_over and kind not in _BOUNDARIES:
            return ()
        if kind in events.ROWS:
            return self._rows(event)
        if kind == events.TABLE_MAP:
            if self._transaction is None:
                self._begin(event, "", event.timestamp * 1_000_000)
            self._tables.remember(event)
            return ()
        if kind == events.QUERY and _is_begin(event.data):
            if self._transaction is None:
                self._begin(event, "", event.timestamp * 1_000_000)
            self._begun = True
            return ()
        body = parse(event)
        if kind == events.XID:
            self._end(event)
        elif isinstance(body, Query):
            return self._query(event, body)
        elif isinstance(body, Gtid):
            self._begin(event, body.text, body.immediate_commit_us or event.timestamp * 1_000_000)
        elif isinstance(body, MariadbGtid):
            self._begin(event, body.text, event.timestamp * 1_000_000)
            self._begun = not body.standalone
        elif isinstance(body, events.Rotate):
            if body.file != self.place.file:
                self._forget_transaction()
                self.place, self.created = Place(body.file, body.position), 0
        elif isinstance(body, events.FormatDescription):
            self._describe(event)
        elif self._transaction is None and event.end > event.position:
            self._move(event)
        return ()

    def _describe(self, event: RawEvent) -> None:
        if self.created and event.timestamp != self.created:
            self._refuse_created(event.timestamp)
        self.created = event.timestamp
        if event.end > event.position and self._transaction is None:
            self._move(event)

    def _move(self, event: RawEvent) -> None:
        if self.place.file != event.file or event.end > self.place.position:
            self.place = Place(event.file, event.end)

    def _begin(self, event: RawEvent, gtid: str, committed_us: int) -> None:
        """Also ends a transaction whose end the log does not show."""
        if self._transaction is not None:
            self._forget_transaction()
        if event.position > self.place.position:
            self.place = Place(event.file, event.position)
        self._transaction = Transaction(event.position, gtid, committed_us, iso_utc(committed_us))
        self.committed_us = committed_us
        self._passed_over = bool(gtid) and self._delivered is not None and self._delivered.contains(gtid)

    def _end(self, event: RawEvent) -> None:
        transaction = self._transaction
        if transaction is not None and transaction.gtid:
            self._gtid = transaction.gtid
            if self._gtids is not None:
                self._gtids.add(transaction.gtid)
        self._forget_transaction()
        self.place = Place(event.file, event.end)

    def _forget_transaction(self) -> None:
        self._transaction = None
        self._begun = False  # `_passed_over` stays until the next GTID: an XA transaction has several ends
        self._done = None
        if self._touched:
            self._touched = set()

    def _rows(self, event: RawEvent) -> Iterable[Changes]:
        transaction = self._transaction
        rows = decode_rows(event, self._tables)
        if rows is None or transaction is None:
            return ()
        done = self._done
        if done is not None and event.position < done.event:
            return ()
        changes = self._writer.changes(rows, event, transaction, time.time_ns() // 1_000_000)
        if done is not None and event.position == done.event:
            first = bisect_right(changes.rows, done.row)
            changes = changes._replace(lines=changes.lines[first:], rows=changes.rows[first:])
        if not changes.lines:
            return ()
        table = changes.schema.schema.table
        self._touched.add(table)
        self._schemas[table] = changes.schema
        self.counted += len(changes.lines)
        self.place = Place(event.file, transaction.start, event.position, changes.rows[-1])
        return (changes,)

    def _query(self, event: RawEvent, query: Query) -> Iterable[Changes | Reload]:
        if self._transaction is None:
            if self._passed_over:
                self._move(event)
                return ()
            self._begin(event, "", event.timestamp * 1_000_000)
        statement = classify(query.sql, query.db, self._names, ignore_case=self._ignore_case)
        made = list(self._statement(event, query, statement)) if not self._is_done(event) else []
        if made and self._transaction is not None:
            self.place = Place(event.file, self._transaction.start, event.position, 2 * len(made))
            self.counted += len(made)
        if statement.kind in (Kind.COMMIT, Kind.ROLLBACK) or not self._begun:
            self._end(event)
        return made

    def _is_done(self, event: RawEvent) -> bool:
        return self._passed_over or (self._done is not None and event.position <= self._done.event)

    def _statement(self, event: RawEvent, query: Query, statement: Statement) -> Iterable[Changes | Reload]:
        kind = statement.kind
        tables = [f"{schema}.{table}" for schema, table in statement.tables]
        if kind is Kind.STOP:
            raise StatementInBinlog(
                f"{statement.why}: {' '.join(query.sql.split())[:200]}",
                table=", ".join(tables) or None,
                position=event.at,
                hint="set binlog_format=ROW globally and in the sessions that override it; then go on behind it with"
                f" `--from {event.file}:{event.end} --epoch N`; rows that it changed stay as they were",
            )
        if kind in (Kind.ROLLBACK, Kind.ROLLBACK_TO) and self._touched:
            why = f"{kind.value}: rows that were logged did not happen"
            return self._reloads(event, sorted(self._touched), why)
        if kind is Kind.RELOAD_NEEDED:
            return self._reloads(event, tables, statement.why)
        if kind in (Kind.TRUNCATE, Kind.DROP):
            return self._truncations(event, tables, statement.why)
        return ()

    def _truncations(self, event: RawEvent, tables: list[str], why: str) -> Iterable[Changes | Reload]:
        assert self._transaction is not None
        for table in tables:
            schema = self._schemas.get(table)
            if schema is None:
                yield from self._reloads(event, [table], why)
                continue
            yield self._writer.truncation(table, schema, event, self._transaction, time.time_ns() // 1_000_000)

    def _reloads(self, event: RawEvent, tables: list[str], why: str) -> Iterable[Reload]:
        assert self._transaction is not None
        sequence = f"{self._writer.prefix(event.file, event.position)}{0:08X}"
        for table in tables:
            source = {**self._writer.source(event, self._transaction, table), "sequence": sequence}
            line = reload_line(table, why, source, time.time_ns() // 1_000_000)
            metrics.RELOADS.labels(table).inc()
            yield Reload(table, line, sequence, self._transaction.committed_at)


def _is_begin(data: bytes) -> bool:
    """Whether a Query event is BEGIN, by its bytes (see `event_bodies.parse_query`): every transaction has one."""
    if not data.endswith(_BEGIN):
        return False
    head = events.HEADER_SIZE
    return len(data) == head + 13 + data[head + 8] + int.from_bytes(data[head + 11 : head + 13], "little") + 1 + 5
