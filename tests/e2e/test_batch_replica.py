"""A batch that reads from a replica, and a worker that tails its source: nothing is lost in between."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_shop import BatchShop
from replicas import Pair, mariadb_pair, mysql_pair
from shop_writers import ShopWriters
from worker_shop import until

from binlog_worker.run import Options, run
from binlog_worker.stopping import Stopping
from pipeline.replay import replay
from schemas.checkpoint_store import CheckpointFile
from schemas.errors import ReplicaStopped
from schemas.sequence import binlog_number

DATABASE = "shop_of_two"
KINDS = ["mariadb", *(pytest.param(name, marks=pytest.mark.mysql) for name in ("mysql-gtids", "mysql-positions"))]


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    opened = mariadb_pair(folder) if request.param == "mariadb" else mysql_pair(folder, gtids="gtids" in request.param)
    with opened as made:
        yield made


@pytest.fixture
def shop(pair: Pair, tmp_path: Path, server_id: int) -> Iterator[BatchShop]:
    made = BatchShop(pair.source, f"{DATABASE}_{server_id}", tmp_path, server_id)
    until(pair.caught_up)
    yield made
    pair.on_replica(pair.stop, pair.at_once, pair.start)
    made.connection.close()


def catch_up(shop: BatchShop) -> None:
    folder = shop.folder / "events"
    run(shop.config, Options(folder=folder, until_caught_up=True), Stopping())
    replay(shop.config, [str(folder)])


def stamped_behind(shop: BatchShop, place: tuple[str, int]) -> bool:
    """Whether the checkpoint that the batch has written is below a place in the log."""
    stored = CheckpointFile(shop.folder / "checkpoint.json").read()
    assert stored is not None
    return stored.place.order[:2] < (binlog_number(place[0])[1], place[1])


def test_a_replica_that_is_behind(shop: BatchShop, pair: Pair) -> None:
    """What it has not applied yet comes from the log of its source."""
    pair.fall_behind()
    shop.sql(
        "UPDATE orders SET amount = amount + 1 WHERE id % 2 = 0",
        "DELETE FROM charges WHERE id % 3 = 0",
        "INSERT INTO customers (country, channel) VALUES ('FR', 'mail')",
    )
    now = pair.position()
    shop.batch(replica=pair.replica, chunk_rows=20)
    assert stamped_behind(shop, now)
    stored = CheckpointFile(shop.folder / "checkpoint.json").read()
    assert stored is not None and stored.identity.server == pair.identity, "the checkpoint speaks of the source"
    with pytest.raises(AssertionError):
        shop.assert_equal()
    catch_up(shop)
    shop.assert_equal()


def test_a_source_that_is_written_to(shop: BatchShop, pair: Pair) -> None:
    """Eight writers commit while chunks are read from the replica, which applies their changes meanwhile."""
    with ShopWriters(pair.source, shop.database):
        shop.batch(replica=pair.replica, chunk_rows=20, rows_per_second=400)
        until(lambda: stamped_behind(shop, pair.position()))
    catch_up(shop)
    shop.assert_equal()


def test_a_replica_that_has_stopped(shop: BatchShop, pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    pair.on_replica(pair.stop)
    with pytest.raises(ReplicaStopped, match="applies no changes") as caught:
        shop.batch(replica=pair.replica)
    assert caught.value.hint and "START REPLICA" in caught.value.hint
    pair.on_replica(pair.start)
    until(pair.caught_up)
    with caplog.at_level(logging.INFO):
        shop.batch(replica=pair.replica)
    shop.assert_equal()
