"""`rederive`, killed at any moment: the old settings with the old entries, or the new ones with the new."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from pipeline.duckdb_warehouse import open_duckdb
from tests.builders import ORDERS, apply, event, message, order, shop, texts

ORDERS_MADE = 40_000
KILLS = 5
YAML = """time_zone: {zone}
currency: EUR
warehouse: duckdb:ltv.duckdb
tables:
  orders: {{name: shop.orders, columns: {{id: id, customer_id: customer_id, ordered_at: order_date, amount: amount}}}}
"""
ZONES = {"Europe/Paris": "2022-01-31 23:00:00Z 2022-02-01", "America/New_York": "2022-02-01 05:00:00Z 2022-02-01"}


def test_all_or_nothing(tmp_path: Path) -> None:
    path, yaml = str(tmp_path / "ltv.duckdb"), tmp_path / "shop.yaml"
    columns = {"id": "id", "customer_id": "customer_id", "ordered_at": "order_date", "amount": "amount"}
    config = shop(tables={"orders": {"name": "shop.orders", "columns": columns}}, counted=None)
    with contextlib.closing(open_duckdb(path)) as warehouse:
        warehouse.check_settings(config)
        for start in range(0, ORDERS_MADE, 10_000):
            made = (order(id, "2022-02-01T00:00:00", 1, "1.00") for id in range(start, start + 10_000))
            apply(warehouse, config, message(ORDERS, *(event("c", row, row["id"]) for row in made)))

    def state() -> str:
        """The zone of the settings; raises where rows or entries are of another, or some are missing."""
        with contextlib.closing(open_duckdb(path)) as warehouse:
            (zone,) = texts(
                warehouse, "SELECT JSON_VALUE(value, '$.time_zone') FROM raw.settings WHERE key = 'derivation'"
            )
            counts = "COUNT(*), COUNT(DISTINCT id), MIN(ordered_at), MAX(ordered_on)"
            assert texts(warehouse, f"SELECT {counts} FROM orders") == [f"{ORDERS_MADE} {ORDERS_MADE} {ZONES[zone]}"]
            counts = "COUNT(*), COUNT(DISTINCT entry_id), MIN(occurred_at), MAX(purchase_date), SUM(amount)"
            entries = f"{ORDERS_MADE} {ORDERS_MADE} {ZONES[zone]} {ORDERS_MADE}.00"
            assert texts(warehouse, f"SELECT {counts} FROM ltv_entries") == [entries]
        return zone

    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "pipeline", "rederive", "--no-rollup"]

    def run_in(zone: str) -> subprocess.Popen[bytes]:
        yaml.write_text(YAML.format(zone=zone))
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    assert state() == "Europe/Paris"
    began = time.monotonic()
    assert run_in("America/New_York").wait(timeout=120) == 0
    takes, zone = time.monotonic() - began, state()
    assert zone == "America/New_York"
    killed = 0
    chance = random.Random(5)
    for _ in range(KILLS):
        other = next(name for name in ZONES if name != zone)
        process = run_in(other)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=takes * chance.uniform(0.3, 1.0))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
        zone = state()
    assert killed
    other = next(name for name in ZONES if name != zone)
    assert run_in(other).wait(timeout=120) == 0
    assert state() == other
