"""As much of a pymysql Connection as `Dump` uses; what the server sends is put on a socket."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from types import TracebackType

VERSIONS = {"mariadb": "10.11.19-MariaDB", "mysql": "9.7.4"}


def framed(raws: Iterable[bytes]) -> bytes:
    """Events as a server sends them: in packets (length 3, sequence 1), each behind a status byte."""
    return b"".join(
        (len(raw) + 1).to_bytes(3, "little") + bytes((number % 256, 0)) + raw for number, raw in enumerate(raws, 1)
    )


class DumpConnection:
    """`server` is the other end; `sent` are the commands that were asked of it."""

    def __init__(self, flavor: str = "mysql") -> None:
        self._version = VERSIONS[flavor]
        self._sock, self.server = socket.socketpair()
        self.sent: list[tuple[int, bytes]] = []

    @classmethod
    def holding(cls, stream: bytes, flavor: str) -> DumpConnection:
        """All that will ever be sent is on the socket, and fits there."""
        made = cls(flavor)
        with made.server as server:
            server.setblocking(False)
            server.sendall(stream)
        return made

    def get_server_info(self) -> str:
        return self._version

    def cursor(self) -> DumpConnection:
        return self

    def __enter__(self) -> DumpConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def execute(self, sql: str) -> None:
        assert sql.startswith("SET ")

    def _execute_command(self, command: int, body: bytes) -> None:
        self.sent.append((command, body))

    def _read_ok_packet(self) -> None:
        return None

    def _force_close(self) -> None:
        self._sock.close()
