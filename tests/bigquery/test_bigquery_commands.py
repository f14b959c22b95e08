"""The console script on BigQuery: the case study, the stream, a batch, dead letters, and what it prints."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from batch_shop import BatchShop

from demo.servers import PubSubEmulator
from demo.stack import Stack, shop_config
from schemas import topic
from schemas.event import Message
from tests.bigquery.console import command
from tests.bigquery.server import BigQueryServer
from tests.bigquery.shop_stream import PROJECT, shop_messages
from tests.builders import CHARGES, MAPPED, charge, event, message
from tests.conftest import Server
from tests.e2e.test_case_study import FIRST, ORDERS, SECOND, versions

Run = Callable[..., str]


@pytest.fixture
def run(bigquery: BigQueryServer, tmp_path: Path) -> Run:
    (tmp_path / "shop.yaml").write_text(
        f"preset: case_study\ntime_zone: Europe/Paris\ncurrency: EUR\nwarehouse: {bigquery.warehouse}\n"
    )
    (tmp_path / "orders.jsonl").write_bytes(
        b"\n".join([ORDERS.line(), *versions(FIRST, 1), *versions(SECOND, 11), b""])
    )
    refund = event("c", charge(6, 2, "-50.00", "2022-07-20"), 10)
    (tmp_path / "charges.jsonl").write_bytes(b"\n".join([CHARGES.line(), refund]))
    return lambda *arguments, status=0: command(tmp_path, *arguments, status=status)


def lines(run: Run, sql: str) -> list[str]:
    return run("query", "--format", "csv", sql).splitlines()[1:]


def test_the_case_study(run: Run) -> None:
    run("replay", "orders.jsonl")
    assert "scanned" in run("rollup", "--as-of", "2022-07-31")
    newest = "SELECT id, ordered_on, status, amount, DATE(updated_at) FROM orders ORDER BY id"
    assert list(csv.reader(lines(run, newest)))[1] == ["2", "2022-01-12", "partial_refunded", "150.00", "2022-07-20"]
    triangle = "SELECT cohort_month, customers, ltv FROM ltv_cohorts ORDER BY cohort_month, month_number"
    gross = [225, 375, 375, 375, 375, 375, 675]
    assert _triangle(run, triangle) == [("2022-01-01", "2", ltv) for ltv in gross] + [("2022-04-01", "1", 150)] * 4
    run("replay", "charges.jsonl", "orders.jsonl")
    run("rollup", "--as-of", "2022-07-31")
    net = [225, 375, 375, 375, 375, 375, 625]
    assert _triangle(run, triangle) == [("2022-01-01", "2", ltv) for ltv in net] + [("2022-04-01", "1", 150)] * 4
    assert lines(run, "SELECT COUNT(*) FROM orders_history") == ["7"]
    assert "0 rows" in run("dead-letters")


def _triangle(run: Run, sql: str) -> list[tuple[str, str, float]]:
    return [(month, customers, float(ltv)) for month, customers, ltv in csv.reader(lines(run, sql))]


def test_the_stream_and_its_dead_letters(
    bigquery: BigQueryServer, pubsub: PubSubEmulator, server_id: int, tmp_path: Path
) -> None:
    """Lines that cannot be read, and a row that BigQuery refuses, which goes through when the cause is mended."""
    name = bigquery.dataset.replace("_", "-")
    shop = shop_config("mysql://root@127.0.0.1:1", server_id, topic=f"c-{name}", subscription=f"s-{name}")
    settings = {**shop, "warehouse": bigquery.warehouse, "tables": MAPPED, "segments": []}
    topic.ensure(PROJECT, f"c-{name}", f"s-{name}")
    client = topic.publisher()
    refund = message(CHARGES, event("c", charge(900, 1, "-1.00"), 5_000), id="refused")
    poison = Message(b"\xff\xfe", {})
    topic.publish(client, topic.topic_path(PROJECT, f"c-{name}"), [*shop_messages(200), refund, poison])
    client.transport.close()
    bigquery.faults.refuse_row = lambda table, row: "not on a Monday" if row.get("id") == 900 else None
    with Stack(tmp_path, settings, pubsub) as stack:
        stack.start_pipeline("--until-idle", "1")
        assert stack.pipeline is not None
        stack.pipeline._process.wait(60)
        assert stack.pipeline._process.returncode == 0, stack.pipeline.log.read_text(errors="replace")[-2000:]
    shown = command(tmp_path, "dead-letters", "--format", "csv")
    assert "not on a Monday" in shown and "not_utf8" in shown
    assert bigquery.table("arrivals").count() == 200
    assert 900 not in bigquery.table("charges").arrow()["id"].to_pylist()
    again = command(tmp_path, "dead-letters", "--retry")
    assert "0 applied, 2 dead again" in again
    bigquery.faults.refuse_row = None
    assert "1 applied, 1 dead again" in command(tmp_path, "dead-letters", "--retry")
    assert 900 in bigquery.table("charges").arrow()["id"].to_pylist()
    assert "not on a Monday" not in command(tmp_path, "dead-letters")


def test_a_batch(bigquery: BigQueryServer, server: Server, database: str, server_id: int, tmp_path: Path) -> None:
    """In chunks, and again, which changes nothing; then without a row that has vanished."""
    shop = BatchShop(server, database, tmp_path, server_id)
    shop.settings["warehouse"] = bigquery.warehouse
    shop.write()
    done = shop.batch(chunk_rows=50)
    assert sum(done.rows.values()) > 100
    shop.assert_equal()
    entries = shop.query("SELECT COUNT(*), SUM(amount) FROM ltv_entries")
    shop.batch()
    assert shop.query("SELECT COUNT(*), SUM(amount) FROM ltv_entries") == entries
    with shop.connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {database}.charges ORDER BY id LIMIT 1")
    shop.batch()
    shop.assert_equal()
    assert bigquery.table("load_chunks").count() > 3


def test_a_query_of_a_user(run: Run, bigquery: BigQueryServer) -> None:
    run("replay", "orders.jsonl")
    assert "Syntax error" in (said := run("query", "SELEC 1", status=1)) or "not GoogleSQL" in said
    assert "nothing_such" in run("query", "SELECT nothing_such FROM orders", status=1)
    assert "is not a query" in run("query", "DELETE FROM orders WHERE TRUE", status=1)
    assert bigquery.table("orders").count() == 5
