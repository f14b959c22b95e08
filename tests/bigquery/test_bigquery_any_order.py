"""The same changes in any order, duplicated, split and interrupted anywhere give the tables that DuckDB has."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipeline.rollup import rollup
from pipeline.warehouse import Warehouse
from schemas.errors import WarehouseError
from tests.bigquery.server import BigQueryServer
from tests.bigquery.two_warehouses import bigquery_warehouse, differences, repr_of, rows
from tests.builders import CHARGES, ORDERS, charge, decode, event, message, order
from tests.conftest import LONG
from tests.property.test_any_order import AS_OF, CONFIG, TABLES, as_messages, histories, new_warehouse


def contents(warehouse: Warehouse) -> dict[str, Any]:
    rollup(warehouse, CONFIG, AS_OF)
    return {
        table: sorted(rows(warehouse, f"SELECT {columns} FROM {table}"), key=repr_of)
        for table, columns in TABLES.items()
    }


def test_any_order_any_batches_any_crash(bigquery: BigQueryServer) -> None:
    @settings(
        max_examples=30 if LONG else 4,
        deadline=None,
        phases=[Phase.generate],  # an example takes a second or two
        suppress_health_check=list(HealthCheck),
    )
    @given(histories(), st.data())
    def check(changes: list[Any], data: st.DataObject) -> None:
        messages = as_messages(changes)
        expected = new_warehouse()
        for item in messages:
            expected.apply(decode(CONFIG, item))
        bigquery.clear()
        _arrive(bigquery, messages, data)
        with bigquery_warehouse(bigquery) as warehouse:
            assert differences(contents(warehouse), contents(expected)) == []

    with bigquery_warehouse(bigquery) as warehouse:
        warehouse.check_settings(CONFIG)
    check()


def _arrive(bigquery: BigQueryServer, messages: list[Any], data: st.DataObject) -> None:
    """In an order of the example's; the process dies, is refused in the middle, or is not acknowledged, and goes on
    from an earlier place."""
    first = decode(CONFIG, message(ORDERS, event("d", order(0), 0)), message(CHARGES, event("d", charge(0), 0)))
    again = data.draw(st.lists(st.sampled_from(messages), max_size=5))
    arrivals = data.draw(st.permutations([*messages, *again]))
    at, setbacks = 0, data.draw(st.integers(0, 2))
    while at < len(arrivals) or setbacks:
        with bigquery_warehouse(bigquery) as warehouse:  # a process of its own until the next setback
            warehouse.apply(first)
            while at < len(arrivals):
                taken = data.draw(st.integers(1, 8))
                part = decode(CONFIG, *arrivals[at : at + taken])
                assert not part.dead
                at += taken
                if not setbacks or data.draw(st.booleans()):
                    warehouse.apply(part)
                    continue
                bigquery.faults.appends_left = data.draw(st.integers(0, 6))
                try:
                    warehouse.apply(part)
                except WarehouseError as error:
                    assert "PERMISSION_DENIED" in str(error)
                bigquery.faults.appends_left = None
                setbacks -= 1
                at = data.draw(st.integers(0, at - taken))
                break
            else:
                setbacks = 0


@pytest.mark.parametrize("left", range(8))
def test_a_refusal_in_the_middle_notes_no_arrival(bigquery: BigQueryServer, left: int) -> None:
    """Whatever part is written: a message has arrived only when all that came of it is there."""
    numbered = {
        "source": "s",
        "run": "r",
        "number": "1",
        "first_sequence": "1",
        "last_sequence": "1",
        "committed_at": "1",
    }
    item = message(ORDERS, event("c", order(1), 1), **numbered)
    with bigquery_warehouse(bigquery) as warehouse:
        bigquery.faults.appends_left = left
        try:
            warehouse.apply(decode(CONFIG, item))
        except WarehouseError:
            written = [bigquery.table(name).count() for name in ("orders", "orders_history", "ltv_entries")]
            assert bigquery.table("arrivals").count() == 0
            assert left < 5
            assert left < 3 or written == [1, 1, 1], "rows come before what is noted of them"
        else:
            assert left >= 5
        bigquery.faults.appends_left = None
        warehouse.apply(decode(CONFIG, item))
        counts = [bigquery.table(name).count() for name in ("orders", "orders_history", "ltv_entries", "arrivals")]
        assert counts == [1, 1, 1, 1]
