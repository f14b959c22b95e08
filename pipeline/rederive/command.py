"""`ltv-pipeline rederive`: which settings changed, what the raw tables make of them, and all of that put in place."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.changes import DeadRow
from pipeline.extract.files import named_table
from pipeline.output import decimal_text
from pipeline.rederive.derivation import Derivation, differences
from pipeline.rederive.places import Derived, Staged, opened
from pipeline.rederive.role import Role, problem_of_types, role_of, untold
from pipeline.rederive.rows import Findings, RowsAnew
from pipeline.source_kinds import parse_kinds, setting_name
from pipeline.warehouse import StoredTable, Warehouse
from schemas.config import ShopConfig
from schemas.errors import SettingsChanged, WarehouseError
from schemas.tables import RAW

LOG = logging.getLogger(__name__)
MAX_DEAD = 10_000
"""More rows than this that lack an amount or a date are no slips: then `counted` does not mean what it should."""

Months = dict[dt.date, tuple[int, Decimal]]


@dataclass
class Rederived:
    """What a run did, or would do: lines of `differing` settings; month → number and amount of live entries; how many
    entries were derived, and `ended` since no row makes them any more; rows that are incomplete now; `skipped`: source
    table → times that may be up to an hour off; source tables to `load_again`."""

    differing: list[str] = field(default_factory=list)
    before: Months = field(default_factory=dict)
    after: Months = field(default_factory=dict)
    entries: int = 0
    ended: int = 0
    dead: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    load_again: list[str] = field(default_factory=list)


def rederive(config: ShopConfig, *, reload: Sequence[str] = (), dry_run: bool = False) -> Rederived:
    """Derives everything anew and takes over the settings; `orders_history` stays as it is.

    `reload`: source tables that are emptied, for a batch to read them again, since their raw tables cannot tell.
    Raises SettingsChanged naming them; then nothing has changed.
    """
    config.need("warehouse")
    emptied = {named_table(name, config) for name in reload}
    place = opened(config, LOG.warning)
    with contextlib.closing(place.warehouse) as warehouse:
        kept = warehouse.recall("derivation")
        if kept is None:
            return Rederived()
        old, new = Derivation.parse(kept), Derivation.of(config)
        done = Rederived(differences(old, new))
        if done.differing or emptied:
            if not dry_run:
                place.hold()
            with warehouse.fresh():
                _derive(_Run(config, warehouse, place.staging(), old, new, emptied, done), dry_run)
        return done


@dataclass(frozen=True)
class _Run:
    config: ShopConfig
    warehouse: Warehouse
    staging: Staged
    old: Derivation
    new: Derivation
    emptied: set[str]
    done: Rederived


def _derive(run: _Run, dry_run: bool) -> None:
    stored = run.warehouse.raw_tables()
    roles = _roles(run, stored)
    emptied = {role: table.name for role, table in run.new.tables.items() if table.name in run.emptied}
    added = {table.name for role, table in run.new.tables.items() if role not in run.old.tables and role not in stored}
    run.done.load_again += sorted({*emptied.values(), *added})
    staging = run.staging
    now = dt.datetime.now(dt.timezone.utc)
    staging.begin(roles)
    adopted = False
    try:
        dead = _stage(run, roles, staging, now)
        run.done.ended = staging.keep_others(list(emptied), now)
        if not dry_run:
            loading = sorted({load.table for load in run.warehouse.loads() if not load.done})
            staging.adopt(Derived(roles, emptied, run.new.settings, loading, dead, now))
            adopted = True
            run.done.load_again += [table for table in loading if table not in run.done.load_again]
    finally:
        if not adopted:
            staging.drop()


def _roles(run: _Run, stored: Mapping[str, StoredTable]) -> list[Role]:
    """The roles whose raw tables are there. Raises SettingsChanged where one of them cannot tell."""
    found, problems = [], {}
    for name, definition in run.new.tables.items():
        if name not in stored or definition.name in run.emptied:
            continue
        if name not in run.old.tables:
            problems[definition.name] = f"{name}: the table of that name is of older settings"
            continue
        kinds = {
            extract: parse_kinds(run.warehouse.recall(setting_name(name, extract=extract))) for extract in (False, True)
        }
        role = role_of(name, run.old, run.new, stored[name], kinds)
        reasons = [*untold(role), *run.staging.untold(role)]
        if not reasons and (problem := problem_of_types(role)):
            reasons.append(problem)
        if reasons:
            problems[definition.name] = f"{name}: {'; '.join(reasons)}"
        else:
            found.append(role)
    if problems:
        raise _cannot_tell(problems)
    return found


def _cannot_tell(problems: Mapping[str, str]) -> SettingsChanged:
    tables = " ".join(f"--reload {table}" for table in problems)
    return SettingsChanged(
        "the raw tables cannot tell what these settings ask: " + "; ".join(problems.values()),
        hint=f"`ltv-pipeline rederive {tables}` empties them, and"
        f" `ltv-pipeline batch {tables.replace('--reload', '--table')}` reads them again (or"
        " --extract, where they came from extracts); or put the settings back",
    )


def _stage(run: _Run, roles: Sequence[Role], staging: Staged, now: dt.datetime) -> list[DeadRow]:
    """Rows and entries anew, beside the old ones. Returns dead letters. Raises SettingsChanged, WarehouseError."""
    floors = _floors(run.warehouse)
    run.done.before = _months(run.warehouse)
    problems: dict[str, str] = {}
    dead: list[DeadRow] = []
    for role in roles:
        anew = RowsAnew(role, run.config)
        for piece in staging.pieces(role.role):
            rows = anew.anew(piece)
            entries = anew.entries(rows)
            if role.rows_change:
                staging.add(role.role, rows)
            staging.add_entries(entries, now)
            _count(entries, floors.get(role.role, ""), run.done.after)
            _refuse_many(role, anew.findings)
        run.done.entries += anew.findings.rows
        dead += anew.findings.dead
        run.done.skipped[role.new.name] = anew.findings.skipped
        if anew.findings.untold:
            rows_of = (
                f"of {anew.findings.untold:,} rows it is not known whether they were deleted or left out by `where`"
            )
            problems[role.new.name] = f"{role.role}: {rows_of}"
    if problems:
        raise _cannot_tell(problems)
    run.done.dead = len(dead)
    return dead


def _refuse_many(role: Role, findings: Findings) -> None:
    if len(findings.dead) > MAX_DEAD:
        first = findings.dead[0]
        raise WarehouseError(
            f"more than {MAX_DEAD:,} rows of {role.role} count as money now and are incomplete, such as"
            f" {first.message_id}: {first.error}",
            hint="is `counted` what was meant?",
        )


def _floors(warehouse: Warehouse) -> dict[str, str]:
    with warehouse.query(f"SELECT `table`, _sequence FROM {RAW}.floors") as reader:
        return {row["table"]: row["_sequence"] for row in reader.read_all().to_pylist()}


def _months(warehouse: Warehouse) -> Months:
    sql = "SELECT purchase_month, COUNT(*) AS entries, SUM(amount) AS amount FROM ltv_entries GROUP BY purchase_month"
    with warehouse.query(sql) as reader:
        return {row["purchase_month"]: (row["entries"], row["amount"]) for row in reader.read_all().to_pylist()}


def _count(entries: pa.Table, floor: str, months: Months) -> None:
    """Adds those that consumers will see."""
    seen = pc.and_(pc.invert(entries["_deleted"]), pc.greater_equal(entries["_sequence"], floor))
    grouped = entries.filter(seen).group_by("purchase_month").aggregate([("amount", "sum"), ("amount", "count")])
    for row in grouped.to_pylist():
        count, amount = months.get(row["purchase_month"], (0, Decimal()))
        months[row["purchase_month"]] = (count + row["amount_count"], amount + (row["amount_sum"] or 0))


def report(done: Rederived, *, dry_run: bool) -> list[str]:
    """What is printed of a run."""
    if not done.differing and not done.load_again:
        return ["the settings are those that the warehouse was derived with"]
    lines = list(done.differing)
    for month in sorted({*done.before, *done.after}):
        was, now = done.before.get(month, (0, Decimal())), done.after.get(month, (0, Decimal()))
        if was != now:
            amounts = f"{decimal_text(was[1])} → {decimal_text(now[1])}"
            lines.append(f"{month:%Y-%m}: entries {was[0]:,} → {now[0]:,}, amount {amounts}")
    would = "would be " if dry_run else ""
    lines.append(
        f"{done.entries:,} entries {would}derived anew, {done.ended:,} that no row makes any more {would}ended"
    )
    if done.dead:
        lines.append(f"{done.dead:,} rows count as money now and are incomplete: ltv-pipeline dead-letters")
    for table, count in done.skipped.items():
        if count:
            lines.append(
                f"{count:,} times of {table} stand where the clock of the old zone skipped an hour, and may be up to"
                f" that hour off: ltv-pipeline batch --table {table} reads them"
            )
    lines += [f"load {table} now: ltv-pipeline batch --table {table}" for table in done.load_again]
    return lines
