"""worker: the binlog → files of change events, and → Pub/Sub, confirmed; single-row transactions and large inserts.

Each is run several times, in turn with what it is compared with, and the best of each counts: these machines are
shared, and other work only ever makes a run slower.
"""

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
ROUNDS = 3


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
HALF = Target(0.5, of="ratio")


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


class _Best:
    """The highest rates (rows/s) of all rounds, and the run that had it."""

    def __init__(self) -> None:
        self.rates: dict[str, float] = {}
        self.finished: dict[str, Finished] = {}

    def add(self, name: str, rate: float, finished: Finished | None = None) -> None:
        if rate > self.rates.get(name, 0.0):
            self.rates[name] = rate
            if finished is not None:
                self.finished[name] = finished


def _case(scene: Scene, database: MariaDB, case: Case, log: str, rows: int) -> Iterator[Result]:
    decoded, best = max(1, min(rows, case.decoded)), _Best()
    for number in range(1, ROUNDS + 1):
        scene.say(f"round {number} of {ROUNDS}")
        library = reference.decode(database, log, decoded)
        best.add("library", library.rows / library.seconds)
        best.add("library by processor time", library.rows / library.cpu_seconds)
        files = scene.shop(f"{case.name}-files-{number}", database.dsn())
        finished = files.worker("--until-caught-up", "--from", f"{log}:4", "--to", str(files.folder / "changes"))
        best.add("files", rows / _seconds(finished, rows), finished)
        _count(files, rows)
        topic = scene.shop(f"{case.name}-pubsub-{number}", database.dsn())
        finished = topic.worker("--until-caught-up", "--from", f"{log}:4")
        best.add("Pub/Sub", rows / _seconds(finished, rows), finished)
        if (seconds := reference.print_log(database, log)) is not None:
            best.add("mariadb-binlog", rows / seconds)
        best.add("decoding", rows / reference.decode_ourselves(database, log, rows))
    yield from _results(case, best, decoded)


def _results(case: Case, best: _Best, decoded: int) -> Iterator[Result]:
    rates = best.rates
    what = f"mysql-replication decoding {decoded:,} rows, {case.what}"
    for goal, target in (("files", case.to_files), ("Pub/Sub", case.to_pubsub)):
        finished = best.finished[goal]
        yield Result(
            "worker", f"{case.what} → {goal}", rates[goal], "rows/s", rates["library"], what, target,
            f"the whole command {finished.seconds:.2f} s, {finished.cpu_seconds:.2f} s of processor time, at most"
            f" {finished.peak_rss / 1e6:.0f} MB; mysql-replication by processor time"
            f" {rates['library by processor time']:,.0f} rows/s",
        )  # fmt: skip
    if "mariadb-binlog" in rates:
        yield Result(
            "worker", f"{case.what}: mariadb-binlog -vv", rates["mariadb-binlog"], "rows/s", rates["library"], what
        )
        yield Result(
            "worker", f"{case.what}: our decoder alone", rates["decoding"], "rows/s", rates["mariadb-binlog"],
            f"mariadb-binlog -vv printing the same log's file, {case.what}", HALF,
        )  # fmt: skip


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
