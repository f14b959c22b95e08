"""What can never be applied becomes a dead letter with its reason and bytes; the lines beside it are applied."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pipeline.changes import Changes, DeadRow
from pipeline.decode import Decoder, EpochGuard
from schemas.event import Message
from tests.builders import (
    LETTER,
    ORDER_COLUMNS,
    ORDERS,
    decode,
    event,
    letter,
    message,
    order,
    schema,
    sequence,
    shop,
)

GOOD = event("c", order(1), 1)
LAST = event("c", order(9), 9)


def changed(**parts: Any) -> bytes:
    """A good event but for `parts` of its envelope."""
    return orjson.dumps({**orjson.loads(event("c", order(5), 5)), **parts})


def source(**parts: Any) -> bytes:
    return changed(source={"sequence": sequence(5), "ts_ms": 1, **parts})


def only_dead(changes: Changes) -> DeadRow:
    (dead,) = changes.dead
    return dead


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("not_json", b"{"),
        ("not_json", b'{"op":"c","op'),
        ("not_json", event("c", order(5), 5)[:-20]),
        ("not_json", b'{"a": NaN}'),
        ("not_json", b'{"a": "\\ud800"}'),
        ("not_json", b"[" * 100_000),
        ("not_utf8", b'{"op":"\xff"}'),
        ("not_an_event", b"[]"),
        ("not_an_event", b"null"),
        ("not_an_event", b'"text"'),
        ("not_an_event", b"{}"),
        ("not_an_event", b'{"heartbeat":{}}'),
        ("not_an_event", changed(op="x")),
        ("not_an_event", changed(op=["c"])),
        ("not_an_event", changed(op=None)),
        ("not_an_event", changed(after=None)),
        ("not_an_event", changed(after=[])),
        ("not_an_event", changed(op="d")),
        ("not_an_event", changed(source=None)),
        ("not_an_event", source(sequence=None)),
        ("not_an_event", source(sequence="5")),
        ("not_an_event", source(sequence=sequence(10).lower())),
        ("not_an_event", source(sequence=sequence(5) + "\n")),
        ("not_an_event", source(ts_ms="soon")),
        ("not_an_event", source(ts_ms=-1)),
        ("not_an_event", source(ts_ms=10**15)),
        ("not_an_event", source(ts_ms=1.5)),
        ("not_an_event", source(ts_us=10**18)),
        ("wrong_columns", changed(after={})),
        ("wrong_columns", changed(after={**order(5), "more": 1})),
        ("wrong_columns", changed(after={name: value for name, value in order(5).items() if name != "status"})),
        ("wrong_columns", changed(after={**{k: v for k, v in order(5).items() if k != "status"}, "state": "x"})),
        ("value", changed(after=order(5, amount="12.345"))),
        ("value", changed(after=order(5, amount="99999999999.00"))),
        ("value", changed(after=order(5, amount="NaN"))),
        ("value", changed(after=order(5, amount=1.5))),
        ("value", changed(after=order(5, amount=["1"]))),
        ("value", changed(after=order("five"))),
        ("value", changed(after=order(2**63))),
        ("value", changed(after=order(None))),
        ("value", changed(after=order(5, status=5))),
        ("value", changed(after=order(5, status=["completed"]))),
        ("value", changed(after=order(5, customer=1.0))),
        ("value", changed(after=order(5, "2022-02-30"))),
        ("value", changed(after=order(5, "2022-02-03 noon"))),
        ("zero_date", changed(after=order(5, "0000-00-00"))),
        ("zero_date", changed(after=order(5, "2022-00-13"))),
        ("incomplete", changed(after=order(5, amount=None))),
        ("incomplete", changed(after=order(5, None))),
        ("not_an_event", orjson.dumps({"dead_letter": 5, "source": {"sequence": sequence(5)}})),
        ("not_an_event", orjson.dumps({"dead_letter": {}, "source": {"sequence": sequence(5)}})),
        ("not_an_event", orjson.dumps({**orjson.loads(LETTER), "source": None})),
        ("not_an_event", orjson.dumps({**orjson.loads(LETTER), "source": {}})),
        ("not_an_event", letter(reason="Any text; that somebody sends")),
        ("not_an_event", letter(table=5)),
        ("not_an_event", letter(columns=["note"])),
        ("not_an_event", letter(bytes="many")),
    ],
)
def test_a_bad_line_dies_alone(reason: str, line: bytes) -> None:
    changes = decode(shop(), message(ORDERS, GOOD, line, LAST, id="m7", run="r", number="1"))
    dead = only_dead(changes)
    assert dead.reason == reason, dead.error
    assert (dead.message_id, dead.line, dead.data, dead.schema) == ("m7", 2, line, ORDERS.line())
    assert dead.table == "shop.orders"
    assert dead.attributes == {"run": "r", "number": "1"}
    assert len(dead.error) <= 1000
    assert changes.batches[0].rows["id"].to_pylist() == [1, 9]
    assert len(changes.arrivals) == 1, "what is in the dead letters has arrived"


@pytest.mark.parametrize(
    ("reason", "data"),
    [
        ("not_json", b""),
        ("not_json", b"\n\n"),
        ("not_json", b'{"schema":{'),
        ("not_utf8", b"\xff\xfe"),
        ("not_an_event", b"[1]"),
        ("not_an_event", b'{"schema":5}'),
        ("not_an_event", b'{"reload":{}}'),
        ("not_an_event", b'{"reload":{"table":"shop.orders"},"source":{}}'),
        ("bad_schema", b'{"schema":{"columns":5}}'),
        ("bad_schema", b'{"schema":{"table":"orders","primary_key":["id"],"columns":[{"name":"id","type":"int"}]}}'),
        ("bad_schema", schema("shop.orders", {}).line()),
        ("bad_schema", schema("shop.orders", ORDER_COLUMNS, ()).line()),
        ("bad_schema", schema("shop.orders", ORDER_COLUMNS, ("key",)).line()),
        ("bad_schema", schema("shop.orders", ORDER_COLUMNS, ("status",)).line()),
        ("bad_schema", schema("shop.orders", {**ORDER_COLUMNS, "amount": "complex"}).line()),
        ("bad_schema", schema("shop.orders", {**ORDER_COLUMNS, "amount": "varchar"}).line()),
        ("bad_schema", schema("shop.orders", {**ORDER_COLUMNS, "order_date": "bigint"}).line()),
        ("bad_schema", schema("shop.orders", {"id": "bigint"}).line()),
        ("unknown_table", schema("shop.unheard_of", ORDER_COLUMNS).line()),
    ],
)
def test_a_message_whose_head_is_bad_dies_as_a_whole(reason: str, data: bytes) -> None:
    whole = data + b"\n" + GOOD if data.startswith(b'{"schema":{"') and data.endswith(b"}}") else data
    changes = decode(shop(), Message(whole, {}, "m"), message(ORDERS, GOOD))
    dead = only_dead(changes)
    assert (dead.reason, dead.line) == (reason, 0), dead.error
    assert dead.data == whole
    assert changes.events == 1, "the next message is not touched"


def test_two_broken_lines_that_are_one_valid_text_are_not_valid() -> None:
    whole = event("c", order(5), 5)
    cut = whole.index(b",")
    changes = decode(shop(), message(ORDERS, GOOD, whole[:cut], whole[cut + 1 :]))
    assert [dead.line for dead in changes.dead] == [2, 3]
    assert changes.batches[0].rows["id"].to_pylist() == [1]


def test_a_line_feed_inside_a_line_makes_two_broken_ones() -> None:
    two = event("c", order(5), 5) + b"," + event("c", order(6), 6)
    changes = decode(shop(), message(ORDERS, two, GOOD))
    assert [(dead.line, dead.reason) for dead in changes.dead] == [(1, "not_json")]
    assert changes.batches[0].rows["id"].to_pylist() == [1]


@pytest.mark.parametrize(
    "row", [order(5, amount="?"), order(5, "0000-00-00"), order(5, status=7), order(5, amount=None)]
)
def test_a_deletion_needs_nothing_but_its_key(row: dict[str, Any]) -> None:
    changes = decode(shop(), message(ORDERS, GOOD, event("d", row, 2)))
    assert not changes.dead
    assert changes.batches[0].rows["_deleted"].to_pylist() == [False, True]
    key = decode(shop(), message(ORDERS, event("d", {**row, "id": None}, 2)))
    assert only_dead(key).reason == "value"


def test_an_older_epoch_is_refused_and_a_retry_lets_it_through() -> None:
    old = message(ORDERS, event("c", order(1), sequence(5, epoch=2)), event("c", order(2), sequence(6, epoch=3)))
    changes = decode(shop(), old, decoder=Decoder(shop(), EpochGuard("0003")))
    assert (only_dead(changes).reason, only_dead(changes).line, changes.events) == ("old_epoch", 1, 1)
    again = decode(shop(), old, decoder=Decoder(shop(), EpochGuard("0003", strict=False)))
    assert (again.dead, again.events, again.highest_epoch) == ([], 2, "0003")


@pytest.mark.parametrize("line", [changed(after={}, source={"sequence": sequence(5, epoch=0xFFFF), "ts_ms": 1})])
def test_a_dead_line_does_not_raise_the_epoch(line: bytes) -> None:
    changes = decode(shop(), message(ORDERS, line), message(ORDERS, GOOD))
    assert (len(changes.dead), changes.events, changes.highest_epoch) == (1, 1, "0001")


def test_a_letter_of_the_worker_is_kept_as_it_is() -> None:
    line = letter(7, 5)
    first = message(ORDERS, line, id="m7", kind="dead_letter", run="r", number="4")
    changes = decode(shop(), first, message(ORDERS, line, id="m8", kind="dead_letter", run="r2", number="1"))
    kept, again = changes.dead
    assert (kept.reason, kept.table, kept.data, kept.schema) == ("oversized_values", "shop.orders", line, ORDERS.line())
    assert (kept.message_id, kept.line) == (again.message_id, again.line) == (sequence(5), 1), "told twice, kept once"
    for part in ("id=7", "12,000,321 bytes", "mysql-bin.000003:1842", "sent without note (12,000,002 bytes)"):
        assert part in kept.error, kept.error
    assert [arrival.number for arrival in changes.arrivals] == [4, 1]
    whole = only_dead(decode(shop(), message(ORDERS, letter(reason="oversized_row"))))
    assert "nothing of it was sent" in whole.error
    old = decode(shop(), message(ORDERS, line), decoder=Decoder(shop(), EpochGuard("0003")))
    assert only_dead(old).reason == "old_epoch"


def test_a_letter_does_not_hold_up_the_lines_beside_it() -> None:
    changes = decode(shop(), message(ORDERS, GOOD, LETTER, LAST))
    assert only_dead(changes).reason == "oversized_values"
    assert changes.batches[0].rows["id"].to_pylist() == [1, 9]


def test_a_letter_is_bounded_whatever_it_says() -> None:
    wide = {f"c{number}" * 10: 10**9 for number in range(1000)}
    dead = only_dead(decode(shop(), message(ORDERS, letter("x" * 10**6, columns=wide, table="t" * 10**6))))
    assert (dead.reason, len(dead.error), len(str(dead.table))) == ("oversized_values", 1000, 200)


def test_blank_lines_are_nothing() -> None:
    changes = decode(shop(), Message(ORDERS.line() + b"\n\n" + GOOD + b"\n \n\n", {}, "m"))
    assert (changes.events, changes.dead) == (1, [])


def test_the_reason_is_bounded_whatever_a_message_says() -> None:
    wide = {f"c{number}" * 10: 1 for number in range(1000)}
    changes = decode(
        shop(), message(ORDERS, changed(after=wide), changed(op="x" * 10**6), source(sequence="s" * 10**6))
    )
    assert len(changes.dead) == 3
    assert all(len(dead.error) <= 1000 for dead in changes.dead)
    table = schema(f"shop.{'t' * 10**6}", ORDER_COLUMNS)
    assert len(str(only_dead(decode(shop(), message(table, GOOD))).table)) <= 200


def test_a_bad_value_in_one_role_kills_the_line_in_both() -> None:
    config = shop(mirror=["shop.other"])
    of = schema("shop.other", {"id": "int", "at": "datetime"})
    changes = decode(config, message(of, event("c", {"id": 1, "at": "?"}), event("c", {"id": 2, "at": None}, 2)))
    assert only_dead(changes).line == 1
    assert changes.batches[0].rows["id"].to_pylist() == [2]
