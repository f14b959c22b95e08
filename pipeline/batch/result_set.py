"""The text protocol's result set → Arrow arrays, a piece of many rows at a time, column by column and never row by row.

Layout of a row: each value behind its length; a first byte below 0xFB is the length itself, 0xFB is NULL, and 2, 3 or 8
bytes of length follow 0xFC, 0xFD and 0xFE (MySQL source documentation «Text Resultset Row», «Length-Encoded Integer»).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.batch.answer import Answer, malformed
from pipeline.batch.binary_arrays import Bytes, Mask, Places, gathered
from pipeline.batch.packets import Rows
from schemas.result_stream import ResultStream

PIECE_ROWS = 50_000

_NULL = 0xFB
_LENGTH_BYTES = {0xFC: 2, 0xFD: 3, 0xFE: 8}


def fetch(
    connection: Any, sql: str, parameters: Sequence[object] | None = None, *, piece_rows: int = PIECE_ROWS
) -> Iterator[list[pa.Array]]:
    """Runs a query on one of `schemas.source.connect`'s connections; yields its rows in pieces of 1 to `piece_rows`.

    A piece is an array of type binary per column: the text that the server prints, NULL for NULL. The query is sent
    when the first piece is asked for. What is not asked for is not read, so the server waits; a generator that is
    closed before its end closes the connection. Raises SourceRefused and SourceUnavailable, also between two pieces.
    """
    stream = ResultStream(connection, sql, parameters)
    try:
        answer = Answer(stream)
        columns = answer.columns()
        for rows in answer.rows():
            for first in range(0, len(rows.starts), piece_rows):
                part = slice(first, first + piece_rows)
                yield arrays(Rows(rows.data, rows.starts[part], rows.ends[part]), columns)
    finally:
        stream.abort()


def arrays(rows: Rows, columns: int) -> list[pa.Array]:
    """The values of n rows, one array of n entries a column. Raises SourceUnavailable where they are no such rows."""
    first = int(rows.starts[0])
    data = rows.data[first : int(rows.ends[-1])]
    at, ends = rows.starts - first, rows.ends - first
    found = []
    for _ in range(columns):
        if (at >= ends).any():
            raise malformed("a row of too few columns")
        starts, at, null = _places(data, at, ends)
        found.append(gathered(data, starts, at, null))
    if not np.array_equal(at, ends):
        raise malformed("a row of too many columns")
    return found


def _places(data: Bytes, at: Places, ends: Places) -> tuple[Places, Places, Mask | None]:
    """Where one column's values begin and end, whose lengths are at `at`, and which are NULL, if any."""
    first = data[at]
    starts = at + 1
    if first.max() < _NULL:
        return starts, _checked(starts + first, ends), None
    null = first == _NULL
    length = np.where(null, 0, first).astype(np.int64)
    for mark, width in _LENGTH_BYTES.items():
        rows = np.flatnonzero(first == mark)
        if len(rows):
            _checked(starts[rows] + width, ends[rows])
            size = np.zeros(len(rows), np.int64)
            for byte in range(width):
                size |= data[starts[rows] + byte].astype(np.int64) << 8 * byte
            if size.min() < 0 or size.max() > len(data):
                raise malformed("a value longer than its row")
            starts[rows] += width
            length[rows] = size
    return starts, _checked(starts + length, ends), null if null.any() else None


def _checked(places: Places, ends: Places) -> Places:
    if (places > ends).any():
        raise malformed("a value longer than its row")
    return places
