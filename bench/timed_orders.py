"""How long a commit takes until somebody else sees it: orders placed on a fixed schedule, whatever the answers take.

A probe that waits for each answer before it places the next order asks least when things are slowest; this one goes on.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

import pymysql

from bench.traffic import order_values

POLL_S = 0.005
LONGEST_S = 10.0

Visible = Callable[[Collection[int]], Collection[int]]
"""Which of these orders are there."""


class TimedOrders:
    """Places an order every `every_s` (with jitter, so as not to beat with other clocks) and times it.

    `seen`: seconds from commit to visible; `missing`: how many were not there ten seconds after the last.
    """

    def __init__(
        self,
        connection: pymysql.connections.Connection[Any],
        visible: Visible,
        first: int,
        every_s: float,
        poll_s: float = POLL_S,
    ) -> None:
        self.seen: list[float] = []
        self.missing = 0
        self.next_id = first
        self._connection, self._visible, self._every_s, self._poll_s = connection, visible, every_s, poll_s
        self._waiting: dict[int, float] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._error: Exception | None = None

    def run(self, seconds: float) -> None:
        """Blocks for `seconds` and until the last one is seen. Raises what placing or asking raised."""
        placing = threading.Thread(target=self._place, args=(seconds,), name="placing", daemon=True)
        placing.start()
        deadline = time.monotonic() + seconds + LONGEST_S
        try:
            while placing.is_alive() or self._waiting:
                with self._lock:
                    waiting = list(self._waiting)
                if waiting:
                    self._ask(waiting)
                if time.monotonic() > deadline:
                    break
                time.sleep(self._poll_s)
        finally:
            self._stop.set()
            placing.join(timeout=5)
        self.missing += len(self._waiting)
        self._waiting.clear()
        if self._error:
            raise self._error

    def _ask(self, waiting: list[int]) -> None:
        there = self._visible(waiting)
        now = time.monotonic()
        with self._lock:
            for key in there:
                self.seen.append(max(0.0, now - self._waiting.pop(key)))

    def _place(self, seconds: float) -> None:
        began, number = time.monotonic(), 0
        try:
            while True:
                due = began + self._every_s * (number + random.random())
                if due - began >= seconds or self._stop.wait(max(0.0, due - time.monotonic())):
                    return
                with self._connection.cursor() as cursor:
                    cursor.execute(
                        "INSERT INTO orders (id, order_date, status, country, customer_id, amount, updated_at)"
                        f" VALUES ({order_values(str(self.next_id))})"
                    )
                with self._lock:
                    self._waiting[self.next_id] = time.monotonic()
                self.next_id += 1
                number += 1
        except Exception as error:  # noqa: BLE001 - raised again in `run`
            self._error = error
