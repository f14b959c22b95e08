"""How a run ends: asked to by a signal, or because a part of it failed for good. Safe from any thread and from a
signal handler."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Stopped(Exception):
    """The run is to end; raised out of a wait."""


class Stopping:
    """`interrupt` is what ends the wait for the next event, while there is such a wait."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.error: BaseException | None = None
        self._interrupt: Callable[[], None] | None = None

    def wanted(self) -> bool:
        return self.event.is_set()

    def request(self) -> None:
        self.event.set()
        interrupt = self._interrupt
        if interrupt is not None:
            interrupt()

    def fail(self, error: BaseException) -> None:
        """The first error is kept."""
        if self.error is None:
            self.error = error
        self.request()

    def waits_on(self, interrupt: Callable[[], None] | None) -> None:
        self._interrupt = interrupt
        if interrupt is not None and self.wanted():
            interrupt()

    def check(self) -> None:
        """Raises `Stopped` once the run is to end."""
        if self.wanted():
            raise Stopped
