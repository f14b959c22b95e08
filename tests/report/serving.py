"""`ltv-pipeline serve` as a process of its own on a small DuckDB shop, and a browser's part of the talk."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from demo.process import ServerProcess
from pipeline.duckdb_warehouse import DuckDBWarehouse, open_duckdb
from tests.builders import MAPPED, apply, by_words, shop

SECONDS = 30.0
WORDS = ["order 1 2022-01-13 1 150", "order 2 2022-01-13 2 75", "charge 1 1 150 2022-01-13", "order 3 2022-02-01 - 5"]


class ServedShop:
    """A folder with shop.yaml and a DuckDB file; nothing holds the file between two uses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = str(folder / "ltv.duckdb")
        self.config = shop(warehouse=f"duckdb:{self.path}")
        self._words = list(WORDS)
        settings = {
            "time_zone": "Europe/Paris",
            "currency": "EUR",
            "counted": {"column": "status", "not_in": ["cancelled"]},
            "tables": MAPPED,
            "warehouse": "duckdb:ltv.duckdb",
        }
        (folder / "shop.yaml").write_text(yaml.safe_dump(settings))
        with self.opened() as warehouse:
            apply(warehouse, self.config, *by_words(self._words))

    @contextlib.contextmanager
    def opened(self, **how: Any) -> Iterator[DuckDBWarehouse]:
        with contextlib.closing(open_duckdb(self.path, **how)) as warehouse:
            yield warehouse

    def write(self, line: str, warehouse: DuckDBWarehouse | None = None) -> None:
        """A further change."""
        self._words.append(line)
        messages = by_words(self._words)[-1:]
        if warehouse is not None:
            apply(warehouse, self.config, *messages)
            return
        with self.opened(hold=True) as opened:
            apply(opened, self.config, *messages)


class Served:
    def __init__(self, shop: ServedShop, arguments: Sequence[str] = ()) -> None:
        self.shop = shop
        self.log = shop.folder / f"serve-{time.monotonic_ns()}.log"
        line = [
            sys.executable,
            "-m",
            "pipeline",
            "serve",
            "-c",
            str(shop.folder / "shop.yaml"),
            "--port",
            "0",
            *arguments,
        ]
        self.process = ServerProcess("serve", line, self.log, {**os.environ, "PYTHONUNBUFFERED": "1"})
        self.process.wait_until(lambda: "http://" in self.log.read_text(), SECONDS)
        (self.address,) = (word for word in self.log.read_text().split() if word.startswith("http://"))
        self.client = httpx.Client(base_url=self.address, timeout=SECONDS)

    def document(self) -> Any:
        return self.client.get("/document.json").json()

    def wait_for(self, holds: Callable[[Any], bool]) -> Any:
        """The first document of which it holds."""
        deadline = time.monotonic() + SECONDS
        while not holds(document := self.document()):
            assert self.process.alive(), self.log.read_text()
            assert time.monotonic() < deadline, document["problems"]
            time.sleep(0.05)
        return document

    def close(self) -> None:
        self.client.close()
        self.process.terminate()


@contextlib.contextmanager
def served(shop: ServedShop, *arguments: str) -> Iterator[Served]:
    with contextlib.closing(Served(shop, arguments)) as running:
        yield running


def said(document: Any, words: str) -> bool:
    """Whether a banner has these words."""
    return any(words in problem["text"] for problem in document["problems"])


def revenue(document: Any) -> str | None:
    """Gross of all months."""
    found: list[str] = [step["amount"] for step in document["gross_to_net"] if step["name"] == "gross"]
    return found[0] if found else None
