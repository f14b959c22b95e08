"""The same lines in any files, in any order, read any number of times and beside any changes give the same tables."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.duckdb_warehouse import DuckDBWarehouse
from tests.builders import ORDERS, apply, event, memory, message, order, rows, shop
from tests.extracts import read, written

CONFIG = shop()
TABLES = {
    "raw.orders": "id, ordered_at, ordered_on, status, customer_id, amount, _deleted, _committed_at",
    "raw.orders_history": "id, ordered_at, status, customer_id, amount, _committed_at",
    "raw.ltv_entries": "entry_id, customer_id, purchase_month, amount, _deleted, _committed_at",
}

LINES = st.tuples(
    st.integers(1, 4),
    st.dates(min_value=dt.date(2022, 1, 1), max_value=dt.date(2022, 12, 31)),
    st.sampled_from(["completed", "cancelled", "", '"a, ""b"""']),
    st.sampled_from(["", "1", "2"]),
    st.sampled_from(["0", "10.5", "-1.25", "99.9999"]),
)


def contents(warehouse: DuckDBWarehouse) -> dict[str, list[tuple[object, ...]]]:
    return {table: sorted(rows(warehouse, f"SELECT {what} FROM {table}"), key=repr) for table, what in TABLES.items()}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LINES, min_size=1, max_size=12), st.data())
def test_any_split_any_order_any_number_of_times(versions: list[tuple[object, ...]], data: st.DataObject) -> None:
    lines = [
        f"{id},{date},{status},{customer},{amount},2023-01-01 00:00:{second:02}"
        for second, (id, date, status, customer, amount) in enumerate(versions)
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected = memory()
        read(expected, CONFIG, written(folder, "orders.csv", *lines))
        found = memory()
        files = []
        shuffled = data.draw(st.permutations(lines))
        while shuffled:
            taken = data.draw(st.integers(1, len(shuffled)))
            files.append(written(folder, f"orders_{len(files)}.csv", *shuffled[:taken]))
            shuffled = shuffled[taken:]
        for path in [*files, *data.draw(st.lists(st.sampled_from(files), max_size=2))]:
            read(found, CONFIG, path)
        assert contents(found) == contents(expected)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LINES, min_size=1, max_size=6), st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_changes_of_a_log_win_in_any_order(
    versions: list[tuple[object, ...]], changed: list[int], data: st.DataObject
) -> None:
    lines = [
        f"{id},{date},{status},{customer},{amount},2023-01-01 00:00:{second:02}"
        for second, (id, date, status, customer, amount) in enumerate(versions)
    ]
    changes = [
        message(ORDERS, event("d" if at % 3 == 0 else "u", order(id, amount=f"{at}.00"), at), id=str(at))
        for at, id in enumerate(changed, 1)
    ]
    with tempfile.TemporaryDirectory() as name:
        path = written(Path(name), "orders.csv", *lines)
        expected, found = memory(), memory()
        read(expected, CONFIG, path)
        apply(expected, CONFIG, *changes)
        at = data.draw(st.integers(0, len(changes)))
        if at:
            apply(found, CONFIG, *changes[:at])
        read(found, CONFIG, path)
        for change in changes[at:]:
            apply(found, CONFIG, change)
        read(found, CONFIG, path)
        assert contents(found) == contents(expected)
        live = dict(rows(found, "SELECT id, amount FROM orders"))
        last = {id: at for at, id in enumerate(changed, 1)}
        for id, at in last.items():
            assert (live.get(id) == at) == (at % 3 != 0), "a change is what an order with one shows"
