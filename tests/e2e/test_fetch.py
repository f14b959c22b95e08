"""`fetch` beside PyMySQL's own reading of the same results, on real servers; and what becomes of the connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
from pydantic import SecretStr
from pymysql.constants import CLIENT

from demo.servers import MariaDB
from pipeline.batch.packets import LONGEST
from pipeline.batch.result_set import fetch
from schemas.errors import LtvError, SourceRefused, SourceUnavailable
from schemas.source import SourceAddress, connect, rows
from schemas.tls import Tls
from tests.conftest import Server

COUNT = 30_000
TABLE = "(id INT PRIMARY KEY, t TEXT, n DECIMAL(12,2), b LONGBLOB)"
ROW = "id, IF(id % 7, REPEAT('é', id % 300), NULL), id / 4, IF(id % 3, REPEAT(CHAR(255, 254, id), id % 90), NULL)"
IDS = "WITH RECURSIVE s AS (SELECT 1 AS id UNION ALL SELECT id + 1 FROM s WHERE id < 1000)"


def login(server: Server, mode: str = "preferred") -> Any:
    address = SourceAddress(server.host, server.port, server.user, SecretStr(""))
    return connect(address, server.password, Tls(mode))  # type: ignore[arg-type]


@pytest.fixture
def connection(server: Server) -> Iterator[Any]:
    with login(server) as found:
        yield found


@pytest.fixture
def table(server: Server, database: str) -> str:
    name = f"{database}.t"
    with server.connect(autocommit=True, charset="utf8mb4") as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        cursor.execute(f"CREATE TABLE {name} {TABLE}")
        for first in range(0, COUNT, 1000):
            cursor.execute(f"INSERT INTO {name} {IDS}, n AS (SELECT id + {first} AS id FROM s) SELECT {ROW} FROM n")
    return name


def expected(connection: Any, sql: str) -> list[tuple[bytes | None, ...]]:
    """What PyMySQL reads of the same, as bytes."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return [
            tuple(value if value is None or isinstance(value, bytes) else str(value).encode() for value in row)
            for row in cursor
        ]


def fetched(connection: Any, sql: str, parameters: Any = None, **options: Any) -> list[tuple[bytes | None, ...]]:
    found: list[tuple[bytes | None, ...]] = []
    for piece in fetch(connection, sql, parameters, **options):
        found += zip(*(array.to_pylist() for array in piece), strict=True)
    return found


def test_the_same_as_pymysql(connection: Any, table: str) -> None:
    sql = f"SELECT * FROM {table} ORDER BY id"
    wanted = expected(connection, sql)
    assert len(wanted) == COUNT
    assert fetched(connection, sql) == wanted
    assert fetched(connection, f"SELECT * FROM {table} WHERE id > %s AND t <> %s", (COUNT, "%'")) == []
    assert rows(connection, "SELECT 1") == [(1,)]


def test_pieces_have_at_most_so_many_rows(connection: Any, table: str) -> None:
    pieces = [len(piece[0]) for piece in fetch(connection, f"SELECT id FROM {table}", piece_rows=7_000)]
    assert sum(pieces) == COUNT and max(pieces) == 7_000 and min(pieces) > 0


@pytest.mark.parametrize("mode", ["disabled", "required"])
@pytest.mark.mysql
def test_mysql_with_and_without_tls(mysql: Server, mode: str) -> None:
    """MySQL makes itself a certificate."""
    with login(mysql, mode) as connection:
        ((_, cipher),) = rows(connection, "SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        assert bool(cipher) == (mode == "required")
        sql = f"{IDS} SELECT a.id, REPEAT('x', b.id) FROM s a, s b WHERE a.id <= 100"
        found = fetched(connection, sql)
        assert sum(len(text or b"") for _, text in found) == 100 * 500_500


def test_a_result_that_ends_with_an_ok_packet(server: Server, table: str) -> None:
    """PyMySQL does not ask for it by itself, and cannot read it."""
    with server.connect(client_flag=CLIENT.DEPRECATE_EOF, charset="utf8mb4") as connection:
        found = fetched(connection, f"SELECT id, t FROM {table} ORDER BY id")
        assert [int(key or 0) for key, _ in found] == list(range(1, COUNT + 1))
        assert fetched(connection, "SELECT 1 FROM DUAL WHERE 1 = 0") == []
        assert fetched(connection, "SELECT 5") == [(b"5",)]


@pytest.fixture
def large_packets(server: Server) -> Iterator[None]:
    with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.max_allowed_packet")
        before = cursor.fetchall()[0][0]
        try:
            cursor.execute("SET GLOBAL max_allowed_packet = 67108864")
            yield
        finally:
            cursor.execute("SET GLOBAL max_allowed_packet = %s", (before,))


@pytest.mark.usefixtures("large_packets")
def test_rows_of_16_mb_and_more(server: Server, database: str) -> None:
    sizes = [5, LONGEST - 7, LONGEST - 6, LONGEST - 5, LONGEST + 5, 2 * LONGEST - 11, 9]
    with login(server) as connection:
        rows(connection, f"CREATE TABLE {database}.l (id INT PRIMARY KEY, b LONGBLOB)")
        for number, size in enumerate(sizes):
            rows(connection, f"INSERT INTO {database}.l VALUES ({number}, REPEAT(CHAR(254), {size}))")
        found = fetched(connection, f"SELECT id, b FROM {database}.l ORDER BY id")
        assert [len(value or b"") for _, value in found] == sizes
        assert all(value == b"\xfe" * len(value or b"") for _, value in found)
        assert rows(connection, "SELECT 1") == [(1,)]


def test_an_error_in_the_middle(connection: Any, table: str) -> None:
    sql = f"SELECT id, t, IF(id = 25000, (SELECT 1 UNION SELECT 2), id) FROM {table} ORDER BY id"
    with pytest.raises(SourceRefused, match="more than 1 row"):
        fetched(connection, sql, piece_rows=100)
    assert rows(connection, "SELECT 1") == [(1,)], "the connection is good"


def test_a_query_that_is_refused(connection: Any) -> None:
    for sql, number in (("SELECT 1 FROM nowhere.t", "1049|1146"), ("SELEC", "1064"), ("DO 1", "no result")):
        with pytest.raises(SourceRefused, match=number):
            fetched(connection, sql)
        assert rows(connection, "SELECT 1") == [(1,)]


def test_a_reader_that_stops_early_closes_the_connection(connection: Any, table: str) -> None:
    reading = fetch(connection, f"SELECT * FROM {table}", piece_rows=10)
    next(reading)
    reading.close()
    assert not connection.open
    with pytest.raises(LtvError):
        rows(connection, "SELECT 1")


def test_a_connection_that_is_cut(server: Server, connection: Any, table: str) -> None:
    many = f"SELECT a.*, b.id FROM {table} a, {table} b"
    reading = fetch(connection, many, piece_rows=10)
    next(reading)
    with server.connect() as other, other.cursor() as cursor:
        cursor.execute(f"KILL {connection.thread_id()}")
    with pytest.raises((SourceUnavailable, SourceRefused), match=r"connection|killed|interrupted"):
        for _ in reading:
            pass
    assert not connection.open
    with pytest.raises(SourceUnavailable):
        fetched(connection, "SELECT 1")


def test_a_server_that_shuts_down(tmp_path_factory: pytest.TempPathFactory) -> None:
    with MariaDB(tmp_path_factory.mktemp("mariadb")) as running:
        connection: pymysql.connections.Connection[Any] = running.connect(charset="utf8mb4", read_timeout=30)
        reading = fetch(
            connection, "SELECT REPEAT('x', 1000) FROM mysql.help_topic a, mysql.help_topic b, mysql.help_topic c"
        )
        next(reading)
        running.kill()
        with pytest.raises(SourceUnavailable):
            for _ in reading:
                pass
