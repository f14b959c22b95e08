"""The rows of a rolled-up table as both sides compute them, as texts that compare.

A table with a row per order is compared by a checksum per group, and only groups that differ are read row by row.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

import pyarrow as pa

from pipeline.google_names import quoted as name_in_warehouse
from pipeline.verify.shop_tables import ShopTables
from pipeline.verify.sides import Stored
from pipeline.verify.texts import (
    TIME_FORMAT,
    ColumnText,
    source_hash,
    source_joined,
    warehouse_hash,
    warehouse_joined,
)
from schemas.identifiers import quoted

_COHORT = ("cohort_month", "month_number", "currency", "is_guest")
_CUT = ("segment", "value", "is_other")
GRAINS = {
    "ltv_monthly": ("purchase_month", "currency"),
    "ltv_cohorts": _COHORT,
    "ltv_cohorts_by_segment": (*_CUT, *_COHORT),
    "order_first_purchase": ("order_id",),
    "counted_refunds": ("entry_id",),
    "product_stats": ("product", "currency"),
    "product_top_country": ("product", "country"),
    "payment_reconciliation": ("order_id", "charge_id"),
    "ltv_triangle": (*_CUT, *_COHORT),
    "ltv_averages": (*_CUT, "currency", "is_guest", "month_number"),
    "adds_up": ("currency", "purchase_month"),
    "gross_to_net": ("currency", "purchase_month", "step"),
    "reconciliation_states": ("currency", "state", "age"),
}
"""Table → the columns that tell its rows apart; of another table all columns do."""

GROUPS = {
    "order_first_purchase": "cohort_month",
    "counted_refunds": "cohort_month",
    "ltv_cohorts_by_segment": "cohort_month",
    "payment_reconciliation": "ordered_on",
}
"""Table with very many rows → the column whose values are compared by checksum first."""

Grain: TypeAlias = tuple[str | None, ...]
Cell: TypeAlias = tuple[tuple[str, str | None], ...]
Cells: TypeAlias = dict[Grain, Cell]


@dataclass(frozen=True)
class RolledUpTable:
    """`names` are its columns. `sql` is GoogleSQL over the warehouse's rows, `rolled_up_sql` over the views that the
    last rollup has made. `reads`: the fact views that it is made of."""

    name: str
    names: tuple[str, ...]
    sql: str
    rolled_up_sql: str
    as_of: dt.date
    reads: frozenset[str] = frozenset()

    @property
    def grain(self) -> tuple[str, ...]:
        return GRAINS.get(self.name) or self.names

    @property
    def key(self) -> tuple[str, ...]:
        """What the keys of `Cells` are: the grain, or the group."""
        return (GROUPS[self.name],) if self.name in GROUPS else self.grain

    def in_database(self, shop: ShopTables, stored: Stored) -> Cells:
        query = shop.query(self.name)
        if self.name not in GROUPS:
            return self._cells(shop.fetch(query))
        group, texts = quoted(GROUPS[self.name]), self._texts(stored)
        sums = f"SELECT {group}, COUNT(*), BIT_XOR({source_hash(source_joined(texts))})"
        return _groups(shop.fetch(f"{sums} FROM ({query}) AS every GROUP BY {group}"), self.key)

    def in_rows(self, stored: Stored) -> Cells:
        """What the warehouse's rows give now."""
        return self._in_warehouse(stored, f"({self.sql})", self.as_of)

    def in_views(self, stored: Stored, as_of: dt.date) -> Cells:
        """What the views of the last rollup give now."""
        return self._in_warehouse(stored, f"({self.rolled_up_sql})", as_of)

    def in_table(self, stored: Stored) -> Cells:
        """What was rolled up last."""
        return self._in_warehouse(stored, name_in_warehouse(self.name), None)

    def _in_warehouse(self, stored: Stored, origin: str, as_of: dt.date | None) -> Cells:
        parameters = {} if as_of is None else self._parameters(as_of)
        if self.name not in GROUPS:
            found = stored.fetch(f"SELECT * FROM {origin}", parameters)
            return self._cells([tuple(row[name] for name in self.names) for row in found])
        group, texts = name_in_warehouse(GROUPS[self.name]), self._texts(stored)
        sums = f"SELECT {group} AS part, COUNT(*) AS n, BIT_XOR({warehouse_hash(warehouse_joined(texts))}) AS checksum"
        found = stored.fetch(f"{sums} FROM {origin} GROUP BY part", parameters)
        return _groups([tuple(row.values()) for row in found], self.key)

    def rows_of(self, groups: Sequence[Grain], shop: ShopTables, stored: Stored) -> tuple[Cells, Cells]:
        """The rows of these groups, in the database and in the warehouse's rows."""
        column = GROUPS[self.name]
        theirs: Cells = {}
        ours: Cells = {}
        for (group,) in groups:
            of_group = "IS NULL" if group is None else f"= '{group}'"
            within = f"SELECT * FROM ({shop.query(self.name)}) AS every WHERE {quoted(column)} {of_group}"
            theirs |= self._cells(shop.fetch(within))
            of_group, part = ("IS NULL", {}) if group is None else ("= @part", {"part": group})
            mine = f"SELECT * FROM ({self.sql}) WHERE CAST({name_in_warehouse(column)} AS STRING) {of_group}"
            found = stored.fetch(mine, {**self._parameters(self.as_of), **part})
            ours |= self._cells([tuple(row[name] for name in self.names) for row in found])
        return theirs, ours

    def _parameters(self, as_of: dt.date) -> dict[str, Any]:
        return {"as_of": as_of} if "@as_of" in self.sql else {}

    def _cells(self, found: Sequence[tuple[Any, ...]]) -> Cells:
        """Rows of one grain, which there should not be, are told apart by a number behind it."""
        alike: dict[Grain, list[Cell]] = {}
        for row in found:
            cell = tuple((name, cell_text(value)) for name, value in zip(self.names, row, strict=True))
            named = dict(cell)
            alike.setdefault(tuple(named[name] for name in self.grain), []).append(cell)
        cells: Cells = {}
        for grain, same in alike.items():
            for number, cell in enumerate(sorted(same, key=repr) if len(same) > 1 else same):
                cells[(*grain, str(number + 1)) if number else grain] = cell
        return cells

    def _texts(self, stored: Stored) -> list[ColumnText]:
        with stored.warehouse.query(f"SELECT * FROM ({self.sql}) LIMIT 0", self._parameters(self.as_of)) as reader:
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
