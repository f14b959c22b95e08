"""What travels through the graph: the decoded changes of a few messages, as Arrow tables, and what came beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from pipeline.layout import Layout


class Origins(Protocol):
    """Where the rows of a batch come from."""

    def dead(self, index: int, reason: str, error: str) -> DeadRow:
        """Row `index`, which the warehouse refuses, as a dead letter."""


@dataclass
class TableBatch:
    """The rows of one raw table that travel together, in order of arrival.

    `rows` has the stored columns of the layout, then `_op`, `_sequence`, `_deleted`, `_committed_at`. `origins` may be
    None where no warehouse is asked to take the rows.
    """

    layout: Layout
    rows: pa.Table
    origins: Origins | None = None


@dataclass(frozen=True)
class Floor:
    """All rows of `table` below `sequence` are gone."""

    table: str
    sequence: str


@dataclass(frozen=True)
class Reload:
    """Rows of the source table changed without row events at `sequence`: it must be loaded again."""

    table: str
    sequence: str
    reason: str


@dataclass(frozen=True)
class Arrival:
    """Message `number` of a worker's `run` has arrived; `committed_at` is in microseconds since 1970, UTC.

    The run goes on where message `after_number` of the run `after_run` was confirmed; "" where it follows none.
    """

    source: str
    run: str
    number: int
    last_sequence: str
    committed_at: int
    after_run: str = ""
    after_number: int = 0


@dataclass(frozen=True)
class DeadRow:
    """One line of a message that cannot be applied; line 0 is the whole message.

    `data` are its original bytes; `schema` is the schema line of its message, without which it could not be retried.
    """

    message_id: str
    line: int
    table: str | None
    reason: str
    error: str
    data: bytes
    schema: bytes
    attributes: dict[str, str]


@dataclass(frozen=True)
class Load:
    """A load of the source table `table` by `batch`, under way until the warehouse says that it is done.

    `fingerprint` is of what is read, and how; `sequence` of the place in the log before its first chunk; `whole`: of
    all rows, so that what it did not see is gone. `beside`: its rows stay beside the raw tables `targets`, which were
    empty, and become them at the end.
    """

    id: str
    table: str
    fingerprint: str
    sequence: str
    whole: bool
    targets: tuple[Layout, ...]
    beside: bool = False


@dataclass(frozen=True)
class LoadedChunk:
    """A part of a load, applied in one transaction with its rows: those above the key `lower` up to the key `upper`,
    as JSON; None: from the first row, to the last. `rows` were read, `dead` of them are dead letters."""

    load: Load
    number: int
    lower: str | None
    upper: str | None
    rows: int
    dead: int
    sequence: str


@dataclass
class Changes:
    """All that a group of messages says, or a chunk of a load, or that all chunks of the load `loaded` came before."""

    batches: list[TableBatch] = field(default_factory=list)
    entries: list[pa.Table] = field(default_factory=list)
    floors: list[Floor] = field(default_factory=list)
    reloads: list[Reload] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    dead: list[DeadRow] = field(default_factory=list)
    zero_dates: int = 0
    highest_epoch: str = ""
    chunk: LoadedChunk | None = None
    loaded: Load | None = None

    @property
    def events(self) -> int:
        return sum(batch.rows.num_rows for batch in self.batches)

    @property
    def nbytes(self) -> int:
        tables = [*(batch.rows for batch in self.batches), *self.entries]
        return sum(int(table.nbytes) for table in tables)
