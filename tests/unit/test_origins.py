"""Rows that a warehouse refuses are the dead letters of the lines, rows and records that they came from."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import orjson
import pytest

from pipeline.changes import Changes
from pipeline.dead_letters import as_message
from pipeline.decode import Decoder
from pipeline.extract.source import changes_of
from schemas.event import Message
from tests.builders import CHARGES, ORDERS, charge, decode, event, memory, message, order, shop
from tests.extracts import extract_files, written
from tests.unit.test_debezium import plain
from tests.unit.test_row_decoder import ORDERS as READ_ORDERS
from tests.unit.test_row_decoder import catalogue, read
from tests.unit.test_row_decoder import order as read_order

BIGQUERY = shop(warehouse="bigquery:my-project.ltv")
LINES = [event("c", order(number), number) for number in range(1, 6)]


def letters(changes: Changes) -> list[tuple[str, int, bytes]]:
    found = []
    for batch in changes.batches:
        assert batch.origins is not None
        for index in range(batch.rows.num_rows):
            letter = batch.origins.dead(index, "refused", "why")
            assert (letter.reason, letter.error) == ("refused", "why")
            found.append((letter.message_id, letter.line, letter.data))
    return found


def test_lines_of_several_messages() -> None:
    first = message(ORDERS, *LINES[:2], id="a", table="shop.orders")
    second = message(CHARGES, event("c", charge(1), 9), id="c")
    third = message(ORDERS, *LINES[2:4], id="b")
    changes = decode(shop(), first, second, third)
    lines = [("a", 1, LINES[0]), ("a", 2, LINES[1]), ("b", 1, LINES[2]), ("b", 2, LINES[3])]
    assert letters(changes) == [*lines, ("c", 1, event("c", charge(1), 9))]
    (orders, _) = changes.batches
    assert orders.origins is not None
    letter = orders.origins.dead(1, "refused", "why")
    assert (letter.table, letter.schema, letter.attributes) == ("shop.orders", ORDERS.line(), {"table": "shop.orders"})


def test_lines_between_empty_and_dead_ones() -> None:
    bad = event("c", order(9, amount="much"), 9)
    changes = decode(shop(), message(ORDERS, b"", LINES[0], b"junk", LINES[1], bad, LINES[2], id="m"))
    assert letters(changes) == [("m", 2, LINES[0]), ("m", 4, LINES[1]), ("m", 6, LINES[2])]
    assert sorted(dead.line for dead in changes.dead) == [3, 5]


@pytest.mark.parametrize("indent", [None, 2])
def test_events_of_another_debezium_have_no_schema_line(indent: int | None) -> None:
    data = json.dumps(plain(), indent=indent).encode()
    changes = decode(shop(), Message(data, {}, "d"))
    assert letters(changes) == [("d", 0, data)]
    (batch,) = changes.batches
    assert batch.origins is not None
    assert batch.origins.dead(0, "refused", "why").schema == b""


def test_a_refused_line_can_be_put_through_again() -> None:
    changes = decode(shop(), message(ORDERS, *LINES, id="a"))
    assert changes.batches[0].origins is not None
    letter = changes.batches[0].origins.dead(3, "refused", "why")
    again = Decoder(shop()).decode([as_message(letter)])
    assert again.batches[0].rows["id"].to_pylist() == [4]


def test_they_travel_between_processes() -> None:
    changes = pickle.loads(pickle.dumps(decode(shop(), message(ORDERS, *LINES, id="a"))))  # noqa: S301
    assert [line for _, line, _ in letters(changes)] == [1, 2, 3, 4, 5]


def test_rows_that_a_batch_has_read() -> None:
    changes = read(
        BIGQUERY, catalogue("shop.orders", READ_ORDERS), read_order(1), read_order(2, "0000-00-00"), read_order(3)
    )
    (batch,) = changes.batches
    assert batch.origins is not None
    letter = batch.origins.dead(1, "refused", "why")
    assert orjson.loads(letter.data)["after"]["id"] == 3
    assert letter.message_id.startswith("batch:shop.orders:")
    assert letter.message_id != changes.dead[0].message_id
    again = Decoder(BIGQUERY).decode([as_message(letter)])
    assert again.batches[0].rows["id"].to_pylist() == [3]


def test_records_of_an_extract(tmp_path: Path) -> None:
    lines = ["1,2022-01-01,new,1,10,2022-01-01", "2,too few fields", "3,2022-01-01,new,1,10,2022-01-01"]
    path = written(tmp_path, "orders.csv", *lines)
    (file,) = extract_files(memory(), BIGQUERY, [path])
    (changes,) = changes_of(file, BIGQUERY)
    assert letters(changes) == [(path, 2, f"{lines[0]}\n".encode()), (path, 4, f"{lines[2]}\n".encode())]


@pytest.mark.parametrize("warehouse", ["duckdb:ltv.duckdb", None])
def test_what_was_read_is_not_kept_where_no_row_is_refused(warehouse: str | None) -> None:
    changes = read(shop(warehouse=warehouse), catalogue("shop.orders", READ_ORDERS), read_order(1))
    assert changes.batches[0].origins is None
