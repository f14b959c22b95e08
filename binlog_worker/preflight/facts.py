"""What `checks` judges, read from the server over one connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from binlog_worker.server import clock_difference
from schemas.catalogue import Cascade, CatalogueTable, read_cascades, read_table_names, read_tables, table_refusal
from schemas.config import ShopConfig
from schemas.errors import SourceRefused
from schemas.server_logs import ServerLogs, read_logs
from schemas.source import Server, describe_server, rows

if TYPE_CHECKING:
    from binlog_worker.server import Connection


@dataclass(frozen=True)
class Reader:
    """One that the server lists under SHOW REPLICAS; workers of this project give port 0."""

    server_id: int
    host: str
    port: int


@dataclass(frozen=True)
class Facts:
    """`logs` is None where they cannot be read, `logs_refusal` says why. `refusals`: table → "missing" or the server's
    words. `clock_s`: how far the server's clock is ahead of ours. `readers` is None where they are not to be seen."""

    server: Server
    logs: ServerLogs | None = None
    logs_refusal: str = ""
    grants: Sequence[str] = ()
    readers: Sequence[Reader] | None = None
    tables: Mapping[str, CatalogueTable] = field(default_factory=dict)
    refusals: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)  # database → its tables
    cascades: Sequence[Cascade] = ()
    clock_s: float = 0.0


def read_facts(connection: Connection, config: ShopConfig) -> Facts:
    """Raises SourceUnavailable; what the server refuses becomes a fact."""
    server = describe_server(connection)
    logs, refusal = None, ""
    try:
        logs = read_logs(connection, server)
    except SourceRefused as error:
        refusal = error.message
    wanted = config.source_tables
    tables = read_tables(connection, wanted)
    refusals = {
        table: reason
        for table in wanted
        if table not in tables and (reason := table_refusal(connection, table)) is not None
    }
    databases = sorted({table.split(".", 1)[0] for table in refusals})
    return Facts(
        server,
        logs,
        refusal,
        _grants(connection, server),
        _readers(connection, server),
        tables,
        refusals,
        {database: read_table_names(connection, database) for database in databases},
        read_cascades(connection, wanted),
        clock_difference(connection),
    )


def _grants(connection: Connection, server: Server) -> list[str]:
    statement = "SHOW GRANTS"
    if server.flavor == "mysql" and server.version >= (8, 0):
        role = str(rows(connection, "SELECT CURRENT_ROLE()")[0][0])
        if role != "NONE":
            statement = f"SHOW GRANTS FOR CURRENT_USER() USING {role}"
    return [str(row[0]) for row in rows(connection, statement)]


def _readers(connection: Connection, server: Server) -> list[Reader] | None:
    new_words = server.flavor == "mysql" and server.version >= (8, 0, 22)
    try:
        found = rows(connection, "SHOW REPLICAS" if new_words else "SHOW SLAVE HOSTS")
    except SourceRefused:
        return None
    return [Reader(int(row[0]), str(row[1] or ""), int(row[2] or 0)) for row in found]
