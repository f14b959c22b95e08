"""A batch that was stopped, killed or failed goes on where it was, and ends as one that ran through."""

from __future__ import annotations

import itertools
import logging
import threading
from pathlib import Path

import killed_batch
import pytest
from batch_shop import BatchShop
from worker_shop import until

from pipeline.progress import PROGRESS
from schemas.errors import SourceRefused, SourceUnavailable, WarehouseError
from tests.conftest import LONG, Server

CHUNK_ROWS = 3 if LONG else 6


@pytest.fixture
def shop(server: Server, database: str, tmp_path: Path, server_id: int) -> BatchShop:
    return BatchShop(server, database, tmp_path, server_id, customers=25)


@pytest.fixture
def small_shop(server: Server, database: str, tmp_path: Path, server_id: int) -> BatchShop:
    return BatchShop(server, database, tmp_path, server_id, customers=10)


class Stop(threading.Event):
    """Set as soon as so many chunks of a table are written."""

    def __init__(self, table: str, chunks: int) -> None:
        super().__init__()
        self._table, self._chunks = table, chunks

    def is_set(self) -> bool:
        found = PROGRESS.loads.get(self._table)
        return super().is_set() or (found is not None and found.chunk >= self._chunks)


@pytest.mark.parametrize("loaded", [False, True], ids=["empty", "loaded"])
def test_killed_anywhere(small_shop: BatchShop, loaded: bool) -> None:
    """Inside and behind every transaction that it writes, one kill after the other."""
    shop = small_shop
    if loaded:
        shop.batch()
        shop.sql("UPDATE orders SET amount = amount + 1", "DELETE FROM charges WHERE id % 2")
    shop.write(tables={role: shop.settings["tables"][role] for role in ("orders", "charges")})  # type: ignore[index]
    kills = 0
    for moment in itertools.cycle(("inside", "behind")):
        process = killed_batch.start(shop.folder, 1 + kills % 4, moment, chunk_rows=CHUNK_ROWS)  # type: ignore[arg-type]
        if killed_batch.ended(process) == 0:
            break
        assert process.exitcode == -9
        kills += 1
        assert kills < 200
    assert kills >= (4 if loaded else 6)
    shop.assert_equal("orders", "charges")
    assert shop.query("SELECT COUNT(*) FROM raw.load_chunks") == [(0,)]
    assert shop.query("SELECT COUNTIF(done_at IS NULL), COUNT(*) FROM raw.loads") == [(0, 4 if loaded else 2)]
    with shop.warehouse() as opened:
        assert [table for table in opened.raw_tables() if "." in table] == []
    twice = "SELECT id, _sequence FROM orders_history GROUP BY id, _sequence HAVING COUNT(*) > 1"
    assert shop.query(twice) == []


def test_stopped_behind_a_chunk(shop: BatchShop, caplog: pytest.LogCaptureFixture) -> None:
    table = f"{shop.database}.order_items"
    with caplog.at_level(logging.INFO):
        done = shop.batch(Stop(table, 3), chunk_rows=5, parallel=1)
        assert done.stopped
        said = [line for line in done.said if table in line]
        chunk = int(said[0].split("chunk ")[1].split()[0])
        assert chunk >= 3
        assert f"stopped after chunk {chunk} of {table} ({5 * chunk:,} rows)" in said[0]
        assert shop.query("SELECT MAX(number), SUM(`rows`) FROM raw.load_chunks") == [(chunk, 5 * chunk)]
        assert not shop.batch(chunk_rows=5).stopped
        assert f"going on after chunk {chunk} of {table}" in caplog.messages
    shop.assert_equal()


def test_tables_that_a_stopped_batch_has_loaded_are_not_read_again(shop: BatchShop) -> None:
    first = max(shop.config.source_tables, key=lambda name: shop.sql(f"SELECT COUNT(*) FROM {name}")[0][0])
    second = f"{shop.database}.orders"
    assert first != second
    shop.sql("ANALYZE TABLE " + ", ".join(shop.config.source_tables))
    assert shop.batch(Stop(second, 1), chunk_rows=5, parallel=1).stopped
    before = shop.query(f"SELECT id, done_at FROM raw.loads WHERE `table` = '{first}'")
    assert before[0][1] is not None
    shop.batch()
    assert shop.query(f"SELECT id, done_at FROM raw.loads WHERE `table` = '{first}'") == before
    shop.assert_equal()
    shop.batch()  # a finished one starts anew
    assert shop.query(f"SELECT id, done_at FROM raw.loads WHERE `table` = '{first}'") != before


def test_a_table_altered_since_begins_anew(shop: BatchShop, caplog: pytest.LogCaptureFixture) -> None:
    table = f"{shop.database}.order_items"
    assert shop.batch(Stop(table, 3), chunk_rows=5, parallel=1).stopped
    shop.sql("ALTER TABLE order_items ADD COLUMN colour VARCHAR(10) DEFAULT 'red'")
    with caplog.at_level(logging.INFO):
        shop.batch()
    assert any(f"{table}, or how it is read, has changed" in line for line in caplog.messages)
    shop.assert_equal()
    items = shop.sql("SELECT COUNT(*) FROM order_items")[0][0]
    assert shop.query("SELECT COUNTIF(colour = 'red') FROM order_items") == [(items,)]


def test_a_table_altered_in_the_middle_begins_anew(shop: BatchShop, caplog: pytest.LogCaptureFixture) -> None:
    table = f"{shop.database}.order_items"
    altered = threading.Thread(
        target=_behind_chunk, args=(shop, table, "ALTER TABLE order_items ADD COLUMN colour INT")
    )
    PROGRESS.loads = {}
    altered.start()
    shop.batch(chunk_rows=5, rows_per_second=100)
    altered.join()
    assert any("the table was altered while it was read" in line for line in caplog.messages)
    shop.assert_equal()
    assert shop.query("SELECT COUNTIF(colour IS NULL) > 0 FROM order_items") == [(True,)]


def test_a_table_dropped_in_the_middle(shop: BatchShop) -> None:
    table = f"{shop.database}.order_items"
    PROGRESS.loads = {}
    dropped = threading.Thread(target=_behind_chunk, args=(shop, table, "DROP TABLE order_items"))
    dropped.start()
    with pytest.raises(SourceRefused, match=r"does not exist \(table .*order_items\)") as caught:
        shop.batch(chunk_rows=5, rows_per_second=100)
    dropped.join()
    assert caught.value.hint
    with shop.warehouse() as opened:
        assert [load.done for load in opened.loads() if load.table == table] == [False]
        assert "order_items" not in opened.raw_tables()


def _behind_chunk(shop: BatchShop, table: str, sql: str) -> None:
    until(lambda: table in PROGRESS.loads and PROGRESS.loads[table].chunk >= 2)
    shop.sql(sql)


def test_lost_connections(shop: BatchShop, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Killed again and again on the server: the chunks in hand are read again, and none of their rows twice."""
    user = f"r_{shop.database[2:14]}"
    shop.sql(
        f"CREATE USER {user}@'%' IDENTIFIED BY 'secret'",
        f"GRANT SELECT ON {shop.database}.* TO {user}@'%'",
        f"GRANT REPLICATION CLIENT ON *.* TO {user}@'%'",
    )
    try:
        shop.write(source=f"mysql://{user}:secret@{server.host}:{server.port}")
        ended, PROGRESS.loads = threading.Event(), {}
        killer = threading.Thread(target=_kill_connections, args=(server, user, ended))
        killer.start()
        try:
            done = shop.batch(chunk_rows=5, rows_per_second=80, tries=20)
        finally:
            ended.set()
            killer.join()
        assert any("trying again" in line for line in caplog.messages)
        shop.assert_equal()
        for table, count in done.rows.items():
            assert shop.sql(f"SELECT COUNT(*) FROM {table}") == [(count,)]
    finally:
        shop.sql(f"DROP USER {user}@'%'")


def _kill_connections(server: Server, user: str, ended: threading.Event) -> None:
    with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
        until(lambda: any(found.chunk for found in PROGRESS.loads.values()))
        while not ended.wait(0.4):
            cursor.execute("SELECT id FROM information_schema.processlist WHERE user = %s", (user,))
            for (number,) in cursor.fetchall():
                try:
                    cursor.execute(f"KILL {number}")
                except Exception as error:  # noqa: BLE001 - gone already
                    assert "1094" in str(error) or "Unknown thread" in str(error), error


def test_a_source_that_stays_away(shop: BatchShop, server: Server) -> None:
    shop.write(source=f"mysql://root@{server.host}:1")
    with pytest.raises(SourceUnavailable):
        shop.batch()


def test_a_full_disk(shop: BatchShop) -> None:
    """Nothing that is half loaded counts; with room again the batch goes on."""
    shop.sql("CREATE TABLE wide (id INT PRIMARY KEY, note LONGTEXT NOT NULL)")
    shop.sql(*(f"INSERT INTO wide SELECT {number}, SHA2(RAND(), 256)" for number in range(40)))
    for _ in range(10):
        shop.sql("UPDATE wide SET note = CONCAT(note, SHA2(RAND(), 256), note)")
    shop.write(mirror=[f"{shop.database}.wide"])
    process = killed_batch.start(shop.folder, file_bytes=2_500_000, chunk_rows=4)
    assert killed_batch.ended(process) == killed_batch.FAILED
    error = (shop.folder / "error.txt").read_text()
    assert error.startswith("WarehouseError: DuckDB:") and "free space" in error
    with shop.warehouse() as opened:
        assert [load.done for load in opened.loads() if load.table.endswith(".wide")] == [False]
        assert "wide" not in opened.raw_tables()
    shop.batch(chunk_rows=4)
    shop.assert_equal()
    assert shop.query("SELECT COUNT(*), SUM(LENGTH(note)) FROM wide") == shop.sql(
        "SELECT COUNT(*), CAST(SUM(LENGTH(note)) AS SIGNED) FROM wide"
    )


def test_a_batch_that_runs_already(shop: BatchShop) -> None:
    process = killed_batch.start(shop.folder, chunk_rows=2, rows_per_second=20)
    try:
        until(
            lambda: Path(f"{shop.folder / 'ltv.duckdb'}.batch").exists() and (shop.folder / "checkpoint.json").exists()
        )
        with pytest.raises(WarehouseError, match=r"a batch is running on .* already") as caught:
            shop.batch()
        assert caught.value.hint
    finally:
        process.kill()
        process.join()
