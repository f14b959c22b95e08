"""`python -m demo.drongo_emulator PORT`: drongo's Pub/Sub emulator in a process of its own.

Two things are added to drongo 0.8.0, without which it is no stand-in for Pub/Sub: a pulled message that is not
acknowledged within the deadline is delivered again, and a Pull with nothing to give waits a moment, so that readers
do not spin. Requests may be of any size (gRPC's default is 4 MB, Pub/Sub takes 10 MB). Unary Pull only.
"""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from drongo.services.pubsub.emulator import PubSubEmulator
from drongo.services.pubsub.models import Message, PubSubBackend
from google.protobuf import empty_pb2
from google.pubsub_v1 import types

PULL_WAITS = 0.5  # seconds
THREADS = 32  # a waiting Pull occupies one


class LeasingBackend(PubSubBackend):  # type: ignore[misc, unused-ignore]
    """drongo's state behind one lock, with deadlines that expire."""

    def setup(self) -> None:
        super().setup()
        self._changed = threading.Condition(threading.RLock())
        self._expires: dict[str, float] = {}

    def publish(self, topic_name: str, messages: list[tuple[bytes, dict[str, str], str]]) -> list[str]:
        with self._changed:
            ids: list[str] = super().publish(topic_name, messages)
            self._changed.notify_all()
            return ids

    def pull(self, name: str, max_messages: int) -> list[tuple[str, Message]]:
        until = time.monotonic() + PULL_WAITS
        with self._changed:
            while True:
                self._take_back(name)
                delivered: list[tuple[str, Message]] = super().pull(name, max_messages)
                remaining = until - time.monotonic()
                if delivered or remaining <= 0:
                    break
                self._changed.wait(min(remaining, 0.1))
            deadline = time.monotonic() + self.get_subscription(name).ack_deadline_seconds
            self._expires.update((ack_id, deadline) for ack_id, _ in delivered)
            return delivered

    def acknowledge(self, name: str, ack_ids: list[str]) -> None:
        with self._changed:
            super().acknowledge(name, ack_ids)
            for ack_id in ack_ids:
                self._expires.pop(ack_id, None)

    def modify_ack_deadline(self, name: str, ack_ids: list[str], ack_deadline_seconds: int) -> None:
        with self._changed:
            super().modify_ack_deadline(name, ack_ids, ack_deadline_seconds)
            outstanding = self.get_subscription(name).outstanding
            for ack_id in ack_ids:
                self._expires.pop(ack_id, None)
                if ack_id in outstanding:
                    self._expires[ack_id] = time.monotonic() + ack_deadline_seconds
            self._changed.notify_all()

    def _take_back(self, name: str) -> None:
        now = time.monotonic()
        outstanding = self.get_subscription(name).outstanding
        expired = [ack_id for ack_id in outstanding if self._expires.get(ack_id, now) < now]
        if expired:
            self.modify_ack_deadline(name, expired, 0)


def serve(port: int) -> grpc.Server:
    """drongo builds the handlers; the server around them is ours, since its own picks port and limits itself."""
    backend = LeasingBackend("pubsub")
    emulator = PubSubEmulator(backends={"_global_": backend})
    emulator._grpc, emulator._pt, emulator._empty = grpc, types, empty_pb2
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(THREADS), options=[*unlimited, ("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(emulator._build_handlers())
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server


if __name__ == "__main__":
    serve(int(sys.argv[1])).wait_for_termination()
