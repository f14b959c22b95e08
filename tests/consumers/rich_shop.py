"""A shop with something in every rolled-up table, written in two parts: a rollup comes between them."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import yaml

from schemas.config import ShopConfig
from schemas.config_file import parse_config
from schemas.event import Message
from tests.builders import FURTHER, MAPPED, by_words

FIRST_DAY, LAST_DAY = dt.date(2022, 3, 20), dt.date(2022, 6, 15)
"""As of which the first rollup is, and the second."""


def settings(warehouse: str) -> dict[str, Any]:
    """What shop.yaml says."""
    orders = {**MAPPED["orders"], "columns": {**MAPPED["orders"]["columns"], "country": "country"}}  # type: ignore[dict-item]
    return {
        "time_zone": "Europe/Paris",
        "currency": "EUR",
        "counted": {"column": "status", "not_in": ["cancelled"]},
        "tables": {**MAPPED, **FURTHER, "orders": orders},
        "segments": ["country"],
        "warehouse": warehouse,
    }


def config_of(warehouse: str) -> ShopConfig:
    return parse_config(yaml.safe_dump(settings(warehouse)))


def two_parts() -> tuple[list[Message], list[Message]]:
    chance = random.Random(22)
    words = [f"customer {customer} {chance.choice(['web', 'store', '-'])}" for customer in range(1, 13)]
    for key in range(1, 61):
        day = dt.date(2022, 1, 1) + dt.timedelta(days=chance.randrange(100))
        customer, country = chance.choice(["-", *map(str, range(1, 13))]), chance.choice(["FR", "DE", "-"])
        amount = f"{chance.randrange(100, 20000) / 100:.2f}"
        status = "completed" if key < 5 else chance.choice(["completed"] * 4 + ["cancelled"])
        day = FIRST_DAY - dt.timedelta(days=key) if key < 5 else day
        words.append(f"order {key} {day} {customer} {amount} {status} country={country}")
        words.append(f"item {key} {key} {chance.choice(['Tea', 'Green_tea', 'Cup'])} {chance.randint(1, 3)} 4.25")
        if chance.random() < 0.8:
            words.append(f"charge {key} {key} {amount} {day}")
        if chance.random() < 0.2:
            words.append(f"refund {key} {key} 1.50 {day + dt.timedelta(days=40)}")
    words.append("charge 900 9000 12.00 2022-02-01")  # an orphan
    first = len(words)
    words += [
        "order 1 2022-01-05 1 33.00 cancelled country=FR",
        "delete order 2",
        "order 3 2021-12-30 4 8.00 country=DE",
    ]
    words += [f"order {key} 2022-05-{key - 60:02} {key % 12 + 1} 20.00 country=FR" for key in range(61, 70)]
    words += ["order 70 2022-02-02 5 9.00 country=FR", "refund 70 65 2.00 2022-06-01", "charge 70 65 20.00 2022-05-06"]
    messages = by_words(words)
    return messages[:first], messages[first:]
