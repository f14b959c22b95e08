"""The tables of `schemas/sql/report` of random shops equal the same rules written in plain Python."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from pipeline.rollup import rollup
from tests.builders import memory, rows
from tests.oracle.test_analysis_oracle import (
    CONFIG,
    DAYS,
    AnalysedShop,
    comparable,
    reconciliation,
    rounded,
    segments,
)
from tests.oracle.test_rollup_oracle import Refund, Sale, first_day, local_day, month, refunds_of, sales_of, triangle

Row = tuple[Any, ...]
Cohort = list[dict[str, Any]]

CELL = (
    "cohort_month", "month_number", "currency", "is_guest", "customers", "active_customers", "orders", "revenue",
    "refunds", "ltv", "ltv_gross", "ltv_per_customer", "ltv_gross_per_customer", "retention", "is_open",
)  # fmt: skip
SUMMED = ("revenue", "net", "ltv", "ltv_gross")
TRIANGLE = (
    "segment, value, is_other, cohort_month, month_number, currency, is_guest, customers, is_open, active_customers,"
    " orders, revenue, refunds, net, ltv, ltv_gross, revenue_per_customer, net_per_customer, ltv_per_customer,"
    " ltv_gross_per_customer, revenue_of_first, net_of_first, ltv_of_first, ltv_gross_of_first, retention,"
    " orders_per_customer, basket"
)
AVERAGES = (
    "segment, value, is_other, currency, is_guest, month_number, cohorts, customers, revenue, net, ltv, ltv_gross,"
    " revenue_per_customer, net_per_customer, ltv_per_customer, ltv_gross_per_customer, revenue_of_first, net_of_first,"
    " ltv_of_first, ltv_gross_of_first, retention, orders_per_customer, basket"
)


def cohorts(table: Iterable[Row]) -> dict[Row, Cohort]:
    """(segment, value, is_other, currency, is_guest, cohort month) → its cells, from month 0."""
    found: dict[Row, Cohort] = defaultdict(list)
    for segment, value, is_other, *cell in table:
        named = dict(zip(CELL, cell, strict=True))
        named["net"] = named["revenue"] + named["refunds"]
        found[segment, value, is_other, named["currency"], named["is_guest"], named["cohort_month"]].append(named)
    assert all([cell["month_number"] for cell in cells] == list(range(len(cells))) for cells in found.values())
    return found


def divided(numerator: Decimal | int, denominator: Decimal | int) -> Decimal | None:
    return rounded(Decimal(numerator), Decimal(denominator), 4)


def of_first(total: Decimal, first: Decimal) -> Decimal | None:
    return divided(total, first) if first > 0 else None


def ltv_triangle(found: dict[Row, Cohort]) -> Iterator[Row]:
    for (segment, value, is_other, currency, is_guest, cohort_month), cells in found.items():
        for cell in cells:
            yield (
                segment, value, is_other, cohort_month, cell["month_number"], currency, is_guest, cell["customers"],
                cell["is_open"], cell["active_customers"], cell["orders"], cell["revenue"], cell["refunds"],
                *(cell[name] for name in SUMMED[1:]),
                *(divided(cell[name], cell["customers"]) for name in SUMMED),
                *(of_first(cell[name], cells[0][name]) for name in SUMMED),
                divided(cell["active_customers"], cell["customers"]),
                divided(cell["orders"], cell["active_customers"]),
                divided(cell["revenue"], cell["orders"]),
            )  # fmt: skip


def ltv_averages(found: dict[Row, Cohort]) -> Iterator[Row]:
    eligible: dict[Row, list[Cohort]] = defaultdict(list)
    for (*key, _), cells in found.items():
        for cell in cells:
            if not cell["is_open"]:
                eligible[(*key, cell["month_number"])].append(cells)
    for (*key, number), completed in eligible.items():

        def total(name: str, of: list[Cohort] = completed, at: int = number) -> Decimal:
            return sum((Decimal(cells[at][name]) for cells in of), Decimal())

        firsts = {name: sum((cells[0][name] for cells in completed), Decimal()) for name in SUMMED}
        yield (
            *key, number, len(completed), total("customers"),
            *(divided(total(name), len(completed)) for name in SUMMED),
            *(divided(total(name), total("customers")) for name in SUMMED),
            *(of_first(total(name), firsts[name]) for name in SUMMED),
            divided(total("active_customers"), total("customers")),
            divided(total("orders"), total("active_customers")),
            divided(total("revenue"), total("orders")),
        )  # fmt: skip


def adds_up(sales: Iterable[Sale], refunds: Iterable[Refund], as_of: dt.date) -> Iterator[Row]:
    totals: dict[str, Decimal] = defaultdict(Decimal)
    months: dict[str, dict[int, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    firsts: dict[Any, int] = {}
    for sale in sales:
        firsts[sale.buyer] = min(sale.month, firsts.get(sale.buyer, sale.month))
        totals[sale.currency] += sale.amount
        months[sale.currency][sale.month] += sale.amount
    for sale in sales:
        months[sale.currency][firsts[sale.buyer]] += 0
    for refund in refunds:
        totals[refund.currency] += refund.amount
        months[refund.currency][firsts[refund.buyer]] += 0
    for currency, total in totals.items():
        yield currency, None, total, total, total, True
        for number in range(min(months[currency]), month(as_of) + 1):
            amount = months[currency][number]
            yield currency, first_day(number), amount, amount, amount, True


def gross_to_net(made: AnalysedShop, sales: dict[int, Sale], as_of: dt.date) -> Iterator[Row]:
    steps: dict[str, dict[int | None, list[Any]]] = defaultdict(lambda: defaultdict(lambda: [0, 0, 0, 0, set()]))
    for key, row in made.tables["order"].items():
        day, currency, amount = local_day(row["order_date"]), (row["currency"] or "EUR").upper(), Decimal(row["amount"])
        for at in (month(day), None) if day <= as_of else ():
            line = steps[currency][at]
            line[0] += amount
            line[1] += 1
            line[2] += amount if key in sales else 0
            line[3] += key in sales
    back: dict[str, dict[int | None, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for row in made.tables["charge"].values():
        day, amount = local_day(row["created_at"]), Decimal(row["amount"])
        if amount < 0 and day <= as_of and row["order_id"] in sales:
            currency = row["currency"] or sales[row["order_id"]].currency
            for at in (month(day), None):
                back[currency][at] += amount
                steps[currency][at][4].add(row["order_id"])
    for currency, lines in steps.items():
        first = min(at for at in lines if at is not None)
        for at in (None, *range(first, month(as_of) + 1)):
            ordered, orders, gross, counted, refunded = lines[at]
            day_of = None if at is None else first_day(at)
            yield currency, day_of, 1, "ordered", ordered, orders
            yield currency, day_of, 2, "not counted", gross - ordered, orders - counted
            yield currency, day_of, 3, "gross", gross, counted
            yield currency, day_of, 4, "refunds", back[currency][at], len(refunded)
            yield currency, day_of, 5, "net", gross + back[currency][at], counted


def reconciliation_states(made: AnalysedShop, sales: dict[int, Sale], as_of: dt.date) -> Iterator[Row]:
    states: dict[Row, list[Any]] = defaultdict(lambda: [0, Decimal(), Decimal(), Decimal()])
    for order_id, charge_id, charged, difference, _, state, _ in reconciliation(made, sales, as_of):
        if charge_id is None:
            row = made.tables["order"][int(order_id)]
            currency, amount, day = (row["currency"] or "EUR").upper(), Decimal(row["amount"]), row["order_date"]
        else:
            row = made.tables["charge"][int(charge_id)]
            currency, amount, day = row["currency"], Decimal(), row["created_at"]
        days = (as_of - local_day(day)).days
        age = "0 to 7" if days < 8 else "8 to 30" if days < 31 else "31 to 90" if days < 91 else "over 90"
        for of in (age, None):
            line = states[currency, state, of]
            line[0] += 1
            for at, part in enumerate((amount, charged, difference), 1):
                line[at] += part
    for key, line in states.items():
        yield *key, *line


COLUMNS = {
    "ltv_triangle": TRIANGLE,
    "ltv_averages": AVERAGES,
    "adds_up": "currency, purchase_month, triangle, entries, orders, is_equal",
    "gross_to_net": "currency, purchase_month, step, name, amount, orders",
    "reconciliation_states": "currency, state, age, orders, amount, charged, difference",
}


@pytest.mark.parametrize("seed", range(20, 28))
def test_random_shops(seed: int) -> None:
    made, warehouse = AnalysedShop(seed), memory()
    made.change(260)
    made.apply_to(warehouse)
    for as_of in DAYS:
        sales = sales_of(made.tables["order"], as_of)
        refunds = refunds_of(made.tables["charge"].values(), sales, as_of)
        whole = [(None, None, False, *row) for row in triangle(sales.values(), refunds, as_of)]
        found = cohorts([*whole, *segments(made, sales, as_of)])
        expected = {
            "ltv_triangle": ltv_triangle(found),
            "ltv_averages": ltv_averages(found),
            "adds_up": adds_up(sales.values(), refunds, as_of),
            "gross_to_net": gross_to_net(made, sales, as_of),
            "reconciliation_states": reconciliation_states(made, sales, as_of),
        }
        rollup(warehouse, CONFIG, as_of)
        for table, columns in COLUMNS.items():
            stored = comparable(rows(warehouse, f"SELECT {columns} FROM {table}"))
            assert stored == comparable(expected[table]), (table, as_of)
            assert stored or as_of == min(DAYS), table
