"""Compares the rows of every raw table: the first look, then later ones at what differed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.layout import LayoutProblem, layouts
from pipeline.verify.differences import TableResult, natural_order
from pipeline.verify.letters import explained
from pipeline.verify.looks import Looks
from pipeline.verify.options import Scope
from pipeline.verify.sides import Source, Stored
from pipeline.verify.tables import ComparedTable, RowKey
from pipeline.verify.walk import Looked, Part, Walk
from schemas.catalogue import read_tables, wire_schema
from schemas.config import ShopConfig
from schemas.errors import LtvError, Transient, UnsupportedKey, UsageError
from schemas.source import rows

MOST_KEYS = 20_000
"""Differing rows that are looked at again at once; ranges beyond wait for their turn."""


@dataclass
class Reporter:
    """Told how it goes: (table, rows compared, rows in all, or so), and what is waited for."""

    advance: Callable[[str, int, int], None] = lambda table, done, total: None
    say: Callable[[str], None] = lambda text: None


def compared_tables(source: Source, stored: Stored, config: ShopConfig, wanted: Sequence[str]) -> list[ComparedTable]:
    """Every raw table that a configured source table feeds, or those `wanted`. Raises UsageError, SourceRefused."""
    catalogue = read_tables(source.connection, config.source_tables)
    found, known = [], set()
    for name in config.source_tables:
        roles = [role for role, _ in config.roles_of.get(name, [])] or [name.split(".")[1].lower()]
        known |= {name, *roles}
        if wanted and name not in wanted and not set(roles) & set(wanted):
            continue
        table = catalogue.get(name)
        if table is None:
            raise UsageError(f"the database has no table {name}", hint="see `binlog-worker check`")
        if not table.primary_key:
            raise UnsupportedKey("the table has no primary key", table=name, hint="see `binlog-worker check`")
        try:
            every = layouts(wire_schema(table, config.published(name, table.column_names)), config)
        except LayoutProblem as problem:
            raise UsageError(str(problem), hint="see `binlog-worker check`") from problem
        found += [
            ComparedTable(layout, table, config, stored.columns(layout.table))
            for layout in every
            if not wanted or name in wanted or layout.table in wanted
        ]
    if unknown := sorted(set(wanted) - known):
        raise UsageError(f"shop.yaml names no table {', '.join(unknown)}", hint=f"there are {', '.join(sorted(known))}")
    return found


def verify_tables(looks: Looks, config: ShopConfig, scope: Scope, reporter: Reporter) -> Iterator[TableResult]:
    """One result per raw table. What stops one table alone is in its result. Raises what stops all."""
    for table in compared_tables(looks.source, looks.stored, config, scope.tables):
        result = TableResult(table.name, table.source.name)
        try:
            _verify(table, looks, scope, reporter, result)
        except Transient:
            raise
        except LtvError as error:
            result.problem, result.hint = str(error), error.hint or ""
        yield result


def _verify(table: ComparedTable, looks: Looks, scope: Scope, reporter: Reporter, result: TableResult) -> None:
    total = _about(looks.source, table)
    share = scope.sample.share(total)
    walk = Walk(
        looks.source,
        looks.stored,
        table,
        chunk_rows=scope.chunk_rows,
        share=share,
        rows=total,
        advance=lambda done: reporter.advance(table.name, done, max(done, round(total * share))),
    )
    before = looks.source.seconds
    looked = walk.look()
    result.database_seconds = looks.source.seconds - before
    result.rows, result.parts, result.whole = looked.rows, looked.parts, looked.whole
    if looked.differing:
        _settle(walk, looked, looks, scope, result)


def _settle(walk: Walk, looked: Looked, looks: Looks, scope: Scope, result: TableResult) -> None:
    """Narrows differing parts down to rows, and looks at those again, until all are settled or `limit` differ."""
    looks.check_source()
    deadline = time.monotonic() + looks.wait
    left = list(looked.differing)
    table = walk.table
    while left and result.differing < scope.limit:
        keys, left, cut_off = _next_keys(walk, left)
        judged = looks.judge(table, keys, deadline)
        result.in_flight += judged.settled
        result.changing += judged.changing
        room = max(0, scope.limit - len(result.differences))
        result.more += max(0, len(judged.differences) - room)
        result.differences += judged.differences[:room]
        result.ranges += cut_off and bool(judged.differences)
        if judged.doubt:
            result.problem, result.hint = judged.doubt, judged.hint
            break
    result.ranges += len(left)
    if result.differences:
        result.differences.sort(key=lambda difference: natural_order(difference.key.values()))
        letters = looks.stored.warehouse.dead_letters(table.source.name)
        result.differences = explained(result.differences, table, letters)


def _next_keys(walk: Walk, parts: list[Part]) -> tuple[set[RowKey], list[Part], bool]:
    """The keys of the next parts, the parts that are left, and whether some of their keys are not among them."""
    if not walk.table.ranged:
        keys, whole = walk.narrow(parts)
        return keys, [], not whole
    keys, cut_off = set(), False
    for index, part in enumerate(parts):
        found, whole = walk.narrow([part])
        keys |= found
        cut_off |= not whole
        if len(keys) >= MOST_KEYS:
            return keys, parts[index + 1 :], cut_off
    return keys, [], cut_off


def _about(source: Source, table: ComparedTable) -> int:
    """The server's own estimate of the table's rows."""
    sql = "SELECT table_rows FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
    found = rows(source.connection, sql, tuple(table.source.name.split(".", 1)))
    return int(found[0][0] or 0) if found else 0
