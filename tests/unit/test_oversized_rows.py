"""What is sent of a row that fits into no message, and what its letter says."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from binlog_worker.sinks.oversized import Fitted, fit, needed_columns
from schemas.event import envelope
from tests.builders import ORDER_COLUMNS, order, schema, shop, tables

OF = schema("shop.orders", {**ORDER_COLUMNS, "note": "longtext", "photo": "longblob"})
SOURCE = {"file": "mysql-bin.000003", "pos": 1842, "sequence": "s"}
LARGEST = 3_000


def long(**columns: Any) -> dict[str, Any]:
    return order(7, **{"note": None, "photo": None, **columns})


def fitted(
    op: str, before: dict[str, Any] | None, after: dict[str, Any] | None, largest: int = LARGEST
) -> tuple[Fitted, dict[str, Any]]:
    """What is sent, and its event ({} for none)."""
    line = envelope(op, before, after, SOURCE, 5)
    assert len(line) > largest
    found = fit(line, OF, needed_columns(shop(), "shop.orders"), largest)
    assert found.line is None or len(found.line) <= largest
    assert found.key == "id=7"
    return found, orjson.loads(found.line) if found.line else {}


def letter(found: Fitted) -> dict[str, Any]:
    assert found.letter is not None
    body = orjson.loads(found.letter)
    assert (body["source"], body["ts_ms"]) == (SOURCE, 5)
    said: dict[str, Any] = body["dead_letter"]
    assert (said["table"], said["key"]) == ("shop.orders", {"id": 7})
    return said


def test_an_update_goes_without_its_image_before_if_that_is_enough() -> None:
    after = long(note="n" * 2_000, amount="80.00")
    found, event = fitted("u", long(note="o" * 2_000), after)
    assert (event["before"], event["after"], event["source"]) == (None, after, SOURCE)
    assert (found.outcome, found.left_out, found.letter) == ("without_before", {}, None), "nothing is missing"


@pytest.mark.parametrize("op", ["c", "u", "r"])
def test_the_largest_value_that_no_role_needs_is_left_out_and_said(op: str) -> None:
    row = long(note="n" * 1_500, photo="p" * 4_000)
    found, event = fitted(op, long() if op == "u" else None, row)
    assert event["after"] == {**row, "photo": None}
    assert (event["op"], event["before"]) == (op, None)
    assert event["source"] == {**SOURCE, "left_out": ["photo"]}, "the null is no value, and the event says so"
    assert (found.outcome, found.left_out) == ("without_columns", {"photo": 4_002})
    said = letter(found)
    assert (said["reason"], said["op"], said["columns"]) == ("oversized_values", op, {"photo": 4_002})
    assert said["bytes"] > 5_500


def test_as_many_as_needed_are_left_out() -> None:
    found, event = fitted("c", None, long(note="n" * 3_000, photo="p" * 4_000))
    assert (event["after"]["note"], event["after"]["photo"]) == (None, None)
    assert list(found.left_out) == event["source"]["left_out"] == ["photo", "note"]


def test_sizes_at_the_limit() -> None:
    """What stays is as much as fits, to the byte or two that the list of names takes."""
    whole = envelope("c", None, long(note="n" * 2_000), SOURCE, 5)
    room = len(envelope("c", None, long(), {**SOURCE, "left_out": ["note"]}, 5))
    for largest in range(room, room + 4):
        assert fitted("c", None, long(note="n" * 2_000), largest)[0].outcome in ("without_columns", "not_sent")
    assert fitted("c", None, long(note="n" * 2_000), room + 1)[0].outcome == "without_columns"
    assert fitted("c", None, long(note="n" * 2_000), room - 1)[0].outcome == "not_sent"
    assert fitted("c", None, long(note="n" * 2_000), len(whole) - 1)[0].outcome == "without_columns"


def test_what_a_role_needs_is_never_left_out() -> None:
    found, _ = fitted("c", None, long(status="s" * 4_000, note="n" * 100))
    assert (found.line, found.left_out, found.outcome) == (None, {}, "not_sent")
    said = letter(found)
    assert said["reason"] == "oversized_row"
    assert next(iter(said["columns"].items())) == ("status", 4_002), "the largest first: what to exclude"


def test_a_deletion_needs_nothing_but_its_key() -> None:
    found, event = fitted("d", long(status="s" * 4_000, note="n" * 5_000), None)
    assert (event["op"], event["after"], event["before"]["id"]) == ("d", None, 7)
    assert (event["before"]["note"], event["before"]["status"]) == (None, None)
    assert found.letter is None, "of a row that is gone nobody misses a value"
    assert event["source"]["left_out"] == ["note", "status"]


def test_needed_columns() -> None:
    config = shop(
        tables=tables(
            orders={"where": {"column": "kind", "in": ["web"]}, "include": ["note"]},
            customers={"name": "shop.customers", "columns": {"id": "id"}, "segments": ["channel"]},
        ),
        mirror=["shop.pages"],
    )
    assert needed_columns(config, "shop.orders") == {"id", "customer_id", "order_date", "amount", "status", "kind"}
    assert needed_columns(config, "shop.customers") == {"id", "channel"}
    assert needed_columns(config, "shop.pages") == set()


def test_no_value_changes_on_its_way() -> None:
    row = long(note="n" * 5_000, amount="0.10", more=[18446744073709551615, -9223372036854775808, 1.5e-7, "é\n\u2028"])
    _, event = fitted("c", None, row)
    assert event["after"] == {**row, "note": None}
