"""The rows of a group of changes as appends to their tables, and the dead letters of those that BigQuery refuses.

A refused row of `orders` leaves its ltv entry: the sums stay right, and putting the letter through again writes both.
It is a dead letter once, whichever of its table, its history and its entry was refused.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa

from pipeline.bigquery import ddl
from pipeline.bigquery.appends import Append, RejectedRow
from pipeline.bigquery.proto_rows import RowSchema
from pipeline.bigquery.tables import AGE, RawTables, arriving_type
from pipeline.changes import Changes, DeadRow, TableBatch
from pipeline.entries import ORIGINS
from pipeline.layout import Layout, stored_columns
from schemas.columns import STRING, ColumnType
from schemas.errors import WarehouseError
from schemas.tables import META_COLUMNS, OWN_TABLES

REFUSED = "refused"
"""The reason of dead letters that BigQuery did not take."""

_ENTRIES = RowSchema(OWN_TABLES["ltv_entries"])


@dataclass
class ArrivingRows:
    """Rows for one table, and the batches that they came of, in order. `main`: they are what the batches are."""

    append: Append
    batches: Sequence[TableBatch]
    main: bool = True

    def dead(self, row: RejectedRow) -> DeadRow:
        index = row.index
        for batch in self.batches:
            if index < batch.rows.num_rows:
                return _dead(batch, index, f"BigQuery refuses the row: {row.message}")
            index -= batch.rows.num_rows
        raise IndexError(row.index)


@dataclass
class Written:
    """What one `apply` has seen: dead letters by message and line, of which `before` came with the changes; and rows
    that were not taken."""

    dead: dict[tuple[str, int], DeadRow] = field(default_factory=dict)
    before: int = 0
    refused: int = 0

    @classmethod
    def of(cls, changes: Changes) -> Written:
        written = cls()
        for letter in changes.dead:
            written.keep(letter)
        written.before = len(written.dead)
        return written

    def keep(self, letter: DeadRow) -> None:
        self.dead.setdefault((letter.message_id, letter.line), letter)


class Arriving:
    """Makes tables ready for what comes."""

    def __init__(self, tables: RawTables) -> None:
        self._tables = tables

    def rounds(self, changes: Changes, written: Written, now: dt.datetime) -> list[list[ArrivingRows]]:
        """Rows of all tables: each table once in a round, and nearly always there is one round. What no table takes is
        among the dead letters of `written`. Raises WarehouseError."""
        found: list[ArrivingRows] = []
        for batches in _alike(changes.batches):
            found += self._rows(batches, written, now)
        if changes.entries:
            batches = [batch for batch in changes.batches if batch.layout.role in ORIGINS]
            found.append(ArrivingRows(entries_append(_stamped(changes.entries, now)), batches, main=False))
        rounds: list[list[ArrivingRows]] = []
        for rows in found:
            place = next((one for one in rounds if all(rows.append.table != other.append.table for other in one)), None)
            if place is None:
                rounds.append([rows])
            else:
                place.append(rows)
        return rounds

    def _rows(self, batches: list[TableBatch], written: Written, now: dt.datetime) -> Iterator[ArrivingRows]:
        rows = _stamped([batch.rows for batch in batches], now)
        layout = batches[0].layout
        for name, (columns, refusal) in self.ensured(layout).items():
            main = name == layout.table
            if refusal is None:
                yield ArrivingRows(self._append(name, columns, rows), batches, main)
            else:
                written.refused += _refuse(batches, refusal, written) if main else 0

    def ensured(self, layout: Layout) -> dict[str, tuple[dict[str, ColumnType], str | None]]:
        """The tables that the rows of a layout go into: their columns, and why they cannot. Where the table itself
        cannot take them, its history is not asked. Raises WarehouseError."""
        dataset, wanted, table = self._tables.client.dataset, stored_columns(layout), layout.table
        found = {table: (wanted, self._tables.ensure(table, wanted, layout.key, partial(ddl.create_view, dataset)))}
        if layout.role == "orders" and found[table][1] is None:
            columns, key = {"_op": STRING, **wanted}, (*layout.key, "_sequence")
            view = partial(ddl.create_history_view, dataset)
            found[f"{table}_history"] = (columns, self._tables.ensure(f"{table}_history", columns, key, view))
        return found

    def _append(self, table: str, wanted: Mapping[str, ColumnType], rows: pa.Table) -> Append:
        known = self._tables.columns_of(table)
        columns = {name: arriving_type(known.get(name), kind) for name, kind in {**wanted, **META_COLUMNS}.items()}
        return Append(table, RowSchema(columns), rows, rows["_sequence"].combine_chunks())

    def refused(
        self, rows: Sequence[ArrivingRows], rejected: Mapping[str, Sequence[RejectedRow]], written: Written
    ) -> None:
        """Keeps the dead letters of what BigQuery rejected of a round."""
        for one in rows:
            for row in rejected.get(one.append.table, ()):
                written.keep(one.dead(RejectedRow(row.index, self._with_way_out(row.message))))
                written.refused += one.main

    def _with_way_out(self, message: str) -> str:
        if self._tables.partition == "month" and "outside the allowed bounds" in message:
            return f"{message[:500]} ({AGE})"
        return message[:800]


def entries_append(entries: pa.Table) -> Append:
    """Rows of `ltv_entries`, in the sequence numbers of the rows that they were derived from."""
    return Append("ltv_entries", _ENTRIES, entries, entries["_sequence"].combine_chunks())


def _alike(batches: Sequence[TableBatch]) -> Iterator[list[TableBatch]]:
    """Those that have rows, by table, and as long as its columns stay the same together."""
    tables: dict[str, list[TableBatch]] = {}
    for batch in batches:
        if batch.rows.num_rows:
            tables.setdefault(batch.layout.table, []).append(batch)
    for of_table in tables.values():
        for _, alike in itertools.groupby(of_table, lambda batch: stored_columns(batch.layout)):
            yield list(alike)


def _stamped(tables: Sequence[pa.Table], now: dt.datetime) -> pa.Table:
    """All rows, in order of arrival, with the time at which they are written."""
    rows = pa.concat_tables(tables, promote_options="permissive") if len(tables) > 1 else tables[0]
    return rows.append_column("_written_at", pa.repeat(pa.scalar(now, pa.timestamp("us", "UTC")), rows.num_rows))


def _refuse(batches: Sequence[TableBatch], why: str, written: Written) -> int:
    """All rows of the batches among the dead letters; how many those are."""
    for batch in batches:
        for index in range(batch.rows.num_rows):
            written.keep(_dead(batch, index, why))
    return sum(batch.rows.num_rows for batch in batches)


def _dead(batch: TableBatch, index: int, error: str) -> DeadRow:
    if batch.origins is None:
        raise WarehouseError(error, table=batch.layout.table)
    return batch.origins.dead(index, REFUSED, error)
