"""Writes the checkpoint as confirmations come in, from a thread of its own: an idle source must not delay it."""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime, timezone

from binlog_worker import metrics
from binlog_worker.sinks.sink import Confirmed, Sink
from binlog_worker.stopping import Stopping
from schemas.checkpoint import Checkpoint, Identity
from schemas.checkpoint_store import CheckpointStore
from schemas.errors import Transient

log = logging.getLogger(__name__)

EVERY_S = 0.5


class Checkpointer:
    """Trap: only what the sink has confirmed is written, never what was merely read or sent."""

    def __init__(
        self,
        store: CheckpointStore,
        sink: Sink,
        identity: Identity,
        epoch: int,
        run: str,
        stopping: Stopping,
        *,
        after: Checkpoint | None = None,
        every_s: float = EVERY_S,
    ) -> None:
        """`after` is the checkpoint that the run goes on from: its last confirmed message stays the last until one of
        this run is."""
        self._after = after
        self._store, self._sink, self._identity, self._epoch, self._run = store, sink, identity, epoch, run
        self._stopping, self._every_s = stopping, every_s
        self._written: Confirmed | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="checkpoint", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _work(self) -> None:
        while not self._ended.wait(self._every_s):
            try:
                self.write()
            except Transient as error:
                metrics.RETRIES.labels("checkpoint").inc()
                log.warning("the checkpoint cannot be written, trying again", extra={"error": str(error)})
            except Exception as error:  # noqa: BLE001 - ends the run with it
                self._stopping.fail(error)
                return

    def write(self) -> Checkpoint | None:
        """What is confirmed now, if that is news. Raises CheckpointError, Terminal or Transient."""
        confirmed = self._sink.confirmed()
        if confirmed is None or confirmed == self._written:
            return None
        mark = confirmed.mark
        now = datetime.now(timezone.utc)
        checkpoint = Checkpoint(
            Identity(self._identity.server, self._identity.base, mark.created),
            self._epoch,
            mark.place,
            mark.gtid,
            mark.gtid_set,
            *self._last_message(mark.number),
            now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            confirmed.files,
            mark.prepared,
            mark.passing,
        )
        self._store.write(checkpoint)
        self._written = confirmed
        metrics.CHECKPOINT_TIME.set(time.time())
        return checkpoint

    def _last_message(self, number: int) -> tuple[str, int]:
        if number == 0 and self._after is not None and self._after.epoch == self._epoch:
            return self._after.run, self._after.number
        return self._run, number

    def end(self) -> None:
        """Ends the thread, then writes what is confirmed by now."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self.write()
