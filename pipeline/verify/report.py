"""What is printed: a line per table and a line per difference, or a JSON object each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from pipeline.verify.differences import Difference, TableResult, quoted
from pipeline.verify.rolled_up import CellDifference, RollupResult


@dataclass
class Report:
    """All results so far."""

    tables: list[TableResult] = field(default_factory=list)
    rollups: list[RollupResult] = field(default_factory=list)

    def add(self, result: TableResult | RollupResult) -> None:
        if isinstance(result, TableResult):
            self.tables.append(result)
        else:
            self.rollups.append(result)

    @property
    def differing(self) -> bool:
        """Something certainly differs."""
        return any(table.differing and not table.problem for table in self.tables) or any(
            rollup.differing and not rollup.problem for rollup in self.rollups
        )

    @property
    def problems(self) -> list[str]:
        """What could not be told."""
        found: dict[str, list[str]] = {}
        for table in self.tables:
            found.setdefault(_doubt(table), []).append(table.source)
        for rollup in self.rollups:
            found.setdefault(rollup.problem, []).append(rollup.table)
        return [f"{', '.join(tables)}: {problem}" for problem, tables in found.items() if problem]

    @property
    def hint(self) -> str:
        hints = [*(table.hint for table in self.tables), *(rollup.hint for rollup in self.rollups)]
        return "; ".join(dict.fromkeys(hint for hint in hints if hint))

    def summary(self) -> str:
        parts = []
        if rows := sum(table.differing for table in self.tables):
            parts.append(f"{rows:,} row{'s' if rows != 1 else ''} differ{'s' if rows == 1 else ''}")
        if ranges := sum(table.ranges for table in self.tables):
            parts.append(f"{ranges:,} further ranges of rows differ")
        if cells := sum(rollup.differing for rollup in self.rollups):
            parts.append(f"{cells:,} rolled-up row{'s' if cells != 1 else ''} differ{'s' if cells == 1 else ''}")
        return "; ".join([*parts, *self.problems])


def _doubt(table: TableResult) -> str:
    if table.problem:
        return table.problem
    if table.ranges and not table.differing:
        return f"{table.ranges:,} ranges of rows differed at the first look and were not looked at again"
    return ""


def print_table(result: TableResult, form: str, out: IO[str]) -> None:
    if form == "json":
        for fields in _json_of_table(result):
            out.write(json.dumps(fields, ensure_ascii=False) + "\n")
        out.flush()
        return
    notes = (
        (result.differing, "rows differ"),
        (result.ranges, "further ranges differ at the first look"),
        (result.changing, "were changed all the time"),
        (result.in_flight, "were in flight"),
    )
    sample = "" if result.whole else " (a sample)"
    out.write(_headline(result, sample, [f"{count:,} {words}" for count, words in notes if count]))
    for difference in result.differences:
        for line in _lines(difference):
            out.write(f"  {line}\n")
    if result.more:
        out.write(f"  and {result.more:,} more rows; --limit prints more\n")
    if result.problem:
        out.write(f"  {result.problem}\n")
    out.flush()


def _headline(result: TableResult | RollupResult, sample: str, notes: Sequence[str]) -> str:
    verdict = "equal" if result.equal else "DIFFERENT"
    if result.problem:
        verdict = "unconfirmed" if result.differing else "not compared"
    return f"{result.table:28} {result.rows:>12,} rows{sample}  {verdict}{': ' if notes else ''}{', '.join(notes)}\n"


def _lines(difference: Difference) -> Iterator[str]:
    key = ", ".join(f"{name}={quoted(value)}" for name, value in difference.key.items())
    note = f"  ({difference.note[:300]})" if difference.note else ""
    what = {"missing": "missing in the warehouse", "surplus": "surplus in the warehouse", "differs": "differs"}
    yield f"{difference.table} {key}: {what[difference.kind]}{note}"
    for column in difference.columns:
        yield f"  {column.name}: database {quoted(column.database)}, warehouse {quoted(column.warehouse)}"


def _json_of_table(result: TableResult) -> Iterator[dict[str, object]]:
    for difference in result.differences:
        yield {
            "difference": difference.kind,
            "table": difference.table,
            "source": difference.source,
            "key": difference.key,
            "columns": {
                column.name: {"database": column.database, "warehouse": column.warehouse}
                for column in difference.columns
            },
            "note": difference.note,
        }
    yield {
        "table": result.table,
        "source": result.source,
        "equal": result.equal,
        "rows": result.rows,
        "whole": result.whole,
        "differing": result.differing,
        "in_flight": result.in_flight,
        "database_seconds": round(result.database_seconds, 3),
        "changing": result.changing,
        "ranges": result.ranges,
        "problem": result.problem,
    }


def print_rollup(result: RollupResult, form: str, out: IO[str]) -> None:
    cells = [*result.differences, *result.altered]
    if form == "json":
        for cell in cells:
            out.write(json.dumps({"difference": cell.kind, "table": result.table, **_json_of_cell(cell)}) + "\n")
        facts = {
            "table": result.table,
            "equal": result.equal,
            "as_of": str(result.as_of),
            "rows": result.rows,
            "differing": result.differing,
            "moving": result.moving,
            "behind": result.behind,
            "problem": result.problem,
            "unverified": result.unverified,
            "not_held": result.not_held,
        }
        out.write(json.dumps(facts, ensure_ascii=False) + "\n")
        out.flush()
        return
    if result.unverified:
        out.write(f"{result.table:28} not verified: {result.unverified}\n")
        out.flush()
        return
    notes = []
    if result.differing:
        notes.append(f"{result.differing:,} rows differ")
    if result.moving:
        notes.append(f"{result.moving:,} rows kept changing")
    if result.behind:
        behind = f"{result.behind:,} rows behind what the warehouse's rows give by now"
        notes.append(f"rolled up {result.rolled_up}, {behind}")
    if result.not_held:
        notes.append(result.not_held)
    out.write(_headline(result, "", notes))
    for cell in cells:
        grain = ", ".join(f"{name}={quoted(value)}" for name, value in cell.grain.items())
        what = {"missing": "missing in the warehouse", "surplus": "surplus in the warehouse"}.get(cell.kind, "differs")
        out.write(f"  {result.table} {grain}: {what}{f'  ({cell.note})' if cell.note else ''}\n")
        for name, (theirs, ours) in cell.columns.items():
            out.write(f"    {name}: database {quoted(theirs)}, warehouse {quoted(ours)}\n")
    if result.more:
        out.write(f"  and {result.more:,} more rows; --limit prints more\n")
    if result.problem:
        out.write(f"  {result.problem}\n")
    out.flush()


def _json_of_cell(cell: CellDifference) -> Mapping[str, object]:
    columns = {name: {"database": theirs, "warehouse": ours} for name, (theirs, ours) in cell.columns.items()}
    return {"grain": cell.grain, "columns": columns, "note": cell.note}
