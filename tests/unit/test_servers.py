"""The private servers: they answer, survive a kill, leave nothing behind, and say what to install."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pymysql
import pytest
from google.cloud import pubsub_v1

from demo import mariadb, pubsub
from demo.process import PORTS, ServerFailed, ServerMissing, ServerProcess, free_port
from demo.servers import MariaDB, PubSubEmulator, ensure_mariadb

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


def alive(pid: int | None) -> bool:
    """Also false for a zombie, which nobody may be there to wait for."""
    assert pid is not None
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not (held := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return held


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("JAVA_HOME", "CLOUDSDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mariadb, "SERVER_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(pubsub, "SDK_FOLDERS", ())


def test_a_free_port_is_below_the_ephemeral_ones() -> None:
    assert {free_port() in PORTS for _ in range(20)} == {True}


@pytest.mark.usefixtures("nothing_installed")
def test_what_to_install_is_said(tmp_path: Path) -> None:
    for start in (ensure_mariadb, MariaDB(tmp_path).start):
        with pytest.raises(ServerMissing, match="mariadbd") as missing:
            start()
        assert "apt-get install mariadb-server" in (missing.value.hint or "")
    with pytest.raises(ServerMissing, match="google's") as missing:
        PubSubEmulator(tmp_path, kind="google").start()
    assert "drongo" in (missing.value.hint or "")
    assert PubSubEmulator(tmp_path).kind == "drongo"


def test_mariadb_keeps_port_and_data_over_a_kill_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)  # longer than a socket's path may be
    with MariaDB(folder, ["--max-connections=33"]) as server:
        first, dsn = server.pid, server.dsn()
        with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT @@log_bin, @@binlog_format, @@binlog_row_image, @@binlog_row_metadata, @@server_id")
            assert cursor.fetchall() == ((1, "ROW", "FULL", "FULL", 1),)
            cursor.execute("SELECT @@max_connections")
            assert cursor.fetchall() == ((33,),)
            cursor.execute("CREATE DATABASE shop")
            cursor.execute("CREATE TABLE shop.t (id INT PRIMARY KEY) SELECT 7 AS id")
        server.kill()
        assert not server.running
        assert not alive(first)
        with pytest.raises(pymysql.err.OperationalError):
            server.connect()
        server.restart()
        assert server.dsn() == dsn
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT id FROM shop.t")
            assert cursor.fetchall() == ((7,),)
        second, socket_folder = server.pid, server._socket_folder
    assert second != first
    assert not alive(second)
    assert socket_folder is not None
    assert not Path(socket_folder).exists()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="ended with status") as failed:
        MariaDB(tmp_path, ["--no-such-option"]).start()
    assert "no-such-option" in (failed.value.hint or "")


def test_a_server_that_never_answers_is_stopped(tmp_path: Path) -> None:
    process = ServerProcess("sleeper", SLEEPER, tmp_path / "log")
    with pytest.raises(ServerFailed, match="did not answer within"):
        process.wait_until(lambda: False, seconds=0.1)
    assert not alive(process.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals are Linux's")
@pytest.mark.parametrize("ending", ["os.kill(os.getpid(), 9)", "sys.exit(1)"])
def test_a_server_ends_with_its_parent(tmp_path: Path, ending: str) -> None:
    parent = (
        "import os, sys; from pathlib import Path; from demo.process import ServerProcess\n"
        f"print(ServerProcess('sleeper', {SLEEPER!r}, Path({str(tmp_path / 'log')!r})).pid, flush=True)\n{ending}"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", parent], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert eventually(lambda: not alive(int(done.stdout))), done.stderr


@pytest.mark.parametrize("kind", ["google", "drongo"])
def test_an_emulator_delivers_again_until_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "google" and not pubsub.google_emulator():
        pytest.skip("Google's emulator is not installed")
    large = bytes(5_000_000)  # above gRPC's default limit of 4 MB
    with PubSubEmulator(tmp_path, kind=kind) as emulator:  # type: ignore[arg-type]
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.host)
        publisher, subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
        topic = publisher.topic_path("local-shop", "changes")
        subscription = subscriber.subscription_path("local-shop", "ltv")
        publisher.create_topic(name=topic)
        subscriber.create_subscription(name=subscription, topic=topic, ack_deadline_seconds=10)
        publisher.publish(topic, b"one", table="shop.orders").result(10)

        def pull() -> list[tuple[bytes, str]]:
            request = {"subscription": subscription, "max_messages": 10}
            return [(got.message.data, got.ack_id) for got in subscriber.pull(request, timeout=15).received_messages]

        ((data, ack_id),) = pull()
        assert data == b"one"
        subscriber.modify_ack_deadline(subscription=subscription, ack_ids=[ack_id], ack_deadline_seconds=1)
        again: list[tuple[bytes, str]] = []
        assert eventually(lambda: again.extend(pull()) or bool(again))  # type: ignore[func-returns-value]
        assert again[0][0] == b"one"
        subscriber.acknowledge(subscription=subscription, ack_ids=[again[0][1]])
        if kind == "drongo":
            assert publisher.publish(topic, large).result(10)
        publisher.stop()
        publisher.transport.close()
        subscriber.close()
        pid = emulator.pid
    assert not alive(pid)
