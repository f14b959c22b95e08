"""One write: requests made as there is room for them, their answers, and what is sent again.

A writer's own thread does all of it. Writers of several threads share a `Way`.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import tenacity

from pipeline.bigquery.append_requests import Append, RejectedRow, Request, requests
from pipeline.bigquery.connections import Connection, Connections, Outcome, Outcomes
from pipeline.bigquery.refusals import Refusal
from schemas.errors import WarehouseUnavailable

LOG = logging.getLogger(__name__)

IN_FLIGHT = 8
"""Requests of a table that are unanswered, or wait to be sent again: 64 MB at most."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 20.0
SAY_S = 10.0
TICK_S = 0.25
"""So often a writer looks whether it should end."""

OnAppend = Callable[[float, int, int], None]
"""Told in the writing thread of each request that was taken: seconds until the answer, rows, bytes."""


@dataclass
class Way:
    """What all writers of a process share. `patience_s` bounds the time that one request is tried for, where the
    refusal's own bound is longer; after `answer_s` without the answer that is due a connection is given up."""

    connections: Connections
    on_append: OnAppend | None
    patience_s: float
    answer_s: float
    request_bytes: int
    requests: int = 0
    retries: int = 0
    closed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._room: dict[str, threading.Semaphore] = {}
        self._lock = threading.Lock()
        self._said_at = 0.0

    def room_of(self, table: str) -> threading.Semaphore:
        with self._lock:
            return self._room.setdefault(table, threading.Semaphore(IN_FLIGHT))

    def count(self, *, requests: int = 0, retries: int = 0) -> None:
        with self._lock:
            self.requests += requests
            self.retries += retries

    def check_open(self) -> None:
        """Raises WarehouseUnavailable. A thread that is not a daemon must not outlive the main thread."""
        if self.closed.is_set() or not threading.main_thread().is_alive():
            raise WarehouseUnavailable("the connection to BigQuery was closed while rows were written")

    def say(self, text: str) -> None:
        """Not at every attempt of every request."""
        if time.monotonic() - self._said_at > SAY_S:
            self._said_at = time.monotonic()
            LOG.warning(text)


@dataclass
class _Table:
    """One append: the requests that it still makes, and the rows that it loses."""

    append: Append
    source: Iterator[Request]
    room: threading.Semaphore
    rejected: list[RejectedRow]


class Writing:
    """One call of `write`, in its own thread."""

    def __init__(self, way: Way, all_rows: Sequence[Append]) -> None:
        self._way = way
        self._tables: dict[str, _Table] = {}
        for append in all_rows:
            if append.table in self._tables:
                raise ValueError(f"two appends to {append.table}")
            rejected: list[RejectedRow] = []
            source = requests(append, rejected, way.request_bytes)
            self._tables[append.table] = _Table(append, source, way.room_of(append.table), rejected)
        self._making = dict(self._tables)
        self._outcomes: Outcomes = queue.SimpleQueue()
        self._unanswered: dict[int, tuple[Request, Connection]] = {}
        self._again: list[tuple[float, int, Request]] = []  # a heap, by when
        self._count = itertools.count()

    def run(self) -> dict[str, list[RejectedRow]]:
        while self._making or self._unanswered or self._again:
            made = self._make()
            self._send_again()
            try:
                self._take(self._outcomes.get(timeout=0.0 if made else self._wait_s()))
            except queue.Empty:
                self._way.check_open()
                self._give_up_on_the_silent()
        return {
            table: sorted(found.rejected, key=lambda row: row.index)
            for table, found in self._tables.items()
            if found.rejected
        }

    def leave(self) -> None:
        """Gives back the room of what is unfinished after an error; its answers go nowhere."""
        for request, _ in self._unanswered.values():
            self._tables[request.append.table].room.release()
        for _, _, request in self._again:
            self._tables[request.append.table].room.release()

    def _make(self) -> bool:
        """One more request of each table that has room."""
        made = False
        for name, table in list(self._making.items()):
            if table.room.acquire(blocking=False):
                request = None
                try:
                    request = next(table.source, None)
                    if request is None:
                        del self._making[name]
                    else:
                        self._send(request)
                        made = True
                finally:
                    if request is None:
                        table.room.release()
        return made

    def _send(self, request: Request) -> None:
        self._unanswered[id(request)] = request, self._way.connections.send(request, self._outcomes)
        self._way.count(requests=1)

    def _send_again(self) -> None:
        while self._again and self._again[0][0] <= time.monotonic():
            self._send(heapq.heappop(self._again)[2])

    def _wait_s(self) -> float:
        if self._again:
            return min(TICK_S, max(0.0, self._again[0][0] - time.monotonic()))
        return TICK_S if self._unanswered else 0.01  # another writer has all the room

    def _take(self, outcome: Outcome) -> None:
        request, answer = outcome.request, outcome.answer
        del self._unanswered[id(request)]
        table = self._tables[request.append.table]
        if answer.refusal is None:
            table.room.release()
            if self._way.on_append:
                self._way.on_append(outcome.seconds, len(request.rows), len(request.body))
        elif answer.row_errors:
            self._set_aside(table, request, answer.row_errors, answer.refusal)
        else:
            self._refused(request, answer.refusal, outcome.connection)

    def _set_aside(
        self, table: _Table, request: Request, row_errors: Sequence[tuple[int, str]], refusal: Refusal
    ) -> None:
        """None of the request was taken, and the list of bad rows may be incomplete. A row may have several errors."""
        named: dict[int, str] = {}
        for index, message in row_errors:
            if 0 <= index < len(request.places):
                named[index] = f"{named[index]}; {message}" if index in named else message
        if not named:
            table.room.release()
            raise refusal.error(request.append.table, 0.0)
        rejected, rest = request.without(named)
        table.rejected += rejected
        if rest is None:
            table.room.release()
        else:
            self._send(rest)

    def _refused(self, request: Request, refusal: Refusal, connection: Connection) -> None:
        now, table = time.monotonic(), request.append.table
        since = request.failing_since = now if request.failing_since is None else request.failing_since
        request.attempts += 1
        pause = _pause_s(request.attempts)
        if now + pause - since > min(refusal.patience_s, self._way.patience_s):
            self._tables[table].room.release()
            raise refusal.error(table, now - since)
        self._way.check_open()
        self._way.connections.retire(table, connection)
        if request.attempts > 1:  # a connection that is closed now and then is nothing to speak of
            code = refusal.storage_code or refusal.status
            self._way.say(f"rows of {table} are sent again in {pause:.1f} s: {code}: {refusal.message}")
        self._way.count(retries=1)
        heapq.heappush(self._again, (now + pause, next(self._count), request))

    def _give_up_on_the_silent(self) -> None:
        for connection in {connection for _, connection in self._unanswered.values()}:
            if connection.silent_s > self._way.answer_s:
                connection.cancel()


_BACK_OFF = tenacity.wait_random_exponential(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S)
_CALL = tenacity.Retrying()


def _pause_s(attempts: int) -> float:
    state = tenacity.RetryCallState(_CALL, None, (), {})
    state.attempt_number = attempts
    return float(_BACK_OFF(state))
