"""What every oracle test starts from: a server, an empty database, and a reader of its binlog."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from demo.servers import MariaDB
from tests.conftest import Server
from tests.oracle.source import Source


@contextmanager
def fresh(server: Any, server_id: int) -> Iterator[Source]:
    name = f"t_{uuid.uuid4().hex[:12]}"
    with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        source = Source(server, name, server_id)
        try:
            yield source
        finally:
            source.connection.close()
            cursor.execute(f"DROP DATABASE {name}")


@pytest.fixture
def source(server: Server, server_id: int) -> Iterator[Source]:
    """On each flavor."""
    with fresh(server, server_id) as found:
        yield found


@pytest.fixture
def mariadb_source(mariadb: MariaDB, server_id: int) -> Iterator[Source]:
    with fresh(Server.from_dsn(mariadb.dsn(), "mariadb"), server_id) as found:
        yield found


@pytest.fixture
def mysql_source(mysql: Server, server_id: int) -> Iterator[Source]:
    with fresh(mysql, server_id) as found:
        yield found
