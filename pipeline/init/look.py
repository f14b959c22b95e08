"""What a database shows of itself: its tables, and from the tables a bounded sample. Only SELECT is needed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from schemas.catalogue import CatalogueTable, read_tables
from schemas.config import RoleTable, is_nameable
from schemas.errors import SourceRefused
from schemas.identifiers import quoted, quoted_table
from schemas.presets import ShopSystem
from schemas.source import Server, rows

if TYPE_CHECKING:
    from pipeline.init.recognise import Candidate

Connection = Any
"""A connection that `schemas.source.connect` has made."""

OF_THE_SERVER = ("information_schema", "mysql", "ndbinfo", "performance_schema", "sys")
MOST_TABLES = 50_000
SAMPLE_ROWS = 20_000
MOST_VALUES = 30
SECONDS = 10


def table_names(connection: Connection, database: str | None) -> list[tuple[str, str]]:
    """(database, table) of every table that the user may see and that a shop.yaml can name."""
    marks = ", ".join(["%s"] * len(OF_THE_SERVER))
    where, values = f"table_schema NOT IN ({marks})", list(OF_THE_SERVER)
    if database is not None:
        where, values = "table_schema = %s", [database]
    found = rows(
        connection,
        "SELECT table_schema, table_name FROM information_schema.tables"
        f" WHERE {where} AND table_type <> 'VIEW' ORDER BY table_schema, table_name LIMIT {MOST_TABLES}",
        values,
    )
    return [(schema, table) for schema, table in found if is_nameable(schema) and is_nameable(table)]


def tables_of(connection: Connection, names: Collection[str]) -> dict[str, CatalogueTable]:
    """database.table → its columns and key, read a few hundred tables at a time."""
    found: dict[str, CatalogueTable] = {}
    ordered = sorted(names)
    for start in range(0, len(ordered), 300):
        found |= read_tables(connection, ordered[start : start + 300])
    return found


def limit_time(connection: Connection, server: Server) -> None:
    """A query that takes longer than `SECONDS` is given up by the server: a look must not hurt the shop."""
    mariadb = server.flavor == "mariadb"
    rows(
        connection,
        f"SET SESSION max_statement_time = {SECONDS}"
        if mariadb
        else f"SET SESSION max_execution_time = {SECONDS * 1000}",
    )


def sample(
    connection: Connection, table: CatalogueTable, column: str, definition: RoleTable | None = None
) -> list[tuple[Any, int]] | None:
    """The values of a column in the newest rows with how often each, the frequent ones first. None: refused."""
    where, values = _condition(definition)
    try:
        return [
            (value, int(count))
            for value, count in rows(
                connection,
                f"SELECT v, COUNT(*) FROM (SELECT {_quoted(column)} AS v FROM {_table(table)}{where}"
                f"{_newest(table)} LIMIT {SAMPLE_ROWS}) AS newest GROUP BY v ORDER BY 2 DESC, 1 LIMIT {MOST_VALUES}",
                values,
            )
        ]
    except SourceRefused:
        return None


def smallest(connection: Connection, table: CatalogueTable, column: str) -> Any:
    """The smallest value of a column in the newest rows; None also where it cannot be told."""
    try:
        found = rows(
            connection,
            f"SELECT MIN(v) FROM (SELECT {_quoted(column)} AS v FROM {_table(table)}{_newest(table)}"
            f" LIMIT {SAMPLE_ROWS}) AS newest",
            (),
        )
    except SourceRefused:
        return None
    return found[0][0]


def setting(connection: Connection, candidate: Candidate, key: str) -> list[tuple[Any, ...]]:
    """What the shop itself says of a key of shop.yaml; empty where it says nothing, or not to us."""
    system: ShopSystem = candidate.system
    for query in system.settings.get(key, ()):
        try:
            found = rows(connection, system.filled(query, candidate.database, candidate.prefix))
        except SourceRefused:
            continue
        found = [row for row in found if all(value not in (None, "") for value in row)]
        if found:
            return found
    return []


def zones(connection: Connection) -> tuple[str, str]:
    """The server's `time_zone` and the zone of its machine."""
    ((own, system),) = rows(connection, "SELECT @@GLOBAL.time_zone, @@system_time_zone")
    return str(own), str(system)


def _condition(definition: RoleTable | None) -> tuple[str, Sequence[str]]:
    where = definition.where if definition else None
    if where is None:
        return "", ()
    if where.is_null is not None:
        return f" WHERE {_quoted(where.column)} IS {'' if where.is_null else 'NOT '}NULL", ()
    values = sorted(where.values)
    marks = ", ".join(["%s"] * len(values)) or "NULL"
    return f" WHERE {_quoted(where.column)} {'IN' if where.in_ is not None else 'NOT IN'} ({marks})", values


def _newest(table: CatalogueTable) -> str:
    return f" ORDER BY {', '.join(f'{_quoted(name)} DESC' for name in table.primary_key)}" if table.primary_key else ""


def _table(table: CatalogueTable) -> str:
    return _escaped(quoted_table(table.name))


def _quoted(name: str) -> str:
    return _escaped(quoted(name))


def _escaped(name: str) -> str:
    """For a statement with parameters, of which a % would be one."""
    return name.replace("%", "%%")
