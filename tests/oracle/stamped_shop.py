"""A shop with eight writers, stamped reads beside them, and what the binlog says of both."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from worker_shop import Shop

from pipeline.batch.stamps import Stamp, Way, stamped_read
from schemas.sequence import binlog_number, parse_sequence
from schemas.source import Connection, SourceAddress, connect, rows
from tests.conftest import Server

WRITERS = 8


class Read(NamedTuple):
    """`versions`: writer → the last of its changes that the read saw."""

    stamp: Stamp
    versions: dict[int, int]


class Result(NamedTuple):
    reads: int
    missed: int  # reads that did not see a change below their stamp
    ahead: int  # reads that saw a change above it


def log_in(server: Server) -> Connection:
    return connect(SourceAddress.parse(server.dsn), server.password)


@contextmanager
def stamped_shop(server: Server, folder: Path, server_id: int) -> Iterator[StampedShop]:
    """In a database of its own, on a server of the test's own."""
    with server.connect(autocommit=True) as connection:
        connection.cursor().execute(f"CREATE DATABASE shop_{server_id}")
    made = StampedShop(server, f"shop_{server_id}", folder, server_id)
    yield made
    made.close()


class StampedShop:
    """Every writer changes one row of its own, again and again: its versions are numbered upwards."""

    def __init__(self, server: Server, database: str, folder: Path, server_id: int) -> None:
        self.server, self.database = server, database
        self.shop = Shop(server.connect, server.dsn, database, folder, server_id)
        values = ", ".join(f"({number}, 0, '2022-01-13 10:00:00', 150, 'paid', '')" for number in range(WRITERS))
        self.shop.sql(f"INSERT INTO orders VALUES {values}")

    def close(self) -> None:
        self.shop.connection.close()

    @contextmanager
    def writing(self, xa: bool = False) -> Iterator[None]:
        stop = threading.Event()
        errors: list[Exception] = []
        threads = [threading.Thread(target=self._write, args=(n, xa, stop, errors)) for n in range(WRITERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not errors

    def _write(self, number: int, xa: bool, stop: threading.Event, errors: list[Exception]) -> None:
        version = 0
        try:
            with self.server.connect(database=self.database, autocommit=True) as connection:
                while not stop.is_set():
                    version += 1
                    change = f"UPDATE orders SET customer_id = {version} WHERE id = {number}"
                    xid = f"'{self.database}.{number}.{version}'"
                    ends = (f"XA END {xid}", f"XA PREPARE {xid}", f"XA COMMIT {xid}")
                    for statement in (f"XA START {xid}", change, *ends) if xa else (change,):
                        connection.cursor().execute(statement)
        except Exception as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    def read(self, reader: Connection, way: Way, count: int, between: Callable[[], Any] = lambda: None) -> list[Read]:
        found = []
        deadline = time.monotonic() + 60
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} reads in a minute"
            with stamped_read(reader, way) as stamp:
                versions = dict(rows(reader, f"SELECT id, customer_id FROM {self.database}.orders{way.suffix}"))
            found.append(Read(stamp, versions))
            between()
        return found

    def compare(self, reads: list[Read]) -> Result:
        """With what the worker publishes of the log: positions as in its sequence numbers."""
        self.shop.run()
        places: dict[int, list[tuple[int, int]]] = {number: [] for number in range(WRITERS)}
        for event in self.shop.events():
            if event["op"] == "u":
                sequence = parse_sequence(event["source"]["sequence"])
                row = event["after"]
                places[row["id"]].append((sequence.file, sequence.position))
                assert row["customer_id"] == len(places[row["id"]])
        assert all(places.values())
        missed = ahead = 0
        for stamp, versions in reads:
            place = (binlog_number(stamp.file)[1], stamp.position)
            below = {number: bisect_left(found, place) for number, found in places.items()}
            missed += any(versions[number] < below[number] for number in below)
            ahead += any(versions[number] > below[number] for number in below)
        return Result(len(reads), missed, ahead)
