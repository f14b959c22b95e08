"""Row images → change events as lines of JSON, in Debezium's envelope (`schemas.event`).

What is the same for all rows of a binlog event is put into JSON once; around each row's own values, bytes are joined.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta, timezone
from operator import ne
from typing import Any, NamedTuple

import orjson

from binlog_worker import metrics
from binlog_worker.decoding.rows import Rows, Table
from binlog_worker.decoding.table_map import TableLayout
from binlog_worker.decoding.values import FULL_METADATA
from binlog_worker.log.events import RawEvent
from binlog_worker.sinks.packer import Changes, PackedSchema
from schemas.config import ShopConfig
from schemas.errors import CorruptBinlog, UnsupportedRowImage
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


class Plan(NamedTuple):
    """Of one table layout: its schema, the front of `source`, to be filled in with commit time (ms, us), server_id and
    file (as JSON), up to where the position follows; and the counters by op."""

    schema: PackedSchema
    source: bytes
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


INSERTED, DELETED, UPDATED = b'{"op":"c","before":null,"after":', b'{"op":"d","before":', b'{"op":"u","before":'
_BEHIND = b',"after":null'

_SUFFIXES = [b'%08X","row":%d}' % (2 * row, row) for row in range(2_048)]


def _suffix(number: int, row: int) -> bytes:
    return b'%08X","row":%d}' % (number, row)


Numbers = Sequence[int]
"""Of every line the row number of its sequence number."""


def event_lines(
    op: str, images: list[bytes], keys: list[tuple[Any, ...]], middle: bytes, tail: bytes, first_row: int = 0
) -> tuple[list[bytes], Numbers]:
    """The change events of a row event as lines of JSON: around each image the same `middle` (from `source` to the
    last slash of the sequence number) and `tail`.

    `images` are those of an update before and after in turn. Row i has number 2i; where its primary key changes, the
    `d` of the old key has 2i and the `c` of the new one 2i+1. Raises ValueError where an update lacks its last image.
    """
    if op == "u":
        return _update_lines(images, keys, middle, tail, first_row)
    head = INSERTED
    if op == "d":
        head, middle = DELETED, _BEHIND + middle
    numbers = range(2 * first_row, 2 * (first_row + len(images)), 2)
    suffixes: Iterable[bytes] = _SUFFIXES
    if first_row or len(images) > len(_SUFFIXES):
        suffixes = [_suffix(number, number // 2) for number in numbers]
    lines = [head + image + middle + suffix + tail for image, suffix in zip(images, suffixes, strict=False)]
    return lines, numbers


def _update_lines(
    images: list[bytes], keys: list[tuple[Any, ...]], middle: bytes, tail: bytes, first_row: int
) -> tuple[list[bytes], Numbers]:
    lines: list[bytes] = []
    numbers: list[int] = []
    old, new = keys[::2], keys[1::2]
    for row, before, after, moved in zip(
        range(first_row, first_row + len(old)), images[::2], images[1::2], map(ne, old, new), strict=True
    ):
        end = middle + _suffix(2 * row, row) + tail
        if not moved:
            lines.append(UPDATED + before + b',"after":' + after + end)
            numbers.append(2 * row)
            continue
        lines += (
            DELETED + before + _BEHIND + end,
            INSERTED + after + middle + _suffix(2 * row + 1, row) + tail,
        )
        numbers += (2 * row, 2 * row + 1)
    return lines, numbers


def sequence_head(gtid: str, prefix: str) -> bytes:
    """Of `source`, from behind the position to where the sequence number has it again; `prefix` stands before that."""
    member = f',"gtid":"{gtid}"' if gtid else ""
    return f'{member},"sequence":"{prefix}'.encode("ascii")


class ChangeWriter:
    """Keeps the plans of the tables seen."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self._plans: dict[Table, Plan] = {}
        self._file = self._head = ""

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
            self._file, self._head = file, sequence_prefix(self.origin.epoch, binlog_number(file)[1], 0)[:-17]
        return f"{self._head}{position:016X}/"

    def middle(self, plan: Plan, event: RawEvent, transaction: Transaction) -> bytes:
        """From behind the images to the last slash of the sequence number."""
        microseconds, position = transaction.committed_us, event.position
        head = plan.source % (microseconds // 1000, microseconds, event.server_id, orjson.dumps(event.file))
        prefix = self.prefix(event.file, 0)[:-17]
        return b"%b%d%b%016X/" % (head, position, sequence_head(transaction.gtid, prefix), position)

    def changes(
        self, rows: Rows, event: RawEvent, transaction: Transaction, now_ms: int, *, first_row: int = 0
    ) -> Changes:
        """`first_row` is the index of the event's first row, where rows are counted over more than one event. Raises
        what decoding raises."""
        plan = self.plan(rows.table)
        images, keys = rows.images()
        middle = self.middle(plan, event, transaction)
        try:
            lines, numbers = event_lines(rows.op, images, keys, middle, b',"ts_ms":%d}' % now_ms, first_row)
        except ValueError as error:
            raise CorruptBinlog(
                "an update without its image after", table=plan.schema.schema.table, position=event.at
            ) from error
        count_rows(plan, rows.op, len(lines), len(images))
        prefix = self.prefix(event.file, event.position)
        return Changes(plan.schema, lines, numbers, prefix, transaction.committed_at, event.at)

    def truncation(
        self, table: str, schema: PackedSchema, event: RawEvent, transaction: Transaction, now_ms: int
    ) -> Changes:
        """One event of op `t`: every row of the table below its sequence is gone."""
        prefix = self.prefix(event.file, event.position)
        source = {**self.source(event, transaction, table), "sequence": f"{prefix}{0:08X}", "row": 0}
        line = orjson.dumps({"op": "t", "before": None, "after": None, "source": source, "ts_ms": now_ms})
        metrics.ROWS.labels(table, "t").inc()
        return Changes(schema, [line], [0], prefix, transaction.committed_at, event.at)

    def plan(self, table: Table) -> Plan:
        plan = self._plans.get(table)
        if plan is not None:
            return plan
        if len(self._plans) >= _TABLES:
            self._plans.clear()
        schema = table_schema(table.layout, table.keep)
        plan = self._plans[table] = Plan(
            PackedSchema.of(schema),
            self._source_template(table.layout),
            {op: metrics.ROWS.labels(schema.table, op) for op in "cud"},
        )
        return plan

    def _source_template(self, layout: TableLayout) -> bytes:
        """The members of `source`, in its order."""
        shop = _constant({"connector": self.origin.connector, "name": self.origin.name})
        table = _constant({"db": layout.schema, "table": layout.table})
        return (
            b',"source":{' + shop + b',"ts_ms":%d,"ts_us":%d,"snapshot":"false",' + table
            + b',"server_id":%d,"file":%b,"pos":'
        )  # fmt: skip


def _constant(members: dict[str, str]) -> bytes:
    """Members of a JSON object, for a template of bytes."""
    return orjson.dumps(members)[1:-1].replace(b"%", b"%%")


def count_rows(plan: Plan, op: str, lines: int, images: int) -> None:
    """Counts the lines of one row event; a changed key counts as a deletion and an insertion."""
    if op != "u":
        plan.counters[op].inc(lines)
        return
    moved = lines - images // 2
    plan.counters["u"].inc(lines - 2 * moved)
    if moved:
        plan.counters["d"].inc(moved)
        plan.counters["c"].inc(moved)
