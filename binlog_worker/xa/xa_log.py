"""What a stretch of the log says of XA transactions: which begin, what is in them, and how they end. Pure.

Between XA START and XA_PREPARE nothing else is logged: a transaction's rows stand together, in one file, whatever
comes before it is committed. Order of events: MySQL manual "Restrictions on XA Transactions"; MariaDB names the
transaction in its GTID event and logs no XA START.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, cast

from binlog_worker.log import events
from binlog_worker.log.event_bodies import HEADER_SIZE
from binlog_worker.log.event_gtids import MariadbGtid
from binlog_worker.log.events import Query, RawEvent, Rotate, parse
from binlog_worker.xa.xids import XaPrepare, XaStatement, parse_xa_statement
from schemas.checkpoint import PreparedXa
from schemas.errors import CorruptBinlog

MOST_TABLES, LONGEST_TABLES = 10, 300
"""Of one transaction: how many tables are named, in how many characters."""

_GTIDS = frozenset((events.GTID, events.ANONYMOUS_GTID, events.GTID_TAGGED))
_STATEMENTS = frozenset((events.QUERY, 18))
"""18: EXECUTE_LOAD_QUERY."""
_SEGMENT = 1 << 31


class Step(enum.Enum):
    BEGIN = "begin"
    INSIDE = "inside"
    PREPARED = "prepared"
    ENDED = "ended"


class XaStep(NamedTuple):
    """BEGIN: `event` is the first of the transaction. INSIDE: a TABLE_MAP, rows or a statement. PREPARED: to be ended
    later. ENDED: by COMMIT, ROLLBACK or the COMMIT in one phase."""

    step: Step
    xid: str
    event: RawEvent


class Stretch(NamedTuple):
    """`prepared` in this stretch and not ended in it; `ended` in it and not begun in it."""

    prepared: Mapping[str, PreparedXa]
    ended: frozenset[str]


class TablesNamed:
    """Names of the tables of a transaction, from its TABLE_MAP events."""

    def __init__(self) -> None:
        self._found: dict[str, None] = {}

    def add(self, table_map: RawEvent) -> None:
        if len(self._found) <= MOST_TABLES:
            self._found[_table_name(table_map)] = None

    def names(self) -> tuple[str, ...] | None:
        """None: more than are named."""
        if len(self._found) > MOST_TABLES or sum(map(len, self._found)) > LONGEST_TABLES:
            return None
        return tuple(self._found)


class RowNumbers:
    """Numbers the rows of a transaction by the place of their event among the bytes of all rows: see `payload`, where
    the reasons are. What other tables are configured changes no number."""

    def __init__(self) -> None:
        self._offset = 0

    def numbered(self, event: RawEvent) -> RawEvent:
        """Its `position` is how far behind the place of the commit, in units that are 0 up to 2 GB of rows."""
        segment, low = divmod(self._offset, _SEGMENT)
        if event.kind != events.TABLE_MAP:
            self._offset += len(event.data)
        return RawEvent(event.kind, event.timestamp, event.server_id, event.flags, "", segment, 0, event.data, low // 2)


def xa_statement(event: RawEvent) -> XaStatement | None:
    """None where it is another statement."""
    return parse_xa_statement(cast(Query, parse(event)).sql) if b"XA " in event.data else None


def xa_steps(log: Iterable[RawEvent]) -> Iterator[XaStep]:
    """`log` begins between two transactions, and is of plain events (see `compressed`). Raises what parsing raises."""
    first: RawEvent | None = None
    xid = ""
    for event in log:
        kind = event.kind
        if kind == events.MARIADB_GTID:
            xid = cast(MariadbGtid, parse(event)).prepared_xid
            if xid:
                yield XaStep(Step.BEGIN, xid, event)
        elif kind in _GTIDS:
            first, xid = event, ""
            continue
        elif kind in _STATEMENTS:
            statement = xa_statement(event)
            if statement is None:
                if xid:
                    yield XaStep(Step.INSIDE, xid, event)
            elif statement.verb == "START":
                xid = statement.xid
                yield XaStep(Step.BEGIN, xid, first or event)
            elif statement.verb != "END":
                yield XaStep(Step.ENDED, statement.xid, event)
        elif kind == events.XA_PREPARE:
            end = cast(XaPrepare, parse(event))
            yield XaStep(Step.ENDED if end.one_phase else Step.PREPARED, end.xid, event)
            xid = ""
        elif xid and (kind == events.TABLE_MAP or kind in events.ROWS):
            yield XaStep(Step.INSIDE, xid, event)
        first = None


def read_stretch(log: Iterable[RawEvent], file: str, end: int | None) -> Stretch:
    """`log` is `file` from its beginning on; read up to the position `end`, or to the next file where it is None."""
    prepared: dict[str, PreparedXa] = {}
    ended: set[str] = set()
    begun: tuple[str, RawEvent] | None = None
    tables = TablesNamed()
    for step, xid, event in xa_steps(_one_file(log, file, end)):
        if step is Step.BEGIN:
            begun, tables = (xid, event), TablesNamed()
        elif step is Step.INSIDE:
            if event.kind == events.TABLE_MAP:
                tables.add(event)
        elif step is Step.PREPARED:
            if begun is not None and begun[0] == xid:
                first = begun[1]
                prepared[xid] = PreparedXa(xid, file, first.position, first.timestamp, tables.names())
        elif prepared.pop(xid, None) is None and (begun is None or begun[0] != xid):
            ended.add(xid)
    return Stretch(prepared, frozenset(ended))


def _one_file(log: Iterable[RawEvent], file: str, end: int | None) -> Iterator[RawEvent]:
    for event in log:
        if event.file != file or (end is not None and event.position >= end):
            return
        yield event
        if event.kind == events.ROTATE and cast(Rotate, parse(event)).file != file:
            return


def transaction_events(log: Iterable[RawEvent], wanted: PreparedXa, end: int | None) -> Iterator[RawEvent]:
    """What is inside of one prepared transaction, numbered; `log` begins where it begins, and is read up to the
    position `end`, or to the next file where it is None. Raises CorruptBinlog where the log has another one there.
    """
    numbers, begun = RowNumbers(), False
    for step, xid, event in xa_steps(_one_file(log, wanted.file, end)):
        if step is Step.BEGIN and not begun and (xid, event.position) == (wanted.xid, wanted.position):
            begun = True
        elif step is Step.INSIDE and begun:
            yield numbers.numbered(event)
        elif step in (Step.PREPARED, Step.ENDED) and begun and xid == wanted.xid:
            return
        else:
            break
    at = f"{wanted.file}:{wanted.position}"
    raise CorruptBinlog(f"XA transaction {wanted.xid} does not begin there, or does not end", position=at)


def _table_name(table_map: RawEvent) -> str:
    """See `table_map`. Raises CorruptBinlog."""
    data, pos = table_map.data, HEADER_SIZE + 8
    try:
        schema = data[pos + 1 : pos + 1 + data[pos]]
        pos += 2 + data[pos]
        return f"{schema.decode()}.{data[pos + 1 : pos + 1 + data[pos]].decode()}"
    except (ValueError, IndexError) as error:
        raise CorruptBinlog(f"malformed TABLE_MAP event: {error}", position=table_map.at) from error
