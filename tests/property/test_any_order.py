"""The same changes in any order, duplicated, split anywhere and interrupted anywhere give the same tables."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.duckdb_warehouse import DuckDBWarehouse
from pipeline.rollup import rollup
from pipeline.session import LocalSession, Statement
from schemas.errors import QueryError
from schemas.event import Message
from tests.builders import CHARGES, ORDERS, charge, decode, event, message, order, rows, shop

CONFIG = shop()
AS_OF = dt.date(2022, 6, 15)
TABLES = {
    "raw.orders": "id, ordered_at, ordered_on, status, customer_id, amount, _sequence, _deleted, _committed_at",
    "raw.orders_history": "_op, id, ordered_at, status, customer_id, amount, _sequence, _deleted, _committed_at",
    "raw.charges": "id, order_id, amount, charged_on, _sequence, _deleted",
    "raw.ltv_entries": "entry_id, kind, order_id, customer_id, purchase_month, amount, _sequence, _deleted",
    "raw.floors": "`table`, _sequence",
    "ltv_cohorts": "cohort_month, month_number, currency, is_guest, customers, orders, revenue, refunds, ltv, is_open",
    "order_first_purchase": "order_id, first_order_id, cohort_month, month_number",
}


class Crashing(LocalSession):
    """Fails at the end of a transaction when told to, as a killed process or a full disk would."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.crash = False

    def run(self, statements: Any, inputs: Any = None, **how: Any) -> Any:
        last = [Statement("SELECT error('crash')")] if self.crash else []
        return super().run([*statements, *last], inputs, **how)


DATES = st.dates(dt.date(2022, 1, 1), dt.date(2022, 6, 30)).map(dt.date.isoformat)
ORDER_CHANGES = st.tuples(
    st.just("order"),
    st.sampled_from("cuuurd"),
    st.integers(1, 4),
    DATES,
    st.sampled_from([None, 1, 1, 2, 3]),
    st.sampled_from(["completed", "shipped", "cancelled"]),
    st.sampled_from(["0.00", "10.00", "19.99", "0.01"]),
)
CHARGE_CHANGES = st.tuples(
    st.just("charge"),
    st.sampled_from("cud"),
    st.integers(1, 3),
    DATES,
    st.integers(1, 5),
    st.sampled_from(["-5.00", "7.50", "-0.01"]),
)
TRUNCATES = st.tuples(st.just("truncate"), st.sampled_from([ORDERS, CHARGES]))
SHOPS = st.lists(st.one_of(ORDER_CHANGES, ORDER_CHANGES, CHARGE_CHANGES), min_size=1, max_size=20)


def as_messages(changes: list[Any]) -> list[Message]:
    """One message a change, in the log's order; each at its own time, some days apart."""
    made = []
    for at, (kind, op, *values) in enumerate(changes, 1):
        if kind == "truncate":
            made.append(message(op, event("t", None, at), id=str(at)))
            continue
        if kind == "order":
            of, row = ORDERS, order(values[0], values[1], values[2], values[4], status=values[3])
        else:
            of, row = CHARGES, charge(values[0], values[2], values[3], values[1])
        made.append(message(of, event(op, row, at, ts_ms=1_657_811_000_000 + at * 40_000_000), id=str(at)))
    return made


def contents(warehouse: DuckDBWarehouse) -> dict[str, list[tuple[Any, ...]]]:
    rollup(warehouse, CONFIG, AS_OF)
    return {
        table: sorted(rows(warehouse, f"SELECT {columns} FROM {table}"), key=repr) for table, columns in TABLES.items()
    }


def new_warehouse() -> DuckDBWarehouse:
    warehouse = DuckDBWarehouse(Crashing())
    # An empty group of every table first, so that all of them exist, whatever the random shop has.
    warehouse.apply(
        decode(CONFIG, message(ORDERS, event("d", order(0), 0)), message(CHARGES, event("d", charge(0), 0)))
    )
    return warehouse


@st.composite
def histories(draw: st.DrawFn) -> list[Any]:
    changes = draw(SHOPS)
    for truncate in draw(st.lists(TRUNCATES, max_size=1)):
        changes.insert(draw(st.integers(0, len(changes))), truncate)
    return changes


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories(), st.data())
def test_any_order_any_batches_any_crash(changes: list[Any], data: st.DataObject) -> None:
    messages = as_messages(changes)
    expected = new_warehouse()
    for item in messages:
        expected.apply(decode(CONFIG, item))

    warehouse = new_warehouse()
    again = data.draw(st.lists(st.sampled_from(messages), max_size=5))
    arrivals = data.draw(st.permutations([*messages, *again]))
    at, setbacks = 0, data.draw(st.integers(0, 4))
    while at < len(arrivals):
        taken = data.draw(st.integers(1, 8))
        part = decode(CONFIG, *arrivals[at : at + taken])
        assert not part.dead
        fate = data.draw(st.sampled_from(["acknowledged", "not committed", "not acknowledged"])) if setbacks else ""
        if fate == "not committed":
            warehouse.session.crash = True
            with pytest.raises(QueryError, match="crash"):
                warehouse.apply(part)
            warehouse.session.crash = False
        else:
            warehouse.apply(part)
        at += taken
        if fate.startswith("not"):
            setbacks -= 1
            at = data.draw(st.integers(0, at - taken))
            warehouse = DuckDBWarehouse(warehouse.session)  # the process is another one
    assert contents(warehouse) == contents(expected)
