"""Products, reconciliation, segments and changes of random shops equal the same rules written in plain Python."""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Any

import pytest

from pipeline.rollup import rollup
from pipeline.session import Statement
from tests.builders import FURTHER, ITEM_COLUMNS, apply, charge, event, memory, message, order, rows, schema, shop
from tests.oracle.test_rollup_oracle import (
    CHARGES,
    ORDERS,
    PARIS,
    ROLES,
    Sale,
    cohorts_of,
    local_day,
    refunds_of,
    sales_of,
    triangle,
)

COUNTRIES = {"columns": {**ROLES["orders"]["columns"], "country": "country"}}
CONFIG = shop(
    tables={
        **ROLES,
        "orders": {**ROLES["orders"], **COUNTRIES},
        "order_items": FURTHER["order_items"],
        "customers": {**FURTHER["customers"], "segments": ["channel", "country"]},
    },
    segments=["country"],
)
SCHEMAS = {
    "order": schema("shop.orders", {**{column.name: column.type for column in ORDERS.columns}, "country": "char"}),
    "charge": CHARGES,
    "item": schema("shop.order_items", ITEM_COLUMNS),
    "customer": schema("shop.customers", {"id": "bigint", "channel": "varchar", "country": "varchar"}),
}
DAYS = (dt.date(2022, 12, 31), dt.date(2022, 3, 1), dt.date(2021, 11, 15))


class AnalysedShop:
    """What its tables hold, and the changes that have not been applied yet."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.tables: dict[str, dict[int, dict[str, Any]]] = {kind: {} for kind in SCHEMAS}
        self.lines: dict[str, list[bytes]] = {kind: [] for kind in SCHEMAS}
        self.position = 0

    def change(self, count: int) -> None:
        for _ in range(count):
            self.position += 1
            kind = self.random.choices(["order", "charge", "item", "customer"], [5, 4, 5, 1])[0]
            key = self.random.randint(1, {"order": 40, "charge": 25, "item": 60, "customer": 9}[kind])
            row = getattr(self, f"_{kind}")(key)
            if self.random.random() < 0.12:
                self.tables[kind].pop(key, None)
                self.lines[kind].append(event("d", row, self.position))
            else:
                self.tables[kind][key] = row
                self.lines[kind].append(event("u", row, self.position))

    def apply_to(self, warehouse: Any) -> None:
        messages = [message(SCHEMAS[kind], *lines, id=kind) for kind, lines in self.lines.items() if lines]
        assert not apply(warehouse, CONFIG, *messages).dead
        self.lines = {kind: [] for kind in SCHEMAS}

    def _instant(self) -> str:
        day = dt.datetime(2021, 11, 1, tzinfo=PARIS) + dt.timedelta(hours=self.random.randrange(24 * 400))
        if self.random.random() < 0.5:
            day = day.replace(day=1, hour=0) + dt.timedelta(minutes=self.random.randint(-120, 120))
        return day.astimezone(dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000000Z")

    def _order(self, key: int) -> dict[str, Any]:
        return order(
            key,
            self._instant(),
            self.random.choice([None, 0, *range(1, 9)]),
            self.random.choice(["0.00", "10.00", "20.00", f"{self.random.uniform(0, 9_000):.2f}"]),
            status=self.random.choice(["completed", "shipped", " cancelled ", None]),
            currency=self.random.choice(["EUR", "EUR", "jpy", None]),
            country=self.random.choice(["FR", "US", "", None]),
        )

    def _charge(self, key: int) -> dict[str, Any]:
        known = self.tables["order"].values()
        amounts = [row["amount"] for row in known] or ["10.00"]
        amount = self.random.choice([self.random.choice(amounts), "-10.00", f"{self.random.uniform(-50, 20):.2f}"])
        currency = self.random.choice([None, None, None, "EUR"])
        return charge(key, self.random.randint(1, 45), amount, self._instant(), currency=currency)

    def _item(self, key: int) -> dict[str, Any]:
        return {
            "id": key,
            "order_id": self.random.choice([None, *range(1, 45)]),
            "name": self.random.choice(["Teapot", "Cup", "Ünïcode 🫖", "=x", "", None]),
            "quantity": self.random.choice([None, "1.000", "2.000", "-1.000", f"{self.random.uniform(0, 9):.3f}"]),
            "unit_amount": self.random.choice([None, "5.0000", f"{self.random.uniform(0, 90):.4f}"]),
        }

    def _customer(self, key: int) -> dict[str, Any]:
        channel = self.random.choice(["web", "shop", None])
        return {"id": key, "channel": channel, "country": self.random.choice(["FR", None])}


def rounded(numerator: Decimal, denominator: Decimal, places: int) -> Decimal | None:
    if not denominator:
        return None
    with localcontext(Context(prec=80)):
        return (numerator / denominator).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def line_amount(item: dict[str, Any]) -> Decimal:
    return Decimal(item["quantity"] or 0) * Decimal(item["unit_amount"] or 0)


def products(made: AnalysedShop, sales: dict[int, Sale]) -> tuple[list[Any], list[Any]]:
    """The rows of product_stats and of product_top_country."""
    stats: dict[Any, list[Any]] = defaultdict(lambda: [Decimal(), Decimal(), set(), []])
    countries: dict[Any, dict[Any, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for item in made.tables["item"].values():
        sale = sales.get(item["order_id"])
        if sale:
            line = stats[item["name"], sale.currency]
            line[0] += Decimal(item["quantity"] or 0)
            line[1] += line_amount(item)
            line[2].add(sale.buyer)
            line[3].append(local_day(sale.instant))
            country = made.tables["order"][item["order_id"]]["country"]
            countries[item["name"]][country] += Decimal(item["quantity"] or 0)
    return (
        [
            (*key, quantity, revenue, rounded(revenue, quantity, 4), len(buyers), min(days))
            for key, (quantity, revenue, buyers, days) in stats.items()
        ],
        [
            (product, country, quantity)
            for product, sold in countries.items()
            for country, quantity in sold.items()
            if quantity == max(sold.values())
        ],
    )


def reconciliation(made: AnalysedShop, sales: dict[int, Sale], as_of: dt.date) -> list[Any]:
    table: list[Any] = []
    charges = [row for row in made.tables["charge"].values() if local_day(row["created_at"]) <= as_of]
    for key, row in made.tables["order"].items():
        if local_day(row["order_date"]) > as_of:
            continue
        amount, currency = Decimal(row["amount"]), (row["currency"] or "EUR").upper()
        own = [charge for charge in charges if charge["order_id"] == key]
        same = [Decimal(charge["amount"]) for charge in own if charge["currency"] in (None, currency)]
        paid, back = sum((a for a in same if a > 0), Decimal()), sum((a for a in same if a < 0), Decimal())
        due = amount if key in sales else Decimal()
        difference = due - paid - back
        if len(same) < len(own):
            state = "currency mismatch"
        elif difference == 0:
            state = "matched"
        elif not own:
            state = "unpaid"
        elif paid == due and back < 0 and -back <= paid:
            state = "explained"
        else:
            state = "underpaid" if difference > 0 else "overpaid"
        table.append((str(key), None, paid + back, difference, rounded(100 * difference, amount, 2), state, len(own)))
    for row in charges:
        if row["order_id"] not in made.tables["order"]:
            amount = Decimal(row["amount"])
            table.append((str(row["order_id"]), str(row["id"]), amount, -amount, None, "orphan charge", 1))
    return table


def segments(made: AnalysedShop, sales: dict[int, Sale], as_of: dt.date) -> list[Any]:
    firsts: dict[Any, tuple[str, int]] = {}
    for key, sale in sales.items():
        firsts[sale.buyer] = min((sale.instant, key), firsts.get(sale.buyer, (sale.instant, key)))

    def product(key: int) -> str | None:
        spent: dict[str | None, Decimal] = defaultdict(Decimal)
        for item in made.tables["item"].values():
            if item["order_id"] == key:
                spent[item["name"]] += line_amount(item)
        return min(spent, key=lambda name: (-spent[name], name is None, name or "")) if spent else None

    def of_customer(column: str, buyer: tuple[str, int]) -> str | None:
        row = made.tables["customer"].get(buyer[1]) if buyer[0] == "customer" else None
        return row and row[column]

    values = {
        "country": {buyer: made.tables["order"][key]["country"] for buyer, (_, key) in firsts.items()},
        "channel": {buyer: of_customer("channel", buyer) for buyer in firsts},
        "customers.country": {buyer: of_customer("country", buyer) for buyer in firsts},
        "first product": {buyer: product(key) for buyer, (_, key) in firsts.items()},
    }
    refunds = refunds_of(made.tables["charge"].values(), sales, as_of)
    table = []
    for segment, of in values.items():
        for value in set(of.values()):
            inside = triangle(
                [sale for sale in sales.values() if of[sale.buyer] == value],
                [refund for refund in refunds if of[refund.buyer] == value],
                as_of,
            )
            table += [(segment, value, False, *row) for row in inside]
    return table


COLUMNS = {
    "product_stats": "product, currency, quantity, revenue, average_price, customers, first_sold_on",
    "product_top_country": "product, country, quantity",
    "payment_reconciliation": "order_id, charge_id, charged, difference, difference_pct, state, charges",
    "ltv_cohorts_by_segment": "segment, value, is_other, cohort_month, month_number, currency, is_guest, customers,"
    " active_customers, orders, revenue, refunds, ltv, ltv_gross, ltv_per_customer, ltv_gross_per_customer, retention,"
    " is_open",
}


def comparable(table: Iterable[tuple[Any, ...]]) -> list[list[str]]:
    return sorted([_text(value) for value in row] for row in table)


def _text(value: Any) -> str:
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return f"{Decimal(value).normalize() + 0:f}" if is_number else repr(value)


@pytest.mark.parametrize("seed", range(10))
def test_random_shops(seed: int) -> None:
    made, warehouse = AnalysedShop(seed), memory()
    made.change(260)
    made.apply_to(warehouse)
    for as_of in DAYS:
        sales = sales_of(made.tables["order"], as_of)
        stats, top = products(made, sales)
        expected = {
            "product_stats": stats,
            "product_top_country": top,
            "payment_reconciliation": reconciliation(made, sales, as_of),
            "ltv_cohorts_by_segment": segments(made, sales, as_of),
        }
        rollup(warehouse, CONFIG, as_of)
        for table, columns in COLUMNS.items():
            found = rows(warehouse, f"SELECT {columns} FROM {table}")
            assert comparable(found) == comparable(expected[table]), (table, as_of)


CELL = ("cohort_month", "month_number", "currency", "is_guest")
LONG_AGO = (
    "UPDATE raw.ltv_entries SET _written_at = _written_at - INTERVAL 1 DAY",
    "UPDATE main.rolled_up SET written_up_to = written_up_to - INTERVAL 1 DAY",
)
CELLS = f"SELECT {', '.join(CELL)}, orders, revenue, refunds FROM ltv_cohorts"
BY_REASON = f"{', '.join(CELL)}, was_open, since, since_as_of, reason"
CHANGED = f"{BY_REASON}, changes, orders, revenue, refunds"
MOVED = f"SELECT {BY_REASON}, order_id, orders, revenue, refunds FROM cohort_changes"
CHANGES = f"SELECT {', '.join(CELL)}, SUM(orders), SUM(revenue), SUM(refunds) FROM cohort_changes GROUP BY 1, 2, 3, 4"


@pytest.mark.parametrize("seed", range(10))
def test_changes_add_up_to_what_moved_and_have_their_reasons(seed: int) -> None:
    made, warehouse = AnalysedShop(seed), memory()
    made.change(200)
    made.apply_to(warehouse)
    rollup(warehouse, CONFIG, dt.date(2022, 4, 20))
    before, day = {row[:4]: row[4:] for row in rows(warehouse, CELLS)}, dt.date(2022, 4, 20)
    for as_of in (dt.date(2022, 4, 20), dt.date(2022, 5, 1), dt.date(2022, 5, 1), dt.date(2022, 9, 1)):
        sales_before = sales_of(dict(made.tables["order"]), day)
        made.change(made.random.choice([0, 1, 3, 30]))
        made.apply_to(warehouse)
        rollup(warehouse, CONFIG, as_of)
        now = {row[:4]: row[4:] for row in rows(warehouse, CELLS)}
        moved = {
            cell: tuple(new - old for new, old in zip(now.get(cell, (0,) * 3), before.get(cell, (0,) * 3), strict=True))
            for cell in now.keys() | before.keys()
        }
        expected = [(*cell, *by) for cell, by in moved.items() if any(by)]
        found = [row for row in rows(warehouse, CHANGES) if any(row[4:])]
        assert comparable(found) == comparable(expected)
        assert comparable(rows(warehouse, f"SELECT {CHANGED} FROM changed_cells")) == comparable(_by_reason(warehouse))
        _check_reasons(warehouse, made, sales_before, sales_of(made.tables["order"], as_of), day)
        before, day = now, as_of
        if seed % 2:  # as if that had been long ago: only what is written from now on is looked at
            warehouse.session.run([Statement(sql) for sql in LONG_AGO])


def _by_reason(warehouse: Any) -> list[tuple[Any, ...]]:
    """The rows of changed_cells, from those of cohort_changes."""
    changed: dict[Any, list[Any]] = defaultdict(lambda: [set(), 0, Decimal(), Decimal()])
    for *cell, order_id, orders, revenue, refunds in rows(warehouse, MOVED):
        line = changed[tuple(cell)]
        line[0].add(order_id)
        for at, added in enumerate((orders, revenue, refunds), 1):
            line[at] += added
    return [(*cell, len(orders), *added) for cell, (orders, *added) in changed.items()]


def _check_reasons(
    warehouse: Any, made: AnalysedShop, then: dict[int, Sale], now: dict[int, Sale], day: dt.date
) -> None:
    """Of orders, in plain Python."""
    cohorts = cohorts_of(then.values()), cohorts_of(now.values())
    for key, reason, customer in rows(warehouse, "SELECT order_id, reason, customer_id FROM cohort_changes"):
        old, new = then.get(int(key)), now.get(int(key))
        if reason == "refunded":
            assert old and new
            continue
        if old is None:
            assert new
            assert reason == ("new" if local_day(new.instant) >= day else "late")
        elif new is None:
            row = made.tables["order"].get(int(key))
            live = row is not None and row["status"] is not None and row["status"].strip() != "cancelled"
            assert reason == ("deleted" if row is None else "moved" if live else "cancelled")
        elif old._replace(amount=Decimal(), instant="") != new._replace(amount=Decimal(), instant=""):
            assert reason == "moved"
        elif old.amount != new.amount:
            assert reason == "amount"
        else:
            assert reason == "cohort"
            assert cohorts[0][old.buyer] != cohorts[1][new.buyer]
        kind, buyer = new.buyer if new else old.buyer if old else ("", 0)
        assert customer == (str(buyer) if kind == "customer" else None)
