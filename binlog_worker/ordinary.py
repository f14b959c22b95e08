"""Ordinary transactions, read straight from the receive buffer: what nearly all of a log consists of.

The same is decided as by `reader.Reader.feed`, but in one loop over the buffer and without an object per event: row
events of transactions that begin with a GTID and end with an XID. Before the first event that is not of these, not
whole or not in order in any way, the loop stops, and the general path reads that event again and names what is wrong.
So nothing here raises: whenever in doubt it gives up.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID
from zlib import crc32

import orjson

from binlog_worker.changes import (
    INSERTED,
    ChangeWriter,
    Numbers,
    Plan,
    Transaction,
    count_rows,
    event_lines,
    iso_utc,
    sequence_head,
)
from binlog_worker.decoding.row_code import BAD_IMAGE
from binlog_worker.decoding.rows import Table, Tables
from binlog_worker.log import events
from binlog_worker.log.dump import CRC_RESIDUE, Dump
from binlog_worker.log.event_bodies import is_begin
from binlog_worker.sinks.packer import Changes, PackedSchema, SingleChanges
from schemas.checkpoint import Place

LARGEST_EVENT_BYTES = 4_000_000
"""Larger events take the general path."""

_PACKET = struct.Struct("<IBIBIIIH")
"""Length 3 and sequence 1, status 1, then the event header: timestamp, type, server_id, size, end, flags."""
_MYSQL_GTID = struct.Struct("<16sQB16xQ")
"""Behind the flags: uuid, number, clock type, (logical clock), commit time 7 and the first byte of a length."""
_NUMBERS = 1 << 63
_MARIADB_GTID = struct.Struct("<QIB")
_NOT_ORDINARY = 0x01 | 0x20 | 0x40 | 0x80
"""Flags of a MariaDB GTID: standalone, DDL, prepared XA, completed XA."""
_STATEMENT_TEXTS = (29, 160)
"""ROWS_QUERY, ANNOTATE_ROWS."""
_COMMIT_TIME = (1 << 55) - 1
_UNUSUAL = frozenset((*range(1, 512, 2), 2 * 251, 2 * 254, 2 * 255))
"""Of the highest bit of the commit time (the original one follows) and the byte behind it: what no length begins with,
or that of a transaction of 16 MB and more."""

_Handler = Callable[[bytes, int, int, int, int, int], bool]
"""(buffer, start and end of an event, its position in the log, timestamp, server_id) → whether it is dealt with."""


class Run(NamedTuple):
    """Transactions committed one after the other: `key` and each number from `low` to `high` are a GTID's text."""

    key: str
    low: int
    high: int


class Underway(NamedTuple):
    """A transaction that is not at its end. `begun`: it was said to have a COMMIT or XID (see `Reader`)."""

    transaction: Transaction
    begun: bool
    touched: set[str]


class Found(NamedTuple):
    """What one pass made of the buffer, and where the log is now. `runs` were committed, in this order."""

    made: list[Changes | SingleChanges]
    place: Place
    underway: Underway | None
    events: int
    counted: int
    committed_us: int
    runs: list[Run]
    schemas: dict[str, PackedSchema]


class _Seen:
    """A table in one pass: its single changes so far, and the front of `source` for the newest commit time."""

    __slots__ = ("committed_at", "head", "head_server", "head_us", "inserted", "lines", "name", "plan", "positions")

    def __init__(self, table: Table, plan: Plan) -> None:
        self.name, self.plan = table.layout.name, plan
        self.head, self.head_us, self.head_server = b"", -1, -1
        self.inserted = 0
        self.clear()

    def clear(self) -> None:
        self.lines: list[bytes] = []
        self.positions: list[int] = []
        self.committed_at: list[str] = []


class Ordinary:
    """`read` makes one pass. Everything below it is the state of the pass, and what repeats between transactions."""

    def __init__(self, writer: ChangeWriter, tables: Tables) -> None:
        self._writer, self._by_bytes, self._by_id = writer, tables.by_bytes, tables.by_id
        self._handlers: dict[int, _Handler] = {
            events.MARIADB_GTID: self._mariadb_gtid,
            events.GTID: self._mysql_gtid,
            events.ANONYMOUS_GTID: self._mysql_gtid,
            events.QUERY: self._query,
            **dict.fromkeys(_STATEMENT_TEXTS, self._text),
            events.TABLE_MAP: self._table_map,
            events.XID: self._xid,
            **dict.fromkeys(events.ROWS, self._rows),
        }
        self._second, self._second_text = -1, ""
        self._keys: dict[bytes | tuple[int, int], tuple[str, bytes]] = {}
        self._may_begin = False
        self._prefix, self._no_gtid, self._file_text, self._tail = "", b"", b"", b""
        self._begin_pass("", None)

    def _begin_pass(self, file: str, underway: Underway | None) -> None:
        self._file = file
        self._made: list[Changes | SingleChanges] = []
        self._seen: dict[Table, _Seen] = {}
        self._committed_us, self._committed_at = 0, ""
        self._runs: list[Run] = []
        self._run_key, self._run_low, self._run_high = "", 0, -1
        self._done: tuple[int, int] | None = None  # of the transaction underway: its last row event and row number
        self._open, self._begun, self._touched = False, False, set[str]()
        self._start, self._key, self._member, self._number, self._sequence = -1, "", b"", 0, b""
        if underway is not None:
            self._open, self._begun, self._touched = True, underway.begun, underway.touched
            _, gtid, self._committed_us, self._committed_at = underway.transaction
            self._start = underway.transaction.start
            before, separator, number = gtid.rpartition(":" if ":" in gtid else "-")
            self._key, self._number = before + separator, int(number or 0)
            self._sequence = sequence_head(gtid, self._prefix)

    def read(self, dump: Dump, place: Place, underway: Underway | None, *, may_begin: bool = True) -> Found | None:
        """Everything ordinary at the front of what `dump` has received, where the log has been read up to `place`, in
        the midst of `underway`. `may_begin`: transactions may begin here. None: there was nothing."""
        buffer, used, checksum = dump.ahead()
        have, position = len(buffer), dump.position
        if have - used < 24 or checksum is None:
            return None
        began, trailer = used, 4 if checksum else 0
        self._prefix = self._writer.prefix(dump.file, 0)[:-17]
        self._no_gtid = sequence_head("", self._prefix)
        self._file_text = orjson.dumps(dump.file)
        self._begin_pass(dump.file, underway)
        self._may_begin = may_begin
        self._tail = b',"ts_ms":%d}' % (time.time_ns() // 1_000_000)
        count, unpack, handler_of = 0, _PACKET.unpack_from, self._handlers.get
        while have - used >= 24:
            head, status, timestamp, kind, server_id, size, log_pos, _ = unpack(buffer, used)
            behind, end = used + size + 5, position + size
            if behind > have or (log_pos != end & 0xFFFFFFFF and log_pos) or head & 0xFFFFFF != size + 1 or status:
                break
            handler = handler_of(kind)
            if handler is None or (checksum and crc32(buffer[used + 5 : behind]) != CRC_RESIDUE):
                break
            if not handler(buffer, used + 5, behind - trailer, position, timestamp, server_id):
                break
            used, position = behind, end
            count += 1
        if used == began:
            return None
        dump.skip(used, position)
        return self._end_pass(place, position, underway, count)

    def _end_pass(self, place: Place, position: int, underway: Underway | None, count: int) -> Found:
        for seen in self._seen.values():
            if seen.lines:
                self._made.append(self._singles(seen))
            if seen.inserted:
                seen.plan.counters["c"].inc(seen.inserted)
        if self._run_high >= 0:
            self._runs.append(Run(self._run_key, self._run_low, self._run_high))
        still: Underway | None = None
        if not self._open:
            place = Place(self._file, position)
        else:
            if self._done is not None:
                place = Place(self._file, self._start, *self._done)
            elif underway is None or self._start != underway.transaction.start:
                place = Place(self._file, self._start)
            gtid = f"{self._key}{self._number}" if self._key else ""
            transaction = Transaction(self._start, gtid, self._committed_us, self._committed_at)
            still = Underway(transaction, self._begun, self._touched)
        schemas = {table.layout.name: seen.plan.schema for table, seen in self._seen.items()}
        counted = sum(len(changes.lines) for changes in self._made)
        return Found(self._made, place, still, count, counted, self._committed_us, self._runs, schemas)

    def _mariadb_gtid(
        self, buffer: bytes, start: int, stop: int, position: int, timestamp: int, server_id: int
    ) -> bool:
        number, domain, flags = _MARIADB_GTID.unpack_from(buffer, start + 19)
        if flags & _NOT_ORDINARY or not self._may_begin or self._open or stop < start + 19 + 13:
            return False
        key = self._keys.get((domain, server_id))
        self._key, self._member = key or self._new_key((domain, server_id), f"{domain}-{server_id}-")
        self._begin(position, number, timestamp * 1_000_000)
        self._begun = True
        return True

    def _mysql_gtid(self, buffer: bytes, start: int, stop: int, position: int, timestamp: int, server_id: int) -> bool:
        if not self._may_begin or self._open or stop < start + 19 + 53:
            return False
        raw, number, clock, committed = _MYSQL_GTID.unpack_from(buffer, start + 20)
        if clock != 2 or committed >> 55 in _UNUSUAL:
            return False
        if not 0 < number < _NUMBERS and buffer[start + 4] != events.ANONYMOUS_GTID:
            return False
        self._begin(position, number, committed & _COMMIT_TIME or timestamp * 1_000_000)
        self._begun = False
        if buffer[start + 4] == events.ANONYMOUS_GTID:
            self._key, self._sequence = "", self._no_gtid
        else:
            self._key, self._member = self._keys.get(raw) or self._new_key(raw, f"{UUID(bytes=raw)}:")
        return True

    def _new_key(self, raw: bytes | tuple[int, int], text: str) -> tuple[str, bytes]:
        if len(self._keys) > 1_000:
            self._keys.clear()
        self._keys[raw] = text, f',"gtid":"{text}'.encode("ascii")
        return self._keys[raw]

    def _begin(self, position: int, number: int, microseconds: int) -> None:
        second, fraction = divmod(microseconds, 1_000_000)
        if second != self._second:
            self._second, self._second_text = second, iso_utc(second * 1_000_000)[:-7]
        self._open, self._start, self._number, self._sequence = True, position, number, b""
        self._committed_us, self._committed_at = microseconds, f"{self._second_text}{fraction:06d}Z"

    def _query(self, buffer: bytes, start: int, stop: int, position: int, timestamp: int, server_id: int) -> bool:
        if not self._open or not is_begin(buffer, start, stop):
            return False
        self._begun = True
        return True

    def _text(self, buffer: bytes, start: int, stop: int, position: int, timestamp: int, server_id: int) -> bool:
        """The text of a statement: harmless (see `events.EVENT_KINDS`)."""
        return self._open

    def _table_map(self, buffer: bytes, start: int, stop: int, position: int, timestamp: int, server_id: int) -> bool:
        body = buffer[start + 25 : stop]
        if not self._open or body not in self._by_bytes:
            return False
        self._by_id[buffer[start + 19 : start + 25]] = self._by_bytes[body]
        return True

    def _rows(self, buffer: bytes, start: int, stop: int, position: int, timestamp: int, server_id: int) -> bool:
        number = buffer[start + 19 : start + 25]
        if number not in self._by_id or not self._open:
            return False
        table = self._by_id[number]
        if table is None:
            return True
        op, width, forms = table.heads[buffer[start + 4]]
        pos = start + 27 + width
        if buffer[start + 27 : pos] not in forms or stop - start > LARGEST_EVENT_BYTES:
            return False
        try:
            images, keys = (table.keyed_images if op == "u" else table.images).rows(buffer, pos, stop)
        except BAD_IMAGE:
            return False
        seen = self._seen.get(table) or self._see(table)
        if self._committed_us != seen.head_us or server_id != seen.head_server:
            seen.head_us, seen.head_server = self._committed_us, server_id
            seen.head = seen.plan.source % (seen.head_us // 1000, seen.head_us, server_id, self._file_text)
        sequence = self._sequence
        if not sequence:
            sequence = self._sequence = b'%b%d"%b' % (self._member, self._number, self._no_gtid)
        row = 0
        if op == "c" and len(images) == 1:
            line = b'%b%b%b%d%b%016X/00000000","row":0}%b' % (
                INSERTED, images[0], seen.head, position, sequence, position, self._tail,
            )  # fmt: skip
            seen.inserted += 1
            seen.lines.append(line)
            seen.positions.append(position)
            seen.committed_at.append(self._committed_at)
        else:
            middle = b"%b%d%b%016X/" % (seen.head, position, sequence, position)
            try:
                lines, numbers = event_lines(op, images, keys, middle, self._tail)
                row = numbers[-1]
            except (ValueError, IndexError):
                return False
            count_rows(seen.plan, op, len(lines), len(images))
            self._several(seen, lines, numbers, position)
        self._touched.add(seen.name)
        self._done = position, row
        return True

    def _several(self, seen: _Seen, lines: list[bytes], numbers: Numbers, position: int) -> None:
        if len(lines) == 1:
            seen.lines.append(lines[0])
            seen.positions.append(position)
            seen.committed_at.append(self._committed_at)
            return
        if seen.lines:
            self._made.append(self._singles(seen))
            seen.clear()
        prefix, at = f"{self._prefix}{position:016X}/", f"{self._file}:{position}"
        self._made.append(Changes(seen.plan.schema, lines, numbers, prefix, self._committed_at, at))

    def _singles(self, seen: _Seen) -> SingleChanges:
        return SingleChanges(seen.plan.schema, seen.lines, seen.positions, seen.committed_at, self._prefix, self._file)

    def _see(self, table: Table) -> _Seen:
        seen = self._seen[table] = _Seen(table, self._writer.plan(table))
        return seen

    def _xid(self, buffer: bytes, start: int, stop: int, position: int, timestamp: int, server_id: int) -> bool:
        if not self._open or stop < start + 19 + 8:
            return False
        self._open, self._begun, self._done = False, False, None
        if self._touched:
            self._touched = set()
        if not self._key:
            return True
        if self._key == self._run_key and self._number == self._run_high + 1:
            self._run_high += 1
            return True
        if self._run_high >= 0:
            self._runs.append(Run(self._run_key, self._run_low, self._run_high))
        self._run_key, self._run_low, self._run_high = self._key, self._number, self._number
        return True
