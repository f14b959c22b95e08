"""The puller: acknowledges only what is finished, gives back the rest, holds a bounded amount, keeps leases alive."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from demo.servers import PubSubEmulator
from pipeline import pubsub_source
from pipeline.pubsub_source import Mark, PubSubSource, Puller, Reader, share_puller, stop_reading
from schemas import topic
from schemas.errors import TopicRefused, TopicUnavailable
from schemas.event import Message
from schemas.topic import PulledMessage


def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.01)
    return found


class FakeSubscription:
    """Gives what it was given, once; an exception among it is raised. Notes what is asked of it."""

    def __init__(self, *given: Any) -> None:
        self.given = list(given)
        self.numbers = itertools.count()
        self.acknowledged: list[str] = []
        self.deadlines: list[tuple[tuple[str, ...], int | None]] = []
        self.closed = False
        self.fails = False

    def pull(self, most: int = 100) -> list[PulledMessage]:
        if not self.given:
            threading.Event().wait(0.005)
            return []
        item = self.given.pop(0)
        if isinstance(item, Exception):
            raise item
        return [PulledMessage(Message(data, {}, data.decode()), f"ack-{next(self.numbers)}") for data in item]

    def acknowledge(self, ack_ids: list[str]) -> None:
        if self.fails:
            raise TopicUnavailable("gone")
        self.acknowledged += ack_ids

    def modify_deadline(self, ack_ids: list[str], seconds: int | None) -> None:
        if self.fails:
            raise TopicUnavailable("gone")
        self.deadlines.append((tuple(ack_ids), seconds))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def pulling() -> Iterator[Callable[..., tuple[Puller, FakeSubscription]]]:
    made = []

    def make(*given: Any, **options: Any) -> tuple[Puller, FakeSubscription]:
        fake = FakeSubscription(*given)
        made.append(Puller(fake, **options))  # type: ignore[arg-type]
        return made[-1], fake

    yield make
    for puller in made:
        puller.stop()


def test_acknowledged_is_only_what_is_finished(pulling: Any) -> None:
    puller, fake = pulling([b"a"], [b"b"])
    first = until(lambda: puller.take(0.01))
    second = until(lambda: puller.take(0.01)) if len(first[0]) == 1 else None
    assert puller.unfinished == 2
    assert puller.idle_seconds() == 0.0
    puller.finish([first[1]])
    until(lambda: fake.acknowledged)
    assert fake.acknowledged == ["ack-0"] if second else ["ack-0", "ack-1"]
    until(lambda: puller.unfinished == (1 if second else 0))
    puller.finish([first[1], 99])
    assert len(fake.acknowledged) == len(set(fake.acknowledged)), "a token counts once"


def test_given_back_is_all_that_was_taken_and_not_finished(pulling: Any) -> None:
    puller, fake = pulling([b"a", b"b"])
    _, token = until(lambda: puller.take(0.01))
    puller.give_back()
    assert (("ack-0", "ack-1"), 0) in fake.deadlines
    puller.finish([token])
    until(lambda: puller.idle_seconds() > 0)
    assert fake.acknowledged == []


def test_it_stops_pulling_when_enough_is_waiting(pulling: Any) -> None:
    puller, fake = pulling(*([b"x" * 100] for _ in range(50)), queue_bytes=1_000)
    until(lambda: puller.received >= 10)
    before = puller.received
    threading.Event().wait(0.05)
    assert puller.received == before == 10
    taken = until(lambda: puller.take(0.01))[0]
    assert len(taken) == 10
    until(lambda: puller.received > 10)
    assert len(fake.given) < 40


def test_a_group_is_bounded(pulling: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pubsub_source, "GROUP_BYTES", 250)
    puller, _ = pulling([b"x" * 100 for _ in range(5)])
    until(lambda: puller.received == 5)
    assert [len(puller.take(0)[0]), len(puller.take(0)[0])] == [3, 2]


def test_a_terminal_error_reaches_the_graph(pulling: Any) -> None:
    puller, _ = pulling(TopicRefused("no such subscription", hint="make it"))
    until(lambda: puller.error)
    with pytest.raises(TopicRefused, match="no such subscription"):
        puller.take(0)


def test_a_transient_error_is_tried_again(pulling: Any) -> None:
    puller, _ = pulling(TopicUnavailable("away"), [b"a"])
    assert until(lambda: puller.take(0.01))[0][0].data == b"a"


def test_leases_of_all_in_hand_are_extended(pulling: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pubsub_source, "LEASE_EVERY_S", 0.0)
    puller, fake = pulling([b"a", b"b"])
    until(lambda: (("ack-0", "ack-1"), None) in fake.deadlines)
    puller.finish([until(lambda: puller.take(0.01))[1]])
    until(lambda: puller.unfinished == 0)


def test_stop_acknowledges_the_finished_and_returns_the_rest() -> None:
    fake = FakeSubscription([b"a"], [b"b"])
    puller = Puller(fake)  # type: ignore[arg-type]
    until(lambda: puller.received == 1 or puller.received == 2)
    first = until(lambda: puller.take(0.01))
    until(lambda: puller.received == 2)
    puller.finish([first[1]])
    puller.stop()
    rest = {"ack-0", "ack-1"} - set(fake.acknowledged)
    assert len(fake.acknowledged) == len(first[0])
    assert {ack_id for ack_ids, seconds in fake.deadlines if seconds == 0 for ack_id in ack_ids} == rest
    assert fake.closed


def test_stop_ends_when_nobody_answers() -> None:
    fake = FakeSubscription([b"a"])
    puller = Puller(fake)  # type: ignore[arg-type]
    until(lambda: puller.received)
    fake.fails = True
    puller.stop()
    assert fake.closed


def test_a_reader_finishes_a_group_when_its_bundle_has_committed(pulling: Any) -> None:
    puller, fake = pulling([b"a"])
    name = uuid.uuid4().hex
    share_puller(name, puller)
    try:
        reader = Reader(PubSubSource(name, 60.0))
        until(reader.advance)
        assert [item.data for item in reader.get_current()] == [b"a"]
        mark = reader.get_checkpoint_mark()
        assert reader.get_checkpoint_mark().tokens == []
        assert fake.acknowledged == []
        mark.finalize_checkpoint()
        until(lambda: fake.acknowledged == ["ack-0"])
        stop_reading()
        assert not reader.advance()
        assert reader.ended
    finally:
        stop_reading(False)
        share_puller(name, None)
    Mark(name, [0]).finalize_checkpoint()


def test_on_the_real_service_what_is_not_finished_comes_again(pubsub: PubSubEmulator) -> None:
    name = f"t{uuid.uuid4().hex[:10]}"
    topic.ensure("local-shop", name, name)
    client = topic.publisher()
    topic.publish(client, topic.topic_path("local-shop", name), [Message(b"a", {"n": "1"}), Message(b"b", {})])
    client.transport.close()

    def taken(puller: Puller, wanted: int) -> list[tuple[list[Message], int]]:
        groups: list[tuple[list[Message], int]] = []

        def enough() -> bool:
            if group := puller.take(0.05):
                groups.append(group)
            return sum(len(messages) for messages, _ in groups) >= wanted

        until(enough)
        return groups

    first = Puller(topic.Subscription("local-shop", name))
    assert sorted(item.data for group, _ in taken(first, 2) for item in group) == [b"a", b"b"]
    first.stop()
    second = Puller(topic.Subscription("local-shop", name))
    groups = taken(second, 2)
    again = [item for group, _ in groups for item in group]
    assert sorted(item.data for item in again) == [b"a", b"b"]
    assert all(item.message_id and item.publish_time for item in again)
    second.finish([token for _, token in groups])
    until(lambda: second.unfinished == 0)
    second.stop()
    third = topic.Subscription("local-shop", name)
    assert third.pull(1) == []
    third.close()
    with pytest.raises(TopicRefused, match="nowhere"):
        topic.Subscription("local-shop", "nowhere")
