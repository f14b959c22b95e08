"""How far a batch is, table by table: bars on a terminal, log lines otherwise."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.batch.loads import TableLoad
from pipeline.progress import PROGRESS, LoadProgress

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID
    from typing_extensions import Self

LOG = logging.getLogger(__name__)
LOOK_EVERY_S = 0.25
SAY_EVERY_S = 10.0


class LoadsProgress:
    """Looks at what is written while it is entered. The number of rows of a table is the server's estimate."""

    def __init__(self, loads: Sequence[TableLoad], *, live: bool) -> None:
        self._loads = loads
        self._began = self._said = time.monotonic()
        self._finished: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="progress", daemon=True)
        self._bars: dict[str, TaskID] = {}
        self._display = self._bars_of(loads) if live else None
        PROGRESS.loads = {}

    def _bars_of(self, loads: Sequence[TableLoad]) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        display = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("rows  {task.fields[rate]:>9,} rows/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            refresh_per_second=4,
        )
        for load in loads:
            total = max(load.table.estimate, load.rows)
            name = load.table.name
            self._bars[name] = display.add_task(name, total=total, completed=load.rows, rate=0)
        return display

    def _work(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            self._look()

    def _look(self) -> None:
        now = time.monotonic()
        for load in self._loads:
            found = PROGRESS.loads.get(load.table.name, LoadProgress())
            if self._display is not None:
                self._show(self._display, load, found, now)
            if found.done and load.table.name not in self._finished:
                self._finished.add(load.table.name)
                rows = load.rows + found.rows
                LOG.info("%s is loaded: %s rows", load.table.name, f"{rows:,}", extra={"dead_letters": found.dead})
        if self._display is None and now - self._said >= SAY_EVERY_S:
            self._said = now
            LOG.info("loading", extra=self._facts(now))

    def _show(self, display: Progress, load: TableLoad, found: LoadProgress, now: float) -> None:
        rows = load.rows + found.rows
        total = rows if found.done else max(load.table.estimate, rows)
        rate = round(found.rows / max(now - self._began, 0.001))
        display.update(self._bars[load.table.name], completed=rows, total=total, rate=rate)

    def _facts(self, now: float) -> dict[str, object]:
        """Of all tables together; the remaining time is that of what the server believes is left."""
        written = sum(found.rows for found in PROGRESS.loads.values())
        rate = written / max(now - self._began, 0.001)
        left = 0
        for load in self._loads:
            found = PROGRESS.loads.get(load.table.name, LoadProgress())
            left += 0 if found.done else max(0, load.table.estimate - load.rows - found.rows)
        return {
            "rows": written,
            "rows_per_s": round(rate),
            "remaining_s": round(left / rate) if rate else None,
            "dead_letters": PROGRESS.dead,
            "table": next((one.table.name for one in self._loads if one.table.name not in self._finished), None),
        }

    def __enter__(self) -> Self:
        if self._display is not None:
            self._display.start()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        self._look()
        if self._display is not None:
            self._display.stop()
