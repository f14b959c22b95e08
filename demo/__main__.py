"""`make demo`: a simulated shop's binlog becomes the LTV of its cohorts, live, and is held against the shop itself."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.live import Live

from demo.oracle import CohortRow, cohorts, offset_ranges
from demo.probe import Probe, quantile
from demo.process import ServerFailed
from demo.servers import MariaDB, PubSubEmulator, ensure_mariadb
from demo.shop import TIME_ZONE, live, open_shop
from demo.stack import Stack, shop_config
from demo.triangle import triangle
from pipeline.applied import newest_applied
from pipeline.report.command import report
from pipeline.rollup import rollup
from pipeline.warehouse import Warehouse, open_warehouse
from schemas.config import ShopConfig
from schemas.config_file import load_config
from schemas.console import print_error
from schemas.errors import LtvError, Transient
from schemas.sequence import binlog_number, parse_sequence

CATCH_UP_S = 90.0
PER_SECOND = 40.0
REDRAW_S = 1.0
CELLS = "SELECT * FROM ltv_cohorts ORDER BY cohort_month, is_guest, month_number"


def main() -> int:
    options = _options()
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _demo(options, console)
    except KeyboardInterrupt:
        console.print("\nstopped; nothing is left running")
        return 130
    except LtvError as error:
        print_error(error)
        return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--live", action="store_true", help="go on until Ctrl-C")
    parser.add_argument("--seconds", type=float, default=20.0, help="of live traffic (default: 20)")
    parser.add_argument("--customers", type=int, default=2000, help="of the shop (default: 2000)")
    parser.add_argument(
        "--emulator", choices=("google", "drongo"), help="of Pub/Sub (default: Google's where it is installed)"
    )
    parser.add_argument("--folder", type=Path, default=Path("demo-data"), help="default: demo-data; made anew")
    return parser.parse_args()


def _demo(options: argparse.Namespace, console: Console) -> int:
    ensure_mariadb()
    folder: Path = options.folder.resolve()
    if folder.exists():
        if any(folder.iterdir()) and not (folder / "shop.yaml").exists():
            raise ServerFailed(f"{folder} is no folder of the demo", hint="name another with --folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as running:
        with console.status("starting a private MariaDB and the Pub/Sub emulator"):
            database = running.enter_context(MariaDB(folder / "mariadb"))
            emulator = running.enter_context(PubSubEmulator(folder / "pubsub", options.emulator))
            stack = running.enter_context(Stack(folder, shop_config(database.dsn(), 5501), emulator))
        console.print(f"MariaDB on port {database.port}, Pub/Sub emulator ({emulator.kind}) at {emulator.host}")
        return _run(options, console, database, stack)


def _run(options: argparse.Namespace, console: Console, database: MariaDB, stack: Stack) -> int:
    config = load_config(stack.config_file)
    with contextlib.closing(database.connect()) as connection:
        with console.status("two years of history are written"):
            started = time.monotonic()
            written = open_shop(connection, customers=options.customers)
            took = time.monotonic() - started
        console.print(f"{sum(written.values()):,} rows of history written in {took:.1f} s: {_listed(written)}")
        with console.status("worker and pipeline start, and catch up with the binlog"):
            started = time.monotonic()
            stack.start_worker()
            stack.start_pipeline()
            with contextlib.closing(_warehouse(stack, config)) as warehouse:
                opened = time.monotonic()
                _catch_up(stack, warehouse, connection)
                ended = time.monotonic()
        rows = sum(written.values())
        console.print(
            f"history in the warehouse {ended - started:.1f} s after the start of worker and pipeline:"
            f" {rows:,} changes, {rows / max(0.001, ended - opened):,.0f} rows/s once both ran"
        )
        with contextlib.closing(_warehouse(stack, config)) as warehouse:
            if options.live:
                _roll_up(warehouse, config)
                console.print(f"the page is live at {stack.start_page('--every', '1')}", highlight=False)
            done, visible = _traffic(options, console, database, stack, warehouse, config)
            with console.status("traffic has ended; the last changes arrive"):
                _catch_up(stack, warehouse, connection)
            console.print(f"live: {sum(done.values()):,} transactions: {_listed(done)}")
            if visible:
                console.print(
                    f"commit to visible in ltv_entries, {len(visible)} orders timed:"
                    f" median {quantile(visible, 0.5) * 1000:.0f} ms, 99th percentile"
                    f" {quantile(visible, 0.99) * 1000:.0f} ms"
                )
            equal = _compare(console, warehouse, config, connection)
        page = report(config, str(stack.folder / "report.html"))
        size = f"{page.size / 1e6:.1f} MB"
        console.print(f"\nthe page is {page.output} ({size}, in {page.seconds:.1f} s)", soft_wrap=True)
    console.print(f"\nthe warehouse is {config.duckdb_file}; try:", soft_wrap=True)
    command = f"{Path(sys.executable).parent}/ltv-pipeline query -c {stack.config_file}"
    console.print(f"  {command} 'SELECT * FROM ltv_monthly'", soft_wrap=True, highlight=False)
    return 0 if equal else 1


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in counts.most_common())


def _warehouse(stack: Stack, config: ShopConfig) -> Warehouse:
    """Beside the running stream, as soon as it shares its file."""
    found: list[Warehouse] = []

    def opened() -> bool:
        if not Path(f"{config.duckdb_file}.server").exists():
            return False
        with contextlib.suppress(Transient):
            found.append(open_warehouse(config, read_only=True))
        return bool(found)

    stack.wait_until(opened, 60, "the pipeline opens its warehouse")
    return found[0]


def _catch_up(stack: Stack, warehouse: Warehouse, connection: Any) -> None:
    """Waits until all that is committed by now is applied."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW MASTER STATUS")
        file, position = cursor.fetchall()[0][:2]
    target = (binlog_number(file)[1], int(position))

    def caught_up() -> bool:
        newest = newest_applied(warehouse, dt.datetime.now(dt.timezone.utc))
        return bool(newest) and parse_sequence(newest)[1:3] >= target

    stack.wait_until(caught_up, CATCH_UP_S, "the pipeline catches up")


def _traffic(
    options: argparse.Namespace,
    console: Console,
    database: MariaDB,
    stack: Stack,
    warehouse: Warehouse,
    config: ShopConfig,
) -> tuple[Counter[str], list[float]]:
    """Live traffic while the triangle moves; what was done, and times from commit to visible in seconds."""
    stop = threading.Event()
    done: Counter[str] = Counter()
    failed: list[Exception] = []
    zone = ZoneInfo(TIME_ZONE)

    def write() -> None:
        try:
            with contextlib.closing(database.connect(database="shop")) as connection:
                seconds = None if options.live else options.seconds
                done.update(live(connection, 2, per_second=PER_SECOND, seconds=seconds, stop=stop))
        except Exception as error:  # noqa: BLE001 - raised again in the main thread
            failed.append(error)

    writer = threading.Thread(target=write, name="traffic", daemon=True)
    with contextlib.closing(database.connect(database="shop")) as placing:
        probe = Probe(placing, warehouse, 0.2, lambda: dt.datetime.now(zone).replace(tzinfo=None, microsecond=0))
        writer.start()
        probe.start()
        try:
            with Live(console=console, refresh_per_second=4, transient=False) as shown:
                before: dict[tuple[dt.date, int], Any] = {}
                while writer.is_alive():
                    stack.require_alive()
                    before = _redraw(shown, warehouse, config, before, options.live)
                    writer.join(REDRAW_S)
        except KeyboardInterrupt:
            if not options.live:
                raise
            console.print("Ctrl-C: traffic ends")
        finally:
            stop.set()
            writer.join(timeout=10)
            probe.end()
    for error in (*failed, *filter(None, [probe.error])):
        raise error
    return done, probe.seen


def _redraw(
    shown: Live, warehouse: Warehouse, config: ShopConfig, before: dict[tuple[dt.date, int], Any], endless: bool
) -> dict[tuple[dt.date, int], Any]:
    if not endless:  # else the page's server does
        _roll_up(warehouse, config)
    cells = _cells(warehouse)
    now = {(cell["cohort_month"], cell["month_number"]): cell["ltv"] for cell in cells if not cell["is_guest"]}
    changed = {key for key, ltv in now.items() if before and before.get(key) != ltv}
    end = "Ctrl-C ends it" if endless else "live"
    title = (
        f"LTV by cohort and month number, net, cumulated, {config.currency}, at {dt.datetime.now():%H:%M:%S} ({end})"  # noqa: DTZ005
    )
    shown.update(triangle(cells, changed, title, shown.console.width))
    return now


def _roll_up(warehouse: Warehouse, config: ShopConfig) -> dt.date:
    """As of today, which it returns."""
    today = dt.datetime.now(ZoneInfo(config.time_zone)).date()
    rollup(warehouse, config, today)
    return today


def _cells(warehouse: Warehouse) -> list[dict[str, Any]]:
    with warehouse.query(CELLS) as reader:
        return [row for batch in reader for row in batch.to_pylist()]


def _compare(console: Console, warehouse: Warehouse, config: ShopConfig, connection: Any) -> bool:
    """Holds `ltv_cohorts` against the same analysis run in SQL on MariaDB itself."""
    today = _roll_up(warehouse, config)
    names = CohortRow._fields
    ours = [tuple(cell[name] for name in names) for cell in _cells(warehouse)]
    theirs = [tuple(row) for row in cohorts(connection, today, offsets=offset_ranges(TIME_ZONE))]
    differing = [(mine, shop) for mine, shop in zip(sorted(ours), sorted(theirs), strict=False) if mine != shop]
    if len(ours) == len(theirs) and not differing:
        total = sum(cell[names.index("revenue")] + cell[names.index("refunds")] for cell in ours)
        console.print(
            f"[bold green]equal[/]: all {len(ours):,} cells of ltv_cohorts, as MariaDB itself computes them;"
            f" they add up to {total:,.2f} {config.currency}"
        )
        return True
    console.print(f"[bold red]different[/]: {len(ours)} cells here, {len(theirs)} on MariaDB, {len(differing)} differ")
    for mine, shop in differing[:5]:
        console.print(f"  here    {mine}\n  MariaDB {shop}")
    return False


if __name__ == "__main__":
    sys.exit(main())
