"""`python -m bench.bigquery_server`: the tests' Storage Write API in a process of its own, with the three tables."""

from __future__ import annotations

import argparse
import datetime as dt
import gc
import json
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from bench.bigquery_rows import COLUMNS, KEYS
from pipeline.bigquery.names import DatasetName
from schemas.columns import ColumnType, Kind
from tests.bigquery.faults import Faults
from tests.bigquery.tables import Column, Layout, Tables
from tests.bigquery.write_service import WriteService

DATASET = DatasetName("local-shop", "ltv")


def main(arguments: Sequence[str] | None = None) -> int:
    """Until SIGTERM; then writes how many rows each table has, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--counts", type=Path, required=True)
    options = parser.parse_args(arguments)
    gc.disable()  # rows stay for ever: looking through them again and again finds nothing
    tables = Tables(lambda: dt.datetime.now(dt.timezone.utc))
    made = {
        name: tables.create((DATASET.project, DATASET.raw, name), _layout(columns, KEYS[name]))
        for name, columns in COLUMNS.items()
    }
    faults, ended = Faults(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    server = grpc.server(ThreadPoolExecutor(32), options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((WriteService(tables, lambda: faults),))
    if not server.add_insecure_port(f"127.0.0.1:{options.port}"):
        return 1
    server.start()
    ended.wait()
    server.stop(0).wait()
    options.counts.write_text(json.dumps({name: table.count() for name, table in made.items()}))
    return 0


def _layout(columns: dict[str, ColumnType], key: tuple[str, ...]) -> Layout:
    repeated = (Kind.STRINGS, Kind.FLOATS)
    assert not any(type.kind in repeated for type in columns.values())
    return Layout(tuple(Column(name, type.bigquery()) for name, type in columns.items()), key)


if __name__ == "__main__":
    sys.exit(main())
