"""The Pub/Sub sink: several Publish requests underway, a bounded buffer before them, confirmation without gaps."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import tenacity

from binlog_worker import metrics
from binlog_worker.sinks.sink import Confirmed, Mark, Sink
from binlog_worker.stopping import Stopped, Stopping
from schemas.errors import Transient
from schemas.event import Message

log = logging.getLogger(__name__)

REQUESTS = 3
REQUEST_BYTES = 2_000_000
REQUEST_MESSAGES = 500
BUFFER_BYTES = 12_000_000
BUFFER_MESSAGES = 4_000
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 30.0
_OVERHEAD = 64
"""Bytes of a message besides its data and the text of its attributes, generously."""

Send = Callable[[Sequence[Message]], object]
"""Publishes; returns once all are confirmed. Raises Transient (tried again for ever) or Terminal."""


def message_size(message: Message) -> int:
    """Bytes that it takes in a request, or a little less than that."""
    attributes = sum(len(name) + len(value) + 8 for name, value in message.attributes.items())
    return len(message.data) + attributes + _OVERHEAD


class Publisher(Sink):
    """`send` is called from `requests` threads at once. What is buffered or underway counts against the bounds until it
    is confirmed; a message above the byte bound goes alone."""

    def __init__(
        self,
        send: Send,
        stopping: Stopping,
        *,
        requests: int = REQUESTS,
        request_bytes: int = REQUEST_BYTES,
        request_messages: int = REQUEST_MESSAGES,
        buffer_bytes: int = BUFFER_BYTES,
        buffer_messages: int = BUFFER_MESSAGES,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._send, self._stopping = send, stopping
        self._request_bytes, self._request_messages = request_bytes, request_messages
        self._buffer_bytes, self._buffer_messages = buffer_bytes, buffer_messages
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, int, Message]] = deque()  # number of the put, size, message
        self._marks: deque[tuple[int, Mark]] = deque()  # puts below it
        self._done: list[tuple[int, int]] = []  # heap of confirmed (first, behind) above the gap-free prefix
        self._put = self._prefix = 0
        self._bytes = self._messages = 0
        self._confirmed: Mark | None = None
        self._closed = threading.Event()
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Transient),
            wait=tenacity.wait_random_exponential(multiplier=first_pause_s, max=LONGEST_PAUSE_S),
            stop=tenacity.stop_when_event_set(self._closed),
            sleep=tenacity.sleep_using_event(self._closed),
            before_sleep=_say,
            reraise=True,
        )
        self._threads = [
            threading.Thread(target=self._run, name=f"publish-{number}", daemon=True) for number in range(requests)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, message: Message) -> None:
        size = message_size(message)
        with self._changed:
            while self._messages and (
                self._bytes + size > self._buffer_bytes or self._messages >= self._buffer_messages
            ):
                self._stopping.check()
                self._changed.wait(0.1)  # a signal does not wake a condition
            self._stopping.check()
            self._waiting.append((self._put, size, message))
            self._put += 1
            self._bytes += size
            self._messages += 1
            self._changed.notify_all()

    def mark(self, mark: Mark) -> None:
        with self._changed:
            if self._marks and self._marks[-1][0] == self._put:
                self._marks.pop()
            self._marks.append((self._put, mark))
            self._advance()

    def confirmed(self) -> Confirmed | None:
        with self._changed:
            return Confirmed(self._confirmed) if self._confirmed is not None else None

    def flush(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        with self._changed:
            while self._messages:
                left = deadline - time.monotonic()
                if left <= 0 or self._stopping.error is not None:
                    return False
                self._changed.wait(min(left, 0.1))
        return True

    def close(self) -> None:
        self._closed.set()
        with self._changed:
            self._waiting.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=1)

    def _take(self) -> list[tuple[int, int, Message]]:
        """The next request's messages; empty when closed."""
        with self._changed:
            while not self._waiting:
                if self._closed.is_set():
                    return []
                self._changed.wait()
            taken = [self._waiting.popleft()]
            size = taken[0][1]
            while (
                self._waiting
                and len(taken) < self._request_messages
                and size + self._waiting[0][1] <= self._request_bytes
            ):
                size += self._waiting[0][1]
                taken.append(self._waiting.popleft())
            return taken

    def _run(self) -> None:
        try:
            while taken := self._take():
                self._retrying(self._send, [message for _, _, message in taken])
                self._arrived(taken)
        except Stopped:
            return
        except Exception as error:  # noqa: BLE001 - ends the run with it
            if not self._closed.is_set():
                self._stopping.fail(error)
                with self._changed:
                    self._changed.notify_all()

    def _arrived(self, taken: list[tuple[int, int, Message]]) -> None:
        size = sum(one[1] for one in taken)
        metrics.MESSAGES.inc(len(taken))
        metrics.BYTES.inc(size)
        with self._changed:
            heapq.heappush(self._done, (taken[0][0], taken[-1][0] + 1))
            while self._done and self._done[0][0] == self._prefix:
                self._prefix = heapq.heappop(self._done)[1]
            self._bytes -= size
            self._messages -= len(taken)
            self._advance()
            self._changed.notify_all()

    def _advance(self) -> None:
        while self._marks and self._marks[0][0] <= self._prefix:
            self._confirmed = self._marks.popleft()[1]


def _say(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    pause = state.next_action.sleep if state.next_action is not None else 0
    metrics.RETRIES.labels("publish").inc()
    log.warning("publishing failed, trying again", extra={"error": str(error), "pause_s": round(pause, 2)})
