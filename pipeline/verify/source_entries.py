"""Orders, charges and refunds as the database itself has them: SQL over the mapped tables, by the rules of
`pipeline.entries`. Those that count are its `ltv_entries`.

Rows that the pipeline cannot apply (a date or an amount that is missing, an unknown currency) are left out here, too:
they are dead letters, and the comparison of rows names them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.verify.conditions import condition_in_source, text_literal
from pipeline.verify.offsets import Period, to_local, to_utc
from pipeline.verify.source_columns import number, text, trimmed
from schemas.catalogue import CatalogueColumn, CatalogueTable
from schemas.config import RoleTable, ShopConfig
from schemas.identifiers import quoted, quoted_table

_KINDS = {"orders": ("sale", "order:"), "charges": ("refund", "charge:"), "refunds": ("refund", "refund:")}
_UNKNOWN = "?"
"""A value that `currencies` does not list; no code is it."""


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


def source_entries(rows: Mapping[str, MoneyRows]) -> str:
    """A query with the columns of the view `ltv_entries`. `rows`: role → its rows. Raises ColumnProblem."""
    parts = []
    for role, of_role in rows.items():
        kind, prefix = _KINDS[role]
        parts.append(
            f"SELECT CONCAT('{prefix}', id) AS entry_id, '{kind}' AS kind, '{role}' AS origin, order_id, customer_id,"
            " CAST(DATE_FORMAT(day, '%Y-%m-01') AS DATE) AS purchase_month, day AS purchase_date, amount, currency,"
            f" occurred_at FROM ({of_role.counted()}) AS counted"
        )
    return "\nUNION ALL\n".join(parts)


def money_rows(
    catalogue: Mapping[str, CatalogueTable],
    config: ShopConfig,
    collation: str,
    periods: Mapping[str, Period] | None = None,
) -> dict[str, MoneyRows]:
    """Role → its rows. `catalogue`: source table → what the database says of it."""
    return {
        role: MoneyRows(
            role, definition, catalogue[definition.name], config, collation, (periods or {}).get(role, Period())
        )
        for role, definition in config.tables.items()
        if role in _KINDS
    }


def _date_of(role: str) -> str:
    return "ordered_at" if role == "orders" else "charged_at"


@dataclass(frozen=True)
class MoneyRows:
    """The rows of a role that has ltv entries. `period`: the times that they have."""

    role: str
    definition: RoleTable
    table: CatalogueTable
    config: ShopConfig
    collation: str
    period: Period

    def counted(self) -> str:
        """A query: id, order_id, customer_id, amount, currency, occurred_at, day, of the rows that are money in the
        LTV. Raises ColumnProblem."""
        conditions = [*self._inside(), self._whole_date()]
        if self.role == "orders" and self.config.counted:
            conditions.append(self._holds())
        kept = ["amount IS NOT NULL" if self.role == "orders" else "amount < 0"]
        if self._lists_currencies:
            kept.append(_KNOWN)
        return self._dated(self._row(), conditions, kept)

    def every(self, more: Mapping[str, str]) -> str:
        """A query of all rows that the warehouse has: also is_counted, and `more`, name → SQL of the mapped table.
        Raises ColumnProblem."""
        counted = "amount IS NULL OR amount < 0"
        columns = self._row()
        if self.role == "orders":
            counted = "may_count"
            columns["may_count"] = f"COALESCE({self._holds()}, FALSE)" if self.config.counted else "TRUE"
        complete = ["amount IS NOT NULL", "occurred_at IS NOT NULL"]
        currency = "currency"
        if self._lists_currencies:
            complete.append(_KNOWN)
            default = text_literal(self.config.currency or "")
            other = default if self.role == "orders" else "NULL"
            currency = f"IF({_KNOWN}, currency, {other}) COLLATE {self.collation}"
        date = quoted(self._wall.name)
        rows = self._dated(
            {**columns, **more},
            [*self._inside(), f"({date} IS NULL OR ({self._whole_date()}))"],
            [f"(NOT ({counted}) OR ({' AND '.join(complete)}))"],
        )
        names = ", ".join(["id", "order_id", "customer_id", "amount", "occurred_at", "day", *more])
        return f"SELECT {names}, {currency} AS currency, ({counted}) AS is_counted FROM ({rows}) AS all_of_them"

    def mapped(self, name: str) -> CatalogueColumn | None:
        source = self.definition.source_column(name)
        return None if source is None else next(column for column in self.table.columns if column.name == source)

    def needed(self, name: str) -> CatalogueColumn:
        found = self.mapped(name)
        assert found is not None, name
        return found

    @property
    def _wall(self) -> CatalogueColumn:
        return self.needed(_date_of(self.role))

    @property
    def _lists_currencies(self) -> bool:
        return self.mapped("currency") is not None and self.config.currency_codes is not None

    def _inside(self) -> list[str]:
        where = self.definition.where
        if where is None:
            return []
        return [condition_in_source(where, next(one for one in self.table.columns if one.name == where.column))]

    def _holds(self) -> str:
        assert self.config.counted is not None
        return condition_in_source(self.config.counted, self.needed(self.config.counted.column))

    def _whole_date(self) -> str:
        at = quoted(self._wall.name)
        return f"YEAR({at}) AND MONTH({at}) AND DAYOFMONTH({at})"

    def _row(self) -> dict[str, str]:
        """Column → its SQL, over the mapped table."""
        at, is_order = quoted(self._wall.name), self.role == "orders"
        utc = at if self._wall.type == "timestamp" else to_utc(f"CAST({at} AS DATETIME(6))", self._zone, self.period)
        return {
            "id": text(self.needed("id"), self.collation),
            "order_id": text(self.needed("id" if is_order else "order_id"), self.collation),
            "customer_id": self._customer() if is_order else "NULL",
            "amount": self._amount(),
            "currency": self._currency(),
            "occurred_at": utc,
            "local_day": f"DATE({at})" if self._is_local else "NULL",
        }

    @property
    def _zone(self) -> str:
        return self.definition.columns[_date_of(self.role)].time_zone or self.config.time_zone

    @property
    def _is_local(self) -> bool:
        """Whether the column's own date is that of the shop's zone."""
        return self._wall.type != "timestamp" and self._zone == self.config.time_zone

    def _dated(self, columns: Mapping[str, str], conditions: list[str], kept: list[str]) -> str:
        """The rows with their `day`: where `conditions` hold in the table, and `kept` of its columns."""
        listed = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in columns.items())
        rows = f"SELECT {listed} FROM {quoted_table(self.table.name)} WHERE {' AND '.join(conditions)}"
        if self._wall.type != "timestamp" and not self._is_local:
            rows += f" LIMIT {2**64 - 1}"  # else either server puts one tree of offsets into each leaf of the other
        local = f"DATE({to_local('occurred_at', self.config.time_zone, self.period)})"
        day = "local_day" if self._is_local else local
        dated = f"SELECT every.*, {day} AS day FROM ({rows}) AS every"
        return f"SELECT * FROM ({dated}) AS dated WHERE {' AND '.join(kept)}"

    def _customer(self) -> str:
        shown = trimmed(self.needed("customer_id"), self.collation)
        guests = ", ".join(text_literal(value) for value in sorted(self.config.guest_values))
        return f"CASE WHEN {shown} IN ({guests}) THEN NULL ELSE {shown} END" if guests else shown

    def _amount(self) -> str:
        mapped = self.definition.columns["amount"]
        total = number(self.needed("amount"), exact=True)
        columns = {column.name: column for column in self.table.columns}
        for sign, names in (("+", mapped.plus), ("-", mapped.minus)):
            for name in names:
                part = number(columns[name], exact=True)
                total += f" {sign} IF({quoted(name)} IS NULL, 0, {part})"
        return f"-({total})" if self.definition.sign == -1 else f"({total})"

    def _currency(self) -> str:
        default = f"{text_literal(self.config.currency or '')} COLLATE {self.collation}"
        column = self.mapped("currency")
        if column is None:
            return default if self.role == "orders" else "NULL"
        code = trimmed(column, self.collation)
        if self.config.currency_codes is None:
            code = f"UPPER({code})"
        else:
            cases = " ".join(
                f"WHEN {text_literal(value)} THEN {text_literal(known)}"
                for value, known in self.config.currency_codes.items()
            )
            known = f"CASE {code} {cases} ELSE {text_literal(_UNKNOWN)} END COLLATE {self.collation}"
            code = f"IF({code} IS NULL, NULL, {known})"
        return f"COALESCE({code}, {default})" if self.role == "orders" else code


_KNOWN = f"(currency IS NULL OR currency <> {text_literal(_UNKNOWN)})"
