"""`rederive` and rollups on BigQuery: entries written again in place, as DuckDB puts them, from all that is there."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.bigquery.warehouse import BigQueryWarehouse
from pipeline.duckdb_warehouse import open_duckdb
from pipeline.rederive.command import Rederived, rederive, report
from pipeline.rollup import rollup
from pipeline.warehouse import Warehouse
from schemas.errors import SettingsChanged, WarehouseUnavailable
from schemas.event import Message
from tests.bigquery.server import BigQueryServer
from tests.bigquery.two_warehouses import bigquery_warehouse, rows
from tests.builders import CHARGE_COLUMNS, ORDER_COLUMNS, charge, decode, event, message, order, schema, shop

BIG = 2**64 - 1
UNSIGNED = schema("shop.orders", {**ORDER_COLUMNS, "id": "bigint unsigned", "customer_id": "bigint unsigned"})
REFUNDING = schema("shop.charges", {**CHARGE_COLUMNS, "order_id": "bigint unsigned"})
HISTORY = [
    message(UNSIGNED, event("c", order(BIG, status="new"), 1), event("c", order(2, status="cancelled"), 2), id="a"),
    message(UNSIGNED, event("c", order(3, customer=BIG), 3), event("d", order(3, customer=BIG), 4), id="b"),
    message(REFUNDING, event("c", charge(1, BIG), 5), event("c", charge(2, 2, amount="9.00"), 6), id="c"),
]
ENTRIES = "SELECT * EXCEPT (_written_at) FROM raw.ltv_entries ORDER BY entry_id"
OTHERS: dict[str, dict[str, Any]] = {
    "counted": {"counted": {"column": "status", "in": ["cancelled"]}},
    "guests": {"guests": [1]},
    "currency": {"currency": "USD"},
    "nothing counts apart": {"counted": None},
}


class Places:
    """The same history in both warehouses."""

    def __init__(self, bigquery: BigQueryServer, folder: Path) -> None:
        self._server, self._path = bigquery, f"duckdb:{folder / 'ltv.duckdb'}"
        for _ in self.both(*HISTORY):
            pass

    def both(self, *messages: Message, **settings: Any) -> Iterator[Warehouse]:
        duckdb = contextlib.closing(open_duckdb(self._path.removeprefix("duckdb:")))
        for opened in (duckdb, bigquery_warehouse(self._server)):
            with opened as warehouse:
                warehouse.check_settings(shop(**settings))
                if messages:
                    warehouse.apply(decode(shop(**settings), *messages))
                yield warehouse

    def rederive(self, dry_run: bool = False, reload: tuple[str, ...] = (), **settings: Any) -> list[Rederived]:
        places = (self._path, self._server.warehouse)
        return [rederive(shop(warehouse=place, **settings), reload=reload, dry_run=dry_run) for place in places]

    def entries(self, **settings: Any) -> list[list[tuple[Any, ...]]]:
        return [rows(warehouse, ENTRIES) for warehouse in self.both(**settings)]


@pytest.fixture
def places(bigquery: BigQueryServer, tmp_path: Path) -> Places:
    return Places(bigquery, tmp_path)


@pytest.mark.parametrize("name", OTHERS)
def test_entries_are_those_that_duckdb_derives(places: Places, name: str) -> None:
    ours, theirs = places.rederive(**OTHERS[name])
    assert report(ours, dry_run=False) == report(theirs, dry_run=False)
    assert ours.differing and ours.entries == 5
    duckdb, bigquery = places.entries(**OTHERS[name])
    assert bigquery == duckdb
    assert {row[0] for row in bigquery} >= {f"order:{BIG}", "charge:1"}


def test_a_dry_run_changes_nothing(places: Places) -> None:
    before = places.entries()
    ours, theirs = places.rederive(dry_run=True, **OTHERS["counted"])
    assert report(ours, dry_run=True) == report(theirs, dry_run=True)
    assert places.entries() == before


def test_killed_before_the_settings_are_taken_over_it_is_run_again(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def dies(warehouse: BigQueryWarehouse, name: str, value: str) -> None:
            raise WarehouseUnavailable("killed")

        patch.setattr(BigQueryWarehouse, "remember", dies)
        with pytest.raises(WarehouseUnavailable):
            places.rederive(**OTHERS["counted"])
    ours, theirs = places.rederive(**OTHERS["counted"])
    assert ours.differing == [] and theirs.entries == 5
    duckdb, bigquery = places.entries(**OTHERS["counted"])
    assert bigquery == duckdb


def test_an_entry_that_no_row_makes_any_more_ends(places: Places) -> None:
    no_charges = {"tables": {"orders": shop().tables["orders"].model_dump(exclude_none=True, by_alias=True)}}
    ours, theirs = places.rederive(**no_charges)
    assert ours.ended == theirs.ended == 1
    duckdb, bigquery = places.entries(**no_charges)
    assert bigquery == duckdb


def test_rows_that_would_change_are_read_again(places: Places, bigquery: BigQueryServer) -> None:
    config = shop(warehouse=bigquery.warehouse, time_zone="Asia/Tokyo")
    with pytest.raises(SettingsChanged, match="its rows would change, too") as raised:
        rederive(config)
    assert "rederive --reload shop.charges --reload shop.orders" in str(raised.value.hint)
    done = rederive(config, reload=["shop.charges", "shop.orders"])
    assert done.load_again == ["shop.charges", "shop.orders"]
    with bigquery_warehouse(bigquery, time_zone="Asia/Tokyo") as warehouse:
        assert "orders" not in warehouse.raw_tables()
        assert rows(warehouse, "SELECT COUNT(*) FROM ltv_entries") == [(0,)]
        assert rows(warehouse, "SELECT `table` FROM raw.reloads ORDER BY 1") == [("shop.charges",), ("shop.orders",)]
        warehouse.check_settings(config)
        warehouse.apply(decode(config, *HISTORY))  # what a batch would read, or a replay
        assert rows(warehouse, "SELECT entry_id FROM ltv_entries ORDER BY 1") == [("charge:1",), (f"order:{BIG}",)]
        assert rows(warehouse, "SELECT DISTINCT ordered_at FROM orders") == [
            (dt.datetime(2022, 1, 13, 3, tzinfo=dt.timezone.utc),)
        ]


def test_a_rollup_sees_what_queries_see_only_later(bigquery: BigQueryServer) -> None:
    with bigquery_warehouse(bigquery, max_staleness="15m") as warehouse:
        warehouse.apply(decode(shop(), *HISTORY[:1]))
        assert rows(warehouse, "SELECT COUNT(*) FROM orders") == [(2,)]
        bigquery.faults.stale = True
        warehouse.apply(decode(shop(), message(UNSIGNED, event("c", order(4, customer=4), 9), id="e")))
        assert rows(warehouse, "SELECT COUNT(*) FROM orders") == [(2,)], "nothing here is late"
        rollup(warehouse, shop(), dt.date(2022, 10, 31))
        assert rows(warehouse, "SELECT orders FROM ltv_monthly") == [(2,)]
        assert set(warehouse._tables.stalenesses().values()) == {dt.timedelta(minutes=15)}, "they may be late again"
