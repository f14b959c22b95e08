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
from binlog_worker.row_code import BAD_IMAGE, RowCode
from binlog_worker.table_map import TableLayout, parse_table_map, table_id
from binlog_worker.values import value_decoder, value_skipper
from schemas.errors import CorruptBinlog, LtvError, UndecodableValue, UnsupportedRowImage

Image = list[Any]
"""Values of the kept columns, in column order."""

Change = tuple[Image | None, Image | None]
"""before, after."""

Choose = Callable[[TableLayout], Collection[int] | None]
"""The column indexes to keep of a table; None: the table is not wanted."""

STATEMENT_END = 0x0001
_DUMMY_TABLE = 0x00FFFFFF
_MAX_TABLES = 16_384
OPS = {
    events.WRITE_V1: "c",
    events.UPDATE_V1: "u",
    events.DELETE_V1: "d",
    events.WRITE_V2: "c",
    events.UPDATE_V2: "u",
    events.DELETE_V2: "d",
}


class Table:
    """A layout, which of its columns are kept (ascending), and its code, compiled when the first row needs it."""

    __slots__ = ("_images", "_values", "keep", "layout")

    def __init__(self, layout: TableLayout, keep: Collection[int]) -> None:
        self.layout = layout
        self.keep = tuple(sorted(set(keep)))
        self._images: RowCode | None = None
        self._values: RowCode | None = None

    @property
    def images(self) -> RowCode:
        """Images as JSON objects, each with the values of the primary key. Raises UnsupportedColumn."""
        if self._images is None:
            self._images = RowCode(self.layout, self.keep, as_json=True, key=self.layout.primary_key or ())
        return self._images

    @property
    def values(self) -> RowCode:
        """Images as lists of values. Raises UnsupportedColumn."""
        if self._values is None:
            self._values = RowCode(self.layout, self.keep, as_json=False)
        return self._values


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
    """One row event; its first image stands at `pos`. `statement_end`: the last row event of its statement."""

    event: RawEvent
    table: Table
    op: str
    statement_end: bool
    pos: int

    @property
    def changes(self) -> Iterator[Change]:
        """Iterating decodes, one row at a time. Raises UndecodableValue and CorruptBinlog with table and position."""
        return _changes(self.event, self.table, self.op, self.pos)

    def images(self) -> tuple[list[bytes], list[tuple[Any, ...]]]:
        """All images as JSON objects (of an update before and after in turn), and the key of each. Raises as above."""
        data = self.event.data
        try:
            return self.table.images.rows(data, self.pos, len(data))
        except BAD_IMAGE as error:
            raise _images_error(self.event, self.table, self.pos, error) from error


def decode_rows(event: RawEvent, tables: Tables) -> Rows | None:
    """None when the table is not wanted. The rows themselves are decoded when asked for.

    Raises CorruptBinlog (no TABLE_MAP before it, malformed), UnsupportedRowImage and UnsupportedColumn, all with table
    and position.
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
        table.images  # noqa: B018 - compiled now, so that a column which cannot be decoded is named with its table
        return Rows(event, table, OPS[event.kind], statement_end, pos)
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


def _changes(event: RawEvent, table: Table, op: str, pos: int) -> Iterator[Change]:
    data, values = event.data, table.values
    end, step = len(data), 2 if op == "u" else 1
    while pos < end:
        try:
            images, _, behind = values.read(data, pos, end, step)
        except BAD_IMAGE as error:
            raise _row_error(event, table, pos, error) from error
        pos = behind
        yield (images[0] if op != "c" else None), (images[-1] if op != "d" else None)


def _images_error(event: RawEvent, table: Table, pos: int, error: Exception) -> LtvError:
    """Reads the images once more, one by one, to find the one that fails."""
    data, values = event.data, table.values
    try:
        while pos < len(data):
            _, _, pos = values.read(data, pos, len(data), 1)
    except BAD_IMAGE as failure:
        return _row_error(event, table, pos, failure)
    return CorruptBinlog(f"malformed row event: {error}", table=table.layout.name, position=event.at)


def _row_error(event: RawEvent, table: Table, pos: int, error: Exception) -> LtvError:
    """Decodes one image once more, column by column, to name the one that fails."""
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
