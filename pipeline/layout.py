"""How a source table lies in the warehouse: names, types and key of its raw table, for each role that it plays."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.columns import DATE, TIMESTAMP, ColumnType, Kind, warehouse_type
from schemas.config import DATE_COLUMNS, RoleTable, ShopConfig
from schemas.event import TableSchema
from schemas.tables import META_COLUMNS

LOCAL_DATES = {"ordered_at": "ordered_on", "charged_at": "charged_on"}
"""Role column of an instant → the column of its date in the shop's zone."""


@dataclass(frozen=True)
class LayoutColumn:
    """A column of a raw table, from a column of the source."""

    name: str
    source: str
    type: ColumnType


@dataclass(frozen=True)
class Layout:
    """A raw table as one schema of its source table fills it."""

    table: str  # in the warehouse
    role: str | None
    key: tuple[str, ...]
    columns: tuple[LayoutColumn, ...]
    definition: RoleTable | None = field(default=None, compare=False)


class LayoutProblem(ValueError):
    """A schema that cannot play the role that the configuration gives its table."""


def layouts(schema: TableSchema, config: ShopConfig) -> list[Layout]:
    """The raw tables that the events of one source table fill. Raises LayoutProblem."""
    found = [_layout(schema, role, definition) for role, definition in config.roles_of.get(schema.table, [])]
    if schema.table in config.mirrored:
        found.append(_layout(schema, None, None))
    return found


def _layout(schema: TableSchema, role: str | None, definition: RoleTable | None) -> Layout:
    renames = definition.renames() if definition else {}
    missing = sorted(set(renames) - set(schema.names))
    if missing:
        raise LayoutProblem(f"{schema.table} has no column {', '.join(map(repr, missing))}, which tables.{role} maps")
    taken = {name.lower() for name in renames.values()} | {"_op", *META_COLUMNS}
    taken |= {LOCAL_DATES[name] for name in renames.values() if name in LOCAL_DATES}
    columns = []
    for column in schema.columns:
        try:
            kind = warehouse_type(column.type)
        except ValueError as error:
            raise LayoutProblem(f"{schema.table}.{column.name}: {error}") from error
        name = renames.get(column.name)
        if name is None:
            name = column.name
            while name.lower() in taken:
                name = f"source_{name}"
            taken.add(name.lower())
        columns.append(LayoutColumn(name, column.name, kind))
    by_source = {column.source: column.name for column in columns}
    key = tuple(by_source[name] for name in schema.primary_key)
    if role in ("orders", "charges", "refunds", "customers") and key != ("id",):
        raise LayoutProblem(
            f"{schema.table}: the primary key is ({', '.join(schema.primary_key)}),"
            f" but tables.{role} maps id to {definition.source_column('id') if definition else 'id'!r}"
        )
    if role:
        _check_types(schema.table, role, columns)
    table = role or schema.table.split(".")[1].lower()
    return Layout(table, role, key, tuple(columns), definition)


def _check_types(table: str, role: str, columns: list[LayoutColumn]) -> None:
    for column in columns:
        where = f"{table}.{column.source}: tables.{role} maps it to {column.name}"
        if column.name in DATE_COLUMNS and column.type.kind not in (Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP):
            raise LayoutProblem(f"{where}, but it is no date")
        if column.name == "amount" and column.type.kind not in (Kind.DECIMAL, Kind.INT64, Kind.FLOAT64):
            raise LayoutProblem(f"{where}, but it is no number")


def stored_columns(layout: Layout) -> dict[str, ColumnType]:
    """Column → type of the raw table that `layout` fills, without the meta columns.

    A role's date is stored as an instant and as a local date, whatever type the source has.
    """
    columns: dict[str, ColumnType] = {}
    for column in layout.columns:
        if layout.role and column.name in DATE_COLUMNS:
            columns[column.name] = TIMESTAMP
            columns[LOCAL_DATES[column.name]] = DATE
        else:
            columns[column.name] = column.type
    return columns
