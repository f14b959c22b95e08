"""XA transactions between XA PREPARE and XA COMMIT: their rows are held back until it is known what became of them.

Nothing of it has to outlast the worker: rows that are not at hand are read again from the log, which holds them
together at a known place (see `xa_log`). That place, not the rows, is in the checkpoint.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

from binlog_worker import metrics
from binlog_worker.log import events
from binlog_worker.log.dump_errors import START_HINT
from binlog_worker.log.events import RawEvent
from binlog_worker.xa.spool import Spool
from binlog_worker.xa.xa_log import RowNumbers, TablesNamed, read_stretch, transaction_events
from schemas.checkpoint import Place, PreparedXa
from schemas.errors import BadPosition, PurgedBinlog, TooManyPrepared, UnknownTransaction
from schemas.sequence import binlog_number

log = logging.getLogger(__name__)

MOST_PREPARED = 4_000
"""What a checkpoint has room for."""

FIRST_POSITION = 4


class PastLogs(ABC):
    """The logs of the server that is read, once more, beside the connection that follows them."""

    @abstractmethod
    def names(self) -> Sequence[str]:
        """Of all files that the server has, oldest first."""

    @abstractmethod
    def read(self, file: str, position: int) -> Generator[RawEvent]:
        """Plain events from there on; to be closed. At the end of the newest log it waits, or raises SourceUnavailable.
        Raises PurgedBinlog, and what a dump raises."""


class _Reading:
    """A transaction that is not prepared yet."""

    def __init__(self, begun: PreparedXa, passed_over: bool) -> None:
        self.begun, self.passed_over = begun, passed_over
        self.numbers, self.tables = RowNumbers(), TablesNamed()


class PreparedTransactions:
    """`begin`, `hold` and `prepare` as the log tells of a transaction; `events` and then `end` when it is committed."""

    def __init__(
        self,
        start: Place,
        past: PastLogs,
        known: Sequence[PreparedXa] = (),
        spool: Spool | None = None,
    ) -> None:
        """`known`: those that were prepared below `start`, as far as they are known; others are looked for there when
        they are committed."""
        self._past, self._spool = past, spool or Spool()
        self._open = {one.xid: one for one in known}
        self._listed: tuple[PreparedXa, ...] | None = None
        self._older = _OlderLogs(past, start)
        self._reading: _Reading | None = None

    def listed(self) -> tuple[PreparedXa, ...]:
        """Those that are prepared and neither committed nor rolled back, the oldest first."""
        if self._listed is None:
            self._listed = tuple(self._open.values())
            metrics.PREPARED.set(len(self._listed))
            metrics.PREPARED_SINCE.set(self._listed[0].since if self._listed else 0)
        return self._listed

    @property
    def holding(self) -> bool:
        """Whether what follows in the log belongs to a transaction that is not prepared yet."""
        return self._reading is not None

    def give_up(self) -> None:
        """The transaction that is being read is read again from its beginning, or never ends: the server crashed."""
        if self._reading is not None:
            self._spool.drop(self._reading.begun.xid)
            self._reading = None

    def begin(self, xid: str, first: RawEvent, position: int, *, passed_over: bool = False) -> PreparedXa | None:
        """Returns another transaction of that name of which the log never said how it ended; it is forgotten."""
        begun = PreparedXa(xid, first.file, position, first.timestamp, ())
        self._reading = _Reading(begun, passed_over)
        self._spool.begin(xid)
        before = self._open.get(xid)
        if before is None or (before.file, before.position) == (first.file, position):
            return None
        self._forget(xid)
        return before

    def hold(self, event: RawEvent, wanted: bool) -> None:
        """A TABLE_MAP, rows or a statement inside of it, and whether it concerns a configured table."""
        reading = self._reading
        assert reading is not None
        if event.kind == events.TABLE_MAP:
            reading.tables.add(event)
        numbered = reading.numbers.numbered(event)
        if wanted:
            self._spool.add(reading.begun.xid, numbered)

    def prepare(self, xid: str, event: RawEvent) -> bool:
        """The end of the transaction that is being read. False where it is passed over. Raises TooManyPrepared."""
        reading, self._reading = self._reading, None
        if reading is None or reading.begun.xid != xid:
            raise BadPosition(f"XA_PREPARE of {xid}, which did not begin", position=event.at, hint=START_HINT)
        if len(self._open) >= MOST_PREPARED and xid not in self._open:
            raise TooManyPrepared(
                f"more than {MOST_PREPARED:,} XA transactions are prepared and neither committed nor rolled back",
                position=event.at,
                hint="XA RECOVER on the server lists them: end them; those that it does not list were ended without a"
                f" word in the log, and are forgotten by going on with `--epoch N --from {event.file}:{event.end}`",
            )
        self._open[xid] = reading.begun._replace(tables=reading.tables.names())
        self._listed = None
        return not reading.passed_over

    def events(self, xid: str, commit: RawEvent) -> Iterator[RawEvent]:
        """What is inside of a transaction, as if it stood where `commit` does; the rows are numbered through.

        Raises UnknownTransaction where no log has it, PurgedBinlog where the one that had it is gone (`tables_of` says
        what it changed), and what reading that log raises.
        """
        held = self._spool.read(xid)
        for event in self._read_again(xid, commit) if held is None else held:
            yield event._replace(file=commit.file, position=commit.position + event.position, end=commit.end)

    def _read_again(self, xid: str, commit: RawEvent) -> Iterator[RawEvent]:
        wanted = self._open.get(xid)
        if wanted is None:
            wanted = self._older.find(xid)
            if wanted is None:
                raise _unknown(xid, commit, self._past.names())
            self._open[xid] = wanted
            self._listed = None
        with closing(self._past.read(wanted.file, wanted.position)) as past:
            yield from transaction_events(past, wanted, commit.end if commit.file == wanted.file else None)

    def tables_of(self, xid: str) -> tuple[str, ...] | None:
        """None where they are not known."""
        known = self._open.get(xid)
        return known.tables if known is not None else None

    def end(self, xid: str) -> None:
        """It was committed and its events are dealt with, or it was rolled back."""
        self._spool.drop(xid)
        self._forget(xid)

    def _forget(self, xid: str) -> None:
        if self._open.pop(xid, None) is not None:
            self._listed = None

    def close(self) -> None:
        self._spool.close()


def _unknown(xid: str, commit: RawEvent, names: Sequence[str]) -> UnknownTransaction:
    oldest = f", of which {names[0]} is the oldest" if names else ""
    return UnknownTransaction(
        f"XA COMMIT {xid}: its rows are in no log that the server has{oldest}",
        position=commit.at,
        hint="they were logged before that, or not at all (sql_log_bin=0); go on behind it with `--epoch N --from"
        f" {commit.file}:{commit.end}`, and load the tables again that the application changed in it",
    )


class _OlderLogs:
    """What was prepared below `start` and not ended there, found by reading older and older logs, each once."""

    def __init__(self, past: PastLogs, start: Place) -> None:
        self._past, self._start = past, start
        self._files: list[str] | None = None  # those not read yet, the newest last
        self._prepared: dict[str, PreparedXa] = {}
        self._ended: set[str] = set()

    def find(self, xid: str) -> PreparedXa | None:
        if self._files is None:
            last = binlog_number(self._start.file)[1]
            self._files = [name for name in self._past.names() if binlog_number(name)[1] <= last]
        while xid not in self._prepared and xid not in self._ended and self._files:
            self._read(self._files.pop(), xid)
        return self._prepared.pop(xid, None)

    def _read(self, file: str, xid: str) -> None:
        log.warning("looking in an older log for the rows of an XA transaction", extra={"xid": xid, "file": file})
        end = self._start.position if file == self._start.file else None
        try:
            with closing(self._past.read(file, FIRST_POSITION)) as past:
                found = read_stretch(past, file, end)
        except PurgedBinlog:
            self._files = []
            return
        for one in found.prepared.values():
            if one.xid not in self._ended:
                self._prepared.setdefault(one.xid, one)
        self._ended |= found.ended
