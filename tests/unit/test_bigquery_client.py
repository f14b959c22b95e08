"""The REST client: results as Arrow, exactly; parameters; tables and datasets as they are; bytes that were scanned."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from pipeline.bigquery.client import BigQueryTable, query_parameter
from schemas.columns import BOOL, DATE, INT64, STRING, TIMESTAMP, ColumnType, Kind
from schemas.errors import QueryError, WarehouseError
from tests.unit.bigquery_http import Answer, BigQueryHttp, Failure

UTC = dt.timezone.utc
CELLS: list[tuple[str, Any, pa.DataType, Any]] = [
    ("INTEGER", "-9223372036854775808", pa.int64(), -(2**63)),
    ("NUMERIC", "12345678901234567890123456789.123456789", pa.decimal128(38, 9),
     Decimal("12345678901234567890123456789.123456789")),
    ("BIGNUMERIC", "0.00000000000000000000000000000000000001", pa.decimal256(76, 38), Decimal("1e-38")),
    ("FLOAT", "0.1", pa.float64(), 0.1),
    ("BOOLEAN", "true", pa.bool_(), True),
    ("STRING", "ä\u0000b", pa.string(), "ä\u0000b"),
    ("BYTES", "AP8=", pa.binary(), b"\x00\xff"),
    ("DATE", "0001-01-01", pa.date32(), dt.date(1, 1, 1)),
    ("DATETIME", "9999-12-31T23:59:59.999999", pa.timestamp("us"), dt.datetime(9999, 12, 31, 23, 59, 59, 999999)),  # noqa: DTZ001
    ("TIMESTAMP", "1657811000123456", pa.timestamp("us", "UTC"),
     dt.datetime(2022, 7, 14, 15, 3, 20, 123456, tzinfo=UTC)),
    ("JSON", '{"a":[1.50]}', pa.string(), '{"a":[1.50]}'),
    ("STRING[]", [{"v": "a"}, {"v": "b"}], pa.list_(pa.string()), ["a", "b"]),
    ("FLOAT[]", [], pa.list_(pa.float64()), []),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "cell", "arrow", "value"), CELLS, ids=lambda part: str(part)[:20])
def test_values_come_exactly(kind: str, cell: Any, arrow: pa.DataType, value: Any) -> None:
    null = [] if kind.endswith("[]") else None
    http = BigQueryHttp(answers=[Answer("FROM", [("x", kind)], [[cell], [null], [cell]])])
    with http.client().read("SELECT x FROM things") as reader:
        assert reader.schema == pa.schema([("x", arrow)])
        batches = list(reader)
    assert [batch.num_rows for batch in batches] == [2, 1], "not a page at a time"
    assert [row["x"] for batch in batches for row in batch.to_pylist()] == [value, null, value]


def test_a_query_names_its_tables_whole_and_adds_up_what_it_reads() -> None:
    http = BigQueryHttp(answers=[Answer("FROM", [("n", "INTEGER")], [["1"]])], scanned=20_971_520)
    client = http.client("EU")
    assert client.rows("SELECT n FROM raw.floors") == [{"n": 1}]
    assert client.rows("SELECT n FROM ltv_monthly") == [{"n": 1}]
    assert "`my-project.ltv_raw.floors`" in http.statements[0]
    assert "`my-project.ltv.ltv_monthly`" in http.statements[1]
    assert client.bytes_scanned == 2 * 20_971_520


def test_an_empty_result_has_its_columns() -> None:
    http = BigQueryHttp(answers=[Answer("FROM", [("a", "DATE"), ("b", "NUMERIC")], [])])
    with http.client().read("SELECT a, b FROM things") as reader:
        assert reader.read_all().schema == pa.schema([("a", pa.date32()), ("b", pa.decimal128(38, 9))])


PARAMETERS: list[tuple[Any, str, Any]] = [
    (1, "INT64", "1"),
    (2**63, "BIGNUMERIC", "9223372036854775808"),
    (True, "BOOL", "true"),
    ("x", "STRING", "x"),
    (None, "STRING", None),
    (Decimal("1.5"), "NUMERIC", "1.5"),
    (Decimal("1e-10"), "BIGNUMERIC", "1E-10"),
    (Decimal("1e29"), "BIGNUMERIC", "1E+29"),
    (dt.date(2022, 1, 31), "DATE", "2022-01-31"),
    (dt.datetime(2022, 1, 31, 1, 2, 3, 4, tzinfo=UTC), "TIMESTAMP", "2022-01-31 01:02:03.000004+00:00"),
    (dt.datetime(2022, 1, 31, 1, 2, 3, 4), "DATETIME", "2022-01-31T01:02:03.000004"),  # noqa: DTZ001
    (b"\x00", "BYTES", "AA=="),
]


@pytest.mark.parametrize(("value", "kind", "text"), PARAMETERS, ids=lambda part: str(part)[:20])
def test_parameters_keep_their_type(value: Any, kind: str, text: str | None) -> None:
    made = query_parameter("p", value).to_api_repr()
    assert made["name"] == "p"
    assert made["parameterType"]["type"] == kind
    assert made["parameterValue"]["value"] == text


def test_lists_are_arrays() -> None:
    made = query_parameter("keys", [1, 2]).to_api_repr()
    assert made["parameterType"] == {"type": "ARRAY", "arrayType": {"type": "INT64"}}
    assert query_parameter("keys", []).to_api_repr()["parameterType"]["arrayType"] == {"type": "STRING"}
    mixed = query_parameter("keys", [Decimal(1), Decimal("1e30")]).to_api_repr()
    assert mixed["parameterType"]["arrayType"] == {"type": "BIGNUMERIC"}
    with pytest.raises(TypeError):
        query_parameter("p", object())


def test_parameters_reach_bigquery() -> None:
    http = BigQueryHttp()
    http.client().run("SELECT @day", {"day": dt.date(2022, 10, 31)})
    (sent,) = http.jobs[0]["configuration"]["query"]["queryParameters"]
    assert sent == {"name": "day", "parameterType": {"type": "DATE"}, "parameterValue": {"value": "2022-10-31"}}


def test_a_table_as_it_is() -> None:
    http = BigQueryHttp()
    http.add_dataset("ltv_raw")
    kinds = {"id": "INTEGER", "a": "NUMERIC", "b": "BIGNUMERIC", "j": "JSON", "g": "GEOGRAPHY"}
    fields = [{"name": name, "type": kind, "mode": "NULLABLE"} for name, kind in kinds.items()]
    fields.append({"name": "tags", "type": "STRING", "mode": "REPEATED"})
    http.add_table("ltv_raw", "things", fields, ["id"])
    http.tables["ltv_raw", "things"] |= {"numRows": "3", "clustering": {"fields": ["a"]}}
    client = http.client()
    assert client.table("ltv_raw", "things") == BigQueryTable(
        "TABLE",
        {
            "id": INT64,
            "a": ColumnType(Kind.DECIMAL, 38, 9),
            "b": ColumnType(Kind.DECIMAL, 76, 38),
            "j": ColumnType(Kind.JSON),
            "g": None,
            "tags": ColumnType(Kind.STRINGS),
        },
        ("id",),
        None,
        ("a",),
        3,
    )
    assert client.table("ltv_raw", "nothing") is None
    assert client.table_names("ltv_raw") == ["things"]
    assert client.table_names("nowhere") == []
    assert [kind.bigquery() for kind in (BOOL, DATE, STRING, TIMESTAMP)] == ["BOOL", "DATE", "STRING", "TIMESTAMP"]


def test_datasets_are_made_where_they_are_missing() -> None:
    http = BigQueryHttp()
    http.add_dataset("ltv")
    client = http.client("EU")
    assert client.missing_datasets() == ["ltv_raw"]
    client.ensure_datasets()
    assert http.statements == ["CREATE SCHEMA IF NOT EXISTS `my-project.ltv_raw` OPTIONS (location = 'EU')"]
    client.ensure_datasets()
    assert len(http.statements) == 1


@pytest.mark.parametrize(("location", "raw"), [("US", "EU"), (None, "US")])
def test_a_dataset_in_another_place_is_an_error(location: str | None, raw: str) -> None:
    http = BigQueryHttp()
    http.add_dataset("ltv")
    http.add_dataset("ltv_raw")
    http.datasets["ltv_raw"]["location"] = raw
    with pytest.raises(WarehouseError, match=r"is in (EU, not in US|US, not in EU)") as raised:
        http.client(location).ensure_datasets()
    assert "set `location` in shop.yaml" in str(raised.value.hint)


def test_views_are_authorized_once_and_nobody_else_loses_access() -> None:
    http = BigQueryHttp()
    http.add_dataset("ltv_raw")
    http.datasets["ltv_raw"]["access"] = [{"role": "OWNER", "userByEmail": "owner@example.com"}]
    client = http.client()
    assert not client.authorized()
    client.authorize()
    client.authorize()
    assert client.authorized()
    assert [method for method, _ in http.requests].count("PATCH") == 1
    entries = http.datasets["ltv_raw"]["access"]
    assert {"role": "OWNER", "userByEmail": "owner@example.com"} in entries
    reference = {"projectId": "my-project", "datasetId": "ltv"}
    assert {"dataset": reference, "targetTypes": ["VIEWS"]} in [entry.get("dataset") for entry in entries]


def test_a_dataset_that_another_process_has_just_made_is_no_error() -> None:
    http = BigQueryHttp(failures=[Failure("CREATE SCHEMA", 409, "duplicate", "Already Exists: Dataset", in_job=True)])
    http.add_dataset("ltv")
    http.client().ensure_datasets()


def test_a_query_that_is_wrong_is_a_query_error_with_its_place() -> None:
    message = "Unrecognized name: wrong at [1:57]"
    http = BigQueryHttp(failures=[Failure("wrong", 400, "invalidQuery", message)])
    with pytest.raises(QueryError, match="at line 1, column"), http.client().read("SELECT 1 FROM raw.floors, wrong"):
        pass


def test_a_project_that_does_not_exist() -> None:
    http = BigQueryHttp(failures=[Failure("datasets/ltv", 404, "notFound", "Not found: Project my-project")])
    with pytest.raises(WarehouseError, match="Not found: Project"):
        http.client().ensure_datasets()
