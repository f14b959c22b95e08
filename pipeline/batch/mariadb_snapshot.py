"""Stamped reads on MariaDB: the place of its last commit in the log, and a snapshot behind it.

MariaDB moves that place (status variables `binlog_snapshot_file`, `binlog_snapshot_position`) and makes commits visible
under one lock, under which a snapshot is opened, too. So all below it is visible, but for two cases that were found by
trying: XA transactions (`pipeline.batch.prepared`), and the time just after a log file was begun. The file's name
changes while up to two groups of commits are logged and not visible: the last of the old file, and one before it, which
even leaves its offset in the old file beside the name of the new one.
"""

from __future__ import annotations

import threading
import time

from pipeline.batch.log_watch import LogSeen, read_log_state
from pipeline.batch.prepared import wait_for_committing
from pipeline.batch.stamps import Stamp, Way, begin_snapshot, read_clock
from schemas.checkpoint import Place
from schemas.errors import SourceRefused, SourceUnavailable
from schemas.log_position import BINLOG_OFF
from schemas.source import Connection, rows

POLL_S = 0.002
GROUPS_UNDERWAY = 2
QUIET_S = 0.5
LONGEST_S = 30.0


class MariadbSnapshot(Way):
    """A place counts once two groups of commits have passed since its file was first seen, or, on a quiet server, half
    a second has, and nobody waits for a semi-synchronous replica: the way of a commit through the server's two locks
    takes no longer."""

    name = "MariaDB's snapshot"

    def __init__(self, seen: LogSeen | None = None) -> None:
        self._lock = threading.Lock()
        self._seen = seen or LogSeen("", 0, 0.0)

    def begin(self, connection: Connection) -> Stamp:
        at = read_clock(connection)
        place = self._place(connection)
        wait_for_committing(connection)
        begin_snapshot(connection)
        return Stamp(place.file, place.position, at)

    def _place(self, connection: Connection) -> Place:
        """Below it all is visible to a snapshot that is opened from now on, XA transactions excepted."""
        deadline = time.monotonic() + LONGEST_S
        while True:
            file, position, groups = read_log_state(connection)
            if not file:
                raise SourceRefused("the server writes no binlog", hint=BINLOG_OFF)
            with self._lock:
                now = time.monotonic()
                if file != self._seen.file:
                    self._seen = LogSeen(file, groups, now)
                passed, quiet = groups - self._seen.groups, now - self._seen.since
            if passed >= GROUPS_UNDERWAY or (quiet > QUIET_S and not _waits_for_replica(connection)):
                return Place(file, position)
            if now > deadline:
                raise SourceUnavailable(
                    "the server begins new log files faster than its commits can be followed",
                    position=f"{file}:{position}",
                    hint="max_binlog_size is far too small, or semi-synchronous replicas do not answer",
                )
            time.sleep(POLL_S)


def _waits_for_replica(connection: Connection) -> bool:
    found = rows(connection, "SHOW GLOBAL STATUS LIKE 'rpl_semi_sync_master_wait_sessions'")
    return bool(found) and int(found[0][1]) > 0
