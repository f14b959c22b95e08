"""The rolled-up tables: the same analysis run on the shop's database, and on the warehouse's entries, row by row.

A row that differs is looked at again once the stream has passed the first look, for as long as it moves; one that shows
the same two sides twice differs. The tables as they were rolled up last are held against what the warehouse's entries
give: they must be equal, unless entries have come since.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeAlias

from pipeline.facts import ENTRIES_MARK
from pipeline.rollup import as_of_date, rollup_queries
from pipeline.verify.cells import GROUPS, Cell, Cells, Grain, RolledUpTable
from pipeline.verify.differences import natural_order
from pipeline.verify.looks import Looks
from pipeline.verify.options import Scope
from pipeline.verify.rows_of_tables import Reporter
from pipeline.verify.shop_sql import tables_read
from pipeline.verify.sides import Stored
from pipeline.verify.source_entries import source_entries, source_periods
from schemas.catalogue import read_tables
from schemas.config import ShopConfig
from schemas.errors import QueryError, SourceRefused
from schemas.source import rows

PAUSE_S = 0.2
GROUPS_SHOWN = 3
"""Groups of a table with a row per order that are read row by row, to show what differs in them."""
ALTERED = "the stored table is not what the warehouse's own entries give"
Pair: TypeAlias = tuple[Cell | None, Cell | None]
"""The database's row and the warehouse's."""


@dataclass(frozen=True)
class CellDifference:
    """A row of a rolled-up table: its grain, and per column the database's and the warehouse's value."""

    grain: dict[str, str | None]
    columns: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    kind: str = "differs"  # or missing, or surplus
    note: str = ""


@dataclass
class RollupResult:
    """`moving` rows changed at every look. `altered`: rows of the stored table that nothing explains; `behind`: those
    that are not what the entries give now, for entries have come since. `problem`: why it could not be compared.
    `unverified`: why it never is, which is no failure."""

    table: str
    as_of: dt.date
    rows: int = 0
    differences: list[CellDifference] = field(default_factory=list)
    more: int = 0
    moving: int = 0
    altered: list[CellDifference] = field(default_factory=list)
    behind: int = 0
    rolled_up: str = ""
    problem: str = ""
    hint: str = ""
    unverified: str = ""

    @property
    def differing(self) -> int:
        return len(self.differences) + self.more + len(self.altered)

    @property
    def equal(self) -> bool:
        return not (self.differing or self.problem)


class LastRollup(NamedTuple):
    """The table `rolled_up`."""

    as_of: dt.date
    rolled_up_at: dt.datetime
    entries_mark: str


def last_rollup(stored: Stored) -> LastRollup | None:
    """None where nothing has been rolled up yet."""
    try:
        return LastRollup(**stored.fetch("SELECT as_of, rolled_up_at, entries_mark FROM rolled_up")[0])
    except QueryError:  # there is no such table
        return None


def verify_rollup(
    looks: Looks, config: ShopConfig, as_of: dt.date | None, scope: Scope, reporter: Reporter
) -> Iterator[RollupResult]:
    """One result per rolled-up table. `as_of` None: the day of the last rollup, or today."""
    last = last_rollup(looks.stored)
    day = as_of or (last.as_of if last else as_of_date(None, config, dt.datetime.now(dt.timezone.utc)))
    connection = looks.source.connection
    catalogue = read_tables(connection, config.source_tables)
    entries = source_entries(catalogue, config, source_periods(partial(rows, connection), catalogue, config))
    apart: list[RollupResult] = []
    for name, sql in rollup_queries():
        reporter.advance(name, 0, 0)
        result = RollupResult(name, day)
        others = [table for table in tables_read(sql) if table != "ltv_entries"]
        if others:
            result.unverified = f"it reads {', '.join(others)}, not the entries alone"
            apart.append(result)
            continue
        try:
            table = RolledUpTable.of(name, sql, entries, day)
            _compare(result, table, looks, scope)
            if last is not None:
                _hold_against_entries(result, table, looks.stored, last, scope)
        except (QueryError, SourceRefused) as error:
            result.problem, result.hint = str(error), error.hint or ""
        yield result
    yield from apart


def _compare(result: RollupResult, table: RolledUpTable, looks: Looks, scope: Scope) -> None:
    deadline = time.monotonic() + looks.wait

    def theirs() -> Cells:
        return table.in_database(looks.source, looks.stored)

    found = theirs()
    result.rows = sum(int(dict(cell).get("rows") or 1) for cell in found.values())
    differing = _differing(found, table.in_entries(looks.stored))
    while differing:
        before = differing
        passed = looks.passing(theirs, deadline)
        now = _differing(passed.found, table.in_entries(looks.stored))
        differing = {key: pair for key, pair in now.items() if key in before}
        still = {key: pair for key, pair in differing.items() if before[key] == pair}
        late = time.monotonic() > deadline
        if late and len(still) < len(differing):  # and what has not moved since may be on its way as well
            result.moving, differing = len(differing), {}
        elif passed.doubt:
            result.problem, result.hint = (passed.doubt, passed.hint) if differing else ("", "")
            break
        elif len(still) == len(differing):
            break
        time.sleep(PAUSE_S)
    note = "unconfirmed" if result.problem else ""
    shown = _shown(table, differing, note, looks)
    result.differences, result.more = shown[: scope.limit], max(0, len(shown) - scope.limit)


def _shown(table: RolledUpTable, differing: dict[Grain, Pair], note: str, looks: Looks) -> list[CellDifference]:
    found = [_difference(table.key, key, pair, note) for key, pair in _sorted(differing)]
    if table.name not in GROUPS:
        return found
    groups = [key for key, _ in _sorted(differing)][:GROUPS_SHOWN]
    theirs, ours = table.rows_of(groups, looks.source, looks.stored)
    rows = [_difference(table.grain, key, pair, note) for key, pair in _sorted(_differing(theirs, ours))]
    return [*rows, *found[len(groups) :]] if rows else found


def _hold_against_entries(
    result: RollupResult, table: RolledUpTable, stored: Stored, last: LastRollup, scope: Scope
) -> None:
    """The stored table against the same query on the entries, as of the day that it was rolled up for."""
    differing = _differing(table.in_entries(stored, last.as_of), table.in_table(stored))
    result.rolled_up = f"{last.rolled_up_at:%Y-%m-%d %H:%M:%S}Z as of {last.as_of}"
    if stored.fetch(f"SELECT {ENTRIES_MARK} AS mark")[0]["mark"] != last.entries_mark:
        result.behind = len(differing)
    else:
        found = [_difference(table.key, key, pair, ALTERED) for key, pair in _sorted(differing)]
        result.altered = found[: scope.limit]


def _differing(theirs: Cells, ours: Cells) -> dict[Grain, Pair]:
    return {
        key: (theirs.get(key), ours.get(key)) for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key)
    }


def _sorted(pairs: dict[Grain, Pair]) -> list[tuple[Grain, Pair]]:
    return sorted(pairs.items(), key=lambda item: natural_order(item[0]))


def _difference(names: tuple[str, ...], key: Grain, pair: Pair, note: str) -> CellDifference:
    theirs, ours = (None if side is None else dict(side) for side in pair)
    named = dict(zip(names, key, strict=True))
    if theirs is None or ours is None:
        return CellDifference(named, {}, "missing" if ours is None else "surplus", note)
    columns = {name: (theirs[name], ours[name]) for name in theirs if theirs[name] != ours.get(name)}
    return CellDifference(named, columns, "differs", note)
