"""report: a million orders of sixty cohorts and a thousand products in DuckDB → the analysis as one HTML file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from bench.five_years import write_extracts
from bench.results import Result, Target
from bench.scene import Scene, Shop
from pipeline.report.rolled_up import NEEDED
from tests.browser.timing import timing

ROWS = 1_000_000
RUNS = 3


def run(scene: Scene) -> Iterator[Result]:
    rows = scene.rows or ROWS
    shop = scene.shop("report")
    scene.say(f"{rows:,} orders of five years are written as CSV, loaded and rolled up")
    shop.pipeline("batch", "--extract", *write_extracts(shop.folder, rows))
    plain = _plain(shop)
    file = shop.folder / "report.html"
    runs = [shop.pipeline("report", "-o", str(file)) for _ in range(RUNS)]
    best = min(runs, key=lambda finished: finished.seconds)
    yield Result(
        "report",
        "the whole command",
        best.seconds,
        "s",
        plain,
        "SELECT * of the rolled-up tables that the page is made of, into Arrow",
        Target(5.0, most=True),
        f"the best of {RUNS}, with the start of the process; {best.cpu_seconds:.1f} s of processor time",
    )
    size = file.stat().st_size
    yield Result("report", "the file", size / 1e6, "MB", target=Target(3.0, most=True), note=f"{size:,} bytes")
    yield Result("report", "memory of the command", best.peak_rss / 1e6, "MB")
    scene.say("opened in Chromium")
    taken = timing(file)
    yield Result(
        "report",
        "from opening the file until it can be used",
        taken.interactive,
        "ms",
        target=Target(1000.0, most=True),
        note=f"Chromium, the median of five; another view is there {taken.next_view:.0f} ms after a click",
    )


def _plain(shop: Shop) -> float:
    """Seconds to read whole what the page shows a part of."""
    began = time.monotonic()
    with contextlib.closing(shop.warehouse()) as warehouse:
        for table, columns in NEEDED.items():
            with warehouse.query(f"SELECT {', '.join(columns)} FROM {table}") as reader:
                reader.read_all()
    return time.monotonic() - began
