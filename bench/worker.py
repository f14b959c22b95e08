"""worker: the binlog → files of change events, and → Pub/Sub, confirmed; single-row transactions and large inserts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bench import reference
from bench.command import Finished
from bench.results import Result, Target
from bench.scene import Scene
from bench.traffic import large_inserts, new_log, open_database, single_rows
from demo.process import ServerFailed
from demo.servers import MariaDB

SINGLE_ROWS, INSERTED_ROWS = 100_000, 300_000
DECODED_SINGLE, DECODED_INSERTED = 20_000, 100_000  # of these by mysql-replication, which is slow
TARGETS = {
    ("single", "files"): Target(12, of="ratio", aim=20),
    ("single", "pubsub"): Target(8, of="ratio", aim=10),
    ("inserts", "files"): Target(4, of="ratio", aim=6),
    ("inserts", "pubsub"): Target(3, of="ratio", aim=5),
}
NAMES = {"single": "single-row transactions", "inserts": "1,000-row inserts"}
GOALS = {"files": "files of change events", "pubsub": "Pub/Sub, confirmed"}


def run(scene: Scene) -> Iterator[Result]:
    database, emulator = scene.database(), scene.emulator()
    singles = scene.rows or SINGLE_ROWS
    inserted = 3 * scene.rows if scene.rows else INSERTED_ROWS
    with contextlib.closing(open_database(database)) as connection:
        logs = {"single": new_log(connection)}
        scene.say(f"{singles:,} transactions of one row are written")
        single_rows(connection, 1, singles)
        logs["inserts"] = new_log(connection)
        scene.say(f"{inserted:,} rows are written, 1,000 an INSERT")
        large_inserts(connection, singles + 1, inserted)
        new_log(connection)
    scene.say(f"the worker reads them into files, and into {emulator.kind}'s emulator; mysql-replication reads them too")
    first = {"single": (singles, DECODED_SINGLE), "inserts": (inserted, DECODED_INSERTED)}
    for kind, (rows, decoded) in first.items():
        baseline = reference.decode(database, logs[kind], min(rows, decoded))
        for goal in GOALS:
            yield _measure(scene, database, logs[kind], kind, goal, rows + (inserted if kind == "single" else 0), baseline)
        yield from _practical_limit(database, logs[kind], kind, rows, baseline)


def _measure(
    scene: Scene, database: MariaDB, log: str, kind: str, goal: str, rows: int, baseline: float
) -> Result:
    raise NotImplementedError
