"""Loads of whole tables into DuckDB, beside what a stream writes meanwhile."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from pipeline.changes import Changes, Load, LoadedChunk
from pipeline.duckdb_loads import ROW_GROUP
from pipeline.duckdb_warehouse import DuckDBWarehouse
from pipeline.layout import layouts
from pipeline.session import Statement
from schemas.event import TableSchema
from schemas.sequence import format_sequence
from tests.builders import ORDER_COLUMNS, ORDERS, decode, event, memory, message, order, rows, schema, sequence, shop

CONFIG = shop()
BEGINS = sequence(100)
STAMP = sequence(200)
LIVE = "SELECT id, amount FROM orders ORDER BY id"


def load(of: TableSchema = ORDERS, *, name: str = "b:x", whole: bool = True) -> Load:
    return Load(f"{name}:{of.table}", of.table, of.fingerprint(), BEGINS, whole, tuple(layouts(of, CONFIG)))


def chunk(
    opened: Load, number: int, found: list[dict[str, Any]], *, last: bool = False, of: TableSchema = ORDERS
) -> Changes:
    lines = [event("r", row, STAMP) for row in found]
    changes = decode(CONFIG, message(of, *lines)) if lines else Changes()
    upper = None if last else f"[{number}]"
    changes.chunk = LoadedChunk(opened, number, f"[{number - 1}]", upper, len(found), 0, STAMP)
    return changes


def finish(warehouse: DuckDBWarehouse, opened: Load) -> None:
    warehouse.apply(Changes(loaded=opened))


def test_nothing_is_seen_before_the_end() -> None:
    warehouse = memory()
    opened = warehouse.open_load(load())
    assert opened.beside
    warehouse.apply(chunk(opened, 1, [order(1), order(2)]))
    assert "orders" not in warehouse.raw_tables()
    assert rows(warehouse, "SELECT COUNT(*) FROM ltv_entries") == [(0,)]
    (stored,) = warehouse.loads()
    assert (stored.chunks, stored.upper, stored.complete, stored.done, stored.rows) == (1, "[1]", False, False, 2)
    warehouse.apply(chunk(opened, 2, [order(3)], last=True))
    assert [one.complete for one in warehouse.loads()] == [True]
    finish(warehouse, opened)
    assert [row[0] for row in rows(warehouse, LIVE)] == [1, 2, 3]
    assert rows(warehouse, "SELECT entry_id FROM ltv_entries ORDER BY entry_id") == [
        ("order:1",), ("order:2",), ("order:3",)
    ]  # fmt: skip
    assert rows(warehouse, "SELECT id, _op FROM orders_history ORDER BY id") == [(1, "r"), (2, "r"), (3, "r")]
    (stored,) = warehouse.loads()
    assert (stored.done, stored.rows, stored.dead) == (True, 3, 0)
    assert rows(warehouse, "SELECT `table`, _sequence FROM raw.floors") == [("orders", BEGINS)]
    assert [table for table in warehouse.raw_tables() if "." in table] == []
    assert warehouse.raw_tables()["orders"].key == ("id",)
    assert warehouse.raw_tables()["ltv_entries"].key == ("entry_id",)


@pytest.mark.parametrize("streamed", [2, 30], ids=["few", "many"])
def test_a_stream_that_writes_meanwhile_wins_by_sequence(streamed: int) -> None:
    """Whichever of the two tables is the larger."""
    warehouse = memory()
    opened = warehouse.open_load(load())
    warehouse.apply(chunk(opened, 1, [order(key, amount="1.00") for key in range(1, 11)], last=True))
    older, newer = sequence(150), sequence(300)
    lines = [event("u", order(key, amount="2.00"), newer if key % 2 else older) for key in range(1, streamed + 1)]
    warehouse.apply(decode(CONFIG, message(ORDERS, *lines)))
    finish(warehouse, opened)
    expected = {key: "2.00" if key % 2 and key <= streamed else "1.00" for key in range(1, 11)}
    expected |= dict.fromkeys(range(11, streamed + 1), "2.00")
    assert {key: str(amount) for key, amount in rows(warehouse, LIVE)} == expected
    amounts = rows(warehouse, "SELECT order_id, amount FROM ltv_entries")
    assert {int(key): f"{amount:.2f}" for key, amount in amounts} == expected
    warehouse.apply(decode(CONFIG, message(ORDERS, event("u", order(1, amount="3.00"), sequence(400)))))
    assert rows(warehouse, LIVE)[0][1] == 3, "the table has its key and takes the stream's rows"


def test_columns_that_a_stream_has_added_or_widened_meanwhile() -> None:
    warehouse = memory()
    opened = warehouse.open_load(load())
    warehouse.apply(chunk(opened, 1, [order(1, amount="1.00"), order(2, amount="1.00")], last=True))
    other = schema("shop.orders", {**ORDER_COLUMNS, "amount": "decimal(20,4)", "note": "varchar"})
    line = event("u", {**order(2, amount="2.1234"), "note": "new"}, sequence(300))
    warehouse.apply(decode(CONFIG, message(other, line)))
    finish(warehouse, opened)
    found = rows(warehouse, "SELECT id, amount, note FROM orders ORDER BY id")
    assert [(key, str(amount), note) for key, amount, note in found] == [(1, "1.0000", None), (2, "2.1234", "new")]


def test_a_load_that_begins_anew_leaves_nothing_of_the_other() -> None:
    warehouse = memory()
    opened = warehouse.open_load(load())
    warehouse.apply(chunk(opened, 1, [order(1), order(2)]))
    anew = warehouse.open_load(load(name="b:y"))
    assert [one.id for one in warehouse.loads()] == ["b:y:shop.orders"]
    warehouse.apply(chunk(anew, 1, [order(3)], last=True))
    finish(warehouse, anew)
    assert [row[0] for row in rows(warehouse, LIVE)] == [3]


def test_going_on_as_it_was_begun() -> None:
    """Beside, though the stream has filled the table since."""
    warehouse = memory()
    opened = warehouse.open_load(load())
    warehouse.apply(chunk(opened, 1, [order(1)]))
    warehouse.apply(decode(CONFIG, message(ORDERS, event("c", order(9), sequence(300)))))
    again = DuckDBWarehouse(warehouse.session)
    opened = again.open_load(load())
    assert opened.beside
    again.apply(chunk(opened, 2, [order(2)], last=True))
    finish(again, opened)
    assert [row[0] for row in rows(again, LIVE)] == [1, 2, 9]


def test_a_full_table_is_upserted() -> None:
    warehouse = memory()
    warehouse.apply(decode(CONFIG, message(ORDERS, event("c", order(1, amount="5.00"), sequence(50)))))
    warehouse.apply(decode(CONFIG, message(ORDERS, event("c", order(7, amount="5.00"), sequence(50)))))
    opened = warehouse.open_load(load())
    assert not opened.beside
    warehouse.apply(chunk(opened, 1, [order(1, amount="6.00")], last=True))
    finish(warehouse, opened)
    assert [(key, str(amount)) for key, amount in rows(warehouse, LIVE)] == [(1, "6.00")], "order 7 has vanished"


@pytest.mark.parametrize(("whole", "dead"), [(False, 0), (True, 1)])
def test_what_was_not_seen_stays_where_the_load_left_something_out(whole: bool, dead: int) -> None:
    warehouse = memory()
    warehouse.apply(decode(CONFIG, message(ORDERS, event("c", order(7), sequence(50)))))
    opened = warehouse.open_load(load(whole=whole))
    changes = chunk(opened, 1, [order(1)], last=True)
    assert changes.chunk is not None
    changes.chunk = LoadedChunk(opened, 1, None, None, 1 + dead, dead, STAMP)
    warehouse.apply(changes)
    finish(warehouse, opened)
    assert [row[0] for row in rows(warehouse, LIVE)] == [1, 7]
    assert [one.dead for one in warehouse.loads()] == [dead]


def test_row_groups_and_what_is_left_of_them() -> None:
    warehouse = memory()
    opened = warehouse.open_load(load())
    count = ROW_GROUP + 7
    one = chunk(opened, 1, [order(1)], last=True)
    batch = one.batches[0]
    ids = list(range(1, count + 1))
    table = batch.rows.take([0] * count)
    batch.rows = table.set_column(table.schema.get_field_index("id"), "id", pa.array(ids, pa.int64()))
    one.entries = []
    warehouse.apply(one)
    for name, expected in (("orders.loading", ROW_GROUP), ("orders.loading.rest", 7)):
        counted = Statement(f'SELECT count(*) AS found FROM raw."{name}"')
        assert warehouse.session.run([counted]).read_all().to_pylist() == [{"found": expected}]
    finish(warehouse, opened)
    assert rows(warehouse, "SELECT COUNT(DISTINCT id) FROM orders") == [(count,)]


def test_epochs_of_loads_count_as_seen() -> None:
    warehouse = memory()
    opened = warehouse.open_load(load())
    changes = chunk(opened, 1, [order(1)], last=True)
    changes.highest_epoch = format_sequence(5, 0, 0, 0)[:4]
    warehouse.apply(changes)
    assert DuckDBWarehouse(warehouse.session).highest_epoch() == "0005"
