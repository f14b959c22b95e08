"""The change event's wire format: schema line, envelope, heartbeat, reload mark."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from schemas.event import EventColumn, TableSchema, dead_letter_line, envelope, heartbeat_line, reload_line
from tests.builders import ORDERS

BODY = ORDERS.body()


def test_a_schema_line_reads_back() -> None:
    line = ORDERS.line()
    assert b"\n" not in line
    body = orjson.loads(line)["schema"]
    assert body["fingerprint"] == ORDERS.fingerprint()
    assert TableSchema.from_body(body) == ORDERS
    assert ORDERS.names == ("id", "order_date", "status", "customer_id", "amount")


@pytest.mark.parametrize(
    "other",
    [
        replace(ORDERS, table="shop.other"),
        replace(ORDERS, primary_key=("id", "status")),
        replace(ORDERS, columns=ORDERS.columns[:-1]),
        replace(ORDERS, columns=tuple(reversed(ORDERS.columns))),
        replace(ORDERS, columns=(*ORDERS.columns[:-1], EventColumn("amount", "decimal(12,3)"))),
        replace(ORDERS, columns=(*ORDERS.columns[:-1], replace(ORDERS.columns[-1], nullable=False))),
    ],
)
def test_every_difference_shows_in_the_fingerprint(other: TableSchema) -> None:
    assert other.fingerprint() != ORDERS.fingerprint()
    assert len(ORDERS.fingerprint()) == 16


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (None, "not an object"),
        ([], "not an object"),
        ({**BODY, "table": "orders"}, r"not database\.table"),
        ({**BODY, "table": 5}, r"not database\.table"),
        ({**BODY, "table": "a.b.c"}, r"not database\.table"),
        ({**BODY, "columns": []}, "no list of columns"),
        ({**BODY, "columns": {}}, "no list of columns"),
        ({**BODY, "columns": BODY["columns"] * 1000}, "no list of columns"),
        ({**BODY, "columns": [5]}, "no name or no type"),
        ({**BODY, "columns": [{"name": "id"}]}, "no name or no type"),
        ({**BODY, "columns": [{"name": "", "type": "int"}]}, "no name or no type"),
        ({**BODY, "columns": [{"name": "x" * 65, "type": "int"}]}, "no name or no type"),
        ({**BODY, "columns": [*BODY["columns"], BODY["columns"][0]]}, "names a column twice"),
        ({**BODY, "primary_key": []}, "primary key"),
        ({**BODY, "primary_key": "id"}, "primary key"),
        ({**BODY, "primary_key": ["other"]}, "primary key"),
        ({**BODY, "primary_key": [["id"]]}, "primary key"),
    ],
)
def test_a_schema_from_anybody_is_checked(body: Any, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        TableSchema.from_body(body)


def test_lines_are_lines() -> None:
    source = {"sequence": "s", "ts_ms": 1}
    event = orjson.loads(envelope("u", {"a": "x\ny"}, {"a": None}, source, 5))
    assert event == {"op": "u", "before": {"a": "x\ny"}, "after": {"a": None}, "source": source, "ts_ms": 5}
    for line in (
        envelope("c", None, {"a": "x\ny\r"}, source, 5),
        heartbeat_line("s", "2022", source, 1),
        reload_line("shop.orders", "a\nb", source, 1),
        dead_letter_line({"table": "shop.orders", "key": {"id": "x\ny"}}, source, 1),
    ):
        assert b"\n" not in line
