"""Pub/Sub as the graph reads it: Beam's native read on Dataflow, our own source elsewhere.

On Dataflow the service itself reads, and acknowledges what a bundle has finished. On every other runner Beam's read
acknowledges before anything is processed: see `pipeline.pubsub_source`.
"""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage, ReadFromPubSub
from apache_beam.options.pipeline_options import StandardOptions
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.pubsub_source import GROUP_BYTES, GROUP_EVENTS, read_local
from schemas.config import ShopConfig
from schemas.event import Message
from schemas.topic import subscription_path

DATAFLOW = "DataflowRunner"
TIMESTAMP_ATTRIBUTE = "committed_at"
"""RFC 3339, UTC, with microseconds, which is one of the two forms that `ReadFromPubSub` documents. With it Dataflow's
data watermark age is the time since the commit at the source."""


class ReadMessages(beam.PTransform):
    """Yields lists of messages of the shop's subscription.

    No id label: after a restart the worker may send the same first sequence number with more rows, which
    deduplication by it would lose. Key and sequence number make a second delivery harmless.
    """

    def __init__(self, config: ShopConfig, run_seconds: float) -> None:
        """`run_seconds`: how long the local source reads; Dataflow's reads until the job is drained."""
        super().__init__()
        self.project, self.subscription = str(config.project), config.subscription
        self.run_seconds = run_seconds

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        if begin.pipeline.options.view_as(StandardOptions).runner != DATAFLOW:
            return begin | "ReadSubscription" >> read_local(self.subscription, self.run_seconds)
        path = subscription_path(self.project, self.subscription)
        read = ReadFromPubSub(subscription=path, with_attributes=True, timestamp_attribute=TIMESTAMP_ATTRIBUTE)
        return begin | "ReadSubscription" >> read | "ListMessages" >> beam.ParDo(ListMessages())


class ListMessages(beam.DoFn):
    """The messages of a bundle as lists: those of one table are decoded together, and nothing is shuffled for it."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._earliest = MAX_TIMESTAMP
        self._events = self._bytes = 0

    def start_bundle(self) -> None:
        self._clear()

    def process(
        self, message: PubsubMessage, timestamp: Timestamp = beam.DoFn.TimestampParam
    ) -> Iterator[list[Message]]:
        self._messages.append(as_message(message))
        self._earliest = min(self._earliest, timestamp)
        self._bytes += len(message.data)
        events = message.attributes.get("events", "")
        self._events += int(events) if events.isascii() and events.isdigit() and len(events) < 7 else 1
        if self._events >= GROUP_EVENTS or self._bytes >= GROUP_BYTES:
            yield self._messages
            self._clear()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._messages:
            yield WindowedValue(self._messages, self._earliest, (GlobalWindow(),))

    def _clear(self) -> None:
        self._messages, self._earliest = [], MAX_TIMESTAMP
        self._events = self._bytes = 0


def as_message(message: PubsubMessage) -> Message:
    """Beam's message as ours."""
    published = message.publish_time
    return Message(
        message.data,
        dict(message.attributes),
        message.message_id or "",
        published.rfc3339() if published is not None else "",
    )
