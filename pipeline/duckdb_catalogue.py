"""Which raw tables a DuckDB file has: their columns in the terms of `schemas.columns`, and their keys."""

from __future__ import annotations

from pipeline.duckdb_sql import COLUMNS
from pipeline.session import Session, Statement
from pipeline.warehouse import StoredTable
from schemas.columns import ColumnType, Kind, duckdb_kinds
from schemas.tables import RAW

_KEYS = Statement(
    f"""SELECT table_name, constraint_column_names FROM duckdb_constraints()
    WHERE schema_name = '{RAW}' AND constraint_type = 'PRIMARY KEY'"""
)


def stored_tables(session: Session) -> dict[str, StoredTable]:
    """Raw table → its columns and key. A column of a type that no source column has is left out."""
    columns: dict[str, dict[str, ColumnType]] = {}
    for row in session.run([COLUMNS]).read_all().to_pylist():
        found = columns.setdefault(row["table_name"], {})
        kind = _column_type(row["data_type"])
        if kind is not None:
            found[row["column_name"]] = kind
    keys = {row["table_name"]: row["constraint_column_names"] for row in session.run([_KEYS]).read_all().to_pylist()}
    return {table: StoredTable(found, tuple(keys.get(table, ()))) for table, found in columns.items()}


def _column_type(duckdb_type: str) -> ColumnType | None:
    if duckdb_type.startswith("DECIMAL("):
        precision, scale = duckdb_type[8:-1].split(",")
        return ColumnType(Kind.DECIMAL, int(precision), int(scale))
    kind = duckdb_kinds().get(duckdb_type)
    return ColumnType(kind) if kind else None
