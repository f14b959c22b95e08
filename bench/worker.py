"""worker: the binlog → files of change events, and → Pub/Sub, confirmed; single-row transactions and large inserts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pymysql

from bench import reference
from bench.command import Finished
from bench.results import Result, Target
from bench.scene import Scene, Shop
from bench.traffic import large_inserts, new_log, open_database, single_rows
from demo.process import ServerFailed
from demo.servers import MariaDB

SINGLE_ROWS, INSERTED_ROWS = 100_000, 300_000


@dataclass(frozen=True)
class Case:
    name: str
    what: str
    write: Callable[[pymysql.connections.Connection[Any], int, int], None]
    decoded: int  # rows that mysql-replication decodes; it is slow
    to_files: Target
    to_pubsub: Target


SINGLE = Case(
    "single",
    "single-row transactions",
    single_rows,
    20_000,
    Target(12, of="ratio", aim=20),
    Target(8, of="ratio", aim=10),
)
INSERTS = Case(
    "inserts",
    "1,000-row inserts",
    large_inserts,
    100_000,
    Target(4, of="ratio", aim=6),
    Target(3, of="ratio", aim=5),
)


def run(scene: Scene) -> Iterator[Result]:
    database = scene.database()
    scene.emulator()
    singles = scene.rows or SINGLE_ROWS
    inserted = 3 * scene.rows if scene.rows else INSERTED_ROWS
    with contextlib.closing(open_database(database)) as connection:
        for case, first, rows in ((SINGLE, 1, singles), (INSERTS, singles + 1, inserted)):
            log = new_log(connection)
            scene.say(f"{rows:,} rows are written: {case.what}")
            case.write(connection, first, rows)
            yield from _case(scene, database, case, log, rows)


def _case(scene: Scene, database: MariaDB, case: Case, log: str, rows: int) -> Iterator[Result]:
    decoded = max(1, min(rows, case.decoded) // 2)
    before = reference.decode(database, log, decoded)
    files = scene.shop(f"{case.name}-files", database.dsn())
    topic = scene.shop(f"{case.name}-pubsub", database.dsn())
    runs = (
        ("files", files, ("--to", str(files.folder / "changes")), case.to_files),
        ("Pub/Sub", topic, (), case.to_pubsub),
    )
    timed = []
    for goal, shop, arguments, target in runs:
        finished = shop.worker("--until-caught-up", "--from", f"{log}:4", *arguments)
        timed.append((goal, target, finished, _seconds(finished, rows)))
    _count(files, rows)
    limit = reference.print_log(database, log)
    after = reference.decode(database, log, decoded)
    baseline = (before.rows + after.rows) / (before.seconds + after.seconds)
    cpu = (before.rows + after.rows) / (before.cpu_seconds + after.cpu_seconds)
    what = f"mysql-replication decodes {decoded:,} rows before and after, {case.what}"
    for goal, target, finished, seconds in timed:
        yield Result(
            "worker",
            f"{case.what} → {goal}",
            rows / seconds,
            "rows/s",
            baseline,
            what,
            target,
            f"{seconds:.2f} s; the whole command {finished.seconds:.2f} s, at most {finished.peak_rss / 1e6:.0f} MB;"
            f" by processor time, its start included, {rows / finished.cpu_seconds:,.0f} rows/s against {cpu:,.0f}",
        )
    if limit:
        yield Result("worker", f"{case.what}: mariadb-binlog -vv", rows / limit, "rows/s", baseline, what)


def _seconds(finished: Finished, rows: int) -> float:
    """From the first connection to the log until all is confirmed, by the worker's own last line.

    Raises ServerFailed where it did not read as many rows as were written.
    """
    facts = finished.facts("done")
    if facts["rows"] != rows:
        raise ServerFailed(f"{rows:,} rows were written, the worker read {facts['rows']:,}", hint=str(finished.log))
    return max(0.01, float(facts["seconds"]))


def _count(shop: Shop, rows: int) -> None:
    found = 0
    for path in (shop.folder / "changes").iterdir():
        with path.open("rb") as file:
            found += sum(line.startswith(b'{"op":') for line in file)
    if found != rows:
        raise ServerFailed(f"{rows:,} rows were written, the files have {found:,}", hint=str(shop.folder))
