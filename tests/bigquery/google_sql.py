"""Statements to the server through Google's own client, as somebody at a console would write them."""

from __future__ import annotations

from typing import Any

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tests.bigquery.server import PROJECT, BigQueryServer


def client(server: BigQueryServer) -> bigquery.Client:
    options = ClientOptions(api_endpoint=server.rest_url)
    return bigquery.Client(PROJECT, credentials=AnonymousCredentials(), client_options=options)  # type: ignore[no-untyped-call]


def run(server: BigQueryServer, *statements: str) -> list[tuple[Any, ...]]:
    """Rows of the last. `{raw}` and `{dataset}` are the test's datasets."""
    rows: list[tuple[Any, ...]] = []
    google = client(server)
    for statement in statements:
        text = statement.format(raw=f"{PROJECT}.{server.dataset}_raw", dataset=f"{PROJECT}.{server.dataset}")
        rows = [tuple(row.values()) for row in google.query(text).result()]
    google.close()
    return rows


def make_table(server: BigQueryServer, columns: str, key: str | None = "id", more: str = "") -> None:
    """`raw.t`."""
    keyed = f", PRIMARY KEY ({key}) NOT ENFORCED" if key else ""
    run(server, "CREATE SCHEMA IF NOT EXISTS `{raw}`", f"CREATE TABLE `{{raw}}`.t ({columns}{keyed}) {more}")
