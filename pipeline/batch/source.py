"""Reads what is left of the tables, chunk by chunk: the source of the batch's graph.

Several connections read ahead, each chunk in a short transaction of its own, while the chunk before is written. Chunks
leave in key order, so that what is written is always all up to some key.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import apache_beam as beam
import pyarrow as pa

from pipeline.batch.chunks import Chunk, condition, cut
from pipeline.batch.loads import TableLoad
from pipeline.batch.result_set import fetch
from pipeline.batch.stamps import Stamp, Way, stamped_read
from pipeline.batch.tables import SourceTable, check_unaltered
from pipeline.progress import PROGRESS
from schemas.errors import LtvError, SourceRefused, SourceUnavailable
from schemas.identifiers import quoted_table
from schemas.source import rows, server_error_number

if TYPE_CHECKING:
    from pipeline.batch.stamps import Connection

LOG = logging.getLogger(__name__)
MAX_PAUSE_S = 20.0
TABLE_CHANGED = frozenset({1054, 1412, 1146})
"""Error numbers of a SELECT whose table was altered or dropped: unknown column, changed definition, no such table."""

Found = TypeVar("Found")


@dataclass(frozen=True)
class ReadChunk:
    """The rows of a chunk: pieces of an array per selected column."""

    of: TableLoad
    chunk: Chunk
    stamp: Stamp
    pieces: list[list[pa.Array]]


@dataclass(frozen=True)
class Reading:
    """How tables are read. `connect` logs in where they are read; a chunk is tried `tries` times before a lost
    connection ends the batch."""

    connect: Callable[[], Connection]
    way: Way
    parallel: int = 2
    chunk_rows: int | None = None
    rows_per_second: int | None = None
    tries: int = 8


class Reader:
    """The reading of `tables`; ends early, behind a whole chunk, when `stop` is set. Close it after use."""

    def __init__(self, tables: Sequence[TableLoad], reading: Reading, stop: threading.Event) -> None:
        self._tables, self._reading, self._stop = tables, reading, stop
        self._connections = Connections(reading.connect)
        self._throttle = Throttle(reading.rows_per_second, stop)
        self._pool = ThreadPoolExecutor(reading.parallel, "read")
        self._closed = False

    def read(self) -> Iterator[ReadChunk | TableLoad]:
        """The chunks of all tables, each table itself after its last one. Raises TableAltered, SourceRefused,
        SourceUnavailable."""
        underway: deque[Future[ReadChunk] | TableLoad] = deque()
        for one in self._tables:
            for chunk in () if one.complete else self._chunks(one):
                underway.append(self._pool.submit(self._read_chunk, one, chunk))
                while len(underway) > self._reading.parallel:
                    yield self._result(underway.popleft())
                if not self._throttle.wait():
                    break
            if self._stop.is_set():
                break
            underway.append(one)
        while underway:
            yield self._result(underway.popleft())

    def close(self) -> None:
        self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._connections.close()

    def _result(self, found: Future[ReadChunk] | TableLoad) -> ReadChunk | TableLoad:
        if isinstance(found, TableLoad):
            return found
        chunk = found.result()
        self._throttle.add(sum(len(piece[0]) for piece in chunk.pieces))
        return chunk

    def _chunks(self, one: TableLoad) -> Iterator[Chunk]:
        """`cut`, begun again behind its last chunk where the connection was lost."""
        table, after, first = one.table, one.after, one.first
        size = table.chunk_rows(self._reading.chunk_rows, self._reading.rows_per_second)
        more = True
        while more:
            last = Chunk(first - 1, None, after)
            chunk = self._tried(table, lambda last=last: self._next_chunk(table, size, last))  # type: ignore[misc]
            yield chunk
            after, first, more = chunk.upper, chunk.number + 1, chunk.upper is not None

    def _next_chunk(self, table: SourceTable, size: int, last: Chunk) -> Chunk:
        connection, first = self._connections.get(), last.number + 1
        return next(cut(connection, table.catalogue, size, after=last.upper, where=table.where, first=first))

    def _read_chunk(self, one: TableLoad, chunk: Chunk) -> ReadChunk:
        return self._tried(one.table, lambda: self._read_once(one, chunk))

    def _read_once(self, one: TableLoad, chunk: Chunk) -> ReadChunk:
        table, way = one.table, self._reading.way
        connection = self._connections.get()
        sql = (
            f"SELECT {table.select} FROM {quoted_table(table.catalogue.name)} FORCE INDEX (PRIMARY)"
            f" WHERE {condition(table.catalogue, chunk, table.where)}{way.suffix}"
        )
        with stamped_read(connection, way) as stamp:
            found = list(fetch(connection, sql))
            check_unaltered(connection, table)
        return ReadChunk(one, chunk, stamp, found)

    def _tried(self, table: SourceTable, attempt: Callable[[], Found]) -> Found:
        """What `attempt` gives, tried again with back-off while the connection is lost. A whole chunk is read again: of
        what was read of it before, nothing has been handed on."""
        pause = 0.5
        for left in range(self._reading.tries - 1, -1, -1):
            try:
                return attempt()
            except SourceRefused as error:
                self._connections.drop()
                if server_error_number(error) in TABLE_CHANGED:
                    check_unaltered(self._connections.get(), table)
                raise
            except SourceUnavailable as error:
                self._connections.drop()
                if not left or self._stop.is_set() or self._closed:
                    raise
                LOG.warning("trying again in %.1f s: %s", pause, error, extra={"table": table.name})
                self._stop.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause = min(MAX_PAUSE_S, pause * 2)
        raise AssertionError("the last try returns or raises")


class Connections:
    """One a thread, opened when it is needed and again after it broke."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._of_thread = threading.local()
        self._all: list[Connection] = []

    def get(self) -> Connection:
        connection: Connection | None = getattr(self._of_thread, "connection", None)
        if connection is None or not connection.open:
            connection = self._of_thread.connection = self._connect()
            self._all.append(connection)
            # In another mode a CHAR may come padded, and a division by zero in --where end the batch.
            rows(connection, "SET SESSION sql_mode = ''")
        return connection

    def drop(self) -> None:
        connection: Connection | None = getattr(self._of_thread, "connection", None)
        if connection is not None:
            self._of_thread.connection = None
            self._all.remove(connection)
            connection._force_close()  # type: ignore[attr-defined]

    def close(self) -> None:
        for connection in self._all:
            connection._force_close()  # type: ignore[attr-defined]


class Throttle:
    """So many rows a second at most, on average since the first; None: as fast as it goes."""

    def __init__(self, per_second: int | None, stop: threading.Event) -> None:
        self._per_second, self._stop = per_second, stop
        self._began, self._rows = time.monotonic(), 0

    def add(self, count: int) -> None:
        self._rows += count

    def wait(self) -> bool:
        """Until the next chunk may be read. False where the batch is to stop."""
        if self._per_second:
            self._stop.wait(max(0.0, self._began + self._rows / self._per_second - time.monotonic()))
        return not self._stop.is_set()


class ReadChunks(beam.DoFn):
    """What this process is to read → `ReadChunk`s, and each `TableLoad` behind its last."""

    def process(self, _: None) -> Iterator[ReadChunk | TableLoad]:
        assert _READER is not None
        try:
            yield from _READER.read()
        except LtvError as error:
            PROGRESS.failure = error
            raise


_READER: Reader | None = None


def share_reader(reader: Reader | None) -> None:
    """Makes it the one of this process: a DoFn is pickled, and a connection is not."""
    global _READER
    _READER = reader


def read_shared() -> beam.PTransform:
    return beam.Create([None], reshuffle=False) | "ReadTables" >> beam.ParDo(ReadChunks())
