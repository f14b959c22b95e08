"""Which rows are compared: keys of every kind, deleted rows, floors, roles with a `where`, dead letters, times that the
clock skipped; and what is said of those that differ."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from pipeline.verify.differences import Difference
from pipeline.verify.options import Sample
from schemas.errors import UsageError
from tests.conftest import Server
from tests.verify.followed_shop import FollowedShop, printed

KEYS = {
    "int": ("INT", ["-5", "0", "7", "2147483647"]),
    "bigint unsigned": ("BIGINT UNSIGNED", ["0", "1", "9223372036854775808", "18446744073709551615"]),
    "zerofill": ("INT(6) ZEROFILL", ["0", "7", "123456"]),
    "decimal": ("DECIMAL(30,10)", ["-0.5", "0", "0.0000000001", "12345678901234567890.5"]),
    "date": ("DATE", ["'1999-12-31'", "'2022-01-13'"]),
    "datetime": ("DATETIME(3)", ["'2022-01-13 10:00:00'", "'2022-01-13 10:00:00.001'"]),
    "timestamp": ("TIMESTAMP(6) NOT NULL", ["'2022-01-13 10:00:00'", "'2022-07-13 10:00:00.000001'"]),
    "time": ("TIME(2)", ["'-838:59:59'", "'-00:00:00.5'", "'00:00:00'", "'12:00:00.25'"]),
    "year": ("YEAR", ["0", "1999", "2022"]),
    "bit": ("BIT(64)", ["0", "1", "18446744073709551615"]),
    "text of a general collation": (
        "VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
        ["''", "'B'", "'a'", "'ä2'", "'a,b'", "'1:a'", "'N'", "'''\\\\'", "'a\\0b'", "'日本'", "'😀'"],
    ),
    "text of latin1": ("VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_german2_ci", ["'b'", "'Z'", "'ä'", "'ß'"]),
    "text of one case": ("CHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", ["'a'", "'A'", "'ä'", "'Ä'"]),
    "enum": ("ENUM('z','a','m')", ["'z'", "'a'", "'m'"]),
    "binary": ("BINARY(3)", ["x'00'", "x'000001'", "x'ff'"]),
    "varbinary": ("VARBINARY(20)", ["''", "x'00'", "x'0000'", "x'ff00'"]),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_every_type(server: Server, database: str, server_id: int, tmp_path: Path, kind: str) -> None:
    sql, values = KEYS[kind]
    rows = ", ".join(f"({value}, {number})" for number, value in enumerate(values))
    shop = FollowedShop(
        server, database, tmp_path, server_id, f"CREATE TABLE t (k {sql} PRIMARY KEY, n INT)",
        "SET time_zone = '+00:00'", f"INSERT INTO t VALUES {rows}",
    )  # fmt: skip
    shop.mirror("t")
    with shop.followed():
        result = shop.tables(chunk_rows=2)["t"]
        assert (result.rows, result.equal) == (len(values), True), result
        shop.raw("UPDATE raw.t SET n = 100 WHERE n = 0")
        shop.raw("DELETE FROM raw.t WHERE n = 1")
        found = {difference.kind: difference for difference in shop.differences(chunk_rows=2)}
    assert set(found) == {"differs", "missing"}
    (column,) = found["differs"].columns
    assert (column.name, column.database, column.warehouse) == ("n", "0", "100")


def test_a_key_of_ten_columns(server: Server, database: str, server_id: int, tmp_path: Path) -> None:
    columns = {name: KEYS[name] for name in list(KEYS)[:1] + list(KEYS)[3:12]}
    declared = ", ".join(f"k{place} {sql}" for place, (sql, _) in enumerate(columns.values()))
    keys = ", ".join(f"k{place}" for place in range(len(columns)))
    rows = [
        ", ".join(values[(number // (place + 1)) % len(values)] for place, (_, values) in enumerate(columns.values()))
        for number in range(60)
    ]
    shop = FollowedShop(
        server, database, tmp_path, server_id, f"CREATE TABLE t ({declared}, n INT, PRIMARY KEY ({keys}))",
        "SET time_zone = '+00:00'",
        f"INSERT IGNORE INTO t VALUES {', '.join(f'({row}, {number})' for number, row in enumerate(rows))}",
    )  # fmt: skip
    shop.mirror("t")
    with shop.followed():
        result = shop.tables(chunk_rows=7)["t"]
        assert result.equal and result.rows > 30, result
        shop.raw("UPDATE raw.t SET n = -1 WHERE n = 3")
        (found,) = shop.differences(chunk_rows=7)
    assert len(found.key) == 10
    assert [(column.name, column.database) for column in found.columns] == [("n", "3")]


@pytest.mark.parametrize("kind", ["bigint unsigned", "text of a general collation"])
def test_a_warehouse_that_another_process_holds(
    server: Server, database: str, server_id: int, tmp_path: Path, kind: str
) -> None:
    sql, values = KEYS[kind]
    rows = ", ".join(f"({value}, {number})" for number, value in enumerate(values))
    shop = FollowedShop(
        server, database, tmp_path, server_id, f"CREATE TABLE t (k {sql} PRIMARY KEY, n INT)",
        f"INSERT INTO t VALUES {rows}",
    )  # fmt: skip
    shop.mirror("t")
    with contextlib.ExitStack() as stack:
        shop.serve(stack)
        stack.enter_context(shop.followed())
        assert shop.tables(chunk_rows=1)["t"].equal
        shop.raw("UPDATE raw.t SET n = 100")
        assert len(shop.differences(chunk_rows=1)) == len(values)


@pytest.fixture
def shop(server: Server, database: str, server_id: int, tmp_path: Path) -> FollowedShop:
    """Empty table `t`: a key and two texts."""
    made = FollowedShop(
        server, database, tmp_path, server_id,
        "CREATE TABLE t (id BIGINT PRIMARY KEY, a VARCHAR(40) NULL, b VARCHAR(400) NULL)",
    )  # fmt: skip
    made.mirror("t")
    return made


def kinds(differences: list[Difference]) -> dict[str, str]:
    return {str(next(iter(difference.key.values()))): difference.kind for difference in differences}


def test_an_empty_table(shop: FollowedShop) -> None:
    """The warehouse does not even have it."""
    with shop.followed():
        assert shop.tables()["t"].equal
        shop.sql("INSERT INTO t VALUES (1, 'x', 'y')")
        shop.sql("DELETE FROM t")
        assert shop.tables()["t"].equal


def test_a_table_that_never_reached_the_warehouse(shop: FollowedShop) -> None:
    shop.sql("INSERT INTO t VALUES (1, 'x', 'y'), (2, NULL, '')")
    shop.shop.begin = shop.shop.position()
    with shop.followed():
        shop.sql("CREATE TABLE other (id INT PRIMARY KEY)")  # moves the log
        assert kinds(shop.differences()) == {"1": "missing", "2": "missing"}


def test_separators_and_lengths_are_not_forged(shop: FollowedShop) -> None:
    """Each of these rows is planted with a row whose texts, put together carelessly, would look the same."""
    planted = {
        1: (("a,b", "c"), ("a", "b,c")),
        2: (("", None), (None, "")),
        3: (("N", "x"), (None, "x")),
        4: (("1:a", "b"), ("1", "a,1:b")),
        5: (("a", "b "), ("a", "b")),
        6: (("A", "b"), ("a", "b")),
        7: (("e\u0301", ""), ("\u00e9", "")),
        8: (("'\\", "\x00"), ("'\\", "")),
    }
    for key, (stored, _) in planted.items():
        with shop.shop.connection.cursor() as cursor:
            cursor.execute("INSERT INTO t VALUES (%s, %s, %s)", (key, *stored))
    with shop.followed():
        assert shop.tables()["t"].equal
        for key, (_, (a, b)) in planted.items():
            texts = ("NULL" if text is None else "'" + text.replace("'", "''") + "'" for text in (a, b))
            shop.raw("UPDATE raw.t SET a = {}, b = {} WHERE id = {}".format(*texts, key))
        found = shop.differences()
    assert kinds(found) == {str(key): "differs" for key in planted}


def test_deleted_rows_and_floors(shop: FollowedShop) -> None:
    shop.sql("INSERT INTO t VALUES (1, 'x', 'y'), (2, 'x', 'y'), (3, 'x', 'y')")
    with shop.followed():
        shop.sql("DELETE FROM t WHERE id = 1")
        assert shop.tables()["t"].equal
        shop.raw("UPDATE raw.t SET _deleted = NOT _deleted WHERE id IN (1, 2)")
        assert kinds(shop.differences()) == {"1": "surplus", "2": "missing"}
        shop.sql("TRUNCATE t", "INSERT INTO t VALUES (2, 'new', NULL)")
        assert shop.tables()["t"].equal
        shop.raw("DELETE FROM raw.floors")
        assert kinds(shop.differences()) == {"1": "surplus", "3": "surplus"}


def test_what_is_printed_of_a_difference(shop: FollowedShop) -> None:
    shop.sql("INSERT INTO t VALUES (1, 'it''s', REPEAT('x', 300)), (2, NULL, NULL)")
    with shop.followed():
        shop.raw("UPDATE raw.t SET a = 'its', b = repeat('x', 299) || 'y' WHERE id = 1")
        shop.raw(
            "INSERT INTO raw.t SELECT 3, 'three', NULL, _sequence, false, _committed_at, _written_at FROM raw.t LIMIT 1"
        )
        results = shop.verify()
        limited = shop.tables(limit=1)["t"]
    text = printed(results)
    assert "t                                       2 rows  DIFFERENT: 2 rows differ" in text
    assert "    a: database 'it\\'s', warehouse 'its'\n" in text
    assert "    b: database '300, " in text and f": {'x' * 60}', warehouse '300, " in text
    assert "  t id='3': surplus in the warehouse\n" in text
    assert (len(limited.differences), limited.more) == (1, 1)
    lines = [json.loads(line) for line in printed(results, "json").splitlines()]
    assert [line.get("difference") for line in lines] == ["differs", "surplus", None]
    assert lines[0]["columns"]["a"] == {"database": "it's", "warehouse": "its"}
    assert (lines[2]["equal"], lines[2]["differing"]) == (False, 2)


ORDERS = """CREATE TABLE documents (id BIGINT PRIMARY KEY, kind VARCHAR(20), customer_id BIGINT, at DATETIME(3) NULL,
 paid TIMESTAMP NULL, amount DECIMAL(12,2), order_id BIGINT)"""


@pytest.fixture
def documents(server: Server, database: str, server_id: int, tmp_path: Path) -> FollowedShop:
    """One table that plays two roles."""
    made = FollowedShop(server, database, tmp_path, server_id, ORDERS)
    name = f"{database}.documents"
    orders = {"id": "id", "customer_id": "customer_id", "ordered_at": "at", "amount": "amount"}
    refunds = {"id": "id", "order_id": "order_id", "amount": "amount", "charged_at": "paid"}
    made.configure(
        tables={
            "orders": {"name": name, "columns": orders, "where": {"column": "kind", "in": ["order"]}},
            "refunds": {
                "name": name, "columns": refunds, "sign": -1, "where": {"column": "kind", "not_in": ["order", "draft"]},
            },
        },
    )  # fmt: skip
    made.sql("SET time_zone = '+00:00'")
    return made


def test_rows_inside_and_outside_of_where(documents: FollowedShop) -> None:
    """White space around a value does not count, whichever it is."""
    documents.sql(
        "INSERT INTO documents VALUES (1, 'order', 5, '2022-01-13 10:00:00', NULL, 10, NULL),"
        " (2, ' order\\t', 5, '2022-07-13 00:30:00.125', NULL, 20, NULL), (3, 'draft', 5, NULL, NULL, NULL, NULL),"
        " (4, 'refund', NULL, NULL, '2022-07-13 23:30:00', 3, 1), (5, NULL, 5, '2022-01-13', NULL, 10, NULL),"
        " (6, 'ORDER', NULL, NULL, '2022-01-01', 1, 1)"
    )
    with documents.followed():
        found = documents.tables()
        assert {name: (result.equal, result.in_flight) for name, result in found.items()} == {
            "orders": (True, 0),
            "refunds": (True, 0),
        }
        documents.raw("UPDATE raw.orders SET _deleted = false WHERE id = 3")
        documents.raw("UPDATE raw.refunds SET _deleted = true WHERE id = 4")
        assert kinds(documents.differences()) == {"3": "surplus", "4": "missing"}


def test_dates_of_a_role(documents: FollowedShop) -> None:
    """Instant and local date are both held against the wall-clock time. 2022-03-27 02:30 was skipped in Paris."""
    documents.sql(
        "INSERT INTO documents VALUES (1, 'order', 5, '2022-01-13 00:10:00', NULL, 10, NULL),"
        " (2, 'order', 5, '2022-03-27 02:30:00', NULL, 20, NULL),"
        " (3, 'order', 5, '2022-10-30 02:30:00', NULL, 1, NULL),"
        " (4, 'refund', NULL, NULL, '2022-07-13 23:30:00', 3, 1), (7, 'order', 5, '1890-05-01', NULL, 1, NULL)"
    )
    with documents.followed():
        assert all(result.equal for result in documents.tables().values())
        documents.raw("UPDATE raw.orders SET ordered_at = ordered_at + INTERVAL 1 SECOND WHERE id = 1")
        documents.raw("UPDATE raw.orders SET ordered_at = ordered_at + INTERVAL 30 MINUTE WHERE id = 2")
        documents.raw("UPDATE raw.orders SET ordered_on = ordered_on + 1 WHERE id = 3")
        documents.raw("UPDATE raw.refunds SET charged_on = charged_on - 1 WHERE id = 4")
        found = documents.differences()
    columns = {difference.key["id"]: difference.columns[0] for difference in found}
    assert {key: column.name for key, column in columns.items()} == {
        "1": "ordered_at",
        "2": "ordered_at",
        "3": "ordered_on",
        "4": "charged_on",
    }
    assert (columns["4"].database, columns["4"].warehouse) == ("2022-07-14", "2022-07-13")
    assert columns["1"].database == "2022-01-12 23:10:00.000000"


def test_dead_letters_are_named(documents: FollowedShop) -> None:
    documents.sql(
        "SET sql_mode = ''",
        "INSERT INTO documents VALUES (1, 'order', 5, '0000-00-00', NULL, 10, NULL),"
        " (2, 'order', 5, '2022-01-13', NULL, 10, NULL)",
        "UPDATE documents SET at = NULL WHERE id = 2",
    )
    with documents.followed():
        found = {difference.key["id"]: difference for difference in documents.differences()}
    assert {key: difference.kind for key, difference in found.items()} == {"1": "missing", "2": "differs"}
    assert found["1"].note.startswith("dead letter: zero_date: at: '0000-00-00T00:00:00.000000' is no date")
    assert found["2"].note.startswith("dead letter: incomplete: ")


def test_tables_are_chosen_by_either_name(documents: FollowedShop) -> None:
    name = f"{documents.shop.database}.documents"
    assert list(documents.tables(tables=(name,))) == ["orders", "refunds"]
    assert list(documents.tables(tables=("refunds",))) == ["refunds"]
    with pytest.raises(UsageError, match=r"shop\.yaml names no table order_items"):
        documents.tables(tables=("order_items",))


def test_a_sample(shop: FollowedShop) -> None:
    rows = ", ".join(f"({number}, 'x', 'y')" for number in range(1_000))
    shop.sql(f"INSERT INTO t VALUES {rows}", "ANALYZE TABLE t")
    with shop.followed():
        result = shop.tables(chunk_rows=10, sample=Sample(fraction=0.2))["t"]
        assert result.equal and not result.whole
        assert 0 < result.rows < 600
        result = shop.tables(chunk_rows=10, sample=Sample(rows=100))["t"]
        assert 0 < result.rows < 500


def test_an_altered_table(shop: FollowedShop) -> None:
    """Columns come, go and change their types; the warehouse's grow with them."""
    shop.sql("ALTER TABLE t ADD COLUMN n INT, ADD COLUMN d DECIMAL(6,2), ADD COLUMN gone INT")
    shop.sql("INSERT INTO t VALUES (1, 'x', 'y', 5, 1.50, 9), (2, '7', NULL, NULL, NULL, NULL)")
    with shop.followed():
        assert shop.tables()["t"].equal
        shop.sql(
            "ALTER TABLE t DROP COLUMN gone, MODIFY n VARCHAR(20), MODIFY d DECIMAL(12,4), ADD COLUMN late DATE",
            "INSERT INTO t VALUES (3, 'x', 'y', 'five', 2.0625, NULL)",
            "UPDATE t SET b = 'again' WHERE id < 3",
        )
        found = shop.tables()["t"]  # with the stored types of before or of after
        assert found.equal, found
        shop.caught_up()
        shop.sql("ALTER TABLE t ADD COLUMN unseen INT, MODIFY d DOUBLE")
        assert shop.tables()["t"].equal
        shop.raw("UPDATE raw.t SET d = d + 0.0001 WHERE id = 1")
        shop.raw("UPDATE raw.t SET n = '5.0' WHERE id = 2")
        assert kinds(shop.differences()) == {"1": "differs", "2": "differs"}
