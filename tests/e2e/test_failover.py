"""After a failover exactly what was not delivered comes from the other server, or it is said what cannot."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gtid_shop import executed, purge
from worker_shop import Running, Topic, shop_on, until

from demo.servers import MariaDB
from schemas.errors import LtvError, SourceChanged


class Pair:
    """A primary and its replica, and a worker's shop on the primary."""

    def __init__(self, folder: Path, server_id: int, *options: str) -> None:
        self.primary = MariaDB(folder / "primary").start()
        self.replica = MariaDB(folder / "replica", ["--server-id=2", *options]).start()
        self.shop = shop_on(self.primary, "shop", folder, server_id)
        self.on_replica = self.replica.connect(autocommit=True)
        self.query(
            f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={self.primary.port}, MASTER_USER='root',"
            " MASTER_USE_GTID=slave_pos",
            "START SLAVE",
        )
        self.caught_up()

    def query(self, *statements: str) -> tuple[tuple[Any, ...], ...]:
        with self.on_replica.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def caught_up(self) -> None:
        """The replica has applied all that the primary has logged."""
        until(lambda: self.query("SELECT @@gtid_slave_pos")[0][0] == executed(self.shop, False))

    def fail_over(self, port: int | None = None) -> None:
        """The primary dies, the replica takes its place in shop.yaml."""
        self.primary.kill()
        self.query("STOP SLAVE", "RESET SLAVE ALL")
        if port is not None:
            self.replica.stop()
            self.replica.port = port
            self.replica.start()
        self.shop.connect = self.replica.connect
        self.shop.connection = self.replica.connect(database="shop", autocommit=True)
        self.shop.write(source=self.replica.dsn())

    def refusal(self) -> LtvError:
        with pytest.raises(SourceChanged) as caught:
            self.shop.run(Topic())
        assert caught.value.hint and "--epoch 2" in caught.value.hint
        return caught.value

    def go_on(self, error: LtvError) -> list[int]:
        """What comes when one does as the hint says."""
        command = re.search(r"`--epoch (\d+) --from '?([^`']+)'?`", error.hint or "")
        assert command, error.hint
        sink = Topic()
        self.shop.run(sink, epoch=int(command[1]), begin=command[2])
        return sink.ids()

    def stop(self) -> None:
        self.primary.stop()
        self.replica.stop()


@pytest.fixture
def pair(tmp_path: Path, server_id: int, request: pytest.FixtureRequest) -> Iterator[Pair]:
    made = Pair(tmp_path, server_id, *getattr(request, "param", ["--log-slave-updates"]))
    yield made
    made.stop()


def test_failover_to_a_replica_that_has_everything(pair: Pair) -> None:
    """Nothing is lost, nothing comes twice; what the primary had not delivered yet comes from the replica."""
    sink = Topic()
    pair.shop.insert(1, 2)
    pair.shop.run(sink)
    pair.shop.insert(3, 2)
    pair.caught_up()
    pair.fail_over()
    pair.shop.insert(5, 2)
    error = pair.refusal()
    assert "the server is 2" in error.message
    assert error.hint and "nothing is lost" in error.hint and "shop.orders" not in error.hint
    assert pair.go_on(error) == [3, 4, 5, 6]
    pair.shop.insert(7, 1)
    pair.shop.run(sink)
    assert sink.ids() == [1, 2, 7], "the checkpoint is of the new server"


def test_failover_to_a_replica_that_lacks_what_was_delivered(pair: Pair) -> None:
    sink = Topic()
    pair.shop.insert(1, 2)
    pair.caught_up()
    pair.query("STOP SLAVE")
    pair.shop.insert(3, 1)
    lost = executed(pair.shop, False)
    pair.shop.run(sink)
    assert sink.ids() == [1, 2, 3]
    pair.fail_over()
    pair.shop.insert(4, 2)
    error = pair.refusal()
    assert f"lacks transactions that were delivered: {lost}" in error.message
    assert error.hint and "load these tables again" in error.hint and "shop.orders" in error.hint
    assert pair.go_on(error) == [4, 5], "order 4 stands where the lost one stood in the log, and is not passed over"


def test_failover_to_a_replica_whose_logs_are_purged(pair: Pair) -> None:
    pair.shop.insert(1, 1)
    pair.shop.run(Topic())
    pair.shop.insert(2, 1)
    pair.caught_up()
    pair.fail_over()
    pair.query("FLUSH BINARY LOGS")
    purge(pair.shop)
    pair.shop.insert(3, 1)
    error = pair.refusal()
    assert "has no log any more" in error.message
    assert error.hint and "--from earliest" in error.hint and "shop.orders" in error.hint
    assert pair.go_on(error) == [3]


@pytest.mark.parametrize("pair", [["--skip-log-slave-updates"]], indirect=True)
def test_failover_to_a_replica_that_does_not_log_what_it_applies(pair: Pair) -> None:
    pair.shop.insert(1, 2)
    pair.caught_up()
    pair.shop.run(Topic())
    pair.fail_over()
    pair.shop.insert(3, 2)
    error = pair.refusal()
    assert error.hint and "nothing is lost" in error.hint
    assert pair.go_on(error) == [3, 4]


@pytest.mark.parametrize("pair", [["--skip-log-slave-updates"]], indirect=True)
def test_what_such_a_replica_applied_and_nobody_delivered_is_named(pair: Pair) -> None:
    pair.shop.insert(1, 1)
    pair.shop.run(Topic())
    pair.shop.insert(2, 1)
    pair.caught_up()
    pair.fail_over()
    error = pair.refusal()
    assert "without log_slave_updates" in error.message
    assert error.hint and "--from earliest" in error.hint and "shop.orders" in error.hint


def test_failover_under_a_running_worker(pair: Pair) -> None:
    """The same address leads to another server: the worker stops and says how to go on, by what is confirmed."""
    sink = Topic()
    pair.shop.write(heartbeat_seconds=0.2)
    with Running(pair.shop, send=sink, read_timeout_s=2) as running:
        pair.shop.insert(1, 2)
        until(lambda: sink.ids() == [1, 2])
        pair.caught_up()
        pair.fail_over(pair.primary.port)
        error = running.join(30)
    assert isinstance(error, SourceChanged), error
    assert error.hint and "nothing is lost" in error.hint
    pair.shop.insert(3, 1)
    assert pair.go_on(error) == [3]
