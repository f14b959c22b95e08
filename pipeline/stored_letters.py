"""The dead letters that a warehouse keeps, read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pyarrow as pa

from pipeline.changes import DeadRow

Query = Callable[[str, dict[str, Any]], AbstractContextManager[pa.RecordBatchReader]]


def stored_letters(query: Query, table: str | None) -> list[DeadRow]:
    """All of them, or those of one source table, oldest first. `query` answers GoogleSQL, as `Warehouse.query` does."""
    where = "WHERE `table` = @table" if table else ""
    sql = f"SELECT * FROM raw.dead_letters {where} ORDER BY received_at, message_id, line"
    with query(sql, {"table": table} if table else {}) as reader:
        rows = [row for batch in reader for row in batch.to_pylist()]
    return [
        DeadRow(
            row["message_id"],
            row["line"],
            row["table"],
            row["reason"],
            row["error"],
            row["data"],
            row["schema_line"],
            json.loads(row["attributes"]),
        )
        for row in rows
    ]
