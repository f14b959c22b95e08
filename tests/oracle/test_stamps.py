"""Stamped reads on real servers: whatever the log has below a stamp is in the read, whoever commits meanwhile."""

from __future__ import annotations

import dataclasses
import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pymysql
import pytest
from worker_shop import until

from demo.servers import MariaDB
from pipeline.batch.log_watch import LogSeen, LogWatch
from pipeline.batch.mariadb_snapshot import MariadbSnapshot
from pipeline.batch.mysql_reads import GtidWait, LockingReads, LogStatus
from pipeline.batch.prepared import wait_for_committing
from pipeline.batch.stamps import Stamp, Way, begin_snapshot, read_clock, stamped_read
from pipeline.batch.ways import check_engine, stamping_way
from schemas.catalogue import read_tables
from schemas.checkpoint import Identity
from schemas.errors import SourceChanged, SourceRefused, SourceUnavailable, UnsupportedTable
from schemas.log_position import read_position
from schemas.sequence import binlog_number, parse_sequence
from schemas.source import Connection, SourceAddress, connect, describe_server, rows
from tests.builders import shop as configured
from tests.conftest import LONG, Server
from tests.oracle.stamped_shop import StampedShop, log_in, stamped_shop

WAYS: dict[str, Callable[[Any], Way]] = {
    "snapshot": lambda _: MariadbSnapshot(),
    "gtid": lambda server: GtidWait(server),
    "log_status": lambda _: LogStatus(),
    "locks": lambda server: LockingReads(server),
}
READS = 150
WAITING_READS = READS if LONG else 30
MYSQL = pytest.mark.mysql


def on_servers(names: Sequence[str]) -> pytest.MarkDecorator:
    """Each way on its server."""
    cases = [
        pytest.param("mariadb" if name == "snapshot" else "mysql", name, marks=() if name == "snapshot" else MYSQL)
        for name in names
    ]
    return pytest.mark.parametrize(("server", "name"), cases, indirect=["server"])


@pytest.fixture
def shop(server: Server, database: str, tmp_path: Path, server_id: int) -> Iterator[StampedShop]:
    made = StampedShop(server, database, tmp_path, server_id)
    yield made
    made.close()


@pytest.fixture
def reader(server: Server) -> Iterator[Connection]:
    connection = log_in(server)
    yield connection
    connection._force_close()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def small_logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A MariaDB that begins a new log after every few commits."""
    with MariaDB(tmp_path_factory.mktemp("small"), ["--max-binlog-size=4096"]) as running:
        yield Server.from_dsn(running.dsn(), "mariadb")


@pytest.fixture
def small_shop(small_logs: Server, tmp_path: Path, server_id: int) -> Iterator[StampedShop]:
    with stamped_shop(small_logs, tmp_path, server_id) as made:
        yield made


class PlainSnapshot(Way):
    """The position that MariaDB itself gives to a snapshot."""

    name = "plain"

    def begin(self, connection: Connection) -> Stamp:
        begin_snapshot(connection)
        status = dict(rows(connection, "SHOW STATUS LIKE 'binlog_snap%'"))
        at = read_clock(connection)
        return Stamp(status["Binlog_snapshot_file"], int(status["Binlog_snapshot_position"]), at)


@pytest.mark.parametrize("xa", [False, True], ids=["plain", "xa"])
@on_servers(list(WAYS))
def test_what_is_logged_below_a_stamp_is_read(name: str, xa: bool, shop: StampedShop, reader: Connection) -> None:
    way = WAYS[name](describe_server(reader))
    with shop.writing(xa):
        reads = shop.read(reader, way, READS)
    result = shop.compare(reads)
    assert result.missed == 0
    assert len({(read.stamp.file, read.stamp.position) for read in reads}) > READS / 3  # they are no old places


def test_new_log_files_while_reading(small_shop: StampedShop) -> None:
    """Nearly every read waits for commits behind the beginning of a file."""
    reader = log_in(small_shop.server)
    with small_shop.writing():
        reads = small_shop.read(reader, MariadbSnapshot(), WAITING_READS)
    result = small_shop.compare(reads)
    assert result.missed == 0
    assert len({read.stamp.file for read in reads}) > WAITING_READS / 10


def test_mariadb_s_own_position_of_a_snapshot_would_lose_rows(small_shop: StampedShop) -> None:
    """So the tests above can fail: that is a position of a file that has begun before the last commits are visible."""
    reader = log_in(small_shop.server)
    with small_shop.writing():
        reads = small_shop.read(reader, PlainSnapshot(), 4 * READS)
    assert small_shop.compare(reads).missed > 0


def test_a_commit_that_waits_for_a_replica_as_a_log_begins(small_shop: StampedShop) -> None:
    """MariaDB names the new log at once, long before the last commit of the old one is visible."""
    reader = log_in(small_shop.server)
    settings = {
        "rpl_semi_sync_master_wait_point": "'AFTER_SYNC'",
        "rpl_semi_sync_master_timeout": "1500",
        "rpl_semi_sync_master_enabled": "1",
    }
    change = f"UPDATE {small_shop.database}.orders SET note = REPEAT('x', 9000), customer_id = 7 WHERE id = 1"
    sql = f"SELECT customer_id FROM {small_shop.database}.orders WHERE id = 1"
    before = read_position(reader, describe_server(reader))
    try:
        for name, value in settings.items():
            rows(reader, f"SET GLOBAL {name} = {value}")
        with small_shop.server.connect(autocommit=True) as other:
            committing = threading.Thread(target=lambda: other.cursor().execute(change))
            committing.start()
            until(lambda: read_position(reader, describe_server(reader)).file != before.file)
            with stamped_read(reader, PlainSnapshot()) as plain:
                assert rows(reader, sql) == [(0,)]
            assert plain.file != before.file  # so the change is below, and would be lost
            with stamped_read(reader, MariadbSnapshot()) as stamp:
                assert rows(reader, sql) == [(7,)]
            assert stamp.file == plain.file
            committing.join()
    finally:
        rows(reader, "SET GLOBAL rpl_semi_sync_master_enabled = 0")


@pytest.mark.parametrize("server", ["mariadb"], indirect=True)
def test_a_log_that_was_seen_before_is_waited_for_no_more(
    server: Server, reader: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = LogWatch(configured(source=server.dsn), None).seen()
    assert seen is not None and seen.file == read_position(reader, describe_server(reader)).file
    waits: list[float] = []
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: (waits.append(seconds), sleep(seconds)))
    long_ago = seen.since - 60
    with stamped_read(reader, MariadbSnapshot(LogSeen(seen.file, seen.groups, long_ago))):
        assert waits == []
    with stamped_read(reader, MariadbSnapshot(LogSeen("mysql-bin.000000", seen.groups, long_ago))):
        assert waits  # a file that has begun since


@pytest.mark.parametrize("server", ["mariadb"], indirect=True)
def test_a_first_look_that_fails_says_nothing(server: Server) -> None:
    nobody = SourceAddress.parse(f"mysql://nobody:wrong@{server.host}:{server.port}")
    assert LogWatch(configured(source=server.dsn), nobody).seen() is None


@pytest.mark.parametrize("server", [pytest.param("mysql", marks=MYSQL)], indirect=True)
def test_the_ways_of_a_mysql_without_gtids(server: Server, database: str, reader: Connection, users: None) -> None:
    """As the settings say that are read once, at the start."""
    found = describe_server(reader)
    if found.version < LogStatus.first_version:
        pytest.skip(f"MySQL {found.version_text} has no log_status that could be trusted")

    def way(connection: Connection, version: tuple[int, ...] = found.version, **changes: str) -> Way:
        variables = {**found.variables, "gtid_mode": "OFF_PERMISSIVE", **changes}
        return stamping_way(connection, dataclasses.replace(found, version=version, variables=variables), None)

    assert isinstance(way(reader), LogStatus)
    assert isinstance(way(reader, binlog_order_commits="OFF"), LockingReads)
    assert isinstance(old := way(reader, (8, 4, 6)), LockingReads)
    assert old.suffix == " FOR SHARE"
    connection = plain_user(server, database, "REPLICATION CLIENT", "BACKUP_ADMIN")
    without = way(connection)
    assert isinstance(without, LockingReads)
    assert "grant BACKUP_ADMIN, XA_RECOVER_ADMIN" in without.warnings()[0]
    connection.close()


def test_the_way_that_a_server_has(server: Server, reader: Connection) -> None:
    way = stamping_way(reader, describe_server(reader), None)
    assert isinstance(way, MariadbSnapshot if server.flavor == "mariadb" else GtidWait)
    assert way.suffix == ""
    assert way.warnings() == []


def test_a_stamp_says_where_and_when(server: Server, reader: Connection) -> None:
    way = stamping_way(reader, describe_server(reader), None)
    before = read_position(reader, describe_server(reader))
    with stamped_read(reader, way) as stamp:
        after = read_position(reader, describe_server(reader))
    assert before.order[:2] <= (binlog_number(stamp.file)[1], stamp.position) <= after.order[:2]
    assert stamp.at.utcoffset() == dt.timedelta()
    assert abs(stamp.at - dt.datetime.now(dt.timezone.utc)) < dt.timedelta(seconds=20)


def test_a_read_is_one_snapshot_at_any_isolation_level(shop: StampedShop, reader: Connection) -> None:
    rows(reader, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    way = stamping_way(reader, describe_server(reader), None)
    with stamped_read(reader, way):
        shop.shop.insert(100, 1)
        seen = rows(reader, f"SELECT COUNT(*) FROM {shop.database}.orders")
    assert seen == [(8,)]
    assert rows(reader, f"SELECT COUNT(*) FROM {shop.database}.orders") == [(9,)]


def test_a_block_that_raises_closes_the_connection(reader: Connection) -> None:
    way = stamping_way(reader, describe_server(reader), None)
    with pytest.raises(ZeroDivisionError), stamped_read(reader, way):
        raise ZeroDivisionError
    assert not reader.open


@pytest.mark.parametrize("server", [pytest.param("mysql", marks=MYSQL)], indirect=True)
def test_locking_reads_hold_rows_until_the_block_ends(
    shop: StampedShop, reader: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = LockingReads(describe_server(reader))
    assert "gtid_mode" in way.warnings()[0]
    with shop.server.connect(database=shop.database, autocommit=True) as other, other.cursor() as cursor:
        cursor.execute("SET innodb_lock_wait_timeout = 1")
        with stamped_read(reader, way):
            rows(reader, f"SELECT id FROM {shop.database}.orders WHERE id < 4{way.suffix}")
            cursor.execute("UPDATE orders SET note = 'free' WHERE id = 5")
            cursor.execute("INSERT INTO orders SELECT -1, 0, order_date, 1, '', '' FROM orders WHERE id = 5")
            with pytest.raises(pymysql.err.OperationalError) as caught:
                cursor.execute("UPDATE orders SET note = 'locked' WHERE id = 3")
            assert caught.value.args[0] == 1205
        cursor.execute("UPDATE orders SET note = 'free' WHERE id = 3")
        monkeypatch.setattr("pipeline.batch.mysql_reads.LONGEST_LOCK_WAIT_S", 1)
        cursor.execute("BEGIN")
        cursor.execute("UPDATE orders SET note = 'mine' WHERE id = 2")
        with pytest.raises(SourceUnavailable, match="Lock wait timeout"), stamped_read(reader, way):
            rows(reader, f"SELECT id FROM {shop.database}.orders{way.suffix}")
        cursor.execute("ROLLBACK")


class Prepared:
    """An XA transaction that changes a row and stays prepared."""

    def __init__(self, shop: StampedShop) -> None:
        self.xid = f"'{shop.database}'"
        self.connection = shop.server.connect(database=shop.database, autocommit=True)
        for statement in (
            f"XA START {self.xid}",
            "UPDATE orders SET customer_id = 77 WHERE id = 3",
            f"XA END {self.xid}",
            f"XA PREPARE {self.xid}",
        ):
            self.connection.cursor().execute(statement)

    def commit(self) -> None:
        self.connection.cursor().execute(f"XA COMMIT {self.xid}")
        self.connection.close()


@pytest.fixture
def prepared(shop: StampedShop) -> Iterator[Prepared]:
    made = Prepared(shop)
    yield made
    if made.connection.open:
        made.commit()


@on_servers(["snapshot", "gtid", "log_status"])
def test_a_transaction_that_is_prepared_is_above_the_stamp(
    name: str, shop: StampedShop, prepared: Prepared, reader: Connection
) -> None:
    started = time.monotonic()
    with stamped_read(reader, WAYS[name](describe_server(reader))) as stamp:
        assert rows(reader, f"SELECT customer_id FROM {shop.database}.orders WHERE id = 3") == [(0,)]
    assert time.monotonic() - started < 5  # it is not waited for
    prepared.commit()
    shop.shop.run()
    (event,) = (event for event in shop.shop.events() if event["op"] == "u")
    sequence = parse_sequence(event["source"]["sequence"])
    assert (sequence.file, sequence.position) >= (binlog_number(stamp.file)[1], stamp.position)


def plain_user(server: Server, database: str, *grants: str) -> Connection:
    """May read the tables, and what else is granted."""
    user = f"'{database}'@'%'"
    with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE USER {user} IDENTIFIED BY 'x'")
        cursor.execute(f"GRANT SELECT ON {database}.* TO {user}")
        for grant in grants:
            cursor.execute(f"GRANT {grant} ON *.* TO {user}")
    return connect(SourceAddress.parse(server.dsn.replace(server.user, database, 1)), "x")


@pytest.fixture
def users(server: Server, database: str) -> Iterator[None]:
    yield
    with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP USER IF EXISTS '{database}'@'%'")


def test_without_process_a_prepared_transaction_is_in_the_way(
    shop: StampedShop, prepared: Prepared, users: None
) -> None:
    grants = () if shop.server.flavor == "mariadb" else ("XA_RECOVER_ADMIN",)
    connection = plain_user(shop.server, shop.database, *grants)
    with pytest.raises(SourceRefused, match="without the privilege PROCESS") as caught:
        wait_for_committing(connection, 0.3)
    assert f"GRANT PROCESS ON *.* TO '{shop.database}'@'%'" in str(caught.value.hint)
    with shop.server.connect(autocommit=True) as root:
        root.cursor().execute(f"GRANT PROCESS ON *.* TO '{shop.database}'@'%'")
    connection.close()
    again = connect(SourceAddress.parse(shop.server.dsn.replace(shop.server.user, shop.database, 1)), "x")
    wait_for_committing(again, 0.3)
    again.close()


def test_the_grants_that_it_takes(server: Server, database: str, users: None) -> None:
    connection = plain_user(server, database)
    if server.flavor == "mariadb":
        assert isinstance(stamping_way(connection, describe_server(connection), None), MariadbSnapshot)
    else:
        with pytest.raises(SourceRefused, match="REPLICATION CLIENT") as caught:
            stamping_way(connection, describe_server(connection), None)
        assert caught.value.hint == f"GRANT REPLICATION CLIENT ON *.* TO '{database}'@'%'"
        assert not LogStatus.is_there(connection, describe_server(connection))
    connection.close()


@MYSQL
def test_a_gtid_of_mysql_that_is_underway_for_long(mysql: Server) -> None:
    own = log_in(mysql)
    server = describe_server(own)
    with mysql.connect(autocommit=True) as other, other.cursor() as cursor:
        cursor.execute("SET gtid_next = '11111111-2222-3333-4444-555555555555:7'")
        cursor.execute("BEGIN")
        with pytest.raises(SourceUnavailable, match="underway") as caught:
            GtidWait(server, 0.2).begin(own)
        assert "11111111-2222-3333-4444-555555555555:7" in caught.value.message
        cursor.execute("ROLLBACK")
        cursor.execute("SET gtid_next = 'AUTOMATIC'")
    with stamped_read(own, GtidWait(server, 5)):
        pass
    own.close()


def test_another_server_and_other_logs(server: Server, reader: Connection) -> None:
    found = describe_server(reader)
    assert stamping_way(reader, found, Identity(found.uuid, "mysql-bin"))
    with pytest.raises(SourceChanged, match="tailed ones other-bin"):
        stamping_way(reader, found, Identity(found.uuid, "other-bin"))
    with pytest.raises(SourceRefused, match="does not replicate from 4711"):
        stamping_way(reader, found, Identity("4711", "mysql-bin"))


def test_tables_without_consistent_reads_are_refused(server: Server, database: str, reader: Connection) -> None:
    rows(reader, f"CREATE TABLE {database}.old (id INT PRIMARY KEY) ENGINE=MyISAM")
    rows(reader, f"CREATE TABLE {database}.new (id INT PRIMARY KEY) ENGINE=InnoDB")
    tables = read_tables(reader, [f"{database}.old", f"{database}.new"])
    check_engine(tables[f"{database}.new"])
    with pytest.raises(UnsupportedTable, match="MyISAM") as caught:
        check_engine(tables[f"{database}.old"])
    assert caught.value.hint == f"ALTER TABLE {database}.old ENGINE=InnoDB"


def test_a_mariadb_without_a_binlog(tmp_path: Path) -> None:
    with MariaDB(tmp_path, ["--skip-log-bin"]) as running:
        connection = log_in(Server.from_dsn(running.dsn(), "mariadb"))
        with pytest.raises(SourceRefused, match="writes no binlog") as caught:
            stamping_way(connection, describe_server(connection), None)
        assert "--log-bin" in str(caught.value.hint)
        connection.close()
