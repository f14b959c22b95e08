"""The warehouse in turns: one use at a time in this process, and a DuckDB file is held no longer than the use lasts, so
that `stream` and every other command find it free. BigQuery's is opened once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from pipeline.warehouse import Warehouse, open_warehouse
from schemas.config import ShopConfig
from schemas.errors import WarehouseUnavailable

WAIT_S = 30.0


class Turns:
    def __init__(self, config: ShopConfig, *, writes: bool = True) -> None:
        self._config = config
        self._writes = writes
        self._is_file = config.duckdb_file is not None
        self._turn = threading.Lock()
        self._open: Warehouse | None = None

    @contextlib.contextmanager
    def warehouse(self, *, writing: bool = False) -> Iterator[Warehouse]:
        """Raises WarehouseUnavailable where the turn does not come within 30 s, and what the warehouse raises."""
        if not self._turn.acquire(timeout=WAIT_S):
            raise WarehouseUnavailable(f"the warehouse was in use for {WAIT_S:g} s", hint="try again")
        try:
            if self._is_file:
                with contextlib.closing(open_warehouse(self._config, read_only=not writing)) as warehouse:
                    yield warehouse
                return
            if self._open is None:
                self._open = open_warehouse(self._config, read_only=not self._writes)
            yield self._open
        finally:
            self._turn.release()

    def close(self) -> None:
        """After the last use."""
        if self._open is not None:
            self._open.close()
            self._open = None
