"""Later looks: is a row that differed still in flight, or does it differ?

A look reads rows of the database in a read that sees every transaction below a stamp A, then takes the log's position
B, waits until the stream has applied all below B, and reads the warehouse's rows. What the read saw was logged below B,
so it is applied. A row of the warehouse that still differs, and whose version is older than A, was not changed in
between: it differs. One whose version is newer may have changed since the read; it is looked at again.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from pipeline.applied import newest_applied
from pipeline.verify.differences import Difference, compare_row, natural_order
from pipeline.verify.sides import Source, Stored
from pipeline.verify.tables import ComparedTable, RowKey
from schemas.checkpoint import Place
from schemas.config import ShopConfig
from schemas.errors import SourceChanged
from schemas.sequence import binlog_number, format_sequence
from schemas.tables import RAW

POLL_S = 0.1
STANDSTILL_HEARTBEATS = 3
SHORTEST_STANDSTILL_S = 10.0
KEYS_A_LOOK = 5_000
CHANGES = 4
"""Looks, each of which found a row written anew, after which it is left alone: something changes it all the time."""
FEEDING = f"""SELECT source FROM {RAW}.arrivals WHERE last_sequence <> '' ORDER BY last_sequence DESC LIMIT 1"""

NO_STREAM = "nothing of a stream has arrived in this warehouse, so changes since it was loaded cannot be told apart"
STANDSTILL = "the stream stands still below the database's position {place}: changes in flight cannot be told apart"
LATE = "the stream had not passed the database's position {place} in time: changes in flight cannot be told apart"
NO_STREAM_HINT = "run `binlog-worker run` and `ltv-pipeline stream`, or load again with `ltv-pipeline batch`"
STANDSTILL_HINT = "run `binlog-worker run` and `ltv-pipeline stream`, and look into their logs if they do run"
LATE_HINT = "give it more time with --wait"


class Seen:
    """How often the warehouse's version of a row was a new one."""

    def __init__(self) -> None:
        self.version, self.times = "", 0

    def again(self, version: str) -> int:
        self.times += version > self.version
        self.version = version
        return self.times


@dataclass
class Judged:
    """`differences` are certain, unless `doubt` says why nothing is. `changing`: rows that a later change had written
    anew at each look, so that no two versions could be held against each other."""

    differences: list[Difference] = field(default_factory=list)
    settled: int = 0
    changing: int = 0
    doubt: str = ""
    hint: str = ""


Found = TypeVar("Found")


@dataclass(frozen=True)
class Passed(Generic[Found]):
    """`doubt`: why the stream may not have applied all of it."""

    found: Found
    doubt: str = ""
    hint: str = ""


class Looks:
    """`wait` seconds are the most that all looks at one table may take. `say` is told what is waited for.

    A stream that stood still once is waited for no more, until it moves.
    """

    def __init__(
        self, source: Source, stored: Stored, config: ShopConfig, wait: float, say: Callable[[str], None]
    ) -> None:
        self.source, self.stored, self.config, self.wait, self.say = source, stored, config, wait, say
        self._stood_at = ""  # how far the stream had come when it was found to stand still

    def judge(self, table: ComparedTable, keys: Collection[RowKey], deadline: float) -> Judged:
        """Until all `keys` are settled, or `deadline` (of `time.monotonic`)."""
        judged = Judged()
        waiting = {key: Seen() for key in sorted(keys, key=natural_order)}
        while waiting:
            before = len(waiting)
            for batch in _batches(waiting):
                self._look(table, batch, waiting, judged, deadline)
                if judged.doubt:
                    judged.differences += self._doubtful(table, waiting)
                    return judged
            if len(waiting) == before:
                time.sleep(POLL_S)
        return judged

    def _look(
        self, table: ComparedTable, keys: list[RowKey], waiting: dict[RowKey, Seen], judged: Judged, deadline: float
    ) -> None:
        """Takes those that are settled out of `waiting`."""
        applied = self._applied()
        if not applied:
            judged.doubt, judged.hint = NO_STREAM, NO_STREAM_HINT
            return
        epoch = int(applied[:4], 16)
        table = self._as_stored_now(table)
        with self.source.stamped() as (stamp, suffix):
            theirs = self.source.rows_of(table, keys, suffix)
        below, place = _sequence(epoch, stamp.file, stamp.position), self.source.place()
        judged.doubt, judged.hint = self._wait_for(_sequence(epoch, place.file, place.position), place, deadline)
        if judged.doubt:
            return
        ours, floor = self.stored.rows_of(table, keys)
        if self._as_stored_now(table) is not table:
            return
        for key in keys:
            stored = ours.get(key)
            difference = compare_row(table, key, theirs.get(key), stored)
            version = stored.version if stored else floor
            if difference is None:
                judged.settled += 1
            elif version < below:
                judged.differences.append(difference)
            elif waiting[key].again(version) >= CHANGES:
                judged.changing += 1
            else:
                continue
            del waiting[key]

    def _as_stored_now(self, table: ComparedTable) -> ComparedTable:
        """The stream makes tables, and columns."""
        stored = self.stored.columns(table.name)
        return table if stored == table.stored else replace(table, stored=stored)

    def _doubtful(self, table: ComparedTable, keys: Collection[RowKey]) -> list[Difference]:
        """What differs now, whatever that means."""
        found = []
        table = self._as_stored_now(table)
        for batch in _batches(keys):
            theirs = self.source.rows_of(table, batch)
            ours, _ = self.stored.rows_of(table, batch)
            compared = (compare_row(table, key, theirs.get(key), ours.get(key), "unconfirmed") for key in batch)
            found += [difference for difference in compared if difference is not None]
        return found

    def passing(self, read: Callable[[], Found], deadline: float) -> Passed[Found]:
        """What `read` finds in the database, after the stream has applied all that it saw."""
        applied = self._applied()
        if not applied:
            return Passed(read(), NO_STREAM, NO_STREAM_HINT)
        found, place = read(), self.source.place()
        wanted = _sequence(int(applied[:4], 16), place.file, place.position)
        return Passed(found, *self._wait_for(wanted, place, deadline))

    def _applied(self) -> str:
        return newest_applied(self.stored.warehouse, dt.datetime.now(dt.timezone.utc))

    def _wait_for(self, wanted: str, place: Place, deadline: float) -> tuple[str, str]:
        """Until the stream has applied everything below a sequence number. Else why it has not, and a hint."""
        patience = max(SHORTEST_STANDSTILL_S, STANDSTILL_HEARTBEATS * self.config.heartbeat_seconds)
        last, moved = "", time.monotonic()
        while (applied := self._applied()) < wanted:
            now = time.monotonic()
            if applied != last:
                last, moved = applied, now
            if applied == self._stood_at or now - moved > patience:
                self._stood_at = applied
                return STANDSTILL.format(place=place), STANDSTILL_HINT
            if now > deadline:
                return LATE.format(place=place), LATE_HINT
            self.say(f"waiting for the stream to pass {place}")
            time.sleep(POLL_S)
        return "", ""

    def check_source(self) -> None:
        """Raises SourceChanged where the stream is fed by another server: positions of two do not compare."""
        for row in self.stored.fetch(FEEDING):
            fed_by = str(row["source"] or "").rpartition(":")[0]
            if fed_by and fed_by != self.source.server.uuid:
                raise SourceChanged(
                    f"`source` is the server {self.source.server.uuid}, the stream is fed by {fed_by}",
                    hint="verify reads the server whose binlog the worker tails",
                )


def _sequence(epoch: int, file: str, position: int) -> str:
    return format_sequence(epoch, binlog_number(file)[1], position, 0)


def _batches(keys: Collection[RowKey]) -> list[list[RowKey]]:
    listed = list(keys)
    return [listed[first : first + KEYS_A_LOOK] for first in range(0, len(listed), KEYS_A_LOOK)]
