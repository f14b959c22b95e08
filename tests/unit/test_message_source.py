"""Messages as Dataflow's read gives them: every field arrives as with our own source, in lists, each once."""

from __future__ import annotations

import datetime as dt
import random

import apache_beam as beam
import pytest
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.testing.util import assert_that
from apache_beam.utils.timestamp import Timestamp
from google.pubsub_v1.types import PubsubMessage as Wire

from pipeline import message_source
from pipeline.decode import arrival_of
from pipeline.message_source import TIMESTAMP_ATTRIBUTE, ListMessages, as_message
from schemas.event import Message

PUBLISHED = dt.datetime(2026, 1, 13, 10, 0, 0, 123456, tzinfo=dt.timezone.utc)


def sent(number: int, events: str = "1") -> bytes:
    """A message as the service hands it to Beam's read."""
    wire = Wire(
        data=f"line {number}".encode(),
        attributes={"events": events, "committed_at": "2026-01-13T10:00:00.000001Z", "run": "r", "number": str(number)},
        message_id=f"id-{number}",
        publish_time=PUBLISHED,
    )
    data: bytes = Wire.serialize(wire)
    return data


def test_a_message_arrives_whole() -> None:
    message = as_message(PubsubMessage._from_proto_str(sent(7)))
    assert message == Message(
        b"line 7",
        {"events": "1", "committed_at": "2026-01-13T10:00:00.000001Z", "run": "r", "number": "7"},
        "id-7",
        "2026-01-13T10:00:00.123456Z",
    )
    assert type(message.attributes) is dict


def test_a_message_without_anything() -> None:
    assert as_message(PubsubMessage(b"", {})) == Message(b"", {})


def test_the_timestamp_attribute_is_the_one_that_messages_have_and_beam_reads() -> None:
    message = as_message(PubsubMessage._from_proto_str(sent(1)))
    assert Timestamp.from_rfc3339(message.attributes[TIMESTAMP_ATTRIBUTE]).micros % 1_000_000 == 1
    arrival = arrival_of(message)
    assert arrival is not None
    assert arrival.committed_at == Timestamp.from_rfc3339(message.attributes[TIMESTAMP_ATTRIBUTE]).micros


@pytest.mark.parametrize("most", [1, 3, 1_000])
def test_every_message_is_listed_once(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(message_source, "GROUP_EVENTS", most)
    order = random.Random(5)
    events = [order.choice(["1", "2", "", "x", "-1", "99999999"]) for _ in range(50)]

    def check(lists: list[list[Message]]) -> None:
        numbers = sorted(int(message.attributes["number"]) for group in lists for message in group)
        assert numbers == list(range(50)), numbers
        assert all(lists)
        if most == 1:
            assert {len(group) for group in lists} == {1}
        if most == 1_000:
            assert max(len(group) for group in lists) > 1, "a bundle's messages travel together"

    with beam.Pipeline("FnApiRunner") as pipeline:
        lists = (
            pipeline
            | beam.Create([sent(number, events[number]) for number in range(50)], reshuffle=False)
            | beam.Map(PubsubMessage._from_proto_str)
            | beam.ParDo(ListMessages())
        )
        assert_that(lists, check)


def test_large_messages_are_not_gathered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_source, "GROUP_BYTES", 10)
    stage = ListMessages()
    stage.start_bundle()
    given = [list(stage.process(PubsubMessage(b"12345", {}), Timestamp(at))) for at in (9, 3, 5)]
    assert [len(lists) for lists in given] == [0, 1, 0]
    assert len(given[1][0]) == 2
    (last,) = stage.finish_bundle()
    assert (len(last.value), last.timestamp) == (1, Timestamp(5))
    stage.start_bundle()
    assert list(stage.finish_bundle()) == []
