"""A shop of five years as CSV extracts: 60 cohorts, a thousand products, countries and channels, refunds, guests, and
payments that do not fit."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from pathlib import Path

MONTHS = 60
PRODUCTS = 1_000
COUNTRIES = ("FR", "DE", "ES", "IT", "BE", "NL", "PT", "PL", "AT", "CH", "GB", "IE")
CHANNELS = ("search", "newsletter", "social", "shop window", "partner", "")
FIRST_DAY = dt.date(2021, 12, 1)
LAST_DAY = dt.date(2026, 11, 23)
ORDERS_OF_A_CUSTOMER = 3


def write_extracts(folder: Path, orders: int, seed: int = 1) -> list[str]:
    """orders.csv, order_items.csv, charges.csv and customers.csv; their names. Half as many lines again in items."""
    chance = random.Random(seed)
    customers = max(1, orders // ORDERS_OF_A_CUSTOMER)
    days = (LAST_DAY - FIRST_DAY).days
    firsts = sorted(chance.randrange(days + 1) for _ in range(customers))
    names = {
        "customers": "id,country,channel",
        "orders": "id,order_date,status,customer_id,amount,country",
        "order_items": "id,order_id,name,quantity,unit_amount",
        "charges": "id,order_id,amount,created_at",
    }
    files = {name: (folder / f"{name}.csv").open("w", encoding="utf-8") for name in names}
    try:
        for name, header in names.items():
            files[name].write(f"{header}\n")
        for number in range(1, customers + 1):
            files["customers"].write(f"{number},{chance.choice(COUNTRIES)},{chance.choice(CHANNELS)}\n")
        item = charge = 0
        for number in range(1, orders + 1):
            customer, day = _buyer(chance, firsts, number, days)
            at = f"{FIRST_DAY + dt.timedelta(days=day)} {chance.randrange(24):02}:{chance.randrange(60):02}:00"
            cents = 0
            for _ in range(chance.choice((1, 1, 2))):
                item += 1
                unit, product = (
                    chance.randrange(500, 20_000),
                    min(chance.randrange(PRODUCTS), chance.randrange(PRODUCTS)),
                )
                files["order_items"].write(f"{item},{number},product {product:04},1,{_money(unit)}\n")
                cents += unit
            status = "cancelled" if chance.random() < 0.03 else "completed"
            who = "" if chance.random() < 0.02 else str(customer)
            files["orders"].write(f"{number},{at},{status},{who},{_money(cents)},{chance.choice(COUNTRIES)}\n")
            for amount in _payments(chance, cents, status):
                charge += 1
                files["charges"].write(f"{charge},{number},{_money(amount)},{at}\n")
    finally:
        for file in files.values():
            file.close()
    return [str(folder / f"{name}.csv") for name in names]


def _buyer(chance: random.Random, firsts: list[int], number: int, days: int) -> tuple[int, int]:
    """A customer and a day: the first orders in turn, then one of anybody's, sooner rather than later."""
    if number <= len(firsts):
        return number, firsts[number - 1]
    customer = chance.randrange(len(firsts))
    return customer + 1, min(days, firsts[customer] + int(chance.expovariate(1 / 300)))


def _payments(chance: random.Random, cents: int, status: str) -> Iterator[int]:
    """In cents: nearly always what is due, now and then nothing, too little, or something back."""
    lot = chance.random()
    if status == "cancelled" or lot < 0.002:
        return
    yield cents - 100 if lot < 0.004 else cents
    if lot > 0.96:
        yield -chance.randrange(1, cents + 1)


def _money(cents: int) -> str:
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02}"
