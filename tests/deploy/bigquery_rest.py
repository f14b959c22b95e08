"""BigQuery's REST API as far as `deploy` needs it, on loopback: datasets, tables, and statements that make them.

Google's real client talks to it; a statement is parsed as GoogleSQL and carried out on plain dictionaries, in the form
of the API's own resources. It remembers every request that changes something. Rows are no matter here.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import sqlglot
from sqlglot import exp

OWNERS = [{"role": "OWNER", "specialGroup": "projectOwners"}, {"role": "READER", "specialGroup": "projectReaders"}]
REST_TYPES = {"INT64": "INTEGER", "BOOL": "BOOLEAN", "FLOAT64": "FLOAT"}


class Answer(Exception):
    """An error as the API has it."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}}


@dataclass
class BigQuery:
    """`datasets` and `tables` (by dataset.table) are REST resources; `stalenesses` are minutes."""

    url: str = ""
    project: str = "local-shop"
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    stalenesses: dict[str, int] = field(default_factory=dict)
    statements: list[tuple[str, str | None]] = field(default_factory=list)
    patches: list[tuple[str, dict[str, Any], str | None]] = field(default_factory=list)
    faults: list[tuple[re.Pattern[str], Answer]] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def fail(self, what: str, status: int, reason: str, message: str) -> None:
        """Requests, as «POST /jobs CREATE SCHEMA …», that the pattern is found in fail until `faults` is cleared."""
        self.faults.append((re.compile(what), Answer(status, reason, message)))

    def make_dataset(self, name: str, location: str = "US", **more: Any) -> None:
        reference = {"projectId": self.project, "datasetId": name}
        etag = {"etag": f"{name}-1", "access": list(OWNERS), "datasetReference": reference, "location": location}
        self.datasets[name] = {**etag, **more}

    # Requests

    def answer(self, method: str, path: str, body: dict[str, Any], etag: str | None) -> dict[str, Any]:
        path = path.removeprefix(f"/bigquery/v2/projects/{self.project}")
        sql = body.get("configuration", {}).get("query", {}).get("query", "")
        for pattern, error in self.faults:
            if pattern.search(f"{method} {path} {sql}"):
                raise error
        parts = path.strip("/").split("/")
        if parts[0] == "jobs" and method == "POST":
            return self._job(sql, body)
        if parts[0] == "queries":
            return self.jobs[parts[1]]
        if parts[0] == "datasets" and len(parts) == 2:
            if parts[1] not in self.datasets:
                raise Answer(404, "notFound", f"Not found: Dataset {self.project}:{parts[1]}")
            if method == "PATCH":
                return self._patch(parts[1], body, etag)
            return self.datasets[parts[1]]
        if parts[0] == "datasets" and len(parts) == 3:
            listed = [table for name, table in self.tables.items() if name.startswith(f"{parts[1]}.")]
            return {"tables": listed, "totalItems": len(listed)}
        if parts[0] == "datasets" and len(parts) == 4:
            found = self.tables.get(f"{parts[1]}.{parts[3]}")
            if found is None:
                raise Answer(404, "notFound", f"Not found: Table {self.project}:{parts[1]}.{parts[3]}")
            return found
        raise Answer(501, "notImplemented", f"{method} {path}")

    def _patch(self, name: str, body: dict[str, Any], etag: str | None) -> dict[str, Any]:
        there = self.datasets[name]
        self.patches.append((name, body, etag))
        if etag is not None and etag != there["etag"]:
            raise Answer(412, "conditionNotMet", "Precondition check failed")
        if "access" in body:  # null is nothing, as everywhere in JSON of Google's APIs
            body["access"] = [{key: value for key, value in entry.items() if value} for entry in body["access"]]
        there.update(body)
        there["etag"] = f"{there['etag']}+"
        return there

    def _job(self, sql: str, body: dict[str, Any]) -> dict[str, Any]:
        reference = body["jobReference"]
        rows = self._run(sql, reference.get("location"))
        names = ["table_name", "option_value"]
        schema = {"fields": [{"name": name, "type": "STRING", "mode": "NULLABLE"} for name in names]}
        listed = [{"f": [{"v": value} for value in row]} for row in rows]
        self.jobs[reference["jobId"]] = {
            "jobComplete": True,
            "jobReference": reference,
            "schema": schema,
            "rows": listed,
            "totalRows": str(len(rows)),
        }
        done = {"query": {"totalBytesProcessed": "0", "statementType": "SELECT" if rows else "CREATE_TABLE"}}
        return {
            "kind": "bigquery#job",
            "jobReference": {"location": "US", **reference},
            "configuration": body["configuration"],
            "status": {"state": "DONE"},
            "statistics": done,
        }

    # Statements

    def _run(self, sql: str, location: str | None) -> list[tuple[str, str]]:
        tree = sqlglot.parse_one(sql, read="bigquery")
        if isinstance(tree, exp.Query):
            assert "INFORMATION_SCHEMA.TABLE_OPTIONS" in sql and "max_staleness" in sql
            return [(name, f"0-0 0 0:{minutes}:0") for name, minutes in self.stalenesses.items()]
        self.statements.append((sql, location))
        if isinstance(tree, exp.Alter):
            self._alter(tree)
        elif isinstance(tree, exp.Create) and tree.kind == "SCHEMA":
            place = next((node.this.name for node in tree.find_all(exp.LocationProperty)), "US")
            self.make_dataset(tree.this.name or tree.this.db.split(".")[1], place)
        elif isinstance(tree, exp.Create):
            self._create(tree, sql)
        return []

    def _create(self, tree: exp.Create, sql: str) -> None:
        table = tree.find(exp.Table)
        assert table is not None
        if table.db not in self.datasets:
            raise Answer(404, "notFound", f"Not found: Dataset {self.project}:{table.db}")
        if tree.kind == "VIEW":
            columns = [{"name": name, "type": "STRING"} for name in tree.expression.named_selects]
        else:
            columns = [_column(node) for node in tree.this.expressions if isinstance(node, exp.ColumnDef)]
        key = tree.find(exp.PrimaryKey)
        resource = self._resource(table.db, table.name, tree.kind, columns)
        if tree.kind == "VIEW":
            resource["view"] = {"query": sql.partition("` AS")[2].strip(), "useLegacySql": False}
        if key is not None:
            resource["tableConstraints"] = {"primaryKey": {"columns": [node.name for node in key.expressions]}}
        self.tables[f"{table.db}.{table.name}"] = resource

    def _resource(self, dataset: str, table: str, kind: str, columns: list[dict[str, Any]]) -> dict[str, Any]:
        reference = {"projectId": self.project, "datasetId": dataset, "tableId": table}
        return {"tableReference": reference, "type": kind, "schema": {"fields": columns}, "numRows": "0"}

    def make_table(self, dataset: str, table: str, kind: str, columns: dict[str, str]) -> None:
        fields = [{"name": name, "type": rest_type, "mode": "NULLABLE"} for name, rest_type in columns.items()]
        self.tables[f"{dataset}.{table}"] = self._resource(dataset, table, kind, fields)

    def _alter(self, tree: exp.Alter) -> None:
        table = self.tables[f"{tree.this.db}.{tree.this.name}"]
        for action in tree.args["actions"]:
            if isinstance(action, exp.ColumnDef):
                table["schema"]["fields"].append(_column(action))
            else:
                interval = action.find(exp.Interval)
                self.stalenesses[tree.this.name] = int(interval.this.name)


def _column(node: exp.ColumnDef) -> dict[str, Any]:
    kind = node.args["kind"].sql("bigquery")
    return {"name": node.name, "type": REST_TYPES.get(kind, kind), "mode": "NULLABLE"}


class _Handler(BaseHTTPRequestHandler):
    bigquery: BigQuery

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        try:
            status, answer = (
                200,
                self.bigquery.answer(self.command, urlsplit(self.path).path, body, self.headers.get("If-Match")),
            )
        except Answer as error:
            status, answer = error.status, error.body
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_PATCH = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Tests print nothing of it."""


@contextmanager
def bigquery_rest() -> Iterator[BigQuery]:
    """Until the end of the block."""
    bigquery = BigQuery()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"bigquery": bigquery}))
    bigquery.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield bigquery
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
