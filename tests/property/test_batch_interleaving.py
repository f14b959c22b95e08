"""Batches and the stream at once, in any order: the warehouse ends equal to the source.

A batch reads its chunks at different times, each stamped at or below the last change that it sees. The stream's
messages come late, twice and in any order; those from before the last whole batch may never come, as from a purged log.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest

from pipeline.batch.row_decoder import RowDecoder
from pipeline.changes import Changes, Load, LoadedChunk
from pipeline.duckdb_warehouse import DuckDBWarehouse
from pipeline.entries import derive_entries
from pipeline.layout import layouts
from pipeline.rollup import rollup
from schemas.catalogue import CatalogueColumn, CatalogueTable
from schemas.event import Message, TableSchema
from tests.builders import CHARGES, ORDERS, charge, decode, event, memory, message, order, rows, sequence, shop
from tests.conftest import LONG

CONFIG = shop()
AS_OF = dt.date(2022, 6, 15)
KEYS = 12
CHUNK_KEYS = 3
SEEDS = 100 if LONG else 50
LIVE = {
    "orders": "SELECT id, ordered_on, customer_id, amount, status FROM orders ORDER BY id",
    "charges": "SELECT id, order_id, amount, charged_on FROM charges ORDER BY id",
    "entries": "SELECT entry_id, customer_id, purchase_month, amount FROM ltv_entries ORDER BY entry_id",
    "history": "SELECT id, ordered_on, customer_id, amount, status FROM orders_history WHERE TRUE"
    " QUALIFY ROW_NUMBER() OVER (PARTITION BY id ORDER BY _sequence DESC) = 1 ORDER BY id",
}


def table_of(schema: TableSchema) -> CatalogueTable:
    columns = tuple(
        CatalogueColumn(one.name, one.type.partition("(")[0], one.type, True, "utf8mb4", "") for one in schema.columns
    )
    return CatalogueTable(schema.table, "BASE TABLE", "InnoDB", columns, schema.primary_key, False)


DECODERS = {one: RowDecoder(table_of(one), one, layouts(one, CONFIG), CONFIG) for one in (ORDERS, CHARGES)}


class Source:
    """The database through time: `states[n]` is what a read sees after change n; change n stands at position 10 n."""

    def __init__(self, chance: random.Random, changes: int) -> None:
        self.states: list[dict[TableSchema, dict[int, dict[str, Any]]]] = [{ORDERS: {}, CHARGES: {}}]
        self.messages: list[Message] = []
        self.newest: dict[tuple[TableSchema, int], Message] = {}  # of each row
        for number in range(1, changes + 1):
            now = {schema: dict(known) for schema, known in self.states[-1].items()}
            schema, key = chance.choice((ORDERS, ORDERS, CHARGES)), chance.randint(1, KEYS)
            before = now[schema].get(key)
            if before is not None and chance.random() < 0.4:
                del now[schema][key]
                line = event("d", before, number * 10)
            else:
                now[schema][key] = row = new_row(schema, key, chance)
                line = event("u" if before else "c", row, number * 10)
            self.states.append(now)
            self.messages.append(message(schema, line, id=str(number)))
            self.newest[schema, key] = self.messages[-1]


def new_row(schema: TableSchema, key: int, chance: random.Random) -> dict[str, Any]:
    day = f"2022-0{chance.randint(1, 6)}-1{chance.randint(0, 9)}"
    if schema is ORDERS:
        status = chance.choice(("completed", "cancelled"))
        return order(key, day, chance.choice((None, 1, 2, 3)), f"{chance.randint(0, 99)}.50", status=status)
    return charge(key, chance.randint(1, KEYS), f"{chance.randint(-20, 20)}.25", day)


def as_text(schema: TableSchema, found: list[dict[str, Any]]) -> list[pa.Array]:
    """Rows as a query's result prints them."""
    columns = ([row[name] for row in found] for name in schema.names)
    return [
        pa.array([None if value is None else str(value).replace("T", " ").encode() for value in values], pa.binary())
        for values in columns
    ]


def batch(
    source: Source, schema: TableSchema, begins: int, name: str, chance: random.Random, warehouse: DuckDBWarehouse
) -> Iterator[Callable[[], object]]:
    """The steps of a whole load that begins behind change `begins`, in their order."""
    found = tuple(layouts(schema, CONFIG))
    asked = Load(f"{name}:{schema.table}", schema.table, "f", sequence(begins * 10 + 5), whole=True, targets=found)
    opened: list[Load] = []
    yield lambda: opened.append(warehouse.open_load(asked))
    seen = begins
    for number, lower in enumerate(range(0, KEYS, CHUNK_KEYS), 1):
        seen = chance.randint(seen, len(source.messages))
        stamp = chance.randint(begins, seen)
        upper = None if lower + CHUNK_KEYS >= KEYS else lower + CHUNK_KEYS

        def write(number=number, lower=lower, upper=upper, seen=seen, stamp=stamp) -> None:  # type: ignore[no-untyped-def]
            state = source.states[seen][schema]
            kept = [state[key] for key in sorted(state) if key > lower and (upper is None or key <= upper)]
            at = {"sequence": sequence(stamp * 10 + 5), "ts_us": 1_657_811_000_000_000 + number}
            changes = DECODERS[schema].decode(as_text(schema, kept), at) if kept else Changes()
            derived = (derive_entries(one, CONFIG) for one in changes.batches)
            changes.entries = [entries for entries in derived if entries is not None]
            key = None if upper is None else f"[{upper}]"
            changes.chunk = LoadedChunk(opened[0], number, f"[{lower}]", key, len(kept), 0, str(at["sequence"]))
            warehouse.apply(changes)

        yield write
    yield lambda: warehouse.apply(Changes(loaded=opened[0]))


def merged(chance: random.Random, *queues: list[Callable[[], object]]) -> Iterator[Callable[[], object]]:
    """All steps, those of each queue in their order."""
    left = [list(reversed(queue)) for queue in queues if queue]
    while left:
        queue = chance.choice(left)
        yield queue.pop()
        left = [one for one in left if one]


def contents(warehouse: DuckDBWarehouse) -> dict[str, list[tuple[Any, ...]]]:
    rollup(warehouse, CONFIG, AS_OF)
    found = {name: rows(warehouse, sql) for name, sql in LIVE.items() if name != "history"}
    cohorts = "SELECT * FROM ltv_cohorts ORDER BY cohort_month, month_number, currency, is_guest"
    return {**found, "cohorts": rows(warehouse, cohorts)}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_batches_and_the_stream_in_any_order(seed: int) -> None:
    chance = random.Random(seed)
    source = Source(chance, chance.randint(5, 60))
    warehouse, total = memory(), len(source.messages)
    begins = sorted(chance.randint(0, total) for _ in range(chance.randint(1, 3)))
    loads = {
        schema: [
            step
            for number, at in enumerate(begins)
            for step in batch(source, schema, at, f"batch {number}", chance, warehouse)
        ]
        for schema in (ORDERS, CHARGES)
    }
    kept = [one for at, one in enumerate(source.messages, 1) if at > begins[-1] or chance.random() < 0.5]
    arrivals = [*kept, *chance.choices(kept, k=5)] if kept else []
    chance.shuffle(arrivals)
    stream: list[Callable[[], object]] = []
    while arrivals:
        taken = chance.randint(1, 4)
        stream.append(lambda part=arrivals[:taken]: warehouse.apply(decode(CONFIG, *part)))  # type: ignore[misc]
        arrivals = arrivals[taken:]
    for step in merged(chance, stream, *loads.values()):
        step()

    expected = memory()
    expected.apply(decode(CONFIG, message(ORDERS, event("d", order(0), 0)), message(CHARGES, event("d", charge(0), 0))))
    for one in source.newest.values():
        expected.apply(decode(CONFIG, one))
    assert contents(warehouse) == contents(expected)
    live = {row[0] for row in rows(expected, LIVE["orders"])}
    assert [row for row in rows(warehouse, LIVE["history"]) if row[0] in live] == rows(expected, LIVE["orders"])
    assert all(load.done for load in warehouse.loads())
    assert rows(warehouse, "SELECT COUNT(*) FROM raw.load_chunks") == [(0,)]
