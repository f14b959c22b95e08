"""What a person sees of a run: one live line on a terminal, structured log lines elsewhere."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from binlog_worker import metrics
from schemas.checkpoint import Place, PreparedXa
from schemas.sequence import binlog_number

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from typing_extensions import Self

SAY_EVERY_S = 10.0

log = logging.getLogger(__name__)


class Progress:
    """`update` is called often and only remembers; a terminal redraws four times a second, a log gets a line in ten."""

    def __init__(self, live: bool) -> None:
        self.rows = 0
        self.place: Place | None = None
        self.lag_s = 0.0
        self.prepared: Sequence[PreparedXa] = ()
        self._began = time.monotonic()
        self._window = (self._began, 0, 0.0)  # since when, rows then, rows per second before
        self._live = _line(self) if live else None

    def update(self, rows: int, place: Place) -> None:
        self.rows = rows
        if self.place is None or place.file != self.place.file:
            metrics.POSITION_FILE.set(binlog_number(place.file)[1])
        self.place = place
        metrics.POSITION.set(place.position)
        if self._live is None and time.monotonic() - self._window[0] >= SAY_EVERY_S:
            log.info("running", extra=self.facts())

    def facts(self) -> dict[str, object]:
        now = time.monotonic()
        since, before, rate = self._window
        if now - since >= 1:
            rate = (self.rows - before) / (now - since)
            self._window = (now, self.rows, rate)
        return {
            "rows": self.rows,
            "rows_per_s": round(rate),
            "position": str(self.place or ""),
            "lag_s": round(self.lag_s, 1),
            **self._xa(),
        }

    def _xa(self) -> dict[str, object]:
        """Only where there are any: one that nobody ends is a defect of the shop's, and holds locks there."""
        if not self.prepared:
            return {}
        return {"prepared": len(self.prepared), "oldest_prepared_s": round(time.time() - self.prepared[0].since)}

    def __rich__(self) -> str:
        facts = self.facts()
        return (
            f"[bold]{facts['rows']:,}[/] rows  {facts['rows_per_s']:,} rows/s  {facts['position']}"
            f"  lag {facts['lag_s']} s  {time.monotonic() - self._began:.0f} s"
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()


if TYPE_CHECKING:
    from rich.live import Live


@functools.cache
def _console() -> Console:
    """One for the live line and the log lines, which it prints above."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def _line(progress: Progress) -> Live:
    from rich.live import Live

    return Live(progress, console=_console(), refresh_per_second=4)
