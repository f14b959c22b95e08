"""The DoFns of the graph. Each calls one pure function; `Upsert` alone writes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import apache_beam as beam
from apache_beam.metrics import Metrics

from pipeline.changes import Changes
from pipeline.decode import Decoder, EpochGuard
from pipeline.entries import derive_entries
from pipeline.process_warehouse import process_warehouse
from pipeline.progress import PROGRESS
from pipeline.warehouse import Applied
from schemas.config import ShopConfig
from schemas.errors import LtvError
from schemas.event import Message

FLUSH_ROWS = 10_000
FLUSH_BYTES = 64_000_000
WRITES_AHEAD = 1
"""Groups that wait for the writer while the next is decoded."""


WRITER = ThreadPoolExecutor(1, thread_name_prefix="upsert")
"""Of the process: Beam's local runner makes a DoFn anew in every run and does not always tear it down."""


class Decode(beam.DoFn):
    """Lists of messages → `Changes`. What cannot be applied is inside them as dead letters."""

    def __init__(self, config: ShopConfig, *, strict: bool = True) -> None:
        self.config = config
        self.strict = strict
        self.decoded = Metrics.counter("ltv", "decoded")
        self.zero_dates = Metrics.counter("ltv", "zero_dates")

    def setup(self) -> None:
        highest = process_warehouse(self.config).highest_epoch()
        self.decoder = Decoder(self.config, EpochGuard(highest, strict=self.strict))

    def process(self, messages: list[Message]) -> Iterator[Changes]:
        changes = self.decoder.decode(messages)
        self.decoded.inc(changes.events)
        self.zero_dates.inc(changes.zero_dates)
        yield changes


class KeyByPurchaseMonth(beam.DoFn):
    """Adds the ltv entries of orders and refunds, each in the month of its purchase in the shop's zone."""

    def __init__(self, config: ShopConfig) -> None:
        self.config = config

    def process(self, changes: Changes) -> Iterator[Changes]:
        derived = (derive_entries(batch, self.config) for batch in changes.batches)
        changes.entries = [entries for entries in derived if entries is not None]
        yield changes


class Upsert(beam.DoFn):
    """Writes each group of changes, or chunk of a load, in one transaction, while the next group is decoded.

    A bundle ends only when all that it gathered is committed: messages are acknowledged after that.
    """

    def __init__(self, config: ShopConfig) -> None:
        self.config = config
        self.upserted = Metrics.counter("ltv", "upserted")
        self.dead = Metrics.counter("ltv", "dead")
        self.flush_ms = Metrics.distribution("ltv", "flush_ms")
        self.lag_ms = Metrics.distribution("ltv", "lag_ms")

    def setup(self) -> None:
        self.warehouse = process_warehouse(self.config)

    def start_bundle(self) -> None:
        self._gathered: list[Changes] = []
        self._rows = self._bytes = 0
        self._writing: deque[tuple[Changes, Future[Applied]]] = deque()

    def process(self, changes: Changes) -> None:
        if changes.chunk is not None or changes.loaded is not None:
            self._flush()  # a chunk is a transaction by itself
            self._gathered.append(changes)
            self._flush()
            return
        self._gathered.append(changes)
        self._rows += changes.events
        self._bytes += changes.nbytes
        if self._rows >= FLUSH_ROWS or self._bytes >= FLUSH_BYTES:
            self._flush()

    def finish_bundle(self) -> None:
        self._flush()
        while self._writing:
            self._written()

    def _flush(self) -> None:
        if not self._gathered:
            return
        changes = together(self._gathered)
        self._gathered, self._rows, self._bytes = [], 0, 0
        while len(self._writing) >= WRITES_AHEAD:
            self._written()
        self._writing.append((changes, WRITER.submit(self.warehouse.apply, changes)))

    def _written(self) -> None:
        """Waits for the oldest write. Raises what it raised."""
        changes, write = self._writing.popleft()
        try:
            applied = write.result()
        except LtvError as error:
            PROGRESS.failure = error
            raise
        self.upserted.inc(applied.rows)
        self.dead.inc(applied.dead)
        self.flush_ms.update(round(applied.seconds * 1000))
        lag_s = None
        if changes.arrivals:
            newest = max(arrival.committed_at for arrival in changes.arrivals)
            lag_s = max(0.0, time.time() - newest / 1e6)
            self.lag_ms.update(round(lag_s * 1000))
        PROGRESS.add(applied.rows, applied.dead, changes.zero_dates, lag_s)
        PROGRESS.note_load(changes)


def together(parts: Iterable[Changes]) -> Changes:
    """Several groups of changes as one, in order of arrival."""
    parts = list(parts)
    if len(parts) == 1:
        return parts[0]
    whole = Changes()
    for part in parts:
        for name in ("batches", "entries", "floors", "reloads", "arrivals", "dead"):
            getattr(whole, name).extend(getattr(part, name))
        whole.zero_dates += part.zero_dates
        whole.highest_epoch = max(whole.highest_epoch, part.highest_epoch)
    return whole
