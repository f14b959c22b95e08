"""Where a server writes its binlog now, and which of its transactions are underway.

MySQL: «SHOW BINARY LOG STATUS Statement», «gtid_owned». MariaDB: «SHOW BINLOG STATUS».
"""

from __future__ import annotations

import re

from schemas.checkpoint import Place
from schemas.errors import SourceRefused
from schemas.source import Connection, Server, rows

BINLOG_OFF = "start the server with --log-bin and binlog_format=ROW"
_OWNED_START, _OWNED = re.compile(r"(?=[0-9a-f]{8}-[0-9a-f]{4}-)"), re.compile(r":(\d+)#")


def read_position(connection: Connection, server: Server) -> Place:
    """Where the server writes now. Trap: a transaction below it may not be visible to a read yet."""
    new_words = server.flavor == "mysql" and server.version >= (8, 2)
    status = rows(connection, "SHOW BINARY LOG STATUS" if new_words else "SHOW MASTER STATUS")
    if not status:
        raise SourceRefused("the server writes no binlog", hint=BINLOG_OFF)
    return Place(str(status[0][0]), int(status[0][1]))


def read_owned(connection: Connection) -> frozenset[str]:
    """The GTIDs of transactions that are underway on a MySQL server: taken, and not yet visible to others."""
    return parse_owned(str(rows(connection, "SELECT @@GLOBAL.gtid_owned")[0][0]))


def parse_owned(text: str) -> frozenset[str]:
    """MySQL's gtid_owned, the transactions underway: `uuid[:tag]:number#thread:number#thread`, one after the other with
    or without anything in between."""
    found = set()
    for part in _OWNED_START.split(text.lower()):
        numbers = _OWNED.findall(part)
        found |= {f"{part[: part.index(f':{numbers[0]}#')]}:{number}" for number in numbers}
    return frozenset(found)
