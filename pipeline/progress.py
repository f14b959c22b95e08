"""What a run of the graph has done so far, for the live line and the log lines of this process."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.changes import Changes
from schemas.errors import LtvError

if TYPE_CHECKING:
    from rich.live import Live

LOG = logging.getLogger(__name__)
SAY_EVERY_S = 10.0


@dataclass
class LoadProgress:
    """Of one source table: what this process has written, up to which chunk, and whether its load is done."""

    chunk: int = 0
    rows: int = 0
    dead: int = 0
    done: bool = False


@dataclass
class Progress:
    """Counts of this process. `lag_s`: age of the newest change at its commit here. `failure`: what stopped a bundle,
    which Beam's runner would only hand on as text."""

    rows: int = 0
    dead: int = 0
    zero_dates: int = 0
    lag_s: float = 0.0
    failure: LtvError | None = None
    loads: dict[str, LoadProgress] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    _seen: tuple[float, int, float] = (0.0, 0, 0.0)
    _said: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, rows: int, dead: int, zero_dates: int, lag_s: float | None) -> None:
        with self._lock:
            self.rows += rows
            self.dead += dead
            self.zero_dates += zero_dates
            if lag_s is not None:
                self.lag_s = lag_s

    def note_load(self, changes: Changes) -> None:
        """A chunk is written, or a load is done."""
        with self._lock:
            if changes.chunk is not None:
                load = self.loads.setdefault(changes.chunk.load.table, LoadProgress())
                load.chunk = changes.chunk.number
                load.rows += changes.chunk.rows
                load.dead += changes.chunk.dead
            if changes.loaded is not None:
                self.loads.setdefault(changes.loaded.table, LoadProgress()).done = True

    def facts(self) -> dict[str, object]:
        now = time.monotonic()
        since, before, rate = self._seen
        if now - since >= 1:
            rate = (self.rows - before) / (now - since) if since else 0.0
            self._seen = (now, self.rows, rate)
        return {
            "rows": self.rows,
            "rows_per_s": round(rate),
            "lag_s": round(self.lag_s, 3),
            "dead_letters": self.dead,
            "zero_dates": self.zero_dates,
        }

    def log_now_and_then(self) -> None:
        if time.monotonic() - self._said >= SAY_EVERY_S:
            self._said = time.monotonic()
            LOG.info("running", extra=self.facts())

    def __rich__(self) -> str:
        facts = self.facts()
        dead = f"  [red]{self.dead:,} dead letters[/]" if self.dead else ""
        return (
            f"[bold]{self.rows:,}[/] rows  {facts['rows_per_s']:,} rows/s  commit to visible {facts['lag_s']} s"
            f"{dead}  {time.monotonic() - self.began:.0f} s"
        )


PROGRESS = Progress()
"""Of this process; every DoFn adds to it."""


def live_line() -> Live:
    """The line that a terminal shows while a command runs."""
    from rich.console import Console
    from rich.live import Live

    return Live(PROGRESS, console=Console(stderr=True), refresh_per_second=4, transient=False)
