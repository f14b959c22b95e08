"""Where a benchmark plays: a temporary folder, private servers, and shop.yaml files of their own for each command."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.console import Console

from bench.command import Finished, run_command
from demo.servers import MariaDB, PubSubEmulator, ensure_mariadb
from demo.stack import PROJECT, shop_config
from pipeline.warehouse import Warehouse, open_warehouse
from schemas.config_file import load_config

NOWHERE = "mysql://root@127.0.0.1:1"  # for commands that read no database


@dataclass
class Scene:
    """`rows` and `seconds` replace a benchmark's own sizes. All that `running` holds is stopped at the end."""

    folder: Path
    console: Console
    running: contextlib.ExitStack
    rows: int | None = None
    seconds: float | None = None

    def say(self, text: str) -> None:
        self.console.print(f"[dim]{text}[/]", highlight=False, soft_wrap=True)

    def database(self, *options: str) -> MariaDB:
        """`options` of the server besides those of the demo's."""
        ensure_mariadb()
        return self.running.enter_context(MariaDB(self.folder / "mariadb", options))

    def emulator(self) -> PubSubEmulator:
        """Also names it to this process's own Pub/Sub clients, for as long as it runs."""
        emulator = self.running.enter_context(PubSubEmulator(self.folder / "pubsub"))
        before = os.environ.get("PUBSUB_EMULATOR_HOST")
        os.environ["PUBSUB_EMULATOR_HOST"] = emulator.host
        self.running.callback(_put_back, before)
        return emulator

    def shop(self, name: str, source: str = NOWHERE, **settings: object) -> Shop:
        """A shop.yaml, with topic, subscription, checkpoint and warehouse of its own, and further `settings`."""
        folder = self.folder / name
        folder.mkdir()
        return Shop(folder, name, source, settings)


def _put_back(before: str | None) -> None:
    os.environ.pop("PUBSUB_EMULATOR_HOST", None)
    if before is not None:
        os.environ["PUBSUB_EMULATOR_HOST"] = before


class Shop:
    def __init__(self, folder: Path, name: str, source: str, settings: Mapping[str, object]) -> None:
        self.folder = folder
        self.project, self.topic, self.subscription = PROJECT, f"changes-{name}", f"ltv-{name}"
        self.config_file = folder / "shop.yaml"
        config = {**shop_config(source, 5501, topic=self.topic, subscription=self.subscription), **settings}
        self.config_file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")

    def worker(self, *arguments: str) -> Finished:
        """`binlog-worker run …` to its end."""
        return self._run("binlog_worker", "run", *arguments)

    def pipeline(self, command: str, *arguments: str) -> Finished:
        return self._run("pipeline", command, *arguments)

    def _run(self, module: str, command: str, *arguments: str) -> Finished:
        line = [command, "-c", str(self.config_file), *arguments]
        return run_command(module, line, self.folder / f"{module}.log", os.environ)

    def warehouse(self) -> Warehouse:
        return open_warehouse(load_config(self.config_file), read_only=True)
