"""Rows of one table → requests of a bounded size, a few at a time, and which rows of the table each of them has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.bigquery.proto_rows import RowSchema

REQUEST_BYTES = 8_000_000
"""Of a whole request. The reference says 20 MB, earlier 10 MB; larger than 1 MB is advised."""
NAMES_BYTES = 4_000
"""The most that project, dataset and table take in it."""
SLICE_ROWS = 30_000
SLICE_BYTES = 6_000_000
"""Rows are serialized so many at a time, by what they take in Arrow."""


@dataclass(frozen=True)
class RejectedRow:
    """A row that can never be written; `index` is its place among the rows that were handed over."""

    index: int
    message: str


@dataclass(frozen=True)
class Append:
    """Rows for one raw table, each an upsert, with their sequence numbers, or one for all.

    Requests that are sent again may overtake others: where rows of one key have the same sequence number, the later of
    which is to win, they belong into different writes.
    """

    table: str
    schema: RowSchema
    rows: pa.Table
    sequences: pa.Array | str


@dataclass
class Request:
    """Serialized rows, and their places in the append; and what has come of it so far."""

    append: Append
    rows: pa.Array
    places: npt.NDArray[np.int64]
    attempts: int = 0
    failing_since: float | None = None
    sent_at: float = 0.0

    @property
    def body(self) -> memoryview:
        """The rows' bytes, one after the other."""
        _, offsets, data = self.rows.buffers()
        first, last = np.frombuffer(offsets, np.int32)[[self.rows.offset, self.rows.offset + len(self.rows)]]
        return memoryview(data)[first:last] if data is not None else memoryview(b"")

    def followed_by(self, other: Request) -> Request:
        """The rows of both, as one request."""
        rows = pa.concat_arrays([self.rows, other.rows])
        return Request(self.append, rows, np.concatenate([self.places, other.places]))

    def without(self, row_errors: Mapping[int, str]) -> tuple[list[RejectedRow], Request | None]:
        """The rows that were refused, by their places in this request; and a request of the others."""
        rejected = [RejectedRow(int(self.places[index]), message) for index, message in sorted(row_errors.items())]
        left = np.ones(len(self.places), np.bool_)
        left[list(row_errors)] = False
        if not left.any():
            return rejected, None
        return rejected, Request(self.append, self.rows.filter(pa.array(left)), self.places[left])


def requests(append: Append, rejected: list[RejectedRow], request_bytes: int = REQUEST_BYTES) -> Iterator[Request]:
    """Serializes as it is asked. What can be in no request is added to `rejected`."""
    rows, limit = append.rows, request_bytes - append.schema.size - NAMES_BYTES
    step = min(SLICE_ROWS, max(1, SLICE_BYTES * rows.num_rows // max(1, rows.nbytes)))
    left: Request | None = None
    for start in range(0, rows.num_rows, step):
        part = rows.slice(start, step)
        sequences = append.sequences if isinstance(append.sequences, str) else append.sequences.slice(start, step)
        places = np.arange(start, start + part.num_rows)
        bad = append.schema.misfits(part)
        serialized = append.schema.in_request(part, sequences)
        sizes = np.diff(np.frombuffer(serialized.buffers()[1], np.int32)[serialized.offset :][: len(serialized) + 1])
        for index in np.flatnonzero(sizes > limit):
            bad[int(index)] = f"a row of {sizes[index]:,} bytes: BigQuery takes no request of more than {limit:,}"
        whole: Request | None = Request(append, serialized, places)
        if bad and whole is not None:
            found, whole = whole.without(bad)
            rejected += found
        if whole is not None:
            *full, left = _cut(whole if left is None else left.followed_by(whole), limit)
            yield from full
    if left is not None:
        yield left


def _cut(whole: Request, limit: int) -> Iterator[Request]:
    """Runs of rows, each as long as it may be."""
    ends = np.frombuffer(whole.rows.buffers()[1], np.int32)[whole.rows.offset :][: len(whole.rows) + 1]
    start = 0
    while start < len(whole.rows):
        end = int(np.searchsorted(ends, ends[start] + limit, side="right")) - 1
        yield Request(whole.append, whole.rows.slice(start, end - start), whole.places[start:end])
        start = end
