"""The document of small shops, from rollups on DuckDB: its texts are the tables' values, to the cent."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.duckdb_warehouse import DuckDBWarehouse
from pipeline.report.document import AVERAGE_MEASURES, MEASURES, Document
from pipeline.report.figures import read_document
from pipeline.rollup import rollup
from pipeline.session import LocalSession, Statement
from schemas.config import ShopConfig
from schemas.errors import RollupOutdated
from tests.builders import FURTHER, MAPPED, apply, by_words, event, memory, message, order, schema, shop, with_columns

GOLDEN = Path(__file__).with_name("small_shop.json")
DAY = dt.date(2022, 4, 15)
NOW = dt.datetime(2022, 4, 15, 10, 0, 7, 5, dt.timezone.utc)
WORDS = [
    "order 1 2022-01-13 1 150",
    "order 2 2022-01-13 2 75",
    "order 3 2022-03-02 1 150.10",
    "order 4 2022-03-05 - 20.05",
    "order 5 2022-03-06 3 0.1 cancelled",
    "item 1 1 red_shoe 2 75",
    "item 2 2 blue_shoe 1 75",
    "item 3 3 red_shoe 1 150.10",
    "charge 1 1 150 2022-01-13",
    "charge 2 2 70 2022-01-14",
    "charge 3 3 150.10 2022-03-02",
    "charge 4 1 -30 2022-03-01",
    "charge 5 4 -0.05 2022-04-02",
]
"""The last is a refund that comes after the first rollup."""

TABLES = {**MAPPED, "order_items": FURTHER["order_items"]}


def document_of(
    words: Sequence[str], config: ShopConfig | None = None, day: dt.date = DAY, now: dt.datetime = NOW, **more: Any
) -> Document:
    config = config or shop(tables=TABLES)
    warehouse = memory()
    apply(warehouse, config, *by_words(words, currency=config.currency is None))
    rollup(warehouse, config, day)
    return read_document(warehouse, config, now, **more)


def after_two_rollups() -> Document:
    config, warehouse = shop(tables=TABLES), memory()
    for part in (WORDS[:-1], WORDS[-1:]):
        apply(warehouse, config, *by_words(part))
        rollup(warehouse, config, DAY)
    return read_document(warehouse, config, NOW)


def timeless(document: Document) -> dict[str, Any]:
    """Without the moments of this run of the program."""
    freshness, changes = document["freshness"], document["changes"]
    assert freshness and freshness["rolled_up_at"] and changes["since"]
    return {
        **document,
        "freshness": {**freshness, "rolled_up_at": None},
        "changes": {**changes, "since": None},
    }


def test_the_whole_document_of_a_small_shop() -> None:
    assert timeless(after_two_rollups()) == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_the_figures_of_the_small_shop_by_hand() -> None:
    """Customers 1 and 2 spend 150 and 75, 1 another 150.10 in March and gets 30 back; a guest spends 20.05."""
    whole, guests, *_ = (triangle for triangle in after_two_rollups()["triangles"])
    assert (whole["cohorts"], whole["customers"], guests["cohorts"]) == (["2022-01"], [2], ["2022-03"])
    assert whole["cells"]["ltv"] == ["225 225 345.1 345.1"]
    assert whole["cells"]["ltv_gross_per_customer"] == ["112.5 112.5 187.55 187.55"]
    assert whole["cells"]["basket"] == ["112.5 - 150.1 -"]
    assert guests["cells"]["ltv"] == ["20.05 20"]


def test_every_triangle_and_average_has_every_measure_for_every_month() -> None:
    document = document_of(WORDS)
    for triangle in document["triangles"]:
        assert set(triangle["cells"]) == set(MEASURES)
        for name, rows in triangle["cells"].items():
            months = [len(text.split(" ")) for text in rows]
            assert months == [len(text.split(" ")) for text in triangle["cells"]["ltv"]], name
    for averages in document["averages"]:
        assert set(averages["cells"]) == set(AVERAGE_MEASURES)
        assert {len(text.split(" ")) for text in averages["cells"].values()} == {len(averages["cohorts"].split(" "))}


def test_a_month_in_which_nobody_bought_first_is_a_row() -> None:
    document = document_of(["order 1 2021-11-13 1 10", "order 2 2022-02-13 2 20"])
    triangle = document["triangles"][0]
    assert triangle["cohorts"] == ["2021-11", "2021-12", "2022-01", "2022-02"]
    assert triangle["customers"] == [1, 0, 0, 1]
    assert triangle["cells"]["ltv"] == ["10 10 10 10 10 10", "- - - - -", "- - - -", "20 20 20"]


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("100", "100"), ("0", "0"), ("0.10", "0.1"), ("1234567890123.45", "1234567890123.45"),
        ("99999999999999.99", "99999999999999.99"), ("461168601842738.77", "461168601842738.77"),
    ],
)  # fmt: skip
def test_money_is_exact(amount: str, shown: str) -> None:
    """A float has no more than 15 sure digits; the last of these has 17, and is the most that a cohort may spend."""
    config = shop()
    columns = {"id": "bigint", "order_date": "datetime(6)", "status": "varchar", "customer_id": "bigint",
               "amount": "decimal(20,2)"}  # fmt: skip
    warehouse = memory()
    apply(warehouse, config, message(schema("shop.orders", columns), event("c", order(1, amount=amount), 1)))
    rollup(warehouse, config, DAY)
    document = read_document(warehouse, config, NOW)
    assert document["months"][0]["revenue"] == shown
    assert document["triangles"][0]["cells"]["ltv"][0].split(" ")[0] == shown
    assert document["adds_up"][0]["orders"] == shown
    assert all(row["is_equal"] for row in document["adds_up"])
    assert document["cell_orders"]["cells"]["EUR 2022-01 0"][0]["amount"] == shown


def test_money_smaller_than_a_millionth_is_no_power_of_ten() -> None:
    config = shop()
    columns = {"id": "bigint", "order_date": "datetime(6)", "status": "varchar", "customer_id": "bigint",
               "amount": "decimal(20,9)"}  # fmt: skip
    warehouse = memory()
    apply(warehouse, config, message(schema("shop.orders", columns), event("c", order(1, amount="0.000000001"), 1)))
    rollup(warehouse, config, DAY)
    assert read_document(warehouse, config, NOW)["months"][0]["revenue"] == "0.000000001"


def test_one_order() -> None:
    document = document_of(["order 1 2022-04-13 1 75"])
    assert document["triangles"][0]["cells"]["ltv"] == ["75"]
    assert document["averages"] == []
    assert document["problems"] == []


def test_a_value_of_whose_months_none_is_over_has_its_triangle() -> None:
    document = document_of(["order 1 2022-04-13 1 75", "item 1 1 shoe 1 75"])
    assert document["segments"][0]["values"] == [{"value": "shoe", "is_other": False, "customers": 1}]
    assert document["segments"][0]["triangles"] == 1
    assert [triangle["key"]["value"] for triangle in document["triangles"]] == [None, "shoe"]


def test_currencies_are_apart_and_have_their_digits() -> None:
    config = shop(currency=None, tables=with_columns("orders", currency="currency"))
    words = ["order 1 2022-03-01 1 1000 completed JPY", "order 2 2022-03-01 2 5 completed KWD",
             "order 3 2022-03-01 3 7 completed EUR", "order 4 2022-03-02 3 7 completed EUR"]  # fmt: skip
    document = document_of(words, config)
    assert document["currencies"] == [
        {"code": "EUR", "digits": 2},
        {"code": "JPY", "digits": 0},
        {"code": "KWD", "digits": 3},
    ]
    totals = {row["currency"]: row["triangle"] for row in document["adds_up"] if row["month"] is None}
    assert totals == {"EUR": "14", "JPY": "1000", "KWD": "5"}


def test_orders_behind_a_cell_are_the_largest() -> None:
    words = [f"order {number} 2022-03-{number:02} 1 {number * 10}" for number in range(1, 9)]
    refund = "charge 1 3 -25 2022-03-20"
    cells = document_of([*words, refund], shop(), orders_per_cell=3)["cell_orders"]
    assert cells["limit"] == 3
    assert [order["amount"] for order in cells["cells"]["EUR 2022-03 0"]] == ["80", "70", "60"]
    every = document_of([*words, refund], shop(), orders_per_cell=20)["cell_orders"]["cells"]["EUR 2022-03 0"]
    assert [order["amount"] for order in every] == ["80", "70", "60", "50", "40", "30", "-25", "20", "10"]
    assert document_of(words, shop(), orders_per_cell=0)["cell_orders"] == {"limit": 0, "cells": {}}


def test_no_customers_id_leaves_the_warehouse_where_it_shall_not() -> None:
    config, warehouse = shop(), memory()
    words = ["order 777001 2022-03-01 888001 10", "order 777002 2022-03-01 888002 20", "charge 1 777001 -1 2022-03-02"]
    for until in (1, 3):
        apply(warehouse, config, *by_words(words[:until]))
        rollup(warehouse, config, DAY)
    for is_live in (False, True):
        found = json.dumps(read_document(warehouse, config, NOW, orders_per_cell=0, is_live=is_live))
        assert "888001" not in found and "888002" not in found
        assert '"left_out": 2' in found
    assert "888002" in json.dumps(read_document(warehouse, config, NOW))


HOSTILE = (
    "</script><script>alert(1)</script>",
    "line\u2028and\u2029separators",
    "x" * 10_000,
    "x" * 9_999 + "y",
    "\u202eright to left متجر",
    "👩‍👩‍👧‍👦" * 60,
    "quote' and \\ back",
    "{{document}}",
)


def test_hostile_names_are_the_same_texts_but_not_longer_than_200() -> None:
    config = shop(tables={**MAPPED, "order_items": FURTHER["order_items"]})
    items = schema("shop.order_items", {"id": "bigint", "order_id": "bigint", "name": "varchar",
                   "quantity": "decimal(12,3)", "unit_amount": "decimal(12,4)"})  # fmt: skip
    warehouse = memory()
    apply(
        warehouse, config, *by_words([f"order {number} 2022-03-01 {number} 5" for number in range(1, len(HOSTILE) + 1)])
    )
    lines = [
        {"id": number, "order_id": number, "name": name, "quantity": "1", "unit_amount": "5"}
        for number, name in enumerate(HOSTILE, 1)
    ]
    apply(warehouse, config, message(items, *(event("c", line, 100 + line["id"]) for line in lines), id="items"))
    rollup(warehouse, config, DAY)
    document = read_document(warehouse, config, NOW)
    found = {row["product"] for row in document["products"]["rows"]}
    assert found >= {name for name in HOSTILE if len(name) <= 200}
    assert len(found) == len(HOSTILE), "what begins alike is told apart"
    assert max(len(name or "") for name in found) == 200
    assert {value["value"] for value in document["segments"][0]["values"]} == found
    assert {triangle["key"]["value"] for triangle in document["triangles"]} == {*found, None}
    assert [row["ltv"] for row in document["products"]["rows"]] == [{"0": "5"}] * len(HOSTILE)


def test_a_table_of_an_older_version_is_named_with_the_way_out() -> None:
    config, warehouse = shop(), memory()
    apply(warehouse, config, *by_words(WORDS[:3]))
    rollup(warehouse, config, DAY)
    warehouse.session.run([Statement("ALTER TABLE main.ltv_averages DROP COLUMN basket")])
    with pytest.raises(RollupOutdated, match="ltv_averages is missing, or lacks columns") as raised:
        read_document(warehouse, config, NOW)
    assert raised.value.hint == "run `ltv-pipeline rollup`"
    rollup(warehouse, config, DAY)
    assert read_document(warehouse, config, NOW)["triangles"]


def test_what_is_replaced_while_it_is_read_is_read_again() -> None:
    config = shop()

    class Replaced(DuckDBWarehouse):
        rollups = 0

        def query(self, sql: str, parameters: Any = None) -> Any:
            if "FROM adds_up" in sql and self.rollups < 2:
                self.rollups += 1
                apply(self, config, *by_words([f"order {10 + self.rollups} 2022-03-01 1 5"]))
                rollup(self, config, DAY)
            return super().query(sql, parameters)

    warehouse = Replaced(LocalSession(":memory:"))
    apply(warehouse, config, *by_words(WORDS[:1]))
    rollup(warehouse, config, DAY)
    document = read_document(warehouse, config, NOW)
    assert warehouse.rollups == 2
    assert document["months"][-1]["orders"] == 2 and document["adds_up"][0]["triangle"] == "160"
