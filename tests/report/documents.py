"""Documents that the page is tested with: the case study's five orders, a large shop, an empty one, a hostile one."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import groupby

from pipeline.report.document import (
    VERSION,
    Averages,
    Document,
    MonthTotal,
    Product,
    SegmentValue,
    Step,
    Sums,
    Triangle,
    cell_name,
)
from tests.report.document_rows import (
    changed,
    changed_order,
    freshness,
    key,
    order,
    product,
    states,
    unexplained,
)
from tests.report.figures import Cell, Cohort, averages, later, text, triangle

HOSTILE = (
    "<script>document.title='broken'</script>",
    "<img src=x onerror=\"document.title='broken'\">",
    "x" * 10_000,
    "\u202eمتجر قديم right to left",
    "👩‍👩‍👧‍👦🛒",
    '=HYPERLINK("http://example.invalid")',
    "</script><b>bold</b>",
    'line\u2028separator\u2029and "quotes", commas',
    "{{document}} {{script}}",
    "",
    "Zalgo ẗ̵̢̗͙̫́͑e̷̛͓x̶t",
)
"""Names as a shop, or whoever writes into it, may give them."""


def empty() -> Document:
    """A warehouse that nothing was loaded into."""
    return {
        "version": VERSION,
        "is_live": False,
        "shop": "case-study",
        "made_at": "2022-07-31T18:00:07Z",
        "time_zone": "Europe/Paris",
        "as_of": None,
        "currencies": [],
        "formulas": [],
        "problems": [
            {
                "level": "note",
                "text": "The warehouse holds no orders yet.",
                "hint": "Load the history with `ltv-pipeline batch`, then run `ltv-pipeline rollup`.",
            }
        ],
        "freshness": None,
        "adds_up": [],
        "triangles": [],
        "averages": [],
        "segments": [],
        "months": [],
        "gross_to_net": [],
        "products": {"rows": [], "left_out": 0},
        "reconciliation": {"is_mapped": False, "states": [], "orders": [], "left_out": 0},
        "changes": {"since": None, "since_as_of": None, "cells": [], "orders": [], "left_out": 0},
        "cell_orders": {"limit": 5, "cells": {}},
    }


FORMULAS = (
    ("Counted orders", "status is completed, shipped or partial_refunded; other orders count as nothing."),
    ("Gross", "the amount of a counted order, in the month it was ordered."),
    ("Net", "gross less the refunds of counted orders, each in the month it was paid back."),
    ("LTV", "what a cohort has spent since its first purchase, cumulated; net unless gross is chosen."),
)


def case_study() -> Document:
    """Five orders of three customers as of 2022-07-31; 50 of order 2 given back in July."""
    idle = Cell(0, 0, Decimal(0))
    january = Cohort(
        "2022-01",
        2,
        [Cell(2, 2, Decimal(225)), Cell(1, 1, Decimal(150)), *[idle] * 4, Cell(1, 1, Decimal(300), Decimal(-50))],
    )
    quiet = [Cohort(month, 0, [idle] * length) for month, length in (("2022-02", 6), ("2022-03", 5))]
    april = Cohort("2022-04", 1, [Cell(1, 1, Decimal(150)), *[idle] * 3])
    document = shop({"EUR": [january, *quiet, april]})
    orders = {
        ("2022-01", 0): [order("2", "2022-01-12", "2", "150"), order("1", "2022-01-01", "1", "75")],
        ("2022-01", 1): [order("3", "2022-02-03", "2", "150")],
        ("2022-01", 6): [order("5", "2022-07-05", "1", "300"), order("2", "2022-07-20", "2", "-50", is_refund=True)],
        ("2022-04", 0): [order("4", "2022-04-06", "3", "150")],
    }
    document["cell_orders"]["cells"] = {cell_name("EUR", False, *cell): rows for cell, rows in orders.items()}
    document["products"]["rows"] = [
        product("Tea", "3", "225", "75", 2, "2022-01-01", ["FR", "US"], {"0": "112.5", "3": "187.5", "6": "312.5"}),
        product("Cup", "2", "600", "300", 1, "2022-07-05", ["ES"], {"0": None}),
    ]
    document["reconciliation"]["is_mapped"] = True
    document["reconciliation"]["states"] = states("EUR", {"matched": (3, "375", "375"), "explained": (1, "150", "100")})
    document["reconciliation"]["states"] += states("EUR", {"unpaid": (1, "300", "0")}, age="8 to 30")
    document["reconciliation"]["states"] += states("EUR", {"unpaid": (1, "300", "0")})
    document["reconciliation"]["orders"] = [unexplained("5", "2022-07-05", "300", "0", "unpaid", 26)]
    document["changes"] = {
        "since": "2022-07-30T18:00:05Z",
        "since_as_of": "2022-07-30",
        "cells": [
            changed("2022-01", 6, True, "refunded", 1, 0, "0", "-50"),
            changed("2022-01", 1, False, "late", 1, 1, "150", "0"),
        ],
        "orders": [
            changed_order("2022-01", 6, "refunded", "2", "2", 0, "0", "-50"),
            changed_order("2022-01", 1, "late", "3", "2", 1, "150", "0"),
        ],
        "left_out": 0,
    }
    return document


def one_order() -> Document:
    """The smallest shop there is: a cent, this month."""
    return shop({"EUR": [Cohort("2022-07", 1, [Cell(1, 1, Decimal("0.01"))])]})


def large(cohorts: int = 60, products: int = 1_000, orders_per_cell: int = 5, seed: int = 60) -> Document:
    """About 2.5 MB by default: two currencies, guests, two segments, orders behind every cell."""
    generator = random.Random(seed)
    whole = {"EUR": grown(generator, cohorts, 900), "JPY": grown(generator, min(cohorts, 6), 40, whole=True)}
    document = shop(whole)
    guests = [
        Cohort(cohort.month, 60, [Cell(60, 60, Decimal(60 * 42)), *[Cell(0, 0, Decimal(0))] * (len(cohort.cells) - 1)])
        for cohort in whole["EUR"]
    ]
    document["triangles"].append(triangle(key(is_guest=True), guests))
    document["averages"].append(averages(key(is_guest=True), guests))
    for name, values in (("country", ["FR", "DE", "ES", None]), ("first_product", ["Green tea", "Espresso cup"])):
        segment(document, name, values, generator, min(cohorts, 24))
    for month in whole["EUR"]:
        for number in range(len(month.cells)):
            document["cell_orders"]["cells"][cell_name("EUR", False, month.month, number)] = [
                order(
                    str(generator.randrange(10**6, 10**7)),
                    later(month.month, number) + "-14",
                    str(place),
                    f"{99 - place}.9",
                )
                for place in range(orders_per_cell)
            ]
    document["products"]["rows"] = [some_product(generator, place) for place in range(products)]
    document["products"]["left_out"] = 37
    reconciliation(document, generator)
    changes(document, generator)
    return document


def hostile() -> Document:
    """The case study's shop with names that try to break the page, wherever a name can be."""
    document = copy.deepcopy(case_study())
    document["shop"] = HOSTILE[0]
    document["products"]["rows"] = [
        product(name, "3", "225", "75", 2, "2022-01-01", [name, None], {"0": "112.5"}) for name in (*HOSTILE, None)
    ]
    january = [Cohort("2022-01", 1, [Cell(1, 1, Decimal(75)), *[Cell(0, 0, Decimal(0))] * 6])]
    document["triangles"] += [triangle(key("country", name), january) for name in HOSTILE]
    document["averages"] += [averages(key("country", name), january) for name in HOSTILE]
    values: list[SegmentValue] = [{"value": name, "is_other": False, "customers": 1} for name in HOSTILE]
    document["segments"] = [{"name": "country", "values": values, "triangles": len(values), "left_out": 4}]
    document["problems"] = [{"level": "warning", "text": HOSTILE[0], "hint": HOSTILE[1]}]
    document["cell_orders"]["cells"][cell_name("EUR", False, "2022-01", 0)] = [
        order(name[:200], "2022-01-01", name[:200], "75") for name in HOSTILE
    ]
    document["reconciliation"]["orders"] = [
        unexplained(name[:200], "2022-01-01", "75", "0", "unpaid", 3) for name in HOSTILE
    ]
    document["changes"]["orders"] = [
        changed_order("2022-01", 0, "late", name[:200], name[:200], 1, "75", "0") for name in HOSTILE
    ]
    return document


def shop(whole: Mapping[str, Sequence[Cohort]]) -> Document:
    """The parts of a document that follow from the whole triangle of each currency."""
    document = empty()
    document["as_of"] = "2022-07-31"
    document["problems"] = []
    document["freshness"] = freshness()
    document["formulas"] = [{"name": name, "text": words} for name, words in FORMULAS]
    for currency, cohorts in whole.items():
        document["currencies"].append({"code": currency, "digits": 0 if currency == "JPY" else 2})
        document["triangles"].append(triangle(key(currency=currency), cohorts))
        document["averages"].append(averages(key(currency=currency), cohorts))
        document["months"] += months(currency, cohorts)
        document["adds_up"] += sums(currency, cohorts)
        document["gross_to_net"] += bridge(currency, cohorts)
    return document


def by_month(cohorts: Sequence[Cohort]) -> dict[str, list[Cell]]:
    """Calendar month → the cells that lie in it."""
    placed = sorted(
        ((later(cohort.month, number), cell) for cohort in cohorts for number, cell in enumerate(cohort.cells)),
        key=lambda pair: pair[0],
    )
    return {month: [cell for _, cell in cells] for month, cells in groupby(placed, key=lambda pair: pair[0])}


def months(currency: str, cohorts: Sequence[Cohort]) -> list[MonthTotal]:
    return [
        {
            "month": month,
            "currency": currency,
            "orders": sum(cell.orders for cell in cells),
            "customers": sum(cell.active for cell in cells),
            "revenue": text(sum((cell.revenue for cell in cells), Decimal(0))),
        }
        for month, cells in by_month(cohorts).items()
    ]


def sums(currency: str, cohorts: Sequence[Cohort]) -> list[Sums]:
    net = sum((cell.revenue + cell.refunds for cohort in cohorts for cell in cohort.cells), Decimal(0))
    rows = [(None, text(net)), *((row["month"], row["revenue"]) for row in months(currency, cohorts))]
    return [
        {
            "currency": currency,
            "month": month,
            "triangle": one,
            "entries": one,
            "orders": one,
            "is_equal": True,
        }
        for month, one in rows
    ]


def bridge(currency: str, cohorts: Sequence[Cohort]) -> list[Step]:
    """A tenth of what was ordered did not count."""
    steps: list[Step] = []
    everything = [cell for cohort in cohorts for cell in cohort.cells]
    for month, cells in [(None, everything), *by_month(cohorts).items()]:
        gross = sum((cell.revenue for cell in cells), Decimal(0))
        refunds = sum((cell.refunds for cell in cells), Decimal(0))
        orders = sum(cell.orders for cell in cells)
        refunded = sum(1 for cell in cells if cell.refunds)
        lost = gross / 10
        for name, amount, count in (
            ("ordered", gross + lost, orders + orders // 10),
            ("not counted", -lost, orders // 10),
            ("gross", gross, orders),
            ("refunds", refunds, refunded),
            ("net", gross + refunds, orders),
        ):
            steps.append({"currency": currency, "month": month, "name": name, "amount": text(amount), "orders": count})
    return steps


def grown(generator: random.Random, cohorts: int, size: int, whole: bool = False) -> list[Cohort]:
    """Cohorts of a shop whose customers come back less and less."""
    made = []
    cents = Decimal(1) if whole else Decimal("0.01")
    for place in range(cohorts):
        customers = generator.randrange(size // 2, size * 2)
        cells = []
        for number in range(cohorts - place):
            share = 1.0 if not number else generator.uniform(0.12, 0.3) / (1 + number / 9) * (0.4 if place == 7 else 1)
            active = max(int(customers * share), 0)
            orders = int(active * generator.uniform(1.05, 1.3))
            basket = Decimal(generator.uniform(55, 80) * (100 if whole else 1)).quantize(cents)
            revenue = basket * orders
            refunds = -(revenue * generator.randrange(0, 9) / 100).quantize(cents)
            cells.append(Cell(active, orders, revenue, refunds))
        made.append(Cohort(later("2022-07", place - cohorts + 1), customers, cells))
    return made


def segment(
    document: Document, name: str, values: Sequence[str | None], generator: random.Random, cohorts: int
) -> None:
    rows: list[SegmentValue] = []
    triangles: list[Triangle] = []
    means: list[Averages] = []
    for place, value in enumerate((*values, "other")):
        is_other = place == len(values)
        bought = grown(generator, cohorts, 300 // (place + 1))
        named = key(name, value, is_other=is_other)
        rows.append({"value": value, "is_other": is_other, "customers": sum(cohort.customers for cohort in bought)})
        triangles.append(triangle(named, bought))
        means.append(averages(named, bought))
    document["segments"].append({"name": name, "values": rows, "triangles": len(values), "left_out": 12})
    document["triangles"] += triangles[: len(values)]
    document["averages"] += means


def some_product(generator: random.Random, place: int) -> Product:
    quantity, price = generator.randrange(1, 4_000), Decimal(generator.randrange(300, 9_000)) / 100
    kind = ("Green tea", "Espresso cup", "Kettle", "Tea strainer", "Honey", "Coffee beans")[place % 6]
    start = Decimal(generator.randrange(2_000, 9_000)) / 100
    ltv = {"0": text(start), "3": text(start * 2), "6": text(start * 3), "12": None if place % 5 else text(start * 4)}
    return product(
        f"{kind} no. {place + 1}",
        str(quantity),
        text(price * quantity),
        text(price),
        quantity // 2 + 1,
        later("2017-08", place % 55) + "-09",
        [("FR", "DE", "ES", "IT", "NL")[place % 5]],
        ltv,
    )


def reconciliation(document: Document, generator: random.Random) -> None:
    found = document["reconciliation"]
    found["is_mapped"] = True
    counts = {"matched": (91_000, "6200000", "6200000"), "explained": (5_200, "310000", "270000.5")}
    strays = {"underpaid": (41, "2900", "2710.1"), "overpaid": (9, "600", "655"), "unpaid": (120, "8100", "0")}
    found["states"] = states("EUR", {**counts, **strays, "orphan charge": (3, "0", "177.3")})
    for age, share in (("0 to 7", 5), ("8 to 30", 3), ("31 to 90", 2), ("over 90", 1)):
        aged = {state: (row[0] * share // 11, row[1], row[2]) for state, row in strays.items()}
        found["states"] += states("EUR", aged, age=age)
    found["orders"] = [
        unexplained(str(9_000 + place), "2022-07-02", "80", "0", ("unpaid", "underpaid")[place % 2], place % 120)
        for place in range(170)
    ]
    found["left_out"] = 3


def changes(document: Document, generator: random.Random) -> None:
    months = document["triangles"][0]["cohorts"][-12:]
    reasons = ("new", "late", "moved", "amount", "cancelled", "refunded")
    cells = [
        changed(month, number, number == 11 - place, generator.choice(reasons), 2, 1, "61.5", "-10")
        for place, month in enumerate(months)
        for number in range(max(10 - place, 0), 12 - place)
    ]
    orders = [
        changed_order(cell["month"], cell["number"], cell["reason"], str(70_000 + place), str(place), 1, "61.5", "-10")
        for place, cell in enumerate(cells)
    ]
    document["changes"] = {
        "since": "2022-07-30T18:00:05Z",
        "since_as_of": "2022-07-30",
        "cells": cells,
        "orders": orders,
        "left_out": 23,
    }
