"""How long a commit takes to become visible in `ltv_entries`: real orders, timed from outside."""

from __future__ import annotations

import datetime as dt
import threading
import time
from typing import Any

import pymysql

from pipeline.warehouse import Warehouse

FIRST_ID = 900_000_000
POLL_S = 0.01


class Probe(threading.Thread):
    """Places an order now and then and asks the warehouse until its entry is there. Times in seconds, in `seen`."""

    def __init__(
        self, connection: pymysql.connections.Connection[Any], warehouse: Warehouse, every_s: float, local_now: Any
    ) -> None:
        super().__init__(name="probe", daemon=True)
        self.seen: list[float] = []
        self.error: Exception | None = None
        self._connection = connection
        self._warehouse = warehouse
        self._every_s = every_s
        self._local_now = local_now
        self._ended = threading.Event()

    def run(self) -> None:
        number = FIRST_ID
        try:
            while not self._ended.wait(self._every_s):
                self._order(number)
                committed = time.monotonic()
                while not self._visible(number):
                    if self._ended.wait(POLL_S):
                        return
                self.seen.append(time.monotonic() - committed)
                number += 1
        except Exception as error:  # noqa: BLE001 - raised again in the main thread
            self.error = error

    def _order(self, number: int) -> None:
        wall: dt.datetime = self._local_now()
        with self._connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO orders (id, order_date, status, country, customer_id, amount, updated_at)"
                " VALUES (%s, %s, 'paid', 'FR', 1, '1.00', %s)",
                (number, wall, wall),
            )
        self._connection.commit()

    def _visible(self, number: int) -> bool:
        sql = f"SELECT COUNT(*) AS found FROM ltv_entries WHERE entry_id = 'order:{number}'"
        with self._warehouse.query(sql) as reader:
            return bool(reader.read_all().to_pylist()[0]["found"])

    def end(self) -> None:
        self._ended.set()
        self.join(timeout=10)


def quantile(values: list[float], share: float) -> float:
    """The value below which `share` of them lie; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))] if ordered else 0.0
