"""The rolled-up tables: the same analysis run on the shop's database, and on the warehouse's rows, row by row.

A row that differs is looked at again once the stream has passed the first look, for as long as it moves; one that shows
the same two sides twice differs. The tables as they were rolled up last are held against what the views of that rollup
give: they must be equal, unless rows have come since.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeAlias

from pipeline.facts import ENTRIES_MARK
from pipeline.rollup import as_of_date
from pipeline.verify.analysis import Analysis, analysed
from pipeline.verify.cells import GROUPS, Cell, Cells, Grain, RolledUpTable
from pipeline.verify.differences import natural_order
from pipeline.verify.looks import Looks
from pipeline.verify.options import Scope
from pipeline.verify.rows_of_tables import Reporter
from pipeline.verify.shop_tables import ShopTables
from pipeline.verify.sides import Stored
from pipeline.verify.source_columns import COLLATIONS
from pipeline.verify.source_entries import source_periods
from pipeline.verify.source_facts import source_views
from schemas.catalogue import read_tables
from schemas.config import ShopConfig
from schemas.errors import QueryError, SourceRefused
from schemas.source import rows

PAUSE_S = 0.2
GROUPS_SHOWN = 3
"""Groups of a table with a row per order that are read row by row, to show what differs in them."""
ALTERED = "the stored table is not what the warehouse's own rows give"
WITHOUT_ENTRIES = {"item_facts": "order_items", "customer_segments": "customers"}
"""View → the raw table whose rows have no ltv entries that would tell when they came."""
SETTLED = dt.timedelta(minutes=10)
"""Rows are stamped before they can be seen, by less than this (`schemas/sql/cohort_changes.sql`)."""
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
    that are not what the rows give now, for rows have come since. `problem`: why it could not be compared.
    `unverified`: why it never is, which is no failure; `not_held`: why the stored table is held against nothing."""

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
    not_held: str = ""

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
    with closing(looks.source.another()) as source:
        fetch = partial(rows, source.connection)
        catalogue = read_tables(source.connection, config.source_tables)
        periods = source_periods(fetch, catalogue, config)
        views = source_views(catalogue, config, COLLATIONS[source.server.flavor], periods)
        shop = ShopTables(source, config.source_tables[0].split(".")[0], views.queries, analysed(), day)
        analysis = Analysis(views, config, looks.stored.warehouse, shop)
        refusals = {name: analysis.refusal(name) for name in analysis.queries}
        for name in (name for name, refusal in refusals.items() if not refusal):
            reporter.advance(name, 0, 0)
            result = RollupResult(name, day)
            try:
                table = analysis.table(name, day)
                _compare(result, table, shop, looks, scope)
                if last is not None:
                    _hold_against_views(result, table, looks.stored, last, scope)
            except (QueryError, SourceRefused) as error:
                result.problem, result.hint = str(error), error.hint or ""
            yield result
    yield from (RollupResult(name, day, unverified=refusal) for name, refusal in refusals.items() if refusal)


def _compare(result: RollupResult, table: RolledUpTable, shop: ShopTables, looks: Looks, scope: Scope) -> None:
    deadline = time.monotonic() + looks.wait

    def theirs() -> Cells:
        shop.forget()
        return table.in_database(shop, looks.stored)

    found = table.in_database(shop, looks.stored)
    result.rows = sum(int(dict(cell).get("rows") or 1) for cell in found.values())
    differing = _differing(found, table.in_rows(looks.stored))
    while differing:
        before = differing
        passed = looks.passing(theirs, deadline)
        now = _differing(passed.found, table.in_rows(looks.stored))
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
    shown = _shown(table, differing, note, shop, looks.stored)
    result.differences, result.more = shown[: scope.limit], max(0, len(shown) - scope.limit)


def _shown(
    table: RolledUpTable, differing: dict[Grain, Pair], note: str, shop: ShopTables, stored: Stored
) -> list[CellDifference]:
    found = [_difference(table.key, key, pair, note) for key, pair in _sorted(differing)]
    if table.name not in GROUPS:
        return found
    groups = [key for key, _ in _sorted(differing)][:GROUPS_SHOWN]
    theirs, ours = table.rows_of(groups, shop, stored)
    rows = [_difference(table.grain, key, pair, note) for key, pair in _sorted(_differing(theirs, ours))]
    return [*rows, *found[len(groups) :]] if rows else found


def _hold_against_views(
    result: RollupResult, table: RolledUpTable, stored: Stored, last: LastRollup, scope: Scope
) -> None:
    """The stored table against the same query on the views of the last rollup, as of its day."""
    result.rolled_up = f"{last.rolled_up_at:%Y-%m-%d %H:%M:%S}Z as of {last.as_of}"
    try:
        differing = _differing(table.in_views(stored, last.as_of), table.in_table(stored))
    except QueryError as error:  # it was made by another version, which had other tables or views
        result.not_held = f"the stored table does not compare until the next rollup: {error.message}"
        return
    if differing and _may_be_behind(table, stored, last):
        result.behind = len(differing)
    else:
        found = [_difference(table.key, key, pair, ALTERED) for key, pair in _sorted(differing)]
        result.altered = found[: scope.limit]


def _may_be_behind(table: RolledUpTable, stored: Stored, last: LastRollup) -> bool:
    """Whether the rollup may have seen less than there is now of what a table is made of."""
    if stored.fetch(f"SELECT {ENTRIES_MARK} AS mark")[0]["mark"] != last.entries_mark:
        return True
    raw = [WITHOUT_ENTRIES[view] for view in sorted(table.reads) if view in WITHOUT_ENTRIES]
    written = [stored.last_written(name) for name in raw]
    return any(at is not None and at >= last.rolled_up_at - SETTLED for at in written)


def _differing(theirs: Cells, ours: Cells) -> dict[Grain, Pair]:
    return {
        key: (theirs.get(key), ours.get(key)) for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key)
    }


def _sorted(pairs: dict[Grain, Pair]) -> list[tuple[Grain, Pair]]:
    return sorted(pairs.items(), key=lambda item: natural_order(item[0]))


def _difference(names: tuple[str, ...], key: Grain, pair: Pair, note: str) -> CellDifference:
    theirs, ours = (None if side is None else dict(side) for side in pair)
    named = dict(zip(names, key, strict=False))
    if theirs is None or ours is None:
        return CellDifference(named, {}, "missing" if ours is None else "surplus", note)
    columns = {name: (theirs[name], ours[name]) for name in theirs if theirs[name] != ours.get(name)}
    return CellDifference(named, columns, "differs", note)
