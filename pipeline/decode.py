"""Messages → changes: parses lines, tells events from heartbeats, sets aside what can never be applied, line by line.

The bytes of a message come from outside and are believed in nothing. A message whose lines are all well is decoded at
once; the others line by line, so that the good lines of a bad message are applied.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.changes import Arrival, Changes, Floor, Reload
from pipeline.debezium import normalise
from pipeline.layout import Layout, LayoutProblem, layouts
from pipeline.origins import MessageOrigins, Segment, dead_row, is_one_value
from pipeline.rows import RowProblem, to_batch
from pipeline.worker_letters import letter_source, worker_letter
from schemas.config import ShopConfig
from schemas.errors import DeadLetter
from schemas.event import Message, TableSchema
from schemas.sequence import LENGTH, PATTERN

_SEQUENCE = f"^{PATTERN.pattern}$"
_LAST_INSTANT_US = 253_402_300_800_000_000  # the year 10000
_ROW_OPS = frozenset("cudr")
_SCHEMA_CACHE = 1_000
_CACHED_LINE_BYTES = 100_000


class EpochGuard:
    """The highest epoch seen. Changes of a lower one are dead letters, loudly: to the warehouse all of them would look
    stale, which is what a worker with a lost checkpoint sends. `strict=False` lets a retry through."""

    def __init__(self, highest: str = "", *, strict: bool = True) -> None:
        self.highest = highest
        self.strict = strict

    def refuses(self, sequence: str) -> bool:
        if sequence[:4] > self.highest:
            self.highest = sequence[:4]
        return self.strict and sequence[:4] < self.highest


@dataclass
class _Head:
    """What the first line of a message says of the rest."""

    schema: TableSchema
    layouts: list[Layout]
    line: bytes


@dataclass
class _Group:
    """Rows of one schema, gathered over messages."""

    head: _Head
    rows: list[dict[str, Any]] = field(default_factory=list)
    ops: list[str] = field(default_factory=list)
    sequences: list[str] = field(default_factory=list)
    committed_us: list[int] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)

    @property
    def origins(self) -> MessageOrigins:
        return MessageOrigins(self.segments, self.head.line, self.head.schema.table)


class Decoder:
    """Decodes groups of messages. Keeps the schemas that it has seen; not for use by two threads at once."""

    def __init__(self, config: ShopConfig, guard: EpochGuard | None = None) -> None:
        self.config = config
        self.guard = guard or EpochGuard()
        self._head = functools.lru_cache(_SCHEMA_CACHE)(self._parse_head)

    def decode(self, messages: Iterable[Message]) -> Changes:
        """Raises nothing on account of a message's content: that becomes dead letters."""
        changes = Changes()
        groups: dict[bytes, _Group] = {}
        for message in messages:
            try:
                self._message(message, groups, changes)
            except DeadLetter as dead:
                changes.dead.append(dead_row(message, 0, message.data, b"", dead))
            arrival = arrival_of(message)
            if arrival:
                changes.arrivals.append(arrival)
        for group in groups.values():
            self._finish(group, changes)
        changes.highest_epoch = self.guard.highest
        return changes

    def _message(self, message: Message, groups: dict[bytes, _Group], changes: Changes) -> None:
        line, _, body = message.data.partition(b"\n")
        try:
            head = self._head(line) if len(line) <= _CACHED_LINE_BYTES else self._parse_head(line)
        except DeadLetter:
            if not body.strip() or not is_one_value(message.data):
                raise
            head = None  # one event of another Debezium, written over several lines
        if head is None:
            self._without_schema(message, groups, changes)
        else:
            group = groups.get(head.line)
            if group is None:
                group = groups[head.line] = _Group(head)
            if not self._all_at_once(message, body, group):
                self._line_by_line(message, body, group, changes)

    def _parse_head(self, line: bytes) -> _Head | None:
        """The schema of a message of ours, or None where the first line is something else. Raises DeadLetter."""
        value = parse_line(line)
        body = value.get("schema")
        if not isinstance(body, dict) or "columns" not in body or "payload" in value:
            return None
        try:
            schema = TableSchema.from_body(body)
        except ValueError as error:
            raise DeadLetter("bad_schema", str(error)) from error
        return self._prepare(schema, line)

    def _prepare(self, schema: TableSchema, line: bytes) -> _Head:
        try:
            found = layouts(schema, self.config)
        except LayoutProblem as error:
            raise DeadLetter("bad_schema", str(error), table=schema.table) from error
        if not found:
            raise DeadLetter("unknown_table", "the configuration names no such table", table=schema.table)
        return _Head(schema, found, line)

    def _all_at_once(self, message: Message, body: bytes, group: _Group) -> bool:
        """True where every line is a row event without fault; nothing is kept otherwise."""
        body = body.rstrip(b"\n")
        if not body:
            return True
        try:
            events = orjson.loads(b"[" + body.replace(b"\n", b",") + b"]")
            sources = [event["source"] for event in events]
            sequences = [source["sequence"] for source in sources]
            ops = [event["op"] for event in events]
            rows = [event["before"] if event["op"] == "d" else event["after"] for event in events]
            committed = [source["ts_us"] if "ts_us" in source else _from_ms(source["ts_ms"]) for source in sources]
            well = (
                len(events) == body.count(b"\n") + 1
                and _ROW_OPS.issuperset(ops)
                and {type(row) for row in rows} == {dict}
                and {len(row) for row in rows} == {len(group.head.schema.columns)}
                and all(row.keys() == rows[0].keys() for row in rows)
                and rows[0].keys() == set(group.head.schema.names)
                and {type(instant) for instant in committed} == {int}
                and min(committed) >= 0
                and max(committed) < _LAST_INSTANT_US
                and pc.all(pc.match_substring_regex(pa.array(sequences, pa.string()), _SEQUENCE)).as_py()
                and not self.guard.refuses(max(sequences))
                and not self.guard.refuses(min(sequences))
            )
        except (orjson.JSONDecodeError, LookupError, TypeError, ValueError, AttributeError, pa.ArrowException):
            return False
        if well:
            group.rows += rows
            group.ops += ops
            group.sequences += sequences
            group.committed_us += committed
            group.segments.append((message, len(rows), None))
        return bool(well)

    def _line_by_line(self, message: Message, body: bytes, group: _Group, changes: Changes) -> None:
        numbers = []
        for number, line in enumerate(body.split(b"\n"), 1):
            if not line.strip():
                continue
            try:
                event = parse_line(line)
                if "dead_letter" in event:
                    sequence = checked_sequence(letter_source(event), self.guard)
                    changes.dead.append(worker_letter(event, line, group.head.line, sequence, message.attributes))
                    continue
                kept = self._event(event, group, changes)
            except DeadLetter as dead:
                changes.dead.append(dead_row(message, number, line, group.head.line, dead, group.head.schema.table))
                continue
            if kept:
                numbers.append(number)
        group.segments.append((message, len(numbers), numbers))

    def _event(self, event: dict[str, Any], group: _Group, changes: Changes) -> bool:
        """Checks one event and keeps it: True where it is a row, False where it is a floor. Raises DeadLetter."""
        op, source = event.get("op"), event.get("source")
        if not isinstance(op, str) or not isinstance(source, dict):
            raise DeadLetter("not_an_event", "has no op or no source")
        if op == "t":
            sequence = checked_sequence(source, self.guard)
            changes.floors += [Floor(layout.table, sequence) for layout in group.head.layouts]
            return False
        if op not in _ROW_OPS:
            raise DeadLetter("not_an_event", f"unknown op {op[:20]!r}")
        row = event.get("before" if op == "d" else "after")
        if not isinstance(row, dict):
            raise DeadLetter("not_an_event", f"op {op!r} without its row image")
        if row.keys() != set(group.head.schema.names):
            differing = sorted(set(row) ^ set(group.head.schema.names))
            raise DeadLetter("wrong_columns", f"row and schema differ in {', '.join(differing)[:300]}")
        committed = committed_us(source)
        sequence = checked_sequence(source, self.guard)  # last: a line that dies must not raise the highest epoch
        group.rows.append(row)
        group.ops.append(op)
        group.sequences.append(sequence)
        group.committed_us.append(committed)
        return True

    def _without_schema(self, message: Message, groups: dict[bytes, _Group], changes: Changes) -> None:
        """A heartbeat, a reload mark, or events of another Debezium. Raises DeadLetter for the message as a whole."""
        lines = [message.data] if is_one_value(message.data) else message.data.split(b"\n")
        for number, line in enumerate(lines):
            if not line.strip():
                continue
            try:
                self._lone_line(parse_line(line), message, number, groups, changes)
            except DeadLetter as dead:
                changes.dead.append(dead_row(message, number, line, b"", dead, dead.table))

    def _lone_line(
        self, value: dict[str, Any], message: Message, number: int, groups: dict[bytes, _Group], changes: Changes
    ) -> None:
        if "heartbeat" in value:
            return
        if "reload" in value:
            mark, source = value["reload"], value.get("source")
            if not isinstance(mark, dict) or not isinstance(mark.get("table"), str) or not isinstance(source, dict):
                raise DeadLetter("not_an_event", "a reload mark without table or source")
            sequence = checked_sequence(source, self.guard)
            changes.reloads.append(Reload(mark["table"], sequence, str(mark.get("reason"))[:1000]))
            return
        schema, event = normalise(value, self.config)
        line = schema.line()
        group = groups.get(line)
        if group is None:
            group = groups[line] = _Group(self._prepare(schema, line))
        kept = self._event(event, group, changes)
        group.segments.append((message, int(kept), [number]))

    def _finish(self, group: _Group, changes: Changes) -> None:
        """Turns gathered rows into Arrow, once per role. Rows that do not fit become dead letters; the rest goes on."""
        bad: dict[int, RowProblem] = {}
        while group.rows:
            batches = []
            for layout in group.head.layouts:
                batch, zero_dates, problems = to_batch(
                    layout, group.rows, group.ops, group.sequences, group.committed_us, self.config
                )
                bad.update(problems)
                batches.append((batch, zero_dates))
            origins = group.origins
            if not bad:
                for batch, zero_dates in batches:
                    if batch is not None:
                        batch.origins = origins
                        changes.batches.append(batch)
                    changes.zero_dates += zero_dates
                return
            changes.dead += [
                origins.dead(index, problem.reason, problem.message) for index, problem in sorted(bad.items())
            ]
            group = _without(group, set(bad))
            bad = {}


def _without(group: _Group, bad: set[int]) -> _Group:
    kept = [index for index in range(len(group.rows)) if index not in bad]
    return _Group(
        group.head,
        [group.rows[index] for index in kept],
        [group.ops[index] for index in kept],
        [group.sequences[index] for index in kept],
        [group.committed_us[index] for index in kept],
        [(message, 1, [number]) for message, number in map(group.origins.line_of, kept)],
    )


def parse_line(line: bytes) -> dict[str, Any]:
    """A line as a JSON object. Raises DeadLetter: not UTF-8, not JSON, or no object."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as bytes_error:
            raise DeadLetter("not_utf8", f"byte {bytes_error.start} is not UTF-8") from error
        raise DeadLetter("not_json", str(error)[:200]) from error
    if not isinstance(value, dict):
        raise DeadLetter("not_an_event", "not a JSON object")
    return value


def checked_sequence(source: dict[str, Any], guard: EpochGuard) -> str:
    """The sequence number of an event's source block. Raises DeadLetter where it is none, or of an older epoch."""
    sequence = source.get("sequence")
    if not isinstance(sequence, str) or len(sequence) != LENGTH or not PATTERN.fullmatch(sequence):
        raise DeadLetter("not_an_event", f"source.sequence is {str(sequence)[:60]!r}, not epoch/file/position/row")
    if guard.refuses(sequence):
        raise DeadLetter(
            "old_epoch",
            f"epoch {sequence[:4]} is below {guard.highest}, the highest seen: a second worker, or a lost checkpoint",
        )
    return sequence


def _from_ms(milliseconds: object) -> int:
    return milliseconds * 1000 if type(milliseconds) is int else -1


def committed_us(source: dict[str, Any]) -> int:
    """Commit time in microseconds since 1970. Raises DeadLetter."""
    instant = source.get("ts_us")
    if instant is None and type(source.get("ts_ms")) is int:
        instant = source["ts_ms"] * 1000
    if type(instant) is not int or not 0 <= instant < _LAST_INSTANT_US:
        raise DeadLetter("not_an_event", "source.ts_ms is no time")
    return instant


def arrival_of(message: Message) -> Arrival | None:
    """The arrival that a message's attributes tell of, or None where it carries no number."""
    attributes = message.attributes
    run, number = attributes.get("run", "")[:100], _count(attributes.get("number", ""))
    if not run or number is None:
        return None
    after_run, _, after_number = attributes.get("after", "")[:120].rpartition(":")
    try:
        instant = dt.datetime.fromisoformat(attributes.get("committed_at", "").replace("Z", "+00:00"))
        microseconds = (instant - dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)) // dt.timedelta(microseconds=1)
    except (ValueError, TypeError):
        microseconds = 0
    return Arrival(
        attributes.get("source", "")[:200],
        run,
        number,
        attributes.get("last_sequence", "")[:LENGTH],
        microseconds,
        after_run,
        _count(after_number) or 0,
    )


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
