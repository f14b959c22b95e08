"""Source column types → warehouse column types (`types.md` is the table of it).

A column's type on the wire is a small text such as `bigint unsigned`, `decimal(12,2)`, `datetime(6)` or `varchar`;
`warehouse_type` makes of it one of the `Kind`s that every warehouse knows how to store.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

MAX_DECIMAL_DIGITS = 38


class Kind(enum.Enum):
    """What a warehouse stores."""

    INT64 = "INT64"
    DECIMAL = "DECIMAL"
    FLOAT64 = "FLOAT64"
    STRING = "STRING"
    BYTES = "BYTES"
    DATE = "DATE"
    DATETIME = "DATETIME"
    TIMESTAMP = "TIMESTAMP"
    JSON = "JSON"
    STRINGS = "ARRAY<STRING>"
    FLOATS = "ARRAY<FLOAT64>"
    BOOL = "BOOL"


@dataclass(frozen=True)
class ColumnType:
    """A warehouse type; precision and scale in decimal digits are for DECIMAL alone."""

    kind: Kind
    precision: int = 0
    scale: int = 0

    def duckdb(self) -> str:
        if self.kind is Kind.DECIMAL:
            return f"DECIMAL({self.precision},{self.scale})"
        return _DUCKDB[self.kind]

    def bigquery(self) -> str:
        if self.kind is Kind.DECIMAL:
            return "NUMERIC" if self.precision - self.scale <= 29 and self.scale <= 9 else "BIGNUMERIC"
        return str(self.kind.value)


_DUCKDB: dict[Kind, str] = {
    Kind.INT64: "BIGINT",
    Kind.FLOAT64: "DOUBLE",
    Kind.STRING: "VARCHAR",
    Kind.BYTES: "BLOB",
    Kind.DATE: "DATE",
    Kind.DATETIME: "TIMESTAMP",
    Kind.TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
    Kind.JSON: "JSON",
    Kind.STRINGS: "VARCHAR[]",
    Kind.FLOATS: "FLOAT[]",
    Kind.BOOL: "BOOLEAN",
}


def duckdb_kinds() -> dict[str, Kind]:
    """DuckDB type → what it stores, decimals apart."""
    return {name: kind for kind, name in _DUCKDB.items()}


INT64 = ColumnType(Kind.INT64)
STRING = ColumnType(Kind.STRING)
DATE = ColumnType(Kind.DATE)
BOOL = ColumnType(Kind.BOOL)
TIMESTAMP = ColumnType(Kind.TIMESTAMP)
MONEY = ColumnType(Kind.DECIMAL, 38, 9)
"""BigQuery's NUMERIC, which is what ltv entries hold."""

_SIMPLE = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "year"), INT64),
    **dict.fromkeys(("tinyint unsigned", "smallint unsigned", "mediumint unsigned", "int unsigned"), INT64),
    "bigint unsigned": ColumnType(Kind.DECIMAL, 20, 0),
    **dict.fromkeys(("float", "double", "float unsigned", "double unsigned"), ColumnType(Kind.FLOAT64)),
    **dict.fromkeys(("char", "varchar", "text", "enum", "time", "uuid", "inet4", "inet6"), STRING),
    **dict.fromkeys(("binary", "varbinary", "blob", "geometry"), ColumnType(Kind.BYTES)),
    "date": DATE,
    "datetime": ColumnType(Kind.DATETIME),
    "timestamp": TIMESTAMP,
    "json": ColumnType(Kind.JSON),
    "set": ColumnType(Kind.STRINGS),
    "vector": ColumnType(Kind.FLOATS),
}
_TYPE = re.compile(r"(?P<name>[a-z]+[46]?)(?:\((?P<first>\d{1,5})(?:,(?P<second>\d{1,3}))?\))?(?P<unsigned> unsigned)?")


def warehouse_type(source_type: str) -> ColumnType:
    """The warehouse type of a source type as it stands in a change event. Raises ValueError on an unknown one.

    A DECIMAL of more than 38 digits is kept as text: no warehouse here holds it exactly as a number.
    """
    match = _TYPE.fullmatch(source_type)
    if match is None:
        raise ValueError(f"unknown column type {source_type[:60]!r}")
    name = match["name"]
    if name == "decimal":
        precision, scale = int(match["first"] or 10), int(match["second"] or 0)
        if not 1 <= precision <= 65 or scale > min(precision, 38):
            raise ValueError(f"unknown column type {source_type[:60]!r}")
        return ColumnType(Kind.DECIMAL, precision, scale) if precision <= MAX_DECIMAL_DIGITS else STRING
    if name == "bit":
        return ColumnType(Kind.DECIMAL, 20, 0) if int(match["first"] or 1) > 63 else INT64
    found = _SIMPLE.get(name + (match["unsigned"] or ""))
    if found is None:
        raise ValueError(f"unknown column type {source_type[:60]!r}")
    return found
