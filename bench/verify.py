"""verify: ten million equal orders, checked by checksums that MariaDB and DuckDB compute side by side."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from bench.results import Result, Target
from bench.scene import Scene, Shop
from bench.traffic import ORDER_COLUMNS, open_database, order_values
from demo.process import ServerFailed

ROWS = 10_000_000
ROWS_A_STATEMENT = 500_000


def run(scene: Scene) -> Iterator[Result]:
    rows = scene.rows or ROWS
    server = scene.database("--innodb-buffer-pool-size=512M", "--innodb-log-file-size=512M")
    with open_database(server) as connection, connection.cursor() as cursor:
        scene.say(f"{rows:,} orders are written, and loaded by `batch`")
        cursor.execute("SET sql_log_bin = 0")
        for first in range(1, rows + 1, ROWS_A_STATEMENT):
            last = min(first + ROWS_A_STATEMENT - 1, rows)
            cursor.execute(f"{ORDER_COLUMNS} SELECT {order_values('seq')} FROM seq_{first}_to_{last}")
        cursor.execute("ANALYZE TABLE orders")
        shop = scene.shop("verify", server.dsn())
        shop.pipeline("batch", "--table", "shop.orders", "--no-rollup")
        began = time.monotonic()
        cursor.execute("CHECKSUM TABLE orders EXTENDED")
        cursor.fetchall()
        baseline = time.monotonic() - began
    finished = shop.pipeline("verify", "--table", "orders", "--no-rollup", "--format", "json")
    found = _found(shop)
    if not found["equal"] or found["rows"] != rows:
        raise ServerFailed(f"verify found {found}", hint=f"see {shop.folder}")
    yield Result(
        "verify",
        f"{rows:,} equal orders, database time",
        found["database_seconds"],
        "s",
        baseline,
        "CHECKSUM TABLE … EXTENDED on the same table, which no warehouse can compute",
        Target(60.0, most=True),
        f"{rows / found['database_seconds']:,.0f} rows/s on one connection",
    )
    yield Result(
        "verify",
        "the whole command",
        finished.seconds,
        "s",
        note=f"{finished.cpu_seconds:.1f} s of processor time, besides the database's",
    )
    yield Result("verify", "peak memory", finished.peak_rss / 1e6, "MB")


def _found(shop: Shop) -> dict[str, Any]:
    """What the command printed of the table."""
    lines = (shop.folder / "pipeline.log").read_text(encoding="utf-8").splitlines()
    for line in reversed(lines):
        if line.startswith("{") and "database_seconds" in line:
            found: dict[str, Any] = json.loads(line)
            return found
    raise ServerFailed("verify printed no result", hint="\n".join(lines[-8:]))
