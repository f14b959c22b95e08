"""The dump's connection in bad weather, on real servers: nothing lost, nothing invented, nothing named wrongly."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from proxy import Proxy
from worker_shop import Running, Shop, Topic, shop_on, until

from binlog_worker.log import dump as dump_module
from demo.servers import MariaDB
from schemas.errors import BadPosition, LtvError, PurgedBinlog, SourceRefused
from tests.conftest import Server

SMALL = {"requests": 1, "request_messages": 1, "buffer_messages": 2}


@pytest.fixture
def shop(server: Any, database: str, tmp_path: Path, server_id: int) -> Iterator[Shop]:
    made = Shop(server.connect, server.dsn, database, tmp_path, server_id)
    yield made
    made.connection.close()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """To be ended, and given other settings."""
    with MariaDB(tmp_path_factory.mktemp("own"), ["--max-allowed-packet=256M"]) as running:
        yield running


@pytest.fixture
def own_shop(own: MariaDB, tmp_path: Path, server_id: int, request: pytest.FixtureRequest) -> Iterator[Shop]:
    made = shop_on(own, "t_" + re.sub(r"\W", "_", request.node.name)[:50], tmp_path, server_id)
    yield made
    made.connection.close()


def stored(shop: Shop) -> list[int]:
    return [int(row[0]) for row in shop.sql("SELECT id FROM orders ORDER BY id")]


def dumps(shop: Shop) -> list[int]:
    """Connections to which the server sends its log for the shop's `server_id`; it is the only reader here."""
    listed = shop.sql("SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'")
    return [int(row[0]) for row in listed]


class Writer:
    """Commits orders one by one, and now and then a hundred, until told to stop; a lost server is connected again."""

    def __init__(self, shop: Shop) -> None:
        self._shop, self._stop = shop, threading.Event()
        self.written = 0
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        number = 1
        while not self._stop.is_set():
            with contextlib.suppress(pymysql.err.MySQLError):
                connection = self._shop.connect(database=self._shop.database, autocommit=True)
                with connection, connection.cursor() as cursor:
                    while not self._stop.is_set():
                        count = 100 if number % 7 == 0 else 1
                        rows = (f"({one}, 1, '2022-01-13', 1, 'paid', NULL)" for one in range(number, number + count))
                        number += count  # one that failed may have been committed, so its numbers are not used again
                        cursor.execute(f"INSERT INTO orders VALUES {', '.join(rows)}")
                        self.written += count

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


def test_server_ends_under_load_and_returns(own: MariaDB, own_shop: Shop) -> None:
    """Shut down and killed, twice each: what was committed has left, and nothing else."""
    own_shop.write(heartbeat_seconds=0.2)
    sink = Topic()
    with Running(own_shop, send=sink) as running:
        until(lambda: sink.of("heartbeat"))
        writer = Writer(own_shop)
        for end in (own.stop, own.kill, own.stop, own.kill):
            enough = writer.written + 300
            until(lambda enough=enough: writer.written > enough)
            end()
            own.start()
        writer.stop()
        own_shop.connection = own.connect(database=own_shop.database, autocommit=True)
        expected = stored(own_shop)
        assert len(expected) >= writer.written > 1200
        until(lambda: len(set(sink.ids())) >= len(expected) or not running.alive)
        assert running.alive, running.error
    assert sorted(set(sink.ids())) == expected


def test_rotation_under_load(shop: Shop) -> None:
    """A new file every few transactions: nothing is lost at a file's end, and nothing comes twice."""
    sink = Topic()
    first = int(shop.position().partition(":")[0].rpartition(".")[2])
    with Running(shop, send=sink):
        writer = Writer(shop)
        for _ in range(15):
            enough = writer.written + 20
            until(lambda enough=enough: writer.written > enough)
            shop.sql("FLUSH BINARY LOGS")
        writer.stop()
        expected = stored(shop)
        until(lambda: len(sink.ids()) >= len(expected))
        # asked anew each time: MariaDB may write its own event into a new file a while after it was begun
        until(lambda: f"{shop.checkpoint()['file']}:{shop.checkpoint()['position']}" == shop.position())
    assert sorted(sink.ids()) == expected
    assert int(shop.position().partition(":")[0].rpartition(".")[2]) >= first + 15


def test_idle_server_is_not_taken_for_a_dead_one(shop: Shop, server: Any) -> None:
    """Its heartbeats keep the connection, though nothing is written for several read time-outs."""
    proxy = Proxy(server.host, server.port)
    shop.write(source=f"mysql://{server.user}@{server.host}:{proxy.port}", heartbeat_seconds=0.4)
    sink = Topic()
    try:
        with Running(shop, send=sink, read_timeout_s=0.5):
            until(lambda: sink.of("heartbeat"))
            accepted = proxy.accepted
            until(lambda: len(sink.of("heartbeat")) > 4)
            assert proxy.accepted == accepted
            shop.insert(1, 1)
            until(lambda: sink.ids() == [1])
    finally:
        proxy.close()


def test_killed_dump_is_asked_for_again(shop: Shop) -> None:
    sink = Topic()
    with Running(shop, send=sink):
        for number in (1, 2, 3):
            shop.insert(number, 1)
            until(lambda number=number: number in sink.ids())
            (dump,) = dumps(shop)
            shop.sql(f"KILL {dump}")
            until(lambda dump=dump: dump not in dumps(shop))
    assert sink.ids() == [1, 2, 3]


@pytest.mark.parametrize("megabytes", [17, 40])
def test_row_above_sixteen_megabytes(server: Any, own: MariaDB, tmp_path: Path, server_id: int, megabytes: int) -> None:
    """Its event comes in several packets. The column is not published: no message could hold it."""
    connect, dsn = (server.connect, server.dsn) if server.flavor == "mysql" else (own.connect, own.dsn())
    name = f"large_{megabytes}_{server_id}"
    with connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        try:
            shop = Shop(connect, dsn, name, tmp_path, server_id)
            shop.settings["tables"]["orders"]["exclude"] = ["note"]
            shop.write()
            size = megabytes << 20
            for number in (1, 2):
                shop.sql(f"INSERT INTO orders VALUES ({number}, 1, '2022-01-13', 1, 'paid', REPEAT('é', {size // 2}))")
            shop.insert(3, 1)
            shop.run()
            assert shop.ids() == [1, 2, 3]
            shop.connection.close()
        finally:
            cursor.execute(f"DROP DATABASE {name}")


def test_sink_so_slow_that_the_server_gives_up(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads for longer than net_write_timeout: the server ends the dump inside an event. The worker reads what
    it still has, asks again, and sends the rest, each change once."""
    monkeypatch.setattr(dump_module, "NET_WRITE_TIMEOUT_S", 1)
    shop.write(max_message_bytes=1_000_000)
    sink = Topic()
    sink.gate.clear()
    with Running(shop, send=sink, limits=SMALL) as running:
        until(lambda: dumps(shop))
        for first in range(0, 240, 4):
            shop.insert(first, 4, note="x" * 125_000)
        until(lambda: sink.calls)
        until(lambda: not dumps(shop))
        assert sink.messages == []
        sink.gate.set()
        until(lambda: len(set(sink.ids())) == 240 or not running.alive)
        assert running.alive, running.error
        assert dumps(shop), "it had to ask again"
    assert sorted(sink.ids()) == list(range(240))


class Account:
    """The worker's user, with what it needs and no more; its password is in a file, as in production."""

    def __init__(self, shop: Shop, server: Any, limits: str = "") -> None:
        self.name = f"'w_{shop.database}'@'127.0.0.1'"[:60]
        self.shop, self.file = shop, shop.folder / "password"
        self.file.write_text("first\n")
        shop.sql(
            f"CREATE USER {self.name} IDENTIFIED BY 'first' {limits}",
            f"GRANT REPLICATION SLAVE, REPLICATION CLIENT, SELECT ON *.* TO {self.name}",
        )
        user = self.name.split("'")[1]
        shop.write(source=f"mysql://{user}@{server.host}:{server.port}", password_file="password")

    def change(self, password: str) -> None:
        self.shop.sql(f"ALTER USER {self.name} IDENTIFIED BY '{password}'")

    def cut(self) -> None:
        user = self.name.split("'")[1]
        for row in self.shop.sql(f"SELECT id FROM information_schema.processlist WHERE user = '{user}'"):
            with contextlib.suppress(pymysql.err.OperationalError):
                self.shop.sql(f"KILL {row[0]}")


@pytest.fixture
def account(shop: Shop, server: Any) -> Iterator[Account]:
    made = Account(shop, server)
    yield made
    shop.sql(f"DROP USER IF EXISTS {made.name}")


def test_password_is_changed_while_running(shop: Shop, account: Account) -> None:
    """The connection goes on; the next login takes the file's new password. With the old one it is refused."""
    sink = Topic()
    with Running(shop, send=sink) as running:
        shop.insert(1, 1)
        until(lambda: sink.ids() == [1])
        account.change("second")
        shop.insert(2, 1)
        until(lambda: sink.ids() == [1, 2])
        account.file.write_text("second\n")
        account.cut()
        shop.insert(3, 1)
        until(lambda: sink.ids() == [1, 2, 3])
        account.change("third")
        account.cut()
        error = running.join()
    assert isinstance(error, SourceRefused)
    assert "password_file" in (error.hint or "")
    assert "second" not in str(error)
    account.file.write_text("third")
    shop.insert(4, 1)
    shop.run(sink)
    assert sink.ids() == [1, 2, 3, 4]


def test_user_is_dropped_while_running(shop: Shop, account: Account) -> None:
    sink = Topic()
    with Running(shop, send=sink) as running:
        shop.insert(1, 1)
        until(lambda: sink.ids() == [1])
        shop.sql(f"DROP USER {account.name}")
        account.cut()
        error = running.join()
    assert isinstance(error, SourceRefused)
    assert account.name.split("'")[1] in str(error)


def test_grant_is_taken_away_while_running(shop: Shop, account: Account) -> None:
    """Asking for the dump is refused, with what is to be granted."""
    sink = Topic()
    with Running(shop, send=sink) as running:
        shop.insert(1, 1)
        until(lambda: sink.ids() == [1])
        shop.sql(f"REVOKE REPLICATION SLAVE ON *.* FROM {account.name}")
        account.cut()
        error = running.join()
    assert isinstance(error, SourceRefused)
    assert "REPLICATION SLAVE" in (error.hint or "")


def test_too_many_connections_pass(own: MariaDB, own_shop: Shop) -> None:
    """max_connections is no reason to end."""
    server = Server.from_dsn(own.dsn(), "mariadb")
    account = Account(own_shop, server)
    before = own_shop.sql("SELECT @@GLOBAL.max_connections")[0][0]
    sink = Topic()
    with Running(own_shop, send=sink) as running, contextlib.ExitStack() as held:
        own_shop.insert(1, 1)
        until(lambda: sink.ids() == [1])
        for _ in range(12):
            held.enter_context(own.connect())
        own_shop.sql("SET GLOBAL max_connections = 10")
        try:
            count = "SHOW GLOBAL STATUS LIKE 'Connection_errors_max_connections'"
            refused = int(own_shop.sql(count)[0][1])
            account.cut()
            until(lambda: int(own_shop.sql(count)[0][1]) > refused)
            own_shop.insert(2, 1)
            assert running.alive, running.error
            held.close()
            until(lambda: sink.ids() == [1, 2])
        finally:
            own_shop.sql(f"SET GLOBAL max_connections = {before}", f"DROP USER {account.name}")


def test_places_that_the_server_does_not_have(shop: Shop) -> None:
    file, _, position = shop.position().partition(":")
    shop.insert(1, 1)
    base = file.partition(".")[0]
    for begin, kind in (
        (f"{file}:{int(position) + 7}", BadPosition),
        (f"{file}:{int(position) + 100_000}", BadPosition),
        (f"{base}.999999:4", BadPosition),
        (f"{base}.000000:4", PurgedBinlog),
    ):
        (shop.folder / "checkpoint.json").unlink(missing_ok=True)
        with pytest.raises(LtvError) as caught:
            shop.run(Topic(), begin=begin)
        assert type(caught.value) is kind, begin
        assert caught.value.position and caught.value.position.startswith(begin.partition(":")[0])
        assert caught.value.hint
