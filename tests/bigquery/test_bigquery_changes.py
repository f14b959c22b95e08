"""Change data in the server that stands in for BigQuery, by «Stream table updates with change data capture»."""

from __future__ import annotations

import datetime as dt
import random

import pytest

from tests.bigquery.change_rows import parse_sequence
from tests.bigquery.google_sql import make_table, run
from tests.bigquery.row_writer import Refusal, RowWriter, change, row_errors, rows_of
from tests.bigquery.server import BigQueryServer

FIELDS = {"id": "int64", "name": "string"}


@pytest.fixture
def writer(bigquery: BigQueryServer) -> RowWriter:
    make_table(bigquery, "id INT64, name STRING")
    return RowWriter(bigquery, "t", FIELDS)


def test_the_documentations_example(bigquery: BigQueryServer) -> None:
    make_table(bigquery, "id INT64, name STRING, salary INT64")
    with RowWriter(bigquery, "t", {**FIELDS, "salary": "int64"}) as writer:
        staff = [(100, "Charlie", 2000), (101, "Tal", 3000), (102, "Lee", 5000)]
        writer.upsert(*({"id": id, "name": name, "salary": salary} for id, name, salary in staff))
        writer.send(
            {"id": 100, **change("DELETE")},
            {"id": 101, "name": "Tal", "salary": 8000, **change()},
            {"id": 105, "name": "Izumi", "salary": 6000, **change()},
        )
    wanted = [(101, "Tal", 8000), (102, "Lee", 5000), (105, "Izumi", 6000)]
    assert rows_of(bigquery, "t", "id", "name", "salary") == wanted
    assert run(bigquery, "SELECT id, name, salary FROM `{raw}.t` ORDER BY id") == wanted


@pytest.mark.parametrize(
    ("earlier", "later"),
    [("77", "7B"), ("FFF/B", "FFF/ABC"), ("BA/FFFFFFFF", "ABC"), ("ABC", "FFF/ABC"), ("9", "10"), ("fff", "FFF/0"),
     ("FFFFFFFFFFFFFFFF/0", "FFFFFFFFFFFFFFFF/1"), ("0/0/0/0", "0/0/0/1"), ("00", "1")],
)  # fmt: skip
def test_sections_are_compared_as_unsigned_numbers(
    bigquery: BigQueryServer, writer: RowWriter, earlier: str, later: str
) -> None:
    writer.upsert({"id": 1, "name": "later"}, sequence=later)
    writer.upsert({"id": 1, "name": "earlier"}, sequence=earlier)
    writer.upsert({"id": 2, "name": "earlier"}, sequence=earlier)
    writer.upsert({"id": 2, "name": "later"}, sequence=later)
    assert rows_of(bigquery, "t", "id", "name") == [(1, "later"), (2, "later")]


@pytest.mark.parametrize("text", ["", "/", "1/", "1/2/3/4/5", "0" * 17, "G", "-1", "1 ", "0x1", "1_0", "१"])
def test_what_is_no_sequence_number(bigquery: BigQueryServer, writer: RowWriter, text: str) -> None:
    with pytest.raises(ValueError, match="not a valid CHANGE_SEQUENCE_NUMBER"):
        parse_sequence(text)
    answer = writer.upsert({"id": 1, "name": "x"}, sequence=text)
    assert [index for index, _ in row_errors(answer)] == [0]
    assert rows_of(bigquery, "t", "id") == []


def test_of_equal_ones_the_later_arrival_wins_also_in_one_request(bigquery: BigQueryServer, writer: RowWriter) -> None:
    same = change(sequence="A/1")
    writer.send({"id": 1, "name": "a", **same}, {"id": 1, "name": "b", **same}, {"id": 2, "name": "a", **same})
    writer.send({"id": 2, "name": "b", **same})
    assert rows_of(bigquery, "t", "id", "name") == [(1, "b"), (2, "b")]


def test_without_sequence_numbers_the_arrival_decides(bigquery: BigQueryServer, writer: RowWriter) -> None:
    writer.upsert({"id": 1, "name": "a"})
    writer.upsert({"id": 1, "name": "b"}, {"id": 1, "name": "c"})
    assert rows_of(bigquery, "t", "name") == [("c",)]
    assert not bigquery.table("t").changes.mixed
    writer.upsert({"id": 1, "name": "d"}, sequence="1")
    assert bigquery.table("t").changes.mixed, "BigQuery calls that order unpredictable"


def test_a_delete_is_remembered_for_two_days(bigquery: BigQueryServer, writer: RowWriter) -> None:
    writer.upsert({"id": 1, "name": "old"}, sequence="5")
    writer.upsert({"id": 1}, sequence="9", kind="DELETE")
    writer.upsert({"id": 1, "name": "replayed"}, sequence="5")
    assert rows_of(bigquery, "t", "id") == []
    bigquery.ahead = dt.timedelta(days=2, seconds=10)
    writer.upsert({"id": 1, "name": "replayed"}, sequence="5")
    assert rows_of(bigquery, "t", "name") == [("replayed",)], "so a replay brings a deleted row back"


def test_a_composite_key_and_a_key_that_is_null(bigquery: BigQueryServer) -> None:
    make_table(bigquery, "a STRING, b INT64, x INT64", "a, b")
    with RowWriter(bigquery, "t", {"x": "int64", "b": "int64", "a": "string"}) as writer:
        writer.upsert({"a": "p", "b": 1, "x": 1}, {"a": "p", "b": 2, "x": 2}, {"a": "p", "x": 3}, sequence="1")
        writer.upsert({"a": "p", "b": 2, "x": 20}, {"a": "p", "x": 30}, sequence="2")
    assert rows_of(bigquery, "t", "a", "b", "x") == [("p", 1, 1), ("p", 2, 20), ("p", None, 30)]


def test_any_order_of_versions_gives_the_same_row(bigquery: BigQueryServer, writer: RowWriter) -> None:
    versions = [{"id": key, "name": str(at), **change(sequence=f"1/{at:X}")} for key in range(4) for at in range(20)]
    random.Random(4).shuffle(versions)
    for at in range(0, len(versions), 7):
        writer.send(*versions[at : at + 7])
        writer.send(*versions[max(0, at - 5) : at])
    assert rows_of(bigquery, "t", "id", "name") == [(key, "19") for key in range(4)]


def test_one_connection_mixes_no_rows_with_and_without_a_change_type(bigquery: BigQueryServer) -> None:
    make_table(bigquery, "id INT64, name STRING")
    with RowWriter(bigquery, "t", FIELDS) as writer:
        writer.upsert({"id": 1, "name": "a"}, sequence="1")
        writer.describe(FIELDS)
        with pytest.raises(Refusal, match="not a valid CHANGE_TYPE"):
            writer.send({"id": 2, "name": "b"})
    with RowWriter(bigquery, "t", FIELDS, change=False) as plain:
        plain.send({"id": 1, "name": "second"})
    assert rows_of(bigquery, "t", "id", "name") == [(1, "a"), (1, "second")], "keys are not enforced"


@pytest.mark.parametrize("kind", ["INSERT", "upsert", "", "UPDATE"])
def test_change_types_are_upsert_and_delete(bigquery: BigQueryServer, writer: RowWriter, kind: str) -> None:
    answer = writer.upsert({"id": 1, "name": "a"}, sequence="1", kind=kind)
    assert "not a valid CHANGE_TYPE" in row_errors(answer)[0][1]


def test_no_change_data_without_a_primary_key(bigquery: BigQueryServer) -> None:
    make_table(bigquery, "id INT64, name STRING", key=None)
    with RowWriter(bigquery, "t", FIELDS) as writer, pytest.raises(Refusal, match="no primary key"):
        writer.upsert({"id": 1, "name": "a"}, sequence="1")


def test_a_table_with_changes_takes_no_dml(bigquery: BigQueryServer, writer: RowWriter) -> None:
    for statement in ("DELETE FROM `{raw}.t` WHERE TRUE", "UPDATE `{raw}.t` SET name = 'x' WHERE TRUE"):
        with pytest.raises(Exception, match="streaming buffer"):
            run(bigquery, statement)
