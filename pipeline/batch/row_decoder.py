"""Pieces of a source table's rows → changes, as the stream's decoder makes them of events with op r."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from pipeline.batch.charset_text import is_known
from pipeline.batch.text_values import TextColumn, TextValues, event_value
from pipeline.changes import Changes, DeadRow
from pipeline.layout import Layout
from pipeline.origins import REFUSING
from pipeline.rows import RowProblem, Versions, columns_to_batch
from pipeline.values import ValueProblem
from schemas.catalogue import CatalogueTable
from schemas.config import ShopConfig
from schemas.errors import UnsupportedColumn
from schemas.event import TableSchema, envelope

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


class RowDecoder:
    """For the columns of `schema`, in its order, as `select_list` selects them from `table`.

    Raises UnsupportedColumn where one has a character set that is not known.
    """

    def __init__(
        self, table: CatalogueTable, schema: TableSchema, layouts: Sequence[Layout], config: ShopConfig
    ) -> None:
        self._schema, self._layouts, self._config = schema, layouts, config
        known = {column.name: column for column in table.columns}
        self._columns = [TextColumn.of(known[name]) for name in schema.names]
        for column in self._columns:
            if not is_known(column.charset):
                raise UnsupportedColumn(
                    f"column {column.name} has a character set {column.charset} that cannot be decoded exactly",
                    table=table.name,
                    hint="exclude the column in shop.yaml, or convert it to utf8mb4",
                )

    def decode(self, piece: Sequence[pa.Array], source: Mapping[str, Any]) -> Changes:
        """One array of `fetch` a column. `source` is the source block of all their events: at least `sequence` and
        `ts_us`, the commit time in microseconds since 1970. What does not fit becomes dead letters; raises nothing."""
        changes = Changes(highest_epoch=str(source["sequence"])[:4])
        columns = [TextValues(column, array) for column, array in zip(self._columns, piece, strict=True)]
        while len(columns[0].array):
            batches, zero_dates, bad = self._batches(columns, source)
            if not bad:
                changes.batches, changes.zero_dates = batches, zero_dates
                if str(self._config.warehouse).startswith(REFUSING):
                    for batch in batches:
                        batch.origins = _PieceOrigins(self, columns, source)
                break
            changes.dead += [self.dead(columns, row, problem, source) for row, problem in sorted(bad.items())]
            good = np.ones(len(columns[0].array), np.bool_)
            good[list(bad)] = False
            columns = [values.keep(pa.array(good)) for values in columns]
        return changes

    def _batches(
        self, columns: list[TextValues], source: Mapping[str, Any]
    ) -> tuple[list[Any], int, dict[int, RowProblem]]:
        by_name = {values.column.name: values for values in columns}
        versions = Versions.alike("r", str(source["sequence"]), int(source["ts_us"]), len(columns[0].array))
        batches, zero_dates, bad = [], 0, dict[int, RowProblem]()
        for layout in self._layouts:
            batch, zeros, problems = columns_to_batch(layout, by_name, versions, self._config)
            bad.update(problems)
            zero_dates += zeros
            if batch is not None:
                batches.append(batch)
        return batches, zero_dates, bad

    def dead(self, columns: list[TextValues], row: int, problem: RowProblem, source: Mapping[str, Any]) -> DeadRow:
        """The event that the stream would send of the row. A value that no event can hold is left out of it, so that
        putting it through again cannot apply anything else."""
        values: dict[str, Any] = {}
        raw = {}
        for column in columns:
            raw[column.column.name] = text = column.array[row].as_py()
            try:
                values[column.column.name] = event_value(text, column.column)
            except ValueProblem:
                continue
        key = orjson.dumps([(raw[name] or b"").hex() for name in self._schema.primary_key])
        sequence, committed_us = str(source["sequence"]), int(source["ts_us"])
        line = envelope("r", None, values, {**source, "ts_ms": committed_us // 1000}, committed_us // 1000)
        committed = _EPOCH + dt.timedelta(microseconds=committed_us)
        attributes = {
            "table": self._schema.table,
            "events": "1",
            "schema": self._schema.fingerprint(),
            "first_sequence": sequence,
            "last_sequence": sequence,
            "committed_at": f"{committed:%Y-%m-%dT%H:%M:%S.%f}Z",
        }
        name = f"batch:{self._schema.table}:{hashlib.sha256(key).hexdigest()[:32]}"
        return DeadRow(
            name, 1, self._schema.table[:200], problem.reason, problem.message[:1000], line, self._schema.line(),
            attributes,
        )  # fmt: skip


@dataclass(frozen=True)
class _PieceOrigins:
    """The rows of one piece, as they were read. A warehouse that refuses none is not given them: they take memory."""

    decoder: RowDecoder
    columns: list[TextValues]
    source: Mapping[str, Any]

    def dead(self, index: int, reason: str, error: str) -> DeadRow:
        return self.decoder.dead(self.columns, index, RowProblem(reason, error), self.source)
