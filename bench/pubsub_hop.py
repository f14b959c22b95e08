"""What Pub/Sub itself costs: from a message's Publish call until it is pulled, with nothing else running.

Google's emulator answers a Pull every 50 ms, however soon the message was there; StreamingPull is no faster.
"""

from __future__ import annotations

import random
import threading
import time

from bench.scene import Shop
from schemas import topic
from schemas.event import Message

SETTLE_S = 2.0


def publish_to_pulled(shop: Shop, every_s: float, seconds: float) -> list[float]:
    """Seconds per message; one message of 1 KB every `every_s`, with jitter."""
    topic.ensure(shop.project, shop.topic, shop.subscription)
    subscription = topic.Subscription(shop.project, shop.subscription)
    client, path = topic.publisher(), topic.topic_path(shop.project, shop.topic)
    found: list[float] = []
    ended = threading.Event()
    failed: list[Exception] = []

    def pull() -> None:
        try:
            while not ended.is_set():
                pulled = subscription.pull()
                now = time.monotonic()
                found.extend(now - float(item.message.attributes["at"]) for item in pulled)
                subscription.acknowledge([item.ack_id for item in pulled])
        except Exception as error:  # noqa: BLE001 - raised again in the main thread
            failed.append(error)

    pulling = threading.Thread(target=pull, name="pulling", daemon=True)
    pulling.start()
    began, sent = time.monotonic(), 0
    try:
        while time.monotonic() - began < seconds and not failed:
            topic.publish(client, path, [Message(b"x" * 1000, {"at": repr(time.monotonic())})])
            sent += 1
            time.sleep(2 * every_s * random.random())
        deadline = time.monotonic() + SETTLE_S
        while len(found) < sent and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        ended.set()
        pulling.join(timeout=10)
        subscription.close()
        client.transport.close()
    if failed:
        raise failed[0]
    return found
