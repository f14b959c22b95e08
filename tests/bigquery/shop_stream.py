"""Messages of a small shop, as a worker numbers them, and their way into a topic."""

from __future__ import annotations

import random
import threading

from schemas import topic
from schemas.event import Message
from tests.builders import by_words, sequence

PROJECT = "local-shop"


def shop_messages(count: int, seed: int = 1) -> list[Message]:
    """Versions of orders and charges, one message each, numbered as one run of a worker."""
    chance = random.Random(seed)
    words = []
    for _ in range(count):
        day = f"2022-{chance.randint(1, 6):02}-{chance.randint(1, 28):02}"
        if chance.random() < 0.7:
            status = chance.choice(["completed", "shipped", "cancelled"])
            customer = chance.choice(["-", *"12345678"])
            words.append(f"order {chance.randint(1, 60)} {day} {customer} {chance.randint(1, 9999) / 100:.2f} {status}")
        else:
            words.append(f"charge {chance.randint(1, 60)} {chance.randint(1, 60)} -{chance.randint(1, 99)}.50 {day}")
    messages = by_words(words)
    for number, message in enumerate(messages, 1):
        message.attributes.update(
            source="shop", run="run", number=str(number), committed_at=str(1_657_811_000_000_000 + number),
            first_sequence=sequence(number), last_sequence=sequence(number),
        )  # fmt: skip
    return messages


class Publishing:
    """In a thread: all messages, `per_second` of them, until the block ends, which waits for the last."""

    def __init__(self, name: str, messages: list[Message], per_second: int) -> None:
        self._name, self._messages, self._per_second = name, messages, per_second
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._publish, daemon=True)

    def _publish(self) -> None:
        client = topic.publisher()
        path = topic.topic_path(PROJECT, self._name)
        for at in range(0, len(self._messages), 10):
            topic.publish(client, path, self._messages[at : at + 10])
            self._hurry.wait(10 / self._per_second)
        client.transport.close()

    def __enter__(self) -> Publishing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._hurry.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the messages could not be published"
