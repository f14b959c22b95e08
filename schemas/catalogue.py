"""What the database's catalogue says of tables: columns, primary key, engine, foreign keys that cascade."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas.errors import SourceRefused
from schemas.event import EventColumn, TableSchema
from schemas.identifiers import quoted_table
from schemas.source import rows, server_error_number

if TYPE_CHECKING:
    import pymysql.connections

NO_SUCH_TABLE, NO_SUCH_DATABASE = 1146, 1049


@dataclass(frozen=True)
class CatalogueColumn:
    """`type` is the bare type (`varchar`), `full_type` as declared (`varchar(20)`, `enum('a','b')`)."""

    name: str
    type: str
    full_type: str
    nullable: bool
    charset: str | None
    extra: str


@dataclass(frozen=True)
class CatalogueTable:
    """`primary_key` in key order; `prefix_key`: a part of it is only the start of a column."""

    name: str  # database.table
    kind: str  # BASE TABLE, VIEW, SYSTEM VERSIONED, …
    engine: str
    columns: tuple[CatalogueColumn, ...]
    primary_key: tuple[str, ...]
    prefix_key: bool

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]


@dataclass(frozen=True)
class Cascade:
    """A foreign key of `child` on `parent`: changing or deleting parents changes children by `rule`."""

    child: str
    parent: str
    constraint: str
    rule: str


def _pairs(tables: Iterable[str]) -> tuple[str, list[str]]:
    names = [tuple(table.split(".", 1)) for table in tables]
    return ", ".join(["(%s, %s)"] * len(names)), [part for name in names for part in name]


def read_tables(connection: pymysql.connections.Connection[Any], tables: Collection[str]) -> dict[str, CatalogueTable]:
    """Those of `tables` (database.table) that are there and that the user may see. Raises as `schemas.source.rows`."""
    if not tables:
        return {}
    marks, values = _pairs(tables)
    found = rows(
        connection,
        "SELECT table_schema, table_name, table_type, COALESCE(engine, '') FROM information_schema.tables"
        f" WHERE (table_schema, table_name) IN ({marks})",
        values,
    )
    columns: dict[str, list[CatalogueColumn]] = {}
    for schema, table, name, kind, full, nullable, charset, extra in rows(
        connection,
        "SELECT table_schema, table_name, column_name, data_type, column_type, is_nullable, character_set_name, extra"
        f" FROM information_schema.columns WHERE (table_schema, table_name) IN ({marks}) ORDER BY ordinal_position",
        values,
    ):
        columns.setdefault(f"{schema}.{table}", []).append(
            CatalogueColumn(name, _text(kind).lower(), _text(full), nullable == "YES", charset, _text(extra))
        )
    keys: dict[str, list[tuple[str, bool]]] = {}
    for schema, table, name, part in rows(
        connection,
        "SELECT table_schema, table_name, column_name, sub_part FROM information_schema.statistics"
        f" WHERE index_name = 'PRIMARY' AND (table_schema, table_name) IN ({marks}) ORDER BY seq_in_index",
        values,
    ):
        keys.setdefault(f"{schema}.{table}", []).append((name, part is not None))
    return {
        (full_name := f"{schema}.{table}"): CatalogueTable(
            full_name,
            kind,
            engine,
            tuple(columns.get(full_name, [])),
            tuple(name for name, _ in keys.get(full_name, [])),
            any(prefix for _, prefix in keys.get(full_name, [])),
        )
        for schema, table, kind, engine in found
    }


def wire_schema(table: CatalogueTable, published: Collection[str]) -> TableSchema:
    """The `published` columns of a table, in the words of `types.md`."""
    columns = (column for column in table.columns if column.name in published)
    return TableSchema(
        table.name,
        table.primary_key,
        tuple(EventColumn(column.name, wire_type(column), column.nullable) for column in columns),
    )


def declared_size(column: CatalogueColumn) -> int:
    """The number behind a declared type, such as 16 of `binary(16)`; 0 where there is none."""
    size = column.full_type[len(column.type) :].partition(")")[0]
    return int(size[1:]) if size.startswith("(") and size[1:].isdigit() else 0


_SIZED = frozenset({"decimal", "bit", "datetime", "timestamp", "time"})
_SIGNED = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "float", "double"})
_SAME = {
    **dict.fromkeys(("tinytext", "mediumtext", "longtext"), "text"),
    **dict.fromkeys(("tinyblob", "mediumblob", "longblob"), "blob"),
    **dict.fromkeys(("point", "linestring", "polygon", "multipoint", "multilinestring"), "geometry"),
    **dict.fromkeys(("multipolygon", "geometrycollection", "geomcollection"), "geometry"),
}


def wire_type(column: CatalogueColumn) -> str:
    """A column's type as it stands in a change event, such as `bigint unsigned` or `decimal(12,2)`."""
    declared = column.full_type.lower()
    if column.type in _SIZED:
        size = declared[len(column.type) :].partition(")")[0]
        return f"{column.type}{size})" if size.startswith("(") else column.type
    name = _SAME.get(column.type, column.type)
    return f"{name} unsigned" if " unsigned" in declared and column.type in _SIGNED else name


_NAME = r"(?:`(?:[^`]|``)+`|\"(?:[^\"]|\"\")+\")"
_FOREIGN_KEY = re.compile(
    rf"^  CONSTRAINT (?P<name>{_NAME}) FOREIGN KEY \((?:{_NAME}(?:, )?)+\)"
    rf" REFERENCES (?:(?P<schema>{_NAME})\.)?(?P<parent>{_NAME}) \((?:{_NAME}(?:, )?)+\)(?P<rules>[A-Z ]*)",
    re.MULTILINE,
)
_RULE = re.compile(r"ON (DELETE|UPDATE) (CASCADE|SET NULL|SET DEFAULT)")


def read_cascades(connection: pymysql.connections.Connection[Any], tables: Collection[str]) -> list[Cascade]:
    """Foreign keys that change rows of one of `tables` when a parent row is changed or deleted.

    Out of SHOW CREATE TABLE: MariaDB's information_schema hides foreign keys from those who may only SELECT.
    """
    found = []
    rows(connection, "SET SESSION sql_quote_show_create = 1")
    for table in tables:
        schema = table.split(".", 1)[0]
        try:
            shown = rows(connection, f"SHOW CREATE TABLE {quoted_table(table)}")
        except SourceRefused:
            continue  # a table that is not there, or not for us: `table_refusal` says so
        for key in _FOREIGN_KEY.finditer(_text(shown[0][1])):
            parent = f"{_unquoted(key['schema']) if key['schema'] else schema}.{_unquoted(key['parent'])}"
            for what, rule in sorted(_RULE.findall(key["rules"])):
                found.append(Cascade(table, parent, _unquoted(key["name"]), f"ON {what} {rule}"))
    return found


def _unquoted(name: str) -> str:
    return name[1:-1].replace(name[0] * 2, name[0])


def read_table_names(connection: pymysql.connections.Connection[Any], database: str) -> list[str]:
    """database.table of all tables of a database that the user may see."""
    found = rows(connection, "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (database,))
    return sorted(f"{database}.{name}" for (name,) in found)


def table_refusal(connection: pymysql.connections.Connection[Any], table: str) -> str | None:
    """Why a table that the catalogue does not show cannot be read: `missing`, or the server's words. None: it can."""
    try:
        rows(connection, f"SELECT 1 FROM {quoted_table(table)} LIMIT 0")
    except SourceRefused as error:
        return "missing" if server_error_number(error) in (NO_SUCH_TABLE, NO_SUCH_DATABASE) else error.message
    return None


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
