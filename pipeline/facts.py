"""Fact views: what the queries of `schemas/sql` read beside `ltv_entries`, in one shape whatever a shop maps.

Amount, currency, customer, dates and whether an order counts are those of its ltv entry; `order_amounts` alone, against
which the entries are held, derives them again. A role that is not mapped, or of which no row has come yet, gives an
empty view.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.google_names import quoted, text
from pipeline.layout import raw_names
from pipeline.stored_columns import number_of, text_of
from pipeline.stored_orders import order_amounts
from pipeline.warehouse import StoredTable, Warehouse
from schemas.columns import BOOL, DATE, INT64, MONEY, STRING, TIMESTAMP, ColumnType, Kind
from schemas.config import ShopConfig
from schemas.errors import QueryError

ENTRIES_MARK = """(
  SELECT CONCAT(CAST(COUNT(*) AS STRING), ' ', COALESCE(MAX(_sequence), ''), ' ',
    COALESCE(CAST(MAX(_written_at) AS STRING), ''), ' ',
    COALESCE((SELECT STRING_AGG(CONCAT(`table`, ' ', _sequence), ' ' ORDER BY `table`) FROM raw.floors), ''))
  FROM raw.ltv_entries
)"""
"""GoogleSQL: another text whenever entries or floors have changed."""

FLOORS_MARK = """(
  SELECT COALESCE(STRING_AGG(CONCAT(`table`, ' ', _sequence), ' ' ORDER BY `table`), '') FROM raw.floors
)"""
"""GoogleSQL: which rows of before a TRUNCATE or a whole load are gone."""

FACTS: dict[str, dict[str, ColumnType]] = {
    "order_facts": {
        "order_id": STRING,
        "customer_id": STRING,
        "ordered_at": TIMESTAMP,
        "ordered_on": DATE,
        "amount": MONEY,
        "currency": STRING,
        "status": STRING,
        "country": STRING,
        "is_counted": BOOL,
    },
    "order_amounts": {
        "order_id": STRING,
        "ordered_on": DATE,
        "amount": MONEY,
        "currency": STRING,
        "is_counted": BOOL,
    },
    "item_facts": {"order_id": STRING, "product": STRING, "quantity": MONEY, "amount": MONEY},
    "charge_facts": {
        "charge_id": STRING,
        "origin": STRING,
        "order_id": STRING,
        "charged_at": TIMESTAMP,
        "charged_on": DATE,
        "amount": MONEY,
        "currency": STRING,
    },
    "order_segments": {"order_id": STRING, "segment": STRING, "value": STRING},
    "customer_segments": {"customer_id": STRING, "segment": STRING, "value": STRING},
    "mapped_roles": {"role": STRING},
    "mapped_segments": {"segment": STRING},
}
"""View → its columns. Every order and charge that is there is a row, whether it counts or not. Amounts are signed as
ltv entries are; a charge's `currency` is NULL where it has its order's; an item's `amount` is the whole line's."""

MARKS = "marks"
"""The view of what entries and floors are like now, to be held against the last rollup's."""

BEFORE: dict[str, tuple[str, dict[str, ColumnType]]] = {
    "orders_before": (
        "order_first_purchase",
        {
            "order_id": STRING,
            "customer_id": STRING,
            "cohort_month": DATE,
            "month_number": INT64,
            "currency": STRING,
            "amount": MONEY,
        },
    ),
    "refunds_before": (
        "counted_refunds",
        {
            "entry_id": STRING,
            "order_id": STRING,
            "month_number": INT64,
            "refund_date": DATE,
            "currency": STRING,
            "amount": MONEY,
        },
    ),
    "rollup_before": (
        "rolled_up",
        {
            "as_of": DATE,
            "rolled_up_at": TIMESTAMP,
            "entries_mark": STRING,
            "written_up_to": TIMESTAMP,
            "floors_mark": STRING,
        },
    ),
}
"""View → the rolled-up table that it shows, and which columns of it. While `cohort_changes` is made, these tables are
still those of the rollup before."""


def replace_fact_views(warehouse: Warehouse, config: ShopConfig) -> None:
    """Makes the views anew; a table of which the first row has come since the last time is seen from now on."""
    warehouse.replace_views([*fact_views(config, warehouse.raw_tables()), *before_views(_has_before(warehouse))])


def _has_before(warehouse: Warehouse) -> bool:
    """Whether there is an earlier rollup, all of whose tables have the columns that they have today.

    Trap: side by side in one FROM, DuckDB lets a table take a column that it lacks from its left neighbour.
    """
    read = ", ".join(
        f"(SELECT COUNT(*) FROM (SELECT {', '.join(columns)} FROM {table} LIMIT 0) AS needed) AS {view}"
        for view, (table, columns) in BEFORE.items()
    )
    try:
        with warehouse.query(f"SELECT {read}") as reader:
            reader.read_all()
    except QueryError:
        return False
    return True


def before_views(there: bool) -> list[tuple[str, str]]:
    views = [
        (view, f"SELECT {', '.join(columns)} FROM {table}" if there else empty(columns))
        for view, (table, columns) in BEFORE.items()
    ]
    return [*views, (MARKS, f"SELECT {ENTRIES_MARK} AS entries_mark, {FLOORS_MARK} AS floors_mark")]


def fact_views(config: ShopConfig, raw: Mapping[str, StoredTable]) -> list[tuple[str, str]]:
    """(view, GoogleSQL) of every fact view. `raw`: raw table → its columns as they are stored."""
    columns = {role: raw[role].columns for role in config.tables if role in raw}
    charges = [_charges(role, columns[role]) for role in ("charges", "refunds") if role in columns]
    roles = [f"SELECT {text(role)} AS role" for role in config.tables]
    parts = {
        "order_facts": [_orders(columns["orders"])] if "orders" in columns else [],
        "order_amounts": [order_amounts(config, columns["orders"])] if "orders" in columns else [],
        "item_facts": [_items(columns["order_items"])] if "order_items" in columns else [],
        "charge_facts": charges,
        "order_segments": _order_segments(config, columns.get("orders", {})),
        "customer_segments": _customer_segments(config, columns.get("customers", {})),
        "mapped_roles": roles,
        "mapped_segments": [f"SELECT {text(name)} AS segment" for name in segment_names(config)],
    }
    return [(view, "\nUNION ALL\n".join(parts[view]) or empty(shape)) for view, shape in FACTS.items()]


def empty(columns: Mapping[str, ColumnType]) -> str:
    shape = (f"CAST(NULL AS {kind.bigquery()}) AS {quoted(name)}" for name, kind in columns.items())
    return f"SELECT {', '.join(shape)} LIMIT 0"


def _orders(columns: Mapping[str, ColumnType]) -> str:
    return (
        "SELECT entries.order_id, entries.customer_id, entries.occurred_at AS ordered_at,"
        " entries.purchase_date AS ordered_on, entries.amount, entries.currency,"
        f" {text_of('status', columns)} AS status, {text_of('country', columns)} AS country,"
        " NOT entries._deleted AS is_counted FROM orders AS stored JOIN raw.ltv_entries AS entries"
        f" ON {_same('entries.order_id', columns)} WHERE entries.origin = 'orders'"
    )


def _charges(role: str, columns: Mapping[str, ColumnType]) -> str:
    charge_id = f"SUBSTR(entries.entry_id, {len(role.removesuffix('s')) + 2})"  # after `charge:`
    return (
        f"SELECT {charge_id} AS charge_id, entries.origin, entries.order_id, entries.occurred_at AS charged_at,"
        " entries.purchase_date AS charged_on, entries.amount, entries.currency"
        f" FROM {role} AS stored JOIN raw.ltv_entries AS entries"
        f" ON {_same(charge_id, columns)} WHERE entries.origin = {text(role)}"
    )


def _same(entry_key: str, columns: Mapping[str, ColumnType]) -> str:
    """An entry is that of a stored row. Whole numbers are joined many times as fast as their texts."""
    if columns["id"].kind is Kind.INT64:
        return f"SAFE_CAST({entry_key} AS INT64) = stored.id"
    return f"{entry_key} = {text_of('id', columns)}"


def _items(columns: Mapping[str, ColumnType]) -> str:
    quantity = number_of("quantity", columns)
    amount = number_of("amount", columns) if "amount" in columns else _line(columns)
    return (
        f"SELECT {text_of('order_id', columns)} AS order_id, {text_of('product', columns)} AS product,"
        f" {quantity} AS quantity, {amount} AS amount FROM order_items AS stored"
    )


def _line(columns: Mapping[str, ColumnType]) -> str:
    """Quantity × unit amount, rounded to NUMERIC; NULL where that cannot hold it."""
    digits = {Kind.INT64: 19, Kind.DECIMAL: 0}
    kinds = [columns.get(name) for name in ("quantity", "unit_amount")]
    if all(kind is not None and kind.kind in digits for kind in kinds):
        width = sum(kind.precision + digits[kind.kind] for kind in kinds if kind is not None)
        scale = sum(kind.scale for kind in kinds if kind is not None)
        if width <= MONEY.precision and width - scale <= MONEY.precision - MONEY.scale:
            return "CAST(stored.quantity * stored.unit_amount AS NUMERIC)"
    sides = (number_of(name, columns) for name in ("quantity", "unit_amount"))
    return f"SAFE_CAST(SAFE_MULTIPLY({', '.join(sides)}) AS NUMERIC)"


FIRST_PRODUCT = "first product"


def segment_names(config: ShopConfig) -> list[str]:
    """Every segment that cohorts are cut by: columns of orders, columns of customers, and the first product."""
    products = [FIRST_PRODUCT] if "order_items" in config.tables else []
    return [*dict.fromkeys(config.segments), *customer_segment_names(config).values(), *products]


def customer_segment_names(config: ShopConfig) -> dict[str, str]:
    """Column of customers → its segment: `customers.country` where orders have a segment `country`."""
    definition, taken = config.tables.get("customers"), {*config.segments, FIRST_PRODUCT}
    return {
        name: f"customers.{name}" if name in taken else name for name in (definition.segments if definition else ())
    }


def _order_segments(config: ShopConfig, columns: Mapping[str, ColumnType]) -> list[str]:
    return [
        f"SELECT {text_of('id', columns)} AS order_id, {text(name)} AS segment, {text_of(name, columns)} AS value"
        " FROM orders AS stored"
        for name in (dict.fromkeys(config.segments) if columns else ())
    ]


def _customer_segments(config: ShopConfig, columns: Mapping[str, ColumnType]) -> list[str]:
    """A customer's id as the ltv entries have it: as trimmed text."""
    definition = config.tables.get("customers")
    if definition is None or not columns:
        return []
    names = raw_names(sorted(definition.named_columns()), definition)
    return [
        f"SELECT TRIM({text_of('id', columns)}) AS customer_id, {text(segment)} AS segment,"
        f" {text_of(names[name], columns)} AS value FROM customers AS stored"
        for name, segment in customer_segment_names(config).items()
    ]
