"""batch: a table of MariaDB → an empty DuckDB, with keys and rollup, beside other ways of reading the same table."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator

import pymysql.cursors

from bench.loaded import loaded
from bench.results import Result, Target
from bench.scene import Scene
from bench.traffic import large_inserts, open_database
from demo.mariadb import require_program
from demo.servers import MariaDB

ROWS = 10_000_000
ROWS_A_STATEMENT = 100_000
MOST_MB = 2_000.0
NINE_COLUMNS = (
    "ALTER TABLE orders ADD COLUMN note VARCHAR(40) AS (MD5(customer_id)) STORED,"
    " ADD COLUMN weight DECIMAL(8,3) AS (customer_id MOD 9999 / 1000) STORED"
)
FETCHED = 10_000
ORDERS = {
    "name": "shop.orders",
    "columns": {
        **{name: name for name in ("id", "customer_id", "amount", "status", "country", "updated_at")},
        "ordered_at": "order_date",
    },
}
"""The shop maps the table that is measured, and no other."""


def run(scene: Scene) -> Iterator[Result]:
    rows = scene.rows or ROWS
    database = scene.database("--innodb-buffer-pool-size=256M")
    shop = scene.shop("batch", database.dsn(), tables={"orders": ORDERS}, segments=[])
    with contextlib.closing(open_database(database)) as connection:
        with connection.cursor() as cursor:
            cursor.execute(NINE_COLUMNS)
        scene.say(f"{rows:,} orders of 9 columns are written")
        large_inserts(connection, 1, rows, ROWS_A_STATEMENT)
    scene.say("read by SSCursor, dumped by mariadb-dump, loaded by batch")
    baseline = rows / _by_cursor(database, rows)
    dumped = rows / _by_dump(database)
    finished = shop.pipeline("batch")
    loaded(shop, rows)
    seconds = float(finished.facts("done")["seconds"])
    yield Result(
        "batch",
        "MariaDB → DuckDB, rolled up",
        rows / seconds,
        "rows/s",
        baseline,
        "SELECT * fetched by PyMySQL's SSCursor",
        Target(2, of="ratio", aim=3),
        f"{seconds:.1f} s for reading, loading, building keys and the rollup",
    )
    yield Result(
        "batch",
        "the same, beside mariadb-dump",
        rows / seconds,
        "rows/s",
        dumped,
        "mariadb-dump --quick of the table into /dev/null",
    )
    yield Result(
        "batch",
        "the whole command",
        rows / finished.seconds,
        "rows/s",
        baseline,
        "SELECT * fetched by PyMySQL's SSCursor",
        note=f"{finished.seconds:.1f} s of wall time, {finished.cpu_seconds:.1f} s of processor time",
    )
    target = Target(MOST_MB, most=True)
    yield Result("batch", f"peak memory, {rows:,} orders", finished.peak_rss / 1e6, "MB", target=target)


def _by_cursor(database: MariaDB, rows: int) -> float:
    """Seconds to fetch all rows, a few at a time."""
    with contextlib.closing(database.connect(cursorclass=pymysql.cursors.SSCursor)) as connection:
        began, count = time.monotonic(), 0
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM shop.orders")
            while found := cursor.fetchmany(FETCHED):
                count += len(found)
    assert count == rows
    return time.monotonic() - began


def _by_dump(database: MariaDB) -> float:
    """Seconds of mariadb-dump, which starts in no time."""
    line = [require_program("mariadb-dump"), "--no-defaults", "--quick", "--single-transaction", "--skip-lock-tables"]
    line += [f"--host={database.host}", f"--port={database.port}", f"--user={database.user}", "shop", "orders"]
    began = time.monotonic()
    subprocess.run(line, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began
