"""Rows of `ltv_triangle` and `ltv_averages` from what each cohort bought, by the rule in plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from pipeline.report.document import AVERAGE_MEASURES, MEASURES, Averages, Key, Triangle

TEN_THOUSANDTH = Decimal("0.0001")


@dataclass(frozen=True)
class Cell:
    """What a cohort did in one month."""

    active: int
    orders: int
    revenue: Decimal
    refunds: Decimal = Decimal(0)


@dataclass(frozen=True)
class Cohort:
    """`cells` from month 0 to the open one."""

    month: str
    customers: int
    cells: Sequence[Cell]


def text(value: Decimal | int | None) -> str:
    """As the document has it: no needless zeros, `-` for none."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    shown = format(value, "f")
    return (shown.rstrip("0").rstrip(".") if "." in shown else shown) or "0"


def ratio(value: Decimal | int, by: Decimal | int) -> Decimal | None:
    return (Decimal(value) / by).quantize(TEN_THOUSANDTH, ROUND_HALF_UP) if by > 0 else None


def later(month: str, number: int) -> str:
    years, months = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 + number, 12)
    return f"{years:04}-{months + 1:02}"


def figures(cohort: Cohort) -> list[dict[str, Decimal | int | None]]:
    """The measures of each cell."""
    rows: list[dict[str, Decimal | int | None]] = []
    ltv = ltv_gross = Decimal(0)
    first: dict[str, Decimal] = {}
    for cell in cohort.cells:
        net = cell.revenue + cell.refunds
        ltv, ltv_gross = ltv + net, ltv_gross + cell.revenue
        money = {"revenue": cell.revenue, "net": net, "ltv": ltv, "ltv_gross": ltv_gross}
        first = first or money
        rows.append(
            {
                "active_customers": cell.active,
                "orders": cell.orders,
                "refunds": cell.refunds,
                **money,
                **{f"{name}_per_customer": ratio(value, cohort.customers) for name, value in money.items()},
                **{f"{name}_of_first": ratio(value, first[name]) for name, value in money.items()},
                "retention": ratio(cell.active, cohort.customers),
                "orders_per_customer": ratio(cell.orders, cell.active),
                "basket": ratio(cell.revenue, cell.orders),
            }
        )
    return rows


def triangle(key: Key, cohorts: Sequence[Cohort]) -> Triangle:
    rows = [figures(cohort) for cohort in cohorts]
    return {
        "key": key,
        "cohorts": [cohort.month for cohort in cohorts],
        "customers": [cohort.customers for cohort in cohorts],
        "cells": {name: [" ".join(text(cell[name]) for cell in row) for row in rows] for name in MEASURES},
    }


def averages(key: Key, cohorts: Sequence[Cohort]) -> Averages:
    """Over the cohorts that have completed each month number."""
    cohorts = [cohort for cohort in cohorts if cohort.customers]
    counts, sizes = [], []
    rows = {cohort.month: figures(cohort) for cohort in cohorts}
    texts: dict[str, list[str]] = {name: [] for name in AVERAGE_MEASURES}
    for number in range(max((len(cohort.cells) - 1 for cohort in cohorts), default=0)):
        eligible = [cohort for cohort in cohorts if len(cohort.cells) - 1 > number]
        cells = [cohort.cells[number] for cohort in eligible]
        size = sum(cohort.customers for cohort in eligible)
        active, orders = sum(cell.active for cell in cells), sum(cell.orders for cell in cells)
        revenue = sum((cell.revenue for cell in cells), Decimal(0))
        counts.append(str(len(eligible)))
        sizes.append(str(size))
        for name in ("revenue", "net", "ltv", "ltv_gross"):
            total = sum((Decimal(rows[cohort.month][number][name] or 0) for cohort in eligible), Decimal(0))
            start = sum((Decimal(rows[cohort.month][0][name] or 0) for cohort in eligible), Decimal(0))
            texts[name].append(text(ratio(total, len(eligible))))
            texts[f"{name}_per_customer"].append(text(ratio(total, size)))
            texts[f"{name}_of_first"].append(text(ratio(total, start)))
        texts["retention"].append(text(ratio(active, size)))
        texts["orders_per_customer"].append(text(ratio(orders, active)))
        texts["basket"].append(text(ratio(revenue, orders)))
    return {
        "key": key,
        "cohorts": " ".join(counts),
        "customers": " ".join(sizes),
        "cells": {name: " ".join(values) for name, values in texts.items()},
    }
