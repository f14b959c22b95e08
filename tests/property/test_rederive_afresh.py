"""Whatever changes in shop.yaml: what `rederive` makes of the raw tables is what a fresh load makes of the changes."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.duckdb_warehouse import open_duckdb
from pipeline.rederive.command import rederive
from schemas.config import ShopConfig
from schemas.event import Message
from tests.builders import apply, event, message, rows, schema, shop
from tests.extracts import read, written

ORDERS = schema(
    "shop.orders",
    {
        "id": "bigint",
        "order_date": "datetime(6)",
        "paid_at": "timestamp(6)",
        "day": "date",
        "status": "varchar",
        "customer_id": "bigint",
        "payer_id": "varchar",
        "amount": "decimal(12,2)",
        "net": "decimal(14,4)",
        "currency": "char",
        "kind": "varchar",
    },
)
CHARGES = schema(
    "shop.charges",
    {
        "id": "bigint",
        "order_id": "bigint",
        "amount": "decimal(12,2)",
        "created_at": "datetime(6)",
        "booked_on": "date",
        "kind": "int",
    },
)
HOURS = (0, 1, 4, 9, 22, 23)
"""Not those that a clock skips in spring."""


def lines(seed: int) -> list[Message]:
    """Changes of the tables of a random shop, those of an order or charge often more than one."""
    chance = random.Random(seed)

    def instant() -> str:
        day = dt.date(2022, 1, 1) + dt.timedelta(days=chance.randrange(120))
        if chance.random() < 0.5:
            day = day.replace(day=1)
        return f"{day}T{chance.choice(HOURS):02}:{chance.randrange(60):02}:00.000000"

    made = []
    for at in range(1, 40):
        op = chance.choice("ccud")
        if chance.random() < 0.6:
            row = {
                "id": chance.randint(1, 15), "order_date": instant(), "paid_at": f"{instant()}Z",
                "day": instant()[:10], "status": chance.choice(["paid", " cancelled ", "open", None]),
                "customer_id": chance.choice([None, 0, 1, 2, 3]), "payer_id": chance.choice([None, "", "x", "y"]),
                "amount": f"{chance.randrange(10_000) / 100:.2f}", "net": f"{chance.randrange(10_000) / 100:.4f}",
                "currency": chance.choice([None, "eur", "USD"]), "kind": chance.choice(["a", "b", None]),
            }  # fmt: skip
            made.append(message(ORDERS, event(op, row, at), id=str(at)))
        else:
            row = {
                "id": chance.randint(1, 10), "order_id": chance.randint(1, 15),
                "amount": f"{chance.randrange(-5_000, 3_000) / 100:.2f}", "created_at": instant(),
                "booked_on": instant()[:10], "kind": chance.choice([1, 2, None]),
            }  # fmt: skip
            made.append(message(CHARGES, event(op, row, at), id=str(at)))
        if chance.random() < 0.02:
            made.append(message(ORDERS, event("t", None, at + 100), id=f"t{at}"))
    return made


CONDITIONS = st.sampled_from([None, {"in": ["a"]}, {"not_in": ["a"]}, {"is_null": True}, {"is_null": False}])
CHARGE_KINDS = st.sampled_from([None, {"in": [1]}, {"not_in": ["1"]}])
ZONES = st.sampled_from(["Europe/Paris", "UTC", "America/New_York", "Asia/Kathmandu"])


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    """Everything of a shop.yaml that entries depend on."""
    date = {"column": draw(st.sampled_from(["order_date", "order_date", "paid_at", "day"]))}
    if draw(st.booleans()):
        date["time_zone"] = draw(ZONES)
    orders: dict[str, Any] = {
        "name": "shop.orders",
        "columns": {
            "id": "id",
            "customer_id": draw(st.sampled_from(["customer_id", "payer_id"])),
            "ordered_at": date,
            "amount": draw(st.sampled_from(["amount", "net", {"column": "amount", "plus": ["net"]}])),
            "status": "status",
        },
    }
    if draw(st.booleans()):
        orders["columns"]["currency"] = "currency"
    charges = {
        "columns": {
            "id": "id",
            "order_id": "order_id",
            "amount": "amount",
            "charged_at": draw(st.sampled_from(["created_at", "booked_on"])),
        }
    }
    roles: dict[str, Any] = {"orders": orders, "charges": {"name": "shop.charges", **charges}}
    for table, condition in ((orders, draw(CONDITIONS)), (roles["charges"], draw(CHARGE_KINDS))):
        if condition:
            table["where"] = {"column": "kind", **condition}
    return {
        "time_zone": draw(ZONES),
        "currency": draw(st.sampled_from(["EUR", "USD"])),
        "guests": draw(st.sampled_from([[None, 0, ""], [None], [1, "x"]])),
        "counted": draw(
            st.sampled_from(
                [None, {"column": "status", "not_in": ["cancelled"]}, {"column": "status", "in": ["paid", "open"]}]
            )
        ),
        "tables": roles,
    }


TABLES = {"orders": {"_op"}, "charges": {"_op"}, "ltv_entries": set()}


def contents(config: ShopConfig) -> dict[str, list[Mapping[str, object]]]:
    """All rows of the raw tables and entries, deleted ones too, by column; but for when they were written."""
    found = {}
    with contextlib.closing(open_duckdb(str(config.warehouse)[7:])) as warehouse:
        for table, apart in TABLES.items():
            with warehouse.query(f"SELECT * EXCEPT (_written_at) FROM raw.{table}") as reader:
                all_rows = reader.read_all().to_pylist()
            kept = [{name: row[name] for name in sorted(row) if name not in apart} for row in all_rows]
            found[table] = sorted(kept, key=lambda row: str(row.get("id", row.get("entry_id"))))
        for view in TABLES:
            found[f"seen {view}"] = rows(warehouse, f"SELECT COUNT(*) FROM {view}")  # type: ignore[assignment]
    return found


def loaded(config: ShopConfig, messages: list[Message]) -> ShopConfig:
    with contextlib.closing(open_duckdb(str(config.warehouse)[7:])) as warehouse:
        warehouse.check_settings(config)
        assert not apply(warehouse, config, *messages).dead
    return config


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10_000), st.lists(configurations(), min_size=2, max_size=3), st.booleans())
def test_rederived_is_loaded_afresh(seed: int, chain: list[dict[str, Any]], later: bool) -> None:
    messages = lines(seed)
    first, after = messages[: len(messages) // 2], messages[len(messages) // 2 :]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = f"duckdb:{folder}/rederived.duckdb"
        loaded(shop(warehouse=path, **chain[0]), messages if not later else first)
        for settings_of in chain[1:]:
            config = shop(warehouse=path, **settings_of)
            rederive(config)
        if later:
            loaded(config, after)
        expected = loaded(shop(warehouse=f"duckdb:{folder}/fresh.duckdb", **chain[-1]), messages)
        assert contents(config) == contents(expected)
        assert not rederive(config).differing


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10_000), ZONES, ZONES, st.booleans())
def test_rows_of_extracts_move_by_their_own_type(seed: int, before: str, after: str, offsets: bool) -> None:
    chance = random.Random(seed)
    suffix = "Z" if offsets else ""
    files = [
        f"{id},2022-{chance.randint(1, 4):02}-01 {chance.choice(HOURS):02}:30:00{suffix},paid,1,10,2022-05-01T00:00:00Z"
        for id in range(20, 30)
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        extract = written(folder, "orders.csv", *files)
        found = []
        for place, zones in (("rederived", (before, after)), ("fresh", (after,))):
            config = shop(warehouse=f"duckdb:{folder}/{place}.duckdb", time_zone=zones[0])
            with contextlib.closing(open_duckdb(str(config.warehouse)[7:])) as warehouse:
                warehouse.check_settings(config)
                of_log = [item for item in lines(seed) if b"shop.orders" in item.data]
                apply(warehouse, config, *of_log)
                read(warehouse, config, extract)
            for zone in zones[1:]:
                config = shop(warehouse=config.warehouse, time_zone=zone)
                rederive(config)
            with contextlib.closing(open_duckdb(str(config.warehouse)[7:])) as warehouse:
                found.append(rows(warehouse, "SELECT id, ordered_at, ordered_on FROM raw.orders ORDER BY id"))
        assert found[0] == found[1]
