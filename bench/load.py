"""The load of `bench.soak`: 2,000 rows a second, all of them updates of a bounded set of orders and charges.

New rows would make the warehouse's key indexes grow, which is no leak but hides one. Its history grows all the same.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import pymysql

from bench.traffic import ORDER_COLUMNS, order_values

TICK_S = 0.1
KEYS = 20_000  # orders, and as many charges, that are updated again and again
UPDATED, CHARGED, SINGLE = 150, 40, 10  # rows a tick: 2,000 a second


class Load(threading.Thread):
    """Each tick: one UPDATE of 150 orders, one of 40 charges (one in ten a refund), and ten transactions of one row.
    `rows` counts what was changed; a tick that comes late is not made up for."""

    def __init__(self, connection: pymysql.connections.Connection[Any]) -> None:
        super().__init__(name="load", daemon=True)
        self.rows = 0
        self.error: Exception | None = None
        self._connection = connection
        self._ended = threading.Event()

    def prepare(self) -> None:
        """The bounded set of orders and charges."""
        self._change(f"{ORDER_COLUMNS} SELECT {order_values('seq')} FROM seq_1_to_{KEYS}")
        self._change(
            "INSERT INTO charges (id, order_id, amount, created_at)"
            f" SELECT seq, seq, IF(seq MOD 10, 1, -1) * (1 + seq MOD 500 / 100), UTC_TIMESTAMP() FROM seq_1_to_{KEYS}"
        )

    def run(self) -> None:
        began, tick = time.monotonic(), 0
        try:
            while not self._ended.wait(max(0.0, began + tick * TICK_S - time.monotonic())):
                self._tick(tick)
                tick = max(tick + 1, int((time.monotonic() - began) / TICK_S))
        except Exception as error:  # noqa: BLE001 - raised again in `end`
            self.error = error

    def _tick(self, tick: int) -> None:
        first = tick * 7919 % (KEYS - UPDATED) + 1
        self._change(
            "UPDATE orders SET amount = amount + 0.01,"
            " status = ELT(1 + (id + %s) MOD 4, 'paid', 'shipped', 'completed', 'cancelled'),"
            " updated_at = '2026-02-01' + INTERVAL %s SECOND WHERE id BETWEEN %s AND %s",
            (tick, tick, first, first + UPDATED - 1),
        )
        self._change(
            "UPDATE charges SET amount = amount * 1.01 WHERE id BETWEEN %s AND %s", (first, first + CHARGED - 1)
        )
        for step in range(SINGLE):
            key = (tick * 31 + step * 1_997) % KEYS + 1
            self._change(
                "UPDATE orders SET amount = amount + 1, updated_at = '2026-03-01' + INTERVAL %s SECOND WHERE id = %s",
                (tick, key),
            )

    def _change(self, sql: str, values: tuple[int, ...] = ()) -> None:
        with self._connection.cursor() as cursor:
            self.rows += cursor.execute(sql, values or None)

    def end(self) -> None:
        """Raises what stopped it, if anything did."""
        self._ended.set()
        self.join(timeout=30)
        if self.error:
            raise self.error
