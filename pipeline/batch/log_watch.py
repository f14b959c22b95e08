"""A first look at the server's log, taken in a thread as soon as the command begins: MariaDB's half a second of quiet
(`pipeline.batch.mariadb_snapshot`) passes while Beam is still being imported."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import NamedTuple

from pipeline.batch.login import log_in
from schemas.config import ShopConfig
from schemas.errors import LtvError
from schemas.source import Connection, SourceAddress, rows

LOGIN_TIMEOUT_S = 10.0


class LogSeen(NamedTuple):
    """A log file of MariaDB's as it was seen at `since` (`time.monotonic`), and how many groups had been committed."""

    file: str
    groups: int
    since: float


class LogState(NamedTuple):
    """`file` is empty where the server writes no binlog, or is no MariaDB."""

    file: str
    position: int
    groups: int


def read_log_state(connection: Connection) -> LogState:
    status = {str(name).lower(): str(value) for name, value in rows(connection, "SHOW STATUS LIKE 'binlog%'")}
    return LogState(
        status.get("binlog_snapshot_file", ""),
        int(status.get("binlog_snapshot_position", 0)),
        int(status.get("binlog_group_commits", 0)),
    )


class LogWatch:
    """Looks once. What goes wrong here is left for the batch itself to meet, and to say."""

    def __init__(self, config: ShopConfig, replica: SourceAddress | None) -> None:
        self._config, self._address = config, replica or config.source
        self._seen: LogSeen | None = None
        self._thread = threading.Thread(target=self._look, name="log-watch", daemon=True)
        self._thread.start()

    def seen(self) -> LogSeen | None:
        self._thread.join()
        return self._seen

    def _look(self) -> None:
        if self._address is None:
            return
        with (
            contextlib.suppress(LtvError),
            contextlib.closing(log_in(self._config, self._address, LOGIN_TIMEOUT_S)) as connection,
        ):
            state = read_log_state(connection)
            if state.file:
                self._seen = LogSeen(state.file, state.groups, time.monotonic())
