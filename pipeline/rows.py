"""Rows of one source table → the Arrow table that its raw table takes, for one role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.changes import TableBatch
from pipeline.column_values import ColumnValues, EventValues
from pipeline.entries import counted_mask, signed_amount, unknown_currencies
from pipeline.layout import LOCAL_DATES, Layout, LayoutColumn
from pipeline.local_time import instant_and_date
from pipeline.values import ValueProblem
from schemas.config import DATE_COLUMNS, ShopConfig


class RowProblem(NamedTuple):
    """Why a row cannot be applied: one word for counters, and a sentence."""

    reason: str
    message: str


class Versions(NamedTuple):
    """Of which version of its row each of n rows is: op, sequence number, commit time in microseconds since 1970."""

    ops: pa.Array
    sequences: pa.Array
    committed_us: pa.Array

    @classmethod
    def alike(cls, op: str, sequence: str, committed_us: int, count: int) -> Versions:
        """n rows that were read at once."""
        values = (pa.scalar(op), pa.scalar(sequence), pa.scalar(committed_us, pa.int64()))
        return cls(*(pa.repeat(value, count) for value in values))


def to_batch(
    layout: Layout,
    rows: list[dict[str, Any]],
    ops: list[str],
    sequences: list[str],
    committed_us: list[int],
    config: ShopConfig,
) -> tuple[TableBatch | None, int, dict[int, RowProblem]]:
    """n rows as they stand in the events → what `columns_to_batch` makes of them."""
    columns = {column.source: EventValues([row[column.source] for row in rows]) for column in layout.columns}
    where = layout.definition.where if layout.definition else None
    if where and where.column not in columns:
        columns[where.column] = EventValues([row.get(where.column) for row in rows])
    versions = Versions(
        pa.array(ops, pa.string()), pa.array(sequences, pa.string()), pa.array(committed_us, pa.int64())
    )
    return columns_to_batch(layout, columns, versions, config)


def columns_to_batch(
    layout: Layout, columns: Mapping[str, ColumnValues], versions: Versions, config: ShopConfig
) -> tuple[TableBatch | None, int, dict[int, RowProblem]]:
    """n rows by source column → a batch of n rows, the number of zero dates, and what does not fit by row.

    The batch is None where a row does not fit. A deleted row needs nothing but its key: what else of it does not fit
    becomes NULL, for a deletion must not be held up by the row that it deletes.
    """
    problems: dict[int, RowProblem] = {}
    zero_dates = 0
    arrays: dict[str, pa.Array] = {}
    deleted = pc.equal(versions.ops, "d")
    for column in layout.columns:
        values = columns[column.source]
        is_role_date = layout.role is not None and column.name in DATE_COLUMNS
        try:
            array = values.to_arrow(column.type)
        except ValueProblem:
            zeros = values.zero_dates(column.type)
            zero_dates += len(zeros)
            needed = [row for row in zeros if is_role_date and not deleted[row].as_py()]
            for row in needed:
                what = f"{column.source}: {values.shown(row)} is no date, and {column.name} needs one"
                problems.setdefault(row, RowProblem("zero_date", what))
            array = _fitting(column, layout, values.without(zeros), deleted, problems)
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
    if layout.definition and layout.definition.where:
        where = layout.definition.where
        deleted = pc.or_(deleted, pc.invert(columns[where.column].holds(where)))
    arrays["_op"], arrays["_sequence"], arrays["_deleted"] = versions.ops, versions.sequences, deleted
    arrays["_committed_at"] = versions.committed_us.cast(pa.timestamp("us", "UTC"))
    batch = TableBatch(layout, pa.table(arrays))
    problems = incomplete(batch, config)
    return (None if problems else batch), zero_dates, problems


def _fitting(
    column: LayoutColumn, layout: Layout, values: ColumnValues, deleted: pa.Array, problems: dict[int, RowProblem]
) -> pa.Array:
    """The column with NULL where a value does not fit, which is noted in `problems` unless its row is deleted."""
    try:
        return values.to_arrow(column.type)
    except ValueProblem:
        bad = values.misfits(column.type)
    for row, what in bad.items():
        if column.name in layout.key or not deleted[row].as_py():
            problem = RowProblem("value", f"{column.source}: {values.shown(row)} does not fit: {what}")
            problems.setdefault(row, problem)
    return values.without(bad).to_arrow(column.type)


def incomplete(batch: TableBatch, config: ShopConfig) -> dict[int, RowProblem]:
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
    unknown = unknown_currencies(batch, config)
    if unknown is not None:
        for index in _true(pc.and_(counted, unknown)):
            what = f"currency {rows['currency'][index]} is not among the `currencies` of shop.yaml"
            problems.setdefault(index, RowProblem("currency", what))
    return problems


def _true(mask: pa.Array) -> list[int]:
    if isinstance(mask, pa.ChunkedArray):
        mask = mask.combine_chunks()
    return [int(index) for index in pc.indices_nonzero(mask).to_pylist()]
