"""Stamped reads: a consistent read of the database, and a place in its binlog below which it sees everything.

What a read finds is older than every change above its stamp, so that any later change wins over it. The plain status of
the log runs ahead of what a read sees and loses rows; how to do better differs by server (`pipeline.batch.ways`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from schemas.errors import SourceRefused
from schemas.source import Connection as Connection
from schemas.source import rows, server_error_number

MISSING_GRANT = frozenset({1044, 1142, 1227})
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Stamp(NamedTuple):
    """Every transaction that begins below (`file`, `position`) is visible to the read; of those above, any may be.

    `at` is the clock of the server that is read, in UTC, just before the read was opened.
    """

    file: str
    position: int
    at: datetime


class Way(ABC):
    """How a stamped read is opened on one kind of server. One way serves many connections, from many threads.

    `suffix` must stand at the end of every SELECT of the read; it is empty where a snapshot does it all.
    """

    name: str
    suffix: str = ""

    @abstractmethod
    def begin(self, connection: Connection) -> Stamp:
        """Opens a transaction. Raises SourceRefused, or SourceUnavailable where trying again may help."""

    def warnings(self) -> list[str]:
        """What the operator should know and has not been told yet."""
        return []


@contextmanager
def stamped_read(connection: Connection, way: Way) -> Iterator[Stamp]:
    """What is selected on `connection` inside the block is one consistent read.

    `connection` comes from `schemas.source.connect`, in autocommit mode. A block that raises closes it, as a result may
    be half read.
    """
    stamp = way.begin(connection)
    try:
        yield stamp
    except BaseException:
        connection._force_close()  # type: ignore[attr-defined]
        raise
    rows(connection, "COMMIT")


def begin_snapshot(connection: Connection) -> None:
    """Trap: at any other isolation level the server leaves out the snapshot, with no more than a warning."""
    rows(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    rows(connection, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")


def read_clock(connection: Connection) -> datetime:
    """The server's, in UTC."""
    microseconds = rows(connection, "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS UNSIGNED)")[0][0]
    return EPOCH + timedelta(microseconds=int(microseconds))


@contextmanager
def needing(connection: Connection, privilege: str, why: str) -> Iterator[None]:
    """Turns the server's refusal of a statement into one that says what to grant."""
    try:
        yield
    except SourceRefused as error:
        if server_error_number(error) not in MISSING_GRANT:
            raise
        raise SourceRefused(
            f"the user lacks the privilege {privilege}, {why}", hint=granting(connection, privilege)
        ) from error


def granting(connection: Connection, privileges: str) -> str:
    """The statement that grants them to the user of the connection."""
    name, _, host = str(rows(connection, "SELECT CURRENT_USER()")[0][0]).rpartition("@")
    return f"GRANT {privileges} ON *.* TO '{name}'@'{host}'"
