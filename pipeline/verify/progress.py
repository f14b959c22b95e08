"""How far the comparison is: one live line on a terminal, log lines otherwise."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.live import Live
    from typing_extensions import Self

LOG = logging.getLogger(__name__)
SAY_EVERY_S = 10.0


class LiveProgress:
    """What `Reporter` calls."""

    def __init__(self, live: bool) -> None:
        self._live: Live | None = None
        if live:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(self, console=Console(stderr=True), refresh_per_second=4, transient=True)
        self._table, self._done, self._total, self._waiting = "", 0, 0, ""
        self._began = self._said = time.monotonic()

    def advance(self, table: str, done: int, total: int) -> None:
        if table != self._table:
            self._began = time.monotonic()
        self._table, self._done, self._total, self._waiting = table, done, total, ""
        self._log()

    def say(self, text: str) -> None:
        self._waiting = text
        self._log()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """While results are printed."""
        if self._live:
            self._live.stop()
        yield
        if self._live:
            self._live.start()

    def _log(self) -> None:
        if self._live is None and time.monotonic() - self._said >= SAY_EVERY_S:
            self._said = time.monotonic()
            LOG.info("comparing", extra={"table": self._table, "rows": self._done, "waiting": self._waiting or None})

    def __rich__(self) -> str:
        if self._waiting:
            return f"{self._table}: {self._waiting}"
        seconds = time.monotonic() - self._began
        rate = self._done / seconds if seconds > 0 else 0.0
        left = f"  {(self._total - self._done) / rate:.0f} s left" if rate and self._total > self._done else ""
        share = f" {100 * self._done / self._total:.0f} %" if self._total else ""
        return f"[bold]{self._table}[/]{share}  {self._done:,} rows  {rate:,.0f} rows/s{left}"

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._live:
            self._live.stop()
