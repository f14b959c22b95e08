"""Rows of a role's raw table as the new settings have them, and their ltv entries. Pure."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.changes import DeadRow, TableBatch
from pipeline.entries import derive_entries
from pipeline.layout import LOCAL_DATES
from pipeline.local_time import instant_and_date, local_date
from pipeline.output import text_of
from pipeline.rederive.role import Role
from pipeline.rows import incomplete
from pipeline.source_kinds import EXTRACT_PREFIX
from pipeline.values import as_text
from pipeline.worker_letters import REDERIVED
from schemas.columns import Kind
from schemas.config import DATE_COLUMNS, Condition, ShopConfig

_UTC = pa.timestamp("us", "UTC")


@dataclass
class Findings:
    """What was seen on the way. `untold`: rows of which it is not known whether they were deleted or left out;
    `skipped`: times that stand at the end of an hour that the clock skipped, so that they may have been within it."""

    rows: int = 0
    untold: int = 0
    skipped: int = 0
    dead: list[DeadRow] = field(default_factory=list)


class RowsAnew:
    """Makes new rows and entries of the pieces of one raw table."""

    def __init__(self, role: Role, config: ShopConfig) -> None:
        self.role = role
        self.config = config
        self.layout = role.layout()
        self.findings = Findings()

    def anew(self, rows: pa.Table) -> pa.Table:
        """The same rows under the new names, with other dates, deleted or not. n rows → n rows."""
        self.findings.rows += rows.num_rows
        if not self.role.rows_change:
            return rows
        role = self.role
        date = self._date(rows)
        columns: dict[str, pa.ChunkedArray | pa.Array] = {}
        for source, name in role.new_names.items():
            if name in DATE_COLUMNS:
                columns[name], columns[LOCAL_DATES[name]] = self._new_date(rows, source, date)
            elif role.old_names[source] in DATE_COLUMNS:
                columns[name] = date.plain(role)
            else:
                columns[name] = rows[role.old_names[source]]
        columns["_op"], columns["_deleted"] = self._fate(rows)
        if "_op" not in rows.column_names and role.new.where is None:
            del columns["_op"]
        for name in ("_sequence", "_committed_at", "_written_at"):
            columns[name] = rows[name]
        return pa.table(columns)

    def entries(self, rows: pa.Table) -> pa.Table:
        """The entries of new rows. One that counts as money and lacks a date or an amount is a dead letter, and its
        entry is deleted."""
        batch = TableBatch(self.layout, rows)
        entries = derive_entries(batch, self.config)
        assert entries is not None, "only roles with entries are derived"
        problems = incomplete(batch, self.config)
        if problems:
            bad = pa.array([index in problems for index in range(rows.num_rows)], pa.bool_())
            place = entries.schema.get_field_index("_deleted")
            entries = entries.set_column(place, "_deleted", pc.or_(entries["_deleted"], bad))
            for index, problem in problems.items():
                self.findings.dead.append(self._dead(rows.slice(index, 1), problem.reason, problem.message))
        return entries

    def _date(self, rows: pa.Table) -> _Date:
        name = next(name for name in self.role.old.columns if name in DATE_COLUMNS)
        log, extract = self.role.kinds[self.role.date_source(self.role.old)]
        is_extract = pc.starts_with(rows["_sequence"], EXTRACT_PREFIX)
        kinds = [next(iter(found), Kind.TIMESTAMP) for found in (log or extract, extract or log)]
        zone = self.role.zone(self.role.old, self.role.old_zone)
        found = _Date(rows[name], rows[LOCAL_DATES[name]], is_extract, (kinds[0], kinds[1]), zone, self.role.old_zone)
        if self.role.dates_change:
            self.findings.skipped += found.skipped()
        return found

    def _new_date(self, rows: pa.Table, source: str, date: _Date) -> tuple[pa.Array, pa.Array]:
        role = self.role
        zone = role.zone(role.new, role.new_zone)
        if not role.dates_change:
            return date.instants, date.dates
        if role.old_names[source] not in DATE_COLUMNS:
            return instant_and_date(rows[role.old_names[source]].combine_chunks(), zone, role.new_zone)
        return date.moved(zone, role.new_zone)

    def _fate(self, rows: pa.Table) -> tuple[pa.Array, pa.Array]:
        """(`_op`, `_deleted`) of each row."""
        old, new = self.role.old.where, self.role.new.where
        count = rows.num_rows
        op = rows["_op"] if "_op" in rows.column_names else pa.nulls(count, pa.string())
        if old == new:
            return op, rows["_deleted"]
        told = pa.repeat(pa.scalar(True), count) if old is None else self._holds(rows, old)
        # Without `_op` a row that `where` let through was deleted if it is; of one that it left out nothing is known.
        by_op, known = pc.equal(op, "d"), pc.is_valid(op)
        gone = pc.if_else(known, by_op, rows["_deleted"])
        outside = pa.repeat(pa.scalar(False), count) if new is None else pc.invert(self._holds(rows, new))
        uncertain = pc.and_(pc.and_(pc.invert(known), rows["_deleted"]), pc.invert(told))
        self.findings.untold += pc.sum(pc.and_(uncertain, pc.invert(outside)).cast(pa.int64())).as_py() or 0
        kept = pc.if_else(uncertain, pa.scalar(None, pa.string()), pc.if_else(gone, "d", "r"))
        return pc.coalesce(op, kept), pc.or_(gone, outside)

    def _holds(self, rows: pa.Table, condition: Condition) -> pa.Array:
        column = rows[self.role.old_names[condition.column]]
        if condition.is_null is not None:
            return pc.is_null(column) if condition.is_null else pc.is_valid(column)
        text = pc.utf8_trim_whitespace(as_text(column))
        listed = pc.is_in(text, value_set=pa.array(sorted(condition.values), pa.string()))
        return pc.and_(listed if condition.in_ is not None else pc.invert(listed), pc.is_valid(text))

    def _dead(self, row: pa.Table, reason: str, error: str) -> DeadRow:
        values = {name: None if value is None else text_of(value) for name, value in row.to_pylist()[0].items()}
        role = self.role.role
        data = json.dumps(values, ensure_ascii=False).encode()
        return DeadRow(
            f"{REDERIVED} {role} {values['id']}", 0, self.role.new.name, reason, error, data, b"", {REDERIVED: role}
        )


@dataclass(frozen=True)
class _Date:
    """The date of a role as its raw table keeps it: instants, dates in the shop's zone, and what they were made of."""

    instants: pa.ChunkedArray
    dates: pa.ChunkedArray
    is_extract: pa.ChunkedArray
    kinds: tuple[Kind, Kind]
    zone: str
    shop_zone: str

    def walls(self) -> pa.Array:
        """What a clock in the column's zone showed: what a DATETIME was, but where the clock skipped an hour."""
        return pc.local_timestamp(self.instants.combine_chunks().cast(pa.timestamp("us", self.zone)))

    def days(self) -> pa.Array:
        """What a DATE was."""
        return (
            self.dates.combine_chunks()
            if self.zone == self.shop_zone
            else local_date(_joined(self.instants), self.zone)
        )

    def moved(self, zone: str, shop_zone: str) -> tuple[pa.Array, pa.Array]:
        """The instants and dates that the same source values make in other zones."""
        found = []
        for kind in self.kinds:
            if kind is Kind.TIMESTAMP:
                found.append((_joined(self.instants), local_date(_joined(self.instants), shop_zone)))
            else:
                wall = self.days() if kind is Kind.DATE else self.walls()
                found.append(instant_and_date(wall, zone, shop_zone))
        (log_instants, log_dates), (instants, dates) = found
        if self.kinds[0] is self.kinds[1]:
            return log_instants, log_dates
        chosen = _joined(self.is_extract)
        return pc.if_else(chosen, instants, log_instants), pc.if_else(chosen, dates, log_dates)

    def plain(self, role: Role) -> pa.Array:
        """The source column as it is kept where it plays no part: an instant, a time or a day."""
        kind = self.kinds[0]
        return _joined(self.instants) if kind is Kind.TIMESTAMP else self.days() if kind is Kind.DATE else self.walls()

    def skipped(self) -> int:
        """How many wall-clock times are the first after a gap of the clock: it may have shown any of the gap."""
        of_clock = [kind is Kind.DATETIME for kind in self.kinds]
        if not any(of_clock):
            return 0
        walls = self.walls()
        before = pc.subtract(_joined(self.instants), pa.scalar(dt.timedelta(microseconds=1), pa.duration("us")))
        wall_before = pc.local_timestamp(before.cast(pa.timestamp("us", self.zone)))
        gap = pc.greater(pc.subtract(walls, wall_before), pa.scalar(dt.timedelta(microseconds=1), pa.duration("us")))
        if not all(of_clock):
            gap = pc.and_(gap, _joined(self.is_extract) if of_clock[1] else pc.invert(_joined(self.is_extract)))
        return int(pc.sum(gap.cast(pa.int64())).as_py() or 0)


def _joined(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
