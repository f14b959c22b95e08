"""SIGTERM and Ctrl-C: the first ends a command in good order, the second at once."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator

LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def stopping_on_signals(stop: threading.Event, said: str) -> Iterator[None]:
    """Sets `stop` and logs `said`. Does nothing outside the main thread, to which signals go."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def asked(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        LOG.info(said)
        stop.set()

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
