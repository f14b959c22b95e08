"""replay: files of change events → DuckDB, into orders, their history and the ltv entries."""

from __future__ import annotations

from collections.abc import Iterator

from bench.loaded import loaded
from bench.messages import order_messages
from bench.parsing import parse_files
from bench.results import Result, Target
from bench.scene import Scene

ROWS = 300_000


def run(scene: Scene) -> Iterator[Result]:
    rows = scene.rows or ROWS
    shop = scene.shop("replay")
    path = shop.folder / "changes-00000001.jsonl"
    with path.open("wb") as file:
        for message in order_messages(rows):
            file.write(message.data + b"\n")
    scene.say(f"a file of {rows:,} orders, {path.stat().st_size / 1e6:.0f} MB, is replayed")
    finished = shop.pipeline("replay", str(path))
    found = loaded(shop, rows)
    baseline = parse_files([path])
    yield Result(
        "replay",
        "files → DuckDB",
        found.rows_per_s,
        "rows/s",
        baseline,
        "the same file parsed by orjson",
        Target(1 / 8, of="ratio", aim=1 / 4),
        f"first to last of {found.flushes} transactions, {found.last_at - found.first_at:.1f} s",
    )
    yield Result(
        "replay",
        "the whole command",
        rows / finished.seconds,
        "rows/s",
        baseline,
        "the same file parsed by orjson",
        note=f"{finished.seconds:.1f} s of wall time, {finished.cpu_seconds:.1f} s of processor time",
    )
    yield Result("replay", "start to first transaction", found.first_at - finished.began_at, "s")
    yield Result("replay", "peak memory", finished.peak_rss / 1e6, "MB")
