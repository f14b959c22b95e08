"""The warehouse of this process: one per process and configuration, shared by every DoFn and every run of the graph."""

from __future__ import annotations

import threading

from pipeline.warehouse import Warehouse, open_warehouse
from pipeline.writers import Writers
from schemas.config import ShopConfig

_OPEN: dict[str, Warehouse] = {}
_WRITERS: dict[str, Writers] = {}
_GIVEN: set[str] = set()
_LOCK = threading.Lock()


def process_warehouse(config: ShopConfig) -> Warehouse:
    """Opens it on first use. A DoFn is pickled and a connection is not, so each asks here. Raises WarehouseError."""
    name = str(config.warehouse)
    with _LOCK:
        if name not in _OPEN:
            _OPEN[name] = open_warehouse(config)
        return _OPEN[name]


def process_writers(config: ShopConfig) -> Writers:
    """The threads that write to it. Raises WarehouseError."""
    threads = process_warehouse(config).writers
    with _LOCK:
        return _WRITERS.setdefault(str(config.warehouse), Writers(threads))


def share(config: ShopConfig, warehouse: Warehouse) -> None:
    """Makes a warehouse that a command has opened the one of this process."""
    with _LOCK:
        _OPEN[str(config.warehouse)] = warehouse
        _GIVEN.add(str(config.warehouse))


def is_command(config: ShopConfig) -> bool:
    """Whether a command in this process runs the graph, and hears of what stops it; False in a runner's worker."""
    with _LOCK:
        return str(config.warehouse) in _GIVEN


def release(config: ShopConfig) -> None:
    """Closes it, if it is open, after the writes that are underway."""
    with _LOCK:
        warehouse = _OPEN.pop(str(config.warehouse), None)
        writers = _WRITERS.pop(str(config.warehouse), None)
        _GIVEN.discard(str(config.warehouse))
    if writers is not None:
        writers.close()
    if warehouse is not None:
        warehouse.close()
