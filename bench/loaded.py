"""What arrived in a warehouse, and how fast: read from the rows' own `_written_at` after the command has ended."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from bench.scene import Shop
from demo.process import ServerFailed

TABLES = ("orders", "orders_history", "ltv_entries")
FLUSHES = "SELECT _written_at AS at, COUNT(*) AS n FROM raw.orders GROUP BY _written_at ORDER BY _written_at"


@dataclass(frozen=True)
class Loaded:
    rows: int
    flushes: int
    first_at: float  # time.time() of the first and of the last transaction's begin
    last_at: float
    rows_per_s: float  # between the two: all rows but those of the last transaction


def loaded(shop: Shop, rows: int) -> Loaded:
    """Raises ServerFailed where `rows` distinct orders are not in every one of the tables."""
    with contextlib.closing(shop.warehouse()) as warehouse:
        counts = {}
        for table in TABLES:
            with warehouse.query(f"SELECT COUNT(*) AS n FROM raw.{table}") as reader:
                counts[table] = reader.read_all().to_pylist()[0]["n"]
        if set(counts.values()) != {rows}:
            raise ServerFailed(f"{rows:,} orders were sent, the warehouse has {counts}", hint=f"see {shop.folder}")
        with warehouse.query(FLUSHES) as reader:
            flushes = [(row["at"].timestamp(), int(row["n"])) for row in reader.read_all().to_pylist()]
    first, last = flushes[0][0], flushes[-1][0]
    rate = (rows - flushes[-1][1]) / (last - first) if len(flushes) > 1 else 0.0
    return Loaded(rows, len(flushes), first, last, rate)
