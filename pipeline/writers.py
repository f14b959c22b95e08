"""The threads of this process that write to its warehouse, and how much may be in their hands at once.

They are the process's: Beam's runners make a DoFn anew for every thread and every run, and do not always tear it down.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

MOST_BYTES = 256_000_000
"""Of rows that wait or are being written. A worker on Dataflow has some twelve threads that hand over groups."""


class Writers:
    """`threads` writes at once; further ones wait in order, and whoever hands over too much waits, too."""

    def __init__(self, threads: int, most_bytes: int = MOST_BYTES) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="upsert")
        self._most_bytes = most_bytes
        self._bytes = self._underway = 0
        self._changed = threading.Condition()

    def submit(self, write: Callable[[], T], nbytes: int) -> Future[T]:
        """Has `write` called, which holds `nbytes`. One that is larger than the bound goes alone."""
        with self._changed:
            while self._underway and self._bytes + nbytes > self._most_bytes:
                self._changed.wait()
            self._bytes += nbytes
            self._underway += 1
        try:
            return self._executor.submit(self._call, write, nbytes)
        except BaseException:
            self._done(nbytes)
            raise

    def settle(self) -> None:
        """Returns when nothing is underway any more."""
        with self._changed:
            self._changed.wait_for(lambda: not self._underway)

    def close(self) -> None:
        """Ends the threads, after what they have in hand."""
        self._executor.shutdown()

    def _call(self, write: Callable[[], T], nbytes: int) -> T:
        try:
            return write()
        finally:
            self._done(nbytes)

    def _done(self, nbytes: int) -> None:
        with self._changed:
            self._bytes -= nbytes
            self._underway -= 1
            self._changed.notify_all()
