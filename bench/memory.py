"""memory: the most that the worker ever holds while one large transaction passes through it into Pub/Sub."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bench.results import Result, Target
from bench.scene import Scene
from bench.traffic import large_inserts, new_log, open_database
from demo.process import ServerFailed

ROWS = 200_000
MOST_MB = 250.0


def run(scene: Scene) -> Iterator[Result]:
    rows = scene.rows or ROWS
    database = scene.database()
    scene.emulator()
    shop = scene.shop("memory", database.dsn())
    with contextlib.closing(open_database(database)) as connection:
        log = new_log(connection)
        scene.say(f"one transaction of {rows:,} rows is written")
        large_inserts(connection, 1, rows, each=rows)
    finished = shop.worker("--until-caught-up", "--from", f"{log}:4")
    if (read := finished.facts("done")["rows"]) != rows:
        raise ServerFailed(f"{rows:,} rows were written, the worker read {read:,}", hint=str(finished.log))
    idle = shop.worker("--until-caught-up")
    yield Result(
        "memory",
        f"worker, {rows:,} rows in one transaction",
        finished.peak_rss / 1e6,
        "MB",
        idle.peak_rss / 1e6,
        "the same command with nothing to read",
        Target(MOST_MB, most=True),
        "the most it held resident, sampled every 20 ms",
    )
