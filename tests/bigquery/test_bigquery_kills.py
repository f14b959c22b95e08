"""Requests that fail at random, connections that break off, a pipeline that is killed again and again: nothing is lost
and nothing is there twice."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from demo.servers import PubSubEmulator
from demo.stack import Stack, shop_config
from schemas import topic
from tests.bigquery.faults import APPEND_FAULTS, Faults
from tests.bigquery.server import BigQueryServer
from tests.bigquery.shop_stream import PROJECT, Publishing, shop_messages
from tests.bigquery.two_warehouses import bigquery_warehouse, columns_of, contents, differences, rows
from tests.builders import MAPPED, decode, memory, shop
from tests.conftest import LONG

KILLS = 10
MESSAGES = 2_000
EQUAL_WITHIN_S = 90.0


@pytest.mark.chaos
def test_killed_while_requests_fail(
    bigquery: BigQueryServer, pubsub: PubSubEmulator, server_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIGQUERY_WRITE_EMULATOR_HOST", bigquery.breakable_address)
    config = shop()
    with bigquery_warehouse(bigquery) as warehouse:
        warehouse.check_settings(config)
    bigquery.faults = Faults(
        seed=server_id, share=0.15, rest_share=0.05, kinds=APPEND_FAULTS, latency=0.01
    )  # appends: of some hundred requests enough
    name = bigquery.dataset.replace("_", "-")
    messages = shop_messages(MESSAGES * (3 if LONG else 1))
    settings = {
        **shop_config("mysql://root@127.0.0.1:1", server_id, topic=f"c-{name}", subscription=f"s-{name}"),
        "warehouse": bigquery.warehouse,
        "tables": MAPPED,
        "segments": [],
    }
    topic.ensure(PROJECT, f"c-{name}", f"s-{name}")
    with Stack(tmp_path, settings, pubsub) as stack:
        stack.start_pipeline()
        with Publishing(f"c-{name}", messages, per_second=len(messages) // 30):
            for _ in range(KILLS):
                taken = bigquery.writes.rows
                # the moment of the kill: in the middle of writing
                stack.wait_until(lambda taken=taken: bigquery.writes.rows > taken + 20, 60, "rows are written")  # type: ignore[misc]
                assert stack.pipeline is not None
                stack.pipeline.kill()
                stack.start_pipeline()
        _until_all_arrived(stack, bigquery, len(messages))
        happened = dict(bigquery.faults.happened)
        bigquery.faults = Faults()
    assert set(happened) == {*APPEND_FAULTS, "rest"}, f"too little went wrong: {happened}"
    duckdb = memory()
    duckdb.check_settings(config)
    changes = decode(config, *messages)
    duckdb.apply(changes)
    with bigquery_warehouse(bigquery) as warehouse:
        assert warehouse.dead_letters() == []
        columns = columns_of(duckdb)
        del columns["arrivals"]  # where runs of them are joined meanwhile, there are fewer rows
        assert differences(contents(warehouse, columns), contents(duckdb, columns)) == []
        covered = [number for first, last in _arrivals(warehouse) for number in range(first, last + 1)]
        assert set(covered) == set(range(1, len(messages) + 1))
        twice = "SELECT id, _sequence FROM orders_history GROUP BY id, _sequence HAVING COUNT(*) > 1"
        assert rows(warehouse, twice) == []


def _arrivals(warehouse: object) -> list[tuple[int, int]]:
    return rows(warehouse, "SELECT number, through FROM raw.arrivals")  # type: ignore[arg-type,return-value]


def _until_all_arrived(stack: Stack, bigquery: BigQueryServer, count: int) -> None:
    """As the server has them: a query of ours could meet a fault."""
    deadline = time.monotonic() + EQUAL_WITHIN_S
    numbers: set[int] = set()
    while len(numbers) < count:
        stack.require_alive()
        assert time.monotonic() < deadline, f"{count - len(numbers)} of {count} messages have not arrived"
        time.sleep(0.2)
        for row in bigquery.table("arrivals").arrow().select(["number", "through"]).to_pylist():
            numbers |= set(range(row["number"], row["through"] + 1))
