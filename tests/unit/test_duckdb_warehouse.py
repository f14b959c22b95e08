"""The DuckDB warehouse: versions by sequence, history, floors, views, changing tables, arrivals, dead letters."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import pyarrow as pa
import pytest

from pipeline import duckdb_warehouse
from pipeline.changes import Arrival, Changes
from pipeline.dead_letters import as_message, retry
from pipeline.process_warehouse import release
from schemas.config import ShopConfig
from schemas.errors import SettingsChanged
from schemas.event import Message
from tests.builders import (
    CHARGES,
    ORDER_COLUMNS,
    ORDERS,
    apply,
    charge,
    decode,
    event,
    letter,
    memory,
    message,
    order,
    rows,
    schema,
    sequence,
    shop,
    texts,
)

STATUS = "SELECT id, status FROM orders ORDER BY id"


def orders(*events: bytes, id: str = "m") -> Message:
    return message(ORDERS, *events, id=id)


VERSIONS = [
    event("c", order(1, status="a"), 1),
    event("u", order(1, status="b"), 2),
    event("u", order(1, status="c"), 3),
]


@pytest.mark.parametrize("arrival", list(itertools.permutations(VERSIONS)), ids=str.__class__)
@pytest.mark.parametrize("together", [True, False])
def test_the_highest_sequence_wins_in_whatever_order(arrival: tuple[bytes, ...], together: bool) -> None:
    warehouse = memory()
    for part in [arrival] if together else [[line] for line in arrival]:
        apply(warehouse, shop(), orders(*part))
    assert texts(warehouse, STATUS) == ["1 c"]
    assert texts(warehouse, "SELECT status FROM orders_history ORDER BY _sequence") == ["a", "b", "c"]


@pytest.mark.parametrize("together", [True, False])
def test_of_equal_sequences_the_later_arrival_wins(together: bool) -> None:
    warehouse = memory()
    lines = [event("r", order(1, status="first"), 5), event("r", order(1, status="second"), 5)]
    for part in [lines] if together else [[line] for line in lines]:
        apply(warehouse, shop(), orders(*part))
    assert texts(warehouse, STATUS) == ["1 second"]
    assert texts(warehouse, "SELECT status FROM orders_history") == ["second"]
    assert texts(warehouse, "SELECT COUNT(*) FROM ltv_entries") == ["1"]


def test_a_deleted_row_stays_as_a_tombstone_and_is_not_shown() -> None:
    warehouse = memory()
    apply(warehouse, shop(), orders(event("d", order(1), 9), event("c", order(2), 2)))
    apply(warehouse, shop(), orders(event("u", order(1), 8)))
    assert texts(warehouse, STATUS) == ["2 completed"], "what comes late does not bring it back"
    assert texts(warehouse, "SELECT id, _deleted FROM raw.orders ORDER BY id") == ["1 true", "2 false"]
    assert texts(warehouse, "SELECT order_id FROM ltv_entries") == ["2"]
    apply(warehouse, shop(), orders(event("c", order(1), 10)))
    assert texts(warehouse, STATUS) == ["1 completed", "2 completed"]


def test_history_has_every_version_once_also_when_it_is_delivered_twice() -> None:
    warehouse = memory()
    lines = [
        event("c", order(1), 1, ts_ms=1_000),
        event("u", order(1), 2, ts_ms=90_000_000),
        event("d", order(1), 3, ts_ms=90_000_001),
    ]
    for part in (lines, lines[1:], lines[::-1], lines[:1]):
        apply(warehouse, shop(), orders(*part))
    found = texts(warehouse, "SELECT _op, _sequence, _deleted FROM orders_history ORDER BY _sequence")
    assert found == [f"c {sequence(1)} false", f"u {sequence(2)} false", f"d {sequence(3)} true"]


def test_a_floor_hides_what_is_below_it_and_never_falls() -> None:
    warehouse = memory()
    apply(warehouse, shop(), orders(event("c", order(1), 4), event("c", order(2), 6)))
    apply(warehouse, shop(), message(CHARGES, event("c", charge(1), 4)))
    apply(warehouse, shop(), orders(event("t", None, 5)))
    assert texts(warehouse, STATUS) == ["2 completed"]
    assert texts(warehouse, "SELECT entry_id FROM ltv_entries ORDER BY entry_id") == ["charge:1", "order:2"]
    apply(warehouse, shop(), orders(event("t", None, 3)), orders(event("u", order(1), 4)))
    assert texts(warehouse, STATUS) == ["2 completed"]
    apply(warehouse, shop(), orders(event("t", None, 8), event("t", None, 7), event("r", order(3), 8)))
    assert texts(warehouse, STATUS) == ["3 completed"], "a row at the floor itself was read after it"
    assert texts(warehouse, "SELECT COUNT(*) FROM raw.orders") == ["3"]


def wider(**columns: str) -> Any:
    return schema("shop.orders", {**ORDER_COLUMNS, **columns})


@pytest.mark.parametrize("together", [True, False])
def test_a_column_added_at_the_source_is_added_here(together: bool) -> None:
    warehouse = memory()
    messages = [
        orders(event("c", order(1), 1)),
        message(wider(note="text"), event("c", order(2, note="n"), 2)),
        orders(event("c", order(3), 3)),
    ]
    for part in [messages] if together else [[item] for item in messages]:
        apply(warehouse, shop(), *part)
    assert texts(warehouse, "SELECT id, note FROM orders ORDER BY id") == ["1 -", "2 n", "3 -"]
    assert texts(warehouse, "SELECT id, note FROM orders_history ORDER BY id") == ["1 -", "2 n", "3 -"]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("before", "old", "after", "new", "shown"),
    [
        ("int", 1, "bigint", 2**62, ["1", str(2**62)]),
        ("int", 1, "bigint unsigned", 2**64 - 1, ["1", str(2**64 - 1)]),
        ("int", 1, "decimal(10,3)", "1.125", ["1.00", "1.125"]),
        ("decimal(10,2)", "1.25", "decimal(12,4)", "1.1255", ["1.25", "1.1255"]),
        ("decimal(12,4)", "1.1255", "decimal(10,2)", "1.25", ["1.1255", "1.25"]),
        ("decimal(10,2)", "1.25", "int", 7, ["1.25", "7.00"]),
        ("int", 1, "double", 1.5, ["1.0", "1.5"]),
        ("int", 1, "varchar", "x", ["1", "x"]),
        ("varchar", "x", "int", 1, ["x", "1"]),
        ("varchar", "x", "set", ["a", "b"], None),
        ("varchar", "x", "blob", "/w==", None),
        ("blob", "/w==", "varchar", "x", None),
        ("date", "2022-01-13", "datetime", "2022-01-13T10:00:00.000000", None),
        ("datetime", "2022-01-13T10:00:00.000000", "timestamp", "2022-01-13T10:00:00.000000Z", None),
        ("json", '{"a": 1}', "varchar", "x", ['{"a": 1}', "x"]),
        ("decimal(38,0)", "1" * 38, "decimal(38,10)", "0.5", None),
    ],
    ids=lambda value: value if isinstance(value, str) and value[:1].isalpha() else "",
)  # fmt: skip
def test_a_type_that_changed_holds_both(
    before: str, old: Any, after: str, new: Any, shown: list[str] | None, together: bool
) -> None:
    warehouse = memory()
    messages = [
        message(wider(x=before), event("c", order(1, x=old), 1)),
        message(wider(x=after), event("c", order(2, x=new), 2)),
    ]
    for part in [messages] if together else [[item] for item in messages]:
        assert not apply(warehouse, shop(), *part).dead
    apply(warehouse, shop(), *messages[::-1])
    found = texts(warehouse, "SELECT x FROM orders ORDER BY id")
    assert len(found) == 2
    if shown:
        assert found == shown
    assert texts(warehouse, "SELECT x FROM orders_history ORDER BY id") == found


@pytest.mark.parametrize("kind", ["bigint unsigned", "varchar", "decimal(20,2)"])
def test_a_key_may_change_its_type(kind: str) -> None:
    warehouse = memory()
    new: Any = {"bigint unsigned": 2, "varchar": "2", "decimal(20,2)": "2.00"}[kind]
    messages = [orders(event("c", order(1), 1)), message(wider(id=kind), event("c", order(new), 2))]
    for item in [*messages, *messages]:
        assert not apply(warehouse, shop(), item).dead
    assert [text.split(".")[0] for text in texts(warehouse, "SELECT id FROM orders ORDER BY id")] == ["1", "2"]
    assert len(texts(warehouse, "SELECT id FROM orders_history")) == 2


def test_names_of_any_kind() -> None:
    warehouse = memory()
    of = schema('shop.it\'s "odd"', {"select": "int", "a b": "text", 'q"u': "text", "é": "text"}, ("select",))
    config = shop(mirror=['shop.it\'s "odd"'])
    changes = apply(warehouse, config, message(of, event("c", {"select": 1, "a b": "x", 'q"u': "y", "é": "z"})))
    assert not changes.dead
    with warehouse.session.read(duckdb_warehouse.Statement('SELECT * FROM main."it\'s ""odd"""')) as reader:
        assert reader.read_all().to_pylist()[0]["a b"] == "x"


def arrive(warehouse: Any, *numbers: int, run: str = "r", at: dt.datetime | None = None) -> None:
    warehouse.apply(Changes(arrivals=[Arrival("s", run, number, sequence(number), number) for number in numbers]))


def test_arrivals_are_merged_into_gap_free_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_warehouse, "MERGE_ARRIVALS_S", -1.0)
    warehouse = memory()
    arrive(warehouse, 1, 2, 5, 3, 3)
    arrive(warehouse, 1, run="other")
    arrive(warehouse, 6, 9, 2)
    ranges = "SELECT run, number, through, last_sequence FROM raw.arrivals ORDER BY run, number"
    assert texts(warehouse, ranges) == [
        f"other 1 1 {sequence(1)}",
        f"r 1 3 {sequence(3)}",
        f"r 5 6 {sequence(6)}",
        f"r 9 9 {sequence(9)}",
    ]
    arrive(warehouse, 4, 8, 7)
    assert texts(warehouse, ranges) == [f"other 1 1 {sequence(1)}", f"r 1 9 {sequence(9)}"]


def test_arrivals_of_more_than_a_week_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_warehouse, "MERGE_ARRIVALS_S", -1.0)
    warehouse = memory()
    arrive(warehouse, 1, run="old")
    arrive(warehouse, 1, run="kept")
    age = "UPDATE raw.arrivals SET received_at = received_at - INTERVAL 8 DAY WHERE run = 'old'"
    warehouse.session.run([duckdb_warehouse.Statement(age)])
    arrive(warehouse, 1, run="new")
    assert texts(warehouse, "SELECT run FROM raw.arrivals ORDER BY run") == ["kept", "new"]


def test_reload_marks_are_kept_once() -> None:
    warehouse = memory()
    mark = Message(
        b'{"reload":{"table":"shop.orders","reason":"why"},"source":{"sequence":"%s"}}' % sequence(3).encode(), {}, "m"
    )
    apply(warehouse, shop(), mark, mark)
    apply(warehouse, shop(), mark)
    assert texts(warehouse, "SELECT `table`, _sequence, reason FROM raw.reloads") == [f"shop.orders {sequence(3)} why"]


def test_all_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = memory()
    apply(warehouse, shop(), orders(event("c", order(1), 1)))
    changes = decode(shop(), message(wider(note="text"), event("c", order(2, note="n"), 2), b"{", event("t", None, 1)))
    broken = changes.entries[0].set_column(0, "entry_id", pa.nulls(1, pa.string()))
    with pytest.raises(Exception, match="NOT NULL"):
        warehouse.apply(Changes(batches=changes.batches, entries=[broken], dead=changes.dead, floors=changes.floors))
    assert texts(warehouse, STATUS) == ["1 completed"]
    assert warehouse.dead_letters() == []
    warehouse.apply(changes)
    assert texts(warehouse, "SELECT id, note FROM orders ORDER BY id") == ["1 -", "2 n"], (
        "the new column is known as not there"
    )


def test_the_highest_epoch_is_remembered() -> None:
    warehouse = memory()
    assert warehouse.highest_epoch() == ""
    for epoch in (2, 10, 3):
        apply(warehouse, shop(), orders(event("c", order(1), sequence(1, epoch=epoch))))
    assert warehouse.highest_epoch() == "000A"


def test_other_settings_are_refused_by_name() -> None:
    warehouse = memory()
    warehouse.check_settings(shop())
    warehouse.check_settings(shop(topic="other"))
    with pytest.raises(SettingsChanged, match=r"counted, currency in shop\.yaml") as raised:
        warehouse.check_settings(shop(counted=None, currency="USD"))
    assert raised.value.hint
    warehouse.check_settings(shop())


def dead_shop(tmp_path: Any) -> tuple[Any, ShopConfig]:
    config = shop(warehouse=f"duckdb:{tmp_path / 'ltv.duckdb'}")
    return duckdb_warehouse.open_duckdb(str(tmp_path / "ltv.duckdb")), config


def test_dead_letters_keep_their_bytes_and_are_kept_once() -> None:
    warehouse = memory()
    bad = message(ORDERS, b'{"op":"\xff"}', event("c", order(1), 1), b"{", id="m1", run="r", number="1")
    other = message(schema("shop.unknown", {"id": "int"}), event("c", {"id": 1}), id="m2")
    for _ in range(2):
        apply(warehouse, shop(), bad, other)
    letters = warehouse.dead_letters()
    assert [(letter.message_id, letter.line, letter.reason) for letter in letters] == [
        ("m1", 1, "not_utf8"),
        ("m1", 3, "not_json"),
        ("m2", 0, "unknown_table"),
    ]
    assert letters[0].data == b'{"op":"\xff"}'
    assert letters[0].attributes == {"run": "r", "number": "1"}
    assert [letter.line for letter in warehouse.dead_letters("shop.orders")] == [1, 3]
    assert as_message(letters[0]).data == ORDERS.line() + b"\n" + letters[0].data
    assert "number" not in as_message(letters[0]).attributes, "a retry is no arrival"


def test_a_retry_applies_what_can_be_applied_by_now(tmp_path: Any) -> None:
    warehouse, config = dead_shop(tmp_path)
    try:
        known = shop(warehouse=config.warehouse, mirror=["shop.stock"])
        of = schema("shop.stock", {"id": "int", "n": "int"})
        lines = [event("c", {"id": 1, "n": 1}), event("c", {"id": 2, "n": "many"}, 2)]
        apply(warehouse, config, message(of, *lines, id="m1"))
        apply(warehouse, config, message(ORDERS, b"{", event("c", order(1), sequence(2, epoch=9)), id="m2"))
        old = decode(config, message(ORDERS, event("c", order(2), 1), id="m3"), decoder=_strict(config, "0009"))
        warehouse.apply(old)
        letters = warehouse.dead_letters()
        assert [letter.reason for letter in letters] == ["unknown_table", "not_json", "old_epoch"]
        assert retry(known, warehouse, letters) == (1, 2, 0, 0)
        assert texts(warehouse, STATUS) == ["1 completed", "2 completed"], "an old epoch is let through"
        assert texts(warehouse, "SELECT id, n FROM stock") == ["1 1"], "the good line of a dead message is applied"
        assert [(letter.message_id, letter.reason) for letter in warehouse.dead_letters()] == [
            ("m1", "unknown_table"),
            ("m2", "not_json"),
        ]
    finally:
        release(config)


def test_a_letter_about_a_row_too_large_leaves_with_a_later_version_of_its_row(tmp_path: Any) -> None:
    warehouse, config = dead_shop(tmp_path)
    try:
        apply(warehouse, config, message(ORDERS, letter(1, 3), letter(1, 3), id="m1"))
        assert retry(config, warehouse, warehouse.dead_letters()) == (0, 0, 0, 1), "no row of the table came yet"
        apply(warehouse, config, orders(event("u", order(1), 3), event("c", order(2), 4)), message(ORDERS, b"{"))
        apply(warehouse, config, message(ORDERS, letter(2, 5, "oversized_row"), id="m9"))
        letters = warehouse.dead_letters()
        assert sorted(one.reason for one in letters) == ["not_json", "oversized_row", "oversized_values"]
        assert retry(config, warehouse, letters) == (0, 1, 0, 2), "the row has come, but not later"
        apply(warehouse, config, orders(event("u", order(1), 6)))
        assert retry(config, warehouse, warehouse.dead_letters()) == (0, 1, 1, 1)
        apply(warehouse, config, message(ORDERS, event("t", None, 7)))
        assert retry(config, warehouse, warehouse.dead_letters()) == (0, 1, 1, 0), "emptied since"
        assert [one.reason for one in warehouse.dead_letters()] == ["not_json"]
    finally:
        release(config)


def _strict(config: ShopConfig, highest: str) -> Any:
    from pipeline.decode import Decoder, EpochGuard

    return Decoder(config, EpochGuard(highest))


def test_a_result_is_read_while_another_is_written(tmp_path: Any) -> None:
    warehouse, config = dead_shop(tmp_path)
    apply(warehouse, config, orders(event("c", order(1), 1)))
    with warehouse.query("SELECT id FROM orders ORDER BY id") as reader:
        apply(warehouse, config, orders(event("c", order(2), 2)))
        assert reader.read_all().num_rows == 1, "a reader sees the commit before it began"
    assert len(rows(warehouse, STATUS)) == 2
    warehouse.close()


def test_a_column_that_is_added_between_the_rows_of_one_group() -> None:
    """DuckDB commits no rows that came before an ALTER of the same transaction: it comes before them."""
    warehouse, config = memory(), shop()
    apply(warehouse, config, orders(event("c", order(1), 1)))
    wider = schema("shop.orders", {**ORDER_COLUMNS, "note": "varchar"})
    group = [
        message(ORDERS, event("u", order(1, status="shipped"), 2), event("c", order(2), 3)),
        message(wider, event("u", order(1, note="gift"), 4)),
        message(ORDERS, event("c", order(3), 5)),
    ]
    apply(warehouse, config, *group)
    assert texts(warehouse, "SELECT id, note FROM orders ORDER BY id") == ["1 gift", "2 -", "3 -"]
    assert len(rows(warehouse, "SELECT id FROM orders_history")) == 5
