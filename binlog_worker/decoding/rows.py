"""Row events → row images, through decoders compiled once per distinct TABLE_MAP.

Layout: MySQL source documentation "Rows_event" (versions 1 and 2). Rows are made one at a time: a huge event is never
held twice.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from binlog_worker.decoding.row_code import BAD_IMAGE, RowCode
from binlog_worker.decoding.table_map import TableLayout, parse_table_map, table_id
from binlog_worker.decoding.values import value_decoder, value_skipper
from binlog_worker.log import events
from binlog_worker.log.event_bodies import HEADER_SIZE, read_lenenc
from binlog_worker.log.events import RawEvent
from schemas.errors import CorruptBinlog, LtvError, UndecodableValue, UnsupportedColumn, UnsupportedRowImage

Image = list[Any]
"""Values of the kept columns, in column order."""

Change = tuple[Image | None, Image | None]
"""before, after."""

Choose = Callable[[TableLayout], Collection[int] | None]
"""The column indexes to keep of a table; None: the table is not wanted."""

Refine = Callable[[TableLayout], TableLayout]
"""The layout of a wanted table with the column types that the log does not tell (`true_types`)."""

STATEMENT_END = 0x0001
_DUMMY_TABLE = 0x00FFFFFF
_MAX_TABLES = 16_384
_MAX_NARROWER = 64
OPS = {
    events.WRITE_V1: "c",
    events.UPDATE_V1: "u",
    events.DELETE_V1: "d",
    events.WRITE_V2: "c",
    events.UPDATE_V2: "u",
    events.DELETE_V2: "d",
}


class Table:
    """A layout, which of its columns are kept (ascending), and its code. Raises UnsupportedColumn."""

    __slots__ = ("_narrower", "heads", "images", "keep", "keyed_images", "layout", "values")

    def __init__(self, layout: TableLayout, keep: Collection[int]) -> None:
        self.layout = layout
        self.keep = tuple(sorted(set(keep)))
        self.heads = {kind: _head(kind, len(layout.columns)) for kind in OPS}
        self.values = RowCode(layout, self.keep)
        """Images as lists of values."""
        self.images = self.values.variant(as_json=True)
        """Images as JSON objects."""
        self.keyed_images = self.values.variant(as_json=True, key=layout.primary_key or ())
        """The same, each with the values of the primary key."""
        self._narrower: dict[int, Table] = {}

    def without(self, missing: int) -> Table:
        """The table as row events have it whose images lack the columns of a bitmap, none of which is wanted. Raises
        UnsupportedRowImage."""
        found = self._narrower.get(missing)
        if found is None:
            if len(self._narrower) >= _MAX_NARROWER:
                self._narrower.clear()
            found = self._narrower[missing] = _narrower(self.layout, self.keep, missing)
        return found


def _narrower(layout: TableLayout, keep: Collection[int], missing: int) -> Table:
    columns, key = layout.columns, layout.primary_key or ()
    lacking = [columns[index].name for index in sorted({*keep, *key}) if missing >> index & 1]
    if lacking:
        raise UnsupportedRowImage(
            f"row event without all columns: {', '.join(lacking)}",
            hint="set binlog_row_image=FULL on the server, globally and in the sessions that override it; MariaDB 11"
            " leaves generated columns out even then: exclude them in shop.yaml",
        )
    present = [index for index in range(len(columns)) if not missing >> index & 1]
    place = {index: number for number, index in enumerate(present)}
    narrower = replace(
        layout,
        columns=tuple(columns[index] for index in present),
        primary_key=None if layout.primary_key is None else tuple(place[index] for index in key),
    )
    return Table(narrower, [place[index] for index in keep])


class Tables:
    """Which table a table id means at this place of the log, from the TABLE_MAP events seen.

    `by_bytes` has the table of every TABLE_MAP body met (from its flags on), `by_id` that of a table id as its 6 bytes;
    None: it is not wanted. Both are bounded.
    """

    def __init__(self, choose: Choose, *, mariadb: bool, refine: Refine | None = None) -> None:
        self._choose, self._refine = choose, refine
        self._mariadb = mariadb
        self.by_bytes: dict[bytes, Table | None] = {}
        self.by_id: dict[bytes, Table | None] = {}

    def remember(self, event: RawEvent) -> Table | None:
        """Takes in a TABLE_MAP; None when its table is not wanted. Raises CorruptBinlog, UnsupportedColumn, and what
        `choose` raises."""
        data = event.data
        key = data[HEADER_SIZE + 6 :]
        try:
            table = self.by_bytes[key]
        except KeyError:
            try:
                layout = parse_table_map(data, mariadb=self._mariadb)
                keep = self._choose(layout)
                if keep is not None and self._refine is not None:
                    layout = self._refine(layout)
                table = None if keep is None else Table(layout, keep)
            except UnsupportedColumn as error:
                error.table, error.position = error.table or layout.name, error.position or event.at
                raise
            except LtvError as error:
                error.position = error.position or event.at
                raise
            if len(self.by_bytes) >= _MAX_TABLES:
                del self.by_bytes[next(iter(self.by_bytes))]
            self.by_bytes[key] = table
        self.by_id[data[HEADER_SIZE : HEADER_SIZE + 6]] = table
        if len(self.by_id) > _MAX_TABLES:
            del self.by_id[next(iter(self.by_id))]
        return table

    def forget(self) -> None:
        """Equal bytes may mean other column types from here on (`true_types`)."""
        self.by_bytes.clear()

    def find(self, number: int) -> Table | None:
        """Raises KeyError."""
        return self.by_id[number.to_bytes(6, "little")]


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
            return self.table.keyed_images.rows(data, self.pos, len(data))
        except BAD_IMAGE as error:
            raise _images_error(self.event, self.table, self.pos, error) from error


def decode_rows(event: RawEvent, tables: Tables) -> Rows | None:
    """None when the table is not wanted. The rows themselves are decoded when asked for.

    Raises CorruptBinlog (no TABLE_MAP before it, malformed) and UnsupportedRowImage, with table and position.
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
        statement_end, missing, pos = _body(event.kind, data, layout)
        return Rows(event, table.without(missing) if missing else table, OPS[event.kind], statement_end, pos)
    except LtvError as error:
        error.table = error.table or layout.name
        error.position = error.position or event.at
        raise
    except (IndexError, ValueError) as error:
        raise CorruptBinlog(f"malformed row event: {error}", table=layout.name, position=event.at) from error


def _body(kind: int, data: bytes, layout: TableLayout) -> tuple[bool, int, int]:
    """Statement-end flag, bitmap of the columns that no image has, position of the first row image.

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
    if pos + size > len(data):
        raise CorruptBinlog("row event without room for its columns")
    missing = full ^ int.from_bytes(data[pos : pos + size], "little") & full
    pos += size
    if kind in (events.UPDATE_V1, events.UPDATE_V2):
        if full ^ int.from_bytes(data[pos : pos + size], "little") & full != missing:
            raise UnsupportedRowImage(
                "row event without all columns",
                hint="set binlog_row_image=FULL on the server, globally and in the sessions that override it",
            )
        pos += size
    return bool(data[HEADER_SIZE + 6] & STATEMENT_END), missing, pos


class Head(NamedTuple):
    """What stands between the flags of a row event and its first image, where all columns are present: `width` bytes,
    and the forms that they have (see `_body`; the unused bits of a bitmap are all set, or none is)."""

    op: str
    width: int
    forms: frozenset[bytes]


def _head(kind: int, columns: int) -> Head:
    size, full = (columns + 7) // 8, (1 << columns) - 1
    count = bytes((columns,)) if columns < 251 else b"\xfc" + columns.to_bytes(2, "little")
    extra = b"\2\0" if kind >= events.WRITE_V2 else b""
    images = 2 if OPS[kind] == "u" else 1
    forms = [extra + count + bitmap.to_bytes(size, "little") * images for bitmap in (full, (1 << 8 * size) - 1)]
    return Head(OPS[kind], len(forms[0]), frozenset(forms))


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
    if pos != end:
        raise _images_error(event, table, pos, ValueError("it ends before its first row"))


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
            if value_skipper(column)(data, pos)[1] > len(data):
                break
            _, pos = (value_decoder if index in kept else value_skipper)(column)(data, pos)
        except (ValueError, IndexError, struct.error) as failure:
            if pos < len(data) and not isinstance(failure, struct.error):
                return UndecodableValue(
                    f"column {column.name} ({column.type}): {failure}", table=layout.name, position=event.at
                )
            break
    return CorruptBinlog(f"row cut off: {error}", table=layout.name, position=event.at)
