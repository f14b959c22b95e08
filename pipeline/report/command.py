"""`ltv-pipeline report`: the last rollup as one HTML file."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from dataclasses import dataclass

from pipeline.report.charts import charts
from pipeline.report.document import Problem
from pipeline.report.figures import read_document
from pipeline.report.output_file import OutputFile
from pipeline.report.page import page
from pipeline.rollup import as_of_date, rollup
from pipeline.warehouse import open_warehouse
from schemas.config import ShopConfig


@dataclass(frozen=True)
class Written:
    """`size` in bytes. `problems` are those that the page shows, too."""

    output: str
    size: int
    seconds: float
    problems: list[Problem]


def report(config: ShopConfig, output: str, orders_per_cell: int | None = None, *, roll_up: bool = False) -> Written:
    """Writes the page. Raises UsageError where it cannot be written, before anything is read; RollupOutdated, and what
    the warehouse raises."""
    config.need("warehouse")
    started = time.monotonic()
    with OutputFile(output) as file:
        now = dt.datetime.now(dt.timezone.utc)
        with contextlib.closing(open_warehouse(config, read_only=not roll_up)) as warehouse:
            if roll_up:
                rollup(warehouse, config, as_of_date(None, config, now))
            document = read_document(warehouse, config, now, orders_per_cell=orders_per_cell)
        made = page(document, charts())
        file.write(made)
    return Written(output, len(made), time.monotonic() - started, document["problems"])


def said(written: Written) -> list[str]:
    return [
        f"{written.output} written, {written.size / 1e6:,.2f} MB, in {written.seconds:.2f} s",
        *(f"{problem['level']}: {problem['text']} {problem['hint']}" for problem in written.problems),
    ]
