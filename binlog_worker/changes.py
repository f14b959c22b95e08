"""Row images → change events as lines of JSON, in Debezium's envelope (`schemas.event`).

What is the same for all rows of a binlog event is put into JSON once; around each row's own values, bytes are joined.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import orjson

from binlog_worker import metrics
from binlog_worker.events import RawEvent
from binlog_worker.packer import Changes, PackedSchema
from binlog_worker.rows import Rows, Table
from binlog_worker.table_map import TableLayout
from binlog_worker.values import FULL_METADATA
from schemas.config import ShopConfig
from schemas.errors import UnsupportedRowImage
from schemas.event import EventColumn, TableSchema
from schemas.sequence import binlog_number, sequence_prefix

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TABLES = 1_000


def iso_utc(microseconds: int) -> str:
    """Microseconds since 1970 → `2022-01-13T10:00:00.000000Z`."""
    return (_EPOCH + timedelta(microseconds=microseconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Transaction(NamedTuple):
    """What all rows of a transaction share; `committed_us` in microseconds since 1970, `gtid` empty without GTIDs."""

    start: int
    gtid: str
    committed_us: int
    committed_at: str


class Origin(NamedTuple):
    """What all events of a run share: connector (mysql or mariadb), the shop's name, the epoch."""

    connector: str
    name: str
    epoch: int


class _Plan(NamedTuple):
    """Of one table layout: names of the kept columns, which of them are the key, the schema, the counters by op."""

    names: tuple[str, ...]
    key: tuple[int, ...]
    schema: PackedSchema
    counters: dict[str, Any]


def published_columns(config: ShopConfig, layout: TableLayout) -> list[int] | None:
    """Which column indexes of a table leave the database; None: the table is not configured.

    Raises UnsupportedRowImage where the log does not say names and key.
    """
    if layout.name not in config.source_tables:
        return None
    if not layout.has_names:
        raise UnsupportedRowImage(
            "the log does not name the columns (binlog_row_metadata is not FULL)", table=layout.name, hint=FULL_METADATA
        )
    if not layout.primary_key or layout.prefix_key:
        why = "its primary key holds only the start of a column" if layout.prefix_key else "it has no primary key"
        raise UnsupportedRowImage(
            f"rows cannot be told apart: {why}", table=layout.name, hint="give the table a primary key of whole columns"
        )
    names = [column.name for column in layout.columns]
    wanted = set(config.published(layout.name, names))
    missing = [names[index] for index in layout.primary_key if names[index] not in wanted]
    if missing:
        raise UnsupportedRowImage(
            f"key column {', '.join(missing)} is not published",
            table=layout.name,
            hint="take it out of `exclude`, or add it to `include`, in shop.yaml",
        )
    return [index for index, name in enumerate(names) if name in wanted]


def table_schema(layout: TableLayout, keep: Collection[int]) -> TableSchema:
    columns = layout.columns
    return TableSchema(
        layout.name,
        tuple(columns[index].name for index in layout.primary_key or ()),
        tuple(EventColumn(columns[index].name, columns[index].type, columns[index].nullable) for index in sorted(keep)),
    )


_SUFFIXES = [b'%08X","row":%d}' % (2 * row, row) for row in range(2_048)]


def _suffix(number: int, row: int) -> bytes:
    return b'%08X","row":%d}' % (number, row)


class ChangeWriter:
    """Keeps the plans of the tables seen. Row i of an event has number 2i in its sequence; where its primary key
    changes, the `d` of the old key has 2i and the `c` of the new one 2i+1, whatever is configured."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self._plans: dict[Table, _Plan] = {}
        self._file = ""
        self._number = 0

    def source(self, event: RawEvent, transaction: Transaction, table: str) -> dict[str, Any]:
        """The `source` block, but for row and sequence."""
        database, _, name = table.partition(".")
        microseconds = transaction.committed_us
        block = {
            "connector": self.origin.connector,
            "name": self.origin.name,
            "ts_ms": microseconds // 1000,
            "ts_us": microseconds,
            "snapshot": "false",
            "db": database,
            "table": name,
            "server_id": event.server_id,
            "file": event.file,
            "pos": event.position,
        }
        if transaction.gtid:
            block["gtid"] = transaction.gtid
        return block

    def prefix(self, file: str, position: int) -> str:
        if file != self._file:
            self._file, self._number = file, binlog_number(file)[1]
        return sequence_prefix(self.origin.epoch, self._number, position)

    def changes(
        self, rows: Rows, event: RawEvent, transaction: Transaction, now_ms: int, *, first_row: int = 0
    ) -> Changes:
        """`first_row` is the index of the event's first row, where rows are counted over more than one event. Raises
        what decoding raises."""
        plan = self._plans.get(rows.table) or self._plan(rows.table)
        prefix = self.prefix(event.file, event.position)
        source = orjson.dumps(self.source(event, transaction, plan.schema.schema.table))
        middle = b',"source":' + source[:-1] + b',"sequence":"' + prefix.encode()
        tail = b',"ts_ms":%d}' % now_ms
        names, dumps = plan.names, orjson.dumps
        numbers: Sequence[int]
        if rows.op == "c":
            head = b'{"op":"c","before":null,"after":'
            images = [head + dumps(dict(zip(names, after or (), strict=True))) + middle for _, after in rows.changes]
            numbers = range(2 * first_row, 2 * (first_row + len(images)), 2)
        elif rows.op == "d":
            head, middle = b'{"op":"d","before":', b',"after":null' + middle
            images = [head + dumps(dict(zip(names, before or (), strict=True))) + middle for before, _ in rows.changes]
            numbers = range(2 * first_row, 2 * (first_row + len(images)), 2)
        else:
            lines, numbers = self._updates(rows, plan, middle, tail, first_row)
            return Changes(plan.schema, lines, numbers, prefix, transaction.committed_at, event.at)
        suffixes = _SUFFIXES if not first_row and len(images) <= len(_SUFFIXES) else [_suffix(n, n // 2) for n in numbers]
        lines = [image + suffix + tail for image, suffix in zip(images, suffixes, strict=False)]
        plan.counters[rows.op].inc(len(lines))
        return Changes(plan.schema, lines, numbers, prefix, transaction.committed_at, event.at)

    def _updates(
        self, rows: Rows, plan: _Plan, middle: bytes, tail: bytes, first_row: int
    ) -> tuple[list[bytes], list[int]]:
        names, key, dumps = plan.names, plan.key, orjson.dumps
        lines: list[bytes] = []
        numbers: list[int] = []
        for row, (old, new) in enumerate(rows.changes, first_row):
            assert old is not None and new is not None
            before, after = dumps(dict(zip(names, old, strict=True))), dumps(dict(zip(names, new, strict=True)))
            end = middle + _suffix(2 * row, row) + tail
            if all(old[index] == new[index] for index in key):
                lines.append(b'{"op":"u","before":' + before + b',"after":' + after + end)
                numbers.append(2 * row)
                continue
            lines.append(b'{"op":"d","before":' + before + b',"after":null' + end)
            end = middle + _suffix(2 * row + 1, row) + tail
            lines.append(b'{"op":"c","before":null,"after":' + after + end)
            numbers += (2 * row, 2 * row + 1)
        moved = sum(number & 1 for number in numbers)
        plan.counters["u"].inc(len(lines) - 2 * moved)
        if moved:
            plan.counters["d"].inc(moved)
            plan.counters["c"].inc(moved)
        return lines, numbers

    def truncation(
        self, table: str, schema: PackedSchema, event: RawEvent, transaction: Transaction, now_ms: int
    ) -> Changes:
        """One event of op `t`: every row of the table below its sequence is gone."""
        prefix = self.prefix(event.file, event.position)
        source = {**self.source(event, transaction, table), "sequence": f"{prefix}{0:08X}", "row": 0}
        line = orjson.dumps({"op": "t", "before": None, "after": None, "source": source, "ts_ms": now_ms})
        metrics.ROWS.labels(table, "t").inc()
        return Changes(schema, [line], [0], prefix, transaction.committed_at, event.at)

    def _plan(self, table: Table) -> _Plan:
        if len(self._plans) >= _TABLES:
            self._plans.clear()
        schema = table_schema(table.layout, table.keep)
        names = schema.names
        plan = self._plans[table] = _Plan(
            names,
            tuple(names.index(name) for name in schema.primary_key),
            PackedSchema.of(schema),
            {op: metrics.ROWS.labels(schema.table, op) for op in "cud"},
        )
        return plan
