"""GoogleSQL of a column of a raw table, named `stored`, as text or as NUMERIC."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.google_names import quoted
from schemas.columns import ColumnType, Kind


def text_of(name: str, columns: Mapping[str, ColumnType]) -> str:
    """A column as the text that `pipeline.values.as_text` makes of it; NULL where there is none."""
    kind = columns.get(name)
    if kind is None:
        return "CAST(NULL AS STRING)"
    value = f"stored.{quoted(name)}"
    if kind.kind is Kind.STRING:
        return value
    if kind.kind is Kind.BYTES:
        return f"TO_HEX({value})"
    if kind.kind is Kind.STRINGS:
        return f"ARRAY_TO_STRING({value}, ',')"
    if kind.kind is Kind.JSON:
        return f"FORMAT('%p', {value})"
    if kind.kind is Kind.DECIMAL and kind.scale:
        return f"FORMAT('%.{kind.scale}f', {value})"
    return f"CAST({value} AS STRING)"


def number_of(name: str, columns: Mapping[str, ColumnType]) -> str:
    """A column as NUMERIC; NULL where there is none, or none that NUMERIC holds. A FLOAT64 by its shortest digits."""
    kind, value = columns.get(name), f"stored.{quoted(name)}"
    if kind is None:
        return "CAST(NULL AS NUMERIC)"
    if kind.kind is Kind.INT64 or (kind.kind is Kind.DECIMAL and kind.precision - kind.scale <= 29):
        return f"CAST({value} AS NUMERIC)"
    if kind.kind is Kind.FLOAT64:
        return f"SAFE_CAST(CAST({value} AS STRING) AS NUMERIC)"
    if kind.kind in (Kind.DECIMAL, Kind.STRING):
        return f"SAFE_CAST({value} AS NUMERIC)"
    return "CAST(NULL AS NUMERIC)"
