"""Row events, their tables and their values with wrong bytes in them: an error of our tree, or a right row."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import pytest

from binlog_worker.changes import published_columns
from binlog_worker.decoding import charsets
from binlog_worker.decoding import table_map as t
from binlog_worker.decoding.rows import Rows, Table, decode_rows
from binlog_worker.decoding.table_map import Column, TableLayout
from binlog_worker.decoding.texts import length_size
from binlog_worker.log import events
from tests.corrupt import life
from tests.corrupt.checked_rows import all_tables, check_rows, raw_values, tables_of
from tests.corrupt.damage import body_of
from tests.corrupt.fuzzing import Attempt, bodies, fuzz
from tests.corrupt.mutation import Mutator, Source, recordings, sources
from tests.corrupt.recordings import shop

pytestmark = pytest.mark.usefixtures("bounded")


def test_rows() -> None:
    kinds = sorted(events.ROWS & sources().keys())
    chosen = [source for kind in kinds for source in sources()[kind]]
    chosen += 3 * [source for source in chosen if source.recording in recordings()[-2:]]

    def attempt(chance: Mutator) -> Attempt:
        source = chance.choice(chosen)
        body = chance.mutated(source.body, bodies(source.kind))
        return source, body, lambda: check_rows(decode_rows(source.event(body), tables_of(source.recording)))

    fuzz(0.42, "rows", attempt)


def test_table_maps() -> None:
    """And the rows that follow, read as these tables."""

    def attempt(chance: Mutator) -> Attempt:
        source = chance.choice(sources()[events.TABLE_MAP])
        body = chance.mutated(source.body, bodies(source.kind))

        def look() -> None:
            tables = all_tables(source.recording.flavor)
            table = tables.remember(source.event(body))
            assert table is not None
            published_columns(shop(), table.layout)
            following = source.recording.events[source.place + 1]
            if following.kind in events.ROWS:
                rows = source._replace(place=source.place + 1, kind=following.kind)
                images = body_of(source.recording, following)
                check_rows(decode_rows(rows.event(body[:6] + images[6:]), tables))

        return source, body, look

    fuzz(0.1, "table maps", attempt)


class Value(NamedTuple):
    """Of one column, without the length in front of it."""

    source: Source
    table: Table
    raw: bytes


def table_of(column: Column) -> Table:
    return Table(TableLayout(life.DATABASE, "one", (column,), (0,), False, True), [0])


@cache
def values() -> list[Value]:
    """All that are recorded, and some bytes in every character set."""
    found: list[Value] = []
    sources_of_rows = [source for kind in sorted(events.ROWS & sources().keys()) for source in sources()[kind]]
    tables: dict[Column, Table] = {}
    for source in sources_of_rows:
        rows = decode_rows(source.event(source.body), tables_of(source.recording))
        assert rows is not None
        for column, raw in raw_values(rows):
            table = tables.setdefault(column, table_of(column))
            found.append(Value(source, table, raw))
    for charset in sorted(charsets._COLLATIONS):
        collation = int(charsets._COLLATIONS[charset].split()[0].split("-")[0])
        table = table_of(Column(charset, t.VARCHAR, 400, collation=collation))
        found += [Value(sources_of_rows[0], table, bytes(range(at, at + 64))) for at in range(0, 256, 64)]
    return found


def test_values() -> None:
    """One by one, behind a length that is right; those of fixed size keep it."""
    of_kind: dict[int, list[Value]] = {}
    for value in values():
        of_kind.setdefault(value.table.layout.columns[0].kind, []).append(value)
    kinds = [*of_kind, *4 * [t.JSON, t.DECIMAL, t.VARCHAR], *2 * [t.COMPRESSED_BLOB, t.COMPRESSED_VARCHAR, t.GEOMETRY]]

    def attempt(chance: Mutator) -> Attempt:
        same_kind = of_kind[chance.choice(kinds)]
        source, table, raw = chance.choice(same_kind)
        prefix = length_size(table.layout.columns[0])
        if prefix is None:
            raw = chance.of_same_size(raw)
        else:
            raw = chance.mutated(raw, [other.raw for other in same_kind])[: (1 << 8 * prefix) - 1]
            raw = len(raw).to_bytes(prefix, "little") + raw
        row = bytes(6) + b"\1\0" + b"\2\0" + b"\1\xff" + b"\xfe" + raw
        source = source._replace(kind=events.WRITE_V2)

        def look() -> None:
            event = source.event(row)
            check_rows(Rows(event, table, "c", True, len(event.data) - len(raw) - 1))

        return source, row, look

    fuzz(0.1, "values", attempt)
