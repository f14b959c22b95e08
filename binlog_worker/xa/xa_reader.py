"""The part of the reader that deals with XA transactions: it hands them to `prepared`, and takes them back as if their
rows stood where they are committed. No I/O."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from typing import cast

from binlog_worker.changes import Transaction
from binlog_worker.ddl.statement_changes import Reload, StatementChanges
from binlog_worker.ddl.statements import Kind, Statement
from binlog_worker.decoding.rows import Tables, decode_rows
from binlog_worker.log import events
from binlog_worker.log.event_bodies import Query
from binlog_worker.log.events import RawEvent, parse
from binlog_worker.sinks.packer import Changes
from binlog_worker.xa.prepared import PreparedTransactions
from binlog_worker.xa.xids import XaPrepare
from schemas.errors import CorruptBinlog, PurgedBinlog


class XaReader(ABC):
    """Base of `reader.Reader`, which reads everything else, and keeps what is declared here."""

    _prepared: PreparedTransactions
    _statements: StatementChanges
    _tables: Tables
    _source_tables: Collection[str]
    _transaction: Transaction | None
    _passed_over: bool

    @abstractmethod
    def _rows(self, event: RawEvent) -> Iterable[Changes]: ...

    @abstractmethod
    def _classify(self, query: Query) -> Statement: ...

    @abstractmethod
    def _statement(self, event: RawEvent, query: Query, statement: Statement) -> Iterable[Changes | Reload]: ...

    @abstractmethod
    def _end(self, event: RawEvent) -> None: ...

    def _hold(self, event: RawEvent) -> None:
        """A TABLE_MAP or rows of a transaction that is not prepared yet."""
        wanted = self._tables.remember(event) if event.kind == events.TABLE_MAP else decode_rows(event, self._tables)
        self._prepared.hold(event, wanted is not None)

    def _refuse_open_xa(self, event: RawEvent) -> None:
        if self._prepared.holding:
            raise CorruptBinlog("an XA transaction has no XA_PREPARE", position=event.at)

    def _xa_statement(self, event: RawEvent, statement: Statement) -> Iterable[Changes | Reload]:
        if statement.kind is not Kind.XA_END:
            self._refuse_open_xa(event)
        if statement.kind is Kind.XA_START:
            return self._begin_xa(event, statement.xid)
        if statement.kind is Kind.XA_COMMIT and not self._passed_over:
            return self._commit_xa(event, statement.xid)
        if statement.kind in (Kind.XA_COMMIT, Kind.XA_ROLLBACK):
            self._prepared.end(statement.xid)
            self._end(event)
        return ()

    def _begin_xa(self, event: RawEvent, xid: str) -> Iterable[Reload]:
        assert self._transaction is not None
        before = self._prepared.begin(xid, event, self._transaction.start, passed_over=self._passed_over)
        if before is None:
            return ()
        why = f"XA transaction {xid} of {before.file}:{before.position} ended without a word in the log"
        return self._statements.reloads(self._configured(before.tables), why, event, self._transaction)

    def _prepare(self, event: RawEvent, end: XaPrepare) -> Iterable[Changes | Reload]:
        wanted = self._prepared.prepare(end.xid, event)
        if end.one_phase and wanted:
            return self._commit_xa(event, end.xid)
        if end.one_phase:
            self._prepared.end(end.xid)
        self._end(event)
        return ()

    def _commit_xa(self, event: RawEvent, xid: str) -> Iterator[Changes | Reload]:
        assert self._transaction is not None
        try:
            for held in self._prepared.events(xid, event):
                if held.kind == events.TABLE_MAP:
                    self._tables.remember(held)
                elif held.kind in events.ROWS:
                    yield from self._rows(held)
                else:
                    query = cast(Query, parse(held))
                    yield from self._statement(held, query, self._classify(query))
        except PurgedBinlog as error:
            why = f"XA COMMIT {xid}: {error.message}"
            tables = self._configured(self._prepared.tables_of(xid))
            yield from self._statements.reloads(tables, why, event, self._transaction)
        self._prepared.end(xid)
        self._end(event)

    def _configured(self, tables: Collection[str] | None) -> list[str]:
        """All where it is not known which."""
        return [table for table in self._source_tables if tables is None or table in tables]
