"""A column of a query's result as `pipeline.column_values.ColumnValues`, and its values as the stream's events hold
them, which is slow and for dead letters."""

from __future__ import annotations

import functools
from base64 import b64encode
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.batch.expressions import selected_charset
from pipeline.batch.from_text import text_to_arrow
from pipeline.values import TEMPORAL, ZERO_DATE, ValueProblem
from schemas.catalogue import CatalogueColumn, wire_type
from schemas.columns import ColumnType, Kind, warehouse_type
from schemas.config import Condition
from schemas.singles import shortest_single


@dataclass(frozen=True)
class TextColumn:
    """What a query's column is: `type` in the words of `schemas/types.md`, `charset` that of the bytes it brings."""

    name: str
    type: str
    charset: str | None = None

    @classmethod
    def of(cls, column: CatalogueColumn) -> TextColumn:
        return cls(column.name, wire_type(column), selected_charset(column))


class TextValues:
    """n values of type binary, as `fetch` brings them."""

    def __init__(self, column: TextColumn, array: pa.Array) -> None:
        self.column, self.array = column, array

    @functools.cached_property
    def _arrow(self) -> pa.Array:
        return text_to_arrow(self.array, self.column.type, self.column.charset)

    def to_arrow(self, kind: ColumnType) -> pa.Array:
        return self._arrow

    def zero_dates(self, kind: ColumnType) -> list[int]:
        if kind.kind not in TEMPORAL:
            return []
        zero = pc.match_substring_regex(self.array.cast(pa.string()), f"^(?:{ZERO_DATE})")
        return [int(row) for row in pc.indices_nonzero(zero).to_pylist()]

    def misfits(self, kind: ColumnType) -> dict[int, str]:
        distinct = self.array.dictionary_encode()
        bad = dict(self._misfits(distinct.dictionary, 0))
        rows = pc.is_in(distinct.indices, value_set=pa.array(bad, distinct.indices.type))
        found = ((int(row), distinct.indices[row].as_py()) for row in pc.indices_nonzero(rows).to_pylist())
        return {row: bad[value] for row, value in found}

    def _misfits(self, values: pa.Array, first: int) -> list[tuple[int, str]]:
        """Halves what does not fit until single values are left."""
        try:
            text_to_arrow(values, self.column.type, self.column.charset)
        except ValueProblem as problem:
            if len(values) == 1:
                return [(first, str(problem))]
            half = len(values) // 2
            return self._misfits(values[:half], first) + self._misfits(values[half:], first + half)
        return []

    def shown(self, row: int) -> str:
        try:
            return repr(event_value(self.array[row].as_py(), self.column))[:80]
        except ValueProblem:
            return repr(self.array[row].as_py())[:80]

    def without(self, rows: Collection[int]) -> TextValues:
        gone = np.zeros(len(self.array), np.bool_)
        gone[list(rows)] = True  # taken, not masked: nothing of a value may stay behind its NULL
        return TextValues(self.column, self.array.take(pa.array(np.arange(len(gone)), mask=gone)))

    def keep(self, mask: pa.Array) -> TextValues:
        """The rows where `mask` is true."""
        return TextValues(self.column, self.array.filter(mask))

    def holds(self, condition: Condition) -> pa.Array:
        """Asks once for each distinct value."""
        distinct = self.array.dictionary_encode()
        held = [condition.holds(event_value(value, self.column)) for value in distinct.dictionary.to_pylist()]
        found = pa.array(held, pa.bool_()).take(distinct.indices)
        return pc.fill_null(found, condition.holds(None))


def event_value(text: bytes | None, column: TextColumn) -> Any:
    """One value as the stream's event holds it (`schemas/types.md`). Raises ValueProblem where it has no such form."""
    if text is None:
        return None
    kind = warehouse_type(column.type)
    try:
        if kind.kind is Kind.INT64 or (kind.kind is Kind.DECIMAL and not column.type.startswith("decimal")):
            return int(text)
        if kind.kind is Kind.DECIMAL:
            return text.decode("ascii")
        if kind.kind in (Kind.DATETIME, Kind.TIMESTAMP):
            moment, _, fraction = text.decode("ascii").replace(" ", "T").partition(".")
            return f"{moment}.{fraction:0<6}{'Z' if kind.kind is Kind.TIMESTAMP else ''}"
        if kind.kind is Kind.DATE:
            return text.decode("ascii")
        value = text_to_arrow(pa.array([text], pa.binary()), column.type, column.charset)[0].as_py()
    except ValueError as error:
        raise ValueProblem(str(error)) from error
    if kind.kind is Kind.FLOATS:
        return [shortest_single(number) for number in value]
    return b64encode(value).decode("ascii") if isinstance(value, bytes) else value
