"""Records what real servers send of the log of `life`, byte by byte: `python -m tests.corrupt.record`.

A MariaDB is started for it; MySQL is that of TEST_MYSQL_DSN, on which nobody else may write meanwhile. The recordings
are kept beside this file, so this is to be run again only where `life` changes or another server is to be recorded.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from binlog_worker.log.dump import Dump
from binlog_worker.log.events import HEARTBEAT, HEARTBEAT_V2
from demo.servers import MariaDB, ensure_mariadb
from tests.conftest import Server
from tests.corrupt import every_type, life
from tests.corrupt.recordings import CHECKSUMS, FOLDER, LIFE, TYPES

SERVER_ID = 3_141_592


class RecordingSocket(socket.socket):
    """Keeps what is received."""

    def __init__(self, plain: socket.socket) -> None:
        super().__init__(fileno=plain.detach())
        self.received = b""

    def recv(self, size: int, flags: int = 0) -> bytes:
        piece = super().recv(size, flags)
        self.received += piece
        return piece


def recorded(server: Server, begin: tuple[str, int]) -> bytes:
    """All that is sent for a dump from a place on, up to the first heartbeat at the end of the log."""
    sockets: list[RecordingSocket] = []

    def connect() -> Any:
        connection: Any = server.connect(ssl_disabled=True)  # what is received is to be kept as it is
        execute_command = connection._execute_command

        def execute(command: int, body: Any) -> None:
            execute_command(command, body)
            if command == 0x12:
                sockets.append(RecordingSocket(connection._sock))
                connection._sock = sockets[0]

        connection._execute_command = execute
        return connection

    dump = Dump(connect, SERVER_ID, *begin, heartbeat=0.3, read_timeout=10)
    with closing(dump):
        for event in dump:
            if event.kind in (HEARTBEAT, HEARTBEAT_V2):
                return sockets[0].received
    raise AssertionError("the log ended")


class Recorder:
    """Two sessions on a server, and an empty database that is dropped in the end."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.mariadb = server.flavor == "mariadb"

    def __enter__(self) -> Recorder:
        self._run_alone(f"CREATE DATABASE {life.DATABASE} CHARACTER SET utf8mb4")
        options = {"database": life.DATABASE, "autocommit": True, "charset": "utf8mb4"}
        self._sessions = [self.server.connect(**options) for _ in range(2)]
        for session in self._sessions:
            self._run("SET time_zone = '+00:00', sql_mode = ''", session)
        if not self.mariadb:
            self._run("SET binlog_rows_query_log_events = ON")
        return self

    def __exit__(self, *_: object) -> None:
        for session in self._sessions:
            session.close()
        self._run_alone(f"DROP DATABASE {life.DATABASE}")

    def _run_alone(self, sql: str) -> None:
        with closing(self.server.connect(autocommit=True)) as connection:
            self._run(sql, connection)

    def _run(self, sql: str, session: Any = None) -> list[tuple[Any, ...]]:
        with (session or self._sessions[0]).cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def execute(self, sql: str) -> None:
        if sql.startswith(life.COMPRESSED):
            setting = "GLOBAL log_bin_compress" if self.mariadb else "SESSION binlog_transaction_compression"
            self._run(f"SET {setting} = ON")
            self._run(sql.removeprefix(life.COMPRESSED))
            self._run(f"SET {setting} = OFF")
        elif sql.startswith(life.SECOND_SESSION):
            self._run(sql.removeprefix(life.SECOND_SESSION), self._sessions[1])
        else:
            self._run(sql)

    def position(self) -> tuple[str, int]:
        file, offset = self._run("SHOW MASTER STATUS" if self.mariadb else "SHOW BINARY LOG STATUS")[0][:2]
        return str(file), int(offset)

    def record_life(self) -> bytes:
        for sql in life.TABLES:
            self._run(sql)
        begin = self.position()
        for sql in life.SQL:
            self.execute(sql)
        return recorded(self.server, begin)

    def record_types(self) -> bytes:
        for sql in every_type.TABLES[self.server.flavor]:
            self._run(sql)
        begin = self.position()
        for sql in every_type.FILL[self.server.flavor]:
            self._run(sql)
        return recorded(self.server, begin)


@contextmanager
def servers(checksum: str) -> Iterator[list[Server]]:
    """One of each flavor that writes its log so; the MySQL is as before afterwards."""
    ensure_mariadb()
    mysql = Server.from_dsn(os.environ["TEST_MYSQL_DSN"], "mysql")
    options = ["--log-bin-compress-min-len=10", f"--binlog-checksum={checksum}"]
    with (
        tempfile.TemporaryDirectory() as folder,
        MariaDB(folder, options) as mariadb,
        closing(mysql.connect(autocommit=True)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT @@GLOBAL.binlog_checksum")
        before = cursor.fetchall()[0][0]
        cursor.execute(f"SET GLOBAL binlog_checksum = {checksum}")
        try:
            yield [Server.from_dsn(mariadb.dsn(), "mariadb"), mysql]
        finally:
            cursor.execute(f"SET GLOBAL binlog_checksum = {before}")


def main() -> None:
    for checksum in CHECKSUMS:
        with servers(checksum.upper()) as running:
            for server in running:
                with Recorder(server) as recorder:
                    (FOLDER / LIFE.format(server.flavor, checksum)).write_bytes(recorder.record_life())
                if checksum == "none":
                    with Recorder(server) as recorder:
                        (FOLDER / TYPES.format(server.flavor)).write_bytes(recorder.record_types())


if __name__ == "__main__":
    main()
