"""The first look: both sides' checksums of every part of a table, and the keys of the rows in those that differ.

Where both sides put the keys into the same order, which is so for one whole number, a part is a range of keys. All
other keys are dealt into buckets by the hash of their text, for no two servers collate alike; the database is still
read range by range, by its own order, and each range's buckets are added up.
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from pipeline.batch.chunks import Chunk, condition
from pipeline.verify.sides import NOTHING, Source, Stored, Sums
from pipeline.verify.tables import ComparedTable, RowKey

AHEAD = 4
"""Ranges under way: one side may run ahead of the other by so many."""
MOST_DIGITS = 4
MOST_LISTED = 500_000
"""Rows of one part whose hashes are fetched; a part may be that large where the warehouse has many that are surplus."""


@dataclass(frozen=True)
class Part:
    """Rows that are compared by one checksum: a range of keys, or (`bucket`) those of one hash bucket."""

    source: str = "TRUE"
    warehouse: str = "TRUE"
    parameters: dict[str, Any] = field(default_factory=dict, hash=False)
    bucket: str = ""


@dataclass
class Looked:
    """`parts` of the table were compared, of which `differing` are not equal; `rows`: the database's in them."""

    rows: int = 0
    parts: int = 0
    whole: bool = True
    differing: list[Part] = field(default_factory=list)


Advance = Callable[[int], None]
"""Told how many rows have been compared by now."""


class Walk:
    """The first look at one table. `share` of its parts are compared, all where it is 1."""

    def __init__(
        self,
        source: Source,
        stored: Stored,
        table: ComparedTable,
        *,
        chunk_rows: int,
        share: float = 1.0,
        rows: int = 0,
        advance: Advance = lambda rows: None,
    ) -> None:
        """`rows`: how many the table has, about."""
        self.source, self.stored, self.table = source, stored, table
        self.chunk_rows, self.share, self.advance = chunk_rows, share, advance
        self.digits = 1
        while 16**self.digits * chunk_rows < rows and self.digits < MOST_DIGITS:
            self.digits += 1

    def look(self) -> Looked:
        return self._ranges() if self.table.ranged else self._buckets()

    def narrow(self, parts: list[Part]) -> tuple[set[RowKey], bool]:
        """The keys of the rows that differ in `parts` now, and whether those are all of them."""
        if self.table.ranged:
            found: set[RowKey] = set()
            whole = True
            for part in parts:
                theirs = self.source.listing(self.table, part.source)
                keys, all_of_them = self._differing(theirs, part.warehouse, part.parameters)
                found |= keys
                whole &= all_of_them
            return found, whole
        buckets = [part.bucket for part in parts]
        theirs = {}
        for chunk in self._chunks():
            theirs.update(self.source.listing(self.table, condition(self.table.source, chunk), self.digits, buckets))
        return self._differing(theirs, "TRUE", {}, buckets)

    def _differing(
        self, theirs: dict[RowKey, int], where: str, parameters: dict[str, Any], buckets: list[str] | None = None
    ) -> tuple[set[RowKey], bool]:
        digits = self.digits if buckets else 0
        most = max(MOST_LISTED, 2 * len(theirs))
        ours = self.stored.listing(self.table, where, parameters, digits, buckets or (), most=most)
        if len(ours) < most:
            return {key for key, _ in theirs.items() ^ ours.items()}, True
        return {key for key, digest in ours.items() if theirs.get(key) != digest}, False

    # Ranges

    def _chunks(self) -> Iterator[Chunk]:
        return self.source.chunks(self.table, self.chunk_rows)

    def _ranges(self) -> Looked:
        looked = Looked(whole=self.share >= 1)
        chance = random.Random()  # noqa: S311 - a sample, no secret
        with ExitStack() as stack:
            theirs, ours = (stack.enter_context(ThreadPoolExecutor(1)) for _ in range(2))
            pending: deque[tuple[Part, Future[Sums], Future[Sums]]] = deque()

            def settle() -> None:
                part, wanted, found = pending.popleft()
                looked.parts += 1
                looked.rows += wanted.result().rows
                if wanted.result() != found.result():
                    looked.differing.append(part)
                self.advance(looked.rows)

            for chunk in self._chunks():
                last = chunk.upper is None and not looked.parts and not pending
                if chance.random() >= self.share and not last:
                    continue
                part = self._range(chunk)
                wanted = theirs.submit(self.source.sums, self.table, part.source)
                found = ours.submit(self.stored.sums, self.table, part.warehouse, part.parameters)
                pending.append((part, wanted, found))
                if len(pending) > AHEAD:
                    settle()
            while pending:
                settle()
        return looked

    def _range(self, chunk: Chunk) -> Part:
        parameters = {}
        if chunk.lower is not None:
            parameters["lower"] = self.table.number_parameter(int(chunk.lower[0]))
        if chunk.upper is not None:
            parameters["upper"] = self.table.number_parameter(int(chunk.upper[0]))
        within = self.table.warehouse_range(lower=chunk.lower is not None, upper=chunk.upper is not None)
        return Part(condition(self.table.source, chunk), within, parameters)

    # Buckets

    def _buckets(self) -> Looked:
        chosen = None
        if self.share < 1:
            names = ["".join(digits) for digits in itertools.product("0123456789abcdef", repeat=self.digits)]
            chosen = random.sample(names, max(1, round(len(names) * self.share)))
        theirs: dict[str, Sums] = {}
        rows = 0
        with ThreadPoolExecutor(1) as beside:
            found = beside.submit(self.stored.bucket_sums, self.table, self.digits, chosen)
            for chunk in self._chunks():
                within = condition(self.table.source, chunk)
                for bucket, sums in self.source.bucket_sums(self.table, within, self.digits, chosen).items():
                    theirs[bucket] = theirs.get(bucket, NOTHING) + sums
                    rows += sums.rows
                self.advance(rows)
            ours = found.result()
        differing = [
            Part(bucket=bucket)
            for bucket in sorted(theirs.keys() | ours.keys())
            if theirs.get(bucket, NOTHING) != ours.get(bucket, NOTHING)
        ]
        return Looked(rows, 16**self.digits if chosen is None else len(chosen), chosen is None, differing)
