"""All eight ways to write and read the log: the same changes leave the worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from log_variants import ALL, Variant, VariantServer
from worker_shop import Shop

from tests.conftest import Server

WAYS_TO_SAY = (
    "INSERT INTO orders VALUES (1, 7, '2022-01-13 10:00:00', 150, 'paid', REPEAT('long note ', 500)),"
    " (2, NULL, '2022-02-01 00:00:00', 10.5, 'né', NULL)",
    "UPDATE orders SET amount = amount + 0.01, note = CONCAT(note, 'x')",
    "UPDATE orders SET id = 3 WHERE id = 2",
    "BEGIN",
    "INSERT INTO orders SELECT id + 10, customer_id, order_date, amount, status, note FROM orders",
    "INSERT INTO orders SELECT id + 100, customer_id, order_date, amount, status, note FROM orders",
    "DELETE FROM orders WHERE id > 100 AND customer_id IS NULL",
    "COMMIT",
    "ALTER TABLE orders ADD COLUMN country CHAR(2)",
    "INSERT INTO orders VALUES (4, 7, '2022-03-01 00:00:00', 1, 'paid', 'short', 'FR')",
    "DELETE FROM orders WHERE id = 1",
)
OPS = "ccuudc" + 6 * "c" + "ddcd"


@pytest.fixture
def server(variants: VariantServer) -> Server:
    """Of `database`, too."""
    return variants.server


def said(event: dict[str, Any]) -> tuple[Any, ...]:
    return event["op"], event["before"], event["after"]


@pytest.mark.parametrize("variant", ALL, ids=str)
def test_the_same_changes(
    variants: VariantServer, variant: Variant, server: Server, database: str, tmp_path: Path, server_id: int
) -> None:
    encryption = variants.tls if variant.tls else {"tls": "disabled"}
    with variants.writing(variant):
        shop = Shop(server.connect, server.dsn, database, tmp_path, server_id)
        shop.write(**encryption)
        shop.sql(*WAYS_TO_SAY)
        assert variants.compressed(shop.begin) is variant.compressed
        shop.run()
        events = shop.events()
        shop.connection.close()
    assert "".join(event["op"] for event in events) == OPS
    note = "long note " * 500
    first = {"id": 1, "customer_id": 7, "order_date": "2022-01-13T10:00:00.000000", "amount": "150.00"}
    assert said(events[0]) == ("c", None, {**first, "status": "paid", "note": note})
    assert events[2]["after"] == {**first, "amount": "150.01", "status": "paid", "note": note + "x"}
    assert [events[n]["before"] and events[n]["before"]["id"] for n in (4, 5, 12, 13, 15)] == [2, None, 103, 113, 1]
    assert events[5]["after"]["status"] == "né"
    assert events[14]["after"] == {
        "id": 4, "customer_id": 7, "order_date": "2022-03-01T00:00:00.000000", "amount": "1.00", "status": "paid",
        "note": "short", "country": "FR",
    }  # fmt: skip
    sequences = [event["source"]["sequence"] for event in events]
    assert sequences == sorted(set(sequences))
