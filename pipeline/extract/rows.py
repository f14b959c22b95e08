"""Records of an extract → changes: rows with their sequence numbers, and dead letters with the original bytes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.changes import Changes, DeadRow
from pipeline.column_values import ColumnValues
from pipeline.extract.fields import parse
from pipeline.extract.plan import TablePlan
from pipeline.extract.records import Record
from pipeline.layout import layouts
from pipeline.local_time import instant_and_date
from pipeline.origins import REFUSING
from pipeline.rows import RowProblem, Versions, columns_to_batch
from pipeline.values import ValueProblem
from pipeline.worker_letters import EXTRACT
from schemas.columns import warehouse_type
from schemas.config import ShopConfig
from schemas.sequence import extract_sequence


@dataclass(frozen=True)
class ExtractFile:
    """One file, and how it is read. Line n of it has the number `base` + n among all lines of its table's extracts."""

    path: str
    plan: TablePlan
    base: int
    names: tuple[str, ...]


class RecordsToChanges:
    """Makes changes of the records of one file, a piece at a time."""

    def __init__(self, file: ExtractFile, config: ShopConfig) -> None:
        self.file = file
        self.config = config
        self._places = {name: file.names.index(name) for name in (column.name for column in file.plan.read)}
        self._layouts = functools.lru_cache(100)(lambda schema: layouts(schema, config))

    def changes(self, records: Sequence[Record]) -> Changes:
        """n records → at most n rows, and a dead letter for each of the others."""
        changes = Changes()
        good = [record for record in records if not record.problem]
        changes.dead += [
            self.dead(record, RowProblem("not_a_record", record.problem)) for record in records if record.problem
        ]
        while good:
            bad = self._apply(good, changes)
            if not bad:
                break
            changes.dead += [self.dead(good[index], problem) for index, problem in sorted(bad.items())]
            good = [record for index, record in enumerate(good) if index not in bad]
        changes.dead.sort(key=lambda dead: dead.line)
        return changes

    def _apply(self, records: Sequence[Record], changes: Changes) -> dict[int, RowProblem]:
        """Adds the rows to `changes`, or none of them: then it returns what is wrong, by index."""
        plan = self.file.plan
        fields = list(zip(*(record.fields for record in records), strict=True))
        bad: dict[int, RowProblem] = {}
        values: dict[str, ColumnValues] = {}
        wires: dict[str, str] = {}
        for column in plan.read:
            name = column.name
            texts = list(fields[self._places[name]])
            values[name], problems, wires[name] = parse(column, texts, plan.reading.decimal_comma)
            for index, what in problems.items():
                bad.setdefault(index, RowProblem("value", f"{name}: {what}"))
        versions = self._versions(values, len(records), bad)
        if bad:
            return bad
        base = self.file.base
        numbered = zip(versions, (base + record.line for record in records), strict=True)
        sequences = [extract_sequence(version, number) for version, number in numbered]
        stamps = Versions(
            pa.repeat(pa.scalar("r"), len(records)), pa.array(sequences, pa.string()), pa.array(versions, pa.int64())
        )
        batches, zero_dates = [], 0
        for layout in self._layouts(plan.schema(wires)):
            batch, zeros, unfit = columns_to_batch(layout, values, stamps, self.config)
            bad.update(unfit)
            zero_dates += zeros
            batches.append(batch)
        if not bad:
            for batch in batches:
                if batch is not None:
                    refusing = str(self.config.warehouse).startswith(REFUSING)
                    batch.origins = _RecordOrigins(self, records) if refusing else None
                    changes.batches.append(batch)
            changes.zero_dates += zero_dates
        return bad

    def _versions(self, values: dict[str, ColumnValues], count: int, bad: dict[int, RowProblem]) -> list[int]:
        """Per row the instant of its version in microseconds since 1970; 0 where it has none."""
        column = self.file.plan.version
        if column is None:
            return [0] * count
        kind = warehouse_type(column.wire)
        times = values[column.name].without(values[column.name].zero_dates(kind))
        try:
            array = times.to_arrow(kind)
        except ValueProblem:
            for index, what in times.misfits(kind).items():
                bad.setdefault(index, RowProblem("value", f"{column.name}: {times.shown(index)} is no time: {what}"))
            return []
        zone = column.zone or self.config.time_zone
        instants = instant_and_date(array, zone, zone)[0].cast(pa.int64())
        for index in pc.indices_nonzero(pc.fill_null(pc.less(instants, 0), False)).to_pylist():
            bad.setdefault(index, RowProblem("value", f"{column.name}: {times.shown(index)} is before 1970"))
        found: list[int] = pc.fill_null(instants, 0).to_pylist()
        return found

    def dead(self, record: Record, problem: RowProblem) -> DeadRow:
        return DeadRow(
            message_id=self.file.path,
            line=record.line,
            table=self.file.plan.table,
            reason=problem.reason,
            error=problem.message[:1000],
            data=record.data,
            schema=b"",
            attributes={EXTRACT: self.file.path},
        )


@dataclass(frozen=True)
class _RecordOrigins:
    """The records that became the rows of a batch."""

    file: RecordsToChanges
    records: Sequence[Record]

    def dead(self, index: int, reason: str, error: str) -> DeadRow:
        return self.file.dead(self.records[index], RowProblem(reason, error))
