"""Starts behind a GTID set on real servers: exactly what is not in the set is delivered, also over crashes."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from gtid_shop import executed, purge
from worker_shop import Shop, Topic, orders, shop_on, until

from binlog_worker import metrics
from binlog_worker.log import dump
from binlog_worker.tail import LONGEST_OPEN_S
from demo.servers import MariaDB
from schemas.errors import CheckpointError, PurgedBinlog, SourceChanged, UsageError
from schemas.sequence import parse_sequence

ONE_BY_ONE = {"requests": 1, "request_messages": 1, "buffer_messages": 2}
NUMBERS = count(500)
UPDATE = "UPDATE orders SET amount = amount + 1 WHERE id = 0"


@pytest.fixture
def shop(server: Any, database: str, tmp_path: Path, server_id: int) -> Iterator[Shop]:
    made = Shop(server.connect, server.dsn, database, tmp_path, server_id)
    yield made
    made.connection.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[MariaDB]:
    with MariaDB(tmp_path / "own") as running:
        yield running


class Crash(Exception):
    """Ends a run from inside, as a defect would."""


RECEIVE_BYTES = 600
"""Two transactions or so: what was received at once leaves at once, and only behind it a checkpoint is made."""


def crash_after(sink: Topic, messages: int) -> Any:
    """So slow that the worker says in between how far it is."""

    def send(batch: Any) -> None:
        if len(sink.messages) >= messages:
            raise Crash
        time.sleep(LONGEST_OPEN_S)
        sink(batch)

    return send


def run_with_crashes(
    shop: Shop, sink: Topic, chance: random.Random, check: Callable[[], None] = lambda: None, **options: Any
) -> int:
    """Runs until caught up, crashing now and then; returns from how many different places it went on."""
    places = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dump, "RECEIVE_BYTES", RECEIVE_BYTES)
        while True:
            try:
                shop.run(crash_after(sink, len(sink.messages) + chance.randint(2, 6)), limits=ONE_BY_ONE, **options)
                return len(places)
            except Crash:
                places.add((shop.checkpoint()["file"], shop.checkpoint()["position"]))
                check()


def write_mysql(shop: Shop, chance: random.Random) -> tuple[str, set[int]]:
    """Orders 0 to 59 under GTIDs of several servers and tags, in a random order, over some files; a set with gaps of a
    third of them and all that was executed before; the ids of the others."""
    before = executed(shop, True)
    one, two = uuid.uuid4(), uuid.uuid4()
    gtids = [f"{key}:{number}" for key in (one, two, f"{two}:shop", f"{two}:a_tag") for number in range(1, 16)]
    chance.shuffle(gtids)
    delivered = set(chance.sample(range(60), 20))
    for order, gtid in enumerate(gtids):
        shop.sql(f"SET gtid_next = '{gtid}'")
        shop.insert(order, 1)
        shop.sql("SET gtid_next = 'AUTOMATIC'")
        if chance.random() < 0.1:
            shop.sql("FLUSH BINARY LOGS")
    shop.sql("SET gtid_next = 'AUTOMATIC:late'")
    shop.insert(60, 1)
    shop.sql("SET gtid_next = 'AUTOMATIC'")
    chosen = ",".join(gtids[order] for order in delivered)
    return f"{before},{chosen}".strip(","), set(range(61)) - delivered


def write_mariadb(shop: Shop, chance: random.Random) -> tuple[str, set[int]]:
    """Orders 0 to 59 in several domains, some by a second server with numbers far below those of the first; a position
    that is further on in one domain than in another; the ids behind it. Of domain 9 nothing is behind it."""
    last: dict[int, str] = {}
    expected = set()
    cuts = {0: chance.randrange(5, 20), 7: chance.randrange(30, 50), 9: 60}
    for order in range(60):
        if order and chance.random() < 0.1:
            shop.sql("FLUSH BINARY LOGS")
        domain = chance.choice([0, 0, 7, 9]) if order < 30 else chance.choice([0, 7, 11])
        second = chance.random() < 0.3
        shop.sql(f"SET gtid_domain_id = {domain}", f"SET server_id = {77 if second else 1}")
        if second or order == 0:
            shop.sql(f"SET gtid_seq_no = {next(NUMBERS) if second else 1_000_000}")
        shop.insert(order, 1)
        if order < cuts.get(domain, 0):
            last[domain] = shop.sql("SELECT @@last_gtid")[0][0]
        else:
            expected.add(order)
    shop.sql("SET gtid_domain_id = 0", "SET server_id = 1")
    return ",".join(last.values()), expected


@pytest.fixture(params=["mariadb", pytest.param("mysql", marks=pytest.mark.mysql)])
def log(request: pytest.FixtureRequest, tmp_path: Path, server_id: int) -> Iterator[tuple[Shop, Any]]:
    """A shop, and what fills its log. MariaDB of its own: the numbers that it is given would confuse others."""
    if request.param == "mariadb":
        own = request.getfixturevalue("own")
        shop, write = shop_on(own, "shop", tmp_path, server_id), write_mariadb
    else:
        server, database = request.getfixturevalue("mysql"), f"t_{uuid.uuid4().hex[:12]}"
        with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {database}")
        shop, write = Shop(server.connect, server.dsn, database, tmp_path, server_id), write_mysql
    yield shop, write
    shop.sql(f"DROP DATABASE {shop.database}")
    shop.connection.close()


@pytest.mark.parametrize("seed", range(3))
def test_exactly_what_is_not_in_the_set(log: tuple[Shop, Any], seed: int) -> None:
    shop, write = log
    gtids, expected = write(shop, random.Random(seed))
    sink = Topic()
    shop.run(sink, begin=gtids)
    assert sink.ids() == sorted(expected), "each once, and in order"
    shop.sql("CREATE TABLE behind (id INT)")
    shop.run(sink)
    assert "passing" not in shop.checkpoint()


@pytest.mark.parametrize("seed", range(2))
def test_crashes_on_the_way_bring_nothing_of_the_set(log: tuple[Shop, Any], seed: int) -> None:
    """A checkpoint that stands before transactions of the set keeps in mind that they are passed over, and that they
    were delivered."""
    shop, write = log
    chance = random.Random(seed)
    gtids, expected = write(shop, chance)
    shop.write(max_events_per_message=1)
    sink = Topic()
    rests = [gtid for gtid in gtids.split(",") if gtid.startswith("9-")]  # on MariaDB

    def check() -> None:
        assert [gtid for gtid in shop.checkpoint()["gtid_set"].split(",") if gtid.startswith("9-")] == rests

    assert run_with_crashes(shop, sink, chance, check, begin=gtids) > 3
    assert set(sink.ids()) == expected


def test_the_set_in_the_checkpoint_is_the_servers(shop: Shop, server: Any) -> None:
    """After statements of every kind, crashes and rotations; from a place in the middle of a file too."""
    mysql = server.flavor == "mysql"
    chance = random.Random(5)
    shop.write(max_events_per_message=1)
    kinds = [
        ["CREATE TABLE IF NOT EXISTS other (id INT) ENGINE = MyISAM", "INSERT INTO other VALUES (1)"],
        ["DROP TABLE IF EXISTS copied", "CREATE TABLE copied AS SELECT id FROM orders"],
        ["BEGIN", UPDATE, "ROLLBACK"],
        ["BEGIN", UPDATE, "SAVEPOINT a", "DELETE FROM orders", "ROLLBACK TO a", "COMMIT"],
        ["XA START 'x'", UPDATE, "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'"],
        ["XA START 'y'", UPDATE, "XA END 'y'", "XA PREPARE 'y'", "XA ROLLBACK 'y'"],
        ["XA START 'z'", UPDATE, "XA END 'z'", "XA COMMIT 'z' ONE PHASE"],
        ["CREATE TEMPORARY TABLE t (id INT)", "INSERT INTO t VALUES (1)", "DROP TEMPORARY TABLE t"],
        ["FLUSH BINARY LOGS"],
        ["FLUSH TABLES"],
        ["CREATE OR REPLACE VIEW v AS SELECT id FROM orders", "DROP VIEW v"],
    ]
    for order, statements in enumerate([*chance.sample(kinds, len(kinds)), *chance.sample(kinds, len(kinds))]):
        shop.insert(order, 1)
        shop.sql(*statements)
    sink = Topic()
    assert run_with_crashes(shop, sink, chance, begin=shop.begin) > 5

    def equal() -> bool:
        """Others may write on the same server."""
        shop.run(sink)
        kept, now = shop.checkpoint()["gtid_set"], executed(shop, mysql)
        return kept == now if not mysql else shop.sql(f"SELECT GTID_SUBTRACT('{now}', '{kept}')") == [("",)]

    until(equal)
    kept = shop.checkpoint()["gtid_set"]
    if mysql:
        now = executed(shop, mysql)
        assert shop.sql(f"SELECT GTID_SUBTRACT('{kept}', '{now}')") == [("",)], "nothing that never was"


def test_a_set_that_the_server_does_not_have(shop: Shop, server: Any) -> None:
    mysql = server.flavor == "mysql"
    shop.insert(1, 1)
    foreign = f"{uuid.uuid4()}:1-5" if mysql else "4242-1-5"
    stops = metrics.STOPS.labels("SourceChanged")._value
    before = stops.get()
    with pytest.raises(SourceChanged) as caught:
        shop.run(Topic(), begin=f"{executed(shop, mysql)},{foreign}")
    assert stops.get() == before + 1
    assert foreign in caught.value.message, "it says which"
    assert caught.value.hint and f"{shop.database}.orders" in caught.value.hint
    assert not shop.checkpoint()
    with pytest.raises(UsageError):
        shop.run(Topic(), begin="0-1-5" if mysql else f"{uuid.uuid4()}:1-5")


@pytest.mark.parametrize("between", ["SELECT 1", "FLUSH BINARY LOGS"])
def test_an_xa_transaction_prepared_in_the_set_and_committed_behind_it(shop: Shop, server: Any, between: str) -> None:
    """Its rows stand before the set ends, in an older file perhaps; they take effect with the COMMIT."""
    mysql = server.flavor == "mysql"

    def xa(name: str, id: int) -> None:
        with shop.connect(database=shop.database, autocommit=True) as other, other.cursor() as cursor:
            for statement in (f"XA START '{name}'", orders(id, 1), f"XA END '{name}'", f"XA PREPARE '{name}'"):
                cursor.execute(statement)

    names = [f"{shop.database}-{number}" for number in range(4)]
    for id, name in enumerate(names[:3], 1):
        xa(name, id)
    shop.sql(f"XA COMMIT '{names[0]}'")
    gtids = executed(shop, mysql)
    shop.sql(between)
    xa(names[3], 4)
    shop.sql(f"XA ROLLBACK '{names[1]}'", f"XA COMMIT '{names[2]}'", f"XA COMMIT '{names[3]}'")
    sink = Topic()
    shop.run(sink, begin=gtids)
    assert sink.ids() == [3, 4]


def test_an_xa_transaction_committed_in_the_set_and_prepared_outside_of_it(log: tuple[Shop, Any]) -> None:
    """Sets of MySQL have gaps, domains of MariaDB places of their own. What counts is the COMMIT: one in the set was
    delivered, one behind it was not, also where the PREPARE was read in an earlier run."""
    shop, write = log
    mysql = write is write_mysql
    own_domain = "DO 1" if mysql else "SET SESSION gtid_domain_id = 31"

    def prepare(name: str, id: int) -> None:
        xid = f"'{shop.database}-{name}'"
        with shop.connect(database=shop.database, autocommit=True) as other, other.cursor() as cursor:
            for statement in (own_domain, f"XA START {xid}", orders(id, 1), f"XA END {xid}", f"XA PREPARE {xid}"):
                cursor.execute(statement)

    def commit(name: str) -> None:
        shop.sql(f"XA COMMIT '{shop.database}-{name}'")

    before = executed(shop, mysql)
    prepare("inside", 1)
    prepare("late", 5)
    gap = executed(shop, mysql)
    commit("inside")
    shop.insert(2, 1)
    gtids = executed(shop, mysql)
    if mysql:
        gtids = shop.sql(f"SELECT GTID_SUBTRACT('{gtids}', GTID_SUBTRACT('{gap}', '{before}'))")[0][0]
    else:
        gtids = ",".join(gtid for gtid in gtids.split(",") if not gtid.startswith("31-"))
    prepare("behind", 3)
    commit("behind")
    shop.insert(4, 1)
    sink = Topic()
    shop.run(sink, begin=gtids)
    assert sink.ids() == [3, 4]
    commit("late")
    shop.run(sink, begin=gtids)
    assert sink.ids() == [3, 4, 5]


def test_a_checkpoint_wins_over_a_set_and_a_higher_epoch_over_both(shop: Shop, server: Any) -> None:
    mysql = server.flavor == "mysql"
    sink = Topic()
    shop.insert(1, 1)
    gtids = executed(shop, mysql)
    shop.insert(2, 1)
    shop.run(sink, begin=gtids)
    shop.insert(3, 1)
    shop.run(sink, begin=gtids)
    assert sink.ids() == [2, 3]
    shop.run(sink, begin=gtids, epoch=2)
    assert sink.ids() == [2, 3, 2, 3]
    assert {parse_sequence(m.attributes["last_sequence"]).epoch for m in sink.messages} == {1, 2}
    path = shop.folder / "checkpoint.json"
    path.write_text(path.read_text().replace('"gtid_set": "', '"gtid_set": "nonsense '))
    with pytest.raises(CheckpointError, match="nonsense"):
        shop.run(sink)


def test_purged_transactions_behind_the_set(own: MariaDB, tmp_path: Path, server_id: int) -> None:
    shop = shop_on(own, "shop", tmp_path, server_id)
    shop.insert(1, 1)
    early = executed(shop, False)
    shop.sql("SET gtid_domain_id = 5")
    shop.insert(2, 1)
    rest = shop.sql("SELECT @@gtid_binlog_pos")[0][0]
    shop.sql("FLUSH BINARY LOGS", "SET gtid_domain_id = 0")
    shop.insert(3, 1)
    purge(shop)
    with pytest.raises(PurgedBinlog, match="all of domain 5") as caught:
        shop.run(Topic(), begin=early)
    assert caught.value.hint and "--from earliest" in caught.value.hint
    sink = Topic()
    shop.run(sink, begin=rest)
    assert sink.ids() == [3], "a domain that rests may be purged"
