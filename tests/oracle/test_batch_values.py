"""A value that a batch reads and the same value streamed are identical, for every type and every character set."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa
import pytest
from pydantic import SecretStr

from binlog_worker.changes import table_schema
from pipeline.batch.expressions import select_list
from pipeline.batch.result_set import fetch
from pipeline.batch.row_decoder import RowDecoder
from pipeline.batch.text_values import TextColumn, event_value
from pipeline.changes import Changes
from pipeline.decode import Decoder
from pipeline.layout import layouts
from pipeline.stages import together
from schemas.catalogue import read_tables, wire_schema
from schemas.config import ShopConfig
from schemas.errors import UndecodableValue
from schemas.event import Message
from schemas.identifiers import quoted
from schemas.sequence import format_sequence
from schemas.source import SourceAddress, connect
from tests.builders import shop
from tests.oracle.column_types import column_types, old_times
from tests.oracle.source import Source
from tests.oracle.test_charsets import ALPHABETS, charsets, planes
from tests.oracle.test_every_type import Filled, in_any_order, temporal_format_of_before

ROWS = 3_300
SOURCE = {"sequence": format_sequence(1, 1, 4, 0), "ts_ms": 1_657_811_000_000, "ts_us": 1_657_811_000_000_000}


def mirror(source: Source, table: str) -> ShopConfig:
    return shop(mirror=[f"{source.database}.{table}"])


def streamed(source: Source, start: tuple[str, int], table: str) -> Changes:
    """The inserted rows as the worker writes them and the pipeline decodes them."""
    lines: dict[bytes, list[bytes]] = {}
    for rows in source.row_events(start, table=table):
        schema = table_schema(rows.table.layout, range(len(rows.table.layout.columns))).line()
        body = [
            b'{"op":"c","before":null,"after":%b,"source":%b}' % (image, orjson.dumps(SOURCE))
            for image in rows.images()[0]
        ]
        lines.setdefault(schema, []).extend(body)
    messages = [Message(b"\n".join([schema, *events]), {}, "m") for schema, events in lines.items()]
    return Decoder(mirror(source, table)).decode(messages)


@contextlib.contextmanager
def reading(source: Source) -> Iterator[Any]:
    server = source.server
    connection = connect(SourceAddress(server.host, server.port, server.user, SecretStr("")), server.password)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = ''")
        yield connection
    finally:
        connection.close()


class Reading:
    """One table of a source as a batch reads it."""

    def __init__(self, source: Source, table: str) -> None:
        name = f"{source.database}.{table}"
        self.source, self.config = source, mirror(source, table)
        self.catalogue = read_tables(source.connection, [name])[name]
        self.published = self.config.published(name, self.catalogue.column_names)
        self.schema = wire_schema(self.catalogue, self.published)
        expressions = select_list(self.catalogue, self.published, "mariadb" if source.mariadb else "mysql")
        self.sql = f"SELECT {expressions} FROM {quoted(source.database)}.{quoted(table)}"

    def pieces(self, **options: Any) -> list[list[pa.Array]]:
        with reading(self.source) as connection:
            return list(fetch(connection, self.sql, **options))

    def changes(self, **options: Any) -> Changes:
        decoder = RowDecoder(self.catalogue, self.schema, layouts(self.schema, self.config), self.config)
        return together(decoder.decode(piece, SOURCE) for piece in self.pieces(**options))

    def values(self) -> dict[int, list[Any]]:
        """Row by row what an event would hold, by id."""
        known = {column.name: TextColumn.of(column) for column in self.catalogue.columns}
        columns = [known[name] for name in self.schema.names]
        rows = (row for piece in self.pieces() for row in zip(*(array.to_pylist() for array in piece), strict=True))
        found = ([event_value(text, column) for text, column in zip(row, columns, strict=True)] for row in rows)
        return {row[0]: row for row in found}


def read(source: Source, table: str, **options: Any) -> Changes:
    return Reading(source, table).changes(**options)


def table_of(changes: Changes) -> pa.Table:
    whole = pa.concat_tables([batch.rows for batch in changes.batches]).drop_columns(["_op"])
    return whole.sort_by("id").combine_chunks()


def assert_same(read_: Changes, streamed_: Changes) -> pa.Table:
    assert [letter.error for letter in read_.dead + streamed_.dead] == []
    ours, theirs = table_of(read_), table_of(streamed_)
    assert ours.schema == theirs.schema
    assert {batch.layout for batch in read_.batches} == {batch.layout for batch in streamed_.batches}
    for name in ours.column_names:
        pairs = zip(ours["id"].to_pylist(), ours[name].to_pylist(), theirs[name].to_pylist(), strict=True)
        wrong = [pair for pair in pairs if repr(pair[1]) != repr(pair[2])]  # 0.0 and -0.0 are equal to Arrow
        assert not wrong, (name, wrong[:5])
    assert read_.zero_dates == streamed_.zero_dates
    return ours


def test_every_type(source: Source) -> None:
    types = in_any_order(column_types(source.mariadb, source.version))
    filled = Filled(source, types, ROWS)
    found = assert_same(read(source, "t", piece_rows=1_000), streamed(source, filled.start, "t"))
    assert found.num_rows == ROWS
    assert all(0 < found[f"c{index}"].null_count < ROWS for index in range(len(types)))


def test_dead_letters_hold_the_values_of_events(source: Source) -> None:
    types = column_types(source.mariadb, source.version)
    filled = Filled(source, types, 60)
    found = Reading(source, "t").values()
    for row in source.inserted(filled.start, table="t"):
        wrong = [
            pair for pair in zip(types, found[row[0]][2:], row[2:], strict=False) if repr(pair[1]) != repr(pair[2])
        ]
        assert not wrong, wrong[:3]


def test_times_in_the_format_of_before_mysql_56(mariadb_source: Source) -> None:
    with temporal_format_of_before(mariadb_source):
        filled = Filled(mariadb_source, old_times(), 400)
    assert_same(read(mariadb_source, "t"), streamed(mariadb_source, filled.start, "t"))


DECLARED = {
    "f1": ("FLOAT(7,3)", ["1.5", "-1e-300 * 1e-300", "1234.567", "0.001"]),
    "f2": ("FLOAT(24) UNSIGNED", ["1e-44", "2", "16777216", "3.4028234e38"]),
    "f3": ("FLOAT(53)", ["0.1", "1e308", "-1e-300 * 1e-300", "1e-320"]),
    "f4": ("FLOAT", ["-1e-300 * 1e-300", "-1e-45", "2e-38", "1.1754942e-38"]),
    "d1": ("DOUBLE(20,10)", ["-1e-300 * 1e-300", "1234567890.0123456789", "0.1", "9999999999"]),
    "d2": ("DOUBLE(30,2) ZEROFILL", ["0", "12345678901234567890123.45", "1.25", "0.01"]),
    "d3": ("DOUBLE", ["-1e-300 * 1e-300", "1e22", "123456789012345678", "0.3"]),
    "n1": ("DECIMAL(40,10) UNSIGNED ZEROFILL", ["0", "123456789012345678901234567890.5", "1", "0.0000000001"]),
    "n2": ("DECIMAL(10,2) ZEROFILL", ["0", "12345678.90", "1", "0.01"]),
    "n3": ("DECIMAL(65,30) ZEROFILL", ["0", "9" * 35 + "." + "9" * 30, "1", "0.5"]),
    "i1": ("INT(8) ZEROFILL", ["0", "4294967295", "7", "80"]),
    "i2": ("BIGINT(30) ZEROFILL", ["0", "18446744073709551615", "7", "80"]),
    "i3": ("TINYINT(1)", ["0", "1", "-1", "127"]),
    "i4": ("YEAR(4)", ["0", "1901", "2155", "2000"]),
    "s1": ("SET('','a','b')", ["0", "1", "2", "3"]),
    "s2": ("SET('a b',' x','%','_')", ["''", "2", "15", "8"]),
    "s3": ("SET('é','日') CHARACTER SET utf8mb3", ["''", "1", "2", "3"]),
    "s4": ("SET('a\\\\''b','','é') CHARACTER SET latin1", ["5", "1", "2", "7"]),
    "e1": ("ENUM('','a')", ["0", "1", "2", "'a'"]),
    "e2": ("ENUM('x','é') CHARACTER SET binary", ["0", "1", "2", "'x'"]),
    "c1": ("CHAR(10) CHARACTER SET latin1", ["'a '", "'é'", "''", "'€'"]),
    "c2": ("CHAR(0)", ["''", "''", "NULL", "''"]),
    "c3": ("VARCHAR(10) CHARACTER SET ucs2", ["'a '", "'é日'", "''", "'5'"]),
    "c4": ("TEXT CHARACTER SET utf32", ["'a '", "'é日😀'", "''", "'5'"]),
    "c5": ("VARCHAR(20) CHARACTER SET ascii", ["'a '", "'\\\\\\'\"'", "''", "'5'"]),
    "c6": ("VARCHAR(20) CHARACTER SET swe7", ["'a '", "'ÅÄÖ'", "''", "'5'"]),
    "b1": ("BINARY(0)", ["''", "''", "NULL", "''"]),
    "a `name`, 日本": ("INT", ["1", "2", "3", "4"]),
    "g1": ("VARCHAR(40) AS (CONCAT(c1, '!')) VIRTUAL", []),
    "g2": ("INT AS (id * 2) STORED", []),
    "h1": ("INT INVISIBLE DEFAULT 4", []),
}
"""Columns as they may be declared besides, and a value of each for each row; none for those that make their own."""


def test_whatever_is_declared_of_a_column(source: Source) -> None:
    columns = ", ".join(f"{quoted(name)} {kind}" for name, (kind, _) in DECLARED.items())
    source.run(f"CREATE TABLE d (id INT PRIMARY KEY, {columns})")
    start = source.position()
    given = [name for name, (_, values) in DECLARED.items() if values]
    for row in range(4):
        values = ", ".join(DECLARED[name][1][row] for name in given)
        source.run(f"INSERT INTO d (id, {', '.join(map(quoted, given))}) VALUES ({row}, {values})")
    source.run("INSERT INTO d (id) VALUES (4)")
    found = assert_same(read(source, "d"), streamed(source, start, "d"))
    assert found["s1"].to_pylist() == [[], [""], ["a"], ["", "a"], None]
    assert [str(value) for value in found["f4"].to_pylist()[1:]] == ["-1.4013e-45", "2e-38", "1.1754942e-38", "None"]
    assert found["h1"].to_pylist() == [4] * 5


def test_text_in_every_character_set(source: Source) -> None:
    """The server writes `?` for what a set does not have; what it stored is the same both ways."""
    names = charsets(source)
    columns = ", ".join(f"{charset} TEXT CHARACTER SET {charset}" for charset in names)
    source.run(f"CREATE TABLE s (id INT PRIMARY KEY, {columns})")
    start = source.position()
    texts = [f"_utf8mb4 x'{text.encode().hex()}'" for text in planes(False)]
    source.insert("s", [f"({number}{f',{text}' * len(names)})" for number, text in enumerate([*texts, "''", "NULL"])])
    found = assert_same(read(source, "s", piece_rows=100), streamed(source, start, "s"))
    assert found.num_rows == len(texts) + 2
    assert "é" in "".join(found["latin1"].drop_null().to_pylist())
    assert "日" in "".join(found["sjis"].drop_null().to_pylist())


def test_labels_in_every_character_set(source: Source) -> None:
    names = charsets(source)
    columns = []
    for charset in names:
        ((known,),) = source.run(f"SELECT CONVERT(CONVERT('{ALPHABETS}' USING {charset}) USING utf8mb4)")
        labels = ",".join(f"'x{character}'" for character in known if character != "?") or "'x'"
        columns += [
            f"e_{charset} ENUM({labels}) CHARACTER SET {charset}",
            f"s_{charset} SET({labels}) CHARACTER SET {charset}",
        ]
    source.run(f"CREATE TABLE l (id INT PRIMARY KEY, {', '.join(columns)})")
    start = source.position()
    source.insert("l", [f"({number}{',1' * len(columns)})" for number in range(3)])
    source.run(
        *(
            f"INSERT INTO l (id, {column.split()[0]}) VALUES ({10 + number}, 1 << 0)"
            for number, column in enumerate(columns)
        )
    )
    source.run("INSERT INTO l (id) VALUES (9)")
    assert_same(read(source, "l"), streamed(source, start, "l"))


def test_bytes_that_are_no_text(source: Source) -> None:
    """The stream stops at them; a batch sets the row aside. Neither takes `?` for them."""
    source.run("CREATE TABLE u (id INT PRIMARY KEY, g VARCHAR(9) CHARACTER SET greek, t TEXT CHARACTER SET tis620)")
    start = source.position()
    source.run(
        "INSERT INTO u VALUES (1, 'άλφα', 'ก'), (2, _greek x'41d242', 'a'), (3, 'a', _tis620 x'fd'), (4, '?', '')"
    )
    changes = read(source, "u")
    assert table_of(changes).select(["id", "g", "t"]).to_pylist() == [
        {"id": 1, "g": "άλφα", "t": "ก"},
        {"id": 4, "g": "?", "t": ""},
    ]
    first, second = changes.dead
    assert first.error.startswith("g: b'A\\xd2B' does not fit: 'charmap' codec can't decode byte 0xd2")
    assert second.error.startswith("t: b'\\xfd' does not fit: ")
    with pytest.raises(UndecodableValue, match="column g"):
        streamed(source, start, "u")
