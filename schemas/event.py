"""The change event and its wire format.

A Pub/Sub message carries change events of one table as newline-delimited JSON: first the table's schema, then one
event a line in Debezium's envelope (Debezium, «Connector for MySQL: Data change events»). A heartbeat is a message of
one line.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

MAX_COLUMNS = 4_096
"""MySQL's own limit of columns in a table."""

OVERSIZED_ROW = "oversized_row"
OVERSIZED_VALUES = "oversized_values"
"""Reasons of the worker's own dead letters: a row that fits into no message, and one that was sent without some of its
values, which `source.left_out` of its event names."""


@dataclass(frozen=True)
class EventColumn:
    """A column as the events of a table carry it; `type` is a source type of `schemas.columns`."""

    name: str
    type: str
    nullable: bool = True


@dataclass(frozen=True)
class TableSchema:
    """First line of a message: which columns its events have, in which types, and the primary key."""

    table: str  # database.table
    primary_key: tuple[str, ...]
    columns: tuple[EventColumn, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def body(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "primary_key": list(self.primary_key),
            "columns": [
                {"name": column.name, "type": column.type, "nullable": column.nullable} for column in self.columns
            ],
        }

    def fingerprint(self) -> str:
        """16 hexadecimal digits; equal schemas have equal ones."""
        return hashlib.sha256(orjson.dumps(self.body())).hexdigest()[:16]

    def line(self) -> bytes:
        return orjson.dumps({"schema": {"fingerprint": self.fingerprint(), **self.body()}})

    @classmethod
    def from_body(cls, body: object) -> TableSchema:
        """The inverse of `body`. Raises ValueError naming what is wrong: it may come from anybody."""
        if not isinstance(body, dict):
            raise ValueError("the schema is not an object")
        table, key, columns = body.get("table"), body.get("primary_key"), body.get("columns")
        if not isinstance(table, str) or table.count(".") != 1:
            raise ValueError("the schema's table is not database.table")
        if not isinstance(columns, list) or not 0 < len(columns) <= MAX_COLUMNS:
            raise ValueError("the schema has no list of columns")
        parsed = []
        for column in columns:
            name = column.get("name") if isinstance(column, dict) else None
            kind = column.get("type") if isinstance(column, dict) else None
            if not isinstance(name, str) or not isinstance(kind, str) or not 0 < len(name) <= 64:
                raise ValueError("a column of the schema has no name or no type")
            parsed.append(EventColumn(name, kind, column.get("nullable", True) is not False))
        names = [column.name for column in parsed]
        if len(set(names)) != len(names):
            raise ValueError("the schema names a column twice")
        if not isinstance(key, list) or not key or not all(isinstance(name, str) and name in names for name in key):
            raise ValueError("the schema's primary key is empty or names no column")
        return cls(table, tuple(key), tuple(parsed))


@dataclass(frozen=True)
class Message:
    """A Pub/Sub message: its bytes, attributes, the service's id and publish time (ISO text; empty where unknown)."""

    data: bytes
    attributes: dict[str, str]
    message_id: str = ""
    publish_time: str = ""


def envelope(
    op: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    source: dict[str, Any],
    ts_ms: int,
) -> bytes:
    """One event as one line of JSON, without its line feed. Values are those of `types.md`; no Decimal, no datetime.

    `op`: c insert, u update, d delete, r read by a snapshot; truncations have op t.
    """
    return orjson.dumps({"op": op, "before": before, "after": after, "source": source, "ts_ms": ts_ms})


def reload_line(table: str, reason: str, source: dict[str, Any], ts_ms: int) -> bytes:
    """The event that says: rows of `table` changed without row events, so it has to be loaded again."""
    return orjson.dumps({"reload": {"table": table, "reason": reason}, "source": source, "ts_ms": ts_ms})


def dead_letter_line(letter: dict[str, Any], source: dict[str, Any], ts_ms: int) -> bytes:
    """What the worker could not send, for the pipeline to keep: `letter` has table, reason, op, key (column → value),
    bytes (of the whole event) and columns (too large ones → bytes)."""
    return orjson.dumps({"dead_letter": letter, "source": source, "ts_ms": ts_ms})


def heartbeat_line(sequence: str, server_time: str, source: dict[str, Any], ts_ms: int) -> bytes:
    """The worker's position and the server's clock; an idle shop and a dead worker look different by it."""
    return orjson.dumps(
        {"heartbeat": {"sequence": sequence, "server_time": server_time}, "source": source, "ts_ms": ts_ms}
    )
