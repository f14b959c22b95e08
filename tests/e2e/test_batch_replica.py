"""A batch that reads from a replica, and a worker that tails its source: nothing is lost in between."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_shop import BatchShop
from worker_shop import until

from binlog_worker.run import Options, run
from binlog_worker.stopping import Stopping
from demo.servers import MariaDB, ensure_mariadb
from pipeline.replay import replay
from schemas.checkpoint_store import CheckpointFile
from schemas.errors import ReplicaStopped
from schemas.source import SourceAddress
from tests.conftest import Server

DATABASE = "shop_of_two"


class Pair:
    """A source and its replica, as `replica` names it."""

    def __init__(self, source: MariaDB, replica: MariaDB) -> None:
        self.source, self.copy = source, replica
        self.replica = SourceAddress.parse(replica.dsn())

    def on_replica(self, *statements: str) -> list[tuple[object, ...]]:
        with contextlib.closing(self.copy.connect(autocommit=True)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def caught_up(self) -> bool:
        with contextlib.closing(self.source.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT @@GLOBAL.gtid_binlog_pos")
            place = cursor.fetchall()[0][0]
        return self.on_replica(f"SELECT MASTER_GTID_WAIT('{place}', 20)") == [(0,)]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    ensure_mariadb()
    with MariaDB(tmp_path / "source") as source, MariaDB(tmp_path / "replica", ["--server-id=2"]) as replica:
        two = Pair(source, replica)
        two.on_replica(
            f"CHANGE MASTER TO MASTER_HOST='{source.host}', MASTER_PORT={source.port}, MASTER_USER='root',"
            " MASTER_USE_GTID=slave_pos",
            "START SLAVE",
        )
        yield two


@pytest.fixture
def shop(pair: Pair, tmp_path: Path, server_id: int) -> BatchShop:
    made = BatchShop(Server.from_dsn(pair.source.dsn(), "mariadb"), DATABASE, tmp_path, server_id)
    until(pair.caught_up)
    return made


def catch_up(shop: BatchShop) -> None:
    folder = shop.folder / "events"
    run(shop.config, Options(folder=folder, until_caught_up=True), Stopping())
    replay(shop.config, [str(folder)])


def test_a_replica_that_is_behind(shop: BatchShop, pair: Pair) -> None:
    """What it has not applied yet comes from the log of its source."""
    pair.on_replica("STOP SLAVE", "CHANGE MASTER TO MASTER_DELAY=3600", "START SLAVE")
    shop.sql(
        "UPDATE orders SET amount = amount + 1 WHERE id % 2 = 0",
        "DELETE FROM charges WHERE id % 3 = 0",
        "INSERT INTO customers (country, channel) VALUES ('FR', 'mail')",
    )
    now = shop.sql("SHOW MASTER STATUS")[0]
    shop.batch(replica=pair.replica, chunk_rows=20)
    stored = CheckpointFile(shop.folder / "checkpoint.json").read()
    assert stored is not None and stored.place.order[:2] < (int(now[0].rpartition(".")[2]), now[1])
    assert stored.identity.server == "1", "the checkpoint speaks of the source"
    catch_up(shop)
    shop.assert_equal()


def test_a_replica_that_has_stopped(shop: BatchShop, pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    pair.on_replica("STOP SLAVE")
    with pytest.raises(ReplicaStopped) as caught:
        shop.batch(replica=pair.replica)
    assert caught.value.hint
    pair.on_replica("START SLAVE")
    until(pair.caught_up)
    with caplog.at_level(logging.INFO):
        shop.batch(replica=pair.replica)
    shop.assert_equal()
