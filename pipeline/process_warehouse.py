"""The warehouse of this process: one per process and configuration, shared by every DoFn and every run of the graph."""

from __future__ import annotations

import threading

from pipeline.warehouse import Warehouse, open_warehouse
from schemas.config import ShopConfig

_OPEN: dict[str, Warehouse] = {}
_LOCK = threading.Lock()


def process_warehouse(config: ShopConfig) -> Warehouse:
    """Opens it on first use. A DoFn is pickled and a connection is not, so each asks here. Raises WarehouseError."""
    name = str(config.warehouse)
    with _LOCK:
        if name not in _OPEN:
            _OPEN[name] = open_warehouse(config)
        return _OPEN[name]


def share(config: ShopConfig, warehouse: Warehouse) -> None:
    """Makes a warehouse that a command has opened the one of this process."""
    with _LOCK:
        _OPEN[str(config.warehouse)] = warehouse


def release(config: ShopConfig) -> None:
    """Closes it, if it is open."""
    with _LOCK:
        warehouse = _OPEN.pop(str(config.warehouse), None)
    if warehouse is not None:
        warehouse.close()
