"""Row events read in every way that there is: all agree, and each value is one that its column may have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

import orjson

from binlog_worker.decoding import table_map as t
from binlog_worker.decoding.row_code import BAD_IMAGE
from binlog_worker.decoding.rows import Rows, Tables
from binlog_worker.decoding.table_map import Column, TableLayout
from binlog_worker.decoding.texts import length_size
from binlog_worker.decoding.values import Decoder, value_decoder
from binlog_worker.log import events
from schemas.errors import LtvError
from tests.corrupt.mutation import sources
from tests.corrupt.recordings import Recording
from tests.corrupt.right_values import is_right


def true_layout(layout: TableLayout) -> TableLayout:
    """With the types that MariaDB's log does not tell, by the names of the columns."""
    columns = []
    for column in layout.columns:
        _, _, digits = column.name.partition(" ")
        if column.name in ADDRESSES and column.kind == t.STRING:
            column = replace(column, kind=ADDRESSES[column.name][0], a=ADDRESSES[column.name][1])
        elif column.kind in OLD_KINDS and digits.isdigit():
            column = replace(column, kind=OLD_KINDS[column.kind], a=int(digits) % 7)
        columns.append(column)
    return replace(layout, columns=tuple(columns))


ADDRESSES = {"uuid": (t.UUID, 16), "inet4": (t.INET4, 4), "inet6": (t.INET6, 16)}
OLD_KINDS = {t.OLD_TIME: t.TIME_53, t.OLD_DATETIME: t.DATETIME_53, t.OLD_TIMESTAMP: t.TIMESTAMP_53}


def all_tables(flavor: str) -> Tables:
    return Tables(lambda layout: range(len(layout.columns)), mariadb=flavor == "mariadb", refine=true_layout)


@cache
def tables_of(recording: Recording) -> Tables:
    """All of a recording: no two have the same number."""
    found = all_tables(recording.flavor)
    for source in sources()[events.TABLE_MAP]:
        if source.recording is recording:
            found.remember(source.event(source.body))
    return found


@lru_cache(maxsize=256)
def decoders_of(layout: TableLayout) -> list[Decoder]:
    return [value_decoder(column) for column in layout.columns]


def one_by_one(rows: Rows) -> list[list[Any]] | None:
    """The images of a row event by the decoders of single values; None where they are none."""
    data, pos, end, images = rows.event.data, rows.pos, len(rows.event.data), []
    decoders = decoders_of(rows.table.layout)
    size = (len(decoders) + 7) // 8
    try:
        while pos < end:
            nulls = int.from_bytes(data[pos : pos + size], "little")
            pos += size
            image: list[Any] = []
            for index, decode in enumerate(decoders):
                value = None
                if not nulls >> index & 1:
                    value, pos = decode(data, pos)
                image.append(value)
            images.append(image)
    except BAD_IMAGE:
        return None
    return images if pos == end else None


def check_rows(rows: Rows | None) -> None:
    """All ways of reading a row event agree; each value is right. Raises the error where it is none."""
    if rows is None:
        return
    layout, expected = rows.table.layout, one_by_one(rows)
    error: LtvError | None = None
    changes: list[Any] = []
    try:
        changes += rows.changes
    except LtvError as found:
        error = found
    try:
        images, keys = rows.images()
    except LtvError:
        assert expected is None
        assert error is not None
        raise
    assert expected is not None
    names = [column.name for column in layout.columns]
    assert [orjson.loads(image) for image in images] == [dict(zip(names, row, strict=True)) for row in expected]
    key = layout.primary_key or ()
    assert keys == [tuple(row[index] for index in key) for row in expected if key]
    if rows.op == "u" and len(expected) % 2:
        assert error is not None
        raise error
    assert error is None
    assert [image for change in changes for image in change if image is not None] == expected
    for row in expected:
        for column, value in zip(layout.columns, row, strict=True):
            assert is_right(column, value), f"{column} = {value!r}"


def raw_values(rows: Rows) -> Iterator[tuple[Column, bytes]]:
    data, pos, columns = rows.event.data, rows.pos, rows.table.layout.columns
    while pos < len(data):
        size = (len(columns) + 7) // 8
        nulls = int.from_bytes(data[pos : pos + size], "little")
        pos += size
        for index, (column, decode) in enumerate(zip(columns, decoders_of(rows.table.layout), strict=True)):
            if not nulls >> index & 1:
                start, pos = pos + (length_size(column) or 0), decode(data, pos)[1]
                yield column, data[start:pos]
