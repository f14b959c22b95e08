"""A raw table and the source table that feeds it, and the SQL that reads both: checksums of ranges, rows by key."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

import pyarrow as pa

from pipeline.google_names import quoted as name_in_warehouse
from pipeline.layout import Layout
from pipeline.verify.conditions import condition_in_source, event_text, text_literal
from pipeline.verify.rows import RowText, row_texts
from pipeline.verify.texts import (
    ColumnText,
    column_texts,
    key_texts,
    source_hash,
    source_joined,
    warehouse_hash,
    warehouse_joined,
)
from schemas.catalogue import CatalogueColumn, CatalogueTable, wire_type
from schemas.config import Condition, ShopConfig
from schemas.errors import UnsupportedKey
from schemas.identifiers import quoted, quoted_table
from schemas.tables import RAW

RowKey: TypeAlias = tuple[str | None, ...]
"""The texts of a row's key columns."""

INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
HIGHEST_INT64 = 2**63 - 1
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


@dataclass(frozen=True)
class ComparedTable:
    """`stored`: the raw table's columns and types; empty where the warehouse has no such table yet."""

    layout: Layout
    source: CatalogueTable
    config: ShopConfig = field(repr=False, compare=False)
    stored: dict[str, pa.DataType] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        return self.layout.table

    @functools.cached_property
    def key_columns(self) -> list[CatalogueColumn]:
        columns = {column.name: column for column in self.source.columns}
        return [columns[name] for name in self.source.primary_key]

    @functools.cached_property
    def keys(self) -> list[ColumnText]:
        return key_texts(self.layout, self.source, self.stored)

    @functools.cached_property
    def texts(self) -> list[ColumnText]:
        return column_texts(self.layout, self.source, self.stored, self.config)

    @functools.cached_property
    def rows(self) -> list[RowText]:
        return row_texts(self.layout, self.source, self.stored, self.config)

    @property
    def ranged(self) -> bool:
        """Whether both sides put the keys into the same order: one whole number on both."""
        kind = self.stored.get(self.layout.key[0])
        numbers = kind is None or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
        return len(self.layout.key) == 1 and self.key_columns[0].type in INTEGERS and numbers

    @property
    def where(self) -> Condition | None:
        return self.layout.definition.where if self.layout.definition else None

    # In the SQL of MySQL and MariaDB

    @functools.cached_property
    def source_from(self) -> str:
        return f"{quoted_table(self.source.name)} FORCE INDEX (PRIMARY)"

    @functools.cached_property
    def source_where(self) -> str:
        """The role's condition."""
        if self.where is None:
            return "TRUE"
        column = next(one for one in self.source.columns if one.name == self.where.column)
        return condition_in_source(self.where, column)

    def source_sums(self, condition: str) -> str:
        """→ count, checksum."""
        return (
            f"SELECT COUNT(*), COALESCE(BIT_XOR({source_hash(source_joined(self.texts))}), 0)"
            f" FROM {self.source_from} WHERE {condition} AND {self.source_where}"
        )

    def source_bucket(self, digits: int) -> str:
        return f"LEFT(SHA2({source_joined(self.keys)}, 256), {digits})"

    def source_bucket_sums(self, condition: str, digits: int, buckets: Sequence[str] | None = None) -> str:
        """→ bucket, count, checksum; of all buckets, or those named."""
        bucket = self.source_bucket(digits)
        among = f" AND {bucket} IN ({_quoted(buckets)})" if buckets is not None else ""
        return (
            f"SELECT {bucket} AS bucket, COUNT(*), COALESCE(BIT_XOR({source_hash(source_joined(self.texts))}), 0)"
            f" FROM {self.source_from} WHERE {condition} AND {self.source_where}{among} GROUP BY bucket ORDER BY NULL"
        )

    def source_listing(self, condition: str, digits: int = 0, buckets: Sequence[str] = ()) -> str:
        """→ key texts, hash of each row."""
        among = f" AND {self.source_bucket(digits)} IN ({_quoted(buckets)})" if buckets else ""
        listed = ", ".join(f"CONCAT({text.source})" for text in self.keys)
        return (
            f"SELECT {listed}, {source_hash(source_joined(self.texts))}"
            f" FROM {self.source_from} WHERE {condition} AND {self.source_where}{among}"
        )

    def source_rows(self, keys: Sequence[RowKey]) -> str:
        """→ key texts, row texts, the text that `where` is about; rows outside `where` too."""
        listed = [
            f"CONCAT({sql})" for sql in [*(one.source for one in self.keys), *(one.source for one in self.rows)]
        ]  # text, whatever the type
        if self.where is not None:
            column = next(one for one in self.source.columns if one.name == self.where.column)
            listed.append(event_text(column))
        return f"SELECT {', '.join(listed)} FROM {self.source_from} WHERE {self._among(keys)}"

    def _among(self, keys: Sequence[RowKey]) -> str:
        columns = self.key_columns
        if len(columns) == 1 and all(part is not None for (part,) in keys):
            listed = ", ".join(literal(columns[0], str(part)) for (part,) in keys)
            return f"{quoted(columns[0].name)} IN ({listed})"
        return "(" + " OR ".join(f"({self._is(key)})" for key in keys) + ")"

    def _is(self, key: RowKey) -> str:
        """A key column without a text holds a zero date."""
        parts = zip(self.key_columns, self.keys, key, strict=True)
        return " AND ".join(
            f"{text.source} IS NULL" if part is None else f"{quoted(column.name)} = {literal(column, part)}"
            for column, text, part in parts
        )

    # In GoogleSQL

    def warehouse_sums(self, condition: str) -> str:
        """→ n, checksum: of the view that consumers read."""
        return (
            f"SELECT COUNT(*) AS n, COALESCE(BIT_XOR({warehouse_hash(warehouse_joined(self.texts))}), 0) AS checksum"
            f" FROM {name_in_warehouse(self.name)} WHERE {condition}"
        )

    def warehouse_range(self, *, lower: bool, upper: bool) -> str:
        """Parameters @lower (exclusive), @upper (inclusive)."""
        name = name_in_warehouse(self.layout.key[0])
        parts = [f"{name} > @lower"] * lower + [f"{name} <= @upper"] * upper
        return " AND ".join(parts) or "TRUE"

    def warehouse_bucket(self, digits: int) -> str:
        return f"SUBSTR(TO_HEX(SHA256({warehouse_joined(self.keys)})), 1, {digits})"

    def warehouse_bucket_sums(self, digits: int, buckets: Sequence[str] | None = None) -> str:
        bucket = self.warehouse_bucket(digits)
        among = f" WHERE {bucket} IN ({_quoted(buckets)})" if buckets is not None else ""
        return (
            f"SELECT {bucket} AS bucket, COUNT(*) AS n,"
            f" BIT_XOR({warehouse_hash(warehouse_joined(self.texts))}) AS checksum"
            f" FROM {name_in_warehouse(self.name)}{among} GROUP BY bucket"
        )

    def warehouse_listing(self, condition: str = "TRUE", digits: int = 0, buckets: Sequence[str] = ()) -> str:
        """→ k0, k1, …, hash."""
        among = f" AND {self.warehouse_bucket(digits)} IN ({_quoted(buckets)})" if buckets else ""
        listed = ", ".join(f"{text.warehouse} AS k{index}" for index, text in enumerate(self.keys))
        return (
            f"SELECT {listed}, {warehouse_hash(warehouse_joined(self.texts))} AS hash"
            f" FROM {name_in_warehouse(self.name)} WHERE {condition}{among}"
        )

    @functools.cached_property
    def warehouse_rows(self) -> str:
        """→ k0, k1, …, v0, v1, …, _sequence, _deleted, of the raw rows of @keys."""
        keys = [f"{text.warehouse} AS k{index}" for index, text in enumerate(self.keys)]
        values = [f"{text.warehouse} AS v{index}" for index, text in enumerate(self.rows)]
        key = name_in_warehouse(self.layout.key[0]) if self.ranged else warehouse_joined(self.keys)
        return (
            f"SELECT {', '.join([*keys, *values])}, _sequence, _deleted FROM {RAW}.{name_in_warehouse(self.name)}"
            f" WHERE {key} IN (SELECT one FROM UNNEST(@keys) AS one)"
        )

    def number_parameter(self, number: int) -> int | Decimal:
        """A key of a range as the warehouse has it: BIGINT UNSIGNED is a decimal there."""
        kind = self.stored.get(self.layout.key[0])
        return Decimal(number) if number > HIGHEST_INT64 or (kind and pa.types.is_decimal(kind)) else number

    def key_parameter(self, key: RowKey) -> int | Decimal | str:
        """How a key stands in @keys: the number, or the text that `warehouse_joined` makes of it."""
        if self.ranged:
            return self.number_parameter(int(str(key[0])))
        parts = zip(self.keys, key, strict=True)
        return ",".join(
            "N" if part is None else f"{len(part.encode())}:{part}" if text.free else part for text, part in parts
        )


def _quoted(words: Sequence[str]) -> str:
    """Hexadecimal digits as SQL of either side."""
    return ", ".join(f"'{word}'" for word in words)


def literal(column: CatalogueColumn, text: str) -> str:
    """A key column's text as a literal that an index is looked up with. Raises UnsupportedKey."""
    kind = wire_type(column).split("(")[0].split()[0]
    if column.type in INTEGERS or kind in ("decimal", "bit", "year"):
        if not _NUMBER.fullmatch(text):
            raise UnsupportedKey(f"key column {column.name}: {text!r:.60} is no number")
        return text
    if kind in ("binary", "varbinary", "blob"):
        return f"x'{bytes.fromhex(text).hex()}'"
    return text_literal(text)
