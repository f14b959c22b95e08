"""`make soak`: ten minutes of load through database, worker, Pub/Sub and pipeline; memory must stay flat.

Flat: after the first two minutes a line through the worker's resident memory rises by less than 2 MB a minute, and so
does one through the pipeline's without what DuckDB accounts for (`duckdb_memory()`: blocks of the tables that grow, and
their key indexes). DuckDB rewrites its file now and then, and memory steps then: a soak that ends soon after shows a
slope that is none.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pymysql
from rich.console import Console

from bench.latency import entries_of, join_stream
from bench.load import Load
from bench.memory_curve import Curve
from bench.results import Result, Target, report
from bench.scene import Scene
from bench.timed_orders import TimedOrders
from bench.traffic import open_database
from demo.probe import quantile
from demo.process import ServerFailed
from demo.stack import Stack, shop_config
from pipeline.duckdb_server import RemoteSession
from pipeline.session import Statement
from schemas.console import print_error
from schemas.errors import LtvError

MINUTES = 10.0
SAMPLE_S, SAY_S, WARM_S = 5.0, 30.0, 120.0
FLAT_MB = 2.0
TIMED_EVERY_S, POLL_S = 1.0, 0.005
FIRST_TIMED = 900_000_000
CATCH_UP_S = 120.0
DUCKDB_MEMORY = "SELECT coalesce(sum(memory_usage_bytes), 0)::DOUBLE AS bytes FROM duckdb_memory()"
ORDERS = "SELECT count(*), coalesce(sum(amount), 0) FROM orders"
ENTRIES = (
    "SELECT (SELECT count(*) FROM orders WHERE status <> 'cancelled')"
    " + (SELECT count(*) FROM charges WHERE amount < 0),"
    " (SELECT sum(amount) FROM orders WHERE status <> 'cancelled')"
    " + (SELECT coalesce(sum(amount), 0) FROM charges WHERE amount < 0)"
)
COMPARED = {  # what: (asked of the database, asked of the warehouse)
    "orders": (ORDERS, ORDERS),
    "charges": (ORDERS.replace("orders", "charges"),) * 2,
    "ltv_entries": (ENTRIES, "SELECT count(*), sum(amount) FROM ltv_entries"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, however it went; 1 something failed, or warehouse and database differ; 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="default: 10")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON per result")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="ltv-soak-") as folder, contextlib.ExitStack() as running:
            results = list(_soak(Scene(Path(folder), console, running), 60 * options.minutes))
    except KeyboardInterrupt:
        console.print("\nstopped; nothing is left running")
        return 130
    except LtvError as error:
        print_error(error)
        return 1
    console.print(report(results))
    if options.json:
        for result in results:
            print(result.line())
    return 0


def _soak(scene: Scene, seconds: float) -> Iterator[Result]:
    database, emulator = scene.database(), scene.emulator()
    asking = scene.running.enter_context(contextlib.closing(open_database(database)))
    placing = scene.running.enter_context(contextlib.closing(open_database(database)))
    loading = scene.running.enter_context(contextlib.closing(open_database(database)))
    stack = scene.running.enter_context(Stack(scene.folder, shop_config(database.dsn(), 5501), emulator))
    worker, pipeline = stack.start_worker(), stack.start_pipeline()
    session = scene.running.enter_context(contextlib.closing(join_stream(stack)))
    probing = scene.running.enter_context(contextlib.closing(join_stream(stack)))
    curves = (Curve("worker", worker.pid), Curve("pipeline", pipeline.pid))
    timed = TimedOrders(placing, entries_of(probing), FIRST_TIMED, TIMED_EVERY_S, POLL_S)
    failed: list[Exception] = []

    def probe() -> None:
        try:
            timed.run(seconds - 1)
        except Exception as error:  # noqa: BLE001 - raised again in the main thread
            failed.append(error)

    prober = threading.Thread(target=probe, name="timed orders", daemon=True)
    load = Load(loading)
    load.prepare()
    began = time.monotonic()
    load.start()
    prober.start()
    try:
        _watch(scene, stack, session, curves, load, timed, began, seconds)
    finally:
        load.end()
    prober.join(timeout=30)
    if failed:
        raise failed[0]
    rate = load.rows / (time.monotonic() - began)
    yield Result("soak", "load", rate, "rows/s", note=f"for {seconds / 60:g} minutes; 2,000 rows/s were wanted")
    yield from _equal(stack, session, asking)
    yield from _growth(curves, seconds)
    note = f"{len(timed.seen)} orders timed, {timed.missing} not seen"
    for share, word in ((0.5, "median"), (0.99, "99th percentile"), (1.0, "longest")):
        yield Result("soak", f"commit → visible, {word}", quantile(timed.seen, share) * 1000, "ms", note=note)
        note = ""


def _watch(
    scene: Scene,
    stack: Stack,
    session: RemoteSession,
    curves: tuple[Curve, Curve],
    load: Load,
    timed: TimedOrders,
    began: float,
    seconds: float,
) -> None:
    """Samples every 5 s, says a line every 30 s, until the time is over. Raises where a process has ended."""
    said, rows, seen = 0.0, 0, 0
    while (now := time.monotonic() - began) < seconds:
        stack.require_alive()
        if load.error:
            raise load.error
        curves[0].sample(now)
        curves[1].sample(now, _ask(session, DUCKDB_MEMORY)[0])
        if now - said >= SAY_S:
            recent = timed.seen[seen:]
            seen += len(recent)
            scene.say(
                f"{now:4.0f} s  {(load.rows - rows) / (now - said):6,.0f} rows/s  worker {curves[0].rss / 1e6:.0f} MB"
                f"  pipeline {curves[1].rss / 1e6:.0f} MB, {curves[1].samples[-1][2] / 1e6:.0f} of them DuckDB's"
                f"  commit → visible median {quantile(recent, 0.5) * 1000:.0f} ms, longest"
                f" {max(recent, default=0.0) * 1000:.0f} ms"
            )
            said, rows = now, load.rows
        time.sleep(max(0.0, min(SAMPLE_S, seconds - (time.monotonic() - began))))


def _equal(stack: Stack, session: RemoteSession, asking: pymysql.connections.Connection[Any]) -> Iterator[Result]:
    """Count and sum of each, once all has arrived. Raises ServerFailed where they stay different."""
    for what, (ours, theirs) in COMPARED.items():
        with asking.cursor() as cursor:
            cursor.execute(ours)
            wanted = tuple(cursor.fetchall()[0])
        found: list[tuple[Any, ...]] = []

        def arrived(sql: str = theirs, wanted: tuple[Any, ...] = wanted, found: list[Any] = found) -> bool:
            found[:] = [_ask(session, sql)]
            return bool(found[0] == wanted)

        try:
            stack.wait_until(arrived, CATCH_UP_S, what)
        except ServerFailed as error:
            raise ServerFailed(
                f"{what}: {wanted} in the database, {found} in the warehouse", hint=error.hint
            ) from error
        note = f"equal in database and warehouse, count and sum: {wanted[1]:,}"
        yield Result("soak", what, float(wanted[0]), "rows", float(found[0][0]), note=note)


def _growth(curves: tuple[Curve, Curve], seconds: float) -> Iterator[Result]:
    warm = min(WARM_S, seconds / 3)
    flat = Target(FLAT_MB, most=True)
    for curve in curves:
        growth, explained = curve.growth(warm) / 1e6, curve.explained(warm) / 1e6
        yield Result(
            "soak",
            f"{curve.name}, growth" + (" without DuckDB's own" if curve.has_explained else ""),
            growth - explained,
            "MB/min",
            target=flat,
            note=f"after {warm:.0f} s; {growth:.2f} MB/min in all, {explained:.2f} of them DuckDB's;"
            f" {curve.rss / 1e6:.0f} MB at the end, {curve.peak / 1e6:.0f} at most",
        )


def _ask(session: RemoteSession, sql: str) -> tuple[Any, ...]:
    with session.read(Statement(sql)) as reader:
        return tuple(reader.read_all().to_pylist()[0].values())


if __name__ == "__main__":
    sys.exit(main())
