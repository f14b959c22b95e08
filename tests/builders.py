"""Shops, change events and warehouses for tests: what a worker would send, and what the pipeline makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from pipeline.changes import Changes
from pipeline.decode import Decoder
from pipeline.duckdb_warehouse import DuckDBWarehouse
from pipeline.entries import derive_entries
from pipeline.output import text_of
from pipeline.rollup import rollup
from pipeline.session import LocalSession
from pipeline.warehouse import Warehouse
from schemas.config import ShopConfig
from schemas.config_file import parse_config
from schemas.event import OVERSIZED_VALUES, EventColumn, Message, TableSchema, dead_letter_line, envelope
from schemas.sequence import format_sequence

MAPPED = {
    "orders": {
        "name": "shop.orders",
        "columns": {
            "id": "id",
            "customer_id": "customer_id",
            "ordered_at": "order_date",
            "amount": "amount",
            "status": "status",
        },
    },
    "charges": {
        "name": "shop.charges",
        "columns": {"id": "id", "order_id": "order_id", "amount": "amount", "charged_at": "created_at"},
    },
}


FURTHER = {
    "order_items": {
        "name": "shop.order_items",
        "columns": {
            "id": "id",
            "order_id": "order_id",
            "product": "name",
            "quantity": "quantity",
            "unit_amount": "unit_amount",
        },
    },
    "refunds": {
        "name": "shop.refunds",
        "columns": {"id": "id", "order_id": "order_id", "amount": "amount", "charged_at": "created_at"},
        "sign": -1,
    },
    "customers": {"name": "shop.customers", "columns": {"id": "id"}, "segments": ["channel"]},
}
"""Roles beside those of `MAPPED`; amounts of `refunds` are positive at their source."""


def shop(**fields: Any) -> ShopConfig:
    """The case study's tables in Paris; `fields` are keys of shop.yaml that differ, None takes one away."""
    settings: dict[str, Any] = {
        "time_zone": "Europe/Paris",
        "currency": "EUR",
        "counted": {"column": "status", "not_in": ["cancelled"]},
        "tables": MAPPED,
        **fields,
    }
    return parse_config(yaml.safe_dump({key: value for key, value in settings.items() if value is not None}))


def tables(**changed: Mapping[str, Any]) -> dict[str, Any]:
    """The case study's roles, each with other keys; a role that it does not have comes in addition."""
    return {role: {**MAPPED.get(role, {}), **changed.get(role, {})} for role in {**MAPPED, **changed}}


def with_columns(role: str, **columns: Any) -> dict[str, Any]:
    """`tables()` with further columns mapped in one role."""
    return tables(**{role: {"columns": {**MAPPED[role]["columns"], **columns}}})  # type: ignore[dict-item]


def schema(table: str, columns: Mapping[str, str], key: Sequence[str] = ("id",)) -> TableSchema:
    return TableSchema(table, tuple(key), tuple(EventColumn(name, kind) for name, kind in columns.items()))


ORDER_COLUMNS = {
    "id": "bigint",
    "order_date": "datetime(6)",
    "status": "varchar",
    "customer_id": "bigint",
    "amount": "decimal(12,2)",
}
CHARGE_COLUMNS = {"id": "bigint", "order_id": "bigint", "amount": "decimal(12,2)", "created_at": "datetime(6)"}
ITEM_COLUMNS = {
    "id": "bigint",
    "order_id": "bigint",
    "name": "varchar",
    "quantity": "decimal(12,3)",
    "unit_amount": "decimal(12,4)",
}
ORDERS = schema("shop.orders", ORDER_COLUMNS)
CHARGES = schema("shop.charges", CHARGE_COLUMNS)


def order(
    id: Any = 1, date: Any = "2022-01-13", customer: Any = 1, amount: Any = "75.00", **more: Any
) -> dict[str, Any]:
    row = {"id": id, "order_date": _time(date), "status": "completed", "customer_id": customer, "amount": amount}
    return {**row, **more}


def charge(
    id: Any = 1, order_id: Any = 1, amount: Any = "-5.00", date: Any = "2022-02-01", **more: Any
) -> dict[str, Any]:
    return {"id": id, "order_id": order_id, "amount": amount, "created_at": _time(date), **more}


def _time(date: Any) -> Any:
    return f"{date}T12:00:00.000000" if isinstance(date, str) and len(date) == 10 else date


def sequence(position: int, row: int = 0, *, epoch: int = 1, file: int = 1) -> str:
    return format_sequence(epoch, file, position, row)


def event(op: str, row: Mapping[str, Any] | None, at: int | str = 1, *, ts_ms: int = 1_657_811_000_000) -> bytes:
    """One line; `at` is the position in the log, or a whole sequence number."""
    image = None if row is None else dict(row)
    source = {"sequence": at if isinstance(at, str) else sequence(at), "ts_ms": ts_ms}
    return envelope(op, image if op == "d" else None, None if op in "dt" else image, source, ts_ms)


def letter(key: Any = 1, at: int | str = 1, reason: str = OVERSIZED_VALUES, **parts: Any) -> bytes:
    """The worker's own dead letter about an order."""
    body = {"table": "shop.orders", "reason": reason, "op": "u", "key": {"id": key}, "bytes": 12_000_321,
            "columns": {"note": 12_000_002}, **parts}  # fmt: skip
    place = {"sequence": at if isinstance(at, str) else sequence(at), "file": "mysql-bin.000003", "pos": 1842}
    return dead_letter_line(body, place, 1_657_811_000_000)


LETTER = letter()


def message(of: TableSchema, *lines: bytes, id: str = "m", **attributes: str) -> Message:
    return Message(b"\n".join([of.line(), *lines]), attributes, id)


def decode(config: ShopConfig, *messages: Message, decoder: Decoder | None = None) -> Changes:
    """What the graph's first two stages make of messages."""
    changes = (decoder or Decoder(config)).decode(messages)
    derived = (derive_entries(batch, config) for batch in changes.batches)
    changes.entries = [entries for entries in derived if entries is not None]
    return changes


def memory() -> DuckDBWarehouse:
    return DuckDBWarehouse(LocalSession(":memory:"))


def apply(warehouse: DuckDBWarehouse, config: ShopConfig, *messages: Message) -> Changes:
    changes = decode(config, *messages)
    warehouse.apply(changes)
    return changes


def rows(warehouse: Warehouse, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
    with warehouse.query(sql, parameters) as reader:
        return [tuple(row.values()) for row in reader.read_all().to_pylist()]


def texts(warehouse: Warehouse, sql: str, parameters: Mapping[str, Any] | None = None) -> list[str]:
    """A result as lines, values apart by a space and NULL as -."""
    found = rows(warehouse, sql, parameters)
    return [" ".join("-" if value is None else text_of(value) for value in row) for row in found]


def rolled_up(warehouse: DuckDBWarehouse, config: ShopConfig, as_of: Any, sql: str) -> list[str]:
    rollup(warehouse, config, as_of)
    return texts(warehouse, sql)


def by_words(lines: Iterable[str], currency: bool = False, *, instants: bool = False) -> list[Message]:
    """Changes in words → messages, in the log's order.

    `order ID DATE CUSTOMER AMOUNT [STATUS] [CURRENCY] [country=FR]`, `charge ID ORDER AMOUNT DATE [CURRENCY]`, `refund`
    the same, `item ID ORDER PRODUCT QUANTITY UNIT_AMOUNT`, `customer ID CHANNEL`, `delete order ID` and so on,
    `truncate orders`; NULL is -. `instants`: dates are instants in UTC rather than times of the shop's clock.
    """
    extra = {"amount": "decimal(20,2)", **({"currency": "char"} if currency else {})}
    lines = list(lines)
    countries = {"country": "char"} if any("country=" in line for line in lines) else {}
    clock = "timestamp(6)" if instants else "datetime(6)"
    charges = {**CHARGE_COLUMNS, "created_at": clock, **extra}
    of = {
        "order": schema("shop.orders", {**ORDER_COLUMNS, "order_date": clock, **extra, **countries}),
        "charge": schema("shop.charges", charges),
        "refund": schema("shop.refunds", charges),
        "item": schema("shop.order_items", ITEM_COLUMNS),
        "customer": schema("shop.customers", {"id": "bigint", "channel": "varchar"}),
    }
    known: dict[tuple[str, str], dict[str, Any]] = {}
    messages = []
    for position, line in enumerate(lines, 1):
        kind, *words = [None if word == "-" else word for word in line.split()]
        if kind == "truncate":
            messages.append(message(of[str(words[0]).removesuffix("s")], event("t", None, position), id=str(position)))
            continue
        if kind == "delete":
            table, key = str(words[0]), str(words[1])
            line_of = event("d", known[table, key], position)
        else:
            table, key = str(kind), str(words[0])
            known[table, key] = _row(table, words, currency, bool(countries))
            line_of = event("u", known[table, key], position)
        messages.append(message(of[table], line_of, id=str(position)))
    return messages


def _row(table: str, words: list[str | None], currency: bool, countries: bool) -> dict[str, Any]:
    if table == "order":
        named = [word for word in words if word is not None and word.startswith("country=")]
        country = named[-1].removeprefix("country=") if named else None
        row = _order([word for word in words if word not in named], currency)
        return {**row, "country": country} if countries else row
    if table == "item":
        id, of, product, quantity, unit = words
        return {"id": int(id or 0), "order_id": of and int(of), "name": product and product.replace("_", " "),
                "quantity": quantity, "unit_amount": unit}  # fmt: skip
    if table == "customer":
        return {"id": int(words[0] or 0), "channel": words[1]}
    return _charge(words, currency)


def _order(words: Sequence[Any], currency: bool) -> dict[str, Any]:
    id, date, customer, amount, status, code = [*words, *["completed", "EUR"][len(words) - 4 :]]
    more = {"currency": code} if currency else {}
    return order(int(id), date, customer and int(customer), amount, status=status, **more)


def _charge(words: Sequence[Any], currency: bool) -> dict[str, Any]:
    id, of, amount, date, code = [*words, *[None][len(words) - 4 :]]
    return charge(int(id), of and int(of), amount, date, **({"currency": code} if currency else {}))
