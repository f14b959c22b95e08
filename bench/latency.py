"""latency: from a commit in MariaDB until its ltv entry is visible to another process, at a light and a heavy rate."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Collection, Iterator
from typing import Any

import pymysql

from bench.pubsub_hop import publish_to_pulled
from bench.results import Result, Target
from bench.scene import Scene
from bench.timed_orders import TimedOrders, Visible
from bench.traffic import Traffic, open_database
from demo.probe import quantile
from demo.process import ServerFailed
from demo.servers import MariaDB
from demo.stack import Stack, shop_config
from pipeline.duckdb_server import RemoteSession
from pipeline.session import Statement
from schemas.errors import Transient

LIGHT, HEAVY = 20.0, 1_000.0  # transactions per second
LIGHT_S, HEAVY_S, BASELINE_S = 20.0, 10.0, 5.0
EVERY_S = 0.05
TIMED_IDS = itertools.count(800_000_000, 1_000_000)
TRAFFIC_IDS = itertools.count(1, 10_000_000)
STARTED_S = 60.0


def run(scene: Scene) -> Iterator[Result]:
    database, emulator = scene.database(), scene.emulator()
    placing = scene.running.enter_context(contextlib.closing(open_database(database)))
    asking = scene.running.enter_context(contextlib.closing(database.connect(database="shop", autocommit=True)))
    hop = publish_to_pulled(scene.shop("hop"), EVERY_S, BASELINE_S)
    yield Result(
        "latency",
        "of it in the emulator alone, median",
        quantile(hop, 0.5) * 1000,
        "ms",
        note=f"{emulator.kind}'s Pub/Sub emulator, publish → pulled, nothing else running",
    )
    stack = scene.running.enter_context(Stack(scene.folder, shop_config(database.dsn(), 5501), emulator))
    stack.start_worker()
    stack.start_pipeline()
    session = scene.running.enter_context(contextlib.closing(join_stream(stack)))
    scene.say("worker and pipeline run; the first orders warm them up")
    _timed(placing, entries_of(session), 2.0)
    light_s, heavy_s = scene.seconds or LIGHT_S, scene.seconds or HEAVY_S
    for name, rate, seconds in (("light", LIGHT, light_s), ("heavy", HEAVY, heavy_s)):
        yield from _phase(scene, database, placing, asking, session, name, rate, seconds)
        stack.require_alive()


def _phase(
    scene: Scene,
    database: MariaDB,
    placing: pymysql.connections.Connection[Any],
    asking: pymysql.connections.Connection[Any],
    session: RemoteSession,
    name: str,
    rate: float,
    seconds: float,
) -> Iterator[Result]:
    """Timed orders at 20/s; in the heavy phase among traffic that makes up the rest of the rate."""
    baseline_s = min(BASELINE_S, seconds)
    traffic = None
    if rate > LIGHT:
        traffic = Traffic(database, next(TRAFFIC_IDS), rate - 1 / EVERY_S, seconds + baseline_s + 0.5)
        traffic.start()
    direct = _timed(placing, orders_of(asking), baseline_s)
    timed = _timed(placing, entries_of(session), seconds)
    reached = 1 / EVERY_S
    if traffic is not None:
        traffic.join(timeout=60)
        if traffic.error:
            raise traffic.error
        reached += traffic.written / (seconds + baseline_s + 0.5)
    scene.say(f"{name}: {reached:,.0f} transactions/s were reached; {len(timed.seen)} orders timed")
    note = f"{len(timed.seen)} orders timed, {timed.missing} not seen"
    targets = {"light": {0.5: Target(100, most=True)}, "heavy": {0.99: Target(500, most=True)}}
    for share, word in ((0.5, "median"), (0.99, "99th percentile"), (1.0, "longest")):
        yield Result(
            "latency",
            f"commit → visible, {reached:,.0f} tx/s, {word}",
            quantile(timed.seen, share) * 1000,
            "ms",
            quantile(direct.seen, share) * 1000,
            "to another connection of MariaDB",
            targets[name].get(share),
            note if share == 0.5 else "",
        )


def _timed(placing: pymysql.connections.Connection[Any], visible: Visible, seconds: float) -> TimedOrders:
    timed = TimedOrders(placing, visible, next(TIMED_IDS), EVERY_S)
    timed.run(seconds)
    if not timed.seen:
        raise ServerFailed("not one order became visible", hint="see the logs of worker and pipeline")
    return timed


def entries_of(session: RemoteSession) -> Visible:
    """Asks the stream's shared warehouse, as a dashboard would."""

    def visible(keys: Collection[int]) -> Collection[int]:
        listed = ", ".join(f"'order:{key}'" for key in keys)
        sql = f"SELECT order_id FROM ltv_entries WHERE entry_id IN ({listed})"
        with session.read(Statement(sql)) as reader:
            return [int(row["order_id"]) for row in reader.read_all().to_pylist()]

    return visible


def orders_of(connection: pymysql.connections.Connection[Any]) -> Visible:
    """Asks the database itself."""

    def visible(keys: Collection[int]) -> Collection[int]:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT id FROM orders WHERE id IN ({', '.join(map(str, keys))})")
            return [int(row[0]) for row in cursor.fetchall()]

    return visible


def join_stream(stack: Stack) -> RemoteSession:
    """The warehouse of a running stream, as soon as it is shared. Raises ServerFailed after 60 s."""
    found: list[RemoteSession] = []

    def joined() -> bool:
        with contextlib.suppress(Transient):
            found.append(RemoteSession(str(stack.folder / "ltv.duckdb")))
        return bool(found)

    stack.wait_until(joined, STARTED_S, "the pipeline shares its warehouse")
    return found[0]
