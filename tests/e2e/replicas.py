"""A source and its replica, of either kind: MariaDB, MySQL by GTIDs, MySQL by log positions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.servers import MariaDB, ensure_mariadb
from schemas.source import SourceAddress
from tests.conftest import Server
from tests.mysql_server import mysql_server, mysqld

LAG_S = 3600
CAUGHT_UP_WITHIN_S = 30


class Pair:
    """`replica` is how a command names it; `identity` is what a checkpoint calls the source."""

    start, stop = "START REPLICA", "STOP REPLICA"
    delay, at_once = (f"CHANGE REPLICATION SOURCE TO SOURCE_DELAY = {seconds}" for seconds in (LAG_S, 0))

    def __init__(self, source: Server, copy: Server, follow: str) -> None:
        self.source, self.copy = source, copy
        self.replica = SourceAddress.parse(copy.dsn)
        self.on_replica(follow, self.start)

    @property
    def identity(self) -> str:
        return str(self.on_source("SELECT @@server_uuid")[0][0])

    def on_source(self, *statements: str) -> list[tuple[Any, ...]]:
        return _run(self.source, *statements)

    def on_replica(self, *statements: str) -> list[tuple[Any, ...]]:
        return _run(self.copy, *statements)

    def position(self) -> tuple[str, int]:
        file, offset = self.on_source("SHOW BINARY LOG STATUS")[0][:2]
        return str(file), int(offset)

    def caught_up(self) -> bool:
        """Waits until it has applied all that the source has logged by now."""
        file, offset = self.position()
        waited = self.on_replica(f"SELECT SOURCE_POS_WAIT('{file}', {offset}, {CAUGHT_UP_WITHIN_S})")[0][0]
        return waited is not None and waited >= 0

    def fall_behind(self) -> None:
        """It applies nothing for an hour."""
        self.on_replica(self.stop, self.delay, self.start)


class MariadbPair(Pair):
    start, stop = "START SLAVE", "STOP SLAVE"
    delay, at_once = (f"CHANGE MASTER TO MASTER_DELAY = {seconds}" for seconds in (LAG_S, 0))

    @property
    def identity(self) -> str:
        return str(self.on_source("SELECT @@server_id")[0][0])

    def position(self) -> tuple[str, int]:
        file, offset = self.on_source("SHOW MASTER STATUS")[0][:2]
        return str(file), int(offset)

    def caught_up(self) -> bool:
        place = self.on_source("SELECT @@GLOBAL.gtid_binlog_pos")[0][0]
        return self.on_replica(f"SELECT MASTER_GTID_WAIT('{place}', {CAUGHT_UP_WITHIN_S})") == [(0,)]


def _run(server: Server, *statements: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(server.connect(autocommit=True)) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


@contextlib.contextmanager
def mariadb_pair(folder: Path) -> Iterator[Pair]:
    ensure_mariadb()
    with MariaDB(folder / "source") as source, MariaDB(folder / "replica", ["--server-id=2"]) as copy:
        yield MariadbPair(
            Server.from_dsn(source.dsn(), "mariadb"),
            Server.from_dsn(copy.dsn(), "mariadb"),
            f"CHANGE MASTER TO MASTER_HOST='{source.host}', MASTER_PORT={source.port}, MASTER_USER='root',"
            " MASTER_USE_GTID=slave_pos",
        )


@contextlib.contextmanager
def mysql_pair(folder: Path, *, gtids: bool) -> Iterator[Pair]:
    """Two servers of the installation that the other tests use; skipped where it cannot be started a second time."""
    if mysqld() is None:
        pytest.skip("no mysqld here, neither on PATH nor by TEST_MYSQL_DATADIR, so MySQL has no replica to read from")
    options = [] if gtids else ["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"]
    with (
        mysql_server(folder / "source", options) as source,
        mysql_server(folder / "replica", [*options, "--server-id=2", "--log-bin=replica-bin"]) as copy,
    ):
        file, offset = _run(source, "SHOW BINARY LOG STATUS")[0][:2]
        place = "SOURCE_AUTO_POSITION = 1" if gtids else f"SOURCE_LOG_FILE = '{file}', SOURCE_LOG_POS = {offset}"
        yield Pair(
            source,
            copy,
            f"CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{source.host}', SOURCE_PORT = {source.port},"
            f" SOURCE_USER = 'root', GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = 1, {place}",
        )
