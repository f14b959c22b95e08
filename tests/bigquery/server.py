"""The server that stands in for BigQuery: rows over gRPC, everything else over HTTP, SQL by an emulator behind it."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from tests.bigquery.emulator import Emulator
from tests.bigquery.faults import Faults
from tests.bigquery.front import Front
from tests.bigquery.tables import Table, Tables
from tests.bigquery.write_service import WriteService
from tests.e2e.proxy import Proxy

PROJECT = "local-shop"
MAX_CONNECTIONS = 400
GRPC_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]


class BigQueryServer:
    """In this process; the emulator is one of its own, which ends with this. `faults` is what goes wrong from now on,
    `ahead` moves the server's clock."""

    def __init__(self, folder: Path) -> None:
        self.faults = Faults()
        self.ahead = dt.timedelta()
        self.dataset = "ltv"
        self.tables = Tables(self.now)
        self.writes = WriteService(self.tables, lambda: self.faults)
        self._emulator = Emulator(folder)

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.timezone.utc) + self.ahead

    def __enter__(self) -> BigQueryServer:
        self._emulator.__enter__()
        self.front = Front(self.tables, self._emulator, lambda: self.faults)
        self._grpc = grpc.server(ThreadPoolExecutor(MAX_CONNECTIONS, "bigquery-write"), options=GRPC_OPTIONS)
        self._grpc.add_generic_rpc_handlers((self.writes,))
        self._port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()
        self._proxy = Proxy("127.0.0.1", self._port)
        self.writes.cut = self._proxy.cut
        return self

    def __exit__(self, *_: object) -> None:
        self._proxy.close()
        self._grpc.stop(None).wait()
        self.front.close()
        self._emulator.__exit__()

    @contextlib.contextmanager
    def fresh(self) -> Iterator[None]:
        """With a dataset that nobody else uses, and without faults; its tables are dropped afterwards."""
        self.dataset = f"t_{uuid.uuid4().hex[:12]}"
        self.faults, self.ahead = Faults(), dt.timedelta()
        yield
        self.faults = Faults()
        for dataset in (self.dataset, f"{self.dataset}_raw"):
            self.front.drop_dataset(PROJECT, dataset)

    @property
    def warehouse(self) -> str:
        """As in shop.yaml."""
        return f"bigquery:{PROJECT}.{self.dataset}"

    def table(self, name: str) -> Table:
        """Of the raw dataset."""
        found = self.tables.get((PROJECT, f"{self.dataset}_raw", name))
        assert found is not None, f"there is no table {name}"
        return found

    def clear(self) -> None:
        """Empties all tables of the dataset but the settings, which a process that is open remembers."""
        for table in self.tables.of(PROJECT, f"{self.dataset}_raw"):
            if table.id[2] != "settings":
                table.clear()

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.front.port}"

    @property
    def grpc_address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def breakable_address(self) -> str:
        """The write API through a proxy, whose connections break off when `faults` say `cut`."""
        return f"127.0.0.1:{self._proxy.port}"

    @property
    def environment(self) -> dict[str, str]:
        """With which Google's clients, and ours, find it."""
        return {"BIGQUERY_EMULATOR_HOST": self.rest_url, "BIGQUERY_WRITE_EMULATOR_HOST": self.grpc_address}
