"""The DoFns of the graph. Each calls one pure function; `Upsert` alone writes."""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future

import apache_beam as beam

from pipeline import metrics
from pipeline.changes import Changes
from pipeline.decode import Decoder, EpochGuard
from pipeline.entries import derive_entries
from pipeline.failures import noting_failures
from pipeline.process_warehouse import process_warehouse, process_writers
from pipeline.progress import PROGRESS
from pipeline.warehouse import Applied
from schemas.config import ShopConfig
from schemas.event import Message

FLUSH_ROWS = 10_000
FLUSH_BYTES = 64_000_000
WRITES_AHEAD = 1
"""Groups of a bundle that are being written while the next is decoded. One, since they are written in order."""


class Decode(beam.DoFn):
    """Lists of messages → `Changes`. What cannot be applied is inside them as dead letters."""

    def __init__(self, config: ShopConfig, *, strict: bool = True) -> None:
        self.config = config
        self.strict = strict

    def setup(self) -> None:
        with noting_failures(self.config):
            highest = process_warehouse(self.config).highest_epoch()
        self.decoder = Decoder(self.config, EpochGuard(highest, strict=self.strict))

    def process(self, messages: list[Message]) -> Iterator[Changes]:
        changes = self.decoder.decode(messages)
        metrics.DECODED.inc(changes.events)
        metrics.ZERO_DATES.inc(changes.zero_dates)
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

    def setup(self) -> None:
        with noting_failures(self.config):
            self.warehouse = process_warehouse(self.config)
            self.writers = process_writers(self.config)

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
        write = functools.partial(self.warehouse.apply, changes)
        self._writing.append((changes, self.writers.submit(write, changes.nbytes)))

    def _written(self) -> None:
        """Waits for the oldest write. Raises what it raised."""
        changes, write = self._writing.popleft()
        with noting_failures(self.config):
            applied = write.result()
        lags_s = lags(changes, time.time())
        _count(applied, lags_s)
        PROGRESS.add(applied.rows, applied.dead, changes.zero_dates, min(lags_s, default=None))
        PROGRESS.note_load(changes)


def lags(changes: Changes, now: float) -> list[float]:
    """Seconds from each message's commit at the source until `now`, which a clock that is behind does not make < 0."""
    return [max(0.0, now - arrival.committed_at / 1e6) for arrival in changes.arrivals if arrival.committed_at]


def _count(applied: Applied, lags_s: Iterable[float]) -> None:
    metrics.UPSERTED.inc(applied.rows)
    metrics.DEAD.inc(applied.dead)
    metrics.RETRIES.inc(applied.retries)
    metrics.APPLY_MS.update(round(applied.seconds * 1000))
    if applied.stale is not None:
        metrics.STALE.inc(applied.stale)
    for milliseconds in applied.append_ms:
        metrics.APPEND_MS.update(milliseconds)
    for lag_s in lags_s:
        metrics.LAG_MS.update(round(lag_s * 1000))


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
