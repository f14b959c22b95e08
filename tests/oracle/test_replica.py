"""Stamped reads on a real MariaDB replica: below a stamp, in the log of its source, nothing is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from worker_shop import until

from demo.servers import MariaDB
from pipeline.batch.replica import ReplicaSnapshot
from pipeline.batch.stamps import stamped_read
from pipeline.batch.ways import stamping_way
from schemas.checkpoint import Identity
from schemas.errors import ReplicaStopped, SourceRefused
from schemas.source import Connection, describe_server, records, rows
from tests.conftest import Server
from tests.oracle.stamped_shop import WRITERS, StampedShop, log_in, stamped_shop

READS = 150
TAILED = Identity("1", "mysql-bin")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with MariaDB(tmp_path_factory.mktemp("source")) as running:
        yield Server.from_dsn(running.dsn(), "mariadb")


@pytest.fixture(scope="module")
def replica(source: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With four appliers, and a log of its own under another name."""
    options = ["--server-id=2", "--log-bin=replica-bin", "--log-slave-updates=ON", "--slave-parallel-threads=4"]
    with MariaDB(tmp_path_factory.mktemp("replica"), options) as running:
        made = Server.from_dsn(running.dsn(), "mariadb")
        follow(made, source)
        yield made


def follow(replica: Server, source: Server) -> None:
    upstream, connection = log_in(source), log_in(replica)
    (status,) = records(upstream, "SHOW MASTER STATUS")
    rows(
        connection,
        f"CHANGE MASTER TO MASTER_HOST='{source.host}', MASTER_PORT={source.port}, MASTER_USER='{source.user}',"
        f" MASTER_LOG_FILE='{status['File']}', MASTER_LOG_POS={status['Position']}, MASTER_USE_GTID=no",
    )
    rows(connection, "START SLAVE")
    rows(upstream, "CREATE DATABASE followed")
    until(lambda: rows(connection, "SHOW DATABASES LIKE 'followed'"))


@pytest.fixture
def shop(source: Server, tmp_path: Path, server_id: int) -> Iterator[StampedShop]:
    with stamped_shop(source, tmp_path, server_id) as made:
        yield made


@pytest.fixture
def reader(replica: Server, shop: StampedShop) -> Iterator[Connection]:
    connection = log_in(replica)
    until(lambda: shop_is_there(connection, shop))
    yield connection
    connection._force_close()  # type: ignore[attr-defined]


def shop_is_there(connection: Connection, shop: StampedShop) -> bool:
    tables = rows(
        connection, "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (shop.database,)
    )
    return bool(tables) and len(rows(connection, f"SELECT id FROM {shop.database}.orders")) == WRITERS


@pytest.mark.parametrize("xa", [False, True], ids=["plain", "xa"])
def test_what_is_logged_below_a_stamp_is_read(xa: bool, shop: StampedShop, reader: Connection) -> None:
    way = stamping_way(reader, describe_server(reader), TAILED)
    assert isinstance(way, ReplicaSnapshot)
    flusher = log_in(shop.server)
    with shop.writing(xa):
        reads = shop.read(reader, way, READS)
        reads += shop.read(reader, way, READS // 10, between=lambda: rows(flusher, "FLUSH BINARY LOGS"))
    assert shop.compare(reads).missed == 0
    assert len({read.stamp[:2] for read in reads}) > READS / 3
    assert all(read.stamp.file.startswith("mysql-bin.") for read in reads)


def test_a_replica_that_stops_while_it_is_read(shop: StampedShop, reader: Connection) -> None:
    way = stamping_way(reader, describe_server(reader), TAILED)
    with stamped_read(reader, way):
        pass
    try:
        rows(reader, "STOP SLAVE SQL_THREAD")
        with pytest.raises(ReplicaStopped, match="applies no changes"), stamped_read(reader, way):
            pass
        rows(reader, "START SLAVE SQL_THREAD")
        rows(reader, "STOP SLAVE IO_THREAD")
        with pytest.raises(ReplicaStopped, match="receives no changes"), stamped_read(reader, way):
            pass
    finally:
        rows(reader, "START SLAVE")
    until(lambda: records(reader, "SHOW SLAVE STATUS")[0]["Slave_IO_Running"] == "Yes")
    with stamped_read(reader, way):
        assert rows(reader, f"SELECT COUNT(*) FROM {shop.database}.orders") == [(WRITERS,)]


def test_one_that_stopped_with_an_error_says_it(shop: StampedShop, reader: Connection) -> None:
    way = stamping_way(reader, describe_server(reader), TAILED)
    rows(reader, f"INSERT INTO {shop.database}.orders VALUES (4711, 1, '2022-01-13', 1, 'here', '')")
    shop.shop.insert(4711, 1)
    until(lambda: records(reader, "SHOW SLAVE STATUS")[0]["Slave_SQL_Running"] == "No")
    try:
        with pytest.raises(ReplicaStopped, match="Duplicate entry '4711'") as caught, stamped_read(reader, way):
            pass
        assert "START REPLICA" in str(caught.value.hint)
    finally:
        rows(reader, f"DELETE FROM {shop.database}.orders WHERE id = 4711")
        rows(reader, "START SLAVE")
    until(lambda: records(reader, "SHOW SLAVE STATUS")[0]["Slave_SQL_Running"] == "Yes")


def test_a_replica_of_another_server_is_refused(reader: Connection) -> None:
    with pytest.raises(SourceRefused, match="does not replicate from 99, whose log is tailed, but from 1"):
        stamping_way(reader, describe_server(reader), Identity("99", "mysql-bin"))
    with pytest.raises(SourceRefused, match="reads logs named mysql-bin, the tailed ones are named other"):
        stamping_way(reader, describe_server(reader), Identity("1", "other"))


def test_the_grant_that_it_takes(replica: Server, reader: Connection, shop: StampedShop) -> None:
    rows(reader, "CREATE USER 'batch'@'%'")
    connection = log_in(Server(replica.host, replica.port, "batch", "", "mariadb"))
    with pytest.raises(SourceRefused, match="lacks the privilege REPLICA MONITOR") as caught:
        stamping_way(connection, describe_server(connection), TAILED)
    assert caught.value.hint == "GRANT REPLICA MONITOR ON *.* TO 'batch'@'%'"
    rows(reader, caught.value.hint)
    connection.close()
    again = log_in(Server(replica.host, replica.port, "batch", "", "mariadb"))
    assert stamping_way(again, describe_server(again), TAILED)
    again.close()
