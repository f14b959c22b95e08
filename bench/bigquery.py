"""bigquery: orders → a server of the Storage Write API, into orders, history and ltv entries, by one process."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.command import Finished, run_command
from bench.loaded import loaded
from bench.messages import order_messages
from bench.results import Result, Target
from bench.scene import Scene
from demo.process import LOOPBACK, ServerFailed, ServerProcess, free_port
from demo.stack import PROJECT
from pipeline.bigquery.append_client import WRITE_EMULATOR

ROOT = Path(__file__).parents[1]
ROWS = 1_000_000
REPLAYED = 300_000  # the stand-in keeps every row of three tables as an object
MUST_REACH = 20_000.0
START_S = 30.0


def run(scene: Scene) -> Iterator[Result]:
    yield from _replayed(scene, scene.rows or REPLAYED)
    yield from _appended(scene, scene.rows or ROWS)


def _replayed(scene: Scene, rows: int) -> Iterator[Result]:
    """The whole pipeline: files of change events → BigQuery, an `orders` of a tenth first."""
    tenth = max(1, rows // 10)
    with _server(scene):
        early, finished = (_replay(scene, orders) for orders in (tenth, rows))
    yield Result(
        "bigquery",
        "replay, files → BigQuery",
        finished.rows_per_s,
        "rows/s",
        target=Target(MUST_REACH, aim=2 * MUST_REACH),
        note=f"orders, each a row of three tables; first to last flush, {finished.cpu_seconds:.1f} s of processor time",
    )
    yield Result(
        "bigquery",
        f"replay, peak memory, {rows:,} orders",
        finished.peak_rss / 1e6,
        "MB",
        early.peak_rss / 1e6,
        f"the same command with {tenth:,} orders",
        Target(1.1, of="ratio", most=True),
    )


def _appended(scene: Scene, rows: int) -> Iterator[Result]:
    """Rows in Arrow → BigQuery, without the pipeline around it."""
    tenth = max(1, rows // 10)
    scene.say(f"{tenth:,} orders are written by Google's AppendRowsStream, then {rows:,} by the pipeline's appends")
    baseline = _write(scene, "google", tenth).facts("done")
    finished = _write(scene, "ours", rows)
    done = finished.facts("done")
    what = "the same rows as protobuf's messages through google-cloud-bigquery-storage's AppendRowsStream, one by one"
    yield Result(
        "bigquery",
        "appends alone",
        done["orders_per_s"],
        "rows/s",
        baseline["orders_per_s"],
        what,
        note=f"{done['seconds']:.1f} s, in which the process took {done['cpu_seconds']:.1f} s of processor time",
    )
    yield Result(
        "bigquery",
        "appends, per second of processor time",
        rows / done["cpu_seconds"],
        "rows/s",
        tenth / baseline["cpu_seconds"],
        what,
    )
    yield Result(
        "bigquery",
        f"appends, memory after {rows:,} orders",
        done["rss"] / 1e6,
        "MB",
        done["rss_at_a_tenth"] / 1e6,
        "the same process after a tenth of them",
        Target(1.1, of="ratio", most=True),
        f"at most {finished.peak_rss / 1e6:,.0f} MB, sampled every 20 ms",
    )


@contextlib.contextmanager
def _server(scene: Scene) -> Iterator[None]:
    """The tests' BigQuery, as a process; its addresses are in this one's environment, too, for as long as it runs."""
    log = (scene.folder / "bigquery.log").open("wb")
    line = [sys.executable, "-m", "tests.bigquery"]
    pipe, paths = subprocess.PIPE, os.pathsep.join(str(ROOT / name) for name in (".", "tests/e2e"))
    environment = {**os.environ, "PYTHONPATH": paths}
    process = subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=log, env=environment, start_new_session=True)
    log.close()
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        if not said:
            raise ServerFailed(
                "the tests' BigQuery did not start", hint=(scene.folder / "bigquery.log").read_text()[-800:]
            )
        addresses: dict[str, str] = json.loads(said)
        os.environ.update(addresses)
        yield
        for name in addresses:
            del os.environ[name]
    finally:
        process.stdin.close()  # with which it ends
        process.wait(60)
        process.stdout.close()


@dataclass(frozen=True)
class Replayed:
    rows_per_s: float
    cpu_seconds: float
    peak_rss: int


def _replay(scene: Scene, orders: int) -> Replayed:
    """Into a dataset of its own. Raises ServerFailed where one of the tables does not have every order then."""
    shop = scene.shop(f"replay-{orders}", warehouse=f"bigquery:{PROJECT}.ltv_{orders}")
    path = shop.folder / "changes-00000001.jsonl"
    with path.open("wb") as file:
        for message in order_messages(orders):
            file.write(message.data + b"\n")
    scene.say(f"a file of {orders:,} orders, {path.stat().st_size / 1e6:.0f} MB, is replayed into BigQuery's stand-in")
    finished = shop.pipeline("replay", str(path))
    found = loaded(shop, orders)
    return Replayed(found.rows_per_s, finished.cpu_seconds, finished.peak_rss)


def _write(scene: Scene, way: str, orders: int) -> Finished:
    """Into a server of its own. Raises ServerFailed where one of the tables does not have every order then."""
    folder = scene.folder / way
    folder.mkdir()
    counts, port = folder / "counts.json", free_port()
    line = [sys.executable, "-m", "bench.bigquery_server", "--port", str(port), "--counts", str(counts)]
    server = ServerProcess("the Storage Write API", line, folder / "server.log")
    try:
        server.wait_until(lambda: _listens(port), START_S)
        environment = {**os.environ, WRITE_EMULATOR: f"{LOOPBACK}:{port}"}
        arguments = [way, "--orders", str(orders)]
        finished = run_command("bench.bigquery_writer", arguments, folder / "writer.log", environment)
    finally:
        server.terminate()
    _check(counts, orders, folder)
    return finished


def _check(counts: Path, orders: int, folder: Path) -> None:
    found = json.loads(counts.read_text(encoding="utf-8"))
    if set(found.values()) != {orders}:
        raise ServerFailed(f"{orders:,} orders were written, the server has {found}", hint=f"see {folder}")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0
