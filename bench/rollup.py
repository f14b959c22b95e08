"""rollup: ten million ltv entries of sixty cohorts in DuckDB → the tables of the LTV, and all rolled-up tables."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Iterator

from bench.results import Result, Target
from bench.scene import Scene
from pipeline.duckdb_warehouse import DuckDBWarehouse, open_duckdb
from pipeline.rollup import rollup, rollup_queries
from pipeline.session import Statement
from schemas.config import ShopConfig
from schemas.config_file import load_config

ROWS = 10_000_000
AS_OF = dt.date(2026, 11, 23)
LTV = ("ltv_monthly", "ltv_cohorts")
SUM_AND_GROUP_BY = """SELECT purchase_month, currency, COUNT(*) AS entries, SUM(amount) AS amount
FROM ltv_entries GROUP BY purchase_month, currency"""
ENTRIES = """INSERT INTO raw.ltv_entries BY NAME SELECT
  if(refund, 'refund:', 'order:') || n AS entry_id,
  if(refund, 'refund', 'sale') AS kind,
  if(refund, 'refunds', 'orders') AS origin,
  (if(refund, n - 1, n))::VARCHAR AS order_id,
  if(refund, NULL, customer::VARCHAR) AS customer_id,
  date_trunc('month', day)::DATE AS purchase_month,
  day AS purchase_date,
  if(refund, -1, 1) * (500 + hash(n) % 20000)::DECIMAL(38, 9) / 100 AS amount,
  if(refund, NULL, 'EUR') AS currency,
  day::TIMESTAMPTZ + to_seconds((n % 86400)::BIGINT) AS occurred_at,
  '0001/00000001/0000000000000004/00000000' AS _sequence,
  FALSE AS _deleted,
  now() AS _committed_at,
  now() AS _written_at
FROM (
  SELECT n, n % 33 = 32 AS refund, customer,
    least(DATE '2021-12-01' + (customer * 1800 // $customers)::INTEGER
      + (hash(n, 1) % if(n <= $customers, 1, 400))::INTEGER, DATE '2026-11-23') AS day
  FROM (SELECT n, if(n <= $customers, n, hash(n, 2) % $customers)::BIGINT AS customer FROM range(1, $rows + 1) t(n))
)"""
"""Every third entry is another order of somebody's, within 400 days of the first; every 33rd a refund of the order
before it."""


def run(scene: Scene) -> Iterator[Result]:
    rows = scene.rows or ROWS
    shop = scene.shop("rollup")
    config = load_config(shop.config_file)
    with contextlib.closing(open_duckdb(str(config.duckdb_file))) as warehouse:
        scene.say(f"{rows:,} ltv entries are written")
        _fill(warehouse, config, rows)
        began = time.monotonic()
        with warehouse.query(SUM_AND_GROUP_BY) as reader:
            reader.read_all()
        plain = time.monotonic() - began
        seconds = _of_ltv(warehouse)
        yield Result(
            "rollup",
            "ltv_monthly and ltv_cohorts",
            seconds,
            "s",
            plain,
            "a plain SUM and GROUP BY over purchase month and currency of the same entries",
            Target(3.0, most=True),
            f"{rows:,} entries, {rows / seconds:,.0f} a second",
        )
        began = time.monotonic()
        counts = rollup(warehouse, config, AS_OF)
        seconds = time.monotonic() - began
    yield Result(
        "rollup",
        "all rolled-up tables",
        seconds,
        "s",
        plain,
        "a plain SUM and GROUP BY over purchase month and currency of the same entries",
        Target(3.0, most=True),
        f"{len(counts)} tables; order_first_purchase alone has {counts['order_first_purchase']:,} rows to be written",
    )


def _fill(warehouse: DuckDBWarehouse, config: ShopConfig, rows: int) -> None:
    """Without the key, which no rollup looks at, and which takes longer than all the rest."""
    warehouse.check_settings(config)
    keyless = Statement("CREATE OR REPLACE TABLE raw.ltv_entries AS FROM raw.ltv_entries")
    warehouse.session.run([keyless])
    warehouse.session.run([Statement(ENTRIES, {"rows": rows, "customers": max(1, rows // 3)})])


def _of_ltv(warehouse: DuckDBWarehouse) -> float:
    queries = [(table, query) for table, query in rollup_queries() if table in LTV]
    began = time.monotonic()
    warehouse.replace_tables(queries, {"as_of": AS_OF})
    return time.monotonic() - began
