"""Which line of which message a row came from: its dead letter, should the warehouse refuse it. Nothing of the message
is looked at before that."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from pipeline.changes import DeadRow
from schemas.errors import DeadLetter
from schemas.event import Message

REFUSING = "bigquery:"
"""Begins the `warehouse` of those that may refuse a row. DuckDB takes every row that the pipeline makes."""

Segment = tuple[Message, int, list[int] | None]
"""A message, how many rows came of it, and their lines (None: all of them in order; line 1 is the first after the
schema)."""


@dataclass(frozen=True)
class MessageOrigins:
    """Of the rows that were gathered over `segments` under one schema line, of one source table."""

    segments: Sequence[Segment]
    schema_line: bytes
    table: str

    def line_of(self, index: int) -> tuple[Message, int]:
        """The message and the line of row `index`."""
        ends = list(itertools.accumulate(count for _, count, _ in self.segments))
        place = bisect.bisect_right(ends, index)
        message, count, numbers = self.segments[place]
        index -= ends[place] - count
        return message, numbers[index] if numbers else index + 1

    def dead(self, index: int, reason: str, error: str) -> DeadRow:
        message, number = self.line_of(index)
        lines = [message.data] if is_one_value(message.data) else message.data.split(b"\n")
        schema = self.schema_line if lines[0] == self.schema_line else b""
        return dead_row(message, number, lines[number], schema, DeadLetter(reason, error), self.table)


def is_one_value(data: bytes) -> bool:
    """Whether the whole message is one JSON value, on however many lines."""
    if b"\n" not in data.rstrip(b"\n"):
        return True
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


def dead_row(
    message: Message, line: int, data: bytes, schema: bytes, dead: DeadLetter, table: str | None = None
) -> DeadRow:
    """A line of a message, or all of it (line 0), as a dead letter."""
    table = dead.table or table or message.attributes.get("table")
    return DeadRow(
        message.message_id,
        line,
        table[:200] if table else None,
        dead.reason,
        dead.message[:1000],
        data,
        schema,
        dict(message.attributes),
    )
