"""Rows as a query brings them → batches, and dead letters that can be put through again as events."""

from __future__ import annotations

from typing import Any

import orjson
import pyarrow as pa
import pytest

from pipeline.batch.row_decoder import RowDecoder
from pipeline.batch.text_values import TextColumn, TextValues, event_value
from pipeline.changes import Changes
from pipeline.column_values import EventValues
from pipeline.dead_letters import as_message
from pipeline.decode import Decoder
from pipeline.layout import layouts
from schemas.catalogue import CatalogueColumn, CatalogueTable, wire_schema
from schemas.config import Condition, ShopConfig
from schemas.errors import UnsupportedColumn
from tests.builders import shop, tables

ORDERS = {
    "id": "bigint",
    "order_date": "datetime",
    "status": "varchar(20)",
    "customer_id": "bigint",
    "amount": "decimal(12,2)",
}
SOURCE = {"connector": "mysql", "sequence": "0001/00000003/0000000000000732/00000000", "ts_us": 1_657_811_000_123_456}


def catalogue(name: str, columns: dict[str, str], charset: str = "utf8mb4") -> CatalogueTable:
    found = tuple(
        CatalogueColumn(name, kind.partition("(")[0], kind, True, charset if "char" in kind else None, "")
        for name, kind in columns.items()
    )
    return CatalogueTable(name, "BASE TABLE", "InnoDB", found, ("id",), False)


def read(config: ShopConfig, table: CatalogueTable, *rows: tuple[Any, ...]) -> Changes:
    """Rows of text, as the server would print it."""
    schema = wire_schema(table, table.column_names)
    values = ([value.encode() if isinstance(value, str) else value for value in row] for row in rows)
    piece = [pa.array(column, pa.binary()) for column in zip(*values, strict=True)]
    return RowDecoder(table, schema, layouts(schema, config), config).decode(piece, SOURCE)


def order(id: int, date: Any = "2022-01-13 12:00:00", amount: Any = "75.00", status: Any = "paid") -> tuple[Any, ...]:
    return str(id), date, status, "1", amount


def ids(changes: Changes) -> list[int]:
    return [id for batch in changes.batches for id in batch.rows["id"].to_pylist()]


def test_rows_of_a_role() -> None:
    changes = read(shop(), catalogue("shop.orders", ORDERS), order(1), order(2, amount="-0.05", status=None))
    (batch,) = changes.batches
    assert changes.dead == [] and changes.highest_epoch == "0001"
    assert batch.rows.select(["_op", "_sequence", "_deleted"]).to_pylist() == [
        {"_op": "r", "_sequence": SOURCE["sequence"], "_deleted": False}
    ] * 2  # fmt: skip
    row = batch.rows.to_pylist()[1]
    assert (row["id"], str(row["ordered_on"]), f"{row['ordered_at']:%d %H}") == (2, "2022-01-13", "13 11")
    assert (str(row["amount"]), row["status"]) == ("-0.05", None)
    assert f"{row['_committed_at']:%FT%T.%f}" == "2022-07-14T15:03:20.123456"


def test_what_does_not_fit_is_a_letter_and_the_rest_goes_on() -> None:
    table = catalogue("shop.orders", ORDERS)
    bad = [
        order(2, "0000-00-00 00:00:00"),
        order(3, "2022-02-30 10:00:00"),
        order(5, None),
        order(7, status=b"\xff\xfe"),
        order(8, amount=None),
    ]
    changes = read(shop(), table, order(1), *bad[:2], order(4), bad[2], order(6), *bad[3:])
    assert ids(changes) == [1, 4, 6]
    assert [(letter.reason, letter.line, letter.table) for letter in changes.dead] == [
        ("zero_date", 1, "shop.orders"),
        ("value", 1, "shop.orders"),
        ("value", 1, "shop.orders"),
        ("incomplete", 1, "shop.orders"),
        ("incomplete", 1, "shop.orders"),
    ]
    errors = [letter.error for letter in changes.dead]
    assert errors[0] == "order_date: '0000-00-00T00:00:00.000000' is no date, and ordered_at needs one"
    assert errors[1].startswith("order_date: '2022-02-30T10:00:00.000000' does not fit: ")
    assert errors[2].startswith("status: b'\\xff\\xfe' does not fit: ")
    assert len({letter.message_id for letter in changes.dead}) == 5
    again = read(shop(), table, *reversed(bad))
    assert {letter.message_id for letter in again.dead} == {letter.message_id for letter in changes.dead}


def test_a_letter_goes_through_once_the_configuration_lets_it() -> None:
    table = catalogue("shop.sales", ORDERS)
    (letter,) = read(shop(tables=tables(orders={"name": "shop.sales"})), table, order(2, "0000-00-00 00:00:00")).dead
    event = orjson.loads(letter.data)
    assert event["op"] == "r" and event["before"] is None
    assert event["source"] == {**SOURCE, "ts_ms": 1_657_811_000_123}
    mirrored = shop(mirror=["shop.sales"])
    retried = Decoder(mirrored).decode([as_message(letter)])
    assert retried.dead == []
    direct = read(mirrored, table, order(2, "0000-00-00 00:00:00"))
    assert retried.batches[0].rows.equals(direct.batches[0].rows)
    assert (retried.zero_dates, direct.zero_dates) == (1, 1)


def test_a_letter_without_a_value_is_never_applied() -> None:
    """No event can hold bytes that are no text: the letter says which, and stays one."""
    (letter,) = read(shop(), catalogue("shop.orders", ORDERS), order(7, status=b"\xff\xfe")).dead
    assert "status" not in orjson.loads(letter.data)["after"]
    retried = Decoder(shop()).decode([as_message(letter)])
    assert retried.batches == [] and [dead.reason for dead in retried.dead] == ["wrong_columns"]


def test_a_row_that_fits_one_of_its_roles_only() -> None:
    """It is left out of both, as in the stream."""
    columns = {"id": "bigint", "order_id": "bigint", "amount": "decimal(12,2)", "paid": "date", "given_back": "date"}
    mapped = {"id": "id", "order_id": "order_id", "amount": "amount"}
    roles = {
        role: {
            "name": "shop.money",
            "columns": {**mapped, "charged_at": date},
            "where": {"column": "id", "not_in": [0]},
        }
        for role, date in (("charges", "paid"), ("refunds", "given_back"))
    }
    config = shop(tables=tables(**roles))
    rows = [("1", "1", "-5.00", "2022-01-13", "2022-01-14"), ("2", "1", "-5.00", "2022-01-13", "2022-01-00")]
    changes = read(config, catalogue("shop.money", columns), *rows)
    assert [letter.reason for letter in changes.dead] == ["zero_date"]
    assert [batch.layout.role for batch in changes.batches] == ["charges", "refunds"] and ids(changes) == [1, 1]


def test_nothing_fits() -> None:
    changes = read(shop(), catalogue("shop.orders", ORDERS), order(1, None), order(2, None))
    assert changes.batches == [] and len(changes.dead) == 2


def test_a_character_set_that_nobody_knows() -> None:
    with pytest.raises(UnsupportedColumn, match=r"column status has a character set klingon .*\(table shop\.orders\)"):
        read(shop(), catalogue("shop.orders", ORDERS, "klingon"), order(1))


def test_the_key_is_null() -> None:
    (letter,) = read(shop(), catalogue("shop.orders", ORDERS), (None, "2022-01-13 12:00:00", "paid", "1", "1.00")).dead
    assert letter.error == "id: the key is NULL"


@pytest.mark.parametrize("condition", [{"in": ["A", "1", "75.00"]}, {"not_in": ["A", 1]}, {"is_null": True}])
def test_where(condition: dict[str, Any]) -> None:
    """Rows that do not fulfil it are deleted ones, as in the stream."""
    config = shop(tables=tables(orders={"where": {"column": "kind", **condition}}))
    table = catalogue("shop.orders", {**ORDERS, "kind": "char(5)"})
    kinds = ["A", " A ", "B", None, "1", ""]
    changes = read(config, table, *((*order(number), kind) for number, kind in enumerate(kinds)))
    where = Condition.model_validate({"column": "kind", **condition})
    assert changes.batches[0].rows["_deleted"].to_pylist() == [not where.holds(kind) for kind in kinds]


CONDITIONS: dict[str, list[bytes | None]] = {
    "bigint": [b"1", b"-7", None],
    "bigint unsigned": [b"18446744073709551615", b"1"],
    "decimal(5,2)": [b"1.00", b"75.00"],
    "decimal(40,1)": [b"1.0"],
    "double": [b"1", b"1e22", b"0.1"],
    "float": [b"0.10000000149011612", b"1"],
    "datetime(3)": [b"2022-01-13 10:00:00.500", b"0000-00-00 00:00:00.000"],
    "timestamp": [b"2022-01-13 10:00:00"],
    "date": [b"2022-01-13", b"0000-00-00"],
    "time(2)": [b"-01:00:00.50"],
    "set": [b",a,b", b""],
    "blob": [b"\xff", b"abc"],
    "json": [b'{"a": 1}'],
    "geometry": [bytes(21)],
    "vector": [b"\xcd\xcc\xcc\x3d"],
    "uuid": [b"a-b"],
    "year": [b"2022", b"0000"],
}


@pytest.mark.parametrize("kind", CONDITIONS)
def test_conditions_see_the_value_of_the_event(kind: str) -> None:
    column, texts = TextColumn("c", kind), CONDITIONS[kind]
    values = TextValues(column, pa.array(texts, pa.binary()))
    events = EventValues([event_value(text, column) for text in texts])
    listed = [1, "1.0", "1.00", "0.1", "a,b", "", "2022-01-13T10:00:00.500000", "/w==", "-01:00:00.500000", "[0.1]"]
    for test in ({"in": listed}, {"not_in": listed}, {"is_null": True}, {"is_null": False}):
        condition = Condition.model_validate({"column": "c", **test})
        assert values.holds(condition).to_pylist() == events.holds(condition).to_pylist()
    assert orjson.loads(orjson.dumps(events.values)) == events.values
