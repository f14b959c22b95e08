"""BigQuery's REST interface of the server that stands in for it: what it keeps, answers for and passes on."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from google.api_core import exceptions
from google.cloud import bigquery as google

from tests.bigquery.google_sql import client, make_table, run
from tests.bigquery.row_writer import RowWriter
from tests.bigquery.server import PROJECT, BigQueryServer

COLUMNS = "id INT64 NOT NULL, n NUMERIC, b BIGNUMERIC, j JSON, at TIMESTAMP, many ARRAY<STRING>"


def test_a_table_is_what_its_definition_says(bigquery: BigQueryServer) -> None:
    options = "OPTIONS (partition_expiration_days = 7, max_staleness = INTERVAL 15 MINUTE)"
    make_table(bigquery, COLUMNS, "id, n", f"PARTITION BY TIMESTAMP_TRUNC(at, MONTH) CLUSTER BY id, n {options}")
    google_client = client(bigquery)
    table = google_client.get_table(f"{PROJECT}.{bigquery.dataset}_raw.t")
    assert [(field.name, field.field_type, field.mode) for field in table.schema] == [
        ("id", "INTEGER", "REQUIRED"), ("n", "NUMERIC", "NULLABLE"), ("b", "BIGNUMERIC", "NULLABLE"),
        ("j", "JSON", "NULLABLE"), ("at", "TIMESTAMP", "NULLABLE"), ("many", "STRING", "REPEATED"),
    ]  # fmt: skip
    assert table.table_constraints is not None and table.table_constraints.primary_key is not None
    assert table.table_constraints.primary_key.columns == ["id", "n"]
    partition = table.time_partitioning
    assert (partition.type_, partition.field, partition.expiration_ms) == ("MONTH", "at", 7 * 86_400_000)
    assert table.clustering_fields == ["id", "n"]
    shown = "SELECT option_name, option_value FROM `{raw}`.INFORMATION_SCHEMA.TABLE_OPTIONS ORDER BY option_name"
    assert run(bigquery, shown) == [("max_staleness", "0-0 0 0:15:0"), ("partition_expiration_days", "7")]
    assert [row[0] for row in run(bigquery, "SELECT data_type FROM `{raw}`.INFORMATION_SCHEMA.COLUMNS")] == [
        "INT64", "NUMERIC", "BIGNUMERIC", "JSON", "TIMESTAMP", "ARRAY<STRING>",
    ]  # fmt: skip
    google_client.close()


@pytest.mark.parametrize(
    ("definition", "why"),
    [
        ("(id BYTES, PRIMARY KEY (id) NOT ENFORCED)", "cannot be of type BYTES"),
        ("(id FLOAT64, PRIMARY KEY (id) NOT ENFORCED)", "cannot be of type FLOAT64"),
        ("(id INT64, PRIMARY KEY (id))", "NOT ENFORCED"),
        ("(_change_type STRING)", "reserved prefix"),
        ("(id INT64, ID STRING)", "Duplicate column"),
        (f"({'x' * 301} INT64)", "at most 300"),
        (f"({', '.join(f'k{n} INT64' for n in range(17))}, PRIMARY KEY ({', '.join(f'k{n}' for n in range(17))})"
         " NOT ENFORCED)", "at most 16"),
        ("(id INT64, j JSON) CLUSTER BY j", "cannot be of type JSON"),
        ("(id INT64, s STRING) PARTITION BY s", "cannot be of type STRING"),
        ("CLUSTER BY x AS SELECT 1 AS x ORDER BY x", "cannot be clustered"),
    ],
)  # fmt: skip
def test_definitions_that_bigquery_refuses(bigquery: BigQueryServer, definition: str, why: str) -> None:
    run(bigquery, "CREATE SCHEMA `{raw}`")
    with pytest.raises(exceptions.BadRequest, match=why):
        run(bigquery, f"CREATE TABLE `{{raw}}.t` {definition}")


def test_a_type_is_widened_and_never_narrowed(bigquery: BigQueryServer) -> None:
    make_table(bigquery, "id INT64, x INT64")
    with RowWriter(bigquery, "t", {"id": "int64", "x": "int64"}) as writer:
        writer.upsert({"id": 1, "x": 7}, sequence="1")
    run(bigquery, "CREATE SCHEMA `{dataset}`", "CREATE VIEW `{dataset}.v` AS SELECT x FROM `{raw}.t`")
    assert run(bigquery, "SELECT x FROM `{dataset}.v`") == [(7,)]
    for kind, wanted in (("NUMERIC", Decimal(7)), ("BIGNUMERIC", Decimal(7))):
        run(bigquery, f"ALTER TABLE `{{raw}}.t` ALTER COLUMN x SET DATA TYPE {kind}")
        assert run(bigquery, "SELECT x FROM `{dataset}.v`") == [(wanted,)]
    with pytest.raises(exceptions.BadRequest, match="assignable"):
        run(bigquery, "ALTER TABLE `{raw}.t` ALTER COLUMN x SET DATA TYPE INT64")


def test_statements_that_the_emulator_does_right_go_on_as_they_are(bigquery: BigQueryServer) -> None:
    before = len(bigquery.front.log)
    assert run(bigquery, "SELECT DATE_DIFF(DATE '2022-03-01', DATE '2022-01-31', MONTH)") == [(2,)]
    assert len(bigquery.front.log) == before
    assert run(bigquery, "SELECT DIV(7 + 1, 2) * CAST('0.0001' AS NUMERIC)") == [(Decimal("0.0004"),)]
    assert bigquery.front.log[-1][0] == ["NUMERIC literal", "DIV"]


def test_the_bytes_that_a_query_reads(bigquery: BigQueryServer) -> None:
    make_table(bigquery, "id INT64, x STRING, n NUMERIC")
    with RowWriter(bigquery, "t", {"id": "int64", "x": "string", "n": "string"}) as writer:
        writer.upsert(*({"id": at, "x": "abc", "n": "1"} for at in range(100)), sequence="1")
    google_client = client(bigquery)

    def scanned(columns: str) -> int:
        job = google_client.query(f"SELECT {columns} FROM `{PROJECT}.{bigquery.dataset}_raw.t`")
        job.result()
        return int(job.total_bytes_processed or 0)

    scanned("*")  # the copy is made by the first query
    assert (scanned("id"), scanned("n"), scanned("id, n")) == (800, 1600, 2400)
    assert scanned("*") > 2400
    google_client.close()


def test_a_query_may_see_the_state_of_the_last_apply_job(bigquery: BigQueryServer) -> None:
    """Of a table with max_staleness, where the server is told to be late; never of one without."""
    make_table(bigquery, "id INT64")
    with RowWriter(bigquery, "t", {"id": "int64"}) as writer:
        writer.upsert({"id": 1}, sequence="1")
        count = "SELECT COUNT(*) FROM `{raw}.t`"
        assert run(bigquery, count) == [(1,)]
        bigquery.faults.stale = True
        writer.upsert({"id": 2}, sequence="1")
        assert run(bigquery, count) == [(2,)]
        run(bigquery, "ALTER TABLE `{raw}.t` SET OPTIONS (max_staleness = INTERVAL 15 MINUTE)")
        writer.upsert({"id": 3}, sequence="1")
        assert run(bigquery, count) == [(2,)]
        bigquery.front.apply_changes()
        assert run(bigquery, count) == [(3,)]


@pytest.mark.parametrize(
    ("fault", "error", "reason"),
    [
        ({"missing_projects": frozenset({PROJECT})}, exceptions.NotFound, "notFound"),
        ({"denied": frozenset({"jobs"})}, exceptions.Forbidden, "accessDenied"),
        ({"rest_share": 1.0}, exceptions.ServiceUnavailable, "backendError"),
    ],
)
def test_errors_have_bigquerys_codes_and_reasons(
    bigquery: BigQueryServer, fault: dict[str, object], error: type[exceptions.GoogleAPICallError], reason: str
) -> None:
    for name, value in fault.items():
        setattr(bigquery.faults, name, value)
    google_client = client(bigquery)
    with pytest.raises(error) as found:
        google_client.query("SELECT 1", retry=None, job_retry=None).result(retry=None)  # type: ignore[arg-type]
    assert found.value.errors[0]["reason"] == reason
    google_client.close()


def test_a_dataset_lies_where_it_was_made(bigquery: BigQueryServer) -> None:
    run(bigquery, "CREATE SCHEMA `{raw}` OPTIONS (location = 'EU')")
    google_client = client(bigquery)
    assert google_client.get_dataset(f"{PROJECT}.{bigquery.dataset}_raw").location == "EU"
    with pytest.raises(exceptions.NotFound):
        google_client.get_dataset(f"{PROJECT}.{bigquery.dataset}")
    google_client.close()


def test_a_parameter(bigquery: BigQueryServer) -> None:
    google_client = client(bigquery)
    given = google.QueryJobConfig(query_parameters=[google.ScalarQueryParameter("day", "DATE", dt.date(2022, 1, 31))])
    found = google_client.query("SELECT @day, NUMERIC '0.0001' * 2", job_config=given).result()
    assert [tuple(row.values()) for row in found] == [(dt.date(2022, 1, 31), Decimal("0.0002"))]
    google_client.close()
