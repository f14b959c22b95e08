"""The worker on real servers: what it delivers, where it goes on, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from proxy import Proxy
from worker_shop import Running, Shop, Topic, orders, until

from binlog_worker import server as server_module
from demo.servers import free_port
from schemas import topic
from schemas.errors import (
    CheckpointError,
    DuplicateServerId,
    SourceChanged,
    StatementInBinlog,
    TopicRefused,
    TopicUnavailable,
    UnsupportedRowImage,
    UsageError,
)
from schemas.event import Message
from schemas.sequence import parse_sequence


@pytest.fixture
def shop(server: Any, database: str, tmp_path: Path, server_id: int) -> Iterator[Shop]:
    made = Shop(server.connect, server.dsn, database, tmp_path, server_id)
    yield made
    made.connection.close()


class Crash(Exception):
    """Ends a run from inside, as a defect would."""


ONE_BY_ONE = {"requests": 1, "request_messages": 1, "buffer_messages": 2}


def crash_after(messages: int, pause_s: float = 0.0) -> Any:
    """A slow topic that takes so many messages and then crashes the run."""
    sink = Topic()

    def send(batch: Any) -> None:
        if len(sink.messages) >= messages:
            raise Crash
        time.sleep(pause_s)
        sink(batch)

    return sink, send


def test_messages_carry_what_the_pipeline_counts_on(shop: Shop) -> None:
    shop.write(max_events_per_message=3)
    shop.insert(1, 7)
    sink = Topic()
    shop.run(sink)
    messages = sorted(sink.messages, key=lambda message: int(message.attributes["number"]))
    assert [message.attributes["number"] for message in messages] == [str(n + 1) for n in range(len(messages))]
    assert len({message.attributes["run"] for message in messages}) == 1
    assert {message.attributes["source"].rpartition(":")[2] for message in messages} == {"1"}
    data = [message for message in messages if "kind" not in message.attributes]
    assert [message.attributes["events"] for message in data] == ["3", "3", "1"]
    for message in data:
        head, *events = map(orjson.loads, message.data.split(b"\n"))
        attributes = message.attributes
        assert attributes["table"] == head["schema"]["table"] == f"{shop.database}.orders"
        assert attributes["schema"] == head["schema"]["fingerprint"]
        assert [attributes["first_sequence"], attributes["last_sequence"]] == [
            events[0]["source"]["sequence"],
            events[-1]["source"]["sequence"],
        ]
        source = events[0]["source"]
        assert attributes["committed_at"][:19].replace("T", " ") == time.strftime(
            "%Y-%m-%d %H:%M:%S", time.gmtime(source["ts_ms"] / 1000)
        )
        assert abs(source["ts_us"] / 1e6 - time.time()) < 60
        assert (source["name"], source["snapshot"], source["db"]) == ("shop", "false", shop.database)
        assert source["gtid"]
    heartbeats = sink.of("heartbeat")
    assert heartbeats
    for message in heartbeats:
        body = orjson.loads(message.data)
        assert body["heartbeat"]["sequence"] == message.attributes["last_sequence"]
        assert "table" not in message.attributes


def test_both_halves_of_a_changed_key_have_numbers_of_their_own(shop: Shop) -> None:
    shop.write(max_events_per_message=1)
    shop.insert(1, 1)
    shop.sql("UPDATE orders SET id = 2")
    sink = Topic()
    shop.run(sink)
    attributes = sorted((message.attributes for message in sink.of()), key=lambda one: int(one["number"]))
    assert [one["last_sequence"][-8:] for one in attributes] == ["00000000", "00000000", "00000001"]
    assert all(one["first_sequence"] == one["last_sequence"] for one in attributes)


def test_row_and_transaction_leave_at_once(shop: Shop) -> None:
    """A single order does not wait for company, nor for the server's heartbeat."""
    sink = Topic()
    with Running(shop, send=sink):
        until(lambda: sink.of("heartbeat"))
        began = time.monotonic()
        shop.insert(1, 1)
        until(lambda: sink.ids() == [1])
        assert time.monotonic() - began < 1


def test_idle_source_sends_heartbeats_and_moves_the_checkpoint(shop: Shop) -> None:
    shop.write(heartbeat_seconds=0.1)
    sink = Topic()
    with Running(shop, send=sink, checkpoint_s=0.05):
        until(lambda: len(sink.of("heartbeat")) > 2)
        shop.sql("CREATE TABLE unrelated (id INT)", "INSERT INTO unrelated VALUES (1)")
        end = int(shop.position().rpartition(":")[2])
        until(lambda: shop.checkpoint()["position"] >= end)
        until(lambda: parse_sequence(sink.of("heartbeat")[-1].attributes["last_sequence"]).position >= end)
    assert sink.ids() == []


def test_the_start_is_kept_before_anything_leaves(shop: Shop) -> None:
    """`--from now` means the same place after a crash, however early."""
    places: list[dict[str, Any]] = []
    shop.insert(1, 1)
    shop.run(lambda messages: places.append(shop.checkpoint()))
    assert places and f"{places[0]['file']}:{places[0]['position']}" == shop.begin


def test_goes_on_from_the_checkpoint(shop: Shop) -> None:
    shop.insert(1, 3)
    shop.run()
    shop.insert(4, 3)
    shop.run()
    assert shop.ids() == [1, 2, 3, 4, 5, 6]


def test_restart_inside_a_transaction(shop: Shop) -> None:
    """What was confirmed of a transaction is not sent again, what was not is."""
    shop.write(max_events_per_message=50)
    shop.sql("BEGIN")
    for first in range(0, 3000, 100):
        shop.insert(first, 100, note="x" * 60)
    shop.sql("COMMIT")
    sink, send = crash_after(20, pause_s=0.02)
    with pytest.raises(Crash):
        shop.run(send, limits=ONE_BY_ONE)
    checkpoint = shop.checkpoint()
    assert checkpoint["event"] > checkpoint["position"], "the checkpoint is inside the transaction"
    again = Topic()
    shop.run(again)
    assert set(sink.ids()) | set(again.ids()) == set(range(3000))
    assert 0 < len(again.ids()) < 3000
    assert len(set(again.ids())) == len(again.ids())


def test_restart_inside_one_event(shop: Shop) -> None:
    """Half of one event's rows are confirmed: the event is sent again as a whole, nothing is lost."""
    shop.write(max_events_per_message=10)
    shop.insert(0, 100)
    sink, send = crash_after(3)
    with pytest.raises(Crash):
        shop.run(send, limits=ONE_BY_ONE)
    assert len(sink.ids()) in range(10, 40)
    again = Topic()
    shop.run(again)
    assert set(sink.ids()) | set(again.ids()) == set(range(100))


def test_kill_9_and_the_files_hold_every_change_once(shop: Shop) -> None:
    arguments = ("--from", shop.begin, "--to", str(shop.out))
    shop.insert(0, 500)
    written = 500
    for _ in range(2):
        worker = shop.program(*arguments)
        known = len(shop.ids())
        for _ in range(40):
            shop.insert(written, 50)
            written += 50
        until(lambda known=known: len(shop.ids()) > known + 100)
        worker.kill()
        worker.communicate()
    shop.run()
    assert shop.ids() == list(range(written))


def test_files_sink_refuses_a_foreign_folder(shop: Shop) -> None:
    shop.out.mkdir()
    (shop.out / "changes-00000001.jsonl").write_text("{}\n")
    with pytest.raises(Exception, match="not the checkpoint's"):
        shop.run()
    (shop.out / "changes-00000001.jsonl").unlink()
    shop.insert(1, 1)
    shop.run()
    (shop.out / "changes-00000001.jsonl").write_text("")
    with pytest.raises(CheckpointError, match="shorter"):
        shop.run()


def test_sigterm_ends_in_good_order(shop: Shop) -> None:
    worker = shop.program("--from", shop.begin, "--to", str(shop.out))
    shop.insert(1, 5)
    until(lambda: len(shop.ids()) == 5)
    worker.terminate()
    _, errors = worker.communicate(timeout=20)
    assert worker.returncode == 0, errors
    assert '"stopped"' in errors
    assert "Traceback" not in errors
    assert f"{shop.checkpoint()['file']}:{shop.checkpoint()['position']}" == shop.position()


def test_interrupt_while_the_topic_hangs_and_twice(shop: Shop, pubsub: Any) -> None:
    """The first signal waits for confirmation, the second ends at once."""
    shop.insert(1, 1)
    shop.write(heartbeat_seconds=0.05)
    port = free_port()
    worker = shop.program("--from", shop.begin, "--metrics-port", str(port))

    def heartbeats() -> float:
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        return float(text.partition("\nltv_worker_heartbeats_total ")[2].split()[0])

    until(lambda: shop.checkpoint().get("number", 0) > 0)
    os.kill(pubsub.pid, signal.SIGSTOP)
    try:
        enough = heartbeats() + 3
        until(lambda: heartbeats() >= enough)  # at least one of them is underway for ever
        worker.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            worker.communicate(timeout=0.5)
        worker.send_signal(signal.SIGINT)
        worker.communicate(timeout=5)
    finally:
        os.kill(pubsub.pid, signal.SIGCONT)
    assert worker.returncode == 130
    sink = Topic()
    shop.run(sink)
    assert sink.ids() in ([], [1])


def test_publishes_to_the_emulator(shop: Shop, pubsub: Any) -> None:
    shop.insert(1, 1200)
    done = shop.program("--until-caught-up", "--from", shop.begin)
    _, errors = done.communicate(timeout=30)
    assert done.returncode == 0, errors
    client = topic.subscriber()
    path = topic.subscription_path("local-shop", f"ltv-{shop.database}")
    received: dict[str, Message] = {}
    while sum(int(message.attributes["events"]) for message in received.values()) < 1200:
        for one in client.pull(subscription=path, max_messages=100, timeout=20).received_messages:
            received[one.message.message_id] = Message(one.message.data, dict(one.message.attributes))
    numbers = sorted(int(message.attributes["number"]) for message in received.values())
    assert numbers == list(range(1, len(numbers) + 1))


def test_slow_topic_holds_the_reader_back(shop: Shop) -> None:
    """Nothing is lost and nothing piles up while the topic takes no message."""
    shop.write(heartbeat_seconds=0.05, max_message_bytes=10_000)
    sink = Topic([TopicUnavailable("busy"), TopicUnavailable("busy")])
    sink.gate.clear()
    with Running(shop, send=sink, checkpoint_s=0.02, read_timeout_s=5):
        for first in range(0, 4000, 100):
            shop.insert(first, 100, note="x" * 200)
        assert shop.checkpoint().get("number", 0) == 0
        sink.gate.set()
        until(lambda: len(set(sink.ids())) == 4000)
        until(lambda: f"{shop.checkpoint().get('file')}:{shop.checkpoint().get('position')}" == shop.position())


def test_refused_topic_ends_the_run(shop: Shop) -> None:
    shop.insert(1, 1)
    with Running(shop, send=Topic([TopicRefused("no such topic", hint="create it")])) as running:
        assert isinstance(running.join(), TopicRefused)
    sink = Topic()
    shop.run(sink)
    assert sink.ids() == [1]


def test_statement_dml_stops(shop: Shop) -> None:
    shop.insert(1, 2)
    shop.sql("SET SESSION binlog_format = STATEMENT", "UPDATE orders SET amount = 1", "SET SESSION binlog_format = ROW")
    with pytest.raises(StatementInBinlog) as caught:
        shop.run()
    assert caught.value.table == f"{shop.database}.orders"
    assert caught.value.hint and "binlog_format" in caught.value.hint
    assert shop.ids() == [1, 2]


@pytest.mark.parametrize("setting", ["binlog_row_image = MINIMAL", "binlog_row_image = NOBLOB"])
def test_rows_logged_incompletely_stop(shop: Shop, setting: str) -> None:
    """The settings were right when the run started, but not in a session."""
    shop.insert(1, 1)
    shop.sql(f"SET SESSION {setting}", "UPDATE orders SET amount = 2", f"SET SESSION {setting.split()[0]} = FULL")
    with pytest.raises(UnsupportedRowImage) as caught:
        shop.run()
    assert caught.value.table == f"{shop.database}.orders"
    assert shop.ids() == [1]


def test_second_reader_with_the_same_server_id(shop: Shop, tmp_path: Path) -> None:
    """The older one ends with a clear error."""
    sink = Topic()
    with Running(shop, send=sink) as first:
        until(lambda: sink.of("heartbeat"))
        shop.write(checkpoint="other.json")
        with Running(shop, send=Topic()) as second:
            until(lambda: not (first.alive and second.alive))
            error = first.error or second.error
    assert isinstance(error, DuplicateServerId), error
    assert error.hint and "server_id" in error.hint


def test_two_workers_on_one_checkpoint(shop: Shop) -> None:
    sink = Topic()
    with Running(shop, send=sink):
        until(lambda: sink.of("heartbeat"))
        with pytest.raises(CheckpointError, match="another worker"):
            shop.run(Topic())


@pytest.fixture
def proxy(server: Any) -> Iterator[Proxy]:
    made = Proxy(server.host, server.port)
    yield made
    made.close()


def test_half_open_connection_is_noticed(shop: Shop, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "CLOCK_TIMEOUT_S", 0.2)
    shop.write(source=f"mysql://root@127.0.0.1:{proxy.port}", heartbeat_seconds=0.1)
    sink = Topic()
    with Running(shop, send=sink, read_timeout_s=0.6):
        shop.insert(1, 1)
        until(lambda: sink.ids() == [1])
        proxy.freeze()
        shop.insert(2, 1)
        until(lambda: sink.ids() == [1, 2])


def test_lost_connection_inside_a_transaction(shop: Shop, proxy: Proxy) -> None:
    """The connection is cut while a transaction is half read: no change is lost, none comes twice."""
    shop.write(source=f"mysql://root@127.0.0.1:{proxy.port}", heartbeat_seconds=0.1, max_message_bytes=100_000)
    shop.sql("BEGIN")
    for first in range(0, 4000, 100):
        shop.insert(first, 100, note="x" * 1000)
    shop.sql("COMMIT")
    sink = Topic()
    sink.gate.clear()
    with Running(shop, send=sink, limits={**ONE_BY_ONE, "buffer_messages": 4}):
        until(lambda: shop.checkpoint() and sink.calls == 1)
        accepted = proxy.accepted
        proxy.cut()
        sink.gate.set()
        until(lambda: len(sink.ids()) >= 4000)
        assert proxy.accepted > accepted, "it had to connect again"
        assert sorted(sink.ids()) == list(range(4000))


def test_from_now_from_a_gtid_set_and_bad_ones(shop: Shop, server: Any) -> None:
    shop.sql("FLUSH BINARY LOGS")  # what is passed over begins with the file
    shop.insert(1, 1)
    variable = "gtid_binlog_pos" if server.flavor == "mariadb" else "gtid_executed"
    gtids = str(shop.sql(f"SELECT @@GLOBAL.{variable}")[0][0]).replace("\n", "")
    shop.insert(2, 1)
    sink = Topic()
    shop.run(sink, begin=gtids)
    assert sink.ids() == [2]
    (shop.folder / "checkpoint.json").unlink()
    sink = Topic()
    shop.run(sink, begin="now")
    assert sink.ids() == []
    (shop.folder / "checkpoint.json").unlink()
    for begin, error in (("yesterday", UsageError), ("mysql-bin.000001:3", UsageError)):
        with pytest.raises(error):
            shop.run(sink, begin=begin)
    foreign = "0-1-99999999" if server.flavor == "mariadb" else "aaaaaaaa-e701-11f1-8e0d-02fc00000001:1-5"
    with pytest.raises(SourceChanged):
        shop.run(sink, begin=foreign)


def test_epoch_begins_a_new_order(shop: Shop) -> None:
    shop.insert(1, 1)
    shop.run()
    with pytest.raises(UsageError, match="needs a place"):
        shop.run(epoch=2, begin=None)
    sink = Topic()
    shop.run(sink, epoch=2)
    assert sink.ids() == [1]
    assert {parse_sequence(message.attributes["last_sequence"]).epoch for message in sink.messages} == {2}
    shop.insert(2, 1)
    shop.run(sink, epoch=2)  # the command line of a supervisor stays
    assert sink.ids() == [1, 2]
    with pytest.raises(UsageError, match="below the checkpoint's 2"):
        shop.run(sink, epoch=1)


def test_many_orders_in_several_tables(shop: Shop) -> None:
    """Every table has messages of its own; the mirror keeps its types."""
    shop.sql("CREATE TABLE notes (a INT, b VARCHAR(10), body TEXT, PRIMARY KEY (a, b))")
    shop.write(mirror=[f"{shop.database}.notes"])
    for number in range(20):
        shop.sql(f"INSERT INTO notes VALUES ({number}, 'k', 'text')", orders(number, 1))
    sink = Topic()
    shop.run(sink)
    assert sorted(sink.ids_of("notes", "a")) == list(range(20))
    assert sorted(sink.ids_of("orders", "id")) == list(range(20))
