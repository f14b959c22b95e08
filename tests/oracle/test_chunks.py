"""Chunks of tables with keys of every type, on real servers: each row is in one, and read by ranges of the key."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pymysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.batch.chunks import Chunk, condition, cut
from pipeline.batch.keys import Key, check_key, key_columns, key_expression, read_key
from schemas.catalogue import CatalogueTable, read_tables
from schemas.errors import UnsupportedKey
from schemas.identifiers import quoted, quoted_table
from schemas.source import SourceAddress, connect, rows
from tests.conftest import Server

DAYS = ["'0000-00-00'", "'2022-00-00'", "'1000-01-01'", "'9999-12-31'", "'2024-02-29'", "'2024-03-01'"]
MOMENTS = ["'0000-00-00 00:00:00'", "'1970-01-01 00:00:01'", "'2024-03-31 02:30:00.5'", "'2024-03-31 02:30:00.500001'"]
TEXTS = [
    "''",
    "'a'",
    "'B'",
    "'Ba'",
    "'ä'",
    "'ß'",
    "'ss'",
    "' a'",
    "'a b'",
    "'%'",
    "'\\''",
    "'\\\\'",
    "'z'",
    "'Z9'",
    "'_'",
]
BINARY = ["''", "x'00'", "x'0000'", "x'61'", "x'6100'", "x'ff'", "x'fffe'", "x'27'", "x'5c27'"]

COLUMNS: dict[str, list[str]] = {
    "TINYINT": ["-128", "-1", "0", "1", "127"],
    "INT UNSIGNED ZEROFILL": ["0", "1", "4294967295"],
    "BIGINT": ["-9223372036854775808", "-1", "0", "7", "9007199254740993", "9223372036854775807"],
    "BIGINT UNSIGNED": ["0", "9223372036854775808", "18446744073709551614", "18446744073709551615"],
    "DECIMAL(65,30)": ["-" + "9" * 35 + "." + "9" * 30, "-0.5", "0", "0." + "0" * 29 + "1", "9" * 35 + "." + "9" * 30],
    "DECIMAL(5,0) ZEROFILL": ["0", "7", "99999"],
    "BIT(1)": ["0", "1"],
    "BIT(64)": ["0", "1", "9223372036854775808", "18446744073709551615"],
    "YEAR": ["0", "1901", "2000", "2069", "2070", "2155"],
    "DATE": DAYS,
    "DATETIME(6)": [*MOMENTS, "'2022-00-00 10:00:00'", "'9999-12-31 23:59:59.999999'"],
    "DATETIME": ["'0000-00-00 00:00:00'", "'2024-03-31 02:30:00'", "'2024-03-31 02:30:01'"],
    "TIMESTAMP(6)": MOMENTS,
    "TIME(6)": ["'-838:59:59'", "'-00:00:00.000001'", "'00:00:00'", "'00:00:00.5'", "'100:00:00'", "'838:59:59'"],
    "CHAR(9) COLLATE utf8mb4_bin": TEXTS,
    "VARCHAR(9)": TEXTS,
    "VARCHAR(9) COLLATE utf8mb4_general_ci": [*TEXTS, "'😀'", "'😀a'"],
    "VARCHAR(9) COLLATE utf8mb4_swedish_ci": [*TEXTS, "'y'", "'ü'", "'å'"],
    "VARCHAR(9) CHARACTER SET latin1 COLLATE latin1_german2_ci": [*TEXTS, "_latin1 x'80'", "_latin1 x'e4'", "'ae'"],
    "VARCHAR(9) CHARACTER SET utf16": TEXTS,
    "VARCHAR(9) CHARACTER SET sjis": ["''", "'a'", "_sjis x'835c'", "_sjis x'835c27'", "_sjis x'b1'"],
    "VARCHAR(9) CHARACTER SET ascii": ["''", "'a'", "'B'"],
    "BINARY(3)": BINARY,
    "VARBINARY(9)": BINARY,
    "ENUM('new','paid','it''s','Zoo','a')": ["'new'", "'paid'", "'it''s'", "'Zoo'", "'a'", "''"],
    "ENUM('ä','b','€') CHARACTER SET latin1": ["'ä'", "'b'", "'€'"],
}
MARIADB_COLUMNS = {
    "UUID": [
        "'00000000-0000-0000-0000-000000000000'",
        "'12340000-0000-4000-8000-000000000000'",
        "'00001234-0000-1000-8000-000000000000'",
        "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
    ],
    "INET6": ["'::'", "'::1'", "'::ffff:1.2.3.4'", "'2001:db8::1'", "'ffff::'"],
    "INET4": ["'0.0.0.0'", "'1.2.3.4'", "'255.255.255.255'"],
}
MYSQL_COLUMNS = {
    "VARCHAR(9) COLLATE utf8mb4_0900_ai_ci": [*TEXTS, "'a '"],
    "VARCHAR(9) COLLATE utf8mb4_0900_as_cs": [*TEXTS, "'A'", "'Á'"],
    "CHAR(9) COLLATE utf8mb4_0900_bin": TEXTS,
}


def columns_of(flavor: str) -> dict[str, list[str]]:
    return {**COLUMNS, **(MARIADB_COLUMNS if flavor == "mariadb" else MYSQL_COLUMNS)}


class Scene:
    """Tables in a database, over a connection as a batch has it."""

    def __init__(self, server: Server, database: str) -> None:
        self.connection = connect(SourceAddress.parse(server.dsn), server.password)
        self.database, self.flavor = database, server.flavor
        rows(self.connection, f"USE {database}")
        self.writer = connect(SourceAddress.parse(server.dsn), server.password)
        rows(self.writer, f"USE {database}")
        rows(self.writer, "SET sql_mode = ''")

    def table(self, definition: str, values: Sequence[str] = ()) -> CatalogueTable:
        rows(self.writer, "DROP TABLE IF EXISTS t")
        rows(self.writer, f"CREATE TABLE t ({definition}) ENGINE=InnoDB")
        if values:
            rows(self.writer, f"INSERT IGNORE INTO t VALUES {', '.join(values)}")
        return read_tables(self.connection, [f"{self.database}.t"])[f"{self.database}.t"]

    def keys(self, table: CatalogueTable, where: str = "TRUE", order: bool = True) -> list[Key]:
        expressions = ", ".join(key_expression(column) for column in key_columns(table))
        by = f" ORDER BY {', '.join(table.primary_key)}" if order else ""
        found = rows(
            self.connection,
            f"SELECT {expressions} FROM {quoted_table(table.name)} FORCE INDEX (PRIMARY) WHERE {where}{by}",
        )
        return [read_key(table, row) for row in found]

    def examined(self) -> int:
        """Rows and places in indexes that this session has looked at."""
        return sum(int(value) for _, value in rows(self.connection, "SHOW SESSION STATUS LIKE 'Handler_read_%'"))

    def check(self, table: CatalogueTable, size: int, where: str | None = None) -> None:
        """Every row is in the chunk that it has to be in, and no other row is looked at."""
        check_key(table)
        wanted = self.keys(table, where or "TRUE")
        chunks = list(cut(self.connection, table, size, where=where))
        assert [chunk.upper for chunk in chunks] == [*wanted[size - 1 :: size], None]
        assert [chunk.lower for chunk in chunks] == [None, *wanted[size - 1 :: size]]
        assert [chunk.number for chunk in chunks] == list(range(1, len(chunks) + 1))
        for index, chunk in enumerate(chunks):
            chunk = Chunk(chunk.number, as_stored(chunk.lower), as_stored(chunk.upper))
            before = self.examined()
            found = self.keys(table, condition(table, chunk, where), order=False)
            assert sorted(found, key=repr) == sorted(wanted[index * size : (index + 1) * size], key=repr)
            if where is None:
                ranges = 2 * len(table.primary_key) + 70  # an ENUM has a range for each label
                assert self.examined() - before <= len(found) + ranges, condition(table, chunk)


def as_stored(key: Key | None) -> Key | None:
    return None if key is None else tuple(json.loads(json.dumps(key)))


@pytest.fixture
def scene(server: Server, database: str) -> Any:
    made = Scene(server, database)
    yield made
    made.connection.close()
    made.writer.close()


@pytest.mark.parametrize(
    ("server", "column"),
    [("mariadb", column) for column in columns_of("mariadb")]
    + [pytest.param("mysql", column, marks=pytest.mark.mysql) for column in columns_of("mysql")],
    indirect=["server"],
)
def test_a_key_of_every_type(scene: Scene, column: str) -> None:
    values = columns_of(scene.flavor)[column]
    table = scene.table(f"k {column}, PRIMARY KEY (k)", [f"({value})" for value in values])
    assert len(scene.keys(table)) > 1
    for size in (1, 2, 3):
        scene.check(table, size)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_composite_keys(scene: Scene, data: st.DataObject) -> None:
    """Of any types in any order, sparse and skewed: most rows share the first values."""
    known = columns_of(scene.flavor)
    chosen = data.draw(st.lists(st.sampled_from(sorted(known)), min_size=2, max_size=3))
    names = [f"k{index}" for index in range(len(chosen))]
    row = st.tuples(*(st.sampled_from(known[column][:2] * 4 + known[column]) for column in chosen))
    found = data.draw(st.lists(row, min_size=1, max_size=60))
    definition = ", ".join(f"{name} {column} NOT NULL" for name, column in zip(names, chosen, strict=True))
    table = scene.table(f"{definition}, PRIMARY KEY ({', '.join(names)})", [f"({', '.join(one)})" for one in found])
    scene.check(table, data.draw(st.integers(1, 20)))


def test_parts_that_compare_equal_and_look_different(scene: Scene) -> None:
    texts = ["'abc'", "'ABC'", "'Abc'", "'abd'"]
    values = [f"({text}, {number})" for number in range(40) for text in texts[number % 4 :][:1]]
    table = scene.table("a VARCHAR(9), b INT, PRIMARY KEY (a, b)", values)
    for size in (1, 3, 7, 100):
        scene.check(table, size)


def test_a_descending_key(scene: Scene) -> None:
    table = scene.table("a INT, b INT, PRIMARY KEY (a DESC, b DESC)", [f"({n % 5}, {n})" for n in range(50)])
    scene.check(table, 7)


def test_only_rows_of_the_condition_are_counted(scene: Scene) -> None:
    table = scene.table("id INT PRIMARY KEY, v VARCHAR(9)", [f"({n}, '{'x%' if n % 3 else 'y'}')" for n in range(100)])
    scene.check(table, 7, where="v LIKE 'x%' -- all that begin with x")
    scene.check(table, 7, where="v = 'y' OR id = 1")
    assert len(list(cut(scene.connection, table, 10, where="FALSE"))) == 1


def test_cutting_goes_on_behind_a_key(scene: Scene) -> None:
    table = scene.table("id INT PRIMARY KEY", [f"({n})" for n in range(0, 100, 3)])
    all_chunks = list(cut(scene.connection, table, 4))
    for done in (1, 3, len(all_chunks) - 1):
        after = as_stored(all_chunks[done - 1].upper)
        assert list(cut(scene.connection, table, 4, after=after, first=done + 1)) == all_chunks[done:]


def test_an_empty_table_is_one_chunk(scene: Scene) -> None:
    assert list(cut(scene.connection, scene.table("id INT PRIMARY KEY"), 10)) == [Chunk(1, None, None)]


def test_rows_that_stay_are_in_one_chunk_whatever_others_do(scene: Scene) -> None:
    """While the table is cut, rows below, at and above the boundaries go, and others come."""
    table = scene.table("id INT PRIMARY KEY", [f"({n})" for n in range(0, 1000, 2)])
    chunks, stayed = [], set(range(0, 1000, 2))
    for chunk in cut(scene.connection, table, 37):
        chunks.append(chunk)
        if chunk.upper is not None:
            edge = int(chunk.upper[0])
            gone = {edge, edge - 10, edge + 20}
            rows(scene.writer, f"DELETE FROM t WHERE id IN ({', '.join(map(str, gone))})")
            rows(scene.writer, f"INSERT IGNORE INTO t VALUES ({edge - 1}), ({edge + 1}), ({edge + 51})")
            stayed -= gone
    found = [key[0] for chunk in chunks for key in scene.keys(table, condition(table, chunk))]
    assert len(found) == len(set(found))
    assert stayed <= set(found)
    assert set(found) == {key[0] for key in scene.keys(table)}


REFUSED = {
    "v INT": "no primary key",
    "k VARCHAR(99), PRIMARY KEY (k(5))": "only the start of a column",
    "k TEXT, PRIMARY KEY (k(5))": "only the start of a column",
    "k DOUBLE PRIMARY KEY": "k is double",
    "k FLOAT PRIMARY KEY": "k is float",
    "k SET('a','b') PRIMARY KEY": "k is set",
    "k ENUM('a','') PRIMARY KEY": "labels cannot be told apart",
    "k ENUM('a','b\\\\c') PRIMARY KEY": "labels cannot be told apart",
    "a INT, b INT, PRIMARY KEY (a, b DESC)": "are ascending and some descending",
}


@pytest.mark.parametrize("definition", REFUSED)
def test_keys_that_cannot_be_ranged_are_refused_by_name(scene: Scene, definition: str) -> None:
    table = scene.table(definition)
    with pytest.raises(UnsupportedKey) as caught:
        list(cut(scene.connection, table, 10))
    assert REFUSED[definition] in caught.value.message
    assert caught.value.hint
    assert caught.value.table == table.name


@pytest.mark.parametrize(
    ("definition", "key"),
    [
        ("k INT PRIMARY KEY", ("1 OR 1=1",)),
        ("k INT PRIMARY KEY", (True,)),
        ("k INT PRIMARY KEY", (1, 2)),
        ("k DECIMAL(9,2) PRIMARY KEY", ("1e5",)),
        ("k DECIMAL(9,2) PRIMARY KEY", (150,)),
        ("k DATE PRIMARY KEY", ("2022-01-01' OR '1'='1",)),
        ("k DATETIME PRIMARY KEY", ("2022-01-01 10:00:00\n",)),
        ("k VARCHAR(9) PRIMARY KEY", ("61' OR '1",)),
        ("k VARCHAR(9) PRIMARY KEY", ("6",)),
        ("k VARBINARY(9) PRIMARY KEY", ("zz",)),
        ("k ENUM('a','b') PRIMARY KEY", (3,)),
        ("k ENUM('a','b') PRIMARY KEY", ("a",)),
    ],
)
def test_a_stored_key_that_does_not_fit_is_refused(scene: Scene, definition: str, key: Any) -> None:
    table = scene.table(definition)
    with pytest.raises(UnsupportedKey):
        condition(table, Chunk(1, key, None))


def test_any_text_is_only_a_value(scene: Scene) -> None:
    """Names and values with every character that means something in SQL."""
    name = "a`b' \\\"c%d"
    column = quoted(name)
    values = [pymysql.converters.escape_string(chr(code)) for code in range(1, 256)]
    table = scene.table(f"{column} VARCHAR(9) COLLATE utf8mb4_bin PRIMARY KEY", [f"('x{value}')" for value in values])
    found = []
    for chunk in cut(scene.connection, table, 10):
        sql = f"SELECT {column} FROM {quoted_table(table.name)} WHERE {condition(table, chunk)}"
        found += [row[0] for row in rows(scene.connection, sql)]
    assert sorted(found) == sorted(f"x{chr(code)}" for code in range(1, 256))
