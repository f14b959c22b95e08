"""Binlog events → changes: which transaction an event belongs to, whether it concerns a configured table, and how far
the log is done. No I/O."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from binlog_worker.changes import ChangeWriter, Transaction, iso_utc, published_columns
from binlog_worker.ddl.statement_changes import Reload, StatementChanges
from binlog_worker.ddl.statements import Kind, Statement, classify
from binlog_worker.decoding.rows import Tables, decode_rows
from binlog_worker.decoding.table_map import TableLayout
from binlog_worker.decoding.true_types import TrueTypes
from binlog_worker.log import events
from binlog_worker.log.dump import Dump
from binlog_worker.log.event_bodies import Query, is_begin
from binlog_worker.log.event_gtids import Gtid, MariadbGtid
from binlog_worker.log.events import RawEvent, parse
from binlog_worker.ordinary import Ordinary, Underway
from binlog_worker.position.gtids import GtidSet
from binlog_worker.position.pass_over import PassOver
from binlog_worker.sinks.packer import Changes, PackedSchema, SingleChanges
from binlog_worker.sinks.sink import Mark
from binlog_worker.xa.prepared import PreparedTransactions
from binlog_worker.xa.xa_reader import XaReader
from binlog_worker.xa.xids import XaPrepare
from schemas.checkpoint import Place
from schemas.config import ShopConfig
from schemas.errors import CorruptBinlog

_BOUNDARIES = frozenset((
    events.GTID, events.ANONYMOUS_GTID, events.GTID_TAGGED, events.MARIADB_GTID,
    events.QUERY, events.XID, events.XA_PREPARE, events.ROTATE, events.FORMAT_DESCRIPTION, events.HEARTBEAT,
    events.HEARTBEAT_V2,
))  # fmt: skip
"""What is looked at even in a transaction that is passed over."""


class Beat(NamedTuple):
    """What a heartbeat says: all changes below `sequence` have left, at `server_time` (ISO, UTC)."""

    sequence: str
    server_time: str
    source: dict[str, Any]


class Reader(XaReader):
    """`schemas` are those of the catalogue, for a TRUNCATE of a table of which no row was seen; `passing` says which
    transactions are passed over, `gtids` which are below `place` or passed over, where that is known; `refuse_created`
    raises, when the file of `place` was not created at `created` (seconds since 1970; 0: not known); `types` adds the
    column types that the log does not tell."""

    def __init__(
        self,
        config: ShopConfig,
        writer: ChangeWriter,
        place: Place,
        schemas: Mapping[str, PackedSchema],
        prepared: PreparedTransactions,
        *,
        ignore_case: bool = False,
        passing: PassOver | None = None,
        gtids: GtidSet | None = None,
        created: int = 0,
        refuse_created: Callable[[int], None] = lambda created: None,
        types: TrueTypes | None = None,
    ) -> None:
        self._config, self._writer, self._schemas, self._prepared = config, writer, dict(schemas), prepared
        self._statements, self._source_tables = StatementChanges(writer, self._schemas), config.source_tables
        self._names: Collection[tuple[str, str]] = [
            (schema, table) for schema, _, table in (name.partition(".") for name in config.source_tables)
        ]
        self._ignore_case, self._passing, self._refuse_created = ignore_case, passing, refuse_created
        self._types = types
        self.place = place
        self.counted = 0
        """Changes made so far."""
        self.events = 0
        """Events read so far."""
        self.created = created
        self._gtids, self._gtid = gtids, ""
        self.committed_us = 0
        """Commit time of the last transaction read, microseconds since 1970."""
        self.restart()

    def restart(self) -> Place:
        """Forgets what a new connection tells again; returns where that must begin."""
        mariadb = self._writer.origin.connector == "mariadb"
        refine = self._types.refined if self._types is not None else None
        self._tables = Tables(self._choose, mariadb=mariadb, refine=refine)
        self._ordinary = Ordinary(self._writer, self._tables)
        self._transaction: Transaction | None = None
        self._begun = self._passed_over = False
        self._touched: set[str] = set()
        self._done = self.place if self.place.event else None
        self._prepared.give_up()
        return self.place

    def _choose(self, layout: TableLayout) -> list[int] | None:
        return published_columns(self._config, layout)

    @property
    def between_transactions(self) -> bool:
        return self._transaction is None

    def mark(self, number: int) -> Mark:
        gtids = self._gtids.at(self.place) if self._gtids is not None else ""
        prepared = self._prepared.listed()
        passing = str(self._passing or "")
        return Mark(self.place, self.created, self._gtid, gtids, number, self.committed_us, prepared, passing)

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
        sequence = f"{self._writer.prefix(place.file, place.event or place.position)}{place.row + 1:08X}"
        return Beat(sequence, iso_utc(server_us), source)

    def feed(self, event: RawEvent) -> Iterable[Changes | Reload]:
        """What an event changes, to be iterated before the next one: the end of an XA transaction may bring millions.

        Raises, also while iterating, what its decoding raises, StatementInBinlog, and for XA what `prepared` raises.
        """
        kind = event.kind
        self.events += 1
        if self._prepared.holding and (kind == events.TABLE_MAP or kind in events.ROWS):
            self._hold(event)
            return ()
        if self._passed_over and kind not in _BOUNDARIES:
            return ()
        if kind in events.ROWS:
            return self._rows(event)
        if kind == events.TABLE_MAP:
            if self._transaction is None:
                self._begin(event, "", event.timestamp * 1_000_000)
            self._tables.remember(event)
            return ()
        if kind == events.QUERY and is_begin(event.data, 0, len(event.data)):
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
            if body.prepared_xid:
                return self._begin_xa(event, body.prepared_xid)
        elif isinstance(body, XaPrepare):
            return self._prepare(event, body)
        elif isinstance(body, events.Rotate):
            if body.file != self.place.file:
                return self._change_file(event, body)
        elif isinstance(body, events.FormatDescription):
            self._describe(event)
        elif self._transaction is None and event.end > event.position:
            self._move(event)
        return ()

    def _change_file(self, event: RawEvent, rotate: events.Rotate) -> Iterable[Reload]:
        """No transaction goes on in another file: one that is open was being written when the server crashed."""
        self._prepared.give_up()
        made: list[Reload] = []
        if self._transaction is not None:
            why = "the server crashed inside a transaction: rows that were logged did not happen"
            made += self._statements.reloads(sorted(self._touched), why, event, self._transaction)
        self.counted += len(made)
        self._forget_transaction()
        self.place, self.created = Place(rotate.file, rotate.position), 0
        return made

    def read_ahead(self, dump: Dump) -> Sequence[Changes | SingleChanges]:
        """To be called between two events: takes from `dump` what is ordinary of that which it has received."""
        if self._done is not None or self._passed_over or self._prepared.holding:
            return ()
        underway = None
        if self._transaction is not None:
            underway = Underway(self._transaction, self._begun, self._touched)
        found = self._ordinary.read(dump, self.place, underway, may_begin=self._passing is None)
        if found is None:
            return ()
        self.place, self.committed_us = found.place, found.committed_us
        self.counted += found.counted
        self.events += found.events
        self._schemas.update(found.schemas)
        self._forget_transaction()
        if found.underway is not None:
            self._transaction, self._begun, self._touched = found.underway
        for run in found.runs:
            self._gtid = f"{run.key}{run.high}"
            if self._gtids is not None:
                self._gtids.add_run(*run)
        return found.made

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
        self._refuse_open_xa(event)
        if self._transaction is not None:
            self._forget_transaction()
        if event.position > self.place.position:
            self.place = Place(event.file, event.position)
        self._transaction = Transaction(event.position, gtid, committed_us, iso_utc(committed_us))
        self.committed_us = committed_us
        self._passed_over = self._passing is not None and self._passes_over(gtid, Place(event.file, event.position))

    def _passes_over(self, gtid: str, place: Place) -> bool:
        assert self._passing is not None
        if self._passing.is_over(place):
            self._passing = None
            return False
        return bool(gtid) and self._passing.holds(gtid, place)

    def _end(self, event: RawEvent) -> None:
        self._refuse_open_xa(event)
        transaction = self._transaction
        if transaction is not None and transaction.gtid:
            self._gtid = transaction.gtid
            if self._gtids is not None and not self._passed_over:
                self._gtids.add(transaction.gtid)
        self._forget_transaction()
        self.place = Place(event.file, event.end)

    def _forget_transaction(self) -> None:
        self._transaction = None
        self._begun = False
        self._done = None
        if self._touched:
            self._touched = set()

    def _rows(self, event: RawEvent) -> Iterable[Changes]:
        transaction = self._transaction
        rows = decode_rows(event, self._tables)
        if rows is None:
            return ()
        if transaction is None:
            raise CorruptBinlog("row event outside of any transaction", table=rows.table.layout.name, position=event.at)
        self._touched.add(rows.table.layout.name)
        done = self._done
        if done is not None and (event.position, 2 * event.first_row + len(event.data)) <= (done.event, done.row):
            return ()  # a row takes two bytes and more, and has two numbers at most
        now_ms = time.time_ns() // 1_000_000
        changes = self._writer.changes(rows, event, transaction, now_ms, first_row=event.first_row)
        if done is not None and event.position == done.event:
            first = bisect_right(changes.rows, done.row)
            changes = changes._replace(lines=changes.lines[first:], rows=changes.rows[first:])
        if not changes.lines:
            return ()
        self._schemas[changes.schema.schema.table] = changes.schema
        self.counted += len(changes.lines)
        self.place = Place(event.file, transaction.start, event.position, changes.rows[-1])
        return (changes,)

    def _query(self, event: RawEvent, query: Query) -> Iterable[Changes | Reload]:
        if self._transaction is None:
            if self._passed_over:
                self._move(event)
                return ()
            self._begin(event, "", event.timestamp * 1_000_000)
        statement = self._classify(query)
        if self._types is not None and (statement.kind is Kind.RELOAD_NEEDED or "ALTER" in query.sql.upper()):
            self._types.altered()
            self._tables.forget()
        if statement.xid:
            return self._xa_statement(event, statement)
        if self._prepared.holding:
            self._prepared.hold(event, True)
            return ()
        ends = statement.kind in (Kind.COMMIT, Kind.ROLLBACK) or not self._begun
        return self._statement(event, query, statement, ends=ends)

    def _classify(self, query: Query) -> Statement:
        return classify(query.sql, query.db, self._names, ignore_case=self._ignore_case)

    def _statement(
        self, event: RawEvent, query: Query, statement: Statement, *, ends: bool = False
    ) -> Iterable[Changes | Reload]:
        """`ends`: the transaction is over with it."""
        transaction = self._transaction
        assert transaction is not None
        if not self._is_done(event):
            made = list(self._statements.made(statement, query.sql, event, transaction, self._touched))
            if made:
                return self._leaving(made, event, transaction.start, ends)
        if ends:
            self._end(event)
        return ()

    def _leaving(
        self, made: Sequence[Changes | Reload], event: RawEvent, start: int, ends: bool
    ) -> Iterator[Changes | Reload]:
        """The place moves behind them when the last one has been taken: a checkpoint may be made between two."""
        yield from made
        self.place = Place(event.file, start, event.position, 2 * event.first_row)
        self.counted += len(made)
        if ends:
            self._end(event)

    def _is_done(self, event: RawEvent) -> bool:
        done = self._done
        return self._passed_over or (
            done is not None and (event.position, 2 * event.first_row) <= (done.event, done.row)
        )
