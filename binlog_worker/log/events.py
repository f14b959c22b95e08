"""Binlog events: the common header, and what becomes of every event type of MySQL 9 and MariaDB 10.11 and 11.

Each type is understood, known to be harmless (with the reason), or refused by name: nothing passes by silently.
Codes: MySQL source documentation "Log_event_type"; MariaDB knowledge base "Replication Protocol".
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from typing import NamedTuple

from binlog_worker import metrics
from binlog_worker.log import event_bodies as bodies
from binlog_worker.log import event_gtids as gtids
from binlog_worker.log.event_bodies import HEADER_SIZE, FormatDescription, Heartbeat, Query, Rotate, Stop, Xid
from binlog_worker.log.event_gtids import Gtid, MariadbGtid
from binlog_worker.xa.xids import XaPrepare, parse_xa_prepare
from schemas.errors import CorruptBinlog, IncidentInBinlog, LtvError, UnsupportedEvent

__all__ = [
    "EVENT_KINDS",
    "HEADER_SIZE",
    "ROWS",
    "FormatDescription",
    "Gtid",
    "Heartbeat",
    "MariadbGtid",
    "Parsed",
    "Query",
]
__all__ += ["RawEvent", "Rotate", "Stop", "Xid", "parse"]

log = logging.getLogger(__name__)

HEADER = struct.Struct("<IBIIIH")
"""timestamp (s), type, server_id, event size, low 32 bits of the end position, flags."""

FLAG_ARTIFICIAL, FLAG_IGNORABLE = 0x20, 0x80

QUERY, STOP, ROTATE, FORMAT_DESCRIPTION, XID, TABLE_MAP, HEARTBEAT, HEARTBEAT_V2 = 2, 3, 4, 15, 16, 19, 27, 41
GTID, ANONYMOUS_GTID, GTID_TAGGED, MARIADB_GTID, START_ENCRYPTION = 33, 34, 42, 162, 164
XA_PREPARE, TRANSACTION_PAYLOAD, QUERY_COMPRESSED = 38, 40, 165
WRITE_V1, UPDATE_V1, DELETE_V1, WRITE_V2, UPDATE_V2, DELETE_V2 = 23, 24, 25, 30, 31, 32
ROWS = frozenset((WRITE_V1, UPDATE_V1, DELETE_V1, WRITE_V2, UPDATE_V2, DELETE_V2))


class RawEvent(NamedTuple):
    """One event as sent. A NamedTuple, as are the parsed ones: a frozen dataclass takes three times as long to make.

    `position` and `end` are 64-bit byte offsets in `file`; an artificial event is not in the log and has both equal.
    `first_row` is the number that the event's first row has, where several events stand at one position.
    """

    kind: int
    timestamp: int
    server_id: int
    flags: int
    file: str
    position: int
    end: int
    data: bytes
    first_row: int = 0

    @property
    def at(self) -> str:
        return f"{self.file}:{self.position}"


Parsed = Rotate | FormatDescription | Gtid | MariadbGtid | Query | Xid | XaPrepare | Heartbeat | Stop | None


class EventKind(NamedTuple):
    """`parser` where the body is read here; `harmless` and `refused` say why; `packed` ones are replaced by what is in
    them before anybody looks at them (`compressed`). TABLE_MAP and rows have none of the four."""

    name: str
    parser: Callable[[bytes], Parsed] | None = None
    harmless: str | None = None
    refused: str | None = None
    packed: bool = False


_OLD = "written by servers before 5.1 only"
_LOAD = "data of a LOAD DATA logged as a statement, which EXECUTE_LOAD_QUERY names"
_VALUE = "a value for the statement that follows, which is judged by itself"

EVENT_KINDS: dict[int, EventKind] = {
    1: EventKind("START_V3", refused=_OLD),
    QUERY: EventKind("QUERY", bodies.parse_query),
    STOP: EventKind("STOP", bodies.parse_stop),
    ROTATE: EventKind("ROTATE", bodies.parse_rotate),
    5: EventKind("INTVAR", harmless=_VALUE),
    6: EventKind("LOAD", refused=_OLD),
    7: EventKind("SLAVE", harmless="never written since 4.0"),
    8: EventKind("CREATE_FILE", refused=_OLD),
    9: EventKind("APPEND_BLOCK", harmless=_LOAD),
    10: EventKind("EXEC_LOAD", refused=_OLD),
    11: EventKind("DELETE_FILE", harmless="ends a LOAD DATA that failed"),
    12: EventKind("NEW_LOAD", refused=_OLD),
    13: EventKind("RAND", harmless=_VALUE),
    14: EventKind("USER_VAR", harmless=_VALUE),
    FORMAT_DESCRIPTION: EventKind("FORMAT_DESCRIPTION", bodies.parse_format_description),
    XID: EventKind("XID", bodies.parse_xid),
    17: EventKind("BEGIN_LOAD_QUERY", harmless=_LOAD),
    18: EventKind("EXECUTE_LOAD_QUERY", bodies.parse_execute_load_query),
    TABLE_MAP: EventKind("TABLE_MAP"),
    20: EventKind("PRE_GA_WRITE_ROWS", refused=_OLD),
    21: EventKind("PRE_GA_UPDATE_ROWS", refused=_OLD),
    22: EventKind("PRE_GA_DELETE_ROWS", refused=_OLD),
    WRITE_V1: EventKind("WRITE_ROWS_V1"),
    UPDATE_V1: EventKind("UPDATE_ROWS_V1"),
    DELETE_V1: EventKind("DELETE_ROWS_V1"),
    26: EventKind("INCIDENT", bodies.parse_incident),
    HEARTBEAT: EventKind("HEARTBEAT", bodies.parse_heartbeat),
    28: EventKind("IGNORABLE", harmless="a placeholder without content"),
    29: EventKind("ROWS_QUERY", harmless="the text of the statement whose rows follow"),
    WRITE_V2: EventKind("WRITE_ROWS"),
    UPDATE_V2: EventKind("UPDATE_ROWS"),
    DELETE_V2: EventKind("DELETE_ROWS"),
    GTID: EventKind("GTID", gtids.parse_gtid),
    ANONYMOUS_GTID: EventKind("ANONYMOUS_GTID", gtids.parse_gtid),
    35: EventKind("PREVIOUS_GTIDS", harmless="what earlier files hold"),
    36: EventKind("TRANSACTION_CONTEXT", harmless="certification data of Group Replication"),
    37: EventKind("VIEW_CHANGE", harmless="membership of Group Replication"),
    XA_PREPARE: EventKind("XA_PREPARE", parse_xa_prepare),
    39: EventKind("PARTIAL_UPDATE_ROWS", refused="set binlog_row_value_options='' on the server"),
    TRANSACTION_PAYLOAD: EventKind("TRANSACTION_PAYLOAD", packed=True),
    HEARTBEAT_V2: EventKind("HEARTBEAT_V2", bodies.parse_heartbeat_v2),
    GTID_TAGGED: EventKind("GTID_TAGGED", gtids.parse_gtid_tagged),
    160: EventKind("ANNOTATE_ROWS", harmless="the text of the statement whose rows follow"),
    161: EventKind("BINLOG_CHECKPOINT", harmless="which files the server's own recovery needs"),
    MARIADB_GTID: EventKind("MARIADB_GTID", gtids.parse_mariadb_gtid),
    163: EventKind("GTID_LIST", harmless="what earlier files hold"),
    START_ENCRYPTION: EventKind("START_ENCRYPTION", harmless="the server decrypts what it sends"),
    QUERY_COMPRESSED: EventKind("QUERY_COMPRESSED", packed=True),
    166: EventKind("WRITE_ROWS_COMPRESSED_V1", packed=True),
    167: EventKind("UPDATE_ROWS_COMPRESSED_V1", packed=True),
    168: EventKind("DELETE_ROWS_COMPRESSED_V1", packed=True),
    169: EventKind("WRITE_ROWS_COMPRESSED", packed=True),
    170: EventKind("UPDATE_ROWS_COMPRESSED", packed=True),
    171: EventKind("DELETE_ROWS_COMPRESSED", packed=True),
}


def parse(event: RawEvent) -> Parsed:
    """The event's body, or None: harmless, a TABLE_MAP, or rows. Errors carry the event's position.

    An unknown type is harmless where the server has set the flag for it: a replica that does not know the type ignores
    it (MySQL source documentation, LOG_EVENT_IGNORABLE_F), so no row depends on it. It is counted all the same.

    Raises UnsupportedEvent (unknown or refused type), IncidentInBinlog, CorruptBinlog (malformed body).
    """
    kind = EVENT_KINDS.get(event.kind)
    if kind is None:
        _unknown(event)
        return None
    if kind.refused is not None:
        metrics.UNSUPPORTED.labels(kind.name).inc()
        raise UnsupportedEvent(
            f"binlog event {kind.name} (0x{event.kind:02X}) is not supported", position=event.at, hint=kind.refused
        )
    if kind.packed:
        raise UnsupportedEvent(f"binlog event {kind.name} (0x{event.kind:02X}) was not unpacked", position=event.at)
    if kind.parser is None:
        return None
    try:
        return kind.parser(event.data)
    except LtvError as error:
        error.position = error.position or event.at
        if isinstance(error, IncidentInBinlog):
            error.hint = f"start behind it with `--epoch N --from {event.file}:{event.end}`; {error.hint}"
        if isinstance(error, UnsupportedEvent):
            metrics.UNSUPPORTED.labels(kind.name).inc()
        raise
    except (ValueError, IndexError, KeyError, struct.error) as error:
        raise CorruptBinlog(f"malformed {kind.name} event: {error}", position=event.at) from error


def _unknown(event: RawEvent) -> None:
    name = f"0x{event.kind:02X}"
    if event.flags & FLAG_IGNORABLE:
        metrics.IGNORED.labels(name).inc()
        _say_ignored(name, event.at)
        return
    metrics.UNSUPPORTED.labels(name).inc()
    raise UnsupportedEvent(
        f"unknown binlog event type {name}", position=event.at, hint="a server newer than this program?"
    )


_SAID: set[str] = set()


def _say_ignored(name: str, at: str) -> None:
    """Once of every type."""
    if name not in _SAID:
        _SAID.add(name)
        log.warning(
            "unknown binlog events are passed by, as the server says they may be", extra={"event": name, "position": at}
        )
