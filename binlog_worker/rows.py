"""Row events → row images, through decoders compiled once per distinct TABLE_MAP.

Layout: MySQL source documentation "Rows_event" (versions 1 and 2). Rows are made one at a time: a huge event is never
held twice.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

from binlog_worker import events
from binlog_worker.event_bodies import HEADER_SIZE, read_lenenc
from binlog_worker.events import RawEvent
from binlog_worker.table_map import TableLayout, parse_table_map, table_id
from binlog_worker.values import Decoder, skip_bytes, value_decoder, value_size, value_skipper
from schemas.errors import CorruptBinlog, LtvError, UndecodableValue, UnsupportedRowImage

Image = list[Any]
"""Values of the kept columns, in column order."""

RowDecoder = Callable[[bytes, int], tuple[Image, int]]
"""(event, position of a row image) → its values, position behind it. That may lie behind the event's end: check it."""

Change = tuple[Image | None, Image | None]
"""before, after."""

Choose = Callable[[TableLayout], Collection[int] | None]
"""The column indexes to keep of a table; None: the table is not wanted."""

STATEMENT_END = 0x0001
_DUMMY_TABLE = 0x00FFFFFF
_MAX_TABLES = 16_384
_OPS = {
    events.WRITE_V1: "c",
    events.UPDATE_V1: "u",
    events.DELETE_V1: "d",
    events.WRITE_V2: "c",
    events.UPDATE_V2: "u",
    events.DELETE_V2: "d",
}


class Table:
    """A layout, which of its columns are kept (ascending), and the decoder, compiled when the first row needs it."""

    __slots__ = ("_decoder", "keep", "layout")

    def __init__(self, layout: TableLayout, keep: Collection[int]) -> None:
        self.layout = layout
        self.keep = tuple(sorted(set(keep)))
        self._decoder: RowDecoder | None = None

    @property
    def decoder(self) -> RowDecoder:
        """Raises UnsupportedColumn."""
        if self._decoder is None:
            self._decoder = compile_row_decoder(self.layout, self.keep)
        return self._decoder


class Tables:
    """Which table a table id means at this place of the log, from the TABLE_MAP events seen. Both tables are
    bounded."""

    def __init__(self, choose: Choose, *, mariadb: bool) -> None:
        self._choose = choose
        self._mariadb = mariadb
        self._by_bytes: OrderedDict[bytes, Table | None] = OrderedDict()
        self._by_id: OrderedDict[int, Table | None] = OrderedDict()

    def remember(self, event: RawEvent) -> Table | None:
        """Takes in a TABLE_MAP; None when its table is not wanted. Raises CorruptBinlog, and what `choose` raises."""
        data = event.data
        key = data[HEADER_SIZE + 6 :]
        try:
            table = self._by_bytes[key]
        except KeyError:
            try:
                layout = parse_table_map(data, mariadb=self._mariadb)
                keep = self._choose(layout)
            except LtvError as error:
                error.position = error.position or event.at
                raise
            table = None if keep is None else Table(layout, keep)
            if len(self._by_bytes) >= _MAX_TABLES:
                self._by_bytes.popitem(last=False)
            self._by_bytes[key] = table
        self._by_id[int.from_bytes(data[HEADER_SIZE : HEADER_SIZE + 6], "little")] = table
        if len(self._by_id) > _MAX_TABLES:
            self._by_id.popitem(last=False)
        return table

    def find(self, number: int) -> Table | None:
        """Raises KeyError."""
        return self._by_id[number]


class Rows(NamedTuple):
    """One row event. `changes` can be iterated once; `statement_end`: the last row event of its statement."""

    table: Table
    op: str
    statement_end: bool
    changes: Iterator[Change]


def decode_rows(event: RawEvent, tables: Tables) -> Rows | None:
    """None when the table is not wanted. Iterating `changes` decodes.

    Raises CorruptBinlog (no TABLE_MAP before it, malformed), UnsupportedRowImage, UnsupportedColumn, and while
    iterating UndecodableValue; all with table and position.
    """
    data = event.data
    number = table_id(data)
    try:
        table = tables.find(number)
    except KeyError:
        if number == _DUMMY_TABLE:
            return None
        raise CorruptBinlog(
            f"row event of table id {number} without a TABLE_MAP",
            position=event.at,
            hint="the dump must start at the beginning of a transaction",
        ) from None
    if table is None:
        return None
    layout = table.layout
    try:
        statement_end, pos = _body(event.kind, data, layout)
        op = _OPS[event.kind]
        return Rows(table, op, statement_end, _changes(event, table, op, table.decoder, pos))
    except LtvError as error:
        error.table = error.table or layout.name
        error.position = error.position or event.at
        raise
    except (IndexError, ValueError) as error:
        raise CorruptBinlog(f"malformed row event: {error}", table=layout.name, position=event.at) from error


def _body(kind: int, data: bytes, layout: TableLayout) -> tuple[bool, int]:
    """Statement-end flag and position of the first row image.

    Table id 6, flags 2, in version 2 the length of extra data (2, itself included) and these, number of columns, then
    for each image of a row a bitmap of the columns present.
    """
    pos = HEADER_SIZE + 8
    if kind >= events.WRITE_V2:
        pos += int.from_bytes(data[pos : pos + 2], "little")
    count, pos = read_lenenc(data, pos)
    if count != len(layout.columns):
        raise CorruptBinlog(f"row event with {count} columns, TABLE_MAP has {len(layout.columns)}")
    size, full = (count + 7) // 8, (1 << count) - 1
    for _ in range(2 if kind in (events.UPDATE_V1, events.UPDATE_V2) else 1):
        if int.from_bytes(data[pos : pos + size], "little") & full != full:
            raise UnsupportedRowImage(
                "row event without all columns",
                hint="set binlog_row_image=FULL on the server, globally and in the sessions that override it",
            )
        pos += size
    return bool(data[HEADER_SIZE + 6] & STATEMENT_END), pos


def _changes(event: RawEvent, table: Table, op: str, decode: RowDecoder, pos: int) -> Iterator[Change]:
    data = event.data
    end = len(data)
    row = pos
    try:
        if op == "c":
            while pos < end:
                row = pos
                image, pos = decode(data, pos)
                if pos > end:
                    raise IndexError("cut off")
                yield None, image
        elif op == "d":
            while pos < end:
                row = pos
                image, pos = decode(data, pos)
                if pos > end:
                    raise IndexError("cut off")
                yield image, None
        else:
            while pos < end:
                row = pos
                before, pos = decode(data, pos)
                row = pos
                after, pos = decode(data, pos)
                if pos > end:
                    raise IndexError("cut off")
                yield before, after
    except (ValueError, IndexError, struct.error) as error:
        raise _row_error(event, table, row, error) from error


def _row_error(event: RawEvent, table: Table, pos: int, error: Exception) -> LtvError:
    """Decodes the row once more, column by column, to name the one that fails."""
    layout, data = table.layout, event.data
    count = len(layout.columns)
    nulls = int.from_bytes(data[pos : pos + (count + 7) // 8], "little")
    pos += (count + 7) // 8
    kept = set(table.keep)
    for index, column in enumerate(layout.columns):
        if nulls >> index & 1:
            continue
        try:
            _, pos = (value_decoder if index in kept else value_skipper)(column)(data, pos)
        except (ValueError, IndexError, struct.error) as failure:
            if pos < len(data) and not isinstance(failure, struct.error):
                return UndecodableValue(
                    f"column {column.name} ({column.type}): {failure}", table=layout.name, position=event.at
                )
            break
    return CorruptBinlog(f"row cut off: {error}", table=layout.name, position=event.at)


def compile_row_decoder(layout: TableLayout, keep: Collection[int] | None = None) -> RowDecoder:
    """The decoder of one table's row images, for the columns `keep` (all by default); the others are passed over
    unread.

    An image is a bitmap of the NULL columns, its unused bits set, then the other values. Raises UnsupportedColumn.
    """
    count = len(layout.columns)
    kept = frozenset(range(count)) if keep is None else frozenset(keep)
    plan = [
        (value_decoder(column), True) if index in kept else (value_skipper(column), False)
        for index, column in enumerate(layout.columns)
    ]
    straight = _without_nulls(layout, kept, plan)
    size, mask, from_bytes = (count + 7) // 8, (1 << count) - 1, int.from_bytes
    everything = [decode for decode, _ in straight] if len(kept) == count else None

    def decode_row(data: bytes, pos: int) -> tuple[Image, int]:
        end = pos + size
        nulls = from_bytes(data[pos:end], "little") & mask
        pos = end
        image: Image = []
        append = image.append
        if nulls:
            for decode, wanted in plan:
                if nulls & 1:
                    if wanted:
                        append(None)
                else:
                    value, pos = decode(data, pos)
                    if wanted:
                        append(value)
                nulls >>= 1
        elif everything is not None:
            for decode in everything:
                value, pos = decode(data, pos)
                append(value)
        else:
            for decode, wanted in straight:
                value, pos = decode(data, pos)
                if wanted:
                    append(value)
        return image, pos

    return decode_row


def _without_nulls(
    layout: TableLayout, kept: Collection[int], plan: list[tuple[Decoder, bool]]
) -> list[tuple[Decoder, bool]]:
    """The plan for rows without NULL: neighbours of fixed length that are passed over become one step."""
    merged: list[tuple[Decoder, bool]] = []
    run = 0
    for index, column in enumerate(layout.columns):
        size = value_size(column)
        if index not in kept and size is not None:
            run += size
            continue
        if run:
            merged.append((skip_bytes(run), False))
            run = 0
        merged.append(plan[index])
    if run:
        merged.append((skip_bytes(run), False))
    return merged
