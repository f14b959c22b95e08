"""What `verify` found: rows that differ, and how much was compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from pipeline.verify.sides import SourceRow, StoredRow
from pipeline.verify.tables import ComparedTable, RowKey

Kind = Literal["missing", "surplus", "differs"]
SHOWN = 120
"""Characters of a value that are printed."""


@dataclass(frozen=True)
class ColumnDifference:
    """The column's text on both sides; None is NULL."""

    name: str
    database: str | None
    warehouse: str | None


@dataclass(frozen=True)
class Difference:
    """A row that is not the same on both sides: missing in the warehouse, surplus there, or with other values.

    `note`: why, where that is known, or what speaks against believing it.
    """

    table: str
    source: str
    key: dict[str, str | None]
    kind: Kind
    columns: tuple[ColumnDifference, ...] = ()
    note: str = ""


@dataclass
class TableResult:
    """`rows` of the database were compared, of `total` or so. `in_flight` were equal at a later look.

    `changing` had been written anew by the stream at each look; `ranges` differ too and were not narrowed down.
    """

    table: str
    source: str
    rows: int = 0
    parts: int = 0
    whole: bool = True
    in_flight: int = 0
    differences: list[Difference] = field(default_factory=list)
    more: int = 0  # differing rows beyond --limit
    changing: int = 0
    database_seconds: float = 0.0  # that the checksums took the database
    ranges: int = 0
    problem: str = ""  # why it could not be compared
    hint: str = ""

    @property
    def differing(self) -> int:
        return len(self.differences) + self.more

    @property
    def equal(self) -> bool:
        return not (self.differing or self.ranges or self.problem)


def compare_row(
    table: ComparedTable, key: RowKey, source: SourceRow | None, stored: StoredRow | None, note: str = ""
) -> Difference | None:
    """What differs between a row of the database and the warehouse's; None: nothing. A row outside the role's `where`
    must not be in the warehouse."""
    theirs = source if source is not None and source.inside else None
    ours = stored if stored is not None and stored.live else None
    named = {text.name: part for text, part in zip(table.keys, key, strict=True)}
    if theirs is None and ours is None:
        return None
    if theirs is None or ours is None:
        kind: Kind = "missing" if ours is None else "surplus"
        return Difference(table.name, table.source.name, named, kind, note=note)
    columns = tuple(
        ColumnDifference(text.name, text.shown(wanted), text.shown(found))
        for text, value, found in zip(table.rows, theirs.values, ours.values, strict=True)
        if (wanted := text.expected(value)) != found
    )
    return Difference(table.name, table.source.name, named, "differs", columns, note) if columns else None


def natural_order(key: Iterable[str | None]) -> list[tuple[str, str]]:
    """Numbers by their size, other texts as they are, NULL first."""
    return [("", "") if part is None else (part.zfill(40) if part.isdigit() else part, part) for part in key]


def quoted(text: str | None) -> str:
    """On one line, bounded; NULL stands apart from the text NULL."""
    if text is None:
        return "NULL"
    cut = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    return "'" + cut.encode("unicode_escape").decode().replace("'", "\\'") + "'" if _odd(cut) else f"'{cut}'"


def _odd(text: str) -> bool:
    return not text.isprintable() or "'" in text or "\\" in text
