"""Rows that fit into no message, from real servers over the emulator into the warehouse: the stream goes on, the money
is there, and a letter says what is not."""

from __future__ import annotations

import contextlib
import io
import logging
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from shop_rows import rows
from worker_shop import REPOSITORY, Shop, Topic

from binlog_worker import metrics
from binlog_worker.sinks.oversized import LARGEST_DATA_BYTES
from demo.servers import PubSubEmulator
from pipeline.warehouse import open_warehouse
from schemas import topic
from schemas.config_file import load_config
from schemas.event import Message
from schemas.sequence import parse_sequence

MEGABYTES = 1_000_000


@pytest.fixture
def shop(server: Any, database: str, tmp_path: Path, server_id: int) -> Iterator[Shop]:
    made = Shop(server.connect, server.dsn, database, tmp_path, server_id)
    made.write(warehouse="duckdb:ltv.duckdb")
    yield made
    made.connection.close()


def write_large_rows(shop: Shop) -> None:
    """Orders 1, 3 are ordinary; 2 and 5 are larger than a message, 5 is deleted again; 4 fits, but not both its images;
    6 is just small enough."""
    row = "INSERT INTO orders VALUES ({}, 1, '2022-01-13 10:00:00', {}, 'paid', REPEAT('{}', {}))"
    shop.sql(
        row.format(1, 10, "n", 5),
        row.format(2, 20, "n", 12 * MEGABYTES),
        row.format(3, 30, "n", 5),
        row.format(4, 40, "é", 3 * MEGABYTES),
        "UPDATE orders SET status = 'shipped' WHERE id = 4",
        row.format(5, 50, "n", 12 * MEGABYTES),
        "DELETE FROM orders WHERE id = 5",
        row.format(6, 60, "n", LARGEST_DATA_BYTES - 2_000),
        "UPDATE orders SET status = 'shipped' WHERE id = 1",
    )


def pipeline(shop: Shop, *arguments: str) -> str:
    command = [sys.executable, "-m", "pipeline", arguments[0], "-c", str(shop.folder / "shop.yaml"), *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_warehouse(shop: Shop) -> None:
    config = load_config(shop.folder / "shop.yaml")
    with contextlib.closing(open_warehouse(config, read_only=True)) as warehouse:
        found = "SELECT id, CAST(amount AS STRING), status, LENGTH(note) FROM orders"
        assert rows(warehouse, found) == {
            (1, "10.00", "shipped", 5),
            (2, "20.00", "paid", None),
            (3, "30.00", "paid", 5),
            (4, "40.00", "shipped", 3 * MEGABYTES),
            (6, "60.00", "paid", LARGEST_DATA_BYTES - 2_000),
        }
        assert rows(warehouse, "SELECT CAST(SUM(amount) AS STRING) FROM ltv_entries") == {("160.000000000",)}
        letters = "SELECT reason, `table`, data, message_id FROM raw.dead_letters"
        said = {orjson.loads(bytes(row[2]))["dead_letter"]["key"]["id"]: row for row in rows(warehouse, letters)}
        assert said.keys() == {2, 5}
        for row in said.values():
            assert row[:2] == ("oversized_values", f"{shop.database}.orders")
            body = orjson.loads(row[2])
            assert body["dead_letter"]["columns"] == {"note": 12 * MEGABYTES + 2}
            assert body["dead_letter"]["bytes"] > 12 * MEGABYTES
            place = parse_sequence(row[3])
            assert (place.position, body["source"]["sequence"]) == (body["source"]["pos"], row[3])


def test_everything_else_arrives_and_the_letters_are_there(shop: Shop, pubsub: PubSubEmulator) -> None:
    write_large_rows(shop)
    worker = shop.program("--until-caught-up", "--from", shop.begin)
    _, log = worker.communicate(timeout=60)
    assert worker.returncode == 0, log
    said = [orjson.loads(line) for line in log.splitlines() if "too large for a message" in line]
    assert [(line["level"], line["key"], line["outcome"], line.get("left_out")) for line in said] == [
        ("warning", "id=2", "without_columns", "note"),
        ("info", "id=4", "without_before", None),
        ("warning", "id=5", "without_columns", "note"),
        ("warning", "id=5", "without_columns", "note"),
    ]
    pipeline(shop, "stream", "--until-idle", "2")
    check_warehouse(shop)
    listed = pipeline(shop, "dead-letters", "--format", "json")
    errors = {orjson.loads(line)["error"] for line in listed.splitlines()}
    assert len(errors) == 2 and all("sent without note (12,000,002 bytes)" in error for error in errors)
    told = pipeline(shop, "dead-letters", "--retry")
    assert "1 overtaken by a later version of their row" in told, "it was deleted"
    assert "1 cannot be put through again" in told and "exclude" in told
    assert len(pipeline(shop, "dead-letters", "--format", "json").splitlines()) == 1


def test_files_hold_what_the_topic_would_get(shop: Shop) -> None:
    write_large_rows(shop)
    counter = metrics.OVERSIZED.labels(f"{shop.database}.orders", "without_columns")
    shop.run()
    assert counter._value.get() == 3
    size = max(len(line) for file in shop.out.iterdir() for line in io.BytesIO(file.read_bytes()))
    assert LARGEST_DATA_BYTES - 2_000 < size < LARGEST_DATA_BYTES
    pipeline(shop, "replay", str(shop.out))
    check_warehouse(shop)


class Crash(Exception):
    """Ends a run from inside, as a defect would."""


def test_a_restart_at_the_letter_gives_the_same_again(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """What was sent before the crash and what is sent after it are the same row and the same letter."""
    caplog.set_level(logging.ERROR)
    shop.insert(1, 1)
    shop.sql("INSERT INTO orders VALUES (2, 1, '2022-01-13 10:00:00', 20, 'paid', REPEAT('n', 12000000))")
    shop.insert(3, 1)
    before, after = Topic(), Topic()

    def send(messages: Any) -> None:
        if messages[0].attributes.get("kind") == "dead_letter":
            raise Crash
        before(messages)

    one_by_one = {"requests": 1, "request_messages": 1, "buffer_messages": 2}
    shop.write(max_events_per_message=1)
    with pytest.raises(Crash):
        shop.run(send, limits=one_by_one)
    assert before.of("dead_letter") == []
    shop.run(after)
    assert sorted({*before.ids(), *after.ids()}) == [1, 2, 3]
    assert after.ids()[-1] == 3
    (letter,) = after.of("dead_letter")
    sent = {
        message.attributes["last_sequence"]
        for sink in (before, after)
        for message in sink.of()
        if b'"note":null' in message.data
    }
    assert sent == {letter.attributes["last_sequence"]}
    numbers = sorted(int(message.attributes["number"]) for message in after.messages)
    assert numbers == list(range(1, len(numbers) + 1))


def test_pubsub_takes_the_largest_message(pubsub: PubSubEmulator) -> None:
    name = f"large-{uuid.uuid4().hex[:8]}"
    topic.ensure("local-shop", name, name)
    client = topic.publisher()
    data = b"x" * LARGEST_DATA_BYTES
    topic.publish(client, topic.topic_path("local-shop", name), [Message(data, {"table": "t" * 385})])
    client.transport.close()
    subscription = topic.Subscription("local-shop", name)
    (pulled,) = subscription.pull()
    assert pulled.message.data == data
    subscription.acknowledge([pulled.ack_id])
    subscription.close()
