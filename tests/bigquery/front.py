"""BigQuery's REST interface for Google's client: forwarded to the emulator, apart from what `rewrites` says.

Answered or altered here: definitions of tables with columns, which this server keeps, and `tables.get` of them;
queries, before which the emulator gets the rows that changed; the bytes that a job read; errors that a test asks for.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlglot import exp

from tests.bigquery.emulator import Emulator
from tests.bigquery.faults import Faults
from tests.bigquery.rewrites import copy_ddl, rewritten
from tests.bigquery.statements import InvalidStatement, Statement, altered_layout, created_layout, parse
from tests.bigquery.tables import Layout, Table, TableId, Tables

LOG = logging.getLogger(__name__)
NOTHING = "SELECT 1 AS nothing LIMIT 0"
_PATH = re.compile(r"/(?:upload/)?bigquery/v2/projects/(?P<project>[^/]+)(?:/(?P<rest>.*))?")
_TABLE = re.compile(r"datasets/(?P<dataset>[^/]+)/tables/(?P<table>[^/]+)(?P<data>/data)?")
_DATASET = re.compile(r"datasets/([^/]+)")
_KEPT_HEADERS = ("content-type", "etag")


@dataclass
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass(frozen=True)
class Job:
    """What the front knows of a query: bytes that it is billed, and columns that are BIGNUMERIC, in lower case."""

    bytes: int
    big: frozenset[str]


class Front:
    """`log` has what was rewritten: (names of the rewrites, the statement)."""

    def __init__(self, tables: Tables, emulator: Emulator, faults: Callable[[], Faults]) -> None:
        self._tables, self._emulator, self._faults = tables, emulator, faults
        self._lock = threading.Lock()
        self._views: dict[TableId, Statement] = {}
        self._results: dict[TableId, Layout] = {}
        self._locations: dict[tuple[str, str], str] = {}
        self._jobs: dict[str, Job] = {}
        self.log: list[tuple[list[str], str]] = []
        self.requests = 0
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                answer = front.answer(self.command, self.path, self.rfile.read(length), dict(self.headers))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

            def log_message(self, format: str, *values: Any) -> None:
                LOG.debug(format, *values)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 100

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="bigquery-front", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        self.requests += 1
        faults = self._faults()
        found = _PATH.fullmatch(urlsplit(path).path)
        try:
            if faults.next_rest():
                raise InvalidStatement("injected: try again", "backendError", 503)
            if found is None:
                return self._forward(method, path, body, headers)
            project, rest = unquote(found["project"]), unquote(found["rest"] or "")
            self._check_allowed(faults, method, project, rest)
            return self._answer(method, path, project, rest, body, headers, faults)
        except InvalidStatement as error:
            return _error(error)
        except Exception as error:
            LOG.exception("the test server failed")
            return _error(InvalidStatement(f"the test server failed: {error!r}", "testServerFailed", 400))

    def _check_allowed(self, faults: Faults, method: str, project: str, rest: str) -> None:
        """Raises what BigQuery answers («Error messages», «IAM permissions»)."""
        if project in faults.missing_projects:
            raise InvalidStatement(f"Not found: Project {project}", "notFound", 404)
        writing = rest.split("/", 1)[0] in ("jobs", "queries") and method == "POST"
        if "jobs" in faults.denied and writing:
            lacking = f"User does not have bigquery.jobs.create permission in project {project}."
            message = f"Access Denied: Project {project}: {lacking}"
            raise InvalidStatement(message, "accessDenied", 403)
        if "read" in faults.denied and method == "GET" and rest.startswith("datasets/"):
            message = f"Access Denied: {rest}: User does not have bigquery.datasets.get permission for it."
            raise InvalidStatement(message, "accessDenied", 403)

    def _answer(
        self, method: str, path: str, project: str, rest: str, body: bytes, headers: dict[str, str], faults: Faults
    ) -> Answer:
        of = _TABLE.fullmatch(rest)
        if method == "POST" and rest in ("jobs", "queries"):
            return self._job(path, project, rest, json.loads(body), headers, faults)
        if method == "GET" and rest.startswith(("jobs/", "queries/")):
            return self._with_job(self._forward(method, path, body, headers))
        if of is not None and method == "GET":
            return self._table(path, (project, of["dataset"], of["table"]), bool(of["data"]), headers, faults)
        if method == "GET" and (dataset := _DATASET.fullmatch(rest)) and (project, dataset[1]) in self._locations:
            answer = self._forward(method, path, body, headers)
            found = {**json.loads(answer.body), "location": self._locations[project, dataset[1]]}
            return Answer(answer.status, json.dumps(found).encode(), answer.headers)
        if method == "DELETE" and of is not None:
            self._tables.drop((project, of["dataset"], of["table"]))
        if method == "DELETE" and (dataset := _DATASET.fullmatch(rest)):
            self._forget(project, dataset[1])
        return self._forward(method, path, body, headers)

    def drop_dataset(self, project: str, dataset: str) -> None:
        """With all that is in it, where it exists."""
        self._forget(project, dataset)
        path = f"/bigquery/v2/projects/{project}/datasets/{dataset}?deleteContents=true"
        self._forward("DELETE", path, b"", {})

    def _forget(self, project: str, dataset: str) -> None:
        with self._lock:
            self._locations.pop((project, dataset), None)
            for table in self._tables.of(project, dataset):
                self._tables.drop(table.id)
            self._emulator.forget(project, dataset)
            for kept in (self._views, self._results):
                for id in [id for id in kept if id[:2] == (project, dataset)]:
                    del kept[id]

    # Jobs

    def _job(
        self, path: str, project: str, rest: str, body: dict[str, Any], headers: dict[str, str], faults: Faults
    ) -> Answer:
        query = body.get("configuration", {}).get("query") if rest == "jobs" else body
        if not query or "query" not in query:
            return self._forward("POST", path, json.dumps(body).encode(), headers)
        default = (query.get("defaultDataset") or {}).get("datasetId")
        statement = parse(query["query"], project, default)
        with self._lock:  # between the copies of the tables and the end of the job nothing else happens
            if statement is None:
                self.log.append((["not understood"], query["query"]))
                return self._forward("POST", path, json.dumps(body).encode(), headers)
            if "create" in faults.denied and isinstance(statement.tree, exp.Create | exp.Alter):
                place = f"{project}:{statement.target[1]}"
                message = f"Access Denied: Dataset {place}: Permission bigquery.tables.create denied on dataset {place}"
                raise InvalidStatement(message, "accessDenied", 403)
            known = self._known(statement)
            query["query"], done = self._prepared(statement, faults)
            if done:
                self.log.append((done, statement.sql))
                LOG.debug("rewritten for the emulator: %s", ", ".join(done))
            answer = self._forward("POST", path, json.dumps(body).encode(), headers)
            job_id = json.loads(answer.body).get("jobReference", {}).get("jobId", "")
            self._jobs[job_id] = known
        return self._with_job(answer)

    def _prepared(self, statement: Statement, faults: Faults) -> tuple[str, list[str]]:
        """The text for the emulator, which has what it needs for it; definitions are kept. Raises InvalidStatement."""
        tree = statement.tree
        if isinstance(tree, exp.Create) and tree.kind == "TABLE":
            layout = created_layout(tree)
            if layout.columns:
                return self._create(statement, layout)
            self._check_result(statement, layout)
        elif isinstance(tree, exp.Create) and tree.kind == "SCHEMA":
            self._locate(statement)
        elif isinstance(tree, exp.Alter):
            return self._alter(statement)
        elif isinstance(tree, exp.Drop):
            self._tables.drop(statement.target)
            self._results.pop(statement.target, None)
        elif isinstance(tree, exp.Delete | exp.Update | exp.Merge):
            self._check_no_changes(statement)
        self._bring(statement, faults)
        text, done = rewritten(statement, self._tables)
        if isinstance(tree, exp.Create) and tree.kind == "VIEW":
            self._views[statement.target] = statement
        return text, done

    def _create(self, statement: Statement, layout: Layout) -> tuple[str, list[str]]:
        id = statement.target
        if self._tables.get(id) is not None and not statement.tree.args.get("replace"):
            if statement.tree.args.get("exists"):
                return NOTHING, []
            raise InvalidStatement(f"Already Exists: Table {id[0]}:{id[1]}.{id[2]}", "duplicate", 409)
        self._check_dataset(id)
        self._tables.create(id, layout)
        return copy_ddl(id, layout), ["CREATE TABLE"]

    def _alter(self, statement: Statement) -> tuple[str, list[str]]:
        table = self._tables.get(statement.target)
        if table is None:
            project, dataset, name = statement.target
            raise InvalidStatement(f"Not found: Table {project}:{dataset}.{name}", "notFound", 404)
        layout = altered_layout(table.layout, statement.tree)
        if layout.columns != table.layout.columns:
            table.alter(layout)
        else:
            table.layout = layout
        return NOTHING, ["ALTER TABLE"]

    def _locate(self, statement: Statement) -> None:
        """The emulator takes every dataset to be in the US."""
        project, _, dataset = statement.tree.this.db.rpartition(".")
        if given := statement.tree.find(exp.LocationProperty):
            self._locations.setdefault((project or statement.project, dataset), given.name)

    def _check_dataset(self, id: TableId) -> None:
        status, _, _ = self._emulator.request("GET", f"/bigquery/v2/projects/{id[0]}/datasets/{id[1]}")
        if status == 404:
            raise InvalidStatement(f"Not found: Dataset {id[0]}:{id[1]}", "notFound", 404)

    def _check_result(self, statement: Statement, layout: Layout) -> None:
        if self._tables.get(statement.target) is not None:
            raise InvalidStatement("the test server replaces no table with a key by a result")
        known = self._results.get(statement.target)
        if known is not None and (known.partition, known.cluster) != (layout.partition, layout.cluster):
            raise InvalidStatement(
                "Cannot replace a table with a different partitioning or clustering spec. Instead, DROP the table, and"
                " then recreate it."
            )
        self._results[statement.target] = layout

    def _check_no_changes(self, statement: Statement) -> None:
        """«Limitations»: a table that is active with change data takes no DELETE, UPDATE or MERGE."""
        table = self._tables.get(statement.id(next(statement.tree.find_all(exp.Table))))
        if table is not None and table.layout.key:
            kind = type(statement.tree).__name__.upper()
            rows = "would affect rows in the streaming buffer, which is not supported"
            raise InvalidStatement(f"{kind} statement over table {table.name} {rows}")

    # What a query reads

    def _reached(self, statement: Statement) -> tuple[list[Table], set[str]]:
        """The tables behind a statement, through views, and all words in it and in those views."""
        found: dict[TableId, Table] = {}
        words = set(statement.words)
        waiting, seen = [statement], set()
        while waiting:
            for id in sorted(waiting.pop().named - seen):
                seen.add(id)
                if table := self._tables.get(id):
                    found[id] = table
                elif view := self._views.get(id):
                    waiting.append(view)
                    words |= view.words
        return list(found.values()), words

    def _bring(self, statement: Statement, faults: Faults) -> None:
        tables, _ = self._reached(statement)
        renewed = []
        for table in tables:
            stale = table.layout.option("max_staleness")
            if faults.stale and stale not in (None, "0-0 0 0:0:0") and self._emulator.sizes(table):
                continue
            if self._emulator.bring(table):
                renewed.append(table.id)
        for id in renewed:
            self._renew_views(id)

    def _renew_views(self, of: TableId) -> None:
        """A view over a table of other types: DuckDB wants it made again."""
        for id, view in self._views.items():
            if of in view.named:
                text, _ = rewritten(view, self._tables)
                text = re.sub(r"^\s*CREATE\s+(?:OR\s+REPLACE\s+)?", "CREATE OR REPLACE ", text, flags=re.IGNORECASE)
                self._emulator.run(id[0], {"query": {"query": text, "useLegacySql": False}})

    def apply_changes(self) -> None:
        """The background job that brings tables with a max_staleness up to date; for `Faults.stale`."""
        with self._lock:
            for table in [table for table, _ in self._emulator.copies()]:
                if self._tables.get(table.id) is table and self._emulator.bring(table):
                    self._renew_views(table.id)

    def _known(self, statement: Statement) -> Job:
        tables, words = self._reached(statement)
        big = {
            column.name.lower() for table in tables for column in table.layout.columns if column.kind == "BIGNUMERIC"
        }
        if isinstance(statement.tree, exp.Query) or statement.tree.args.get("expression") is not None:
            star = statement.tree.find(exp.Star) is not None
            read = sum(size for table in tables for name, size in self._sizes(table).items() if name in words or star)
            return Job(read, frozenset(big))
        return Job(0, frozenset())

    def _sizes(self, table: Table) -> dict[str, int]:
        return {column.name.lower(): 0 for column in table.layout.columns} | self._emulator.sizes(table)

    # Answers

    def _with_job(self, answer: Answer) -> Answer:
        body = json.loads(answer.body or b"{}")
        job = self._jobs.get(body.get("jobReference", {}).get("jobId", ""))
        if job is None or answer.status != 200:
            return answer
        for place in (body, body.get("statistics"), (body.get("statistics") or {}).get("query")):
            if isinstance(place, dict) and ("totalBytesProcessed" in place or place is not body):
                place["totalBytesProcessed"] = str(job.bytes)
        for column in body.get("schema", {}).get("fields", ()):
            if column["name"].lower() in job.big and column["type"] == "STRING":
                column["type"] = "BIGNUMERIC"
        return Answer(answer.status, json.dumps(body).encode(), answer.headers)

    def _table(self, path: str, id: TableId, data: bool, headers: dict[str, str], faults: Faults) -> Answer:
        table = self._tables.get(id)
        if data and table is not None:
            with self._lock:
                self._emulator.bring(table)
            return self._forward("GET", path, b"", headers)
        if table is None:
            answer = self._forward("GET", path, b"", headers)
            layout = self._results.get(id)
            if answer.status != 200 or layout is None:
                return answer
            return Answer(200, json.dumps({**json.loads(answer.body), **_storage(layout)}).encode(), answer.headers)
        return Answer(200, json.dumps(resource(table)).encode())

    def _forward(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        kept = {name: value for name, value in headers.items() if name.lower() in ("content-type", "if-match")}
        status, found, data = self._emulator.request(method, path, body or None, kept)
        return Answer(status, data, {name: value for name, value in found.items() if name.lower() in _KEPT_HEADERS})


def resource(table: Table) -> dict[str, Any]:
    """`Table` of the REST reference. Its types are the old names, and it has no maxStaleness: it is reported to be
    dropped by the Tables API, and is read from INFORMATION_SCHEMA.TABLE_OPTIONS."""
    names = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}
    fields = [
        {"name": column.name, "type": names.get(column.kind, column.kind), "mode": column.mode}
        for column in table.layout.columns
    ]
    milliseconds = str(int(table.created_at.timestamp() * 1000))
    return {
        "kind": "bigquery#table",
        "id": f"{table.id[0]}:{table.id[1]}.{table.id[2]}",
        "etag": f'"{table.altered}"',
        "tableReference": dict(zip(("projectId", "datasetId", "tableId"), table.id, strict=True)),
        "type": "TABLE",
        "creationTime": milliseconds,
        "lastModifiedTime": milliseconds,
        "numRows": str(table.count()),
        "schema": {"fields": fields},
        **({"tableConstraints": {"primaryKey": {"columns": list(table.layout.key)}}} if table.layout.key else {}),
        **_storage(table.layout),
    }


def _storage(layout: Layout) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if layout.partition:
        found["timePartitioning"] = {"type": layout.partition[1], "field": layout.partition[0]}
        if days := layout.option("partition_expiration_days"):
            found["timePartitioning"]["expirationMs"] = str(int(float(days) * 86_400_000))
    if layout.cluster:
        found["clustering"] = {"fields": list(layout.cluster)}
    return found


def _error(error: InvalidStatement) -> Answer:
    detail = {"message": str(error), "domain": "global", "reason": error.reason}
    body = {"error": {"code": error.status, "message": str(error), "errors": [detail]}}
    return Answer(error.status, json.dumps(body).encode())
