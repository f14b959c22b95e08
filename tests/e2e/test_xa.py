"""XA transactions on real servers: their rows leave when they are committed, at that place, and else never."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pymysql
import pytest
from proxy import Proxy
from worker_shop import Running, Shop, Topic, orders, until

from demo.servers import MariaDB
from schemas.errors import StatementInBinlog, UnknownTransaction
from schemas.sequence import parse_sequence


@pytest.fixture
def shop(server: Any, database: str, tmp_path: Path, server_id: int) -> Iterator[Shop]:
    made = Shop(server.connect, server.dsn, database, tmp_path, server_id)
    yield made
    end_all(made)
    made.connection.close()


def end_all(shop: Shop) -> None:
    """What a failed test left prepared: its locks would hold up whatever comes next."""
    for branch in Branch.made:
        branch.connection._force_close()

    def none_left() -> bool:
        prepared = str(shop.sql("XA RECOVER"))
        for branch in Branch.made:
            if branch.xid.split("'")[1] in prepared:
                with contextlib.suppress(pymysql.err.MySQLError):
                    shop.sql(f"XA ROLLBACK {branch.xid}")
        return shop.database not in prepared

    until(none_left)
    Branch.made.clear()


@pytest.fixture
def proxy(server: Any) -> Iterator[Proxy]:
    made = Proxy(server.host, server.port)
    yield made
    made.close()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """To be killed, and to lose its logs."""
    with MariaDB(tmp_path_factory.mktemp("own")) as running:
        yield running


@pytest.fixture
def own_shop(own: MariaDB, tmp_path: Path, server_id: int) -> Iterator[Shop]:
    database = f"shop_{server_id}"
    with own.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {database}")
    made = Shop(own.connect, own.dsn(), database, tmp_path, server_id)
    yield made
    end_all(made)
    made.connection.close()


class Branch:
    """A session with an XA transaction of `statements`, prepared at once; XIDs belong to the whole server."""

    made: ClassVar[list[Branch]] = []

    def __init__(self, shop: Shop, name: str, *statements: str, before: str = "DO 1", prepare: bool = True) -> None:
        self.xid = f"'{shop.database}.{name}','it''s',7"
        self.shop, self.connection = shop, shop.connect(database=shop.database, autocommit=True)
        self.made.append(self)
        self.sql(before, f"XA START {self.xid}", *statements, f"XA END {self.xid}")
        if prepare:
            self.sql(f"XA PREPARE {self.xid}")

    @property
    def text(self) -> str:
        """The xid as the servers log it."""
        gtrid, bqual = self.xid.split("'")[1], "it's"
        return f"X'{gtrid.encode().hex()}',X'{bqual.encode().hex()}',7"

    def sql(self, *statements: str) -> None:
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def end(self, how: str) -> None:
        """XA COMMIT or XA ROLLBACK in the session that prepared it."""
        self.sql(f"XA {how} {self.xid}")
        self.connection.close()

    def leave(self) -> None:
        """The session goes; the transaction stays prepared."""
        self.connection.close()

    def end_from_elsewhere(self, how: str) -> None:
        def ended() -> bool:
            try:
                self.shop.sql(f"XA {how} {self.xid}")
            except pymysql.err.MySQLError as error:
                assert error.args[0] in (1397, 1399), error  # the session is not gone yet
                return False
            return True

        until(ended)


def places(shop: Shop) -> list[tuple[int, int]]:
    """File number and position of every change, in the order of the files; the rows are numbered upwards in each."""
    numbers = [parse_sequence(event["source"]["sequence"]) for event in shop.events()]
    assert sorted(set(numbers)) == numbers
    return [(number.file, number.position) for number in numbers]


def logged(shop: Shop, text: str) -> tuple[int, int]:
    """File number and position of the newest event whose description holds `text`."""
    file, _ = shop.position().split(":")
    rows = shop.sql(f"SHOW BINLOG EVENTS IN '{file}'")
    return int(file.rpartition(".")[2]), max(int(row[1]) for row in rows if text in str(row[5]))


def reloads(shop: Shop) -> list[str]:
    return [line["reload"]["table"] for line in shop.lines() if "reload" in line]


def test_committed_rows_take_the_place_of_the_commit(shop: Shop) -> None:
    update, delete = "UPDATE orders SET amount = 5 WHERE id IN (1, 2, 3)", "DELETE FROM orders WHERE id = 2"
    branch = Branch(shop, "a", orders(1, 3), update, delete)
    shop.insert(10, 1)
    shop.run()
    assert shop.ids() == [10], "nothing of what is only prepared leaves"
    branch.end("COMMIT")
    shop.run()
    assert [event["op"] for event in shop.events()] == list("ccccuuud")
    assert places(shop)[1:] == [logged(shop, f"XA COMMIT {branch.text}")] * 7
    assert {event["source"]["pos"] for event in shop.events()[1:]} == {places(shop)[1][1]}
    gtids = {event["source"]["gtid"] for event in shop.events()[1:]}
    assert len(gtids) == 1 and gtids != {shop.events()[0]["source"]["gtid"]}


def test_rolled_back_rows_never_leave(shop: Shop) -> None:
    Branch(shop, "a", orders(1, 3)).end("ROLLBACK")
    Branch(shop, "b", orders(1, 3), prepare=False).end("ROLLBACK")
    left = Branch(shop, "c", orders(1, 3))
    left.leave()
    left.end_from_elsewhere("ROLLBACK")
    shop.insert(1, 1)
    shop.run()
    assert shop.ids() == [1]
    assert "prepared" not in shop.checkpoint()


def test_commit_in_one_phase(shop: Shop) -> None:
    branch = Branch(shop, "a", orders(1, 3), orders(4, 1), prepare=False)
    branch.sql(f"XA COMMIT {branch.xid} ONE PHASE")
    branch.leave()
    shop.run()
    assert shop.ids() == [1, 2, 3, 4]
    places(shop)
    assert "prepared" not in shop.checkpoint()


def test_several_at_once_among_others(shop: Shop) -> None:
    one, two, three = (Branch(shop, name, orders(first, 2)) for name, first in (("1", 10), ("2", 20), ("3", 30)))
    shop.insert(1, 1)
    shop.sql("FLUSH BINARY LOGS")
    shop.sql("BEGIN", orders(2, 1))
    two.end("COMMIT")
    shop.sql("COMMIT")
    three.end("ROLLBACK")
    shop.sql("FLUSH BINARY LOGS")
    one.end("COMMIT")
    shop.insert(3, 1)
    shop.run()
    assert shop.ids() == [1, 20, 21, 2, 10, 11, 3]
    assert places(shop) == sorted(places(shop))


ONE_BY_ONE = {"requests": 1, "request_messages": 1, "buffer_messages": 2}


class Crash(Exception):
    """Ends a run from inside, as a defect would."""


def run_until_crash(shop: Shop, after: int, **options: Any) -> Topic:
    """One message after the other; the run ends with the one behind `after`, unless it ends by itself."""
    sink = Topic()

    def send(batch: Any) -> None:
        if len(sink.of()) >= after:
            raise Crash
        sink(batch)

    with contextlib.suppress(Crash):
        shop.run(send, limits=ONE_BY_ONE, checkpoint_s=0.001, **options)
    return sink


def test_restart_between_prepare_and_end(shop: Shop) -> None:
    one, two = Branch(shop, "1", orders(10, 2)), Branch(shop, "2", orders(20, 2))
    shop.insert(1, 1)
    shop.run()
    checkpoint = shop.checkpoint()
    assert checkpoint["version"] == 2
    assert [(found["xid"], found["tables"]) for found in checkpoint["prepared"]] == [
        (branch.text, [f"{shop.database}.orders"]) for branch in (one, two)
    ]
    shop.sql("FLUSH BINARY LOGS")
    shop.insert(2, 1)
    three = Branch(shop, "3", orders(30, 2))
    shop.run()
    assert [found["xid"] for found in shop.checkpoint()["prepared"]] == [one.text, two.text, three.text]
    three.end("COMMIT")
    one.end("COMMIT")
    two.end("ROLLBACK")
    shop.run()
    assert shop.ids() == [1, 2, 30, 31, 10, 11]
    assert places(shop)[-1] == logged(shop, f"XA COMMIT {one.text}")
    assert shop.checkpoint()["version"] == 1
    assert "prepared" not in shop.checkpoint()


@pytest.mark.parametrize("one_phase", [False, True], ids=["two phases", "one phase"])
def test_restart_in_the_middle_of_a_commit(shop: Shop, one_phase: bool) -> None:
    """Whichever row was the last to arrive: nothing is left out, and what follows comes in order."""
    shop.write(max_events_per_message=1)
    other = Branch(shop, "other", orders(90, 1))
    branch = Branch(
        shop,
        "a",
        orders(1, 4),
        "UPDATE orders SET id = id + 100 WHERE id IN (1, 2)",
        orders(5, 2, "x" * 3000),
        prepare=not one_phase,
    )
    shop.insert(50, 1)
    branch.end("COMMIT") if not one_phase else branch.sql(f"XA COMMIT {branch.xid} ONE PHASE")
    shop.insert(51, 1)
    other.end("COMMIT")
    whole = Topic()
    shop.run(whole, limits=ONE_BY_ONE)
    wanted = [message.attributes["last_sequence"] for message in whole.of()]
    assert len(wanted) == 13
    for last in (1, 2, 5, 8, 10, 12):
        (shop.folder / "checkpoint.json").unlink()
        sink = run_until_crash(shop, last, spool_bytes=2_000)
        assert len(sink.of()) == last
        shop.run(sink, limits=ONE_BY_ONE, spool_bytes=2_000)
        sent = [message.attributes["last_sequence"] for message in sink.of()]
        assert list(dict.fromkeys(sent)) == wanted


def test_restart_in_a_large_commit(shop: Shop) -> None:
    """The place inside of it is confirmed while it is being read, and rows that no longer fit are read again."""
    branch = Branch(shop, "a", *(orders(first, 100, "x" * 60) for first in range(0, 3000, 100)))
    shop.insert(5000, 1)
    shop.run(Topic(), spool_bytes=0)
    branch.end("COMMIT")
    shop.write(max_events_per_message=50)
    sink = Topic()

    def send(batch: Any) -> None:
        if len(sink.messages) >= 20:
            raise Crash
        time.sleep(0.02)
        sink(batch)

    with pytest.raises(Crash):
        shop.run(send, limits=ONE_BY_ONE, spool_bytes=0)
    checkpoint = shop.checkpoint()
    assert checkpoint["event"] > checkpoint["position"], "the checkpoint is inside the transaction"
    assert [found["xid"] for found in checkpoint["prepared"]] == [branch.text]
    again = Topic()
    shop.run(again, spool_bytes=0)
    assert set(sink.ids()) | set(again.ids()) == set(range(3000))
    assert 0 < len(again.ids()) < 3000
    assert len(set(again.ids())) == len(again.ids())
    assert "prepared" not in shop.checkpoint()


def test_lost_connection_in_a_commit(shop: Shop, proxy: Proxy) -> None:
    """Both connections are cut, the one that follows the log and the one that reads the rows again."""
    shop.write(source=f"mysql://root@127.0.0.1:{proxy.port}", heartbeat_seconds=0.1, max_message_bytes=100_000)
    branch = Branch(shop, "a", *(orders(first, 100, "x" * 1000) for first in range(0, 4000, 100)))
    shop.run(Topic())
    branch.end("COMMIT")
    sink = Topic()
    sink.gate.clear()
    with Running(shop, send=sink, limits={**ONE_BY_ONE, "buffer_messages": 4}):
        until(lambda: sink.calls == 1)
        accepted = proxy.accepted
        proxy.cut()
        sink.gate.set()
        until(lambda: len(sink.ids()) >= 4000)
        assert proxy.accepted > accepted, "it had to connect again"
        assert sorted(sink.ids()) == list(range(4000))


@pytest.mark.parametrize(("begin", "rotated"), [("now", 0), ("place", 2), ("gtids", 1)])
def test_start_between_prepare_and_commit(shop: Shop, server: Any, begin: str, rotated: int) -> None:
    """The rows are below the start, but become true above it: they are looked for in the older logs."""
    shop.sql("FLUSH BINARY LOGS")
    one, two = Branch(shop, "1", orders(10, 2)), Branch(shop, "2", orders(20, 2))
    Branch(shop, "3", orders(30, 2)).end("COMMIT")
    for _ in range(rotated):
        shop.insert(int(shop.position().rpartition(".")[2].partition(":")[0]) * 1000, 1)
        shop.sql("FLUSH BINARY LOGS")
    variable = "gtid_binlog_pos" if server.flavor == "mariadb" else "gtid_executed"
    gtids = str(shop.sql(f"SELECT @@GLOBAL.{variable}")[0][0]).replace("\n", "")
    shop.run(begin={"now": "now", "place": shop.position(), "gtids": gtids}[begin])
    shop.insert(1, 1)
    two.end("COMMIT")
    shop.run()
    one.end("COMMIT")
    shop.run()
    assert shop.ids() == [1, 20, 21, 10, 11]
    assert places(shop)[-1] == logged(shop, f"XA COMMIT {one.text}")


def test_only_other_tables_and_no_rows(shop: Shop) -> None:
    shop.sql("CREATE TABLE other (id INT PRIMARY KEY)")
    other = Branch(shop, "1", "INSERT INTO other VALUES (1)")
    both = Branch(shop, "2", "INSERT INTO other VALUES (2)", orders(2, 1))
    empty = Branch(shop, "3", "SELECT * FROM other WHERE id = 7")
    shop.run()
    assert [found["tables"] for found in shop.checkpoint()["prepared"]] == [
        [f"{shop.database}.other"],
        [f"{shop.database}.other", f"{shop.database}.orders"],
    ]
    other.end("COMMIT")
    empty.end("COMMIT")
    shop.run()
    assert shop.ids() == []
    assert [found["xid"] for found in shop.checkpoint()["prepared"]] == [both.text]
    both.end("COMMIT")
    shop.run()
    assert shop.ids() == [2]


def test_savepoint_inside(shop: Shop) -> None:
    Branch(shop, "1", orders(1, 1), "SAVEPOINT s", orders(2, 1), "ROLLBACK TO s", orders(3, 1)).end("COMMIT")
    shop.run()
    assert shop.ids() == [1, 3]


def test_rows_changed_by_a_statement_matter_if_they_are_committed(shop: Shop) -> None:
    as_statement = "SET SESSION binlog_format = STATEMENT"
    Branch(shop, "1", orders(1, 1), before=as_statement).end("ROLLBACK")
    branch = Branch(shop, "2", orders(2, 1), before=as_statement)
    shop.insert(3, 1)
    shop.run()
    assert shop.ids() == [3]
    branch.end("COMMIT")
    with pytest.raises(StatementInBinlog) as caught:
        shop.run()
    file = shop.position().partition(":")[0]
    assert caught.value.position == f"{file}:{logged(shop, f'XA COMMIT {branch.text}')[1]}"
    assert caught.value.table == f"{shop.database}.orders"
    assert caught.value.hint and f"--from {shop.position()}" in caught.value.hint


@pytest.mark.parametrize("kept", ["in memory", "in a file", "nowhere"])
def test_compressed(shop: Shop, server: Any, kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if server.flavor != "mysql":
        pytest.skip("MariaDB compresses single events, and for all sessions: see test_compressed_events")
    spool_bytes = 8_000_000 if kept == "in memory" else 0
    if kept == "nowhere":
        monkeypatch.setattr("tempfile.TemporaryFile", no_room)
    on = "SET SESSION binlog_transaction_compression = ON"
    rows = [orders(first, 100, "x" * 50) for first in range(0, 500, 100)]
    committed = Branch(shop, "1", *rows, before=on)
    Branch(shop, "2", orders(1000, 3), before=on).end("ROLLBACK")
    branch = Branch(shop, "3", orders(2000, 3), orders(2003, 3), before=on, prepare=False)
    branch.sql(f"XA COMMIT {branch.xid} ONE PHASE")
    shop.run(spool_bytes=spool_bytes)
    committed.end("COMMIT")
    shop.run(spool_bytes=spool_bytes)
    assert shop.ids() == [*range(2000, 2006), *range(500)]
    assert places(shop)[6:] == [logged(shop, f"XA COMMIT {committed.text}")] * 500


def no_room(**_: object) -> None:
    raise OSError(28, "No space left on device")


def test_compressed_events(own_shop: Shop) -> None:
    shop = own_shop
    shop.sql("SET GLOBAL log_bin_compress_min_len = 10", "SET GLOBAL log_bin_compress = ON")
    try:
        committed = Branch(shop, "1", orders(1, 100, "x" * 50), orders(101, 100, "x" * 50))
        Branch(shop, "2", orders(1000, 3)).end("ROLLBACK")
        shop.run()
        committed.end("COMMIT")
    finally:
        shop.sql("SET GLOBAL log_bin_compress = OFF")
    shop.run()
    assert shop.ids() == list(range(1, 201))
    places(shop)


def test_crash_of_the_server(own: MariaDB, own_shop: Shop) -> None:
    """Prepared transactions outlive it; a half-written one, and those before XA PREPARE, do not."""
    shop = own_shop
    one, two = Branch(shop, "1", orders(10, 2)), Branch(shop, "2", orders(20, 2))
    Branch(shop, "3", orders(30, 2), prepare=False)
    sink = Topic()
    with Running(shop, send=sink):
        until(lambda: sink.of("heartbeat"))
        own.kill()
        own.restart()
        shop.connection = shop.connect(database=shop.database, autocommit=True)
        shop.insert(1, 1)
        one.end_from_elsewhere("COMMIT")
        until(lambda: sink.ids() == [1, 10, 11])
    own.restart()
    shop.connection = shop.connect(database=shop.database, autocommit=True)
    two.end_from_elsewhere("COMMIT")
    shop.run(sink)
    assert sink.ids() == [1, 10, 11, 20, 21]


def purge(shop: Shop) -> str:
    """Leaves only the current log; returns its name."""
    shop.sql("FLUSH BINARY LOGS")
    file = shop.position().partition(":")[0]

    def purged() -> bool:
        shop.sql(f"PURGE BINARY LOGS TO '{file}'")  # not while a connection that is going still reads it
        return len(shop.sql("SHOW BINARY LOGS")) == 1

    until(purged)
    return file


def test_log_purged_before_the_commit(own_shop: Shop) -> None:
    """While the worker runs the rows are at hand; after a restart the table is named that must be loaded again."""
    shop = own_shop
    shop.sql("CREATE TABLE other (id INT PRIMARY KEY)")
    one, two = Branch(shop, "1", orders(10, 2)), Branch(shop, "2", orders(20, 2))
    other, three = Branch(shop, "3", "INSERT INTO other VALUES (1)"), Branch(shop, "4", orders(30, 1))
    sink = Topic()
    with Running(shop, send=sink, checkpoint_s=0.02):
        until(lambda: len(shop.checkpoint().get("prepared", ())) == 4)
        shop.sql("FLUSH BINARY LOGS")
        end = shop.position().partition(":")[0]
        until(lambda: shop.checkpoint()["file"] == end)
        purge(shop)
        one.end("COMMIT")
        until(lambda: sink.ids() == [10, 11])
    shop.run(sink)
    two.end("COMMIT")
    other.end("COMMIT")
    three.end("ROLLBACK")
    shop.insert(1, 1)
    shop.run(sink)
    assert sink.ids() == [10, 11, 1]
    assert [message.attributes["table"] for message in sink.of("reload")] == [f"{shop.database}.orders"]
    reload = orjson.loads(sink.of("reload")[0].data)
    assert two.text in reload["reload"]["reason"] and "no longer has" in reload["reload"]["reason"]
    assert "prepared" not in shop.checkpoint()


def test_commit_of_rows_that_are_in_no_log(own_shop: Shop) -> None:
    shop = own_shop
    one, two = Branch(shop, "1", orders(10, 2)), Branch(shop, "2", orders(20, 2))
    file = purge(shop)
    shop.insert(1, 1)
    two.end("ROLLBACK")
    one.end("COMMIT")
    shop.insert(2, 1)
    with pytest.raises(UnknownTransaction) as caught:
        shop.run(begin="earliest")
    assert shop.ids() == [1], "what is before it leaves"
    error = caught.value
    assert one.text in error.message and f"{file} is the oldest" in error.message
    assert error.position and error.hint
    behind = error.hint.partition("--from ")[2].partition("`")[0]
    assert f"{file}:{logged(shop, f'XA COMMIT {one.text}')[1]}" == error.position
    shop.run(begin=behind, epoch=2)
    assert shop.ids() == [1, 2]


def test_prepared_without_the_log(own_shop: Shop) -> None:
    """sql_log_bin=0 in the session that prepares, and the session that commits logs it: nobody can know the rows."""
    shop = own_shop
    branch = Branch(shop, "1", orders(10, 2), before="SET SESSION sql_log_bin = 0")
    branch.leave()
    shop.insert(1, 1)
    branch.end_from_elsewhere("COMMIT")
    with pytest.raises(UnknownTransaction):
        shop.run()


def test_ended_without_the_log(shop: Shop, server: Any) -> None:
    """A name that is used again shows that the transaction before ended: with sql_log_bin=0, MySQL does not log it."""
    if server.flavor != "mysql":
        pytest.skip("MariaDB forbids sql_log_bin inside of an XA transaction")
    first = Branch(shop, "1", orders(10, 2))
    first.sql("SET SESSION sql_log_bin = 0")
    first.end("COMMIT")
    shop.run()
    assert len(shop.checkpoint()["prepared"]) == 1
    Branch(shop, "1", orders(20, 2)).end("COMMIT")
    shop.run()
    assert shop.ids() == [20, 21]
    assert reloads(shop) == [f"{shop.database}.orders"]


def test_rows_of_another_engine_that_are_rolled_back_to_a_savepoint(own_shop: Shop) -> None:
    """MariaDB then logs the rows and ROLLBACK TO: they leave, and the table must be loaded again."""
    shop = own_shop
    shop.sql("CREATE TABLE other (id INT PRIMARY KEY) ENGINE = MyISAM")
    inside = ("SAVEPOINT s", orders(2, 1), "INSERT INTO other VALUES (1)", "ROLLBACK TO s", orders(3, 1))
    branch = Branch(shop, "1", orders(1, 1), *inside)
    shop.run()
    assert reloads(shop) == []
    branch.end("COMMIT")
    shop.run()
    assert shop.ids() == [1, 2, 3]
    assert reloads(shop) == [f"{shop.database}.orders"]
