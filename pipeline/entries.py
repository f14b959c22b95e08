"""LTV entries: the signed amount of one order or refund, keyed by its purchase month.

Each entry is derived from one version of one order, charge or refund alone and carries its sequence number, live or
`_deleted`: so versions may come in any order, and one that moves to another month or customer moves its entry.
"""

from __future__ import annotations

import decimal

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.changes import TableBatch
from pipeline.local_time import month_of
from pipeline.values import arrow_type, as_text
from schemas.config import Column, Condition, ShopConfig
from schemas.tables import ENTRY_COLUMNS

ORIGINS = ("orders", "charges", "refunds")
"""The roles that have ltv entries."""

NUMERIC = arrow_type(ENTRY_COLUMNS["amount"])
_WIDE = pa.decimal256(60, 9)
"""Holds the sum of as many amounts as a row has columns."""
ENTRY_PREFIX = {"orders": "order:", "charges": "charge:", "refunds": "refund:"}


def counted_mask(batch: TableBatch, config: ShopConfig) -> pa.Array:
    """Which rows are money in the LTV: counted orders, refunds; never a deleted row. Rows without an amount count."""
    rows, role = batch.rows, batch.layout.role
    live = pc.invert(rows["_deleted"])
    if role == "orders":
        return pc.and_(live, _holds(rows, config.counted)) if config.counted else live
    return pc.and_(live, pc.fill_null(pc.less(signed_amount(batch), pa.scalar(decimal.Decimal(0), NUMERIC)), True))


def derive_entries(batch: TableBatch, config: ShopConfig) -> pa.Table | None:
    """The entries of a batch of orders, charges or refunds: n rows → n entries. None for other tables."""
    role = batch.layout.role
    if role not in ORIGINS:
        return None
    rows = batch.rows
    count = rows.num_rows
    date = rows["ordered_on" if role == "orders" else "charged_on"]
    order_id = as_text(rows["id" if role == "orders" else "order_id"])
    columns = {
        "entry_id": pc.binary_join_element_wise(ENTRY_PREFIX[role], as_text(rows["id"]), ""),
        "kind": _constant("sale" if role == "orders" else "refund", count),
        "origin": _constant(role, count),
        "order_id": order_id,
        "customer_id": _customers(rows["customer_id"], config) if role == "orders" else pa.nulls(count, pa.string()),
        "purchase_month": month_of(date),
        "purchase_date": date,
        "amount": signed_amount(batch),
        "currency": _currencies(batch, config),
        "occurred_at": rows["ordered_at" if role == "orders" else "charged_at"],
        "_sequence": rows["_sequence"],
        "_deleted": pc.invert(counted_mask(batch, config)),
        "_committed_at": rows["_committed_at"],
    }
    return pa.table(columns)


def _constant(text: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(text), count)


def _holds(rows: pa.Table, condition: Condition) -> pa.Array:
    """The condition of `counted`, as `Condition.holds` decides it for one value."""
    text = pc.utf8_trim_whitespace(as_text(rows[condition.column]))
    if condition.is_null is not None:
        return pc.is_null(text) if condition.is_null else pc.is_valid(text)
    listed = pc.is_in(text, value_set=pa.array(sorted(condition.values), pa.string()))
    if condition.in_ is None:
        listed = pc.invert(listed)
    return pc.and_(listed, pc.is_valid(text))


def _customers(column: pa.ChunkedArray, config: ShopConfig) -> pa.Array:
    """Customer ids as text; NULL for a guest."""
    text = pc.utf8_trim_whitespace(as_text(column))
    guest = pc.is_in(text, value_set=pa.array(sorted(config.guest_values), pa.string()))
    return pc.if_else(guest, pa.scalar(None, pa.string()), text)


def signed_amount(batch: TableBatch) -> pa.ChunkedArray | pa.Array:
    """Amounts as NUMERIC in the sign of the LTV, made of all their columns; NULL also where NUMERIC (29 digits and
    9 decimals) is too small.

    A FLOAT or DOUBLE is rounded to 9 decimals: it is not exact at its source either.
    """
    amount = _as_numeric(batch.rows["amount"])
    definition = batch.layout.definition
    if definition is None:
        return amount
    mapped = definition.columns["amount"]
    if mapped.plus or mapped.minus:
        amount = _summed(batch, amount, mapped)
    return pc.negate(amount) if definition.sign == -1 else amount


def _summed(batch: TableBatch, amount: pa.ChunkedArray | pa.Array, mapped: Column) -> pa.Array:
    names = {column.source: column.name for column in batch.layout.columns}
    total = amount.cast(_WIDE)
    for sources, add in ((mapped.plus, pc.add), (mapped.minus, pc.subtract)):
        for source in sources:
            column = batch.rows[names[source]]
            part = _as_numeric(column)
            # NULL is nothing, but a value that NUMERIC cannot hold makes the whole unknown.
            part = pc.if_else(pc.is_null(column), pa.scalar(decimal.Decimal(0), NUMERIC), part)
            total = add(total, part.cast(_WIDE)).cast(_WIDE)
    fits = pc.less(pc.abs(total), pa.scalar(decimal.Decimal(10**29), _WIDE))
    return pc.if_else(fits, total, pa.scalar(None, _WIDE)).cast(NUMERIC)


def _as_numeric(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    try:
        if pa.types.is_floating(column.type):
            raise pa.ArrowInvalid
        return column.cast(NUMERIC)
    except pa.ArrowInvalid:
        return pa.array([_numeric(value) for value in column.to_pylist()], NUMERIC)


_DIGITS = decimal.Context(prec=400)


def _numeric(value: decimal.Decimal | float | None) -> decimal.Decimal | None:
    if value is None:
        return None
    exact = decimal.Decimal(repr(value)) if isinstance(value, float) else decimal.Decimal(value)
    rounded = exact.quantize(decimal.Decimal("1e-9"), context=_DIGITS)
    fits = abs(rounded) < 10**29 and (rounded == exact or isinstance(value, float))
    return rounded if fits else None


def _currencies(batch: TableBatch, config: ShopConfig) -> pa.Array:
    """An order's currency; a refund's own, or NULL: then it has its order's, which the rollup finds."""
    rows = batch.rows
    if "currency" in rows.column_names:
        text = pc.utf8_trim_whitespace(as_text(rows["currency"]))
        if config.currency_codes is None:
            text = pc.utf8_upper(text)
        else:
            text = pa.array(list(config.currency_codes.values()), pa.string()).take(_code_index(text, config))
        # An unknown currency is "": NULL would equal nothing in the rollup's joins, and its money be lost there.
        return pc.fill_null(text, config.currency or "") if batch.layout.role == "orders" else text
    if batch.layout.role == "orders":
        return _constant(config.currency or "", rows.num_rows)
    return pa.nulls(rows.num_rows, pa.string())


def unknown_currencies(batch: TableBatch, config: ShopConfig) -> pa.Array | None:
    """Which rows have a value as their currency that `currencies` does not list. None: it lists none at all."""
    if config.currency_codes is None or "currency" not in batch.rows.column_names:
        return None
    text = pc.utf8_trim_whitespace(as_text(batch.rows["currency"]))
    return pc.and_(pc.is_valid(text), pc.is_null(_code_index(text, config)))


def _code_index(text: pa.ChunkedArray | pa.Array, config: ShopConfig) -> pa.Array:
    array = text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
    return pc.index_in(array, value_set=pa.array(list(config.currency_codes or ()), pa.string()))
