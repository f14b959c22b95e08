"""Which types the columns of an extract have, since a CSV file does not say.

What a role needs is typed by the role. Another column has the type that the warehouse knows it by, else it is text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.extract.fields import INTEGER, ExtractColumn, has_offset, parse
from schemas.columns import ColumnType, Kind
from schemas.config import DATE_COLUMNS, ShopConfig

IDS = frozenset({"id", "customer_id", "order_id"})
MONEY = frozenset({"amount", "unit_amount"})
DECIMAL_PARTS = MONEY | {"quantity"}


def typed(
    name: str,
    parts: frozenset[str],
    known: ColumnType | None,
    sample: Sequence[str | None],
    zone: str,
    decimal_comma: bool,
) -> ExtractColumn:
    """Which type a column has. `parts`: the role columns that it is mapped to; `known`: its type in the warehouse,
    which counts where the sample fits into it. Raises Unfit where the warehouse's type has no form in a CSV file."""
    if known is not None and _plays(known.kind, parts):
        column = _known(ExtractColumn(name, "varchar", zone), known, sample)
        if not parse(column, list(sample), decimal_comma)[1]:
            return column
    filled = [value.strip() for value in sample if value is not None and value.strip()]
    if parts & MONEY:
        return ExtractColumn(name, "decimal", zone)
    if parts & (DATE_COLUMNS | {"updated_at"}):
        instants = has_offset(filled)
        return ExtractColumn(name, "timestamp(6)" if instants else "datetime(6)", "" if instants else zone)
    if parts & (IDS | {"quantity"}):
        column = ExtractColumn(name, _integer_type(filled), zone)
        if not parse(column, list(sample), decimal_comma)[1]:
            return column
        return replace(column, wire="decimal" if "quantity" in parts else "varchar")
    if "currency" in parts and filled and all(map(INTEGER.fullmatch, filled)):
        return ExtractColumn(name, "bigint", zone)  # numbers that `currencies` explains
    return ExtractColumn(name, "varchar", zone)


def _plays(kind: Kind, parts: frozenset[str]) -> bool:
    """Whether a column of this kind can be what the roles need it to be; dates of roles are kept in another form."""
    if parts & DATE_COLUMNS:
        return False
    if parts & {"updated_at"}:
        return kind in (Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP)
    return not parts & DECIMAL_PARTS or kind in (Kind.INT64, Kind.DECIMAL, Kind.FLOAT64)


class Unfit(ValueError):
    """A column whose values have no form in a CSV file."""


def _known(column: ExtractColumn, known: ColumnType, sample: Sequence[str | None]) -> ExtractColumn:
    if known.kind is Kind.DECIMAL:
        return replace(column, wire="decimal", whole=known.precision - known.scale, scale=known.scale)
    wire = _WIRE.get(known.kind)
    if wire is None:
        raise Unfit(f"column {column.name} holds bytes or vectors in the warehouse, which a CSV file cannot bring")
    return replace(column, wire=wire)


_WIRE = {
    Kind.INT64: "bigint",
    Kind.FLOAT64: "double",
    Kind.STRING: "varchar",
    Kind.DATE: "date",
    Kind.DATETIME: "datetime(6)",
    Kind.TIMESTAMP: "timestamp(6)",
    Kind.JSON: "json",
    Kind.STRINGS: "set",
}


def _integer_type(filled: Sequence[str]) -> str:
    numbers = [int(value) for value in filled if INTEGER.fullmatch(value)]
    return "bigint unsigned" if max(numbers, default=0) >= 2**63 else "bigint"


def role_parts(table: str, config: ShopConfig) -> dict[str, frozenset[str]]:
    """Source column → the role columns that it is, or is a summand of, in any role of its table."""
    parts: dict[str, set[str]] = {}
    for _, definition in config.roles_of.get(table, []):
        for role_column, column in definition.columns.items():
            for source in (column.column, *column.plus, *column.minus):
                parts.setdefault(source, set()).add(role_column)
    return {source: frozenset(found) for source, found in parts.items()}


def zones(table: str, config: ShopConfig) -> dict[str, str]:
    """Source column → the zone of its wall-clock times, where it is not the shop's."""
    return {
        column.column: column.time_zone
        for _, definition in config.roles_of.get(table, [])
        for column in definition.columns.values()
        if column.time_zone
    }
