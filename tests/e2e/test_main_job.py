"""The main job on real servers: the case study's shop, through binlog, topic and graph, to the cohorts it must give."""

from __future__ import annotations

import contextlib
import datetime as dt
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from log_variants import COVERING, Variant, VariantServer
from shop_rows import position, rows

from demo.process import ServerProcess
from demo.servers import PubSubEmulator
from demo.shop import write_case_study
from demo.stack import PROJECT, Stack, shop_config
from pipeline.warehouse import open_warehouse
from schemas import topic
from schemas.config_file import load_config
from schemas.event import Message
from tests.conftest import Server

COHORTS = """\
cohort_month,month_number,customers,ltv_gross,ltv,is_open
2022-01-01,0,2,225.00,225.00,false
2022-01-01,1,2,375.00,375.00,false
2022-01-01,2,2,375.00,375.00,false
2022-01-01,3,2,375.00,375.00,false
2022-01-01,4,2,375.00,375.00,false
2022-01-01,5,2,375.00,375.00,false
2022-01-01,6,2,675.00,625.00,true
2022-04-01,0,1,150.00,150.00,false
2022-04-01,1,1,150.00,150.00,false
2022-04-01,2,1,150.00,150.00,false
2022-04-01,3,1,150.00,150.00,true
"""
ORDERS = {
    (1, dt.date(2022, 1, 1), "completed", Decimal(75)),
    (2, dt.date(2022, 1, 12), "partial_refunded", Decimal(150)),
    (3, dt.date(2022, 2, 3), "completed", Decimal(150)),
    (4, dt.date(2022, 4, 6), "completed", Decimal(150)),
    (5, dt.date(2022, 7, 5), "shipped", Decimal(300)),
}
POISON = {
    "not_utf8": b"\xff\xfe\x00",
    "not_json": b"{'op': 'c'}",
    "not_an_event": b"[1, 2, 3]",
    "unknown_table": b'{"op":"c","before":null,"after":{"id":1},"source":{"db":"other","table":"table"}}',
    "bad_schema": b'{"schema":{"table":"shop.orders","primary_key":["id"],"columns":[]}}\n{"op":"c"}',
}


def _ends_well(process: ServerProcess, seconds: float) -> None:
    process._process.wait(seconds)
    assert process._process.returncode == 0, process.log.read_text(errors="replace")[-2000:]


def _cli(stack: Stack, *arguments: str) -> str:
    command = [sys.executable, "-m", "pipeline", arguments[0], "-c", str(stack.config_file), *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def server(variants: VariantServer) -> Server:
    """Of `database`, too."""
    return variants.server


@pytest.mark.parametrize("variant", COVERING, ids=str)
def test_the_case_study_out_of_the_binlog(
    variants: VariantServer,
    variant: Variant,
    server: Server,
    database: str,
    server_id: int,
    pubsub: PubSubEmulator,
    tmp_path: Path,
) -> None:
    """Four of the eight ways to write and read the log, which hold every pair; `test_worker_variants` has all eight for
    the worker, behind which nothing of them is left."""
    names = {"topic": f"job-{database}", "subscription": f"sub-{database}"}
    encryption = variants.tls if variant.tls else {"tls": "disabled"}
    config = {**shop_config(server.dsn, server_id, database=database, **names), **encryption}
    with (
        variants.writing(variant),
        contextlib.closing(server.connect()) as connection,
        Stack(tmp_path, config, pubsub) as stack,
    ):
        begin = position(connection)
        write_case_study(connection, database)
        assert variants.compressed(begin) is variant.compressed
        _ends_well(stack.start_worker("--from", begin, "--until-caught-up"), 60)
        client = topic.publisher()
        topic.publish(
            client, topic.topic_path(PROJECT, names["topic"]), [Message(data, {}) for data in POISON.values()]
        )
        client.transport.close()
        _ends_well(stack.start_pipeline("--until-idle", "1"), 60)
        stack.worker = stack.pipeline = None
        _cli(stack, "rollup", "--as-of", "2022-07-31")
        shown = "SELECT cohort_month, month_number, customers, ltv_gross, ltv, is_open FROM ltv_cohorts"
        order = "ORDER BY cohort_month, month_number"
        assert _cli(stack, "query", f"{shown} {order}", "--format", "csv") == COHORTS
        with contextlib.closing(open_warehouse(load_config(stack.config_file), read_only=True)) as warehouse:
            assert rows(warehouse, "SELECT id, ordered_on, status, amount FROM orders") == ORDERS
            assert rows(warehouse, "SELECT COUNT(*) FROM orders_history WHERE id = 2") == {(2,)}
            assert sorted(letter.reason for letter in warehouse.dead_letters()) == sorted(POISON)


@pytest.mark.parametrize("command", ["rollup", "query"])
def test_beside_a_running_stream(command: str, pubsub: PubSubEmulator, server_id: int, tmp_path: Path) -> None:
    config = shop_config("mysql://root@127.0.0.1:1", server_id, topic=f"beside-{command}", subscription=f"b-{command}")
    with Stack(tmp_path, config, pubsub) as stack:
        stack.start_pipeline()
        stack.wait_until(lambda: (tmp_path / "ltv.duckdb.server").exists(), 60, "the stream shares its file")
        if command == "rollup":
            assert "ltv_cohorts" in _cli(stack, "rollup")
        else:
            found = _cli(stack, "query", "SELECT COUNT(*) AS entries FROM ltv_entries", "--format", "csv")
            assert found == "entries\n0\n"
        assert stack.pipeline is not None
        assert stack.pipeline.alive()
        stack.pipeline.terminate(20)
        assert stack.pipeline._process.returncode == 0, "SIGTERM stops a stream cleanly"
        assert not (tmp_path / "ltv.duckdb.server").exists()
