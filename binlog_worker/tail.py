"""The loop: events of the dump → changes → messages → sink, and again after a lost connection."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator

import tenacity

from binlog_worker import metrics
from binlog_worker.ddl.statement_changes import Reload
from binlog_worker.log.compressed import PlainEvents
from binlog_worker.log.dump import Dump
from binlog_worker.log.events import RawEvent
from binlog_worker.progress import Progress
from binlog_worker.reader import Reader
from binlog_worker.server import ServerClock
from binlog_worker.sinks.packer import Changes, Packer
from binlog_worker.sinks.sink import Sink
from binlog_worker.stopping import Stopped, Stopping
from schemas.checkpoint import Place
from schemas.errors import LtvError, SourceUnavailable, Terminal, Transient, TruncatedBinlog
from schemas.event import heartbeat_line

log = logging.getLogger(__name__)

LONGEST_OPEN_S = 0.02
"""A change waits no longer than this for others to share its message."""

PACE_S = 0.025
"""Where nothing more is waiting, messages leave at once, but not sooner than this after the last ones: else a shop of a
thousand small transactions a second would send hundreds of messages of two or three changes, and wait for them."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0
HEALTHY_S = 60.0
"""After a connection that lasted so long, or got further in the log, the pauses begin small again."""


class Tail:
    """`open_dump` logs in, makes sure that the server is still the same one, and asks for the log from a place on."""

    def __init__(
        self,
        open_dump: Callable[[Place], Dump],
        reader: Reader,
        packer: Packer,
        sink: Sink,
        clock: ServerClock,
        stopping: Stopping,
        progress: Progress,
        *,
        heartbeat_s: float,
        until: Place | None,
        behind_crash: Callable[[str, int], RawEvent | None],
    ) -> None:
        """`behind_crash` takes the end of a log that ends inside an event: the ROTATE to the next one, if the server
        crashed there."""
        self._open_dump, self._reader, self._packer, self._sink = open_dump, reader, packer, sink
        self._clock, self._stopping, self._progress = clock, stopping, progress
        self._heartbeat_s = heartbeat_s
        self._until = until.order if until is not None else None
        self._behind_crash = behind_crash
        self._next_heartbeat = time.monotonic()
        self._events = 0

    def run(self) -> None:
        """Returns when caught up or asked to stop. Raises Terminal errors; Transient ones are tried again for ever."""
        pause = tenacity.wait_random_exponential(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S)
        state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
        while not self._stopping.wanted():
            began, place = time.monotonic(), self._reader.place
            try:
                if self._follow():
                    return
                if self._stopping.wanted():
                    return
                raise SourceUnavailable("the dump ended", position=str(self._reader.place))
            except Transient as error:
                healthy = time.monotonic() - began > HEALTHY_S or self._reader.place != place
                state.attempt_number = 1 if healthy else state.attempt_number + 1
                seconds = pause(state)
                metrics.RETRIES.labels("source").inc()
                log.warning(
                    "the source went away, connecting again",
                    extra={"error": str(error), "hint": error.hint, "pause_s": round(seconds, 2)},
                )
                self._stopping.event.wait(seconds)
            except Stopped:
                return

    def _follow(self) -> bool:
        """One connection, until it ends. True when caught up, or told to stop."""
        reader = self._reader
        dump = self._open_dump(reader.restart())
        self._stopping.waits_on(dump.close)
        try:
            return self._consume(dump)
        finally:
            self._stopping.waits_on(None)
            dump.close()

    def _consume(self, dump: Dump) -> bool:
        reader, add, pending, monotonic = self._reader, self._packer.add, dump.pending, time.monotonic
        flushed_at = flush_at = 0.0
        log = PlainEvents(dump)
        following = iter(log)
        while True:
            try:
                event = next(following, None)
                if event is None:
                    return False
                changes = reader.feed(event)
            except TruncatedBinlog as error:
                changes = reader.feed(self._rotation(error, dump))  # the dump has ended with the error
            except Terminal:
                self._flush()  # what was read before it is right, and leaves
                raise
            for change in self._leaving_before_errors(changes):
                if isinstance(change, Changes):
                    add(change)
                else:
                    self._packer.reload(change.table, change.line, change.sequence, change.committed_at)
                if (now := monotonic()) >= flush_at:  # one event may bring millions
                    flushed_at, flush_at = now, now + LONGEST_OPEN_S
                    if self._send(now, pending):
                        return True
            if not log.unpacking:
                for ahead in reader.read_ahead(dump):
                    add(ahead)
            now = monotonic()
            if now < flush_at and reader.between_transactions and not pending():
                self._stopping.event.wait(flushed_at + PACE_S - now)
                now = monotonic()
            if now >= flush_at or (reader.between_transactions and not pending()):
                flushed_at, flush_at = now, now + LONGEST_OPEN_S
                if self._send(now, pending):
                    return True

    def _rotation(self, error: TruncatedBinlog, dump: Dump) -> RawEvent:
        """What the server could no longer write. Raises `error` where it did not crash there."""
        self._flush()
        rotation = self._behind_crash(dump.file, dump.position)
        if rotation is None:
            raise error
        log.warning("the server crashed while it wrote its log, going on with the next", extra={"error": str(error)})
        return rotation

    def _leaving_before_errors(self, changes: Iterable[Changes | Reload]) -> Iterator[Changes | Reload]:
        try:
            yield from changes
        except Terminal:
            self._flush()
            raise

    def _send(self, now: float, pending: Callable[[], bool]) -> bool:
        """True when caught up, or told to stop."""
        self._flush()
        if self._until is not None and self._reader.reached(self._until):
            return True
        if now >= self._next_heartbeat:
            self._beat(pending())
        return self._stopping.wanted()

    def _flush(self) -> None:
        """Everything read so far leaves; once it has arrived the checkpoint may say so."""
        self._packer.close_all()
        mark = self._reader.mark(self._packer.number)
        self._sink.mark(mark)
        metrics.EVENTS.inc(self._reader.events - self._events)
        self._progress.prepared = mark.prepared
        self._progress.update(self._reader.counted, mark.place)
        self._events = self._reader.events

    def _beat(self, behind: bool) -> None:
        self._next_heartbeat = time.monotonic() + self._heartbeat_s
        try:
            server_us = self._clock.now_us()
        except LtvError as error:
            log.warning("no heartbeat: the server's clock cannot be read", extra={"error": str(error)})
            return
        reader = self._reader
        beat = reader.beat(server_us)
        line = heartbeat_line(beat.sequence, beat.server_time, beat.source, time.time_ns() // 1_000_000)
        self._packer.heartbeat(line, beat.sequence, beat.server_time)
        self._sink.mark(self._reader.mark(self._packer.number))
        metrics.HEARTBEATS.inc()
        lag = max(0.0, (server_us - reader.committed_us) / 1e6) if behind and reader.committed_us else 0.0
        metrics.LAG.set(lag)
        self._progress.lag_s = lag
