"""Stamped reads on MySQL: after the GTIDs underway, after log_status, or with locks.

MySQL logs a transaction before it is visible (flush, sync and commit stage of «binary log group commit»), and the plain
status of the log shows the former.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from pipeline.batch.prepared import read_prepared, wait_for_committing
from pipeline.batch.stamps import MISSING_GRANT, Stamp, Way, begin_snapshot, needing, read_clock
from schemas.errors import SourceRefused, SourceUnavailable
from schemas.log_position import BINLOG_OFF, read_owned, read_position
from schemas.source import Connection, Server, rows, server_error_number

POLL_S = 0.002
LONGEST_COMMIT_S = 60.0
LONGEST_LOCK_WAIT_S = 5
NO_XA_RECOVER = 1401
STATUS, STATUS_WHY = "REPLICATION CLIENT", "which shows where the binlog is"


@dataclass(frozen=True)
class GtidWait(Way):
    """For gtid_mode=ON, in which no transaction is anonymous. One takes its GTID before it is logged, and gives it back
    after it is visible, an XA COMMIT too. So whatever stands below a place of the log, and is not visible yet, owns a
    GTID when that is asked after the place was read."""

    server: Server
    seconds: float = LONGEST_COMMIT_S

    name = "a snapshot after the GTIDs underway"

    def begin(self, connection: Connection) -> Stamp:
        at = read_clock(connection)
        with needing(connection, STATUS, STATUS_WHY):
            place = read_position(connection, self.server)
        underway = read_owned(connection)
        deadline = time.monotonic() + self.seconds
        while underway := underway & read_owned(connection):
            if time.monotonic() > deadline:
                raise SourceUnavailable(
                    f"{len(underway)} transactions are underway for more than {self.seconds:g} s, such as"
                    f" {min(underway)}",
                    position=str(place),
                    hint="a large transaction or DDL of a replica, or a session with gtid_next set: SELECT"
                    " @@GLOBAL.gtid_owned names its thread. Try again when it has ended",
                )
            time.sleep(POLL_S)
        begin_snapshot(connection)
        return Stamp(place.file, place.position, at)


class LogStatus(Way):
    """`performance_schema.log_status` takes the locks of all three stages, so that nothing is between them. Traps:
    before 9.7 it took the first one alone (seen in 8.0, MySQL bug 112331) and loses rows; it never holds up an XA
    COMMIT, which goes its own way."""

    name = "a snapshot after log_status"
    first_version = (9, 7)
    privileges = "BACKUP_ADMIN, XA_RECOVER_ADMIN"

    def begin(self, connection: Connection) -> Stamp:
        at = read_clock(connection)
        found = json.loads(rows(connection, "SELECT local FROM performance_schema.log_status")[0][0])
        if "binary_log_file" not in found:
            raise SourceRefused("the server writes no binlog", hint=BINLOG_OFF)
        wait_for_committing(connection)
        begin_snapshot(connection)
        return Stamp(str(found["binary_log_file"]), int(found["binary_log_position"]), at)

    @classmethod
    def is_there(cls, connection: Connection, server: Server) -> bool:
        """Whether the server has it and the user may use it."""
        ordered = server.variables.get("binlog_order_commits", "ON").upper() == "ON"
        if server.version < cls.first_version or not ordered:
            return False
        try:
            rows(connection, "SELECT local FROM performance_schema.log_status")
            read_prepared(connection)
        except SourceRefused as error:
            if server_error_number(error) in MISSING_GRANT | {NO_XA_RECOVER}:
                return False
            raise
        return True


@dataclass(frozen=True)
class LockingReads(Way):
    """Whatever was logged and is not visible yet holds locks on its rows, and a locking read waits for them. The rows
    that it reads are locked against changes, not against reads, until the block ends; gaps are not."""

    server: Server

    name = "locking reads"

    @property
    def suffix(self) -> str:  # type: ignore[override]
        return " FOR SHARE" if self.server.version >= (8, 0) else " LOCK IN SHARE MODE"

    def begin(self, connection: Connection) -> Stamp:
        at = read_clock(connection)
        with needing(connection, STATUS, STATUS_WHY):
            place = read_position(connection, self.server)
        rows(connection, f"SET SESSION innodb_lock_wait_timeout = {LONGEST_LOCK_WAIT_S}")
        rows(connection, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        rows(connection, "START TRANSACTION")
        return Stamp(place.file, place.position, at)

    def warnings(self) -> list[str]:
        return [
            "rows are locked against changes while their chunk is read, as the server has gtid_mode"
            f" {self.server.variables.get('gtid_mode', 'OFF')}: set it to ON, or from MySQL 9.7 on grant"
            f" {LogStatus.privileges}"
        ]
