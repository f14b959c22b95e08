"""The answer to one query as the bytes that the server sends; for that long it takes over PyMySQL's connection.

Protocol: MySQL source documentation «COM_QUERY Response»; MariaDB knowledge base «Result Set Packets». It uses private
parts of PyMySQL, which itself reads a result value by value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pymysql
from pymysql.constants import CLIENT, COMMAND

from schemas.errors import LtvError, SourceUnavailable
from schemas.source import source_error

LOST = "connection lost in the middle of a result"


class ResultStream:
    """Sends `sql` at once. Then `receive_into` until all of the answer is there, and `finish`; or `abort`.

    A connection with an answer half read is good for nothing, so whoever stops early must abort, which closes it.
    Raises SourceUnavailable or SourceRefused.
    """

    def __init__(self, connection: Any, sql: str, parameters: Sequence[object] | None = None) -> None:
        self._connection = connection
        self._finished = False
        self.ends_with_ok = bool(connection.client_flag & connection.server_capabilities & CLIENT.DEPRECATE_EOF)
        """Whether an OK packet ends a result, and nothing its column definitions, instead of an EOF packet each."""
        try:
            with connection.cursor() as cursor:
                text = cursor.mogrify(sql, parameters)
            connection._execute_command(COMMAND.COM_QUERY, text)
            connection._sock.settimeout(connection._read_timeout)
        except (pymysql.err.Error, OSError) as error:
            self.abort()
            raise source_error(error, "the database did not take a query") from error
        connection._current_timeout = connection._read_timeout
        self._file = connection._rfile  # over TLS, too

    def receive_into(self, room: memoryview) -> int:
        """Bytes received: at least one, as many as there are, at most as many as there is room."""
        try:
            received = int(self._file.readinto1(room))
        except (OSError, ValueError) as error:
            self.abort()
            raise source_error(error, LOST) from error
        if not received:
            self.abort()
            raise SourceUnavailable(f"{LOST}: the server closed it", hint="see the server's error log")
        return received

    def refusal(self, packet: bytes) -> LtvError:
        """What an ERR packet says. The connection is good for further queries."""
        self.finish()
        try:
            pymysql.err.raise_mysql_exception(packet)
        except pymysql.err.Error as error:
            raised = source_error(error, "the database refused a query")
            raised.__cause__ = error
            return raised
        raise AssertionError("an ERR packet raises")

    def finish(self) -> None:
        """The whole answer has been received."""
        self._finished = True

    def abort(self) -> None:
        """Closes the connection, unless the whole answer has been received. May be called at any time."""
        if not self._finished:
            self._finished = True
            self._connection._force_close()
