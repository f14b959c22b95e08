"""Fact views: one shape whatever a shop maps and whichever types it has, and what an entry says, not derived again."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from pipeline.duckdb_warehouse import DuckDBWarehouse
from pipeline.facts import BEFORE, FACTS, before_views, fact_views, replace_fact_views, segment_names
from pipeline.rollup import rollup
from pipeline.values import arrow_type
from pipeline.warehouse import StoredTable
from schemas.columns import BOOL, DATE, INT64, MONEY, STRING, TIMESTAMP, ColumnType, Kind
from schemas.config import ShopConfig
from tests.builders import (
    FURTHER,
    MAPPED,
    apply,
    by_words,
    charge,
    event,
    memory,
    message,
    order,
    rows,
    schema,
    shop,
    tables,
)

KINDS = [
    INT64, STRING, DATE, TIMESTAMP, MONEY, ColumnType(Kind.DECIMAL, 20, 0), ColumnType(Kind.DECIMAL, 12, 2),
    ColumnType(Kind.DECIMAL, 38, 0), ColumnType(Kind.DECIMAL, 38, 30), ColumnType(Kind.FLOAT64),
    ColumnType(Kind.BYTES), ColumnType(Kind.JSON), ColumnType(Kind.STRINGS), ColumnType(Kind.DATETIME),
]  # fmt: skip


def whole_shop(**more: Any) -> ShopConfig:
    orders = {**MAPPED["orders"], "columns": {**MAPPED["orders"]["columns"], "country": "country"}}
    roles = tables(orders=orders, **FURTHER)
    return shop(tables=roles, segments=["country", "status", "country"], **more)


def shapes(warehouse: DuckDBWarehouse) -> dict[str, dict[str, str]]:
    found = {}
    for view in [*FACTS, *BEFORE]:
        with warehouse.query(f"SELECT * FROM {view} LIMIT 0") as reader:
            found[view] = {field.name: str(field.type) for field in reader.schema}
    return found


def test_every_view_has_its_shape_with_and_without_rows() -> None:
    declared = {**FACTS, **{view: columns for view, (_, columns) in BEFORE.items()}}
    wanted = {
        view: {name: str(arrow_type(kind)) for name, kind in columns.items()} for view, columns in declared.items()
    }
    config, warehouse = whole_shop(), memory()
    replace_fact_views(warehouse, config)
    assert shapes(warehouse) == wanted
    words = ["order 1 2022-01-13 1 75 completed country=FR", "charge 1 1 75 2022-01-13", "refund 1 1 5 2022-01-14"]
    apply(warehouse, config, *by_words([*words, "item 1 1 Teapot 2 10", "customer 1 web"]))
    rollup(warehouse, config, dt.date(2022, 1, 31))
    replace_fact_views(warehouse, config)
    assert shapes(warehouse) == wanted
    for view in declared:
        assert rows(warehouse, f"SELECT COUNT(*) FROM {view}")[0][0] > 0, view


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.kind.value}-{kind.precision}-{kind.scale}")
def test_columns_of_any_type_are_googlesql_and_run(kind: ColumnType) -> None:
    """All mapped columns but those that must be dates or money are of the type."""
    config = whole_shop()
    orders = {"id": kind, "customer_id": kind, "status": kind, "country": kind}
    raw = {
        "orders": StoredTable({**orders, "ordered_at": TIMESTAMP, "ordered_on": DATE, "amount": MONEY}, ("id",)),
        "order_items": StoredTable(dict.fromkeys(("order_id", "product", "quantity", "unit_amount"), kind), ()),
        "charges": StoredTable({"id": kind, "order_id": kind}, ("id",)),
        "refunds": StoredTable({"id": kind, "order_id": kind}, ("id",)),
        "customers": StoredTable({"id": kind, "channel": kind}, ("id",)),
    }
    warehouse = memory()
    for table, stored in raw.items():
        lines = ", ".join(f'"{name}" {one.duckdb()}' for name, one in stored.columns.items())
        warehouse.session._connection.execute(f"CREATE TABLE main.{table} ({lines})")  # type: ignore[union-attr]
    views = [*fact_views(config, raw), *before_views(False)]
    for _, query in views:
        (tree,) = sqlglot.parse(query, read="bigquery")
        assert isinstance(tree, exp.Query)
    warehouse.replace_views(views)
    assert {view: set(columns) for view, columns in shapes(warehouse).items()} == {
        **{view: set(columns) for view, columns in FACTS.items()},
        **{view: set(columns) for view, (_, columns) in BEFORE.items()},
    }
    assert BOOL in FACTS["order_facts"].values()


def test_orders_and_charges_are_what_their_entries_say() -> None:
    """Sums of several columns, signs, codes, guests and what counts; deleted rows are not there."""
    orders = {
        "name": "shop.orders",
        "columns": {"id": "id", "customer_id": "customer_id", "ordered_at": "order_date", "status": "status",
                    "amount": {"column": "amount", "plus": ["tax"], "minus": ["off"]}, "currency": "money"},
    }  # fmt: skip
    config = shop(
        tables=tables(orders=orders, refunds=FURTHER["refunds"]),
        currency="EUR",
        currencies={"1": "USD"},
        guests=[None, 7],
    )
    of = schema("shop.orders", {"id": "varchar", "order_date": "datetime(6)", "status": "varchar",
                                "customer_id": "varchar", "amount": "decimal(12,2)", "tax": "decimal(10,4)",
                                "off": "int", "money": "int"})  # fmt: skip
    made = [
        order("a'1", customer=" 5 ", amount="10.00", tax="0.1234", off=1, money=1),
        order("b", customer="7", amount="10.00", tax=None, off=None, money=None, status=" cancelled "),
        order("c", customer="1", amount="10.00", tax=None, off=None, money=1),
    ]
    back = schema(
        "shop.refunds", {"id": "bigint", "order_id": "varchar", "amount": "decimal(12,2)", "created_at": "datetime(6)"}
    )
    warehouse = memory()
    changes = apply(
        warehouse,
        config,
        message(of, *(event("c", row, at) for at, row in enumerate(made, 1)), event("d", made[2], 9)),
        message(back, event("c", charge(3, "a'1", "4.00"), 10), id="r"),
    )
    assert not changes.dead
    replace_fact_views(warehouse, config)
    found = rows(
        warehouse,
        "SELECT order_id, customer_id, amount, currency, status, is_counted, country FROM order_facts ORDER BY 1",
    )
    assert found == [
        ("a'1", "5", Decimal("9.1234"), "USD", "completed", True, None),
        ("b", None, Decimal(10), "EUR", " cancelled ", False, None),
    ]
    assert amounts(warehouse, "order_amounts") == amounts(warehouse, "order_facts") != []
    found = rows(warehouse, "SELECT charge_id, origin, order_id, amount, currency FROM charge_facts")
    assert found == [("3", "refunds", "a'1", Decimal(-4), None)]
    assert rows(warehouse, "SELECT role FROM mapped_roles ORDER BY role") == [("charges",), ("orders",), ("refunds",)]


def amounts(warehouse: DuckDBWarehouse, view: str) -> list[tuple[Any, ...]]:
    return rows(warehouse, f"SELECT order_id, ordered_on, amount, currency, is_counted FROM {view} ORDER BY order_id")


@pytest.mark.parametrize(
    "counted",
    [
        None,
        {"column": "status", "in": ["paid", "o'k", 7]},
        {"column": "status", "not_in": ["cancelled"]},
        {"column": "status", "in": []},
        {"column": "status", "not_in": []},
        {"column": "status", "is_null": True},
        {"column": "status", "is_null": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["decimal(12,2)", "double", "bigint unsigned"])
def test_what_orders_amount_to_is_the_same_told_twice(kind: str, counted: dict[str, Any] | None) -> None:
    """By the pipeline in the ltv entries, and by SQL from the stored rows."""
    orders = {**MAPPED["orders"], "columns": {**MAPPED["orders"]["columns"], "currency": "money"}}
    config = shop(tables=tables(orders=orders), currency=None, counted=counted)
    of = schema("shop.orders", {"id": "bigint", "order_date": "datetime(6)", "status": "varchar", "customer_id": "int",
                                "amount": kind, "money": "char(4)"})  # fmt: skip
    statuses = ["paid", " paid\t", "o'k", "7", "cancelled", "\ncancelled ", "", None]
    values: list[Any] = [7, 0, 10**6] if "int" in kind else [0.1, 19.99, -3.25] if kind == "double" else ["7.01", "-1"]
    made = [
        order(number, status=status, amount=values[number % len(values)], money=["EUR", " usd", None, ""][number % 4])
        for number, status in enumerate(statuses, 1)
    ]
    warehouse = memory()
    changes = apply(warehouse, config, message(of, *(event("c", row, at) for at, row in enumerate(made, 1))))
    assert not changes.dead
    replace_fact_views(warehouse, config)
    assert amounts(warehouse, "order_amounts") == amounts(warehouse, "order_facts")
    assert len(amounts(warehouse, "order_amounts")) == len(statuses)


ITEMS = {
    "quantity × unit amount": ({"quantity": "decimal(12,3)", "unit": "decimal(12,4)"}, "1.500", "0.3333", "0.49995"),
    "a float by its shortest digits": ({"quantity": "int", "unit": "double"}, 3, 123456789.99, "370370369.97"),
    "rounded to NUMERIC": ({"quantity": "double", "unit": "decimal(12,9)"}, 0.5, "0.000000003", "0.000000002"),
    "more than NUMERIC holds": ({"quantity": "bigint", "unit": "decimal(30,0)"}, 2**62, "9" * 30, None),
    "of the widest that it holds": ({"quantity": "bigint", "unit": "decimal(12,2)"}, 2**62, "0.25", str(2**60)),
    "no number": ({"quantity": "varchar", "unit": "decimal(12,2)"}, "many", "1.00", None),
}


@pytest.mark.parametrize("case", ITEMS.values(), ids=ITEMS.keys())
def test_the_amount_of_an_item(case: tuple[dict[str, str], Any, Any, str | None]) -> None:
    kinds, quantity, unit, expected = case
    columns = {"order_id": "order_id", "product": "name", "quantity": "quantity", "unit_amount": "unit"}
    config = shop(tables=tables(order_items={"name": "shop.order_items", "columns": columns}))
    of = schema("shop.order_items", {"id": "bigint", "order_id": "bigint", "name": "bigint", **kinds})
    warehouse = memory()
    row = {"id": 1, "order_id": 7, "name": 12, "quantity": quantity, "unit": unit}
    assert not apply(warehouse, config, message(of, event("c", row))).dead
    replace_fact_views(warehouse, config)
    ((order_id, product, amount),) = rows(warehouse, "SELECT order_id, product, amount FROM item_facts")
    assert (order_id, product) == ("7", "12")
    assert amount == (expected and Decimal(expected))


def test_an_item_may_have_the_amount_of_its_whole_line() -> None:
    columns = {"order_id": "order_id", "product": "name", "quantity": "quantity", "amount": "line"}
    config = shop(tables=tables(order_items={"name": "shop.order_items", "columns": columns}))
    of = schema(
        "shop.order_items", {"id": "int", "order_id": "binary", "name": "varchar", "quantity": "int", "line": "double"}
    )
    warehouse = memory()
    row = {"id": 1, "order_id": "q80=", "name": "é", "quantity": 3, "line": 19.99}
    assert not apply(warehouse, config, message(of, event("c", row))).dead
    replace_fact_views(warehouse, config)
    found = rows(warehouse, "SELECT order_id, product, quantity, amount FROM item_facts")
    assert found == [("abcd", "é", Decimal(3), Decimal("19.99"))], "as pipeline.values.as_text writes a binary id"


def test_segments_have_one_name_each() -> None:
    customers = {**FURTHER["customers"], "segments": ["country", "channel", "channel"]}
    config = whole_shop()
    orders = config.tables["orders"].model_dump(by_alias=True, exclude_none=True)
    both = shop(tables={"orders": orders, "customers": customers}, segments=["country"])
    assert segment_names(config) == ["country", "status", "channel", "first product"]
    assert segment_names(both) == ["country", "customers.country", "channel"]


@pytest.mark.parametrize(("table", "column"), [("order_first_purchase", "amount"), ("counted_refunds", "currency")])
def test_tables_of_an_earlier_version_are_no_rollup_before(table: str, column: str) -> None:
    """The second lacks a column that its neighbour in the query has."""
    config, warehouse = shop(), memory()
    apply(warehouse, config, *by_words(["order 1 2022-01-13 1 75"]))
    rollup(warehouse, config, dt.date(2022, 1, 31))
    warehouse.session._connection.execute(f"ALTER TABLE main.{table} DROP COLUMN {column}")  # type: ignore[union-attr]
    apply(warehouse, config, *by_words(["order 1 2022-01-13 1 80"]))
    rollup(warehouse, config, dt.date(2022, 1, 31))
    assert rows(warehouse, "SELECT COUNT(*) FROM cohort_changes") == [(0,)]
    apply(warehouse, config, *by_words(["order 1 2022-01-13 1 90"]))
    rollup(warehouse, config, dt.date(2022, 1, 31))
    assert rows(warehouse, "SELECT reason, revenue FROM cohort_changes") == [("amount", Decimal(10))]
