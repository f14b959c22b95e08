"""Types that MariaDB's log does not tell, in tables that were altered since: right, or refused by name."""

from __future__ import annotations

import pytest

from schemas.errors import UnsupportedColumn
from tests.oracle.source import Source

UNIQUE = "12345678-1234-4234-8234-123456789abc"
TABLE = "CREATE TABLE a (id INT PRIMARY KEY, u UUID, i INET4, b BINARY(16), n INT)"
ROW = f"INSERT INTO a VALUES (1, '{UNIQUE}', '10.0.0.1', x'01', 5)"


@pytest.mark.parametrize(
    "alter",
    [
        "ADD COLUMN more INT FIRST",
        "DROP COLUMN n",
        "MODIFY n BIGINT",
        "CHANGE n other VARCHAR(20)",
        "MODIFY b BINARY(16) AFTER id",
        "ADD COLUMN another INET4",
        "ADD COLUMN plain BINARY(15)",
    ],
)
def test_what_leaves_no_doubt(mariadb_source: Source, alter: str) -> None:
    mariadb_source.run(TABLE)
    start = mariadb_source.position()
    mariadb_source.run(ROW, f"ALTER TABLE a {alter}")
    assert mariadb_source.inserted(start) == [[1, UNIQUE, "10.0.0.1", "AQAAAAAAAAAAAAAAAAAAAA==", 5]]


@pytest.mark.parametrize(
    ("alter", "refused"),
    [
        ("DROP COLUMN u", [1, 3]),
        ("CHANGE u v UUID", [1, 3]),
        ("DROP COLUMN b", [1, 3]),
        ("ADD COLUMN plain BINARY(16)", [1, 3]),
        ("ADD COLUMN v UUID", [1, 3]),
        ("MODIFY i INET6", [1, 2, 3]),
        ("MODIFY i BINARY(5)", [2]),
        ("MODIFY b VARBINARY(16)", [1, 3]),
    ],
)
def test_what_is_in_doubt_is_refused_by_name(mariadb_source: Source, alter: str, refused: list[int]) -> None:
    mariadb_source.run(TABLE)
    start = mariadb_source.position()
    mariadb_source.run(ROW, f"ALTER TABLE a {alter}")
    names = ["id", "u", "i", "b", "n"]
    for index in range(5):
        if index in refused:
            with pytest.raises(UnsupportedColumn, match=rf"column {names[index]} .*{mariadb_source.database}\.a"):
                list(mariadb_source.changes(start, keep=[0, index]))
        else:
            assert [after[0] for _, _, _, after in mariadb_source.changes(start, keep=[0, index])] == [1]


def test_the_same_bytes_under_todays_type(mariadb_source: Source) -> None:
    """An ALTER TABLE from UUID to BINARY(16) and back keeps them, so older rows read as the column reads today."""
    mariadb_source.run("CREATE TABLE a (id INT PRIMARY KEY, u UUID, b BINARY(16))")
    start = mariadb_source.position()
    mariadb_source.run(f"INSERT INTO a VALUES (1, '{UNIQUE}', UNHEX(REPLACE('{UNIQUE}', '-', '')))")
    mariadb_source.run("ALTER TABLE a MODIFY u BINARY(16), MODIFY b UUID")
    ((hexadecimal, text),) = mariadb_source.run("SELECT HEX(u), CAST(b AS CHAR) FROM a")
    ((_, before, after),) = mariadb_source.inserted(start)
    assert (before, after) == ("EjRWeBI0QjSCNBI0VniavA==", text)
    assert hexadecimal.lower() == UNIQUE.replace("-", "")


def test_a_table_that_is_gone(mariadb_source: Source) -> None:
    mariadb_source.run(TABLE)
    start = mariadb_source.position()
    mariadb_source.run(ROW, "DROP TABLE a")
    assert [row for _, _, _, row in mariadb_source.changes(start, keep=[0, 4])] == [[1, 5]]
    with pytest.raises(UnsupportedColumn, match="column u "):
        list(mariadb_source.changes(start))
