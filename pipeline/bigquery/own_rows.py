"""What the pipeline notes beside the rows, as upserts of its own tables. Pure.

Tables that take upserts take no DELETE and no UPDATE: a row that goes is written again with `_deleted`. The sequence
number is constant where the later note is to win, and says the order where two processes may write.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipeline.bigquery.appends import Append
from pipeline.bigquery.ddl import DELETED
from pipeline.bigquery.proto_rows import RowSchema
from pipeline.bigquery.tables import FRESH, KEYS
from pipeline.changes import Arrival, DeadRow, Floor, Reload
from pipeline.values import arrow_type

ALWAYS = "0"
"""Sequence number of what a later arrival replaces."""

GONE = "F"
"""Of what never comes back."""

MOST_BYTES = 6_000_000
"""Of a dead letter's line, and of its schema line: BigQuery takes rows of 10 MB, and of 8 MB in one request."""

_SCHEMAS = {table: RowSchema(columns) for table, columns in FRESH.items()}
_ARROW = {
    table: pa.schema([(name, arrow_type(kind)) for name, kind in columns.items()]) for table, columns in FRESH.items()
}


def upserts(table: str, rows: Sequence[Mapping[str, Any]], sequences: Sequence[str] | None = None) -> list[Append]:
    """Rows of an own table, the last of each key; none where there are none. `sequences`: one each, else `ALWAYS`."""
    numbers = sequences or [ALWAYS] * len(rows)
    newest = {
        tuple(row[name] for name in KEYS[table]): (row, number) for row, number in zip(rows, numbers, strict=True)
    }
    if not newest:
        return []
    columns = _ARROW[table]
    values = {name: [row.get(name) for row, _ in newest.values()] for name in columns.names}
    ordered = pa.array([number for _, number in newest.values()], pa.string())
    return [Append(table, _SCHEMAS[table], pa.table(values, schema=columns), ordered)]


def settings(values: Mapping[str, str]) -> list[Append]:
    """The highest epoch stays the highest, whoever writes it when."""
    rows = [{"key": key, "value": value} for key, value in values.items()]
    return upserts("settings", rows, [value if key == "highest_epoch" else ALWAYS for key, value in values.items()])


def floors(raised: Sequence[Floor]) -> list[Append]:
    """The highest stays."""
    highest = sorted(raised, key=lambda floor: floor.sequence)
    rows = [{"table": floor.table, "_sequence": floor.sequence} for floor in highest]
    return upserts("floors", rows, [floor.sequence for floor in highest])


def reloads(marks: Sequence[Reload], now: dt.datetime) -> list[Append]:
    rows = [
        {"table": mark.table, "_sequence": mark.sequence, "reason": mark.reason, "received_at": now} for mark in marks
    ]
    return upserts("reloads", rows)


def arrivals(come: Sequence[Arrival], now: dt.datetime) -> list[Append]:
    """A row a message; `joined` replaces the first of a run."""
    rows = [
        {
            "source": arrival.source,
            "run": arrival.run,
            "number": arrival.number,
            "through": arrival.number,
            "after_run": arrival.after_run,
            "after_number": arrival.after_number,
            "last_sequence": arrival.last_sequence,
            "committed_at": dt.datetime.fromtimestamp(0, dt.timezone.utc)
            + dt.timedelta(microseconds=arrival.committed_at),
            "received_at": now,
            "_written_at": now,
        }
        for arrival in come
    ]
    return upserts("arrivals", rows, [f"{arrival.number:X}" for arrival in come])


def joined(rows: Sequence[Mapping[str, Any]], now: dt.datetime) -> list[Append]:
    """Rows of `arrivals` that cover all messages from their `number` up to their `through`. More wins over less."""
    return upserts("arrivals", [{**row, "_written_at": now} for row in rows], [f"{row['through']:X}" for row in rows])


def letters(dead: Sequence[DeadRow], now: dt.datetime) -> list[Append]:
    return upserts("dead_letters", [_letter(row, now) for row in dead])


def _letter(row: DeadRow, now: dt.datetime) -> dict[str, Any]:
    cut = [
        f"{what} cut to {MOST_BYTES:,} of {len(data):,} bytes"
        for what, data in (("line", row.data), ("schema line", row.schema))
        if len(data) > MOST_BYTES
    ]
    return {
        "message_id": row.message_id,
        "line": row.line,
        "table": row.table,
        "reason": row.reason,
        "error": f"{row.error} ({', '.join(cut)})" if cut else row.error,
        "data": row.data[:MOST_BYTES],
        "schema_line": row.schema[:MOST_BYTES],
        "attributes": json.dumps(row.attributes),
        "received_at": now,
        DELETED: False,
    }


def forgotten(keys: Sequence[tuple[str, int]], now: dt.datetime) -> list[Append]:
    """Dead letters that go; one of the same line that comes again stays."""
    rows = [{"message_id": message, "line": line, "received_at": now, DELETED: True} for message, line in keys]
    return upserts("dead_letters", rows)
