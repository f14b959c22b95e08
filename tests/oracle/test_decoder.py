"""Our decoder against what the server itself says (SELECT), on MariaDB and MySQL; mysql-replication where it is right."""

# ruff: noqa: E501  one case a line reads better

from __future__ import annotations

import base64
import itertools
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pymysql
import pytest

from binlog_worker import events
from binlog_worker.charsets import _COLLATIONS
from binlog_worker.dump import Dump
from binlog_worker.rows import Tables, decode_rows
from schemas.errors import UnsupportedColumn, UnsupportedEvent, UnsupportedRowImage


class Source:
    """One server, one database, and the changes that the binlog has for what a test writes."""

    def __init__(self, server: Any, database: str, server_id: int) -> None:
        self.server = server
        self.database = database
        self.server_id = server_id
        self.mariadb = server.flavor == "mariadb"
        self.connection = self.connect()
        self.run(f"USE {database}", "SET time_zone='+00:00'", "SET sql_mode=''")

    def connect(self) -> pymysql.connections.Connection[Any]:
        address = {name: getattr(self.server, name) for name in ("host", "port", "user", "password")}
        return pymysql.connect(**address, autocommit=True, charset="utf8mb4")

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def position(self) -> tuple[str, int]:
        file, offset = self.run("SHOW MASTER STATUS" if self.mariadb else "SHOW BINARY LOG STATUS")[0][:2]
        return file, offset

    def events(self, start: tuple[str, int]) -> Iterator[events.RawEvent]:
        """Everything up to the position that is current now."""
        end = self.position()
        dump = Dump(self.connect, self.server_id, *start, heartbeat=0.2, read_timeout=10)
        try:
            for event in dump:
                if event.kind not in (events.HEARTBEAT, events.HEARTBEAT_V2):
                    yield event
                if (event.file, event.end) >= end:
                    return
        finally:
            dump.close()

    def changes(
        self, start: tuple[str, int], keep: list[int] | None = None
    ) -> Iterator[tuple[str, list[Any], Any, Any]]:
        def choose(layout: Any) -> Any:
            if layout.schema != self.database:
                return None
            return range(len(layout.columns)) if keep is None else keep

        tables = Tables(choose, mariadb=self.mariadb)
        for event in self.events(start):
            if event.kind == events.TABLE_MAP:
                tables.remember(event)
            elif event.kind in events.ROWS:
                rows = decode_rows(event, tables)
                if rows is not None:
                    for before, after in rows.changes:
                        yield rows.op, rows.table.layout, before, after
            else:
                events.parse(event)


@pytest.fixture
def source(server: Any, database: str, server_id: int) -> Iterator[Source]:
    found = Source(server, database, server_id)
    yield found
    found.connection.close()


def text_of(expression: str) -> str:
    return f"CONVERT(CAST({expression} AS CHAR) USING utf8mb4)"


def as_is(value: Any) -> Any:
    return value


def from_hex(value: Any) -> Any:
    return None if value is None else base64.b64encode(bytes.fromhex(value)).decode()


def as_set(value: Any) -> Any:
    return None if value is None else [label for label in value.split(",") if label]


DATETIME = "DATE_FORMAT({}, '%Y-%m-%dT%H:%i:%s.%f')"
TIMESTAMP = "DATE_FORMAT({}, '%Y-%m-%dT%H:%i:%s.%fZ')"
TIME = "CAST(CAST({} AS TIME(6)) AS CHAR)"
TEXT = "CONVERT({} USING utf8mb4)"
INTEGERS = {"TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 24, "INT": 32, "BIGINT": 64}
DATETIMES = [
    "'0000-00-00'",
    "'2022-00-10 00:00:00'",
    "'2022-01-13 10:00:00.123456'",
    "'9999-12-31 23:59:59.999999'",
    "'1000-01-01'",
]
TIMESTAMPS = [
    "0",
    "'1970-01-01 00:00:01'",
    "'2022-01-13 10:00:00.5'",
    "'2038-01-19 03:14:07.99'",
    "'2024-02-29 23:59:59.000001'",
]
TIMES = [
    "'-838:59:59'",
    "'838:59:59'",
    "'00:00:00'",
    "'-00:00:00.4'",
    "'-00:00:01.000001'",
    "'-12:34:56.789'",
    "'99:59:59.999999'",
]

Case = tuple[str, list[str], str, Callable[[Any], Any]]
CASES: dict[str, Case] = {
    **{
        f"{name} signed": (name, [str(-(1 << bits - 1)), "-1", "0", "1", str((1 << bits - 1) - 1)], "{}", as_is)
        for name, bits in INTEGERS.items()
    },
    **{
        f"{name} unsigned": (f"{name} UNSIGNED", ["0", "1", str(1 << bits - 1), str((1 << bits) - 1)], "{}", as_is)
        for name, bits in INTEGERS.items()
    },
    **{
        f"decimal {precision},{scale}": (
            f"DECIMAL({precision},{scale})",
            ["0", "1", "-1", "150", "-0.05", "0.05", "'123456789.987654321'", f"-{'9' * 65}", f"{'9' * 65}", "'-0'"],
            text_of("{}"),
            as_is,
        )
        for precision, scale in [(1, 0), (5, 5), (12, 2), (9, 9), (10, 9), (18, 0), (19, 4), (27, 9), (38, 19), (65, 30), (65, 0)]
    },
    **{
        f"datetime {digits}": (f"DATETIME({digits})", DATETIMES, DATETIME, as_is) for digits in range(7)
    },
    **{
        f"timestamp {digits}": (f"TIMESTAMP({digits}) NULL", TIMESTAMPS, TIMESTAMP, as_is) for digits in range(7)
    },
    **{f"time {digits}": (f"TIME({digits})", TIMES, TIME, as_is) for digits in range(7)},
    "date": ("DATE", ["'0000-00-00'", "'2022-00-00'", "'1000-01-01'", "'9999-12-31'", "'2024-02-29'"], text_of("{}"), as_is),
    "year": ("YEAR", ["0", "1901", "2155", "2022"], "{}+0", as_is),
    **{f"bit {size}": (f"BIT({size})", ["0", "1", str((1 << size) - 1), str(1 << size - 1)], "{}+0", as_is) for size in (1, 7, 8, 9, 11, 63, 64)},
    "double": ("DOUBLE", ["0", "-1.5", "1e308", "5e-324", "0.1", "123456789.123456789", "-2.2250738585072014e-308"], "{}", as_is),
    "enum": ("ENUM('new','päid','日本')", ["'new'", "'päid'", "3", "0"], text_of("{}"), as_is),
    "enum latin1": ("ENUM('ä','ö','€') CHARACTER SET latin1", ["'ä'", "'ö'", "'€'"], text_of("{}"), as_is),
    "enum many": (f"ENUM({','.join(f'{n!r}' for n in map(str, range(300)))})", ["'0'", "'299'", "256"], text_of("{}"), as_is),
    "set": ("SET('a','b','é')", ["''", "'a'", "'a,é'", "7"], text_of("{}"), as_set),
    "set of 64": (f"SET({','.join(repr(f'm{n}') for n in range(64))})", ["'m0,m63'", "18446744073709551615"], text_of("{}"), as_set),
    "set of 20": (f"SET({','.join(repr(f'm{n}') for n in range(20))})", ["'m0,m19'", "'m17'"], text_of("{}"), as_set),
    "char": ("CHAR(60)", ["''", "'a  '", "'😀é'", f"'{'x' * 60}'"], TEXT, as_is),
    "char long": ("CHAR(255)", ["''", f"'{'é' * 255}'", f"'{'😀' * 255}'"], TEXT, as_is),
    "varchar": ("VARCHAR(63)", ["''", "'a  '", "'😀é'", f"'{'😀' * 63}'"], TEXT, as_is),
    "varchar long": ("VARCHAR(300)", ["''", "'a  '", f"'{'é' * 300}'"], TEXT, as_is),
    "text": ("TEXT", ["''", "'a\\nb\\0c'", f"'{'é' * 20000}'"], TEXT, as_is),
    "tinytext": ("TINYTEXT", ["''", f"'{'é' * 127}'"], TEXT, as_is),
    "mediumtext": ("MEDIUMTEXT", ["''", "REPEAT('xyz', 100000)"], TEXT, as_is),
    "longtext": ("LONGTEXT", ["'q'"], TEXT, as_is),
    "binary": ("BINARY(5)", ["''", "x'00'", "x'0100'", "x'0102030405'", "x'2020'"], "HEX({})", from_hex),
    "binary long": ("BINARY(255)", ["''", "x'00ff00'", f"x'{'fe' * 255}'"], "HEX({})", from_hex),
    "varbinary": ("VARBINARY(300)", ["''", "x'00'", "x'010000'", f"x'{'ff' * 300}'"], "HEX({})", from_hex),
    "blob": ("BLOB", ["''", "x'00'", f"x'{'00ff' * 1000}'"], "HEX({})", from_hex),
    "geometry": ("GEOMETRY", ["ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('LINESTRING(0 0,1 1.5,-2 3)', 0)"], "HEX(ST_AsBinary({}))", from_hex),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_value_is_what_the_server_selects(source: Source, name: str) -> None:
    type_, values, expression, convert = CASES[name]
    source.run(f"CREATE TABLE v (id INT PRIMARY KEY, before_ TINYINT NOT NULL, v {type_}, after_ TINYINT NOT NULL)")
    start = source.position()
    for number, value in enumerate([*values, "NULL"]):
        source.run(f"INSERT IGNORE INTO v VALUES ({number}, -7, {value}, 9)")
    expected = {number: convert(value) for number, value in source.run(f"SELECT id, {expression.format('v')} FROM v")}
    got = [after for _, _, _, after in source.changes(start)]
    assert {row[0]: row[2] for row in got} == expected
    assert all(type(row[2]) is type(expected[row[0]]) for row in got)
    assert all((row[1], row[3]) == (-7, 9) for row in got), "a neighbour was read at the wrong place"
    assert [row for _, _, _, row in source.changes(start, keep=[3, 0])] == [[number, 9] for number in sorted(expected)]


def test_float_reads_back_as_the_same_four_bytes(source: Source) -> None:
    source.run("CREATE TABLE v (id INT PRIMARY KEY, v FLOAT)")
    start = source.position()
    values = [
        "0",
        "0.1",
        "-1.5",
        "3.4028234e38",
        "1e-45",
        "16777216",
        "16777217",
        "123456.7",
        "1.17549435e-38",
        "150.05",
    ]
    source.run("INSERT INTO v VALUES " + ",".join(f"({number},{value})" for number, value in enumerate(values)))
    exact = dict(source.run("SELECT id, v + 0e0 FROM v"))
    printed = dict(source.run(f"SELECT id, {text_of('v')} FROM v"))
    for _, _, _, (number, value) in source.changes(start):
        assert struct.pack("<f", value) == struct.pack("<f", exact[number])
        if len(repr(value).replace("-", "").replace(".", "").strip("0")) <= 6 and abs(value) >= 1e-4:
            assert float(printed[number]) == value


JSONS = [
    "'null'", "'true'", "'[]'", "'{}'", "'\"\"'", "'0'", "'-1'", "'65535'", "'65536'", "'-32769'", "'4294967296'",
    "'18446744073709551615'", "'-9223372036854775808'", "'1.0'", "'1e15'", "'1e14'", "'123456789012345.6'", "'1e-15'", "'1e-14'",
    "'1.5e-16'", "'1e100'", "'-0.0'", "'0.1'", "'1.7976931348623157e308'", "'5e-324'", "'123456789012345680000'", "'9007199254740993.0'",
    "'{\"b\": 1, \"aa\": [1, {\"x\": null}], \"a\": \"é😀\"}'", "'{\"bb\": 1, \"a\": 2, \"\": 3}'",
    "JSON_QUOTE('a\"b\\\\c/\\b\\f\\n\\r\\t')", "JSON_OBJECT('k', CONCAT('x', CHAR(1), CHAR(31), CHAR(127)))",
    "JSON_ARRAY(CAST('2015-01-15 23:24:25.12' AS DATETIME(3)), CAST('2015-01-15' AS DATE), CAST('-23:24:25' AS TIME), TIMESTAMP'2015-01-15 23:24:25')",
    "JSON_ARRAY(CAST('-838:59:59' AS TIME(6)), CAST('0001-01-01' AS DATE))",
    "JSON_ARRAY(CAST('-12.340' AS DECIMAL(10,3)), CAST('0' AS DECIMAL(65,30)), CAST(99999999999999999999 AS DECIMAL(20,0)))",
    "JSON_ARRAY(CAST('' AS BINARY), x'00ff', CAST(REPEAT('a', 57) AS BINARY), CAST(REPEAT('a', 58) AS BINARY), CAST(REPEAT('b', 300) AS BINARY))",
    "JSON_ARRAY(CAST(5 AS YEAR), b'101', 1 = 1, CAST(1 AS UNSIGNED))",
    "JSON_OBJECT('big', REPEAT('x', 70000), 'z', 1, 'n', 100000)", "JSON_ARRAY(REPEAT('x', 70000), 1, -100000, 4000000000, true)",
    "CAST(ST_GeomFromText('POINT(1 2)') AS JSON)",
]  # fmt: skip


def test_json_is_the_text_the_server_prints(source: Source) -> None:
    if source.mariadb:
        pytest.skip("JSON is LONGTEXT on MariaDB")
    source.run("CREATE TABLE v (id INT PRIMARY KEY, v JSON)")
    start = source.position()
    for number, value in enumerate(JSONS):
        source.run(f"INSERT INTO v VALUES ({number}, {value})")
    deep = "[" * 99 + "]" * 99
    source.run(f"INSERT INTO v VALUES (900, '{deep}')")
    expected = dict(source.run("SELECT id, CAST(v AS CHAR CHARACTER SET utf8mb4) FROM v"))
    got = {row[0]: row[1] for _, _, _, row in source.changes(start)}
    for number in expected:
        assert got[number] == expected[number], JSONS[number] if number < 900 else "nested"


UNREADABLE_BACK = "\ufffd"
"""What the servers give for six characters of big5 that they do write; we give the character."""

REFUSED_CHARSETS = {"armscii8", "eucjpms", "geostd8", "keybcs2"}


def test_every_character_set(source: Source) -> None:
    """All of the Basic Multilingual Plane, as far as a set has it, and every single byte of the eight-bit sets."""
    known = dict(source.run("SELECT character_set_name, maxlen FROM information_schema.character_sets"))
    texts = [
        "".join(map(chr, range(first, first + 256))).replace(UNREADABLE_BACK, "")
        for first in range(0, 0x10000, 256)
        if not 0xD7 < first >> 8 < 0xE0
    ]
    for charset in sorted(known.keys() - {"binary"}):
        assert charset in _COLLATIONS
        source.run(
            "DROP TABLE IF EXISTS c",
            f"CREATE TABLE c (id INT PRIMARY KEY AUTO_INCREMENT, v TEXT CHARACTER SET {charset})",
        )
        start = source.position()
        with source.connection.cursor() as cursor:
            cursor.executemany("INSERT INTO c (v) VALUES (%s)", [(text,) for text in texts])
        if known[charset] == 1:
            source.run(
                "INSERT INTO c (v) VALUES "
                + ",".join(f"(_{charset} x'{byte:02x}')" for byte in range(0x80) if byte != 0x7F or charset != "swe7")
            )
        expected = dict(source.run("SELECT id, CONVERT(v USING utf8mb4) FROM c"))
        if charset in REFUSED_CHARSETS:
            with pytest.raises(UnsupportedColumn, match=charset):
                list(source.changes(start))
            continue
        got = {row[0]: row[1] for _, _, _, row in source.changes(start)}
        for number, text in expected.items():
            pairs = zip(got[number], text, strict=True)
            wrong = [(ours, theirs) for ours, theirs in pairs if ours != theirs and theirs != UNREADABLE_BACK]
            assert not wrong, (charset, wrong[:5])


def test_latin1_has_all_256_bytes(source: Source) -> None:
    source.run("CREATE TABLE c (id INT PRIMARY KEY, v VARCHAR(1) CHARACTER SET latin1 COLLATE latin1_bin)")
    start = source.position()
    source.run("INSERT INTO c VALUES " + ",".join(f"({byte}, _latin1 x'{byte:02x}')" for byte in range(256)))
    expected = dict(source.run("SELECT id, CONVERT(v USING utf8mb4) FROM c"))
    assert {row[0]: row[1] for _, _, _, row in source.changes(start)} == expected


def test_update_delete_and_keys(source: Source) -> None:
    source.run("CREATE TABLE k (b VARCHAR(20), a INT, n INT, PRIMARY KEY (a, b(5)))")
    start = source.position()
    source.run(
        "INSERT INTO k VALUES ('one', 1, NULL), ('two', 2, 5)",
        "UPDATE k SET n = 7, a = a + 10",
        "DELETE FROM k WHERE a = 11",
    )
    changes = list(source.changes(start))
    assert [(op, before, after) for op, _, before, after in changes] == [
        ("c", None, ["one", 1, None]),
        ("c", None, ["two", 2, 5]),
        ("u", ["one", 1, None], ["one", 11, 7]),
        ("u", ["two", 2, 5], ["two", 12, 7]),
        ("d", ["one", 11, 7], None),
    ]
    layout = changes[0][1]
    assert (layout.primary_key, layout.prefix_key, layout.has_names) == ((1, 0), True, True)
    assert [column.name for column in layout.columns] == ["b", "a", "n"]


def test_wide_table_with_generated_and_invisible_columns(source: Source) -> None:
    columns = ", ".join(f"c{number} SMALLINT" for number in range(300))
    source.run(
        f"CREATE TABLE w (id INT PRIMARY KEY, {columns}, v INT AS (id + 1) VIRTUAL, s INT AS (id + 2) STORED, i INT INVISIBLE DEFAULT 4)"
    )
    start = source.position()
    source.run("INSERT INTO w (id, c0, c299) VALUES (1, 2, 3)")
    ((_, layout, _, after),) = source.changes(start)
    assert [after[0], after[1], after[2], after[300], *after[301:]] == [1, 2, None, 3, 2, 3, 4]
    assert [column.visible for column in layout.columns[-2:]] == [True, source.mariadb], "MariaDB does not log it"


def test_functional_index_hides_no_column(source: Source) -> None:
    if source.mariadb:
        pytest.skip("MariaDB has no functional indexes")
    source.run(
        "CREATE TABLE f (id INT PRIMARY KEY, j JSON, KEY x ((id + 1)), KEY y ((CAST(j->'$.a' AS UNSIGNED ARRAY))))"
    )
    start = source.position()
    source.run("""INSERT INTO f VALUES (1, '{"a": [1, 2]}')""")
    ((_, _, _, after),) = source.changes(start)
    assert after == [1, '{"a": [1, 2]}']


def test_minimal_row_image_is_refused(source: Source) -> None:
    source.run("CREATE TABLE m (id INT PRIMARY KEY, a INT, b INT)")
    start = source.position()
    source.run(
        "INSERT INTO m VALUES (1, 2, 3)",
        "SET SESSION binlog_row_image='MINIMAL'",
        "UPDATE m SET a = 9",
        "SET SESSION binlog_row_image='FULL'",
    )
    with pytest.raises(UnsupportedRowImage, match=f"{source.database}.m"):
        list(source.changes(start))


def test_missing_metadata_is_refused_not_guessed(source: Source) -> None:
    if not source.mariadb:
        pytest.skip("would reconfigure a shared server; the TABLE_MAP is the same")
    source.run("CREATE TABLE m (id INT UNSIGNED PRIMARY KEY, e ENUM('a'))")
    start = source.position()
    try:
        source.run("SET GLOBAL binlog_row_metadata='MINIMAL'")
        with source.connect() as fresh, fresh.cursor() as cursor:
            cursor.execute(f"INSERT INTO {source.database}.m VALUES (4000000000, 'a')")
    finally:
        source.run("SET GLOBAL binlog_row_metadata='FULL'")
    with pytest.raises(UnsupportedColumn, match="column @2"):
        list(source.changes(start))
    assert [row for _, _, _, row in source.changes(start, keep=[0])] == [[4000000000]]


def test_unsupported_type_in_an_unselected_column_harms_nobody(source: Source) -> None:
    type_, value = (
        ("TEXT COMPRESSED", "REPEAT('x', 500)") if source.mariadb else ("VECTOR(3)", "STRING_TO_VECTOR('[1,2,3]')")
    )
    source.run(f"CREATE TABLE x (id INT PRIMARY KEY, v {type_}, n INT)")
    start = source.position()
    source.run(f"INSERT INTO x VALUES (1, {value}, 5)")
    assert [row for _, _, _, row in source.changes(start, keep=[0, 2])] == [[1, 5]]
    with pytest.raises(UnsupportedColumn, match="column v"):
        list(source.changes(start))


def test_row_of_forty_megabytes(source: Source) -> None:
    source.run("CREATE TABLE big (id INT PRIMARY KEY, v LONGBLOB)")
    with source.connection.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.max_allowed_packet")
        ((allowed,),) = cursor.fetchall()
    size = min(40_000_000, allowed - 1000)
    start = source.position()
    source.run(f"INSERT INTO big VALUES (1, REPEAT('x', {size})), (2, 'y')")
    rows = [after for _, _, _, after in source.changes(start)]
    assert [(row[0], len(base64.b64decode(row[1]))) for row in rows] == [(1, size), (2, 1)]
    source.run("DROP TABLE big")


def test_compressed_transactions_are_refused_by_name(source: Source) -> None:
    source.run("CREATE TABLE z (id INT PRIMARY KEY, v TEXT)")
    start = source.position()
    if source.mariadb:
        source.run("SET GLOBAL log_bin_compress=ON")
    else:
        source.run("SET SESSION binlog_transaction_compression=ON")
    try:
        source.run("INSERT INTO z VALUES (1, REPEAT('x', 5000))")
    finally:
        source.run(
            "SET GLOBAL log_bin_compress=OFF" if source.mariadb else "SET SESSION binlog_transaction_compression=OFF"
        )
    with pytest.raises(UnsupportedEvent, match=r"COMPRESSED|TRANSACTION_PAYLOAD"):
        list(source.changes(start))


def test_xa_is_refused_by_name(source: Source) -> None:
    source.run("CREATE TABLE xa (id INT PRIMARY KEY)")
    start = source.position()
    source.run("XA START 'h1'", "INSERT INTO xa VALUES (1)", "XA END 'h1'", "XA PREPARE 'h1'", "XA ROLLBACK 'h1'")
    with pytest.raises(UnsupportedEvent, match="XA"):
        list(source.changes(start))


def test_against_mysql_replication(source: Source) -> None:
    """Types where facts.md finds the library right, in random rows."""
    from pymysqlreplication import BinLogStreamReader
    from pymysqlreplication.row_event import WriteRowsEvent

    source.run(
        "CREATE TABLE o (id BIGINT UNSIGNED PRIMARY KEY, a INT, b MEDIUMINT UNSIGNED, d DECIMAL(12,2), t VARCHAR(50), x DATETIME(3), y TIME(2), e ENUM('p','q'))",
    )
    start = source.position()
    for number in range(200):
        source.run(
            f"INSERT INTO o SELECT {number * 92233720368547758}, (RAND()-0.5)*4e9, RAND()*16777215, (RAND()-0.5)*1e10, HEX(RAND()),"
            " FROM_UNIXTIME(RAND()*2e9), SEC_TO_TIME((RAND()-0.5)*6e6), 1 + RAND()"
        )
    mine = [after for _, _, _, after in source.changes(start)]
    settings = {name: getattr(source.server, name) for name in ("host", "port", "user")} | {
        "passwd": source.server.password
    }
    stream = BinLogStreamReader(
        settings,
        server_id=source.server_id + 1,
        log_file=start[0],
        log_pos=start[1],
        resume_stream=True,
        only_events=[WriteRowsEvent],
        only_tables=["o"],
    )
    theirs = list(itertools.chain.from_iterable(event.rows for event in stream))
    stream.close()
    assert len(mine) == len(theirs) == 200
    for row, other in zip(mine, theirs, strict=True):
        values = list(other["values"].values())
        assert row[:3] == values[:3]
        assert row[3] == f"{values[3]:.2f}"
        assert row[4] == values[4]
        assert row[5] == values[5].strftime("%Y-%m-%dT%H:%M:%S.%f")
        seconds = values[6].total_seconds()
        hours, minutes = abs(seconds) // 3600, abs(seconds) // 60 % 60
        assert row[6].startswith(f"{'-' if seconds < 0 else ''}{int(hours):02d}:{int(minutes):02d}:")
        assert row[7] == values[7]
