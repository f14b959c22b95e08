"""The rows of a rolled-up table as both sides compute them, as texts that compare.

A table with a row per order is compared by a checksum per group, and only groups that differ are read row by row.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

import pyarrow as pa

from pipeline.google_names import quoted as name_in_warehouse
from pipeline.verify.shop_sql import output_names, to_shop_sql
from pipeline.verify.sides import Source, Stored
from pipeline.verify.texts import (
    TIME_FORMAT,
    ColumnText,
    source_hash,
    source_joined,
    warehouse_hash,
    warehouse_joined,
)
from schemas.identifiers import quoted
from schemas.source import rows

GRAINS = {
    "ltv_monthly": ("purchase_month", "currency"),
    "ltv_cohorts": ("cohort_month", "month_number", "currency", "is_guest"),
    "order_first_purchase": ("order_id",),
    "counted_refunds": ("entry_id",),
}
"""Table → the columns that tell its rows apart; of another table all columns do."""

GROUPS = {"order_first_purchase": "cohort_month", "counted_refunds": "cohort_month"}
"""Table with very many rows → the column whose values are compared by checksum first."""

Grain: TypeAlias = tuple[str | None, ...]
Cell: TypeAlias = tuple[tuple[str, str | None], ...]
Cells: TypeAlias = dict[Grain, Cell]


@dataclass(frozen=True)
class RolledUpTable:
    """`sql` is GoogleSQL over the entries, `shop_sql` the same over the shop's tables, both of the day `as_of`."""

    name: str
    sql: str
    shop_sql: str
    as_of: dt.date

    @classmethod
    def of(cls, name: str, sql: str, entries: str, as_of: dt.date) -> RolledUpTable:
        """`entries`: the query that stands for `ltv_entries` in the shop. Raises QueryError."""
        return cls(name, sql, to_shop_sql(sql, {"ltv_entries": entries}, as_of), as_of)

    @functools.cached_property
    def names(self) -> list[str]:
        return output_names(self.sql)

    @functools.cached_property
    def grain(self) -> tuple[str, ...]:
        return GRAINS.get(self.name) or tuple(self.names)

    @property
    def key(self) -> tuple[str, ...]:
        """What the keys of `Cells` are: the grain, or the group."""
        return (GROUPS[self.name],) if self.name in GROUPS else self.grain

    def in_database(self, source: Source, stored: Stored) -> Cells:
        if self.name not in GROUPS:
            return self._cells(rows(source.connection, self.shop_sql))
        group, texts = quoted(GROUPS[self.name]), self._texts(stored)
        sums = f"SELECT {group}, COUNT(*), BIT_XOR({source_hash(source_joined(texts))})"
        return _groups(rows(source.connection, f"{sums} FROM ({self.shop_sql}) AS every GROUP BY {group}"), self.key)

    def in_entries(self, stored: Stored, as_of: dt.date | None = None) -> Cells:
        """What the warehouse's entries give now."""
        return self._in_warehouse(stored, f"({self.sql})", as_of or self.as_of)

    def in_table(self, stored: Stored) -> Cells:
        """What was rolled up last."""
        return self._in_warehouse(stored, name_in_warehouse(self.name), None)

    def _in_warehouse(self, stored: Stored, origin: str, as_of: dt.date | None) -> Cells:
        parameters = {"as_of": as_of} if as_of is not None and "@as_of" in origin else {}
        if self.name not in GROUPS:
            found = stored.fetch(f"SELECT * FROM {origin}", parameters)
            return self._cells([tuple(row[name] for name in self.names) for row in found])
        group, texts = name_in_warehouse(GROUPS[self.name]), self._texts(stored)
        sums = f"SELECT {group} AS part, COUNT(*) AS n, BIT_XOR({warehouse_hash(warehouse_joined(texts))}) AS checksum"
        found = stored.fetch(f"{sums} FROM {origin} GROUP BY part", parameters)
        return _groups([tuple(row.values()) for row in found], self.key)

    def rows_of(self, groups: Sequence[Grain], source: Source, stored: Stored) -> tuple[Cells, Cells]:
        """The rows of these groups, in the database and in the entries."""
        column = GROUPS[self.name]
        theirs: Cells = {}
        ours: Cells = {}
        for (group,) in groups:
            if group is None:
                continue
            within = f"SELECT * FROM ({self.shop_sql}) AS every WHERE {quoted(column)} = '{group}'"
            theirs |= self._cells(rows(source.connection, within))
            mine = f"SELECT * FROM ({self.sql}) WHERE CAST({name_in_warehouse(column)} AS STRING) = @part"
            found = stored.fetch(mine, {"as_of": self.as_of, "part": group})
            ours |= self._cells([tuple(row[name] for name in self.names) for row in found])
        return theirs, ours

    def _cells(self, found: Sequence[tuple[Any, ...]]) -> Cells:
        cells: Cells = {}
        for row in found:
            cell = tuple((name, cell_text(value)) for name, value in zip(self.names, row, strict=True))
            named = dict(cell)
            cells[tuple(named[name] for name in self.grain)] = cell
        return cells

    def _texts(self, stored: Stored) -> list[ColumnText]:
        parameters = {"as_of": self.as_of} if "@as_of" in self.sql else {}
        with stored.warehouse.query(f"SELECT * FROM ({self.sql}) LIMIT 0", parameters) as reader:
            return [_text(field) for field in reader.read_all().schema]


def _groups(found: Sequence[tuple[Any, ...]], key: tuple[str, ...]) -> Cells:
    (name,) = key
    return {
        (cell_text(group),): ((name, cell_text(group)), ("rows", str(n)), ("checksum", str(checksum)))
        for group, n, checksum in found
    }


def _text(field: pa.Field) -> ColumnText:
    """A column of a query as text on both sides."""
    theirs, ours = quoted(field.name), name_in_warehouse(field.name)
    if pa.types.is_string(field.type):
        return ColumnText(field.name, theirs, ours, free=True)
    if pa.types.is_timestamp(field.type):
        shown = f"FORMAT_TIMESTAMP('{TIME_FORMAT}', {ours}, 'UTC')"
        return ColumnText(field.name, f"DATE_FORMAT({theirs}, '%Y-%m-%d %H:%i:%s.%f')", shown)
    if pa.types.is_decimal(field.type):
        shown = f"FORMAT('%.{field.type.scale}f', {ours})"
        return ColumnText(field.name, f"CAST({theirs} AS DECIMAL(65,{field.type.scale}))", shown)
    if pa.types.is_boolean(field.type):
        return ColumnText(field.name, f"({theirs} + 0)", f"CAST(CAST({ours} AS INT64) AS STRING)")
    return ColumnText(field.name, theirs, f"CAST({ours} AS STRING)")


def cell_text(value: object) -> str | None:
    """A value of either side as the same text: true is 1, money without needless zeros, instants in UTC."""
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, Decimal):
        text = f"{value:f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if text == "-0" else text
    if isinstance(value, dt.datetime):
        utc = value.astimezone(dt.timezone.utc).replace(tzinfo=None) if value.tzinfo else value
        return utc.isoformat(" ", "microseconds")
    return str(value)
