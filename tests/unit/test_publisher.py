from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from binlog_worker.sinks.publisher import Publisher
from binlog_worker.sinks.sink import Mark
from binlog_worker.stopping import Stopped, Stopping
from schemas.checkpoint import Place
from schemas.errors import TopicRefused, TopicUnavailable
from schemas.event import Message


class Topic:
    """Takes a request only when told to; knows which are waiting."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.errors: list[Exception] = []
        self._changed = threading.Condition()
        self._waiting: list[list[bytes]] = []
        self._allowed: list[bytes] = []
        self.open = False

    def __call__(self, messages: Sequence[Message]) -> None:
        request = [message.data for message in messages]
        with self._changed:
            self._waiting.append(request)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.open or request[0] in self._allowed, timeout=10)
            self._waiting.remove(request)
            if self.errors:
                raise self.errors.pop(0)
            self.taken += request

    def allow(self, first: bytes) -> None:
        with self._changed:
            self._allowed.append(first)
            self._changed.notify_all()

    def allow_all(self) -> None:
        with self._changed:
            self.open = True
            self._changed.notify_all()

    def waiting(self) -> list[bytes]:
        with self._changed:
            return sorted(request[0] for request in self._waiting)


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def topic() -> Topic:
    return Topic()


@pytest.fixture
def stopping() -> Stopping:
    return Stopping()


@pytest.fixture
def make(topic: Topic, stopping: Stopping) -> Iterator[Callable[..., Publisher]]:
    made: list[Publisher] = []

    def publisher(**limits: Any) -> Publisher:
        made.append(Publisher(topic, stopping, first_pause_s=0.001, **{"request_messages": 1, **limits}))
        return made[-1]

    yield publisher
    topic.allow_all()
    for one in made:
        one.close()


def message(text: str, size: int = 0) -> Message:
    return Message(text.encode().ljust(size, b"."), {"number": text})


def mark(position: int) -> Mark:
    return Mark(Place("mysql-bin.000001", position), 1, "", "", position, 0)


def position(publisher: Publisher) -> int:
    confirmed = publisher.confirmed()
    return confirmed.mark.place.position if confirmed else 0


def test_confirmation_has_no_gap(make: Callable[..., Publisher], topic: Topic) -> None:
    publisher = make(requests=3)
    for number in (1, 2, 3):
        publisher.put(message(str(number)))
        publisher.mark(mark(number))
    until(lambda: topic.waiting() == [b"1", b"2", b"3"])
    topic.allow(b"2")
    topic.allow(b"3")
    until(lambda: len(topic.taken) == 2)
    assert position(publisher) == 0
    topic.allow(b"1")
    until(lambda: position(publisher) == 3)


def test_mark_without_messages_is_confirmed_at_once(make: Callable[..., Publisher], topic: Topic) -> None:
    publisher = make()
    publisher.mark(mark(5))
    assert position(publisher) == 5
    publisher.put(message("1"))
    publisher.mark(mark(6))
    publisher.mark(mark(7))
    assert position(publisher) == 5
    topic.allow_all()
    until(lambda: position(publisher) == 7)


def test_what_is_put_after_a_mark_does_not_hold_it_back(make: Callable[..., Publisher], topic: Topic) -> None:
    publisher = make(requests=1)
    publisher.put(message("1"))
    publisher.mark(mark(1))
    publisher.put(message("2"))
    topic.allow(b"1")
    until(lambda: position(publisher) == 1)
    assert not publisher.flush(0.05)


@pytest.mark.parametrize("limits", [{"buffer_messages": 2}, {"buffer_bytes": 2_400}])
def test_put_waits_while_the_topic_does_not_answer(
    make: Callable[..., Publisher], topic: Topic, limits: dict[str, int]
) -> None:
    publisher = make(requests=1, **limits)
    publisher.put(message("1", 1_000))
    publisher.put(message("2", 1_000))
    third = threading.Thread(target=publisher.put, args=(message("3", 1_000),), daemon=True)
    third.start()
    third.join(0.1)
    assert third.is_alive()
    topic.allow_all()
    third.join(5)
    assert not third.is_alive()
    assert publisher.flush(5)
    assert [data[:1] for data in topic.taken] == [b"1", b"2", b"3"]


def test_message_above_the_bound_goes_alone(make: Callable[..., Publisher], topic: Topic) -> None:
    publisher = make(buffer_bytes=100, request_bytes=100)
    topic.allow_all()
    for number in range(3):
        publisher.put(message(str(number), 5_000))
    assert publisher.flush(5)
    assert len(topic.taken) == 3


def test_waiting_put_ends_when_the_run_ends(make: Callable[..., Publisher], stopping: Stopping) -> None:
    publisher = make(buffer_messages=1)
    publisher.put(message("1"))
    threading.Timer(0.05, stopping.request).start()
    with pytest.raises(Stopped):
        publisher.put(message("2"))


def test_transient_errors_are_tried_again(make: Callable[..., Publisher], topic: Topic, stopping: Stopping) -> None:
    publisher = make(requests=1)
    topic.errors = [TopicUnavailable("busy"), TopicUnavailable("busy"), TopicUnavailable("busy")]
    topic.allow_all()
    publisher.put(message("1"))
    publisher.mark(mark(1))
    assert publisher.flush(5)
    assert topic.taken == [b"1"]
    assert position(publisher) == 1
    assert not stopping.wanted()


def test_terminal_error_ends_the_run(make: Callable[..., Publisher], topic: Topic, stopping: Stopping) -> None:
    publisher = make(requests=1)
    refused = TopicRefused("no such topic")
    topic.errors = [refused]
    topic.allow_all()
    publisher.put(message("1"))
    publisher.mark(mark(1))
    assert stopping.event.wait(5)
    assert stopping.error is refused
    assert position(publisher) == 0
    assert not publisher.flush(5)
    with pytest.raises(Stopped):
        publisher.put(message("2"))


@pytest.mark.parametrize("limits", [{"request_messages": 3}, {"request_messages": 100, "request_bytes": 3_400}])
def test_requests_carry_many_messages(make: Callable[..., Publisher], topic: Topic, limits: dict[str, int]) -> None:
    publisher = make(requests=1, **limits)
    requests: list[int] = []
    send = publisher._send
    publisher._send = lambda messages: (requests.append(len(messages)), send(messages))
    publisher.put(message("0", 1_000))
    until(lambda: topic.waiting())
    for number in range(1, 8):
        publisher.put(message(str(number), 1_000))
    topic.allow_all()
    assert publisher.flush(5)
    assert requests == [1, 3, 3, 1]


def test_a_retry_in_its_pause_ends_on_close(topic: Topic, stopping: Stopping) -> None:
    publisher = Publisher(topic, stopping, requests=1, first_pause_s=30)
    topic.errors = [TopicUnavailable("busy")] * 5
    topic.allow_all()
    publisher.put(message("1"))
    until(lambda: len(topic.errors) < 5)
    began = time.monotonic()
    publisher.close()
    assert time.monotonic() - began < 0.9
