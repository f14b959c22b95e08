from __future__ import annotations

import orjson
import pytest

from binlog_worker.sinks.oversized import LARGEST_DATA_BYTES, LARGEST_REQUEST_BYTES
from binlog_worker.sinks.packer import Changes, PackedSchema, Packer
from schemas.event import EventColumn, Message, TableSchema

SCHEMA = PackedSchema.of(TableSchema("shop.orders", ("id",), (EventColumn("id", "int"),)))
OTHER = PackedSchema.of(TableSchema("shop.items", ("id",), (EventColumn("id", "int"),)))
WIDER = PackedSchema.of(TableSchema("shop.orders", ("id",), (EventColumn("id", "int"), EventColumn("b", "int"))))


class Packed:
    """A packer and the messages that came out."""

    def __init__(self, max_events: int = 500, max_bytes: int = 1_000_000) -> None:
        self.messages: list[Message] = []
        self.packer = Packer(self.messages.append, "server:1", "run", max_events=max_events, max_bytes=max_bytes)

    def add(self, rows: int, schema: PackedSchema = SCHEMA, position: int = 100, size: int = 40) -> None:
        lines = [line(number, size) for number in range(rows)]
        prefix = f"0001/00000001/{position:016X}/"
        self.packer.add(
            Changes(schema, lines, range(0, 2 * rows, 2), prefix, f"2022-01-01T00:00:00.{position:06d}Z", "f:1")
        )

    def events(self) -> list[int]:
        return [int(message.attributes["events"]) for message in self.messages]


def line(number: int, size: int) -> bytes:
    event = {"op": "c", "before": None, "after": {"id": number, "x": ""}, "source": {}, "ts_ms": 1}
    event["after"] = {"id": number, "x": "x" * (size - len(orjson.dumps(event)))}
    return orjson.dumps(event)


def test_message_is_the_schema_and_then_its_events() -> None:
    packed = Packed()
    packed.add(2)
    packed.add(1, position=200)
    assert packed.messages == []
    packed.packer.close_all()
    (message,) = packed.messages
    lines = message.data.split(b"\n")
    assert lines[0] == SCHEMA.line
    assert [orjson.loads(one)["after"]["id"] for one in lines[1:]] == [0, 1, 0]
    assert message.attributes == {
        "table": "shop.orders",
        "events": "3",
        "schema": SCHEMA.fingerprint,
        "first_sequence": "0001/00000001/0000000000000064/00000000",
        "last_sequence": "0001/00000001/00000000000000C8/00000000",
        "committed_at": "2022-01-01T00:00:00.000200Z",
        "source": "server:1",
        "run": "run",
        "number": "1",
    }


@pytest.mark.parametrize(("rows", "expected"), [(1, [1]), (2, [2]), (3, [2, 1]), (4, [2, 2]), (5, [2, 2, 1])])
@pytest.mark.parametrize("at_once", [True, False])
def test_most_events(rows: int, expected: list[int], at_once: bool) -> None:
    packed = Packed(max_events=2)
    for _ in range(1 if at_once else rows):
        packed.add(rows if at_once else 1)
    packed.packer.close_all()
    assert packed.events() == expected


def test_one_event_a_message() -> None:
    packed = Packed(max_events=1)
    packed.add(3)
    assert packed.events() == [1, 1, 1]
    sequences = [message.attributes["first_sequence"][-8:] for message in packed.messages]
    assert sequences == ["00000000", "00000002", "00000004"]
    assert [message.attributes["last_sequence"][-8:] for message in packed.messages] == sequences


@pytest.mark.parametrize("at_once", [True, False])
def test_most_bytes(at_once: bool) -> None:
    packed = Packed(max_bytes=2_000)
    for _ in range(1 if at_once else 10):
        packed.add(10 if at_once else 1, size=500)
    packed.packer.close_all()
    assert sum(packed.events()) == 10
    assert max(len(message.data) for message in packed.messages) <= 2_000
    assert max(packed.events()) == 3


def test_a_row_larger_than_a_message_goes_by_itself() -> None:
    packed = Packed(max_bytes=2_000)
    packed.add(1)
    packed.add(1, size=5_000)
    packed.add(1)
    packed.packer.close_all()
    assert packed.events() == [1, 1, 1]


def test_the_largest_row_fills_a_message_and_a_request() -> None:
    """Also under the longest names that MySQL and Pub/Sub allow."""
    from google.pubsub_v1.types import PublishRequest

    table = "€" * 64 + "." + "€" * 64
    schema = PackedSchema.of(TableSchema(table, ("id",), (EventColumn("id", "int"),)))
    packed = Packed()
    packed.packer = Packer(
        packed.messages.append, f"{'f' * 36}:65535", "f" * 32, after=f"{'f' * 32}:{10**18}", max_bytes=9_000_000
    )
    packed.packer.number = 10**18
    packed.add(1, schema=schema, size=LARGEST_DATA_BYTES - len(schema.line) - 1)
    packed.packer.close_all()
    (message,) = packed.messages
    assert len(message.data) == LARGEST_DATA_BYTES
    request = PublishRequest.pb()()
    request.topic = f"projects/{'p' * 30}/topics/{'t' * 255}"
    request.messages.add(data=message.data, attributes=message.attributes)
    assert LARGEST_REQUEST_BYTES - 4_096 < request.ByteSize() <= LARGEST_REQUEST_BYTES


def test_a_row_too_large_for_any_message_goes_without_what_makes_it_so_and_a_letter_follows() -> None:
    packed = Packed()
    packed.add(1)
    packed.add(1, position=200, size=LARGEST_DATA_BYTES - len(SCHEMA.line))
    packed.add(1, position=300)
    packed.packer.close_all()
    rows, letter, later = packed.messages
    assert (rows.attributes["events"], letter.attributes["events"], later.attributes["events"]) == ("2", "0", "1")
    assert [message.attributes["number"] for message in packed.messages] == ["1", "2", "3"]
    short = orjson.loads(rows.data.split(b"\n")[2])
    assert short["after"] == {"id": 0, "x": None}
    assert short["source"] == {"left_out": ["x"]}
    assert letter.attributes["kind"] == "dead_letter"
    assert letter.attributes["first_sequence"] == letter.attributes["last_sequence"] == rows.attributes["last_sequence"]
    head, body = letter.data.split(b"\n")
    assert head == SCHEMA.line
    said = orjson.loads(body)["dead_letter"]
    assert (said["table"], said["reason"], said["op"]) == ("shop.orders", "oversized_values", "c")
    assert (said["key"], said["bytes"]) == ({"id": 0}, LARGEST_DATA_BYTES - len(SCHEMA.line))
    assert 0 < said["bytes"] - said["columns"]["x"] < 100


def test_a_row_of_which_nothing_fits_is_a_letter_alone() -> None:
    packed = Packed()
    packed.packer = Packer(packed.messages.append, "server:1", "run", needed=lambda table: {"x"})
    packed.add(1, size=LARGEST_DATA_BYTES)
    packed.packer.close_all()
    (letter,) = packed.messages
    assert orjson.loads(letter.data.split(b"\n")[1])["dead_letter"]["reason"] == "oversized_row"


def test_a_message_per_table_and_per_schema() -> None:
    packed = Packed()
    packed.add(1)
    packed.add(1, schema=OTHER)
    packed.add(1)
    packed.add(1, schema=WIDER)
    packed.packer.close_all()
    made = [(m.attributes["table"], m.attributes["schema"], m.attributes["events"]) for m in packed.messages]
    assert sorted(made) == sorted(
        [
            ("shop.orders", SCHEMA.fingerprint, "2"),
            ("shop.items", OTHER.fingerprint, "1"),
            ("shop.orders", WIDER.fingerprint, "1"),
        ]
    )
    assert made.index(("shop.orders", SCHEMA.fingerprint, "2")) < made.index(("shop.orders", WIDER.fingerprint, "1"))
    assert [message.attributes["number"] for message in packed.messages] == ["1", "2", "3"]


def test_heartbeat_comes_after_what_is_open() -> None:
    packed = Packed()
    packed.add(1)
    packed.packer.heartbeat(b"{}", "0001/00000001/0000000000000100/00000000", "2022-01-01T00:00:00.000000Z")
    first, second = packed.messages
    assert first.attributes["number"] == "1"
    assert second.attributes == {
        "kind": "heartbeat",
        "events": "0",
        "last_sequence": "0001/00000001/0000000000000100/00000000",
        "committed_at": "2022-01-01T00:00:00.000000Z",
        "source": "server:1",
        "run": "run",
        "number": "2",
    }


def test_reload_comes_after_the_rows_before_it() -> None:
    packed = Packed()
    packed.add(1)
    packed.packer.reload("shop.orders", b'{"reload":{}}', "s", "t")
    assert [message.attributes.get("kind") for message in packed.messages] == [None, "reload"]
    assert packed.messages[1].attributes["table"] == "shop.orders"
