"""Rows of one source table → the Arrow table that its raw table takes, for one role."""

from __future__ import annotations

from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.changes import TableBatch
from pipeline.entries import counted_mask, signed_amount
from pipeline.layout import LOCAL_DATES, Layout, LayoutColumn
from pipeline.local_time import instant_and_date
from pipeline.values import ValueProblem, is_zero_date, misfits, to_arrow, zero_dates_to_null
from schemas.config import DATE_COLUMNS, ShopConfig


class RowProblem(NamedTuple):
    """Why a row cannot be applied: one word for counters, and a sentence."""

    reason: str
    message: str


def to_batch(
    layout: Layout,
    rows: list[dict[str, Any]],
    ops: list[str],
    sequences: list[str],
    committed_us: list[int],
    config: ShopConfig,
) -> tuple[TableBatch | None, int, dict[int, RowProblem]]:
    """n rows as they stand in the events → a batch of n rows, the number of zero dates, and what does not fit by row.

    The batch is None where a row does not fit. A deleted row needs nothing but its key: what else of it does not fit
    becomes NULL, for a deletion must not be held up by the row that it deletes.
    """
    problems: dict[int, RowProblem] = {}
    zero_dates = 0
    arrays: dict[str, pa.Array] = {}
    for column in layout.columns:
        values: list[Any] = [row[column.source] for row in rows]
        is_role_date = layout.role is not None and column.name in DATE_COLUMNS
        try:
            array = to_arrow(values, column.type)
        except ValueProblem:
            if is_role_date:
                _refuse_zero_dates(column, values, ops, problems)
            values, zeros = zero_dates_to_null(values, column.type)
            zero_dates += zeros
            array = _fitting(column, layout, values, ops, problems)
        if column.name in layout.key and array.null_count:
            for index in _true(pc.is_null(array)):
                problems.setdefault(index, RowProblem("value", f"{column.source}: the key is NULL"))
        if is_role_date:
            zone = layout.definition.columns[column.name].time_zone if layout.definition else None
            instant, date = instant_and_date(array, zone or config.time_zone, config.time_zone)
            arrays[column.name], arrays[LOCAL_DATES[column.name]] = instant, date
        else:
            arrays[column.name] = array
    if problems:
        return None, zero_dates, problems
    deleted = pa.array([op == "d" for op in ops], pa.bool_())
    if layout.definition and layout.definition.where:
        where = layout.definition.where
        outside = pa.array([not where.holds(row.get(where.column)) for row in rows], pa.bool_())
        deleted = pc.or_(deleted, outside)
    arrays["_op"] = pa.array(ops, pa.string())
    arrays["_sequence"] = pa.array(sequences, pa.string())
    arrays["_deleted"] = deleted
    arrays["_committed_at"] = pa.array(committed_us, pa.int64()).cast(pa.timestamp("us", "UTC"))
    batch = TableBatch(layout, pa.table(arrays))
    problems = _incomplete(batch, config)
    return (None if problems else batch), zero_dates, problems


def _fitting(
    column: LayoutColumn, layout: Layout, values: list[Any], ops: list[str], problems: dict[int, RowProblem]
) -> pa.Array:
    """The column with NULL where a value does not fit, which is noted in `problems` unless its row is deleted."""
    bad = misfits(values, column.type)
    for index, what in bad.items():
        if ops[index] != "d" or column.name in layout.key:
            shown = repr(values[index])[:80]
            problems.setdefault(index, RowProblem("value", f"{column.source}: {shown} does not fit: {what}"))
    return to_arrow([None if index in bad else value for index, value in enumerate(values)], column.type)


def _refuse_zero_dates(
    column: LayoutColumn, values: list[Any], ops: list[str], problems: dict[int, RowProblem]
) -> None:
    for index, value in enumerate(values):
        if is_zero_date(value) and ops[index] != "d":
            what = f"{column.source}: {value!r} is no date, and {column.name} needs one"
            problems.setdefault(index, RowProblem("zero_date", what))


def _incomplete(batch: TableBatch, config: ShopConfig) -> dict[int, RowProblem]:
    """Rows that count as money but lack a date or an amount: they would be missing from every sum without a word."""
    role, rows = batch.layout.role, batch.rows
    if role not in ("orders", "charges", "refunds"):
        return {}
    date = "ordered_at" if role == "orders" else "charged_at"
    counted = counted_mask(batch, config)
    problems = {}
    for name in (date, "amount"):
        for index in _true(pc.and_(counted, pc.is_null(rows[name]))):
            problems[index] = RowProblem("incomplete", f"{name} is NULL, and the row counts as money")
    for index in _true(pc.and_(counted, pc.is_null(signed_amount(batch)))):
        problems.setdefault(index, RowProblem("value", f"amount {rows['amount'][index]} does not fit into NUMERIC"))
    return problems


def _true(mask: pa.Array) -> list[int]:
    if isinstance(mask, pa.ChunkedArray):
        mask = mask.combine_chunks()
    return [int(index) for index in pc.indices_nonzero(mask).to_pylist()]
