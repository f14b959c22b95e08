"""The dead letters that a warehouse keeps, read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
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


def listed(letters: Sequence[DeadRow]) -> pa.Table:
    """As they are printed: the first 200 bytes of each."""
    texts = {
        "table": [letter.table for letter in letters],
        "reason": [letter.reason for letter in letters],
        "error": [letter.error for letter in letters],
        "message": [letter.message_id for letter in letters],
        "line": [letter.line for letter in letters],
        "bytes": [letter.data[:200].decode("utf-8", "backslashreplace") for letter in letters],
    }
    return pa.table({name: pa.array(of, pa.int64() if name == "line" else pa.string()) for name, of in texts.items()})
