"""Orders as the worker publishes them, made without a database: 500 inserts a message, Debezium's envelope."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from schemas.event import EventColumn, Message, TableSchema, envelope
from schemas.sequence import format_sequence

PER_MESSAGE = 500
EVENT_BYTES = 330  # of one row's event in a binlog, for positions that look real
CUSTOMERS = 50_000
FIRST_COMMIT = datetime(2026, 1, 13, 10, tzinfo=timezone.utc)
SCHEMA = TableSchema(
    "shop.orders",
    ("id",),
    (
        EventColumn("id", "bigint", False),
        EventColumn("order_date", "datetime", False),
        EventColumn("status", "varchar", False),
        EventColumn("country", "char", False),
        EventColumn("customer_id", "bigint", True),
        EventColumn("amount", "decimal(12,2)", False),
        EventColumn("updated_at", "datetime", False),
    ),
)
COUNTRIES = ("FR", "US", "ES", "DE", "IT")
STATUSES = ("paid", "paid", "shipped", "completed", "completed", "cancelled")


def order_messages(rows: int) -> Iterator[Message]:
    """Inserts of orders 1 to `rows`, over 24 months and 50,000 customers."""
    for number, first in enumerate(range(0, rows, PER_MESSAGE), 1):
        committed = FIRST_COMMIT + timedelta(milliseconds=5 * number)
        position = 4 + EVENT_BYTES * first
        lines = [SCHEMA.line()]
        lines += [_order(key, committed, position, row) for row, key in enumerate(_keys(first, rows))]
        yield Message(
            b"\n".join(lines),
            {
                "table": SCHEMA.table,
                "events": str(len(lines) - 1),
                "schema": SCHEMA.fingerprint(),
                "first_sequence": format_sequence(1, 3, position, 0),
                "last_sequence": format_sequence(1, 3, position, 2 * len(lines) - 4),
                "committed_at": f"{committed:%Y-%m-%dT%H:%M:%S.%fZ}",
                "source": "bench:1",
                "run": "bench",
                "number": str(number),
            },
        )


def _keys(first: int, rows: int) -> range:
    return range(first + 1, min(rows, first + PER_MESSAGE) + 1)


def _order(key: int, committed: datetime, position: int, row: int) -> bytes:
    ordered_at = f"{2024 + key // 12 % 2}-{key % 12 + 1:02}-{key % 28 + 1:02}T{key % 24:02}:{key % 60:02}:00.000000"
    after = {
        "id": key,
        "order_date": ordered_at,
        "status": STATUSES[key % len(STATUSES)],
        "country": COUNTRIES[key % len(COUNTRIES)],
        "customer_id": key * 7919 % CUSTOMERS + 1,
        "amount": f"{key % 300}.{key % 100:02}",
        "updated_at": ordered_at,
    }
    micros = round(committed.timestamp() * 1e6)
    source = {
        "connector": "mariadb",
        "name": "shop",
        "ts_ms": micros // 1000,
        "ts_us": micros,
        "snapshot": "false",
        "db": "shop",
        "table": "orders",
        "server_id": 1,
        "file": "mysql-bin.000003",
        "pos": position,
        "gtid": f"0-1-{position}",
        "sequence": format_sequence(1, 3, position, 2 * row),
        "row": row,
    }
    return envelope("c", None, after, source, micros // 1000 + 3)
