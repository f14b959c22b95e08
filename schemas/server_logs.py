"""Which binlogs a server has, and whether a place in them still means what it meant.

File numbers and positions of two servers do not compare, nor do those before and after a RESET or a restored backup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from schemas.checkpoint import Identity, Place
from schemas.errors import SourceRefused
from schemas.log_position import BINLOG_OFF, read_position
from schemas.sequence import binlog_number
from schemas.source import Server, rows, server_error_number

if TYPE_CHECKING:
    from schemas.source import Connection

NO_BINARY_LOGGING = 1381


class Log(NamedTuple):
    """A binlog file that the server has, and its size in bytes."""

    name: str
    size: int


class ServerLogs(NamedTuple):
    """What the server says of its binlog: who it is, the files that it has (oldest first), and where it writes now."""

    server: str  # server_uuid; MariaDB: server_id
    logs: tuple[Log, ...]
    current: Place

    @property
    def base(self) -> str:
        return binlog_number(self.current.file)[0]

    @property
    def oldest(self) -> str:
        return self.logs[0].name if self.logs else self.current.file

    def sizes(self) -> dict[str, int]:
        """Of every file; the newest may have grown between the two questions."""
        sizes = {log.name: log.size for log in self.logs}
        sizes[self.current.file] = max(self.current.position, sizes.get(self.current.file, 0))
        return sizes

    def identity(self) -> Identity:
        return Identity(self.server, self.base)


def read_logs(connection: Connection, server: Server) -> ServerLogs:
    """Raises SourceRefused where there is no binlog, or no right to see it."""
    try:
        current = read_position(connection, server)
        logs = tuple(Log(str(row[0]), int(row[1])) for row in rows(connection, "SHOW BINARY LOGS"))
    except SourceRefused as error:
        if server_error_number(error) == NO_BINARY_LOGGING:
            raise SourceRefused("the server writes no binlog", hint=BINLOG_OFF) from error
        raise
    return ServerLogs(server.uuid, logs, current)


def differences(stored: Identity, place: Place, found: ServerLogs) -> list[str]:
    """Why `place`, which belongs to `stored`, is no place of this server's logs, a clause each; a purged one is."""
    reasons = []
    if stored.server != found.server:
        reasons.append(f"the server is {found.server}, the checkpoint is of {stored.server}")
    if stored.base != found.base:
        reasons.append(f"its logs are named {found.base}, the checkpoint's {stored.base}")
    if not reasons and place.order[:2] > found.current.order[:2]:
        reasons.append(f"it writes at {found.current}, below the checkpoint's {place}: reset, or restored?")
    if reasons or is_purged(place, found):
        return reasons
    sizes = found.sizes()
    if place.file not in sizes:
        reasons.append(f"it has no {place.file}, although older and newer logs are there")
    elif place.position > sizes[place.file]:
        reasons.append(f"its {place.file} ends at {sizes[place.file]}, below the checkpoint's {place}")
    return reasons


def is_purged(place: Place, found: ServerLogs) -> bool:
    """Whether the server had this file once and has only newer ones now."""
    older = binlog_number(place.file)[1] < binlog_number(found.oldest)[1]
    return older and place.file not in found.sizes()
