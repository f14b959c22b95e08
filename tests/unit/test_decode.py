"""Messages that are as they should be: rows, floors, heartbeats, reload marks, arrivals, in any layout of columns."""

from __future__ import annotations

import datetime as dt

import pytest

from pipeline.changes import Arrival, Floor, Reload
from pipeline.decode import Decoder, EpochGuard
from schemas.event import Message, heartbeat_line, reload_line
from tests.builders import (
    CHARGES,
    ORDER_COLUMNS,
    ORDERS,
    charge,
    decode,
    event,
    message,
    order,
    schema,
    sequence,
    shop,
    tables,
)

SOURCE = {"sequence": sequence(9), "ts_ms": 1}


def test_rows_keep_their_order_sequence_and_commit_time() -> None:
    lines = [
        event("c", order(1), 5, ts_ms=1_000),
        event("u", order(1), 3),
        event("r", order(2), 4),
        event("d", order(1), 6),
    ]
    (batch,) = decode(shop(), message(ORDERS, *lines)).batches
    rows = batch.rows.to_pylist()
    assert [(row["id"], row["_op"], row["_sequence"], row["_deleted"]) for row in rows] == [
        (1, "c", sequence(5), False),
        (1, "u", sequence(3), False),
        (2, "r", sequence(4), False),
        (1, "d", sequence(6), True),
    ]
    assert rows[0]["_committed_at"] == dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.timezone.utc)


def test_messages_of_one_schema_travel_together() -> None:
    changes = decode(
        shop(),
        message(ORDERS, event("c", order(1), 1)),
        message(CHARGES, event("c", charge(1), 2)),
        message(ORDERS, event("c", order(2), 3)),
    )
    assert [(batch.layout.table, batch.rows.num_rows) for batch in changes.batches] == [("orders", 2), ("charges", 1)]
    assert changes.events == 3


def test_columns_take_their_roles_names_and_the_rest_stays() -> None:
    of = schema("shop.orders", {**ORDER_COLUMNS, "ordered_at": "varchar", "_deleted": "int", "Note": "text"})
    (batch,) = decode(shop(), message(of, event("c", order(ordered_at="x", _deleted=1, Note="n")))).batches
    assert batch.rows.column_names[:6] == ["id", "ordered_at", "ordered_on", "status", "customer_id", "amount"]
    (row,) = batch.rows.to_pylist()
    assert (row["source_ordered_at"], row["source__deleted"], row["Note"], row["_deleted"]) == ("x", 1, "n", False)


def test_a_column_order_of_its_own_changes_nothing() -> None:
    turned = dict(reversed(order(3).items()))
    changes = decode(shop(), message(ORDERS, event("c", order(2)), event("c", turned, 2)))
    assert not changes.dead
    assert changes.batches[0].rows["id"].to_pylist() == [2, 3]


def test_a_table_may_play_two_roles_told_apart_by_where() -> None:
    both = tables()["charges"]
    config = shop(
        tables=tables(
            charges={"where": {"column": "order_id", "in": [1]}},
            refunds={**both, "where": {"column": "order_id", "not_in": [1]}},
        )
    )
    changes = decode(config, message(CHARGES, event("c", charge(1, 1), 1), event("c", charge(2, 5), 2)))
    found = {batch.layout.table: batch.rows["_deleted"].to_pylist() for batch in changes.batches}
    assert found == {"charges": [False, True], "refunds": [True, False]}
    assert len(changes.entries) == 2


def test_a_mirrored_table_keeps_its_columns_and_key() -> None:
    of = schema("shop.Stock", {"shelf": "int", "item": "varchar", "on_hand": "bigint unsigned"}, ("shelf", "item"))
    row = {"shelf": 1, "item": "a", "on_hand": 2**64 - 1}
    (batch,) = decode(shop(mirror=["shop.Stock"]), message(of, event("c", row))).batches
    assert (batch.layout.table, batch.layout.key) == ("stock", ("shelf", "item"))
    assert batch.rows.to_pylist()[0]["on_hand"] == 2**64 - 1


@pytest.mark.parametrize("beside", [[], [event("c", order(1), 1)]])
def test_truncate_raises_the_floor(beside: list[bytes]) -> None:
    changes = decode(shop(), message(ORDERS, *beside, event("t", None, 7)))
    assert changes.floors == [Floor("orders", sequence(7))]
    assert (changes.events, changes.dead) == (len(beside), [])


def test_a_heartbeat_is_an_arrival_and_nothing_else() -> None:
    line = heartbeat_line(sequence(9), "2022-07-14T15:03:20Z", SOURCE, 1)
    attributes = {
        "run": "r1",
        "number": "12",
        "source": "s",
        "last_sequence": sequence(9),
        "committed_at": "1970-01-01T00:00:01.5Z".replace(".5", ".500000"),
    }
    changes = decode(shop(), Message(line, attributes, "m"))
    assert changes.arrivals == [Arrival("s", "r1", 12, sequence(9), 1_500_000)]
    assert (changes.events, changes.dead, changes.floors) == (0, [], [])


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"run": "r"},
        {"number": "1"},
        {"run": "r", "number": "-1"},
        {"run": "r", "number": "٣"},
        {"run": "r", "number": "9" * 19},
    ],
)
def test_a_message_without_a_number_is_no_arrival(attributes: dict[str, str]) -> None:
    assert decode(shop(), message(ORDERS, event("c", order()), **attributes)).arrivals == []


def test_an_arrival_whose_time_is_unreadable_still_counts() -> None:
    (arrival,) = decode(shop(), message(ORDERS, run="r", number="1", committed_at="soon")).arrivals
    assert (arrival.number, arrival.committed_at) == (1, 0)


def test_a_reload_mark() -> None:
    line = reload_line("shop.orders", "ALTER TABLE … ADD COLUMN with a default", SOURCE, 1)
    changes = decode(shop(), Message(line, {}, "m"))
    assert changes.reloads == [Reload("shop.orders", sequence(9), "ALTER TABLE … ADD COLUMN with a default")]


def test_zero_dates_become_null_and_are_counted() -> None:
    of = schema("shop.orders", {**ORDER_COLUMNS, "shipped": "date", "seen": "timestamp"})
    rows = [
        order(1, shipped="0000-00-00", seen="0000-00-00T00:00:00.000000Z"),
        order(2, shipped="2022-00-01", seen=None),
        order(3, shipped="2022-01-14", seen="2022-01-14T10:00:00.000000Z"),
    ]
    changes = decode(shop(), message(of, *(event("c", row, at) for at, row in enumerate(rows, 1))))
    assert changes.zero_dates == 3
    found = changes.batches[0].rows.to_pylist()
    assert [(row["shipped"], row["seen"] is None) for row in found] == [
        (None, True),
        (None, True),
        (dt.date(2022, 1, 14), False),
    ]


def test_the_highest_epoch_is_told() -> None:
    guard = EpochGuard("0002")
    lines = [event("c", order(1), sequence(1, epoch=2)), event("c", order(2), sequence(1, epoch=3))]
    changes = decode(shop(), message(ORDERS, *lines), decoder=Decoder(shop(), guard))
    assert (changes.highest_epoch, changes.events) == ("0003", 1), "the first is of an older epoch than the second"
