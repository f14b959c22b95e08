"""One source column of n rows, as change events or a query bring it: what both must answer to become a raw column."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from pipeline.values import TEMPORAL, is_zero_date, misfits, to_arrow
from schemas.columns import ColumnType
from schemas.config import Condition


class ColumnValues(Protocol):
    """n values, one a row. `kind` is always the warehouse type of the column."""

    def to_arrow(self, kind: ColumnType) -> pa.Array:
        """Raises ValueProblem where one does not fit, zero dates among them."""

    def zero_dates(self, kind: ColumnType) -> list[int]:
        """Their rows; none where the column has no dates."""

    def misfits(self, kind: ColumnType) -> dict[int, str]:
        """Row → what is wrong, for those values that do not fit by themselves."""

    def shown(self, row: int) -> str:
        """A value in a sentence, cut."""

    def without(self, rows: Collection[int]) -> ColumnValues:
        """The same with NULL in some rows."""

    def holds(self, condition: Condition) -> pa.Array:
        """Whether each value fulfils a condition, as `Condition.holds` decides it for the value in the event."""


@dataclass(frozen=True)
class EventValues:
    """Values as they stand in change events."""

    values: Sequence[Any]

    def to_arrow(self, kind: ColumnType) -> pa.Array:
        return to_arrow(self.values, kind)

    def zero_dates(self, kind: ColumnType) -> list[int]:
        if kind.kind not in TEMPORAL:
            return []
        return [row for row, value in enumerate(self.values) if is_zero_date(value)]

    def misfits(self, kind: ColumnType) -> dict[int, str]:
        return misfits(self.values, kind)

    def shown(self, row: int) -> str:
        return repr(self.values[row])[:80]

    def without(self, rows: Collection[int]) -> EventValues:
        gone = set(rows)
        return EventValues([None if row in gone else value for row, value in enumerate(self.values)])

    def holds(self, condition: Condition) -> pa.Array:
        return pa.array([condition.holds(value) for value in self.values], pa.bool_())
