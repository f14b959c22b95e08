"""What stands in a row event on real servers: keys, images, columns that are hidden, generated or left out."""

from __future__ import annotations

import base64

import pytest

from binlog_worker.preflight.table_checks import GENERATED_LEFT_OUT
from schemas.errors import UnsupportedColumn, UnsupportedRowImage
from tests.oracle.source import Source


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
    generated = "v INT AS (id + 1) VIRTUAL, s INT AS (id + 2) STORED, i INT INVISIBLE DEFAULT 4"
    source.run(f"CREATE TABLE w (id INT PRIMARY KEY, {columns}, {generated})")
    start = source.position()
    source.run("INSERT INTO w (id, c0, c299) VALUES (1, 2, 3)")
    ((_, layout, _, after),) = source.changes(start)
    assert [after[0], after[1], after[2], after[300], *after[301:]] == [1, 2, None, 3, 2, 3, 4]
    assert [column.visible for column in layout.columns[-2:]] == [True, source.mariadb], "MariaDB does not log it"


def test_generated_columns_of_changed_rows(source: Source) -> None:
    """MariaDB 11 leaves them out of updates and deletions: then they are refused by name, unless nobody wants them."""
    source.run("CREATE TABLE g (v INT AS (a + 1) VIRTUAL, id INT PRIMARY KEY, a INT, s INT AS (a + 2) STORED, n INT)")
    start = source.position()
    source.run("INSERT INTO g (id, a, n) VALUES (1, 5, NULL)", "UPDATE g SET a = 6, n = 2", "DELETE FROM g")
    wanted = [(None, [1, 5, None]), ([1, 5, None], [1, 6, 2]), ([1, 6, 2], None)]
    assert [(before, after) for _, _, before, after in source.changes(start, keep=[1, 2, 4])] == wanted
    if source.mariadb and source.version >= GENERATED_LEFT_OUT:
        with pytest.raises(UnsupportedRowImage, match=r"v, s .*\.g,"):
            list(source.changes(start))
    else:
        found = [(before, after) for _, _, before, after in source.changes(start)]
        first, second = [6, 1, 5, 7, None], [7, 1, 6, 8, 2]
        assert found == [(None, first), (first, second), (second, None)]


@pytest.mark.mysql
def test_functional_index_of_mysql_hides_no_column(mysql_source: Source) -> None:
    source = mysql_source
    source.run(
        "CREATE TABLE f (id INT PRIMARY KEY, j JSON, KEY x ((id + 1)), KEY y ((CAST(j->'$.a' AS UNSIGNED ARRAY))))"
    )
    start = source.position()
    source.run("""INSERT INTO f VALUES (1, '{"a": [1, 2]}')""")
    assert source.inserted(start) == [[1, '{"a": [1, 2]}']]


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


def test_missing_metadata_is_refused_not_guessed(mariadb_source: Source) -> None:
    source = mariadb_source
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


def test_row_of_forty_megabytes(source: Source) -> None:
    source.run("CREATE TABLE big (id INT PRIMARY KEY, v LONGBLOB)")
    ((allowed,),) = source.run("SELECT @@GLOBAL.max_allowed_packet")
    size = min(40_000_000, allowed - 1000)
    start = source.position()
    source.run(f"INSERT INTO big VALUES (1, REPEAT('x', {size})), (2, 'y')")
    rows = [after for _, _, _, after in source.changes(start)]
    assert [(row[0], len(base64.b64decode(row[1]))) for row in rows] == [(1, size), (2, 1)]
    source.run("DROP TABLE big")
