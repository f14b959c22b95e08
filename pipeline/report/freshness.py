"""How fresh the figures are, as of the rollup; or, where the raw tables may be read, as of now, by the same query."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from pipeline.report.columns import instant
from pipeline.report.document import Freshness
from pipeline.report.rolled_up import NEEDED, RolledUp
from pipeline.rollup import SQL_FOLDER
from pipeline.warehouse import Warehouse

QUERY: Path = SQL_FOLDER / "freshness.sql"


def read_freshness(warehouse: Warehouse, rolled_up: RolledUp, is_stale: bool) -> Freshness | None:
    """The row of `freshness`."""
    return _freshness(warehouse, f"SELECT {', '.join(NEEDED['freshness'])} FROM freshness", {}, rolled_up, is_stale)


def freshness_now(warehouse: Warehouse, rolled_up: RolledUp, is_stale: bool) -> Freshness | None:
    """What the row would be if there were a rollup now."""
    text = QUERY.read_text(encoding="utf-8")
    return _freshness(warehouse, text, {"as_of": rolled_up.as_of}, rolled_up, is_stale)


def _freshness(
    warehouse: Warehouse, sql: str, parameters: dict[str, dt.date], rolled_up: RolledUp, is_stale: bool
) -> Freshness | None:
    with warehouse.query(sql, parameters) as reader:
        found: list[dict[str, Any]] = reader.read_all().to_pylist()
    if not found:
        return None
    row = found[0]
    return {
        "rolled_up_at": instant(rolled_up.rolled_up_at),
        "applied_at": instant(row["applied_at"]),
        "source_lag_seconds": row["source_lag_seconds"],
        "last_change_at": instant(row["last_change_at"]),
        "gaps": row["gaps"],
        "gap_since": instant(row["gap_since"]),
        "dead_letters": row["dead_letters"],
        "oldest_dead_letter_at": instant(row["oldest_dead_letter_at"]),
        "reloads_needed": row["reloads_needed"],
        "tables_to_reload": row["tables_to_reload"],
        "is_stale": is_stale,
    }
