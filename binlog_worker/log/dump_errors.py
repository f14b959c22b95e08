"""What the server's refusal of a binlog dump means: error number and text → the error to raise. Pure.

Errors of the dump are nearly all number 1236 (ER_SOURCE_FATAL_ERROR_READING_BINLOG), so only there the text decides.
The texts are those of MySQL 5.7 to 9 ("source") and MariaDB 10.2 to 11 ("master").
"""

from __future__ import annotations

from schemas.errors import (
    BadPosition,
    CorruptBinlog,
    DuplicateServerId,
    LtvError,
    PurgedBinlog,
    SourceRefused,
    SourceUnavailable,
    TruncatedBinlog,
)

FATAL_READING_BINLOG = 1236
MARIADB_SAME_ID = 4052

_TRANSIENT = frozenset(
    (
        1040,  # too many connections
        1053,  # server shutdown in progress
        1152,  # aborted connection
        1158, 1159, 1160, 1161,  # network read and write errors, time-outs
        1184,  # aborted connection
        1203, 1205, 1213, 1226,  # limits, lock wait, deadlock
        1317,  # query interrupted: somebody killed the dump
        1927, 3168, 3169,  # connection killed, server not available
        2006, 2013,  # gone away, lost
        4031,  # disconnected by the server because of inactivity
    )
)  # fmt: skip

_PURGED_NUMBERS = frozenset((1373, 1789))
_DENIED = frozenset((1044, 1045, 1142, 1143, 1227, 1251, 1698, 3118, 4151))

_OWN_ID = "give each worker and replica a server_id of its own in shop.yaml"
START_HINT = "start at the beginning of an event, best of a transaction: --from FILE:POSITION"
_RESTORE = (
    "go on with `--epoch N --from earliest`; rows changed meanwhile stay as they were until they change again;"
    " keep binlogs longer than any outage"
)

_TEXTS: tuple[tuple[str, type[LtvError], str], ...] = (
    ("could not find first log file name", PurgedBinlog, _RESTORE),
    ("purged required binary logs", PurgedBinlog, _RESTORE),
    ("could not find next log", PurgedBinlog, _RESTORE),
    ("which is not in the master's binlog", PurgedBinlog, _RESTORE),
    ("connected to the master", DuplicateServerId, _OWN_ID),
    ("connected to the source", DuplicateServerId, _OWN_ID),
    ("impossible position", BadPosition, START_HINT),
    ("from position < 4", BadPosition, START_HINT),
    ("from position > file size", BadPosition, "was the log reset, or restored from a backup? " + _RESTORE),
    ("bogus data in log event", CorruptBinlog, "the file is damaged on the server"),
    ("exceeded max_allowed_packet", SourceRefused, "raise max_allowed_packet on the server"),
    ("crc check", CorruptBinlog, "the file is damaged on the server"),
    ("checksum algorithm check", CorruptBinlog, "the file is damaged on the server"),
    ("binlog truncated in the middle", TruncatedBinlog, "the file is damaged on the server; was its disk full?"),
    ("server_id was not set", SourceRefused, "set server_id on the server"),
    ("server-id was not set", SourceRefused, "set server_id on the server"),
    ("binary log is not open", SourceRefused, "start the server with --log-bin and binlog_format=ROW"),
)


def dump_error(errno: int, text: str, position: str | None = None, *, at_start: bool = False) -> LtvError:
    """The error for an ERR packet; `text` stays in it word for word. Unknown ones are terminal (SourceRefused).

    `at_start`: nothing of the file came yet, so what looks like a damaged event is a start inside of one.
    """
    message = f"the server ended the binlog dump: {text} (error {errno})"
    if errno in _TRANSIENT:
        return SourceUnavailable(message, position=position)
    if errno in _PURGED_NUMBERS:
        return PurgedBinlog(message, position=position, hint=_RESTORE)
    if errno in _DENIED:
        return SourceRefused(message, position=position, hint="GRANT REPLICATION SLAVE ON *.* to the worker's user")
    if errno == MARIADB_SAME_ID:
        return DuplicateServerId(message, position=position, hint=_OWN_ID)
    if errno == FATAL_READING_BINLOG:
        lowered = text.lower()
        for part, kind, hint in _TEXTS:
            if part in lowered:
                if at_start and (issubclass(kind, CorruptBinlog) or "max_allowed_packet" in part):
                    kind, hint = BadPosition, START_HINT
                return kind(message, position=position, hint=hint)
    return SourceRefused(message, position=position)
