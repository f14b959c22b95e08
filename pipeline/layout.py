"""How a source table lies in the warehouse: names, types and key of its raw table, for each role that it plays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.columns import DATE, STRING, TIMESTAMP, ColumnType, Kind, warehouse_type
from schemas.config import DATE_COLUMNS, RoleTable, ShopConfig
from schemas.event import TableSchema
from schemas.tables import META_COLUMNS

LOCAL_DATES = {"ordered_at": "ordered_on", "charged_at": "charged_on"}
"""Role column of an instant → the column of its date in the shop's zone."""

_NUMBERS = (Kind.DECIMAL, Kind.INT64, Kind.FLOAT64)
_MONEY = ("orders", "charges", "refunds")


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
    for layout in found:
        code = next((column for column in layout.columns if column.name == "currency"), None)
        if code and layout.role in _MONEY and code.type.kind in _NUMBERS and config.currencies is None:
            what = f"{schema.table}.{code.source} is a number: `currencies` must say which currency each number means"
            raise LayoutProblem(what)
    if schema.table in config.mirrored:
        found.append(_layout(schema, None, None))
    return found


def _layout(schema: TableSchema, role: str | None, definition: RoleTable | None) -> Layout:
    renames = definition.renames() if definition else {}
    mapped = definition.columns.values() if definition else ()
    summed = {name for column in mapped for name in (*column.plus, *column.minus)}
    missing = sorted((set(renames) | summed) - set(schema.names))
    if missing:
        raise LayoutProblem(f"{schema.table} has no column {', '.join(map(repr, missing))}, which tables.{role} maps")
    names = raw_names(schema.names, definition)
    columns = []
    for column in schema.columns:
        try:
            kind = warehouse_type(column.type)
        except ValueError as error:
            raise LayoutProblem(f"{schema.table}.{column.name}: {error}") from error
        columns.append(LayoutColumn(names[column.name], column.name, kind))
    by_source = {column.source: column.name for column in columns}
    key = tuple(by_source[name] for name in schema.primary_key)
    if role in (*_MONEY, "customers") and key != ("id",):
        raise LayoutProblem(
            f"{schema.table}: the primary key is ({', '.join(schema.primary_key)}),"
            f" but tables.{role} maps id to {definition.source_column('id') if definition else 'id'!r}"
        )
    if role:
        check_types(schema.table, role, columns, summed)
    table = role or schema.table.split(".")[1].lower()
    return Layout(table, role, key, tuple(columns), definition)


def raw_names(sources: Iterable[str], definition: RoleTable | None) -> dict[str, str]:
    """Source column → its name in the raw table: the role's, else its own, after `source_` where that is taken."""
    renames = definition.renames() if definition else {}
    taken = {name.lower() for name in renames.values()} | {"_op", *META_COLUMNS}
    taken |= {LOCAL_DATES[name] for name in renames.values() if name in LOCAL_DATES}
    names = {}
    for source in sources:
        name = renames.get(source)
        if name is None:
            name = source
            while name.lower() in taken:
                name = f"source_{name}"
            taken.add(name.lower())
        names[source] = name
    return names


def check_types(table: str, role: str, columns: list[LayoutColumn], summed: set[str]) -> None:
    for column in columns:
        where = f"{table}.{column.source}: tables.{role} maps it to {column.name}"
        if column.name in DATE_COLUMNS and column.type.kind not in (Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP):
            raise LayoutProblem(f"{where}, but it is no date")
        if column.name == "amount" and column.type.kind not in _NUMBERS:
            raise LayoutProblem(f"{where}, but it is no number")
        if column.source in summed and column.type.kind not in _NUMBERS:
            raise LayoutProblem(f"{table}.{column.source}: tables.{role} makes amounts of it, but it is no number")


def stored_columns(layout: Layout) -> dict[str, ColumnType]:
    """Column → type of the raw table that `layout` fills, without the meta columns.

    A role's date is stored as an instant and as a local date, whatever type the source has. `_op` is there where the
    role has a `where`.
    """
    columns: dict[str, ColumnType] = {}
    for column in layout.columns:
        if layout.role and column.name in DATE_COLUMNS:
            columns[column.name] = TIMESTAMP
            columns[LOCAL_DATES[column.name]] = DATE
        else:
            columns[column.name] = column.type
    if layout.definition and layout.definition.where:
        columns["_op"] = STRING  # tells a deleted row from one that `where` leaves out, should `where` change
    return columns
