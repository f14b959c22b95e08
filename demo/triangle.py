"""The cohort triangle on a terminal: a row per cohort month, a column per month number, cumulated net LTV."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from rich import box
from rich.table import Table

SHOWN_MONTHS = (0, 1, 2, 3, 6, 12)
WIDE_MONTHS = (0, 1, 2, 3, 4, 5, 6, 9, 12, 15, 18, 21)
WIDE_COLUMNS = 130


def triangle(cells: Iterable[dict[str, Any]], changed: set[tuple[dt.date, int]], title: str, width: int) -> Table:
    """Cells of `ltv_cohorts` as a table; those in `changed` (cohort month, month number) stand out, open ones slant.

    Guests are left out here: each of their orders is a cohort member of its own and never comes back.
    """
    rows: dict[dt.date, dict[int, dict[str, Any]]] = {}
    for cell in cells:
        if not cell["is_guest"]:
            rows.setdefault(cell["cohort_month"], {})[cell["month_number"]] = cell
    longest = max((number for row in rows.values() for number in row), default=0)
    months = WIDE_MONTHS if width >= WIDE_COLUMNS else SHOWN_MONTHS
    shown = [number for number in months if number <= longest]
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("cohort", no_wrap=True, min_width=7)
    table.add_column("buyers", justify="right")
    for number in shown:
        table.add_column(str(number), justify="right", no_wrap=True)
    table.add_column("now", justify="right")
    for cohort, row in sorted(rows.items()):
        last = max(row)
        table.add_row(
            f"{cohort:%Y-%m}",
            f"{row[last]['customers']:,}",
            *(_money(row.get(number), (cohort, number) in changed) for number in shown),
            _money(row[last], (cohort, last) in changed),
        )
    return table


def _money(cell: dict[str, Any] | None, changed: bool) -> str:
    if cell is None:
        return ""
    text = f"{Decimal(cell['ltv']):,.0f}"
    if changed:
        return f"[bold green]{text}[/]"
    return f"[italic]{text}[/]" if cell["is_open"] else text
