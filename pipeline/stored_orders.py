"""What orders amount to, told by GoogleSQL from the stored rows alone: the rules of `pipeline.entries` once more, so
that the ltv entries can be held against something that they were not made of."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.google_names import text
from pipeline.layout import raw_names
from pipeline.stored_columns import number_of, text_of
from schemas.columns import ColumnType
from schemas.config import Condition, ShopConfig

_BLANK = r"' \t\n\r\f\v'"
"""What is trimmed. DuckDB's TRIM alone takes off spaces, BigQuery's and the pipeline's all that Unicode calls blank."""


def order_amounts(config: ShopConfig, columns: Mapping[str, ColumnType]) -> str:
    """A SELECT of every stored order. `columns`: those of the raw table."""
    return (
        f"SELECT {text_of('id', columns)} AS order_id, stored.ordered_on, {_amount(config, columns)} AS amount,"
        f" {_currency(config, columns)} AS currency, {_counted(config.counted, columns)} AS is_counted"
        " FROM orders AS stored"
    )


def _amount(config: ShopConfig, columns: Mapping[str, ColumnType]) -> str:
    definition = config.tables["orders"]
    names = raw_names(sorted(definition.named_columns()), definition)
    mapped = definition.columns["amount"]
    total = number_of("amount", columns)
    for sign, sources in (("+", mapped.plus), ("-", mapped.minus)):
        for source in sources:
            total += f" {sign} COALESCE({number_of(names[source], columns)}, 0)"
    return f"CAST({total} AS NUMERIC)"


def _currency(config: ShopConfig, columns: Mapping[str, ColumnType]) -> str:
    default = text(config.currency or "")
    if "currency" not in columns:
        return default
    code = _trimmed("currency", columns)
    if config.currency_codes is None:
        return f"COALESCE(UPPER({code}), {default})"
    cases = " ".join(f"WHEN {text(known)} THEN {text(meant)}" for known, meant in config.currency_codes.items())
    return f"COALESCE(CASE {code} {cases} END, {default})"


def _counted(condition: Condition | None, columns: Mapping[str, ColumnType]) -> str:
    if condition is None:
        return "TRUE"
    value = _trimmed(condition.column, columns)
    if condition.is_null is not None:
        return f"{value} IS {'' if condition.is_null else 'NOT '}NULL"
    listed = ", ".join(map(text, sorted(condition.values))) or "NULL"
    if condition.in_ is not None:
        return f"COALESCE({value} IN ({listed}), FALSE)"
    return f"({value} IS NOT NULL AND COALESCE({value} NOT IN ({listed}), TRUE))"


def _trimmed(name: str, columns: Mapping[str, ColumnType]) -> str:
    return f"TRIM({text_of(name, columns)}, {_BLANK})"
