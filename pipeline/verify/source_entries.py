"""`ltv_entries` as the database itself has them: SQL over the mapped tables, by the rules of `pipeline.entries`.

Rows that the pipeline cannot apply (a date or an amount that is missing, an unknown currency) are left out here, too:
they are dead letters, and the comparison of rows names them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.verify.offsets import Period, to_local, to_utc
from pipeline.verify.tables import condition_in_source, event_text, text_literal
from schemas.catalogue import CatalogueColumn, CatalogueTable
from schemas.config import RoleTable, ShopConfig
from schemas.identifiers import quoted, quoted_table

COLLATION = "utf8mb4_bin"
"""Texts are told apart letter by letter."""
NUMERIC = "DECIMAL(38,9)"
_KINDS = {"orders": ("sale", "order:"), "charges": ("refund", "charge:"), "refunds": ("refund", "refund:")}


def source_periods(
    fetch: Callable[[str], list[tuple[Any, ...]]], catalogue: Mapping[str, CatalogueTable], config: ShopConfig
) -> dict[str, Period]:
    """Role → the times that its rows have, and those of a year before and after them, and of now."""
    found: dict[str, Period] = {}
    for role, definition in config.tables.items():
        if role in _KINDS:
            column = quoted(str(definition.source_column(_date_of(role))))
            table = quoted_table(catalogue[definition.name].name)
            rows = fetch(f"SELECT MIN({column}), MAX({column}) FROM {table} WHERE {column} >= '1000-01-01'")
            times = [dt.datetime.fromisoformat(str(at)) for at in rows[0] if at is not None]
            times.append(dt.datetime.now(dt.timezone.utc).replace(tzinfo=None))
            year = dt.timedelta(days=366)
            low, high = max(min(times), Period().first + year), min(max(times), Period().last - year)
            found[role] = Period(low - year, high + year)
    return found


def source_entries(
    catalogue: Mapping[str, CatalogueTable], config: ShopConfig, periods: Mapping[str, Period] | None = None
) -> str:
    """A query with the columns of the view `ltv_entries`. `catalogue`: source table → what the database says of it."""
    parts = [
        _entries(role, definition, catalogue[definition.name], config, (periods or {}).get(role, Period()))
        for role, definition in config.tables.items()
        if role in _KINDS
    ]
    return "\nUNION ALL\n".join(parts)


def _date_of(role: str) -> str:
    return "ordered_at" if role == "orders" else "charged_at"


def _entries(role: str, definition: RoleTable, table: CatalogueTable, config: ShopConfig, period: Period) -> str:
    columns = {column.name: column for column in table.columns}

    def mapped(name: str) -> CatalogueColumn | None:
        source = definition.source_column(name)
        return None if source is None else columns[source]

    def needed(name: str) -> CatalogueColumn:
        found = mapped(name)
        assert found is not None, name
        return found

    kind, prefix = _KINDS[role]
    date = _date_of(role)
    wall = needed(date)
    zone = definition.columns[date].time_zone or config.time_zone
    conditions = [condition_in_source(definition.where, columns[definition.where.column])] if definition.where else []
    if role == "orders" and config.counted:
        conditions.append(condition_in_source(config.counted, needed(config.counted.column)))
    amount = _amount(definition, needed("amount"))
    currency = _currency(role, mapped("currency"), config)
    at = quoted(wall.name)
    utc = at if wall.type == "timestamp" else to_utc(f"CAST({at} AS DATETIME(6))", zone, period)
    direct = wall.type != "timestamp" and zone == config.time_zone
    day = f"DATE({at})" if direct else f"DATE({to_local('occurred_at', config.time_zone, period)})"
    whole_date = f"YEAR({at}) AND MONTH({at}) AND DAYOFMONTH({at})"
    inner = (
        f"SELECT {_text(needed('id'))} AS id, {_text(needed('id' if role == 'orders' else 'order_id'))} AS order_id,"
        f" {_customer(mapped('customer_id'), config) if role == 'orders' else 'NULL'} AS customer_id,"
        f" {amount} AS amount, {currency} AS currency, {utc} AS occurred_at,"
        f" {day if direct else 'NULL'} AS local_day"
        f" FROM {quoted_table(table.name)} WHERE {' AND '.join([*conditions, whole_date])}"
    )
    if wall.type != "timestamp" and not direct:
        inner += f" LIMIT {2**64 - 1}"  # else either server puts one tree of offsets into each leaf of the other
    kept = "amount IS NOT NULL" if role == "orders" else "amount < 0"
    if mapped("currency") is not None and config.currency_codes is not None:
        kept += (
            f" AND currency <> {text_literal(_UNKNOWN)}"
            if role == "orders"
            else (f" AND (currency IS NULL OR currency <> {text_literal(_UNKNOWN)})")
        )
    return (
        f"SELECT CONCAT('{prefix}', id) AS entry_id, '{kind}' AS kind, '{role}' AS origin, order_id, customer_id,"
        f" CAST(DATE_FORMAT(day, '%Y-%m-01') AS DATE) AS purchase_month, day AS purchase_date, amount, currency,"
        f" occurred_at FROM (SELECT every.*, {'local_day' if direct else day} AS day FROM ({inner}) AS every) AS dated"
        f" WHERE {kept}"
    )


_UNKNOWN = "?"
"""A value that `currencies` does not list; no code is it."""


def _text(column: CatalogueColumn) -> str:
    name = quoted(column.name)
    if column.type in ("binary", "varbinary"):
        return f"LOWER(HEX({name})) COLLATE {COLLATION}"
    return f"CONVERT({event_text(column)} USING utf8mb4) COLLATE {COLLATION}"


def _customer(column: CatalogueColumn | None, config: ShopConfig) -> str:
    assert column is not None
    text = f"TRIM({_text(column)})"
    guests = ", ".join(text_literal(value) for value in sorted(config.guest_values))
    return f"CASE WHEN {text} IN ({guests}) THEN NULL ELSE {text} END" if guests else text


def _amount(definition: RoleTable, column: CatalogueColumn) -> str:
    mapped = definition.columns["amount"]
    total = f"CAST({quoted(column.name)} AS {NUMERIC})"
    for sign, names in (("+", mapped.plus), ("-", mapped.minus)):
        for name in names:
            total += f" {sign} COALESCE(CAST({quoted(name)} AS {NUMERIC}), 0)"
    return f"-({total})" if definition.sign == -1 else f"({total})"


def _currency(role: str, column: CatalogueColumn | None, config: ShopConfig) -> str:
    default = f"{text_literal(config.currency or '')} COLLATE {COLLATION}"
    if column is None:
        return default if role == "orders" else "NULL"
    text = f"TRIM({_text(column)})"
    if config.currency_codes is None:
        text = f"UPPER({text})"
    else:
        cases = " ".join(
            f"WHEN {text_literal(value)} THEN {text_literal(code)}" for value, code in config.currency_codes.items()
        )
        known = f"CASE {text} {cases} ELSE {text_literal(_UNKNOWN)} END COLLATE {COLLATION}"
        text = f"IF({text} IS NULL, NULL, {known})"
    return f"COALESCE({text}, {default})" if role == "orders" else text
