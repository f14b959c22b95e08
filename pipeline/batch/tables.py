"""The source tables of a batch: what of each is read, how, and whether it can be.

A table that cannot be read in ranges, not whole, or not in the roles that the configuration gives it, is refused before
anything is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.batch.expressions import select_list
from pipeline.batch.keys import check_key
from pipeline.batch.ways import check_engine
from pipeline.layout import Layout, LayoutProblem, layouts
from schemas.catalogue import NO_SUCH_DATABASE, NO_SUCH_TABLE, CatalogueTable, read_tables, table_refusal, wire_schema
from schemas.config import ShopConfig
from schemas.errors import (
    ConfigError,
    LtvError,
    SourceRefused,
    TableAltered,
    UnsupportedKey,
    UnsupportedTable,
    UsageError,
)
from schemas.event import TableSchema
from schemas.identifiers import quoted, quoted_table
from schemas.source import rows, server_error_number

if TYPE_CHECKING:
    from pipeline.batch.stamps import Connection

CHUNK_BYTES = 40_000_000
"""How much a chunk is to have at most, by the average length of the table's rows."""

CHUNK_ROWS = 245_760
"""Two of DuckDB's row groups, which it writes straight into its file, one on each core."""

_ANY_COLUMN = "\0"
"""No column has this name: it is published where all columns are, also those that the catalogue does not show."""


@dataclass(frozen=True)
class SourceTable:
    """A table as it is read. `select` is the list behind SELECT, a value for each column of `schema`; `estimate` is
    how many rows the server believes it has, `row_bytes` how long it believes them to be."""

    catalogue: CatalogueTable
    schema: TableSchema
    layouts: tuple[Layout, ...]
    select: str
    where: str | None
    fingerprint: str
    estimate: int
    row_bytes: int

    @property
    def name(self) -> str:
        return self.catalogue.name

    def chunk_rows(self, wanted: int | None, per_second: int | None) -> int:
        """Rows of a chunk: `wanted`, or as many as memory bears, or are to be read in a second."""
        if wanted is not None:
            return wanted
        fitting = min(CHUNK_ROWS, max(1_000, CHUNK_BYTES // max(1, self.row_bytes)))
        return max(1, min(fitting, per_second or fitting))


def chosen_tables(config: ShopConfig, wanted: Sequence[str]) -> list[str]:
    """The configured tables, or those of them that are named. Raises UsageError."""
    unknown = [name for name in wanted if name not in config.source_tables]
    if unknown:
        raise UsageError(
            f"--table {', '.join(unknown)}: not in shop.yaml", hint=f"configured are {', '.join(config.source_tables)}"
        )
    return [name for name in config.source_tables if not wanted or name in wanted]


def source_tables(
    connection: Connection, config: ShopConfig, names: Sequence[str], flavor: str, where: str | None
) -> list[SourceTable]:
    """All of `names`, the largest first: it fills the cores best, and its keys are built once. Raises SourceRefused,
    UnsupportedKey, UnsupportedTable or ConfigError; what is wrong with several tables, in one."""
    found = read_tables(connection, names)
    tables: list[SourceTable] = []
    problems: list[LtvError] = []
    for name in names:
        try:
            if name not in found:
                raise _absent(connection, name)
            tables.append(_source_table(connection, config, found[name], flavor, where))
        except (SourceRefused, UnsupportedKey, UnsupportedTable, ConfigError) as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        lines = "".join(f"\n  - {one}{f': {one.hint}' if one.hint else ''}" for one in problems)
        raise SourceRefused(f"{len(problems)} tables cannot be loaded:{lines}")
    return sorted(tables, key=lambda table: table.estimate, reverse=True)


def check_unaltered(connection: Connection, table: SourceTable) -> None:
    """Raises TableAltered where the table is not what it was. Trap: only a transaction that has selected from it
    keeps it from being altered, so this comes after the SELECT."""
    found = read_tables(connection, [table.name]).get(table.name)
    if found is None:
        raise _absent(connection, table.name)
    if found != table.catalogue:
        raise TableAltered("the table was altered while it was read", table=table.name)


def _absent(connection: Connection, name: str) -> SourceRefused:
    reason = table_refusal(connection, name)
    if reason in (None, "missing"):
        return SourceRefused("the table does not exist", table=name, hint="correct `tables` or `mirror` in shop.yaml")
    return SourceRefused(str(reason), table=name, hint=f"GRANT SELECT ON {name} TO the user of `source`")


def _source_table(
    connection: Connection, config: ShopConfig, table: CatalogueTable, flavor: str, where: str | None
) -> SourceTable:
    if table.kind.upper() not in ("BASE TABLE", "SYSTEM VERSIONED"):
        raise UnsupportedTable(f"is a {table.kind.lower()}", table=table.name, hint="name a plain table")
    check_engine(table)
    check_key(table)
    _check_grant(connection, config, table)
    published = config.published(table.name, table.column_names)
    schema = wire_schema(table, published)
    missing = [name for name in schema.primary_key if name not in published]
    if missing:
        raise ConfigError([f"{table.name}: `include` and `exclude` leave out its key, {', '.join(missing)}"])
    try:
        found = tuple(layouts(schema, config))
    except LayoutProblem as error:
        raise UnsupportedTable(str(error), table=table.name, hint="correct `tables` in shop.yaml") from error
    if where is not None:
        _try(connection, table, f"SELECT 1 FROM {quoted_table(table.name)} WHERE (\n{where}\n) LIMIT 0", "--where")
    estimate, length = _size(connection, table)
    return SourceTable(
        table,
        schema,
        found,
        select_list(table, published, flavor),
        where,
        fingerprint(schema, found, where, config),
        estimate,
        length,
    )


def fingerprint(schema: TableSchema, found: Sequence[Layout], where: str | None, config: ShopConfig) -> str:
    """Of what is read and what is made of it: 16 hexadecimal digits."""
    roles = [
        [layout.table, layout.role, layout.definition.model_dump(mode="json") if layout.definition else None]
        for layout in found
    ]
    said = json.dumps([schema.body(), roles, where, config.settings()], sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _check_grant(connection: Connection, config: ShopConfig, table: CatalogueTable) -> None:
    """Trap: the catalogue does not show a column that the user must not read; its values would become NULL."""
    every = _ANY_COLUMN in config.published(table.name, [*table.column_names, _ANY_COLUMN])
    columns = "*" if every else ", ".join(map(quoted, config.published(table.name, table.column_names)))
    _try(connection, table, f"SELECT {columns} FROM {quoted_table(table.name)} LIMIT 0", None)


def _try(connection: Connection, table: CatalogueTable, sql: str, option: str | None) -> None:
    try:
        rows(connection, sql)
    except SourceRefused as error:
        if option and server_error_number(error) not in (NO_SUCH_TABLE, NO_SUCH_DATABASE):
            raise UsageError(f"{option}: {error.message}", hint="an SQL condition on the table's columns") from error
        hint = f"GRANT SELECT ON {table.name} TO the user of `source`, or name the columns to read under `include`"
        raise SourceRefused(error.message, table=table.name, hint=hint) from error


def _size(connection: Connection, table: CatalogueTable) -> tuple[int, int]:
    """Rows and bytes a row, as the server estimates them. Trap: MySQL keeps its estimates for a day."""
    with suppress(SourceRefused):
        rows(connection, "SET SESSION information_schema_stats_expiry = 0")
    found: list[tuple[Any, ...]] = rows(
        connection,
        "SELECT COALESCE(table_rows, 0), COALESCE(avg_row_length, 0) FROM information_schema.tables"
        " WHERE (table_schema, table_name) = (%s, %s)",
        table.name.split(".", 1),
    )
    return (int(found[0][0]), int(found[0][1])) if found else (0, 0)
