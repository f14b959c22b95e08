"""The document: everything that the page shows, read from the rolled-up tables."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import orjson

from pipeline.facts import segment_names
from pipeline.report import cells, problems, segment_values
from pipeline.report.cell_orders import read_cell_orders
from pipeline.report.changes import read_changes
from pipeline.report.columns import instant
from pipeline.report.currencies import minor_digits
from pipeline.report.document import VERSION, Document, Freshness, Problem
from pipeline.report.formulas import formulas
from pipeline.report.freshness import read_freshness
from pipeline.report.products import read_products
from pipeline.report.reconciliation import read_reconciliation
from pipeline.report.rolled_up import RolledUp, last_rollup, present_mark, require_tables
from pipeline.report.segment_values import first, fitting
from pipeline.report.sums import read_adds_up, read_currencies, read_months, read_steps
from pipeline.warehouse import Warehouse
from schemas.config import ShopConfig
from schemas.errors import WarehouseUnavailable

MOST_BYTES = 4_800_000
"""Of a document, about: packed, with the page around it, below 3 MB. Triangles of segment values take what all else
leaves."""

CHANGES_BYTES = 400_000
"""Set aside for what changed, so that the page has the same triangles after each rollup."""

NAMED_CURRENCIES = 20
"""Of those for whose cohorts there is no room: a column that holds no currencies may hold any number of them."""

ORDERS_PER_CELL = 5
MOST_CELL_ORDERS = 10_000
"""Of all cells together, unless another number per cell is asked for."""

TRIES = 5


def read_document(
    warehouse: Warehouse,
    config: ShopConfig,
    now: dt.datetime,
    *,
    orders_per_cell: int | None = None,
    is_live: bool = False,
) -> Document:
    """All of one rollup: what another replaces meanwhile is read again. `orders_per_cell` None: five, or fewer where
    there are many cells, and a live page asks for them; 0: no customer's id is in the document.

    An empty warehouse and one without a rollup give a document that says so. Raises RollupOutdated where a table is
    missing or another version made it, and what the warehouse raises.
    """
    for _ in range(TRIES):
        rolled_up = last_rollup(warehouse)
        mark = present_mark(warehouse)
        if rolled_up is None:
            problem = problems.nothing_loaded() if mark is None else problems.nothing_rolled_up()
            return empty_document(config, now, [problem], is_live=is_live)
        require_tables(warehouse)
        is_stale = mark is not None and mark != rolled_up.entries_mark
        document = _document(warehouse, config, now, orders_per_cell, rolled_up, is_stale=is_stale, is_live=is_live)
        if last_rollup(warehouse) == rolled_up:
            return document
    raise WarehouseUnavailable(
        f"the rolled-up tables were replaced {TRIES} times while they were read", hint="roll up less often"
    )


def empty_document(config: ShopConfig, now: dt.datetime, banners: list[Problem], *, is_live: bool = False) -> Document:
    return {
        "version": VERSION,
        "is_live": is_live,
        "shop": config.name,
        "made_at": instant(now) or "",
        "time_zone": config.time_zone,
        "as_of": None,
        "currencies": [],
        "formulas": formulas(config),
        "problems": banners,
        "freshness": None,
        "adds_up": [],
        "triangles": [],
        "averages": [],
        "segments": [],
        "months": [],
        "gross_to_net": [],
        "products": {"rows": [], "left_out": 0},
        "reconciliation": {"is_mapped": "charges" in config.tables, "states": [], "orders": [], "left_out": 0},
        "changes": {
            "since": None, "since_as_of": None, "cells": [], "cells_left_out": 0, "orders": [], "left_out": 0
        },
        "cell_orders": {"limit": 0, "cells": {}},
    }  # fmt: skip


def _document(
    warehouse: Warehouse,
    config: ShopConfig,
    now: dt.datetime,
    orders_per_cell: int | None,
    rolled_up: RolledUp,
    *,
    is_stale: bool,
    is_live: bool,
) -> Document:
    made = empty_document(config, now, [], is_live=is_live)
    made["as_of"] = rolled_up.as_of.isoformat()
    every = read_currencies(warehouse)
    whole = cells.whole(warehouse, every)
    left_out = [code for code in every if code not in whole.currencies]
    named = {"", *whole.currencies, *left_out[:NAMED_CURRENCIES]} if every else None
    made["freshness"] = read_freshness(warehouse, rolled_up, is_stale)
    made["adds_up"] = read_adds_up(warehouse, named)
    made["months"] = read_months(warehouse, named)
    made["gross_to_net"] = read_steps(warehouse, named)
    codes = whole.currencies or dict.fromkeys(step["currency"] for step in made["gross_to_net"])
    made["currencies"] = [{"code": code, "digits": minor_digits(code)} for code in codes]
    made["products"] = read_products(warehouse)
    made["reconciliation"] = read_reconciliation(warehouse, config, named)
    if not is_live:
        limit = _most_per_cell(warehouse) if orders_per_cell is None else orders_per_cell
        made["cell_orders"] = read_cell_orders(warehouse, limit, whole.currencies)
    values = segment_values.read_values(warehouse)
    averages = fitting(cells.average_sizes(warehouse, values), segment_values.MOST_AVERAGE_ROWS)
    made["averages"] = cells.read_averages(warehouse, whole.currencies, first(values, averages))
    room = MOST_BYTES - CHANGES_BYTES - whole.size - len(orjson.dumps(made))
    triangles = fitting(cells.triangle_sizes(warehouse, values), room)
    made["triangles"] = cells.read_triangles(warehouse, whole.currencies, first(values, triangles))
    made["segments"] = segment_values.segments(segment_names(config), values, averages, triangles)
    made["changes"] = read_changes(warehouse, 0 if orders_per_cell == 0 else None)
    made["problems"] = banners(made, config, now)
    return made


def banners(document: Document, config: ShopConfig, now: dt.datetime) -> list[Problem]:
    """Of a document of a rollup: errors first, then warnings, then notes."""
    as_of = dt.date.fromisoformat(str(document["as_of"]))
    shown = {currency["code"] for currency in document["currencies"]}
    found = problems.not_adding_up(document["adds_up"])
    if document["freshness"] is not None:
        found += problems.unapplied(document["freshness"], now)
        found += problems.staleness(document["freshness"], as_of, now.astimezone(ZoneInfo(config.time_zone)).date())
    found += problems.without_currency(sum(row["orders"] for row in document["months"] if not row["currency"]))
    found += problems.currencies_left_out(sorted({row["currency"] for row in document["months"]} - shown))
    found += [] if document["triangles"] else [problems.no_orders(as_of)]
    return sorted(found, key=lambda problem: problems.LEVELS.index(problem["level"]))


def with_freshness(document: Document, freshness: Freshness, config: ShopConfig, now: dt.datetime) -> Document:
    """The same figures, of which more is known by now: how far the source is applied, and what it lacks."""
    made: Document = {**document, "freshness": freshness}
    return {**made, "problems": banners(made, config, now)}


def _most_per_cell(warehouse: Warehouse) -> int:
    with warehouse.query("SELECT COUNT(*) AS n FROM ltv_triangle WHERE segment IS NULL AND orders > 0") as reader:
        filled: int = reader.read_all().to_pylist()[0]["n"]
    return max(1, min(ORDERS_PER_CELL, MOST_CELL_ORDERS // max(1, filled)))
