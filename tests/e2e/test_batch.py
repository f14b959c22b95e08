"""`ltv-pipeline batch` on real servers: what it loads is what the database has, and what it cannot load it names."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from batch_shop import BatchShop

from pipeline.batch.command import refuse_dead
from pipeline.dead_letters import retry
from pipeline.process_warehouse import release
from pipeline.warehouse import open_warehouse
from schemas.errors import IncompleteLoad, LtvError, SourceRefused, UnsupportedKey, UnsupportedTable, UsageError
from tests.conftest import Server


@pytest.fixture
def shop(server: Server, database: str, tmp_path: Path, server_id: int) -> BatchShop:
    return BatchShop(server, database, tmp_path, server_id)


def test_an_empty_warehouse_is_loaded(shop: BatchShop) -> None:
    done = shop.batch(chunk_rows=20, rollup=True)
    shop.assert_equal()
    orders = shop.sql("SELECT COUNT(*) FROM orders")[0][0]
    assert done.rows[f"{shop.database}.orders"] == orders > 50
    assert shop.query("SELECT COUNT(*), COUNT(DISTINCT id), MIN(_op), MAX(_op) FROM orders_history") == [
        (orders, orders, "r", "r")
    ]
    counted = shop.sql("SELECT COUNT(*), SUM(amount) FROM orders WHERE status <> 'cancelled'")
    assert shop.query("SELECT COUNT(*), SUM(amount) FROM ltv_entries WHERE kind = 'sale'") == counted
    assert done.rolled_up["order_first_purchase"] == counted[0][0]
    keys = shop.query("SELECT COUNT(*) FROM raw.orders WHERE _deleted OR _sequence IS NULL OR _written_at IS NULL")
    assert keys == [(0,)]


@pytest.mark.parametrize("chunk_rows", [7, 1_000])
def test_loaded_again_after_changes(shop: BatchShop, chunk_rows: int) -> None:
    """Upserted; rows that have vanished are below the floor then."""
    shop.batch()
    shop.sql(
        "UPDATE orders SET amount = amount + 1, status = 'shipped' WHERE id % 3 = 0",
        "DELETE FROM orders WHERE id % 5 = 0",
        "DELETE FROM charges WHERE id % 4 = 0",
        "INSERT INTO customers (country, channel) VALUES ('FR', 'search')",
    )
    shop.batch(chunk_rows=chunk_rows)
    shop.assert_equal()
    counted = shop.sql("SELECT COUNT(*), SUM(amount) FROM orders WHERE status <> 'cancelled'")
    assert shop.query("SELECT COUNT(*), SUM(amount) FROM ltv_entries WHERE kind = 'sale'") == counted
    assert shop.query("SELECT COUNT(*) FROM raw.floors") == [(4,)]


def test_the_same_again_changes_nothing(shop: BatchShop) -> None:
    shop.batch()
    before = shop.query("SELECT COUNT(*) FROM orders_history")
    shop.sql("FLUSH TABLES")  # writes to the log of MariaDB: the second batch is behind the first
    shop.batch()
    shop.assert_equal()
    orders = shop.sql("SELECT COUNT(*) FROM orders")[0][0]
    assert shop.query("SELECT COUNT(*) FROM orders_history")[0][0] in (before[0][0], before[0][0] + orders)
    assert shop.query("SELECT id FROM orders_history GROUP BY id, _sequence HAVING COUNT(*) > 1") == []


def test_a_part_is_loaded(shop: BatchShop) -> None:
    """What --where leaves out is not gone, and a worker is not made to begin behind the other tables."""
    orders = f"{shop.database}.orders"
    done = shop.batch(tables=[orders], where="id <= 10 OR status LIKE '%cancel%'")
    assert list(done.rows) == [orders]
    assert not (shop.folder / "checkpoint.json").exists()
    expected = shop.sql("SELECT id FROM orders WHERE id <= 10 OR status = 'cancelled' ORDER BY id")
    assert shop.query("SELECT id FROM orders ORDER BY id") == expected
    assert shop.query("SELECT COUNT(*) FROM raw.floors") == [(0,)]
    shop.batch(tables=[orders], where="id > 10")
    assert shop.query("SELECT COUNT(*) FROM orders") == shop.sql("SELECT COUNT(*) FROM orders")
    shop.batch()
    shop.assert_equal()


def test_empty_tables(server: Server, database: str, tmp_path: Path, server_id: int) -> None:
    shop = BatchShop(server, database, tmp_path, server_id, customers=0)
    done = shop.batch(rollup=True)
    assert set(done.rows.values()) == {0}
    shop.assert_equal()


def test_other_tables_of_every_key(shop: BatchShop) -> None:
    """Mirrored tables with composite and textual keys, in more than one chunk."""
    shop.sql(
        "CREATE TABLE stock (warehouse VARCHAR(20), product INT, pieces INT, PRIMARY KEY (warehouse, product))",
        "CREATE TABLE words (word VARCHAR(30) CHARACTER SET latin1 COLLATE latin1_german1_ci PRIMARY KEY, n INT)",
        "INSERT INTO stock SELECT ELT(1 + id % 3, 'Köln', 'Łódź', 'naïve''s \\\\'), id, id * 2 FROM orders",
        "INSERT IGNORE INTO words SELECT CONCAT(CHAR(97 + id % 26 USING latin1), 'ä', id), id FROM orders",
    )
    shop.write(mirror=[f"{shop.database}.stock", f"{shop.database}.words"])
    shop.batch(chunk_rows=8)
    for table in ("stock", "words"):
        assert set(shop.query(f"SELECT * EXCEPT (_sequence, _committed_at, _written_at) FROM {table}")) == set(
            shop.sql(f"SELECT * FROM {table}")
        )


def test_rows_that_do_not_fit_are_dead_letters(shop: BatchShop) -> None:
    """The others are loaded; what has vanished stays until the rows are mended, for they would vanish with it."""
    shop.sql("SET sql_mode = ''", "ALTER TABLE orders MODIFY order_date DATETIME NULL")
    shop.batch()
    shop.sql(
        "UPDATE orders SET order_date = NULL, status = 'shipped' WHERE id IN (3, 4)", "DELETE FROM orders WHERE id = 5"
    )
    done = shop.batch(chunk_rows=10)
    assert done.dead[f"{shop.database}.orders"] == 2
    with pytest.raises(IncompleteLoad, match=r"2 of .*orders\)"):
        refuse_dead(done)
    letters = shop.query("SELECT reason, COUNT(*) FROM raw.dead_letters GROUP BY reason")
    assert letters == [("incomplete", 2)]
    assert {row[0] for row in shop.query("SELECT id FROM orders WHERE id < 7")} == {1, 2, 3, 4, 5, 6}
    assert shop.query("SELECT COUNT(*) FROM raw.floors WHERE _sequence > (SELECT MIN(_sequence) FROM raw.floors)")
    shop.batch(chunk_rows=10)
    assert shop.query("SELECT COUNT(*) FROM raw.dead_letters") == [(2,)], "a letter of a row comes once"
    shop.sql("UPDATE orders SET order_date = '2026-01-04 10:00:00' WHERE id = 3")
    shop.batch(tables=[f"{shop.database}.orders"], where="id BETWEEN 1 AND 4")
    with shop.warehouse() as opened:
        letters = [orjson.loads(letter.data)["after"]["id"] for letter in opened.dead_letters()]
    assert letters == [4], "the other one was applied alone"
    shop.sql("UPDATE orders SET order_date = '2026-01-05 10:00:00' WHERE id IN (3, 4)")
    done = shop.batch()
    refuse_dead(done)
    shop.assert_equal()
    assert shop.query("SELECT COUNT(*) FROM raw.dead_letters") == [(0,)]


def test_a_dead_letter_is_put_through_again(shop: BatchShop) -> None:
    shop.sql("ALTER TABLE orders ADD COLUMN currency VARCHAR(9) NULL", "UPDATE orders SET currency = '978'")
    orders = dict(shop.settings["tables"]["orders"])  # type: ignore[index]
    orders["columns"] = {**orders["columns"], "currency": "currency"}
    tables = {"orders": orders}
    shop.write(tables=tables, currencies={"840": "USD"})
    orders_there = shop.sql("SELECT COUNT(*) FROM orders WHERE status <> 'cancelled'")[0][0]
    assert shop.batch().dead[f"{shop.database}.orders"] == orders_there
    shop.write(currencies={"840": "USD", "978": "EUR"}, warehouse="duckdb:ltv.duckdb")
    config = shop.config
    warehouse = open_warehouse(config)
    try:
        assert retry(config, warehouse, warehouse.dead_letters()).applied == orders_there
    finally:
        release(config)
    shop.assert_equal("orders")


REFUSED: dict[str, tuple[type[LtvError], str, list[str], dict[str, Any]]] = {
    "no key": (UnsupportedKey, "no primary key", ["CREATE TABLE odd (id INT)"], {}),
    "prefix": (UnsupportedKey, "key", ["CREATE TABLE odd (id VARCHAR(500), PRIMARY KEY (id(9)))"], {}),
    "not ranged": (UnsupportedKey, "float", ["CREATE TABLE odd (id FLOAT PRIMARY KEY)"], {}),
    "no such table": (SourceRefused, "does not exist", [], {}),
    "a view": (UnsupportedTable, "view", ["CREATE VIEW odd AS SELECT * FROM orders"], {}),
    "an engine": (UnsupportedTable, "MyISAM", ["CREATE TABLE odd (id INT PRIMARY KEY) ENGINE = MyISAM"], {}),
    "not configured": (UsageError, "not in shop.yaml", [], {"tables": ["shop.nothing"]}),
    "--where": (UsageError, "--where", ["CREATE TABLE odd (id INT PRIMARY KEY)"], {"where": "no_column = 1"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_tables_that_cannot_be_loaded(shop: BatchShop, case: str) -> None:
    kind, words, statements, options = REFUSED[case]
    shop.sql(*statements)
    shop.write(mirror=[f"{shop.database}.odd"])
    with pytest.raises(kind, match=words) as caught:
        shop.batch(**options)
    assert caught.value.hint
    assert not (shop.folder / "checkpoint.json").exists()
    if (shop.folder / "ltv.duckdb").exists():
        with shop.warehouse() as opened:
            assert opened.loads() == []


@pytest.fixture
def reader(shop: BatchShop, server: Server) -> Iterator[str]:
    """A user who may see the log, and whose source shop.yaml names."""
    name = f"r_{shop.database[2:14]}"
    shop.sql(f"CREATE USER {name}@'%' IDENTIFIED BY 'secret'", f"GRANT REPLICATION CLIENT ON *.* TO {name}@'%'")
    shop.write(source=f"mysql://{name}:secret@{server.host}:{server.port}")
    yield name
    shop.sql(f"DROP USER {name}@'%'")


def test_no_grant_on_a_table(shop: BatchShop, reader: str) -> None:
    for table in ("orders", "customers", "order_items"):
        shop.sql(f"GRANT SELECT ON {shop.database}.{table} TO {reader}@'%'")
    with pytest.raises(SourceRefused, match=r"charges") as caught:
        shop.batch()
    assert "GRANT SELECT" in str(caught.value.hint)


def test_no_grant_on_a_column(shop: BatchShop, reader: str) -> None:
    """Its values would become NULL. Of customers only the named columns are read, so those will do."""
    shop.sql(
        f"GRANT SELECT (id, country, channel) ON {shop.database}.customers TO {reader}@'%'",
        f"GRANT SELECT ON {shop.database}.charges TO {reader}@'%'",
        f"GRANT SELECT ON {shop.database}.order_items TO {reader}@'%'",
        f"GRANT SELECT (id, order_date, status, customer_id, amount) ON {shop.database}.orders TO {reader}@'%'",
    )
    with pytest.raises(SourceRefused, match=r"orders") as caught:
        shop.batch()
    assert "include" in str(caught.value.hint)
    shop.sql(f"GRANT SELECT ON {shop.database}.orders TO {reader}@'%'")
    shop.batch()
    shop.assert_equal()


def test_several_problems_at_once(shop: BatchShop) -> None:
    shop.sql("CREATE TABLE odd (id INT)", "DROP TABLE charges")
    shop.write(mirror=[f"{shop.database}.odd"])
    with pytest.raises(SourceRefused, match="2 tables cannot be loaded") as caught:
        shop.batch()
    assert "no primary key" in caught.value.message and "charges" in caught.value.message


def test_slowly(shop: BatchShop, caplog: pytest.LogCaptureFixture) -> None:
    table = f"{shop.database}.order_items"
    rows = shop.sql("SELECT COUNT(*) FROM order_items")[0][0]
    per_second = rows // 2
    with caplog.at_level(logging.INFO):
        done = shop.batch(tables=[table], rows_per_second=per_second, chunk_rows=max(1, rows // 20))
    assert done.seconds > 1.5
    assert dt.timedelta(seconds=done.seconds) < dt.timedelta(minutes=1)
    assert f"{table} is loaded: {rows:,} rows" in caplog.messages
