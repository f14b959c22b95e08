"""`verify` while eight writers commit and worker and stream run: never a false alarm, and what was planted is found."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from shop_rows import position

from demo.servers import PubSubEmulator
from demo.stack import Stack, shop_config
from demo.tables import create_tables
from pipeline.rollup import rollup
from pipeline.session import Statement
from pipeline.verify.analysis import OF_THE_WAREHOUSE, analysed
from pipeline.verify.command import compare
from pipeline.verify.differences import TableResult
from pipeline.verify.options import Options, Scope
from pipeline.verify.rolled_up import RollupResult
from pipeline.verify.rows_of_tables import Reporter
from pipeline.verify.sides import Source
from pipeline.warehouse import open_warehouse
from schemas.config_file import load_config
from tests.conftest import LONG, Server

WRITERS = 8
UNTOUCHED = range(1, 200)
HOT = 500
ROUNDS = 4 if LONG else 2
LOOKS = 2 if LONG else 1
MOST_ROUNDS = 20
ROLLED_UP = ("ltv_cohorts", "order_first_purchase", "payment_reconciliation", "adds_up")
"""One of each kind; all of them in long tests."""
ROLLED_UP_WAIT_S = 10.0 if LONG else 2.0
"""Per rolled-up table, all of which is spent: numbers of a busy shop never stand still."""
IN_TIME = "had not passed the database's position"
PAUSE_S = 0.05
RETRIED = (1205, 1213, 1020)


class Writers:
    """Each commits orders, charges and changes of them, all of them changes of one hot order, until the block ends."""

    def __init__(self, server: Server, database: str) -> None:
        self.server, self.database = server, database
        self.committed = 0
        self.errors: list[BaseException] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(WRITERS)]

    def _work(self, number: int) -> None:
        chance = random.Random(number)
        mine = 1_000 + number * 100_000
        try:
            with contextlib.closing(self.server.connect(database=self.database)) as connection:
                while not self._stop.wait(PAUSE_S):
                    mine = self._transaction(connection, chance, mine, 1_000 + number * 100_000)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.errors.append(error)

    def _transaction(self, connection: Any, chance: random.Random, mine: int, first: int) -> int:
        statements = [_order(mine)]
        if mine > first:
            one = chance.randrange(first, mine)
            statements += chance.choice(
                [
                    [f"UPDATE orders SET amount = amount + 1, status = 'shipped' WHERE id = {one}"],
                    [f"UPDATE orders SET order_date = order_date - INTERVAL 40 DAY WHERE id = {one}"],
                    [f"DELETE FROM orders WHERE id = {one}"],
                    [f"INSERT INTO charges (order_id, amount) VALUES ({one}, -1.25), ({mine}, 5)"],
                    [f"UPDATE orders SET amount = amount + 0.01 WHERE id = {HOT}"],
                ]
            )
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
            connection.commit()
        except pymysql.err.OperationalError as error:
            connection.rollback()
            if error.args[0] not in RETRIED:
                raise
            return mine
        self.committed += 1
        return mine + 1

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)
        assert not self.errors, self.errors


def _order(number: int) -> str:
    return (
        "INSERT INTO orders (id, order_date, status, country, customer_id, amount, updated_at) VALUES"
        f" ({number}, '2026-01-01' + INTERVAL {number % 200} DAY, 'paid', 'FR', {number % 50}, 10, '2026-01-01')"
    )


@pytest.fixture
def stack(
    server: Server, database: str, server_id: int, pubsub: PubSubEmulator, tmp_path: Path
) -> Iterator[tuple[Stack, Server, str]]:
    names = {"topic": f"busy-{database}", "subscription": f"busy-{database}"}
    config = {**shop_config(server.dsn, server_id, database=database, **names), "heartbeat_seconds": 0.5}
    with contextlib.closing(server.connect(autocommit=True)) as connection, Stack(tmp_path, config, pubsub) as made:
        create_tables(connection, database)
        begin = position(connection)
        with connection.cursor() as cursor:
            for number in (*UNTOUCHED, HOT):
                cursor.execute(_order(number))
        made.start_worker("--from", begin)
        made.start_pipeline()
        made.wait_until(lambda: (tmp_path / "ltv.duckdb.server").exists(), 60, "the stream shares its file")
        yield made, server, database


def test_never_a_false_alarm_and_always_what_was_planted(
    stack: tuple[Stack, Server, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, server, database = stack
    for name in () if LONG else {*analysed()} - {*ROLLED_UP}:
        monkeypatch.setitem(OF_THE_WAREHOUSE, name, "it takes long")
    config = load_config(made.config_file)
    in_flight = 0
    with contextlib.closing(open_warehouse(config)) as warehouse, contextlib.closing(Source(config)) as source:

        def verify(rolled_up: bool = False) -> dict[str, TableResult | RollupResult]:
            options = Options(Scope(chunk_rows=500, wait=ROLLED_UP_WAIT_S if rolled_up else 120.0), rollup=rolled_up)
            return {result.table: result for result in compare(source, warehouse, config, options, Reporter())}

        with Writers(server, database) as writers:
            made.wait_until(lambda: writers.committed > 150, 60, "the writers write")
            for number in range(MOST_ROUNDS):
                if number >= ROUNDS and in_flight:
                    break
                made.require_alive()
                if number == 1:
                    rollup(warehouse, config, dt.date(2026, 12, 31))
                for result in verify(rolled_up=number == 1).values():
                    late = number == 1 and IN_TIME in result.problem  # it had little time, and says so
                    assert late or result.equal, result
                    in_flight += result.in_flight if isinstance(result, TableResult) else 0
            warehouse.session.run(
                [
                    Statement("UPDATE raw.orders SET amount = amount + 1 WHERE id = 5"),
                    Statement("DELETE FROM raw.orders WHERE id = 7"),
                    Statement("UPDATE raw.orders SET id = 199999999 WHERE id = 9"),
                ]
            )
            for _ in range(LOOKS):
                orders = verify()["orders"]
                assert isinstance(orders, TableResult)
                assert not orders.problem, orders
                in_flight += orders.in_flight
                assert {difference.key["id"]: difference.kind for difference in orders.differences} == {
                    "5": "differs", "7": "missing", "9": "missing", "199999999": "surplus",
                }  # fmt: skip
            assert writers.committed > 300
    assert in_flight > 0, "nothing was ever in flight, so nothing was tested"
