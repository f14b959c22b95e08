"""The Storage Write API of the server that stands in for BigQuery: requests, schemas, types and what goes wrong."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import grpc
import pytest
from google.cloud.bigquery_storage_v1 import types

from tests.bigquery.google_sql import make_table, run
from tests.bigquery.row_writer import (
    Refusal,
    RowWriter,
    change,
    numbered,
    row_errors,
    rows_of,
)
from tests.bigquery.server import PROJECT, BigQueryServer
from tests.bigquery.write_service import CODES, SERVICE

UTC = dt.timezone.utc
FIELDS = {"id": "int64", "x": "string"}


@pytest.mark.parametrize(
    ("column", "field", "values"),
    [
        ("INT64", "int64", {2**63 - 1: 2**63 - 1, -(2**63): -(2**63), 0: 0}),
        ("STRING", "string", {"": "", "é\u0000": "é\u0000"}),
        ("BYTES", "bytes", {b"": b"", b"\xff": b"\xff"}),
        ("BOOL", "bool", {False: False, True: True}),
        ("FLOAT64", "double", {0.1: 0.1, 1e300: 1e300}),
        ("DATE", "int32", {0: dt.date(1970, 1, 1), -719162: dt.date(1, 1, 1), 2932896: dt.date(9999, 12, 31)}),
        ("DATETIME", "string", {"2022-01-02 03:04:05.000006": dt.datetime.fromisoformat("2022-01-02T03:04:05.000006"),
                                "2022-01-02T03:04:05": dt.datetime.fromisoformat("2022-01-02T03:04:05")}),
        ("TIMESTAMP", "int64", {1: dt.datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
                                -62135596800000000: dt.datetime(1, 1, 1, tzinfo=UTC)}),
        ("NUMERIC", "string", {"9" * 29 + ".999999999": Decimal("9" * 29 + ".999999999"), "-0.10": Decimal("-0.1"),
                               "1e3": Decimal(1000), "1.0000000000": Decimal(1)}),
        ("BIGNUMERIC", "string", {"1." + "0" * 37 + "1": "1." + "0" * 37 + "1", "-5e38": "-5" + "0" * 38}),
        ("JSON", "string", {'{"a": [1, null]}': '{"a": [1, null]}', "null": "null"}),
        ("ARRAY<STRING>", "repeated string", {}),
    ],
)  # fmt: skip
def test_values_of_every_type_come_through(bigquery: BigQueryServer, column: str, field: str, values: Any) -> None:
    given = [*values, None] if values else [["a", "b"], []]
    wanted = [*values.values(), None] if values else given
    make_table(bigquery, f"id INT64, x {column}")
    with RowWriter(bigquery, "t", {"id": "int64", "x": field}) as writer:
        answer = writer.send(*({**row, **change(sequence="1")} for row in numbered(given)))
    assert answer.WhichOneof("response") == "append_result", answer
    found = [value for _, value in sorted(rows_of(bigquery, "t", "id", "x"))]
    assert found == wanted
    shown = [value for (value,) in run(bigquery, "SELECT x FROM `{raw}.t` ORDER BY id")]
    if column == "BIGNUMERIC":
        wanted = [None if value is None else Decimal(value) for value in wanted]
    assert column == "JSON" or shown == wanted, "the same through SQL"


@pytest.mark.parametrize(
    ("column", "field", "wrong"),
    [
        ("NUMERIC", "string", ["1" + "0" * 29, "0.0000000001", "", "abc", "NaN", "1e29", "١"]),
        ("BIGNUMERIC", "string", ["6e38", "1e-39", "x"]),
        ("DATE", "int32", [-719163, 2932897]),
        ("DATETIME", "string", ["2022-02-30 00:00:00", "2022-01-01 24:00:00", "0000-01-01 00:00:00", "2022-1-1 1:1"]),
        ("TIMESTAMP", "int64", [-62135596800000001, 253402300800000000]),
        ("JSON", "string", ["{", "", "{'a': 1}", "NaN"]),
    ],
)  # fmt: skip
def test_values_out_of_range_are_row_errors_and_nothing_is_taken(
    bigquery: BigQueryServer, column: str, field: str, wrong: list[Any]
) -> None:
    make_table(bigquery, f"id INT64, x {column}")
    with RowWriter(bigquery, "t", {"id": "int64", "x": field}) as writer:
        good = {"id": 99, **change(sequence="1")}
        answer = writer.send(good, *({**row, **change(sequence="1")} for row in numbered(wrong)))
        assert [index for index, _ in row_errors(answer)] == list(range(1, len(wrong) + 1)), row_errors(answer)
        assert {error.code for error in answer.row_errors} == {types.RowError.RowErrorCode.FIELDS_ERROR}
        assert answer.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
        assert rows_of(bigquery, "t", "id") == []
        assert writer.send(good).WhichOneof("response") == "append_result", "the connection goes on"
    assert rows_of(bigquery, "t", "id") == [(99,)]


@pytest.mark.parametrize(
    ("columns", "field", "message"),
    [("id INT64, x INT64", "string", "mismatched"), ("id INT64, x STRING", "bytes", "mismatched"),
     ("id INT64, x TIMESTAMP", "string", "mismatched"), ("id INT64, x ARRAY<STRING>", "string", "mode"),
     ("id INT64, x STRING", "repeated string", "mode")],
)  # fmt: skip
def test_a_writers_schema_of_other_types_is_refused(
    bigquery: BigQueryServer, columns: str, field: str, message: str
) -> None:
    make_table(bigquery, columns)
    with (
        RowWriter(bigquery, "t", {"id": "int64", "x": field}) as writer,
        pytest.raises(Refusal, match=message) as found,
    ):
        writer.upsert({"id": 1}, sequence="1")
    assert found.value.code == "INVALID_ARGUMENT"


def test_a_required_column(bigquery: BigQueryServer) -> None:
    make_table(bigquery, "id INT64, x STRING NOT NULL")
    with RowWriter(bigquery, "t", FIELDS) as writer:
        assert "required" in row_errors(writer.upsert({"id": 1}, sequence="1"))[0][1]


def test_fields_that_the_table_does_not_have(bigquery: BigQueryServer) -> None:
    make_table(bigquery, "id INT64")
    with RowWriter(bigquery, "t", FIELDS) as writer, pytest.raises(Refusal, match="extra fields: 'x'") as found:
        writer.upsert({"id": 1}, sequence="1")
    assert (found.value.code, found.value.storage) == ("INVALID_ARGUMENT", CODES.SCHEMA_MISMATCH_EXTRA_FIELDS)


def test_a_new_column_is_told_and_taken_in_the_same_connection(bigquery: BigQueryServer) -> None:
    make_table(bigquery, "id INT64, x STRING")
    with RowWriter(bigquery, "t", FIELDS) as writer:
        writer.upsert({"id": 1, "x": "a"}, sequence="1")
        run(bigquery, "ALTER TABLE `{raw}.t` ADD COLUMN IF NOT EXISTS y INT64, ADD COLUMN IF NOT EXISTS x STRING")
        told = writer.upsert({"id": 2, "x": "b"}, sequence="1")
        assert [column.name for column in told.updated_schema.fields] == ["id", "x", "y"]
        assert not writer.upsert({"id": 2, "x": "b"}, sequence="1").updated_schema.fields, "told once"
        writer.describe({**FIELDS, "y": "int64", "_CHANGE_TYPE": "string", "_CHANGE_SEQUENCE_NUMBER": "string"})
        writer.upsert({"id": 2, "x": "b", "y": 7}, sequence="2")
    assert run(bigquery, "SELECT id, x, y FROM `{raw}.t` ORDER BY id") == [(1, "a", None), (2, "b", 7)]


def test_a_column_that_the_write_api_does_not_know_yet(bigquery: BigQueryServer) -> None:
    make_table(bigquery, "id INT64, x STRING")
    bigquery.faults.hidden_columns = {"t": frozenset({"x"})}
    with RowWriter(bigquery, "t", FIELDS) as writer, pytest.raises(Refusal, match="extra fields"):
        writer.upsert({"id": 1, "x": "a"}, sequence="1")
    bigquery.faults.hidden_columns = {}
    with RowWriter(bigquery, "t", FIELDS) as writer:
        writer.upsert({"id": 1, "x": "a"}, sequence="1")
    assert rows_of(bigquery, "t", "x") == [("a",)]


@pytest.mark.parametrize(
    ("stream", "code", "storage"),
    [
        ("projects/{project}/datasets/{raw}/tables/nope/streams/_default", "NOT_FOUND", CODES.TABLE_NOT_FOUND),
        ("projects/{project}/datasets/{raw}/tables/t/streams/other", "NOT_FOUND", CODES.STREAM_NOT_FOUND),
        ("t", "INVALID_ARGUMENT", 0),
    ],
)
def test_streams_that_are_not_there(bigquery: BigQueryServer, stream: str, code: str, storage: int) -> None:
    make_table(bigquery, "id INT64, x STRING")
    named = stream.format(project=PROJECT, raw=f"{bigquery.dataset}_raw")
    with RowWriter(bigquery, "t", FIELDS) as writer, pytest.raises(Refusal) as found:
        writer.send({"id": 1, **change(sequence="1")}, stream=named)
    assert (found.value.code, found.value.storage) == (code, storage)


def test_the_permission_to_write(bigquery: BigQueryServer) -> None:
    make_table(bigquery, "id INT64, x STRING")
    bigquery.faults.denied = frozenset({"write"})
    with RowWriter(bigquery, "t", FIELDS) as writer, pytest.raises(Refusal, match="TABLES_UPDATE_DATA") as found:
        writer.upsert({"id": 1}, sequence="1")
    assert found.value.code == "PERMISSION_DENIED"


@pytest.mark.parametrize("missing", ["write_stream", "writer_schema"])
def test_what_the_first_request_must_bring(bigquery: BigQueryServer, missing: str) -> None:
    make_table(bigquery, "id INT64, x STRING")
    with RowWriter(bigquery, "t", FIELDS) as writer:
        request = types.AppendRowsRequest.pb()()
        if missing == "writer_schema":
            request.write_stream = f"projects/{PROJECT}/datasets/{bigquery.dataset}_raw/tables/t/streams/_default"
        request.proto_rows.rows.serialized_rows.append(b"")
        with pytest.raises(Refusal, match="schema" if missing == "writer_schema" else "stream") as found:
            writer.request(request)
    assert found.value.code == "INVALID_ARGUMENT"


def test_a_request_beyond_the_limit(bigquery: BigQueryServer) -> None:
    make_table(bigquery, "id INT64, x STRING")
    with RowWriter(bigquery, "t", FIELDS) as writer, pytest.raises(Refusal, match="too large"):
        writer.upsert({"id": 1, "x": "a" * 9_999_990}, {"id": 2, "x": "b"}, sequence="1")
    with RowWriter(bigquery, "t", FIELDS) as writer:
        assert writer.upsert({"id": 1, "x": "a" * 9_000_000}, sequence="1").HasField("append_result")


def test_only_default_streams_and_their_schema(bigquery: BigQueryServer) -> None:
    make_table(bigquery, "id INT64, x ARRAY<FLOAT64>")
    with grpc.insecure_channel(bigquery.grpc_address) as channel:
        create = channel.unary_unary(f"/{SERVICE}/CreateWriteStream")
        with pytest.raises(grpc.RpcError, match="default streams only"):
            create(b"")
        get = channel.unary_unary(
            f"/{SERVICE}/GetWriteStream",
            request_serializer=types.GetWriteStreamRequest.serialize,
            response_deserializer=types.WriteStream.deserialize,
        )
        name = f"projects/{PROJECT}/datasets/{bigquery.dataset}_raw/tables/t/streams/_default"
        found = get(types.GetWriteStreamRequest(name=name, view=types.WriteStreamView.FULL))
    shown = [(column.name, column.type_.name, column.mode.name) for column in found.table_schema.fields]
    assert shown == [("id", "INT64", "NULLABLE"), ("x", "DOUBLE", "REPEATED")]


@pytest.mark.parametrize("kind", ["UNAVAILABLE", "ABORTED", "INTERNAL", "lost", "cut"])
def test_injected_faults(bigquery: BigQueryServer, kind: str) -> None:
    make_table(bigquery, "id INT64, x STRING")
    bigquery.faults.kinds, bigquery.faults.share = (kind,), 1.0
    with RowWriter(bigquery, "t", FIELDS) as writer:
        if kind in ("ABORTED", "INTERNAL"):
            answer = writer.upsert({"id": 1, "x": "a"}, sequence="1")
            assert answer.error.code == grpc.StatusCode[kind].value[0]
        else:
            with pytest.raises(Refusal) as found:
                writer.upsert({"id": 1, "x": "a"}, sequence="1")
            assert found.value.code in ("UNAVAILABLE", "CANCELLED")
    assert rows_of(bigquery, "t", "id") == ([(1,)] if kind == "lost" else [])
    assert bigquery.faults.happened[kind] == 1
    bigquery.faults.share = 0.0
    with RowWriter(bigquery, "t", FIELDS) as writer:
        assert writer.upsert({"id": 1, "x": "a"}, sequence="1").HasField("append_result")


def test_rows_beyond_the_partitions_that_are_open(bigquery: BigQueryServer) -> None:
    make_table(bigquery, "id INT64, x DATE", more="PARTITION BY DATE_TRUNC(x, MONTH)")
    today = bigquery.now().date().toordinal() - dt.date(1970, 1, 1).toordinal()
    bigquery.faults.partition_years = (5, 1)
    days = [today, today - 1700, today + 300, today - 2000, today + 500]
    with RowWriter(bigquery, "t", {"id": "int64", "x": "int32"}) as writer:
        answer = writer.send(*({**row, **change(sequence="1")} for row in numbered([*days, None])))
    assert [index for index, _ in row_errors(answer)] == [3, 4]
    assert "outside the allowed bounds" in row_errors(answer)[0][1]
