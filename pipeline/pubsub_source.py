"""Our Pub/Sub source: acknowledges a message after the bundle that applied it has committed, never before.

Beam's own local reader acknowledges first and loses messages in a crash. On Dataflow `ReadFromPubSub` is right.
A `Puller` lives as long as the process, over all runs of the graph: it pulls, keeps leases alive and acknowledges.
"""

from __future__ import annotations

import collections
import itertools
import logging
import random
import threading
import time
from typing import Any

import apache_beam as beam
from apache_beam import coders
from apache_beam.io.unbounded_source import CheckpointMark, ReadFromUnboundedSource, UnboundedReader, UnboundedSource
from apache_beam.utils.timestamp import MAX_TIMESTAMP, MIN_TIMESTAMP, Timestamp

from schemas.errors import LtvError, Transient
from schemas.event import Message
from schemas.topic import PulledMessage, Subscription

LOG = logging.getLogger(__name__)
QUEUE_BYTES = 32_000_000
QUEUE_MESSAGES = 2_000
GROUP_EVENTS = 10_000
GROUP_BYTES = 16_000_000
GROUPS_PER_BUNDLE = 4
POLL_S = 0.05
LEASE_EVERY_S = 3.0
ACK_EVERY_S = 0.1


class Puller:
    """Pulls into a bounded queue on a thread of its own; another acknowledges and extends leases.

    Back-pressure: at 32 MB or 2,000 messages waiting it stops pulling until the graph has taken some.
    """

    def __init__(self, subscription: Subscription, *, queue_bytes: int = QUEUE_BYTES) -> None:
        self.subscription = subscription
        self.error: LtvError | None = None
        self.last_change_at = time.monotonic()
        self.received = 0
        self._queue_bytes = queue_bytes
        self._waiting: collections.deque[PulledMessage] = collections.deque()
        self._waiting_bytes = 0
        self._leased: dict[str, None] = {}
        self._given: dict[int, list[str]] = {}
        self._to_acknowledge: list[str] = []
        self._tokens = itertools.count()
        self._changed = threading.Condition()
        self._stopping = False
        self._ending = threading.Event()
        self._pulling = threading.Thread(target=self._pull, name="pull", daemon=True)
        self._leasing = threading.Thread(target=self._lease, name="lease", daemon=True)
        self._pulling.start()
        self._leasing.start()

    def take(self, wait: float) -> tuple[list[Message], int] | None:
        """The next group of messages and the token that `finish` wants; None where nothing came within `wait` seconds.

        Raises the error that stopped the pulling.
        """
        with self._changed:
            if not self._waiting:
                self._changed.wait(wait)
            if self.error:
                raise self.error
            if not self._waiting:
                return None
            group, taken, events = [], 0, 0
            while self._waiting and events < GROUP_EVENTS and taken < GROUP_BYTES:
                pulled = self._waiting.popleft()
                group.append(pulled)
                taken += len(pulled.message.data)
                count = pulled.message.attributes.get("events", "")
                events += int(count) if count.isascii() and count.isdigit() and len(count) < 7 else 1
            self._waiting_bytes -= taken
            token = next(self._tokens)
            self._given[token] = [pulled.ack_id for pulled in group]
            self._changed.notify_all()
        return [pulled.message for pulled in group], token

    def finish(self, tokens: list[int]) -> None:
        """The groups are in the warehouse: acknowledges their messages, soon."""
        with self._changed:
            for token in tokens:
                self._to_acknowledge += self._given.pop(token, [])
            self._changed.notify_all()

    def give_back(self) -> None:
        """Forgets all groups that were taken and not finished; Pub/Sub delivers them again."""
        with self._changed:
            ack_ids = list(itertools.chain.from_iterable(self._given.values()))
            self._given.clear()
            for ack_id in ack_ids:
                self._leased.pop(ack_id, None)
        try:
            self.subscription.modify_deadline(ack_ids, 0)
        except Transient as error:
            LOG.warning("messages in hand come again when their lease ends: %s", error)

    @property
    def unfinished(self) -> int:
        with self._changed:
            return len(self._leased)

    def idle_seconds(self) -> float:
        """How long no change has come while nothing was left to do; a worker's heartbeats do not count."""
        with self._changed:
            return 0.0 if self._leased else time.monotonic() - self.last_change_at

    def stop(self) -> None:
        """Acknowledges what is finished, gives the rest back, ends both threads."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._ending.set()
        self._leasing.join(timeout=30)
        try:
            with self._changed:
                left = list(self._leased)
                self._leased.clear()
            if left:
                self.subscription.modify_deadline(left, 0)
        except LtvError as error:
            LOG.warning("messages in hand come again when their lease ends: %s", error)
        self.subscription.close()
        self._pulling.join(timeout=5)

    def _room(self) -> bool:
        """Waits until the queue has room. False where the pulling is to end."""
        with self._changed:
            while self._waiting_bytes >= self._queue_bytes or len(self._waiting) >= QUEUE_MESSAGES:
                if self._stopping:
                    return False
                self._changed.wait(1)
            return not self._stopping

    def _pull(self) -> None:
        pause = 0.0
        while True:
            if not self._room():
                return
            try:
                pulled = self.subscription.pull()
                pause = 0.0
            except Transient as error:
                pause = min(10.0, max(0.1, pause * 2))
                if not self._stopping:
                    LOG.warning("pulling again in %.1f s: %s", pause, error)
                    time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                continue
            except LtvError as error:
                with self._changed:
                    self.error = error
                    self._changed.notify_all()
                return
            with self._changed:
                if self._stopping:
                    self._leased.update(dict.fromkeys(item.ack_id for item in pulled))
                    return
                self._leased.update(dict.fromkeys(item.ack_id for item in pulled))
                self._waiting.extend(pulled)
                self._waiting_bytes += sum(len(item.message.data) for item in pulled)
                if any(item.message.attributes.get("kind") != "heartbeat" for item in pulled):
                    self.last_change_at = time.monotonic()
                if pulled:
                    self.received += len(pulled)
                    self._changed.notify_all()

    def _lease(self) -> None:
        leased_at = time.monotonic()
        while True:
            self._ending.wait(ACK_EVERY_S)  # few requests with many ids, not one for each bundle
            with self._changed:
                stopping, ack_ids = self._stopping, self._to_acknowledge
                self._to_acknowledge = []
                extend = list(self._leased) if time.monotonic() - leased_at > LEASE_EVERY_S else []
            try:
                if ack_ids:
                    self.subscription.acknowledge(ack_ids)
                if extend:
                    leased_at = time.monotonic()
                    done = set(ack_ids)
                    self.subscription.modify_deadline([ack_id for ack_id in extend if ack_id not in done], None)
            except LtvError as error:
                LOG.warning("messages come again, which changes nothing: %s", error)
            with self._changed:
                for ack_id in ack_ids:
                    self._leased.pop(ack_id, None)
            if stopping:
                return


_PULLERS: dict[str, Puller] = {}


def share_puller(name: str, puller: Puller | None) -> None:
    """Makes a puller known to the readers of this process, which are pickled and cannot carry it."""
    if puller is None:
        _PULLERS.pop(name, None)
    else:
        _PULLERS[name] = puller


class Mark(CheckpointMark):
    """The groups read since the mark before; finalized once the bundle has committed."""

    def __init__(self, name: str, tokens: list[int]) -> None:
        self.name = name
        self.tokens = tokens

    def finalize_checkpoint(self) -> None:
        puller = _PULLERS.get(self.name)
        if puller is not None:
            puller.finish(self.tokens)


class Reader(UnboundedReader):
    """Gives groups of messages. Ends after `run_seconds`: a long run of Beam's local runner grows without end."""

    def __init__(self, source: PubSubSource) -> None:
        self.source = source
        self.puller = _PULLERS[source.name]
        self.tokens: list[int] = []
        self.current: list[Message] = []
        self.ends_at = time.monotonic() + source.run_seconds
        self.ended = False

    def start(self) -> bool:
        return self.advance()

    def advance(self) -> bool:
        if self.ended or _STOP.is_set() or time.monotonic() > self.ends_at:
            self.ended = True
            return False
        taken = self.puller.take(0 if self.tokens else POLL_S)  # what a bundle has gathered waits for nothing
        if taken is None:
            return False
        self.current = taken[0]
        self.tokens.append(taken[1])
        return True

    def get_current(self) -> list[Message]:
        return self.current

    def get_current_timestamp(self) -> Timestamp:
        return Timestamp.now()

    def get_watermark(self) -> Timestamp:
        return MAX_TIMESTAMP if self.ended else MIN_TIMESTAMP

    def get_checkpoint_mark(self) -> Mark:
        tokens, self.tokens = self.tokens, []
        return Mark(self.source.name, tokens)

    def close(self) -> None:
        pass


_STOP = threading.Event()


def stop_reading(stop: bool = True) -> None:
    """Makes every reader of this process end at its next message; what it has given is still applied."""
    if stop:
        _STOP.set()
    else:
        _STOP.clear()


class PubSubSource(UnboundedSource):
    """Reads the puller that is shared under `name`."""

    def __init__(self, name: str, run_seconds: float) -> None:
        self.name = name
        self.run_seconds = run_seconds

    def split(self, desired_num_splits: int, options: Any = None) -> list[UnboundedSource]:
        return [self]

    def create_reader(self, options: Any, checkpoint_mark: CheckpointMark | None) -> Reader:
        return Reader(self)

    def get_checkpoint_mark_coder(self) -> coders.Coder:
        return coders.PickleCoder()


def read_local(subscription: str, run_seconds: float) -> beam.PTransform:
    """Reads the subscription on Beam's local runner, through the puller that `stream` has shared."""
    return ReadFromUnboundedSource(
        PubSubSource(subscription, run_seconds), poll_interval=0.0, max_records_per_bundle=GROUPS_PER_BUNDLE
    )
