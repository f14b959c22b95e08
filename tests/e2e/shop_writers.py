"""Eight connections that change the simulated shop until a block ends."""

from __future__ import annotations

import contextlib
import random
import threading
from typing import TYPE_CHECKING, Any

from tests.conftest import Server

if TYPE_CHECKING:
    from typing_extensions import Self

WRITERS = 8
LEAST = 5


class ShopWriters:
    """Writes within the block, one transaction after the other; at its end it fails where a writer was held up."""

    def __init__(self, server: Server, database: str) -> None:
        self._server, self._database = server, database
        self._ended = threading.Event()
        self._counts: list[int] = []
        self._threads = [threading.Thread(target=self._write, args=(number,), daemon=True) for number in range(WRITERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(30)
        if kind is None:
            counts = self._counts
            assert len(counts) == WRITERS and min(counts) > LEAST, "the writers were held up, so nothing was tested"

    def _write(self, number: int) -> None:
        """New, changed, moved and deleted rows, in transactions of one to three statements."""
        chance = random.Random(number)
        written = 0
        with contextlib.closing(self._server.connect(database=self._database)) as connection:
            cursor = connection.cursor()
            cursor.execute("SET innodb_lock_wait_timeout = 50")
            while not self._ended.wait(0.05):
                try:
                    for _ in range(chance.randint(1, 3)):
                        _change(cursor, chance)
                    connection.commit()
                    written += 1
                except Exception as error:  # noqa: BLE001 - two writers that met
                    assert "Deadlock" in str(error) or "Record has changed" in str(error), error
                    connection.rollback()
        self._counts.append(written)


def _change(cursor: Any, chance: random.Random) -> None:
    key = chance.randint(1, 80)
    cursor.execute(
        *chance.choice(
            (
                ("UPDATE orders SET amount = amount + 1, status = 'shipped' WHERE id = %s", (key,)),
                ("UPDATE orders SET status = 'cancelled' WHERE id = %s", (key,)),
                ("DELETE FROM charges WHERE id = %s", (key,)),
                ("UPDATE customers SET channel = %s WHERE id = %s", (chance.choice(("mail", "search")), key)),
                ("DELETE FROM orders WHERE id = %s", (key,)),
                ("UPDATE order_items SET quantity = quantity + 1 WHERE order_id = %s", (key,)),
                (
                    "INSERT INTO orders (order_date, status, country, customer_id, amount, updated_at)"
                    " VALUES ('2026-02-03 10:00:00', 'paid', 'IT', %s, 12.50, '2026-02-03 10:00:00')",
                    (key,),
                ),
                ("INSERT INTO charges (order_id, amount) VALUES (%s, -1.25)", (key,)),
            )
        )
    )
