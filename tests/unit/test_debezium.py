"""Events of another Debezium, with and without its schemas: typed, and refused where they do not say enough."""

from __future__ import annotations

import base64
import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest

from schemas.event import Message
from tests.builders import decode, sequence, shop, tables, with_columns

SOURCE = {
    "db": "shop",
    "table": "orders",
    "file": "mysql-bin.000003",
    "pos": 1842,
    "row": 2,
    "ts_ms": 1_657_811_000_123,
}
ROW = {"id": 2, "order_date": "2022-01-13T10:00:00Z", "status": "completed", "customer_id": 7, "amount": "150.00"}


def plain(op: str = "c", row: Any = ROW, **source: Any) -> dict[str, Any]:
    image = {"before": row, "after": None} if op == "d" else {"before": None, "after": row}
    return {"op": op, **image, "source": {**SOURCE, **source}, "ts_ms": 1}


def with_schema(event: dict[str, Any], *fields: dict[str, Any]) -> dict[str, Any]:
    """Kafka Connect's JSON with schemas: the fields of both row images."""
    images = [{"field": name, "type": "struct", "fields": list(fields)} for name in ("before", "after")]
    return {"schema": {"type": "struct", "fields": images}, "payload": event}


def field(name: str, kind: str, logical: str | None = None, **parameters: str) -> dict[str, Any]:
    return {"field": name, "type": kind, "name": logical, "parameters": parameters}


FIELDS = (
    field("id", "int64"),
    field("order_date", "int64", "io.debezium.time.Timestamp"),
    field("status", "string"),
    field("customer_id", "int64"),
    field("amount", "bytes", "org.apache.kafka.connect.data.Decimal", scale="2"),
)
TYPED = {**ROW, "order_date": 1_642_068_000_000, "amount": base64.b64encode((15000).to_bytes(2, "big")).decode()}


def sent(*events: Any, config: Any = None) -> Any:
    lines = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    return decode(config or shop(), Message(b"\n".join(lines), {}, "m"))


@pytest.mark.parametrize("event", [plain(), with_schema(plain(row=TYPED), *FIELDS)], ids=["plain", "with schema"])
def test_an_order(event: dict[str, Any]) -> None:
    changes = sent(event)
    assert not changes.dead, changes.dead
    (row,) = changes.batches[0].rows.to_pylist()
    assert (row["id"], row["customer_id"], row["status"], row["amount"]) == (2, 7, "completed", Decimal(150))
    assert row["_sequence"] == "0001/00000003/0000000000000732/00000002"
    assert row["_committed_at"] == dt.datetime(2022, 7, 14, 15, 3, 20, 123_000, tzinfo=dt.timezone.utc)
    (entry,) = changes.entries[0].to_pylist()
    assert (entry["entry_id"], entry["amount"], entry["purchase_month"]) == ("order:2", 150, dt.date(2022, 1, 1))


def test_several_events_in_a_message_also_of_several_tables() -> None:
    charge = {"id": 1, "order_id": 2, "amount": "-5.00", "created_at": "2022-02-01T00:00:00"}
    changes = sent(plain(), plain("c", charge, table="charges"), plain("u", {**ROW, "status": "cancelled"}, pos=1900))
    assert not changes.dead
    assert sorted((batch.layout.table, batch.rows.num_rows) for batch in changes.batches) == [
        ("charges", 1),
        ("orders", 2),
    ]


def test_a_deletion_and_a_truncate() -> None:
    changes = sent(plain("d"), plain("t", None, pos=2000))
    assert not changes.dead, changes.dead
    assert changes.batches[0].rows["_deleted"].to_pylist() == [True]
    assert [(floor.table, floor.sequence) for floor in changes.floors] == [
        ("orders", "0001/00000003/00000000000007D0/00000002")
    ]


def test_an_event_over_several_lines_is_one_event() -> None:
    assert sent(json.dumps(plain(), indent=2).encode()).events == 1


def test_our_own_sequence_is_kept() -> None:
    (batch,) = sent(plain(sequence=sequence(9, epoch=3))).batches
    assert batch.rows["_sequence"].to_pylist() == [sequence(9, epoch=3)]


@pytest.mark.parametrize(
    ("logical", "kind", "value", "instant"),
    [
        ("io.debezium.time.Date", "int32", 19005, "2022-01-12T23:00:00"),
        ("io.debezium.time.Timestamp", "int64", 1_642_068_000_000, "2022-01-13T09:00:00"),
        ("io.debezium.time.MicroTimestamp", "int64", 1_642_068_000_000_001, "2022-01-13T09:00:00.000001"),
        ("io.debezium.time.NanoTimestamp", "int64", 1_642_068_000_000_001_000, "2022-01-13T09:00:00.000001"),
        ("org.apache.kafka.connect.data.Timestamp", "int64", 1_642_068_000_000, "2022-01-13T09:00:00"),
        ("io.debezium.time.ZonedTimestamp", "string", "2022-01-13T10:00:00Z", "2022-01-13T10:00:00"),
        ("io.debezium.time.ZonedTimestamp", "string", "2022-01-13T10:00:00+02:00", "2022-01-13T08:00:00"),
        ("io.debezium.time.IsoDate", "string", "2022-01-13Z", "2022-01-12T23:00:00"),
        ("io.debezium.time.IsoTimestamp", "string", "2022-01-13T10:00:00Z", "2022-01-13T09:00:00"),
    ],
)
def test_times_with_schema(logical: str, kind: str, value: Any, instant: str) -> None:
    fields = [item if item["field"] != "order_date" else field("order_date", kind, logical) for item in FIELDS]
    changes = sent(with_schema(plain(row={**TYPED, "order_date": value}), *fields))
    assert not changes.dead, changes.dead
    (found,) = changes.batches[0].rows["ordered_at"].to_pylist()
    assert found.replace(tzinfo=None).isoformat() == instant


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2022-01-13", "2022-01-12T23:00:00"),
        ("2022-01-13T10:00:00", "2022-01-13T09:00:00"),
        ("2022-01-13T10:00:00Z", "2022-01-13T10:00:00"),
        ("2022-01-13T10:00:00+02:00", "2022-01-13T08:00:00"),
        ("2022-01-13T10:00:00-05:00", "2022-01-13T15:00:00"),
    ],
)
def test_times_without_schema(text: str, instant: str) -> None:
    changes = sent(plain(row={**ROW, "order_date": text}))
    assert not changes.dead, changes.dead
    (found,) = changes.batches[0].rows["ordered_at"].to_pylist()
    assert found.replace(tzinfo=None).isoformat() == instant


@pytest.mark.parametrize("scale", [0, 2, 9, 30])
@pytest.mark.parametrize("unscaled", [0, 1, -1, 127, 128, -128, -129, 10**20])
def test_decimals_with_schema(scale: int, unscaled: int) -> None:
    encoded = base64.b64encode(unscaled.to_bytes(10, "big", signed=True)).decode()
    decimal = field("rebate", "bytes", "org.apache.kafka.connect.data.Decimal", scale=str(scale))
    changes = sent(with_schema(plain(row={**TYPED, "rebate": encoded}), *FIELDS, decimal))
    if abs(unscaled) >= 10**38:
        return
    assert not changes.dead, changes.dead
    assert changes.batches[0].rows["rebate"].to_pylist() == [Decimal(unscaled).scaleb(-scale)]


def test_a_null_is_null_in_whatever_type() -> None:
    nothing = {**dict.fromkeys(TYPED), "id": 2, "status": "cancelled", "extra": None}
    for event in (plain(row=nothing), with_schema(plain(row=nothing), *FIELDS)):
        changes = sent(event)
        assert not changes.dead, changes.dead
        (row,) = changes.batches[0].rows.to_pylist()
        assert (row["ordered_at"], row["amount"], row["customer_id"]) == (None, None, None)


def test_parts_of_an_amount_are_numbers_also_without_schema() -> None:
    amount = {"column": "amount", "plus": ["shipping"], "minus": ["rebate"]}
    config = shop(tables=with_columns("orders", amount=amount))
    changes = sent(plain(row={**ROW, "shipping": "4.90", "rebate": None}), config=config)
    assert not changes.dead, changes.dead
    assert changes.entries[0]["amount"].to_pylist() == [Decimal("154.90")]


def test_a_null_date_of_a_text_column_is_refused_as_any_other() -> None:
    fields = [item if item["field"] != "order_date" else field("order_date", "string") for item in FIELDS]
    (dead,) = sent(with_schema(plain(row={**TYPED, "order_date": None}), *fields)).dead
    assert dead.reason in ("incomplete", "bad_schema", "value")


@pytest.mark.parametrize(
    ("reason", "event"),
    [
        ("unknown_table", plain(table="other")),
        ("unknown_table", plain(db=None, table=None)),
        ("not_an_event", {"payload": plain()["source"]}),
        ("not_an_event", {"payload": None}),
        ("not_an_event", {"schema": None, "payload": None}),
        ("not_an_event", {**plain(), "op": 5}),
        ("not_an_event", {**plain(), "op": "m"}),
        ("not_an_event", {**plain(), "after": None}),
        ("not_an_event", plain(file="nonsense")),
        ("not_an_event", plain(file=None)),
        ("not_an_event", plain(pos="x")),
        ("not_an_event", plain(pos=-1)),
        ("not_an_event", plain(pos=10**30)),
        ("not_an_event", plain(row={**ROW}) | {"source": {**SOURCE, "ts_ms": None}}),
        ("value", plain(row={**ROW, "order_date": 1_642_068_000_000})),
        ("value", plain(row={**ROW, "order_date": "2022-01-13T10:00:00+99:00"})),
        ("value", plain(row={**ROW, "order_date": "soon"})),
        ("value", plain(row={**ROW, "amount": "a lot"})),
        ("value", plain(row={**ROW, "extra": {"a": 1}})),
        ("value", plain(row={**ROW, "extra": [1]})),
        ("value", plain(row={**ROW, "extra": 2**64 - 1})),
        ("value", with_schema(plain(row={**TYPED, "amount": "*"}), *FIELDS)),
        ("value", with_schema(plain(row={**TYPED, "amount": 5}), *FIELDS)),
        ("value", with_schema(plain(row={**TYPED, "order_date": 10**18}), *FIELDS)),
        ("value", with_schema(plain(row={**TYPED, "order_date": "x"}), *FIELDS)),
        ("value", with_schema(plain(row=TYPED), field("amount", "bytes", "org.apache.kafka.connect.data.Decimal"))),
        (
            "value",
            with_schema(
                plain(row={**TYPED, "order_date": 5}), field("order_date", "string", "io.debezium.time.ZonedTimestamp")
            ),
        ),
        (
            "value",
            with_schema(
                plain(row={**TYPED, "order_date": 5}), field("order_date", "string", "io.debezium.time.IsoTimestamp")
            ),
        ),
        ("value", with_schema(plain(row={**TYPED, "extra": [1]}), *FIELDS, field("extra", "array"))),
        ("value", with_schema(plain(row=TYPED), {**FIELDS[4], "parameters": "?"}, *FIELDS[:4])),
    ],
)
def test_what_cannot_be_read_is_a_dead_letter(reason: str, event: dict[str, Any]) -> None:
    changes = sent(event, plain(pos=1900))
    (dead,) = changes.dead
    assert (dead.reason, dead.line) == (reason, 0), dead.error
    assert json.loads(dead.data) == event
    assert changes.events == 1


def test_a_mirrored_table_has_no_key_to_go_by() -> None:
    config = shop(mirror=["shop.stock"])
    (dead,) = sent(plain(table="stock", row={"id": 1}), config=config).dead
    assert dead.reason == "no_key"


def test_an_id_by_another_name() -> None:
    config = shop(tables=tables(orders={"columns": {**tables()["orders"]["columns"], "id": "order_no"}}))
    row = {("order_no" if name == "id" else name): value for name, value in ROW.items()}
    (batch,) = sent(plain(row=row), config=config).batches
    assert batch.rows["id"].to_pylist() == [2]
