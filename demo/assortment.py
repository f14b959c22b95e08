"""What the simulated shop sells and to whom: products, prices by date, customers, baskets."""

from __future__ import annotations

from datetime import date
from random import Random
from typing import NamedTuple

PRICE_YEAR = 2024  # list prices are of this year and rise by 4 % in each later one

COUNTRIES = {"FR": 45, "US": 20, "ES": 15, "DE": 12, "IT": 8}
CHANNELS = {"search": 35, "social": 25, "direct": 20, "newsletter": 12, "affiliate": 8}
SEASON = (0.9, 0.8, 0.9, 0.95, 1.0, 0.95, 0.8, 0.7, 1.0, 1.1, 1.6, 1.8)  # by month: demand


class Product(NamedTuple):
    name: str
    cents: int
    weight: int


PRODUCTS = (
    Product("Coffee beans 1 kg", 2490, 30),
    Product("Green tea 250 g", 1250, 18),
    Product("Filter papers", 499, 15),
    Product("Stoneware mug", 1690, 14),
    Product("Hand grinder", 5900, 8),
    Product("Pour-over kettle", 7450, 7),
    Product("Espresso pot", 3995, 6),
    Product("Espresso machine", 48900, 2),
)


class Item(NamedTuple):
    name: str
    quantity: int
    unit_cents: int


class Customer(NamedTuple):
    country: str
    channel: str
    birth_year: int | None


def weighted(rng: Random, weights: dict[str, int]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def unit_cents(product: Product, day: date) -> int:
    """The price on that day: yearly rises, 20 % off in the last week of November."""
    cents = product.cents * (100 + 4 * max(0, day.year - PRICE_YEAR)) // 100
    return cents * 80 // 100 if (day.month, day.day) >= (11, 24) and day.month == 11 else cents


def draw_customer(rng: Random, year: int) -> Customer:
    """One in twelve does not tell the year of birth."""
    birth_year = None if rng.random() < 0.08 else year - round(rng.triangular(18, 78, 34))
    return Customer(weighted(rng, COUNTRIES), weighted(rng, CHANNELS), birth_year)


def draw_basket(rng: Random, day: date) -> list[Item]:
    """One to three different products."""
    wanted = rng.choices((1, 2, 3), (70, 22, 8))[0]
    chosen: dict[str, Product] = {}
    while len(chosen) < wanted:
        product = rng.choices(PRODUCTS, [product.weight for product in PRODUCTS])[0]
        chosen[product.name] = product
    return [
        Item(product.name, rng.choices((1, 2, 3), (80, 15, 5))[0], unit_cents(product, day))
        for product in chosen.values()
    ]


def total_cents(basket: list[Item]) -> int:
    return sum(item.quantity * item.unit_cents for item in basket)
