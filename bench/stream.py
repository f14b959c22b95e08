"""stream: orders that wait in Pub/Sub → DuckDB, into orders, their history and the ltv entries."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from bench.loaded import loaded
from bench.messages import PER_MESSAGE, order_messages
from bench.parsing import parse_subscription
from bench.results import Result, Target
from bench.scene import Scene, Shop
from schemas import topic

ROWS = 300_000
IDLE_S = 3.0
MESSAGES_A_REQUEST = 20  # 4 MB


def run(scene: Scene) -> Iterator[Result]:
    rows = scene.rows or ROWS
    emulator = scene.emulator()
    shop = scene.shop("stream")
    second = f"{shop.subscription}-parsed"
    topic.ensure(shop.project, shop.topic, shop.subscription)
    topic.ensure(shop.project, shop.topic, second)
    scene.say(f"{rows:,} orders, {PER_MESSAGE} a message, are published to {emulator.kind}'s emulator")
    _publish(shop, rows)
    finished = shop.pipeline("stream", "--until-idle", f"{IDLE_S:g}")
    found = loaded(shop, rows)
    baseline = parse_subscription(shop.project, second, rows)
    parsed = "the same messages pulled, parsed by orjson"
    yield Result(
        "stream",
        "Pub/Sub → DuckDB",
        found.rows_per_s,
        "rows/s",
        baseline,
        parsed,
        Target(30_000, aim=60_000),
        f"first to last of {found.flushes} transactions, {found.last_at - found.first_at:.1f} s",
    )
    yield Result(
        "stream",
        "the whole command",
        rows / (finished.seconds - IDLE_S),
        "rows/s",
        baseline,
        parsed,
        note=f"{finished.seconds - IDLE_S:.1f} s of wall time without the {IDLE_S:g} s of waiting at its end, "
        f"{finished.cpu_seconds:.1f} s of processor time",
    )
    yield Result("stream", "start to first transaction", found.first_at - finished.began_at, "s")
    yield Result("stream", "peak memory", finished.peak_rss / 1e6, "MB", note=f"{rows:,} orders in DuckDB")


def _publish(shop: Shop, rows: int) -> None:
    client, path = topic.publisher(), topic.topic_path(shop.project, shop.topic)
    try:
        messages = order_messages(rows)
        while request := list(itertools.islice(messages, MESSAGES_A_REQUEST)):
            topic.publish(client, path, request)
    finally:
        client.transport.close()
