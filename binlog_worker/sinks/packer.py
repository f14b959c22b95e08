"""Change events → messages: each of one table, up to so many events or bytes, numbered in the order of closing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from binlog_worker import metrics
from binlog_worker.sinks.oversized import LARGEST_DATA_BYTES, fit
from schemas.event import Message, TableSchema

log = logging.getLogger(__name__)


class PackedSchema(NamedTuple):
    """A table's schema, and what is made of it once."""

    schema: TableSchema
    line: bytes
    fingerprint: str

    @classmethod
    def of(cls, schema: TableSchema) -> PackedSchema:
        return cls(schema, schema.line(), schema.fingerprint())


class Changes(NamedTuple):
    """The changes of one binlog event: lines of JSON without line feeds, the row number of each in its sequence number
    (`prefix` + 8 hexadecimal digits), and when the transaction was committed (ISO, UTC)."""

    schema: PackedSchema
    lines: list[bytes]
    rows: Sequence[int]
    prefix: str
    committed_at: str
    at: str  # binlog position, for errors

    def sequence(self, index: int) -> str:
        return f"{self.prefix}{self.rows[index]:08X}"

    def committed(self, index: int) -> str:
        return self.committed_at

    def position(self, index: int) -> str:
        return self.at


class SingleChanges(NamedTuple):
    """As `Changes`, of many events that changed one row each, in the order of the log: the start of each in `file`,
    and the commit time of each. `prefix` is what all their sequence numbers begin with (epoch and file)."""

    schema: PackedSchema
    lines: list[bytes]
    positions: list[int]
    committed_at: list[str]
    prefix: str
    file: str

    def sequence(self, index: int) -> str:
        return f"{self.prefix}{self.positions[index]:016X}/00000000"

    def committed(self, index: int) -> str:
        return self.committed_at[index]

    def position(self, index: int) -> str:
        return f"{self.file}:{self.positions[index]}"


class _Open:
    __slots__ = ("committed_at", "first", "last", "lines", "schema", "size")

    def __init__(self, schema: PackedSchema) -> None:
        self.schema = schema
        self.lines: list[bytes] = [schema.line]
        self.size = len(schema.line)
        self.first = self.last = self.committed_at = ""


class Packer:
    """`put` takes finished messages; `source` is the attribute of that name, `run` that of this process's start.

    `after` ("run:number") is the confirmed message of the run before that this one goes on from. `needed`: table → the
    columns that stay when a row is too large for a message.
    """

    def __init__(
        self,
        put: Callable[[Message], None],
        source: str,
        run: str,
        *,
        after: str = "",
        max_events: int = 500,
        max_bytes: int = 1_000_000,
        needed: Callable[[str], Collection[str]] = lambda table: (),
    ) -> None:
        self._put, self._needed = put, needed
        self._always = {"source": source, "run": run, **({"after": after} if after else {})}
        self._max_events, self._max_bytes = max_events, max_bytes
        self._open: dict[str, _Open] = {}
        self.number = 0
        """Of the newest closed message."""

    def add(self, changes: Changes | SingleChanges) -> None:
        """Raises what `put` raises."""
        table, count, begin = changes.schema.schema.table, len(changes.lines), 0
        message = self._open.get(table)
        if message is not None and message.schema.fingerprint != changes.schema.fingerprint:
            self._close(table)
        while begin < count:
            message = self._open.get(table) or self._opened(changes)
            lines = changes.lines[begin : begin + self._max_events + 1 - len(message.lines)]
            size = sum(map(len, lines)) + len(lines)
            if message.size + size > self._max_bytes:
                lines, size = _first(lines, self._max_bytes - message.size)
                if not lines:
                    self._add_line(table, changes, begin)
                    begin += 1
                    continue
            if len(message.lines) == 1:
                message.first = changes.sequence(begin)
            message.lines += lines
            message.size += size
            begin += len(lines)
            message.last, message.committed_at = changes.sequence(begin - 1), changes.committed(begin - 1)
            if len(message.lines) > self._max_events:
                self._close(table)

    def _opened(self, changes: Changes | SingleChanges) -> _Open:
        message = self._open[changes.schema.schema.table] = _Open(changes.schema)
        return message

    def _add_line(self, table: str, changes: Changes | SingleChanges, index: int) -> None:
        """A line with which the open message may become too large, or that is too large for any."""
        line = changes.lines[index]
        if len(line) + len(changes.schema.line) < LARGEST_DATA_BYTES:  # a line feed is between them
            self._append(table, changes, index, line)
        else:
            self._add_oversized(table, changes, index)

    def _add_oversized(self, table: str, changes: Changes | SingleChanges, index: int) -> None:
        """What fits of the row goes on; a letter behind it, a message of its own, says what does not."""
        line, schema = changes.lines[index], changes.schema
        fitted = fit(line, schema.schema, self._needed(table), LARGEST_DATA_BYTES - len(schema.line) - 1)
        metrics.OVERSIZED.labels(table, fitted.outcome).inc()
        log.log(
            logging.INFO if fitted.outcome == "without_before" else logging.WARNING,
            "a row is too large for a message",
            extra={"table": table, "key": fitted.key, "bytes": len(line), "position": changes.position(index),
                   "outcome": fitted.outcome, "left_out": ", ".join(fitted.left_out) or None},
        )  # fmt: skip
        if fitted.line is not None:
            self._append(table, changes, index, fitted.line)
        if fitted.letter is not None:
            letter = schema.line + b"\n" + fitted.letter
            self._alone("dead_letter", table, letter, changes.sequence(index), changes.committed(index))

    def _append(self, table: str, changes: Changes | SingleChanges, index: int, line: bytes) -> None:
        message = self._open.get(table)
        if message is not None and len(message.lines) > 1 and message.size + len(line) + 1 > self._max_bytes:
            self._close(table)
            message = None
        if message is None:
            message = self._opened(changes)
        message.last = changes.sequence(index)
        if len(message.lines) == 1:
            message.first = message.last
        message.lines.append(line)
        message.size += len(line) + 1
        message.committed_at = changes.committed(index)
        if len(message.lines) > self._max_events or message.size >= self._max_bytes:
            self._close(table)

    def close_all(self) -> None:
        for table in list(self._open):
            self._close(table)

    def reload(self, table: str, line: bytes, sequence: str, committed_at: str) -> None:
        """A message of its own: `table` must be loaded again."""
        self._alone("reload", table, line, sequence, committed_at)

    def _alone(self, kind: str, table: str, data: bytes, sequence: str, committed_at: str) -> None:
        """Behind all rows of its table so far."""
        if table in self._open:
            self._close(table)
        self._send(
            data,
            {"kind": kind, "table": table, "events": "0", "first_sequence": sequence, "last_sequence": sequence,
             "committed_at": committed_at},
        )  # fmt: skip

    def heartbeat(self, line: bytes, sequence: str, server_time: str) -> None:
        """Closes everything first: all changes below `sequence` have lower numbers."""
        self.close_all()
        self._send(line, {"kind": "heartbeat", "events": "0", "last_sequence": sequence, "committed_at": server_time})

    def _close(self, table: str) -> None:
        message = self._open.pop(table)
        if len(message.lines) == 1:
            return  # it was opened for a row of which nothing could be sent
        self._send(
            b"\n".join(message.lines),
            {
                "table": table,
                "events": str(len(message.lines) - 1),
                "schema": message.schema.fingerprint,
                "first_sequence": message.first,
                "last_sequence": message.last,
                "committed_at": message.committed_at,
            },
        )

    def _send(self, data: bytes, attributes: dict[str, str]) -> None:
        self.number += 1
        self._put(Message(data, {**attributes, **self._always, "number": str(self.number)}))


def _first(lines: list[bytes], room: int) -> tuple[list[bytes], int]:
    """As many of the first lines as fit into `room` bytes, and the bytes that they take."""
    taken = size = 0
    for line in lines:
        if size + len(line) + 1 > room:
            break
        taken += 1
        size += len(line) + 1
    return lines[:taken], size
