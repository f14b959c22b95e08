"""BigQuery's REST API as Google's own client meets it, behind a faked HTTP transport: datasets, tables as DDL makes
them, and results that a test has put there. What was asked for is kept."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests
import sqlglot
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud import bigquery
from requests.adapters import BaseAdapter
from sqlglot import exp

from pipeline.bigquery.client import BigQueryClient
from pipeline.bigquery.names import DatasetName

DATASET = DatasetName("my-project", "ltv")
TYPES = {"BIGINT": "INTEGER", "DECIMAL": "NUMERIC", "BIGDECIMAL": "BIGNUMERIC", "TEXT": "STRING", "BINARY": "BYTES",
         "DOUBLE": "FLOAT", "TIMESTAMPTZ": "TIMESTAMP", "TIMESTAMP": "DATETIME"}  # fmt: skip


@dataclass
class Failure:
    """An HTTP error, for requests whose address or statement contains `of`, `times` times; `in_job`: the request is
    taken, but the job fails."""

    of: str
    status: int
    reason: str
    message: str
    times: int = 1_000_000
    in_job: bool = False


@dataclass
class Answer:
    """What a query that contains `of` gives: (name, type) of its columns, and its rows as the API writes cells."""

    of: str
    columns: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Any]]


@dataclass
class BigQueryHttp(BaseAdapter):
    """`tables` is by (dataset, table), as `tables.get` gives it. `keeps_staleness` as BigQuery should."""

    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    keeps_staleness: bool = True
    scanned: int = 1_000
    page: int = 2
    requests: list[tuple[str, str]] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    results: dict[str, Answer] = field(default_factory=dict)

    @property
    def statements(self) -> list[str]:
        return [job["configuration"]["query"]["query"] for job in self.jobs]

    def client(self, location: str | None = None) -> BigQueryClient:
        credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
        session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
        session.mount("https://", self)
        google = bigquery.Client("my-project", credentials, _http=session, location=location)
        return BigQueryClient(DATASET, location, google)

    # One request

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:  # type: ignore[override]
        url = urllib.parse.urlsplit(str(request.url))
        path = url.path.removeprefix("/bigquery/v2/projects/my-project/")
        body = json.loads(request.body) if request.body else {}
        self.requests.append((str(request.method), path))
        status, answer = self._fail(path, body) or self._answer(str(request.method), path, dict(
            urllib.parse.parse_qsl(url.query)), body)  # fmt: skip
        response = requests.Response()
        response.status_code, response.request, response.url = status, request, str(request.url)
        response._content = json.dumps(answer).encode()
        return response

    def close(self) -> None:
        pass

    def _fail(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        statement = body.get("configuration", {}).get("query", {}).get("query", "")
        for failure in self.failures:
            if not failure.in_job and failure.times > 0 and (failure.of in path or failure.of in statement):
                failure.times -= 1
                error = {"reason": failure.reason, "message": failure.message}
                body = {"error": {"code": failure.status, "message": failure.message, "errors": [error]}}
                return failure.status, body
        return None

    def _answer(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        kind, *rest = path.split("/")
        if kind == "jobs":
            return 200, self._job(body) if method == "POST" else self._job_of(rest[0])
        if kind == "queries":
            return 200, self._result(rest[0], query)
        dataset = rest[0]
        if dataset not in self.datasets:
            return _missing("Dataset", dataset)
        if len(rest) == 1:
            self.datasets[dataset].update(body if method == "PATCH" else {})
            return 200, self.datasets[dataset]
        if len(rest) == 2:
            names = [
                {"tableReference": table["tableReference"]} for (of, _), table in self.tables.items() if of == dataset
            ]
            return 200, {"tables": names}
        found = self.tables.get((dataset, urllib.parse.unquote(rest[2])))
        return (200, found) if found else _missing("Table", rest[2])

    # Jobs

    def _job(self, body: dict[str, Any]) -> dict[str, Any]:
        job_id = body["jobReference"]["jobId"]
        sql = body["configuration"]["query"]["query"]
        job = {
            "jobReference": {"projectId": "my-project", "jobId": job_id, "location": "EU"},
            "configuration": {"query": body["configuration"]["query"], "jobType": "QUERY"},
            "status": {"state": "DONE"},
            "statistics": {"query": {"totalBytesProcessed": str(self.scanned), "statementType": "SELECT"}},
        }
        self.jobs.append(job)
        for failure in self.failures:
            if failure.in_job and failure.of in sql:
                error = {"reason": failure.reason, "message": failure.message}
                job["status"] = {"state": "DONE", "errorResult": error, "errors": [error]}
                return job
        self.results[job_id] = Answer("", (), ())
        if "TABLE_OPTIONS" in sql:
            options = [(name, table["staleness"]) for (_, name), table in self.tables.items() if "staleness" in table]
            self.results[job_id] = Answer("", (("table_name", "STRING"), ("option_value", "STRING")), options)
            return job
        tree = sqlglot.parse_one(sql, read="bigquery")
        if isinstance(tree, exp.Create | exp.Alter):
            self._define(tree)
        for answer in self.answers:
            if answer.of in sql:
                self.results[job_id] = answer
                break
        return job

    def _job_of(self, job_id: str) -> dict[str, Any]:
        return next(job for job in self.jobs if job["jobReference"]["jobId"] == job_id)

    def _result(self, job_id: str, query: dict[str, str]) -> dict[str, Any]:
        answer = self.results[job_id]
        fields = [
            {"name": name, "type": kind.removesuffix("[]"), "mode": "REPEATED" if kind.endswith("[]") else "NULLABLE"}
            for name, kind in answer.columns
        ]
        start, most = int(query.get("pageToken", "0")), min(self.page, int(query.get("maxResults", "1000000")))
        rows = [{"f": [{"v": cell} for cell in row]} for row in answer.rows[start : start + most]]
        found = {
            "jobComplete": True,
            "jobReference": {"projectId": "my-project", "jobId": job_id, "location": "EU"},
            "schema": {"fields": fields},
            "totalRows": str(len(answer.rows)),
            "rows": rows,
        }
        if start + most < len(answer.rows) and most:
            found["pageToken"] = str(start + most)
        return found

    # Definitions

    def _define(self, tree: exp.Create | exp.Alter) -> None:
        kind = str(tree.args["kind"])
        if kind == "SCHEMA":
            self.add_dataset(tree.this.db.rpartition(".")[2])
            return
        table = tree.find(exp.Table)
        assert table is not None
        place = (table.db, table.name)
        if isinstance(tree, exp.Alter):
            self._alter(self.tables[place], tree)
        elif kind == "VIEW" or place not in self.tables:
            self.add_table(*place, list(_columns(tree)), list(_key(tree)), "VIEW" if kind == "VIEW" else "TABLE")

    def _alter(self, table: dict[str, Any], tree: exp.Alter) -> None:
        fields = table["schema"]["fields"]
        for action in tree.args["actions"]:
            if isinstance(action, exp.ColumnDef):
                fields.append(_field(action))
            elif isinstance(action, exp.AlterColumn):
                next(one for one in fields if one["name"] == action.name)["type"] = _type(action.args["dtype"])
            elif self.keeps_staleness:
                minutes = int(tree.find(exp.Interval).this.name)  # type: ignore[union-attr]
                table["staleness"] = f"0-0 0 {minutes // 60}:{minutes % 60}:0"

    def add_dataset(self, name: str) -> None:
        reference = {"projectId": "my-project", "datasetId": name}
        self.datasets[name] = {"datasetReference": reference, "access": [], "location": "EU", "etag": "1"}

    def add_table(
        self, dataset: str, name: str, fields: list[dict[str, Any]], key: Sequence[str] = (), kind: str = "TABLE"
    ) -> None:
        self.tables[dataset, name] = {
            "tableReference": {"projectId": "my-project", "datasetId": dataset, "tableId": name},
            "type": kind,
            "schema": {"fields": fields},
            **({"tableConstraints": {"primaryKey": {"columns": list(key)}}} if key else {}),
        }


def _missing(what: str, name: str) -> tuple[int, dict[str, Any]]:
    message = f"Not found: {what} my-project:{name}"
    return 404, {"error": {"code": 404, "message": message, "errors": [{"reason": "notFound", "message": message}]}}


def _columns(tree: exp.Expr) -> Iterator[dict[str, Any]]:
    return map(_field, tree.find_all(exp.ColumnDef))


def _key(tree: exp.Expr) -> Iterator[str]:
    key = tree.find(exp.PrimaryKey)
    return (part.name for part in key.expressions) if key else iter(())


def _field(column: exp.ColumnDef) -> dict[str, Any]:
    kind = column.args["kind"]
    repeated = kind.this == exp.DType.ARRAY
    return {
        "name": column.name,
        "type": _type(kind.expressions[0] if repeated else kind),
        "mode": "REPEATED" if repeated else "NULLABLE",
    }


def _type(kind: exp.DataType) -> str:
    name = str(kind.this.name)
    return TYPES.get(name, name)
