"""The rolled-up tables of random shops equal the same rules written in plain Python, in Decimal alone."""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from pipeline.rollup import rollup
from tests.builders import (
    CHARGE_COLUMNS,
    ORDER_COLUMNS,
    apply,
    charge,
    event,
    memory,
    message,
    order,
    rows,
    schema,
    shop,
    with_columns,
)

PARIS = ZoneInfo("Europe/Paris")
ORDERS = schema("shop.orders", {**ORDER_COLUMNS, "order_date": "timestamp(6)", "currency": "char"})
CHARGES = schema("shop.charges", {**CHARGE_COLUMNS, "created_at": "timestamp(6)", "currency": "char"})
ROLES = {role: with_columns(role, currency="currency")[role] for role in ("orders", "charges")}
CONFIG = shop(tables=ROLES)


def month(day: dt.date) -> int:
    return 12 * day.year + day.month - 1


def first_day(number: int) -> dt.date:
    return dt.date(number // 12, number % 12 + 1, 1)


class Shop:
    """What its tables hold in the end, and all the changes on the way there."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.orders: dict[int, dict[str, Any]] = {}
        self.charges: dict[int, dict[str, Any]] = {}
        self.lines: dict[str, list[bytes]] = {"order": [], "charge": []}
        for at in range(1, 120):
            if self.random.random() < 0.6:
                key = self.random.randint(1, 40)
                self._change("order", self.orders, key, self._order(key), at)
            else:
                key = self.random.randint(1, 20)
                self._change("charge", self.charges, key, self._charge(key), at)

    def _change(self, kind: str, table: dict[int, Any], key: int, row: dict[str, Any], at: int) -> None:
        if self.random.random() < 0.1:
            table.pop(key, None)
            self.lines[kind].append(event("d", row, at))
        else:
            table[key] = row
            self.lines[kind].append(event("u", row, at))

    def _instant(self) -> str:
        """Often within two hours of the end of a month."""
        day = dt.datetime(2021, 11, 1, tzinfo=PARIS) + dt.timedelta(hours=self.random.randrange(24 * 400))
        if self.random.random() < 0.5:
            day = day.replace(day=1, hour=0) + dt.timedelta(minutes=self.random.randint(-120, 120))
        return day.astimezone(dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000000Z")

    def _order(self, key: int) -> dict[str, Any]:
        customer = self.random.choice([None, 0, *range(1, 9)])
        amount = f"{self.random.choice([0, 0.01, 19.99, self.random.uniform(0, 10_000)]):.2f}"
        status = self.random.choice(["completed", "shipped", " cancelled ", None])
        currency = self.random.choice(["EUR", "EUR", "jpy", None])
        return order(key, self._instant(), customer, amount, status=status, currency=currency)

    def _charge(self, key: int) -> dict[str, Any]:
        amount = f"{self.random.uniform(-50, 20):.2f}"
        return charge(
            key, self.random.randint(1, 45), amount, self._instant(), currency=self.random.choice([None, None, "EUR"])
        )


def local_day(text: str) -> dt.date:
    return dt.datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(PARIS).date()


class Sale(NamedTuple):
    """A counted order. `buyer` is a customer, or the order itself where a guest bought."""

    buyer: tuple[str, int]
    currency: str
    month: int
    amount: Decimal
    instant: str


class Refund(NamedTuple):
    buyer: tuple[str, int]
    currency: str
    month: int
    amount: Decimal


def sales_of(orders: Mapping[int, dict[str, Any]], as_of: dt.date) -> dict[int, Sale]:
    sales = {}
    for key, row in orders.items():
        day = local_day(row["order_date"])
        if row["status"] is not None and row["status"].strip() != "cancelled" and day <= as_of:
            buyer = ("customer", row["customer_id"]) if row["customer_id"] else ("order", key)
            currency = (row["currency"] or "EUR").upper()
            sales[key] = Sale(buyer, currency, month(day), Decimal(row["amount"]), row["order_date"])
    return sales


def refunds_of(charges: Iterable[dict[str, Any]], sales: Mapping[int, Sale], as_of: dt.date) -> list[Refund]:
    refunds = []
    for row in charges:
        day = local_day(row["created_at"])
        if Decimal(row["amount"]) < 0 and row["order_id"] in sales and day <= as_of:
            sale = sales[row["order_id"]]
            refunds.append(Refund(sale.buyer, row["currency"] or sale.currency, month(day), Decimal(row["amount"])))
    return refunds


def cohorts_of(sales: Iterable[Sale]) -> dict[Any, int]:
    cohort: dict[Any, int] = {}
    for sale in sales:
        cohort[sale.buyer] = min(sale.month, cohort.get(sale.buyer, sale.month))
    return cohort


def triangle(sales: Iterable[Sale], refunds: Iterable[Refund], as_of: dt.date) -> list[tuple[Any, ...]]:
    """The rows of ltv_cohorts."""
    cohort = cohorts_of(sales)
    cells: dict[Any, dict[str, Any]] = defaultdict(
        lambda: {"active": set(), "orders": 0, "revenue": Decimal(), "refunds": Decimal()}
    )
    buyers = defaultdict(set)
    for buyer, currency, number, amount, _ in sales:
        group = (cohort[buyer], currency, buyer[0] == "order")
        buyers[group].add(buyer)
        cell = cells[(*group, number - cohort[buyer])]
        cell["active"].add(buyer)
        cell["orders"] += 1
        cell["revenue"] += amount
    for buyer, currency, number, amount in refunds:
        group = (cohort[buyer], currency, buyer[0] == "order")
        buyers[group] |= set()
        cells[(*group, max(0, number - cohort[buyer]))]["refunds"] += amount

    table = []
    for group, members in buyers.items():
        ltv = gross = Decimal()
        for number in range(month(as_of) - group[0] + 1):
            cell = cells[(*group, number)]
            gross += cell["revenue"]
            ltv += cell["revenue"] + cell["refunds"]
            each = [
                (total / len(members)).quantize(Decimal("0.0001"), ROUND_HALF_UP) if members else None
                for total in (ltv, gross, Decimal(len(cell["active"])))
            ]
            table.append(
                (first_day(group[0]), number, *group[1:], len(members), len(cell["active"]), cell["orders"],
                 cell["revenue"], cell["refunds"], ltv, gross, *each, group[0] + number == month(as_of))
            )  # fmt: skip
    return table


def in_plain_python(shop: Shop, as_of: dt.date) -> dict[str, Any]:
    sales = sales_of(shop.orders, as_of)
    refunds = refunds_of(shop.charges.values(), sales, as_of)
    cohort = cohorts_of(sales.values())
    table = triangle(sales.values(), refunds, as_of)

    monthly: dict[Any, list[Any]] = defaultdict(lambda: [0, set(), Decimal()])
    firsts: dict[Any, Any] = {}
    for key, (buyer, currency, number, amount, instant) in sales.items():
        line = monthly[number, currency]
        line[0] += 1
        line[1].add(buyer)
        line[2] += amount
        firsts[buyer] = min((instant, key), firsts.get(buyer, (instant, key)))
    return {
        "ltv_cohorts": table,
        "ltv_monthly": [
            (first_day(number), currency, orders, len(who), sum_)
            for (number, currency), (orders, who, sum_) in monthly.items()
        ],
        "order_first_purchase": [
            (str(key), str(firsts[buyer][1]), first_day(cohort[buyer]), number - cohort[buyer])
            for key, (buyer, _, number, _, _) in sales.items()
        ],
        "entries": sum(sale[3] for sale in sales.values()) + sum(refund[3] for refund in refunds),
    }


COLUMNS = {
    "ltv_cohorts": "cohort_month, month_number, currency, is_guest, customers, active_customers, orders, revenue,"
    " refunds, ltv, ltv_gross, ltv_per_customer, ltv_gross_per_customer, retention, is_open",
    "ltv_monthly": "purchase_month, currency, orders, customers, revenue",
    "order_first_purchase": "order_id, first_order_id, cohort_month, month_number",
}


@pytest.mark.parametrize("seed", range(12))
def test_random_shops(seed: int) -> None:
    made, warehouse = Shop(seed), memory()
    changes = apply(
        warehouse, CONFIG, message(ORDERS, *made.lines["order"]), message(CHARGES, *made.lines["charge"], id="c")
    )
    assert not changes.dead
    for as_of in (dt.date(2022, 12, 31), dt.date(2022, 3, 1), dt.date(2021, 11, 15)):
        expected = in_plain_python(made, as_of)
        rollup(warehouse, CONFIG, as_of)
        for table, columns in COLUMNS.items():
            found = rows(warehouse, f"SELECT {columns} FROM {table}")
            assert sorted(found, key=repr_of) == sorted(expected[table], key=repr_of), (table, as_of)
        (total,) = rows(warehouse, "SELECT SUM(revenue + refunds) FROM ltv_cohorts")[0]
        assert (total or 0) == expected["entries"], "nothing is lost and nothing counted twice"


def repr_of(row: Any) -> list[str]:
    return [f"{value:f}" if isinstance(value, Decimal) else repr(value) for value in row[:4]]
