"""memory: the most that the worker ever holds while one large transaction passes through it into Pub/Sub."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bench.results import Result, Target
from bench.scene import Scene
from bench.traffic import WIDE_TABLE, new_log, open_database, wide_rows
from demo.process import ServerFailed

ROWS = 1_000_000
MOST_MB = 200.0


def run(scene: Scene) -> Iterator[Result]:
    rows = scene.rows or ROWS
    database = scene.database()
    scene.emulator()
    shop = scene.shop("memory", database.dsn(), mirror=[WIDE_TABLE])
    with contextlib.closing(open_database(database)) as connection:
        log = new_log(connection)
        scene.say(f"one transaction of {rows:,} rows of 200 bytes is written")
        wide_rows(connection, rows)
    finished = shop.worker("--until-caught-up", "--from", f"{log}:4")
    done = finished.facts("done")
    if done["rows"] != rows:
        raise ServerFailed(f"{rows:,} rows were written, the worker read {done['rows']:,}", hint=str(finished.log))
    idle = shop.worker("--until-caught-up")
    yield Result(
        "memory",
        f"worker, {rows:,} rows of 200 bytes in one transaction",
        finished.peak_rss / 1e6,
        "MB",
        idle.peak_rss / 1e6,
        "the same command with nothing to read",
        Target(MOST_MB, most=True),
        f"the most it held resident, sampled every 20 ms; {rows / done['seconds']:,.0f} rows/s",
    )
