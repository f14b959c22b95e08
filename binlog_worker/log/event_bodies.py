"""Pure parsers of the binlog event bodies that hold neither rows nor GTIDs.

Layouts: MySQL source documentation "Binary log events" (mysql::binlog::event) and MariaDB knowledge base "Replication
Protocol". All integers are little-endian. `data` is always header and body without the checksum, so a body begins at
byte 19.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from binlog_worker.decoding.charsets import BINARY, UTF8MB4, text_decoder
from schemas.errors import IncidentInBinlog, UnsupportedEvent
from schemas.sequence import LIMITS, binlog_number

HEADER_SIZE = 19


class Rotate(NamedTuple):
    """The log goes on in `file` at byte `position`."""

    file: str
    position: int


class FormatDescription(NamedTuple):
    """`created` is seconds, 0 where the server did not start with this file; `checksum`: a CRC32 follows every
    event."""

    server_version: str
    created: int
    post_header_lengths: bytes
    checksum: bool


class Query(NamedTuple):
    """A statement; `error` is the error number it ended with on the server, `seconds` how long it took."""

    thread_id: int
    seconds: int
    error: int
    db: str
    sql: str


class Xid(NamedTuple):
    """COMMIT of a transaction of a transactional engine."""

    xid: int


class Heartbeat(NamedTuple):
    """The server lives and has sent everything below (file, position); version 1 carries 32 bits of the position."""

    file: str
    position: int


class Stop(NamedTuple):
    """The server was shut down cleanly here; the next file follows."""


def read_lenenc(data: bytes, pos: int) -> tuple[int, int]:
    """Length-encoded integer of the MySQL protocol → value, position behind it. Raises ValueError or IndexError."""
    first = data[pos]
    if first < 251:
        return first, pos + 1
    width = {252: 2, 253: 3, 254: 8}.get(first)
    if width is None or pos + 1 + width > len(data):
        raise ValueError("bad length-encoded integer")
    return int.from_bytes(data[pos + 1 : pos + 1 + width], "little"), pos + 1 + width


def parse_rotate(data: bytes) -> Rotate:
    """Body: position 8, file name to the end."""
    body = HEADER_SIZE + 8
    file, position = data[body:].decode("utf-8"), int.from_bytes(data[HEADER_SIZE:body], "little")
    if binlog_number(file)[1] > LIMITS[1] or position > LIMITS[2] >> 1:
        raise ValueError(f"no place of a log: {file[:80]}:{position}")
    return Rotate(file, position)


def parse_format_description(data: bytes) -> FormatDescription:
    """Body: version 2, server version 50, created 4, header length 1, post-header lengths, checksum algorithm 1."""
    version, text, created, header = struct.unpack_from("<H50sIB", data, HEADER_SIZE)
    algorithm = data[-1]
    if version != 4 or header != HEADER_SIZE or algorithm > 1:
        raise UnsupportedEvent(
            f"binlog format version {version}, header of {header} bytes, checksum algorithm {algorithm}",
            hint="MySQL 5.6.1 or MariaDB 5.3 and later write version 4, 19 bytes, NONE or CRC32",
        )
    return FormatDescription(text.rstrip(b"\0").decode("ascii"), created, data[HEADER_SIZE + 57 : -1], algorithm == 1)


_QUERY = struct.Struct("<IIBHH")
_STATUS_SIZES = {
    0: 4,
    1: 8,
    3: 4,
    4: 6,
    7: 2,
    8: 2,
    9: 8,
    10: 4,
    13: 3,
    16: 1,
    17: 8,
    18: 2,
    19: 1,
    20: 1,
    128: 3,
    129: 8,
}


def client_collation(status: bytes) -> int | None:
    """Collation id of character_set_client in a Query event's status variables; None where it is not logged.

    They are not in ascending order: MariaDB 11.5 writes 131 before 4. Raises ValueError on an unknown one before 4.
    """
    pos = 0
    while pos < len(status):
        code, pos = status[pos], pos + 1
        if code == 4:
            return int.from_bytes(status[pos : pos + 2], "little")
        if code in _STATUS_SIZES:
            pos += _STATUS_SIZES[code]
        elif code in (5, 6):
            pos += 1 + status[pos]
        elif code == 2:
            pos += 2 + status[pos]
        elif code == 11:
            pos += 1 + status[pos]
            pos += 1 + status[pos]
        elif code == 12:
            count, pos = status[pos], pos + 1
            for _ in range(count if count != 254 else 0):
                pos = status.index(b"\0", pos) + 1
        elif code == 130:
            pos += 9 if status[pos] & 12 else 1
        elif code == 131:
            pos += 1 + 4 * status[pos]
        else:
            raise ValueError(f"unknown status variable {code} before the character set")
    return None


def _query(data: bytes, more: int) -> Query:
    thread_id, seconds, db_length, error, status_length = _QUERY.unpack_from(data, HEADER_SIZE)
    status = HEADER_SIZE + _QUERY.size + more
    db = status + status_length
    sql = db + db_length + 1
    if sql > len(data) or data[sql - 1]:
        raise ValueError("the database name does not end where it should")
    text = data[sql:]
    if text.isascii():
        statement = text.decode("ascii")
    else:
        collation = client_collation(data[status:db])
        if collation == BINARY:  # names in UTF-8, and whatever bytes in comments
            statement = text.decode("utf-8", "backslashreplace")
        else:
            statement = text_decoder(UTF8MB4 if collation is None else collation)(text)
    return Query(thread_id, seconds, error, data[db : sql - 1].decode("utf-8"), statement)


_BEGIN = b"BEGIN"


def is_begin(data: bytes, start: int, stop: int) -> bool:
    """Whether the Query event at data[start:stop] is BEGIN, by its bytes: every transaction has one."""
    head = start + HEADER_SIZE
    if data[stop - len(_BEGIN) : stop] != _BEGIN or stop - head < _QUERY.size:
        return False
    status = int.from_bytes(data[head + 11 : head + 13], "little")
    return stop == head + _QUERY.size + status + data[head + 8] + 1 + len(_BEGIN)


def parse_query(data: bytes) -> Query:
    """Body: thread 4, seconds 4, length of db 1, error 2, length of status variables 2, those, db, NUL, statement in
    the client's character set."""
    return _query(data, 0)


def parse_execute_load_query(data: bytes) -> Query:
    """LOAD DATA logged as a statement: as Query, with 13 bytes about its file behind the fixed part."""
    return _query(data, 13)


def parse_xid(data: bytes) -> Xid:
    """Body: transaction number 8."""
    return Xid(struct.unpack_from("<Q", data, HEADER_SIZE)[0])


def parse_heartbeat(data: bytes) -> Heartbeat:
    """Body: file name; the position is the header's."""
    return Heartbeat(data[HEADER_SIZE:].decode("utf-8"), int.from_bytes(data[13:17], "little"))


def parse_heartbeat_v2(data: bytes) -> Heartbeat:
    """Body: fields of type 1, length and value; 1 is the file name, 2 the position as a length-encoded integer, 0 the
    end."""
    pos, file, position = HEADER_SIZE, "", 0
    while pos < len(data) and data[pos] != 0:
        field = data[pos]
        size, pos = read_lenenc(data, pos + 1)
        if field == 1:
            file = data[pos : pos + size].decode("utf-8")
        elif field == 2:
            position = read_lenenc(data, pos)[0]
        pos += size
    return Heartbeat(file, position)


def parse_stop(data: bytes) -> Stop:
    """No body."""
    return Stop()


def parse_incident(data: bytes) -> None:
    """Body: number 2 (1 is LOST_EVENTS), length of message 1, message. Always raises IncidentInBinlog."""
    number = int.from_bytes(data[HEADER_SIZE : HEADER_SIZE + 2], "little")
    message = data[HEADER_SIZE + 3 :].decode("utf-8", "backslashreplace")
    raise IncidentInBinlog(
        f"the server lost changes: incident {number} {message}".rstrip(),
        hint="the rows changed in it are in no log: load the tables again",
    )
