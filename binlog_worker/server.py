"""What the worker asks of the server over an ordinary connection: its logs, its position, its clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from binlog_worker.position.failover import MariadbHistory, MysqlHistory
from binlog_worker.position.gtid_logs import FIRST_POSITION
from binlog_worker.position.gtids import GtidSet, MariadbGtids, MariadbState, MysqlGtids, MysqlGtidsSince
from schemas.checkpoint import Place
from schemas.config import ShopConfig, read_password
from schemas.errors import SourceUnavailable
from schemas.log_position import read_owned, read_position
from schemas.source import Server, connect, rows

if TYPE_CHECKING:
    import pymysql.connections

    Connection = pymysql.connections.Connection[Any]

CLOCK_TIMEOUT_S = 10.0
UNDERWAY_S = 2.0


def login(config: ShopConfig, *, read_timeout: float | None = 60) -> Connection:
    """Raises SourceUnavailable, SourceRefused, ConfigError."""
    assert config.source is not None
    return connect(config.source, read_password(config), config.encryption, read_timeout=read_timeout)


def has_gtids(server: Server) -> bool:
    return server.flavor == "mariadb" or server.variables.get("gtid_mode", "OFF").upper() == "ON"


def read_mysql_history(connection: Connection) -> MysqlHistory:
    executed, purged = rows(connection, "SELECT @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged")[0]
    return MysqlHistory(MysqlGtids.parse(str(executed)), MysqlGtids.parse(str(purged)))


def read_mariadb_history(connection: Connection, oldest: str) -> MariadbHistory:
    """`oldest` is the oldest log that the server has."""
    logged, applied = rows(connection, "SELECT @@GLOBAL.gtid_binlog_state, @@GLOBAL.gtid_slave_pos")[0]
    before = MariadbState.parse(logged_before(connection, oldest))
    return MariadbHistory(MariadbState.parse(str(logged)), before, MariadbGtids.parse(str(applied)))


def logged_before(connection: Connection, log: str) -> str:
    """All transactions in the files before `log`, as its first events (PREVIOUS_GTIDS, Gtid_list) say. Trap: the
    server holds up its writers while it prints events, so never ask for many."""
    for row in rows(connection, "SHOW BINLOG EVENTS IN %s LIMIT 4", (log,)):
        if str(row[2]) in ("Previous_gtids", "Gtid_list"):
            return str(row[5]).strip("[]")
    return ""


def gtids_below(connection: Connection, server: Server, place: Place) -> GtidSet | None:
    """All transactions below a place, as far as they are known, or will be after reading on; None without GTIDs.

    Trap: what a restored backup brought along stands in no log, but in gtid_purged.
    """
    if not has_gtids(server):
        return None
    if server.flavor == "mariadb":
        found = rows(connection, "SELECT BINLOG_GTID_POS(%s, %s)", (place.file, place.position))[0][0]
        return MariadbGtids.parse(str(found)) if found is not None else None
    if place.position == FIRST_POSITION:
        purged = read_mysql_history(connection).purged
        return MysqlGtids.parse(f"{logged_before(connection, place.file)},{purged}")
    return _executed_since(connection, server)


def _executed_since(connection: Connection, server: Server) -> MysqlGtids | None:
    """For a start that is below now: as soon as everything is executed that is in the log by now. None where some
    transactions take too long."""
    underway = read_owned(connection)
    deadline = time.monotonic() + UNDERWAY_S
    while underway & read_owned(connection):
        if time.monotonic() > deadline:
            return None
        time.sleep(0.02)
    executed = read_mysql_history(connection).executed
    return MysqlGtidsSince(executed, read_position(connection, server))


class ServerClock:
    """The server's clock over a connection of its own, opened again after it broke."""

    def __init__(self, config: ShopConfig) -> None:
        self._config = config
        self._connection: Connection | None = None

    def now_us(self) -> int:
        """Microseconds since 1970. Raises SourceUnavailable or SourceRefused."""
        try:
            if self._connection is None:
                self._connection = login(self._config, read_timeout=CLOCK_TIMEOUT_S)
            return read_clock(self._connection)
        except SourceUnavailable:
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection._force_close()  # type: ignore[attr-defined]
            self._connection = None


def read_clock(connection: Connection) -> int:
    """The server's clock in microseconds since 1970."""
    return int(rows(connection, "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS UNSIGNED)")[0][0])


def clock_difference(connection: Connection) -> float:
    """Seconds by which the server's clock is ahead of ours."""
    before = time.time()
    server = read_clock(connection) / 1e6
    return server - (before + time.time()) / 2
