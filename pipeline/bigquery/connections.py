"""Connections to the tables' default streams: one for each table, another when its schema is another.

The answers of a connection come in the order of its requests; each is handed to whoever sent the request. A connection
that has ended, as an idle one does after some minutes, is opened anew by the next request.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.bigquery.append_client import Answer, AppendCall, AppendClient, CallEnded
from pipeline.bigquery.append_requests import Request
from pipeline.bigquery.refusals import Refusal

if TYPE_CHECKING:
    from pipeline.bigquery.names import DatasetName
    from pipeline.bigquery.proto_rows import RowSchema

END_S = 1.0
"""For a server to end calls that have nothing more to say."""


@dataclass(frozen=True)
class Outcome:
    """What has come of one request, `seconds` after it was sent over `connection`."""

    request: Request
    answer: Answer
    seconds: float
    connection: Connection


Outcomes = queue.SimpleQueue[Outcome]


class Connection:
    """One call, its unanswered requests in order, and the thread that reads its answers."""

    def __init__(self, call: AppendCall, name: str, schema: RowSchema) -> None:
        self.schema = schema
        self._call = call
        self._lock = threading.Lock()
        self._unanswered: deque[tuple[Request, Outcomes]] = deque()
        self._closed = False  # takes no more requests
        self._heard_at = 0.0
        # a daemon: an answer that does not come must not keep the process from ending
        self._reader = threading.Thread(target=self._read, name=f"append-{name}", daemon=True)
        self._reader.start()

    @property
    def usable(self) -> bool:
        return not self._closed

    @property
    def ended(self) -> bool:
        return not self._reader.is_alive()

    @property
    def silent_s(self) -> float:
        """For how long there has been no answer, though one is due."""
        with self._lock:
            return time.monotonic() - self._heard_at if self._unanswered else 0.0

    def send(self, request: Request, outcomes: Outcomes) -> bool:
        """Its outcome will come, even when nothing else does. False, and none will: the connection is over."""
        with self._lock:  # a request is sent and waited for, or neither; both in one order
            if self._closed:
                return False
            request.sent_at = time.monotonic()
            if not self._unanswered:
                self._heard_at = request.sent_at
            self._unanswered.append((request, outcomes))
            self._call.send(request.body)
            return True

    def retire(self) -> None:
        """Takes no more requests; ends when those it has are answered."""
        with self._lock:
            self._closed = True
            if not self._unanswered:
                self._call.finish()

    def cancel(self) -> None:
        """Ends it now: the outcome of what is unanswered is CANCELLED."""
        self._call.cancel()

    def close(self, deadline: float) -> None:
        """In good order, if nothing is unanswered and the server does its part before `deadline`, a monotonic time."""
        with self._lock:
            unanswered = bool(self._unanswered)
        if not unanswered:
            self._reader.join(max(0.0, deadline - time.monotonic()))
        self._call.cancel()
        self._reader.join(END_S)

    def _read(self) -> None:
        refusal = Refusal("INTERNAL", "the thread that reads the answers failed")
        try:
            for answer in self._call.answers():
                if not self._answered(answer):
                    refusal = Refusal("INTERNAL", "an answer without a request")
                    self._call.cancel()
                    return
        except CallEnded as ended:
            refusal = ended.refusal
        finally:
            with self._lock:
                self._closed = True
                left = list(self._unanswered)
                self._unanswered.clear()
            for request, outcomes in left:
                self._tell(request, outcomes, Answer(refusal))

    def _answered(self, answer: Answer) -> bool:
        with self._lock:
            if not self._unanswered:
                return False
            request, outcomes = self._unanswered.popleft()
            self._heard_at = time.monotonic()
            if self._closed and not self._unanswered:
                self._call.finish()
        self._tell(request, outcomes, answer)
        return True

    def _tell(self, request: Request, outcomes: Outcomes, answer: Answer) -> None:
        outcomes.put(Outcome(request, answer, time.monotonic() - request.sent_at, self))


class Connections:
    """Those of this process, by table. Safe to use from several threads."""

    def __init__(self, client: AppendClient, dataset: DatasetName) -> None:
        self._client, self._dataset = client, dataset
        self._lock = threading.Lock()
        self._current: dict[str, Connection] = {}
        self._retired: list[Connection] = []
        self.opened = 0

    def send(self, request: Request, outcomes: Outcomes) -> Connection:
        """Opens a connection where there is none for the table and the schema: BigQuery asks for a new one when the
        schema is another («Handle schema updates»). Raises WarehouseUnavailable after `close`."""
        table, schema = request.append.table, request.append.schema
        connection = self._to(table, schema)
        while not connection.send(request, outcomes):
            connection = self._to(table, schema)
        return connection

    def _to(self, table: str, schema: RowSchema) -> Connection:
        with self._lock:
            connection = self._current.get(table)
            if connection is not None and connection.usable and connection.schema == schema:
                return connection
            self._retire(table)
            call = self._client.open(self._dataset.default_stream(table), schema)
            self._current[table] = Connection(call, table, schema)
            self.opened += 1
            return self._current[table]

    def retire(self, table: str, connection: Connection) -> None:
        """No more requests to this one: the next goes to a new one."""
        with self._lock:
            if self._current.get(table) is connection:
                self._retire(table)

    def _retire(self, table: str) -> None:
        self._retired = [connection for connection in self._retired if not connection.ended]
        connection = self._current.pop(table, None)
        if connection is not None:
            connection.retire()
            self._retired.append(connection)

    def close(self) -> None:
        """Ends all: those without an unanswered request in good order."""
        with self._lock:
            connections = [*self._current.values(), *self._retired]
            self._current.clear()
            self._retired.clear()
        for connection in connections:
            connection.retire()
        deadline = time.monotonic() + END_S
        for connection in connections:
            connection.close(deadline)
