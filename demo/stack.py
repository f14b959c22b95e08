"""Everything that the demo, the end-to-end tests and the benchmarks run: database, emulator, worker and pipeline."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import yaml

from demo.process import ServerFailed, ServerProcess
from demo.pubsub import PubSubEmulator

if TYPE_CHECKING:
    from typing_extensions import Self

PROJECT = "local-shop"
MONEY_TABLES = {
    "orders": ("id", "customer_id", "ordered_at:order_date", "amount", "status", "country"),
    "order_items": ("id", "order_id", "product:name", "quantity", "unit_amount"),
    "charges": ("id", "order_id", "amount", "charged_at:created_at"),
}


def shop_config(
    source: str, server_id: int, *, database: str = "shop", topic: str = "changes", subscription: str = "ltv"
) -> dict[str, object]:
    """shop.yaml of the simulated shop, as plain values. Files are beside it."""
    tables: dict[str, object] = {}
    for role, columns in MONEY_TABLES.items():
        pairs = (column.partition(":") for column in columns)
        mapped = {name: source_name or name for name, _, source_name in pairs}
        tables[role] = {"name": f"{database}.{role}", "columns": mapped}
    tables["customers"] = {
        "name": f"{database}.customers",
        "columns": {"id": "id"},
        "segments": ["country", "channel"],
    }
    return {
        "source": source,
        "server_id": server_id,
        "project": PROJECT,
        "topic": topic,
        "subscription": subscription,
        "checkpoint": "checkpoint.json",
        "warehouse": "duckdb:ltv.duckdb",
        "time_zone": "Europe/Paris",
        "currency": "EUR",
        "counted": {"column": "status", "not_in": ["cancelled"]},
        "tables": tables,
        "segments": ["country"],
    }


class Stack:
    """A worker, a pipeline and a page of the folder's shop.yaml, as processes of their own that end with this one."""

    def __init__(self, folder: Path, config: dict[str, object], emulator: PubSubEmulator) -> None:
        self.folder = folder
        self.config_file = folder / "shop.yaml"
        self.config_file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        self.environment = {**os.environ, "PUBSUB_EMULATOR_HOST": emulator.host, "PYTHONUNBUFFERED": "1"}
        self.worker: ServerProcess | None = None
        self.pipeline: ServerProcess | None = None
        self.page: ServerProcess | None = None

    def start_worker(self, *arguments: str) -> ServerProcess:
        self.worker = self._start("binlog_worker", "run", *arguments)
        return self.worker

    def start_pipeline(self, *arguments: str) -> ServerProcess:
        self.pipeline = self._start("pipeline", "stream", *arguments)
        return self.pipeline

    def start_page(self, *arguments: str) -> str:
        """`ltv-pipeline serve` on a free port; its address, as soon as it answers."""
        page = self.page = self._start("pipeline", "serve", "--port", "0", *arguments, log="page")
        page.wait_until(lambda: "http://" in page.log.read_text(encoding="utf-8"), 60)
        lines = page.log.read_text(encoding="utf-8").splitlines()
        return next(line for line in lines if line.startswith("http://"))

    def _start(self, module: str, command: str, *arguments: str, log: str | None = None) -> ServerProcess:
        line = [sys.executable, "-m", module, command, "-c", str(self.config_file), *arguments]
        return ServerProcess(log or module, line, self.folder / f"{log or module}.log", self.environment)

    def require_alive(self) -> None:
        """Raises ServerFailed with the end of its log where one of them has ended."""
        for process in (self.worker, self.pipeline, self.page):
            if process is not None and not process.alive():
                process.wait_until(lambda: False, 1)

    def wait_until(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        """Polls `done` while both live. Raises ServerFailed after `seconds`."""
        deadline = time.monotonic() + seconds
        while not done():
            self.require_alive()
            if time.monotonic() > deadline:
                raise ServerFailed(f"{what}: not within {seconds:g} s", hint=f"see the logs in {self.folder}")
            time.sleep(0.02)

    def stop(self) -> None:
        for process in (self.page, self.worker, self.pipeline):
            if process is not None:
                process.terminate()
        self.worker = self.pipeline = self.page = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()
