"""The process that serves SQL: bqemulator, in a Python environment of its own, and the copies of tables in it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.bigquery.column_values import size_of
from tests.bigquery.emulator_environment import clean_environment, emulator_python
from tests.bigquery.rewrites import copy_ddl
from tests.bigquery.tables import Table

START_S = 60.0
SETTINGS = {
    "BQEMU_ENABLE_FORMAT_EXTENSIONS": "false",  # which it would download
    "BQEMU_TIME_TRAVEL_RETENTION_DAYS": "0",
    "BQEMU_QUERY_CACHE_TTL_SECONDS": "0",
}


@dataclass
class Copy:
    """Of which state of a table the emulator has a copy, and what a query is billed for each column of it."""

    altered: int = -1
    version: int = -1
    sizes: dict[str, int] = field(default_factory=dict)


class Emulator:
    """Started by `with`, on a port of its own; ends with it. Its requests come in one thread at a time or several."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._copies: dict[Table, Copy] = {}
        self._connections = threading.local()
        self.port = 0

    def __enter__(self) -> Emulator:
        python = emulator_python()
        self._folder.mkdir(parents=True, exist_ok=True)
        log = (self._folder / "bqemulator.log").open("wb")
        self._process = subprocess.Popen(
            [str(python), str(Path(__file__).with_name("emulator_process.py")), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=self._folder,
            env={**clean_environment(), **SETTINGS, "BQEMU_GCS_LOCAL_ROOT": str(self._folder)},
        )
        log.close()
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"bqemulator did not start: {(self._folder / 'bqemulator.log').read_text()[-2000:]}")
        self.port = int(line)
        self._wait()
        return self

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.request("GET", "/bigquery/v2/projects/any/datasets")
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log = (self._folder / "bqemulator.log").read_text(errors="replace")
                    raise AssertionError(f"bqemulator did not start: {log[-2000:]}") from None
                time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        if self._process.stdout:
            self._process.stdout.close()

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body. Raises OSError."""
        connection = getattr(self._connections, "one", None)
        for again in (True, False):
            if connection is None:
                connection = self._connections.one = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
            try:
                connection.request(method, path, body, headers or {})
                answer = connection.getresponse()
                return answer.status, dict(answer.getheaders()), answer.read()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                connection.close()
                connection = None
                if not again:
                    raise
            except OSError:
                connection.close()
                self._connections.one = None
                raise
        raise AssertionError("tried twice")

    def run(self, project: str, configuration: dict[str, Any]) -> None:
        """One job of the server's own, to its end."""
        job = {"jobReference": {"projectId": project, "jobId": uuid.uuid4().hex}, "configuration": configuration}
        body = json.dumps(job).encode()
        status, _, data = self.request(
            "POST", f"/bigquery/v2/projects/{project}/jobs", body, {"Content-Type": "application/json"}
        )
        answer = json.loads(data)
        if status != 200 or answer.get("status", {}).get("errorResult"):
            raise AssertionError(f"the emulator refused a copy: {data.decode()[:1000]}")

    def sizes(self, table: Table) -> dict[str, int]:
        """Column in lower case → bytes, of the copy that there is."""
        return self._copies.get(table, Copy()).sizes

    def forget(self, project: str, dataset: str) -> None:
        """The copies of a dataset that is dropped."""
        self._copies = {table: copy for table, copy in self._copies.items() if table.id[:2] != (project, dataset)}

    def copies(self) -> list[tuple[Table, Copy]]:
        return list(self._copies.items())

    def bring(self, table: Table) -> bool:
        """Makes the copy of a table as the table is now; whether its columns are other ones than before."""
        copy = self._copies.setdefault(table, Copy())
        if (copy.altered, copy.version) == (table.altered, table.version):
            return False
        altered, version, project = table.altered, table.version, table.id[0]
        renewed = copy.altered != altered
        if renewed:
            self.run(project, {"query": {"query": copy_ddl(table.id, table.layout), "useLegacySql": False}})
        rows = table.arrow()
        name = f"{uuid.uuid4().hex}.parquet"
        pq.write_table(rows, self._folder / name)
        target = dict(zip(("projectId", "datasetId", "tableId"), table.id, strict=True))
        load = {"sourceUris": [f"gs://{name}"], "sourceFormat": "PARQUET", "destinationTable": target}
        self.run(project, {"load": {**load, "writeDisposition": "WRITE_TRUNCATE"}})
        (self._folder / name).unlink()
        copy.altered, copy.version = altered, version
        copy.sizes = {
            column.name.lower(): size_of(column.kind, column.mode == "REPEATED", rows[column.name])
            for column in table.layout.columns
        }
        return renewed
