"""One column of the database, in its own SQL, as the fact views and ltv entries have it: text, NUMERIC, trimmed text.

Texts are those of `pipeline.values.as_text`. Servers print some types in ways of their own; such a column is refused.
"""

from __future__ import annotations

import re

from pipeline.verify.conditions import event_text, without_blanks
from pipeline.verify.tables import INTEGERS
from schemas.catalogue import CatalogueColumn, declared_size, wire_type
from schemas.columns import Kind, warehouse_type
from schemas.identifiers import quoted

COLLATIONS = {"mariadb": "utf8mb4_nopad_bin", "mysql": "utf8mb4_0900_bin"}
"""Texts are told apart letter by letter, and by the blanks at their ends."""
NUMERIC = "DECIMAL(38,9)"
_INTEGER_DIGITS, _SCALE = 29, 9
_BYTES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_PLAIN = frozenset({*INTEGERS, "decimal", "uuid", "inet4", "inet6"})


class ColumnProblem(ValueError):
    """A column of which the database's SQL does not give what the pipeline makes of it."""


def text(column: CatalogueColumn, collation: str) -> str:
    """Raises ColumnProblem."""
    name = quoted(column.name)
    if column.type in _BYTES:
        return f"LOWER(HEX({name})) COLLATE {collation}"
    if column.type in ("bit", "year") or "zerofill" in column.full_type.lower():
        shown = f"CAST(({name} + 0) AS CHAR)"
    elif column.charset or column.type in ("json", *_PLAIN):
        shown = event_text(column)
    elif column.type == "date":
        shown = f"IF(YEAR({name}) AND MONTH({name}) AND DAYOFMONTH({name}), CAST({name} AS CHAR), NULL)"
    else:
        raise ColumnProblem(f"{column.name} is {column.full_type[:60]}, which no server writes as the warehouse does")
    return f"CONVERT({shown} USING utf8mb4) COLLATE {collation}"


def trimmed(column: CatalogueColumn, collation: str) -> str:
    """`text` without blanks at its ends. Raises ColumnProblem."""
    shown = text(column, collation)
    if column.charset is None:
        return shown
    size = declared_size(column) if column.type in ("char", "varchar") else 0
    kept = without_blanks(shown)  # of any length, says the server
    return f"CAST({kept} AS CHAR({size})) COLLATE {collation}" if size else f"{kept} COLLATE {collation}"


def number(column: CatalogueColumn, *, exact: bool = False) -> str:
    """As NUMERIC; NULL where that cannot hold it, with `exact` not all its decimals. Raises ColumnProblem."""
    name = quoted(column.name)
    kind = None if column.charset else warehouse_type(wire_type(column))
    if column.type == "float" or kind is None or kind.kind not in (Kind.INT64, Kind.DECIMAL, Kind.FLOAT64, Kind.STRING):
        raise ColumnProblem(f"{column.name} is {column.full_type[:60]}, of which no server makes the same number")
    if kind.kind is Kind.STRING and column.type != "decimal":
        raise ColumnProblem(f"{column.name} is {column.full_type[:60]}, which is no number")
    value = f"({name} + 0)" if column.type in ("bit", "year") else name
    cast = f"CAST({value} AS {NUMERIC})"
    precision, scale = _digits(column)
    holds = []
    if precision - scale > _INTEGER_DIGITS:
        holds.append(f"ABS({value}) < 1{'0' * _INTEGER_DIGITS}")
    if exact and scale > _SCALE and kind.kind is not Kind.FLOAT64:
        holds.append(f"{cast} = {value}")
    return f"IF({' AND '.join(holds)}, {cast}, NULL)" if holds else cast


def product(one: CatalogueColumn, other: CatalogueColumn) -> str:
    """Of two columns, rounded to NUMERIC as one number, where their digits allow it. Raises ColumnProblem."""
    sides = (one, other)
    whole = all(side.type == "decimal" or side.type in INTEGERS for side in sides)
    digits = [_digits(side) for side in sides]
    width, scale = sum(precision for precision, _ in digits), sum(scale for _, scale in digits)
    if whole and width <= 38 and width - scale <= _INTEGER_DIGITS:
        factors = [f"CAST({quoted(side.name)} AS DECIMAL({p},{s}))" for side, (p, s) in zip(sides, digits, strict=True)]
    else:
        factors = [number(side) for side in sides]
    return f"CAST({' * '.join(factors)} AS {NUMERIC})"


def _digits(column: CatalogueColumn) -> tuple[int, int]:
    """Precision and scale that a column's numbers may have."""
    if column.type == "decimal":
        match = re.match(r"decimal\((\d+)(?:,(\d+))?\)", column.full_type.lower())
        return (int(match[1]), int(match[2] or 0)) if match else (10, 0)
    if column.type == "double":
        return 309, 0
    unsigned = column.type == "bigint" and "unsigned" in column.full_type.lower()
    return (20, 0) if unsigned or column.type == "bit" else (19, 0)
