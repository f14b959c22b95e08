"""Orders as the pipeline writes them into BigQuery: rows of `orders`, their history and the ltv entries, in Arrow."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.bigquery.append_requests import Append
from pipeline.bigquery.proto_rows import RowSchema
from pipeline.values import arrow_type
from schemas.columns import DATE, INT64, STRING, TIMESTAMP, ColumnType, Kind
from schemas.sequence import format_sequence
from schemas.tables import META_COLUMNS, OWN_TABLES

FLUSH = 10_000
CUSTOMERS = 50_000
DAY_US = 86_400_000_000
FIRST_DAY = 19_723  # 2024-01-01
COUNTRIES = pa.array(["FR", "US", "ES", "DE", "IT"])
STATUSES = pa.array(["paid", "paid", "shipped", "completed", "completed", "cancelled"])

ORDERS: dict[str, ColumnType] = {
    "id": INT64,
    "ordered_at": TIMESTAMP,
    "ordered_on": DATE,
    "status": STRING,
    "country": STRING,
    "customer_id": INT64,
    "amount": ColumnType(Kind.DECIMAL, 12, 2),
    "updated_at": ColumnType(Kind.DATETIME),
    **META_COLUMNS,
}
COLUMNS = {"orders": ORDERS, "orders_history": {"_op": STRING, **ORDERS}, "ltv_entries": OWN_TABLES["ltv_entries"]}
KEYS = {"orders": ("id",), "orders_history": ("id", "_sequence"), "ltv_entries": ("entry_id",)}
SCHEMAS = {table: RowSchema(columns) for table, columns in COLUMNS.items()}


def flushes(orders: int) -> Iterator[list[Append]]:
    """Orders 1 to `orders`, 10,000 at a time, as the three tables get them."""
    for first in range(1, orders + 1, FLUSH):
        yield _flush(np.arange(first, min(orders + 1, first + FLUSH)))


def _flush(ids: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[Append]:
    days = FIRST_DAY + ids % 700
    written = np.full(len(ids), (FIRST_DAY + 700) * DAY_US)
    values = {
        "id": ids,
        "_op": pa.array(["c"] * len(ids)),
        "ordered_at": days * DAY_US + ids % DAY_US,
        "ordered_on": days.astype(np.int32),
        "status": STATUSES.take(pa.array(ids % len(STATUSES))),
        "country": COUNTRIES.take(pa.array(ids % len(COUNTRIES))),
        "customer_id": pa.array(ids % CUSTOMERS, mask=ids % 20 == 0),
        "amount": pa.array([Decimal(int(id) % 50_000).scaleb(-2) for id in ids], pa.decimal128(38, 9)),
        "updated_at": days * DAY_US,
        "_sequence": pa.array([format_sequence(1, 3, 330 * int(id), 0) for id in ids]),
        "_deleted": np.zeros(len(ids), np.bool_),
        "_committed_at": written,
        "_written_at": written,
        "entry_id": pc.binary_join_element_wise("order:", pa.array(ids).cast(pa.string()), ""),
        "kind": pa.array(["sale"] * len(ids)),
        "origin": pa.array(["orders"] * len(ids)),
        "order_id": pa.array(ids).cast(pa.string()),
        "purchase_month": (days - days % 30).astype(np.int32),
        "purchase_date": days.astype(np.int32),
        "currency": pa.array(["EUR"] * len(ids)),
        "occurred_at": days * DAY_US,
    }
    tables = {
        table: pa.table({name: _of(values[name], type) for name, type in columns.items()})
        for table, columns in COLUMNS.items()
    }
    return [Append(table, SCHEMAS[table], rows, values["_sequence"]) for table, rows in tables.items()]


def _of(values: object, type: ColumnType) -> pa.Array:
    made = values if isinstance(values, pa.Array) else pa.array(values)
    return made if made.type == arrow_type(type) else made.cast(arrow_type(type))
