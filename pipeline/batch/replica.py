"""Stamped reads on a replica: what it has applied of the tailed server's log, and a snapshot behind it.

MySQL: «SHOW REPLICA STATUS», of which Exec_Source_Log_Pos with Relay_Source_Log_File names the place below which all is
committed, also with several appliers («Replication and Transaction Inconsistencies»: the gap-free low-water mark).
MariaDB: «SHOW REPLICA STATUS», «Parallel Replication»: commits are in order within a domain, so that all is applied up
to the place of the last one, unless transactions of several domains are applied out of order.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pipeline.batch.prepared import wait_for_committing
from pipeline.batch.stamps import Stamp, Way, begin_snapshot, needing, read_clock
from schemas.checkpoint import Identity
from schemas.errors import ReplicaLags, ReplicaStopped, SourceRefused, SourceUnavailable
from schemas.sequence import binlog_number
from schemas.source import Connection, Server, records

NOTABLE_LAG_S = 60
LONGEST_LAG_S = 3600
_FILTERS = ("do_db", "ignore_db", "do_table", "ignore_table", "wild_do_table", "wild_ignore_table")
_HARMLESS = ("mysql.", "sys.", "performance_schema.", "information_schema.")


@dataclass(frozen=True)
class Channel:
    """One source of a replica, and how far its transactions are applied. `source` is as in a checkpoint's identity."""

    name: str
    source: str
    file: str
    position: int
    receiving: str  # Yes, Connecting, No
    applying: str  # Yes, No
    receive_error: str
    apply_error: str
    lag: int | None  # seconds, beyond the delay that is configured; None: not known
    filters: tuple[str, ...]
    domains: int  # of MariaDB GTIDs

    @property
    def title(self) -> str:
        return f"channel {self.name!r}" if self.name else "the replica"


def parse_channel(status: Mapping[str, Any], server: Server) -> Channel:
    """A row of SHOW REPLICA STATUS, in the words of any version."""
    words = {
        str(name).lower().replace("master", "source").replace("slave", "replica"): "" if value is None else str(value)
        for name, value in status.items()
    }
    seconds = words.get("seconds_behind_source", "")
    delay = words.get("sql_delay", "")
    gtids = words.get("gtid_replica_pos", "").split(",")
    return Channel(
        words.get("channel_name", "") or words.get("connection_name", ""),
        words.get("source_uuid", "") if server.flavor == "mysql" else words.get("source_server_id", ""),
        words.get("relay_source_log_file", ""),
        int(words.get("exec_source_log_pos") or 0),
        words.get("replica_io_running", ""),
        words.get("replica_sql_running", ""),
        words.get("last_io_error", ""),
        words.get("last_sql_error", ""),
        max(0, int(seconds) - int(delay or 0)) if seconds else None,
        tuple(
            f"{name} {text}"
            for name in _FILTERS
            if (text := words.get(f"replicate_{name}", ""))
            and not all(part.strip().lower().startswith(_HARMLESS) for part in text.split(","))
        ),
        len({part.split("-")[0] for part in gtids if part}) if words.get("using_gtid", "No") != "No" else 1,
    )


def choose_channel(channels: list[Channel], tailed: Identity, server: Server) -> Channel:
    """The one of the tailed server. Raises SourceRefused."""
    found = [channel for channel in channels if channel.source == tailed.server]
    if not found:
        known = ", ".join(channel.source or "one that it never reached" for channel in channels) or "nobody"
        raise SourceRefused(
            f"server {server.uuid} does not replicate from {tailed.server}, whose log is tailed, but from {known}",
            hint="read from the tailed server itself, or from a replica that is connected to it directly: positions of"
            " any other log say nothing here",
        )
    channel = found[0]
    if channel.file and (base := binlog_number(channel.file)[0]) != tailed.base:
        raise SourceRefused(
            f"{channel.title} reads logs named {base}, the tailed ones are named {tailed.base}",
            hint="the checkpoint speaks of another server or of logs before they were renamed",
        )
    return channel


def check_channel(channel: Channel, server: Server) -> None:
    """Raises ReplicaStopped, ReplicaLags, SourceUnavailable or SourceRefused where it should not be read from."""
    for running, error, what in (
        (channel.applying, channel.apply_error, "applies no changes"),
        (channel.receiving, channel.receive_error, "receives no changes"),
    ):
        if running == "No":
            raise ReplicaStopped(
                f"{channel.title} {what}{f': {error}' if error else ''}",
                hint="START REPLICA when the cause is gone, or read from the tailed server",
            )
    variables = server.variables
    parallel = variables.get("slave_parallel_mode", "none") != "none" and int(
        variables.get("slave_parallel_threads", 0) or 0
    )
    if server.flavor == "mariadb" and parallel and channel.domains > 1:
        raise SourceRefused(
            f"{channel.title} applies transactions of {channel.domains} GTID domains out of order, so that its position"
            " does not say what it has",
            hint="SET GLOBAL slave_parallel_threads = 0 on the replica, or read from the tailed server",
        )
    if not channel.file or not channel.position:
        raise SourceUnavailable(f"{channel.title} has applied nothing of the tailed log yet", hint="try again later")
    if channel.lag is not None and channel.lag > LONGEST_LAG_S:
        raise ReplicaLags(
            f"{channel.title} is {channel.lag} s behind",
            position=f"{channel.file}:{channel.position}",
            hint="wait until it has caught up, or read from the tailed server",
        )


class ReplicaSnapshot(Way):
    """The position is read first: what is applied meanwhile stands above it, and is in the stream, too."""

    name = "a snapshot of a replica"

    def __init__(self, server: Server, tailed: Identity) -> None:
        self._server, self._tailed = server, tailed
        self._lock = threading.Lock()
        self._said: set[str] = set()
        self._warnings: list[str] = []

    def begin(self, connection: Connection) -> Stamp:
        now = read_clock(connection)
        channel = choose_channel(read_channels(connection, self._server), self._tailed, self._server)
        check_channel(channel, self._server)
        self._warn(channel)
        if self._server.flavor == "mariadb":
            wait_for_committing(connection)  # the next transaction may be done before an XA COMMIT is visible
        begin_snapshot(connection)
        return Stamp(channel.file, channel.position, now - timedelta(seconds=channel.lag or 0))

    def warnings(self) -> list[str]:
        with self._lock:
            found, self._warnings = self._warnings, []
        return found

    def _warn(self, channel: Channel) -> None:
        lag = channel.lag is not None and channel.lag > NOTABLE_LAG_S
        for kind, applies, text in (
            ("lag", lag, f"{channel.title} is {channel.lag} s behind: rows are as they were then"),
            ("receiving", channel.receiving != "Yes", f"{channel.title} reconnects: {channel.receive_error}"),
            (
                "filters",
                bool(channel.filters),
                f"{channel.title} leaves out tables ({'; '.join(channel.filters)}): what it does not have is not read",
            ),
        ):
            with self._lock:
                if applies and kind not in self._said:
                    self._warnings.append(text)
                self._said = self._said | {kind} if applies else self._said - {kind}


def read_channels(connection: Connection, server: Server) -> list[Channel]:
    """Raises SourceRefused that names the missing grant."""
    if server.flavor == "mariadb":
        statement, privilege = "SHOW ALL SLAVES STATUS", "REPLICA MONITOR"
        if server.version < (10, 5, 2):
            privilege = "REPLICATION CLIENT"
    else:
        statement = "SHOW REPLICA STATUS" if server.version >= (8, 0, 22) else "SHOW SLAVE STATUS"
        privilege = "REPLICATION CLIENT"
    with needing(connection, privilege, "which shows how far the replica is"):
        return [parse_channel(status, server) for status in records(connection, statement)]
